//! One HTTP/2 connection (RFC 9113) without its socket: bytes in, endings out; requests in,
//! bytes out.
//!
//! Bodies are counted and discarded. The window of a stream is larger than any body that is
//! accepted, so only the connection's window is ever refilled. A stream that breaks fails
//! alone; a connection that breaks the protocol takes all its streams with it.

mod stream;

use self::stream::Stream;
use super::{
    control::Limits,
    exchange::{Ended, Exchange},
    frame::{Flags, Frame, Kind, Outbox, Splitter},
    hpack,
    http1::INTERIM_MAX,
};
use crate::run::{BODY_BYTES_MAX, Class, HEAD_BYTES_MAX};

/// What a stream may receive: more than is accepted, so that too large a body is seen as such.
const STREAM_WINDOW: u32 = 17 << 20;
/// What the connection may receive, and after how much of it the window is refilled.
const CONNECTION_WINDOW: u32 = 1 << 30;
const REFILL: u32 = CONNECTION_WINDOW / 4;
/// The window of either kind before anybody changes it, and the largest one.
const WINDOW_DEFAULT: i64 = 65_535;
const WINDOW_MAX: i64 = (1 << 31) - 1;
/// The last stream identifier that a client may use.
const LAST_ID: u32 = (1 << 31) - 1;
/// Answers to settings and pings that may wait for a peer that reads nothing, in bytes.
const OUTBOX_MAX: usize = 1 << 20;
/// Error codes of RFC 9113 section 7.
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;

/// The connection broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// The client's end of a connection.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing about the connection, and none excludes another"
)]
pub(super) struct Http2 {
    ids: Vec<u32>,
    streams: Vec<Stream>,
    next_id: u32,
    streams_max: usize,
    peer_streams_max: usize,
    peer_stream_window: i64,
    peer_frame_max: usize,
    send_window: i64,
    received: u32,
    splitter: Splitter,
    /// When the peer last said anything.
    heard_ns: u64,
    has_settings: bool,
    is_going_away: bool,
    /// Whether any answer was complete.
    is_proven: bool,
    /// Whether the connection broke while something was written.
    is_cut: bool,
    /// What is to be written to the peer.
    pub(super) outbox: Outbox,
}

impl Http2 {
    /// A connection that has said hello and may carry so many requests at once.
    pub(super) fn new(streams_max: usize) -> Self {
        let mut outbox = Outbox::default();
        outbox.hello(STREAM_WINDOW, CONNECTION_WINDOW);
        Self {
            ids: Vec::new(),
            streams: Vec::new(),
            next_id: 1,
            streams_max,
            peer_streams_max: usize::MAX,
            peer_stream_window: WINDOW_DEFAULT,
            peer_frame_max: 16_384,
            send_window: WINDOW_DEFAULT,
            received: 0,
            splitter: Splitter::default(),
            heard_ns: 0,
            has_settings: false,
            is_going_away: false,
            is_proven: false,
            is_cut: false,
            outbox,
        }
    }

    /// How many more requests it takes now.
    pub(super) fn room(&self) -> usize {
        if self.is_spent() {
            return 0;
        }
        let max = self.streams_max.min(self.peer_streams_max);
        max.saturating_sub(self.streams.len())
    }

    /// Requests under way.
    pub(super) fn busy(&self) -> usize {
        self.streams.len()
    }

    /// Requests under way.
    pub(super) fn exchanges(&mut self) -> impl Iterator<Item = &mut Exchange> {
        self.streams.iter_mut().map(|stream| &mut stream.exchange)
    }

    /// Whether any answer was complete.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Whether it takes no more requests: the peer says so, or there are no numbers left.
    pub(super) fn is_spent(&self) -> bool {
        self.is_going_away || self.next_id > LAST_ID
    }

    /// Starts a request: frames it as far as the windows allow.
    pub(super) fn begin(&mut self, exchange: Exchange) {
        let id = self.next_id;
        self.next_id += 2;
        let wire = exchange.wire();
        let ends = wire.head == wire.bytes.len();
        self.outbox
            .headers(id, &wire.bytes[..wire.head], ends, self.peer_frame_max);
        let phase_ns = exchange.sent_ns;
        self.ids.push(id);
        self.streams.push(Stream {
            exchange,
            body_sent: 0,
            send_window: self.peer_stream_window,
            status: 0,
            retry_after: false,
            declared: None,
            body_bytes: 0,
            first_byte_ns: 0,
            interim: 0,
            phase_ns,
            caught: None,
        });
        if !ends {
            self.frame_body(self.streams.len() - 1);
        }
    }

