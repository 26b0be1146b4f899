//! A raw HTTP/1 message, as captures hold it, made into a request.
//!
//! Lenient in line ends, strict in length: a body that is shorter than its head says was cut by
//! the capture, and what the server would be asked with the rest is another question.

use super::{
    gather::{
        Found,
        Rejected::{self, Malformed, Policy},
    },
    uri,
};
use crate::workload::{
    Header, Method, Recorded, Request, redact::names::is_sensitive, rules::Offers,
};

/// Header fields that a message may have.
const MOST_FIELDS: usize = 256;

const CUT: Rejected = Policy("its body is cut off in the file");
const LOSSY: &str = "header values were no text in UTF-8 and were changed";

/// A request as captured.
pub(super) struct Message {
    host: String,
    client: String,
    request: Request,
    notes: Vec<&'static str>,
}

impl Message {
    pub(super) fn into_found(self, position: u64, started_ns: Option<u64>) -> Found {
        Found {
            position,
            host: self.host,
            started_ns,
            client: self.client,
            request: self.request,
            notes: self.notes,
            offers: Offers::default(),
        }
    }
}

/// Reads a request.
pub(super) fn request(bytes: &[u8]) -> Result<Message, Rejected> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(Malformed("its head has no end")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Malformed("it has more than 256 header fields"));
        }
        Err(_) => return Err(Malformed("it is no HTTP/1 request")),
    };
    let method = method(head.method.unwrap_or_default())?;
    let uri = uri::parse(head.path.unwrap_or_default().as_bytes())?;
    let mut notes = Vec::new();
    let headers: Vec<Header> = head
        .headers
        .iter()
        .map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            if value.len() != field.value.len() {
                notes.push(LOSSY);
            }
            (field.name.to_owned(), value)
        })
        .collect();
    without_end(&headers)?;
    let body = body(&headers, &bytes[length..])?;
    let host = match header(&headers, "host") {
        _ if !uri.host.is_empty() => uri.host,
        Some(host) => uri::host_of(host).ok_or(Malformed("its host is none"))?,
        None => String::new(),
    };
    let client = client(&headers);
    let request = Request {
        offset_ns: 0,
        session: String::new(),
        method,
        path: uri.path,
        headers,
        body,
        expect_status: None,
        endpoint: String::new(),
        recorded: Recorded::default(),
    };
    Ok(Message {
        host,
        client,
        request,
        notes,
    })
}

/// The status and the stated length of an answer, as far as they can be read.
pub(super) fn answer(bytes: &[u8]) -> (Option<u16>, Option<u64>) {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    // A head that breaks off still has its status.
    let _ = head.parse(bytes);
    let status = head.code.filter(|code| (200..=599).contains(code));
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"))
        .and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse().ok());
    (status, length)
}

/// A method that can be replayed.
pub(super) fn method(text: &str) -> Result<Method, Rejected> {
    if text.eq_ignore_ascii_case("CONNECT") {
        return Err(Policy("CONNECT, which is for proxies"));
    }
    Method::try_from(text.to_owned()).map_err(|_| Malformed("its method is no HTTP method"))
}

/// The first field of this name.
pub(super) fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let found = headers
        .iter()
        .find(|(found, _)| found.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// What is answered for as long as both sides like is no request that can be measured.
pub(super) fn without_end(headers: &[Header]) -> Result<(), Rejected> {
    let accept = header(headers, "accept").unwrap_or_default();
    if accept.trim().starts_with("text/event-stream") {
        return Err(Policy("event stream, which has no end"));
    }
    let upgrade = header(headers, "upgrade").unwrap_or_default();
    if upgrade.eq_ignore_ascii_case("websocket") {
        return Err(Policy("WebSocket"));
    }
    Ok(())
}

/// Tells clients apart: by the cookies and credentials of a log-in, else by the address that a
/// proxy has passed on, and by the program.
pub(super) fn client(headers: &[Header]) -> String {
    let of = |name| header(headers, name).unwrap_or_default();
    let cookies = of("cookie").split(';').filter(|cookie| {
        let (name, _) = cookie.split_once('=').unwrap_or_default();
        is_sensitive(name)
    });
    let mut client: String = cookies.collect();
    client.push_str(of("authorization"));
    if client.is_empty() {
        client.push_str(of("x-real-ip"));
        client.push_str(of("x-forwarded-for"));
    }
    client.push('\n');
    client.push_str(of("user-agent"));
    client
}

fn body(headers: &[Header], bytes: &[u8]) -> Result<Vec<u8>, Rejected> {
    let mut lengths = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim());
    let length = lengths.next();
    // Where the body ends, and what of it is another request, would be a matter of opinion.
    if lengths.any(|other| Some(other) != length) {
        return Err(Malformed("it has two content-lengths that differ"));
    }
    let coding = header(headers, "transfer-encoding").unwrap_or_default();
    if coding.to_ascii_lowercase().contains("chunked") {
        return unchunk(bytes);
    }
    let Some(length) = length else {
        return Ok(Vec::new());
    };
    let length: usize = length
        .parse()
        .map_err(|_| Malformed("its content-length is no number"))?;
    bytes.get(..length).map(<[u8]>::to_vec).ok_or(CUT)
}

