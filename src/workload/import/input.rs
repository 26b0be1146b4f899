//! Opening what is imported: compression recognised by its first bytes, size bounded, lines cut.
//!
//! Names of files tell nothing here, because stdin has none. The bound counts what comes out of
//! the decompression and holds for all files of an import together, so that a small file that
//! expands without end stops at it.

use std::{
    cell::Cell,
    io::{self, BufRead, BufReader, Cursor, Read},
    rc::Rc,
};

use flate2::bufread::MultiGzDecoder;

use super::ImportError;

const BUFFER: usize = 64 << 10;

/// How much may still be read, over all files of an import.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    left: Rc<Cell<u64>>,
    limit: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        let left = Rc::new(Cell::new(limit));
        Self { left, limit }
    }
}

/// A reader of the plain text: decompressed, without byte order mark, bounded.
pub(super) fn open<'a>(
    mut reader: impl Read + 'a,
    budget: &Budget,
) -> Result<BufReader<Box<dyn Read + 'a>>, ImportError> {
    let start = beginning(&mut reader, 4).map_err(ImportError::Read)?;
    let kind = start.clone();
    let whole = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(reader));
    let (is_compressed, plain): (bool, Box<dyn Read + 'a>) = match &kind[..] {
        [0x1f, 0x8b, ..] => (true, Box::new(MultiGzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => {
            let decoder = zstd::Decoder::with_buffer(whole).map_err(ImportError::Compression)?;
            (true, Box::new(decoder))
        }
        b"PK\x03\x04" => {
            let what = "the file is a ZIP archive; unpack it and import what is inside";
            return Err(ImportError::Format(what.to_owned()));
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            let what = "the file is in UTF-16; write it again in UTF-8";
            return Err(ImportError::Format(what.to_owned()));
        }
        _ => (false, Box::new(whole)),
    };
    let mut bounded = Bounded {
        plain,
        is_compressed,
        budget: budget.clone(),
    };
    // As much as the buffer takes, so that what looks at it first sees whole lines.
    let start = beginning(&mut bounded, BUFFER as u64).map_err(read_error)?;
    let bom = if start.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut start = Cursor::new(start);
    start.set_position(bom);
    let reader: Box<dyn Read + 'a> = Box::new(start.chain(bounded));
    Ok(BufReader::with_capacity(BUFFER, reader))
}

fn beginning(reader: &mut impl Read, length: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut start)?;
    Ok(start)
}

/// What a failed read of an opened input means.
pub(super) fn read_error(error: io::Error) -> ImportError {
    match error.downcast::<Stopped>() {
        Ok(Stopped::Full(limit)) => ImportError::TooLarge(limit),
        Ok(Stopped::Damaged(cause)) => ImportError::Compression(cause),
        Err(error) => ImportError::Read(error),
    }
}

#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error("the limit of {0} bytes is reached")]
    Full(u64),
    #[error("the compressed data is damaged")]
    Damaged(#[source] io::Error),
}

struct Bounded<R> {
    plain: R,
    is_compressed: bool,
    budget: Budget,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.plain.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) if self.is_compressed => {
                return Err(io::Error::other(Stopped::Damaged(error)));
            }
            other => other?,
        };
        match self.budget.left.get().checked_sub(read as u64) {
            Some(left) => self.budget.left.set(left),
            None => return Err(io::Error::other(Stopped::Full(self.budget.limit))),
        }
        Ok(read)
    }
}

/// Lines of a text, each without its line break and at most so long.
pub(super) struct Lines<R> {
    reader: R,
    longest: usize,
    line: Vec<u8>,
}

/// One line.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    /// Longer than the limit; its bytes are gone.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, longest: usize) -> Self {
        let line = Vec::new();
        Self {
            reader,
            longest,
            line,
        }
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        self.line.clear();
        let limit = self.longest as u64 + 2;
        let mut piece = self.reader.by_ref().take(limit);
        let read = piece.read_until(b'\n', &mut self.line);
        if read.map_err(read_error)? == 0 {
            return Ok(None);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if self.line.len() as u64 == limit {
            self.reader.skip_until(b'\n').map_err(read_error)?;
        }
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.line.len() > self.longest {
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Whole(&self.line)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], limit: u64) -> Result<Vec<u8>, ImportError> {
        let mut text = Vec::new();
        let mut reader = open(bytes, &Budget::new(limit))?;
        reader.read_to_end(&mut text).map_err(read_error)?;
        Ok(text)
    }

    #[test]
    fn compression_is_recognised_by_its_first_bytes() {
        let text = b"\xef\xbb\xbfhello".as_slice();
        let members = [gz(text), gz(b" world")].concat();
        let zst = zstd::encode_all(text, 3).unwrap();
        assert_eq!(read(text, 99).unwrap(), b"hello");
        assert_eq!(read(&members, 99).unwrap(), b"hello world");
        assert_eq!(read(&zst, 99).unwrap(), b"hello");
        assert_eq!(read(b"", 99).unwrap(), b"");
        assert_eq!(read(b"\x1f", 99).unwrap(), b"\x1f");
        for (bytes, said) in [(&b"PK\x03\x04rest"[..], "ZIP"), (b"\xff\xfea\0", "UTF-16")] {
            let error = read(bytes, 99).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_cut_or_damaged_compression_is_an_error_and_never_a_shorter_file() {
        let text = b"hello ".repeat(1_000);
        for whole in [gz(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            let cut = read(&whole[..whole.len() - 3], 1 << 20).unwrap_err();
            assert!(matches!(cut, ImportError::Compression(_)), "{cut:?}");
        }
        let mut damaged = gz(&text);
        let last = damaged.len() - 5;
        damaged[last] ^= 1;
        let damaged = read(&damaged, 1 << 20).unwrap_err();
        assert!(
            matches!(damaged, ImportError::Compression(_)),
            "{damaged:?}"
        );
    }

    #[test]
    fn what_expands_without_end_stops_at_the_limit() {
        // A gigabyte of zeros, as a file of one megabyte.
        let zeros = vec![0; 1 << 20];
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        for _ in 0..256 {
            encoder.write_all(&zeros).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let mut lines = Lines::new(open(&bomb[..], &Budget::new(64 << 20)).unwrap(), 1 << 10);
        let error = loop {
            if let Err(error) = lines.next_line() {
                break error;
            }
        };
        assert!(matches!(error, ImportError::TooLarge(n) if n == 64 << 20));
        assert!(lines.line.len() <= 2 << 10);
    }

    #[test]
    fn lines_end_as_people_write_them_and_are_cut() {
        let text = b"one\r\n\ntoo long a line\nfour!\nlast";
        let mut lines = Lines::new(&text[..], 5);
        let mut found = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            found.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong => "…".to_owned(),
            });
        }
        assert_eq!(found, ["one", "", "…", "four!", "last"]);
    }
}
