//! Where a value stands in a JSON text: found without making the text anew, so that every other
//! byte stays.

use std::{collections::BTreeMap, ops::Range};

use serde_json::value::RawValue;

/// Deeper pointers are not followed.
const DEEPEST: usize = 32;

/// Whether the text is a pointer of RFC 6901: empty, or names behind slashes.
pub(super) fn is_pointer(text: &str) -> bool {
    (text.is_empty() || text.starts_with('/')) && text.matches('/').count() <= DEEPEST
}

/// The bytes of the value behind a pointer; of a text its quotes too. `None` when the text is no
/// JSON or has nothing there.
pub(super) fn span(text: &str, pointer: &str) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    for name in pointer.split('/').skip(1) {
        let name = name.replace("~1", "/").replace("~0", "~");
        value = match value.get().as_bytes().first()? {
            b'{' => {
                let members: BTreeMap<String, &RawValue> =
                    serde_json::from_str(value.get()).ok()?;
                members.get(&name).copied()?
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
                items.get(name.parse::<usize>().ok()?).copied()?
            }
            _ => return None,
        };
    }
    // The value is borrowed from the text, so that its place in it is known.
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    Some(start..start + value.get().len())
}

/// A text, number or truth value in words; `None` of anything else.
pub(super) fn scalar(raw: &str) -> Option<String> {
    match serde_json::from_str(raw).ok()? {
        serde_json::Value::String(text) => Some(text),
        // As it was written: a number may be longer than any type.
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(raw.trim().to_owned()),
        _ => None,
    }
}

/// A value in the place of another: a number stays one where the new value is one.
pub(super) fn quoted(value: &str, replaced: &str) -> String {
    let was_text = replaced.starts_with('"');
    let is_number = value.parse::<serde_json::Number>().is_ok();
    if !was_text && is_number {
        return value.to_owned();
    }
    serde_json::to_string(value).expect("text always serialises")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_its_bytes_and_nothing_else() {
        let text = " {\"a\": [1, {\"b/c\": \"x\\u0041\"}], \"a~\":1.50e2,\"z\":null}";
        for (pointer, expected) in [
            ("/a/0", Some("1")),
            ("/a/1/b~1c", Some("\"x\\u0041\"")),
            ("/a~0", Some("1.50e2")),
            ("/z", Some("null")),
            ("/a/1", Some("{\"b/c\": \"x\\u0041\"}")),
            ("/a/2", None),
            ("/a/x", None),
            ("/b", None),
            ("/a/0/x", None),
        ] {
            let found = span(text, pointer).map(|span| &text[span]);
            assert_eq!(found, expected, "{pointer}");
        }
        assert_eq!(span("7", "").map(|it| it.len()), Some(1));
        for broken in ["", "{", "{\"a\":}", "x"] {
            assert_eq!(span(broken, "/a"), None);
        }
        assert!(is_pointer("") && is_pointer("/a") && !is_pointer("a"));
        assert!(!is_pointer(&"/a".repeat(99)));
    }

    #[test]
    fn values_keep_their_kind() {
        assert_eq!(scalar("\"x\\u0041\"").as_deref(), Some("xA"));
        let long = "12345678901234567890123";
        assert_eq!(scalar(long).as_deref(), Some(long));
        assert_eq!(scalar("true").as_deref(), Some("true"));
        assert_eq!((scalar("null"), scalar("[1]")), (None, None));
        for (value, replaced, expected) in [
            ("7", "3", "7"),
            ("7", "\"3\"", "\"7\""),
            ("x\"y", "3", "\"x\\\"y\""),
            ("x", "null", "\"x\""),
        ] {
            assert_eq!(quoted(value, replaced), expected);
        }
    }
}
