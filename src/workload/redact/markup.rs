//! Secrets in XML and what is written like it: texts of elements and values of attributes, named by
//! the element, by an attribute (`<field name="password">`), or by an element before
//! (`<name>password</name><value>…</value>`).
//!
//! Follows tags, not a grammar, in linear time: also in parts of documents, inside CDATA, and where
//! tags are written as `&lt;token&gt;`. What stands behind a closing tag is nobody's value.

use std::ops::Range;

use super::{Kind, Redactor, encoded, known::find, named::Named, names};

const CDATA: &[u8] = b"<![CDATA[";
/// Elements that are open around a text, at most; and the longest name.
const OPEN_MOST: usize = 64;
const LONGEST_NAME: usize = 100;
/// Attributes and elements that name what stands beside them.
const NAMING: &[&str] = &[
    "name",
    "key",
    "field",
    "paramname",
    "propertyname",
    "fieldname",
];
/// Attributes that hold the value where another names it.
const VALUES: &[&[u8]] = &[b"value", b"content", b"default"];

/// Elements of HTML that hold no text and need no end.
const VOID: &[&[u8]] = &[b"input", b"meta", b"param", b"br", b"img", b"link"];

/// How the brackets of a tag are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brackets {
    Plain,
    Escaped,
}

/// A secret element that is open.
struct Open {
    name: Range<usize>,
    /// So many texts were unsure before it.
    unsure: usize,
}

/// The next text is a secret.
struct Next {
    name: Range<usize>,
    /// Closing tags that may come before it.
    closings: u8,
}

struct Tag {
    name: Range<usize>,
    brackets: Brackets,
    end: usize,
    is_empty: bool,
}

struct Reader<'a> {
    redactor: &'a Redactor,
    bytes: &'a [u8],
    found: Vec<Named>,
    open: Vec<Open>,
    /// Texts of elements inside of secret ones: secrets, once those are closed.
    unsure: Vec<Named>,
    next: Option<Next>,
}

impl Redactor {
    /// Values that elements and attributes make secrets.
    pub(super) fn markup(&self, bytes: &[u8]) -> Vec<Named> {
        let mut reader = Reader {
            redactor: self,
            bytes,
            found: Vec::new(),
            open: Vec::new(),
            unsure: Vec::new(),
            next: None,
        };
        let mut at = 0;
        while let Some((start, brackets)) = opening(bytes, at) {
            at = reader.tag(start, brackets);
        }
        reader.found
    }

    /// What stands in place of a secret that may hold `&amp;` and the like: those stay references.
    pub(super) fn secret_in_markup(&mut self, kind: Kind, value: &[u8]) -> Option<Vec<u8>> {
        let units = std::str::from_utf8(value)
            .ok()
            .and_then(encoded::references);
        let Some(units) = units else {
            return self.secret_bytes(kind, value);
        };
        let plain: String = units.iter().map(|unit| unit.1).collect();
        let shown = self.secret(kind, &plain)?;
        let write = |c: char| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&apos;".to_owned(),
            other => other.to_string(),
        };
        Some(encoded::respelled(&units, &shown, write).into_bytes())
    }
}

