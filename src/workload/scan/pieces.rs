//! A file in pieces that fit into memory: decompressed, line by line, lines without end cut.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

const BUFFER: usize = 64 << 10;
/// Pieces of lines that are no request of a workload are no longer, in bytes.
const PIECE_MAX: usize = 1 << 20;
/// A cut line is cut where no word is, at most so far before the end of the piece.
const CUT_MAX: usize = 64 << 10;

/// One line, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// Without the line break.
    pub(super) bytes: Vec<u8>,
    /// Counted from 1.
    pub(super) line: u64,
    /// Characters of the line before it.
    pub(super) column: u64,
}

/// Reads pieces one after the other.
pub(super) struct Pieces<'a> {
    reader: BufReader<Box<dyn Read + 'a>>,
    /// Read, and belongs to the piece that comes next.
    rest: Vec<u8>,
    line: u64,
    column: u64,
    is_inside: bool,
}

impl<'a> Pieces<'a> {
    /// Recognises `.gz` and `.zst` by their first bytes, whatever the file is called.
    pub(super) fn open(mut input: impl Read + 'a) -> io::Result<Self> {
        let mut start = Vec::new();
        input.by_ref().take(4).read_to_end(&mut start)?;
        let kind = start.clone();
        let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(input));
        let plain: Box<dyn Read + 'a> = match &kind[..] {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(whole)),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::with_buffer(whole)?),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                return Err(io::Error::other("it is in UTF-16; write it again in UTF-8"));
            }
            b"PK\x03\x04" => {
                return Err(io::Error::other(
                    "it is a ZIP archive; unpack it and scan what is inside",
                ));
            }
            _ => Box::new(whole),
        };
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER, plain),
            rest: Vec::new(),
            line: 0,
            column: 0,
            is_inside: false,
        })
    }

    /// The next piece, with at most so many bytes; `None` at the end.
    pub(super) fn next(&mut self, piece: &mut Piece, longest: usize) -> io::Result<Option<()>> {
        piece.bytes.clear();
        piece.bytes.append(&mut self.rest);
        let room = (longest + 1).saturating_sub(piece.bytes.len()) as u64;
        let mut more = self.reader.by_ref().take(room);
        more.read_until(b'\n', &mut piece.bytes)?;
        if piece.bytes.is_empty() {
            return Ok(None);
        }
        if !self.is_inside {
            self.line += 1;
            self.column = 0;
        }
        (piece.line, piece.column) = (self.line, self.column);
        if piece.bytes.last() == Some(&b'\n') {
            self.is_inside = false;
            piece.bytes.pop();
            if piece.bytes.last() == Some(&b'\r') {
                piece.bytes.pop();
            }
        } else if piece.bytes.len() > longest {
            self.is_inside = true;
            let least = piece.bytes.len() - CUT_MAX.min(longest / 2);
            let between = |b: &u8| !(b.is_ascii_alphanumeric() || b"-_+/=.~%@".contains(b));
            let cut = piece.bytes[least..].iter().rposition(between);
            let cut = cut.map_or(piece.bytes.len() - 1, |at| least + at);
            self.rest = piece.bytes.split_off(cut.max(1));
            self.column += String::from_utf8_lossy(&piece.bytes).chars().count() as u64;
        } else {
            self.is_inside = false;
        }
        Ok(Some(()))
    }

    pub(super) fn piece_max() -> usize {
        PIECE_MAX
    }

    pub(super) fn lines(&self) -> u64 {
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &[u8], longest: usize) -> Vec<(u64, u64, String)> {
        let mut pieces = Pieces::open(text).unwrap();
        let mut piece = Piece::default();
        let mut found = Vec::new();
        while pieces.next(&mut piece, longest).unwrap().is_some() {
            let text = String::from_utf8(piece.bytes.clone()).unwrap();
            found.push((piece.line, piece.column, text));
        }
        found
    }

    #[test]
    fn lines_come_whole_and_long_ones_in_parts() {
        let of = |line, column, text: &str| (line, column, text.to_owned());
        assert_eq!(
            pieces(b"ab\r\n\nc", 8),
            [of(1, 0, "ab"), of(2, 0, ""), of(3, 0, "c")]
        );
        assert_eq!(
            pieces(b"abc def ghi\nx", 8),
            [of(1, 0, "abc def"), of(1, 7, " ghi"), of(2, 0, "x")]
        );
        let long = pieces("x".repeat(30).as_bytes(), 8);
        assert_eq!(long.iter().map(|(.., text)| text.len()).sum::<usize>(), 30);
        assert!(long.iter().all(|(line, ..)| *line == 1));
    }

    #[test]
    fn what_cannot_be_read_as_text_is_refused() {
        for bytes in [b"\xff\xfea\0".as_slice(), b"PK\x03\x04rest"] {
            let error = Pieces::open(bytes).err().unwrap().to_string();
            assert!(error.contains("it is"), "{error}");
        }
        let mut cut = Pieces::open(b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice()).unwrap();
        assert!(cut.next(&mut Piece::default(), 100).is_err());
    }
}
