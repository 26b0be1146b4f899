//! What was found of one metric, as one plain sentence; every format shows the same.
//!
//! Nothing is computed beyond scaling for display. The candidate is called faster only where the
//! comparison says improved.

use super::numbers::{bytes, duration, many_times, plural, range, rounded, scaled, share};
use super::words::{natural, signed, size};
use crate::compare::{
    Change, Reason,
    metric::{Kind, Unit},
};
use crate::run::WORKLOAD;

/// One sentence on one change; `endpoint` is its endpoint as the format quotes it.
pub fn sentence(change: &Change, endpoint: &str) -> String {
    let what = format!("{} of {}", figure(change), place(change, endpoint));
    let moved = movement(change);
    match change.reason {
        Reason::Unavailable => {
            let place = place(change, endpoint);
            format!("{place} stopped answering on the candidate while the baseline was healthy.")
        }
        Reason::BlockedByErrors => format!(
            "{what} {moved}; it cannot pass while the error rate of {} does not.",
            match change.endpoint.as_str() {
                WORKLOAD => "the whole",
                _ => "this endpoint",
            }
        ),
        Reason::Noise => format!(
            "{what} {moved}; {}; not enough evidence yet: {}{}.",
            held_against(change),
            change.advice(),
            detectable(change)
        ),
        Reason::NotTogether => {
            let of = |it: Option<f64>| it.map_or("unknown".to_owned(), |it| level(change, it));
            format!(
                "{what} is {} against {} of the baseline; how much runs differ is not known, so \
                 that this is not judged.",
                of(change.candidate),
                of(change.baseline)
            )
        }
        Reason::Dependent => format!(
            "{what} cannot be trusted: successive rounds resemble each other. Use longer slots."
        ),
        Reason::Ok if change.limit.is_some() => {
            format!("{what} {moved}; that keeps the limit of {}.", bound(change))
        }
        Reason::Ok => format!(
            "{what} {moved}; that is within the {} you tolerate.",
            bound(change)
        ),
        Reason::Improved => format!("{what} {moved}."),
        Reason::SlowerWithinTolerance => format!(
            "{what} {moved}, but surely within the {} you tolerate.",
            bound(change)
        ),
        Reason::BeyondTolerance | Reason::BeyondLimit => {
            format!("{what} {moved}; {}.", held_against(change))
        }
        Reason::Slower => format!(
            "{what} {moved}; it was not shown to stay within the {} you tolerate.",
            bound(change)
        ),
        Reason::TooFewRequests | Reason::Missing | Reason::Unneeded => {
            format!("{what} was not judged: {}.", why_not(change))
        }
    }
}

/// What was not judged, metrics of one endpoint and one reason in one sentence; `show` quotes
/// endpoints.
pub(super) fn not_judged(changes: &[&Change], show: &dyn Fn(&str) -> String) -> Vec<String> {
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    for change in changes {
        let same = |group: &&mut Vec<&Change>| {
            let first = group[0];
            let [a, b] = [first, *change].map(|it| (it.limit.is_some(), it.reason));
            first.endpoint == change.endpoint && a == b && !a.0
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    let said = |group: Vec<&Change>| {
        let first = group[0];
        let endpoint = show(&first.endpoint);
        if group.len() == 1 {
            return sentence(first, &endpoint);
        }
        let names: Vec<_> = group.iter().map(|change| change.metric.name()).collect();
        let (last, others) = names.split_last().expect("a group has a first change");
        format!(
            "{} and {last} of {} were not judged: {}.",
            others.join(", "),
            place(first, &endpoint),
            why_not(first)
        )
    };
    groups.into_iter().map(said).collect()
}

fn figure(change: &Change) -> &'static str {
    change.metric.traits().words.figure
}

fn place<'a>(change: &Change, endpoint: &'a str) -> &'a str {
    match change.endpoint.as_str() {
        WORKLOAD => "the whole workload",
        _ => endpoint,
    }
}

fn why_not(change: &Change) -> String {
    match change.reason {
        Reason::Missing => "some round had no figure for it".to_owned(),
        Reason::Unneeded => "it stayed open, and each endpoint was judged by itself".to_owned(),
        _ => format!(
            "{} requests a round and side are too few",
            rounded(change.requests_per_round)
        ),
    }
}

