//! What every importer takes and hands back: clean requests in order, an account of all it read.
//!
//! One file for each format; what they share is how input is opened (`input`) and how requests
//! are put together (`gather`). Nothing is lost silently: `read = kept + skipped`, each skipped
//! entry under its reason. The account names positions and reasons, never recorded values.

mod draft;
mod field;
mod form;
mod gather;
pub mod gor;
pub mod har;
mod input;
mod kept;
pub mod log;
mod message;
pub mod openapi;
mod retime;
mod stamp;
pub mod table;
mod unique;
mod uri;
pub mod vegeta;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

pub use kept::Clean;

use super::{Origin, clean::Cleaner, redact::Rules};
use crate::text::{printable, printable_cut};

/// What an import should keep.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Hosts to keep, as `name` or `name:port`; empty keeps the one with the most requests.
    pub hosts: Vec<String>,
    /// Accept files in which more than a fifth of the entries is damaged.
    pub lenient: bool,
    /// The key of the pseudonyms; `None` draws one that nobody ever knows, if the rules hold none.
    pub key: Option<[u8; 32]>,
    /// What a team adds to redaction and exempts from it.
    pub rules: Rules,
    /// How many bytes may be read in all, counted after decompression.
    pub max_input: u64,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            lenient: false,
            key: None,
            rules: Rules::default(),
            max_input: 2 << 30,
        }
    }
}

/// Why a file could not be imported; no message repeats a recorded value.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or the random source cannot be read.
    #[error("the file or the random source cannot be read; check the path")]
    Read(#[source] io::Error),
    /// The compression does not come out even.
    #[error("the compressed file is cut off or damaged; make it again")]
    Compression(#[source] io::Error),
    /// More than the limit, after decompression.
    #[error("the input holds more than {0} bytes; cut it into parts, or raise --max-input")]
    TooLarge(u64),
    /// The JSON ends in the middle.
    #[error("the file is cut off at line {line} column {column}; export it again")]
    CutOff {
        /// Line, counted from 1.
        line: usize,
        /// Byte in the line, counted from 1.
        column: usize,
    },
    /// No JSON.
    #[error(
        "the file is no JSON in UTF-8: it breaks at line {line} column {column}; export it again"
    )]
    Json {
        /// Line, counted from 1.
        line: usize,
        /// Byte in the line, counted from 1.
        column: usize,
    },
    /// JSON, but no HAR.
    #[error("the file is JSON without log.entries; export a HAR, version 1.2")]
    NotHar,
    /// Not the format that was asked for; says what is missing and what to do.
    #[error("{0}")]
    Format(String),
    /// Too much of it is damaged.
    #[error("{malformed} of {read} {unit} are damaged: {reasons}; use --lenient to go on")]
    Malformed {
        /// Damaged entries.
        malformed: u64,
        /// All entries.
        read: u64,
        /// What they are called.
        unit: &'static str,
        /// How many for which reason.
        reasons: String,
    },
    /// Nothing is left.
    #[error("none of {read} {unit} can be replayed: {reasons}{hosts}")]
    NothingKept {
        /// All entries.
        read: u64,
        /// What they are called.
        unit: &'static str,
        /// How many for which reason.
        reasons: String,
        /// The hosts in the file, in words.
        hosts: String,
    },
}

/// How many skipped entries are named for each reason.
const SAMPLES: usize = 3;
/// How many hosts are printed.
const HOSTS: usize = 100;
/// How many fields of a rule are named.
const FIELDS: usize = 8;
/// How much of the name of a field is printed, in characters.
const NAME: usize = 40;

/// The result of an import.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The requests, sorted by offset, redacted, with endpoints.
    pub requests: Clean,
    /// What the header of the workload file says of its source.
    pub origin: Origin,
    /// The account.
    pub summary: ImportSummary,
}

/// Entries that were left out for one reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// Whether the entries were damaged, rather than unwanted.
    pub is_malformed: bool,
    /// The positions of the first of them, counted from 0 through all files.
    pub samples: Vec<u64>,
}

/// What an entry of a format is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// One of them.
    pub one: &'static str,
    /// Several.
    pub many: &'static str,
    /// The number of the first.
    pub first: u64,
}

impl Default for Unit {
    fn default() -> Self {
        Self {
            one: "entry",
            many: "entries",
            first: 0,
        }
    }
}

