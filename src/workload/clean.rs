//! From a recorded request to one that may be stored and replayed.
//!
//! The one gate that every importer and the recorder pass: header rules, redaction, endpoint.
//! What goes through leaves counts behind, and what cannot go through a reason without values.

use std::{collections::BTreeMap, io};

use url::Url;

use super::{
    Request,
    endpoint::{Limiter, endpoint},
    headers::{self, CONDITIONAL, CREDENTIALS},
    line,
    redact::{Kind, Redactor, Rules, is_random_name},
    rules,
};

/// A body that begins like this is compressed, whatever its header fields say: gzip, zstd, zlib.
const COMPRESSED: [&[u8]; 5] = [
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"\x78\x01",
    b"\x78\x9c",
    b"\x78\xda",
];

/// Cleans recorded requests one after the other and counts what it did.
#[derive(Debug)]
pub struct Cleaner {
    redactor: Redactor,
    limiter: Limiter,
    dropped: BTreeMap<String, u64>,
    renewed: BTreeMap<String, u64>,
    with_credentials: u64,
}

impl Cleaner {
    /// A cleaner with a fresh random key for its pseudonyms.
    ///
    /// # Errors
    /// When the system's random source cannot be read.
    pub fn new() -> io::Result<Self> {
        Self::with_rules(&Rules::default())
    }

    /// A cleaner with the rules of a team, as `proofload.toml` gives them: the one way by which
    /// they reach importers and the recorder.
    ///
    /// # Errors
    /// When the system's random source cannot be read.
    pub fn with_rules(rules: &Rules) -> io::Result<Self> {
        Ok(Self::with_redactor(Redactor::with_rules(rules)?))
    }

    /// A cleaner with a given redactor.
    pub fn with_redactor(redactor: Redactor) -> Self {
        Self {
            redactor,
            limiter: Limiter::default(),
            dropped: BTreeMap::new(),
            renewed: BTreeMap::new(),
            with_credentials: 0,
        }
    }

    /// Header fields left out so far, as `rule: name` with how often.
    pub fn dropped_headers(&self) -> &BTreeMap<String, u64> {
        &self.dropped
    }

    /// Header fields made anew when they are sent, as `rule: name` with how often.
    pub fn renewed_headers(&self) -> &BTreeMap<String, u64> {
        &self.renewed
    }

    /// Values replaced so far, by kind.
    pub fn redacted(&self) -> BTreeMap<Kind, u64> {
        self.redactor.counts()
    }

    /// What the header of a workload says of the redaction that its requests passed.
    pub fn redaction(&self) -> String {
        self.redactor.rules().label()
    }

    /// A name for the session of a client that is told apart by a value of its own, such as a
    /// cookie: equal values give equal names, and no name shows its value.
    pub fn session(&self, client: &str) -> String {
        // As many letters, whatever the value is like: a short one would have few names.
        let padded = format!("{client}\0{}", "x".repeat(32));
        let shown = self.redactor.pseudonym(&padded);
        let letters: Vec<char> = shown.chars().filter(char::is_ascii_lowercase).collect();
        let last = &letters[letters.len().saturating_sub(24)..];
        last.iter().collect()
    }

    /// How many requests carried a credential header.
    pub fn with_credentials(&self) -> u64 {
        self.with_credentials
    }

