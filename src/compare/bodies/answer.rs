//! One answer taken apart: its status, the headers that say what it is, and its body as a tree of
//! digests; and in what two of them differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use serde_json::Value;

/// More differences between two bodies are not told apart: they differ as wholes.
const DIFFERENCES_MAX: usize = 10_000;
/// What stands in a body for the address of the side that sent it.
const TARGET: &[u8] = b"{target}";

/// Headers whose value says what the answer is, or what may be done with it. Of the others it
/// counts only whether they are there.
const COMPARED: &[&str] = &[
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "location",
    "vary",
    "www-authenticate",
];

/// Headers that differ for reasons of the connection, the moment or the machine, or that follow
/// from the body.
const IGNORED: &[&str] = &[
    "age",
    "alt-svc",
    "connection",
    "content-length",
    "content-md5",
    "date",
    "digest",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "nel",
    "proxy-connection",
    "report-to",
    "server",
    "server-timing",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-cache",
    "x-cache-hits",
    "x-powered-by",
    "x-response-time",
    "x-runtime",
    "x-served-by",
    "x-timer",
];

/// One answer without its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    /// Of each header that counts, a digest of its value; the same for all where it does not.
    headers: BTreeMap<String, u64>,
    body: Node,
}

/// A body, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Leaf(Kind, u64),
    Bytes(usize, u64),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
    /// The digests of its words and signs.
    Text(Vec<u64>),
    /// It was not read, and is like any other.
    Unread,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
    Text,
    Bytes,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "empty",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Text => "text",
            Self::Bytes => "no text",
        }
    }

    /// What it has a number of.
    pub(super) fn parts(self) -> &'static str {
        match self {
            Self::Text => "words and signs",
            Self::Bytes => "bytes",
            _ => "elements",
        }
    }
}

/// A place in an answer. The elements of an array are one place: what holds for one of them
/// holds for its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Status,
    Header(String),
    Body(Vec<Step>),
}

/// One step into a body.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Key(String),
    Element,
    Word(usize),
}

impl Place {
    /// The places around it, itself left out.
    pub(super) fn above(&self) -> Vec<Self> {
        match self {
            Self::Body(steps) => {
                let outer = (0..steps.len()).map(|n| Self::Body(steps[..n].to_vec()));
                outer.collect()
            }
            Self::Status | Self::Header(_) => Vec::new(),
        }
    }
}

/// How a place differs, the left answer being the baseline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    Values,
    Lengths(Kind, usize, usize),
    Kinds(Kind, Kind),
    /// In too many places to tell them apart.
    Whole,
    Missing,
    Added,
    Statuses(u16, u16),
}

impl Difference {
    /// From this rank on, nothing below the place can be told apart.
    pub(super) const MOVES_ALL_BELOW: u8 = 1;

    /// How much it excuses when it is seen within a side.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Values => 0,
            Self::Lengths(..) => 1,
            Self::Kinds(..) | Self::Whole => 2,
            Self::Missing | Self::Added | Self::Statuses(..) => 3,
        }
    }

    /// Whether it is the same difference, sizes apart.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Lengths(..), Self::Lengths(..)) => true,
            _ => self == other,
        }
    }
}

impl Answer {
    /// Takes an answer apart. `body` is absent when it was too large to be read; `authority` is
    /// host and port of the side, which answers may name without differing by it.
    pub fn read(
        status: u16,
        headers: &[(String, Vec<u8>)],
        body: Option<&[u8]>,
        authority: &str,
    ) -> Self {
        let names = headers.iter().map(|(name, _)| name.to_ascii_lowercase());
        let names: BTreeSet<String> = names.filter(|name| counts(name)).collect();
        let values = |name: &str| -> Vec<Vec<u8>> {
            let own = headers
                .iter()
                .filter(|(it, _)| it.eq_ignore_ascii_case(name));
            own.map(|(_, value)| without(value, authority)).collect()
        };
        let value = |name: String| {
            let compared = COMPARED.contains(&name.as_str());
            let digest = if compared { digest(&values(&name)) } else { 0 };
            (name, digest)
        };
        let is_json = values("content-type")
            .iter()
            .any(|it| contains(it, b"json"));
        Self {
            status,
            headers: names.into_iter().map(value).collect(),
            body: body.map_or(Node::Unread, |body| {
                Node::read(&without(body, authority), is_json)
            }),
        }
    }

    /// Where two answers differ, and how. Of answers with different statuses nothing else is
    /// compared.
    pub(super) fn compare(&self, other: &Self) -> BTreeMap<Place, Difference> {
        let mut found = Found::default();
        if self.status != other.status {
            found.add(
                Place::Status,
                Difference::Statuses(self.status, other.status),
            );
            return found.0;
        }
        for (name, difference) in keys(&self.headers, &other.headers) {
            let differs = self.headers.get(name) != other.headers.get(name);
            if let Some(difference) = difference.or(differs.then_some(Difference::Values)) {
                found.add(Place::Header(name.clone()), difference);
            }
        }
        self.body.compare(&other.body, &mut Vec::new(), &mut found);
        if found.0.len() > DIFFERENCES_MAX {
            found.0.retain(|place, _| !matches!(place, Place::Body(_)));
            found.add(Place::Body(Vec::new()), Difference::Whole);
        }
        found.0
    }
}

