//! Secrets that show themselves wherever they stand: JSON Web Tokens, keys that tell their
//! issuer, e-mail addresses, words that look random. What is secret by its name in texts that are
//! neither form nor JSON is for `named` and `markup` to find, and replaced here with the rest.
//!
//! Works on bytes, because a body need not be text, and in linear time.

use std::{cmp::Reverse, ops::Range};

use super::{
    Kind, Redactor, known, path,
    random::{self, WORD, is_random},
};

/// What a digest is announced by; it tells nothing that the bytes it was made of do not.
const DIGESTS: [&[u8]; 5] = [b"sha1", b"sha256", b"sha384", b"sha512", b"md5"];
/// Before and behind the words of PEM's lines.
const RULE: &[u8] = b"-----";

impl Redactor {
    /// The bytes with each secret replaced; `None` when there is none. Words that look random are
    /// left alone where `words` says so: in names of files.
    pub(super) fn free(&mut self, bytes: &[u8], words: bool) -> Option<Vec<u8>> {
        let mut found = tokens(bytes);
        found.extend(known::issued(bytes));
        found.extend(known::private_keys(bytes));
        found.extend(known::logins(bytes));
        found.extend(known::schemes(bytes));
        found.extend(known::cards(bytes));
        found.extend(addresses(bytes));
        if words {
            found.extend(self.words(bytes));
        }
        let unnamed = found.into_iter().map(|(kind, range)| (kind, range, None));
        let mut found: Vec<_> = unnamed.collect();
        let mut named = self.assignments(bytes);
        named.extend(self.markup(bytes));
        let named = named.into_iter();
        found.extend(named.map(|it| (Kind::Field, it.value, Some(it.name))));
        found.sort_by_key(|(_, range, _)| (range.start, Reverse(range.end)));
        let mut shown = Vec::with_capacity(bytes.len());
        let (mut done, mut seen) = (0, 0);
        for (kind, range, name) in found {
            if range.start < seen || range.is_empty() {
                continue;
            }
            seen = range.end;
            let secret = &bytes[range.clone()];
            let secret = match name {
                Some(name) => {
                    self.note_name(&String::from_utf8_lossy(&bytes[name]));
                    self.secret_in_markup(kind, secret)
                }
                None => self.secret_bytes(kind, secret),
            };
            if let Some(secret) = secret {
                shown.extend_from_slice(&bytes[done..range.start]);
                shown.extend(secret);
                done = range.end;
            }
        }
        if done == 0 {
            return None;
        }
        shown.extend_from_slice(&bytes[done..]);
        Some(shown)
    }

    /// Words that look random, and those that a rule names.
    fn words(&self, bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || WORD.contains(b);
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !word(&bytes[at]) {
                at += 1;
                continue;
            }
            let run = bytes[at..].iter().take_while(|b| word(b)).count();
            // What surrounds a key in PEM is no part of its words.
            let run = match known::find(&bytes[at..at + run], RULE) {
                Some(0) => {
                    at += RULE.len();
                    continue;
                }
                Some(length) => length,
                None => run,
            };
            let end = at + run;
            // The end of a `%XX` is no part of the word.
            let at_escape = at > 0 && bytes[at - 1] == b'%' && end - at > 2;
            if at_escape && bytes[at..at + 2].iter().all(u8::is_ascii_hexdigit) {
                at += 2;
            }
            let text = std::str::from_utf8(&bytes[at..end]).unwrap_or_default();
            if self.rules.has_secret_words() {
                self.named_words(text, at, &mut found);
            }
            if end - at >= random::SHORTEST && !announced(bytes, at) {
                self.random_words(text, at, &mut found);
            }
            at = end;
        }
        found
    }

    fn named_words(&self, text: &str, at: usize, found: &mut Vec<(Kind, Range<usize>)>) {
        let own = text.split(['/', '=']);
        let mut from = at;
        for part in own.chain([text]) {
            let start = if part.len() == text.len() { at } else { from };
            if self.rules.is_secret_word(part) {
                found.push((Kind::Token, start..start + part.len()));
            }
            from += part.len() + 1;
        }
    }

    /// Base 64 has slashes, paths have them too: where one part is plain, each stands for itself.
    fn random_words(&self, text: &str, at: usize, found: &mut Vec<(Kind, Range<usize>)>) {
        let mut take = |part: &str, from: usize| {
            // A name and its value, as in `state=…`.
            let own = part.trim_end_matches('.');
            let start = own
                .trim_end_matches('=')
                .rfind('=')
                .map_or(0, |sign| sign + 1);
            let own = &own[start..];
            if is_random(own, self.doubt()) && !path::is_asset(own) {
                found.push((Kind::Token, from + start..from + start + own.len()));
            }
        };
        if !text.split('/').any(random::is_plain) {
            return take(text, at);
        }
        let mut from = at;
        for part in text.split('/') {
            take(part, from);
            from += part.len() + 1;
        }
    }

    /// Whether all that looks random in a word are pseudonyms: a token that stood in a longer word
    /// was replaced alone.
    pub(super) fn is_made_of_pseudonyms(&self, word: &str) -> bool {
        let parts = word.split("-----");
        let parts = parts.flat_map(|part| part.split(['/', '=', '~', '+', '.']));
        let (own, rest): (Vec<&str>, Vec<&str>) = parts.partition(|part| self.is_pseudonym(part));
        // Several short parts may look random only together.
        let rest_is_random = rest.iter().any(|part| is_random(part, self.doubt()))
            || is_random(&rest.join("/"), self.doubt());
        !own.is_empty() && !rest_is_random
    }
}

