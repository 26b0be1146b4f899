//! The language of the reports: every number and every finding is put into words here, once.
//!
//! Nothing is computed beyond scaling for display. The candidate is called faster only where
//! the comparison says improved. Endpoint names pass through the caller's `show`, so that each
//! format quotes them in its own way.

use crate::compare::{Change, Comparison, Interval, Metric, Reason, Status, Verdict};
use crate::run::Side;
use crate::units::{count, seconds};

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
                    whole(open),
                    plural(all, "metric")
                ),
            }
        }
        Verdict::Invalid => "the measurement cannot be trusted".to_owned(),
    }
}

fn regressions(comparison: &Comparison, show: &dyn Fn(&str) -> String) -> String {
    let kinds: [(&dyn Fn(&Change) -> bool, &str); 4] = [
        (&|c| c.reason == Reason::Unavailable, "stopped answering"),
        (
            &|c| c.metric == Metric::ErrorRate && c.reason != Reason::Unavailable,
            "fails more often than the baseline",
        ),
        (
            &|c| c.metric != Metric::ErrorRate && c.reason == Reason::BeyondTolerance,
            "is slower than you tolerate",
        ),
        (
            &|c| c.metric != Metric::ErrorRate && c.reason == Reason::Slower,
            "is slower, and was not shown to stay within your tolerance,",
        ),
    ];
    let mut said = Vec::new();
    for (is, words) in kinds {
        let mut at: Vec<&str> = Vec::new();
        for change in &comparison.changes {
            let counts = change.gate && change.status == Status::Regressed && is(change);
            if counts && !at.contains(&change.endpoint.as_str()) {
                at.push(&change.endpoint);
            }
        }
        if let Some((first, others)) = at.split_first() {
            let more = match others.len() {
                0 => String::new(),
                n => format!(" and {}", plural(n, "other endpoint")),
            };
            said.push(format!("{words} at {}{more}", show(first)));
        }
    }
    if said.is_empty() {
        return "the candidate is worse than you tolerate".to_owned();
    }
    format!("the candidate {}", said.join(", and "))
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
        (Some(rate), Metric::ErrorRate) => size_percent(rate),
        (Some(ns), _) => duration(ns),
    }
}

/// A change or a margin without sign, in the unit of its metric.
pub fn size(change: &Change, value: f64) -> String {
    match change.metric {
        Metric::ErrorRate => format!("{} pp", scaled(value)),
        _ => size_percent(value),
    }
}

fn size_percent(value: f64) -> String {
    format!("{} %", scaled(value))
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

fn bare(value: f64) -> String {
    let text = hundredths(value.abs());
    match (
        text.trim_matches(['0', '.']).is_empty(),
        text.strip_prefix('>'),
    ) {
        (true, _) => "0".to_owned(),
        (false, Some(most)) if value > 0.0 => format!(">+{most}"),
        (false, Some(most)) => format!("<−{most}"),
        (false, None) if value < 0.0 => format!("−{text}"),
        (false, None) => format!("+{text}"),
    }
}

/// A ratio in hundredths without superfluous zeros.
fn scaled(ratio: f64) -> String {
    let text = hundredths(ratio);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A ratio in hundredths, to about three digits; what is beyond all use is cut off.
fn hundredths(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent.is_nan() {
        return "?".to_owned();
    }
    if percent.is_infinite() {
        return if percent > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let decimals = match percent.abs() {
        p if p >= 99_999.5 => return ">99,999".to_owned(),
        p if p >= 99.95 => 0,
        p if p >= 0.995 => 1,
        _ => 2,
    };
    grouped(&format!("{percent:.decimals$}"))
}

/// A time in nanoseconds as people say it: `812 µs`, `12.3 ms`, `1.23 s`.
pub fn duration(ns: f64) -> String {
    if !ns.is_finite() {
        return "∞".to_owned();
    }
    // The limits are where three digits would round up into the next unit.
    let (value, unit) = match ns {
        ns if ns < 999.5 => return format!("{} ns", rounded(ns)),
        ns if ns < 999_500.0 => (ns / 1e3, "µs"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{} {unit}", grouped(&format!("{value:.decimals$}")))
}

/// A stored time in nanoseconds as people say it; a dash where there is none.
pub fn time_cell(ns: Option<u64>) -> String {
    ns.map_or("–".to_owned(), |ns| duration(count(ns)))
}

/// How long something took, in seconds, minutes and hours: `58.2 s`, `4 min 56 s`.
pub fn elapsed(ns: u64) -> String {
    let tenths = seconds(ns);
    if tenths < 59.95 {
        return format!("{tenths:.1} s");
    }
    let whole = (ns + 500_000_000) / 1_000_000_000;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, rest) => format!("{minutes} min {rest} s"),
        (hours, minutes, _) => format!("{} h {minutes} min", whole_number(hours)),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn whole_number(n: u64) -> String {
    grouped(&n.to_string())
}

fn whole(n: usize) -> String {
    grouped(&n.to_string())
}

/// A share in `[0, 1]` as a percentage.
pub fn share(value: f64) -> String {
    size_percent(value)
}

/// `1 round`, `12 rounds`.
pub fn plural(n: impl ToString, noun: &str) -> String {
    let n = n.to_string();
    let ending = if n == "1" { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(&n))
}

fn rounded(value: f64) -> String {
    grouped(&format!("{value:.0}"))
}

fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("−", digits),
        None => ("", number),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_people_say() {
        for (ns, said) in [
            (0.0, "0 ns"),
            (850.0, "850 ns"),
            (999.6, "1.00 µs"),
            (12_340.0, "12.3 µs"),
            (812_000.0, "812 µs"),
            (999_600.0, "1.00 ms"),
            (9_996_000.0, "10.0 ms"),
            (99_960_000.0, "100 ms"),
            (1_234_000_000.0, "1.23 s"),
            (3_600e9, "3,600 s"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(duration(ns), said);
        }
        for (ns, said) in [
            (0, "0.0 s"),
            (58_200_000_000, "58.2 s"),
            (59_960_000_000, "1 min 0 s"),
            (296_000_000_000, "4 min 56 s"),
            (7_260_000_000_000, "2 h 1 min"),
        ] {
            assert_eq!(elapsed(ns), said);
        }
    }

    #[test]
    fn ratios_are_percent_and_errors_are_points() {
        for (ratio, shown, signed) in [
            (0.1, "10", "+10.0"),
            (0.228, "22.8", "+22.8"),
            (0.0048, "0.48", "+0.48"),
            (0.0, "0", "0"),
            (-0.000_001, "−0", "0"),
            (1.5, "150", "+150"),
            (12.347, "1,235", "+1,235"),
            (1e7, ">99,999", ">+99,999"),
            (f64::INFINITY, "∞", "+∞"),
        ] {
            if ratio >= 0.0 {
                assert_eq!(scaled(ratio), shown);
            }
            assert_eq!(bare(ratio), signed);
        }
        assert_eq!(bare(-0.05), "−5.0");
        assert_eq!(whole_number(1_234_567), "1,234,567");
        assert_eq!(plural(1, "round"), "1 round");
        assert_eq!(plural(1_000, "round"), "1,000 rounds");
    }

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
            "REGRESSED: the candidate fails more often than the baseline at <POST /orders/{id}>, \
             and is slower than you tolerate at <GET /cart>"
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
