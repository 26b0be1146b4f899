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
        bare(change, lower),
        bare(change, upper)
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
    format!("{} {unit}", bare(change, value))
}

fn bare(_change: &Change, value: f64) -> String {
    match scaled(value.abs()) {
        text if text == "0" => text,
        text if value < 0.0 => format!("−{text}"),
        text => format!("+{text}"),
    }
}

/// A ratio in hundredths with up to three digits and no superfluous zeros.
fn scaled(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent.is_nan() {
        return "?".to_owned();
    }
    if percent.is_infinite() {
        return if percent > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    if percent >= 99_999.5 {
        return "over 99,999".to_owned();
    }
    let decimals = match percent.abs() {
        p if p >= 99.95 => 0,
        p if p >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{percent:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    match text {
        "-0" => "0".to_owned(),
        text => grouped(text),
    }
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
