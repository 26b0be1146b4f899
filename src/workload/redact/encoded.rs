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
