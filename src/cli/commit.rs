//! What the sides were built from: flags, variables of ours, and those that CI services set.

use std::str::FromStr;

use clap::Args;

use super::ci::{self, CiMode};
use crate::run::{COMMIT, Labels};

/// The longest name of a commit, in characters.
const LONGEST: usize = 100;
/// Fewer characters of a commit may be those of another.
const SHORTEST: usize = 7;

/// The name of a commit or of a build: letters, digits and a few signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit(String);

impl FromStr for Commit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+:@".contains(c);
        if text.is_empty() || text.len() > LONGEST || !text.chars().all(plain) {
            return Err(format!(
                "a commit has 1 to {LONGEST} letters, digits and signs of -_./+:@"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Commit {
    /// The commit as a label of a side.
    pub(super) fn labels(&self) -> Labels {
        Labels::from([(COMMIT.to_owned(), self.0.clone())])
    }

    /// Whether it means the one that is stored. One of both may be cut, to seven digits at the
    /// least, where both are hexadecimal.
    pub(super) fn is(&self, stored: &str) -> bool {
        let [own, other] = [&self.0, stored].map(str::to_ascii_lowercase);
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if own == other {
            return self.0 == stored || is_hex(&own);
        }
        let (short, long) = if own.len() < other.len() {
            (own, other)
        } else {
            (other, own)
        };
        short.len() >= SHORTEST && is_hex(&long) && long.starts_with(&short)
    }
}

impl std::fmt::Display for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The commits of a comparison.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct CommitFlags {
    /// The commit that the candidate was built from [default: that of the CI service, for a
    /// live candidate]
    #[arg(long, env = "PROOFLOAD_COMMIT", value_name = "SHA")]
    pub commit: Option<Commit>,
    /// The commit that the baseline was built from
    #[arg(long, env = "PROOFLOAD_BASELINE_COMMIT", value_name = "SHA")]
    pub baseline_commit: Option<Commit>,
}

impl CommitFlags {
    /// The labels of both sides, as far as they were given or the CI service says it. Of a stored
    /// side it says nothing: that was measured at another time.
    pub(super) fn labels(&self, ci: CiMode, is_live: [bool; 2]) -> [Labels; 2] {
        let found = || {
            Some(())
                .filter(|()| is_live[1])
                .and_then(|()| ci::commit(ci))
        };
        let candidate = self.commit.clone().or_else(found);
        [self.baseline_commit.clone(), candidate]
            .map(|commit| commit.map_or_else(Labels::new, |it| it.labels()))
    }
}

/// Labels over those that are known already.
pub(super) fn over(given: &Labels, known: &Labels) -> Labels {
    let mut all = known.clone();
    all.extend(given.clone());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_a_plain_word() {
        for text in ["4f1c2e9", "v2.4.0-rc.1+build:7", "refs/heads/main@1"] {
            assert!(text.parse::<Commit>().is_ok(), "{text}");
        }
        let long = "a".repeat(101);
        for text in ["", "a b", "a\n", "$(x)", "a'", "ä", "<b>", &long] {
            assert!(text.parse::<Commit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_commit_may_be_cut_and_is_never_another() {
        let full = "4f1c2e9d00aa11bb22cc33dd44ee55ff66778899";
        for (given, stored, same) in [
            (full, full, true),
            ("4f1c2e9", full, true),
            (full, "4F1C2E9D00", true),
            ("4f1c2e", full, false),
            ("5f1c2e9", full, false),
            ("v2.4.0", "v2.4.0", true),
            ("V2.4.0", "v2.4.0", false),
            ("v2.4.0", "v2.4.0-rc.1", false),
            ("release", "release-2", false),
        ] {
            let commit: Commit = given.parse().unwrap();
            assert_eq!(commit.is(stored), same, "{given} {stored}");
        }
    }
}
