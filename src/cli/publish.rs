//! The end of a comparison: its reports into the output directory, one of them onto stdout, and
//! the exit code that is true once all of that has worked or failed.

use super::{StdoutFormat, exit, say, style};
use crate::{
    experiment::Interrupt,
    report::{FILES, Format, Report, read_json, render},
    store::{OutDir, StoreError},
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
pub(super) fn publish(mut report: Report, out_dir: &OutDir, format: StdoutFormat, end: End) -> u8 {
    let mut storage = end.storage;
    report.subject.exit_code = exit::of_run(end.interrupt, storage.is_none(), end.verdict);
    // What is rendered now and what is rendered from the file in a year are the same.
    let stored = render(&report, Format::Json, crate::report::Style::default());
    report = read_json(&stored).unwrap_or(report);
    for (name, format) in FILES {
        let text = render(&report, format, crate::report::Style::default());
        if let Err(error) = out_dir.write(name, text.as_bytes()) {
            storage.get_or_insert(error);
        }
    }
    let code = exit::of_run(end.interrupt, storage.is_none(), end.verdict);
    report.subject.exit_code = code;
    let format = match format {
        StdoutFormat::Text => Format::Text,
        StdoutFormat::Json => Format::Json,
        StdoutFormat::Markdown => Format::Markdown,
    };
    let shown = super::print(&render(&report, format, style()));
    match storage {
        Some(error) => say(&format!("proofload: {error}")),
        None => say(&format!(
            "report: {}",
            out_dir.file("report.html").display()
        )),
    }
    exit::of_run(end.interrupt, shown, code)
}
