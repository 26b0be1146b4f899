//! Placeholders: `{{uuid}}`, `{{seq}}`, `{{now}}` and `{{pick:FILE}}`, filled in when a request is
//! drawn, before its instant and once for both sides.
//!
//! Everything comes from the seed: the same lot gives the same values. Other text in double
//! braces stays what it is.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::picks::Picks;

/// What decides the values of one drawn request.
#[derive(Debug)]
pub struct Lot<'a> {
    /// The seed of the run.
    pub seed: u64,
    /// How often the workload was repeated before.
    pub repetition: u64,
    /// Which request of the endless sequence it is, from 0.
    pub index: u64,
    /// Its planned instant in nanoseconds since 1970.
    pub now_ns: u64,
    /// How many `{{seq}}` were drawn before.
    pub seq: &'a mut u64,
}

impl Lot<'_> {
    /// Sixteen bytes that are the same for the same seed and parts.
    pub(super) fn bytes(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut digest = Sha256::new();
        digest.update(self.seed.to_le_bytes());
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let digest = digest.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes
    }

    fn own(&self, nth: u64) -> [u8; 16] {
        self.bytes(&[b"own", &self.index.to_le_bytes(), &nth.to_le_bytes()])
    }
}

/// A version 4 UUID (RFC 9562) of these bytes.
pub(super) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// What is longer than this is nobody's idea of a placeholder.
const NAME_MAX: usize = 40;

/// One placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word<'a> {
    Uuid,
    Seq,
    Now,
    Seconds,
    Milliseconds,
    Pick(&'a str),
}

impl<'a> Word<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        match name {
            "uuid" => Some(Self::Uuid),
            "seq" => Some(Self::Seq),
            "now" => Some(Self::Now),
            "now:s" => Some(Self::Seconds),
            "now:ms" => Some(Self::Milliseconds),
            _ => name.strip_prefix("pick:").map(Self::Pick),
        }
    }
}

/// The text before the first placeholder, the placeholder, and the text behind it.
fn next(text: &str) -> Option<(&str, Word<'_>, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find("{{").map(|at| from + at) {
        let rest = &text[open + 2..];
        let end = rest.find("}}")?;
        if let Some(word) = Word::parse(&rest[..end]) {
            return Some((&text[..open], word, &rest[end + 2..]));
        }
        from = open + 1;
    }
    None
}

/// What stands around the placeholders of a text.
pub(super) fn literals(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, _, behind)) = next(rest) {
        parts.push(before);
        rest = behind;
    }
    parts.push(rest);
    parts
}

/// Whether the text holds a placeholder.
pub(super) fn has_any(text: &str) -> bool {
    next(text).is_some()
}

/// The files that placeholders of the text pick from.
pub(super) fn files(text: &str) -> Vec<&str> {
    let (mut files, mut rest) = (Vec::new(), text);
    while let Some((_, word, behind)) = next(rest) {
        if let Word::Pick(file) = word {
            files.push(file);
        }
        rest = behind;
    }
    files
}

/// Words in double braces that are no placeholders and may have been meant to be: they stay.
pub(super) fn unknown(text: &str) -> impl Iterator<Item = &str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " _:.-".contains(c);
    let words = text.split("{{").skip(1);
    let words = words.filter_map(|rest| rest.split_once("}}").map(|(word, _)| word));
    words.filter(move |word| {
        let is_word = (1..=NAME_MAX).contains(&word.trim().len()) && word.chars().all(is_plain);
        is_word && Word::parse(word).is_none()
    })
}

/// The text with all placeholders filled in; each value passes `quote`. `nth` counts the values
/// of one request, so that no two are alike.
pub(super) fn filled(
    text: &str,
    (lot, nth): (&mut Lot<'_>, &mut u64),
    picks: &Picks,
    quote: &dyn Fn(&str) -> String,
) -> String {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((before, word, behind)) = next(rest) {
        let own = lot.own(*nth);
        *nth += 1;
        let value = match word {
            Word::Uuid => uuid(own),
            Word::Seq => {
                *lot.seq += 1;
                lot.seq.to_string()
            }
            Word::Now => rfc3339(lot.now_ns),
            Word::Seconds => (lot.now_ns / 1_000_000_000).to_string(),
            Word::Milliseconds => (lot.now_ns / 1_000_000).to_string(),
            Word::Pick(file) => picks.pick(file, own).to_owned(),
        };
        whole.push_str(before);
        whole.push_str(&quote(&value));
        rest = behind;
    }
    whole.push_str(rest);
    whole
}

/// An instant in UTC with milliseconds, such as `2026-11-25T02:24:26.120Z`.
fn rfc3339(ns: u64) -> String {
    let at = Timestamp::from_nanosecond(i128::from(ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{at:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::endpoint::is_uuid;

    fn fill(text: &str, index: u64) -> String {
        let mut seq = 4;
        let mut lot = Lot {
            seed: 7,
            repetition: 0,
            index,
            now_ns: 1_764_037_466_120_000_000,
            seq: &mut seq,
        };
        let quote = |value: &str| value.to_owned();
        filled(text, (&mut lot, &mut 0), &Picks::default(), &quote)
    }

    #[test]
    fn words_that_may_have_been_meant_are_known() {
        let text =
            "{{uuid}} {{uid}} {{ seq }} {{pick:a.txt}} {{{}}} {{x{{y:1}} {{\"a\":{}}} {{}} {{";
        assert_eq!(unknown(text).collect::<Vec<_>>(), ["uid", " seq ", "y:1"]);
    }

    #[test]
    fn known_placeholders_are_filled_and_everything_else_stays() {
        for (text, expected) in [
            ("/a", "/a"),
            ("{{seq}}", "5"),
            ("a{{seq}}b{{seq}}c", "a5b6c"),
            ("{{now}}", "2025-11-25T02:24:26.120Z"),
            ("{{now:s}}/{{now:ms}}", "1764037466/1764037466120"),
            ("{{name}} {{ uuid }} {{{}}", "{{name}} {{ uuid }} {{{}}"),
            ("{{x{{seq}}", "{{x5"),
            ("{{seq", "{{seq"),
            ("é{{seq}}é", "é5é"),
        ] {
            assert_eq!(fill(text, 0), expected, "{text}");
        }
        assert!(has_any("x{{uuid}}") && !has_any("{{name}}"));
        assert_eq!(files("{{pick:a.txt}}{{uuid}}{{pick:b}}"), ["a.txt", "b"]);
    }

    #[test]
    fn the_same_lot_gives_the_same_values_and_another_one_others() {
        let one = fill("{{uuid}}", 1);
        assert!(is_uuid(&one) && one.as_bytes()[14] == b'4', "{one}");
        assert_eq!(one, fill("{{uuid}}", 1));
        assert_ne!(one, fill("{{uuid}}", 2));
        let two = fill("{{uuid}} {{uuid}}", 1);
        let (a, b) = two.split_once(' ').unwrap();
        assert_ne!(a, b);
    }
}
