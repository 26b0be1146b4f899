//! `proofload scan`: secrets that are left in files, before they are shared.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::anyhow;
use clap::Args;

use super::{
    exit::{self, Failure},
    print, say,
    settings::FileSettings,
};
use crate::{
    report::printable,
    workload::{
        redact::{Kind, Rules},
        scan::{Finding, Scanned, scan},
    },
};

/// Findings of one file that are printed; more are counted.
const SHOWN: u64 = 200;

/// Flags of `proofload scan`.
#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    /// Workloads, run files, reports or any text, also .zst and .gz; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Settings file with the rules of [redact] [default: proofload.toml here or above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ScanArgs {
    /// Searches each file and prints what it finds.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let file = FileSettings::find(self.config.as_deref()).map_err(Failure::usage)?;
        let rules = file.redact.rules().map_err(Failure::usage)?;
        let mut found = 0;
        let mut unread = None;
        for path in &self.files {
            match scan_file(path, &rules) {
                Ok(scanned) => found += scanned.total(),
                Err(error) => {
                    let name = printable(&path.display().to_string());
                    let error = anyhow!("cannot scan {name}: {error}; what is behind was not read");
                    // The other files are scanned all the same.
                    if let Some(earlier) = unread.replace(error) {
                        say(&format!(
                            "proofload: {}",
                            printable(&format!("{earlier:#}"))
                        ));
                    }
                }
            }
        }
        match (found, unread) {
            (0, Some(error)) => Err(Failure::usage(error)),
            (0, None) => Ok(exit::PASS),
            (_, unread) => {
                if let Some(error) = unread {
                    say(&format!("proofload: {}", printable(&format!("{error:#}"))));
                }
                say(
                    "these may be secrets: import the recording again, or name what is none under \
                     [redact] in proofload.toml",
                );
                Ok(exit::REFUSED)
            }
        }
    }
}

fn scan_file(path: &Path, rules: &Rules) -> io::Result<Scanned> {
    let name = printable(&path.display().to_string());
    let mut shown = 0;
    let mut each = |finding: &Finding| {
        shown += 1;
        if shown <= SHOWN {
            print(&format!("{}\n", line(&name, finding)));
        }
    };
    let scanned = scan(open(path)?, rules, &mut each)?;
    let (total, lines) = (scanned.total(), scanned.lines);
    let said = match total {
        0 => "nothing found".to_owned(),
        _ => kinds(&scanned.findings),
    };
    let more = match total.saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" ({more} more than are shown)"),
    };
    print(&format!("{name}: {lines} lines, {said}{more}\n"));
    Ok(scanned)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    if path.is_dir() {
        return Err(io::Error::other(
            "it is a directory; name the files inside it",
        ));
    }
    Ok(Box::new(File::open(path)?))
}

/// `w.jsonl:3:17  secret field  path, token  •••••• (7 characters)`.
fn line(name: &str, finding: &Finding) -> String {
    let column = finding.column.map_or(String::new(), |it| format!(":{it}"));
    let place = if finding.place.is_empty() {
        "-".to_owned()
    } else {
        printable(&finding.place)
    };
    let (line, kind, excerpt) = (finding.line, finding.kind.one(), &finding.excerpt);
    format!("{name}:{line}{column}  {kind}  {place}  {excerpt}")
}

/// `3 secret fields, 1 e-mail address`.
fn kinds(findings: &BTreeMap<Kind, u64>) -> String {
    let kinds = findings.iter().map(|(kind, count)| match count {
        1 => format!("1 {}", kind.one()),
        _ => format!("{count} {}", kind.name()),
    });
    kinds.collect::<Vec<_>>().join(", ")
}
