//! Which recorded requests belong to one client.
//!
//! A client is told by a session cookie, by the subject of its credentials, by a header field of
//! the user's choice, or by its address: the first of these ways that a request offers decides.
//! A cookie that an answer sets belongs to the client that the answer went to, so that a visit is
//! one session from its first request on, through log-in and renewed cookies. Values are kept as
//! keyed hashes only, and what leaves this file is a number.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, COOKIE, SET_COOKIE},
};

/// More values are not remembered: what is known is forgotten then, and clients that go on get a
/// new session.
const MOST_VALUES: usize = 1 << 20;

/// One way to tell clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionBy {
    /// A cookie of this name, or any that is named like a session.
    Cookie(Option<String>),
    /// The subject of a JSON Web Token, the user of a basic log-in, or the credentials as a whole.
    Auth,
    /// The address of the client.
    Address,
    /// The value of a header field.
    Header(String),
}

impl FromStr for SessionBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (way, name) = match text.split_once(':') {
            Some((way, name)) => (way, Some(name.trim()).filter(|name| !name.is_empty())),
            None => (text, None),
        };
        match (way.trim(), name) {
            ("cookie", name) => Ok(Self::Cookie(name.map(str::to_owned))),
            ("auth", None) => Ok(Self::Auth),
            ("address", None) => Ok(Self::Address),
            ("header", Some(name)) => Ok(Self::Header(name.to_ascii_lowercase())),
            _ => Err(format!(
                "`{text}` is no way to tell clients apart; there are cookie, cookie:NAME, auth, \
                 address and header:NAME"
            )),
        }
    }
}

impl fmt::Display for SessionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(None) => f.write_str("cookie"),
            Self::Cookie(Some(name)) => write!(f, "cookie:{name}"),
            Self::Auth => f.write_str("auth"),
            Self::Address => f.write_str("address"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

/// What a request says of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is this one.
    Known(u32),
    /// It comes from an address, and its answer may say more.
    From(u64),
}

/// The clients seen so far, numbered from 1 in the order of their first request or answer.
#[derive(Debug)]
pub(super) struct Sessions {
    ways: Vec<SessionBy>,
    hasher: RandomState,
    known: HashMap<u64, u32>,
    last: u32,
    has_forgotten: bool,
}

impl Sessions {
    /// Tells clients apart in these ways, the first that applies; by address where none does.
    pub(super) fn new(ways: Vec<SessionBy>) -> Self {
        Self {
            ways,
            hasher: RandomState::new(),
            known: HashMap::new(),
            last: 0,
            has_forgotten: false,
        }
    }

    /// How many sessions there are.
    pub(super) fn count(&self) -> u32 {
        self.last
    }

    /// Whether there were more clients than are remembered, so that some sessions are in pieces.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// What a request says of its client, before its answer is known.
    pub(super) fn claim(&mut self, headers: &HeaderMap, from: IpAddr) -> Claim {
        let by_cookies = self.cookie_way().is_some();
        for way in self.ways.clone() {
            let values = match &way {
                SessionBy::Cookie(name) => self.cookies(headers, name.as_deref()),
                SessionBy::Auth => self.hashed("auth", subject(headers)),
                SessionBy::Header(name) => {
                    let value = headers
                        .get(name.as_str())
                        .map(|value| value.as_bytes().to_vec());
                    self.hashed("header", value)
                }
                SessionBy::Address => break,
            };
            if !values.is_empty() {
                return Claim::Known(self.of(&values));
            }
        }
        let address = self.hash("address", from.to_canonical().to_string().as_bytes());
        if by_cookies {
            Claim::From(address)
        } else {
            Claim::Known(self.of(&[address]))
        }
    }

    /// The session of a request whose answer has these header fields; `None` when there was none.
    pub(super) fn settle(&mut self, claim: Claim, answer: Option<&HeaderMap>) -> u32 {
        let set = answer.map_or(Vec::new(), |headers| self.set_cookies(headers));
        match claim {
            Claim::Known(session) => {
                for value in set {
                    self.bind(value, session);
                }
                session
            }
            Claim::From(address) if set.is_empty() => self.of(&[address]),
            // Many clients may share an address; who gets a cookie is one of its own.
            Claim::From(_) => self.of(&set),
        }
    }

    /// The session that one of the values belongs to, or a new one; all of them belong to it then.
    fn of(&mut self, values: &[u64]) -> u32 {
        let known = values.iter().find_map(|value| self.known.get(value));
        let session = known.copied().unwrap_or_else(|| {
            self.last = self.last.saturating_add(1);
            self.last
        });
        for value in values {
            self.bind(*value, session);
        }
        session
    }

