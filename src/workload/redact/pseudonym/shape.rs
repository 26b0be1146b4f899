//! The shape of a value: which of its characters stay, and out of which the others are drawn.

use super::Stream;

const DIGITS: &[u8] = b"0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// So many of the letters are hexadecimal digits.
const HEX: usize = 6;
/// Values with fewer free characters carry no mark.
const MARKED_LEAST: usize = 6;

/// As what a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As what it looks like: an address, a plain number, hexadecimal digits, or a text.
    Text,
    /// The same, but any letter may stand for any: a pseudonym may look hexadecimal by chance.
    AnyLetters,
    /// As a JSON number, which may have an exponent.
    Number,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    Stays(char),
    From(&'static [u8]),
}

/// A value with its secret characters taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape(Vec<Slot>);

impl Shape {
    pub(super) fn of(value: &str, reading: Reading) -> Self {
        let is_plain = !value.contains(['e', 'E']);
        if is_number(value) && (is_plain || reading == Reading::Number) {
            return Self::number(value);
        }
        if let Some((name, domain)) = value.split_once('@')
            && is_address(name, domain)
        {
            return Self::address(name, domain);
        }
        let known = value.bytes().filter(u8::is_ascii_alphanumeric).count();
        let keeps_others = 2 * known >= value.chars().count();
        Self::text(
            value,
            reading == Reading::Text && is_hex(value),
            keeps_others,
        )
    }

    /// As many lower-case letters.
    pub(super) fn lower(length: usize) -> Self {
        Self(vec![Slot::From(LOWER); length])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_free(&self, at: usize) -> bool {
        matches!(self.0[at], Slot::From(_))
    }

    /// A character for the place; `None` where the value's own stays.
    pub(super) fn pick(&self, at: usize, stream: &mut Stream) -> Option<char> {
        match self.0[at] {
            Slot::Stays(_) => None,
            Slot::From(letters) => {
                let index = usize::from(stream.next_byte()) % letters.len();
                Some(char::from(letters[index]))
            }
        }
    }

    /// The shape with its free places filled.
    pub(super) fn filled(&self, stream: &mut Stream) -> Vec<char> {
        let filled = self.0.iter().enumerate().map(|(at, slot)| match slot {
            Slot::Stays(own) => *own,
            Slot::From(_) => self.pick(at, stream).unwrap_or_default(),
        });
        filled.collect()
    }

    /// Where the mark begins, and how many bits it holds: no more than needed, and no more than a
    /// third of the free places.
    pub(super) fn mark(&self, wanted: f64) -> (usize, f64) {
        let free = self.0.iter().filter(|slot| matches!(slot, Slot::From(_)));
        let free = free.count();
        let (mut from, mut bits) = (self.0.len(), 0.0);
        if free < MARKED_LEAST {
            return (from, bits);
        }
        let places = self.0.iter().enumerate().rev();
        let places = places.filter_map(|(at, slot)| match slot {
            Slot::Stays(_) => None,
            Slot::From(letters) => Some((at, letters.len())),
        });
        for (at, letters) in places.take(free / 3) {
            if bits >= wanted {
                break;
            }
            from = at;
            bits += match letters {
                26 => 4.7,
                20 => 4.3,
                4 => 2.0,
                2 => 1.0,
                10 => 3.3,
                9 => 3.1,
                _ => 2.5,
            };
        }
        (from, bits)
    }

    /// Sign, point, exponent and a leading zero stay: JSON knows no `007`.
    fn number(value: &str) -> Self {
        let exponent = value.find(['e', 'E']).unwrap_or(value.len());
        let first = value.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        let slots = value.char_indices().map(|(at, c)| match c {
            '0'..='9' if at >= exponent => Slot::Stays(c),
            '0' if at == first => Slot::Stays(c),
            '1'..='9' if at == first => Slot::From(&DIGITS[1..]),
            '0'..='9' => Slot::From(DIGITS),
            _ => Slot::Stays(c),
        });
        Self(slots.collect())
    }

    /// The domain ends in the reserved `.test` (RFC 2606) and stays as long where it can.
    fn address(name: &str, domain: &str) -> Self {
        let domain = if let Some(domain) = domain.strip_suffix(".test") {
            domain.to_owned()
        } else {
            let mut labels: Vec<&str> = domain.split('.').collect();
            let top = labels.pop().unwrap_or_default().len();
            let last = labels.pop().unwrap_or_default();
            let length = (last.len() + top).saturating_sub("test".len()).max(1);
            let last = "x".repeat(length);
            labels.push(&last);
            labels.join(".")
        };
        let mut shape = Self::text(&format!("{name}@{domain}"), false, true);
        shape.0.extend(".test".chars().map(Slot::Stays));
        shape
    }

    fn text(value: &str, is_hex: bool, keeps_others: bool) -> Self {
        // How far the value is in what may be a percent escape.
        let mut escape = None;
        let slots = value.chars().map(|c| {
            let letters = match (escape, c.is_ascii_hexdigit()) {
                _ if is_hex => 0..HEX,
                // What is an escape stays one, and what is none does not become one by chance.
                (Some(_), true) => 0..HEX,
                (Some(_), false) => HEX..26,
                (None, _) => 0..26,
            };
            let is_first = escape == Some(0);
            escape = match (escape, c) {
                (_, '%') if keeps_others => Some(0),
                (Some(0), _) if c.is_ascii_hexdigit() => Some(1),
                _ => None,
            };
            match c {
                '0'..='9' if is_first => Slot::From(first_digits(c)),
                '0'..='9' => Slot::From(DIGITS),
                'a'..='z' => Slot::From(&LOWER[letters]),
                'A'..='Z' => Slot::From(&UPPER[letters]),
                _ if c.is_ascii() && keeps_others => Slot::Stays(c),
                _ => Slot::From(&LOWER[letters]),
            }
        });
        Self(slots.collect())
    }
}

/// With what an escape may begin that begins with this: those of control characters, of signs and
/// digits, of letters, and of what is no ASCII stay such.
fn first_digits(digit: char) -> &'static [u8] {
    match digit {
        '0' | '1' => &DIGITS[..2],
        '2' | '3' => &DIGITS[2..4],
        '4'..='7' => &DIGITS[4..8],
        _ => &DIGITS[8..],
    }
}

/// A number as JSON writes it.
fn is_number(value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|text| digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// Whether the two parts are an e-mail address that mail would be sent to.
fn is_address(name: &str, domain: &str) -> bool {
    let local = |b: u8| b.is_ascii_alphanumeric() || b"._+-".contains(&b);
    let host = |b: u8| b.is_ascii_alphanumeric() || b"-.".contains(&b);
    let labels: Vec<&str> = domain.split('.').collect();
    let top = labels.last().copied().unwrap_or_default();
    !name.is_empty()
        && name.bytes().all(local)
        && domain.bytes().all(host)
        && labels.len() >= 2
        && labels.iter().all(|label| !label.is_empty())
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_hex(value: &str) -> bool {
    let letters = || value.bytes().filter(u8::is_ascii_alphanumeric);
    value.is_ascii()
        && letters().count() >= 8
        && letters().all(|b| b.is_ascii_hexdigit())
        && letters().any(|b| b.is_ascii_digit())
}