/// An account of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// What an entry is called.
    pub unit: Unit,
    /// Of each file, where its entries and its positions begin: how many stood before it.
    pub files: Vec<u64>,
    /// Entries in the files.
    pub read: u64,
    /// Requests in the workload.
    pub kept: u64,
    /// Entries left out, by reason.
    pub skipped: BTreeMap<&'static str, Skipped>,
    /// Header fields left out, as `rule: name`, with how often.
    pub dropped_headers: BTreeMap<String, u64>,
    /// Header fields made anew when they are sent, as `rule: name`, with how often.
    pub renewed_headers: BTreeMap<String, u64>,
    /// Requests by host, of those that could have been kept.
    pub hosts: BTreeMap<String, u64>,
    /// The hosts whose requests were kept.
    pub kept_hosts: BTreeSet<String>,
    /// Replaced values by kind.
    pub redacted: BTreeMap<&'static str, u64>,
    /// How the file was read, one sentence each.
    pub notes: Vec<String>,
    /// What the user should know, one sentence each.
    pub warnings: Vec<String>,
}

impl ImportSummary {
    /// Counts an entry that is left out.
    pub fn skip(&mut self, reason: &'static str, is_malformed: bool, index: u64) {
        let skipped = self.skipped.entry(reason).or_default();
        skipped.count += 1;
        skipped.is_malformed = is_malformed;
        if skipped.samples.len() < SAMPLES {
            skipped.samples.push(index);
        }
    }

    /// Counts entries that are left out and have no position of their own.
    pub fn skip_many(&mut self, reason: &'static str, count: u64) {
        if count > 0 {
            self.skipped.entry(reason).or_default().count += count;
        }
    }

    /// What was left out: by reason, how often.
    pub fn left_out(&self) -> BTreeMap<String, u64> {
        let skipped = self.skipped.iter();
        let counts = skipped.map(|(reason, skipped)| ((*reason).to_owned(), skipped.count));
        counts.collect()
    }

    /// How many entries were damaged.
    pub fn malformed(&self) -> u64 {
        let malformed = self.skipped.values().filter(|skipped| skipped.is_malformed);
        malformed.map(|skipped| skipped.count).sum()
    }

    /// Takes over what the cleaner counted, and says what follows from it.
    pub fn take(&mut self, cleaner: &Cleaner) {
        self.dropped_headers.clone_from(cleaner.dropped_headers());
        self.renewed_headers.clone_from(cleaner.renewed_headers());
        self.redacted = cleaner
            .redacted()
            .iter()
            .map(|(kind, count)| (kind.name(), *count))
            .collect();
        self.warnings.push(match cleaner.with_credentials() {
            0 => "no request carries credentials; if the service needs a log-in, the recording \
                  was exported without them: give staging's own with --header @FILE"
                .to_owned(),
            count => format!(
                "{count} of {} requests carried credentials, which are never replayed; give \
                 staging's own with --header @FILE",
                self.kept
            ),
        });
    }

    /// The reasons in one line, for errors.
    pub fn reasons(&self) -> String {
        let reasons = self.skipped.iter();
        let reasons: Vec<String> = reasons
            .map(|(reason, skipped)| format!("{} × {reason}", skipped.count))
            .collect();
        if reasons.is_empty() {
            return "nothing was found".to_owned();
        }
        reasons.join(", ")
    }

    /// A position as people count: in its file, from the first number of the format on.
    fn place(&self, position: u64) -> String {
        let file = self.files.partition_point(|before| *before <= position);
        let before = file.checked_sub(1).map_or(0, |file| self.files[file]);
        let number = position - before + self.unit.first;
        match self.files.len() {
            0 | 1 => number.to_string(),
            _ => format!("{number} of file {file}"),
        }
    }
}