impl Reader<'_> {
    /// Reads the tag whose name begins here, and the text behind it; where to go on.
    fn tag(&mut self, start: usize, brackets: Brackets) -> usize {
        let is_closing = self.bytes.get(start) == Some(&b'/');
        let from = start + usize::from(is_closing);
        let letter = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        if !self.bytes.get(from).is_some_and(letter) {
            return start;
        }
        let word = |b: &u8| b.is_ascii_alphanumeric() || b"_.:-".contains(b);
        let length = self.bytes[from..].iter().take_while(|b| word(b)).count();
        let whole = &self.bytes[from..from + length];
        let own = whole
            .iter()
            .rposition(|b| *b == b':')
            .map_or(0, |at| at + 1);
        let name = from + own..from + length.min(own + LONGEST_NAME);
        let Some((inside, end)) = tag_end(self.bytes, from + length, brackets) else {
            return from + length;
        };
        if is_closing {
            self.close(&name);
            return self.texts((end, brackets), None);
        }
        let is_void = VOID
            .iter()
            .any(|own| self.bytes[name.clone()].eq_ignore_ascii_case(own));
        let is_empty = is_void || self.bytes[from..inside].ends_with(b"/");
        let tag = Tag {
            name,
            brackets,
            end,
            is_empty,
        };
        self.attributes(from + length..inside, is_empty);
        self.element(&tag)
    }

    fn element(&mut self, tag: &Tag) -> usize {
        let name = String::from_utf8_lossy(&self.bytes[tag.name.clone()]).into_owned();
        // A field that an attribute names is named already.
        let is_new = self
            .next
            .as_ref()
            .is_none_or(|next| next.name.start < tag.name.start);
        let is_naming = is_new && NAMING.contains(&&*names::flat(&name));
        let is_secret = self.redactor.is_secret_name(&name);
        if tag.is_empty {
            return tag.end;
        }
        if is_naming {
            self.next = None;
            let first = self.found.len();
            let at = self.texts((tag.end, tag.brackets), Some(&tag.name));
            self.named(first, is_secret);
            return at;
        }
        if is_secret && self.open.len() < OPEN_MOST {
            self.open.push(Open {
                name: tag.name.clone(),
                unsure: self.unsure.len(),
            });
        }
        self.texts((tag.end, tag.brackets), is_secret.then_some(&tag.name))
    }

    /// The texts of a naming element that were taken for values: they name what comes, and only
    /// what is called a key may be a secret itself.
    fn named(&mut self, first: usize, is_secret: bool) {
        let Some(text) = self.found.get(first).map(|it| it.value.clone()) else {
            return;
        };
        let own = std::str::from_utf8(&self.bytes[text.clone()]).unwrap_or_default();
        if own.len() <= LONGEST_NAME && self.redactor.is_secret_name(own) {
            self.next = Some(Next {
                name: text,
                closings: 1,
            });
        }
        if !is_secret || names::is_name_only(own) {
            self.found.truncate(first);
        }
    }

    fn close(&mut self, name: &Range<usize>) {
        self.next = match self.next.take() {
            Some(Next { name, closings }) if closings > 0 => Some(Next {
                name,
                closings: closings - 1,
            }),
            _ => None,
        };
        let closes = |open: &Open| self.bytes[open.name.clone()] == self.bytes[name.clone()];
        if let Some(at) = self.open.iter().rposition(closes) {
            self.found.extend(self.unsure.drain(self.open[at].unsure..));
            self.open.truncate(at);
        }
        if self.open.is_empty() {
            self.unsure.clear();
        }
    }

    /// The texts behind a tag, up to the next one; `direct` is the element that makes them secrets.
    fn texts(
        &mut self,
        (mut at, brackets): (usize, Brackets),
        direct: Option<&Range<usize>>,
    ) -> usize {
        if direct.is_none() && self.next.is_none() && self.open.is_empty() {
            return at;
        }
        loop {
            let blanks = |b: &&u8| b.is_ascii_whitespace();
            let from = at + self.bytes[at..].iter().take_while(blanks).count();
            let is_cdata = self.bytes[from..].starts_with(CDATA);
            let text = if is_cdata {
                let from = from + CDATA.len();
                let length = find(&self.bytes[from..], b"]]>");
                from..length.map_or(self.bytes.len(), |length| from + length)
            } else {
                from..text_end(self.bytes, from, brackets)
            };
            let end = if is_cdata { b"]]>".len() } else { 0 };
            at = (text.end + end).min(self.bytes.len());
            self.text(text, direct);
            if !is_cdata && !self.bytes[at..].starts_with(CDATA) {
                return at;
            }
        }
    }

    fn text(&mut self, text: Range<usize>, direct: Option<&Range<usize>>) {
        let own = &self.bytes[text.clone()];
        let blank = own.len() - own.trim_ascii_start().len();
        let value = text.start + blank..text.start + own.trim_ascii_end().len().max(blank);
        if value.is_empty() {
            return;
        }
        if let Some(name) = direct {
            self.next = None;
            let name = name.clone();
            self.found.push(Named { name, value });
        } else if let Some(next) = self.next.take() {
            let name = next.name;
            self.found.push(Named { name, value });
        } else if let Some(open) = self.open.last() {
            let name = open.name.clone();
            self.unsure.push(Named { name, value });
        }
    }

    /// `name="password" value="…"`, in any order.
    fn attributes(&mut self, inside: Range<usize>, is_empty: bool) {
        let (mut name, mut value) = (None, None);
        let mut at = inside.start;
        while let Some((own, text, end)) = attribute(self.bytes, at..inside.end) {
            at = end;
            let own = &self.bytes[own];
            let flat = || names::flat(&String::from_utf8_lossy(own));
            if VALUES.iter().any(|it| own.eq_ignore_ascii_case(it)) {
                value = Some(text);
            } else if own.len() <= LONGEST_NAME && NAMING.contains(&&*flat()) {
                name = Some(text);
            }
        }
        let Some(name) = name else { return };
        let text = std::str::from_utf8(&self.bytes[name.clone()]).unwrap_or_default();
        if text.len() > LONGEST_NAME || !self.redactor.is_secret_name(text) {
            return;
        }
        match value {
            Some(value) => self.found.push(Named { name, value }),
            None if is_empty => {}
            None => self.next = Some(Next { name, closings: 0 }),
        }
    }
}

