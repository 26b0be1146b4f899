//! HPACK (RFC 7541) as far as a load generator needs it: requests encoded once and for all,
//! of answers the status and two fields.
//!
//! The connection announces a table of size 0, so that a header block depends on no other: a
//! request is encoded before its instant, and an answer costs no table. What nobody asks for is
//! skipped by its length and not decoded.

mod whole;

pub(super) use whole::all;

/// Fields of an answer that matter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// `:status`; absent in trailers.
    pub(super) status: Option<u16>,
    /// Whether there was a `retry-after`.
    pub(super) retry_after: bool,
    /// `content-length`, if it was sent and is a number.
    pub(super) content_length: Option<u64>,
    /// Whether there was a `set-cookie`.
    pub(super) has_cookies: bool,
}

/// A header block that breaks RFC 7541 or RFC 9113 section 8.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The longest name that is looked at, in either coding.
const LONGEST_NAME: usize = 14;
const STATIC_LAST: usize = 61;
/// The statuses of the static table, from index 8 on.
const STATUSES: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];

/// Fields whose value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Status,
    RetryAfter,
    ContentLength,
    SetCookie,
    Pseudo,
    Other,
}

impl Name {
    fn of_index(index: usize) -> Self {
        match index {
            1..=7 => Self::Pseudo,
            8..=14 => Self::Status,
            28 => Self::ContentLength,
            53 => Self::RetryAfter,
            55 => Self::SetCookie,
            _ => Self::Other,
        }
    }

    fn of_literal(name: Text<'_>) -> Result<Self, Malformed> {
        // Longer names are none of these, in either coding.
        if name.bytes.len() > LONGEST_NAME {
            return Ok(Self::Other);
        }
        let mut room = [0; LONGEST_NAME * 8 / 5];
        Ok(match name.decode(&mut room)? {
            b":status" => Self::Status,
            b"retry-after" => Self::RetryAfter,
            b"content-length" => Self::ContentLength,
            b"set-cookie" => Self::SetCookie,
            [b':', ..] => Self::Pseudo,
            [] => return Err(Malformed),
            _ => Self::Other,
        })
    }
}

/// Reads a complete header block of an answer.
///
/// # Errors
/// When it is malformed, refers to a table that was not allowed, or holds a request's fields.
pub(super) fn decode(block: &[u8]) -> Result<Fields, Malformed> {
    let mut input = Input(block);
    let mut fields = Fields::default();
    let mut first = true;
    while let Some(&byte) = input.0.first() {
        if byte & 0xe0 == 0x20 {
            // A change of the table's size: only at the beginning, and only to nothing.
            if !first || input.integer(5)? != 0 {
                return Err(Malformed);
            }
            continue;
        }
        let regular = !first && fields.status.is_none();
        first = false;
        if byte & 0x80 != 0 {
            let index = input.integer(7)?;
            match (Name::of_index(index), index) {
                (_, 0 | STATIC_END..) => return Err(Malformed),
                (Name::Status, _) if fields.status.is_none() && !regular => {
                    fields.status = Some(STATUSES[index - 8]);
                }
                (Name::Status | Name::Pseudo, _) => return Err(Malformed),
                (Name::RetryAfter, _) => fields.retry_after = true,
                // An entry of the table has no cookie in it.
                _ => {}
            }
            continue;
        }
        let bits = if byte & 0x40 != 0 { 6 } else { 4 };
        let name = match input.integer(bits)? {
            0 => Name::of_literal(input.text()?)?,
            index if index > STATIC_LAST => return Err(Malformed),
            index => Name::of_index(index),
        };
        let value = input.text()?;
        match name {
            Name::Status if fields.status.is_none() && !regular => {
                let status = value.number().and_then(|n| u16::try_from(n).ok());
                let status = status.filter(|status| (100..1000).contains(status));
                fields.status = Some(status.ok_or(Malformed)?);
            }
            Name::Status | Name::Pseudo => return Err(Malformed),
            Name::RetryAfter => fields.retry_after = true,
            Name::ContentLength => fields.content_length = Some(value.number().ok_or(Malformed)?),
            Name::SetCookie => fields.has_cookies = true,
            Name::Other => {}
        }
    }
    Ok(fields)
}

