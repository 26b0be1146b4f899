//! Requests as bytes, made before their instant and never on a sending thread.

use std::sync::Arc;

use super::{hpack::Block, http1::Asked};
use crate::workload::{Protocol, Request, Scheme, Target};

/// One request, ready for each side of the run.
#[derive(Debug)]
pub(super) struct Card {
    /// Index of its endpoint.
    pub(super) endpoint: u32,
    /// The recorded status, if there was one.
    pub(super) expect_status: Option<u16>,
    /// What its answer's framing depends on.
    pub(super) asked: Asked,
    /// Whether sending it twice does no harm.
    pub(super) is_repeatable: bool,
    /// What is written to each side.
    pub(super) wires: [Option<Wire>; 2],
}

impl Card {
    /// Bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let wires = self.wires.iter().flatten();
        wires.map(|wire| wire.bytes.len()).sum::<usize>() + size_of::<Self>()
    }
}

/// A request as one side gets it.
#[derive(Debug)]
pub(super) struct Wire {
    /// Head and body: HTTP/1.1 as it is written, or an HTTP/2 header block and then the body.
    pub(super) bytes: Box<[u8]>,
    /// How many of the bytes are the head.
    pub(super) head: usize,
}

/// Requests that shots name by their index.
#[derive(Debug, Default)]
pub(super) struct Deck {
    /// The requests.
    pub(super) cards: Vec<Arc<Card>>,
}

/// A deck as one thread holds it. What is in flight counts on it without anything atomic, since
/// no other thread does.
#[derive(Debug, Default)]
pub(super) struct Hand(pub(super) Arc<Deck>);

/// Which protocol a side is spoken to in, once that is decided.
pub(super) fn speaks_http2(target: &Target) -> bool {
    target.protocol == Protocol::Http2
}

/// What is the same for all requests to one side.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    base_path: String,
    authority: String,
    extra: Vec<(String, String)>,
    run_id: String,
    is_http2: bool,
    is_tls: bool,
}

/// Fields that belong to a connection and have no place in HTTP/2 (RFC 9113 section 8.2.2).
const HOP_BY_HOP: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "te",
    "http2-settings",
];

impl Encoder {
    /// An encoder for one side; its header fields replace recorded ones of the same name.
    pub(super) fn new(target: &Target, run_id: &str) -> Self {
        Self {
            base_path: target.base_path.clone(),
            authority: target.authority.clone(),
            extra: target.headers.clone(),
            run_id: run_id.to_owned(),
            is_http2: speaks_http2(target),
            is_tls: target.scheme == Scheme::Https,
        }
    }

    /// The request in this side's protocol.
    fn encode(&self, request: &Request) -> Wire {
        let path = format!("{}{}", self.base_path, request.path);
        let method = request.method.as_str();
        let mut bytes = if self.is_http2 {
            let mut block = Block::request(method, self.is_tls, &self.authority, &path);
            self.fields(request, |name, value| {
                let is_own = HOP_BY_HOP.iter().any(|own| name.eq_ignore_ascii_case(own));
                if !is_own {
                    block.field(name, value);
                }
            });
            block.into_bytes()
        } else {
            let authority = &self.authority;
            let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\n");
            self.fields(request, |name, value| {
                for part in [name, ": ", value, "\r\n"] {
                    head.push_str(part);
                }
            });
            head.push_str("\r\n");
            head.into_bytes()
        };
        let head = bytes.len();
        bytes.extend_from_slice(&request.body);
        let bytes = bytes.into_boxed_slice();
        Wire { bytes, head }
    }

