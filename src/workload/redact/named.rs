//! Values that stand behind the name of a secret in texts that are neither form nor JSON: GraphQL,
//! YAML, settings, dumps of header fields, attributes of XML, prose.
//!
//! In quotes or directly behind `=` a value is one whatever it looks like. Behind `NAME: ` prose
//! goes on as well, so there it is one if it stands alone in its line or looks like a secret.

use std::ops::Range;

use super::{Redactor, names, random};

/// A value and the name that makes it a secret, as places in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
}

/// Blanks and marks are skipped so far; a limit keeps the search linear.
const SKIPPED_MOST: usize = 64;
/// A longer name is cut.
const LONGEST_NAME: usize = 100;
/// What looks like a secret has no fewer letters and digits.
const SHORTEST: usize = 6;
/// Names behind which even a plain word is no word of a sentence, where it stands alone in a line.
const STRONG: &[&str] = &[
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "kennwort",
    "motdepasse",
    "contrasena",
];
/// Names whose values may consist of digits alone.
const NUMBERS: &[&str] = &[
    "passw", "passcode", "pwd", "secret", "pin", "otp", "cvv", "cvc", "ssn", "iban",
];
/// What languages write behind a name to say of which type it is.
const TYPES: &[&str] = &[
    "string", "str", "text", "number", "int", "integer", "bool", "boolean", "any",
];
/// Header fields that hold credentials among other words.
const CREDENTIALS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
];
/// What `Set-Cookie` says beside the cookie.
const ATTRIBUTES: &[&str] = &[
    "path", "domain", "expires", "max-age", "samesite", "version",
];

impl Redactor {
    /// Names of secrets, and their values.
    pub(super) fn assignments(&self, bytes: &[u8]) -> Vec<Named> {
        let word = |b: &u8| b.is_ascii_alphanumeric() || b"_-".contains(b);
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if !word(&bytes[at]) {
                at += 1;
                continue;
            }
            let end = at + bytes[at..].iter().take_while(|b| word(b)).count();
            self.behind_name(bytes, at..end, &mut found);
            at = end;
        }
        found
    }

    fn behind_name(&self, bytes: &[u8], word: Range<usize>, found: &mut Vec<Named>) {
        let end = word.end;
        let cut = word.start..end.min(word.start + LONGEST_NAME);
        let secret_name = || {
            let name = std::str::from_utf8(&bytes[cut.clone()]).ok()?;
            self.is_secret_name(name).then_some(name)
        };
        if let Some(value) = sure_value(bytes, end) {
            if let Some(name) = secret_name()
                && !is_flag(&bytes[value.clone()])
                && !names_a_secret(name, &bytes[value.clone()])
                && !ends_base64(name, &bytes[value.clone()])
            {
                found.push(Named { name: cut, value });
            }
            return;
        }
        let Some(from) = open_value(bytes, end) else {
            return;
        };
        let Some(name) = secret_name() else { return };
        let is_first = starts_line(bytes, word.start);
        let is_credential =
            is_first && CREDENTIALS.iter().any(|own| name.eq_ignore_ascii_case(own));
        if is_credential {
            credentials(bytes, cut, from, found);
        } else if let Some(value) = open_end(bytes, name, from, is_first)
            && !is_flag(&bytes[value.clone()])
            && !names_a_secret(name, &bytes[value.clone()])
        {
            found.push(Named { name: cut, value });
        }
    }
}

/// Whether a value says yes, no or nothing: that is no secret, whatever it is called.
pub(super) fn is_flag(value: &[u8]) -> bool {
    const FLAGS: [&[u8]; 12] = [
        b"true",
        b"false",
        b"yes",
        b"no",
        b"on",
        b"off",
        b"null",
        b"none",
        b"undefined",
        b"0",
        b"1",
        b"",
    ];
    FLAGS.iter().any(|flag| value.eq_ignore_ascii_case(flag))
}

/// `key="password"`: what is called a key names a secret and is none.
fn names_a_secret(name: &str, value: &[u8]) -> bool {
    name.eq_ignore_ascii_case("key") && std::str::from_utf8(value).is_ok_and(names::is_name_only)
}

/// `…Gm8hcJWt24W=">`: the filling of base 64 is no sign, and the quote behind it begins nothing.
fn ends_base64(name: &str, value: &[u8]) -> bool {
    let is_behind = value.first().is_none_or(|b| b">,;:)]} /\\".contains(b));
    is_behind && random::is_code(name)
}

fn skip(bytes: &[u8], from: usize, set: &[u8], most: usize) -> usize {
    let more = bytes[from.min(bytes.len())..].iter().take(most);
    from + more.take_while(|b| set.contains(b)).count()
}

