//! The body of an operation, written as the media type that it declares.

use serde_json::{Map, Value};

use super::{
    ELSEWHERE, Operation,
    Rejected::{self, Policy},
    parameter::{Parameters, joined},
};
use crate::workload::{
    Header,
    import::form::{self, Field},
};

const UNKNOWN: Rejected = Policy("no example for a body of its media type");

/// The body of OpenAPI 3: the media type that is easiest to make.
pub(super) fn openapi(
    operation: &Operation,
    headers: &mut Vec<Header>,
) -> Result<Vec<u8>, Rejected> {
    let document = operation.document;
    let Some(body) = operation.body.get("requestBody") else {
        return Ok(Vec::new());
    };
    let body = document.resolve(body).ok_or(ELSEWHERE)?;
    let is_required = body["required"] == true;
    let Some(content) = body["content"].as_object() else {
        return Ok(Vec::new());
    };
    let mut kinds: Vec<(&String, &Value)> = content.iter().collect();
    kinds.sort_by_key(|(kind, _)| ease(kind));
    for (kind, media) in kinds {
        let media = document.resolve(media).ok_or(ELSEWHERE)?;
        let named = || {
            let first = media["examples"].as_object()?.values().next()?;
            document.resolve(first)?.get("value").cloned()
        };
        let stated = media.get("example").cloned().or_else(named);
        let is_stated = stated.is_some();
        let value = stated.or_else(|| document.example(&media["schema"]));
        let Some(value) = value else { continue };
        let schema = document.resolve(&media["schema"]).unwrap_or(&Value::Null);
        if let Some(body) = write(kind, &value, schema, is_stated, headers) {
            return Ok(body);
        }
    }
    if is_required {
        Err(UNKNOWN)
    } else {
        Ok(Vec::new())
    }
}

/// The body of Swagger 2: a parameter of its own, or the fields of a form.
pub(super) fn swagger(
    operation: &Operation,
    parameters: &Parameters,
    headers: &mut Vec<Header>,
) -> Result<Vec<u8>, Rejected> {
    let of = |value: &Value| Some(value["consumes"].as_array()?.first()?.as_str()?.to_owned());
    let kind = of(operation.body).or_else(|| of(&operation.document.0));
    let fields = parameters.form();
    if !fields.is_empty() {
        let is_multipart = fields.iter().any(|(.., is_file)| *is_file)
            || kind.is_some_and(|kind| kind.starts_with("multipart/"));
        let fields = fields.into_iter().map(|(name, value, is_file)| Field {
            name,
            value: joined(&value),
            file_name: is_file.then(|| "file.txt".to_owned()),
            content_type: None,
        });
        let fields: Vec<Field> = fields.collect();
        return Ok(encode_form(&fields, is_multipart, headers));
    }
    let Some(value) = parameters.body() else {
        return Ok(Vec::new());
    };
    let kind = kind.unwrap_or("application/json".to_owned());
    write(&kind, value, &Value::Null, false, headers).ok_or(UNKNOWN)
}

/// The lower, the easier a body of this media type is made from a schema.
fn ease(kind: &str) -> u8 {
    match kind.to_ascii_lowercase().as_str() {
        "application/json" => 0,
        kind if kind.contains("json") => 1,
        kind if kind.starts_with("application/x-www-form-urlencoded") => 2,
        kind if kind.starts_with("multipart/") => 3,
        _ => 4,
    }
}

/// The value in this media type; `None` where it cannot be written.
fn write(
    kind: &str,
    value: &Value,
    schema: &Value,
    is_stated: bool,
    headers: &mut Vec<Header>,
) -> Option<Vec<u8>> {
    let body = match (ease(kind), value) {
        // An example of JSON may be given as its text.
        (0 | 1, Value::String(text)) if is_stated && schema["type"] != "string" => {
            text.clone().into_bytes()
        }
        (0 | 1, value) => value.to_string().into_bytes(),
        (2 | 3, Value::Object(map)) => {
            return Some(encode_form(&fields(map, schema), ease(kind) == 3, headers));
        }
        (_, Value::String(text)) if is_stated || kind.starts_with("text/") => {
            text.clone().into_bytes()
        }
        (_, Value::String(text)) if schema["format"] == "binary" => text.clone().into_bytes(),
        _ => return None,
    };
    headers.push(("content-type".to_owned(), kind.to_owned()));
    Some(body)
}

fn encode_form(fields: &[Field], is_multipart: bool, headers: &mut Vec<Header>) -> Vec<u8> {
    if is_multipart {
        return form::multipart(fields, headers);
    }
    let kind = "application/x-www-form-urlencoded";
    headers.push(("content-type".to_owned(), kind.to_owned()));
    form::urlencoded(fields)
}

fn fields(map: &Map<String, Value>, schema: &Value) -> Vec<Field> {
    let fields = map.iter().map(|(name, value)| {
        let property = &schema["properties"][name];
        let is_file = property["format"] == "binary";
        Field {
            name: name.clone(),
            value: match value {
                Value::Object(_) => value.to_string(),
                other => joined(other),
            },
            file_name: is_file.then(|| "file.txt".to_owned()),
            content_type: None,
        }
    });
    fields.collect()
}
