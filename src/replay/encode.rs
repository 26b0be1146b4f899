//! Requests as bytes, made before their instant and never on a sending thread.

use std::sync::Arc;

use super::{caught::Keeps, hpack::Block, http1::Asked};
use crate::{
    run::Side,
    workload::{
        Protocol, RUN_FIELD, Request, Scheme, Target, USER_AGENT,
        rules::{Rules, Template},
    },
};

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
    /// Whether it is known whose it was.
    pub(super) has_session: bool,
    /// Its path, where its client may have cookies.
    pub(super) session_path: Option<Box<str>>,
    /// What goes from answers to requests; absent where nothing does.
    pub(super) carries: Option<Box<Carries>>,
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

/// What a request takes from earlier answers, and what later requests take from its own.
#[derive(Debug)]
pub(super) struct Carries {
    /// The request with places for values; absent where it needs none.
    pub(super) template: Option<Template>,
    /// The rules that look into its answer, by index.
    pub(super) gives: Vec<usize>,
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
    target: Target,
    extra: Vec<(String, String)>,
    /// The cookies of each request to this side: the field as it was given.
    cookie: Option<(String, String)>,
    run_id: String,
    is_http2: bool,
    is_tls: bool,
    /// The first digit of trace identifiers: both sides may report to one place.
    trace_digit: char,
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
    pub(super) fn new(target: &Target, run_id: &str, side: Side) -> Self {
        let is_cookie = |(name, _): &(String, String)| name.eq_ignore_ascii_case("cookie");
        let (cookies, extra): (Vec<_>, Vec<_>) =
            target.headers.iter().cloned().partition(is_cookie);
        // Several are one, as the standard wants them.
        let cookie = cookies.into_iter().reduce(|mut all, (_, more)| {
            all.1 = format!("{}; {more}", all.1);
            all
        });
        Self {
            target: target.clone(),
            extra,
            cookie,
            run_id: run_id.to_owned(),
            is_http2: speaks_http2(target),
            is_tls: target.scheme == Scheme::Https,
            trace_digit: match side {
                Side::Baseline => 'b',
                Side::Candidate => 'c',
            },
        }
    }

    /// The cookies that each request carries.
    pub(super) fn fixed_cookies(&self) -> Option<&str> {
        self.cookie.as_ref().map(|(_, value)| value.as_str())
    }

    /// A path as this side knows it.
    pub(super) fn full_path(&self, path: &str) -> String {
        [&self.target.base_path, path].concat()
    }

