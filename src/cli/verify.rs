//! `proofload verify`: for approval steps. Is this verdict a PASS, of this commit, still fresh,
//! and are the files that it names what they were?
//!
//! Digests show that nothing has changed, not who wrote it: whoever can write the directory can
//! write a verdict. So it belongs where only the pipeline writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use jiff::Timestamp;

use super::{
    commit::Commit,
    exit::{self, Failure},
};
use crate::{
    compare::Verdict,
    report::{VerdictFile, printable, read_json},
    run::{COMMIT, Labels},
    store::digest_file,
    units::{Span, count, seconds},
};

/// Clocks of two machines may differ by this much, in seconds.
const CLOCKS_DIFFER_S: i64 = 300;
/// Without this file nothing says what the verdict follows from.
const REPORT: &str = "report.json";

/// Flags of `proofload verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The verdict.json of a comparison, or the directory it lies in; the files it names are read
    /// from beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The commit that the candidate must have been built from
    #[arg(long, value_name = "SHA")]
    commit: Option<Commit>,
    /// The commit that the baseline must have been built from
    #[arg(long, value_name = "SHA")]
    baseline_commit: Option<Commit>,
    /// The measurement must not have begun longer ago; that it has not expired is checked anyway
    #[arg(long, value_name = "TIME")]
    max_age: Option<Span>,
}

impl VerifyArgs {
    /// Checks and says so; whatever does not hold is a failure with its code.
    ///
    /// # Errors
    /// When the file is no verdict (usage), does not hold (invalid), or is no PASS (the code of
    /// its verdict).
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let path = if self.file.is_dir() {
            self.file.join("verdict.json")
        } else {
            self.file.clone()
        };
        let shown = || path.display().to_string();
        let read = || -> anyhow::Result<VerdictFile> {
            let text = std::fs::read_to_string(&path).context("cannot be read")?;
            Ok(VerdictFile::read(&text)?)
        };
        let verdict = read().with_context(shown).map_err(Failure::usage)?;
        let missing = check_files(&verdict, &path);
        let missing = missing.with_context(shown).map_err(Failure::invalid)?;
        self.check(&verdict, Timestamp::now())
            .map_err(|failure| Failure {
                error: failure.error.context(shown()),
                ..failure
            })?;
        let mut said = format!(
            "{}; {}, started {}",
            printable(&verdict.sentence),
            built(&verdict.candidate.labels),
            printable(&verdict.started_at)
        );
        if !missing.is_empty() {
            said = format!("{said}; not there to be checked: {}", missing.join(", "));
        }
        let printed = super::print(&format!("{said}\n"));
        Ok(if printed { exit::PASS } else { exit::STORAGE })
    }

    /// What the verdict itself says, held against what is wanted: the commit first, because what
    /// is said of another one does not matter.
    fn check(&self, verdict: &VerdictFile, now: Timestamp) -> Result<(), Failure> {
        for (side, wanted, labels) in [
            ("candidate", &self.commit, &verdict.candidate.labels),
            ("baseline", &self.baseline_commit, &verdict.baseline.labels),
        ] {
            check_commit(side, wanted.as_ref(), labels).map_err(Failure::invalid)?;
        }
        check_verdict(verdict)?;
        check_age(verdict, self.max_age, now).map_err(Failure::invalid)
    }
}