/// The value behind the name that ends here: in quotes, which may be escaped, or directly behind
/// `=`.
fn sure_value(bytes: &[u8], name_end: usize) -> Option<Range<usize>> {
    let mut at = skip(bytes, name_end, b"\\", 3);
    if matches!(bytes.get(at), Some(b'"' | b'\'')) {
        at += 1;
    }
    at = skip(bytes, at, b" \t\r\n", SKIPPED_MOST);
    let sign = *bytes.get(at).filter(|b| b"=:".contains(b))?;
    let value = skip(bytes, at + 1, b" \t\r\n", SKIPPED_MOST);
    let quote = skip(bytes, value, b"\\", 3);
    if let Some(sign) = bytes.get(quote).filter(|b| b"\"'".contains(b)) {
        let start = quote + 1;
        let is_escaped = quote > value;
        let ends = |b: &u8| b == sign || (is_escaped && *b == b'\\');
        let length = bytes[start..].iter().position(ends);
        return Some(start..length.map_or(bytes.len(), |length| start + length));
    }
    if sign != b'=' || value > at + 1 {
        return None;
    }
    let end = word_end(bytes, value);
    (end > value && !bytes[value..end].starts_with(b"=")).then_some(value..end)
}

/// Where a word ends that stands among others.
fn word_end(bytes: &[u8], from: usize) -> usize {
    let ends = |b: &u8| b.is_ascii_whitespace() || b"&;,<>\"'`(){}[]\\".contains(b);
    let length = bytes[from..].iter().position(ends);
    length.map_or(bytes.len(), |length| from + length)
}

/// Where a value begins that stands in its line behind `NAME:` or `NAME =`.
fn open_value(bytes: &[u8], name_end: usize) -> Option<usize> {
    let sign = skip(bytes, name_end, b" \t", SKIPPED_MOST);
    let sign_byte = *bytes.get(sign).filter(|b| b"=:".contains(b))?;
    let from = skip(bytes, sign + 1, b" \t", SKIPPED_MOST);
    // `::`, `==`, `=>` and `://` are signs of another kind, brackets begin something longer, and
    // `$` and the like stand for a value.
    let first = *bytes.get(from)?;
    let is_open = !first.is_ascii_whitespace() && !b"=:>/<{[(|$&*%#\"'`,;".contains(&first);
    (is_open && (sign_byte == b':' || from > sign + 1)).then_some(from)
}

/// The value that begins here, where it is one and not the beginning of a sentence.
fn open_end(bytes: &[u8], name: &str, from: usize, is_first: bool) -> Option<Range<usize>> {
    let flat = names::flat(name);
    let has_part = |parts: &[&str]| parts.iter().any(|part| flat.contains(part));
    let is_close = !bytes[from - 1].is_ascii_whitespace();
    if is_first && let Some(line) = alone(bytes, from) {
        let value = &bytes[line.clone()];
        let is_type = TYPES
            .iter()
            .any(|own| value.eq_ignore_ascii_case(own.as_bytes()));
        let is_telling = value.iter().any(u8::is_ascii_digit) || has_part(STRONG);
        return (is_telling && !is_type).then_some(line);
    }
    let end = word_end(bytes, from);
    let text = std::str::from_utf8(&bytes[from..end]).ok()?;
    let text = text.trim_end_matches(['.', ':', '!', '?']);
    // A call, an index or a path of a program.
    let is_code = matches!(bytes.get(end), Some(b'(' | b'[' | b'{')) || text.contains("::");
    let letters = text.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let looks = if is_close {
        random::is_code(text)
    } else {
        letters + digits >= SHORTEST && letters > 0 && !text.contains('.')
    };
    let is_number = !is_close && letters == 0 && digits >= 4 && has_part(NUMBERS);
    let is_secret = !is_code && digits > 0 && (looks || is_number);
    is_secret.then_some(from..from + text.len())
}

/// Whether nothing but blanks and marks stands before this place in its line.
fn starts_line(bytes: &[u8], at: usize) -> bool {
    let before = &bytes[at.saturating_sub(SKIPPED_MOST)..at];
    let marks = |b: &&u8| b" \t-*<>+#\"'".contains(b);
    let skipped = before.iter().rev().take_while(marks).count();
    match before.len() - skipped {
        0 => at < SKIPPED_MOST,
        rest => matches!(before[rest - 1], b'\n' | b'\r'),
    }
}

/// The one word that ends the line, before a remark perhaps.
fn alone(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let length = bytes[from..].iter().position(u8::is_ascii_whitespace);
    let end = length.map_or(bytes.len(), |length| from + length);
    let rest = skip(bytes, end, b" \t", SKIPPED_MOST);
    let is_last = matches!(bytes.get(rest), None | Some(b'\n' | b'\r' | b'#'));
    let word = std::str::from_utf8(&bytes[from..end]).ok()?;
    let word = word.trim_end_matches([',', ';', '"', '\'']);
    // What ends in a bracket goes on in the next line; `String!` is a type of GraphQL.
    let goes_on = word.ends_with(['{', '(', '[']) || (word.ends_with('!') && is_name(word));
    let has_some = word
        .bytes()
        .any(|b| b.is_ascii_alphanumeric() || !b.is_ascii());
    (is_last && !goes_on && has_some).then_some(from..from + word.len())
}

