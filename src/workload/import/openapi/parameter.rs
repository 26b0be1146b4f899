//! The parameters of an operation: values found or made, and written where they belong.

use serde_json::Value;

use super::{
    ELSEWHERE,
    Rejected::{self, Policy},
    example::Document,
};
use crate::workload::Header;

/// One parameter with its value.
struct Parameter {
    name: String,
    /// `path`, `query`, `header`, `cookie`, `formData` or `body`.
    place: String,
    value: Value,
    /// A list is written as one text and not as several pairs.
    is_joined: bool,
    /// An object is written as `name[key]=value`.
    is_deep: bool,
    /// The type of a form field is `file`.
    is_file: bool,
}

/// All parameters of an operation that are sent.
pub(super) struct Parameters(Vec<Parameter>);

impl Parameters {
    /// Those of the path and of the operation, which go before; what is neither required nor has
    /// an example is left out.
    pub(super) fn collect(
        document: &Document,
        item: &Value,
        operation: &Value,
    ) -> Result<Self, Rejected> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for list in [&operation["parameters"], &item["parameters"]] {
            for declared in list.as_array().map_or(&[][..], Vec::as_slice) {
                let declared = document.resolve(declared).ok_or(ELSEWHERE)?;
                let text = |key: &str| declared[key].as_str().unwrap_or_default().to_owned();
                let (name, place) = (text("name"), text("in"));
                let is_known = parameters
                    .iter()
                    .any(|it| it.name == name && it.place == place);
                if is_known || name.is_empty() {
                    continue;
                }
                let is_required = declared["required"] == true || place == "path";
                let Some(value) = value(document, declared, is_required) else {
                    if is_required && place != "cookie" && place != "header" {
                        return Err(Policy("no example for a parameter that it needs"));
                    }
                    continue;
                };
                let is_query = place == "query";
                let explodes = declared["explode"] != false || !is_query;
                let is_swagger_list =
                    declared["type"] == "array" && declared["collectionFormat"] != "multi";
                parameters.push(Parameter {
                    name,
                    place,
                    value,
                    is_joined: !is_query || !explodes || is_swagger_list,
                    is_deep: declared["style"] == "deepObject",
                    is_file: declared["type"] == "file",
                });
            }
        }
        Ok(Self(parameters))
    }

    fn at<'a>(&'a self, place: &'static str) -> impl Iterator<Item = &'a Parameter> {
        self.0.iter().filter(move |it| it.place == place)
    }

    /// The path with its values in place; undeclared ones are 1.
    pub(super) fn path(&self, template: &str) -> Result<String, Rejected> {
        let mut path = String::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind
                .split_once('}')
                .ok_or(Rejected::Malformed("a brace of its path is not closed"))?;
            path.push_str(&super::uri::encode(before.as_bytes()));
            let value = self.at("path").find(|it| it.name == name);
            let value = value.map_or("1".to_owned(), |it| joined(&it.value));
            // A segment cannot be empty, or the path would be another one.
            path.push_str(&percent(if value.is_empty() { "1" } else { &value }));
            rest = after;
        }
        Ok(path + &super::uri::encode(rest.as_bytes()))
    }

    /// The query with its `?`, or nothing.
    pub(super) fn query(&self) -> String {
        let pairs: Vec<String> = self.at("query").flat_map(pairs).collect();
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }

    /// The header fields, without those that OpenAPI describes elsewhere.
    pub(super) fn headers(&self) -> Vec<Header> {
        let elsewhere = ["accept", "content-type", "authorization"];
        let fields = self.at("header").filter(|it| {
            let name = it.name.to_ascii_lowercase();
            !elsewhere.contains(&name.as_str())
        });
        fields
            .map(|it| (it.name.clone(), joined(&it.value)))
            .collect()
    }

    /// The fields of a form in Swagger 2, and whether each is a file.
    pub(super) fn form(&self) -> Vec<(String, Value, bool)> {
        let fields = self.at("formData");
        fields
            .map(|it| (it.name.clone(), it.value.clone(), it.is_file))
            .collect()
    }

    /// The body in Swagger 2.
    pub(super) fn body(&self) -> Option<&Value> {
        self.at("body").map(|it| &it.value).next()
    }
}

/// The value of a parameter; of one that is not required, only what is stated.
fn value(document: &Document, declared: &Value, is_required: bool) -> Option<Value> {
    let stated = |of: &Value| {
        let example = of.get("example").or_else(|| of.get("x-example")).cloned();
        let named = || {
            let first = of["examples"].as_object()?.values().next()?;
            document.resolve(first)?.get("value").cloned()
        };
        example.or_else(named).filter(|it| !it.is_null())
    };
    if let Some(value) = stated(declared) {
        return Some(value);
    }
    // A parameter may have a media type of its own; its value is written as that.
    if let Some(content) = declared["content"].as_object() {
        let media = content.values().next()?;
        let value = stated(media).or_else(|| document.example(&media["schema"]))?;
        return is_required.then(|| Value::String(value.to_string()));
    }
    // In Swagger 2 a parameter that is no body is its own schema.
    let schema = declared.get("schema").unwrap_or(declared);
    let schema = document.resolve(schema)?;
    let is_stated = ["example", "examples", "default", "x-example"]
        .iter()
        .any(|key| schema.get(key).is_some());
    if declared["type"] == "file" {
        return is_required.then(|| Value::String("text".to_owned()));
    }
    if is_required || is_stated {
        return document.example(schema);
    }
    None
}

fn pairs(parameter: &Parameter) -> Vec<String> {
    let name = percent(&parameter.name);
    let pair = |name: &str, value: &Value| format!("{name}={}", percent(&joined(value)));
    match &parameter.value {
        Value::Array(list) if !parameter.is_joined => {
            list.iter().map(|value| pair(&name, value)).collect()
        }
        Value::Object(map) if parameter.is_deep => {
            let names = map.iter();
            names
                .map(|(key, value)| pair(&format!("{name}%5B{}%5D", percent(key)), value))
                .collect()
        }
        Value::Object(map) if !parameter.is_joined => map
            .iter()
            .map(|(key, value)| pair(&percent(key), value))
            .collect(),
        value => vec![pair(&name, value)],
    }
}

/// A value as one text: lists and objects with commas, as the style `simple` has it.
pub(super) fn joined(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(joined).collect::<Vec<_>>().join(","),
        Value::Object(map) => {
            let parts = map
                .iter()
                .map(|(key, value)| format!("{key},{}", joined(value)));
            parts.collect::<Vec<_>>().join(",")
        }
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Percent-encoded, all but the characters that RFC 3986 leaves alone.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut encoded = String::new();
    for byte in text.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.extend(format!("%{byte:02X}").chars());
        }
    }
    encoded
}