const STATIC_END: usize = STATIC_LAST + 1;

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    /// RFC 7541 section 5.1, with a prefix of so many bits.
    fn integer(&mut self, bits: u32) -> Result<usize, Malformed> {
        let mask = (1_usize << bits) - 1;
        let mut value = usize::from(self.byte()?) & mask;
        if value < mask {
            return Ok(value);
        }
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        // More than two million: longer than any block that is accepted.
        Err(Malformed)
    }

    fn text(&mut self) -> Result<Text<'a>, Malformed> {
        let huffman = self.0.first().ok_or(Malformed)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Text { bytes, huffman })
    }
}

/// A string literal that is decoded only when somebody wants to know.
#[derive(Debug, Clone, Copy)]
struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl Text<'_> {
    /// The text, decoded into this room if need be.
    fn decode(self, room: &mut [u8]) -> Result<&[u8], Malformed> {
        if self.huffman {
            return huffman(self.bytes, room);
        }
        let room = room.get_mut(..self.bytes.len()).ok_or(Malformed)?;
        room.copy_from_slice(self.bytes);
        Ok(room)
    }

    fn number(self) -> Option<u64> {
        // Eighteen digits never overflow.
        let mut room = [0; 18];
        let digits = self.decode(&mut room).ok()?;
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        is_number.then(|| {
            digits
                .iter()
                .fold(0, |n, digit| n * 10 + u64::from(digit - b'0'))
        })
    }
}

/// Length in bits of each byte's Huffman code (RFC 7541 appendix B). The code is canonical:
/// the lengths say everything.
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// Bytes in the order of their codes, and for each length how many codes there are.
const CODES: ([u8; 256], [u16; 31]) = {
    let (mut order, mut counts) = ([0; 256], [0; 31]);
    let (mut next, mut length) = (0, 1);
    while length <= 30 {
        let mut byte = 0_u8;
        loop {
            if LENGTHS[byte as usize] == length {
                order[next] = byte;
                next += 1;
                counts[length as usize] += 1;
            }
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        length += 1;
    }
    (order, counts)
};

/// RFC 7541 section 5.2: bit by bit, since only short strings are decoded.
///
/// # Errors
/// When the code is none, or the text does not fit the room.
fn huffman<'r>(bytes: &[u8], room: &'r mut [u8]) -> Result<&'r [u8], Malformed> {
    let (order, counts) = &CODES;
    let mut written = 0;
    // The code so far, its length, the first code of that length, and the bytes before it.
    let (mut code, mut length, mut first, mut before) = (0_u32, 0, 0_u32, 0_u32);
    let mut ones = true;
    for bit in bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |shift| byte >> shift & 1))
    {
        code = code << 1 | u32::from(bit);
        first <<= 1;
        length += 1;
        ones &= bit == 1;
        if length > 30 {
            return Err(Malformed);
        }
        let count = u32::from(counts[length]);
        if code - first < count {
            *room.get_mut(written).ok_or(Malformed)? = order[(before + code - first) as usize];
            written += 1;
            (code, length, first, before, ones) = (0, 0, 0, 0, true);
        } else {
            first += count;
            before += count;
        }
    }
    // What is left over must be a beginning of the longest code: fewer than eight ones.
    if length < 8 && ones {
        Ok(&room[..written])
    } else {
        Err(Malformed)
    }
}

/// A header block under construction: literals only, so that it is the same on any connection.
#[derive(Debug, Default)]
pub(super) struct Block(Vec<u8>);

impl Block {
    /// The four pseudo fields of a request.
    pub(super) fn request(method: &str, is_tls: bool, authority: &str, path: &str) -> Self {
        let mut block = Self::default();
        match method {
            "GET" => block.0.push(0x82),
            "POST" => block.0.push(0x83),
            _ => block.indexed_name(2, method),
        }
        block.0.push(if is_tls { 0x87 } else { 0x86 });
        block.indexed_name(1, authority);
        match path {
            "/" => block.0.push(0x84),
            _ => block.indexed_name(4, path),
        }
        block
    }

    fn indexed_name(&mut self, index: u8, value: &str) {
        self.0.push(index);
        self.text(value.as_bytes());
    }

