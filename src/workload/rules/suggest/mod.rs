//! Candidates for rules: a value in a recorded answer that a later request of the same client
//! carries.
//!
//! Importers and the recorder have the answers in passing. What is kept of them is a number for
//! each value, in memory; what is written are names of endpoints and places, and only such as hold
//! no value themselves.

mod values;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use super::super::Request;
use values::{Carried, carried, offered};

/// Values of all answers together that are remembered.
const MOST_OFFERED: usize = 500_000;
/// Exchanges and values of requests together that are looked at; a recording may go on for days.
const MOST_HEARD: usize = 500_000;
/// Names of endpoints, and of places, that are told apart.
const MOST_NAMES: usize = 20_000;
/// Suggestions that are kept.
const MOST: usize = 50;
/// How many of the requests must carry what was answered before.
const LEAST_SHARE_ONE_IN: u64 = 2;

/// A rule that would fit the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suggestion {
    /// The endpoint whose answers have the value.
    pub from: String,
    /// Where they have it.
    pub take: String,
    /// The endpoint whose requests carry it.
    pub into: String,
    /// Where they carry it.
    pub put: String,
    /// How many requests carried what had been answered before.
    pub matched: u64,
    /// How many requests have the place.
    pub seen: u64,
}

impl fmt::Display for Suggestion {
    /// The rule as it is written in `proofload.toml`, with a remark above it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| serde_json::to_string(text).expect("text always serialises");
        let name: String = self
            .put
            .split(" ~ ")
            .next()
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .take(24)
            .collect();
        let name = name.trim_matches('-');
        writeln!(
            f,
            "# {} of {} requests carried a value that an answer had brought before",
            self.matched, self.seen
        )?;
        writeln!(f, "[[replay.rule]]")?;
        writeln!(f, "name = {}", quoted(name))?;
        let (from, take) = (quoted(&self.from), quoted(&self.take));
        writeln!(f, "extract = {{ from = {from}, at = {take} }}")?;
        let (into, put) = (quoted(&self.into), quoted(&self.put));
        writeln!(f, "replace = [{{ in = {into}, at = {put} }}]")
    }
}

/// The values of one answer, as numbers, each with the number of its place.
#[derive(Debug, Clone, Default)]
pub struct Offers(Vec<(u64, u32)>);

/// Names as numbers.
#[derive(Debug, Default)]
struct Names {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    /// The number of a name; `None` when there are too many others.
    fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        if self.names.len() >= MOST_NAMES {
            return None;
        }
        let number = u32::try_from(self.names.len()).ok()?;
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Some(number)
    }

    fn name(&self, number: u32) -> String {
        let name = usize::try_from(number).ok().and_then(|n| self.names.get(n));
        name.cloned().unwrap_or_default()
    }
}

/// What passed between one client and the service.
#[derive(Debug, Default)]
struct Talk {
    /// Answers that were not there yet: when they were, of which endpoint, with what.
    coming: Vec<(u64, u32, Offers)>,
    /// By value, the newest answer that had it: endpoint and place.
    known: HashMap<u64, (u32, u32)>,
    /// What the client said before any answer did.
    own: HashSet<u64>,
}

/// How often a pair of places was seen to share a value.
#[derive(Debug, Default)]
struct Pair {
    matched: u64,
    first: u64,
    /// Whether the value was not always the same.
    varies: bool,
    /// Whether one look at the value or its name says that it was drawn.
    is_telling: bool,
}

/// Looks for pairs while a recording passes by.
#[derive(Debug, Default)]
pub struct Finder {
    places: Names,
    endpoints: Names,
    talks: HashMap<String, Talk>,
    /// By endpoint and place of the answer, endpoint and place of the request.
    pairs: HashMap<[u32; 4], Pair>,
    /// Requests by endpoint and place.
    seen: HashMap<[u32; 2], u64>,
    offered: usize,
    heard: usize,
}

impl Offers {
    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.0.len() * size_of::<(u64, u32)>()
    }
}

impl Finder {
    /// Whether it has heard as much as it remembers: what comes now is passed over.
    pub fn is_full(&self) -> bool {
        self.offered >= MOST_OFFERED || self.heard >= MOST_HEARD
    }

    /// Reads an answer: its header fields, its media type and its text.
    pub fn offers(&mut self, fields: &[(String, String)], kind: &str, text: &str) -> Offers {
        let left = MOST_OFFERED.saturating_sub(self.offered);
        let mut offers = Vec::new();
        for (value, place) in offered(fields, kind, text).into_iter().take(left) {
            if let Some(place) = self.places.number(&place) {
                offers.push((value, place));
            }
        }
        self.offered += offers.len();
        Offers(offers)
    }

    /// Reads a request as it was recorded, before it is redacted.
    pub fn carries(request: &Request) -> Carries {
        Carries(carried(request))
    }

