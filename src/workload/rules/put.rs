//! Places in requests that a value is put into.
//!
//! `segment:N` of the path, `query:NAME`, `form:NAME`, `json:/POINTER`, `header:NAME`,
//! `cookie:NAME`; each may be followed by ` ~ PATTERN`, by which the value is written. `body ~
//! PATTERN` is the text of the body in which the value stands. Every other byte stays.

use std::ops::Range;

use url::form_urlencoded::byte_serialize;

use super::{
    json,
    pattern::{Pattern, divide},
};
use crate::workload::{
    Request, headers,
    redact::{names::is_sensitive, percent_decode},
};

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Put {
    place: Place,
    pattern: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Segment(usize),
    Query(String),
    Form(String),
    Json(String),
    Header(String),
    Cookie(String),
    Body,
}

/// Where in one request a value goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) part: Part,
    /// The bytes that it replaces; none of a field that is added.
    pub(super) bytes: Range<usize>,
    quoting: Quoting,
    pattern: Pattern,
}

/// Which part of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Path,
    /// The field at this index.
    Header(usize),
    Body,
    /// A field that the request does not have.
    NewHeader(String),
    /// The cookies of its client.
    Cookie(String),
}

/// How a value is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Quoting {
    Segment,
    Form,
    /// In place of this JSON value.
    Json(String),
    Plain,
}

impl Put {
    /// Reads a place.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (place, pattern) = divide(text)?;
        let (kind, name) = place.split_once(':').unwrap_or((place, ""));
        let own = || Some(name.to_owned()).filter(|it| !it.is_empty());
        let place = match kind {
            "segment" => {
                let number = name.parse().ok().filter(|n| (1..=64).contains(n));
                Place::Segment(number.ok_or("needs the number of a segment, counted from 1")?)
            }
            "query" => Place::Query(own().ok_or("needs the name of a parameter")?),
            "form" => Place::Form(own().ok_or("needs the name of a form's field")?),
            "json" if json::is_pointer(name) => Place::Json(name.to_owned()),
            "json" => return Err("needs a JSON pointer, such as `json:/cart/id`"),
            "header" if headers::is_framing(name) => {
                return Err("names a header field that proofload writes itself");
            }
            "header" if headers::is_name(name) => Place::Header(name.to_owned()),
            "header" => return Err("needs the name of a header field"),
            "cookie" => Place::Cookie(own().ok_or("needs the name of a cookie")?),
            "body" if !pattern.is_empty() => Place::Body,
            "body" => return Err("needs a pattern behind it, such as `body ~ id=\"{}\"`"),
            _ => {
                return Err(
                    "is no place in a request; there are segment:N, query:NAME, \
                            form:NAME, json:/POINTER, header:NAME, cookie:NAME and body ~ PATTERN",
                );
            }
        };
        Ok(Self { place, pattern })
    }

    /// Whether what goes there is a secret by its name.
    pub(super) fn is_for_secrets(&self) -> bool {
        match &self.place {
            Place::Header(name) => headers::is_credential(name),
            Place::Cookie(_) => true,
            Place::Query(name) | Place::Form(name) => is_sensitive(name),
            Place::Json(pointer) => is_sensitive(pointer.rsplit('/').next().unwrap_or_default()),
            Place::Segment(_) | Place::Body => false,
        }
    }

    /// Where that is in a request; nowhere when it does not carry such a value. Header fields and
    /// cookies are added, since recordings have lost theirs.
    pub(super) fn find(&self, request: &Request) -> Option<Spot> {
        let query = request.path.find('?');
        let (part, bytes, quoting) = match &self.place {
            Place::Segment(number) => {
                let bytes = segment(
                    &request.path[..query.unwrap_or(request.path.len())],
                    *number,
                )?;
                (Part::Path, bytes, Quoting::Segment)
            }
            Place::Query(name) => {
                let from = query? + 1;
                let bytes = pair(&request.path[from..], name)?;
                (Part::Path, shifted(bytes, from), Quoting::Form)
            }
            Place::Form(name) => {
                let (bytes, quoting) = form(request, name)?;
                (Part::Body, bytes, quoting)
            }
            Place::Json(pointer) => {
                let text = std::str::from_utf8(&request.body).ok()?;
                let bytes = json::span(text, pointer)?;
                let replaced = text[bytes.clone()].to_owned();
                (Part::Body, bytes, Quoting::Json(replaced))
            }
            Place::Header(name) => {
                let mut fields = request.headers.iter();
                let at = fields.position(|(own, _)| own.eq_ignore_ascii_case(name));
                match at {
                    Some(at) => {
                        let length = request.headers[at].1.len();
                        (Part::Header(at), 0..length, Quoting::Plain)
                    }
                    None => (Part::NewHeader(name.clone()), 0..0, Quoting::Plain),
                }
            }
            Place::Cookie(name) => (Part::Cookie(name.clone()), 0..0, Quoting::Plain),
            Place::Body => {
                let text = std::str::from_utf8(&request.body).ok()?;
                return Some(Spot {
                    part: Part::Body,
                    bytes: self.pattern.span(text)?,
                    quoting: Quoting::Plain,
                    // It is there already.
                    pattern: Pattern::default(),
                });
            }
        };
        Some(Spot {
            part,
            bytes,
            quoting,
            pattern: self.pattern.clone(),
        })
    }
}

