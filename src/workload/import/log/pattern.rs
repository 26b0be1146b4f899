//! A line of an access log taken apart by a pattern that was compiled once: fields, and the bytes
//! between them.
//!
//! Each field ends where the bytes behind it are found first, so a line is read once from left to
//! right. What cannot be told apart is refused when the pattern is made.

use std::borrow::Cow;

use crate::workload::import::{
    draft::{Draft, Unfit},
    field::{Field, NAMES},
};

/// How a server writes bytes that would end a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// `\x22`, `\"`, `\\`, `\n`, `\u0022`: nginx and Apache.
    Backslash,
    /// As they are.
    Plain,
}

/// One piece of a format before it is a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// A field, with its name in the format.
    Field(Field, String),
    Text(Vec<u8>),
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    lead: Vec<u8>,
    parts: Vec<Part>,
    escape: Escape,
    /// Whether more may follow.
    is_open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    field: Field,
    /// The bytes at which the field ends; none at the end of the line.
    end: Vec<u8>,
    /// How many of them belong to the text between the fields.
    consumed: usize,
}

impl Pattern {
    /// A pattern of these pieces.
    ///
    /// # Errors
    /// When two fields touch, or no field names a request; says which.
    pub(super) fn new(pieces: Vec<Piece>, escape: Escape) -> Result<Self, String> {
        let mut pattern = Self {
            lead: Vec::new(),
            parts: Vec::new(),
            escape,
            is_open: false,
        };
        let mut before = String::new();
        for piece in pieces {
            match (piece, pattern.parts.last_mut()) {
                (Piece::Text(text), None) => pattern.lead.extend(text),
                (Piece::Text(text), Some(part)) => {
                    part.end.extend(text);
                    part.consumed = part.end.len();
                }
                (Piece::Field(field, name), last) => {
                    if let Some(part) = last.filter(|part| part.end.is_empty()) {
                        let is_path = matches!(
                            field,
                            Field::Path | Field::DecodedPath | Field::DecodedPathAndQuery
                        );
                        if !is_path {
                            return Err(format!(
                                "{before} and {name} stand side by side, so nobody can tell \
                                 where the first ends; log them with a space between"
                            ));
                        }
                        // A path begins with its slash.
                        part.end.push(b'/');
                    }
                    before = name;
                    pattern.parts.push(Part {
                        field,
                        end: Vec::new(),
                        consumed: 0,
                    });
                }
            }
        }
        let fields = pattern.parts.iter().map(|part| &part.field);
        if !Field::name_a_request(&fields) {
            return Err("it names no request; log the request line, or method and path".to_owned());
        }
        Ok(pattern)
    }

    /// A pattern written as text with `{field}` by the names of [`Field::named`]; behind it, more
    /// may follow.
    pub(super) fn template(text: &str, escape: Escape) -> Result<Self, String> {
        let mut pieces = Vec::new();
        for (number, part) in text.split('{').enumerate() {
            let text = if number == 0 {
                part
            } else {
                let (name, text) = part.split_once('}').unwrap_or((part, ""));
                let field = Field::named(name)
                    .ok_or_else(|| format!("`{name}` is none of the fields {NAMES}"))?;
                pieces.push(Piece::Field(field, name.to_owned()));
                text
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(text.into()));
            }
        }
        let mut pattern = Self::new(pieces, escape)?;
        pattern.is_open = true;
        Ok(pattern)
    }

    /// Takes a line apart.
    ///
    /// # Errors
    /// When the line is not of this format.
    pub(super) fn read<'a>(&self, line: &'a [u8]) -> Result<Draft<'a>, Unfit> {
        const UNFIT: Unfit = "the line is not of the format";
        let mut draft = Draft::default();
        let mut rest = line.strip_prefix(&self.lead[..]).ok_or(UNFIT)?;
        for part in &self.parts {
            let end = match &part.end[..] {
                [] if self.is_open => rest.iter().position(|byte| *byte == b' '),
                [] => None,
                end => Some(self.find(rest, end).ok_or(UNFIT)?),
            };
            let (value, behind) = rest.split_at(end.unwrap_or(rest.len()));
            rest = behind.get(part.consumed..).ok_or(UNFIT)?;
            draft.set(&part.field, self.unescape(value))?;
        }
        // A field more on the right is another format, except where that was foreseen.
        if rest.is_empty() || (self.is_open && is_divided(&self.parts, rest)) {
            Ok(draft)
        } else {
            Err(UNFIT)
        }
    }

    /// Where a field ends: at the first of these bytes that is not escaped.
    fn find(&self, text: &[u8], end: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at + end.len() <= text.len() {
            if text[at..].starts_with(end) {
                return Some(at);
            }
            let is_escape = self.escape == Escape::Backslash && text[at] == b'\\';
            at += 1 + usize::from(is_escape);
        }
        None
    }

    fn unescape<'a>(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        match self.escape {
            Escape::Backslash => unescape(value),
            Escape::Plain => Cow::Borrowed(value),
        }
    }
}