/// Whether a header is compared at all.
fn counts(name: &str) -> bool {
    let of_request = ["request-id", "trace", "correlation"];
    !IGNORED.contains(&name) && !of_request.iter().any(|part| name.contains(part))
}

/// The keys of both maps, with what is missing or added.
fn keys<'a, T>(
    left: &'a BTreeMap<String, T>,
    right: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a String, Option<Difference>)> {
    let all: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    all.into_iter().map(|name| {
        let difference = match (left.contains_key(name), right.contains_key(name)) {
            (true, false) => Some(Difference::Missing),
            (false, true) => Some(Difference::Added),
            _ => None,
        };
        (name, difference)
    })
}

/// Differences by place, of several at one place the gravest.
#[derive(Default)]
struct Found(BTreeMap<Place, Difference>);

impl Found {
    fn add(&mut self, place: Place, difference: Difference) {
        let known = self.0.entry(place).or_insert(difference);
        if difference.rank() > known.rank() {
            *known = difference;
        }
    }

    fn at(&mut self, path: &[Step], difference: Difference) {
        if self.0.len() <= DIFFERENCES_MAX {
            self.add(Place::Body(path.to_vec()), difference);
        }
    }
}

impl Node {
    fn read(body: &[u8], is_json: bool) -> Self {
        if body.is_empty() {
            return Self::Leaf(Kind::Nothing, 0);
        }
        let begin = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if (is_json || matches!(begin, Some(b'{' | b'[')))
            && let Ok(value) = serde_json::from_slice(body)
        {
            return Self::of(value);
        }
        match std::str::from_utf8(body) {
            Ok(text) if !body.contains(&0) => Self::Text(words(text)),
            _ => Self::Bytes(body.len(), digest(&body)),
        }
    }

    fn of(value: Value) -> Self {
        match value {
            Value::Null => Self::Leaf(Kind::Null, 0),
            Value::Bool(it) => Self::Leaf(Kind::Boolean, digest(&it)),
            Value::Number(it) => Self::Leaf(Kind::Number, digest(&it.to_string())),
            Value::String(it) => Self::Leaf(Kind::String, digest(&it)),
            Value::Array(elements) => Self::Array(elements.into_iter().map(Self::of).collect()),
            Value::Object(fields) => {
                let fields = fields.into_iter().map(|(name, it)| (name, Self::of(it)));
                Self::Object(fields.collect())
            }
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Leaf(kind, _) => *kind,
            Self::Bytes(..) => Kind::Bytes,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
            Self::Text(_) => Kind::Text,
            Self::Unread => Kind::Nothing,
        }
    }

    fn compare(&self, other: &Self, path: &mut Vec<Step>, found: &mut Found) {
        let lengths = |kind, left, right| Difference::Lengths(kind, left, right);
        match (self, other) {
            (Self::Unread, _) | (_, Self::Unread) => {}
            (Self::Object(left), Self::Object(right)) => {
                for (name, difference) in keys(left, right) {
                    path.push(Step::Key(name.clone()));
                    match (difference, left.get(name), right.get(name)) {
                        (Some(difference), ..) => found.at(path, difference),
                        (None, Some(left), Some(right)) => left.compare(right, path, found),
                        (None, ..) => {}
                    }
                    path.pop();
                }
            }
            (Self::Array(left), Self::Array(right)) => {
                if left.len() != right.len() {
                    found.at(path, lengths(Kind::Array, left.len(), right.len()));
                }
                path.push(Step::Element);
                for (left, right) in left.iter().zip(right) {
                    left.compare(right, path, found);
                }
                path.pop();
            }
            (Self::Text(left), Self::Text(right)) if left.len() != right.len() => {
                found.at(path, lengths(Kind::Text, left.len(), right.len()));
            }
            (Self::Text(left), Self::Text(right)) => {
                for (n, (left, right)) in left.iter().zip(right).enumerate() {
                    if left != right {
                        path.push(Step::Word(n));
                        found.at(path, Difference::Values);
                        path.pop();
                    }
                }
            }
            (Self::Bytes(left, _), Self::Bytes(right, _)) if left != right => {
                found.at(path, lengths(Kind::Bytes, *left, *right));
            }
            _ if self.kind() != other.kind() => {
                found.at(path, Difference::Kinds(self.kind(), other.kind()));
            }
            _ if self != other => found.at(path, Difference::Values),
            _ => {}
        }
    }
}

/// Runs of letters and digits, and each sign between them, as digests. Blanks do not count.
fn words(text: &str) -> Vec<u64> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric())
        } else {
            Some(first.len_utf8())
        };
        let (word, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if !first.is_whitespace() {
            words.push(digest(&word));
        }
        rest = behind;
    }
    words
}

/// The same in each run: the hasher has no key of its own.
fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len())
        .any(|window| window.eq_ignore_ascii_case(part))
}

/// A text in which the address of the side itself is replaced, where it stands by itself.
fn without(text: &[u8], authority: &str) -> Vec<u8> {
    let authority = authority.as_bytes();
    let is_part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(byte))
    };
    let mut replaced = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let end = at + authority.len();
        let is_alone = !is_part(at.checked_sub(1).map(|it| &text[it])) && !is_part(text.get(end));
        if !authority.is_empty() && text[at..].starts_with(authority) && is_alone {
            replaced.extend_from_slice(TARGET);
            at = end;
        } else {
            replaced.push(*byte);
            at += 1;
        }
    }
    replaced
}
