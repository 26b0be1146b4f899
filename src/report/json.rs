//! `report.json`: the report for machines. Keys are stable, times are whole nanoseconds,
//! and names carry their units; `docs/formats.md` describes it.
//!
//! Ratios have no unit. A bound that does not exist (infinite) is `null`.

use serde::{Deserialize, Serialize};

use super::sentence::sentence;
use super::totals::whole_ns;
use super::{Figures, Report, Subject};
use crate::compare::{
    Change, Comparison, Course, Interval, Metric, Picture, Reason, RoundsUsed, Shift, Status,
    Verdict, Warning,
    metric::{Kind, Unit},
};
use crate::text::is_hidden;
use crate::units::count;

/// The name of this form of the file.
pub const SCHEMA: &str = "proofload.report.v1";

/// Why a `report.json` cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON, or keys are missing.
    #[error("not a report of proofload: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Written by another version.
    #[error("the report has the form `{0}`, but this version reads `{SCHEMA}`; use the newer one")]
    Schema(String),
    /// A metric that this version does not know.
    #[error("the report holds an unknown metric: {0}")]
    Metric(String),
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    verdict: Verdict,
    exit_code: u8,
    causes: Vec<String>,
    decided: bool,
    coverage: f64,
    subject: Subject,
    changes: Vec<ChangeEntry>,
    rounds: RoundsUsed,
    warnings: Vec<Warning>,
    totals: Figures,
    #[serde(default)]
    course: Vec<Course>,
    #[serde(default)]
    shifts: Vec<Shift>,
}

#[derive(Serialize, Deserialize)]
struct ChangeEntry {
    endpoint: String,
    metric: String,
    gate: bool,
    status: Status,
    reason: Reason,
    scale: String,
    change: Option<Bounds>,
    tolerance: f64,
    minimum_effect: f64,
    #[serde(flatten)]
    levels: Levels,
    rounds: u32,
    requests_per_round: f64,
    sigma: Option<f64>,
    detectable: Option<f64>,
    more_rounds: Option<u32>,
    more_s: Option<f64>,
    p_regressed: Option<f64>,
    p_pass: Option<f64>,
    autocorrelation: Option<f64>,
    hodges_lehmann: Option<f64>,
    bursty: bool,
    series: Vec<Option<f64>>,
    /// Made anew when it is read.
    #[serde(skip_deserializing)]
    sentence: String,
}

/// The levels of both sides and the limit, each under the key of its unit.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Levels {
    pub(super) baseline_ns: Option<u64>,
    pub(super) candidate_ns: Option<u64>,
    pub(super) limit_ns: Option<u64>,
    pub(super) baseline_rate: Option<f64>,
    pub(super) candidate_rate: Option<f64>,
    pub(super) limit_rate: Option<f64>,
    pub(super) baseline_bytes: Option<f64>,
    pub(super) candidate_bytes: Option<f64>,
    pub(super) limit_bytes: Option<f64>,
}

impl Levels {
    pub(super) fn of(change: &Change) -> Self {
        let [baseline, candidate, limit] =
            [change.baseline, change.candidate, change.limit].map(|level| level.and_then(finite));
        match change.metric.traits().unit {
            Unit::Time => Self {
                baseline_ns: baseline.map(whole_ns),
                candidate_ns: candidate.map(whole_ns),
                limit_ns: limit.map(whole_ns),
                ..Self::default()
            },
            Unit::Share => Self {
                baseline_rate: baseline,
                candidate_rate: candidate,
                limit_rate: limit,
                ..Self::default()
            },
            Unit::Bytes => Self {
                baseline_bytes: baseline,
                candidate_bytes: candidate,
                limit_bytes: limit,
                ..Self::default()
            },
        }
    }

    /// Baseline, candidate and limit in whatever unit they have.
    fn any(&self) -> [Option<f64>; 3] {
        let times = [self.baseline_ns, self.candidate_ns, self.limit_ns];
        let rates = [self.baseline_rate, self.candidate_rate, self.limit_rate];
        let sizes = [self.baseline_bytes, self.candidate_bytes, self.limit_bytes];
        [0, 1, 2].map(|at| rates[at].or(sizes[at]).or(times[at].map(count)))
    }
}

#[derive(Serialize, Deserialize)]
struct Bounds {
    estimate: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
}

/// The report as one JSON object.
pub(super) fn render(report: &Report) -> String {
    let comparison = &report.comparison;
    let document = Document {
        schema: SCHEMA.to_owned(),
        verdict: comparison.verdict,
        exit_code: report.subject.exit_code,
        causes: comparison.causes.clone(),
        decided: comparison.decided,
        coverage: comparison.coverage,
        subject: report.subject.clone(),
        changes: comparison.changes.iter().map(entry).collect(),
        rounds: comparison.rounds.clone(),
        warnings: comparison.warnings.clone(),
        totals: report.totals.clone(),
        course: report.picture.course.clone(),
        shifts: report.picture.shifts.clone(),
    };
    pretty(&document)
}