    /// An exchange of a client, in order of sending: when its request was sent and its answer was
    /// complete, in nanoseconds, and to which endpoint it belongs.
    pub fn exchange(
        &mut self,
        client: &str,
        (sent_ns, done_ns): (u64, u64),
        endpoint: &str,
        (carries, offers): (Carries, Offers),
    ) {
        if self.heard >= MOST_HEARD {
            return;
        }
        let Some(endpoint) = self.endpoints.number(endpoint) else {
            return;
        };
        self.heard += 1 + carries.0.len();
        if !self.talks.contains_key(client) {
            self.talks.insert(client.to_owned(), Talk::default());
        }
        let Some(talk) = self.talks.get_mut(client) else {
            return;
        };
        talk.hear(sent_ns);
        for Carried {
            value,
            place,
            is_telling,
        } in carries.0
        {
            let Some(place) = self.places.number(&place) else {
                continue;
            };
            *self.seen.entry([endpoint, place]).or_default() += 1;
            let Some((from, taken)) = talk.known.get(&value).copied() else {
                talk.own.insert(value);
                continue;
            };
            let pair = self
                .pairs
                .entry([from, taken, endpoint, place])
                .or_default();
            pair.varies |= pair.matched > 0 && pair.first != value;
            pair.first = value;
            pair.is_telling |= is_telling;
            pair.matched += 1;
        }
        if !offers.0.is_empty() {
            talk.coming.push((done_ns, endpoint, offers));
        }
    }

    /// What was found: for each place of a request the answer that most of its values came from.
    pub fn suggestions(self) -> Vec<Suggestion> {
        let mut best: BTreeMap<[u32; 2], (u64, [u32; 2])> = BTreeMap::new();
        for ([from, taken, into, place], pair) in &self.pairs {
            let seen = self.seen.get(&[*into, *place]).copied().unwrap_or(0);
            let is_usual = pair.matched * LEAST_SHARE_ONE_IN >= seen;
            let is_drawn = pair.is_telling || (pair.varies && pair.matched > 2);
            // What never changes is no value that a client has to carry.
            let is_constant = pair.matched > 1 && !pair.varies && !pair.is_telling;
            if !is_usual || !is_drawn || is_constant {
                continue;
            }
            let own = (pair.matched, [*from, *taken]);
            let of = best.entry([*into, *place]).or_insert(own);
            // The order of a map of hashes is no order.
            if own.0 > of.0 || (own.0 == of.0 && own.1 < of.1) {
                *of = own;
            }
        }
        let mut found: Vec<Suggestion> = best
            .into_iter()
            .map(|([into, place], (matched, [from, taken]))| Suggestion {
                from: self.endpoints.name(from),
                take: self.places.name(taken),
                into: self.endpoints.name(into),
                put: self.places.name(place),
                matched,
                seen: self.seen.get(&[into, place]).copied().unwrap_or(matched),
            })
            .collect();
        found.sort_by_key(|it| {
            (
                std::cmp::Reverse(it.matched),
                it.into.clone(),
                it.put.clone(),
            )
        });
        found.truncate(MOST);
        found
    }
}

/// The values of one request.
#[derive(Debug, Clone, Default)]
pub struct Carries(Vec<Carried>);

impl Carries {
    /// About how much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        let of = |carried: &Carried| size_of::<Carried>() + carried.place.len();
        self.0.iter().map(of).sum()
    }
}

