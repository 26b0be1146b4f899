//! A header block read whole: for the few answers of which somebody wants to keep the fields.

use super::{Input, Malformed, Text};

/// A field, or something in its place that has none.
type Found = Option<(String, Vec<u8>)>;

/// Every field with a name of its own or of the static table, of a block that [`super::decode`]
/// has accepted; for the few answers that somebody wants to keep.
pub(in crate::replay) fn all(block: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut input = Input(block);
    let mut found = Vec::new();
    while let Ok(Some(field)) = input.field() {
        if let Some((name, value)) = field {
            found.push((name, value));
        }
    }
    found
}

/// Names of the static table (RFC 7541 appendix A) that answers have, by index.
const ANSWER_NAMES: [(usize, &str); 26] = [
    (18, "accept-ranges"),
    (20, "access-control-allow-origin"),
    (21, "age"),
    (22, "allow"),
    (24, "cache-control"),
    (25, "content-disposition"),
    (26, "content-encoding"),
    (27, "content-language"),
    (28, "content-length"),
    (29, "content-location"),
    (30, "content-range"),
    (31, "content-type"),
    (33, "date"),
    (34, "etag"),
    (36, "expires"),
    (44, "last-modified"),
    (45, "link"),
    (46, "location"),
    (48, "proxy-authenticate"),
    (52, "refresh"),
    (53, "retry-after"),
    (54, "server"),
    (55, "set-cookie"),
    (56, "strict-transport-security"),
    (59, "vary"),
    (61, "www-authenticate"),
];

impl Input<'_> {
    /// The next field as text, if it has one; nothing at the end.
    fn field(&mut self) -> Result<Option<Found>, Malformed> {
        let Some(&byte) = self.0.first() else {
            return Ok(None);
        };
        if byte & 0xe0 == 0x20 {
            self.integer(5)?;
            return Ok(Some(None));
        }
        if byte & 0x80 != 0 {
            self.integer(7)?;
            return Ok(Some(None));
        }
        let bits = if byte & 0x40 != 0 { 6 } else { 4 };
        let name = match self.integer(bits)? {
            0 => String::from_utf8(self.text()?.owned()?).ok(),
            index => {
                let mut known = ANSWER_NAMES.iter();
                let name = known.find(|(it, _)| *it == index);
                name.map(|(_, name)| (*name).to_owned())
            }
        };
        let value = self.text()?;
        Ok(Some(match name {
            Some(name) => Some((name, value.owned()?)),
            None => None,
        }))
    }
}

impl Text<'_> {
    /// The text, decoded. The shortest code has five bits.
    fn owned(self) -> Result<Vec<u8>, Malformed> {
        let mut room = vec![0; self.bytes.len() * 8 / 5];
        self.decode(&mut room).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::hpack::decode;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        hex.chunks(2).map(|it| pair(it).unwrap()).collect()
    }

    #[test]
    fn what_is_kept_of_an_answer_is_read_whole() {
        // 200, a cookie by index and Huffman coded, a literal name, a location, a size update.
        let block = bytes(
            "20 88 77 ad 94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f95873160 \
             65c003ed4ee5b1063d5007 00 06 782d63737266 03 613162 0f1f 03 2f6f31",
        );
        assert!(decode(&block).unwrap().has_cookies);
        let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let expected = [
            ("set-cookie", cookie),
            ("x-csrf", "a1b"),
            ("location", "/o1"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(all(&block), expected);
        let literal = bytes("88 00 0a 7365742d636f6f6b6965 03 613d62");
        assert!(decode(&literal).unwrap().has_cookies);
        assert!(!decode(&bytes("88 b7")).unwrap().has_cookies);
        assert!(all(&bytes("88 00 0a 73")).is_empty(), "cut");
    }
}
