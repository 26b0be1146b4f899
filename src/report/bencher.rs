//! The gate metrics in the Bencher Metric Format: benchmarks are endpoints, measures metrics.
//!
//! Values are the candidate's levels: nanoseconds, shares from 0 to 1, bytes. Around them lies as
//! much as the interval of the change lies around its estimate. What cannot be trusted is left
//! out, because a history does not forget.

use std::collections::BTreeMap;

use serde::Serialize;

use super::json::pretty;
use super::numbers::significant;
use super::{Report, findings};
use crate::compare::{
    Change,
    metric::{Kind, Unit},
};
use crate::text::{printable, shorten};

/// The longest name of a benchmark, in characters.
const NAME_MAX: usize = 1_000;
/// More than histograms are worth, and without the noise of arithmetic.
const DIGITS: usize = 7;

#[derive(Serialize)]
struct Measure {
    #[serde(rename = "value")]
    level: f64,
    #[serde(rename = "lower_value", skip_serializing_if = "Option::is_none")]
    lower: Option<f64>,
    #[serde(rename = "upper_value", skip_serializing_if = "Option::is_none")]
    upper: Option<f64>,
}

/// The object by endpoint and metric.
pub(super) fn render(report: &Report) -> String {
    let mut all: BTreeMap<String, BTreeMap<&str, Measure>> = BTreeMap::new();
    for (change, level) in levels(report) {
        let endpoint = shorten(&printable(&change.endpoint), NAME_MAX);
        let around = around(change, level);
        let measures = all.entry(endpoint).or_default();
        measures.entry(change.metric.name()).or_insert(Measure {
            level: significant(level, DIGITS),
            lower: around.map(|[lower, _]| significant(lower, DIGITS)),
            upper: around.map(|[_, upper]| significant(upper, DIGITS)),
        });
    }
    pretty(&all)
}

/// The gate metrics with the level of the candidate, each once, in the order of the comparison.
pub(super) fn levels(report: &Report) -> Vec<(&Change, f64)> {
    let judged = findings::trusted(&report.comparison).into_iter();
    // What is held to a limit has the same level as against the baseline, or stands alone.
    let mut all: Vec<(&Change, f64)> = Vec::new();
    for change in judged {
        let known = |(it, _): &(&Change, f64)| {
            (&it.endpoint, it.metric) == (&change.endpoint, change.metric)
        };
        let place = all.iter().position(known);
        match (place, change.candidate.filter(|level| level.is_finite())) {
            (None, Some(level)) => all.push((change, level)),
            (Some(place), Some(level)) if all[place].0.limit.is_some() => {
                all[place] = (change, level);
            }
            _ => {}
        }
    }
    all
}

/// The interval of the change, laid around the level of the candidate; `None` where it has no
/// end.
pub(super) fn around(change: &Change, level: f64) -> Option<[f64; 2]> {
    let interval = change.change?;
    let traits = change.metric.traits();
    let at = |point: f64| match traits.kind {
        Kind::Difference => level + (point - interval.estimate),
        Kind::Ratio if change.metric.is_worse_higher() => {
            level * (1.0 + point) / (1.0 + interval.estimate)
        }
        Kind::Ratio => level * (1.0 - point) / (1.0 - interval.estimate),
    };
    let (a, b) = (at(interval.lower), at(interval.upper));
    let most = match traits.unit {
        Unit::Share => 1.0,
        Unit::Time | Unit::Bytes => f64::INFINITY,
    };
    let bounds = [a.min(b).max(0.0), a.max(b).min(most)];
    let is_sound = |bound: &f64| bound.is_finite();
    (a.is_finite() && b.is_finite() && bounds.iter().all(is_sound)).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::compare::{Interval, Metric, Verdict};

    #[test]
    fn it_looks_as_agreed() {
        insta::assert_snapshot!(render(&sample::report()));
    }

    #[test]
    fn intervals_lie_around_the_level_of_the_candidate() {
        let mut change = sample::report().comparison.changes[0].clone();
        let infinite = f64::INFINITY;
        for (metric, level, (estimate, lower, upper), wanted) in [
            (Metric::P99, 12.0, (0.2, 0.1, 0.3), Some([11.0, 13.0])),
            (Metric::P99, 12.0, (0.2, 0.1, infinite), None),
            (Metric::Goodput, 0.9, (0.1, 0.0, 0.2), Some([0.8, 1.0])),
            (
                Metric::ErrorRate,
                0.01,
                (0.0, -0.02, 0.02),
                Some([0.0, 0.03]),
            ),
            // All was lost: there is nothing to lay anything around.
            (Metric::Goodput, 0.0, (1.0, 0.5, 1.0), None),
        ] {
            change.metric = metric;
            change.change = Some(Interval {
                estimate,
                lower,
                upper,
            });
            let found = around(&change, level);
            let near = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
            let same = match (found, wanted) {
                (Some(a), Some(b)) => a.into_iter().zip(b).all(near),
                (a, b) => a == b,
            };
            assert!(same, "{metric:?}: {found:?}");
        }
    }

    #[test]
    fn an_invalid_measurement_adds_nothing_to_a_history() {
        let mut report = sample::report();
        report.comparison.verdict = Verdict::Invalid;
        assert_eq!(render(&report), "{}\n");
    }

    #[test]
    fn a_limit_and_a_margin_of_one_metric_are_one_value() {
        let report = sample::report();
        let rows = report.comparison.changes.iter();
        let own = |change: &Change| change.endpoint == "GET /cart" && change.metric == Metric::P99;
        assert_eq!(rows.filter(|change| own(change)).count(), 2);
        let levels = levels(&report);
        let mut mine = levels.iter().filter(|(change, _)| own(change));
        assert!(
            mine.next()
                .is_some_and(|(change, _)| change.limit.is_none())
        );
        assert!(mine.next().is_none());
    }
}
