//! Where requests go: the base URL of a deployment, and the address it was pinned to.

use std::net::SocketAddr;

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
    /// The address all connections of a run go to; resolved once, before the run.
    pub address: Option<SocketAddr>,
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
    #[error("`{0}` has the scheme `{1}`; only http and https can be tested")]
    Scheme(String, String),
    /// Credentials inside the URL would end up in reports.
    #[error("the URL for {0} holds a user name or password; pass them with --header @FILE")]
    Credentials(String),
    /// Query or fragment make no sense on a base URL.
    #[error("`{0}` has a query or a fragment; give the base URL only")]
    Query(String),
}

impl Target {
    /// Reads a base URL; resolves nothing.
    ///
    /// # Errors
    /// When the URL cannot be parsed or holds more than scheme, host, port and path.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
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
            return Err(TargetError::Query(shown(text)));
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
            headers,
        })
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
