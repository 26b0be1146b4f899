//! Which recorded header fields are replayed.
//!
//! What belongs to one hop, to the recorded client or to one build of the service would make
//! a replay wrong or unfair, so it is left out, each field by a named rule that the import
//! summary counts. The sources are RFC 9110 section 7.6.1 and docs/formats.md.

use std::collections::BTreeSet;

use super::{Header, redact::names};

/// Names the rule by which a header field is not replayed.
pub type Rule = &'static str;

/// `Authorization`, `Cookie` and all that looks like a credential.
pub const CREDENTIALS: Rule = "credentials";
/// `If-None-Match` and its kin.
pub const CONDITIONAL: Rule = "conditional";

/// The field by which every request that is sent says which run it belongs to.
pub const RUN_FIELD: &str = "x-proofload-run";
/// What a request says of its sender where neither the recording nor the user names another.
pub const USER_AGENT: &str = concat!("proofload/", env!("CARGO_PKG_VERSION"));

/// The header fields that are replayed, those left out, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// Fields to replay, in order, values untouched.
    pub kept: Vec<Header>,
    /// The rule and the lower-case name of each field left out, in order.
    pub dropped: Vec<(Rule, String)>,
    /// The same of each field among those to replay whose value is made anew when it is sent.
    pub renewed: Vec<(Rule, String)>,
}

/// Sorts recorded header fields into those that are replayed and those that are not.
///
/// Fields named by `Connection` belong to the hop. `recorded_host` tells a `Referer` of the
/// service itself, which is kept as path and query, from one that names a stranger.
pub fn sort(headers: Vec<Header>, recorded_host: &str) -> Sorted {
    let hop: BTreeSet<String> = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut sorted = Sorted::default();
    for (name, value) in headers {
        let lower = name.to_ascii_lowercase();
        let rule = if hop.contains(&lower) {
            Some("hop by hop")
        } else {
            rule_of(&lower, &value)
        };
        if let Some(rule) = rule {
            // A name that HTTP does not allow may be anything, even a secret.
            let shown = if is_name(&lower) || lower.starts_with(':') {
                lower
            } else {
                "?".into()
            };
            sorted.dropped.push((rule, shown));
        } else if let Some(rule) = renewal_of(&lower) {
            let value = match lower.as_str() {
                // The host is the target's.
                "referer" => own_path(&value, recorded_host),
                "origin" => own_path(&value, recorded_host).map(|_| "/".to_owned()),
                _ => Some(value),
            };
            match value {
                Some(value) => {
                    sorted.kept.push((name, value));
                    sorted.renewed.push((rule, lower));
                }
                None => sorted.dropped.push((rule, lower)),
            }
        } else {
            sorted.kept.push((name, value));
        }
    }
    sorted
}

/// The rule by which a field of this lower-case name is left out.
fn rule_of(name: &str, value: &str) -> Option<Rule> {
    let rule = match name {
        "host" => "host",
        "content-length" | "expect" => "framing",
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" | "http2-settings" => "hop by hop",
        "if-none-match" | "if-modified-since" | "if-match" | "if-unmodified-since" | "if-range" => {
            CONDITIONAL
        }
        "forwarded"
        | "via"
        | "x-real-ip"
        | "x-client-ip"
        | "x-cluster-client-ip"
        | "true-client-ip"
        | "cf-connecting-ip"
        | "fastly-client-ip" => "forwarding",
        "tracestate" | "b3" => "tracing",
        "date" => "date",
        _ if name.starts_with(':') => "HTTP/2 pseudo header",
        _ if name.starts_with("x-forwarded-") => "forwarding",
        _ if name.starts_with("x-b3-") => "tracing",
        _ if is_credential(name) => CREDENTIALS,
        _ if holds_login(value) => CREDENTIALS,
        _ if !is_name(name) || !is_value(value) => "not allowed by HTTP",
        _ => return None,
    };
    Some(rule)
}

/// The rule by which the value of a field of this lower-case name is made anew for each request.
fn renewal_of(name: &str) -> Option<Rule> {
    match name {
        "idempotency-key" | "x-idempotency-key" => Some("idempotency key"),
        "traceparent" => Some("tracing"),
        "origin" | "referer" => Some("origin"),
        _ => None,
    }
}

/// Whether the value begins with an authentication scheme, whatever the field is called.
fn holds_login(value: &str) -> bool {
    let scheme = value.trim_start().split(' ').next().unwrap_or_default();
    [
        "basic",
        "bearer",
        "digest",
        "negotiate",
        "ntlm",
        "aws4-hmac-sha256",
    ]
    .iter()
    .any(|known| scheme.eq_ignore_ascii_case(known))
        && value.trim().contains(' ')
}