/// The tolerance or the limit, in the unit of the metric.
fn bound(change: &Change) -> String {
    match change.limit {
        Some(limit) => level(change, limit),
        None => size(change, change.tolerance),
    }
}

fn held_against(change: &Change) -> String {
    match change.limit {
        Some(_) => format!("the limit is {}", bound(change)),
        None => format!("you tolerate {}", bound(change)),
    }
}

fn detectable(change: &Change) -> String {
    let found = change.detectable.filter(|size| size.is_finite());
    let found = found.filter(|_| change.limit.is_none());
    found.map_or(String::new(), |least| {
        format!(
            "; a change of {} would have been found",
            size(change, least)
        )
    })
}

/// A level in the unit of its metric: `12.3 ms`, `0.1 %`, `64 B`.
pub(super) fn level(change: &Change, value: f64) -> String {
    match change.metric.traits().unit {
        Unit::Time => duration(value),
        Unit::Share => share(value),
        Unit::Bytes => bytes(value),
    }
}

/// The candidate's own level where it was held to a limit, for a point on the scale of changes.
pub(super) fn against_limit(change: &Change, limit: f64, point: f64) -> String {
    let value = match change.metric.traits().kind {
        Kind::Ratio => limit * (1.0 + point),
        Kind::Difference => limit + point,
    };
    level(change, value.max(0.0))
}

/// "is 4 to 11 % slower", or the interval where it says neither.
fn movement(change: &Change) -> String {
    let Some(interval) = change.change else {
        return "has no figure".to_owned();
    };
    if let Some(limit) = change.limit {
        let [from, to] =
            [interval.lower, interval.upper].map(|point| against_limit(change, limit, point));
        return format!("is {}", range(&from, &to));
    }
    let traits = change.metric.traits();
    let may_say_less = change.reason == Reason::Improved || !traits.improves;
    let (worse, better) = if change.metric.is_worse_higher() {
        (traits.words.more, traits.words.less)
    } else {
        (traits.words.less, traits.words.more)
    };
    let (near, far, words) = if interval.lower > 0.0 {
        (interval.lower, interval.upper, worse)
    } else if interval.upper < 0.0 && may_say_less {
        (-interval.upper, -interval.lower, better)
    } else {
        let [from, to] = natural(change, interval.lower, interval.upper);
        if (from, to) == (0.0, 0.0) {
            return "did not change".to_owned();
        }
        let [from, to] = [from, to].map(|value| signed(change, value));
        return format!("changed by {from} to {to}");
    };
    if !far.is_finite() {
        return format!("is at least {} {words}", amount(change, near));
    }
    let (near, far) = (amount(change, near), amount(change, far));
    format!("is {} {words}", range(&near, &far))
}

/// A change without its sign: `4 %`, `0.1 pp`, and `12 times` where per cent say nothing.
fn amount(change: &Change, value: f64) -> String {
    match change.metric.traits().kind {
        Kind::Difference => format!("{} pp", scaled(value)),
        Kind::Ratio => match many_times(value) {
            Some(times) => format!("{times} times"),
            None => share(value),
        },
    }
}

