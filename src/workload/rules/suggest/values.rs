//! The values of an answer and of a request that could be the same one, as numbers, with the
//! places where they stand.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::super::html;
use crate::workload::{
    Request,
    endpoint::{is_hex, is_token, is_uuid, template},
    redact::{names, percent_decode},
};

/// Values of one answer, and of one request.
const MOST: usize = 300;
/// Deeper values of JSON are not looked at.
const DEEPEST: usize = 8;
/// Longer values are nothing that a client carries, in bytes.
const LONGEST: usize = 4_096;
/// The longest name in a place.
const LONGEST_NAME: usize = 40;

/// One value of a request.
#[derive(Debug, Clone)]
pub(super) struct Carried {
    /// The value as a number.
    pub(super) value: u64,
    /// Where it stands.
    pub(super) place: String,
    /// Whether one look says that it was drawn.
    pub(super) is_telling: bool,
}

/// The number of a value; `None` of what is too short, too long or too plain to be carried.
fn number(value: &str) -> Option<u64> {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let is_worth = if digits == value.len() {
        digits >= 3
    } else {
        value.len() >= 6 && (digits > 0 || value.len() >= 16)
    };
    if !is_worth || value.len() > LONGEST {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    Some(hasher.finish())
}

/// Whether a value looks drawn, or its name says so.
fn is_telling(name: &str, value: &str) -> bool {
    is_uuid(value) || is_token(value) || is_hex(value, 16) || names::is_sensitive(name)
}

/// Whether a name is one, and no value that stands where names do.
fn is_plain(name: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_-.[]$".contains(&b);
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    let is_name = !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(known);
    is_name && digits <= 3 && !is_token(name) && !is_hex(name, 16) && !is_uuid(name)
}

/// The values of an answer: of JSON and forms, of what it redirects to, of fields that tell of a
/// token, and of cookies.
pub(super) fn offered(fields: &[(String, String)], kind: &str, text: &str) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut add = |value: &str, place: String| {
        if found.len() < MOST
            && let Some(number) = number(value)
        {
            found.push((number, place));
        }
    };
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        if name == "location" {
            for (value, place) in redirected(value) {
                add(&value, place);
            }
        } else if name == "set-cookie" {
            let pair = value.split(';').next().and_then(|it| it.split_once('='));
            if let Some((name, value)) = pair.filter(|(name, _)| is_plain(name.trim())) {
                add(value.trim(), format!("cookie:{}", name.trim()));
            }
        } else if is_plain(&name) && (names::is_sensitive(&name) || name.ends_with("-id")) {
            add(value, format!("header:{name}"));
        }
    }
    if kind.contains("json") {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        each_scalar(
            &value,
            &mut String::new(),
            DEEPEST,
            &mut |pointer, value| {
                add(value, format!("json:{pointer}"));
            },
        );
    } else if kind.contains("html") {
        for (name, value) in html::fields(text).filter(|(name, _)| is_plain(name)) {
            add(&value, format!("field:{name}"));
        }
    }
    found
}

/// Values in the path of a `Location`, each behind segments that are none.
fn redirected(location: &str) -> Vec<(String, String)> {
    let (mut found, mut before) = (Vec::new(), String::from("/"));
    // Of a whole URL what comes behind the host; patterns begin in the middle as well.
    let path = match location.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => location.trim_start_matches('/'),
    };
    let end = path.find(['?', '#', ';']).unwrap_or(path.len());
    let mut rest = &path[..end];
    while !rest.is_empty() {
        let (segment, next) = rest.split_once('/').unwrap_or((rest, ""));
        let behind = path.get(before.len() - 1 + segment.len()..);
        let behind = behind.and_then(|it| it.get(..1)).unwrap_or_default();
        found.push((
            percent_decode(segment),
            format!("header:location ~ {before}{{}}{behind}"),
        ));
        before = format!("{before}{segment}/");
        // Behind a value the text before the next one would be another each time.
        let names_only = is_plain(segment) && template(&before) == before;
        rest = if names_only { next } else { "" };
    }
    found.retain(|(_, place)| place != "header:location ~ /{}");
    found
}

/// Each text and number of a JSON value with its pointer.
fn each_scalar(value: &Value, at: &mut String, deep: usize, each: &mut dyn FnMut(&str, &str)) {
    let length = at.len();
    match value {
        Value::String(text) => each(at, text),
        Value::Number(number) => each(at, &number.to_string()),
        Value::Object(members) if deep > 0 => {
            for (name, value) in members.iter().filter(|(name, _)| is_plain(name)) {
                at.push('/');
                at.push_str(name);
                each_scalar(value, at, deep - 1, each);
                at.truncate(length);
            }
        }
        // What stands further behind comes and goes with the data.
        Value::Array(items) if deep > 0 => {
            for (item, index) in items.iter().take(2).zip(0_u8..) {
                at.push('/');
                at.push(if index == 0 { '0' } else { '1' });
                each_scalar(item, at, deep - 1, each);
                at.truncate(length);
            }
        }
        _ => {}
    }
}

