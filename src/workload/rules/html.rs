//! The named values of a page: inputs of its forms, and its meta tags, as CSRF tokens travel.
//!
//! Looks for tags and their attributes; builds no tree. What stands in scripts or comments and
//! looks like a tag is taken for one.

/// The longest tag that is looked at, in bytes.
const LONGEST_TAG: usize = 16 << 10;

/// Name and value of each input and meta tag, in order.
pub(super) fn fields(page: &str) -> impl Iterator<Item = (String, String)> {
    tags(page).filter_map(|tag| {
        let kind: String = tag
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let value_name = match kind.to_ascii_lowercase().as_str() {
            "input" | "button" => "value",
            "meta" => "content",
            _ => return None,
        };
        let found: Vec<_> = attributes(&tag[kind.len()..]).collect();
        let of = |wanted: &str| {
            let mut found = found.iter();
            let (_, value) = found.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
            Some(decoded(value))
        };
        Some((of("name")?, of(value_name)?))
    })
}

/// What stands between `<` and `>`, quotes respected.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        let open = rest.find('<')? + 1;
        rest = &rest[open..];
        let mut quote = None;
        let end = rest.bytes().take(LONGEST_TAG).position(|byte| {
            match quote {
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
                None => return byte == b'>',
            }
            false
        });
        // A quote that never ends belongs to a text: its tag is passed over.
        Some(end.map_or("", |end| &rest[..end]))
    })
}

/// `name=value` pairs, with or without quotes.
fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_ascii_whitespace() || c == '=' || c == '/');
        let (name, behind) = rest.split_at(end.unwrap_or(rest.len()));
        if name.is_empty() && behind.is_empty() {
            return None;
        }
        let Some(value) = behind.trim_start().strip_prefix('=') else {
            rest = behind;
            return Some((name, ""));
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, behind) = if let Some(quote) = quote {
            value[1..].split_once(quote).unwrap_or((&value[1..], ""))
        } else {
            let end = value.find(|c: char| c.is_ascii_whitespace());
            value.split_at(end.unwrap_or(value.len()))
        };
        rest = behind;
        Some((name, value))
    })
}

/// The text behind character references, as far as values have them.
fn decoded(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('&') {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        let known = end.and_then(|end| Some((reference(&rest[1..end])?, end + 1)));
        let (character, length) = known.unwrap_or(('&', 1));
        shown.push(character);
        rest = &rest[length..];
    }
    shown.push_str(rest);
    shown
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn inputs_and_meta_tags_are_found_however_they_are_written() {
        let page = r#"<!DOCTYPE html><html><head>
            <META name=csrf-token content='t>1'>
            <title>a < b</title></head><body><form action="/x">
            <input type="hidden" value="v&#43;&#x2B;&amp;&nbsp;&" name="token"/>
            <input name = "user" value = ann disabled><input name=none>
            <textarea name="x" value="y"></textarea><input value=v></form>"#;
        let found: Vec<_> = fields(page).collect();
        let expected = [
            ("csrf-token", "t>1"),
            ("token", "v++&&nbsp;&"),
            ("user", "ann"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through_to_its_end(
            page in prop_oneof![any::<String>(), "[<>=\"'/& a-cé;#]{0,80}"]
        ) {
            prop_assert!(fields(&page).count() <= page.len());
        }
    }
}
