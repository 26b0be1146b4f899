//! Redaction: replaces secrets in paths, queries and bodies before anything reaches a disk.
//!
//! By structure and deny by default: what stands under a telling name goes, whatever it is;
//! what looks like a token goes, whatever its name. Values become pseudonyms of the same shape,
//! so that equal values stay equal. This lowers the risk of a leak and is no proof of
//! anonymity. Credential headers are not redacted but dropped, by `headers`.
//!
//! A search for what is left is the same walk with another end: `scan` seeks with the redactor
//! that would have replaced.

mod command;
mod encoded;
mod free;
mod json;
mod known;
mod markup;
mod multipart;
mod named;
pub mod names;
mod path;
mod pseudonym;
mod random;
mod rules;
mod seek;
mod value;

use std::{collections::BTreeMap, io};

pub use command::{masked_argument, masked_command};
pub(super) use encoded::percent_decode;
pub(super) use json::JsonPlace;
use pseudonym::Pseudonyms;
use random::Doubt;
use rules::Fate;
pub use rules::{RuleError, Rules};
use seek::Seek;
pub(super) use seek::{Found, Manner};

/// Values inside values are followed this far; deeper ones are replaced unseen.
const DEEPEST: u8 = 4;
/// What stands in place of a secret where no pseudonym is of use.
const STARS: &str = "***";

/// What kind of secret was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A value under the name of a secret.
    Field,
    /// A JSON Web Token.
    Jwt,
    /// An e-mail address.
    Email,
    /// A value that looks drawn at random.
    Token,
    /// A value that holds a secret in an encoding of its own.
    Encoded,
    /// A key that tells its issuer by its prefix.
    Issued,
    /// A private key.
    PrivateKey,
    /// A name and a password in front of a host, or behind `Basic` or `Bearer`.
    Login,
    /// The number of a payment card.
    Card,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Field,
        Self::Jwt,
        Self::Email,
        Self::Token,
        Self::Encoded,
        Self::Issued,
        Self::PrivateKey,
        Self::Login,
        Self::Card,
    ];

    /// The name of several in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "secret fields",
            Self::Jwt => "JSON Web Tokens",
            Self::Email => "e-mail addresses",
            Self::Token => "token-like values",
            Self::Encoded => "encoded secrets",
            Self::Issued => "keys of known issuers",
            Self::PrivateKey => "private keys",
            Self::Login => "log-ins",
            Self::Card => "numbers of payment cards",
        }
    }

    /// The name of one.
    pub fn one(self) -> &'static str {
        match self {
            Self::Field => "secret field",
            Self::Jwt => "JSON Web Token",
            Self::Email => "e-mail address",
            Self::Token => "token-like value",
            Self::Encoded => "encoded secret",
            Self::Issued => "key of a known issuer",
            Self::PrivateKey => "private key",
            Self::Login => "log-in",
            Self::Card => "number of a payment card",
        }
    }
}

/// What is written in place of secrets.
#[derive(Debug)]
enum Writes {
    Pseudonyms(Pseudonyms),
    Stars,
}

/// Replaces secrets by pseudonyms under one key, and counts what it replaced.
#[derive(Debug)]
pub struct Redactor {
    writes: Writes,
    rules: Rules,
    counts: [u64; Kind::ALL.len()],
    /// Pseudonyms that were met and left alone.
    recognised: u64,
    seek: Option<Seek>,
}

impl Redactor {
    /// With a key from the system's random source, which dies with the redactor.
    ///
    /// # Errors
    /// When the random source cannot be read.
    pub fn new() -> io::Result<Self> {
        Self::with_rules(&Rules::default())
    }

    /// With a given key, so that several imports share their pseudonyms.
    pub fn with_key(key: [u8; 32]) -> Self {
        let pseudonyms = Pseudonyms::with_key(key);
        Self::writing(Writes::Pseudonyms(pseudonyms), Rules::default())
    }

    /// With the rules of a team, and their key if they have one.
    ///
    /// # Errors
    /// When the random source cannot be read.
    pub fn with_rules(rules: &Rules) -> io::Result<Self> {
        let pseudonyms = match rules.key_bytes() {
            Some(key) => Pseudonyms::with_key(key),
            None => Pseudonyms::random()?,
        };
        Ok(Self::writing(Writes::Pseudonyms(pseudonyms), rules.clone()))
    }

    /// One that writes `***` in place of secrets, for messages.
    fn with_stars() -> Self {
        Self::writing(Writes::Stars, Rules::default())
    }

