//! Where requests go: the base URL of a deployment, the address it was pinned to, and the
//! protocol that is spoken there.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::Header;

/// How the target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// Which version of HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Over TLS what the server picks of HTTP/2 and HTTP/1.1, plain HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; plain with prior knowledge.
    Http2,
}

impl Protocol {
    /// What is offered to a TLS server, the preferred one first.
    pub fn alpn(self) -> &'static [&'static str] {
        match self {
            Self::Auto => &["h2", "http/1.1"],
            Self::Http1 => &["http/1.1"],
            Self::Http2 => &["h2"],
        }
    }

    /// The name of the setting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

/// What connections are made to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A deployment under test: where it is and what each request to it carries besides.
#[derive(Debug, Clone)]
pub struct Target {
    /// The URL as given, without credentials, query and fragment.
    pub url: Url,
    /// Plain or TLS.
    pub scheme: Scheme,
    /// The host name or address, without brackets.
    pub host: String,
    /// The port, explicit or by scheme.
    pub port: u16,
    /// What stands in the `Host` header.
    pub authority: String,
    /// The path that is put before every recorded path; empty or `/x` without a final slash.
    pub base_path: String,
    /// The address all connections of a run go to; resolved once, before the run. That of a
    /// Unix socket is known from its URL.
    pub address: Option<Address>,
    /// The version of HTTP.
    pub protocol: Protocol,
    /// Header fields added to each request, such as staging credentials; never stored.
    pub headers: Vec<Header>,
}

/// Why a target URL cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not a URL at all.
    #[error("`{0}` is not a URL ({1}); write http://HOST:PORT or https://HOST")]
    Syntax(String, String),
    /// A scheme that this tool does not speak.
    #[error("`{0}` has the scheme `{1}`; only http, https and unix can be tested")]
    Scheme(String, String),
    /// Credentials inside the URL would end up in reports.
    #[error("the URL for {0} holds a user name or password; pass them with --header @FILE")]
    Credentials(String),
    /// Query or fragment make no sense on a base URL.
    #[error("the URL `{0}…` has a query or a fragment; give the base URL only")]
    Query(String),
    /// A Unix socket without an absolute path, or with one that no socket can have.
    #[error("`{0}` names no Unix socket: {1}; write unix:///run/app.sock")]
    Socket(String, &'static str),
}

/// The kernel takes no longer path for a Unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;

impl Target {
    /// Reads a base URL, `http://…`, `https://…` or `unix:///path`; resolves nothing.
    ///
    /// # Errors
    /// When the URL cannot be parsed or holds more than scheme, host, port and path.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        // A scheme may be written in capitals.
        let scheme = text.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("unix") {
            return Self::socket(text);
        }
        let url = Url::parse(text)
            .map_err(|error| TargetError::Syntax(shown(text), error.to_string()))?;
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => return Err(TargetError::Scheme(shown(text), other.to_owned())),
        };
        let syntax = || TargetError::Syntax(shown(text), "no host".to_owned());
        let host = url
            .host_str()
            .ok_or_else(syntax)?
            .trim_matches(['[', ']'])
            .to_owned();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::Credentials(host));
        }
        if url.query().is_some() || url.fragment().is_some() {
            let base = text.split(['?', '#']).next().unwrap_or_default();
            return Err(TargetError::Query(shown(base)));
        }
        let port = url.port_or_known_default().ok_or_else(syntax)?;
        let shown = url.host_str().ok_or_else(syntax)?;
        let authority = url
            .port()
            .map_or(shown.to_owned(), |port| format!("{shown}:{port}"));
        let base_path = url.path().trim_end_matches('/').to_owned();
        let headers = Vec::new();
        Ok(Self {
            url,
            scheme,
            host,
            port,
            authority,
            base_path,
            address: None,
            protocol: Protocol::default(),
            headers,
        })
    }

    /// A Unix socket. Its path is taken as it is written: nothing is decoded or normalised.
    fn socket(text: &str) -> Result<Self, TargetError> {
        let wrong = |why| TargetError::Socket(shown(text), why);
        let path = text[4..].strip_prefix("://").unwrap_or_default();
        if !path.starts_with('/') {
            return Err(wrong("its path is not absolute"));
        }
        if path.contains(['?', '#']) {
            return Err(TargetError::Query(shown(text)));
        }
        if path.ends_with('/') || path.contains('\0') {
            return Err(wrong("that is no path of a file"));
        }
        if path.len() > SOCKET_PATH_MAX {
            return Err(wrong("the path of a socket has at most 107 bytes"));
        }
        let url = Url::parse(&format!("unix://{path}"))
            .map_err(|error| TargetError::Syntax(shown(text), error.to_string()))?;
        Ok(Self {
            url,
            scheme: Scheme::Http,
            host: "localhost".to_owned(),
            port: 80,
            authority: "localhost".to_owned(),
            base_path: String::new(),
            address: Some(Address::Unix(PathBuf::from(path))),
            protocol: Protocol::default(),
            headers: Vec::new(),
        })
    }

    /// Whether it is a Unix socket of this machine.
    pub fn is_socket(&self) -> bool {
        matches!(self.address, Some(Address::Unix(_)))
    }

    /// The value of a field that says where a request comes from: of a place on the recorded host,
    /// which is stored without it, the same place here. `None` of any other field.
    pub fn placed(&self, name: &str, value: &str) -> Option<String> {
        let is = |own: &str| name.eq_ignore_ascii_case(own);
        if !value.starts_with('/') || !(is("referer") || is("origin")) {
            return None;
        }
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let origin = format!("{scheme}://{}", self.authority);
        Some(if is("origin") {
            origin
        } else {
            [&origin, &self.base_path, value].concat()
        })
    }

    /// The URL of a path on it, with a scheme that every HTTP client knows.
    pub fn http_url(&self, path: &str) -> String {
        let base = match &self.address {
            Some(Address::Unix(_)) => "http://localhost",
            _ => self.url.as_str().trim_end_matches('/'),
        };
        format!("{base}{path}")
    }
}

