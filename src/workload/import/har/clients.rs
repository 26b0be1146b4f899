//! Which requests of a HAR are those of one client, and so one session of the workload.
//!
//! A browser exports what one profile did. Its file is one client, over all pages and
//! connections: only so do cookies and values of answers reach the requests that carried them.
//! A proxy has seen many clients. They are told apart by what a log-in gives them, and where
//! there is none by an address that was passed on, or by the connection.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{entry::text, stream::Entry};
use crate::workload::{
    Header,
    import::{gather::Found, message::header},
    redact::names::is_sensitive,
};

/// So often a log-in has to go back to a value it had before. Somebody who logs in and out gets
/// new values, and two requests that overtake each other make one or two.
const TURNS: usize = 3;
/// A shorter value, such as `auth=1`, may be that of everybody. The longest always counts.
const SHORT: usize = 8;

/// Schemes whose credentials are others for each request.
const SIGNING: [&str; 6] = [
    "digest",
    "aws4-hmac-sha256",
    "oauth",
    "hawk",
    "negotiate",
    "ntlm",
];

/// What is known of the file as a whole.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Who wrote it, in lower case.
    pub(super) creator: String,
    /// Whether it names a browser.
    pub(super) has_browser: bool,
    /// Whether it has pages.
    pub(super) has_pages: bool,
}

impl Source {
    /// Whether all of it comes from one browser. Requests may name pages that are not listed.
    fn is_browser(&self, has_pages: bool) -> bool {
        let is = |names: &[&str]| names.iter().any(|name| self.creator.contains(name));
        // Some proxies call the programs that they have seen pages.
        let proxies = [
            "mitmproxy",
            "fiddler",
            "charles",
            "http toolkit",
            "burp",
            "zap",
            "proxyman",
            "whistle",
        ];
        let browsers = [
            "webinspector",
            "webkit",
            "firefox",
            "chrom",
            "safari",
            "edge",
            "playwright",
            "puppeteer",
        ];
        !is(&proxies) && (self.has_pages || has_pages || self.has_browser || is(&browsers))
    }
}

/// How the clients were told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Not at all: the file is that of one browser.
    Browser,
    /// By log-ins, though a browser has written the file.
    Turns,
    /// By log-ins.
    LogIn,
}

impl By {
    /// A sentence for the account.
    pub(super) fn note(self) -> &'static str {
        match self {
            Self::Browser => "a browser has written the file, so all of it is one session",
            Self::Turns => {
                "a browser has written the file, but its log-ins take turns: sessions are told \
                 apart by cookies and credentials, else by connection"
            }
            Self::LogIn => {
                "sessions are told apart by cookies and credentials of a log-in, else by the \
                 client's address or connection"
            }
        }
    }
}

/// A value of a log-in, as numbers: of its name on its host, and of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    name: u64,
    value: u64,
}

/// What one request says of its client.
#[derive(Debug)]
struct Signs {
    started_ns: Option<u64>,
    /// Of its own, the longest first.
    carried: Vec<Mark>,
    /// Set by its answer.
    given: Vec<Mark>,
    /// The address or connection, else the page.
    place: Option<u64>,
}

/// The signs of all requests, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Clients {
    list: Vec<Signs>,
    has_pages: bool,
}

impl Clients {
    /// Notes a request with the header fields of its answer.
    pub(super) fn push(&mut self, found: &Found, entry: &Entry, answer: &[Header]) {
        let headers = &found.request.headers;
        let named = |name: &str| {
            let value = text(&entry.value(name).ok()?)?;
            (!value.is_empty()).then_some(value)
        };
        self.has_pages |= named("pageref").is_some();
        let passed_on = ["x-forwarded-for", "x-real-ip"];
        let passed_on = passed_on.iter().find_map(|name| header(headers, name));
        let place = passed_on.map(|address| {
            let agent = header(headers, "user-agent").unwrap_or_default();
            number(&[address, agent])
        });
        let connection = || named("connection").or_else(|| named("pageref"));
        self.list.push(Signs {
            started_ns: found.started_ns,
            carried: carried(&found.host, headers),
            given: given(&found.host, answer),
            place: place.or_else(|| Some(number(&[&connection()?]))),
        });
    }

