//! A scripted HTTP/2 peer with a few lines of framing of its own and no library, so that it can
//! do what a library would refuse to. It keeps a record of every request, and of every rule that
//! the client broke.

mod wire;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{mpsc, oneshot},
};
use tokio_rustls::TlsAcceptor;

pub(crate) use wire::*;
use wire::{PREFACE, fields};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Which connection, counted from 1.
    pub(crate) connection: u64,
    /// Which request of its connection, counted from 1.
    pub(crate) nth: u64,
    /// Which request of all, counted from 1.
    pub(crate) total: u64,
    pub(crate) stream: u32,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Bytes of body so far.
    pub(crate) body: usize,
}

/// What a script has the peer do, in order.
enum Act {
    Write(Vec<u8>),
    /// These bytes again and again.
    Flood(Vec<u8>),
    Close,
}

/// What a script says.
#[derive(Default)]
pub(crate) struct Talk(Vec<(u64, Act)>);

impl Talk {
    /// Writes bytes now.
    pub(crate) fn write(&mut self, bytes: Vec<u8>) {
        self.later(0, bytes);
    }

    /// Writes bytes after so many milliseconds, whatever is written in between.
    pub(crate) fn later(&mut self, ms: u64, bytes: Vec<u8>) {
        self.0.push((ms, Act::Write(bytes)));
    }

    /// Writes these bytes until nobody takes them any more.
    pub(crate) fn flood(&mut self, bytes: &[u8]) {
        self.0
            .push((0, Act::Flood(bytes.repeat(1 + 8192 / bytes.len()))));
    }

    /// Closes the connection.
    pub(crate) fn close(&mut self) {
        self.0.push((0, Act::Close));
    }

    /// A complete answer.
    pub(crate) fn answer(&mut self, stream: u32, status: u16) {
        self.write(answer(stream, status));
    }

    /// Ends a stream with this error code.
    pub(crate) fn reset(&mut self, stream: u32, code: u32) {
        self.write(frame(RESET, 0, stream, &code.to_be_bytes()));
    }

    /// Says goodbye: no stream above `last` was looked at.
    pub(crate) fn goaway(&mut self, last: u32) {
        self.write(frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat()));
    }
}

/// How a peer is set up.
#[derive(Default)]
pub(crate) struct Setup {
    /// What it says first, in place of settings without entries.
    pub(crate) greeting: Option<Vec<u8>>,
    /// Its first window for a stream, where the greeting announces one.
    pub(crate) window: Option<u32>,
    /// The script is called at the head of a request, not at its end.
    pub(crate) early: bool,
    /// It never opens its windows again.
    pub(crate) stingy: bool,
    /// It reads nothing for so many milliseconds after the first head.
    pub(crate) pause_ms: u64,
    pub(crate) tls: Option<TlsAcceptor>,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Asked>,
    connections: u64,
    resets: u64,
    wrongs: Vec<String>,
}

type Script = Rc<RefCell<dyn FnMut(&Asked, &mut Talk)>>;

/// A running peer; stops when dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Setup {
    /// Starts a peer that asks the script what to do about each request.
    pub(crate) fn start(self, script: impl FnMut(&Asked, &mut Talk) + Send + 'static) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let log = Arc::clone(&log);
            move || {
                let script = Rc::new(RefCell::new(script));
                let shared = Rc::new(Shared {
                    setup: self,
                    script,
                    log,
                });
                serve(listener, shared, stopped).unwrap();
            }
        });
        Peer {
            address,
            log,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Peer {
    /// A peer with nothing special about it but its script.
    pub(crate) fn start(script: impl FnMut(&Asked, &mut Talk) + Send + 'static) -> Self {
        Setup::default().start(script)
    }

    /// Requests whose head arrived.
    pub(crate) fn requests(&self) -> u64 {
        self.log().requests.len() as u64
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        self.log().requests.clone()
    }

    /// Connections that were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.log().connections
    }

    /// Streams that the client reset.
    pub(crate) fn resets(&self) -> u64 {
        self.log().resets
    }

    /// Rules that the client broke.
    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.log().wrongs.clone()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

struct Shared {
    setup: Setup,
    script: Script,
    log: Arc<Mutex<Log>>,
}

fn serve(
    listener: TcpListener,
    shared: Rc<Shared>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Rc::clone(&shared);
                tokio::task::spawn_local(async move {
                    stream.set_nodelay(true)?;
                    match &shared.setup.tls {
                        None => converse(&shared, stream).await,
                        Some(acceptor) => {
                            let stream = acceptor.accept(stream).await?;
                            converse(&shared, stream).await
                        }
                    }
                });
            }
        });
        // An error means that the peer was dropped, which is the sign to stop.
        let _ = stopped.await;
        Ok(())
    })
}