/// Where the next tag begins, behind its bracket.
fn opening(bytes: &[u8], from: usize) -> Option<(usize, Brackets)> {
    let mut at = from;
    loop {
        at += bytes[at..].iter().position(|b| b"<&".contains(b))?;
        if bytes[at] == b'<' {
            return Some((at + 1, Brackets::Plain));
        }
        if bytes[at..].starts_with(b"&lt;") {
            return Some((at + 4, Brackets::Escaped));
        }
        at += 1;
    }
}

fn closes(bytes: &[u8], at: usize, brackets: Brackets) -> Option<usize> {
    match brackets {
        Brackets::Plain => (bytes[at] == b'>').then_some(1),
        Brackets::Escaped => bytes[at..].starts_with(b"&gt;").then_some(4),
    }
}

fn opens(bytes: &[u8], at: usize, brackets: Brackets) -> bool {
    bytes[at] == b'<' || (brackets == Brackets::Escaped && bytes[at..].starts_with(b"&lt;"))
}

/// Where the tag's inside ends, and where the tag does. A bracket in quotes is no end, unless the
/// quotes have none.
fn tag_end(bytes: &[u8], from: usize, brackets: Brackets) -> Option<(usize, usize)> {
    let (mut first, mut quote) = (None, None);
    let mut at = from;
    while at < bytes.len() && !opens(bytes, at, brackets) {
        if let Some(length) = closes(bytes, at, brackets) {
            if quote.is_none() {
                return Some((at, at + length));
            }
            first = first.or(Some((at, at + length)));
        }
        if b"\"'".contains(&bytes[at]) {
            quote = match quote {
                None => Some(bytes[at]),
                Some(own) if own == bytes[at] => None,
                other => other,
            };
        }
        at += 1;
    }
    first
}

fn text_end(bytes: &[u8], from: usize, brackets: Brackets) -> usize {
    let mut at = from;
    while at < bytes.len() && !opens(bytes, at, brackets) {
        at += 1;
    }
    at
}

/// The next attribute: its name, its value, and where it ends.
fn attribute(bytes: &[u8], inside: Range<usize>) -> Option<(Range<usize>, Range<usize>, usize)> {
    let mut from = inside.start;
    loop {
        let sign = from + bytes[from..inside.end].iter().position(|b| *b == b'=')?;
        let before = bytes[from..sign].trim_ascii_end();
        let word = |b: &&u8| b.is_ascii_alphanumeric() || b"_.:-".contains(b);
        let length = before.iter().rev().take_while(word).count();
        let end = from + before.len();
        let behind = &bytes[sign + 1..inside.end];
        let blanks = |b: &&u8| b.is_ascii_whitespace() || **b == b'\\';
        let start = sign + 1 + behind.iter().take_while(blanks).count();
        let Some((quote, width)) = quote(&bytes[start..inside.end]) else {
            from = sign + 1;
            continue;
        };
        let start = start + width;
        let length_of = find(&bytes[start..inside.end], quote);
        let stop = length_of.map_or(inside.end, |length| start + length);
        let value = bytes[start..stop].trim_ascii_end();
        let escape = usize::from(value.ends_with(b"\\"));
        let value = start..start + value.len() - escape;
        let next = (stop + width).min(inside.end);
        return Some((end - length..end, value, next));
    }
}

