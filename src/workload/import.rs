//! What every importer hands back: clean requests in order, and an account of all it read.
//!
//! Nothing is lost silently: `read = kept + skipped`, each skipped entry under its reason. The
//! account names positions and reasons, never recorded values.

use std::{collections::BTreeMap, fmt};

use super::{Origin, Request, clean::Cleaner};
use crate::text::printable;

/// How many skipped entries are named for each reason.
const SAMPLES: usize = 3;
/// How many rows of a list are printed.
const ROWS: usize = 10;

/// The result of an import.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The requests, sorted by offset, redacted, with endpoints.
    pub requests: Vec<Request>,
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
    /// The positions of the first of them in the file, counted from 0.
    pub samples: Vec<u64>,
}

/// An account of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Entries in the file.
    pub read: u64,
    /// Requests in the workload.
    pub kept: u64,
    /// Entries left out, by reason.
    pub skipped: BTreeMap<&'static str, Skipped>,
    /// Header fields left out, as `rule: name`, with how often.
    pub dropped_headers: BTreeMap<String, u64>,
    /// Requests by host, of those that could have been kept.
    pub hosts: BTreeMap<String, u64>,
    /// Replaced values by kind.
    pub redacted: BTreeMap<&'static str, u64>,
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

    /// How many entries were damaged.
    pub fn malformed(&self) -> u64 {
        let malformed = self.skipped.values().filter(|skipped| skipped.is_malformed);
        malformed.map(|skipped| skipped.count).sum()
    }

    /// Takes over what the cleaner counted, and says what follows from it.
    pub fn take(&mut self, cleaner: &Cleaner) {
        self.dropped_headers.clone_from(cleaner.dropped_headers());
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
        reasons.join(", ")
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
            let samples: Vec<String> = skipped.samples.iter().map(u64::to_string).collect();
            let more = skipped.count > samples.len() as u64;
            let samples = samples.join(", ") + if more { ", …" } else { "" };
            if skipped.samples.is_empty() {
                writeln!(f, "  {:>7}  {reason}", skipped.count)?;
            } else {
                writeln!(f, "  {:>7}  {reason} (entry {samples})", skipped.count)?;
            }
        }
        list(f, "hosts", self.hosts.iter())?;
        list(f, "header fields left out", self.dropped_headers.iter())?;
        list(f, "values replaced", self.redacted.iter())?;
        for warning in &self.warnings {
            writeln!(f, "warning: {}", printable(warning))?;
        }
        Ok(())
    }
}

/// A titled list, the largest counts first, cut with a note.
fn list<'a, K: AsRef<str> + 'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (K, &'a u64)>,
) -> fmt::Result {
    let mut rows: Vec<(K, &u64)> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    // A stable sort keeps the names in order where the counts are equal.
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    writeln!(f, "{title}:")?;
    for (name, count) in rows.iter().take(ROWS) {
        writeln!(f, "  {count:>7}  {}", printable(name.as_ref()))?;
    }
    if rows.len() > ROWS {
        writeln!(f, "           and {} more", rows.len() - ROWS)?;
    }
    Ok(())
}