async fn converse(
    shared: &Shared,
    stream: impl AsyncRead + AsyncWrite + 'static,
) -> io::Result<()> {
    let connection = {
        let mut log = shared.log.lock().unwrap();
        log.connections += 1;
        log.connections
    };
    let (mut from, mut to) = tokio::io::split(stream);
    let (acts, mut todo) = mpsc::channel(1024);
    let (closed, mut is_closed) = oneshot::channel::<()>();
    let books = Rc::new(RefCell::new(Books::default()));
    let mut client = Client::new(connection, shared.setup.window, Rc::clone(&books));
    tokio::task::spawn_local(async move {
        while let Some(act) = todo.recv().await {
            match act {
                Act::Write(bytes) => {
                    books.borrow_mut().said(&bytes);
                    to.write_all(&bytes).await?;
                }
                Act::Flood(bytes) => loop {
                    to.write_all(&bytes).await?;
                    // Whoever never waits for a socket would never let go.
                    tokio::task::yield_now().await;
                },
                Act::Close => break,
            }
        }
        drop(closed);
        to.shutdown().await
    });
    let hello = shared.setup.greeting.clone();
    let _ = acts
        .send(Act::Write(hello.unwrap_or_else(|| settings(&[]))))
        .await;
    let mut buffer = Vec::new();
    loop {
        tokio::select! {
            n = from.read_buf(&mut buffer) => if n? == 0 { return Ok(()) },
            _ = &mut is_closed => return Ok(()),
        }
        let is_first = client.nth == 0;
        client.take(&mut buffer, shared, &acts).await;
        if is_first && client.nth > 0 && shared.setup.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(shared.setup.pause_ms)).await;
        }
    }
}

/// What is known of the client at the other end.
struct Client {
    connection: u64,
    nth: u64,
    has_preface: bool,
    /// The heads that wait for the end of their block.
    head: Vec<u8>,
    books: Rc<RefCell<Books>>,
    first_window: i64,
    window: i64,
    windows: BTreeMap<u32, i64>,
}

/// What both ends have agreed on.
#[derive(Default)]
struct Books {
    open: BTreeMap<u32, Asked>,
    /// Settings that were not confirmed yet: the limit of streams that each made.
    unconfirmed: Vec<Option<usize>>,
    streams_max: Option<usize>,
}

impl Client {
    fn new(connection: u64, window: Option<u32>, books: Rc<RefCell<Books>>) -> Self {
        Self {
            connection,
            nth: 0,
            has_preface: false,
            head: Vec::new(),
            books,
            first_window: window.map_or(65_535, i64::from),
            window: 65_535,
            windows: BTreeMap::new(),
        }
    }

