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

/// A new value in place of an old one that is percent-encoded: what is the same stays as it is
/// written. A `+` is a space in forms, and none in paths.
pub(super) fn encoded_like(raw: &str, shown: &str, is_form: bool) -> String {
    let is_encoded = raw.contains('%') || (is_form && raw.contains('+'));
    let write = |c: char| {
        if !is_encoded && c.is_ascii_graphic() && !"&#+%/?;=\"<>".contains(c) {
            return c.to_string();
        }
        let encoded = encode(c.encode_utf8(&mut [0; 4]));
        if is_form {
            encoded
        } else {
            encoded.replace('+', "%20")
        }
    };
    match escapes(raw, is_form) {
        Some(units) => respelled(&units, shown, write),
        None => shown.chars().map(write).collect(),
    }
}

/// The pieces of a percent-encoded text; `None` when it does not encode UTF-8.
fn escapes(text: &str, is_form: bool) -> Option<Units<'_>> {
    let escape = |at: usize| {
        let digits = text.get(at..at + 3)?.strip_prefix('%')?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)
    };
    let mut units = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let Some(byte) = escape(at) else {
            let length = first.len_utf8();
            let plain = if is_form && first == '+' { ' ' } else { first };
            units.push((&text[at..at + length], plain));
            at += length;
            continue;
        };
        // The first byte of a character tells how many it has.
        let count = (byte.leading_ones().max(1) as usize).min(4);
        let places = (0..count).map(|nth| at + 3 * nth);
        let bytes = places.map(escape).collect::<Option<Vec<u8>>>()?;
        let plain = std::str::from_utf8(&bytes).ok()?.chars().next()?;
        units.push((&text[at..at + 3 * count], plain));
        at += 3 * count;
    }
    Some(units)
}

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
        if unit.1 == *c {
            text.push_str(unit.0);
        } else {
            text.push_str(&write(*c));
        }
    }
    let middle = &new[before..new.len() - behind];
    text.extend(middle.iter().map(|c| write(*c)));
    text.extend(units[units.len() - behind..].iter().map(|unit| unit.0));
    text
}

#[cfg(test)]
mod tests {
    use crate::workload::redact::Redactor;

    #[test]
    fn what_stands_around_a_secret_stays_as_it_is_written() {
        for (text, secret) in [
            (
                r#"{"dsn":"Server=x;User Id=a b;Password=p1secret;"}"#,
                "p1secret",
            ),
            (r#"{"u":"a?x=%7e+b&token=hunter2&y=%C3%A9"}"#, "hunter2"),
            ("a=1;password=hunter2;c=d e", "hunter2"),
        ] {
            let shown = Redactor::with_key([3; 32]).body("text/plain", text.into());
            let shown = String::from_utf8(shown).unwrap();
            let parts: Vec<&str> = text.split(secret).collect();
            let is_around = shown.starts_with(parts[0]) && shown.ends_with(parts[1]);
            assert!(is_around && !shown.contains(secret), "{shown}");
            assert_eq!(shown.len(), text.len(), "{shown}");
        }
        for (path, secret) in [
            ("/a?x=%7eb+c%3Btoken%3dhunter2%3b%20d", "hunter2"),
            ("/a?token=p%2fq~h%75nter2", "p%2fq~h%75nter2"),
            ("/a/x=1;token=hunter2;d=(e)", "hunter2"),
        ] {
            let shown = Redactor::with_key([3; 32]).path(path);
            let at = path.find(secret).unwrap();
            let behind = &path[at + secret.len()..];
            assert!(
                shown.starts_with(&path[..at]) && shown.ends_with(behind),
                "{shown}"
            );
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