    /// The same request with these cookies in place of those that each request carries: they are
    /// the last field of a head.
    pub(super) fn with_cookies(&self, wire: &Wire, cookies: &str) -> Wire {
        let mut bytes = Vec::with_capacity(wire.bytes.len() + cookies.len() + 12);
        let fixed = self.cookie.as_ref();
        let (head, body) = wire.bytes.split_at(wire.head);
        if self.is_http2 {
            let length = fixed.map_or(0, |(name, value)| Block::field_length(name, value));
            bytes.extend_from_slice(&head[..head.len() - length]);
            let mut block = Block::default();
            block.field("cookie", cookies);
            bytes.extend(block.into_bytes());
        } else {
            let length = fixed.map_or(0, |(name, value)| name.len() + value.len() + 4);
            // The empty line at the end is written anew.
            bytes.extend_from_slice(&head[..head.len() - length - 2]);
            for part in ["cookie: ", cookies, "\r\n\r\n"] {
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        let head = bytes.len();
        bytes.extend_from_slice(body);
        let bytes = bytes.into_boxed_slice();
        Wire { bytes, head }
    }

    /// The request in this side's protocol.
    pub(super) fn encode(&self, request: &Request) -> Wire {
        let path = format!("{}{}", self.target.base_path, request.path);
        let method = request.method.as_str();
        let mut bytes = if self.is_http2 {
            let mut block = Block::request(method, self.is_tls, &self.target.authority, &path);
            self.fields(request, |name, value| {
                let is_own = HOP_BY_HOP.iter().any(|own| name.eq_ignore_ascii_case(own));
                if !is_own {
                    block.field(name, value);
                }
            });
            block.into_bytes()
        } else {
            let authority = &self.target.authority;
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
        for (name, value) in recorded {
            match self.renewed(name, value) {
                Some(value) => field(name, &value),
                None => field(name, value),
            }
            agent |= name.eq_ignore_ascii_case("user-agent");
        }
        for (name, value) in &self.extra {
            field(name, value);
            agent |= name.eq_ignore_ascii_case("user-agent");
        }
        if !agent {
            field("user-agent", USER_AGENT);
        }
        field(RUN_FIELD, &self.run_id);
        let method = request.method.as_str();
        if !request.body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            field("content-length", &request.body.len().to_string());
        }
        if let Some((name, value)) = &self.cookie {
            field(name, value);
        }
    }

    /// The value of a field that names this side: where a request comes from is a place on it, and
    /// its traces are told apart from the other side's.
    fn renewed(&self, name: &str, value: &str) -> Option<String> {
        if name.len() == 11 && name.eq_ignore_ascii_case("traceparent") {
            let mut characters: Vec<char> = value.chars().collect();
            *characters.get_mut(3)? = self.trace_digit;
            return Some(characters.into_iter().collect());
        }
        self.target.placed(name, value)
    }
}

/// A request for all sides that there are.
pub(super) fn card(
    encoders: &[Option<Encoder>; 2],
    (request, rules): (&Request, &Rules),
    endpoint: u32,
) -> Card {
    let request = &*rules.outgoing(request);
    let method = request.method.as_str();
    let (gives, template) = (rules.gives(&request.endpoint), rules.template(request));
    let keeps_cookies = rules.keeps_cookies() && !request.session.is_empty();
    let keeps = match (gives.is_empty(), keeps_cookies) {
        (false, _) => Keeps::Everything,
        (true, true) => Keeps::Cookies,
        (true, false) => Keeps::Nothing,
    };
    Card {
        endpoint,
        expect_status: request.expect_status,
        asked: Asked {
            head: method == "HEAD",
            keeps,
        },
        is_repeatable: matches!(method, "GET" | "HEAD" | "OPTIONS"),
        has_session: !request.session.is_empty(),
        session_path: keeps_cookies.then(|| request.path.as_str().into()),
        // What needs values is encoded when they are there.
        wires: encoders.each_ref().map(|encoder| {
            let encoder = encoder.as_ref().filter(|_| template.is_none())?;
            Some(encoder.encode(request))
        }),
        carries: (template.is_some() || !gives.is_empty())
            .then(|| Box::new(Carries { template, gives })),
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
        let encoders = [None, Some(Encoder::new(&target(), "r1", Side::Candidate))];
        let card = card(&encoders, (&request(), &Rules::default()), 0);
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
        let encoders = [Some(Encoder::new(&target, "r1", Side::Baseline)), None];
        let card = card(&encoders, (&request(), &Rules::default()), 0);
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

    #[test]
    fn where_a_request_comes_from_is_a_place_on_its_side() {
        let mut request = request();
        let trace = "00-a123456789abcdef0123456789abcdef-a123456789abcdef-00";
        request.headers = [("Origin", "/"), ("Referer", "/c?d"), ("TraceParent", trace)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        for (side, digit) in [(Side::Baseline, 'b'), (Side::Candidate, 'c')] {
            let wire = Encoder::new(&target(), "r1", side).encode(&request);
            let text = String::from_utf8(wire.bytes.to_vec()).unwrap();
            for line in [
                "Origin: http://staging.example:8080\r\n".to_owned(),
                "Referer: http://staging.example:8080/base/c?d\r\n".to_owned(),
                format!("TraceParent: 00-{digit}123456789abcdef0123456789abcdef-a123"),
            ] {
                assert!(text.contains(&line), "{line}: {text}");
            }
        }
    }

    #[test]
    fn cookies_of_a_client_follow_those_of_its_side_in_one_field() {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for fixed in [&[][..], &["gate=open"], &["gate=open", "x=y"]] {
                let mut target = target();
                target.protocol = protocol;
                for cookie in fixed {
                    let own = ("Cookie".to_owned(), (*cookie).to_owned());
                    target.headers.insert(0, own);
                }
                let encoder = Encoder::new(&target, "r1", Side::Candidate);
                let plain = encoder.encode(&request());
                let wire = encoder.with_cookies(&plain, "gate=open; sid=1");
                let (head, body) = wire.bytes.split_at(wire.head);
                assert_eq!(body, b"hello");
                let head = String::from_utf8_lossy(head);
                assert_eq!(head.matches("sid=1").count(), 1);
                assert_eq!(head.matches("gate=open").count(), 1, "{fixed:?}: {head}");
                assert_eq!(head.to_lowercase().matches("cookie").count(), 1, "{head}");
                if protocol == Protocol::Http1 {
                    assert!(head.ends_with("\r\ncookie: gate=open; sid=1\r\n\r\n"));
                    assert_eq!(head.matches("\r\n\r\n").count(), 1);
                } else {
                    let plain = String::from_utf8_lossy(&plain.bytes[..plain.head]).len();
                    assert!(head.len() > plain - 40);
                }
            }
        }
    }
}
