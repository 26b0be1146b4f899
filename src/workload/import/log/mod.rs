//! Importing access logs: what many servers write by default, and what a given format says.
//!
//! A log holds no bodies and few headers, and often stamps of whole seconds or of the end of a
//! request. What follows from that is done here and said in the account: GET and HEAD only,
//! stamps spread inside their second, ends moved to begins where the log has durations.

mod apache;
mod format;
mod haproxy;
mod json;
mod nginx;
mod pattern;

pub use format::{FormatError, LogFormat, NAMES};

use std::io::{BufRead, Read};

use super::{
    ImportError, ImportOptions, Imported, Unit,
    gather::{
        Gather,
        Rejected::{Malformed, Policy},
    },
    input::{self, Budget, Line, Lines},
    retime::Stamps,
};
use crate::units::count;
use format::Reader;

/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 64 << 10;

const UNIT: Unit = Unit {
    one: "line",
    many: "lines",
    first: 1,
};

/// What an import of an access log should keep, besides what all imports are told.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// What a line looks like.
    pub format: LogFormat,
    /// Methods to keep, `all` for every one; empty keeps GET and HEAD, and what has its body in
    /// the log.
    pub methods: Vec<String>,
    /// Of the choice where in its second a request is put that has a stamp of whole seconds.
    pub seed: u64,
}

/// Reads access logs and makes one clean workload of them, in order of time; `.gz` and `.zst`
/// are recognised.
///
/// # Errors
/// When the format cannot be read back, a file cannot be read, or nothing in it can be replayed.
pub fn import_log<R: Read>(
    files: impl IntoIterator<Item = R>,
    log: &LogOptions,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let format =
        Reader::new(&log.format).map_err(|error| ImportError::Format(error.to_string()))?;
    let mut gather = Gather::new(UNIT);
    let mut stamps = Stamps::default();
    let budget = Budget::new(options.max_input);
    for file in files {
        gather.next_file();
        read(
            input::open(file, &budget)?,
            &format,
            &mut gather,
            &mut stamps,
        )?;
    }
    gather.refuse_damaged(options.lenient)?;
    stamps.correct(&mut gather, log.seed);
    gather.choose_hosts(&options.hosts);
    choose_methods(&mut gather, &log.methods);
    gather.assemble("log", options)
}

fn read(
    reader: impl BufRead,
    format: &Reader,
    gather: &mut Gather,
    stamps: &mut Stamps,
) -> Result<(), ImportError> {
    let mut lines = Lines::new(reader, LONGEST_LINE);
    let mut last = 0;
    while let Some(line) = lines.next_line()? {
        let line = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => line,
            Line::TooLong => {
                let position = gather.next_entry();
                gather.take(position, Err(Policy("the line is longer than 64 KiB")));
                continue;
            }
        };
        let position = gather.next_entry();
        let is_object = line.starts_with(b"{");
        let logged = match format.read(line, &mut last) {
            Ok(Some(draft)) => draft.finish(position),
            Ok(None) => Err(Policy("no entry of an access log")),
            Err(unfit) => Err(Malformed(unfit)),
        };
        let found = logged.map(|logged| {
            let shape = if is_object { usize::MAX } else { last };
            stamps.push(&logged, (gather.summary.files.len(), shape));
            logged.found
        });
        gather.take(position, found);
    }
    Ok(())
}

/// Leaves out the methods that are not wanted, and says what part of the traffic stays.
fn choose_methods(gather: &mut Gather, methods: &[String]) {
    let is_named = |method: &str| {
        let mut named = methods.iter();
        named.any(|it| it.eq_ignore_ascii_case(method) || it.eq_ignore_ascii_case("all"))
    };
    let mut all = (0_u64, 0_u64);
    let mut kept = (0_u64, 0_u64);
    let mut bodiless = 0_u64;
    let summary = &mut gather.summary;
    gather.found.retain(|found| {
        let method = found.request.method.as_str();
        let has_body = found.request.has_body;
        let keep = match methods {
            [] => matches!(method, "GET" | "HEAD") || has_body,
            _ => is_named(method),
        };
        let took = found.request.recorded.latency_ns.unwrap_or(0);
        all = (all.0 + 1, all.1.saturating_add(took));
        if keep {
            kept = (kept.0 + 1, kept.1.saturating_add(took));
            bodiless += u64::from(matches!(method, "POST" | "PUT" | "PATCH") && !has_body);
        } else {
            let reason = match methods {
                [] => "neither GET nor HEAD; the log has no bodies",
                _ => "a method that was not named",
            };
            summary.skip(reason, false, found.position);
        }
        keep
    });
    if kept.0 < all.0 {
        let share = |part, whole| 100.0 * count(part) / count(whole).max(1.0);
        let time = match all.1 {
            0 => "the log does not say of how much time".to_owned(),
            all_ns => format!("{:.1} % of their time", share(kept.1, all_ns)),
        };
        summary.notes.push(format!(
            "kept by method: {:.1} % of the requests, {time}; --method keeps others",
            share(kept.0, all.0)
        ));
    }
    if bodiless > 0 {
        summary.warnings.push(format!(
            "{bodiless} requests of methods that have a body are replayed without it"
        ));
    }
}

#[cfg(test)]
mod tests;
