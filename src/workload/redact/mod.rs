//! Redaction: replaces secrets in paths, queries and bodies before anything reaches a disk.
//!
//! By structure and deny by default: what stands under a telling name goes, whatever it is;
//! what looks like a token goes, whatever its name. Values become pseudonyms of the same shape,
//! so that equal values stay equal. This lowers the risk of a leak and is no proof of
//! anonymity. Credential headers are not redacted but dropped, by `headers`.

mod free;
mod json;
mod multipart;
pub mod names;
mod pseudonym;

use std::{borrow::Cow, collections::BTreeMap, io};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use url::form_urlencoded::byte_serialize;

use super::endpoint::{is_hex, is_token, is_uuid};
use pseudonym::Pseudonyms;

/// Values inside values are followed this far; deeper ones are replaced unseen.
const DEEPEST: u8 = 4;
/// Hexadecimal path segments of at least this length may be session or reset tokens.
const SECRET_HEX: usize = 32;

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
}

impl Kind {
    /// The name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Field => "secret fields",
            Self::Jwt => "JSON Web Tokens",
            Self::Email => "e-mail addresses",
            Self::Token => "token-like values",
            Self::Encoded => "encoded secrets",
        }
    }
}

/// Replaces secrets by pseudonyms under one key, and counts what it replaced.
#[derive(Debug)]
pub struct Redactor {
    pseudonyms: Pseudonyms,
    counts: BTreeMap<Kind, u64>,
}

impl Redactor {
    /// With a key from the system's random source, which dies with the redactor.
    ///
    /// # Errors
    /// When the random source cannot be read.
    pub fn new() -> io::Result<Self> {
        Ok(Self::from_pseudonyms(Pseudonyms::random()?))
    }

    /// With a given key, so that several imports share their pseudonyms.
    pub fn with_key(key: [u8; 32]) -> Self {
        Self::from_pseudonyms(Pseudonyms::with_key(key))
    }

    fn from_pseudonyms(pseudonyms: Pseudonyms) -> Self {
        Self {
            pseudonyms,
            counts: BTreeMap::new(),
        }
    }

    /// How many values were replaced so far, by kind.
    pub fn counts(&self) -> &BTreeMap<Kind, u64> {
        &self.counts
    }

    /// Path and query with their secrets replaced.
    pub fn path(&mut self, path: &str) -> String {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let segments: Vec<String> = path
            .split('/')
            .map(|segment| self.segment(segment))
            .collect();
        let mut shown = segments.join("/");
        if let Some(query) = query {
            shown.push('?');
            shown.push_str(&self.pairs(query, 0));
        }
        shown
    }

    /// The value of a header field that is kept.
    pub fn header(&mut self, name: &str, value: String) -> String {
        if name.eq_ignore_ascii_case("referer") {
            return self.path(&value);
        }
        // Its boundary must stay that of the body.
        if name.eq_ignore_ascii_case("content-type") {
            return value;
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
            return self.free(&body).unwrap_or(body);
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

    fn segment(&mut self, segment: &str) -> String {
        let mut parts = segment.split(';');
        let name = parts.next().unwrap_or_default();
        let decoded = percent_decode(name);
        let mut shown = if is_file_name(&decoded) {
            self.free_text(&decoded)
        } else if is_hex(&decoded, SECRET_HEX) {
            Some(self.secret(Kind::Token, &decoded))
        } else {
            self.unnamed(&decoded, 0)
        }
        .map_or(name.to_owned(), |value| encode(&value).replace('+', "%20"));
        for parameter in parts {
            shown.push(';');
            shown.push_str(&self.pairs(parameter, 0).replace('+', "%20"));
        }
        shown
    }

    /// `name=value` pairs divided by `&`, as in queries and forms.
    fn pairs(&mut self, text: &str, depth: u8) -> String {
        let pairs: Vec<Cow<str>> = text.split('&').map(|pair| self.pair(pair, depth)).collect();
        pairs.join("&")
    }

    fn pair<'a>(&mut self, pair: &'a str, depth: u8) -> Cow<'a, str> {
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let Some((raw_name, raw_value)) = pair.split_once('=') else {
            let replaced = self.unnamed(&decode(pair), depth);
            return replaced.map_or(pair.into(), |value| encode(&value).into());
        };
        let (name, value) = (decode(raw_name), decode(raw_value));
        let shown_name = self.free_text(&name).map(|name| encode(&name));
        let shown_value = if value.is_empty() {
            None
        } else if names::is_sensitive(&name) {
            Some(self.secret(Kind::Field, &value))
        } else {
            self.unnamed(&value, depth)
        };
        if shown_name.is_none() && shown_value.is_none() {
            return pair.into();
        }
        let name = shown_name.unwrap_or(raw_name.to_owned());
        let value = shown_value.map_or(raw_value.to_owned(), |value| encode(&value));
        format!("{name}={value}").into()
    }

