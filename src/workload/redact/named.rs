//! Values that stand behind the name of a secret in texts that are neither form nor JSON: GraphQL,
//! settings, attributes of XML, prose.
//!
//! In quotes or directly behind `=` a value is one whatever it looks like.

use std::ops::Range;

use super::{Redactor, names};

/// A value and the name that makes it a secret, as places in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Blanks and marks are skipped so far; a limit keeps the search linear.
const SKIPPED_MOST: usize = 64;
/// A longer name is cut.
const LONGEST_NAME: usize = 100;

impl Redactor {
    /// Names of secrets, and their values.
    pub(super) fn assignments(&self, bytes: &[u8]) -> Vec<Named> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !word(&bytes[at]) {
                at += 1;
                continue;
            }
            let end = at + bytes[at..].iter().take_while(|b| word(b)).count();
            self.behind_name(bytes, at..end, &mut found);
            at = end;
        }
        found
    }

    fn behind_name(&self, bytes: &[u8], word: Range<usize>, found: &mut Vec<Named>) {
        let end = word.end;
        let cut = word.start..end.min(word.start + LONGEST_NAME);
        let secret_name = || {
            let name = std::str::from_utf8(&bytes[cut.clone()]).ok()?;
            self.is_secret_name(name).then_some(name)
        };
        if let Some(value) = sure_value(bytes, end) {
            if let Some(name) = secret_name()
                && !is_flag(&bytes[value.clone()])
                && !names_a_secret(name, &bytes[value.clone()])
            {
                found.push(Named { name: cut, value });
            }
        }
    }
}

/// Whether a value says yes, no or nothing: that is no secret, whatever it is called.
pub(super) fn is_flag(value: &[u8]) -> bool {
    const FLAGS: [&[u8]; 12] = [
        b"true",
        b"false",
        b"yes",
        b"no",
        b"on",
        b"off",
        b"null",
        b"none",
        b"undefined",
        b"0",
        b"1",
        b"",
    ];
    FLAGS.iter().any(|flag| value.eq_ignore_ascii_case(flag))
}

/// `key="password"`: what is called a key names a secret and is none.
fn names_a_secret(name: &str, value: &[u8]) -> bool {
    name.eq_ignore_ascii_case("key") && std::str::from_utf8(value).is_ok_and(names::is_name_only)
}

fn skip(bytes: &[u8], from: usize, set: &[u8], most: usize) -> usize {
    let more = bytes[from.min(bytes.len())..].iter().take(most);
    from + more.take_while(|b| set.contains(b)).count()
}

/// The value behind the name that ends here: in quotes, which may be escaped, or directly behind
/// `=`.
fn sure_value(bytes: &[u8], name_end: usize) -> Option<Range<usize>> {
    let mut at = skip(bytes, name_end, b"\\", 3);
    if matches!(bytes.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    at = skip(bytes, at, b" \t\r\n", SKIPPED_MOST);
    let sign = *bytes.get(at).filter(|b| b"=:".contains(b))?;
    let value = skip(bytes, at + 1, b" \t\r\n", SKIPPED_MOST);
    let quote = skip(bytes, value, b"\\", 3);
    if let Some(sign) = bytes.get(quote).filter(|b| b"\"'".contains(b)) {
        let start = quote + 1;
        let is_escaped = quote > value;
        let ends = |b: &u8| b == sign || (is_escaped && *b == b'\\');
        let length = bytes[start..].iter().position(ends);
        return Some(start..length.map_or(bytes.len(), |length| start + length));
    }
    if sign != b'=' || value > at + 1 {
        return None;
    }
    let end = word_end(bytes, value);
    (end > value && !bytes[value..end].starts_with(b"=")).then_some(value..end)
}

/// Where a word ends that stands among others.
fn word_end(bytes: &[u8], from: usize) -> usize {
    let ends = |b: &u8| b.is_ascii_whitespace() || b"&;,<>\"'`(){}[]\\".contains(b);
    let length = bytes[from..].iter().position(ends);
    length.map_or(bytes.len(), |length| from + length)
}
