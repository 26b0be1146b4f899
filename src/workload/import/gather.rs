//! From what a format holds to a workload: hosts are chosen, order, offsets and sessions made,
//! and each request passes the cleaner.
//!
//! Knows nothing of any format. What a format found lives in memory only until it is cleaned.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    ImportError, ImportOptions, ImportSummary, Imported, Unit,
    kept::{Clean, Fields, Kept},
};
use crate::{
    text::printable,
    units::count,
    workload::{
        Origin, Request,
        clean::Cleaner,
        endpoint,
        rules::{Finder, Offers},
    },
};

/// Above this share of damaged entries a file is refused.
const MOST_MALFORMED: f64 = 0.2;
/// 1990 and 2200, in seconds since 1970: what lies outside is a damaged clock.
const FIRST_SECOND: i64 = 631_152_000;
const LAST_SECOND: i64 = 7_258_118_400;

/// After so many requests what is not needed any more is given back.
const GIVE_BACK: usize = 4096;

/// A request as recorded, secrets and all; never leaves memory in this form.
pub(super) struct Found {
    /// Its place among all entries of all files.
    pub(super) position: u64,
    /// Host and explicit port in lower case; empty where the format has none.
    pub(super) host: String,
    /// When it was sent, in nanoseconds since 1970; `None` where the format has no instants.
    pub(super) started_ns: Option<u64>,
    /// What the recording groups it by; empty when nothing.
    pub(super) client: String,
    /// What was sent. A path template in `endpoint` names the parts of the path that are values.
    pub(super) request: Request,
    /// What the user should know of it: `5` and the note make a sentence.
    pub(super) notes: Vec<&'static str>,
    /// What its answer had that later requests may carry.
    pub(super) offers: Offers,
}