/// Reads a `report.json` back.
///
/// Levels come back in whole nanoseconds; all else is as it was.
///
/// # Errors
/// When the text is no report, or one of another version.
pub fn read_json(text: &str) -> Result<Report, ReadError> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    let head: Head = serde_json::from_str(text)?;
    if head.schema != SCHEMA {
        return Err(ReadError::Schema(super::printable(&head.schema)));
    }
    let document: Document = serde_json::from_str(text)?;
    let changes = document.changes.into_iter().map(change);
    let comparison = Comparison {
        verdict: document.verdict,
        causes: document.causes,
        changes: changes.collect::<Result<_, _>>()?,
        rounds: document.rounds,
        coverage: document.coverage,
        warnings: document.warnings,
        decided: document.decided,
    };
    Ok(Report {
        subject: document.subject,
        comparison,
        totals: document.totals,
        picture: Picture {
            course: document.course,
            shifts: document.shifts,
        },
    })
}

/// Indented JSON that is safe to print: what hides in a terminal or would be a command of a CI
/// runner is written as `\uXXXX`, which changes nothing for a reader of JSON.
pub(super) fn pretty(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document).expect("plain data with text keys");
    let mut safe = String::with_capacity(text.len() + 1);
    let mut before = ' ';
    for c in text.chars() {
        // JSON itself needs none of these characters outside of strings, but the line feed.
        if (is_hidden(c) && c != '\n') || (c == '#' && before == '#') {
            safe.push_str(&escaped(c));
        } else {
            safe.push(c);
        }
        before = c;
    }
    safe.push('\n');
    safe
}

fn escaped(c: char) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    let units: Vec<_> = units.map(|unit| format!("\\u{unit:04x}")).collect();
    units.concat()
}

/// The stable name of a status or a reason.
pub(super) fn code<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).expect("a plain enum");
    value.as_str().unwrap_or_default().to_owned()
}

/// What the numbers of a metric's change are: relative, or a difference of rates.
pub(super) fn scale(metric: Metric) -> &'static str {
    match metric.traits().kind {
        Kind::Difference => "difference",
        Kind::Ratio => "relative",
    }
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

fn entry(change: &Change) -> ChangeEntry {
    let some_finite = |value: Option<f64>| value.and_then(finite);
    let bounds = change.change.map(|interval| Bounds {
        estimate: finite(interval.estimate),
        lower: finite(interval.lower),
        upper: finite(interval.upper),
    });
    ChangeEntry {
        endpoint: change.endpoint.clone(),
        metric: change.metric.name().to_owned(),
        gate: change.gate,
        status: change.status,
        reason: change.reason,
        scale: scale(change.metric).to_owned(),
        change: bounds,
        tolerance: change.tolerance,
        minimum_effect: change.minimum_effect,
        levels: Levels::of(change),
        rounds: change.rounds,
        requests_per_round: change.requests_per_round,
        sigma: some_finite(change.sigma),
        detectable: some_finite(change.detectable),
        more_rounds: change.more_rounds,
        more_s: some_finite(change.more_s),
        p_regressed: some_finite(change.p_regressed),
        p_pass: some_finite(change.p_pass),
        autocorrelation: some_finite(change.autocorrelation),
        hodges_lehmann: some_finite(change.hodges_lehmann),
        bursty: change.bursty,
        series: change.series.iter().copied().map(some_finite).collect(),
        sentence: sentence(change, &change.endpoint),
    }
}

fn change(entry: ChangeEntry) -> Result<Change, ReadError> {
    let interval = entry.change.map(|bounds| Interval {
        estimate: bounds.estimate.unwrap_or(f64::NAN),
        lower: bounds.lower.unwrap_or(f64::NEG_INFINITY),
        upper: bounds.upper.unwrap_or(f64::INFINITY),
    });
    let [baseline, candidate, limit] = entry.levels.any();
    Ok(Change {
        endpoint: entry.endpoint,
        metric: entry.metric.parse().map_err(ReadError::Metric)?,
        gate: entry.gate,
        status: entry.status,
        reason: entry.reason,
        limit,
        change: interval,
        tolerance: entry.tolerance,
        minimum_effect: entry.minimum_effect,
        baseline,
        candidate,
        rounds: entry.rounds,
        requests_per_round: entry.requests_per_round,
        sigma: entry.sigma,
        detectable: entry.detectable,
        more_rounds: entry.more_rounds,
        more_s: entry.more_s,
        p_regressed: entry.p_regressed,
        p_pass: entry.p_pass,
        autocorrelation: entry.autocorrelation,
        hodges_lehmann: entry.hodges_lehmann,
        bursty: entry.bursty,
        series: entry.series,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let mut report = sample::report();
        report.comparison.changes[0].endpoint = "GET /\u{202e}\x1b[31m##[error]\u{9b}\"日".into();
        let text = render(&report);
        assert_eq!(read_json(&text).unwrap(), report);
        assert!(!text.contains(['\u{202e}', '\x1b', '\u{9b}']) && !text.contains("##"));
    }

    #[test]
    fn bounds_that_do_not_exist_survive() {
        let mut report = sample::report();
        let interval = report.comparison.changes[0].change.as_mut().unwrap();
        interval.upper = f64::INFINITY;
        assert_eq!(read_json(&render(&report)).unwrap(), report);
    }

    #[test]
    fn other_files_are_refused_with_their_reason() {
        for (text, said) in [
            ("", "not a report"),
            ("{}", "schema"),
            ("{\"schema\":\"proofload.report.v2\"}", "newer"),
            ("{\"schema\":\"proofload.report.v1\"}", "missing field"),
        ] {
            let error = read_json(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
