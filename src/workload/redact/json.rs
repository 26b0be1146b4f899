//! Redaction of JSON in place: only the values that must go are rewritten, every other byte,
//! the order of keys and the spelling of numbers stay.
//!
//! The walk follows tokens, not a grammar, so that broken, cut-off and line-wise JSON is
//! redacted too, and it keeps its own stack, so that no depth of nesting can overflow.

use serde::de::IgnoredAny;

use super::{Kind, Redactor, known, rules::Fate};

struct Frame {
    is_object: bool,
    /// What becomes of all leaves below.
    fate: Option<Fate>,
    /// The key that it stands under.
    name: String,
    /// A sibling named the field, a secret, whose value comes under `value`.
    named: Option<String>,
}

/// Where in a document the walk is: a document may come in pieces that end between its tokens.
#[derive(Default)]
pub(in crate::workload) struct JsonPlace {
    stack: Vec<Frame>,
    key: String,
    expects_key: bool,
}

impl JsonPlace {
    /// The name of the value that comes now: its key, or what the list that it is in is called.
    fn name(&self) -> &str {
        match self.stack.last() {
            Some(Frame {
                named: Some(name), ..
            }) if self.key.eq_ignore_ascii_case("value") => name,
            Some(top) if self.key.is_empty() => &top.name,
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
        };
        walk.run(text);
        walk.shown
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
                if place.stack.len() < DEEPEST_FRAME {
                    place.stack.push(Frame {
                        is_object: byte == b'{',
                        fate,
                        name: std::mem::take(&mut place.key),
                        named: None,
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
                let top = self.place.stack.last();
                self.place.expects_key = top.is_some_and(|top| top.is_object);
            }
            b':' => self.place.expects_key = false,
            _ => {}
        }
    }

    /// What becomes of the value that comes now.
    fn fate(&self) -> Option<Fate> {
        let key = &self.place.key;
        let by_frame = self.place.stack.last().and_then(|top| {
            let named = top.named.is_some() && key.eq_ignore_ascii_case("value");
            if named { Some(Fate::Secret) } else { top.fate }
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
        let replaced = if is_key || self.place.expects_key {
            self.place.key.clone_from(&text);
            self.redactor.note_name(&text);
            self.redactor.unnamed(&text, self.depth)
        } else {
            self.redactor.note_name(self.place.name());
            match self.fate().filter(|_| !text.is_empty()) {
                Some(Fate::Kept) => None,
                Some(Fate::Secret) => self
                    .redactor
                    .secret(Kind::Field, &text)
                    .or_else(|| self.redactor.unnamed(&text, self.depth)),
                None => {
                    self.note_name(&text);
                    self.redactor.unnamed(&text, self.depth)
                }
            }
        };
        match replaced {
            Some(value) => {
                let quoted = serde_json::to_string(&value).expect("text always serialises");
                self.shown.push_str(&quoted);
            }
            None => self.shown.push_str(raw),
        }
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

    /// `{"name":"password","value":"…"}`: the secret's name is itself a value.
    fn note_name(&mut self, text: &str) {
        let key = &self.place.key;
        if ["name", "field", "id"]
            .iter()
            .any(|own| key.eq_ignore_ascii_case(own))
            && let Some(top) = self.place.stack.last_mut()
        {
            top.named = self.redactor.is_secret_name(text).then(|| text.to_owned());
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
        self.shown.push_str(shown.as_deref().unwrap_or(text));
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
            r#"{"a":"x?password=hunter2x&b=c"}"#,
            r#"{"password":"hunter2x"#,
            r#"}}}]{"password":"hunter2x""#,
            "{\"a\":1,\n{\"secret\":\"hunter2x\"}",
        ] {
            let shown = redacted(text);
            assert!(!shown.contains("hunter2x"), "{text}: {shown}");
        }
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
