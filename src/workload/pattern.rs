//! Patterns of names, values and endpoints: plain text in which `*` stands for anything.
//!
//! No regular expressions: a pattern is read at a glance, and no text makes matching slow.

use std::{fmt, str::FromStr};

/// The longest pattern, in bytes.
const LONGEST: usize = 200;

/// A text in which each `*` stands for any characters, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would match everything.
    #[error("the pattern `{0}` matches everything; name something beside `*`")]
    Everything(String),
    /// It is longer than anybody needs.
    #[error("a pattern has at most {LONGEST} characters; shorten it")]
    TooLong,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong);
        }
        if text.chars().all(|c| c == '*' || c.is_whitespace()) {
            return Err(PatternError::Everything(text.to_owned()));
        }
        let text = text.to_owned();
        Ok(Self { text })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// Whether the whole text is what the pattern says, letter by letter.
    pub fn matches(&self, text: &str) -> bool {
        matches(self.text.as_bytes(), text.as_bytes())
    }

    /// The pattern with each character mapped or left out; stars stay.
    pub(super) fn mapped(&self, map: impl Fn(&str) -> String) -> Self {
        let parts: Vec<String> = self.text.split('*').map(map).collect();
        let text = parts.join("*");
        Self { text }
    }

    /// Whether nothing but stars is left of it.
    pub(super) fn is_empty(&self) -> bool {
        self.text.bytes().all(|byte| byte == b'*')
    }
}

/// Greedy with one step back to the last star: no more than the product of the lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, from)) = star {
            star = Some((at, from + 1));
            p = at + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_stand_for_anything_and_all_else_for_itself() {
        for (pattern, text, fits) in [
            ("GET /a", "GET /a", true),
            ("GET /a", "GET /ab", false),
            ("GET *", "GET /a/b", true),
            ("*/orders/*", "GET /orders/{id}", true),
            ("*/orders/*", "GET /orders", false),
            ("cust_*", "cust_", true),
            ("cust_*", "Cust_1", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-", false),
            ("[x].?", "[x].?", true),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(parsed.matches(text), fits, "{pattern} {text}");
        }
        for bad in ["", "*", " ** "] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "x".repeat(201).parse::<Pattern>(),
            Err(PatternError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn a_text_with_parts_cut_out_is_found_again(
            parts in prop::collection::vec("[ab]{0,4}", 2..6),
        ) {
            let pattern = format!("x{}", parts.join("*"));
            let pattern: Pattern = pattern.parse().unwrap();
            let text = format!("x{}", parts.join("ba"));
            prop_assert!(pattern.matches(&text));
        }
    }
}