    /// A number for the client of each request, in the order in which they were found.
    pub(super) fn tell(&self, source: &Source) -> (By, Vec<u64>) {
        let mut order: Vec<usize> = (0..self.list.len()).collect();
        order.sort_by_key(|index| self.list[*index].started_ns);
        let by = match source.is_browser(self.has_pages) {
            true if !self.take_turns(&order) => return (By::Browser, vec![0; self.list.len()]),
            true => By::Turns,
            false => By::LogIn,
        };
        (by, self.by_log_in(&order))
    }

    /// Whether a log-in goes back, time and again, to a value that it had before.
    fn take_turns(&self, order: &[usize]) -> bool {
        let mut last: HashMap<u64, u64> = HashMap::new();
        let mut before: HashSet<u64> = HashSet::new();
        let mut turns: HashMap<u64, usize> = HashMap::new();
        let all = order.iter().map(|index| &self.list[*index].carried);
        // A cookie of one name for each of two paths is two cookies.
        let single = all.flat_map(|carried| {
            let times = |name| carried.iter().filter(|it| it.name == name).count();
            carried.iter().filter(move |it| times(it.name) == 1)
        });
        for mark in single {
            let is_new = before.insert(mark.value);
            if last.insert(mark.name, mark.value) != Some(mark.value) && !is_new {
                *turns.entry(mark.name).or_default() += 1;
            }
        }
        turns.values().any(|turns| *turns >= TURNS)
    }

    /// Who has carried or got a value is its owner; who carries none is told by the connection.
    fn by_log_in(&self, order: &[usize]) -> Vec<u64> {
        let mut owners: HashMap<u64, u64> = HashMap::new();
        let mut strangers: HashMap<Option<u64>, u64> = HashMap::new();
        let mut clients = vec![0; self.list.len()];
        let mut next = 0;
        for index in order {
            let signs = &self.list[*index];
            let is_stranger = signs.carried.is_empty();
            let mut known = signs.carried.iter().filter_map(|it| owners.get(&it.value));
            let known = if is_stranger {
                strangers.get(&signs.place)
            } else {
                known.next()
            };
            let client = known.copied().unwrap_or(next);
            next = next.max(client + 1);
            clients[*index] = client;
            for mark in &signs.carried {
                owners.entry(mark.value).or_insert(client);
            }
            // Nobody knows whose a request is that has neither a log-in nor a place.
            if !is_stranger || signs.place.is_some() {
                for mark in &signs.given {
                    owners.entry(mark.value).or_insert(client);
                }
            }
            if is_stranger {
                strangers.insert(signs.place, client);
                // Who comes next on this connection without a log-in is somebody else.
                if !signs.given.is_empty() && signs.place.is_some() {
                    strangers.remove(&signs.place);
                }
            }
        }
        clients
    }
}

/// The log-in that a request carries: cookies with a name that tells of one, and credentials.
fn carried(host: &str, headers: &[Header]) -> Vec<Mark> {
    let cookies = headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let cookies = cookies.flat_map(|(_, value)| value.split(';'));
    let mut found: Vec<(&str, &str)> = cookies.filter_map(cookie).collect();
    if let Some(login) = header(headers, "authorization") {
        let (scheme, value) = login.split_once(' ').unwrap_or((" ", login));
        if !SIGNING.contains(&scheme.to_ascii_lowercase().as_str()) {
            found.push((scheme, value));
        }
    }
    marks(host, found)
}

/// The log-in that an answer gives.
fn given(host: &str, answer: &[Header]) -> Vec<Mark> {
    let set = answer
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    // Some exporters join several by line breaks.
    let set = set.flat_map(|(_, value)| value.lines());
    let found = set.filter_map(|line| cookie(line.split(';').next()?));
    marks(host, found.collect())
}

fn cookie(pair: &str) -> Option<(&str, &str)> {
    let (name, value) = pair.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    (!value.is_empty() && is_sensitive(name)).then_some((name, value))
}

