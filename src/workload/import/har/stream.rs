//! Streaming through a HAR file: `log.entries` one at a time, whatever stands around them.
//!
//! Of each entry only the needed members are kept, as raw JSON, so that a bad value spoils its
//! entry and not the file; the contents of answers are looked at in passing, or passed over.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt,
    io::{BufReader, Read},
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{
    clients::Source,
    guard::{Guard, Kept},
};
use crate::workload::import::{gather::Rejected, unique::Unique};

/// One entry as found: raw JSON by name; names of the answer are prefixed by `response.`.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Whether the entry is an object at all.
    pub(super) is_object: bool,
    /// Whether a member that is kept was there twice.
    pub(super) is_doubled: bool,
    /// What it was answered, as far as a later request may carry values of it.
    pub(super) content: Content,
    members: BTreeMap<String, Box<RawValue>>,
}

/// Members of an entry that are kept.
const MEMBERS: &[&str] = &[
    "request",
    "startedDateTime",
    "time",
    "pageref",
    "connection",
    "_fromCache",
    "_fetchType",
    "_resourceType",
    "_wasFulfilled",
    "_error",
];
/// Members of an answer that are kept.
const ANSWER: &[&str] = &[
    "status",
    "_transferSize",
    "bodySize",
    "_error",
    "_failureText",
    "headers",
];

impl Entry {
    /// The length of the raw member in bytes.
    pub(super) fn length(&self, name: &str) -> usize {
        self.members.get(name).map_or(0, |raw| raw.get().len())
    }

    /// The member, `Null` when it is absent.
    ///
    /// # Errors
    /// When the value is out of the range of JSON readers, such as `1e999` or nested too deeply.
    pub(super) fn value(&self, name: &str) -> Result<Value, serde_json::Error> {
        match self.members.get(name) {
            Some(raw) => serde_json::from_str(raw.get()),
            None => Ok(Value::Null),
        }
    }

    /// The request, in which no key is there twice.
    pub(super) fn request(&self) -> Result<Value, Rejected> {
        const DOUBLED: Rejected = Rejected::Malformed("a key of its request is there twice");
        if self.is_doubled {
            return Err(DOUBLED);
        }
        let raw = self.members.get("request").map_or("null", |raw| raw.get());
        match serde_json::from_str(raw) {
            Ok(Unique(request)) => Ok(request),
            Err(error) if error.is_data() => Err(DOUBLED),
            Err(_) => Err(Rejected::Malformed("its request cannot be read")),
        }
    }

    /// The member as a text; `None` when it is anything else.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.value(name) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether the member is there and says something.
    pub(super) fn has(&self, name: &str) -> bool {
        !matches!(self.value(name), Ok(Value::Null | Value::Bool(false)))
    }
}

/// How a file ended.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Whether there was a `log.entries` list.
    pub(super) has_entries: bool,
    /// Whether something followed the JSON document.
    pub(super) has_more: bool,
    /// Who wrote the file.
    pub(super) source: Source,
}

/// Passes each entry to `each`, in the order of the file.
pub(super) fn entries(
    reader: impl Read,
    each: &mut dyn FnMut(Entry),
) -> Result<Ending, serde_json::Error> {
    let kept: Kept = Rc::new(Cell::new(None));
    let guard = Guard::new(reader, Rc::clone(&kept));
    let reader = BufReader::with_capacity(64 << 10, guard);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let mut ending = Ending::default();
    let at = Place::Root;
    Walk {
        at,
        each,
        ending: &mut ending,
        kept: &kept,
    }
    .deserialize(&mut json)?;
    ending.has_more = json.end().is_err();
    Ok(ending)
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Log,
    Pages,
    Entries,
}

/// Descends to `log.entries` and ignores all beside the way.
struct Walk<'a> {
    at: Place,
    each: &'a mut dyn FnMut(Entry),
    ending: &'a mut Ending,
    kept: &'a Kept,
}