    /// The request without what must not be stored or replayed; its endpoint is derived.
    ///
    /// # Errors
    /// The reason why it cannot be cleaned, without any recorded value.
    pub fn clean(&mut self, raw: Request, recorded_host: &str) -> Result<Request, &'static str> {
        check_readable(&raw)?;
        let sorted = headers::sort(raw.headers, recorded_host);
        let had = |rule| sorted.dropped.iter().any(|(dropped, _)| *dropped == rule);
        let status = expected(raw.expect_status, had(CONDITIONAL));
        let without_body = raw.expect_status == Some(304);
        let had_credentials = had(CREDENTIALS);
        let content_type = sorted
            .kept
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or(String::new(), |(_, value)| value.clone());
        let path = self.redactor.path(&raw.path);
        let mut request = Request {
            endpoint: endpoint(&raw.method, &path),
            body: self.redactor.body(&content_type, raw.body),
            expect_status: status,
            path,
            headers: Vec::with_capacity(sorted.kept.len()),
            ..raw
        };
        let mut dropped = sorted.dropped;
        for (name, value) in sorted.kept {
            if is_random_name(&name) {
                dropped.push((CREDENTIALS, "?".to_owned()));
                continue;
            }
            let value = if rules::is_renewed(&name) {
                // It tells equal from unequal and nothing else.
                let made = self.redactor.secret(Kind::Field, &value);
                made.unwrap_or(value)
            } else {
                self.redactor.header(&name, value)
            };
            request.headers.push((name, value));
        }
        if without_body {
            request.recorded.size_bytes = None;
        }
        line::check(&request).map_err(|_| "its path or a header cannot be sent over HTTP")?;
        request.endpoint = self.limiter.admit(request.endpoint);
        for (rule, name) in dropped {
            let name = if is_random_name(&name) {
                "?".to_owned()
            } else {
                name
            };
            *self.dropped.entry(format!("{rule}: {name}")).or_default() += 1;
        }
        for (rule, name) in sorted.renewed {
            *self.renewed.entry(format!("{rule}: {name}")).or_default() += 1;
        }
        self.with_credentials += u64::from(had_credentials);
        Ok(request)
    }
}

/// Refuses what cannot be looked into.
fn check_readable(raw: &Request) -> Result<(), &'static str> {
    let has = |header: &str, says: fn(&str) -> bool| {
        let mut headers = raw.headers.iter();
        headers.any(|(name, value)| name.eq_ignore_ascii_case(header) && says(value))
    };
    // A method that nobody knows may be anything, even a secret.
    let named = |b: u8| b.is_ascii_uppercase() || b == b'-';
    if !raw.method.as_str().bytes().all(named) {
        return Err("its method is none that is known");
    }
    if raw.body.is_empty() {
        return Ok(());
    }
    let is_encoded = has("content-encoding", |value| value.trim() != "identity");
    let is_packed = COMPRESSED.iter().any(|magic| raw.body.starts_with(magic));
    if is_encoded || is_packed {
        return Err("its body is compressed, so secrets in it cannot be found");
    }
    let is_wide = |value: &str| {
        let value = value.to_ascii_lowercase();
        value.contains("utf-16") || value.contains("utf-32")
    };
    if has("content-type", is_wide) {
        return Err("its body is in UTF-16 or UTF-32, so secrets in it cannot be found");
    }
    Ok(())
}

/// Without its condition, the answer to a request is no longer 304 but the whole thing, and
/// nothing is known of what stands for a 412.
fn expected(status: Option<u16>, was_conditional: bool) -> Option<u16> {
    match status {
        Some(304) if was_conditional => Some(200),
        Some(412) if was_conditional => None,
        other => other.filter(|status| (200..=599).contains(status)),
    }
}

