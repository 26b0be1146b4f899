//! A raw-socket HTTP server that does what it is told to do wrong, and keeps a record of every
//! request it saw. One thread serves all its connections, so the record is in order of arrival.

#[path = "answers.rs"]
mod answers;

use std::{
    cell::Cell,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use proofload::{clock::Clock, units::seconds};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

pub(crate) use answers::*;

/// In nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// When its last byte was read, in nanoseconds on the server's clock.
    pub(crate) at_ns: u64,
    /// Path and query.
    pub(crate) path: String,
    /// The whole head.
    pub(crate) head: String,
}

#[derive(Debug, Default)]
struct Log {
    requests: Vec<Seen>,
    connections: u64,
    in_flight: u64,
    most_in_flight: u64,
    crossed: u64,
}

/// How a server is set up.
#[derive(Default)]
pub(crate) struct Setup {
    routes: Vec<(String, Fault)>,
    reset_at_accept: bool,
    held: Option<(u64, std::time::Duration)>,
    idle_ns: Option<u64>,
    stall: Option<(u64, u64)>,
    greeting: Vec<u8>,
    early: Option<usize>,
    ipv6: bool,
    tls: Option<[TlsAcceptor; 2]>,
}

impl Setup {
    /// Sends requests whose path begins like this to a fault; the first route that fits wins.
    pub(crate) fn route(mut self, prefix: &str, fault: Fault) -> Self {
        self.routes.push((prefix.to_owned(), fault));
        self
    }

    /// Resets every connection as soon as it is accepted.
    pub(crate) fn reset_at_accept(mut self) -> Self {
        self.reset_at_accept = true;
        self
    }

    /// Lets the n-th connection, counted from 1, wait so long before it is spoken on.
    pub(crate) fn hold(mut self, n: u64, pause: std::time::Duration) -> Self {
        self.held = Some((n, pause));
        self
    }

    /// Closes connections on which nothing came for so long.
    pub(crate) fn close_idle(mut self, idle_ns: u64) -> Self {
        self.idle_ns = Some(idle_ns);
        self
    }

    /// Holds all answers between these two instants after the first request.
    pub(crate) fn stall(mut self, from_ns: u64, until_ns: u64) -> Self {
        self.stall = Some((from_ns, until_ns));
        self
    }

    /// Says this as soon as a connection stands.
    pub(crate) fn greet(mut self, bytes: &[u8]) -> Self {
        self.greeting = bytes.to_vec();
        self
    }

    /// Answers when the head and so many bytes of the body were read.
    pub(crate) fn early(mut self, body: usize) -> Self {
        self.early = Some(body);
        self
    }

    /// Listens on the loopback address of IPv6.
    pub(crate) fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    /// Speaks TLS: with the first certificate until a request was answered, then the second.
    pub(crate) fn tls(mut self, first: TlsAcceptor, later: TlsAcceptor) -> Self {
        self.tls = Some([first, later]);
        self
    }

    /// Starts serving.
    pub(crate) fn start(self) -> Faultd {
        let host = if self.ipv6 { "::1" } else { "127.0.0.1" };
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let log = Arc::clone(&log);
            move || serve(listener, self, log, stopped).unwrap()
        });
        Faultd {
            address,
            log,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

/// A running server; stops when dropped.
pub(crate) struct Faultd {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Faultd {
    /// A server that does this to every request.
    pub(crate) fn always(fault: Fault) -> Self {
        Setup::default().route("/", fault).start()
    }

    /// The base URL for `http`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.log().requests.clone()
    }

    /// How many requests arrived.
    pub(crate) fn requests(&self) -> u64 {
        self.log().requests.len() as u64
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.log().connections
    }

    /// How many requests were in work at once at the most.
    pub(crate) fn most_in_flight(&self) -> u64 {
        self.log().most_in_flight
    }

    /// Requests that followed bytes which nobody had asked for.
    pub(crate) fn crossed(&self) -> u64 {
        self.log().crossed
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }
}

impl Drop for Faultd {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// What all conversations share.
struct Shared {
    setup: Setup,
    log: Arc<Mutex<Log>>,
    clock: Clock,
    /// Tokens left, and when they were counted.
    tokens: Cell<Option<(f64, u64)>>,
}

impl Shared {
    /// Takes a token out of a bucket that holds so many and gets so many in a second.
    fn bucket(&self, burst: u32, per_s: u32) -> bool {
        let now_ns = self.clock.now_ns();
        let burst = f64::from(burst);
        let (left, then_ns) = self.tokens.get().unwrap_or((burst, now_ns));
        let left = (left + seconds(now_ns - then_ns) * f64::from(per_s)).min(burst);
        let has_one = left >= 1.0;
        self.tokens
            .set(Some((left - f64::from(u8::from(has_one)), now_ns)));
        has_one
    }
}

fn serve(
    listener: TcpListener,
    setup: Setup,
    log: Arc<Mutex<Log>>,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    let clock = Clock::start();
    let shared = Rc::new(Shared {
        setup,
        log,
        clock,
        tokens: Cell::new(None),
    });
    local.block_on(&runtime, async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::task::spawn_local(async move {
            // Out of descriptors or the like: the test sees the missing answers.
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(accepted(Rc::clone(&shared), stream));
            }
        });
        // An error means that the server was dropped, which is the sign to stop.
        let _ = stopped.await;
        Ok(())
    })
}

