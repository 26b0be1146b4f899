//! One request as one line of JSON, and the rules that a line must keep.
//!
//! The same check guards reading and writing, so that a file of ours can always be read and
//! no importer can put a line break into a request. A fault says what is wrong and what to do;
//! the file and the number of the line are added by the reader.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{
    Header, Method, Recorded, Request,
    endpoint::{ALL_ENDPOINTS, endpoint},
    headers,
    redact::{is_word_of_name, masked},
};
use crate::text::printable_cut;

/// The longest line that is read, in bytes.
pub(super) const LONGEST_LINE: usize = 32 << 20;
/// The longest piece of foreign text that a message repeats, in characters.
const QUOTED: usize = 80;

/// What is wrong with one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// The text is no JSON, or no JSON of a request or header.
    #[error("{0}; docs/formats.md lists the keys of a line")]
    Json(String),
    /// The text ends in the middle.
    #[error("the line is cut off; make the file again, or remove its last line")]
    CutOff,
    /// Bytes that are no UTF-8.
    #[error("byte {0} of the line is not UTF-8; put binary bodies into body_base64")]
    Encoding(usize),
    /// More than the limit in one line.
    #[error("the line is longer than 32 MiB; leave this request out")]
    TooLong,
    /// The path is no origin form.
    #[error("the path `{0}` {1}")]
    Path(String, &'static str),
    /// A header that would change the meaning of the message.
    #[error("the header `{0}` {1}")]
    Header(String, &'static str),
    /// Two bodies, or one that cannot be decoded.
    #[error("{0}")]
    Body(&'static str),
    /// A status that no answer can have.
    #[error("the status {0} does not exist; write a number from 100 to 599")]
    Status(u16),
    /// Requests out of order.
    #[error("offset_ns goes back from {0} to {1}; sort the requests by offset_ns")]
    Backwards(u64, u64),
    /// The session name holds characters that no name has.
    #[error("the session `{0}` holds control characters; use plain names such as s1")]
    Session(String),
    /// The endpoint label holds characters that no label has.
    #[error("the endpoint `{0}` is empty or holds control characters; leave it out")]
    Endpoint(String),
    /// The endpoint label is the name of all endpoints together.
    #[error(
        "the endpoint `{0}` is the name of all endpoints together; give it another, such as \
         `GET /{0}`"
    )]
    ReservedEndpoint(&'static str),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    offset_ns: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    session: String,
    method: Method,
    path: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latency_ns: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

/// Reads one line without its line break.
pub(super) fn parse(bytes: &[u8]) -> Result<Request, LineFault> {
    let request = read(bytes)?;
    check(&request)?;
    Ok(request)
}

/// Reads one line whose request may break the rules.
pub(super) fn read(bytes: &[u8]) -> Result<Request, LineFault> {
    let line: Line = from_json(bytes)?;
    let body = match (line.body, line.body_base64) {
        (Some(_), Some(_)) => {
            return Err(LineFault::Body(
                "body and body_base64 are both given; keep one",
            ));
        }
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| {
            LineFault::Body("body_base64 is not base64 with padding; encode it again")
        })?,
        (None, None) => Vec::new(),
    };
    let endpoint = line
        .endpoint
        .unwrap_or_else(|| endpoint(&line.method, &line.path));
    Ok(Request {
        offset_ns: line.offset_ns,
        session: line.session,
        method: line.method,
        path: line.path,
        headers: line.headers,
        body,
        expect_status: line.status,
        endpoint,
        recorded: Recorded {
            latency_ns: line.latency_ns,
            size_bytes: line.size_bytes,
        },
    })
}

/// Writes one request as a line with its line break, when it keeps the rules.
pub(super) fn encode(request: &Request) -> Result<String, LineFault> {
    check(request)?;
    let (body, body_base64) = match std::str::from_utf8(&request.body) {
        Ok("") => (None, None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(&request.body))),
    };
    let line = Line {
        offset_ns: request.offset_ns,
        session: request.session.clone(),
        method: request.method.clone(),
        path: request.path.clone(),
        headers: request.headers.clone(),
        body,
        body_base64,
        status: request.expect_status,
        endpoint: Some(request.endpoint.clone()),
        latency_ns: request.recorded.latency_ns,
        size_bytes: request.recorded.size_bytes,
    };
    let mut text = serde_json::to_string(&line).expect("strings and numbers always serialise");
    text.push('\n');
    if text.len() > LONGEST_LINE {
        return Err(LineFault::TooLong);
    }
    Ok(text)
}

