//! What one client of one side has learnt from its answers.

use super::{Answer, Rules, jar::Jar};

/// Cookies and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    jar: Jar,
    /// By index of the rule.
    values: Vec<Option<String>>,
}

impl Client {
    /// Whether it has no cookies.
    pub fn has_no_cookies(&self) -> bool {
        self.jar.is_empty()
    }

    /// The cookies that a request of this path carries, together with those that each request of
    /// the side carries; `None` when the client has none for it.
    pub fn cookies(&self, path: &str, fixed: Option<&str>) -> Option<String> {
        self.jar.header(path, fixed)
    }

    /// Takes the cookies of an answer to a request of this path.
    pub fn keep_cookies(&mut self, path: &str, answer: &Answer<'_>) {
        for field in answer.values("set-cookie") {
            self.jar.set(field, path, answer.now_s);
        }
    }

    /// Takes the value of a rule from an answer; an earlier one stays where there is none.
    pub fn keep_value(&mut self, rules: &Rules, rule: usize, answer: &Answer<'_>) {
        let Some(value) = rules.take(rule, answer) else {
            return;
        };
        if self.values.len() <= rule {
            self.values.resize(rule + 1, None);
        }
        self.values[rule] = Some(value);
    }

    pub(super) fn value(&self, rule: usize) -> Option<&str> {
        self.values.get(rule)?.as_deref()
    }

    pub(super) fn put_cookie(&mut self, name: &str, value: &str) {
        self.jar.put_everywhere(name, value);
    }
}
