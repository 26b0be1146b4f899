//! Pseudonyms: another value of the same shape for each secret.
//!
//! HMAC-SHA256 (RFC 2104) under a key that is drawn for each import and never stored, so equal
//! secrets stay equal, sessions still correlate, and nobody can compute the way back. Short
//! values have few pseudonyms and may share one.

use std::{fs::File, io, io::Read};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of one import; its `Debug` shows nothing.
#[derive(Clone)]
pub(super) struct Pseudonyms {
    key: [u8; 32],
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms")
    }
}

impl Pseudonyms {
    /// With a key from the system's random source.
    pub(super) fn random() -> io::Result<Self> {
        let mut key = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self { key })
    }

    /// With a given key.
    pub(super) fn with_key(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Letters become letters of their case, digits become digits, hexadecimal stays so; other
    /// ASCII stays as it is unless it is most of the value; other letters become lower case.
    pub(super) fn of(&self, value: &str) -> String {
        let known = value.bytes().filter(u8::is_ascii_alphanumeric).count();
        let keep_others = 2 * known >= value.chars().count();
        let hex = is_hex(value);
        let mut stream = self.stream(value.as_bytes());
        value
            .chars()
            .map(|character| {
                let low = if hex { b"abcdef".as_slice() } else { LOWER };
                match character {
                    '0'..='9' => pick(DIGITS, stream.next_byte()),
                    'a'..='z' => pick(low, stream.next_byte()),
                    'A'..='Z' => pick(low, stream.next_byte()).to_ascii_uppercase(),
                    _ if character.is_ascii() && keep_others => character,
                    _ => pick(LOWER, stream.next_byte()),
                }
            })
            .collect()
    }

    /// Another number of as many digits; sign, point and exponent stay.
    pub(super) fn number(&self, number: &str) -> String {
        let mut stream = self.stream(number.as_bytes());
        let mut first = true;
        let (digits, exponent) = number.split_at(number.find(['e', 'E']).unwrap_or(number.len()));
        digits
            .chars()
            .map(|character| match character {
                // JSON knows no leading zeros.
                '0' if std::mem::take(&mut first) => '0',
                '1'..='9' if std::mem::take(&mut first) => pick(&DIGITS[1..], stream.next_byte()),
                '0'..='9' => pick(DIGITS, stream.next_byte()),
                _ => character,
            })
            .chain(exponent.chars())
            .collect()
    }

    /// As many lower-case letters as there are bytes, for what is no text.
    pub(super) fn of_bytes(&self, value: &[u8]) -> Vec<u8> {
        let mut stream = self.stream(value);
        value
            .iter()
            .map(|_| LOWER[usize::from(stream.next_byte()) % LOWER.len()])
            .collect()
    }

    fn stream(&self, value: &[u8]) -> Stream {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length is a key");
        mac.update(value);
        let seed = mac.finalize().into_bytes().into();
        Stream {
            seed,
            block: [0; 32],
            used: 32,
            counter: 0,
        }
    }
}

const DIGITS: &[u8] = b"0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

fn pick(from: &[u8], byte: u8) -> char {
    char::from(from[usize::from(byte) % from.len()])
}

fn is_hex(value: &str) -> bool {
    let letters = || value.bytes().filter(u8::is_ascii_alphanumeric);
    letters().count() >= 8
        && letters().all(|b| b.is_ascii_hexdigit())
        && letters().any(|b| b.is_ascii_digit())
}

/// Bytes without end from one seed: HMAC in counter mode.
struct Stream {
    seed: [u8; 32],
    block: [u8; 32],
    used: usize,
    counter: u64,
}

impl Stream {
    fn next_byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.seed).expect("any length is a key");
            mac.update(&self.counter.to_be_bytes());
            self.block = mac.finalize().into_bytes().into();
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn pseudonyms() -> Pseudonyms {
        Pseudonyms::with_key([7; 32])
    }

    #[test]
    fn long_values_never_share_a_pseudonym() {
        let values: BTreeSet<String> = (0..10_000)
            .map(|i| pseudonyms().of(&format!("sess-{i:06}-abcdefgh")))
            .collect();
        assert_eq!(values.len(), 10_000);
    }

    #[test]
    fn the_key_decides_and_is_not_shown() {
        let other = Pseudonyms::with_key([8; 32]);
        assert_ne!(pseudonyms().of("correct horse"), other.of("correct horse"));
        assert_eq!(format!("{other:?}"), "Pseudonyms");
        let (a, b) = (Pseudonyms::random().unwrap(), Pseudonyms::random().unwrap());
        assert_ne!(a.key, b.key);
    }

    #[test]
    fn punctuation_alone_and_foreign_letters_do_not_stay() {
        for secret in ["!!!!????", "пароль", "密码密码", "a!!!!!"] {
            let shown = pseudonyms().of(secret);
            assert_eq!(shown.chars().count(), secret.chars().count());
            assert!(shown.bytes().all(|b| b.is_ascii_lowercase()), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn the_shape_stays_and_equal_stays_equal(value in "[ -~]{0,200}") {
            let shown = pseudonyms().of(&value);
            prop_assert_eq!(&pseudonyms().of(&value), &shown);
            prop_assert_eq!(shown.len(), value.len());
            let known = value.bytes().filter(u8::is_ascii_alphanumeric).count();
            for (a, b) in value.bytes().zip(shown.bytes()).filter(|_| 2 * known >= value.len()) {
                prop_assert_eq!(a.is_ascii_digit(), b.is_ascii_digit());
                prop_assert_eq!(a.is_ascii_lowercase(), b.is_ascii_lowercase());
                prop_assert_eq!(a.is_ascii_uppercase(), b.is_ascii_uppercase());
                prop_assert!(a.is_ascii_alphanumeric() || a == b);
            }
            if is_hex(&value) {
                prop_assert!(shown.bytes().filter(u8::is_ascii_alphanumeric)
                    .all(|b| b.is_ascii_hexdigit()));
            }
        }

        #[test]
        fn numbers_stay_numbers(number in any::<i64>(), float in -1e300..1e300_f64) {
            for text in [number.to_string(), float.to_string(), format!("{float:e}")] {
                let shown = pseudonyms().number(&text);
                prop_assert!(serde_json::from_str::<serde_json::Number>(&shown).is_ok(), "{shown}");
                prop_assert_eq!(shown.len(), text.len());
            }
        }
    }
}
