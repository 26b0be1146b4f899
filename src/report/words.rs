//! The language of the reports: verdicts, statuses and cells are put into words here, once;
//! `sentence` says what was found of one metric.
//!
//! Nothing is computed beyond scaling for display. Endpoint names pass through the caller's
//! `show`, so that each format quotes them in its own way.

use super::numbers::{bare, many_times, scaled};
pub use super::numbers::{duration, elapsed, plural, share, time_cell, whole_number};
pub use super::sentence::sentence;
use super::sentence::{against_limit, level};
use crate::compare::{
    Change, Comparison, Interval, NOT_TOGETHER, Reason, Status, Verdict,
    metric::{Kind, Unit},
};
use crate::run::{Side, WORKLOAD};
use crate::text::printable;

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
            // The whole is only named where no part is.
            Some((_, at)) if at[0] == WORKLOAD => at[0] = endpoint,
            Some(_) if endpoint == WORKLOAD => {}
            Some((_, at)) => at.push(endpoint),
            None => complaints.push((said, vec![endpoint])),
        }
    }
    if complaints.is_empty() {
        return "the candidate is worse than you tolerate".to_owned();
    }
    let complaints = complaints.iter().map(|(said, at)| match at.len() {
        1 if at[0] == WORKLOAD => format!("{said} over the whole workload"),
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
    let traits = change.metric.traits();
    match change.reason {
        Reason::Unavailable => "stopped answering",
        Reason::BeyondLimit => "exceeds a limit that you set",
        Reason::Slower if traits.unit == Unit::Time => {
            "is slower, and was not shown to stay within your tolerance,"
        }
        _ => traits.words.complaint,
    }
}

/// What a row is called where it has a name of its own: `GET /cart p99`, with `limit` behind it
/// where it was held to one. Safe to print.
pub(super) fn change_name(change: &Change) -> String {
    let limit = change.limit.map_or("", |_| " limit");
    let endpoint = printable(&change.endpoint);
    format!("{endpoint} {}{limit}", change.metric.name())
}

/// The change with its interval: `+7.2 % [+4.1, +10.4]`, or for a limit the candidate's level:
/// `320 ms [310 ms, 340 ms]`; a dash where there is none.
pub fn change_cell(change: &Change) -> String {
    let Some(Interval {
        estimate,
        lower,
        upper,
    }) = change.change
    else {
        return "–".to_owned();
    };
    if let Some(limit) = change.limit {
        let at = |point| against_limit(change, limit, point);
        return format!("{} [{}, {}]", at(estimate), at(lower), at(upper));
    }
    let [middle, _] = natural(change, estimate, estimate);
    let bounds = natural(change, lower, upper);
    // The unit of the estimate holds for the bounds, unless it is said in times.
    let [from, to] = match many_times(estimate) {
        Some(_) => bounds.map(|bound| signed(change, bound)),
        None => bounds.map(bare),
    };
    format!("{} [{from}, {to}]", signed(change, middle))
}

/// Two bounds as people see a figure move: up is more of it, whichever way is worse.
pub(super) fn natural(change: &Change, lower: f64, upper: f64) -> [f64; 2] {
    if change.metric.is_worse_higher() {
        [lower, upper]
    } else {
        [-upper, -lower]
    }
}

/// The largest change you would still ship, or the limit: `10 %`, `0.1 pp`, `< 300 ms`.
pub fn tolerance_cell(change: &Change) -> String {
    match change.limit {
        Some(limit) => format!("< {}", level(change, limit)),
        None => size(change, change.tolerance),
    }
}

/// The level of one side: a time, a share of requests or a size.
pub fn level_cell(change: &Change, side: Side) -> String {
    let found = match side {
        Side::Baseline => change.baseline,
        Side::Candidate => change.candidate,
    };
    found.map_or("–".to_owned(), |found| level(change, found))
}

/// A change or a margin without sign, in the unit of its metric.
pub fn size(change: &Change, value: f64) -> String {
    match change.metric.traits().kind {
        Kind::Difference => format!("{} pp", scaled(value)),
        Kind::Ratio => match many_times(value) {
            Some(times) => format!("×{times}"),
            None => share(value),
        },
    }
}

/// A change with its sign, in the unit of its metric; `×12` where per cent say nothing.
pub fn signed(change: &Change, value: f64) -> String {
    match change.metric.traits().kind {
        Kind::Difference => format!("{} pp", bare(value)),
        Kind::Ratio if many_times(value).is_some() => bare(value),
        Kind::Ratio => format!("{} %", bare(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::compare::Metric;

    /// Metric, limit, interval, and how change and tolerance are shown.
    type Cell = (
        Metric,
        Option<f64>,
        (f64, f64, f64),
        &'static str,
        &'static str,
    );

    const CELLS: [Cell; 8] = [
        (
            Metric::P99,
            None,
            (0.072, 0.041, 0.104),
            "+7.2 % [+4.1, +10.4]",
            "10 %",
        ),
        (
            Metric::P99,
            None,
            (3.5, 0.2, 12.6),
            "+350 % [+20.0, ×14]",
            "10 %",
        ),
        (
            Metric::P99,
            None,
            (11.2, 0.2, 13.0),
            "×12 [+20.0 %, ×14]",
            "10 %",
        ),
        (
            Metric::Goodput,
            None,
            (0.02, 0.01, 0.03),
            "−2.0 % [−3.0, −1.0]",
            "10 %",
        ),
        (
            Metric::ErrorRate,
            None,
            (0.02, 0.01, 0.03),
            "+2.0 pp [+1.0, +3.0]",
            "10 pp",
        ),
        (
            Metric::P99,
            Some(3e8),
            (0.1, 0.0, 0.2),
            "330 ms [300 ms, 360 ms]",
            "< 300 ms",
        ),
        (
            Metric::ErrorRate,
            Some(0.01),
            (0.0, -0.01, 0.01),
            "1 % [0 %, 2 %]",
            "< 1 %",
        ),
        (
            Metric::Size,
            Some(64e3),
            (-0.5, -0.5, -0.5),
            "32.0 kB [32.0 kB, 32.0 kB]",
            "< 64.0 kB",
        ),
    ];

    #[test]
    fn cells_show_which_way_a_figure_moved_and_limits_as_levels() {
        let mut change = sample::report().comparison.changes[0].clone();
        let mut cell = |metric, limit, (estimate, lower, upper)| {
            change.metric = metric;
            change.limit = limit;
            change.change = Some(Interval {
                estimate,
                lower,
                upper,
            });
            (change_cell(&change), tolerance_cell(&change))
        };
        for (metric, limit, interval, shown, bound) in CELLS {
            let (found, tolerated) = cell(metric, limit, interval);
            assert_eq!((found.as_str(), tolerated.as_str()), (shown, bound));
        }
    }

    #[test]
    fn the_headline_names_what_regressed_and_where() {
        let mut comparison = sample::report().comparison;
        let show = |endpoint: &str| format!("<{endpoint}>");
        assert_eq!(
            headline(&comparison, &show),
            "REGRESSED: the candidate is slower than you tolerate at <GET /cart>, and fails more \
             often than the baseline at <POST /orders/{id}>, and exceeds a limit that you set at \
             <GET /cart>"
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
                "INCONCLUSIVE: the evidence was not enough to decide 1 of 8 metrics",
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
