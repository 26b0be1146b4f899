//! What a side says of itself in its answers and its certificate: what two sides are told apart by.
//!
//! All of it is foreign text: bounded, made safe to print, and without what looks like a secret.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::HeaderMap;

use crate::{text::printable_cut, workload::redact::masked};

/// Header fields of answers, and the facts that they are.
const FIELDS: [(&str, &str); 4] = [
    ("server", "server"),
    ("via", "via"),
    ("x-powered-by", "powered_by"),
    ("content-encoding", "content_encoding"),
];
/// So many different values of one fact are kept.
const VALUES: usize = 4;
/// So many characters of each.
const LENGTH: usize = 80;

/// Facts as they come in, answer by answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<&'static str, BTreeSet<String>>);

impl Facts {
    /// What the head of one answer says.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut facts = Self::default();
        for (field, name) in FIELDS {
            for value in headers.get_all(field) {
                facts.add(name, &String::from_utf8_lossy(value.as_bytes()));
            }
        }
        facts
    }

    /// Adds one value, unless there are too many already.
    pub(super) fn add(&mut self, name: &'static str, value: &str) {
        let values = self.0.entry(name).or_default();
        // One more than is kept says that there were more.
        if values.len() <= VALUES {
            values.insert(printable_cut(&masked(value.trim()), LENGTH));
        }
    }

    /// Adds what another answer said.
    pub(super) fn merge(&mut self, other: &Self) {
        for (name, values) in &other.0 {
            for value in values {
                self.add(name, value);
            }
        }
    }

    /// Each fact with its values in a row.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let facts = self.0.iter().map(|(name, values)| {
            let kept: Vec<_> = values.iter().take(VALUES).map(String::as_str).collect();
            let more = if values.len() > VALUES { ", …" } else { "" };
            ((*name).to_owned(), kept.join(", ") + more)
        });
        facts.collect()
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn of(fields: &[(&'static str, &str)]) -> Facts {
        let fields = fields.iter().map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, value);
        }
        Facts::of(&headers)
    }

    #[test]
    fn what_is_known_of_a_side_is_safe_and_bounded() {
        let usual = of(&[
            ("server", "nginx/1.24.0 (Ubuntu)"),
            ("x-powered-by", "PHP/8.2.7"),
            ("via", "1.1 varnish (Varnish/7.1)"),
            ("set-cookie", "session=hunter2"),
            ("content-encoding", "gzip"),
        ]);
        assert_eq!(
            serde_json::to_string(&usual.shown()).unwrap(),
            "{\"content_encoding\":\"gzip\",\"powered_by\":\"PHP/8.2.7\",\
             \"server\":\"nginx/1.24.0 (Ubuntu)\",\"via\":\"1.1 varnish (Varnish/7.1)\"}"
        );
        let mut signed = Facts::default();
        signed.add("certificate_issuer", "C=US, O=Let's Encrypt, CN=R11");
        assert_eq!(
            signed.shown()["certificate_issuer"],
            "C=US, O=Let's Encrypt, CN=R11"
        );
        let long = "x ".repeat(5_000);
        let nasty = of(&[
            ("server", "a\u{202e}b"),
            ("server", &long),
            ("via", "1.1 proxy (token=hunter2)"),
            ("via", "1.1 3f2504e04f8911d39a0c0305e82c3301.cloudfront.net"),
        ]);
        let shown = nasty.shown();
        assert!(!shown["server"].contains('\u{202e}'), "{shown:?}");
        assert!(shown["server"].chars().count() < 2 * LENGTH, "{shown:?}");
        for secret in ["hunter2", "3f2504e04f8911d39a0c0305e82c3301"] {
            assert!(!shown["via"].contains(secret), "{shown:?}");
        }
    }

    #[test]
    fn of_many_values_some_are_kept() {
        let mut all = Facts::default();
        for n in 0..20 {
            all.merge(&of(&[("server", &format!("app/{n}"))]));
        }
        assert_eq!(all.shown()["server"], "app/0, app/1, app/2, app/3, …");
    }
}
