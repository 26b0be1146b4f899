//! A raw-socket HTTP server that does what it is told to do wrong, and keeps a record of every
//! request it saw. One thread serves all its connections, so the record is in order of arrival.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    thread::{self, JoinHandle},
};

use proofload::clock::{Clock, Timer};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// One millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;

/// What happens to requests of one path.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A plain answer with this status.
    Status(u16),
    /// A plain answer after so many nanoseconds.
    Delay(u64),
    /// This share of answers has the second status, chosen by a seeded coin; the rest is 200.
    Mix(f64, u16),
    /// These bytes and then this.
    Bytes(Vec<u8>, Then),
    /// These bytes one by one with so many nanoseconds between them.
    Drip(Vec<u8>, u64),
    /// One answer for each connection; the next request on it is read and the door closed.
    Once,
    /// A body that has no end.
    Endless,
    /// Nothing at all.
    Silence,
}

/// What happens after some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The connection stays open for more requests.
    Keep,
    /// The connection stays open, and nothing more is said.
    Hang,
    /// The connection is closed in order.
    Close,
    /// The connection is reset.
    Reset,
}

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
}

/// How a server is set up.
#[derive(Default)]
pub(crate) struct Setup {
    routes: Vec<(String, Fault)>,
    reset_at_accept: bool,
    idle_ns: Option<u64>,
    stall: Option<(u64, u64)>,
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

    /// Speaks TLS: with the first certificate until a request was answered, then the second.
    pub(crate) fn tls(mut self, first: TlsAcceptor, later: TlsAcceptor) -> Self {
        self.tls = Some([first, later]);
        self
    }

    /// Starts serving.
    pub(crate) fn start(self) -> Faultd {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
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
    let shared = Rc::new(Shared { setup, log, clock });
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
    let started = {
        let mut log = shared.log.lock().unwrap();
        log.connections += 1;
        !log.requests.is_empty()
    };
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
}

impl Peer for TcpStream {
    fn reset(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Peer for TlsStream<TcpStream> {
    fn reset(&self) -> io::Result<()> {
        self.get_ref().0.set_zero_linger()
    }
}

async fn converse(shared: &Shared, mut stream: impl Peer) -> io::Result<()> {
    let mut buffer = Vec::new();
    let mut answered = 0;
    loop {
        let next = next_request(&mut stream, &mut buffer);
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
        let routes = &shared.setup.routes;
        let route = routes.iter().find(|(prefix, _)| path.starts_with(prefix));
        let fault = route.map_or(Fault::Status(404), |(_, fault)| fault.clone());
        let (nth, first_ns) = {
            let mut log = shared.log.lock().unwrap();
            log.requests.push(Seen {
                at_ns: shared.clock.now_ns(),
                path,
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
        if !answer(shared, &mut stream, fault, (nth, first)).await? {
            return Ok(());
        }
    }
}

/// The head of the next request, its body skipped; nothing when the peer is gone.
async fn next_request(stream: &mut impl Peer, buffer: &mut Vec<u8>) -> io::Result<Option<String>> {
    loop {
        let end = buffer.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end.map(|end| end + 4) {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let value = line.to_ascii_lowercase();
                value.strip_prefix("content-length:")?.trim().parse().ok()
            });
            let all = end + length.unwrap_or(0);
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

/// Does what a route says; `false` when the connection is to be closed.
async fn answer(
    shared: &Shared,
    stream: &mut impl Peer,
    fault: Fault,
    (nth, first): (u64, bool),
) -> io::Result<bool> {
    match fault {
        Fault::Status(status) => stream.write_all(&plain(status)).await?,
        Fault::Delay(ns) => {
            wait_until(shared.clock, shared.clock.now_ns() + ns).await?;
            stream.write_all(&plain(200)).await?;
        }
        Fault::Mix(share, status) => {
            let hit = ChaCha8Rng::seed_from_u64(nth).random_bool(share);
            let status = if hit { status } else { 200 };
            stream.write_all(&plain(status)).await?;
        }
        Fault::Bytes(bytes, then) => {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
            match then {
                Then::Keep => {}
                Then::Hang => hang(stream).await?,
                Then::Close => return Ok(false),
                Then::Reset => {
                    stream.reset()?;
                    return Ok(false);
                }
            }
        }
        Fault::Drip(bytes, gap_ns) => {
            for byte in bytes {
                stream.write_all(&[byte]).await?;
                wait_until(shared.clock, shared.clock.now_ns() + gap_ns).await?;
            }
        }
        Fault::Once if first => stream.write_all(&plain(200)).await?,
        Fault::Once => return Ok(false),
        Fault::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head).await?;
            let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
        Fault::Silence => hang(stream).await?,
    }
    stream.flush().await?;
    Ok(true)
}

/// Reads and says nothing until the peer has gone.
async fn hang(stream: &mut impl Peer) -> io::Result<()> {
    let mut sink = [0; 1024];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

async fn wait_until(clock: Clock, at_ns: u64) -> io::Result<()> {
    Timer::new(clock)?.until(at_ns).await
}

/// An answer with nothing wrong about it.
pub(crate) fn plain(status: u16) -> Vec<u8> {
    let body = if matches!(status, 204 | 304) {
        ""
    } else {
        "body\n"
    };
    let length = match status {
        204 | 304 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    format!("HTTP/1.1 {status} Status\r\n{length}\r\n{body}").into_bytes()
}
