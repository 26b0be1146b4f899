//! What the reader should learn first: which changes matter, and whether the measurement can
//! be trusted. Order and words only; every finding was made by `compare`.

use super::sentence;
use super::words::{plural, share, whole_number};
use crate::compare::{Change, Comparison, Status, Verdict};

/// PASS needs endpoints with a judged latency to carry this share of the requests (method 2.7).
pub(super) const COVERED: f64 = 0.8;

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

/// Gate changes whose figures may stand in a history: those of a measurement that can be trusted.
pub(super) fn trusted(comparison: &Comparison) -> Vec<&Change> {
    let judged = judged(comparison).into_iter();
    let sound = judged.filter(|change| change.status != Status::Invalid);
    sound
        .filter(|_| comparison.verdict != Verdict::Invalid)
        .collect()
}

/// What could not be judged, each with its reason, in sentences; `show` quotes endpoints.
pub(super) fn not_judged(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> Vec<String> {
    let all = comparison.changes.iter();
    let all: Vec<_> = all
        .filter(|change| change.status == Status::NotJudged)
        .collect();
    sentence::not_judged(&all, show)
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

/// What passed without having moved, the nearest to its tolerance first.
pub(super) fn nearest(comparison: &Comparison) -> Vec<&Change> {
    let mut passed = judged(comparison);
    let far = |change: &Change| {
        let upper = change.change.map_or(f64::NEG_INFINITY, |it| it.upper);
        (upper - change.tolerance) / change.unit()
    };
    passed.sort_by(|a, b| far(b).total_cmp(&far(a)));
    passed.truncate(3);
    passed
}

/// Whether the figures can be trusted, in one sentence.
pub(super) fn trust(comparison: &Comparison) -> &'static str {
    let mut changes = comparison.changes.iter();
    if comparison.verdict == Verdict::Invalid {
        "No: the measurement cannot be trusted, so nothing is judged by it."
    } else if changes.any(|change| change.gate && change.status == Status::Invalid) {
        "Yes, but for the metrics that are marked INVALID."
    } else if !comparison.warnings.is_empty() {
        "Yes, with the warnings given here."
    } else if !comparison.rounds.dropped.is_empty() {
        "Yes: rounds that something disturbed were dropped."
    } else {
        "Yes: nothing disturbed the measurement."
    }
}

/// What became of the rounds; `show` quotes the reasons.
pub(super) fn rounds(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let rounds = &comparison.rounds;
    let dropped: u32 = rounds.dropped.values().sum();
    let mut text = format!(
        "{} of {} judged; {} measured",
        rounds.judged,
        plural(rounds.planned, "planned round"),
        rounds.measured
    );
    let waiting = rounds.valid.saturating_sub(rounds.judged);
    if rounds.judged == 0 && waiting > 0 {
        text.push_str("; too few for the first look");
    } else if waiting > 0 {
        text = format!("{text}; {waiting} came after the last look");
    }
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
        text.push_str(match comparison.verdict {
            Verdict::Invalid => "; stopped early, because more rounds could not mend it",
            _ => "; stopped early, because enough was known",
        });
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

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn trust_names_the_gravest_doubt() {
        let mut comparison = sample::report().comparison;
        assert!(trust(&comparison).contains("marked INVALID"));
        comparison.changes.clear();
        assert!(trust(&comparison).contains("warnings"));
        comparison.warnings.clear();
        assert!(trust(&comparison).contains("dropped"));
        comparison.rounds.dropped.clear();
        assert!(trust(&comparison).contains("nothing disturbed"));
        comparison.verdict = Verdict::Invalid;
        assert!(trust(&comparison).starts_with("No:"));
    }

    #[test]
    fn rounds_that_no_look_took_in_are_not_called_judged() {
        let mut comparison = sample::report().comparison;
        let said = |comparison: &Comparison| rounds(comparison, &str::to_owned);
        comparison.rounds.judged = 10;
        assert_eq!(
            said(&comparison),
            "10 of 12 planned rounds judged; 12 measured; 1 came after the last look; 1 dropped \
             whole, on both sides (send_lag 1)."
        );
        comparison.rounds.judged = 0;
        assert!(said(&comparison).contains("measured; too few for the first look; 1 dropped"));
    }

    #[test]
    fn what_passed_and_moved_matters_when_nothing_else_does() {
        let mut comparison = sample::report().comparison;
        assert_eq!(notable(&comparison).len(), 5);
        comparison
            .changes
            .retain(|change| change.status == Status::Pass);
        let moved = notable(&comparison);
        let moved: Vec<_> = moved.iter().map(|change| change.metric.name()).collect();
        assert_eq!(moved, ["p50", "goodput"]);
        assert_eq!(besides(&comparison).len(), 1);
    }
}
