//! Redaction of JSON in place: only the values that must go are rewritten, every other byte,
//! the order of keys and the spelling of numbers stay.
//!
//! The walk follows tokens, not a grammar, so that broken, cut-off and line-wise JSON is
//! redacted too, and it keeps its own stack, so that no depth of nesting can overflow.

use super::{Kind, Redactor, names};

struct Frame {
    is_object: bool,
    /// All leaves below are secret.
    is_secret: bool,
    /// A sibling named the field whose value comes under `value`.
    names_secret: bool,
}

impl Redactor {
    /// The text with secret values replaced.
    pub(super) fn json(&mut self, text: &str, depth: u8) -> String {
        let mut walk = Walk {
            redactor: self,
            depth,
            stack: Vec::new(),
            key: String::new(),
            expects_key: false,
            shown: String::with_capacity(text.len()),
        };
        walk.run(text);
        walk.shown
    }
}

struct Walk<'a> {
    redactor: &'a mut Redactor,
    depth: u8,
    stack: Vec<Frame>,
    key: String,
    expects_key: bool,
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
                    self.string(&text[at..end]);
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
                let is_secret = self.is_secret();
                self.stack.push(Frame {
                    is_object: byte == b'{',
                    is_secret,
                    names_secret: false,
                });
                self.key.clear();
                self.expects_key = byte == b'{';
            }
            b'}' | b']' => {
                self.stack.pop();
                self.key.clear();
                self.expects_key = false;
            }
            b',' => self.expects_key = self.stack.last().is_some_and(|top| top.is_object),
            b':' => self.expects_key = false,
            // A new line of line-wise JSON begins anew even after a cut line.
            _ => {}
        }
    }

    fn is_secret(&self) -> bool {
        let by_frame = self.stack.last().is_some_and(|top| {
            top.is_secret || (top.names_secret && self.key.eq_ignore_ascii_case("value"))
        });
        by_frame || names::is_sensitive(&self.key)
    }

    fn string(&mut self, raw: &str) {
        let Ok(text) = serde_json::from_str::<String>(raw) else {
            // A lone surrogate or a cut-off text: what cannot be read cannot be judged.
            let shown = self.redactor.secret(Kind::Field, raw);
            let letters = shown
                .chars()
                .map(|c| if c.is_alphanumeric() { c } else { 'x' });
            self.shown.push('"');
            self.shown.extend(letters);
            self.shown.push('"');
            return;
        };
        let replaced = if self.expects_key {
            self.key.clone_from(&text);
            self.redactor.unnamed(&text, self.depth)
        } else if self.is_secret() && !text.is_empty() {
            Some(self.redactor.secret(Kind::Field, &text))
        } else {
            self.note_name(&text);
            self.redactor.unnamed(&text, self.depth)
        };
        match replaced {
            Some(value) => {
                let quoted = serde_json::to_string(&value).expect("text always serialises");
                self.shown.push_str(&quoted);
            }
            None => self.shown.push_str(raw),
        }
    }

    /// `{"name":"password","value":"…"}`: the secret's name is itself a value.
    fn note_name(&mut self, text: &str) {
        if ["name", "field", "id"]
            .iter()
            .any(|key| self.key.eq_ignore_ascii_case(key))
            && let Some(top) = self.stack.last_mut()
        {
            top.names_secret = names::is_sensitive(text);
        }
    }

    fn number(&mut self, text: &str) {
        if self.is_secret() {
            let shown = self.redactor.secret_number(text);
            self.shown.push_str(&shown);
        } else {
            self.shown.push_str(text);
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
