//! `proofload schema`: what the files look like, as JSON Schema for those who check them.

use clap::{Args, ValueEnum};

use super::exit;

/// Flags of `proofload schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Which file
    #[arg(value_enum)]
    file: Described,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Described {
    /// report.json, and what `compare --format json` prints
    Report,
    /// What `run --format json` prints
    RunReport,
    /// verdict.json
    Verdict,
    /// One line of a workload
    Workload,
    /// One line of a run file
    Run,
}

impl SchemaArgs {
    /// Prints the schema.
    pub(super) fn exec(&self) -> u8 {
        if super::print(text(self.file)) {
            exit::PASS
        } else {
            exit::STORAGE
        }
    }
}

fn text(file: Described) -> &'static str {
    match file {
        Described::Report => include_str!("schema/report.json"),
        Described::RunReport => include_str!("schema/run-report.json"),
        Described::Verdict => include_str!("schema/verdict.json"),
        Described::Workload => include_str!("schema/workload.json"),
        Described::Run => include_str!("schema/run.json"),
    }
}
