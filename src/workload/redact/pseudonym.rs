//! Pseudonyms: another value of the same shape for each secret.
//!
//! HMAC-SHA256 (RFC 2104) under a key that is drawn for each import and never stored, so equal
//! secrets stay equal, sessions still correlate, and nobody can compute the way back. Short
//! values have few pseudonyms and may share one.
//!
//! The last characters of a pseudonym follow from the others by a rule without a key: the mark
//! by which everybody can tell a pseudonym from a secret that was missed.

mod shape;

use std::{fs::File, io, io::Read};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use shape::{Reading, Shape};

/// What the mark is computed with: another program's marks are others.
const MARK: &[u8] = b"proofload pseudonym 1\0";
/// A longer mark would leave too little to tell secrets apart by.
const MARK_BITS: f64 = 40.0;
/// Marks of so many bits are so rare among secrets that they are believed before writing.
pub(super) const BELIEVED_BITS: f64 = 30.0;

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

    /// Letters become letters of their case, digits become digits, hexadecimal and numbers stay
    /// so; other ASCII stays as it is unless it is most of the value; other letters become lower
    /// case. The domain of an e-mail address ends in `.test`, which never reaches anybody.
    pub(super) fn of(&self, value: &str) -> String {
        self.shaped(value, &Shape::of(value, Reading::Text))
    }

    /// Another JSON number of as many digits; equal to [`Pseudonyms::of`] where it is not written
    /// with an exponent.
    pub(super) fn of_number(&self, number: &str) -> String {
        self.shaped(number, &Shape::of(number, Reading::Number))
    }

    fn shaped(&self, value: &str, shape: &Shape) -> String {
        let mut stream = Stream::keyed(&self.key, value.as_bytes());
        marked(shape, &shape.filled(&mut stream))
    }

    /// As many lower-case letters as there are bytes, for what is no text.
    pub(super) fn of_bytes(&self, value: &[u8]) -> Vec<u8> {
        let shape = Shape::lower(value.len());
        let mut stream = Stream::keyed(&self.key, value);
        marked(&shape, &shape.filled(&mut stream)).into_bytes()
    }
}

/// How many bits say that the value is a pseudonym of whatever key; 0 when it is none, or too
/// short to carry a mark.
pub(super) fn mark_bits(value: &str) -> f64 {
    let chars: Vec<char> = value.chars().collect();
    [Reading::Text, Reading::AnyLetters, Reading::Number]
        .into_iter()
        .map(|reading| Shape::of(value, reading))
        .filter(|shape| chars.len() == shape.len() && marked(shape, &chars) == value)
        .map(|shape| shape.mark(MARK_BITS).1)
        .fold(0.0, f64::max)
}

/// The filled shape with its mark at its end.
fn marked(shape: &Shape, filled: &[char]) -> String {
    let (from, _) = shape.mark(MARK_BITS);
    let body: String = filled
        .iter()
        .enumerate()
        .map(|(at, c)| {
            if at >= from && shape.is_free(at) {
                '\0'
            } else {
                *c
            }
        })
        .collect();
    let mut digest = Sha256::new();
    digest.update(MARK);
    digest.update(body.as_bytes());
    let mut stream = Stream::seeded(digest.finalize().into());
    filled
        .iter()
        .enumerate()
        .map(|(at, c)| {
            let own = (at >= from).then(|| shape.pick(at, &mut stream));
            own.flatten().unwrap_or(*c)
        })
        .collect()
}

/// Bytes without end from one seed: HMAC in counter mode.
struct Stream {
    seed: [u8; 32],
    block: [u8; 32],
    used: usize,
    counter: u64,
}

impl Stream {
    fn keyed(key: &[u8; 32], value: &[u8]) -> Self {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
        mac.update(value);
        Self::seeded(mac.finalize().into_bytes().into())
    }

    fn seeded(seed: [u8; 32]) -> Self {
        Self {
            seed,
            block: [0; 32],
            used: 32,
            counter: 0,
        }
    }

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