    fn writing(writes: Writes, rules: Rules) -> Self {
        Self {
            writes,
            rules,
            counts: [0; Kind::ALL.len()],
            recognised: 0,
            seek: None,
        }
    }

    /// How many values were replaced so far, by kind.
    pub fn counts(&self) -> BTreeMap<Kind, u64> {
        let counts = Kind::ALL.into_iter().zip(self.counts);
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// The rules that it works by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The pseudonym of a value that is known to be a secret, such as the cookie that tells
    /// clients apart: the same as wherever else the value stands.
    pub fn pseudonym(&self, value: &str) -> String {
        match &self.writes {
            Writes::Pseudonyms(pseudonyms) => pseudonyms.of(value),
            Writes::Stars => STARS.to_owned(),
        }
    }

    /// The value of a header field that is kept.
    pub fn header(&mut self, name: &str, value: String) -> String {
        self.note_name(name);
        if name.eq_ignore_ascii_case("referer") {
            return self.path(&value);
        }
        if name.eq_ignore_ascii_case("content-type") {
            return self.content_type(&value);
        }
        match self.rules.of_name(name) {
            Some(Fate::Kept) => return value,
            Some(Fate::Secret) => return self.secret(Kind::Field, &value).unwrap_or(value),
            None => {}
        }
        let value = self.free_text(&value).unwrap_or(value);
        if value.trim_start().starts_with(['{', '[']) {
            return self.unnamed(&value, 0).unwrap_or(value);
        }
        // A list such as `text/html;q=0.9, */*;q=0.8` is no form: read as one, its parameters
        // would nest and come out encoded.
        let parts = value.split_inclusive([',', ';', ' ']);
        parts.map(|part| self.header_part(part)).collect()
    }

    /// One member or parameter of a header value, with the separator behind it.
    fn header_part(&mut self, part: &str) -> String {
        let member = part.trim_end_matches([',', ';', ' ']);
        let shown = self.unnamed(member, 0);
        shown.map_or(part.to_owned(), |shown| shown + &part[member.len()..])
    }

    /// A content type: its boundary becomes what the body's will, all else stays.
    fn content_type(&mut self, value: &str) -> String {
        let parts = value.split_inclusive(';').map(|part| {
            let (member, end) = match part.strip_suffix(';') {
                Some(member) => (member, ";"),
                None => (part, ""),
            };
            let Some((name, own)) = member.split_once('=') else {
                return self.free_text(member).unwrap_or(member.to_owned()) + end;
            };
            if !name.trim().eq_ignore_ascii_case("boundary") {
                return self.header_part(member) + end;
            }
            let bare = own.trim().trim_matches('"');
            let shown = self.boundary(bare).unwrap_or(bare.to_owned());
            format!("{name}={}{end}", own.replace(bare, &shown))
        });
        parts.collect()
    }

    /// What a boundary becomes that looks random: left alone, it would look like a secret that was
    /// missed.
    fn boundary(&mut self, boundary: &str) -> Option<String> {
        let is_random = random::is_random(boundary, self.doubt());
        is_random
            .then(|| self.secret(Kind::Token, boundary))
            .flatten()
    }

    /// A body with its secrets replaced, read as its content type says or as it looks.
    pub fn body(&mut self, content_type: &str, body: Vec<u8>) -> Vec<u8> {
        self.nested_body(content_type, body, 0)
    }

    fn nested_body(&mut self, content_type: &str, body: Vec<u8>, depth: u8) -> Vec<u8> {
        let kind = content_type.trim().to_ascii_lowercase();
        if kind.starts_with("multipart/") {
            return self.multipart(content_type, &body, depth);
        }
        let Ok(text) = std::str::from_utf8(&body) else {
            return self.free(&body, true).unwrap_or(body);
        };
        let first = text
            .trim_start_matches('\u{feff}')
            .trim_start()
            .chars()
            .next();
        if kind.starts_with("application/x-www-form-urlencoded") {
            self.pairs(text, depth).into_bytes()
        } else if kind.contains("json") || matches!(first, Some('{' | '[')) {
            self.json(text, depth).into_bytes()
        } else {
            self.unnamed(text, depth).map_or(body, String::into_bytes)
        }
    }

    fn free_text(&mut self, text: &str) -> Option<String> {
        let bytes = self.free(text.as_bytes(), true)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What becomes of a value by the name that it stands under.
    fn fate(&self, name: &str) -> Option<Fate> {
        if !self.is_name(name) {
            return None;
        }
        let by_rules = self.rules.of_name(name);
        by_rules.or_else(|| names::is_sensitive(name).then_some(Fate::Secret))
    }

    fn is_secret_name(&self, name: &str) -> bool {
        self.fate(name) == Some(Fate::Secret)
    }

    fn doubt(&self) -> Doubt {
        match self.seek {
            Some(_) => Doubt::For,
            None => Doubt::Against,
        }
    }

    /// What stands in place of a secret; `None` where it is none after all.
    pub(super) fn secret(&mut self, kind: Kind, value: &str) -> Option<String> {
        if self.is_spared(kind, value) {
            return None;
        }
        self.count(kind, value);
        Some(self.pseudonym(value))
    }

    fn secret_number(&mut self, number: &str) -> Option<String> {
        if self.is_spared(Kind::Field, number) {
            return None;
        }
        self.count(Kind::Field, number);
        Some(match &self.writes {
            Writes::Pseudonyms(pseudonyms) => pseudonyms.of_number(number),
            Writes::Stars => "0".to_owned(),
        })
    }

    fn secret_bytes(&mut self, kind: Kind, value: &[u8]) -> Option<Vec<u8>> {
        if let Ok(text) = std::str::from_utf8(value) {
            return self.secret(kind, text).map(String::into_bytes);
        }
        self.count(kind, &String::from_utf8_lossy(value));
        Some(match &self.writes {
            Writes::Pseudonyms(pseudonyms) => pseudonyms.of_bytes(value),
            Writes::Stars => STARS.as_bytes().to_vec(),
        })
    }

    /// Whether a value that would be replaced stays: it is exempted, says nothing, or is a
    /// pseudonym that somebody made before.
    fn is_spared(&mut self, kind: Kind, value: &str) -> bool {
        let is_made_of = kind == Kind::Token && self.is_made_of_pseudonyms(value);
        if is_made_of || self.is_pseudonym(value) {
            self.recognised += 1;
            return true;
        }
        let is_flag = kind == Kind::Field && named::is_flag(value.as_bytes());
        is_flag
            || self.rules.keeps_value(value)
            || self
                .seek
                .as_ref()
                .is_some_and(|seek| !seek.wants(kind, value))
    }

    /// Whether the value carries the mark of a pseudonym. Before writing only a long one is
    /// believed, because a secret may carry a short one by chance.
    fn is_pseudonym(&self, value: &str) -> bool {
        let bits = pseudonym::mark_bits(value);
        match self.seek {
            Some(_) => bits > 0.0,
            None => bits >= pseudonym::BELIEVED_BITS,
        }
    }

    fn count(&mut self, kind: Kind, value: &str) {
        self.counts[kind as usize] += 1;
        if let Some(seek) = &mut self.seek {
            seek.found(kind, value);
        }
    }
}

/// Whether a line begins a private key in PEM.
pub(super) fn begins_private_key(line: &[u8]) -> bool {
    known::begins_private_key(line)
}

/// Whether a name may be shown: it reads like one.
pub(super) fn is_word_of_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]$:".contains(&b);
    name.bytes().all(plain) && !random::is_code(name) && !random::is_random(name, Doubt::Against)
}