fn marks(host: &str, mut found: Vec<(&str, &str)>) -> Vec<Mark> {
    found.sort_by_key(|(_, value)| Reverse(value.len()));
    let is_telling =
        |(index, (_, value)): &(usize, &(&str, &str))| *index == 0 || value.len() >= SHORT;
    let marks = found.iter().enumerate().filter(is_telling);
    marks
        .map(|(_, (name, value))| Mark {
            name: number(&[host, name]),
            value: number(&[host, name, value]),
        })
        .collect()
}

fn number(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests a second apart: connection, cookies, and the cookie that the answer sets.
    fn clients(creator: &str, rows: &[(&str, &str, &str)]) -> (By, Vec<u64>) {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let list = rows
            .iter()
            .zip(0..)
            .map(|((place, cookies, set), second)| Signs {
                started_ns: Some(second),
                carried: carried("a", &[field("Cookie", cookies)]),
                given: given("a", &[field("Set-Cookie", set)]),
                place: (!place.is_empty()).then(|| number(&[place])),
            });
        let clients = Clients {
            list: list.collect(),
            has_pages: false,
        };
        let source = Source {
            creator: creator.to_owned(),
            ..Source::default()
        };
        clients.tell(&source)
    }

    #[test]
    fn a_browser_is_one_client_unless_log_ins_take_turns() {
        let log_in = [
            ("1", "sid=a", ""),
            ("2", "sid=b", ""),
            ("3", "", ""),
            ("1", "sid=a", ""),
            ("2", "sid=b; theme=dark", ""),
            ("2", "sid=c", ""),
            ("2", "sid=c", ""),
        ];
        let one = (By::Browser, vec![0; 7]);
        assert_eq!(clients("webinspector", &log_in), one);
        let paths = [("1", "sid=of-the-shop; sid=of-the-desk", "")].repeat(9);
        assert_eq!(clients("chromium", &paths).0, By::Browser);
        let both = [("1", "sid=a", ""), ("2", "sid=b", "")].repeat(3);
        assert_eq!(clients("firefox", &both), (By::Turns, [0, 1].repeat(3)));
    }

    #[test]
    fn a_proxy_tells_clients_apart_by_log_in_over_all_connections() {
        let rows = [
            ("1", "", "sid=anon; Path=/"),
            ("2", "sid=anon", "session_id=ann-4711; HttpOnly"),
            ("1", "theme=dark", ""),
            ("3", "session_id=ann-4711; sid=x", ""),
            ("3", "session_id=bob-4712; auth=1", ""),
            ("4", "session_id=cid-4713; auth=1", ""),
            ("1", "theme=dark", ""),
        ];
        let (by, clients) = clients("mitmproxy", &rows);
        assert_eq!((by, clients), (By::LogIn, vec![0, 0, 1, 0, 2, 3, 1]));
    }

    #[test]
    fn without_a_place_nobody_owns_what_a_stranger_was_given() {
        let rows = [
            ("", "", "sid=ann"),
            ("", "", "sid=bob"),
            ("", "sid=ann", ""),
            ("", "sid=bob", ""),
        ];
        assert_eq!(clients("", &rows).1, [0, 0, 1, 2]);
    }

    #[test]
    fn signed_requests_are_told_apart_by_their_connection() {
        for (login, count) in [("Digest response=\"1\"", 0), ("Bearer a1", 1), ("a1", 1)] {
            let headers = [("Authorization".to_owned(), login.to_owned())];
            assert_eq!(carried("a", &headers).len(), count, "{login}");
        }
    }

    #[test]
    fn makers_are_known_by_their_names() {
        let source = |creator: &str, has_pages| Source {
            creator: creator.to_owned(),
            has_browser: false,
            has_pages,
        };
        assert!(source("webinspector", false).is_browser(false));
        assert!(source("browsertime", true).is_browser(false));
        assert!(!source("http toolkit", true).is_browser(false));
        assert!(!source("har-writer", false).is_browser(false));
        assert!(source("", false).is_browser(true));
    }
}
