//! Redaction of multipart bodies (RFC 7578): secret fields by their name, other parts by their
//! own content type. Files are searched only for what shows itself.

use std::borrow::Cow;

use super::{Kind, Redactor, rules::Fate};

impl Redactor {
    pub(super) fn multipart(&mut self, content_type: &str, body: &[u8], depth: u8) -> Vec<u8> {
        let named = named_boundary(content_type);
        let boundary = named.as_deref().map(dashed).or_else(|| first_line(body));
        let Some(boundary) = boundary else {
            return self.free(body, true).unwrap_or(body.to_vec());
        };
        // What the header's boundary has become, the body's must become too.
        let new = named.and_then(|named| self.boundary(&named));
        let new = new.map_or(boundary.clone(), |new| [b"--", new.as_bytes()].concat());
        let mut shown = Vec::with_capacity(body.len());
        let mut done = 0;
        for at in places(body, &boundary) {
            self.between(&body[done..at], done > 0, depth, &mut shown);
            shown.extend_from_slice(&new);
            done = at + boundary.len();
        }
        self.between(&body[done..], done > 0, depth, &mut shown);
        shown
    }

    /// What stands between two boundaries: a part, or what comes before the first.
    fn between(&mut self, bytes: &[u8], is_part: bool, depth: u8, shown: &mut Vec<u8>) {
        let start = content_start(bytes).filter(|_| is_part);
        let Some(start) = start else {
            let bytes = self
                .free(bytes, true)
                .map_or(Cow::Borrowed(bytes), Cow::Owned);
            return shown.extend_from_slice(&bytes);
        };
        // The line break before the boundary belongs to it.
        let end = match bytes {
            [.., b'\r', b'\n'] => bytes.len() - 2,
            [.., b'\n'] => bytes.len() - 1,
            _ => bytes.len(),
        };
        let end = end.max(start);
        let head = String::from_utf8_lossy(&bytes[..start]).into_owned();
        shown.extend(self.head(&bytes[..start]));
        shown.extend(self.part(&head, &bytes[start..end], depth));
        shown.extend_from_slice(&bytes[end..]);
    }

    /// The fields before a part: what shows itself, and the names of files.
    fn head(&mut self, bytes: &[u8]) -> Vec<u8> {
        let shown = self.free(bytes, false).unwrap_or(bytes.to_vec());
        let Ok(mut text) = String::from_utf8(shown.clone()) else {
            return shown;
        };
        for lead in ["filename=", "filename*="] {
            let Some(at) = text.to_ascii_lowercase().find(lead) else {
                continue;
            };
            let mut start = at + lead.len();
            let is_quoted = text[start..].starts_with('"');
            start += usize::from(is_quoted);
            let ends: &[char] = if is_quoted {
                &['"']
            } else {
                &[';', '\r', '\n']
            };
            let length = text[start..].find(ends);
            let end = length.map_or(text.len(), |length| start + length);
            // `UTF-8''` says how what follows is encoded.
            start += text[start..end].rfind("''").map_or(0, |at| at + 2);
            if let Some(name) = self.file_name(&text[start..end]) {
                text.replace_range(start..end, &name);
            }
        }
        text.into_bytes()
    }

    fn part(&mut self, head: &str, content: &[u8], depth: u8) -> Vec<u8> {
        let name = parameter(head, "name").unwrap_or_default();
        self.note_name(&name);
        let fate = self.fate(&name).filter(|_| !content.is_empty());
        let secret = match fate {
            Some(Fate::Kept) => return content.to_vec(),
            Some(Fate::Secret) => self.secret_bytes(Kind::Field, content),
            None if depth >= super::DEEPEST => self.secret_bytes(Kind::Encoded, content),
            None => None,
        };
        if let Some(secret) = secret {
            return secret;
        }
        let content_type = field(head, "content-type").unwrap_or_default();
        let is_file = parameter(head, "filename").is_some();
        if is_file && !content_type.contains("json") && !content_type.contains("form") {
            return self.free(content, true).unwrap_or(content.to_vec());
        }
        self.nested_body(&content_type, content.to_vec(), depth + 1)
    }
}

/// The boundary as the content type names it.
fn named_boundary(content_type: &str) -> Option<String> {
    let at = content_type.to_ascii_lowercase().find("boundary=")?;
    let value = content_type[at + "boundary=".len()..].split(';').next()?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty()).then(|| value.to_owned())
}

