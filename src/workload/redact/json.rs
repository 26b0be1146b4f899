//! Redaction of JSON in place: only the values that must go are rewritten, every other byte,
//! the order of keys and the spelling of numbers stay.
//!
//! The walk follows tokens, not a grammar, so that broken, cut-off and line-wise JSON is
//! redacted too, and it keeps its own stack, so that no depth of nesting can overflow.

use std::ops::Range;

use serde::de::IgnoredAny;

use super::{Kind, Redactor, known, names, rules::Fate};

/// Keys under which the name of a sibling stands, and under which that sibling's value.
const NAMING: [&str; 6] = ["name", "field", "id", "key", "param", "header"];
const VALUES: [&str; 4] = ["value", "content", "val", "default"];

struct Frame {
    is_object: bool,
    /// What becomes of all leaves below.
    fate: Option<Fate>,
    /// The key that it stands under.
    name: String,
    /// A sibling named the field, a secret, whose value comes under `value`, or as the second of a
    /// pair.
    named: Option<String>,
    /// What stands under `value` and may be named yet.
    value: Option<Value>,
    /// A list in a list.
    may_be_pair: bool,
    /// Commas so far.
    commas: usize,
}

struct Value {
    text: String,
    is_number: bool,
    /// Where it is written, in this piece of the document.
    piece: u64,
    place: Range<usize>,
}

impl Frame {
    /// The name of the value that comes now under the key, where a sibling has told it.
    fn told(&self, key: &str) -> Option<&str> {
        let is_here = if self.is_object {
            is_one_of(&VALUES, key)
        } else {
            self.commas == 1
        };
        self.named.as_deref().filter(|_| is_here)
    }
}

fn is_one_of(keys: &[&str], key: &str) -> bool {
    keys.iter().any(|own| key.eq_ignore_ascii_case(own))
}

/// Where in a document the walk is: a document may come in pieces that end between its tokens.
#[derive(Default)]
pub(in crate::workload) struct JsonPlace {
    stack: Vec<Frame>,
    key: String,
    expects_key: bool,
    /// Pieces so far.
    piece: u64,
}

impl JsonPlace {
    /// The name of the value that comes now: its key, or what the list that it is in is called.
    fn name(&self) -> &str {
        let top = self.stack.last();
        match (top.and_then(|top| top.told(&self.key)), top) {
            (Some(told), _) => told,
            (None, Some(top)) if self.key.is_empty() => &top.name,
            _ => &self.key,
        }
    }
}

/// A document nested more deeply is not one, and its frames are not kept.
const DEEPEST_FRAME: usize = 10_000;

impl Redactor {
    /// The text with secret values replaced.
    pub(super) fn json(&mut self, text: &str, depth: u8) -> String {
        let shown = self.json_piece(&mut JsonPlace::default(), text, depth);
        if is_json(text) {
            return shown;
        }
        // Between the texts of a broken document, or of something like one, anything may stand.
        self.free_text(&shown).unwrap_or(shown)
    }

    /// A piece of a document with secret values replaced.
    pub(in crate::workload) fn json_piece(
        &mut self,
        place: &mut JsonPlace,
        text: &str,
        depth: u8,
    ) -> String {
        let mut walk = Walk {
            redactor: self,
            depth,
            place,
            shown: String::with_capacity(text.len()),
            patches: Vec::new(),
        };
        walk.place.piece += 1;
        walk.run(text);
        walk.patched()
    }
}

/// Whether the text is JSON, in one document or in lines.
fn is_json(text: &str) -> bool {
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    documents.all(|document| document.is_ok())
}

struct Walk<'a> {
    redactor: &'a mut Redactor,
    depth: u8,
    place: &'a mut JsonPlace,
    shown: String,
    /// What takes the place of what was written before it was named.
    patches: Vec<(Range<usize>, String)>,
}

