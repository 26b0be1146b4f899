//! `verdict.json`: what was decided about which commit, until when that holds, and which files
//! say so. For approval steps; `proofload verify` reads it.
//!
//! It holds nothing that `report.json` does not hold, but for the digests: so the two can be held
//! against each other. A digest says that nothing has changed since; it does not say who wrote
//! it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::json::pretty;
use super::{Place, Report, printable, words};
use crate::compare::{Status, Verdict};
use crate::run::Labels;

/// The name of this form of the file.
pub const VERDICT_SCHEMA: &str = "proofload.verdict.v1";

/// Why a `verdict.json` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum VerdictError {
    /// Not JSON, or keys are missing.
    #[error("not a verdict of proofload: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another version.
    #[error(
        "the verdict has the form `{0}`, but this version reads `{VERDICT_SCHEMA}`; use the newer \
         one"
    )]
    Schema(String),
}

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictFile {
    /// The name of its form.
    pub schema: String,
    /// The verdict.
    pub verdict: Verdict,
    /// What the process ended with: not what follows from the verdict where something else went
    /// wrong, or where the inconclusive was let through.
    pub exit_code: u8,
    /// The verdict in one sentence that begins with its word.
    pub sentence: String,
    /// Why it is invalid or inconclusive; else empty.
    pub causes: Vec<String>,
    /// Endpoint and metric of what is worse than tolerated.
    pub regressed: Vec<String>,
    /// A name for people.
    pub title: String,
    /// The version of proofload that measured.
    pub version: String,
    /// When the load began, in RFC 3339.
    pub started_at: String,
    /// Until when it may be relied on, in RFC 3339.
    pub expires_at: Option<String>,
    /// What was in service.
    pub baseline: Deployment,
    /// What the verdict is about.
    pub candidate: Deployment,
    /// What was sent.
    pub workload: Sent,
    /// The files beside it: `sha256:` and the digest of each.
    pub files: BTreeMap<String, String>,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The URL, the name of a baseline or the run file.
    pub label: String,
    /// What it was built from; `commit` is one of them.
    #[serde(default)]
    pub labels: Labels,
}

/// The workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The file, or what stood in for it.
    pub source: String,
    /// Its digest.
    pub digest: String,
}

impl VerdictFile {
    /// What a report says, and the digests of the files that were written.
    pub fn of(report: &Report, files: BTreeMap<String, String>) -> Self {
        let (subject, comparison) = (&report.subject, &report.comparison);
        let gate = comparison.changes.iter().filter(|change| change.gate);
        let regressed = gate.filter(|change| change.status == Status::Regressed);
        let deployment = |place: &Place| Deployment {
            label: place.label.clone(),
            labels: place.labels.clone(),
        };
        Self {
            schema: VERDICT_SCHEMA.to_owned(),
            verdict: comparison.verdict,
            exit_code: subject.exit_code,
            sentence: words::headline(comparison, &|endpoint| printable(endpoint)),
            causes: comparison.causes.clone(),
            regressed: regressed.map(words::change_name).collect(),
            title: subject.title.clone(),
            version: subject.version.clone(),
            started_at: subject.started_at.clone(),
            expires_at: subject.expires_at.clone(),
            baseline: deployment(&subject.baseline),
            candidate: deployment(&subject.candidate),
            workload: Sent {
                source: subject.workload.source.clone(),
                digest: subject.workload.digest.clone(),
            },
            files,
        }
    }

    /// The file as it is written, safe to print.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// Reads the file back.
    ///
    /// # Errors
    /// When the text is no verdict, or one of another version.
    pub fn read(text: &str) -> Result<Self, VerdictError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_str(text)?;
        if head.schema != VERDICT_SCHEMA {
            return Err(VerdictError::Schema(printable(&head.schema)));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// Whether it says what the report says. Sentences do not count: another version may word
    /// them differently.
    pub fn agrees_with(&self, report: &Report) -> bool {
        let said = Self {
            sentence: self.sentence.clone(),
            ..Self::of(report, self.files.clone())
        };
        *self == said
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::run::COMMIT;

    fn report() -> Report {
        let mut report = sample::report();
        let subject = &mut report.subject;
        subject.expires_at = Some("2026-03-02T12:00:00Z".to_owned());
        for (place, commit) in [
            (&mut subject.baseline, "77aa0d1"),
            (&mut subject.candidate, "4f1c2e9"),
        ] {
            place.labels.insert(COMMIT.to_owned(), commit.to_owned());
        }
        report
    }

    fn verdict(report: &Report) -> VerdictFile {
        let files = [("report.json".to_owned(), "sha256:00".to_owned())];
        VerdictFile::of(report, files.into())
    }

    #[test]
    fn it_looks_as_agreed_and_is_read_back() {
        let verdict = verdict(&report());
        let text = verdict.json();
        insta::assert_snapshot!(text);
        assert_eq!(VerdictFile::read(&text).unwrap(), verdict);
    }

    #[test]
    fn whatever_is_changed_no_longer_agrees_with_the_report() {
        let report = report();
        let good = verdict(&report);
        assert!(good.agrees_with(&report));
        // As it is read back, which is what `verify` holds it against.
        let text = super::super::json::render(&report);
        assert!(good.agrees_with(&super::super::read_json(&text).unwrap()));
        let changes: [fn(&mut VerdictFile); 6] = [
            |it| it.verdict = Verdict::Pass,
            |it| it.exit_code = 0,
            |it| it.expires_at = None,
            |it| it.candidate.labels.clear(),
            |it| it.regressed.clear(),
            |it| it.started_at = "2027-03-01T12:00:00Z".to_owned(),
        ];
        for change in changes {
            let mut other = good.clone();
            change(&mut other);
            assert!(!other.agrees_with(&report), "{other:?}");
        }
    }

    #[test]
    fn other_files_are_refused_with_their_reason() {
        for (text, said) in [
            ("", "not a verdict"),
            ("{}", "schema"),
            ("{\"schema\":\"proofload.verdict.v2\"}", "newer"),
            ("{\"schema\":\"proofload.verdict.v1\"}", "missing field"),
        ] {
            let error = VerdictFile::read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