impl fmt::Display for ImportSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.read - self.kept.min(self.read);
        writeln!(
            f,
            "read {}, kept {}, skipped {left_out}",
            self.read, self.kept
        )?;
        for (reason, skipped) in &self.skipped {
            let samples = skipped.samples.iter();
            let samples: Vec<String> = samples.map(|position| self.place(*position)).collect();
            let more = skipped.count > samples.len() as u64;
            let samples = samples.join(", ") + if more { ", …" } else { "" };
            let one = self.unit.one;
            if skipped.samples.is_empty() {
                writeln!(f, "  {:>7}  {reason}", skipped.count)?;
            } else {
                writeln!(f, "  {:>7}  {reason} ({one} {samples})", skipped.count)?;
            }
        }
        self.list_hosts(f)?;
        let (dropped, renewed) = (&self.dropped_headers, &self.renewed_headers);
        list_rules(f, "header fields left out", dropped)?;
        list_rules(f, "header fields made anew for each request", renewed)?;
        let kinds = self.redacted.iter();
        list(
            f,
            "values replaced",
            kinds.map(|(kind, count)| (*kind, *count)),
        )?;
        for note in &self.notes {
            writeln!(f, "note: {}", printable(note))?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {}", printable(warning))?;
        }
        Ok(())
    }
}

impl ImportSummary {
    /// The hosts, first those that were kept.
    fn list_hosts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |(host, count): (&String, &u64)| {
            let is_kept = self.kept_hosts.contains(host);
            (
                format!("{host}{}", if is_kept { ", kept" } else { "" }),
                *count,
            )
        };
        let kept = |(host, _): &(&String, &u64)| self.kept_hosts.contains(*host);
        let (kept, mut others): (Vec<_>, Vec<_>) = self.hosts.iter().partition(kept);
        others.sort_by_key(|(_, count)| Reverse(**count));
        let more = (kept.len() + others.len()).saturating_sub(HOSTS);
        let rows: Vec<(String, u64)> = kept.into_iter().chain(others).map(row).collect();
        list(f, "hosts", rows.into_iter().take(HOSTS))?;
        if more > 0 {
            writeln!(f, "           and {more} more")?;
        }
        Ok(())
    }
}

/// A titled list, the largest counts first.
fn list<K: AsRef<str>>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (K, u64)>,
) -> fmt::Result {
    let mut rows: Vec<(K, u64)> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    // A stable sort keeps the names in order where the counts are equal.
    rows.sort_by_key(|(_, count)| Reverse(*count));
    writeln!(f, "{title}:")?;
    for (name, count) in rows {
        writeln!(f, "  {count:>7}  {}", printable(name.as_ref()))?;
    }
    Ok(())
}

/// A row for each rule, with the fields that it met most often, from counts by `rule: name`.
fn list_rules(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    counts: &BTreeMap<String, u64>,
) -> fmt::Result {
    let mut rules: BTreeMap<&str, Vec<(&str, u64)>> = BTreeMap::new();
    for (row, count) in counts {
        let (rule, name) = row.split_once(": ").unwrap_or((row, "?"));
        rules.entry(rule).or_default().push((name, *count));
    }
    let rows = rules.into_iter().map(|(rule, mut fields)| {
        fields.sort_by_key(|(_, count)| Reverse(*count));
        let names = fields.iter().take(FIELDS);
        let names: Vec<String> = names.map(|(name, _)| printable_cut(name, NAME)).collect();
        let more = match fields.len().saturating_sub(FIELDS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let count = fields.iter().map(|(_, count)| count).sum();
        (format!("{rule}: {}{more}", names.join(", ")), count)
    });
    list(f, title, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rule_and_no_host_is_cut_from_the_account() {
        let fields = (0..20).flat_map(|rule| {
            (0..10_u64).map(move |field| (format!("rule {rule}: x-{rule}-{field}"), field + 1))
        });
        let hosts: BTreeMap<String, u64> = (1..=101)
            .map(|number| (format!("h{number}.example"), number))
            .collect();
        let summary = ImportSummary {
            dropped_headers: fields.collect(),
            kept_hosts: BTreeSet::from(["h1.example".to_owned()]),
            hosts,
            ..ImportSummary::default()
        };
        let shown = summary.to_string();
        for rule in 0..20 {
            let row = format!("       55  rule {rule}: x-{rule}-9, x-{rule}-8, ");
            assert!(shown.contains(&row), "{shown}");
        }
        assert!(shown.contains(", x-7-2 and 2 more\n"), "{shown}");
        // The one that was kept is shown, and of the others all but the least.
        assert!(shown.contains("        1  h1.example, kept\n"), "{shown}");
        assert!(shown.contains("        3  h3.example\n"), "{shown}");
        assert!(!shown.contains("h2.example") && shown.contains("           and 1 more\n"));
    }
}
