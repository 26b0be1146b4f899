//! The HTTP/1.1 response codec: bytes in, where the answer ends out.
//!
//! Incremental and allocation-free for the common case; the head is parsed by httparse, the
//! body is counted and discarded. Nothing is decompressed. It never reads past the answer: what
//! is left over is reported, and the connection is not used again.

mod client;

use std::mem::MaybeUninit;

pub(super) use self::client::Http1;
use super::caught::{Caught, Keeps};
use crate::run::{BODY_BYTES_MAX, Class, HEAD_BYTES_MAX, HEAD_FIELDS_MAX};

/// Trailers and chunk extensions together may not be larger than this many bytes.
const CHUNK_EXTRA_MAX: usize = 16 * 1024;
/// So many interim (1xx) answers may come before the real one.
pub(super) const INTERIM_MAX: u32 = 100;

/// What a request was, as far as its answer's framing depends on it, and what of the answer is
/// kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// A HEAD request: the answer has no body whatever its fields say.
    pub head: bool,
    /// What is kept for later requests of the same client.
    pub keeps: Keeps,
}

impl Asked {
    /// A request of whose answer nothing is kept.
    pub(super) const fn plain(head: bool) -> Self {
        Self {
            head,
            keeps: Keeps::Nothing,
        }
    }
}

/// A complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The final status.
    pub status: u16,
    /// Whether the answer had `Retry-After`.
    pub retry_after: bool,
    /// Bytes of body as transferred, chunk framing left out.
    pub body_bytes: u64,
    /// Whether the connection may carry another request.
    pub reusable: bool,
    /// After how many idle seconds the server says that it closes the connection.
    pub idle_s: Option<u32>,
}

/// What a piece of input led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The answer is not complete yet.
    More,
    /// The answer is complete after so many bytes of this piece.
    Done(Answer, usize),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Length(u64),
    Chunk(Chunk),
    UntilClose,
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// The parser of one answer.
#[derive(Debug)]
pub(super) struct Response {
    asked: Asked,
    state: State,
    // Bytes of a head that came in pieces.
    head: Vec<u8>,
    interim: u32,
    extra: usize,
    answer: Answer,
    caught: Option<Box<Caught>>,
}

impl Response {
    /// A parser for the answer to such a request.
    pub(super) fn new(asked: Asked) -> Self {
        let answer = Answer {
            status: 0,
            retry_after: false,
            body_bytes: 0,
            reusable: true,
            idle_s: None,
        };
        Self {
            asked,
            state: State::Head,
            head: Vec::new(),
            interim: 0,
            extra: 0,
            answer,
            caught: None,
        }
    }

    /// What was kept of the answer.
    pub(super) fn take_caught(&mut self) -> Option<Box<Caught>> {
        self.caught.take()
    }

    /// Whether the final head has been read.
    pub(super) fn has_head(&self) -> bool {
        !matches!(self.state, State::Head)
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// The class of the failure; the connection must be closed then.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<Progress, Class> {
        let mut used = 0;
        loop {
            match self.state {
                State::Head => match self.read_head(&input[used..])? {
                    None => return Ok(Progress::More),
                    Some(n) => {
                        used += n;
                        if self.has_head() && self.body_is_over() {
                            return Ok(Progress::Done(self.answer, used));
                        }
                    }
                },
                State::Length(left) => {
                    let n = left.min((input.len() - used) as u64);
                    let length = usize::try_from(n).expect("not above the input's length");
                    self.count_body(&input[used..used + length])?;
                    used += length;
                    self.state = State::Length(left - n);
                    return Ok(if left == n {
                        Progress::Done(self.answer, used)
                    } else {
                        Progress::More
                    });
                }
                State::Chunk(_) => {
                    return match self.read_chunks(&input[used..])? {
                        Some(n) => Ok(Progress::Done(self.answer, used + n)),
                        None => Ok(Progress::More),
                    };
                }
                State::UntilClose => {
                    self.count_body(&input[used..])?;
                    return Ok(Progress::More);
                }
            }
        }
    }

    /// The peer closed the connection.
    ///
    /// # Errors
    /// When the answer was not complete; `None` means not a single byte of it had come.
    pub(super) fn finish(&self) -> Result<Answer, Option<Class>> {
        match self.state {
            State::UntilClose => Ok(self.answer),
            State::Head if self.head.is_empty() && self.interim == 0 => Err(None),
            State::Head => Err(Some(Class::MalformedHttp)),
            State::Length(_) | State::Chunk(_) => Err(Some(Class::TruncatedBody)),
        }
    }