/// Why an entry is no request of the workload; never repeats a recorded value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejected {
    /// Not wanted, though sound.
    Policy(&'static str),
    /// Damaged.
    Malformed(&'static str),
}

/// Collects what a format finds.
pub(super) struct Gather {
    pub(super) summary: ImportSummary,
    pub(super) found: Vec<Kept>,
    /// The hosts by name, with their numbers.
    hosts: HashMap<String, u32>,
    fields: Fields,
    /// Whether the instants are those of a calendar, and not only after a start.
    pub(super) is_dated: bool,
    /// Looks for values of answers in later requests.
    pub(super) finder: Finder,
}

impl Gather {
    pub(super) fn new(unit: Unit) -> Self {
        let summary = ImportSummary {
            unit,
            ..ImportSummary::default()
        };
        Self {
            summary,
            found: Vec::new(),
            hosts: HashMap::new(),
            fields: Fields::default(),
            is_dated: true,
            finder: Finder::default(),
        }
    }

    /// From here on positions count in another file.
    pub(super) fn next_file(&mut self) {
        self.summary.files.push(self.summary.read);
    }

    /// Counts an entry and returns its position.
    pub(super) fn next_entry(&mut self) -> u64 {
        self.summary.read += 1;
        self.summary.read - 1
    }

    /// Takes what became of the entry at this position.
    pub(super) fn take(&mut self, position: u64, found: Result<Found, Rejected>) {
        match found {
            Ok(found) => {
                let next = u32::try_from(self.hosts.len()).unwrap_or(u32::MAX);
                let host = match self.hosts.get(&found.host) {
                    Some(host) => *host,
                    None => *self.hosts.entry(found.host.clone()).or_insert(next),
                };
                let kept = Kept::new(found, host, &mut self.fields);
                self.found.push(kept);
            }
            Err(Rejected::Policy(reason)) => self.summary.skip(reason, false, position),
            Err(Rejected::Malformed(reason)) => self.summary.skip(reason, true, position),
        }
    }

    /// All that is left to do for most formats.
    pub(super) fn finish(
        mut self,
        source: &str,
        options: &ImportOptions,
    ) -> Result<Imported, ImportError> {
        self.refuse_damaged(options.lenient)?;
        self.choose_hosts(&options.hosts);
        self.assemble(source, options)
    }

    /// A file that is damaged in more than a fifth of its entries is probably another format.
    pub(super) fn refuse_damaged(&self, lenient: bool) -> Result<(), ImportError> {
        let (malformed, read) = (self.summary.malformed(), self.summary.read);
        if lenient || count(malformed) <= MOST_MALFORMED * count(read) {
            return Ok(());
        }
        Err(ImportError::Malformed {
            malformed,
            read,
            unit: self.summary.unit.many,
            reasons: self.summary.reasons(),
        })
    }

    /// Leaves out what was sent to other hosts than the named ones, or than the one with the
    /// most requests. Where a format does not say the host, it is the recorded service.
    pub(super) fn choose_hosts(&mut self, named: &[String]) {
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for found in &self.found {
            *counts.entry(found.host).or_default() += 1;
        }
        let hosts = self.hosts.iter();
        let mut hosts: BTreeMap<String, u64> = hosts
            .filter_map(|(host, number)| Some((host.clone(), *counts.get(number)?)))
            .collect();
        let chosen: BTreeSet<String> = if named.is_empty() {
            // The first by name among equals.
            let most = hosts.iter().rev().max_by_key(|(_, count)| **count);
            most.map(|(host, _)| host.clone()).into_iter().collect()
        } else {
            let named = named.iter().map(|host| host.to_ascii_lowercase());
            named.chain([String::new()]).collect()
        };
        hosts.remove("");
        let kept = hosts.keys().filter(|host| chosen.contains(*host));
        self.summary.kept_hosts = kept.cloned().collect();
        self.summary.hosts = hosts;
        let chosen: BTreeSet<u32> = chosen
            .iter()
            .filter_map(|it| self.hosts.get(it))
            .copied()
            .collect();
        let summary = &mut self.summary;
        self.found.retain(|found| {
            let keep = chosen.contains(&found.host);
            if !keep {
                summary.skip("other host", false, found.position);
            }
            keep
        });
    }

    /// Puts the requests in order of time and cleans them.
    pub(super) fn assemble(
        mut self,
        source: &str,
        options: &ImportOptions,
    ) -> Result<Imported, ImportError> {
        let rules = options.rules.clone();
        let rules = options.key.map_or(rules.clone(), |key| rules.key(key));
        let mut cleaner = Cleaner::with_rules(&rules).map_err(ImportError::Read)?;
        let mut finder = std::mem::take(&mut self.finder);
        self.sort();
        let (is_dated, fields) = (self.is_dated, self.fields);
        let hosts = self.hosts.into_iter();
        let hosts: HashMap<u32, String> = hosts.map(|(host, number)| (number, host)).collect();
        let mut summary = self.summary;
        warn(&self.found, &mut summary);
        let mut sessions = HashMap::new();
        let mut first = None;
        let mut requests = Clean::default();
        // From the last to the first, so that the memory of those that are done can be given back.
        let mut left = self.found;
        left.reverse();
        while let Some(found) = left.pop() {
            if left.len().is_multiple_of(GIVE_BACK) {
                left.shrink_to_fit();
            }
            let host = match (
                hosts.get(&found.host).map_or("", String::as_str),
                &options.hosts[..],
            ) {
                ("", [named]) => named,
                (host, _) => host,
            };
            let (started_ns, client, position) = (found.started_ns, found.client, found.position);
            let (raw, offers) = (found.request.unpack(&fields), found.offers);
            let carries = Finder::carries(&raw);
            match clean(raw, host, &mut cleaner) {
                Ok(mut request) => {
                    if let Some(started) = started_ns {
                        request.offset_ns = started - *first.get_or_insert(started);
                    }
                    // Names of clients may hold anything; a number tells them apart as well.
                    let next = sessions.len() + 1;
                    let number = *sessions.entry(client).or_insert(next);
                    request.session = format!("s{number}");
                    let taken_ns = request.recorded.latency_ns.unwrap_or(0);
                    let end_ns = request.offset_ns.saturating_add(taken_ns);
                    let passed = (carries, offers);
                    let times = (request.offset_ns, end_ns);
                    finder.exchange(&request.session, times, &request.endpoint, passed);
                    requests.push(request);
                }
                Err(reason) => summary.skip(reason, false, position),
            }
        }
        if requests.count() == 0 {
            return Err(nothing_kept(&summary));
        }
        summary.kept = requests.count() as u64;
        summary.take(&cleaner);
        let origin = Origin {
            source: source.to_owned(),
            recorded_at: first.filter(|_| is_dated).and_then(|ns| {
                let first = Timestamp::from_nanosecond(i128::from(ns)).ok()?;
                Some(first.to_string())
            }),
            redaction: cleaner.redaction(),
            suggestions: finder.suggestions(),
        };
        Ok(Imported {
            requests,
            origin,
            summary,
        })
    }

    fn sort(&mut self) {
        let many = self.summary.unit.many;
        if self.found.iter().all(|found| found.started_ns.is_none()) {
            self.summary.notes.push(
                "there are no instants in it; give a rate when you run it, such as --rate 100/s"
                    .to_owned(),
            );
        } else if !self.found.is_sorted_by_key(|found| found.started_ns) {
            let note = format!("the {many} were not in order of time and were sorted");
            self.summary.notes.push(note);
            self.found
                .sort_by_key(|found| (found.started_ns, found.position));
        }
    }
}

/// An instant in nanoseconds since 1970, when the clock that it is from was sound.
pub(super) fn sound_ns(instant: Timestamp) -> Option<u64> {
    let is_sound = (FIRST_SECOND..LAST_SECOND).contains(&instant.as_second());
    let ns = u64::try_from(instant.as_nanosecond()).ok();
    ns.filter(|_| is_sound)
}

/// The request cleaned; where it brought a path template, that is its endpoint.
fn clean(mut raw: Request, host: &str, cleaner: &mut Cleaner) -> Result<Request, &'static str> {
    let template = std::mem::take(&mut raw.endpoint);
    let mut request = cleaner.clean(raw, host)?;
    if !template.is_empty() {
        let label = label(&template, &request.path);
        request.endpoint = format!("{} {label}", request.method.as_str());
    }
    Ok(request)
}

