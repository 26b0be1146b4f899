//! What was found, in little memory, until the file has been read to its end.
//!
//! Only then is it known which host is the service and what came first, so a large file stays in
//! memory as a whole. The texts of a request lie behind each other in one piece, and header fields
//! that many requests have are kept once: as they are, they would take several times as much.
//! The same holds for the clean ones until they are written.

use std::{
    cell::OnceCell,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
};

use super::gather::Found;
use crate::workload::{Header, Method, Recorded, Request, rules::Offers};

/// A request as recorded, secrets and all; never leaves memory in this form.
#[derive(Debug)]
pub(super) struct Kept {
    /// Its place among all entries of all files.
    pub(super) position: u64,
    /// As in [`Found`].
    pub(super) started_ns: Option<u64>,
    /// The number of its host.
    pub(super) host: u32,
    /// The client as a number; equal names have equal ones.
    pub(super) client: u64,
    pub(super) request: Packed,
    /// As in [`Found`].
    pub(super) notes: Vec<&'static str>,
    pub(super) offers: Offers,
}

impl Kept {
    /// Packs what was found at a host of this number.
    pub(super) fn new(found: Found, host: u32, fields: &mut Fields) -> Self {
        Self {
            position: found.position,
            started_ns: found.started_ns,
            host,
            client: hash(&found.client),
            request: Packed::new(found.request, fields),
            notes: found.notes,
            offers: found.offers,
        }
    }
}

/// A request whose texts lie in one piece.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    offset_ns: u64,
    pub(super) method: Method,
    pub(super) has_body: bool,
    pub(super) expect_status: Option<u16>,
    pub(super) recorded: Recorded,
    /// Path, endpoint, session and body, each behind its length, then the numbers of the header
    /// fields.
    texts: Box<[u8]>,
}

impl Packed {
    fn new(request: Request, fields: &mut Fields) -> Self {
        let mut texts = Vec::new();
        let first = [&request.path, &request.endpoint, &request.session];
        for text in first
            .map(String::as_bytes)
            .into_iter()
            .chain([&*request.body])
        {
            put(&mut texts, text);
        }
        for field in &request.headers {
            put_number(&mut texts, fields.number(field));
        }
        Self {
            offset_ns: request.offset_ns,
            has_body: !request.body.is_empty(),
            method: request.method,
            expect_status: request.expect_status,
            recorded: request.recorded,
            texts: texts.into_boxed_slice(),
        }
    }

    /// The request again.
    pub(super) fn unpack(&self, fields: &Fields) -> Request {
        let mut rest = &*self.texts;
        let [path, endpoint, session, body] = [(); 4].map(|()| take(&mut rest).unwrap_or_default());
        let mut headers: Vec<Header> = Vec::new();
        while let Some(field) = number(&mut rest) {
            headers.push(fields.get(field));
        }
        Request {
            offset_ns: self.offset_ns,
            session: text(session),
            method: self.method.clone(),
            path: text(path),
            headers,
            body: body.to_vec(),
            expect_status: self.expect_status,
            endpoint: text(endpoint),
            recorded: self.recorded,
        }
    }
}

/// The clean requests of an import in order of time, in little memory. As a slice they take much
/// more of it, from the first look on; one by one they do not.
#[derive(Debug, Clone, Default)]
pub struct Clean {
    fields: Fields,
    list: Vec<Packed>,
    all: OnceCell<Vec<Request>>,
}

impl Clean {
    pub(super) fn push(&mut self, request: Request) {
        self.list.push(Packed::new(request, &mut self.fields));
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    /// Each of them, unpacked when it is its turn.
    pub fn one_by_one(&self) -> impl Iterator<Item = Request> {
        self.list.iter().map(|packed| packed.unpack(&self.fields))
    }
}

impl Deref for Clean {
    type Target = [Request];

    fn deref(&self) -> &[Request] {
        self.all.get_or_init(|| self.one_by_one().collect())
    }
}

impl IntoIterator for Clean {
    type Item = Request;
    type IntoIter = std::vec::IntoIter<Request>;

