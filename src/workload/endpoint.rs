//! Endpoints: the method and path template under which requests are judged together.
//!
//! A path segment that looks like a value becomes a placeholder, the query is dropped. The
//! rules are few and need no configuration; what they do is listed in docs/formats.md. A
//! template of a template is itself, so labels can be derived again at any time.

use std::collections::BTreeSet;

use super::Method;

/// The label of all requests beyond the limit of a [`Limiter`].
pub const OTHER: &str = "(other)";
/// The name under which all endpoints are judged together; no label may be it.
pub const ALL_ENDPOINTS: &str = "workload";
/// How many different endpoints a workload may have before the rest becomes [`OTHER`].
pub const MOST_ENDPOINTS: usize = 2_000;
const MOST_SEGMENTS: usize = 16;
const LONGEST_SEGMENT: usize = 64;

/// Method and path template, such as `GET /users/{id}`.
pub fn endpoint(method: &Method, path: &str) -> String {
    format!("{} {}", method.as_str(), template(path))
}

/// The path with each value-like segment replaced by a placeholder, without the query.
pub fn template(path: &str) -> String {
    let end = path.find(['?', '#']).unwrap_or(path.len());
    let path = path[..end].strip_prefix('/').unwrap_or(&path[..end]);
    let mut template = String::new();
    for (position, segment) in path.split('/').enumerate() {
        template.push('/');
        if position == MOST_SEGMENTS {
            template.push_str("{rest}");
            break;
        }
        // Matrix parameters are values, like the query.
        let name = segment.split(';').next().unwrap_or_default();
        template.push_str(&placeholder(name));
    }
    template
}

fn placeholder(segment: &str) -> String {
    let of = |name: &str| name.to_owned();
    if segment.starts_with('{') && segment.ends_with('}') && segment.len() <= LONGEST_SEGMENT {
        return of(segment);
    }
    if is_date(segment) {
        return of("{date}");
    }
    if is_number(segment) || is_uuid(segment) || is_ulid(segment) {
        return of("{id}");
    }
    if segment.contains('@') || segment.contains("%40") {
        return of("{email}");
    }
    if is_hex(segment, 16) {
        return of("{hash}");
    }
    if let Some((stem, extension)) = file_name(segment) {
        return format!("{}.{extension}", file_stem(stem));
    }
    if is_token(segment) || segment.len() > LONGEST_SEGMENT {
        return of("{token}");
    }
    prefixed(segment).unwrap_or_else(|| of(segment))
}

/// `order-123` is `order-{id}`: letters, a separator, at least three digits.
fn prefixed(segment: &str) -> Option<String> {
    let at = segment.rfind(['-', '_'])?;
    let (prefix, digits) = segment.split_at(at + 1);
    let named = prefix
        .bytes()
        .all(|b| b.is_ascii_alphabetic() || b"-_".contains(&b));
    let counted = digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit());
    (named && at > 0 && counted).then(|| format!("{prefix}{{id}}"))
}

fn file_name(segment: &str) -> Option<(&str, &str)> {
    let (stem, extension) = segment.rsplit_once('.')?;
    let plain = (1..=5).contains(&extension.len())
        && extension.bytes().all(|b| b.is_ascii_alphanumeric())
        && extension.bytes().any(|b| b.is_ascii_alphabetic());
    (plain && !stem.is_empty()).then_some((stem, extension))
}

/// The name of a file with its content hash replaced: `app.3f2a9c81` is `app.{hash}`.
fn file_stem(stem: &str) -> String {
    if is_number(stem) || is_uuid(stem) || is_ulid(stem) {
        return "{id}".to_owned();
    }
    let hashed: Vec<String> = stem
        .split('.')
        .map(|part| {
            if is_content_hash(part) {
                return "{hash}".to_owned();
            }
            match part.rsplit_once('-') {
                Some((name, hash)) if is_content_hash(hash) => format!("{name}-{{hash}}"),
                _ => part.to_owned(),
            }
        })
        .collect();
    let stem = hashed.join(".");
    if stem.len() > LONGEST_SEGMENT {
        "{token}".to_owned()
    } else {
        stem
    }
}

/// At least eight letters and digits, as bundlers append to file names.
fn is_content_hash(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    (part.len() >= 8 && part.bytes().all(|b| b.is_ascii_alphanumeric()) && digits > 0)
        && (digits < part.len())
        && (is_hex(part, 8) || switches(part) >= 2)
}

/// Digits, with the punctuation of versions, ranges and coordinates between them.
fn is_number(segment: &str) -> bool {
    segment.bytes().any(|b| b.is_ascii_digit())
        && segment
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.,:".contains(&b))
}

/// `2026-11-23`, alone or with a time of day behind it.
fn is_date(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let day = [0, 1, 2, 3, 5, 6, 8, 9].into_iter().all(digit)
        && bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-');
    let rest = |b: &u8| b.is_ascii_digit() || b"Tt:.%+-Zz".contains(b);
    day && (bytes.len() == 10 || (b"Tt".contains(&bytes[10]) && bytes[11..].iter().all(rest)))
}

