//! Places in answers that a value is taken from.
//!
//! `header:NAME`, `cookie:NAME`, `json:/POINTER`, `field:NAME` (an input of a form or a meta tag
//! of a page) and `body`; each may be followed by ` ~ PATTERN`, such as `header:location ~
//! /orders/{}`.

use super::{
    html, json,
    pattern::{Pattern, divide},
};

/// An answer as far as rules look at it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// Its header fields; the case of names does not matter.
    pub fields: &'a [(String, Vec<u8>)],
    /// Its body, not compressed; empty where it was not kept.
    pub body: &'a [u8],
    /// When it came, in seconds since 1970.
    pub now_s: i64,
}

impl<'a> Answer<'a> {
    /// The values of all fields of a name that are text.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let fields = self.fields.iter();
        let own = fields.filter(move |(it, _)| it.eq_ignore_ascii_case(name));
        own.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The body as text, unless it is compressed or no UTF-8.
    fn text(&self) -> Option<&'a str> {
        let mut codings = self.values("content-encoding");
        let is_plain = codings.all(|it| it.trim().is_empty() || it.trim() == "identity");
        std::str::from_utf8(self.body).ok().filter(|_| is_plain)
    }
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Take {
    place: Place,
    pattern: Pattern,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Header(String),
    Cookie(String),
    Json(String),
    Field(String),
    Body,
}

impl Take {
    /// Reads a place.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (place, pattern) = divide(text)?;
        let (kind, name) = place.split_once(':').unwrap_or((place, ""));
        let own = || Some(name.to_owned()).filter(|it| !it.is_empty());
        let place = match kind {
            "body" if name.is_empty() && !pattern.is_empty() => Place::Body,
            "body" => return Err("needs a pattern behind it, such as `body ~ id=\"{}\"`"),
            "json" if json::is_pointer(name) => Place::Json(name.to_owned()),
            "json" => return Err("needs a JSON pointer, such as `json:/cart/id`"),
            "header" => Place::Header(own().ok_or("needs the name of a header field")?),
            "cookie" => Place::Cookie(own().ok_or("needs the name of a cookie")?),
            "field" => Place::Field(own().ok_or("needs the name of a form's field")?),
            _ => {
                return Err(
                    "is no place in an answer; there are header:NAME, cookie:NAME, \
                            json:/POINTER, field:NAME and body ~ PATTERN",
                );
            }
        };
        Ok(Self { place, pattern })
    }

    /// Whether the body has to be kept for it.
    pub(super) fn needs_body(&self) -> bool {
        !matches!(self.place, Place::Header(_) | Place::Cookie(_))
    }

    /// The value, where the answer has one.
    pub(super) fn find(&self, answer: &Answer<'_>) -> Option<String> {
        let whole = match &self.place {
            Place::Header(name) => answer.values(name).next()?.to_owned(),
            Place::Cookie(name) => {
                let mut pairs = answer.values("set-cookie").filter_map(|field| {
                    let (own, value) = field.split(';').next()?.split_once('=')?;
                    (own.trim() == name).then(|| value.trim().to_owned())
                });
                pairs.next()?
            }
            Place::Json(pointer) => {
                let text = answer.text()?;
                json::scalar(&text[json::span(text, pointer)?])?
            }
            Place::Field(name) => {
                let text = answer.text()?;
                html::fields(text).find(|(own, _)| own == name)?.1
            }
            Place::Body => answer.text()?.to_owned(),
        };
        let value = self.pattern.find(&whole)?;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(place: &str, fields: &[(&str, &str)], body: &str) -> Option<String> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let answer = Answer {
            fields: &fields,
            body: body.as_bytes(),
            now_s: 0,
        };
        Take::parse(place).unwrap().find(&answer)
    }

    #[test]
    fn each_place_gives_its_value() {
        let fields = [
            ("Location", "/orders/17?new"),
            ("set-cookie", "a=1; Path=/"),
            ("Set-Cookie", "sid = x=y; HttpOnly"),
        ];
        let page = "<form><input type=hidden name='csrf' value=\"a&amp;b\"></form> id: 'k7'";
        for (place, body, expected) in [
            ("header:location", "", Some("/orders/17?new")),
            ("header:LOCATION ~ /orders/{}?", "", Some("17")),
            ("header:x", "", None),
            ("cookie:sid", "", Some("x=y")),
            ("cookie:b", "", None),
            ("json:/cart/id", "{\"cart\":{\"id\":17}}", Some("17")),
            ("json:/cart", "{\"cart\":{\"id\":17}}", None),
            ("json:/a", "{\"a\":\"\"}", None),
            ("json:/a", "{\"a\":", None),
            ("field:csrf", page, Some("a&b")),
            ("field:other", page, None),
            ("body ~ id: '{}'", page, Some("k7")),
        ] {
            assert_eq!(find(place, &fields, body).as_deref(), expected, "{place}");
        }
        let packed = [("Content-Encoding", "gzip")];
        assert_eq!(find("json:/a", &packed, "{\"a\":\"b\"}"), None);
    }

    #[test]
    fn what_is_no_place_says_what_there_is() {
        for text in [
            "", "body", "json:a", "header:", "cookie", "field:", "xpath:/a", "body ~ x",
        ] {
            assert!(Take::parse(text).is_err(), "{text}");
        }
        assert!(Take::parse("json:").unwrap().needs_body());
        assert!(!Take::parse("cookie:a").unwrap().needs_body());
    }
}
