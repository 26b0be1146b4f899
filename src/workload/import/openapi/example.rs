//! A value that fits a schema: its example or default where there is one, else the plainest that
//! its type allows.
//!
//! References are followed inside the document only, and only so deep: schemas may refer to
//! themselves.

use serde_json::{Map, Value};

/// How deep a made value may be.
const DEEPEST: usize = 12;
/// How many references may lead to each other.
const MOST_STEPS: usize = 16;

/// A document whose references can be followed.
pub(super) struct Document(pub(super) Value);

impl Document {
    /// The value, or what it refers to; `None` where that is in no place of this document.
    pub(super) fn resolve<'a>(&'a self, value: &'a Value) -> Option<&'a Value> {
        let mut value = value;
        for _ in 0..MOST_STEPS {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Some(value);
            };
            let pointer = reference
                .strip_prefix('#')?
                .replace("%7B", "{")
                .replace("%7D", "}");
            value = self.0.pointer(&pointer)?;
        }
        None
    }

    /// A value for a schema; `None` where nobody can tell one.
    pub(super) fn example(&self, schema: &Value) -> Option<Value> {
        // Each level may hold many members; the whole has to stay small.
        let mut left = 2_000;
        self.make(schema, 0, &mut left)
    }

    fn make(&self, schema: &Value, depth: usize, left: &mut usize) -> Option<Value> {
        let schema = self.resolve(schema)?;
        *left = left.checked_sub(1)?;
        if let Some(value) = stated(schema) {
            return Some(value.clone());
        }
        if depth >= DEEPEST {
            return None;
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.merged(schema, parts, depth, left);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let mut made = choices
                    .iter()
                    .filter_map(|it| self.make(it, depth + 1, left));
                return made.next();
            }
        }
        match kind(schema) {
            "object" => Some(Value::Object(self.object(schema, depth, left))),
            "array" => {
                let item = self.make(&schema["items"], depth + 1, left);
                Some(Value::Array(item.into_iter().collect()))
            }
            "string" => Some(Value::String(string(schema))),
            "integer" => Some(number(schema, true)),
            "number" => Some(number(schema, false)),
            "boolean" => Some(Value::Bool(true)),
            _ => None,
        }
    }

    /// The members of all parts together; of parts that are no objects, the first.
    fn merged(
        &self,
        schema: &Value,
        parts: &[Value],
        depth: usize,
        left: &mut usize,
    ) -> Option<Value> {
        let mut members = self.object(schema, depth, left);
        let mut other = None;
        for part in parts {
            match self.make(part, depth + 1, left) {
                Some(Value::Object(more)) => members.extend(more),
                Some(value) => other = other.or(Some(value)),
                None => {}
            }
        }
        if members.is_empty() {
            other
        } else {
            Some(Value::Object(members))
        }
    }

    /// The members that have to be there and those with an example; all, where none has to be.
    fn object(&self, schema: &Value, depth: usize, left: &mut usize) -> Map<String, Value> {
        let mut members = Map::new();
        let Some(properties) = schema["properties"].as_object() else {
            return members;
        };
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        for (name, property) in properties {
            let Some(property) = self.resolve(property) else {
                continue;
            };
            let is_wanted = required.is_empty()
                || required.iter().any(|it| it.as_str() == Some(name))
                || stated(property).is_some();
            if !is_wanted || property["readOnly"] == true {
                continue;
            }
            if let Some(value) = self.make(property, depth + 1, left) {
                members.insert(name.clone(), value);
            }
        }
        members
    }
}

/// What the schema says itself: an example, a default, the only or the first value.
fn stated(schema: &Value) -> Option<&Value> {
    let first = |key: &str| schema.get(key)?.as_array()?.first();
    schema
        .get("example")
        .or_else(|| first("examples"))
        .or_else(|| schema.get("x-example"))
        .or_else(|| schema.get("default"))
        .or_else(|| schema.get("const"))
        .or_else(|| first("enum"))
        .filter(|value| !value.is_null())
}

/// The type that is stated, or that the other keys tell.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        // 3.1: several types, of which `null` is the least useful.
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or_default()
        }
        _ if schema["properties"].is_object() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "",
    }
}

