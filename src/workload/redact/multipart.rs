//! Redaction of multipart bodies (RFC 7578): secret fields by their name, other parts by their
//! own content type. Files are searched only for what shows itself.

use std::ops::Range;

use super::{Kind, Redactor, names};

impl Redactor {
    pub(super) fn multipart(&mut self, content_type: &str, body: &[u8], depth: u8) -> Vec<u8> {
        let Some(boundary) = boundary(content_type, body) else {
            return self.free(body).unwrap_or(body.to_vec());
        };
        let mut shown = Vec::with_capacity(body.len());
        let mut done = 0;
        for part in parts(body, &boundary) {
            let Some(start) = content_start(&body[part.clone()]) else {
                continue;
            };
            let start = part.start + start;
            let head = String::from_utf8_lossy(&body[part.start..start]).into_owned();
            shown.extend_from_slice(&body[done..start]);
            shown.extend(self.part(&head, &body[start..part.end], depth));
            done = part.end;
        }
        shown.extend_from_slice(&body[done..]);
        shown
    }

    fn part(&mut self, head: &str, content: &[u8], depth: u8) -> Vec<u8> {
        let name = parameter(head, "name").unwrap_or_default();
        if names::is_sensitive(&name) && !content.is_empty() {
            return self.secret_bytes(Kind::Field, content);
        }
        let content_type = field(head, "content-type").unwrap_or_default();
        let is_file = parameter(head, "filename").is_some();
        if depth >= super::DEEPEST {
            return self.secret_bytes(Kind::Encoded, content);
        }
        if is_file && !content_type.contains("json") && !content_type.contains("form") {
            return self.free(content).unwrap_or(content.to_vec());
        }
        self.nested_body(&content_type, content.to_vec(), depth + 1)
    }
}

/// The boundary as the content type names it, or as the first line of the body shows it.
fn boundary(content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
    let lower = content_type.to_ascii_lowercase();
    if let Some(at) = lower.find("boundary=") {
        let value = content_type[at + "boundary=".len()..].split(';').next()?;
        let value = value.trim().trim_matches('"');
        if !value.is_empty() {
            return Some([b"--", value.as_bytes()].concat());
        }
    }
    let line = body.split(|b| *b == b'\n').next()?.trim_ascii_end();
    (line.starts_with(b"--") && line.len() > 2).then(|| line.to_vec())
}

/// What stands between the boundaries, heads included, without the last line break.
fn parts(body: &[u8], boundary: &[u8]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut open = None;
    let mut at = 0;
    while at + boundary.len() <= body.len() {
        if !body[at..].starts_with(boundary) {
            at += 1;
            continue;
        }
        if let Some(start) = open {
            let end = match &body[start..at] {
                [.., b'\r', b'\n'] => at - 2,
                [.., b'\n'] => at - 1,
                _ => at,
            };
            parts.push(start..end);
        }
        at += boundary.len();
        open = Some(at);
    }
    // A part that the recording cut off still holds its secret.
    if let Some(start) = open {
        parts.push(start..body.len());
    }
    parts
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
    fn what_is_cut_or_without_boundary_is_redacted_too() {
        let cut = "--B\nContent-Disposition: form-data; name=\"pin\"\n\n987654";
        assert!(!redacted("multipart/form-data; boundary=\"B\"", cut).contains("987654"));
        for (content_type, body) in [("multipart/x", ""), ("multipart/x; boundary=", "x")] {
            assert_eq!(redacted(content_type, body), body);
        }
    }
}
