//! What an answer brought that later requests may carry: a copy of its head and of its text.
//!
//! Only kinds that forms and ids are in are copied, while they pass and up to a bound. The copy
//! lives in memory until its values have become numbers; nothing of it is ever written.

use std::{io::Read, sync::Arc};

use flate2::bufread::MultiGzDecoder;
use hyper::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
};

use super::copy::{BodyCopy, OF_ANSWERS, Room};

/// Longer texts are not looked at, in bytes after decompression.
const LONGEST: u64 = 1 << 20;

/// An answer on its way, as far as it is looked at.
#[derive(Debug)]
pub(super) struct Answer {
    headers: HeaderMap,
    body: Option<BodyCopy>,
}

/// What an answer said, in text.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Its header fields.
    pub(super) fields: Vec<(String, String)>,
    /// Its media type in lower case.
    pub(super) kind: String,
    /// Its text; empty where it is not looked at.
    pub(super) text: String,
}

impl Answer {
    /// An answer with this head, whose body is copied if it is of a kind that is looked at.
    pub(super) fn new(headers: &HeaderMap, room: &Arc<Room>) -> Self {
        let kind = plain(headers, &CONTENT_TYPE);
        let is_text = ["json", "html"].iter().any(|it| kind.contains(it));
        let is_read = matches!(
            plain(headers, &CONTENT_ENCODING).as_str(),
            "" | "identity" | "gzip" | "x-gzip"
        );
        let body = (is_text && is_read).then(|| BodyCopy::new(Arc::clone(room), OF_ANSWERS));
        Self {
            headers: headers.clone(),
            body,
        }
    }

    /// Copies a piece of the body.
    pub(super) fn add(&self, bytes: &[u8]) {
        if let Some(body) = &self.body {
            body.add(bytes);
        }
    }

    /// The body is complete.
    pub(super) fn end(&self) {
        if let Some(body) = &self.body {
            body.end();
        }
    }

    /// What it said; of a body that is too long, damaged or no text, nothing.
    pub(super) fn read(self) -> Said {
        let body = self.body.and_then(|body| body.take().ok());
        let mut bytes = body.map_or(Vec::new(), super::copy::Held::into_bytes);
        if plain(&self.headers, &CONTENT_ENCODING).ends_with("gzip") {
            bytes = unzipped(&bytes);
        }
        let fields = self.headers.iter().filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        Said {
            fields: fields.collect(),
            kind: plain(&self.headers, &CONTENT_TYPE),
            text: String::from_utf8(bytes).unwrap_or_default(),
        }
    }
}

/// A field in lower case; empty where there is none.
fn plain(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim().to_ascii_lowercase()
}

/// What was compressed; nothing of what is damaged or becomes too long.
fn unzipped(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(bytes)
        .take(LONGEST + 1)
        .read_to_end(&mut plain);
    if read.is_err() || plain.len() as u64 > LONGEST {
        plain.clear();
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn zipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn said(kind: &str, coding: &str, body: &[u8]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        if !coding.is_empty() {
            headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        }
        headers.insert("x-latin", "caf\u{e9}".parse().unwrap());
        let answer = Answer::new(&headers, &Arc::default());
        body.chunks(1_000).for_each(|piece| answer.add(piece));
        answer.end();
        let said = answer.read();
        let names: Vec<&str> = said.fields.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"content-type") && !names.contains(&"x-latin"));
        said.text
    }

    #[test]
    fn texts_with_forms_and_ids_are_read_and_nothing_else() {
        let long = vec![b'a'; (1 << 20) + 1];
        for (kind, coding, body, text) in [
            ("Text/HTML; charset=utf-8", "", &b"tea"[..], "tea"),
            ("application/vnd.x+json", "identity", b"{}", "{}"),
            ("text/html", "GZIP", &zipped(b"tea"), "tea"),
            ("text/html", "gzip", &zipped(b"tea")[..8], ""),
            ("text/html", "gzip", b"tea", ""),
            ("text/html", "gzip", &zipped(&long), ""),
            ("text/html", "", &long, ""),
            ("text/html", "br", b"tea", ""),
            ("text/html", "", b"\xff", ""),
            ("image/png", "", b"tea", ""),
        ] {
            assert_eq!(said(kind, coding, body), text, "{kind} {coding}");
        }
    }
}