impl Spot {
    /// The value as it is written there; `None` when it may not stand there.
    pub(super) fn written(&self, value: &str) -> Option<String> {
        let value = self.pattern.write(value);
        let is_head = !matches!(self.part, Part::Path | Part::Body);
        if is_head && !headers::is_value(&value) {
            return None;
        }
        Some(match &self.quoting {
            Quoting::Segment => encoded(&value).replace('+', "%20"),
            Quoting::Form => encoded(&value),
            Quoting::Json(replaced) => json::quoted(&value, replaced),
            Quoting::Plain => value,
        })
    }
}

fn encoded(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

fn shifted(bytes: Range<usize>, by: usize) -> Range<usize> {
    bytes.start + by..bytes.end + by
}

/// The n-th segment of a path, without matrix parameters.
fn segment(path: &str, number: usize) -> Option<Range<usize>> {
    let mut start = 1;
    for (n, segment) in path.strip_prefix('/')?.split('/').enumerate() {
        if n + 1 == number {
            let length = segment.find(';').unwrap_or(segment.len());
            return Some(start..start + length);
        }
        start += segment.len() + 1;
    }
    None
}

/// The value of the first pair of a name.
fn pair(text: &str, name: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for pair in text.split('&') {
        if let Some((own, value)) = pair.split_once('=')
            && (own == name || percent_decode(&own.replace('+', " ")) == name)
        {
            let from = start + own.len() + 1;
            return Some(from..from + value.len());
        }
        start += pair.len() + 1;
    }
    None
}

/// The value of a form's field, however the form is encoded.
fn form(request: &Request, name: &str) -> Option<(Range<usize>, Quoting)> {
    let mut fields = request.headers.iter();
    let kind = fields.find(|(own, _)| own.eq_ignore_ascii_case("content-type"));
    let kind = kind.map_or("", |(_, value)| value.trim());
    let lower = kind.to_ascii_lowercase();
    if lower.starts_with("multipart/form-data") {
        let at = lower.find("boundary=")? + "boundary=".len();
        let boundary = kind[at..].split(';').next()?.trim().trim_matches('"');
        return Some((multipart(&request.body, boundary, name)?, Quoting::Plain));
    }
    let text = std::str::from_utf8(&request.body).ok()?;
    (lower.is_empty() || lower.starts_with("application/x-www-form-urlencoded"))
        .then(|| Some((pair(text, name)?, Quoting::Form)))?
}

/// The content of the part of this name.
fn multipart(body: &[u8], boundary: &str, name: &str) -> Option<Range<usize>> {
    let find = |from: usize, what: &[u8]| {
        let mut windows = body.get(from..)?.windows(what.len().max(1));
        windows.position(|it| it == what).map(|at| from + at)
    };
    let delimiter = format!("--{boundary}");
    let end_mark = format!("\r\n{delimiter}");
    let wanted = format!("name=\"{name}\"");
    let mut at = find(0, delimiter.as_bytes())?;
    loop {
        let head_end = find(at, b"\r\n\r\n")?;
        let head = std::str::from_utf8(&body[at..head_end]).ok()?;
        let start = head_end + 4;
        // An empty part has the line feed of its head in common with its end.
        let end = find(start - 2, end_mark.as_bytes())?;
        // `filename="x"` ends like a name and is none.
        let is_it = |(at, _): (usize, &str)| head[..at].ends_with([' ', ';']);
        if head.match_indices(&wanted).any(is_it) {
            return Some(start..end.max(start));
        }
        at = end + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    fn request(kind: &str, body: &str) -> Request {
        Request {
            headers: vec![("Content-Type".into(), kind.into())],
            body: body.as_bytes().to_vec(),
            ..parse_request("POST /a/17;v=1/c?x=1&y%5B0%5D=a+b&empty=").unwrap()
        }
    }

    /// The bytes at a place, and a value as it is written there.
    fn found(place: &str, request: &Request, value: &str) -> Option<(String, String)> {
        let spot = Put::parse(place).unwrap().find(request)?;
        let whole = match &spot.part {
            Part::Path => request.path.clone().into_bytes(),
            Part::Header(at) => request.headers[*at].1.clone().into_bytes(),
            Part::Body => request.body.clone(),
            Part::NewHeader(_) | Part::Cookie(_) => Vec::new(),
        };
        let bytes = String::from_utf8(whole[spot.bytes.clone()].to_vec()).unwrap();
        Some((bytes, spot.written(value)?))
    }

    #[test]
    fn each_place_is_found_and_written_as_it_must_be() {
        let form = "application/x-www-form-urlencoded";
        let multipart = "multipart/form-data; boundary=b";
        let parts = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"t\"\r\n\r\nx\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\nold\r\n\
                     --b\r\nContent-Disposition: form-data; name=\"e\"\r\n\r\n\r\n--b--\r\n";
        let json = "{\"a\":{\"t\":\"old\",\"n\":3}}";
        for (place, kind, body, old, new) in [
            ("segment:2", "", "", "17", "a%20b%2Fc"),
            ("segment:3", "", "", "c", "a%20b%2Fc"),
            ("query:x", "", "", "1", "a+b%2Fc"),
            ("query:y[0]", "", "", "a+b", "a+b%2Fc"),
            ("query:empty", "", "", "", "a+b%2Fc"),
            ("query:x ~ <{}>", "", "", "1", "%3Ca+b%2Fc%3E"),
            ("form:t", form, "s=1&t=old", "old", "a+b%2Fc"),
            ("form:t", multipart, parts, "old", "a b/c"),
            ("form:e", multipart, parts, "", "a b/c"),
            (
                "json:/a/t",
                "application/json",
                json,
                "\"old\"",
                "\"a b/c\"",
            ),
            ("header:content-type", "text/x", "", "text/x", "a b/c"),
            ("header:X-Csrf-Token", "", "", "", "a b/c"),
            ("header:x-auth ~ Bearer {}", "", "", "", "Bearer a b/c"),
            ("cookie:sid", "", "", "", "a b/c"),
            ("body ~ id={};", "", "x id=old; id=2;", "old", "a b/c"),
        ] {
            let (bytes, written) = found(place, &request(kind, body), "a b/c").unwrap();
            assert_eq!((bytes.as_str(), written.as_str()), (old, new), "{place}");
        }
        let numbers = request("application/json", json);
        assert_eq!(found("json:/a/n", &numbers, "7").unwrap().1, "7");
    }

    #[test]
    fn what_is_not_there_is_not_found_and_what_cannot_stand_there_is_not_written() {
        for (place, kind, body) in [
            ("segment:4", "", ""),
            ("query:z", "", ""),
            ("form:t", "application/x-www-form-urlencoded", "s=1"),
            ("form:t", "application/json", "t=1"),
            ("form:t", "multipart/form-data; boundary=b", "--b\r\n"),
            ("form:t", "multipart/form-data", "t"),
            ("json:/a", "application/json", "{"),
            ("body ~ id={};", "", "nothing"),
        ] {
            assert_eq!(found(place, &request(kind, body), "x"), None, "{place}");
        }
        assert_eq!(found("header:x", &request("", ""), "a\r\nb: c"), None);
        assert_eq!(found("cookie:x", &request("", ""), "a\nb"), None);
        for text in [
            "",
            "segment:0",
            "segment:x",
            "query:",
            "form",
            "json:x",
            "header:a b",
            "header:Host",
            "cookie:",
            "body",
            "path:1",
        ] {
            assert!(Put::parse(text).is_err(), "{text}");
        }
    }
}
