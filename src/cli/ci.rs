//! What CI services are told, and what they tell: GitHub Actions gets the summary, annotations
//! and outputs; of GitLab and Jenkins only the commit is taken, because their files lie in
//! --out-dir already.
//!
//! Nothing here changes a verdict or an exit code: what cannot be told is said, and that is all.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{commit::Commit, say};
use crate::report::{Report, annotations, printable, step_outputs, step_summary};

/// Whether a CI service is looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum CiMode {
    /// By its variables
    #[default]
    Auto,
    /// No: what it would be told stays in the files
    None,
}

/// The flag for it.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct CiFlag {
    /// Whether a CI service is looked for, to learn the commit and to tell the result
    #[arg(long, env = "PROOFLOAD_CI", value_enum, default_value = "auto")]
    pub ci: CiMode,
}

/// Where services say which commit they build.
const COMMITS: [&str; 3] = ["GITHUB_SHA", "CI_COMMIT_SHA", "GIT_COMMIT"];

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The commit that the CI service builds.
pub(super) fn commit(mode: CiMode) -> Option<Commit> {
    let mut names = COMMITS.iter().filter(|_| mode == CiMode::Auto);
    names.find_map(|name| variable(name)?.parse().ok())
}

/// The files of a step of GitHub Actions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Github {
    summary: Option<PathBuf>,
    output: Option<PathBuf>,
}

impl Github {
    /// Those of this step, if it is one.
    pub(super) fn found(mode: CiMode) -> Option<Self> {
        let is_there = variable("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        (mode == CiMode::Auto && is_there).then(|| Self {
            summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            output: variable("GITHUB_OUTPUT").map(PathBuf::from),
        })
    }

    /// Appends the summary and the outputs, and sets annotations. Those go to stderr, which the
    /// runner reads as well, so that stdout holds the result and nothing else.
    pub(super) fn tell(&self, report: &Report, out_dir: &Path) {
        let lines = annotations(report);
        if !lines.is_empty() {
            say(lines.trim_end());
        }
        if let Some(path) = &self.summary {
            let there = std::fs::metadata(path).map_or(0, |facts| facts.len());
            match step_summary(report, there) {
                Some(text) => append("the step summary", path, &text),
                None => say(
                    "note: the summaries of this step are full; read summary.md in --out-dir \
                     instead",
                ),
            }
        }
        if let Some(path) = &self.output {
            append(
                "the outputs of the step",
                path,
                &step_outputs(report, out_dir),
            );
        }
    }
}

fn append(what: &str, path: &Path, text: &str) {
    let file = OpenOptions::new().append(true).create(true).open(path);
    // A line that somebody left open is not ours to go on with.
    let written = file.and_then(|mut file| file.write_all(format!("\n{text}").as_bytes()));
    if let Err(error) = written {
        let path = printable(&path.display().to_string());
        say(&format!("note: {what} ({path}) cannot be written: {error}"));
    }
}
