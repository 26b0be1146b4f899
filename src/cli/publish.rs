//! The end of a comparison: its reports into the output directory, one of them onto stdout, and
//! the exit code that is true once all of that has worked or failed.

use std::{collections::BTreeMap, io};

use super::{exit, labels, outputs::Outputs, say};
use crate::{
    experiment::Interrupt,
    report::{FILES, Format, Report, Style, VerdictFile, printable, read_json, render},
    store::{OutDir, StoreError, digest, digest_file},
};

/// How a comparison ended, besides its verdict.
pub(super) struct End {
    /// The signal that ended it early.
    pub(super) interrupt: Option<Interrupt>,
    /// What could not be stored so far.
    pub(super) storage: Option<StoreError>,
    /// The code of the verdict.
    pub(super) verdict: u8,
}

/// Writes and shows a report; returns the exit code.
pub(super) fn publish(mut report: Report, out_dir: &OutDir, outputs: &Outputs, end: End) -> u8 {
    let subject = &mut report.subject;
    subject.expires_at = labels::after(&subject.started_at, outputs.valid_for());
    let mut failed: Option<anyhow::Error> = end.storage.map(Into::into);
    report.subject.exit_code = exit::of_run(end.interrupt, failed.is_none(), end.verdict);
    // What is rendered now and what is rendered from the file in a year are the same.
    let stored = render(&report, Format::Json, Style::default());
    report = read_json(&stored).unwrap_or(report);
    let mut digests = BTreeMap::new();
    for (name, format) in FILES {
        let text = render(&report, format, Style::default());
        match out_dir.write(name, text.as_bytes()) {
            Ok(()) => drop(digests.insert(name.to_owned(), digest(text.as_bytes()))),
            Err(error) => drop(failed.get_or_insert(error.into())),
        }
    }
    for error in outputs.write_files(&report, out_dir) {
        failed.get_or_insert(error);
    }
    // Last, so that what it says of the others holds.
    report.subject.exit_code = exit::of_run(end.interrupt, failed.is_none(), end.verdict);
    if let Err(error) = verdict(&report, out_dir, digests) {
        failed.get_or_insert(error);
    }
    let code = exit::of_run(end.interrupt, failed.is_none(), end.verdict);
    report.subject.exit_code = code;
    outputs.tell(&report, out_dir);
    let shown = match outputs.shown(&report, out_dir) {
        Ok(text) => super::print(&text),
        Err(error) => {
            say(&format!("proofload: {}", printable(&format!("{error:#}"))));
            false
        }
    };
    match failed {
        Some(error) => say(&format!("proofload: {}", printable(&format!("{error:#}")))),
        None => say(&format!(
            "report: {}",
            out_dir.file("report.html").display()
        )),
    }
    exit::of_run(end.interrupt, shown, code)
}

/// Writes `verdict.json` with the digests of the files beside it.
fn verdict(
    report: &Report,
    out_dir: &OutDir,
    mut digests: BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let name = "run.jsonl";
    match digest_file(&out_dir.file(name)) {
        Ok(digest) => drop(digests.insert(name.to_owned(), digest)),
        // Why it is not there was said where it was to be written.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let text = VerdictFile::of(report, digests).json();
    Ok(out_dir.write("verdict.json", text.as_bytes())?)
}