    /// A decoded value whose name tells nothing, with its secrets replaced; `None` when it
    /// holds none.
    fn unnamed(&mut self, value: &str, depth: u8) -> Option<String> {
        if value.len() < 3 || is_uuid(value) {
            return None;
        }
        if depth >= DEEPEST {
            return Some(self.secret(Kind::Encoded, value));
        }
        let replaced = self.free_text(value);
        let value = replaced.as_deref().unwrap_or(value);
        if replaced.is_none() && is_token(value) {
            return Some(self.secret(Kind::Token, value));
        }
        if self.hides_secret(value, depth) {
            return Some(self.secret(Kind::Encoded, value));
        }
        let start = value.trim_start();
        let nested = if start.starts_with(['{', '[']) {
            self.json(value, depth + 1)
        } else if value.contains('=') {
            let at = value.find('?').map_or(0, |at| at + 1);
            format!("{}{}", &value[..at], self.pairs(&value[at..], depth + 1))
        } else {
            return replaced;
        };
        if nested == value {
            replaced
        } else {
            Some(nested)
        }
    }

    /// Whether the value, once more percent-decoded or read as base 64, holds a secret.
    fn hides_secret(&mut self, value: &str, depth: u8) -> bool {
        let before = self.counts.clone();
        let decoded = percent_decode(value);
        let mut hides = decoded != value && self.unnamed(&decoded, depth + 1).is_some();
        if !hides && let Some(text) = base64_text(value) {
            hides = self.unnamed(&text, depth + 1).is_some();
        }
        self.counts = before;
        hides
    }

    fn free_text(&mut self, text: &str) -> Option<String> {
        let bytes = self.free(text.as_bytes())?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A pseudonym, whatever the value is.
    pub(in crate::workload) fn secret(&mut self, kind: Kind, value: &str) -> String {
        self.count(kind);
        self.pseudonyms.of(value)
    }

    fn secret_number(&mut self, number: &str) -> String {
        self.count(Kind::Field);
        self.pseudonyms.number(number)
    }

    fn secret_bytes(&mut self, kind: Kind, value: &[u8]) -> Vec<u8> {
        self.count(kind);
        match std::str::from_utf8(value) {
            Ok(text) => self.pseudonyms.of(text).into_bytes(),
            Err(_) => self.pseudonyms.of_bytes(value),
        }
    }

    fn count(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }
}

fn encode(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

/// Percent-encoded bytes decoded; what is no encoding stays.
pub(in crate::workload) fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let hex = |at: usize| {
        let digit = bytes.get(at).map(|b| char::from(*b).to_digit(16));
        digit.flatten().and_then(|digit| u8::try_from(digit).ok())
    };
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The text inside a base 64 value of either alphabet, when it is one that people can read.
fn base64_text(value: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b);
    if value.len() < 12 || !value.bytes().all(plain) {
        return None;
    }
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let bytes = [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(value).ok())?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(|c| c.is_control() && !c.is_whitespace())).then_some(text)
}

/// A name with an extension, such as a script with a content hash: never random as a whole.
fn is_file_name(segment: &str) -> bool {
    segment.rsplit_once('.').is_some_and(|(stem, extension)| {
        !stem.is_empty()
            && (1..=5).contains(&extension.len())
            && extension
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && extension.starts_with(|c: char| c.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests;