/// Whether what follows a complete line is further fields and not the end of the last one.
fn is_divided(parts: &[Part], rest: &[u8]) -> bool {
    let ended = parts.last().is_some_and(|part| part.end.ends_with(b" "));
    ended || rest.first() == Some(&b' ')
}

/// The bytes behind backslashes.
pub(super) fn unescape(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\\') {
        return Cow::Borrowed(value);
    }
    let hex = |digits: Option<&[u8]>| {
        let digits = std::str::from_utf8(digits?).ok()?;
        u8::from_str_radix(digits, 16).ok()
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, length) = match rest {
            [b'x', digits @ ..] => (hex(digits.get(..2)), 3),
            [b'u', b'0', b'0', digits @ ..] => (hex(digits.get(..2)), 5),
            [b'n', ..] => (Some(b'\n'), 1),
            [b'r', ..] => (Some(b'\r'), 1),
            [b't', ..] => (Some(b'\t'), 1),
            [b'b', ..] => (Some(8), 1),
            [b'v', ..] => (Some(11), 1),
            [b'f', ..] => (Some(12), 1),
            [other @ (b'"' | b'\\' | b'/' | b'\''), ..] => (Some(*other), 1),
            _ => (None, 0),
        };
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[length..];
            }
            // No escape that anybody writes: it stands for itself.
            None => bytes.push(b'\\'),
        }
    }
    Cow::Owned(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMBINED: &str = "{client} - {user} [{time}] \"{request}\" {status} {size}";

    fn path(pattern: &Pattern, line: &str) -> Result<String, &'static str> {
        use crate::workload::import::gather::Rejected::{Malformed, Policy};
        match pattern.read(line.as_bytes())?.finish(0) {
            Ok(logged) => Ok(logged.found.request.path),
            Err(Policy(reason) | Malformed(reason)) => Err(reason),
        }
    }

    #[test]
    fn escapes_are_taken_back() {
        for (written, meant) in [
            (r"plain", &b"plain"[..]),
            (r"a\x22b\x5Cc", b"a\"b\\c"),
            (r#"a\"b\\c\n"#, b"a\"b\\c\n"),
            (r"\xC3\xa9", "é".as_bytes()),
            (r"\u0022\u000a", b"\"\n"),
            (r"\x2", b"\\x2"),
            (r"\q\", b"\\q\\"),
            (r"\xZZ", b"\\xZZ"),
        ] {
            assert_eq!(*unescape(written.as_bytes()), *meant, "{written}");
        }
    }

    #[test]
    fn a_line_is_taken_apart_at_the_bytes_between_its_fields() {
        let pattern = Pattern::template(COMBINED, Escape::Backslash).unwrap();
        let line =
            |request: &str| format!("::1 - ann b [25/Nov/2026:02:20:00 +0000] \"{request}\" 200 5");
        for (request, expected) in [
            ("GET /a?b=c HTTP/1.1", Ok("/a?b=c")),
            (r"GET /a\x22b HTTP/1.1", Ok("/a\"b")),
            (r#"GET /a\"\\b HTTP/1.1"#, Ok("/a\"\\b")),
            (r"GET /\xc3\xa9 HTTP/2.0", Ok("/%C3%A9")),
            ("GET /a b HTTP/1.1", Ok("/a%20b")),
            ("GET http://h.example/a HTTP/1.1", Ok("/a")),
            ("-", Err("no HTTP request")),
            ("", Err("no HTTP request")),
            (r"\x16\x03\x01", Err("no HTTP request")),
            ("GET /cut/of", Err("cut off")),
            ("OPTIONS * HTTP/1.1", Err("OPTIONS *")),
        ] {
            match (path(&pattern, &line(request)), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
                (found, _) => panic!("{request}: {found:?}"),
            }
        }
        assert!(path(&pattern, &(line("GET /a HTTP/1.1") + " more \"x\"")).is_ok());
        for cut in ["", "::1", "::1 - - [25/Nov/2026:02:20:00 +0000] \"GET /"] {
            assert_eq!(path(&pattern, cut), Err("the line is not of the format"));
        }
        let glued = line("GET /a HTTP/1.1") + "5x";
        assert_eq!(path(&pattern, &glued), Err("its size is no number"));
    }

    #[test]
    fn formats_that_cannot_be_read_are_refused_by_name() {
        for (template, said) in [
            ("{client}{status} {request}", "client and status stand side"),
            ("{client} {path}", "names no request"),
            ("{request} {clinet}", "`clinet` is none of"),
            ("", "names no request"),
        ] {
            let error = Pattern::template(template, Escape::Plain).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let url = Pattern::template("{method} http://{host}{path} {status}", Escape::Plain);
        assert_eq!(
            path(&url.unwrap(), "GET http://h/a/b 200"),
            Ok("/a/b".into())
        );
    }
}
