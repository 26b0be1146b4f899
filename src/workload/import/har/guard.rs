//! Bounds on a JSON document that is read as a stream.
//!
//! The JSON reader keeps one byte for each open bracket, each name as a whole, and the raw text of
//! each value that it is asked for. This passes the bytes on and stops where any of them grows
//! without end; contents that are passed over may have any length.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// How deep values may lie in each other.
const DEEPEST: usize = 1 << 20;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 1 << 20;
/// The longest value that is kept, in bytes, with what is read ahead.
const LONGEST_KEPT: usize = 64 << 20;

/// What grew without end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Endless {
    #[error("its values lie deeper in each other than any HAR's; export it again")]
    Depth,
    #[error("a name in it is longer than 1 MiB; export it again")]
    Name,
    #[error("a request in it is larger than 64 MiB; remove it from the file")]
    Kept,
}

/// The bytes read since the value began that is kept; `None` while nothing is.
pub(super) type Kept = Rc<Cell<Option<usize>>>;

pub(super) struct Guard<R> {
    reader: R,
    kept: Kept,
    /// Whether each open bracket is that of an object.
    open: Vec<bool>,
    expects_name: bool,
    /// The length of the text so far, and whether it is a name.
    text: Option<(usize, bool)>,
    is_escaped: bool,
}

impl<R> Guard<R> {
    pub(super) fn new(reader: R, kept: Kept) -> Self {
        Self {
            reader,
            kept,
            open: Vec::new(),
            expects_name: false,
            text: None,
            is_escaped: false,
        }
    }

    fn pass(&mut self, byte: u8) -> Result<(), Endless> {
        if let Some((length, is_name)) = &mut self.text {
            *length += 1;
            if *is_name && *length > LONGEST_NAME {
                return Err(Endless::Name);
            }
            if self.is_escaped {
                self.is_escaped = false;
            } else if byte == b'\\' {
                self.is_escaped = true;
            } else if byte == b'"' {
                self.text = None;
            }
            return Ok(());
        }
        match byte {
            b'"' => self.text = Some((0, std::mem::take(&mut self.expects_name))),
            b'{' | b'[' => {
                if self.open.len() >= DEEPEST {
                    return Err(Endless::Depth);
                }
                self.open.push(byte == b'{');
                self.expects_name = byte == b'{';
            }
            b'}' | b']' => {
                self.open.pop();
                self.expects_name = false;
            }
            b',' => self.expects_name = self.open.last() == Some(&true),
            _ => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        for byte in &buffer[..read] {
            self.pass(*byte).map_err(io::Error::other)?;
        }
        if let Some(kept) = self.kept.get() {
            if kept > LONGEST_KEPT {
                return Err(io::Error::other(Endless::Kept));
            }
            self.kept.set(Some(kept + read));
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], kept: Option<usize>) -> Result<usize, String> {
        let mut guard = Guard::new(text, Rc::new(Cell::new(kept)));
        let read = io::copy(&mut guard, &mut io::sink());
        read.map(|_| guard.open.len()).map_err(|it| it.to_string())
    }

    #[test]
    fn only_what_is_kept_is_bounded() {
        let long = "x".repeat(LONGEST_NAME + 10);
        let value = format!(r#"{{"a\"":"{long}","b":["{long}","{long}"],"c":"\\"}}"#);
        assert_eq!(read(value.as_bytes(), None), Ok(0));
        let name = format!(r#"{{"a":[1,2],"{long}":1}}"#);
        assert!(read(name.as_bytes(), None).unwrap_err().contains("a name"));
        let deep = vec![b'['; DEEPEST + 1];
        assert_eq!(read(&deep[1..], None), Ok(DEEPEST));
        assert!(read(&deep, None).unwrap_err().contains("deeper"));
        let large = vec![b' '; LONGEST_KEPT + (1 << 20)];
        assert_eq!(read(&large, None), Ok(0));
        assert!(read(&large, Some(0)).unwrap_err().contains("64 MiB"));
    }
}
