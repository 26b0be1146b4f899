//! HTTP/2 frames (RFC 9113 section 4 and 6): cut from a stream of bytes, and written to one.

/// The largest payload that we accept: the default, which no peer may exceed unasked.
const PAYLOAD_MAX: usize = 16_384;
/// The largest header block that is put together, whatever it is in the end.
const BLOCK_MAX: usize = 1 << 20;
/// So many frames may carry one header block.
const CONTINUATIONS_MAX: u32 = 200;
const HEAD: usize = 9;
/// What was written is thrown away from so many bytes on.
const COMPACT: usize = 64 << 10;

/// What a frame is for, by the names of RFC 9113.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Other,
}

impl Kind {
    const ALL: [Self; 10] = [
        Self::Data,
        Self::Headers,
        Self::Priority,
        Self::Reset,
        Self::Settings,
        Self::PushPromise,
        Self::Ping,
        Self::GoAway,
        Self::WindowUpdate,
        Self::Continuation,
    ];
}

/// Flags of frames.
pub(super) struct Flags;

impl Flags {
    pub(super) const END_STREAM: u8 = 1;
    pub(super) const ACK: u8 = 1;
    pub(super) const END_HEADERS: u8 = 4;
    pub(super) const PADDED: u8 = 8;
    pub(super) const PRIORITY: u8 = 32;
}

/// One frame; a header block is whole, however many frames it came in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The 32-bit number at this place of the payload.
    pub(super) fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }

    /// The payload without padding; `None` when there is more padding than payload.
    pub(super) fn unpadded(&self) -> Option<&'a [u8]> {
        if !self.has(Flags::PADDED) {
            return Some(self.payload);
        }
        let (&padding, rest) = self.payload.split_first()?;
        let length = rest.len().checked_sub(usize::from(padding))?;
        rest.get(..length)
    }

    /// The header block without padding and priority.
    pub(super) fn header_block(&self) -> Option<&'a [u8]> {
        let block = self.unpadded()?;
        if self.has(Flags::PRIORITY) {
            block.get(5..)
        } else {
            Some(block)
        }
    }
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of a frame whose end has not come.
    partial: Vec<u8>,
    /// A header block whose end has not come: kind is always headers.
    block: Option<(u8, u32, Vec<u8>)>,
    continuations: u32,
}

