//! The gate metrics as github-action-benchmark takes them: one file of which less is better, and
//! one of which more is.
//!
//! Times are in milliseconds and shares in per cent, always, so that the values of two commits
//! can be compared. Names never change with the figures.

use serde::Serialize;

use super::bencher::{around, levels};
use super::json::pretty;
use super::names::Names;
use super::numbers::significant;
use super::{Report, words};
use crate::compare::metric::Unit;
use crate::text::printable;

/// As many as histograms are worth, and one to round.
const DIGITS: usize = 5;

#[derive(Serialize)]
struct Entry {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// The list of those of which more is better, or of the others.
pub(super) fn render(report: &Report, bigger: bool) -> String {
    let mut names = Names::default();
    let levels = levels(report).into_iter();
    let own = levels.filter(|(change, _)| change.metric.is_worse_higher() != bigger);
    let entries = own.map(|(change, level)| {
        let (unit, scale) = match change.metric.traits().unit {
            Unit::Time => ("ms", 1e-6),
            Unit::Share => ("%", 100.0),
            Unit::Bytes => ("bytes", 1.0),
        };
        let around =
            around(change, level).map(|bounds| bounds.map(|it| significant(it * scale, DIGITS)));
        let (endpoint, metric) = (printable(&change.endpoint), change.metric.name());
        Entry {
            name: names.unique(&format!("{endpoint} {metric}")),
            unit,
            value: significant(level * scale, DIGITS),
            range: around.map(|[lower, upper]| format!("{lower} to {upper}")),
            extra: words::sentence(change, &endpoint),
        }
    });
    pretty(&entries.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::compare::Verdict;

    #[test]
    fn it_looks_as_agreed() {
        let report = sample::report();
        insta::assert_snapshot!("smaller", render(&report, false));
        insta::assert_snapshot!("bigger", render(&report, true));
    }

    #[test]
    fn an_invalid_measurement_is_an_empty_list_which_the_action_refuses() {
        let mut report = sample::report();
        report.comparison.verdict = Verdict::Invalid;
        for bigger in [false, true] {
            assert_eq!(render(&report, bigger), "[]\n");
        }
    }
}