async fn accepted(shared: Rc<Shared>, stream: TcpStream) -> io::Result<()> {
    let (started, number) = {
        let mut log = shared.log.lock().unwrap();
        log.connections += 1;
        (!log.requests.is_empty(), log.connections)
    };
    if let Some((n, pause)) = shared.setup.held
        && n == number
    {
        tokio::time::sleep(pause).await;
    }
    stream.set_nodelay(true)?;
    if shared.setup.reset_at_accept {
        return stream.set_zero_linger();
    }
    match &shared.setup.tls {
        None => converse(&shared, stream).await,
        Some(acceptors) => {
            let stream = acceptors[usize::from(started)].accept(stream).await?;
            converse(&shared, stream).await
        }
    }
}

/// A stream that can be reset.
trait Peer: AsyncRead + AsyncWrite + Unpin {
    /// Makes the coming close a reset.
    fn reset(&self) -> io::Result<()>;

    /// Says that nothing more comes, and then sends so many bytes all the same.
    async fn farewell(&mut self, extra: usize) -> io::Result<()>;
}

impl Peer for TcpStream {
    fn reset(&self) -> io::Result<()> {
        self.set_zero_linger()
    }

    async fn farewell(&mut self, extra: usize) -> io::Result<()> {
        self.write_all(&vec![b'x'; extra]).await
    }
}

impl Peer for TlsStream<TcpStream> {
    fn reset(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }

    async fn farewell(&mut self, extra: usize) -> io::Result<()> {
        let (socket, session) = self.get_mut();
        session.send_close_notify();
        let mut bytes = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut bytes)?;
        }
        bytes.resize(bytes.len() + extra, b'x');
        socket.write_all(&bytes).await
    }
}

async fn converse(shared: &Shared, mut stream: impl Peer) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut answered = 0;
    let mut is_stray = false;
    stream.write_all(&shared.setup.greeting).await?;
    loop {
        let next = next_request(&mut stream, &mut buffer, shared.setup.early);
        let head = match shared.setup.idle_ns {
            None => next.await?,
            Some(idle_ns) => {
                let idle = std::time::Duration::from_nanos(idle_ns);
                tokio::time::timeout(idle, next).await.unwrap_or(Ok(None))?
            }
        };
        let Some(head) = head else {
            return Ok(());
        };
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut routes = shared.setup.routes.iter();
        let route = routes.find(|(prefix, _)| path.starts_with(prefix));
        let fault = route.map_or(Fault::Status(404), |(_, fault)| fault.clone());
        let (nth, first_ns) = {
            let mut log = shared.log.lock().unwrap();
            log.crossed += u64::from(is_stray);
            log.in_flight += 1;
            log.most_in_flight = log.most_in_flight.max(log.in_flight);
            log.requests.push(Seen {
                at_ns: shared.clock.now_ns(),
                path: path.clone(),
                head,
            });
            (log.requests.len() as u64, log.requests[0].at_ns)
        };
        if let Some((from_ns, until_ns)) = shared.setup.stall {
            let since_ns = shared.clock.now_ns() - first_ns;
            if (from_ns..until_ns).contains(&since_ns) {
                wait_until(shared.clock, first_ns + until_ns).await?;
            }
        }
        let first = answered == 0;
        answered += 1;
        is_stray = matches!(fault, Fault::EchoThen(..));
        let fault = resolve(fault, &path, nth);
        let is_open = answer(shared, &mut stream, fault, (nth, first)).await;
        shared.log.lock().unwrap().in_flight -= 1;
        if !is_open? {
            return Ok(());
        }
    }
}

/// The head of the next request, its body skipped; nothing when the peer is gone.
async fn next_request(
    stream: &mut impl Peer,
    buffer: &mut Vec<u8>,
    early: Option<usize>,
) -> io::Result<Option<String>> {
    loop {
        let end = buffer.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end.map(|end| end + 4) {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let value = line.to_ascii_lowercase();
                value.strip_prefix("content-length:")?.trim().parse().ok()
            });
            let all = end + length.unwrap_or(0).min(early.unwrap_or(usize::MAX));
            if buffer.len() >= all {
                buffer.drain(..all);
                return Ok(Some(head));
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}
