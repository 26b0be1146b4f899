//! Secrets that show themselves wherever they stand: JSON Web Tokens, e-mail addresses, and
//! named values in texts that are neither form nor JSON, such as XML and GraphQL.
//!
//! Works on bytes, because a body need not be text, and in linear time.

use std::ops::Range;

use super::{Kind, Redactor, names};

impl Redactor {
    /// The bytes with each secret replaced; `None` when there is none.
    pub(super) fn free(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut found = tokens(bytes);
        found.extend(addresses(bytes));
        found.extend(assignments(bytes));
        found.sort_by_key(|(_, range)| range.start);
        let mut shown = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for (kind, range) in found {
            if range.start < done || range.is_empty() {
                continue;
            }
            shown.extend_from_slice(&bytes[done..range.start]);
            shown.extend(self.secret_bytes(kind, &bytes[range.clone()]));
            done = range.end;
        }
        if done == 0 {
            return None;
        }
        shown.extend_from_slice(&bytes[done..]);
        Some(shown)
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// JSON Web Tokens, plain, with percent-encoded dots, and encoded once more in base 64.
fn tokens(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 4 <= bytes.len() {
        let starts = bytes[at..].starts_with(b"eyJ") || bytes[at..].starts_with(b"ZXlK");
        if !starts || (at > 0 && is_base64(bytes[at - 1]) && !after_escape(bytes, at)) {
            at += 1;
            continue;
        }
        let twice = bytes[at] == b'Z';
        let (end, dots) = token_end(bytes, at, twice);
        if dots > 0 || (twice && end - at >= 20) {
            found.push((Kind::Jwt, at..end));
        }
        at = end;
    }
    found
}

/// Whether the byte before is the last of a `%XX`, which is no part of the token.
fn after_escape(bytes: &[u8], at: usize) -> bool {
    at >= 3 && bytes[at - 3] == b'%' && bytes[at - 2..at].iter().all(u8::is_ascii_hexdigit)
}

fn token_end(bytes: &[u8], start: usize, twice: bool) -> (usize, u32) {
    let (mut at, mut dots) = (start, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if is_base64(bytes[at]) || (twice && b"+/=".contains(&bytes[at])) {
            at += 1;
        } else if bytes[at] == b'.' {
            dots += 1;
            at += 1;
        } else if rest.starts_with(b"%2E") || rest.starts_with(b"%2e") {
            dots += 1;
            at += 3;
        } else {
            break;
        }
    }
    (at, dots)
}

/// E-mail addresses: a name, `@`, and a domain whose last part is letters.
fn addresses(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let local = |b: &&u8| b.is_ascii_alphanumeric() || b"._+-".contains(b);
    let host = |b: &&u8| b.is_ascii_alphanumeric() || b"-.".contains(b);
    let mut found = Vec::new();
    let mut free = 0;
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'@') {
        let before = bytes[free..at].iter().rev().take_while(local).count();
        let after = bytes[at + 1..].iter().take_while(host).count();
        let domain = &bytes[at + 1..=at + after];
        let top = domain.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let named = top.len() >= 2 && top.len() < domain.len();
        // `icon@2x.png` is a picture.
        if before > 0
            && named
            && top.iter().all(u8::is_ascii_alphabetic)
            && !domain[1..].starts_with(b"x.")
        {
            found.push((Kind::Email, at - before..at + 1 + after));
        }
        free = at + 1;
    }
    found
}

/// Values in quotes behind a secret's name and `=` or `:`, and texts of secret XML elements.
fn assignments(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let word = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !word(&bytes[at]) {
            at += 1;
            continue;
        }
        let end = at + bytes[at..].iter().take_while(|b| word(b)).count();
        let name = &bytes[at..end.min(at + 100)];
        if let Some(value) = value_behind(bytes, end)
            && std::str::from_utf8(name).is_ok_and(names::is_sensitive)
        {
            found.push((Kind::Field, value));
        }
        at = end;
    }
    found
}

fn value_behind(bytes: &[u8], name_end: usize) -> Option<Range<usize>> {
    let blank = |from: usize| {
        let blanks = |b: &&u8| b" \t\r\n".contains(b);
        // A limit keeps the scan linear.
        from + bytes[from..].iter().take(64).take_while(blanks).count()
    };
    if bytes.get(name_end) == Some(&b'>') {
        let start = name_end + 1;
        // Ending at either bracket keeps the scan linear.
        let length = bytes[start..].iter().position(|b| b"<>".contains(b))?;
        return Some(start..start + length);
    }
    let mut at = name_end;
    if matches!(bytes.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    at = blank(at);
    if !matches!(bytes.get(at), Some(b'=' | b':')) {
        return None;
    }
    at = blank(at + 1);
    let quote = bytes.get(at).filter(|b| b"\"'".contains(b))?;
    let start = at + 1;
    let length = bytes[start..].iter().position(|b| b == quote);
    Some(start..length.map_or(bytes.len(), |length| start + length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> Option<String> {
        let bytes = Redactor::with_key([1; 32]).free(text.as_bytes())?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "eyJ",
            "eyJhbGciOiJIUzI1NiJ9",
            "a@b",
            "@",
            "icon@2x.png",
            "pkg@1.2.3",
            "heyJude.mp3.x",
            "price: \"3\"",
            "<name>x</name>",
            "token",
            "token=",
        ] {
            assert_eq!(redacted(text), None, "{text}");
        }
    }

    #[test]
    fn secrets_go_and_their_surroundings_stay() {
        for (text, start, end, secret) in [
            ("x eyJhbGciOi.eyJzdWIi.c2ln, y", "x ", ", y", "eyJzdWIi"),
            ("/a/eyJhbGciOi%2EeyJzdWIi%2ec2ln/b", "/a/", "/b", "eyJzdWIi"),
            ("k%3DeyJhbGciOi.eyJzdWIi.c2ln", "k%3D", "", "eyJzdWIi"),
            ("x=ZXlKaGJHY2lPaUpJVXpJMU5pSjk=", "x=", "=", "aGJHY2lPaUpJ"),
            ("to <bob.b@mail.example.com>!", "to <", ">!", "bob.b"),
            (
                "<wsse:Password>hunter2</wsse:Password>",
                "<wsse:Password>",
                "</",
                "hunter2",
            ),
            (
                "login(password: \"hunter2\", a: 1)",
                "login(password: \"",
                "\", a: 1)",
                "hunter2",
            ),
            (
                "<u api-key = 'hunter2'/>",
                "<u api-key = '",
                "'/>",
                "hunter2",
            ),
        ] {
            let shown = redacted(text).unwrap();
            assert!(shown.starts_with(start) && shown.contains(end), "{shown}");
            assert!(!shown.contains(secret), "{shown}");
            assert_eq!(shown.len(), text.len());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in
            "(eyJ|ZXlK|@|\\.|=|\"|token|<|>|%2E|a|é){0,40}") {
            Redactor::with_key([1; 32]).free(&bytes);
            Redactor::with_key([1; 32]).free(text.as_bytes());
        }
    }
}
