//! The language of the reports: every number and every finding is put into words here, once.
//!
//! Nothing is computed beyond scaling for display. The candidate is called faster only where
//! the comparison says improved. Endpoint names pass through the caller's `show`, so that each
//! format quotes them in its own way.

use super::numbers::{bare, rounded, scaled};
pub use super::numbers::{duration, elapsed, plural, share, time_cell, whole_number};
use crate::compare::{Change, Comparison, Interval, Metric, NOT_TOGETHER, Reason, Status, Verdict};
use crate::run::Side;

/// The verdict as people and scripts search for it.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Regressed => "REGRESSED",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::Invalid => "INVALID",
    }
}

/// The status as people and scripts search for it.
pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Pass => "PASS",
        Status::Regressed => "REGRESSED",
        Status::Inconclusive => "INCONCLUSIVE",
        Status::Invalid => "INVALID",
        Status::NotJudged => "NOT JUDGED",
    }
}

/// A sign for the status that needs no colour.
pub fn status_sign(status: Status) -> &'static str {
    match status {
        Status::Pass => "✓",
        Status::Regressed => "✗",
        Status::Inconclusive => "?",
        Status::Invalid => "!",
        Status::NotJudged => "-",
    }
}

/// The verdict as one plain sentence that starts with its word.
pub fn headline(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let word = verdict_word(comparison.verdict);
    format!("{word}: {}", verdict_sentence(comparison, show))
}

/// The verdict in plain words, without its name.
pub fn verdict_sentence(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let said = found(comparison, show);
    if together(comparison) {
        return said;
    }
    format!("{said} ({APART})")
}

/// What stands in every report of sides that were not measured together.
pub const APART: &str = "the sides were not measured together";

/// Whether the sides were measured together.
pub fn together(comparison: &Comparison) -> bool {
    let mut warnings = comparison.warnings.iter();
    !warnings.any(|warning| warning.code == NOT_TOGETHER)
}

fn found(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let gate = || comparison.changes.iter().filter(|change| change.gate);
    match comparison.verdict {
        Verdict::Pass => "nothing is worse than you tolerate".to_owned(),
        Verdict::Regressed => regressions(comparison, show),
        Verdict::Inconclusive => {
            let open = gate().filter(|change| change.status == Status::Inconclusive);
            match (open.count(), gate().count()) {
                (0, _) => "there is not enough evidence for a verdict".to_owned(),
                (open, all) => format!(
                    "the evidence was not enough to decide {} of {}",
                    open,
                    plural(all, "metric")
                ),
            }
        }
        Verdict::Invalid => "the measurement cannot be trusted".to_owned(),
    }
}

fn regressions(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let mut complaints: Vec<(&str, Vec<&str>)> = Vec::new();
    for change in &comparison.changes {
        if !change.gate || change.status != Status::Regressed {
            continue;
        }
        let (said, endpoint) = (complaint(change), change.endpoint.as_str());
        match complaints.iter_mut().find(|(known, _)| *known == said) {
            Some((_, at)) if at.contains(&endpoint) => {}
            Some((_, at)) => at.push(endpoint),
            None => complaints.push((said, vec![endpoint])),
        }
    }
    if complaints.is_empty() {
        return "the candidate is worse than you tolerate".to_owned();
    }
    let complaints = complaints.iter().map(|(said, at)| match at.len() {
        1 => format!("{said} at {}", show(at[0])),
        n => format!(
            "{said} at {} and {}",
            show(at[0]),
            plural(n - 1, "other endpoint")
        ),
    });
    let complaints: Vec<_> = complaints.collect();
    format!("the candidate {}", complaints.join(", and "))
}

fn complaint(change: &Change) -> &'static str {
    match (change.reason, change.metric) {
        (Reason::Unavailable, _) => "stopped answering",
        (_, Metric::ErrorRate) => "fails more often than the baseline",
        (Reason::BeyondTolerance, _) => "is slower than you tolerate",
        _ => "is slower, and was not shown to stay within your tolerance,",
    }
}

