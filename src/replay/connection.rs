//! One connection: a stream and what is spoken on it. HTTP/1.1 carries one request at a time and
//! never pipelines; HTTP/2 carries as many as both ends allow.
//!
//! It is told what its socket can do and says which requests have ended; whom to connect to,
//! what to send next and what to count is decided elsewhere.

use std::io;

use mio::{Registry, Token, event::Event};

use super::{
    control::Limits,
    exchange::{Ended, Exchange},
    http1::Http1,
    http2::{Broken, Http2},
    order::Order,
    stream::{Buffers, Found, Route, Stream, local_class, tls_class},
};
use crate::{clock::Clock, run::Class, units::SECOND_NS};

/// For so long nothing needs to be asked of an idle connection that was silent before.
const UNKNOWN_MAX_NS: u64 = 1_000_000;
/// Reads in a row before others get their turn; each takes up to 64 kB.
const READS_MAX: u32 = 4;

/// What connections of one thread share.
pub(super) struct Context {
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) buffers: Buffers,
    /// The last instant that was read from the clock.
    pub(super) now_ns: u64,
    /// Requests that have ended and are not counted yet.
    pub(super) endings: Vec<Ended>,
    /// Connections that were opened and are not counted yet.
    pub(super) opened: Vec<Opened>,
    /// Connections that brought bytes nobody had asked for.
    pub(super) strays: u64,
    /// Who waits for a connection.
    pub(super) order: Order,
    /// Until when everything that sockets had to say is known and was dealt with.
    pub(super) known_ns: u64,
}

impl Context {
    pub(super) fn tick(&mut self) -> u64 {
        self.now_ns = self.clock.now_ns();
        self.now_ns
    }
}

/// How long it took to open a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    /// The slot of the request that asked for it.
    pub(super) slot: u32,
    /// Until the connection stood, in nanoseconds.
    pub(super) connect_ns: u64,
    /// Until TLS had agreed, from there on.
    pub(super) tls_ns: Option<u64>,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Handshaking,
    Open,
    Closed,
}

/// Why a stream is of no use any more.
pub(super) enum Fault {
    Io(io::Error),
    Class(Class),
    /// The last answer was the end, or the peer spoke out of turn.
    Done,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Broken> for Fault {
    fn from(_: Broken) -> Self {
        Self::Class(Class::H2Protocol)
    }
}

enum Codec {
    Http1(Http1),
    Http2(Box<Http2>),
}

/// One connection of one thread to one side.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing about the connection, and none excludes another"
)]
pub(super) struct Connection {
    pub(super) side: usize,
    /// Tells it apart from an earlier one in the same place.
    pub(super) serial: u64,
    /// Whether it is in the list of those that take requests.
    pub(super) is_listed: bool,
    /// Whether it is counted among those that are being opened.
    pub(super) counts_as_opening: bool,
    stream: Stream,
    codec: Codec,
    phase: Phase,
    opened: Opened,
    /// When the present phase began.
    phase_ns: u64,
    /// A write failed; what the peer had said before that is still worth reading.
    is_broken: bool,
    /// When the server will have closed it if it stays idle.
    idle_until_ns: u64,
    /// There is more to read than fitted into a turn.
    is_unread: bool,
    /// Whether it was said that it takes no more requests.
    is_retired: bool,
}

impl Connection {
    /// Begins to connect; the request goes out as soon as it can.
    ///
    /// # Errors
    /// The request and the class of a failure that shows at once.
    pub(super) fn open(
        route: &Route,
        (registry, token): (&Registry, Token),
        serial: u64,
        exchange: Exchange,
        cx: &Context,
    ) -> Result<Self, Ended> {
        let stream = match route.connect(registry, token) {
            Ok(stream) => stream,
            Err(class) => return Err(exchange.failed(class)),
        };
        let (side, slot, phase_ns) = (exchange.side, exchange.slot, cx.now_ns);
        let codec = if route.is_http2 {
            let mut http2 = Box::new(Http2::new(cx.limits.streams_max));
            http2.begin(exchange);
            Codec::Http2(http2)
        } else {
            Codec::Http1(Http1::new(exchange))
        };
        let opened = Opened {
            slot,
            connect_ns: 0,
            tls_ns: None,
        };
        Ok(Self {
            side,
            serial,
            is_listed: false,
            counts_as_opening: true,
            stream,
            codec,
            phase: Phase::Connecting,
            opened,
            phase_ns,
            is_broken: false,
            idle_until_ns: u64::MAX,
            is_unread: false,
            is_retired: false,
        })
    }

