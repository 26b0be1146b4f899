//! A YAML document as the JSON value that it stands for.
//!
//! Bounded in depth and in size, because a few lines of anchors can stand for more than any
//! memory holds. Scalars are those of YAML's core schema; keys are always texts, so that the
//! status `200:` is found as `"200"`.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// How deep collections may lie in each other.
const DEEPEST: usize = 100;
/// How many values a document may hold, with all that its aliases stand for.
const MOST: usize = 1 << 20;

/// Reads the first document of a text.
///
/// # Errors
/// Where and why it cannot be read.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| {
            let at = error.marker();
            format!("it breaks at line {} column {}", at.line(), at.col() + 1)
        })?;
        if let Event::DocumentEnd = event {
            break;
        }
        builder.take(event)?;
    }
    Ok(builder.root.unwrap_or(Value::Null))
}

/// A collection that is still open, with the anchor that names it.
enum Open {
    List(Vec<Value>, usize),
    Object {
        map: Map<String, Value>,
        key: Option<String>,
        anchor: usize,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Value>,
    anchors: HashMap<usize, Value>,
    count: usize,
}

impl Builder {
    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if is_plain && !self.expects_key() {
                    plain(&text)
                } else {
                    Value::String(text.into_owned())
                };
                self.close(value, anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Open::List(Vec::new(), anchor)),
            Event::MappingStart(anchor, _) => self.begin(Open::Object {
                map: Map::new(),
                key: None,
                anchor,
            }),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(list, anchor)) => self.close(Value::Array(list), anchor),
                Some(Open::Object { map, anchor, .. }) => self.close(Value::Object(map), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().unwrap_or(Value::Null);
                self.count += size(&value);
                self.close(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Object { key: None, .. }))
    }

    fn begin(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST}"));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a finished value in its place.
    fn close(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.count += 1;
        if anchor > 0 {
            self.count += size(&value);
            self.anchors.insert(anchor, value.clone());
        }
        if self.count > MOST {
            return Err(format!("it holds more than {MOST} values"));
        }
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(list, _)) => list.push(value),
            Some(Open::Object { map, key, .. }) => match key.take() {
                None => *key = Some(as_key(value)),
                // A merge gives what the object does not say itself.
                Some(name) if name == "<<" => merge(map, value),
                Some(name) => {
                    map.insert(name, value);
                }
            },
        }
        Ok(())
    }
}

fn merge(map: &mut Map<String, Value>, value: Value) {
    let objects = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    for object in objects {
        if let Value::Object(members) = object {
            for (name, value) in members {
                map.entry(name).or_insert(value);
            }
        }
    }
}

/// How many values lie in one, itself not counted.
fn size(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(|it| 1 + size(it)).sum(),
        Value::Object(map) => map.values().map(|it| 1 + size(it)).sum(),
        _ => 0,
    }
}

fn as_key(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A plain scalar by the core schema.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix: &str, radix| {
        let digits = text.strip_prefix(prefix)?;
        i64::from_str_radix(digits, radix).ok()
    };
    let whole = text.parse::<i64>().ok();
    if let Some(whole) = whole.or(radix("0x", 16)).or(radix("0o", 8)) {
        return Value::from(whole);
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text.contains(|c: char| c.is_ascii_digit());
    let float = text.parse::<f64>().ok().filter(|_| is_number);
    match float.and_then(Number::from_f64) {
        Some(number) => Value::Number(number),
        None => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_read_as_the_json_that_it_stands_for() {
        let text = "\
# a comment
base: &base {type: object, x: 0x10, 'y': [1, -2.5e1, .inf, ~, \"~\"]}
responses:
  200: ok
  '404': |
    not
    found
list:
- true
- 'true'
- !!str 12
- 2026-01-01
- 1.2.3
- >-
  one
  line
copy: *base
merged:
  <<: *base
  type: string
empty:
---
second: document
";
        let base = json!({"type": "object", "x": 16, "y": [1, -25.0, ".inf", null, "~"]});
        let expected = json!({
            "base": base,
            "responses": {"200": "ok", "404": "not\nfound\n"},
            "list": [true, "true", "12", "2026-01-01", "1.2.3", "one line"],
            "copy": base,
            "merged": {"type": "string", "x": 16, "y": base["y"]},
            "empty": null,
        });
        assert_eq!(parse(text).unwrap(), expected);
        assert_eq!(parse("").unwrap(), Value::Null);
        assert_eq!(parse("{\"a\": [1]}").unwrap(), json!({"a": [1]}));
    }

    #[test]
    fn what_is_too_deep_or_too_much_or_no_yaml_is_refused() {
        let laughs = (1..9).fold(
            "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned(),
            |text, n| {
                let alias = format!("*a{}", n - 1);
                let eight = [alias.as_str(); 8].join(", ");
                format!("{text}a{n}: &a{n} [{eight}]\n")
            },
        );
        let deep = "- ".repeat(200);
        for (text, said) in [
            (laughs.as_str(), "more than"),
            (&deep, "deeper than"),
            (&"[".repeat(100_000), "breaks at line 1"),
            ("a: [1\nb: 2", "breaks at line"),
            ("\t- x: \"", "breaks at line"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