/// Values of other kinds than expected are passed over instead of refused.
macro_rules! pass_over {
    ($value:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("any JSON")
        }
        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    pass_over!(());

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let at = match (self.at, key.as_str()) {
                (Place::Root, "log") => Place::Log,
                (Place::Log, "entries") => Place::Entries,
                (Place::Log, "pages") => Place::Pages,
                (Place::Log, "creator" | "browser") => {
                    self.kept.set(Some(0));
                    let raw: Box<RawValue> = map.next_value()?;
                    self.kept.set(None);
                    let name = name_in(&raw);
                    match key.as_str() {
                        "browser" => self.ending.source.has_browser = !name.is_empty(),
                        _ => self.ending.source.creator = name,
                    }
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Walk {
                at,
                each: &mut *self.each,
                ending: &mut *self.ending,
                kept: self.kept,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.at != Place::Entries {
            while seq.next_element::<IgnoredAny>()?.is_some() {
                self.ending.source.has_pages |= self.at == Place::Pages;
            }
            return Ok(());
        }
        self.ending.has_entries = true;
        let one = OneEntry {
            is_answer: false,
            kept: self.kept,
        };
        while let Some(entry) = seq.next_element_seed(one)? {
            (self.each)(entry);
        }
        Ok(())
    }
}

/// The name of a program, in lower case; empty where there is none.
fn name_in(raw: &RawValue) -> String {
    let program: Value = serde_json::from_str(raw.get()).unwrap_or_default();
    program["name"].as_str().unwrap_or_default().to_lowercase()
}

/// Reads an entry, or the answer inside one.
#[derive(Clone, Copy)]
struct OneEntry<'a> {
    is_answer: bool,
    kept: &'a Kept,
}

impl<'de> DeserializeSeed<'de> for OneEntry<'_> {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Entry, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OneEntry<'_> {
    type Value = Entry;

    pass_over!(Entry::default());

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Entry, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry {
            is_object: true,
            ..Entry::default()
        };
        let kept = if self.is_answer { ANSWER } else { MEMBERS };
        while let Some(key) = map.next_key::<String>()? {
            if kept.contains(&key.as_str()) {
                self.kept.set(Some(0));
                let before = entry.members.insert(key, map.next_value()?);
                entry.is_doubled |= before.is_some();
                self.kept.set(None);
            } else if key == "content" && self.is_answer {
                entry.content = map.next_value_seed(Content::default())?;
            } else if key == "response" && !self.is_answer {
                let answer = map.next_value_seed(OneEntry {
                    is_answer: true,
                    ..self
                })?;
                entry.content = answer.content;
                let members = answer.members.into_iter();
                entry
                    .members
                    .extend(members.map(|(name, raw)| (format!("response.{name}"), raw)));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(entry)
    }
}

/// The text of an answer, where it is short enough and of a kind that forms and ids are in; never
/// stored.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The media type.
    pub(super) kind: String,
    /// The text, decoded.
    pub(super) text: String,
}

/// Longer contents are passed over, in bytes.
const CONTENT_MAX: u64 = 1 << 20;

impl<'de> DeserializeSeed<'de> for Content {
    type Value = Self;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Content {
    type Value = Self;

    pass_over!(Self::default());

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        let (mut is_short, mut is_base64) = (true, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "size" => {
                    let size: Value = map.next_value()?;
                    is_short = size.as_u64().is_none_or(|size| size <= CONTENT_MAX);
                }
                "mimeType" => {
                    let kind: Value = map.next_value()?;
                    self.kind = kind.as_str().unwrap_or_default().to_ascii_lowercase();
                }
                "encoding" => {
                    let coding: Value = map.next_value()?;
                    is_base64 = coding.as_str() == Some("base64");
                }
                // The kind comes first in every export; of an unknown one nothing is kept.
                "text" if is_short && ["json", "html"].iter().any(|it| self.kind.contains(it)) => {
                    self.text = map.next_value_seed(Text)?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if is_base64 {
            let bytes = STANDARD.decode(&self.text).unwrap_or_default();
            self.text = String::from_utf8(bytes).unwrap_or_default();
        }
        Ok(self)
    }
}

/// A text that is not too long.
struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        let is_short = text.len() as u64 <= CONTENT_MAX;
        Ok(if is_short {
            text.to_owned()
        } else {
            String::new()
        })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_unit<E: Error>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<String, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(String::new())
    }
}