fn string(schema: &Value) -> String {
    let text = match schema["format"].as_str().unwrap_or_default() {
        "date-time" => "2026-01-01T00:00:00Z",
        "date" => "2026-01-01",
        "time" => "00:00:00Z",
        "uuid" => "00000000-0000-4000-8000-000000000001",
        "email" => "user@example.com",
        "uri" | "url" | "iri" => "https://example.com/",
        "uri-reference" => "/",
        "hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "byte" => "dGV4dA==",
        _ => "text",
    };
    let length = |key: &str| {
        let length = schema[key].as_u64();
        length.and_then(|length| usize::try_from(length).ok())
    };
    let least = length("minLength").unwrap_or(0).min(1_000);
    let most = length("maxLength").unwrap_or(usize::MAX);
    let padded = format!("{text}{}", "x".repeat(least.saturating_sub(text.len())));
    padded.chars().take(most).collect()
}

/// 1, or the number nearest to it that the limits allow.
fn number(schema: &Value, is_whole: bool) -> Value {
    let limit = |key: &str| schema[key].as_f64();
    let step = if is_whole { 1.0 } else { 0.5 };
    // Before 3.1 the limits say by a flag whether they are exclusive.
    let (least, most) = (limit("minimum"), limit("maximum"));
    let above = match &schema["exclusiveMinimum"] {
        Value::Bool(true) => least.map(|it| it + step),
        other => other.as_f64().map(|it| it + step).or(least),
    };
    let below = match &schema["exclusiveMaximum"] {
        Value::Bool(true) => most.map(|it| it - step),
        other => other.as_f64().map(|it| it - step).or(most),
    };
    let value = 1.0_f64
        .max(above.unwrap_or(f64::MIN))
        .min(below.unwrap_or(f64::MAX));
    if value.fract() == 0.0 || is_whole {
        let text = format!("{:.0}", value.ceil());
        return text.parse::<i64>().map_or(Value::from(1), Value::from);
    }
    Value::from(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(schema: &Value) -> Option<Value> {
        let document = json!({"components": {"schemas": {
            "Pet": {"type": "object", "required": ["name"], "properties": {
                "id": {"type": "integer", "readOnly": true},
                "name": {"type": "string"},
                "tag": {"type": "string"},
                "kind": {"type": "string", "default": "cat"},
                "parent": {"$ref": "#/components/schemas/Pet"},
            }},
            "Loop": {"$ref": "#/components/schemas/Loop"},
            "Tree": {"properties": {"left": {"$ref": "#/components/schemas/Tree"},
                "right": {"$ref": "#/components/schemas/Tree"}}},
        }}});
        Document(document).example(schema)
    }

    #[test]
    fn examples_come_from_the_schema_or_its_type() {
        let pet = json!({"name": "text", "kind": "cat"});
        for (schema, expected) in [
            (json!({"$ref": "#/components/schemas/Pet"}), pet.clone()),
            (
                json!({"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}),
                json!([pet]),
            ),
            (
                json!({"type": "string", "example": "x", "default": "y"}),
                json!("x"),
            ),
            (json!({"type": "string", "examples": ["x"]}), json!("x")),
            (json!({"enum": ["a", "b"]}), json!("a")),
            (json!({"const": 7}), json!(7)),
            (json!({"type": ["null", "boolean"]}), json!(true)),
            (json!({"type": "integer", "minimum": 10}), json!(10)),
            (
                json!({"type": "integer", "minimum": 10, "exclusiveMinimum": true}),
                json!(11),
            ),
            (json!({"type": "number", "exclusiveMaximum": 1}), json!(0.5)),
            (json!({"type": "integer", "maximum": -5}), json!(-5)),
            (json!({"type": "string", "minLength": 6}), json!("textxx")),
            (json!({"type": "string", "maxLength": 2}), json!("te")),
            (
                json!({"type": "string", "format": "date"}),
                json!("2026-01-01"),
            ),
            (
                json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}),
                json!("text"),
            ),
            (
                json!({"allOf": [{"$ref": "#/components/schemas/Pet"},
                    {"properties": {"age": {"type": "integer"}}}]}),
                json!({"name": "text", "kind": "cat", "age": 1}),
            ),
            (json!({"properties": {"a": {"type": "null"}}}), json!({})),
        ] {
            assert_eq!(example(&schema), Some(expected), "{schema}");
        }
    }

    #[test]
    fn schemas_without_end_or_place_come_back() {
        assert_eq!(example(&json!({"$ref": "#/components/schemas/Loop"})), None);
        assert_eq!(example(&json!({"$ref": "other.yaml#/Pet"})), None);
        assert_eq!(example(&json!({})), None);
        let tree = example(&json!({"$ref": "#/components/schemas/Tree"})).unwrap();
        assert!(tree.to_string().len() < 100_000);
    }
}