/// What was found of one metric, as one plain sentence.
pub fn sentence(change: &Change, endpoint: &str) -> String {
    let what = match change.metric {
        Metric::ErrorRate => format!("The error rate of {endpoint}"),
        metric => format!("{} of {endpoint}", metric.name()),
    };
    let moved = movement(change);
    let bound = size(change, change.tolerance);
    match change.reason {
        Reason::Ok => format!("{what} {moved}; that is within the {bound} you tolerate."),
        Reason::Improved => format!("{what} {moved}."),
        Reason::SlowerWithinTolerance => {
            format!("{what} {moved}, but surely within the {bound} you tolerate.")
        }
        Reason::BeyondTolerance => format!("{what} {moved}; you tolerate {bound}."),
        Reason::Slower => {
            format!("{what} {moved}; it was not shown to stay within the {bound} you tolerate.")
        }
        Reason::Unavailable => {
            format!("{endpoint} stopped answering on the candidate while the baseline was healthy.")
        }
        Reason::BlockedByErrors => format!(
            "{what} {moved}; it cannot pass while the error rate of this endpoint does not."
        ),
        Reason::Noise => format!(
            "{what} {moved}; {} cannot tell whether that is within the {bound} you tolerate{}.",
            plural(change.rounds, "round"),
            detectable(change)
        ),
        Reason::NotTogether => format!(
            "{what} is {} against {} of the baseline; how much runs differ is not known, so that \
             this is not judged.",
            level_cell(change, Side::Candidate),
            level_cell(change, Side::Baseline)
        ),
        Reason::Dependent => format!(
            "{what} cannot be trusted: successive rounds resemble each other. Use longer slots."
        ),
        Reason::TooFewRequests => format!(
            "{what} was not judged: {} requests a round and side are too few.",
            rounded(change.requests_per_round)
        ),
        Reason::Missing => format!("{what} was not judged: some round had no figure for it."),
    }
}

/// The reason of a status in a few words, where the status alone does not say it.
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Ok | Reason::BeyondTolerance => "",
        Reason::Improved => "improved",
        Reason::SlowerWithinTolerance => "slower, but tolerated",
        Reason::Slower => "not shown to be within tolerance",
        Reason::Unavailable => "stopped answering",
        Reason::BlockedByErrors => "blocked by its error rate",
        Reason::Noise => "too noisy to tell",
        Reason::NotTogether => "not measured together",
        Reason::Dependent => "rounds resemble each other",
        Reason::TooFewRequests => "too few requests",
        Reason::Missing => "a round had no figure",
    }
}

fn detectable(change: &Change) -> String {
    let found = change.detectable.filter(|size| size.is_finite());
    found.map_or(String::new(), |least| {
        format!(
            "; a change of {} would have been found",
            size(change, least)
        )
    })
}

/// "is 4 to 11 % slower", or the interval where it says neither.
fn movement(change: &Change) -> String {
    let Some(interval) = change.change else {
        return "has no figure".to_owned();
    };
    let errors = change.metric == Metric::ErrorRate;
    let (near, far, words) = if interval.lower > 0.0 {
        let words = if errors { "higher" } else { "slower" };
        (interval.lower, interval.upper, words)
    } else if interval.upper < 0.0 && change.reason == Reason::Improved {
        let words = if errors { "lower" } else { "faster" };
        (-interval.upper, -interval.lower, words)
    } else {
        let (from, to) = (
            signed(change, interval.lower),
            signed(change, interval.upper),
        );
        return format!("changed by {from} to {to}");
    };
    if !far.is_finite() {
        return format!("is at least {} {words}", size(change, near));
    }
    let (near, far) = (size(change, near), size(change, far));
    let unit = if errors { " pp" } else { " %" };
    let near = near.strip_suffix(unit).unwrap_or(&near);
    format!("is {near} to {far} {words}")
}

/// The change with its interval: `+7.2 % [+4.1, +10.4]`; a dash where there is none.
pub fn change_cell(change: &Change) -> String {
    let Some(Interval {
        estimate,
        lower,
        upper,
    }) = change.change
    else {
        return "–".to_owned();
    };
    format!(
        "{} [{}, {}]",
        signed(change, estimate),
        bare(lower),
        bare(upper)
    )
}

/// The largest change you would still ship: `10 %` or `0.1 pp`.
pub fn tolerance_cell(change: &Change) -> String {
    size(change, change.tolerance)
}

/// The level of one side: a time, or a share of requests.
pub fn level_cell(change: &Change, side: Side) -> String {
    let level = match side {
        Side::Baseline => change.baseline,
        Side::Candidate => change.candidate,
    };
    match (level, change.metric) {
        (None, _) => "–".to_owned(),
        (Some(rate), Metric::ErrorRate) => share(rate),
        (Some(ns), _) => duration(ns),
    }
}

/// A change or a margin without sign, in the unit of its metric.
pub fn size(change: &Change, value: f64) -> String {
    match change.metric {
        Metric::ErrorRate => format!("{} pp", scaled(value)),
        _ => share(value),
    }
}