    fn bind(&mut self, value: u64, session: u32) {
        if self.known.len() >= MOST_VALUES && !self.known.contains_key(&value) {
            self.known.clear();
            self.has_forgotten = true;
        }
        self.known.insert(value, session);
    }

    /// The way by cookie, when it is one of them.
    fn cookie_way(&self) -> Option<&SessionBy> {
        let is_cookie = |way: &&SessionBy| matches!(way, SessionBy::Cookie(_));
        self.ways.iter().find(is_cookie)
    }

    fn cookies(&self, headers: &HeaderMap, name: Option<&str>) -> Vec<u64> {
        let fields = headers.get_all(COOKIE).iter();
        let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
        self.chosen(pairs, name)
    }

    fn set_cookies(&self, headers: &HeaderMap) -> Vec<u64> {
        let Some(SessionBy::Cookie(name)) = self.cookie_way() else {
            return Vec::new();
        };
        let fields = headers.get_all(SET_COOKIE).iter();
        let pairs = fields.filter_map(|field| field.as_bytes().split(|byte| *byte == b';').next());
        self.chosen(pairs, name.as_deref())
    }

    /// The hashes of the cookies that tell a client: those of the name, or named like a session.
    fn chosen<'a>(&self, pairs: impl Iterator<Item = &'a [u8]>, wanted: Option<&str>) -> Vec<u64> {
        let pairs = pairs.filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            let name = std::str::from_utf8(&pair[..at]).ok()?.trim();
            let is_wanted = wanted.map_or_else(|| is_session(name), |wanted| wanted == name);
            let value = pair[at + 1..].trim_ascii();
            // An empty value takes a cookie back.
            (is_wanted && !value.is_empty()).then_some((name, value))
        });
        let hashes = pairs.map(|(name, value)| self.hasher.hash_one(("cookie", name, value)));
        hashes.collect()
    }

    fn hashed(&self, kind: &str, value: Option<Vec<u8>>) -> Vec<u64> {
        let value = value.filter(|value| !value.is_empty());
        value.map_or(Vec::new(), |value| vec![self.hash(kind, &value)])
    }

    fn hash(&self, kind: &str, value: &[u8]) -> u64 {
        self.hasher.hash_one((kind, "", value))
    }
}

/// Whether a cookie of this name is likely to tell one client from another. Tokens against
/// forgery change with each form and do not.
fn is_session(name: &str) -> bool {
    let flat: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let has = |parts: &[&str]| parts.iter().any(|part| flat.contains(part));
    !has(&["csrf", "xsrf"])
        && (flat.ends_with("sid") || has(&["sess", "auth", "token", "jwt", "login"]))
}

