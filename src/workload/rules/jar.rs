//! The cookies of one client of one side: RFC 6265 as far as a load needs it.
//!
//! A side stands in for the recorded host, over TLS or not: `Domain`, `Secure` and `SameSite` are
//! not looked at. Times are looked at once, when a cookie is set: one that expires while a client
//! is under way is not taken away from it.

use jiff::fmt::rfc2822::DateTimeParser;

/// More cookies than these are not kept of one client; the oldest goes.
const MOST: usize = 50;
/// Longer cookies are not kept, in bytes of name and value.
const LONGEST: usize = 4_096;

/// Cookies in the order in which they were first set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Jar(Vec<Cookie>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Jar {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the value of a `Set-Cookie` field that came in answer to a request of this path, at
    /// this time in seconds since 1970.
    pub(super) fn set(&mut self, field: &str, path: &str, now_s: i64) {
        let mut parts = field.split(';');
        let Some((name, value)) = pair(parts.next().unwrap_or_default()) else {
            return;
        };
        let (mut own_path, mut max_age, mut expires) = (None, None, None);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => own_path = Some(value.to_owned()),
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => expires = instant_s(value).or(expires),
                _ => {}
            }
        }
        // Max-Age has precedence.
        let is_over = match (max_age, expires) {
            (Some(seconds), _) => seconds <= 0,
            (None, Some(at_s)) => at_s <= now_s,
            (None, None) => false,
        };
        let path = own_path.unwrap_or_else(|| folder(path));
        if is_over {
            let is_it = |it: &Cookie| it.name == name && it.path == path;
            self.0.retain(|it| !is_it(it));
        } else {
            self.put(name, value, path);
        }
    }

    /// Sets a cookie for all paths.
    pub(super) fn put_everywhere(&mut self, name: &str, value: &str) {
        self.put(name, value, "/".to_owned());
    }

    fn put(&mut self, name: &str, value: &str, path: String) {
        if name.len() + value.len() > LONGEST {
            return;
        }
        let mut own = self.0.iter_mut();
        if let Some(cookie) = own.find(|it| it.name == name && it.path == path) {
            value.clone_into(&mut cookie.value);
            return;
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path,
        });
    }

    /// What a request of this path carries, behind the cookies that each request of the side
    /// carries; those have precedence. Nothing when there is none of the jar.
    pub(super) fn header(&self, path: &str, fixed: Option<&str>) -> Option<String> {
        let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
        let fixed = fixed.unwrap_or_default();
        let is_fixed = |name: &str| fixed.split(';').filter_map(pair).any(|(it, _)| it == name);
        let fits = |it: &&Cookie| is_below(path, &it.path) && !is_fixed(&it.name);
        let mut found: Vec<&Cookie> = self.0.iter().filter(fits).collect();
        if found.is_empty() {
            return None;
        }
        // The longest path comes first; what was set first among equals.
        found.sort_by_key(|it| std::cmp::Reverse(it.path.len()));
        let own = found.iter().map(|it| format!("{}={}", it.name, it.value));
        let fixed = Some(fixed.trim().trim_end_matches(';').to_owned());
        let fixed = fixed.filter(|it| !it.is_empty());
        Some(fixed.into_iter().chain(own).collect::<Vec<_>>().join("; "))
    }
}

/// Name and value of a cookie, without blanks around them.
fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let sound = |text: &str| !text.chars().any(|c| c.is_control() || c == ';');
    (!name.is_empty() && sound(name) && sound(value)).then_some((name, value))
}

/// The default path of a cookie (RFC 6265 section 5.1.4).
fn folder(path: &str) -> String {
    let path = &path[..path.find(['?', '#']).unwrap_or(path.len())];
    match path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(at) => path[..at].to_owned(),
    }
}

/// Whether a cookie of this path belongs to the request (section 5.1.4).
fn is_below(request: &str, cookie: &str) -> bool {
    let Some(rest) = request.strip_prefix(cookie) else {
        return false;
    };
    rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/')
}

/// A date as cookies have it, with dashes or without, in seconds since 1970.
fn instant_s(text: &str) -> Option<i64> {
    // The day of the week may be long, or wrong, and nobody asks for it.
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let date = date.trim().replace('-', " ");
    let parsed = DateTimeParser::new().parse_timestamp(&date);
    parsed.ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_037_466;

    fn jar(fields: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for field in fields {
            jar.set(field, "/shop/cart?x=/y/z", NOW);
        }
        jar
    }

    #[test]
    fn cookies_are_set_replaced_and_taken_away() {
        for (fields, expected) in [
            (&["sid=1; Path=/; HttpOnly; Secure"][..], Some("sid=1")),
            (&["sid=1; Path=/", "sid=2; path=/"], Some("sid=2")),
            (&["a=1;Path=/", "b=\"x y\"; Path=/"], Some("a=1; b=\"x y\"")),
            (&["a=1", "b=2; Path=/"], Some("a=1; b=2")),
            (&["b=2; Path=/", "a=1"], Some("a=1; b=2")),
            (&["a=1; Path=/", "a=; Path=/; Max-Age=0"], None),
            (
                &[
                    "a=1; Path=/",
                    "a=x; Path=/; Expires=Thu, 01-Jan-1970 00:00:00 GMT",
                ],
                None,
            ),
            (
                &["a=1; Path=/; Expires=Wed, 01 Jan 2098 00:00:00 GMT"],
                Some("a=1"),
            ),
            (
                &["a=1; Path=/; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"],
                Some("a=1"),
            ),
            (&["a=1; Path=/; Expires=Thursday, soon"], Some("a=1")),
            (&["a=1; Domain=shop.example; Path=/"], Some("a=1")),
            (&["nothing", "=x", ";", "a\u{1}=x"], None),
            (&["a=1; Path=/admin"], None),
        ] {
            let found = jar(fields).header("/shop/list", None);
            assert_eq!(found.as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_path_holds_what_is_below_it() {
        let jar = jar(&["a=1; Path=/shop"]);
        for (path, is_sent) in [
            ("/shop", true),
            ("/shop?x", true),
            ("/shop/a", true),
            ("/shopping", false),
            ("/", false),
        ] {
            assert_eq!(jar.header(path, None).is_some(), is_sent, "{path}");
        }
        assert_eq!(folder("/login"), "/");
        assert_eq!(folder("/a/b?c=/d"), "/a");
    }

    #[test]
    fn what_each_request_carries_comes_first_and_wins() {
        let jar = jar(&["sid=own; Path=/", "b=2; Path=/"]);
        let header = jar.header("/", Some("gate=open; sid=fixed;"));
        assert_eq!(header.as_deref(), Some("gate=open; sid=fixed; b=2"));
        assert_eq!(Jar::default().header("/", Some("gate=open")), None);
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = Jar::default();
        for n in 0..200 {
            jar.set(&format!("c{n}=1; Path=/"), "/", NOW);
        }
        jar.set(&format!("long={}; Path=/", "x".repeat(LONGEST)), "/", NOW);
        assert_eq!(jar.0.len(), MOST);
        let all = jar.header("/", None).unwrap();
        assert!(all.ends_with("c199=1") && !all.contains("c0=") && !all.contains("long"));
    }
}