/// The path with the values that the template names by `{name}` replaced by those names. Where
/// the cleaner has replaced something, it is as in any other path; all else is as in the template.
fn label(template: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_name = |part: &str| {
        let name = part
            .strip_prefix('{')
            .and_then(|part| part.strip_suffix('}'));
        name.is_some_and(|name| name.len() <= 40 && name.chars().all(plain))
    };
    let mut labels = template.split('/');
    let parts = path.split('/').map(|part| match labels.next() {
        Some(label) if label == part || is_name(label) => label.to_owned(),
        _ => endpoint::template(&format!("/{part}")).replacen('/', "", 1),
    });
    parts.collect::<Vec<_>>().join("/")
}

fn warn(found: &[Kept], summary: &mut ImportSummary) {
    let mut notes: BTreeMap<&str, u64> = BTreeMap::new();
    for note in found.iter().flat_map(|found| &found.notes) {
        *notes.entry(note).or_default() += 1;
    }
    let notes = notes.iter().map(|(note, count)| format!("{count} {note}"));
    summary.warnings.extend(notes);
}

fn nothing_kept(summary: &ImportSummary) -> ImportError {
    let hosts = summary.hosts.keys().take(10);
    let hosts: Vec<String> = hosts.map(|host| printable(host)).collect();
    ImportError::NothingKept {
        read: summary.read,
        unit: summary.unit.many,
        reasons: summary.reasons(),
        hosts: if hosts.is_empty() {
            String::new()
        } else {
            format!("; hosts in the file: {}", hosts.join(", "))
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    fn found(position: u64, host: &str, started_ns: Option<u64>) -> Found {
        Found {
            position,
            host: host.to_owned(),
            started_ns,
            client: String::new(),
            request: parse_request(&format!("/{position}")).unwrap(),
            notes: Vec::new(),
            offers: Offers::default(),
        }
    }

    fn paths(gather: Gather, hosts: &[&str]) -> Vec<String> {
        let options = ImportOptions {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..ImportOptions::default()
        };
        let imported = gather.finish("test", &options).unwrap();
        imported.requests.into_iter().map(|it| it.path).collect()
    }

    fn gather(rows: &[(&str, Option<u64>)]) -> Gather {
        let mut gather = Gather::new(Unit::default());
        for (host, started) in rows {
            let position = gather.next_entry();
            gather.take(position, Ok(found(position, host, *started)));
        }
        gather
    }

    #[test]
    fn requests_without_a_host_are_those_of_the_service() {
        let rows = [("", Some(3)), ("evil.example", Some(1)), ("", Some(2))];
        assert_eq!(paths(gather(&rows), &[]), ["/2", "/0"]);
        assert_eq!(paths(gather(&rows), &["evil.example"]), ["/1", "/2", "/0"]);
        assert_eq!(paths(gather(&rows), &["other.example"]), ["/2", "/0"]);
    }

    #[test]
    fn without_instants_the_order_of_the_file_stays_and_a_note_says_so() {
        let gather = gather(&[("a", None), ("a", None)]);
        let imported = gather.finish("test", &ImportOptions::default()).unwrap();
        assert!(imported.requests.iter().all(|it| it.offset_ns == 0));
        assert!(imported.summary.to_string().contains("--rate 100/s"));
        assert_eq!(imported.origin.recorded_at, None);
    }

    #[test]
    fn a_template_names_the_values_of_a_path_and_nothing_else() {
        for (template, path, expected) in [
            ("/users/{userId}/x", "/users/7/x?a=b", "/users/{userId}/x"),
            ("/users/{a b}", "/users/7", "/users/{id}"),
            (
                "/v1/k3f9a8c7d6e5f4a3b2c1d0/x",
                "/v1/q7w6e5r4t3y2u1i0p9a8s7/x",
                "/v1/{token}/x",
            ),
            ("/2024/x", "/2024/x", "/2024/x"),
            ("/secret/{id}", "/tqwpxk/7", "/tqwpxk/{id}"),
            ("/a", "/a/b", "/a/b"),
            ("", "/a", "/a"),
        ] {
            assert_eq!(label(template, path), expected, "{template}");
        }
    }

    #[test]
    fn positions_are_counted_in_their_file() {
        let unit = Unit {
            one: "line",
            many: "lines",
            first: 1,
        };
        let mut gather = Gather::new(unit);
        for _ in 0..2 {
            gather.next_file();
            for number in 0..3 {
                let position = gather.next_entry();
                let rejected = Rejected::Policy("not wanted");
                let keep = number != 1;
                let found = found(position, "", Some(1));
                gather.take(position, if keep { Ok(found) } else { Err(rejected) });
            }
        }
        let imported = gather.finish("test", &ImportOptions::default()).unwrap();
        let shown = imported.summary.to_string();
        assert!(shown.starts_with("read 6, kept 4, skipped 2\n"), "{shown}");
        let said = "2  not wanted (line 2 of file 1, 2 of file 2)";
        assert!(shown.contains(said), "{shown}");
    }
}