/// The values of a request: of its path, query, form or JSON, and of fields of its own kind.
pub(super) fn carried(request: &Request) -> Vec<Carried> {
    let mut found: Vec<Carried> = Vec::new();
    let mut add = |name: &str, value: &str, place: String| {
        if found.len() < MOST
            && let Some(number) = number(value)
        {
            let is_telling = is_telling(name, value);
            let value = number;
            found.push(Carried {
                value,
                place,
                is_telling,
            });
        }
    };
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    for (segment, number) in path.split('/').skip(1).zip(1..) {
        let value = percent_decode(segment.split(';').next().unwrap_or_default());
        add("", &value, format!("segment:{number}"));
    }
    let mut pairs = |text: &str, kind: &str| {
        for pair in text.split('&') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let decode = |text: &str| percent_decode(&text.replace('+', " "));
            let (name, value) = (decode(name), decode(value));
            if is_plain(&name) {
                add(&name, &value, format!("{kind}:{name}"));
            }
        }
    };
    pairs(query, "query");
    let kind = |wanted: &str| {
        let mut fields = request.headers.iter();
        fields.any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type") && value.contains(wanted)
        })
    };
    let text = std::str::from_utf8(&request.body).unwrap_or_default();
    if kind("application/x-www-form-urlencoded") {
        pairs(text, "form");
    } else if kind("json") {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        each_scalar(
            &value,
            &mut String::new(),
            DEEPEST,
            &mut |pointer, value| {
                let name = pointer.rsplit('/').next().unwrap_or_default();
                add(name, value, format!("json:{pointer}"));
            },
        );
    }
    own_fields(request, &mut add);
    found
}

/// Fields that a page's script adds, and credentials, each with what stands before its value.
fn own_fields(request: &Request, add: &mut dyn FnMut(&str, &str, String)) {
    for (name, value) in &request.headers {
        let name = name.to_ascii_lowercase();
        let is_own = name.starts_with("x-") || names::is_credential_header(&name);
        if !is_own || !is_plain(&name) || name.contains("cookie") {
            continue;
        }
        match value.split_once(' ') {
            Some((scheme, value)) if is_plain(scheme) => {
                add(
                    &name,
                    value.trim(),
                    format!("header:{name} ~ {scheme} {{}}"),
                );
            }
            _ => add(&name, value.trim(), format!("header:{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(found: Vec<(u64, String)>) -> Vec<String> {
        found.into_iter().map(|(_, place)| place).collect()
    }

    #[test]
    fn redirects_are_cut_where_their_values_are() {
        for (location, expected) in [
            ("/orders/4711", &["header:location ~ /orders/{}"][..]),
            (
                "https://shop.example/a/orders/4711/edit?x=1",
                &["header:location ~ /a/orders/{}/"],
            ),
            ("/4711/items/4712", &["header:location ~ /{}/"]),
            ("/", &[]),
            ("", &[]),
        ] {
            let fields = [("Location".to_owned(), location.to_owned())];
            assert_eq!(places(offered(&fields, "", "")), expected, "{location}");
        }
    }

    #[test]
    fn answers_offer_values_with_plain_places() {
        let fields = [
            ("Set-Cookie", "XSRF-TOKEN=ab12cd34; Path=/"),
            ("X-CSRF-Token", "ab12cd34"),
            ("X-Request-Id", "4711"),
            ("Server", "nginx/1.22.1"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let text = r#"{"id":4711,"user":{"name":"ann"},"items":[{"key":"k12345"},1,2345],
            "k3f9a8c7d6e5f4a3":{"id":4712},"a b":"k12345"}"#;
        let mut found = places(offered(&fields, "application/json", text));
        found.sort();
        let expected = [
            "cookie:XSRF-TOKEN",
            "header:x-csrf-token",
            "header:x-request-id",
            "json:/id",
            "json:/items/0/key",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn requests_carry_values_in_each_part() {
        let mut request =
            crate::workload::parse_request("POST /a/4711;x=1?t=ab12cd34&p=1").unwrap();
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        request.headers = vec![
            field("Content-Type", "application/json"),
            field("Authorization", "Bearer ab12cd34"),
            field("X-Cart", "4712"),
            field("Cookie", "sid=ab12cd34"),
        ];
        request.body = b"{\"cart\":{\"token\":\"ab12cd34\"}}".to_vec();
        let found = carried(&request);
        let places: Vec<_> = found.iter().map(|it| it.place.as_str()).collect();
        let expected = [
            "segment:2",
            "query:t",
            "json:/cart/token",
            "header:authorization ~ Bearer {}",
            "header:x-cart",
        ];
        assert_eq!(places, expected);
        assert!(found[2].is_telling && !found[0].is_telling);
    }
}