fn dashed(boundary: &str) -> Vec<u8> {
    [b"--", boundary.as_bytes()].concat()
}

/// The boundary as the first line of the body shows it.
fn first_line(body: &[u8]) -> Option<Vec<u8>> {
    let line = body.split(|b| *b == b'\n').next()?.trim_ascii_end();
    (line.starts_with(b"--") && line.len() > 2).then(|| line.to_vec())
}

/// Where the boundary stands.
fn places(body: &[u8], boundary: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while at + boundary.len() <= body.len() {
        if body[at..].starts_with(boundary) {
            places.push(at);
            at += boundary.len();
        } else {
            at += 1;
        }
    }
    places
}

/// Where the content of a part begins, behind the empty line.
fn content_start(part: &[u8]) -> Option<usize> {
    let after = |blank: &[u8]| {
        let found = part.windows(blank.len()).position(|bytes| bytes == blank);
        found.map(|at| at + blank.len())
    };
    match (after(b"\r\n\r\n"), after(b"\n\n")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// A header field of a part.
fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_ascii_lowercase())
    })
}

/// A parameter of the content disposition, with or without quotes.
fn parameter(head: &str, name: &str) -> Option<String> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("content-disposition"))?;
    line.split(';').skip(1).find_map(|parameter| {
        let (found, value) = parameter.split_once('=')?;
        let found = found.trim().trim_end_matches('*');
        let value = value.trim().trim_matches('"');
        found.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(content_type: &str, body: &str) -> String {
        let bytes = Redactor::with_key([1; 32]).multipart(content_type, body.as_bytes(), 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn only_secret_parts_change() {
        let body = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --B\r\nContent-Disposition: form-data; name=token\r\n\r\nhunter2x\r\n\
            --B\r\nContent-Disposition: form-data; name=\"j\"\r\n\
            Content-Type: application/json\r\n\r\n{\"secret\":\"hunter2x\"}\r\n\
            --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\r\n\
            plain=text\r\n--B--\r\n";
        for content_type in ["multipart/form-data; boundary=B", "multipart/form-data"] {
            let shown = redacted(content_type, body);
            assert!(!shown.contains("hunter2x"), "{shown}");
            assert_eq!(shown.len(), body.len());
            assert!(shown.contains("\r\n\r\nplain=text\r\n--B--\r\n"), "{shown}");
            assert!(shown.starts_with(&body[..body.find("hunter2x").unwrap()]));
        }
    }

    #[test]
    fn fields_before_a_part_lose_their_secrets() {
        for (head, secret) in [
            ("Authorization: Bearer hunterhunter", "hunterhunter"),
            ("Authorization: Bearer Zx81kQp02Lm7", "Zx81kQp02Lm7"),
            (
                "Content-Disposition: form-data; name=\"a\"; filename=\"Zx81kQp02Lm7aaPqZZ15.txt\"",
                "Zx81kQp02Lm7aaPqZZ15",
            ),
            (
                "Content-Disposition: attachment; filename*=UTF-8''Zx81kQp02Lm7aaPqZZ15.txt",
                "Zx81kQp02Lm7aaPqZZ15",
            ),
        ] {
            let body = format!("--B\r\n{head}\r\nX-Part: 1\r\n\r\nabc\r\n--B--\r\n");
            let shown = redacted("multipart/mixed; boundary=B", &body);
            let parts: Vec<&str> = body.split(secret).collect();
            assert!(!shown.contains(secret), "{shown}");
            assert!(
                shown.starts_with(parts[0]) && shown.ends_with(parts[1]),
                "{shown}"
            );
            assert_eq!(shown.len(), body.len(), "{shown}");
        }
        let plain = "--B\r\nContent-Disposition: form-data; filename=\"my notes (2).txt\"\r\n\r\n\
            a\r\n--B--\r\n";
        assert_eq!(redacted("multipart/form-data; boundary=B", plain), plain);
    }

    #[test]
    fn what_is_cut_or_without_boundary_is_redacted_too() {
        let cut = "--B\nContent-Disposition: form-data; name=\"pin\"\n\n987654";
        assert!(!redacted("multipart/form-data; boundary=\"B\"", cut).contains("987654"));
        for (content_type, body) in [("multipart/x", ""), ("multipart/x; boundary=", "x")] {
            assert_eq!(redacted(content_type, body), body);
        }
    }
}