    fn count_body(&mut self, bytes: &[u8]) -> Result<(), Class> {
        self.answer.body_bytes += bytes.len() as u64;
        if let Some(caught) = &mut self.caught {
            caught.body(bytes);
        }
        if self.answer.body_bytes > BODY_BYTES_MAX {
            Err(Class::BodyTooLarge)
        } else {
            Ok(())
        }
    }

    fn body_is_over(&self) -> bool {
        matches!(self.state, State::Length(0))
    }

    /// Reads a head; returns how many bytes of the input belonged to it, `None` for more.
    fn read_head(&mut self, input: &[u8]) -> Result<Option<usize>, Class> {
        if input.is_empty() {
            return Ok(None);
        }
        if self.head.is_empty() {
            if let Some(n) = self.parse_head(input)? {
                return Ok(Some(n));
            }
            self.keep(input)?;
            return Ok(None);
        }
        let before = self.head.len();
        self.keep(input)?;
        let head = std::mem::take(&mut self.head);
        if let Some(n) = self.parse_head(&head)? {
            Ok(Some(n - before))
        } else {
            self.head = head;
            Ok(None)
        }
    }

    fn keep(&mut self, input: &[u8]) -> Result<(), Class> {
        if self.head.len() + input.len() > HEAD_BYTES_MAX {
            return Err(Class::HeadersTooLarge);
        }
        self.head.extend_from_slice(input);
        Ok(())
    }

    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Class> {
        // Not initialised: writing 8 kB for each head would cost more than parsing it.
        let mut fields = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let parser = httparse::ParserConfig::default();
        let used =
            match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut fields) {
                Ok(httparse::Status::Complete(used)) => used,
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(httparse::Error::TooManyHeaders) => return Err(Class::HeadersTooLarge),
                Err(_) => return Err(Class::MalformedHttp),
            };
        if used > HEAD_BYTES_MAX {
            return Err(Class::HeadersTooLarge);
        }
        let status = response.code.ok_or(Class::MalformedHttp)?;
        if (100..200).contains(&status) {
            // 101 would change the protocol, which nobody asked for.
            self.interim += 1;
            let refuse = status == 101 || self.interim > INTERIM_MAX;
            return if refuse {
                Err(Class::MalformedHttp)
            } else {
                Ok(Some(used))
            };
        }
        let version = response.version.unwrap_or(0);
        let framing = Framing::read(response.headers, version)?;
        self.answer.status = status;
        self.answer.retry_after = framing.retry_after;
        self.answer.reusable = framing.keep_alive;
        self.answer.idle_s = framing.idle_s;
        if self.asked.keeps.wants(framing.has_cookies) {
            let fields = response.headers.iter().map(|it| (it.name, it.value));
            self.caught = Some(Box::new(Caught::new(self.asked.keeps, fields)));
        }
        let no_body = self.asked.head || status == 204 || status == 304;
        self.state = match framing.length {
            _ if no_body => State::Length(0),
            Length::Chunked => State::Chunk(Chunk::Size {
                value: 0,
                digits: 0,
            }),
            Length::Known(length) if length > BODY_BYTES_MAX => return Err(Class::BodyTooLarge),
            Length::Known(length) => State::Length(length),
            Length::UntilClose => {
                self.answer.reusable = false;
                State::UntilClose
            }
        };
        Ok(Some(used))
    }

    /// Reads chunks; returns how many bytes there were when the last one ended.
    fn read_chunks(&mut self, input: &[u8]) -> Result<Option<usize>, Class> {
        let State::Chunk(mut chunk) = self.state else {
            return Ok(None);
        };
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            if let Chunk::Data(left) = chunk {
                let n = left.min((input.len() - at) as u64);
                let length = usize::try_from(n).expect("not above the input's length");
                self.count_body(&input[at..at + length])?;
                at += length;
                chunk = if left == n {
                    Chunk::DataCr
                } else {
                    Chunk::Data(left - n)
                };
                continue;
            }
            at += 1;
            match self.chunk_byte(chunk, byte)? {
                Some(next) => chunk = next,
                None => return Ok(Some(at)),
            }
        }
        self.state = State::Chunk(chunk);
        Ok(None)
    }

    /// One byte of chunk framing; `None` after the last one.
    fn chunk_byte(&mut self, chunk: Chunk, byte: u8) -> Result<Option<Chunk>, Class> {
        let next = match (chunk, byte) {
            (Chunk::Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = char::from(byte).to_digit(16).expect("a hex digit");
                Chunk::Size {
                    value: value * 16 + u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Chunk::Size { digits: 0, .. }, _) => return Err(Class::MalformedHttp),
            (Chunk::Size { value, .. } | Chunk::Extension { value }, b'\r') => {
                Chunk::SizeLf { value }
            }
            (Chunk::Size { value, .. }, b';' | b' ' | b'\t') => Chunk::Extension { value },
            (Chunk::Extension { value }, _) if byte != b'\n' => {
                self.count_extra()?;
                Chunk::Extension { value }
            }
            (Chunk::SizeLf { value: 0 } | Chunk::TrailerLf, b'\n') => Chunk::TrailerStart,
            (Chunk::SizeLf { value }, b'\n') => Chunk::Data(value),
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size {
                value: 0,
                digits: 0,
            },
            (Chunk::TrailerStart, b'\r') => Chunk::EndLf,
            (Chunk::TrailerStart | Chunk::Trailer, _) if byte != b'\r' && byte != b'\n' => {
                self.count_extra()?;
                Chunk::Trailer
            }
            (Chunk::Trailer, b'\r') => Chunk::TrailerLf,
            (Chunk::EndLf, b'\n') => return Ok(None),
            _ => return Err(Class::MalformedHttp),
        };
        Ok(Some(next))
    }

    fn count_extra(&mut self) -> Result<(), Class> {
        self.extra += 1;
        if self.extra > CHUNK_EXTRA_MAX {
            Err(Class::HeadersTooLarge)
        } else {
            Ok(())
        }
    }
}

