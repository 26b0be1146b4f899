//! The first screen, in plain words: the verdict, what matters, whether it can be trusted, what
//! was compared.

use askama::Template;

use super::{capital, kind_of, status_of};
use crate::compare::{Change, Verdict};
use crate::report::{INSECURE, Report, chart, findings, words};
use crate::run::Side;
use crate::text::printable;
use crate::units::count;

/// No more findings stand on the first screen.
const SHOWN: usize = 3;

#[derive(Template)]
#[template(path = "first.html")]
pub(super) struct Screen {
    title: String,
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: String,
    when: String,
    causes: Vec<String>,
    heading: &'static str,
    findings: Vec<Finding>,
    more: usize,
    trust: &'static str,
    checks: Vec<Check>,
    warnings: Vec<Said>,
    facts: Vec<Fact>,
}

struct Finding {
    kind: &'static str,
    sign: &'static str,
    levels: String,
    change: String,
    tolerated: String,
    strip: String,
    sentence: String,
}

/// Something that speaks for the measurement, or against it.
struct Check {
    good: bool,
    text: String,
}

struct Said {
    code: String,
    text: String,
    is_alarm: bool,
}

/// A name and what it is.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Fact {
    pub(super) fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }
}

/// The first screen.
pub(super) fn screen(report: &Report) -> Screen {
    let (subject, comparison) = (&report.subject, &report.comparison);
    let status = status_of(comparison.verdict);
    let said = words::verdict_sentence(comparison, &|endpoint| printable(endpoint));
    let notable = findings::notable(comparison);
    let (heading, shown) = if notable.is_empty() {
        (
            "Nearest to what you tolerate",
            findings::nearest(comparison),
        )
    } else {
        ("What matters", notable)
    };
    let reach = chart::reach(&shown);
    let warnings = comparison.warnings.iter().map(|warning| Said {
        code: printable(&warning.code),
        text: printable(&warning.text),
        is_alarm: warning.code == INSECURE,
    });
    Screen {
        title: printable(&subject.title),
        kind: kind_of(status),
        sign: words::status_sign(status),
        word: words::verdict_word(comparison.verdict),
        sentence: capital(&said),
        when: format!(
            "Measured {} for {}; exit code {}",
            printable(&subject.started_at),
            words::elapsed(subject.elapsed_ns),
            subject.exit_code
        ),
        causes: comparison.causes.iter().map(|it| printable(it)).collect(),
        heading,
        findings: shown
            .iter()
            .take(SHOWN)
            .map(|it| finding(it, reach))
            .collect(),
        more: shown.len().saturating_sub(SHOWN),
        trust: findings::trust(comparison),
        checks: checks(report),
        warnings: warnings.collect(),
        facts: facts(report),
    }
}

fn finding(change: &Change, reach: f64) -> Finding {
    let level = |side| words::level_cell(change, side);
    Finding {
        kind: kind_of(change.status),
        sign: words::status_sign(change.status),
        levels: match change.limit {
            Some(_) => level(Side::Candidate),
            None => format!("{} → {}", level(Side::Baseline), level(Side::Candidate)),
        },
        change: words::change_cell(change),
        tolerated: words::tolerance_cell(change),
        strip: chart::strip(change, reach, true),
        sentence: words::sentence(change, &printable(&change.endpoint)),
    }
}

/// What the trust rests on, each in one line.
fn checks(report: &Report) -> Vec<Check> {
    let comparison = &report.comparison;
    let is_valid = comparison.verdict != Verdict::Invalid;
    let mut checks = vec![
        Check {
            good: comparison.rounds.dropped.is_empty() && is_valid,
            text: findings::rounds(comparison, &|reason| printable(reason)),
        },
        Check {
            good: comparison.coverage >= findings::COVERED,
            text: findings::coverage(comparison),
        },
    ];
    let lags = report.totals.generator.iter();
    let lag = lags.filter_map(|it| it.send_lag_ns.p99).max();
    let busiest = report.totals.generator.iter().map(|it| it.cpu_share);
    if let Some(lag_ns) = lag {
        checks.push(Check {
            good: !comparison.rounds.dropped.contains_key("send_lag"),
            text: format!(
                "The generator sent 99 of 100 requests at most {} late; its busiest thread used \
                 {} of its core or quota.",
                words::duration(count(lag_ns)),
                words::share(busiest.fold(0.0, f64::max))
            ),
        });
    }
    let together = words::together(comparison);
    checks.push(Check {
        good: together,
        text: if together {
            "Both sides got the same requests, and were measured together.".to_owned()
        } else {
            capital(words::APART) + "."
        },
    });
    checks
}

fn facts(report: &Report) -> Vec<Fact> {
    let subject = &report.subject;
    let workload = &subject.workload;
    let holds = format!(
        "{}: {} over {}",
        printable(&workload.source),
        words::plural(workload.requests, "request"),
        words::elapsed(workload.duration_ns)
    );
    let mut facts = vec![
        Fact::new("Baseline", subject.baseline.shown()),
        Fact::new("Candidate", subject.candidate.shown()),
        Fact::new("Workload", holds),
    ];
    if let Some(recorded) = &workload.recorded_at {
        facts.push(Fact::new("Recorded", printable(recorded)));
    }
    facts.push(Fact::new("Load", printable(&subject.rate)));
    let rounds = words::plural(report.comparison.rounds.measured, "round");
    let sides = format!("{}, {rounds} measured", printable(&subject.arrangement));
    facts.push(Fact::new("Sides", sides));
    facts
}
