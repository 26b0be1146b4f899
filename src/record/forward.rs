//! What may be passed on, and in which form: decisions on heads of messages, without a socket.
//!
//! The recorder is no open proxy: it serves one upstream, whatever a request line names. Fields of
//! the hop stay behind (RFC 9110, section 7.6.1), everything else goes through as it came.

use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST, HeaderName, HeaderValue,
        TE, TRANSFER_ENCODING, UPGRADE,
    },
    http::uri::{Authority, Parts, Scheme},
};

use super::exchange::reason;

/// Why a request is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// How it is counted.
    pub(super) reason: &'static str,
    /// What its client is told.
    pub(super) text: &'static str,
}

const TUNNEL: Refusal = Refusal {
    reason: reason::CONNECT,
    text: "proofload record opens no tunnels; it forwards to one upstream only\n",
};
const ELSEWHERE: Refusal = Refusal {
    reason: reason::OTHER_HOST,
    text: "proofload record forwards to one upstream only, not to the host of this request line\n",
};

/// The names under which the recorder may be asked for with a whole URL.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnNames(Vec<String>);

impl OwnNames {
    /// These hosts, each with its port where that is not the one of its scheme.
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| plain(&name)).collect())
    }

    fn has(&self, authority: &Authority) -> bool {
        let asked = plain(authority.as_str());
        self.0.contains(&asked)
    }
}

/// A host with its port, without the ports that need not be written.
fn plain(authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let name = lower
        .strip_suffix(":80")
        .or_else(|| lower.strip_suffix(":443"));
    name.unwrap_or(&lower).to_owned()
}

/// Why a request must not be passed on; `None` when it may.
pub(super) fn refusal<B>(request: &Request<B>, own: &OwnNames) -> Option<Refusal> {
    if request.method() == Method::CONNECT {
        return Some(TUNNEL);
    }
    // In HTTP/2 each request names a host, which is no more than a Host field.
    let named = request
        .uri()
        .authority()
        .filter(|_| request.version() != Version::HTTP_2);
    named
        .filter(|authority| !own.has(authority))
        .map(|_| ELSEWHERE)
}

/// Whether a request asks to leave HTTP behind. HTTP/2 without TLS is not entered that way: what
/// is inside could no longer be seen.
pub(super) fn asks_for_upgrade(headers: &HeaderMap, version: Version) -> bool {
    let named = names(headers, &CONNECTION).any(|name| name == "upgrade");
    let wanted = headers.get(UPGRADE).map(HeaderValue::as_bytes);
    let is_http2 = |wanted: &[u8]| wanted.to_ascii_lowercase().starts_with(b"h2c");
    version == Version::HTTP_11 && named && wanted.is_some_and(|wanted| !is_http2(wanted))
}

/// Whether a request waits for permission before it sends its body.
pub(super) fn waits_for_permission(headers: &HeaderMap, version: Version) -> bool {
    let waits = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    version == Version::HTTP_11 && headers.get(EXPECT).is_some_and(waits)
}

/// The fields without those of the hop, in their order. An upgrade needs two of them.
pub(super) fn end_to_end(headers: &HeaderMap, is_upgrade: bool) -> HeaderMap {
    let hop: Vec<String> = names(headers, &CONNECTION).collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if *name == TE {
            // The one value that says something of the answer and not of the connection.
            if names(headers, &TE).any(|coding| coding == "trailers") && !kept.contains_key(TE) {
                kept.append(TE, HeaderValue::from_static("trailers"));
            }
        } else if is_upgrade && *name == UPGRADE {
            kept.append(UPGRADE, value.clone());
        } else if !is_of_the_hop(name) && !hop.iter().any(|hop| name == hop.as_str()) {
            kept.append(name, value.clone());
        }
    }
    if is_upgrade {
        kept.append(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    kept
}

fn is_of_the_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// The members of a list field, in lower case.
fn names(headers: &HeaderMap, field: &HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(field).iter();
    values.flat_map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        let names = text.split(',').map(|name| name.trim().to_owned());
        names.collect::<Vec<_>>()
    })
}

/// The host that a request asks for: of its URL, else of its Host field.
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
    let named = uri
        .authority()
        .map(|authority| HeaderValue::from_str(authority.as_str()));
    match named {
        Some(Ok(value)) => Some(value),
        _ => headers.get(HOST).cloned(),
    }
}