/// The quote that begins here, as it is written.
fn quote(bytes: &[u8]) -> Option<(&'static [u8], usize)> {
    const QUOTES: [&[u8]; 6] = [b"\"", b"'", b"&quot;", b"&apos;", b"&#34;", b"&#39;"];
    let quote = QUOTES.into_iter().find(|it| bytes.starts_with(it))?;
    Some((quote, quote.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        let shown = Redactor::with_key([1; 32]).body("text/xml", text.into());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn secrets_of_elements_go_and_every_other_byte_stays() {
        for text in [
            "<wsse:Password>|hunter2|</wsse:Password>",
            r#"<a><wsse:Password Type="t">|s3cretZZ30|</wsse:Password></a>"#,
            r#"<token kind="a>b">|hunter2|</token> and more"#,
            r#"<n:api-key id="1">|hunter2|</n:api-key>"#,
            "<password><![CDATA[|hunter2|]]></password>",
            "<password> <![CDATA[|hunter2|]]> </password>tail text",
            "<x><password>|a1b2c3d|</password>tail text</x>",
            "<x><password>|a1b2c3d|</password></x>tail <b>text</b>",
            r#"<field name="password">|hunter2|</field>"#,
            r#"<property name="password"><value>|hunter2|</value></property>"#,
            "<m><name>password</name><value>|hunter2|</value></m>",
            "<m><name>password</name>\n<value><string>|hunter2|</string></value></m>",
            "<dict><key>password</key><string>|hunter2|</string></dict>",
            r#"<input name="password" value="|hunter2|">"#,
            r#"<add value="|hunter2|" key="ApiKey"/><b>c</b>"#,
            "<password><value>|hunter2|</value></password>",
            "&lt;password kind=&quot;a&quot;&gt;|hunter2|&lt;/password&gt; tail",
            r#"x = "<token kind=\"a\">|hunter2|</token>""#,
            "<password>|hunter2|",
            r#"<password kind="cut>|hunter2|</password>"#,
            "<password>\n  |p&amp;q1234|\n</password>",
            "<password>|p&lt;q1234|</password>",
            r#"<u password="|a&quot;b1234|" id="1"/>"#,
        ] {
            let parts: Vec<&str> = text.split('|').collect();
            let shown = redacted(&text.replace('|', ""));
            let is_around = shown.starts_with(parts[0]) && shown.ends_with(parts[2]);
            assert!(is_around, "{text}: {shown}");
            assert!(!shown.contains(parts[1]), "{text}: {shown}");
            assert_eq!(shown.len(), text.len() - 2, "{text}: {shown}");
            for (name, sign) in [("&amp;", "amp"), ("&lt;", "lt"), ("&quot;", "quot")] {
                let count = |text: &str| text.matches(sign).count();
                let stays = !parts[1].contains(name) || count(&shown) == count(text);
                assert!(stays, "{text}: {shown}");
            }
        }
        let both = "<tokens><i>hunter2a</i><i>hunter2b</i></tokens><i>c</i>";
        let shown = redacted(both);
        assert!(
            !shown.contains("hunter") && shown.ends_with("<i>c</i>"),
            "{shown}"
        );
    }

    #[test]
    fn what_is_nobodys_value_stays() {
        for text in [
            "<name>x</name><value>y</value>",
            "<x><password/>text</x>",
            "<x><password></password>text</x>",
            "<m><name>password</name><value></value></m><m>text</m>",
            r#"<field name="password"></field><b>text</b>"#,
            r#"<label for="password">Password</label><input name="password"><b>text</b>"#,
            "<token_type>bearer</token_type>",
            "password> next",
            "a < token and b > c",
            "<password>true</password>",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn equal_secrets_are_equal_however_they_are_written() {
        let plain = redacted("<password><![CDATA[p&q1234]]></password>");
        let plain = &plain["<password><![CDATA[".len()..plain.len() - "]]></password>".len()];
        let shown = redacted("<password>p&#38;q1234</password>");
        assert_eq!(
            shown,
            format!("<password>{}</password>", plain.replace('&', "&#38;"))
        );
    }

    const PARTS: &[&str] = &[
        "<",
        ">",
        "</",
        "/>",
        "&lt;",
        "&gt;",
        "<password",
        "<name>",
        "password",
        "<key a=\"",
        "\"",
        "=",
        "<![CDATA[",
        "]]>",
        "&amp;",
        "&",
        "a",
        " ",
        "é",
    ];

    proptest! {
        #[test]
        fn no_text_panics(parts in prop::collection::vec(prop::sample::select(PARTS), 0..40)) {
            redacted(&parts.concat());
        }
    }
}