    /// The recorded fields, the fields of this side, a length made from the body, and a mark by
    /// which operators can tell the load apart.
    fn fields(&self, request: &Request, mut field: impl FnMut(&str, &str)) {
        let overridden = |name: &str| {
            let mut own = self.extra.iter();
            own.any(|(own, _)| own.eq_ignore_ascii_case(name))
                || name.eq_ignore_ascii_case("host")
                || name.eq_ignore_ascii_case("content-length")
        };
        let mut agent = false;
        let recorded = request.headers.iter().filter(|(name, _)| !overridden(name));
        for (name, value) in recorded.chain(&self.extra) {
            field(name, value);
            agent |= name.eq_ignore_ascii_case("user-agent");
        }
        if !agent {
            let own = concat!("proofload/", env!("CARGO_PKG_VERSION"));
            field("user-agent", own);
        }
        field("x-proofload-run", &self.run_id);
        let method = request.method.as_str();
        if !request.body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            field("content-length", &request.body.len().to_string());
        }
    }
}

/// A request for all sides that there are.
pub(super) fn card(encoders: &[Option<Encoder>; 2], request: &Request, endpoint: u32) -> Card {
    let method = request.method.as_str();
    Card {
        endpoint,
        expect_status: request.expect_status,
        asked: Asked {
            head: method == "HEAD",
        },
        is_repeatable: matches!(method, "GET" | "HEAD" | "OPTIONS"),
        wires: encoders
            .each_ref()
            .map(|encoder| Some(encoder.as_ref()?.encode(request))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Method, Recorded};

    fn request() -> Request {
        Request {
            offset_ns: 0,
            session: String::new(),
            method: Method::try_from("POST".to_owned()).unwrap(),
            path: "/a?b=c".into(),
            headers: vec![
                ("x-tenant".into(), "a".into()),
                ("host".into(), "production.example".into()),
                ("Content-Length".into(), "99".into()),
                ("Keep-Alive".into(), "timeout=5".into()),
                ("accept".into(), "*/*".into()),
            ],
            body: b"hello".to_vec(),
            expect_status: None,
            endpoint: "POST /a".into(),
            recorded: Recorded::default(),
        }
    }

    fn target() -> Target {
        let mut target = Target::parse("http://staging.example:8080/base").unwrap();
        target
            .headers
            .push(("Authorization".into(), "Bearer staging".into()));
        target.headers.push(("X-Tenant".into(), "b".into()));
        target
    }

    #[test]
    fn side_headers_replace_recorded_ones_and_the_length_is_our_own() {
        let encoders = [None, Some(Encoder::new(&target(), "r1"))];
        let card = card(&encoders, &request(), 0);
        let wire = card.wires[1].as_ref().unwrap();
        let text = String::from_utf8(wire.bytes.to_vec()).unwrap();
        assert!(text.starts_with("POST /base/a?b=c HTTP/1.1\r\nhost: staging.example:8080\r\n"));
        assert!(text.ends_with("content-length: 5\r\n\r\nhello"), "{text}");
        assert!(text[..wire.head].ends_with("\r\n\r\n"));
        assert!(
            text.contains("X-Tenant: b\r\n") && !text.contains("x-tenant: a"),
            "{text}"
        );
        assert!(
            !text.contains("production") && !text.contains("99"),
            "{text}"
        );
        assert!(!card.is_repeatable && card.wires[0].is_none());
    }

    #[test]
    fn http2_has_lower_case_names_and_nothing_of_a_connection() {
        let mut target = target();
        target.protocol = Protocol::Http2;
        let encoders = [Some(Encoder::new(&target, "r1")), None];
        let card = card(&encoders, &request(), 0);
        let wire = card.wires[0].as_ref().unwrap();
        let (head, body) = wire.bytes.split_at(wire.head);
        assert_eq!(body, b"hello");
        assert!(
            head.starts_with(&[0x83, 0x86, 0x01]),
            "POST, http, authority"
        );
        let text = String::from_utf8_lossy(head);
        for part in [
            "/base/a?b=c",
            "staging.example:8080",
            "x-tenant",
            "content-length",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        for part in ["X-Tenant", "eep-", "host", "production"] {
            assert!(!text.contains(part), "{part}: {text}");
        }
    }
}