/// How many rounds a change was judged from, in words.
pub(super) fn judged_from(change: &Change) -> String {
    format!("judged from {}", plural(change.rounds, "round"))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::compare::{Interval, Metric, Status};

    fn change(metric: Metric, reason: Reason, lower: f64, upper: f64) -> Change {
        let mut change = sample::report().comparison.changes[0].clone();
        change.metric = metric;
        change.reason = reason;
        change.more_s = Some(351.0);
        let estimate = f64::midpoint(lower, upper);
        change.change = Some(Interval {
            estimate,
            lower,
            upper,
        });
        change
    }

    fn worded(metric: Metric, reason: Reason, lower: f64, upper: f64) -> String {
        sentence(&change(metric, reason, lower, upper), "X")
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
                time(R::Ok, 0.0, 0.0),
                "p99 of X did not change; that is within the 10 % you tolerate.",
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
                time(R::BeyondTolerance, 0.5, 12.2),
                "p99 of X is 50 % to 13 times slower; you tolerate 10 %.",
            ),
            (
                time(R::BeyondTolerance, 11.0, 29_999.0),
                "p99 of X is 12 to 30,000 times slower; you tolerate 10 %.",
            ),
            (
                time(R::Slower, 0.04, 0.11),
                "p99 of X is 4 to 11 % slower; it was not shown to stay within the 10 % you \
                 tolerate.",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn what_could_not_be_decided_says_why() {
        use Reason as R;
        let time = |reason, lower, upper| worded(Metric::P99, reason, lower, upper);
        for (said, expected) in [
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
                time(R::Noise, 0.04, 0.11),
                "p99 of X is 4 to 11 % slower; you tolerate 10 %; not enough evidence yet: about \
                 6 more minutes would do; a change of 21 % would have been found.",
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
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn each_metric_has_its_own_words() {
        use Reason as R;
        for (said, expected) in [
            (
                worded(Metric::ErrorRate, R::Improved, -0.003, -0.001),
                "The error rate of X is 0.1 to 0.3 pp lower.",
            ),
            (
                worded(Metric::ErrorRate, R::Slower, 0.0036, 0.0061),
                "The error rate of X is 0.36 to 0.61 pp higher; it was not shown to stay within \
                 the 10 pp you tolerate.",
            ),
            (
                worded(Metric::Goodput, R::BeyondTolerance, 0.12, 0.14),
                "The goodput of X is 12 to 14 % lower; you tolerate 10 %.",
            ),
            (
                worded(Metric::Goodput, R::Ok, -0.01, 0.02),
                "The goodput of X changed by −2.0 % to +1.0 %; that is within the 10 % you \
                 tolerate.",
            ),
            (
                worded(Metric::Size, R::Ok, -0.32, -0.3),
                "The size of the answers of X is 30 to 32 % smaller; that is within the 10 % you \
                 tolerate.",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn limits_are_said_by_the_levels_of_the_candidate() {
        let held = |metric, reason, limit, (lower, upper)| {
            let mut change = change(metric, reason, lower, upper);
            change.limit = Some(limit);
            sentence(&change, "X")
        };
        for (said, expected) in [
            (
                held(Metric::P99, Reason::BeyondLimit, 300e6, (0.0333, 0.1333)),
                "p99 of X is 310 to 340 ms; the limit is 300 ms.",
            ),
            (
                held(Metric::P50, Reason::Ok, 1e6, (-0.05, -0.001)),
                "p50 of X is 950 to 999 µs; that keeps the limit of 1.00 ms.",
            ),
            (
                held(Metric::P50, Reason::Noise, 1e6, (-0.05, 0.2)),
                "p50 of X is 950 µs to 1.20 ms; the limit is 1.00 ms; not enough evidence yet: \
                 about 6 more minutes would do.",
            ),
            (
                held(Metric::ErrorRate, Reason::BeyondLimit, 0.01, (0.002, 0.01)),
                "The error rate of X is 1.2 to 2 %; the limit is 1 %.",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }

    #[test]
    fn the_whole_workload_is_called_so() {
        let mut change = change(Metric::P99, Reason::BeyondTolerance, 0.14, 0.3);
        change.endpoint = WORKLOAD.to_owned();
        let said = sentence(&change, "`workload`");
        assert!(
            said.starts_with("p99 of the whole workload is 14"),
            "{said}"
        );
        change.reason = Reason::Unneeded;
        let said = sentence(&change, "`workload`");
        assert!(
            said.contains("each endpoint was judged by itself"),
            "{said}"
        );
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
                let boasts = ["faster", "lower;", "lower,", "higher"];
                assert!(!boasts.iter().any(|it| said.contains(it)), "{said}");
            }
        }
    }

    #[test]
    fn what_was_not_judged_is_said_once_for_an_endpoint_and_a_reason() {
        let of = |endpoint: &str, metric, reason| Change {
            endpoint: endpoint.to_owned(),
            status: Status::NotJudged,
            ..change(metric, reason, 0.0, 0.0)
        };
        let few = Reason::TooFewRequests;
        let all = [
            of("A", Metric::P999, few),
            of("B", Metric::P99, few),
            of("A", Metric::FirstByteP99, few),
            of("A", Metric::P99, few),
            of("A", Metric::P50, Reason::Missing),
        ];
        let all: Vec<_> = all.iter().collect();
        let said = not_judged(&all, &|endpoint| format!("<{endpoint}>"));
        assert_eq!(
            said,
            [
                "p99.9, ttfb-p99 and p99 of <A> were not judged: 625 requests a round and side \
                 are too few.",
                "p99 of <B> was not judged: 625 requests a round and side are too few.",
                "p50 of <A> was not judged: some round had no figure for it.",
            ]
        );
    }
}
