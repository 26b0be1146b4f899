//! The receiving end: a keep-alive HTTP/1.1 server on one thread that answers every request at
//! once and keeps the instant at which the kernel took it in.
//!
//! The instant is `SO_TIMESTAMPNS`: on loopback the kernel stamps a segment inside the send call
//! of the generator, so a server that wakes up late, or answers a thousand others first, changes
//! nothing. Where the stamp is missing the clock is read after the wake-up, and that is counted.

use std::{
    io::{self, IoSliceMut, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd,
};

use nix::{
    errno::Errno,
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        socket::{
            Backlog, ControlMessageOwned, MsgFlags, listen, recvmsg, setsockopt,
            sockopt::ReceiveTimestampns,
        },
        time::TimeSpec,
    },
};
use proofload::{
    clock::{Clock, wall_ns},
    histogram::Histogram,
    units::SECOND_NS,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
const ANSWER_TO_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
const REFUSAL: &[u8] =
    b"HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const HEAD_MAX: usize = 64 << 10;
/// More arrivals than this end the recording: 320 MB of instants.
const ARRIVALS_MAX: usize = 40_000_000;
/// Listeners count down from here.
const LISTENER: u64 = u64::MAX;
/// How long a wait lasts at most before the ends are looked at.
const WAIT_MS: u8 = 50;

/// When the recording ends by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    /// After so long altogether.
    pub(crate) total_ns: u64,
    /// After so long without a request, once there was one.
    pub(crate) idle_ns: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    /// The instant of each request in nanoseconds of wall time, sorted.
    pub(crate) arrivals: Vec<u64>,
    /// Those of the second listener, likewise.
    pub(crate) twins: Vec<u64>,
    /// Connections that were open at the same time, at the most.
    pub(crate) connections: usize,
    /// Connections that were accepted.
    pub(crate) accepted: u64,
    /// Requests that came in the same read as the one before.
    pub(crate) pipelined: u64,
    /// Requests without a stamp of the kernel.
    pub(crate) unstamped: u64,
    /// Connections given up because they sent what is no request, or did not read.
    pub(crate) refused: u64,
    /// From the stamp until this server looked: what stamps in user space would have added.
    pub(crate) wakeup: Histogram,
    /// How far the wall clock was set while recording.
    pub(crate) wall_step_ns: i64,
    /// Who asked for the report, and waits for it.
    pub(crate) asker: Option<TcpStream>,
}

struct Connection {
    stream: TcpStream,
    /// Whether it came to the second listener.
    is_twin: bool,
    /// The beginning of a request that is not complete.
    pending: Vec<u8>,
    /// When that beginning came.
    since_ns: u64,
    /// Bytes of a body still to come.
    body_left: u64,
}

/// What one complete head asks for.
struct Head {
    /// Bytes of the head itself.
    length: usize,
    /// Bytes of the body behind it.
    body: u64,
    reply: Reply,
    /// Whether the connection ends with the answer.
    closes: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Reply {
    Page,
    /// To HEAD: no body.
    PageHead,
    /// A chunked body is not read here.
    Refusal,
    Report,
}

/// What becomes of a connection.
#[derive(PartialEq)]
enum Next {
    Keep,
    Close,
    Refuse,
    Report,
}

/// Opens the socket; the stamps are asked for here, so that accepted connections inherit them.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    // std asks for 128: a generator that opens 10,000 connections at once would wait for SYNs.
    listen(&listener, Backlog::MAXCONN)?;
    listener.set_nonblocking(true)?;
    setsockopt(&listener, ReceiveTimestampns, &true)?;
    Ok(listener)
}

/// Serves until an end is reached or a GET of `/__report` comes.
pub(crate) fn record(listeners: &[TcpListener], until: Until) -> io::Result<Recording> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (listener, at) in listeners.iter().zip(0..) {
        epoll.add(
            listener,
            EpollEvent::new(EpollFlags::EPOLLIN, LISTENER - at),
        )?;
    }
    let clock = Clock::start();
    let wall_offset_ns = clock.wall_offset_ns();
    let mut server = Server {
        epoll,
        connections: Vec::new(),
        free: Vec::new(),
        recording: Recording::default(),
        scratch: vec![0; HEAD_MAX],
        control: nix::cmsg_space!(TimeSpec),
    };
    let mut events = vec![EpollEvent::empty(); 1024];
    let mut last_ns = 0;
    loop {
        let ready = match server.epoll.wait(&mut events, WAIT_MS) {
            Err(Errno::EINTR) => 0,
            ready => ready?,
        };
        let (now_ns, seen) = (clock.now_ns(), server.recording.arrivals.len());
        for event in &events[..ready] {
            let at = usize::try_from(LISTENER - event.data()).unwrap_or(usize::MAX);
            if let Some(listener) = listeners.get(at) {
                server.accept_all(listener, at > 0)?;
            } else if server.serve(usize::try_from(event.data()).unwrap_or(usize::MAX)) {
                return Ok(server.finish(clock.wall_offset_ns() - wall_offset_ns));
            }
        }
        let count = server.recording.arrivals.len();
        if count > seen {
            last_ns = now_ns;
        }
        let is_idle = count > 0 && now_ns.saturating_sub(last_ns) > until.idle_ns;
        if is_idle || now_ns > until.total_ns || count >= ARRIVALS_MAX {
            return Ok(server.finish(clock.wall_offset_ns() - wall_offset_ns));
        }
    }
}

struct Server {
    epoll: Epoll,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    recording: Recording,
    scratch: Vec<u8>,
    control: Vec<u8>,
}