    fn frame_body(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        loop {
            let wire = stream.exchange.wire();
            let left = wire.bytes.len() - wire.head - stream.body_sent;
            let window = self.send_window.min(stream.send_window).max(0);
            let window = usize::try_from(window).unwrap_or(usize::MAX);
            let n = left.min(window).min(self.peer_frame_max);
            if n == 0 {
                return;
            }
            let from = wire.head + stream.body_sent;
            let bytes = &wire.bytes[from..from + n];
            self.outbox.data(self.ids[at], bytes, n == left);
            stream.body_sent += n;
            let n = i64::try_from(n).unwrap_or(i64::MAX);
            self.send_window -= n;
            stream.send_window -= n;
        }
    }

    fn frame_bodies(&mut self) {
        for at in 0..self.streams.len() {
            if !self.streams[at].is_body_framed() {
                self.frame_body(at);
            }
        }
    }

    /// Takes bytes of the peer.
    ///
    /// # Errors
    /// When the peer broke the protocol; the connection must be closed then.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        endings: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        self.heard_ns = now_ns;
        let mut splitter = std::mem::take(&mut self.splitter);
        let result = splitter.feed(bytes, |frame| self.frame(&frame, now_ns, endings));
        self.splitter = splitter;
        if self.outbox.chatter() > OUTBOX_MAX {
            return Err(Broken);
        }
        result
    }

    fn frame(
        &mut self,
        frame: &Frame<'_>,
        now_ns: u64,
        endings: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        if !self.has_settings && frame.kind != Kind::Settings {
            return Err(Broken);
        }
        match frame.kind {
            Kind::Data => self.data(frame, now_ns, endings),
            Kind::Headers => self.headers(frame, now_ns, endings),
            Kind::Reset => self.reset(frame, endings),
            Kind::Settings => self.settings(frame),
            Kind::Ping => self.ping(frame),
            Kind::GoAway => self.go_away(frame, endings),
            Kind::WindowUpdate => self.window_update(frame, endings),
            // Push was forbidden; a continuation was put together by the splitter.
            Kind::PushPromise | Kind::Continuation => Err(Broken),
            Kind::Priority | Kind::Other => Ok(()),
        }
    }

    /// The position of a stream; `None` when it has ended.
    ///
    /// # Errors
    /// When nobody ever opened it.
    fn find(&self, id: u32) -> Result<Option<usize>, Broken> {
        if id == 0 || id.is_multiple_of(2) || id >= self.next_id {
            return Err(Broken);
        }
        Ok(self.ids.iter().position(|it| *it == id))
    }

    fn take(&mut self, at: usize) -> Stream {
        self.ids.swap_remove(at);
        self.streams.swap_remove(at)
    }

    /// Ends a stream from our side: the peer is told to stop.
    fn cancel(&mut self, at: usize, class: Class) -> Ended {
        self.outbox.reset(self.ids[at], CANCEL);
        self.take(at).ended(class)
    }

    fn complete(&mut self, at: usize, endings: &mut Vec<Ended>) {
        // An answer before the request is complete is legal; the rest of it is not sent.
        if !self.streams[at].is_body_framed() {
            self.outbox.reset(self.ids[at], CANCEL);
        }
        let stream = self.take(at);
        self.is_proven = true;
        let card = stream.exchange.card();
        let bodiless = card.asked.head || matches!(stream.status, 204 | 304);
        let declared = stream.declared.filter(|_| !bodiless);
        let class = match declared {
            Some(length) if length > stream.body_bytes => Class::TruncatedBody,
            Some(length) if length < stream.body_bytes => Class::H2Protocol,
            _ => Class::of_status(stream.status, card.expect_status, stream.retry_after),
        };
        endings.push(stream.ended(class));
    }

    fn data(
        &mut self,
        frame: &Frame<'_>,
        now_ns: u64,
        endings: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        let length = u32::try_from(frame.payload.len()).map_err(|_| Broken)?;
        self.received += length;
        if self.received >= REFILL {
            self.outbox.window_update(0, self.received);
            self.received = 0;
        }
        let body = frame.unpadded().ok_or(Broken)?;
        let Some(at) = self.find(frame.stream)? else {
            return Ok(());
        };
        let stream = &mut self.streams[at];
        stream.phase_ns = now_ns;
        stream.body_bytes += body.len() as u64;
        if let Some(caught) = &mut stream.caught {
            caught.body(body);
        }
        if !stream.has_head() {
            endings.push(self.cancel(at, Class::H2Protocol));
        } else if stream.body_bytes > BODY_BYTES_MAX {
            endings.push(self.cancel(at, Class::BodyTooLarge));
        } else if frame.has(Flags::END_STREAM) {
            self.complete(at, endings);
        }
        Ok(())
    }

    fn headers(
        &mut self,
        frame: &Frame<'_>,
        now_ns: u64,
        endings: &mut Vec<Ended>,
    ) -> Result<(), Broken> {
        let at = self.find(frame.stream)?;
        let block = frame.header_block().ok_or(Broken)?;
        let Some(at) = at else { return Ok(()) };
        if block.len() > HEAD_BYTES_MAX {
            endings.push(self.cancel(at, Class::HeadersTooLarge));
            return Ok(());
        }
        let stream = &mut self.streams[at];
        let ends = frame.has(Flags::END_STREAM);
        let class = match (hpack::decode(block), stream.has_head()) {
            (Ok(fields), true) if ends && fields.status.is_none() => None,
            (Ok(fields), false) => match fields.status {
                Some(101) | None => Some(Class::H2Protocol),
                Some(100..200) => {
                    stream.interim += 1;
                    (ends || stream.interim > INTERIM_MAX).then_some(Class::H2Protocol)
                }
                Some(status) => {
                    stream.status = status;
                    stream.retry_after = fields.retry_after;
                    stream.declared = fields.content_length;
                    stream.keep(block, fields.has_cookies);
                    (stream.phase_ns, stream.first_byte_ns) = (now_ns, now_ns);
                    let too_long = fields.content_length.is_some_and(|n| n > BODY_BYTES_MAX);
                    too_long.then_some(Class::BodyTooLarge)
                }
            },
            (Ok(_), true) | (Err(_), _) => Some(Class::H2Protocol),
        };
        match class {
            Some(class) => endings.push(self.cancel(at, class)),
            None if ends => self.complete(at, endings),
            None => {}
        }
        Ok(())
    }

    fn reset(&mut self, frame: &Frame<'_>, endings: &mut Vec<Ended>) -> Result<(), Broken> {
        let code = frame.word(0).filter(|_| frame.payload.len() == 4);
        let code = code.ok_or(Broken)?;
        if let Some(at) = self.find(frame.stream)? {
            let ended = self.take(at).ended(Class::H2StreamReset);
            endings.push(Ended {
                may_retry: code == REFUSED_STREAM,
                ..ended
            });
        }
        Ok(())
    }

    fn settings(&mut self, frame: &Frame<'_>) -> Result<(), Broken> {
        let is_ack = frame.has(Flags::ACK);
        let broken = frame.stream != 0
            || !frame.payload.len().is_multiple_of(6)
            || (is_ack && !frame.payload.is_empty())
            || (is_ack && !self.has_settings);
        if broken {
            return Err(Broken);
        }
        self.has_settings = true;
        if is_ack {
            return Ok(());
        }
        for entry in frame.payload.chunks_exact(6) {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            let value = u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]);
            match id {
                3 => self.peer_streams_max = usize::try_from(value).unwrap_or(usize::MAX),
                4 => self.resize(value)?,
                5 if (16_384..1 << 24).contains(&value) => {
                    self.peer_frame_max = usize::try_from(value).unwrap_or(16_384);
                }
                5 => return Err(Broken),
                _ => {}
            }
        }
        self.outbox.settings_ack();
        self.frame_bodies();
        Ok(())
    }

    /// The peer's window for new streams changes, and that of open ones by the difference.
    fn resize(&mut self, value: u32) -> Result<(), Broken> {
        let value = i64::from(value);
        let change = value - self.peer_stream_window;
        self.peer_stream_window = value;
        for stream in &mut self.streams {
            stream.send_window += change;
        }
        let largest = self.streams.iter().map(|it| it.send_window).max();
        if largest.unwrap_or(0).max(value) > WINDOW_MAX {
            return Err(Broken);
        }
        Ok(())
    }

    fn ping(&mut self, frame: &Frame<'_>) -> Result<(), Broken> {
        if frame.stream != 0 || frame.payload.len() != 8 {
            return Err(Broken);
        }
        if !frame.has(Flags::ACK) {
            self.outbox.pong(frame.payload);
        }
        Ok(())
    }

    fn go_away(&mut self, frame: &Frame<'_>, endings: &mut Vec<Ended>) -> Result<(), Broken> {
        let last = frame
            .word(0)
            .filter(|_| frame.stream == 0 && frame.payload.len() >= 8);
        let last = last.ok_or(Broken)? & LAST_ID;
        self.is_going_away = true;
        // What is above was not looked at and will not be.
        for at in (0..self.ids.len()).rev() {
            if self.ids[at] > last {
                let ended = self.take(at).ended(Class::H2Goaway);
                endings.push(Ended {
                    may_retry: true,
                    ..ended
                });
            }
        }
        Ok(())
    }

    fn window_update(&mut self, frame: &Frame<'_>, endings: &mut Vec<Ended>) -> Result<(), Broken> {
        let increment = frame.word(0).filter(|_| frame.payload.len() == 4);
        let increment = i64::from(increment.ok_or(Broken)? & LAST_ID);
        if frame.stream == 0 {
            self.send_window += increment;
            if increment == 0 || self.send_window > WINDOW_MAX {
                return Err(Broken);
            }
            self.frame_bodies();
            return Ok(());
        }
        let Some(at) = self.find(frame.stream)? else {
            return Ok(());
        };
        let stream = &mut self.streams[at];
        stream.send_window += increment;
        if increment == 0 || stream.send_window > WINDOW_MAX {
            endings.push(self.cancel(at, Class::H2Protocol));
        } else if !stream.is_body_framed() {
            self.frame_body(at);
        }
        Ok(())
    }

    /// The connection has ended, or broke while something was written.
    pub(super) fn ended(&mut self, is_broken: bool, endings: &mut Vec<Ended>) {
        self.is_cut = is_broken;
        self.lost(None, endings);
    }

    /// The connection has ended; everything under way ends with it.
    pub(super) fn lost(&mut self, cause: Option<Class>, endings: &mut Vec<Ended>) {
        self.ids.clear();
        for stream in std::mem::take(&mut self.streams) {
            let silent = stream.is_silent();
            let class = match cause {
                Some(class) => class,
                None if self.is_going_away => Class::H2Goaway,
                None if !silent => Class::TruncatedBody,
                None if self.is_proven => Class::ClosedReused,
                None if self.is_cut => Class::WriteReset,
                None => Class::ClosedBeforeResponse,
            };
            let ended = stream.ended(class);
            endings.push(Ended {
                may_retry: silent && class == Class::ClosedReused,
                ..ended
            });
        }
    }

    /// Ends what is overdue, and only that.
    pub(super) fn sweep(&mut self, now_ns: u64, limits: &Limits, endings: &mut Vec<Ended>) {
        for at in (0..self.streams.len()).rev() {
            let stream = &self.streams[at];
            let waited_ns = now_ns.saturating_sub(stream.phase_ns);
            let class = if now_ns.saturating_sub(stream.exchange.sent_ns) >= limits.total_ns {
                Class::TotalTimeout
            } else if stream.has_head() && waited_ns >= limits.idle_ns {
                Class::BodyIdleTimeout
            } else if !stream.has_head() && waited_ns >= limits.header_ns {
                Class::HeaderTimeout
            } else {
                continue;
            };
            // Nothing at all since this request: whoever was there may be gone without a word, and
            // the others are better off on a new connection.
            self.is_going_away |= self.heard_ns < self.streams[at].exchange.sent_ns;
            endings.push(self.cancel(at, class));
        }
    }
}

#[cfg(test)]
mod tests;