    /// Adds a field; its name is sent in lower case, as HTTP/2 demands.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        self.0.push(0);
        self.text(name.to_ascii_lowercase().as_bytes());
        self.text(value.as_bytes());
    }

    /// How many bytes that takes.
    pub(super) fn field_length(name: &str, value: &str) -> usize {
        let mut block = Self::default();
        block.field(name, value);
        block.0.len()
    }

    fn text(&mut self, bytes: &[u8]) {
        let mut length = bytes.len();
        if length < 127 {
            self.0.push(low_byte(length));
        } else {
            self.0.push(127);
            length -= 127;
            while length >= 128 {
                self.0.push(low_byte(length % 128) | 0x80);
                length /= 128;
            }
            self.0.push(low_byte(length));
        }
        self.0.extend_from_slice(bytes);
    }

    /// The finished block.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn low_byte(n: usize) -> u8 {
    u8::try_from(n).expect("below 256 by the caller's arithmetic")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        hex.chunks(2).map(|it| pair(it).unwrap()).collect()
    }

    #[test]
    fn huffman_reads_the_examples_of_the_standard() {
        for (text, code) in [
            ("www.example.com", "f1e3 c2e5 f23a 6ba0 ab90 f4ff"),
            ("no-cache", "a8eb 1064 9cbf"),
            ("302", "6402"),
            ("private", "aec3 771a 4b"),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                "d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff",
            ),
            (
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 \
              3160 65c0 03ed 4ee5 b106 3d50 07",
            ),
        ] {
            let mut room = [0; 100];
            assert_eq!(huffman(&bytes(code), &mut room), Ok(text.as_bytes()));
        }
        for bad in ["ff", "ffff", "fe", "fffffffc", "18"] {
            assert_eq!(huffman(&bytes(bad), &mut [0; 100]), Err(Malformed), "{bad}");
        }
        assert_eq!(huffman(&[], &mut []), Ok(&[][..]));
        assert_eq!(
            huffman(&bytes("6402"), &mut [0; 2]),
            Err(Malformed),
            "no room"
        );
    }

    #[test]
    fn answers_give_their_status_and_two_fields() {
        let fields = |status, retry_after, content_length| Fields {
            status,
            retry_after,
            content_length,
            has_cookies: false,
        };
        for (block, expected) in [
            ("88", fields(Some(200), false, None)),
            // RFC 7541 C.5.1 and C.6.1: 302 with three more fields, plain and Huffman.
            (
                "4803 333032 5807 70726976617465",
                fields(Some(302), false, None),
            ),
            ("4882 6402 5885 aec3771a4b", fields(Some(302), false, None)),
            // 503, retry-after: 1, content-length: 12 by index; a size update in front.
            (
                "20 0803 353033 0f26 01 31 0f0d 02 3132",
                fields(Some(503), true, Some(12)),
            ),
            // Literal names, the second Huffman coded as a whole.
            (
                "88 00 0b 72657472792d6166746572 01 31",
                fields(Some(200), true, None),
            ),
            // Trailers.
            ("0f26 01 31", fields(None, true, None)),
            ("", fields(None, false, None)),
        ] {
            assert_eq!(decode(&bytes(block)), Ok(expected), "{block}");
        }
    }

    #[test]
    fn blocks_that_break_the_rules_are_refused() {
        for block in [
            "80",               // index 0
            "be",               // 62: a table that we do not have
            "7f00 01 61",       // the same as a name
            "3fe11f",           // a size above nothing
            "88 20",            // a size change in the middle
            "88 88",            // two statuses
            "0f26 01 31 88",    // a status behind a field
            "82",               // a request's method
            "88 00 00 00",      // a name without letters
            "0803 3939",        // cut
            "0802 3939",        // 99
            "0803 3a3a3a",      // no number
            "88 0f0d 01 78",    // a length that is no number
            "88 7f ffffffff7f", // an integer without end
        ] {
            assert_eq!(decode(&bytes(block)), Err(Malformed), "{block}");
        }
    }

    #[test]
    fn a_request_is_literals_and_static_entries_only() {
        let mut block = Block::request("GET", true, "a.example", "/x");
        block.field("X-Tenant", "b");
        let expected = "82 87 01 09 612e6578616d706c65 04 02 2f78 00 08 782d74656e616e74 01 62";
        assert_eq!(block.into_bytes(), bytes(expected));
        let long = "y".repeat(300);
        let block = Block::request("DELETE", false, &long, "/").into_bytes();
        let start = "02 06 44454c455445 86 01 7f ad01";
        assert!(block.starts_with(&bytes(start)), "{block:x?}");
        assert_eq!(block.last(), Some(&0x84));
    }
}