/// Whether the text is a UUID: 8-4-4-4-12 hexadecimal digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Twenty-six characters of Crockford's base 32, beginning with 0 to 7.
fn is_ulid(text: &str) -> bool {
    let crockford = |b: u8| b.is_ascii_alphanumeric() && !b"ILOUilou".contains(&b);
    text.len() == 26 && text.as_bytes()[0].wrapping_sub(b'0') < 8 && text.bytes().all(crockford)
}

/// At least so many hexadecimal digits, one of them a decimal digit.
pub(super) fn is_hex(text: &str, least: usize) -> bool {
    text.len() >= least
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b.is_ascii_digit())
}

/// Whether the text looks drawn at random: at least 20 characters of base 64 or its kin, with
/// a run of 16 letters and digits in which they change places at least three times.
pub(super) fn is_token(text: &str) -> bool {
    text.len() >= 20
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_+/=.~".contains(&b))
        && text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|run| run.len() >= 16 && switches(run) >= 3)
}

/// How often letters and digits take turns.
fn switches(text: &str) -> usize {
    let bytes = text.as_bytes();
    bytes
        .windows(2)
        .filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit())
        .count()
}

/// Keeps the number of endpoints bounded: beyond the limit, all new ones are [`OTHER`].
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    known: BTreeSet<String>,
}

impl Limiter {
    /// The endpoint itself while there is room or when it is known, else [`OTHER`].
    pub fn admit(&mut self, endpoint: String) -> String {
        if endpoint == OTHER || self.known.contains(&endpoint) {
            return endpoint;
        }
        if self.known.len() >= MOST_ENDPOINTS {
            return OTHER.to_owned();
        }
        self.known.insert(endpoint.clone());
        endpoint
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_become_placeholders_and_names_stay() {
        for (path, expected) in [
            ("/", "/"),
            ("", "/"),
            ("/users/123", "/users/{id}"),
            ("/users/123/", "/users/{id}/"),
            ("/users/123/orders?page=2#x", "/users/{id}/orders"),
            ("/users/me", "/users/me"),
            ("/api/v1/items", "/api/v1/items"),
            ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/{id}"),
            ("/o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/o/{id}"),
            ("/c/9fceb02d0ae598e95dc970b74767f193", "/c/{hash}"),
            ("/d/2026-11-23", "/d/{date}"),
            ("/d/2026-11-23T10:00:00Z/x", "/d/{date}/x"),
            ("/geo/52.5,-13.4", "/geo/{id}"),
            ("/order-123", "/order-{id}"),
            ("/order-12", "/order-12"),
            ("/u/bob@example.com", "/u/{email}"),
            ("/u/bob%40example.com", "/u/{email}"),
            ("/static/app.3f2a9c81.js", "/static/app.{hash}.js"),
            ("/static/index-Bx1Y2abc.css", "/static/index-{hash}.css"),
            ("/static/jquery-3.7.1.min.js", "/static/jquery-3.7.1.min.js"),
            ("/img/1234.png", "/img/{id}.png"),
            ("/t/dGhpc0lz4QSB2ZXJ5IGxvbmc1dG9rZW4", "/t/{token}"),
            (
                "/how-to-load-test-your-service",
                "/how-to-load-test-your-service",
            ),
            ("/cart;jsessionid=AB12/items", "/cart/items"),
            ("/users/{id}", "/users/{id}"),
            ("//evil/x", "//evil/x"),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
        assert_eq!(endpoint(&Method::get(), "/users/7?x"), "GET /users/{id}");
        let deep = template(&"/a".repeat(40));
        assert_eq!(deep, format!("{}/{{rest}}", "/a".repeat(16)));
        assert_eq!(template(&format!("/{}", "a".repeat(65))), "/{token}");
    }

    #[test]
    fn the_number_of_endpoints_is_bounded() {
        let mut limiter = Limiter::default();
        for i in 0..MOST_ENDPOINTS {
            assert_ne!(limiter.admit(format!("GET /{i}x")), OTHER);
        }
        assert_eq!(limiter.admit("GET /new".into()), OTHER);
        assert_eq!(limiter.admit("GET /0x".into()), "GET /0x");
        assert_eq!(limiter.admit(OTHER.into()), OTHER);
    }

    proptest! {
        #[test]
        fn a_template_of_any_text_is_a_path_and_its_own_template(
            path in prop_oneof![any::<String>(), "(/[a-zA-Z0-9@.;{}_%-]{0,30}){0,20}"]
        ) {
            let once = template(&path);
            prop_assert!(once.starts_with('/'));
            prop_assert_eq!(template(&once), once);
        }

        #[test]
        fn labels_are_bounded(path in "(/[a-f0-9.-]{0,99}){0,40}") {
            prop_assert!(template(&path).len() <= 17 * 80);
        }
    }
}