/// Whether the name of a header field looks like a value.
pub(super) fn is_random_name(name: &str) -> bool {
    random::is_random(name, Doubt::Against)
}

/// Whether a text that somebody wrote holds what looks like a secret.
pub(super) fn holds_secret(text: &str) -> bool {
    let mut redactor = Redactor::seeking(&Rules::default(), Manner::Any);
    redactor.unnamed(text, 0);
    let found = !redactor.take_found().is_empty();
    found || random::is_code(text)
}

/// Whether the label of an endpoint looks like a secret, and not like the name of one.
pub fn looks_secret(label: &str) -> bool {
    let mut redactor = Redactor::seeking(&Rules::default(), Manner::Any);
    redactor.path(label.split_once(' ').map_or(label, |(_, path)| path));
    !redactor.take_found().is_empty()
}

/// The text with each secret in it shown as `***`, for messages and command lines: read as a path
/// with a query, else word by word.
pub fn masked(text: &str) -> String {
    let mut redactor = Redactor::with_stars();
    let words = text.split_inclusive(char::is_whitespace);
    let words = words.map(|word| {
        let bare = word.trim_end();
        let shown = redactor.free_text(bare).unwrap_or(bare.to_owned());
        redactor.path(&shown) + &word[bare.len()..]
    });
    words.collect()
}

#[cfg(test)]
mod tests;