    #[test]
    fn addresses_stay_addresses_and_reach_nobody() {
        for (address, shape) in [
            ("bob@gmail.com", 13),
            ("bob.b+tag@mail.example.co.uk", 29),
            ("x@a.co", 8),
        ] {
            let shown = pseudonyms().of(address);
            let domain = shown.split_once('@').unwrap().1;
            assert_eq!(domain.rsplit('.').next(), Some("test"), "{shown}");
            assert_eq!(shown.len(), shape, "{shown}");
            assert_eq!(pseudonyms().of(address), shown);
        }
    }

    #[test]
    fn few_secrets_carry_a_mark_by_chance() {
        let chance = (0..20_000_u64)
            .map(|i| format!("{:016x}", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            .filter(|secret| mark_bits(secret) > 0.0)
            .count();
        assert!(chance <= 3, "{chance}");
        assert_eq!(mark_bits("12345"), 0.0);
        assert_eq!(mark_bits(""), 0.0);
    }

    proptest! {
        #[test]
        fn the_shape_stays_and_equal_stays_equal(value in "[ -?A-~]{0,200}") {
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
            if value.len() >= 8 && value.bytes().all(|b| b.is_ascii_hexdigit())
                && value.bytes().any(|b| b.is_ascii_digit()) {
                prop_assert!(shown.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }

        #[test]
        fn what_is_no_escape_does_not_become_one(value in "([%a-hT-Z0-9é]|%[0-9a-fA-H]{2}){1,12}") {
            let shown = pseudonyms().of(&value);
            prop_assume!(shown.matches('%').count() == value.matches('%').count());
            let escapes = |text: &str| -> Vec<bool> {
                let hex = |c: Option<&char>| c.is_some_and(char::is_ascii_hexdigit);
                let chars: Vec<char> = text.chars().collect();
                let signs = (0..chars.len()).filter(|at| chars[*at] == '%');
                signs.map(|at| hex(chars.get(at + 1)) && hex(chars.get(at + 2))).collect()
            };
            prop_assert_eq!(escapes(&shown), escapes(&value), "{} {}", value, shown);
        }

        #[test]
        fn a_pseudonym_carries_its_mark_whatever_the_key(
            value in "[a-zA-Z0-9_.@+-]{6,80}|[0-9a-f]{6,64}|[0-9]{6,30}|[ -~é]{12,60}",
            key in any::<[u8; 32]>(),
        ) {
            prop_assume!(value.chars().filter(char::is_ascii_alphanumeric).count() >= 6);
            // What holds few letters and digits among others becomes letters altogether.
            let shown = Pseudonyms::with_key(key).of(&value);
            // A digit of an escape has few others to be drawn from.
            let least = if value.contains('%') { 1.0 } else { 5.0 };
            prop_assert!(mark_bits(&shown) >= least, "{} {}", shown, mark_bits(&shown));
            let long = value.bytes().filter(u8::is_ascii_alphanumeric).count() >= 36;
            prop_assert!(!long || mark_bits(&shown) >= BELIEVED_BITS, "{}", shown);
        }

        #[test]
        fn numbers_stay_numbers(number in any::<i64>(), float in -1e300..1e300_f64) {
            for text in [number.to_string(), float.to_string(), format!("{float:e}")] {
                let shown = pseudonyms().of_number(&text);
                prop_assert!(serde_json::from_str::<serde_json::Number>(&shown).is_ok(), "{shown}");
                prop_assert_eq!(shown.len(), text.len());
                prop_assert!(text.contains('e') || pseudonyms().of(&text) == shown);
            }
        }

        #[test]
        fn bytes_become_letters_with_a_mark(bytes in prop::collection::vec(any::<u8>(), 6..60)) {
            let shown = String::from_utf8(pseudonyms().of_bytes(&bytes)).unwrap();
            prop_assert_eq!(shown.len(), bytes.len());
            prop_assert!(mark_bits(&shown) > 6.0);
        }
    }
}