impl Talk {
    /// Learns what was answered until then.
    fn hear(&mut self, until_ns: u64) {
        let (own, known) = (&self.own, &mut self.known);
        self.coming.sort_by_key(|(done_ns, ..)| *done_ns);
        let ready = self
            .coming
            .partition_point(|(at_ns, ..)| *at_ns <= until_ns);
        for (_, endpoint, offers) in self.coming.drain(..ready) {
            for (value, place) in offers.0 {
                // An echo of what the client has said is no news.
                if !own.contains(&value) {
                    known.insert(value, (endpoint, place));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    const MS: u64 = 1_000_000;

    /// A request with a form, and what it was answered.
    struct Said<'a> {
        line: &'a str,
        form: String,
        fields: Vec<(String, String)>,
        page: String,
    }

    fn said<'a>(line: &'a str, form: &str, page: &str) -> Said<'a> {
        Said {
            line,
            form: form.to_owned(),
            fields: Vec::new(),
            page: page.to_owned(),
        }
    }

    /// The suggestions after these exchanges of each client, 100 ms apart and answered in 50 ms.
    fn found(talks: &[(&str, Vec<Said<'_>>)]) -> Vec<Suggestion> {
        let mut finder = Finder::default();
        for (client, exchanges) in talks {
            for (exchange, n) in exchanges.iter().zip(0..) {
                let mut request = parse_request(exchange.line).unwrap();
                if !exchange.form.is_empty() {
                    let kind = "application/x-www-form-urlencoded";
                    request.headers = vec![("content-type".into(), kind.into())];
                    request.body = exchange.form.clone().into_bytes();
                }
                let kind = if exchange.page.starts_with('{') {
                    "application/json"
                } else {
                    "text/html; charset=utf-8"
                };
                let offers = finder.offers(&exchange.fields, kind, &exchange.page);
                let carries = Finder::carries(&request);
                let times = (n * 100 * MS, n * 100 * MS + 50 * MS);
                finder.exchange(client, times, &request.endpoint, (carries, offers));
            }
        }
        finder.suggestions()
    }

    fn page(token: &str) -> String {
        format!("<form><input type=hidden name=csrf value={token}></form>")
    }

    #[test]
    fn a_token_and_an_id_are_found_with_their_places() {
        let talk = |token: &str, id: u32| {
            let mut order = said("POST /orders", &format!("csrf={token}&item=tea"), "");
            order.fields = vec![("Location".into(), format!("/orders/{id}?new=1"))];
            let shown = format!("GET /orders/{id}");
            let shown: &'static str = Box::leak(shown.into_boxed_str());
            vec![
                said("GET /form", "", &page(token)),
                order,
                said(shown, "", ""),
            ]
        };
        let found = found(&[
            ("a", talk("k3f9a8c7d6e5", 4711)),
            ("b", talk("zz81d6e5f4a3", 4712)),
            ("c", talk("q7w6e5r4t3y2", 4713)),
        ]);
        let said: Vec<_> = found
            .iter()
            .map(|it| [&*it.from, &*it.take, &*it.into, &*it.put])
            .collect();
        assert_eq!(
            said,
            [
                [
                    "POST /orders",
                    "header:location ~ /orders/{}?",
                    "GET /orders/{id}",
                    "segment:2"
                ],
                ["GET /form", "field:csrf", "POST /orders", "form:csrf"],
            ]
        );
        assert!(found.iter().all(|it| (it.matched, it.seen) == (3, 3)));
        let text = found[1].to_string();
        let settings: super::super::RuleSettings = {
            let table: toml::Table = toml::from_str(&text).unwrap();
            let rules = table["replay"]["rule"].as_array().unwrap();
            rules[0].clone().try_into().unwrap()
        };
        assert_eq!(settings.name, "form-csrf");
        assert_eq!(settings.extract.unwrap().at, "field:csrf");
    }

    #[test]
    fn what_comes_too_late_is_echoed_or_never_changes_is_no_candidate() {
        // The value is asked for before it is answered.
        let echo = vec![
            said("GET /s?q=k3f9a8c7d6e5", "", &page("k3f9a8c7d6e5")),
            said("GET /t?q=k3f9a8c7d6e5", "", ""),
        ];
        assert_eq!(found(&[("a", echo)]), []);
        // Another client's token is nobody's business.
        let apart = [
            ("a", vec![said("GET /form", "", &page("k3f9a8c7d6e5"))]),
            ("b", vec![said("POST /x", "csrf=k3f9a8c7d6e5", "")]),
        ];
        assert_eq!(found(&apart), []);
        // A constant.
        let version = || {
            vec![
                said("GET /c", "", "{\"build\":\"rel-2026.11\"}"),
                said("GET /a?v=rel-2026.11", "", ""),
            ]
        };
        assert_eq!(found(&[("a", version()), ("b", version())]), []);
    }

    #[test]
    fn what_is_remembered_has_a_bound_and_what_was_found_stays_found() {
        let mut finder = Finder::default();
        let nothing = || (Carries::default(), Offers::default());
        let send = |value: &str| {
            let request = parse_request(&format!("POST /send?csrf={value}")).unwrap();
            (Finder::carries(&request), Offers::default())
        };
        let offers = finder.offers(&[], "text/html", &page("k3f9a8c7d6e5"));
        let shown = (Carries::default(), offers);
        finder.exchange("a", (0, MS), "GET /form", shown);
        finder.exchange("a", (2 * MS, 3 * MS), "POST /send", send("k3f9a8c7d6e5"));
        for _ in 0..MOST_HEARD {
            finder.exchange("b", (4 * MS, 5 * MS), "GET /x", nothing());
        }
        assert!(finder.is_full());
        // Values that are no longer compared are no longer counted either.
        for _ in 0..10 {
            finder.exchange("a", (6 * MS, 7 * MS), "POST /send", send("zz81d6e5f4a3"));
        }
        let found = finder.suggestions();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].matched, found[0].seen), (1, 1));
    }

    #[test]
    fn nothing_that_could_be_a_value_stands_in_a_suggestion() {
        let talk = |token: &str| {
            vec![
                said(
                    "GET /u",
                    "",
                    &format!("{{\"ann@example.com\":{{\"token\":\"{token}\"}}}}"),
                ),
                said("POST /x", &format!("token={token}"), ""),
            ]
        };
        assert_eq!(found(&[("a", talk("k3f9a8c7d6e5f4a3b2"))]), []);
    }
}