impl Server {
    fn accept_all(&mut self, listener: &TcpListener, is_twin: bool) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // A connection that was reset before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.connections.len());
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            self.epoll.add(&stream, event)?;
            let connection = Some(Connection {
                stream,
                is_twin,
                pending: Vec::new(),
                since_ns: 0,
                body_left: 0,
            });
            if index == self.connections.len() {
                self.connections.push(connection);
            } else {
                self.connections[index] = connection;
            }
            self.recording.accepted += 1;
            let open = self.connections.len() - self.free.len();
            self.recording.connections = self.recording.connections.max(open);
        }
    }

    /// One read and what it completes; true when the report was asked for.
    fn serve(&mut self, index: usize) -> bool {
        // Closed by an earlier event of the same wait.
        let Some(Some(connection)) = self.connections.get_mut(index) else {
            return false;
        };
        let next = match receive(connection, &mut self.scratch, &mut self.control) {
            Ok((0, _)) => Next::Close,
            Ok((read, stamp_ns)) => {
                let now_ns = wall_ns();
                if let Some(stamp_ns) = stamp_ns {
                    let wakeup_ns = now_ns.saturating_sub(stamp_ns);
                    self.recording.wakeup.record(wakeup_ns);
                }
                let read = &self.scratch[..read];
                take(connection, read, stamp_ns, now_ns, &mut self.recording)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            Err(_) => Next::Close,
        };
        if next == Next::Keep {
            return false;
        }
        let closed = self.connections[index].take();
        self.free.push(index);
        self.recording.refused += u64::from(next == Next::Refuse);
        if next == Next::Report {
            self.recording.asker = closed.map(|connection| connection.stream);
        }
        next == Next::Report
    }

    fn finish(mut self, wall_step_ns: i64) -> Recording {
        self.recording.arrivals.sort_unstable();
        self.recording.twins.sort_unstable();
        self.recording.wall_step_ns = wall_step_ns;
        self.recording
    }
}

/// Reads once, with the stamp of the last segment that was read.
fn receive(
    connection: &Connection,
    scratch: &mut [u8],
    control: &mut [u8],
) -> nix::Result<(usize, Option<u64>)> {
    let fd = connection.stream.as_raw_fd();
    let mut slices = [IoSliceMut::new(scratch)];
    let message = recvmsg::<()>(fd, &mut slices, Some(control), MsgFlags::empty())?;
    let stamp = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(time),
        _ => None,
    });
    let stamp_ns = stamp.map(|time| {
        let part = |part: i64| u64::try_from(part).unwrap_or(0);
        part(time.tv_sec()) * SECOND_NS + part(time.tv_nsec())
    });
    Ok((message.bytes, stamp_ns))
}

/// Takes the requests out of what was read and answers each. A request that came in pieces
/// arrived with its first one.
fn take(
    connection: &mut Connection,
    read: &[u8],
    stamp_ns: Option<u64>,
    now_ns: u64,
    recording: &mut Recording,
) -> Next {
    let at_ns = stamp_ns.unwrap_or(now_ns);
    let joined;
    let mut rest = read;
    let mut arrived_ns = at_ns;
    if !connection.pending.is_empty() {
        connection.pending.extend_from_slice(read);
        joined = std::mem::take(&mut connection.pending);
        rest = &joined;
        arrived_ns = connection.since_ns;
    }
    let mut taken = 0;
    loop {
        let body = usize::try_from(connection.body_left).unwrap_or(usize::MAX);
        let body = body.min(rest.len());
        connection.body_left -= body as u64;
        rest = &rest[body..];
        if rest.is_empty() {
            return Next::Keep;
        }
        let head = match parse(rest) {
            Ok(Some(head)) => head,
            Ok(None) if rest.len() < HEAD_MAX => {
                connection.pending = rest.to_vec();
                connection.since_ns = arrived_ns;
                return Next::Keep;
            }
            _ => return Next::Refuse,
        };
        if head.reply == Reply::Report {
            return Next::Report;
        }
        let arrivals = if connection.is_twin {
            &mut recording.twins
        } else {
            &mut recording.arrivals
        };
        arrivals.push(arrived_ns);
        recording.pipelined += u64::from(taken > 0);
        recording.unstamped += u64::from(stamp_ns.is_none());
        taken += 1;
        arrived_ns = at_ns;
        rest = &rest[head.length..];
        connection.body_left = head.body;
        if let Some(end) = answer(&mut connection.stream, &head) {
            return end;
        }
    }
}

/// Answers; what it returns ends the connection.
fn answer(stream: &mut TcpStream, head: &Head) -> Option<Next> {
    let bytes = match head.reply {
        Reply::Refusal => REFUSAL,
        Reply::PageHead => ANSWER_TO_HEAD,
        Reply::Page | Reply::Report => ANSWER,
    };
    // The buffer of a socket holds thousands of these: who fills it does not read.
    match stream.write(bytes) {
        Ok(written) if written == bytes.len() && head.reply != Reply::Refusal => {
            head.closes.then_some(Next::Close)
        }
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Some(Next::Close),
        _ => Some(Next::Refuse),
    }
}

/// The first head in these bytes, if it is complete.
fn parse(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = request.parse(bytes)? else {
        return Ok(None);
    };
    let is_old = request.version == Some(0);
    let mut head = Head {
        length,
        body: 0,
        reply: match (request.method, request.path) {
            (_, Some("/__report")) => Reply::Report,
            (Some("HEAD"), _) => Reply::PageHead,
            _ => Reply::Page,
        },
        closes: is_old,
    };
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = str::from_utf8(field.value).unwrap_or_default();
            head.body = text
                .trim()
                .parse()
                .map_err(|_| httparse::Error::HeaderValue)?;
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.closes = if is_old {
                !field.value.eq_ignore_ascii_case(b"keep-alive")
            } else {
                field.value.eq_ignore_ascii_case(b"close")
            };
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            head.reply = Reply::Refusal;
        }
    }
    Ok(Some(head))
}