/// The text for an error: what may be a user name or password is left out, even where the
/// rest is no URL.
fn shown(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(at)) if at > start => {
            format!("{}://…{}", &text[..start], &text[at..])
        }
        (None, Some(at)) => format!("…{}", &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_scheme_host_port_and_path() {
        let target = Target::parse("https://[::1]:8443/api/").unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8443));
        assert_eq!(target.authority, "[::1]:8443");
        assert_eq!(target.base_path, "/api");
        let target = Target::parse("http://staging.example").unwrap();
        assert_eq!(
            (target.port, target.authority.as_str()),
            (80, "staging.example")
        );
        assert_eq!(target.base_path, "");
    }

    #[test]
    fn a_unix_socket_is_a_target_with_an_address_from_the_start() {
        let target = Target::parse("unix:///run/my app.sock").unwrap();
        let path = PathBuf::from("/run/my app.sock");
        assert_eq!(target.address, Some(Address::Unix(path)));
        assert_eq!(
            (target.scheme, target.authority.as_str()),
            (Scheme::Http, "localhost")
        );
        assert_eq!((target.base_path.as_str(), target.is_socket()), ("", true));
        assert_eq!(target.http_url("/x?y"), "http://localhost/x?y");
        assert_eq!(target.address.unwrap().to_string(), "unix:/run/my app.sock");
        for text in [
            "unix://run/app.sock",
            "unix:app.sock",
            "unix:/run/app.sock",
            "unix://",
            "unix:///",
            "unix:///run/?q",
            "unix:///run/a\0b",
            &format!("unix:///{}", "x".repeat(107)),
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        let error = Target::parse("unix://app.sock").unwrap_err().to_string();
        assert!(error.contains("unix:///run/app.sock"), "{error}");
    }

    #[test]
    fn addresses_read_as_people_write_them() {
        let tcp = |text: &str| Address::Tcp(text.parse().unwrap()).to_string();
        assert_eq!(tcp("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(tcp("[::1]:80"), "[::1]:80");
    }

    #[test]
    fn what_is_more_than_a_base_url_is_refused() {
        for text in [
            "nonsense",
            "ftp://x/",
            "http://u:p@x/",
            "http://x/?q",
            "http://x/#f",
            "http://",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
        let secret = Target::parse("http://u:hunter2@x/")
            .unwrap_err()
            .to_string();
        assert!(!secret.contains("hunter2"), "{secret}");
    }
}
