//! The address of a recorded request as its host and its path, byte for byte where HTTP allows.
//!
//! Unlike a browser's parser this one changes nothing: `/a/../b` stays, because that is what the
//! client asked for. Bytes that may not stand in a request line are percent-encoded.

use super::gather::Rejected::{self, Malformed, Policy};

/// Where a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Uri {
    /// Host and explicit port in lower case; empty where only a path was recorded.
    pub(super) host: String,
    /// Path and query, beginning with `/`, without a fragment.
    pub(super) path: String,
}

/// Reads a path, or an absolute URL.
pub(super) fn parse(text: &[u8]) -> Result<Uri, Rejected> {
    let text = text.split(|byte| *byte == b'#').next().unwrap_or_default();
    if text.first() == Some(&b'/') {
        let (host, path) = (String::new(), encode(text));
        return Ok(Uri { host, path });
    }
    if text == b"*" {
        return Err(Policy("OPTIONS *, which asks for no path"));
    }
    let text = std::str::from_utf8(text).map_err(|_| Malformed("its address is no text"))?;
    let (scheme, rest) = text
        .split_once("://")
        .ok_or(Malformed("its address is neither a path nor a URL"))?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => {}
        "ws" | "wss" => return Err(Policy("WebSocket")),
        _ => return Err(Policy("not HTTP")),
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let mut path = encode(path.as_bytes());
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    // What stands before the host is a user name with a password.
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host_of(host).ok_or(Malformed("its URL names no host"))?;
    Ok(Uri { host, path })
}

/// A host as a `Host` field or a URL has it, in lower case and without the port of its scheme.
pub(super) fn host_of(text: &str) -> Option<String> {
    let host = text.trim().to_ascii_lowercase();
    let plain = |c: char| c.is_alphanumeric() || "-._~%[]:".contains(c);
    let short = host.strip_suffix(":80").or(host.strip_suffix(":443"));
    let host = short.map_or(host.clone(), str::to_owned);
    (!host.is_empty() && host.len() <= 255 && host.chars().all(plain)).then_some(host)
}

/// The bytes as they may stand in a request line.
pub(super) fn encode(text: &[u8]) -> String {
    encode_also(text, b"")
}

/// As [`encode`], of a text that a server has decoded: these bytes are percent-encoded as well.
pub(super) fn encode_also(text: &[u8], also: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_graphic() && !also.contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_and_urls_lose_their_host() {
        for (text, host, path) in [
            ("/a/../b?x=%20\"{|}", "", "/a/../b?x=%20\"{|}"),
            ("/é b", "", "/%C3%A9%20b"),
            ("/a#top", "", "/a"),
            ("//evil.example/x", "", "//evil.example/x"),
            ("http://Shop.example:80/a?b", "shop.example", "/a?b"),
            ("HTTPS://u:p@shop.example:8443", "shop.example:8443", "/"),
            ("https://shop.example?q=1", "shop.example", "/?q=1"),
            ("http://[::1]:8080/", "[::1]:8080", "/"),
        ] {
            let uri = parse(text.as_bytes()).unwrap();
            assert_eq!((uri.host.as_str(), uri.path.as_str()), (host, path));
        }
        assert_eq!(parse(b"/\xff").unwrap().path, "/%FF");
    }

    #[test]
    fn what_is_no_address_says_why() {
        for (text, said) in [
            ("*", "OPTIONS *"),
            ("wss://a.example/", "WebSocket"),
            ("ftp://a.example/", "not HTTP"),
            ("a.example:443", "neither a path nor a URL"),
            ("", "neither a path nor a URL"),
            ("http:///a", "names no host"),
            ("http://a b/", "names no host"),
        ] {
            let (Policy(reason) | Malformed(reason)) = parse(text.as_bytes()).unwrap_err();
            assert!(reason.contains(said), "{text}: {reason}");
        }
    }
}