/// Who the credentials of a request belong to, as far as they tell without being checked.
fn subject(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let whole = Some(value.to_vec());
    let Ok(text) = std::str::from_utf8(value) else {
        return whole;
    };
    let (scheme, credentials) = text.trim().split_once(' ').unwrap_or((text, ""));
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = STANDARD.decode(credentials).unwrap_or_default();
        let user = decoded.split(|byte| *byte == b':').next();
        return user
            .filter(|user| !user.is_empty())
            .map_or(whole, |user| Some(user.to_vec()));
    }
    // A token is renewed every few minutes; its subject stays.
    let claims = credentials.split('.').nth(1);
    let claims = claims.and_then(|claims| BASE64_URL_SAFE_NO_PAD.decode(claims).ok());
    let claims = claims.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    match claims
        .as_ref()
        .map(|claims| (&claims["iss"], &claims["sub"]))
    {
        Some((issuer, subject)) if !subject.is_null() => {
            Some(format!("{issuer} {subject}").into_bytes())
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn sessions(ways: &str) -> Sessions {
        Sessions::new(ways.split(',').map(|way| way.parse().unwrap()).collect())
    }

    type Fields<'a> = &'a [(&'static str, &'a str)];

    /// The session of one exchange after the other, each the fields of its request and answer.
    fn seen(ways: &str, exchanges: &[(Fields<'_>, Fields<'_>)]) -> Vec<u32> {
        let mut sessions = sessions(ways);
        let one = |(request, answer): &(Fields<'_>, Fields<'_>)| {
            let claim = sessions.claim(&headers(request), HERE);
            sessions.settle(claim, Some(&headers(answer)))
        };
        exchanges.iter().map(one).collect()
    }

    #[test]
    fn a_visit_is_one_session_from_its_first_request_on() {
        let found = seen(
            "cookie,auth,address",
            &[
                (&[], &[("set-cookie", "sessionid=a; Path=/; HttpOnly")]),
                (&[], &[("set-cookie", "sessionid=b; Path=/")]),
                (&[("cookie", "theme=dark; sessionid=a")], &[]),
                // The log-in renews the cookie.
                (
                    &[("cookie", "sessionid=b")],
                    &[("set-cookie", "sessionid=c")],
                ),
                (
                    &[("cookie", "sessionid=c")],
                    &[("set-cookie", "sessionid=; Max-Age=0")],
                ),
                (&[("cookie", "sessionid=a")], &[]),
                // Nobody's: told by address.
                (&[], &[]),
                (&[("cookie", "theme=dark")], &[]),
            ],
        );
        assert_eq!(found, [1, 2, 1, 2, 2, 1, 3, 3]);
    }

    #[test]
    fn a_second_cookie_joins_the_session_of_the_first() {
        let found = seen(
            "cookie",
            &[
                (
                    &[("cookie", "PHPSESSID=a")],
                    &[("set-cookie", "auth_token=t")],
                ),
                (&[("cookie", "auth_token=t")], &[]),
                (&[("cookie", "csrf_token=x; PHPSESSID=z")], &[]),
                (&[("cookie", "csrf_token=x; PHPSESSID=a")], &[]),
            ],
        );
        assert_eq!(found, [1, 1, 2, 1]);
    }

    #[test]
    fn credentials_tell_by_their_subject() {
        let jwt = |sub: &str, nonce: &str| {
            let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
            let claims = format!(r#"{{"sub":"{sub}","jti":"{nonce}"}}"#);
            format!("Bearer {}.{}.x", encode("{}"), encode(&claims))
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let found = seen(
            "auth",
            &[
                (&[("authorization", &jwt("ann", "1"))], &[]),
                (&[("authorization", &jwt("bob", "2"))], &[]),
                (
                    &[("authorization", &jwt("ann", "3"))],
                    &[("set-cookie", "sid=a")],
                ),
                (&[("authorization", &basic("ann:pw"))], &[]),
                (&[("authorization", &basic("ann:other"))], &[]),
                (&[("authorization", "Bearer opaque-1")], &[]),
                (&[("authorization", "Bearer opaque-2")], &[]),
                (&[("authorization", "nonsense")], &[]),
                (&[("authorization", "Basic !!!")], &[]),
            ],
        );
        assert_eq!(found, [1, 2, 1, 3, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn addresses_and_chosen_fields_tell_too() {
        let mut sessions = sessions("address");
        let mut of = |address: &str| {
            let claim = sessions.claim(&HeaderMap::new(), address.parse().unwrap());
            sessions.settle(claim, None)
        };
        let found = ["10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1", "::1"].map(&mut of);
        assert_eq!(found, [1, 2, 1, 3]);
        let found = seen(
            "header:X-Client",
            &[
                (&[("x-client", "a")], &[]),
                (&[("x-client", "b")], &[]),
                (&[("x-client", "a")], &[]),
                (&[], &[]),
                (&[("x-client", "")], &[]),
            ],
        );
        assert_eq!(found, [1, 2, 1, 3, 3]);
        let found = seen(
            "cookie:visitor",
            &[
                (&[("cookie", "visitor=1; sessionid=a")], &[]),
                (&[("cookie", "visitor=1; sessionid=b")], &[]),
                (&[("cookie", "sessionid=b")], &[]),
            ],
        );
        assert_eq!(found, [1, 1, 2]);
    }

    #[test]
    fn ways_are_read_and_shown_as_written() {
        for text in ["cookie", "cookie:sid", "auth", "address", "header:x-client"] {
            assert_eq!(text.parse::<SessionBy>().unwrap().to_string(), text);
        }
        for text in ["", "cookies", "header", "header:", "address:1", "auth:x"] {
            let error = text.parse::<SessionBy>().unwrap_err();
            assert!(error.contains("header:NAME"), "{error}");
        }
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut sessions = sessions("header:x");
        for number in 0..MOST_VALUES + 10 {
            let value = number.to_string();
            sessions.of(&[sessions.hash("header", value.as_bytes())]);
        }
        assert!(sessions.has_forgotten());
        assert_eq!(sessions.known.len(), 10);
    }
}
