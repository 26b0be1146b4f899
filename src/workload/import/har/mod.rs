//! Importing HAR 1.2 as browsers and proxies really write it.
//!
//! The format: softwareishard.com/blog/har-12-spec. Entries are read one at a time and judged
//! by `entry`; here they meet: one host is chosen, order and offsets are made, and each request
//! passes the cleaner.

mod entry;
mod post;
mod stream;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, Read},
};

use super::{ImportSummary, Imported};
use crate::{
    text::printable,
    units::count,
    workload::{Origin, Request, clean::Cleaner, redact::Rules, rules::Finder},
};
use entry::{Exchange, Rejected, exchange, offers};

/// Above this share of damaged entries a file is refused.
const MOST_MALFORMED: f64 = 0.2;

/// What an import of a HAR should keep.
#[derive(Debug, Clone, Default)]
pub struct HarOptions {
    /// Hosts to keep, as `name` or `name:port`; empty keeps the one with the most requests.
    pub hosts: Vec<String>,
    /// Accept files in which more than a fifth of the entries is damaged.
    pub lenient: bool,
    /// The key of the pseudonyms; `None` draws one that nobody ever knows, if the rules hold none.
    pub key: Option<[u8; 32]>,
    /// What a team adds to redaction and exempts from it.
    pub rules: Rules,
}

/// Why a file could not be imported; no message repeats a recorded value.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file or the random source cannot be read.
    #[error("the file or the random source cannot be read; check the path")]
    Read(#[source] io::Error),
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
    /// Too much of it is damaged.
    #[error("{malformed} of {read} entries are damaged: {reasons}; use --lenient to go on")]
    Malformed {
        /// Damaged entries.
        malformed: u64,
        /// All entries.
        read: u64,
        /// How many for which reason.
        reasons: String,
    },
    /// Nothing is left.
    #[error("none of {read} entries can be replayed: {reasons}; hosts in the file: {hosts}")]
    NothingKept {
        /// All entries.
        read: u64,
        /// How many for which reason.
        reasons: String,
        /// The hosts in the file.
        hosts: String,
    },
}

/// Reads a HAR file as a stream and makes a clean workload of it.
///
/// # Errors
/// When the file is no HAR, is cut off, or nothing in it can be replayed.
pub fn import_har(reader: impl Read, options: &HarOptions) -> Result<Imported, ImportError> {
    let mut summary = ImportSummary::default();
    let mut found: Vec<(u64, Exchange)> = Vec::new();
    let mut finder = Finder::default();
    let reader = without_bom(BufReader::with_capacity(256 << 10, reader))?;
    let ending = stream::entries(reader, &mut |entry| {
        let index = summary.read;
        summary.read += 1;
        match exchange(&entry) {
            Ok(mut exchange) => {
                exchange.offers = offers(&entry, &mut finder);
                found.push((index, exchange));
            }
            Err(Rejected::Policy(reason)) => summary.skip(reason, false, index),
            Err(Rejected::Malformed(reason)) => summary.skip(reason, true, index),
        }
    })
    .map_err(json_error)?;
    if !ending.has_entries {
        return Err(ImportError::NotHar);
    }
    let malformed = summary.malformed();
    if !options.lenient && count(malformed) > MOST_MALFORMED * count(summary.read) {
        let (read, reasons) = (summary.read, summary.reasons());
        return Err(ImportError::Malformed {
            malformed,
            read,
            reasons,
        });
    }
    if ending.has_more {
        let warning = "something follows the JSON document and was ignored";
        summary.warnings.push(warning.to_owned());
    }
    for (_, exchange) in &found {
        *summary.hosts.entry(exchange.host.clone()).or_default() += 1;
    }
    let hosts = chosen(&summary.hosts, &options.hosts);
    found.retain(|(index, exchange)| {
        let keep = hosts.contains(&exchange.host);
        if !keep {
            summary.skip("other host", false, *index);
        }
        keep
    });
    let rules = options.rules.clone();
    let rules = options.key.map_or(rules.clone(), |key| rules.key(key));
    let cleaner = Cleaner::with_rules(&rules).map_err(ImportError::Read)?;
    assemble(found, summary, (cleaner, finder))
}