    fn into_iter(self) -> Self::IntoIter {
        self.one_by_one().collect::<Vec<_>>().into_iter()
    }
}

impl<'a> IntoIterator for &'a Clean {
    type Item = &'a Request;
    type IntoIter = std::slice::Iter<'a, Request>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Clean {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count() && self.one_by_one().eq(other.one_by_one())
    }
}

/// Header fields, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    /// By the hash of name and value.
    numbers: HashMap<u64, usize>,
    /// The name behind its length, then the value.
    list: Vec<Box<[u8]>>,
}

impl Fields {
    fn number(&mut self, (name, value): &Header) -> usize {
        let mut packed = Vec::with_capacity(name.len() + value.len() + 2);
        put(&mut packed, name.as_bytes());
        packed.extend_from_slice(value.as_bytes());
        let hash = hash(&packed);
        let known = self.numbers.get(&hash).copied();
        if let Some(known) = known.filter(|known| *self.list[*known] == *packed) {
            return known;
        }
        let next = self.list.len();
        self.list.push(packed.into_boxed_slice());
        self.numbers.insert(hash, next);
        next
    }

    fn get(&self, number: usize) -> Header {
        let mut rest = self.list.get(number).map_or(&[][..], |packed| packed);
        let name = take(&mut rest).unwrap_or_default();
        (text(name), text(rest))
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn hash(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Appends a text behind its length.
fn put(into: &mut Vec<u8>, text: &[u8]) {
    put_number(into, text.len());
    into.extend_from_slice(text);
}

/// Appends a number, seven bits a byte, the lowest first.
fn put_number(into: &mut Vec<u8>, mut number: usize) {
    let low = |number: usize| number.to_le_bytes()[0] & 0x7f;
    while number >= 0x80 {
        into.push(0x80 | low(number));
        number >>= 7;
    }
    into.push(low(number));
}

/// The next number; `None` behind the last.
fn number(rest: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= usize::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

/// The next text; `None` behind the last.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    #[test]
    fn what_was_packed_comes_out_as_it_was() {
        let mut fields = Fields::default();
        for size in [0, 1, 127, 128, 300, 70_000] {
            let text = "é".repeat(size / 2);
            let mut request = parse_request("/a?b=c").unwrap();
            request.path += &text;
            let text_again = text.clone();
            request.endpoint = "/{a}".to_owned();
            request.headers = vec![
                ("a".into(), text.clone()),
                (text, String::new()),
                (String::new(), "b".into()),
                ("a".into(), text_again),
            ];
            request.body = vec![255; size];
            request.expect_status = Some(404);
            (request.offset_ns, request.session) = (8, "s1".to_owned());
            request.recorded.latency_ns = Some(7);
            let found = Found {
                position: 3,
                host: "a".to_owned(),
                started_ns: Some(5),
                client: "ann".to_owned(),
                request: request.clone(),
                notes: vec!["note"],
                offers: Offers::default(),
            };
            let kept = Kept::new(found, 9, &mut fields);
            assert_eq!((kept.position, kept.started_ns, kept.host), (3, Some(5), 9));
            assert_eq!(
                (kept.request.has_body, &kept.notes[..]),
                (size > 0, &["note"][..])
            );
            assert_eq!(kept.request.unpack(&fields), request, "{size}");
        }
        // Three of each size, of which two sizes are the same as texts, and one field is in all.
        assert_eq!(fields.list.len(), 2 * 5 + 1);
    }

    #[test]
    fn clean_requests_are_a_slice_for_those_who_look() {
        let mut clean = Clean::default();
        for path in ["/a", "/b"] {
            clean.push(parse_request(path).unwrap());
        }
        assert!(clean.all.get().is_none());
        let paths: Vec<String> = clean.one_by_one().map(|it| it.path).collect();
        assert_eq!(paths, ["/a", "/b"]);
        assert_eq!((clean.count(), clean[1].path.as_str()), (2, "/b"));
        assert_eq!(clean, clean.clone());
        assert_eq!(
            clean.into_iter().map(|it| it.path).collect::<Vec<_>>(),
            paths
        );
    }
}