/// A change with its sign, in the unit of its metric.
pub fn signed(change: &Change, value: f64) -> String {
    let unit = if change.metric == Metric::ErrorRate {
        "pp"
    } else {
        "%"
    };
    format!("{} {unit}", bare(value))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn worded(metric: Metric, reason: Reason, lower: f64, upper: f64) -> String {
        let mut change = sample::report().comparison.changes[0].clone();
        change.metric = metric;
        change.reason = reason;
        let estimate = f64::midpoint(lower, upper);
        change.change = Some(Interval {
            estimate,
            lower,
            upper,
        });
        sentence(&change, "X")
    }

    #[test]
    fn each_reason_is_one_plain_sentence() {
        use Reason as R;
        let time = |reason, lower, upper| worded(Metric::P99, reason, lower, upper);
        for (said, expected) in [
            (
                time(R::Ok, -0.02, 0.03),
                "p99 of X changed by −2.0 % to +3.0 %; that is within the 10 % you tolerate.",
            ),
            (
                time(R::Improved, -0.11, -0.04),
                "p99 of X is 4 to 11 % faster.",
            ),
            (
                time(R::SlowerWithinTolerance, 0.02, 0.06),
                "p99 of X is 2 to 6 % slower, but surely within the 10 % you tolerate.",
            ),
            (
                time(R::BeyondTolerance, 0.14, 0.3),
                "p99 of X is 14 to 30 % slower; you tolerate 10 %.",
            ),
            (
                time(R::BeyondTolerance, 0.14, f64::INFINITY),
                "p99 of X is at least 14 % slower; you tolerate 10 %.",
            ),
            (
                time(R::Slower, 0.04, 0.11),
                "p99 of X is 4 to 11 % slower; it was not shown to stay within the 10 % you \
                 tolerate.",
            ),
            (
                time(R::Unavailable, 0.0, 0.0),
                "X stopped answering on the candidate while the baseline was healthy.",
            ),
            (
                time(R::BlockedByErrors, -0.2, -0.1),
                "p99 of X changed by −20.0 % to −10.0 %; it cannot pass while the error rate of \
                 this endpoint does not.",
            ),
            (
                time(R::Noise, -0.12, 0.18),
                "p99 of X changed by −12.0 % to +18.0 %; 11 rounds cannot tell whether that is \
                 within the 10 % you tolerate; a change of 21 % would have been found.",
            ),
            (
                time(R::Dependent, 0.0, 0.1),
                "p99 of X cannot be trusted: successive rounds resemble each other. Use longer \
                 slots.",
            ),
            (
                time(R::TooFewRequests, 0.0, 0.0),
                "p99 of X was not judged: 625 requests a round and side are too few.",
            ),
            (
                time(R::Missing, 0.0, 0.0),
                "p99 of X was not judged: some round had no figure for it.",
            ),
            (
                worded(Metric::ErrorRate, R::Improved, -0.003, -0.001),
                "The error rate of X is 0.1 to 0.3 pp lower.",
            ),
            (
                worded(Metric::ErrorRate, R::Slower, 0.0036, 0.0061),
                "The error rate of X is 0.36 to 0.61 pp higher; it was not shown to stay within \
                 the 10 pp you tolerate.",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn only_improved_is_ever_called_faster() {
        let reasons = [
            Reason::Ok,
            Reason::SlowerWithinTolerance,
            Reason::BeyondTolerance,
            Reason::Slower,
            Reason::Unavailable,
            Reason::BlockedByErrors,
            Reason::Noise,
            Reason::NotTogether,
            Reason::Dependent,
        ];
        for reason in reasons {
            for metric in Metric::ALL {
                let said = worded(metric, reason, -0.3, -0.2);
                assert!(
                    !said.contains("faster") && !said.contains("lower"),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn the_headline_names_what_regressed_and_where() {
        let mut comparison = sample::report().comparison;
        let show = |endpoint: &str| format!("<{endpoint}>");
        assert_eq!(
            headline(&comparison, &show),
            "REGRESSED: the candidate is slower than you tolerate at <GET /cart>, and fails more \
             often than the baseline at <POST /orders/{id}>"
        );
        comparison.changes[1].status = Status::Pass;
        comparison.changes[4].status = Status::Regressed;
        comparison.changes[4].reason = Reason::Slower;
        comparison.changes[2].status = Status::Regressed;
        comparison.changes[2].reason = Reason::BeyondTolerance;
        let said = headline(&comparison, &show);
        assert!(
            said.contains("tolerate at <GET /cart> and 1 other endpoint, and"),
            "{said}"
        );
        for (verdict, said) in [
            (Verdict::Pass, "PASS: nothing is worse than you tolerate"),
            (
                Verdict::Inconclusive,
                "INCONCLUSIVE: the evidence was not enough to decide 1 of 6 metrics",
            ),
            (
                Verdict::Invalid,
                "INVALID: the measurement cannot be trusted",
            ),
        ] {
            comparison.verdict = verdict;
            assert_eq!(headline(&comparison, &show), said);
        }
    }
}