/// Whether a digest stands here, as in `sha256:…`, or a histogram of a run file.
fn announced(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[at.saturating_sub(100)..at];
    // A page writes `+` inside of base 64 as an entity, which ends the word.
    let ends = |b: &u8| b.is_ascii_whitespace() || b"\"'".contains(b);
    let run = before.rsplit(ends).next().unwrap_or_default();
    let is_entity = run.ends_with(b";");
    let names = |text: &[u8], signs: &[u8]| {
        DIGESTS.iter().any(|name| {
            let sign = text.get(name.len());
            text.starts_with(name) && sign.is_some_and(|sign| signs.contains(sign))
        })
    };
    bytes[at..].starts_with(b"HISTFA")
        || names(&bytes[at..], b"-=")
        || (is_entity && names(run, b"-"))
        || DIGESTS.iter().any(|name| {
            run.strip_suffix(b":")
                .is_some_and(|run| run.ends_with(name))
        })
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

/// The shortest header of a JSON Web Token, `{"alg":"none"}`, in base 64 has 19 characters.
const HEADER_LEAST: usize = 16;

/// JSON Web Tokens, plain, with percent-encoded dots, and encoded once more in base 64.
fn tokens(bytes: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 4 <= bytes.len() {
        let starts = bytes[at..].starts_with(b"eyJ") || bytes[at..].starts_with(b"ZXlK");
        if !starts {
            at += 1;
            continue;
        }
        // In the middle of a word it takes more than three letters to be sure.
        let inside = at > 0 && is_base64(bytes[at - 1]) && !after_escape(bytes, at);
        let header = bytes[at..].iter().take(HEADER_LEAST);
        let header = header.take_while(|b| is_base64(**b)).count();
        if inside && header < HEADER_LEAST {
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
    // Among random bytes short ones stand by chance.
    let least = if std::str::from_utf8(bytes).is_ok() {
        1
    } else {
        4
    };
    let mut found = Vec::new();
    let mut free = 0;
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'@') {
        let before = bytes[free..at].iter().rev().take_while(local).count();
        let after = bytes[at + 1..].iter().take_while(host).count();
        let domain = &bytes[at + 1..=at + after];
        let top = domain.rsplit(|b| *b == b'.').next().unwrap_or_default();
        let named = top.len() >= 2 && top.len() < domain.len();
        // `icon@2x.png` is a picture.
        if before >= least
            && domain.len() > 2 * least
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> Option<String> {
        let bytes = Redactor::with_key([1; 32]).free(text.as_bytes(), true)?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "",
            "eyJ",
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
            Redactor::with_key([1; 32]).free(&bytes, true);
            Redactor::with_key([1; 32]).free(text.as_bytes(), true);
        }
    }
}