/// JSON from the bytes of a line, with the cause in words when it is none.
pub(super) fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, LineFault> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| LineFault::Encoding(error.valid_up_to() + 1))?;
    serde_json::from_str(text).map_err(|error| {
        if error.is_eof() {
            return LineFault::CutOff;
        }
        // The parser counts lines inside the one that it was given.
        let cause = error
            .to_string()
            .replace(" at line 1 column ", " at column ");
        LineFault::Json(printable_cut(&without_values(&cause), 4 * QUOTED))
    })
}

/// What the parser says, without the texts that it quotes: they may be secrets. The name of a key
/// stays when it reads like one.
fn without_values(cause: &str) -> String {
    if let Some(rest) = cause.strip_prefix("unknown field `")
        && let Some((name, after)) = rest.rsplit_once("`, expected")
    {
        let name = if is_word_of_name(name) { name } else { "…" };
        return format!("unknown field `{name}`, expected{after}");
    }
    let quoted = cause.split_once("string \"").and_then(|(before, rest)| {
        let (_, after) = rest.rsplit_once('"')?;
        Some(format!("{before}string …{after}"))
    });
    quoted.unwrap_or(cause.to_owned())
}

/// Foreign text in a message: safe to print, its secrets hidden.
fn quoted(text: &str) -> String {
    printable_cut(&masked(text), QUOTED)
}

/// The rules that each request keeps, whoever made it.
pub(super) fn check(request: &Request) -> Result<(), LineFault> {
    check_path(&request.path)?;
    for (name, value) in &request.headers {
        let refuse = |why| Err(LineFault::Header(quoted(name), why));
        if !headers::is_name(name) {
            return refuse("has a name that HTTP does not allow; leave it out");
        }
        if !headers::is_value(value) {
            return refuse("holds a line break or control character; leave it out");
        }
        if headers::is_framing(name) {
            return refuse("is written by proofload itself; leave it out");
        }
        if headers::is_credential(name) {
            return refuse("may hold credentials, which are never replayed; pass --header @FILE");
        }
    }
    match request.expect_status {
        Some(status) if !(100..=599).contains(&status) => return Err(LineFault::Status(status)),
        _ => {}
    }
    let has_control = |text: &str| text.chars().any(char::is_control);
    if has_control(&request.session) {
        let shown = quoted(&request.session);
        return Err(LineFault::Session(shown));
    }
    if request.endpoint.trim().is_empty() || has_control(&request.endpoint) {
        let shown = quoted(&request.endpoint);
        return Err(LineFault::Endpoint(shown));
    }
    if request.endpoint.trim() == ALL_ENDPOINTS {
        return Err(LineFault::ReservedEndpoint(ALL_ENDPOINTS));
    }
    Ok(())
}

