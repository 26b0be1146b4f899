//! What the reader should learn first: which changes matter, and whether the measurement can
//! be trusted. Order and words only; every finding was made by `compare`.

use super::words::{plural, share, whole_number};
use crate::compare::{Change, Comparison, Status, Verdict};

/// Gate changes that were judged, in the order of the comparison: worst first.
pub(super) fn judged(comparison: &Comparison) -> Vec<&Change> {
    let gate = comparison.changes.iter().filter(|change| change.gate);
    gate.filter(|change| change.status != Status::NotJudged)
        .collect()
}

/// Changes that are shown but do not decide, those without figures left out.
pub(super) fn besides(comparison: &Comparison) -> Vec<&Change> {
    let others = comparison.changes.iter().filter(|change| !change.gate);
    others
        .filter(|change| change.status != Status::NotJudged)
        .collect()
}

/// What could not be judged; each with its reason.
pub(super) fn not_judged(comparison: &Comparison) -> Vec<&Change> {
    let all = comparison.changes.iter();
    all.filter(|change| change.status == Status::NotJudged)
        .collect()
}

/// The changes that explain the verdict: whatever did not pass, else what changed for sure.
pub(super) fn notable(comparison: &Comparison) -> Vec<&Change> {
    let judged = judged(comparison);
    let open = judged.iter().filter(|change| change.status != Status::Pass);
    let open: Vec<_> = open.copied().collect();
    if !open.is_empty() {
        return open;
    }
    let moved = |change: &&Change| {
        let sides = change
            .change
            .map(|interval| (interval.lower, interval.upper));
        sides.is_some_and(|(lower, upper)| lower > 0.0 || upper < 0.0)
    };
    judged.into_iter().filter(moved).collect()
}

/// Whether the figures can be trusted, in one sentence.
pub(super) fn trust(comparison: &Comparison) -> &'static str {
    match (comparison.verdict, comparison.warnings.is_empty()) {
        (Verdict::Invalid, _) => {
            "No: the measurement cannot be trusted, so nothing is judged by it."
        }
        (_, true) => "Yes: the generator and both sides did what was planned.",
        (_, false) => "Yes, with the remarks below.",
    }
}

/// What became of the rounds; `show` quotes the reasons.
pub(super) fn rounds(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let rounds = &comparison.rounds;
    let dropped: u32 = rounds.dropped.values().sum();
    let mut text = format!(
        "{} of {} judged; {} measured",
        rounds.valid,
        plural(rounds.planned, "planned round"),
        rounds.measured
    );
    if dropped > 0 {
        let reasons: Vec<_> = rounds
            .dropped
            .iter()
            .map(|(reason, n)| format!("{} {n}", show(reason)))
            .collect();
        let reasons = reasons.join(", ");
        let dropped = whole_number(u64::from(dropped));
        text = format!("{text}; {dropped} dropped whole, on both sides ({reasons})");
    }
    if rounds.measured < rounds.planned && comparison.decided {
        text.push_str("; stopped early, because enough was known");
    }
    text.push('.');
    text
}

/// How much of the traffic the judgement covers.
pub(super) fn coverage(comparison: &Comparison) -> String {
    format!(
        "Endpoints with a judged latency carry {} of the requests.",
        share(comparison.coverage)
    )
}
