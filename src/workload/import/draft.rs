//! A line of a log or a row of a table on its way to a request: fields are set one by one, in any
//! order, and then judged together.

use std::borrow::Cow;

use super::{
    field::Field,
    gather::{
        Found,
        Rejected::{self, Malformed, Policy},
    },
    message::{header, method, without_end},
    stamp::{Instant, Parts, duration_ns},
    uri::{self, Uri},
};
use crate::workload::{Header, Recorded, Request, rules::Offers};

const CONDITIONAL: &str = "answers depended on a condition or a range that is not \
    recorded; without it 200 is expected";
const UNANSWERED: &str =
    "requests got no answer, because the client left; any status below 400 will do";
const ZONELESS: &str = "times had no zone and were taken as UTC";

const NO_REQUEST: Rejected = Policy("no HTTP request: nothing was sent, or TLS to a plain port");
const CUT: Rejected = Policy("its request line is cut off, or of HTTP/0.9");

/// Why a line is not of the format.
pub(super) type Unfit = &'static str;

/// What the fields of a line have said so far.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    line: Option<Cow<'a, [u8]>>,
    method: Option<Cow<'a, [u8]>>,
    path: Option<String>,
    query: Option<Cow<'a, [u8]>>,
    host: Option<String>,
    address: String,
    session: String,
    status: Option<u16>,
    /// The log has a status for this request, and it says that there was no answer.
    is_unanswered: bool,
    size: Option<u64>,
    duration_ns: Option<u64>,
    begin: Parts,
    end: Parts,
    headers: Vec<Header>,
    body: Option<Vec<u8>>,
}

/// A line that is a request.
pub(super) struct Logged {
    pub(super) found: Found,
    /// Its stamp is of its end.
    pub(super) is_end: bool,
    /// Its stamp says nothing below the second.
    pub(super) is_whole: bool,
}

impl<'a> Draft<'a> {
    /// Takes the value of a field.
    ///
    /// # Errors
    /// When the value cannot be of this field, so that the line is not of the format.
    pub(super) fn set(&mut self, field: &Field, value: Cow<'a, [u8]>) -> Result<(), Unfit> {
        match field {
            Field::Ignored | Field::Headers => {}
            Field::Request => self.line = Some(value),
            Field::Method => self.method = Some(value),
            Field::Path => self.path = Some(uri::encode(&value)),
            // Without a query, `$args` is written as `-`.
            Field::DecodedPathAndQuery if !value.contains(&b'?') => {
                self.path = Some(decoded(value.strip_suffix(b"-").unwrap_or(&value)));
            }
            Field::DecodedPath | Field::DecodedPathAndQuery => self.path = Some(decoded(&value)),
            Field::Query => self.query = Some(value),
            Field::Body => self.body = Some(value.into_owned()),
            Field::Header(name) => {
                let text = String::from_utf8_lossy(&value);
                if text != "-" && !text.is_empty() {
                    self.headers.push((name.clone(), text.into_owned()));
                }
            }
            _ => {
                let text = String::from_utf8_lossy(&value);
                return self.set_text(field, text.trim());
            }
        }
        Ok(())
    }