/// Whether the text can stand as path and query in a request line.
fn check_path(path: &str) -> Result<(), LineFault> {
    let why = if path.starts_with("http://") || path.starts_with("https://") {
        "is a whole URL; keep what comes after the host, the target gives the rest"
    } else if !path.starts_with('/') {
        "does not begin with `/`; write path and query, such as /users/1?x=2"
    } else if path.contains('#') {
        "has a fragment, which is never sent; cut it off at `#`"
    } else if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        "holds a space, line break or other character; percent-encode it"
    } else {
        return Ok(());
    };
    Err(LineFault::Path(quoted(path), why))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    #[test]
    fn a_short_line_is_enough_and_the_rest_is_derived() {
        let request = parse(br#"{"offset_ns":7,"method":"GET","path":"/users/1?x=2"}"#).unwrap();
        assert_eq!(request.endpoint, "GET /users/{id}");
        assert_eq!((request.offset_ns, request.session.as_str()), (7, ""));
        assert!(request.body.is_empty() && request.expect_status.is_none());
    }

    /// Lines that are refused, and what is said of each.
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn bad_lines() -> Vec<(String, &'static str)> {
        let with = |more: &str| format!(r#"{{"offset_ns":0,"method":"GET",{more}}}"#);
        vec![
            (
                r#"{"offset_ns":NaN,"method":"GET","path":"/"}"#.to_owned(),
                "column 14",
            ),
            (
                r#"{"offset_ns":-1,"method":"GET","path":"/"}"#.to_owned(),
                "integer `-1`",
            ),
            (
                r#"{"offset_ns":1.5,"method":"GET","path":"/"}"#.to_owned(),
                "floating point",
            ),
            (
                r#"{"method":"GET","path":"/"}"#.to_owned(),
                "missing field `offset_ns`",
            ),
            (
                r#"{"offset_ns":0,"method":"G T","path":"/"}"#.to_owned(),
                "`G T`",
            ),
            (r#"{"offset_ns":0,"meth"#.to_owned(), "cut off"),
            ("[]".to_owned(), "invalid length"),
            (with(r#""path":"/","colour":1"#), "unknown field `colour`"),
            (with(r#""path":"/","path":"/""#), "duplicate field `path`"),
            (with(r#""path":"users""#), "does not begin with `/`"),
            (with(r#""path":"http://evil/""#), "whole URL"),
            (with(r#""path":"/a b""#), "percent-encode"),
            (with(r#""path":"/\r\nX: y""#), "/\\r\\nX: y"),
            (with(r#""path":"/\u0000""#), "percent-encode"),
            (with(r#""path":"/a#b""#), "fragment"),
            (
                with(r#""path":"/","headers":[["X-Api-Key","hunter2"]]"#),
                "--header @FILE",
            ),
            (with(r#""path":"/","headers":[["a\nb","c"]]"#), "a\\nb"),
            (
                with(r#""path":"/","headers":[["a","b\r\nc"]]"#),
                "line break",
            ),
            (
                with(r#""path":"/","headers":[["Content-Length","1"]]"#),
                "proofload itself",
            ),
            (
                with(r#""path":"/","headers":[["AUTHORIZATION","x"]]"#),
                "never replayed",
            ),
            (
                with(r#""path":"/","body":"a","body_base64":"YQ==""#),
                "keep one",
            ),
            (with(r#""path":"/","body_base64":"?""#), "not base64"),
            (with(r#""path":"/","status":99"#), "100 to 599"),
            (with(r#""path":"/","session":"\u001b[2J""#), "\\x1b"),
            (with(r#""path":"/","endpoint":"""#), "leave it out"),
            (with(r#""path":"users?token=hunter2""#), "users?token=***"),
            (with(r#""path":"/","status":"hunter2""#), "string …"),
            (
                with(r#""path":"/","a`b \"hunter2\"":1"#),
                "unknown field `…`",
            ),
            (
                with(r#""path":"/","session":"\u001btoken=hunter2""#),
                "control",
            ),
            (
                with(r#""path":"/","endpoint":"workload""#),
                "all endpoints together; give it another",
            ),
        ]
    }

    #[test]
    fn each_bad_line_says_what_is_wrong_and_what_to_do() {
        for (line, said) in bad_lines() {
            let fault = parse(line.as_bytes()).unwrap_err().to_string();
            assert!(fault.contains(said), "{line}: {fault}");
            assert!(!fault.contains(['\r', '\n', '\x1b', '\0']), "{fault:?}");
            assert!(!fault.contains("hunter2"), "{fault:?}");
        }
        let fault = parse(b"{\"offset_ns\":0,\xff").unwrap_err();
        assert_eq!(fault, LineFault::Encoding(16));
    }

    #[test]
    fn nesting_without_end_is_refused_not_followed() {
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
        let deep = format!(r#"{{"x":{}"#, r#"{"a":"#.repeat(1_000_000));
        assert!(parse(deep.as_bytes()).is_err());
    }

    prop_compose! {
        fn requests()(
            offset_ns in any::<u64>(),
            session in "[^\\p{Cc}]{0,8}",
            method in "[A-Z]{1,8}",
            path in "/[!-\"$-~]{0,30}",
            // Other names may be those of credentials, which are refused.
            headers in vec(("x-[0-9]{1,8}", "[ -~é日]{0,20}"), 0..4),
            body in prop_oneof![vec(any::<u8>(), 0..40), any::<String>().prop_map(Into::into)],
            expect_status in option::of(100_u16..=599),
            latency_ns in option::of(any::<u64>()),
            endpoint in "[A-Z]{3} /[^\\p{Cc}]{0,9}",
        ) -> Request {
            Request {
                offset_ns, session, path, headers, body, expect_status, endpoint,
                method: Method::try_from(method).unwrap(),
                recorded: Recorded { latency_ns, size_bytes: latency_ns },
            }
        }
    }

    proptest! {
        #[test]
        fn any_valid_request_survives_writing_and_reading(request in requests()) {
            let line = encode(&request).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(parse(line.trim_end().as_bytes()).unwrap(), request);
        }
    }
}