/// Compares each file with its digest, and the verdict with the report; returns the names of those
/// that are not there.
fn check_files(verdict: &VerdictFile, path: &Path) -> anyhow::Result<Vec<String>> {
    let mut missing = Vec::new();
    for (name, wanted) in &verdict.files {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.starts_with('.') || !name.chars().all(plain) {
            bail!(
                "it names a file that no comparison writes: {}",
                printable(name)
            );
        }
        match digest_file(&path.with_file_name(name)) {
            Ok(found) if found == *wanted => {}
            Ok(_) => bail!("{name} was changed since: its digest is another one"),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                missing.push(name.clone());
            }
            Err(error) => bail!("{name} cannot be read: {error}"),
        }
    }
    if !verdict.files.contains_key(REPORT) || missing.iter().any(|name| name == REPORT) {
        bail!(
            "{REPORT} is not there, which the verdict follows from; keep the whole directory that \
             --out-dir wrote"
        );
    }
    let text = std::fs::read_to_string(path.with_file_name(REPORT));
    let report = read_json(&text.context(REPORT)?).context(REPORT)?;
    if !verdict.agrees_with(&report) {
        bail!("it does not say what {REPORT} says; one of them was changed");
    }
    Ok(missing)
}

fn check_commit(side: &str, wanted: Option<&Commit>, labels: &Labels) -> anyhow::Result<()> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    match labels.get(COMMIT) {
        Some(stored) if wanted.is(stored) => Ok(()),
        Some(stored) => Err(anyhow!(
            "the {side} was built from commit {}, and {wanted} is to be approved; compare that one",
            printable(stored)
        )),
        None => Err(anyhow!(
            "nobody said which commit the {side} was built from; give `compare` --commit or \
             PROOFLOAD_COMMIT (--baseline-commit for the baseline)"
        )),
    }
}

fn check_verdict(verdict: &VerdictFile) -> Result<(), Failure> {
    let code = match verdict.verdict {
        Verdict::Pass => verdict.exit_code,
        Verdict::Regressed => exit::REGRESSED,
        Verdict::Inconclusive => exit::INCONCLUSIVE,
        Verdict::Invalid => exit::INVALID,
    };
    if code == exit::PASS {
        return Ok(());
    }
    let causes = verdict.causes.iter().map(|cause| printable(cause));
    let said: Vec<_> = std::iter::once(printable(&verdict.sentence))
        .chain(causes)
        .collect();
    let let_through = verdict.exit_code == exit::PASS;
    let said = said.join("; ");
    let error = if verdict.verdict == Verdict::Pass {
        anyhow!("{said}; but the comparison ended with exit code {code}, so that it is no PASS")
    } else if let_through {
        anyhow!("{said}; the gate let it through, but it is no PASS")
    } else {
        anyhow!(said)
    };
    Err(Failure { code, error })
}

fn check_age(verdict: &VerdictFile, max_age: Option<Span>, now: Timestamp) -> anyhow::Result<()> {
    let instant = |text: &str| -> anyhow::Result<Timestamp> {
        text.parse()
            .with_context(|| format!("{} is no instant", printable(text)))
    };
    let started_at = instant(&verdict.started_at)?;
    let age_s = now.as_second() - started_at.as_second();
    if age_s < -CLOCKS_DIFFER_S {
        bail!("it was measured in the future, at {started_at}; set the clocks right");
    }
    let expires_at = verdict.expires_at.as_deref();
    let expires_at = expires_at.context("it does not say until when it holds; compare again")?;
    let expires_at = instant(expires_at)?;
    if now > expires_at {
        bail!("it expired at {expires_at}; compare again");
    }
    match max_age {
        Some(max_age) if now.duration_since(started_at) > limit(max_age) => bail!(
            "it was measured {:.1} h ago, at {started_at}, and may be {:.1} h old; compare again",
            count(u64::try_from(age_s).unwrap_or(0)) / 3600.0,
            seconds(max_age.ns()) / 3600.0
        ),
        _ => Ok(()),
    }
}

fn limit(span: Span) -> jiff::SignedDuration {
    // A span has a week at the most.
    jiff::SignedDuration::try_from(span.duration()).unwrap_or(jiff::SignedDuration::MAX)
}

fn built(labels: &Labels) -> String {
    let commit = labels.get(COMMIT);
    commit.map_or("commit unknown".to_owned(), |it| {
        format!("commit {}", printable(it))
    })
}

#[cfg(test)]
mod tests;