impl Walk<'_> {
    fn run(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let end = match bytes[at] {
                b'"' => {
                    let end = string_end(bytes, at);
                    // Broken or cut before, a document still shows its keys.
                    let blanks = bytes[end..].iter().take(64);
                    let blanks = blanks.take_while(|b| b.is_ascii_whitespace()).count();
                    let is_key = bytes.get(end + blanks) == Some(&b':');
                    self.string(&text[at..end], is_key);
                    end
                }
                b'-' | b'0'..=b'9' => {
                    let end = number_end(bytes, at);
                    self.number(&text[at..end]);
                    end
                }
                byte => {
                    self.structure(byte);
                    let end = plain_end(bytes, at + 1);
                    self.shown.push_str(&text[at..end]);
                    end
                }
            };
            at = end;
        }
    }

    fn structure(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                let fate = match self.fate() {
                    // An exemption by name says nothing of what is inside an object.
                    Some(Fate::Kept) if byte == b'{' => None,
                    fate => fate,
                };
                let place = &mut *self.place;
                let parent = place.stack.last();
                let may_be_pair = byte == b'[' && parent.is_some_and(|it| !it.is_object);
                if place.stack.len() < DEEPEST_FRAME {
                    place.stack.push(Frame {
                        is_object: byte == b'{',
                        fate,
                        name: std::mem::take(&mut place.key),
                        named: None,
                        value: None,
                        may_be_pair,
                        commas: 0,
                    });
                }
                place.key.clear();
                place.expects_key = byte == b'{';
            }
            b'}' | b']' => {
                self.place.stack.pop();
                self.place.key.clear();
                self.place.expects_key = false;
            }
            b',' => {
                let top = self.place.stack.last_mut();
                self.place.expects_key = top.is_some_and(|top| {
                    top.commas += 1;
                    top.is_object
                });
            }
            b':' => self.place.expects_key = false,
            _ => {}
        }
    }

    /// What becomes of the value that comes now.
    fn fate(&self) -> Option<Fate> {
        let key = &self.place.key;
        let by_frame = self.place.stack.last().and_then(|top| {
            let is_told = top.told(key).is_some();
            if is_told {
                Some(Fate::Secret)
            } else {
                top.fate
            }
        });
        match by_frame {
            Some(Fate::Secret) => by_frame,
            _ => self.redactor.fate(key).or(by_frame),
        }
    }

    fn string(&mut self, raw: &str, is_key: bool) {
        let Ok(text) = serde_json::from_str::<String>(raw) else {
            return self.unreadable(raw);
        };
        let is_key = is_key || self.place.expects_key;
        let replaced = if is_key {
            self.place.key.clone_from(&text);
            self.redactor.note_name(&text);
            self.redactor.unnamed(&text, self.depth)
        } else {
            self.value(&text)
        };
        let start = self.shown.len();
        match replaced {
            Some(value) => {
                let quoted = serde_json::to_string(&value).expect("text always serialises");
                self.shown.push_str(&quoted);
            }
            None => self.shown.push_str(raw),
        }
        if !is_key {
            self.may_be_named(text, false, start);
        }
    }

    /// What takes the place of a text that is no key.
    fn value(&mut self, text: &str) -> Option<String> {
        let fate = self.fate().filter(|_| !text.is_empty());
        let is_name = self.names_another(text) && names::is_name_only(text);
        self.redactor.note_name(self.place.name());
        match fate {
            Some(Fate::Kept) => None,
            // What is called a key names a secret and is none.
            Some(Fate::Secret) if is_name => None,
            Some(Fate::Secret) => self
                .redactor
                .secret(Kind::Field, text)
                .or_else(|| self.redactor.unnamed(text, self.depth)),
            None => self.redactor.unnamed(text, self.depth),
        }
    }

    /// A value that was written and may be told to be a secret by a sibling that comes.
    fn may_be_named(&mut self, text: String, is_number: bool, start: usize) {
        let piece = self.place.piece;
        if let Some(top) = self.place.stack.last_mut()
            && top.is_object
            && top.named.is_none()
            && is_one_of(&VALUES, &self.place.key)
        {
            top.value = Some(Value {
                text,
                is_number,
                piece,
                place: start..self.shown.len(),
            });
        }
    }

    /// The whole text, with what was named too late in its place.
    fn patched(mut self) -> String {
        if self.patches.is_empty() {
            return self.shown;
        }
        self.patches.sort_by_key(|(place, _)| place.start);
        let (mut text, mut done) = (String::with_capacity(self.shown.len()), 0);
        for (place, patch) in &self.patches {
            text.push_str(&self.shown[done..place.start]);
            text.push_str(patch);
            done = place.end;
        }
        text + &self.shown[done..]
    }

    /// A lone surrogate or a cut-off text: what cannot be read cannot be judged.
    fn unreadable(&mut self, raw: &str) {
        let shown = self.redactor.secret(Kind::Field, raw);
        let shown = shown.as_deref().unwrap_or(raw);
        let letters = shown
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { 'x' });
        self.shown.push('"');
        self.shown.extend(letters);
        self.shown.push('"');
    }

    /// `{"name":"password","value":"…"}`, `[["password","…"]]`: the secret's name is itself a
    /// value. Whether this text is one.
    fn names_another(&mut self, text: &str) -> bool {
        let Some(top) = self.place.stack.last_mut() else {
            return false;
        };
        let is_naming = if top.is_object {
            is_one_of(&NAMING, &self.place.key)
        } else {
            top.may_be_pair && top.commas == 0
        };
        if !is_naming {
            return false;
        }
        top.named = self.redactor.is_secret_name(text).then(|| text.to_owned());
        let is_secret = top.named.is_some();
        if let Some(value) = top.value.take().filter(|_| is_secret) {
            self.patch(text, &value);
        }
        is_secret
    }

    /// Replaces a value that stood before its name.
    fn patch(&mut self, name: &str, value: &Value) {
        self.redactor.note_name(name);
        let patch = if value.is_number {
            self.redactor.secret_number(&value.text)
        } else {
            let secret = self.redactor.secret(Kind::Field, &value.text);
            secret.map(|it| serde_json::to_string(&it).expect("text always serialises"))
        };
        if let Some(patch) = patch
            && value.piece == self.place.piece
        {
            self.patches.push((value.place.clone(), patch));
        }
    }

    fn number(&mut self, text: &str) {
        let is_card = known::is_card(text.as_bytes());
        let is_secret = match self.fate() {
            Some(Fate::Kept) => false,
            fate => is_card || fate == Some(Fate::Secret),
        };
        self.redactor.note_name(self.place.name());
        let shown = is_secret
            .then(|| self.redactor.secret_number(text))
            .flatten();
        let start = self.shown.len();
        self.shown.push_str(shown.as_deref().unwrap_or(text));
        if !is_secret {
            self.may_be_named(text.to_owned(), true, start);
        }
    }
}

