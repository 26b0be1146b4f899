//! Encodings that values arrive in: percent-encoding and base 64.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use url::form_urlencoded::byte_serialize;

/// Encoded as in a form: a space becomes `+`.
pub(super) fn encode(value: &str) -> String {
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
pub(super) fn base64_text(value: &str) -> Option<String> {
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

/// A text in pieces: as each is written, and the character that it stands for.
pub(super) type Units<'a> = Vec<(&'a str, char)>;

/// The pieces of a text with references such as `&amp;` and `&#38;`; `None` when it has none.
pub(super) fn references(text: &str) -> Option<Units<'_>> {
    /// The longest is `&#1114111;`.
    const LONGEST: usize = 10;
    let mut units = Vec::new();
    let (mut at, mut has_any) = (0, false);
    while let Some(first) = text[at..].chars().next() {
        let mut length = first.len_utf8();
        let mut plain = first;
        if first == '&' {
            let ends = text[at..].bytes().take(LONGEST).position(|b| b == b';');
            let reference = ends.and_then(|end| Some((end, referred(&text[at + 1..at + end])?)));
            if let Some((end, c)) = reference {
                (length, plain, has_any) = (end + 1, c, true);
            }
        }
        units.push((&text[at..at + length], plain));
        at += length;
    }
    has_any.then_some(units)
}

fn referred(name: &str) -> Option<char> {
    let number = name.strip_prefix('#');
    match (name, number) {
        ("amp", _) => Some('&'),
        ("lt", _) => Some('<'),
        ("gt", _) => Some('>'),
        ("quot", _) => Some('"'),
        ("apos", _) => Some('\''),
        (_, Some(number)) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
        _ => None,
    }
}

/// The new text in the spelling of the old one: what is the same stays as it is written.
pub(super) fn respelled(
    units: &[(&str, char)],
    shown: &str,
    write: impl Fn(char) -> String,
) -> String {
    let new: Vec<char> = shown.chars().collect();
    let same = |pairs: &mut dyn Iterator<Item = (&(&str, char), &char)>| {
        pairs.take_while(|(unit, c)| unit.1 == **c).count()
    };
    let (before, behind) = if new.len() == units.len() {
        (units.len(), 0)
    } else {
        let before = same(&mut units.iter().zip(&new));
        let rest = units.len().min(new.len()) - before;
        let behind = same(&mut units.iter().rev().zip(new.iter().rev()).take(rest));
        (before, behind)
    };
    let mut text = String::with_capacity(shown.len());
    for (unit, c) in units.iter().zip(&new).take(before) {
        match unit.1 == *c {
            true => text.push_str(unit.0),
            false => text.push_str(&write(*c)),
        }
    }
    let middle = &new[before..new.len() - behind];
    text.extend(middle.iter().map(|c| write(*c)));
    text.extend(units[units.len() - behind..].iter().map(|unit| unit.0));
    text
}
