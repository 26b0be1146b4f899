//! One recorded request: the plain data that every importer makes and the engine sends.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::redact::masked;

/// An HTTP method: a token of at most 32 characters, upper case as recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method(Cow<'static, str>);

/// Methods that take no memory of their own, since a recording has many requests and few methods.
const COMMON: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"];

impl Method {
    /// `GET`.
    pub fn get() -> Self {
        Self(Cow::Borrowed("GET"))
    }

    /// The method as written on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether RFC 9110 calls the method safe: it is not meant to change anything.
    pub fn is_safe(&self) -> bool {
        matches!(self.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE")
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !text.is_empty() && text.len() <= 32 && text.bytes().all(token) && text != "CONNECT" {
            let common = COMMON.iter().find(|it| **it == text);
            Ok(Self(
                common.map_or(Cow::Owned(text), |it| Cow::Borrowed(*it)),
            ))
        } else {
            Err(format!(
                "`{}` is not a method that can be replayed",
                masked(&text).escape_debug()
            ))
        }
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.0.into_owned()
    }
}

/// One header field, name and value as recorded; both are free of CR, LF and NUL.
pub type Header = (String, String);

/// What the recording saw as the answer; used to tell a stale recording, never to judge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Time from request to the end of the answer, in nanoseconds.
    pub latency_ns: Option<u64>,
    /// The size of the answer's body as transferred, in bytes.
    pub size_bytes: Option<u64>,
}

/// One request of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was sent, in nanoseconds after the first request of the workload.
    pub offset_ns: u64,
    /// The recorded client it belongs to; requests of a session keep their order.
    pub session: String,
    /// The method.
    pub method: Method,
    /// Path and query in origin form, beginning with `/`; never a host.
    pub path: String,
    /// Header fields in order, without host, hop-by-hop, framing and credential fields.
    pub headers: Vec<Header>,
    /// The body, not encoded in any way; empty for none.
    pub body: Vec<u8>,
    /// The status of the recorded answer; the same status counts as success.
    pub expect_status: Option<u16>,
    /// The unit that is judged: method and path template, such as `GET /users/{id}`.
    pub endpoint: String,
    /// What the recording saw of the answer.
    pub recorded: Recorded,
}