enum Length {
    Known(u64),
    Chunked,
    UntilClose,
}

struct Framing {
    length: Length,
    keep_alive: bool,
    retry_after: bool,
    idle_s: Option<u32>,
    has_cookies: bool,
}

impl Framing {
    /// RFC 9112 section 6.3; what an attacker could use to smuggle is refused.
    fn read(fields: &[httparse::Header<'_>], version: u8) -> Result<Self, Class> {
        let mut length = None;
        let mut chunked = false;
        let mut keep_alive = version == 1;
        let mut retry_after = false;
        let mut idle_s = None;
        let mut has_cookies = false;
        for field in fields {
            let name = field.name;
            // Most fields have no say here; their length tells so without a comparison.
            if !matches!(name.len(), 10 | 11 | 14 | 17) {
                continue;
            }
            if name.eq_ignore_ascii_case("content-length") {
                let value = parse_length(field.value).ok_or(Class::MalformedHttp)?;
                if length.is_some_and(|other| other != value) {
                    return Err(Class::MalformedHttp);
                }
                length = Some(value);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                if chunked || !field.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Class::MalformedHttp);
                }
                chunked = true;
            } else if name.eq_ignore_ascii_case("connection") {
                for token in field.value.split(|byte| *byte == b',') {
                    let token = token.trim_ascii();
                    if token.eq_ignore_ascii_case(b"close") {
                        keep_alive = false;
                    } else if token.eq_ignore_ascii_case(b"keep-alive") && version == 0 {
                        keep_alive = true;
                    }
                }
            } else if name.eq_ignore_ascii_case("retry-after") {
                retry_after = true;
            } else if name.eq_ignore_ascii_case("keep-alive") {
                idle_s = parse_idle(field.value);
            } else if name.eq_ignore_ascii_case("set-cookie") {
                has_cookies = true;
            }
        }
        let length = match (length, chunked) {
            (Some(_), true) => return Err(Class::MalformedHttp),
            (Some(length), false) => Length::Known(length),
            (None, true) => Length::Chunked,
            (None, false) => Length::UntilClose,
        };
        Ok(Self {
            length,
            keep_alive,
            retry_after,
            idle_s,
            has_cookies,
        })
    }
}

/// The `timeout` of a `Keep-Alive` field, in seconds.
fn parse_idle(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?;
    let mut parameters = text.split(',').filter_map(|it| it.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    value.trim().parse().ok()
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