/// Gives a request the form that HTTP/1.1 has for an origin server: a path, and a Host field.
pub(super) fn for_http1<B>(request: &mut Request<B>, host: &HeaderValue, has_length: bool) {
    if request.version() == Version::HTTP_2 {
        join_cookies(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    let path = request.uri().path_and_query().cloned();
    let mut parts = Parts::default();
    parts.path_and_query = path;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    request.headers_mut().insert(HOST, host.clone());
    if !has_length && !request.headers().contains_key(CONTENT_LENGTH) {
        // Left to itself, the client would send no body with a GET.
        request
            .headers_mut()
            .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Makes one `Cookie` field of several: HTTP/2 may divide it, and outside of HTTP/2 applications
/// read the first one only (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let fields: Vec<&[u8]> = fields.collect();
    if fields.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&fields.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

/// Gives a request the form of HTTP/2: a whole URL, and no Host field.
pub(super) fn for_http2<B>(request: &mut Request<B>, host: &HeaderValue, scheme: Scheme) {
    *request.version_mut() = Version::HTTP_2;
    let mut parts = Parts::default();
    parts.path_and_query = request.uri().path_and_query().cloned();
    parts.authority = Authority::try_from(host.as_bytes()).ok();
    parts.scheme = Some(scheme);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    for name in [HOST, TRANSFER_ENCODING, EXPECT] {
        request.headers_mut().remove(name);
    }
}

/// Why an exchange cannot be replayed, told by the head of its answer.
pub(super) fn not_replayable(headers: &HeaderMap) -> Option<&'static str> {
    let kind = headers.get(CONTENT_TYPE)?.as_bytes().to_ascii_lowercase();
    if kind.starts_with(b"text/event-stream") {
        Some(reason::EVENT_STREAM)
    } else if kind.starts_with(b"application/grpc") {
        Some(reason::GRPC)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, version: Version) -> Request<()> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .version(version);
        request.header(HOST, "evil.example").body(()).unwrap()
    }

    fn fields(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn shown(map: &HeaderMap) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        map.iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn only_the_recorder_itself_may_stand_in_a_request_line() {
        let names = ["127.0.0.1:8080", "app.example:80"].map(str::to_owned);
        let own = OwnNames::new(names);
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (method, target, version, refused) in [
            ("GET", "/", one, None),
            ("OPTIONS", "*", one, None),
            ("GET", "http://127.0.0.1:8080/a", one, None),
            ("GET", "http://APP.example/a", one, None),
            ("GET", "http://app.example:80/a", one, None),
            ("GET", "http://evil.example/a", one, Some(ELSEWHERE)),
            ("GET", "http://127.0.0.1:8081/", one, Some(ELSEWHERE)),
            ("GET", "http://127.0.0.1/", one, Some(ELSEWHERE)),
            ("GET", "http://x@app.example/", one, Some(ELSEWHERE)),
            (
                "GET",
                "http://app.example@evil.example/",
                one,
                Some(ELSEWHERE),
            ),
            (
                "GET",
                "http://app.example.evil.example/",
                one,
                Some(ELSEWHERE),
            ),
            (
                "GET",
                "https://169.254.169.254/latest",
                one,
                Some(ELSEWHERE),
            ),
            (
                "GET",
                "http://evil.example/",
                Version::HTTP_10,
                Some(ELSEWHERE),
            ),
            ("GET", "http://anything.example/", two, None),
            ("CONNECT", "app.example:80", one, Some(TUNNEL)),
            ("CONNECT", "evil.example:443", one, Some(TUNNEL)),
            ("CONNECT", "evil.example:443", two, Some(TUNNEL)),
        ] {
            let found = refusal(&request(method, target, version), &own);
            assert_eq!(found, refused, "{method} {target}");
        }
    }

    #[test]
    fn fields_of_the_hop_stay_behind_and_all_others_keep_their_order() {
        let map = fields(&[
            ("b", "1"),
            ("connection", "keep-alive, X-Hop"),
            ("a", "2"),
            ("x-hop", "3"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("trailer", "x-sum"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("b", "4"),
        ]);
        let kept = shown(&end_to_end(&map, false));
        let wanted = [
            ("b", "1"),
            ("b", "4"),
            ("a", "2"),
            ("te", "trailers"),
            ("trailer", "x-sum"),
        ];
        assert_eq!(
            kept,
            wanted.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        let kept = end_to_end(&map, true);
        assert_eq!(
            (&kept[UPGRADE], &kept[CONNECTION]),
            (&"websocket".parse().unwrap(), &"Upgrade".parse().unwrap())
        );
    }

    #[test]
    fn an_upgrade_is_one_to_something_else_than_http() {
        for (connection, upgrade, version, is_one) in [
            ("Upgrade", "websocket", Version::HTTP_11, true),
            ("keep-alive, upgrade", "WebSocket", Version::HTTP_11, true),
            ("keep-alive", "websocket", Version::HTTP_11, false),
            ("Upgrade, HTTP2-Settings", "h2c", Version::HTTP_11, false),
            ("upgrade", "H2C, foo", Version::HTTP_11, false),
            ("upgrade", "websocket", Version::HTTP_10, false),
        ] {
            let map = fields(&[("connection", connection), ("upgrade", upgrade)]);
            assert_eq!(
                asks_for_upgrade(&map, version),
                is_one,
                "{connection} {upgrade}"
            );
        }
        assert!(!asks_for_upgrade(
            &fields(&[("connection", "upgrade")]),
            Version::HTTP_11
        ));
    }

    #[test]
    fn a_request_takes_the_form_of_the_protocol_that_is_spoken() {
        let host = HeaderValue::from_static("app.example:8080");
        let mut one = request("GET", "http://other.example/a%2Fb?c=%20", Version::HTTP_2);
        for_http1(&mut one, &host, false);
        assert_eq!(one.uri(), "/a%2Fb?c=%20");
        assert_eq!(
            (&one.headers()[HOST], one.version()),
            (&host, Version::HTTP_11)
        );
        assert_eq!(one.headers()[TRANSFER_ENCODING], "chunked");
        let mut two = request("GET", "/a?b", Version::HTTP_11);
        for_http2(&mut two, &host, Scheme::HTTP);
        assert_eq!(two.uri(), "http://app.example:8080/a?b");
        assert!(!two.headers().contains_key(HOST));
        let mut whole = request("OPTIONS", "*", Version::HTTP_11);
        for_http1(&mut whole, &host, true);
        assert_eq!(whole.uri(), "*");
        assert!(!whole.headers().contains_key(TRANSFER_ENCODING));
    }

    #[test]
    fn streams_without_an_end_are_told_by_their_content_type() {
        for (kind, reason) in [
            ("text/event-stream", Some(reason::EVENT_STREAM)),
            (
                "Text/Event-Stream; charset=utf-8",
                Some(reason::EVENT_STREAM),
            ),
            ("application/grpc+proto", Some(reason::GRPC)),
            ("text/html", None),
        ] {
            assert_eq!(not_replayable(&fields(&[("content-type", kind)])), reason);
        }
        assert_eq!(not_replayable(&HeaderMap::new()), None);
    }
}