fn is_name(word: &str) -> bool {
    let word = word.trim_end_matches('!');
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_alphabetic())
}

/// The credentials in a line of a header: behind the scheme, and behind the names of cookies.
fn credentials(bytes: &[u8], name: Range<usize>, from: usize, found: &mut Vec<Named>) {
    let ends = |b: &u8| b"\r\n".contains(b);
    let length = bytes[from..].iter().position(ends);
    let line = from..length.map_or(bytes.len(), |length| from + length);
    let is_cookie = bytes[name.clone()]
        .to_ascii_lowercase()
        .ends_with(b"cookie");
    let mut at = from;
    let between = |b: &u8| b" \t;,".contains(b);
    let is_single = !bytes[line.clone()].trim_ascii_end().iter().any(between);
    for (number, word) in bytes[line].split(between).enumerate() {
        let start = at;
        at += word.len() + 1;
        let sign = word.iter().position(|b| *b == b'=');
        let sign = sign.filter(|sign| word[*sign..].iter().any(|b| *b != b'='));
        let own = sign.map_or(0, |sign| sign + 1);
        let is_attribute = ATTRIBUTES
            .iter()
            .any(|it| word[..sign.unwrap_or(0)].eq_ignore_ascii_case(it.as_bytes()));
        let quotes = |b: &&u8| b"\"'".contains(b);
        let lead = word[own..].iter().take_while(quotes).count();
        let trail = word[own + lead..].iter().rev().take_while(quotes).count();
        let value = start + own + lead..start + word.len() - trail;
        let is_scheme = sign.is_none() && (is_cookie || (number == 0 && !is_single));
        if !is_scheme && !is_attribute && !is_flag(&bytes[value.clone()]) {
            let name = name.clone();
            found.push(Named { name, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        let shown = Redactor::with_key([1; 32]).body("text/plain", text.into());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn values_behind_a_colon_go_and_every_other_byte_stays() {
        for text in [
            "password: |hunter2|",
            "user: bob\n  password: |hunter|  # staging\nage: 5\n",
            "- password: |hun!ter,2x|\n",
            "X-Api-Key: |Zx81kQp02Lm7|\r\nAccept: */*\r\n",
            "> X-Auth-Token: |Zx81kQp02Lm7|\n",
            "token: |9f8a7b6c5d4e3f2a1b|",
            "password = |hunter2|",
            "[db]\npassword = |hunter|\nport = 5\n",
            "your password: |hunter2|, as you asked",
            "the pin: |4711| is yours",
            "pin: |4711|\n",
            "curl -H 'X-Api-Key: |Zx81kQp02Lm7|' http://h/",
            "session:|8f3k2j9dQ7|",
            "Authorization: Token |hunterhunter|\nAccept: */*",
            "Authorization: |hunterhunter|",
            "Cookie: sid=|hunterhunter|; theme=|dark|\n",
            "Set-Cookie: sid=|hunterhunter|; Path=/; Max-Age=900; Secure; HttpOnly\n",
            r#"x = "password: |hunter2|\n""#,
        ] {
            let parts: Vec<&str> = text.split('|').collect();
            let shown = redacted(&text.replace('|', ""));
            for (number, part) in parts.iter().enumerate() {
                assert_eq!(shown.contains(part), number % 2 == 0, "{text}: {shown}");
            }
            assert_eq!(shown.len(), text.len() - parts.len() + 1, "{text}: {shown}");
        }
    }

    #[test]
    fn sentences_types_and_programs_stay() {
        for text in [
            "password: the user's secret word",
            "Password: at least 8 characters",
            "token: see below. The session: what it is, and the key: how it is kept",
            "key: value",
            "title: Session\nkey: blue",
            "  $password: String!\n  password: String!\n  password: string;\n",
            "login(\n  password: $password\n)",
            "password: ${PASSWORD}\npassword: {{ password2 }}\npassword: <your password>",
            "auth: {\n  a: 1\n}",
            "session::key1::of()",
            "let token = next_token1(5);",
            "if token == other1 {}",
            "auth://h1.example/x",
            "token: true\n",
            "password:\n  next: line1\n",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn what_is_called_a_key_may_name_a_secret() {
        let shown = redacted(r#"<add key="password" value="hunter2"/>"#);
        assert!(
            shown.starts_with(r#"<add key="password" value=""#),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!redacted(r#"key="my-token-of-may""#).contains("may"));
    }
}