impl Splitter {
    /// Calls `each` for every frame that is complete now.
    ///
    /// # Errors
    /// When a frame is too large, a header block is interrupted or has no end, or `each` fails.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Frame<'_>) -> Result<(), super::http2::Broken>,
    ) -> Result<(), super::http2::Broken> {
        // Complete the frame that has begun.
        while !self.partial.is_empty() && !bytes.is_empty() {
            let want = length(&self.partial)?.map_or(HEAD, |payload| HEAD + payload);
            let n = bytes.len().min(want - self.partial.len());
            self.partial.extend_from_slice(&bytes[..n]);
            bytes = &bytes[n..];
            let is_whole = length(&self.partial)?.map(|n| HEAD + n) == Some(self.partial.len());
            if is_whole {
                let mut partial = std::mem::take(&mut self.partial);
                self.frame(&partial, &mut each)?;
                partial.clear();
                self.partial = partial;
            }
        }
        while let Some(payload) = length(bytes)? {
            let Some((frame, rest)) = bytes.split_at_checked(HEAD + payload) else {
                break;
            };
            self.frame(frame, &mut each)?;
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn frame(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(Frame<'_>) -> Result<(), super::http2::Broken>,
    ) -> Result<(), super::http2::Broken> {
        let (head, payload) = bytes.split_at(HEAD);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let frame = Frame {
            kind: Kind::ALL
                .get(usize::from(head[3]))
                .copied()
                .unwrap_or(Kind::Other),
            flags: head[4],
            stream,
            payload,
        };
        if let Some((flags, id, mut block)) = self.block.take() {
            // Nothing may stand between the parts of a header block.
            self.continuations += 1;
            let fits =
                block.len() + payload.len() <= BLOCK_MAX && self.continuations <= CONTINUATIONS_MAX;
            if frame.kind != Kind::Continuation || stream != id || !fits {
                return Err(super::http2::Broken);
            }
            block.extend_from_slice(payload);
            if !frame.has(Flags::END_HEADERS) {
                self.block = Some((flags, id, block));
                return Ok(());
            }
            return each(Frame {
                kind: Kind::Headers,
                flags,
                stream,
                payload: &block,
            });
        }
        if frame.kind == Kind::Headers && !frame.has(Flags::END_HEADERS) {
            // Padding and priority belong to the first part only.
            let block = frame.header_block().ok_or(super::http2::Broken)?;
            let flags = frame.flags & !(Flags::PADDED | Flags::PRIORITY);
            self.block = Some((flags, stream, block.to_vec()));
            self.continuations = 0;
            return Ok(());
        }
        each(frame)
    }
}

/// The payload's length of the frame that begins here; `None` when its head is not complete.
fn length(bytes: &[u8]) -> Result<Option<usize>, super::http2::Broken> {
    let Some(head) = bytes.get(..HEAD) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > PAYLOAD_MAX {
        return Err(super::http2::Broken);
    }
    Ok(Some(length))
}

/// Bytes on their way to the peer.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// Bytes of answers to settings and pings since it was last empty.
    chatter: usize,
}

impl Outbox {
    /// What is still to be written.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// How many bytes that is.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// How much of it may be answers to settings and pings: what a peer can make grow without
    /// end that asks and never reads.
    pub(super) fn chatter(&self) -> usize {
        self.chatter
    }

    /// So many of them were written.
    pub(super) fn wrote(&mut self, n: usize) {
        self.written += n;
        if self.written == self.bytes.len() {
            self.bytes.clear();
            (self.written, self.chatter) = (0, 0);
        } else if self.written > COMPACT {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("payloads are cut to the frame's size");
        let kind = kind as u8;
        self.bytes.extend_from_slice(&length.to_be_bytes()[1..]);
        self.bytes.extend_from_slice(&[kind, flags]);
        self.bytes.extend_from_slice(&stream.to_be_bytes());
        self.bytes.extend_from_slice(payload);
    }

    /// The preface, our settings (no table, no push, this window for streams, heads up to the
    /// limit) and the connection's window.
    pub(super) fn hello(&mut self, stream_window: u32, connection_window: u32) {
        let head_max = u32::try_from(crate::run::HEAD_BYTES_MAX).unwrap_or(u32::MAX);
        self.bytes
            .extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut payload = Vec::new();
        for (id, value) in [(1_u16, 0), (2, 0), (4, stream_window), (6, head_max)] {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        self.frame(Kind::Settings, 0, 0, &payload);
        self.window_update(0, connection_window - 65_535);
    }

    /// A header block in as many frames as it takes.
    pub(super) fn headers(&mut self, stream: u32, block: &[u8], ends: bool, frame_max: usize) {
        let mut parts = block.chunks(frame_max).peekable();
        let mut kind = Kind::Headers;
        let mut flags = if ends { Flags::END_STREAM } else { 0 };
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                flags |= Flags::END_HEADERS;
            }
            self.frame(kind, flags, stream, part);
            (kind, flags) = (Kind::Continuation, 0);
        }
    }

    /// A piece of a request's body.
    pub(super) fn data(&mut self, stream: u32, bytes: &[u8], ends: bool) {
        let flags = if ends { Flags::END_STREAM } else { 0 };
        self.frame(Kind::Data, flags, stream, bytes);
    }

    /// Ends a stream.
    pub(super) fn reset(&mut self, stream: u32, code: u32) {
        self.frame(Kind::Reset, 0, stream, &code.to_be_bytes());
    }

    /// Lets the peer send so much more.
    pub(super) fn window_update(&mut self, stream: u32, increment: u32) {
        self.frame(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
    }

    /// Confirms the peer's settings.
    pub(super) fn settings_ack(&mut self) {
        self.chatter += HEAD;
        self.frame(Kind::Settings, Flags::ACK, 0, &[]);
    }

    /// Answers a ping.
    pub(super) fn pong(&mut self, payload: &[u8]) {
        self.chatter += HEAD + payload.len();
        self.frame(Kind::Ping, Flags::ACK, 0, payload);
    }
}
