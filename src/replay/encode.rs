//! Requests as bytes, made before their instant and never on a sending thread.

use std::sync::Arc;

use super::http1::Asked;
use crate::workload::{Request, Target};

/// One request ready to be written to one side.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Index of its endpoint.
    pub endpoint: u32,
    /// The recorded status, if there was one.
    pub expect_status: Option<u16>,
    /// What its answer's framing depends on.
    pub asked: Asked,
    /// Whether sending it twice does no harm.
    pub repeatable: bool,
    /// Head and body.
    pub bytes: Box<[u8]>,
}

/// What is the same for all requests to one side.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    base_path: String,
    authority: String,
    extra: Vec<(String, String)>,
    run_id: String,
}

impl Encoder {
    /// An encoder for one side; its header fields replace recorded ones of the same name.
    pub(super) fn new(target: &Target, run_id: &str) -> Self {
        Self {
            base_path: target.base_path.clone(),
            authority: target.authority.clone(),
            extra: target.headers.clone(),
            run_id: run_id.to_owned(),
        }
    }

    /// The request as HTTP/1.1 bytes: the target's authority, the recorded fields, the fields
    /// of this side, a length made from the body, and a mark by which operators can tell the
    /// load apart.
    pub(super) fn encode(&self, request: &Request, endpoint: u32) -> Arc<Encoded> {
        let mut head = String::with_capacity(256);
        let mut field = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        field("host", &self.authority);
        let overridden = |name: &str| {
            self.extra
                .iter()
                .any(|(own, _)| own.eq_ignore_ascii_case(name))
                || name.eq_ignore_ascii_case("host")
                || name.eq_ignore_ascii_case("content-length")
        };
        let mut agent = false;
        for (name, value) in &request.headers {
            if !overridden(name) {
                field(name, value);
                agent |= name.eq_ignore_ascii_case("user-agent");
            }
        }
        for (name, value) in &self.extra {
            field(name, value);
            agent |= name.eq_ignore_ascii_case("user-agent");
        }
        if !agent {
            field(
                "user-agent",
                concat!("proofload/", env!("CARGO_PKG_VERSION")),
            );
        }
        field("x-proofload-run", &self.run_id);
        let method = request.method.as_str();
        if !request.body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            field("content-length", &request.body.len().to_string());
        }
        let line = format!("{method} {}{} HTTP/1.1\r\n", self.base_path, request.path);
        let mut bytes = Vec::with_capacity(line.len() + head.len() + 2 + request.body.len());
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&request.body);
        Arc::new(Encoded {
            endpoint,
            expect_status: request.expect_status,
            asked: Asked {
                head: method == "HEAD",
            },
            repeatable: matches!(method, "GET" | "HEAD" | "OPTIONS"),
            bytes: bytes.into_boxed_slice(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Method, Recorded};

    #[test]
    fn side_headers_replace_recorded_ones_and_the_length_is_our_own() {
        let mut target = Target::parse("http://staging.example:8080/base").unwrap();
        target
            .headers
            .push(("Authorization".into(), "Bearer staging".into()));
        target.headers.push(("X-Tenant".into(), "b".into()));
        let request = Request {
            offset_ns: 0,
            session: String::new(),
            method: Method::try_from("POST".to_owned()).unwrap(),
            path: "/a?b=c".into(),
            headers: vec![
                ("x-tenant".into(), "a".into()),
                ("host".into(), "production.example".into()),
                ("Content-Length".into(), "99".into()),
                ("accept".into(), "*/*".into()),
            ],
            body: b"hello".to_vec(),
            expect_status: None,
            endpoint: "POST /a".into(),
            recorded: Recorded::default(),
        };
        let encoded = Encoder::new(&target, "r1").encode(&request, 0);
        let text = String::from_utf8(encoded.bytes.to_vec()).unwrap();
        assert!(text.starts_with("POST /base/a?b=c HTTP/1.1\r\nhost: staging.example:8080\r\n"));
        assert!(text.ends_with("content-length: 5\r\n\r\nhello"), "{text}");
        assert!(
            text.contains("X-Tenant: b\r\n") && !text.contains("x-tenant: a"),
            "{text}"
        );
        assert!(
            !text.contains("production") && !text.contains("99"),
            "{text}"
        );
        assert!(!encoded.repeatable);
    }
}