/// The body inside chunks; extensions and trailers are passed over.
fn unchunk(mut bytes: &[u8]) -> Result<Vec<u8>, Rejected> {
    const BAD: Rejected = Malformed("its chunks have no length");
    let mut body = Vec::new();
    loop {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(CUT)?;
        let line = std::str::from_utf8(&bytes[..end]).map_err(|_| BAD)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| BAD)?;
        bytes = &bytes[end + 1..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(bytes.get(..size).ok_or(CUT)?);
        let rest = &bytes[size..];
        let rest = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n"));
        bytes = rest.ok_or(CUT)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, &'static str> {
        match request(text.as_bytes()) {
            Ok(message) => Ok(message.request),
            Err(Policy(reason) | Malformed(reason)) => Err(reason),
        }
    }

    #[test]
    fn bodies_have_the_length_that_their_head_says() {
        for (text, body) in [
            ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcd", "abc"),
            ("POST / HTTP/1.1\nContent-Length: 3\n\nabc", "abc"),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nrest", ""),
            (
                "POST / HTTP/1.1\r\ncontent-length: 3\r\nContent-Length: 3\r\n\r\nabcd",
                "abc",
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\nContent-Length: 9\r\n\r\n\
                 2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: x\r\n\r\n",
                "abc",
            ),
        ] {
            assert_eq!(read(text).unwrap().body, body.as_bytes(), "{text}");
        }
        for (text, said) in [
            ("POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nabc", "cut off"),
            (
                "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\nabc",
                "no number",
            ),
            (
                "P / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
                "cut off",
            ),
            (
                "P / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
                "cut off",
            ),
            (
                "P / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\na",
                "no length",
            ),
            (
                "P / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\na",
                "cut off",
            ),
            (
                "POST / HTTP/1.1\r\ncontent-length: 3\r\nContent-Length: 1\r\n\r\nabc",
                "differ",
            ),
            ("GET / HTTP/1.1\r\nhost: a\r\n", "no end"),
            ("\x16\x03\x01", "no HTTP/1 request"),
            ("GET / HTTP/1.1\r\nupgrade: WebSocket\r\n\r\n", "WebSocket"),
            ("CONNECT a:443 HTTP/1.1\r\n\r\n", "CONNECT"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
    }

    #[test]
    fn clients_are_told_apart_by_log_in_then_by_address() {
        let of = |headers: &[(&str, &str)]| {
            let owned = headers.iter().map(|(n, v)| ((*n).into(), (*v).into()));
            client(&owned.collect::<Vec<Header>>())
        };
        let ann = of(&[("Cookie", "theme=dark; sid=1"), ("X-Real-IP", "10.0.0.1")]);
        let same = of(&[("Cookie", "theme=light; sid=1"), ("X-Real-IP", "10.0.0.2")]);
        let bob = of(&[("Cookie", "theme=dark; sid=2"), ("X-Real-IP", "10.0.0.1")]);
        assert_eq!(ann, same);
        assert_ne!(ann, bob);
        assert_ne!(of(&[("X-Real-IP", "a")]), of(&[("X-Real-IP", "b")]));
        assert_ne!(of(&[("User-Agent", "a")]), of(&[("User-Agent", "b")]));
    }

    #[test]
    fn answers_tell_their_status_even_when_they_are_cut() {
        let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(answer(whole), (Some(201), Some(7)));
        assert_eq!(answer(b"HTTP/1.1 404 Not Found\r\nServ"), (Some(404), None));
        assert_eq!(answer(b"nonsense"), (None, None));
        assert_eq!(answer(b"HTTP/1.1 100 Continue\r\n\r\n"), (None, None));
    }
}