    /// How many more requests it takes now.
    pub(super) fn room(&self) -> usize {
        match &self.codec {
            _ if self.phase == Phase::Closed => 0,
            Codec::Http1(http1) => usize::from(http1.exchange.is_none()),
            Codec::Http2(http2) => http2.room(),
        }
    }

    /// Requests under way.
    fn busy(&self) -> usize {
        match &self.codec {
            Codec::Http1(http1) => usize::from(http1.exchange.is_some()),
            Codec::Http2(http2) => http2.busy(),
        }
    }

    /// Whether it is over with it.
    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether it is still being opened.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Connecting | Phase::Handshaking)
    }

    /// Whether it takes no more requests from now on; true only once.
    pub(super) fn retires(&mut self) -> bool {
        let is_over = match &self.codec {
            _ if self.phase == Phase::Closed => true,
            Codec::Http1(_) => false,
            Codec::Http2(http2) => http2.is_spent(),
        };
        is_over && !std::mem::replace(&mut self.is_retired, true)
    }

    /// Whether there is more to read than fitted into a turn.
    pub(super) fn is_unread(&self) -> bool {
        self.is_unread
    }

    /// Looks whether something came while it was idle, before it is used again: what did would be
    /// taken for the answer. Only HTTP/1.1 needs it, and only after a stall: else the kernel has
    /// just said that there is nothing.
    pub(super) fn look(&mut self, cx: &mut Context) {
        let is_http1 = matches!(self.codec, Codec::Http1(_));
        let unknown_ns = cx.now_ns.saturating_sub(cx.known_ns);
        if is_http1 && self.phase == Phase::Open && unknown_ns > UNKNOWN_MAX_NS {
            self.read(cx, false);
        }
    }

    /// Goes on reading where the last turn ended.
    pub(super) fn read_on(&mut self, cx: &mut Context) {
        if std::mem::take(&mut self.is_unread) {
            self.read(cx, true);
        }
    }

    /// Takes a request; [`Connection::flush`] must follow.
    pub(super) fn send(&mut self, exchange: Exchange, now_ns: u64) {
        match &mut self.codec {
            Codec::Http1(http1) => http1.begin(exchange, now_ns),
            Codec::Http2(http2) => http2.begin(exchange),
        }
    }

    /// Writes what is to be written, as far as the socket takes it.
    pub(super) fn flush(&mut self, cx: &mut Context) {
        if self.phase == Phase::Open && !self.is_broken && self.write().is_err() {
            self.is_broken = true;
            // A server that has refused a long request may have said so before it closed.
            self.read(cx, true);
        }
    }

    fn write(&mut self) -> Result<(), io::Error> {
        loop {
            let rest = match &self.codec {
                Codec::Http1(http1) => http1.rest(),
                Codec::Http2(http2) => http2.outbox.rest(),
            };
            if rest.is_empty() {
                return self.stream.flush();
            }
            match self.stream.write(rest) {
                Ok(n) => match &mut self.codec {
                    Codec::Http1(http1) => http1.written += n,
                    Codec::Http2(http2) => http2.outbox.wrote(n),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The socket can do something.
    pub(super) fn ready(&mut self, event: &Event, cx: &mut Context) {
        if matches!(self.phase, Phase::Connecting) && !self.connected(cx) {
            return;
        }
        if self.phase == Phase::Handshaking {
            // A handshake is a few small flights: it is driven by either edge.
            if let Err(error) = self.stream.flush() {
                return self.lost(Some(tls_class(&error)), cx);
            }
        } else if event.is_writable() {
            self.flush(cx);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(cx, event.is_read_closed() || event.is_error());
        }
    }

    /// Looks whether the connection stands now.
    fn connected(&mut self, cx: &mut Context) -> bool {
        match self.stream.check_connected() {
            Ok(true) => {}
            Ok(false) => return false,
            Err(class) => {
                self.lost(Some(class), cx);
                return false;
            }
        }
        let now_ns = cx.tick();
        self.opened.connect_ns = now_ns.saturating_sub(self.phase_ns);
        self.phase_ns = now_ns;
        if self.stream.is_tls() {
            self.phase = Phase::Handshaking;
        } else {
            self.begin(cx);
        }
        true
    }

    /// The connection can be spoken on.
    fn begin(&mut self, cx: &mut Context) {
        self.phase = Phase::Open;
        cx.opened.push(self.opened);
        match &mut self.codec {
            Codec::Http1(http1) => {
                http1.phase_ns = cx.now_ns;
                http1.exchange.iter_mut().for_each(|it| cx.order.go(it));
            }
            Codec::Http2(http2) => http2.exchanges().for_each(|it| cx.order.go(it)),
        }
        self.flush(cx);
    }

    fn handshaken(&mut self, cx: &mut Context) {
        let now_ns = cx.tick();
        self.opened.tls_ns = Some(now_ns.saturating_sub(self.phase_ns));
        let is_http2 = matches!(self.codec, Codec::Http2(_));
        if is_http2 && self.stream.protocol() != Some(b"h2") {
            // Answers in another protocol than was asked for could only be garbage.
            return self.lost(Some(Class::TlsHandshake), cx);
        }
        self.begin(cx);
    }

    /// Reads until the socket is empty; when the peer is known to have closed, to the end. A
    /// peer that sends as fast as we read gets a turn and not more: others wait for theirs.
    fn read(&mut self, cx: &mut Context, to_the_end: bool) {
        let mut turns = READS_MAX;
        while self.phase != Phase::Closed {
            if turns == 0 {
                self.is_unread = true;
                break;
            }
            turns -= 1;
            let (codec, stream) = (&mut self.codec, &mut self.stream);
            let mut idle_s = None;
            let mut buffers = std::mem::take(&mut cx.buffers);
            let mut is_first = true;
            let found = stream.read(&mut buffers, |bytes| {
                if std::mem::take(&mut is_first) {
                    cx.tick();
                }
                match codec {
                    Codec::Http1(http1) => http1.feed(bytes, cx, &mut idle_s),
                    Codec::Http2(http2) => Ok(http2.feed(bytes, cx.now_ns, &mut cx.endings)?),
                }
            });
            cx.buffers = buffers;
            if let Some(idle_s) = idle_s {
                self.idle_until_ns = idle_deadline(cx.now_ns, idle_s);
            }
            if self.phase == Phase::Handshaking && !self.stream.is_handshaking() {
                self.handshaken(cx);
            }
            match found {
                Ok(Found::Some) => {}
                Ok(Found::Last) if to_the_end => {}
                Ok(Found::Last | Found::Nothing) => break,
                Ok(Found::End { in_order }) => return self.ended(in_order, cx),
                Err(fault) => return self.failed(&fault, cx),
            }
        }
        match &mut self.codec {
            _ if self.phase == Phase::Handshaking => {
                if let Err(error) = self.stream.flush() {
                    self.lost(Some(tls_class(&error)), cx);
                }
            }
            _ if self.phase != Phase::Open => {}
            Codec::Http2(http2) if http2.is_spent() && http2.busy() == 0 => {
                self.phase = Phase::Closed;
            }
            // What the peer had said before the connection broke is read first.
            _ if self.is_broken && self.is_unread => {}
            _ if self.is_broken => self.ended(false, cx),
            // Answers to settings and pings, and the rest of request bodies.
            Codec::Http2(http2) if http2.outbox.waiting() > 0 => self.flush(cx),
            _ if self.stream.has_unsent() => self.flush(cx),
            _ => {}
        }
    }

    fn failed(&mut self, fault: &Fault, cx: &mut Context) {
        match fault {
            Fault::Done => self.lost(None, cx),
            Fault::Class(class) => self.lost(Some(*class), cx),
            Fault::Io(error) if self.phase == Phase::Handshaking => {
                self.lost(Some(tls_class(error)), cx);
            }
            Fault::Io(error) => match (local_class(error), self.is_refused_by_tls(error)) {
                (Some(class), _) => self.lost(Some(class), cx),
                (None, true) => self.lost(Some(Class::TlsHandshake), cx),
                (None, false) => self.ended(false, cx),
            },
        }
    }

    /// With TLS 1.3 a server that does not like our certificate says so after the handshake.
    fn is_refused_by_tls(&self, error: &io::Error) -> bool {
        let inner = error
            .get_ref()
            .and_then(|it| it.downcast_ref::<rustls::Error>());
        let is_new = match &self.codec {
            Codec::Http1(http1) => !http1.is_proven,
            Codec::Http2(http2) => !http2.is_proven(),
        };
        is_new && matches!(inner, Some(rustls::Error::AlertReceived(_)))
    }

    /// The peer has closed in order, or the connection broke.
    fn ended(&mut self, in_order: bool, cx: &mut Context) {
        let was_handshaking = self.phase == Phase::Handshaking;
        self.phase = Phase::Closed;
        if was_handshaking {
            return self.lost(Some(Class::TlsHandshake), cx);
        }
        match &mut self.codec {
            Codec::Http1(http1) => http1.ended(in_order, self.is_broken, cx),
            Codec::Http2(http2) => http2.ended(self.is_broken, &mut cx.endings),
        }
    }

    /// Ends the connection; what is under way fails with this class.
    pub(super) fn lost(&mut self, class: Option<Class>, cx: &mut Context) {
        self.phase = Phase::Closed;
        cx.tick();
        match (&mut self.codec, class) {
            (Codec::Http1(http1), Some(class)) => http1.fail(class, cx),
            // Nothing is under way then; if something were, it must not be forgotten.
            (Codec::Http1(http1), None) => http1.fail(Class::ClosedReused, cx),
            (Codec::Http2(http2), class) => http2.lost(class, &mut cx.endings),
        }
    }

    /// Ends what is overdue, and the connection where nothing else would do.
    pub(super) fn sweep(&mut self, cx: &mut Context) {
        let now_ns = cx.now_ns;
        let waited_ns = now_ns.saturating_sub(self.phase_ns);
        if self.is_opening() {
            // A handshake has what the connect has left of the time.
            let waited_ns = waited_ns + self.opened.connect_ns;
            if waited_ns >= cx.limits.connect_ns {
                self.lost(Some(Class::ConnectTimeout), cx);
            } else if waited_ns >= cx.limits.total_ns {
                self.lost(Some(Class::TotalTimeout), cx);
            }
            return;
        }
        match &mut self.codec {
            Codec::Http1(http1) => match http1.overdue(now_ns, &cx.limits) {
                Some(class) => self.lost(Some(class), cx),
                None if http1.exchange.is_none() && now_ns >= self.idle_until_ns => {
                    self.phase = Phase::Closed;
                }
                None => {}
            },
            Codec::Http2(http2) => {
                http2.sweep(now_ns, &cx.limits, &mut cx.endings);
                let is_over = http2.is_spent() && http2.busy() == 0;
                self.flush(cx);
                if is_over {
                    self.phase = Phase::Closed;
                }
            }
        }
    }

    /// Gives up what is under way.
    pub(super) fn abort(&mut self, cx: &mut Context) {
        if self.busy() > 0 {
            self.lost(Some(Class::Aborted), cx);
        }
    }

    /// Whether the server is about to close it, so that a request would run into that.
    pub(super) fn is_stale(&self, now_ns: u64) -> bool {
        now_ns >= self.idle_until_ns
    }
}

/// A second before the server said that it closes an idle connection, or half the time.
fn idle_deadline(now_ns: u64, idle_s: u32) -> u64 {
    let said_ns = u64::from(idle_s) * SECOND_NS;
    now_ns + said_ns.saturating_sub(SECOND_NS).max(said_ns / 2)
}