/// The named hosts, or the one with the most requests, the first by name among equals.
fn chosen(hosts: &BTreeMap<String, u64>, named: &[String]) -> BTreeSet<String> {
    if !named.is_empty() {
        return named.iter().map(|host| host.to_ascii_lowercase()).collect();
    }
    let most = hosts.iter().rev().max_by_key(|(_, count)| **count);
    most.map(|(host, _)| host.clone()).into_iter().collect()
}

/// Puts the exchanges in order of time and cleans them.
fn assemble(
    mut found: Vec<(u64, Exchange)>,
    mut summary: ImportSummary,
    (mut cleaner, mut finder): (Cleaner, Finder),
) -> Result<Imported, ImportError> {
    if !found.is_sorted_by_key(|(_, exchange)| exchange.started) {
        let warning = "the entries were not in order of time and were sorted";
        summary.warnings.push(warning.to_owned());
        found.sort_by_key(|(index, exchange)| (exchange.started, *index));
    }
    warn_of_bodies_and_zones(&found, &mut summary);
    let mut sessions = BTreeMap::new();
    let mut first = None;
    let mut requests: Vec<Request> = Vec::with_capacity(found.len());
    for (index, exchange) in found {
        let Exchange {
            host,
            started,
            client,
            request: raw,
            offers,
            ..
        } = exchange;
        let carries = Finder::carries(&raw);
        match cleaner.clean(raw, &host) {
            Ok(mut request) => {
                let since = started.duration_since(*first.get_or_insert(started));
                request.offset_ns = u64::try_from(since.as_nanos()).unwrap_or(0);
                // Page names may hold anything; a number tells clients apart as well.
                let next = sessions.len() + 1;
                request.session = format!("s{}", *sessions.entry(client).or_insert(next));
                let taken_ns = request.recorded.latency_ns.unwrap_or(0);
                let times = (
                    request.offset_ns,
                    request.offset_ns.saturating_add(taken_ns),
                );
                let passed = (carries, offers);
                finder.exchange(&request.session, times, &request.endpoint, passed);
                requests.push(request);
            }
            Err(reason) => summary.skip(reason, false, index),
        }
    }
    summary.kept = requests.len() as u64;
    if requests.is_empty() {
        let hosts = summary.hosts.keys().take(10);
        let hosts: Vec<String> = hosts.map(|host| printable(host)).collect();
        return Err(ImportError::NothingKept {
            read: summary.read,
            reasons: summary.reasons(),
            hosts: hosts.join(", "),
        });
    }
    summary.take(&cleaner);
    let origin = Origin {
        source: "har".to_owned(),
        recorded_at: first.map(|first| first.to_string()),
        redaction: cleaner.redaction(),
        suggestions: finder.suggestions(),
    };
    Ok(Imported {
        requests,
        origin,
        summary,
    })
}

fn warn_of_bodies_and_zones(found: &[(u64, Exchange)], summary: &mut ImportSummary) {
    let lossy = found
        .iter()
        .filter(|(_, exchange)| exchange.is_lossy)
        .count();
    if lossy > 0 {
        summary.warnings.push(format!(
            "{lossy} bodies were binary and damaged by the export; record with proofload record"
        ));
    }
    let zoneless = found
        .iter()
        .filter(|(_, exchange)| exchange.is_zoneless)
        .count();
    if zoneless > 0 {
        let warning = format!("{zoneless} times had no zone and were taken as UTC");
        summary.warnings.push(warning);
    }
}

/// Drops a byte order mark, which some exporters write.
fn without_bom(mut reader: impl Read) -> Result<impl Read, ImportError> {
    let mut start = Vec::new();
    let taken = reader.by_ref().take(3).read_to_end(&mut start);
    taken.map_err(ImportError::Read)?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(reader))
}

fn json_error(error: serde_json::Error) -> ImportError {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Io => ImportError::Read(error.into()),
        serde_json::error::Category::Eof => ImportError::CutOff { line, column },
        _ => ImportError::Json { line, column },
    }
}

#[cfg(test)]
mod tests;
