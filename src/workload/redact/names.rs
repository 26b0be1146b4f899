//! Which names of header fields, parameters and keys promise a secret.
//!
//! Deny by default: a name is judged without case and separators, and by its parts, so that
//! `clientSecret`, `client_secret` and `X-CLIENT-SECRET` are one. A false alarm costs little,
//! because a value is replaced by another of the same shape.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Finds any of some words anywhere, all at once: names are most of what redaction looks at.
fn finder(words: &[&str]) -> AhoCorasick {
    AhoCorasick::new(words).expect("a few short words make a small automaton")
}

static PARTS_FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| finder(PARTS));
static CREDENTIALS_FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    finder(&[
        "token", "secret", "key", "session", "auth", "jwt", "saml", "passw", "cookie", "csrf",
    ])
});

/// A name that holds one of these anywhere names a secret.
const PARTS: &[&str] = &[
    "token",
    "secret",
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "apikey",
    "accesskey",
    "privatekey",
    "session",
    "auth",
    "jwt",
    "saml",
    "credential",
    "cookie",
    "csrf",
    "xsrf",
    "assertion",
    "signature",
    "verifier",
    "email",
    "otp",
    "bearer",
    "cvv",
    "cvc",
    "iban",
    "cardnumber",
    "creditcard",
    "sessid",
    "ssn",
    "phone",
    "birth",
    "passkey",
    "privkey",
    "mnemonic",
    "securityanswer",
    "accountnumber",
    "routingnumber",
    "taxid",
    "passport",
    "nationalid",
    "msisdn",
    "kennwort",
    "motdepasse",
    "contrasena",
    "wresult",
    "recoverycode",
    "backupcode",
    "verificationcode",
    "securitycode",
    "activationcode",
    "confirmationcode",
    "resetcode",
    "invitecode",
    "invitationcode",
    "logincode",
    "accesscode",
    "onetimecode",
    "smscode",
    "pincode",
    "usercode",
    "devicecode",
    "2fa",
];

/// A name that is one of these, or has one as a word of its own, names a secret.
const WORDS: &[&str] = &[
    "key", "keys", "pass", "pin", "sid", "sig", "hmac", "mail", "nonce", "ticket", "card", "cred",
    "creds", "salt", "dob", "senha", "mfa",
];

/// Only the whole name counts: as part of a longer one these are common and harmless.
const WHOLE: &[&str] = &["code", "sess", "pw"];

/// Names that hold a listed part and promise nothing.
const HARMLESS: &[&str] = &[
    "author",
    "authors",
    "authority",
    "laptop",
    "laptops",
    "secretary",
    "tokenizer",
];

/// A name with such a word at its end speaks about a secret and is none: `token_type`,
/// `password_length`.
const ABOUT: &[&str] = &[
    "type", "kind", "method", "count", "limit", "length", "size", "ttl", "expiry", "expires",
    "enabled", "required", "verified", "status", "policy", "strength",
];
/// The same at its beginning: `max_tokens`, `has_password`.
const ABOUT_FIRST: &[&str] = &["max", "min", "num", "has", "is", "can", "allow"];

/// Words that stand beside those in the names of secrets.
const BESIDE: &[&str] = &[
    "password",
    "passwd",
    "authorization",
    "authentication",
    "user",
    "client",
    "access",
    "refresh",
    "id",
    "api",
    "app",
    "login",
    "db",
    "database",
    "admin",
    "new",
    "old",
    "current",
    "confirm",
    "x",
    "private",
    "public",
    "my",
    "bearer",
    "number",
    "address",
    "username",
    "name",
    "value",
    "header",
    "root",
    "service",
    "account",
    "saml",
    "response",
    "request",
    "security",
    "answer",
    "cookies",
    "tokens",
    "secrets",
    "credentials",
    "sessionid",
    "state",
];

/// Whether a query, form, JSON or multipart field of this name is a secret.
pub fn is_sensitive(name: &str) -> bool {
    let flat = flat(name);
    if HARMLESS.contains(&flat.as_str()) {
        return false;
    }
    let mut words = words(name);
    words.retain(|word| !word.is_empty());
    let has = |list: &[&str], word: Option<&String>| word.is_some_and(|it| list.contains(&&**it));
    if words.len() > 1 && (has(ABOUT, words.last()) || has(ABOUT_FIRST, words.first())) {
        return false;
    }
    WHOLE.contains(&flat.as_str())
        || PARTS_FINDER.is_match(&flat)
        || words.iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Whether a header field of this name is a credential and never replayed.
pub(in crate::workload) fn is_credential_header(name: &str) -> bool {
    CREDENTIALS_FINDER.is_match(&flat(name)) || is_sensitive(name)
}

/// Whether the text can be nothing but the name of a secret, such as `user_password`: what is
/// called a key may be one, or have one.
pub(super) fn is_name_only(text: &str) -> bool {
    let words = words(text);
    let mut words = words.iter().filter(|word| !word.is_empty()).peekable();
    let known = |word: &String| {
        [PARTS, WORDS, WHOLE, BESIDE]
            .iter()
            .any(|it| it.contains(&&**word))
    };
    let is_plain = |c: char| c.is_ascii_alphabetic() || "-_. ".contains(c);
    words.peek().is_some() && words.all(known) && text.chars().all(is_plain) && is_sensitive(text)
}

/// The name without case and separators.
pub(super) fn flat(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

/// The words of a name, which separators, capitals or digits divide.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for character in name.chars() {
        if !character.is_alphabetic() || (after_lower && character.is_uppercase()) {
            words.push(String::new());
        }
        after_lower = character.is_lowercase();
        if character.is_alphabetic() {
            let word = words.last_mut().expect("there is always a word");
            word.extend(character.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name_in_any_spelling() {
        for name in [
            "password",
            "Password",
            "user[password]",
            "PASSWD",
            "pwd",
            "token",
            "id_token",
            "csrfToken",
            "SAMLRequest",
            "SAMLResponse",
            "client_secret",
            "clientSecret",
            "code",
            "code_verifier",
            "assertion",
            "email",
            "e-mail",
            "api-key",
            "apiKey",
            "key",
            "sid",
            "PHPSESSID",
            "sessionId",
            "X-Amz-Signature",
            "sig",
            "otp",
            "authorization",
            "access_token",
            "pin",
            "card.number",
            "recovery_code",
            "pincode",
        ] {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "q",
            "page",
            "keyword",
            "keyboard",
            "author",
            "zip_code",
            "country_code",
            "id",
            "name",
            "sort",
            "limit",
            "pinned",
            "compass",
            "Status",
            "sides",
            "token_type",
            "max_tokens",
            "passwordLength",
            "hasPassword",
            "users[email_verified]",
            "secretary",
            "",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }

    #[test]
    fn header_names_are_judged_more_strictly() {
        for name in [
            "x-api-key",
            "X-Keys",
            "my-session",
            "x-saml-thing",
            "www-auth",
        ] {
            assert!(is_credential_header(name), "{name}");
        }
        for name in [
            "accept",
            "user-agent",
            "content-type",
            "x-request-id",
            "range",
        ] {
            assert!(!is_credential_header(name), "{name}");
        }
    }
}