    /// Takes complete frames out of the buffer.
    async fn take(&mut self, buffer: &mut Vec<u8>, shared: &Shared, acts: &mpsc::Sender<Act>) {
        if !self.has_preface {
            if buffer.len() < PREFACE.len() {
                return;
            }
            self.has_preface = true;
            if buffer.drain(..PREFACE.len()).as_slice() != PREFACE {
                shared.wrong("no preface");
            }
        }
        while buffer.len() >= 9 {
            let length = u32::from_be_bytes([0, buffer[0], buffer[1], buffer[2]]) as usize;
            if buffer.len() < 9 + length {
                return;
            }
            let bytes: Vec<u8> = buffer.drain(..9 + length).collect();
            let stream = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]);
            self.frame((bytes[3], bytes[4], stream), &bytes[9..], shared, acts)
                .await;
        }
    }

    async fn frame(
        &mut self,
        (kind, flags, stream): (u8, u8, u32),
        payload: &[u8],
        shared: &Shared,
        acts: &mpsc::Sender<Act>,
    ) {
        let ends = flags & END_STREAM != 0;
        match kind {
            HEADERS | CONTINUATION => {
                self.head.extend_from_slice(payload);
                if flags & END_HEADERS != 0 {
                    self.opened(stream, shared);
                    if shared.setup.early || ends {
                        self.ask(stream, shared, acts).await;
                    }
                }
            }
            DATA => {
                let n = i64::try_from(payload.len()).unwrap();
                let window = self.windows.entry(stream).or_insert(self.first_window);
                *window -= n;
                self.window -= n;
                if self.window < 0 || (*window < 0 && shared.setup.window.is_some()) {
                    shared.wrong("more data than the windows allow");
                }
                if let Some(asked) = self.books.borrow_mut().open.get_mut(&stream) {
                    asked.body += payload.len();
                    let mut log = shared.log.lock().unwrap();
                    let at = usize::try_from(asked.total).unwrap() - 1;
                    log.requests[at].body = asked.body;
                }
                if !shared.setup.stingy && n > 0 {
                    *window += n;
                    self.window += n;
                    let more = u32::try_from(n).unwrap().to_be_bytes();
                    let both = [0, stream].map(|id| frame(WINDOW_UPDATE, 0, id, &more));
                    let _ = acts.send(Act::Write(both.concat())).await;
                }
                if ends && !shared.setup.early {
                    self.ask(stream, shared, acts).await;
                }
            }
            RESET => {
                self.books.borrow_mut().open.remove(&stream);
                shared.log.lock().unwrap().resets += 1;
            }
            SETTINGS if flags & 1 == 0 => {
                let ack = frame(SETTINGS, 1, 0, &[]);
                let _ = acts.send(Act::Write(ack)).await;
            }
            SETTINGS => {
                let mut books = self.books.borrow_mut();
                if books.unconfirmed.is_empty() {
                    shared.wrong("a confirmation of nothing");
                } else if let Some(max) = books.unconfirmed.remove(0) {
                    books.streams_max = Some(max);
                }
            }
            WINDOW_UPDATE | PING | GOAWAY => {}
            _ => shared.wrong("a frame that no client sends"),
        }
    }

    /// The head of a request is complete.
    fn opened(&mut self, stream: u32, shared: &Shared) {
        let fields = fields(&std::mem::take(&mut self.head));
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        self.nth += 1;
        let mut log = shared.log.lock().unwrap();
        let asked = Asked {
            connection: self.connection,
            nth: self.nth,
            total: log.requests.len() as u64 + 1,
            stream,
            method: field(":method"),
            path: field(":path"),
            body: 0,
        };
        log.requests.push(asked.clone());
        if u64::from(stream) != 2 * self.nth - 1 {
            log.wrongs
                .push(format!("stream {stream} as number {}", self.nth));
        }
        let mut books = self.books.borrow_mut();
        books.open.insert(stream, asked);
        let n = books.open.len();
        if books.streams_max.is_some_and(|max| n > max) {
            log.wrongs.push(format!("{n} streams"));
        }
    }

    /// Has the script say what becomes of a request.
    async fn ask(&mut self, stream: u32, shared: &Shared, acts: &mpsc::Sender<Act>) {
        let asked = self.books.borrow().open.get(&stream).cloned();
        let Some(asked) = asked else {
            return;
        };
        let mut talk = Talk::default();
        (shared.script.borrow_mut())(&asked, &mut talk);
        for (ms, act) in talk.0 {
            if ms == 0 {
                let _ = acts.send(act).await;
            } else {
                let acts = acts.clone();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    let _ = acts.send(act).await;
                });
            }
        }
    }
}

impl Books {
    /// Keeps the books on what is said: streams that end, limits that change.
    fn said(&mut self, mut bytes: &[u8]) {
        while bytes.len() >= 9 {
            let length = u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]) as usize;
            let Some((frame, rest)) = bytes.split_at_checked(9 + length) else {
                return;
            };
            let stream = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
            let ends = frame[4] & END_STREAM != 0 && matches!(frame[3], DATA | HEADERS);
            if ends || frame[3] == RESET {
                self.open.remove(&stream);
            }
            if frame[3] == SETTINGS {
                let entries = frame[9..].chunks_exact(6);
                let max = entries
                    .filter(|it| it[..2] == [0, 3])
                    .map(|it| it[5])
                    .next_back();
                self.unconfirmed.push(max.map(usize::from));
            }
            bytes = rest;
        }
    }
}

impl Shared {
    fn wrong(&self, what: &str) {
        self.log.lock().unwrap().wrongs.push(what.to_owned());
    }
}