    fn set_text(&mut self, field: &Field, text: &str) -> Result<(), Unfit> {
        let is_none = text.is_empty() || text == "-";
        match field {
            Field::Time(clock, is_end) => {
                let parts = match is_end {
                    true => &mut self.end,
                    false => &mut self.begin,
                };
                if !parts.add(clock, text) {
                    return Err("its time cannot be read");
                }
            }
            Field::Client | Field::ClientPort if is_none || text.contains(' ') => {
                return Err("its client is no address");
            }
            // The port is another one for each connection.
            Field::ClientPort => {
                let address = text.rsplit_once(':').map_or(text, |(address, _)| address);
                self.address.push_str(address);
            }
            Field::Client | Field::Forwarded | Field::User if !is_none => {
                self.address.push('\n');
                self.address.push_str(text);
            }
            Field::Session if !is_none => text.clone_into(&mut self.session),
            Field::Host if !is_none => self.host = uri::host_of(text),
            Field::Status => {
                self.status = status(text)?;
                self.is_unanswered = self.status.is_none();
            }
            Field::Size if !is_none => {
                self.size = Some(text.parse().map_err(|_| "its size is no number")?);
            }
            Field::Duration(unit_ns) => {
                let duration = duration_ns(text, *unit_ns);
                let duration = duration.ok_or("its duration cannot be read")?;
                self.duration_ns = match (self.duration_ns, duration) {
                    (Some(sum), Some(more)) => Some(sum + more),
                    (sum, more) => more.or(sum),
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// A header field of a log that holds them all.
    pub(super) fn set_header(&mut self, name: &str, value: String) {
        if name.eq_ignore_ascii_case("host") {
            self.host = uri::host_of(&value);
        }
        self.headers.push((name.to_owned(), value));
    }

    /// Whether the line says what was asked.
    pub(super) fn has_request(&self) -> bool {
        self.line.is_some() || (self.method.is_some() && self.path.is_some())
    }

    /// The request that was logged.
    pub(super) fn finish(mut self, position: u64) -> Result<Logged, Rejected> {
        let (method_text, target) = self.asked()?;
        let method = method(&method_text)?;
        let Uri { host, mut path } = uri::parse(target.as_bytes())?;
        if let Some(query) = &self.query {
            let query = query.strip_prefix(b"?").unwrap_or(query);
            if !query.is_empty() && query != b"-" && !path.contains('?') {
                path = format!("{path}?{}", uri::encode(query));
            }
        }
        if self.status == Some(101) {
            return Err(Policy("WebSocket"));
        }
        without_end(&self.headers)?;
        let instant = self.instant()?;
        let mut notes = Vec::new();
        if instant.is_some_and(|(instant, _)| instant.is_zoneless) {
            notes.push(ZONELESS);
        }
        let (expect_status, mut size_bytes) = self.expected(&mut notes);
        if method.as_str() == "HEAD" {
            // Some servers log the body that they did not send.
            size_bytes = size_bytes.and(Some(0));
        }
        let agent = header(&self.headers, "user-agent").unwrap_or_default();
        let client = if self.session.is_empty() {
            format!("{}\n{agent}", self.address)
        } else {
            self.session
        };
        let request = Request {
            offset_ns: 0,
            session: String::new(),
            method,
            path,
            headers: self.headers,
            body: self.body.unwrap_or_default(),
            expect_status,
            endpoint: String::new(),
            recorded: Recorded {
                latency_ns: self.duration_ns,
                size_bytes,
            },
        };
        Ok(Logged {
            found: Found {
                position,
                host: if host.is_empty() {
                    self.host.unwrap_or_default()
                } else {
                    host
                },
                started_ns: instant.map(|(instant, _)| instant.ns),
                client,
                request,
                notes,
                offers: Offers::default(),
            },
            is_end: instant.is_some_and(|(_, is_end)| is_end),
            is_whole: instant.is_some_and(|(instant, _)| instant.is_whole),
        })
    }

    /// Method and address, from the request line or from their own fields.
    fn asked(&mut self) -> Result<(String, String), Rejected> {
        let Some(line) = self.line.take() else {
            let method = self.method.take().unwrap_or_default();
            let path = self.path.take().unwrap_or_default();
            if method.is_empty() || *method == *b"-" {
                return Err(NO_REQUEST);
            }
            return Ok((String::from_utf8_lossy(&method).into_owned(), path));
        };
        let line = line.trim_ascii();
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let end = line.iter().position(|byte| *byte == b' ');
        let method = &line[..end.unwrap_or(line.len())];
        if method.is_empty() || method == b"-" || !method.iter().all(is_token) {
            return Err(NO_REQUEST);
        }
        let rest = line[method.len()..].trim_ascii();
        let protocol = rest.iter().rposition(|byte| *byte == b' ').ok_or(CUT)?;
        let (target, protocol) = rest.split_at(protocol);
        if !protocol.starts_with(b" HTTP/") {
            return Err(CUT);
        }
        Ok((
            String::from_utf8_lossy(method).into_owned(),
            // Encoded at once, because as a text it would lose bytes that are none.
            uri::encode(target.trim_ascii()),
        ))
    }

    fn instant(&self) -> Result<Option<(Instant, bool)>, Rejected> {
        for (parts, is_end) in [(&self.begin, false), (&self.end, true)] {
            if !parts.is_empty() {
                let instant = parts.instant();
                return match instant {
                    Some(instant) => Ok(Some((instant, is_end))),
                    None => Err(Malformed("its time cannot be read")),
                };
            }
        }
        Ok(None)
    }

    /// What the answer of the replay should be, and the size of its body.
    fn expected(&self, notes: &mut Vec<&'static str>) -> (Option<u16>, Option<u64>) {
        let has = |names: &[&str]| {
            names
                .iter()
                .any(|name| header(&self.headers, name).is_some())
        };
        let is_bare = match self.status {
            Some(304) => !has(&["if-none-match", "if-modified-since"]),
            Some(206) => !has(&["range"]),
            _ => false,
        };
        if is_bare {
            notes.push(CONDITIONAL);
            return (Some(200), None);
        }
        // What servers write where a client has left, or where they closed without a word.
        if self.is_unanswered || matches!(self.status, Some(444 | 460 | 499)) {
            notes.push(UNANSWERED);
            return (None, None);
        }
        let status = self.status.filter(|it| (200..=599).contains(it));
        (status, self.size)
    }
}

/// The status; `None` where the log says that there was no answer.
fn status(text: &str) -> Result<Option<u16>, Unfit> {
    match text {
        "" | "-" | "-1" | "0" | "000" => Ok(None),
        _ => match text.parse() {
            Ok(status @ 100..=999) if text.len() == 3 => Ok(Some(status)),
            _ => Err("its status is no number of three digits"),
        },
    }
}

/// A path that the server has decoded, encoded again; behind a `?` stands the query as it was sent.
fn decoded(value: &[u8]) -> String {
    let mark = value.iter().position(|byte| *byte == b'?');
    let (path, query) = value.split_at(mark.unwrap_or(value.len()));
    uri::encode_also(path, b"%#") + &uri::encode(query)
}