/// The path and query of a URL on the recorded host; a `Referer` may be relative.
fn own_path(value: &str, recorded_host: &str) -> Option<String> {
    let url = url::Url::parse(value).ok()?;
    if super::clean::authority(&url)? != recorded_host {
        return None;
    }
    Some(url[url::Position::BeforePath..url::Position::AfterQuery].to_owned())
}

/// Whether HTTP allows the text as the name of a field.
pub(super) fn is_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether HTTP allows the text as the value of a field.
pub(super) fn is_value(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f))
}

/// Whether the engine writes the field itself, because it frames or routes the message.
pub(super) fn is_framing(name: &str) -> bool {
    [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether the field is a credential by its name; such are refused in any workload. An
/// idempotency key is none, whatever it is called.
pub(super) fn is_credential(name: &str) -> bool {
    let repeatable = name.to_ascii_lowercase().ends_with("idempotency-key");
    !repeatable && (is_login(name) || names::is_credential_header(name))
}

fn is_login(name: &str) -> bool {
    [
        "authorization",
        "proxy-authorization",
        "cookie",
        "cookie2",
        "set-cookie",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, value: &str) -> Option<Rule> {
        let sorted = sort(vec![(name.to_owned(), value.to_owned())], "shop.example");
        sorted.dropped.first().map(|(rule, _)| *rule)
    }

    #[test]
    fn each_rule_has_its_fields_in_any_case() {
        for (name, value, expected) in [
            ("Accept", "*/*", None),
            ("Accept-Encoding", "gzip", None),
            ("Range", "bytes=0-1", None),
            ("User-Agent", "x", None),
            ("X-Request-Id", "1", None),
            ("Host", "x", Some("host")),
            ("CONTENT-LENGTH", "3", Some("framing")),
            ("Expect", "100-continue", Some("framing")),
            ("Transfer-Encoding", "chunked", Some("hop by hop")),
            ("TE", "trailers", Some("hop by hop")),
            ("HTTP2-Settings", "A", Some("hop by hop")),
            ("If-None-Match", "\"x\"", Some(CONDITIONAL)),
            ("if-modified-since", "x", Some(CONDITIONAL)),
            ("X-Forwarded-For", "10.0.0.1", Some("forwarding")),
            ("Via", "1.1 x", Some("forwarding")),
            ("tracestate", "a=1", Some("tracing")),
            ("Date", "x", Some("date")),
            ("Origin", "https://other.example", Some("origin")),
            ("Origin", "null", Some("origin")),
            (":authority", "x", Some("HTTP/2 pseudo header")),
            ("authorization", "x", Some(CREDENTIALS)),
            ("COOKIE", "x", Some(CREDENTIALS)),
            ("X-Api-Key", "x", Some(CREDENTIALS)),
            ("X-My-Session-Id", "x", Some(CREDENTIALS)),
            ("X-CSRF-Token", "x", Some(CREDENTIALS)),
            ("X-Whatever", "Bearer abc", Some(CREDENTIALS)),
            ("Bad Name", "x", Some("not allowed by HTTP")),
            ("X-Injected", "a\r\nB: c", Some("not allowed by HTTP")),
        ] {
            assert_eq!(rule(name, value), expected, "{name}");
        }
    }

    #[test]
    fn what_is_made_anew_is_kept_and_named() {
        for (name, value, kept, rule) in [
            ("Idempotency-Key", "k1", "k1", "idempotency key"),
            ("traceparent", "00-1-1-00", "00-1-1-00", "tracing"),
            ("Origin", "https://shop.example", "/", "origin"),
            ("Referer", "https://shop.example/a?b", "/a?b", "origin"),
        ] {
            let sorted = sort(vec![(name.into(), value.into())], "shop.example");
            assert_eq!(sorted.kept, [(name.to_owned(), kept.to_owned())]);
            assert_eq!(sorted.renewed, [(rule, name.to_ascii_lowercase())]);
            assert!(sorted.dropped.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_connection_names_belongs_to_the_hop() {
        let headers = [
            ("Connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("x-stay", "2"),
        ];
        let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        let sorted = sort(headers, "shop.example");
        assert_eq!(sorted.kept, [("x-stay".to_owned(), "2".to_owned())]);
        assert_eq!(sorted.dropped.len(), 2);
    }

    #[test]
    fn a_referer_of_the_service_itself_keeps_its_path() {
        for (value, kept) in [
            ("https://shop.example/a?b=c#d", Some("/a?b=c")),
            ("https://u:p@shop.example/", Some("/")),
            ("https://evil.example/a", None),
            ("nonsense", None),
        ] {
            let sorted = sort(vec![("Referer".into(), value.into())], "shop.example");
            let found = sorted.kept.first().map(|(_, value)| value.as_str());
            assert_eq!(found, kept, "{value}");
        }
    }
}