/// Host and explicit port of a URL, in lower case; `None` when it names no host.
pub(super) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Method, Recorded};

    fn raw(headers: &[(&str, &str)]) -> Request {
        Request {
            offset_ns: 0,
            session: "s1".into(),
            method: Method::get(),
            path: "/users/7?token=hunter2x".into(),
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).into(), (*v).into()))
                .collect(),
            body: Vec::new(),
            expect_status: Some(200),
            endpoint: String::new(),
            recorded: Recorded::default(),
        }
    }

    fn cleaner() -> Cleaner {
        Cleaner::with_redactor(Redactor::with_key([1; 32]))
    }

    #[test]
    fn a_clean_request_has_no_secret_and_an_endpoint() {
        let mut cleaner = cleaner();
        let headers = [("Cookie", "sid=hunter2x"), ("Accept", "*/*"), ("Host", "h")];
        let request = cleaner.clean(raw(&headers), "h").unwrap();
        assert_eq!(request.endpoint, "GET /users/{id}");
        assert_eq!(request.headers, [("Accept".to_owned(), "*/*".to_owned())]);
        assert!(!format!("{request:?}").contains("hunter2x"));
        assert_eq!(cleaner.with_credentials(), 1);
        assert_eq!(cleaner.dropped_headers()["credentials: cookie"], 1);
        assert_eq!(cleaner.redacted()[&Kind::Field], 1);
    }

    #[test]
    fn names_of_sessions_tell_clients_apart_and_show_nothing() {
        let cleaner = cleaner();
        let names: std::collections::BTreeSet<String> = (0..1000)
            .map(|i| cleaner.session(&format!("sid-{i}")))
            .collect();
        assert_eq!(names.len(), 1000);
        assert_eq!(cleaner.session("sid-7"), cleaner.session("sid-7"));
        assert!(
            names
                .iter()
                .all(|name| name.len() == 24 && !name.contains("sid"))
        );
    }

    #[test]
    fn rules_reach_paths_headers_and_bodies() {
        let rules = Rules::default().key([1; 32]).secret_name("tenant").unwrap();
        let rules = rules
            .keep_name("token")
            .unwrap()
            .path("/users/{secret}")
            .unwrap();
        let mut cleaner = Cleaner::with_rules(&rules).unwrap();
        let mut request = raw(&[("X-Tenant", "a"), ("Tenant", "acme-corp")]);
        request.path = "/users/4711-4711?token=hunter2x".into();
        request.body = br#"{"tenant":"acme-corp"}"#.to_vec();
        let request = cleaner.clean(request, "h").unwrap();
        assert!(
            request.path.ends_with("?token=hunter2x"),
            "{}",
            request.path
        );
        assert!(!request.path.contains("4711"), "{}", request.path);
        let tenant = &request.headers[1].1;
        assert_ne!(tenant, "acme-corp");
        assert_eq!(
            request.body,
            format!(r#"{{"tenant":"{tenant}"}}"#).into_bytes()
        );
        assert_eq!(cleaner.redaction(), "default, 2 rules added, 1 exemptions");
        assert_eq!(request.headers[0].1, "a", "another name");
    }

    #[test]
    fn a_stripped_condition_changes_what_is_expected() {
        for (name, status, expected) in [
            ("If-None-Match", 304, Some(200)),
            ("Accept", 304, Some(304)),
            ("If-Match", 412, None),
            ("If-None-Match", 200, Some(200)),
            ("Accept", 99, None),
        ] {
            let mut request = raw(&[(name, "x")]);
            request.expect_status = Some(status);
            request.recorded.size_bytes = Some(5);
            let request = cleaner().clean(request, "h").unwrap();
            assert_eq!(request.expect_status, expected, "{name} {status}");
            assert_eq!(request.recorded.size_bytes.is_none(), status == 304);
        }
    }

    #[test]
    fn what_cannot_be_looked_into_is_left_out() {
        let mut request = raw(&[("Content-Encoding", "gzip")]);
        request.body = vec![31, 139, 8];
        assert!(
            cleaner()
                .clean(request, "h")
                .unwrap_err()
                .contains("compressed")
        );
        for (kind, body) in [
            ("x/y", b"\x1f\x8b\x08".to_vec()),
            ("a/b; charset=UTF-16", vec![65, 0]),
        ] {
            let mut request = raw(&[("Content-Type", kind)]);
            request.body = body;
            assert!(
                cleaner()
                    .clean(request, "h")
                    .unwrap_err()
                    .contains("cannot be found")
            );
        }
        let mut request = raw(&[]);
        request.method = Method::try_from("h4nterSecret".to_owned()).unwrap();
        let reason = cleaner().clean(request, "h").unwrap_err();
        assert!(!reason.contains("h4nter"), "{reason}");
        let names = [("9fceb02d0ae598e95dc970b74767f193", "x"), ("X-Plain", "y")];
        let mut cleaner = cleaner();
        let request = cleaner.clean(raw(&names), "h").unwrap();
        assert_eq!(request.headers, [("X-Plain".to_owned(), "y".to_owned())]);
        assert_eq!(cleaner.dropped_headers()["credentials: ?"], 1);
        let mut request = raw(&[]);
        request.path = "/a\r\nX-Injected: 1".into();
        let reason = cleaner.clean(request, "h").unwrap_err();
        assert!(!reason.contains("Injected"), "{reason}");
    }
}