/// One past the closing quote, or the end of the text.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn number_end(bytes: &[u8], start: usize) -> usize {
    let more = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
    start + bytes[start..].iter().take_while(|b| more(b)).count()
}

/// One past what is neither structure, text nor number.
fn plain_end(bytes: &[u8], start: usize) -> usize {
    let plain = |b: &u8| !b.is_ascii_digit() && !b"\"-{}[],:".contains(b);
    start + bytes[start..].iter().take_while(|b| plain(b)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::with_key([1; 32]).json(text, 0)
    }

    #[test]
    fn only_secrets_change() {
        for text in [
            r#"{"b": 1.0, "a":[1e5, -0, true,null], "ü":"\u00e9", "n":12345678901234567890}"#,
            "[]",
            "",
            "{\"a\":1}\n{\"a\":2}\n",
        ] {
            assert_eq!(redacted(text), text);
        }
        for text in [
            r#"{"password":"hunter2x"}"#,
            r#"{"p\u0061ssword":"hunter2x"}"#,
            r#"{"user":{"PassWord" : "hunter2x"}}"#,
            r#"{"tokens":["hunter2x",["hunter2x"],{"a":"hunter2x"}]}"#,
            r#"{"a":"{\"password\":\"hunter2x\"}"}"#,
            r#"{"name":"password","value":"hunter2x"}"#,
            r#"{"key":"password","value":"hunter2x"}"#,
            r#"{"name":"password","content":"hunter2x"}"#,
            r#"{"value":"hunter2x","b":{"a":1},"name":"password"}"#,
            r#"[["password","hunter2x"]]"#,
            r#"{"headers":[["Accept","*/*"],["X-Api-Key","hunter2x"]]}"#,
            r#"{"a":"x?password=hunter2x&b=c"}"#,
            r#"{"password":"hunter2x"#,
            r#"}}}]{"password":"hunter2x""#,
            "{\"a\":1,\n{\"secret\":\"hunter2x\"}",
        ] {
            let shown = redacted(text);
            assert!(!shown.contains("hunter2x"), "{text}: {shown}");
        }
        for text in [
            r#"{"key":"password","value":"#,
            r#"{"value":"hunter2x","key":"user_password""#,
            r#"[["password","#,
        ] {
            let shown = redacted(&format!("{text}\"hunter2x\""));
            let names = shown.contains("password") && !shown.contains("hunter2x");
            assert!(names, "{text}: {shown}");
        }
        for text in [
            r#"{"fields":["password","name"]}"#,
            r#"{"name":"password","label":"Password"}"#,
        ] {
            assert_eq!(redacted(text), text);
        }
        let shown = redacted(r#"{"value": 1234, "name": "pin"}"#);
        assert!(
            !shown.contains("1234") && shown.ends_with(r#", "name": "pin"}"#),
            "{shown}"
        );
        let shown = redacted(r#"{"pin": 1234, "x": 5, "codes": [{"code": -0.50}]}"#);
        assert!(
            shown.ends_with("}]}") && shown.contains("\"x\": 5"),
            "{shown}"
        );
        assert!(!shown.contains("1234"), "{shown}");
    }

    proptest! {
        #[test]
        fn json_stays_json_and_nothing_panics(
            text in any::<String>(),
            secret in "[a-z]{12}",
            key in "[a-z\"\\\\é]{0,6}",
        ) {
            redacted(&text);
            let value = serde_json::json!({ key: [text], "token": { "x": secret, "n": 17.5 } });
            let shown = redacted(&value.to_string());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok(), "{}", shown);
            prop_assert!(!shown.contains(&secret));
        }
    }
}
