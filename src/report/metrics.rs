//! `metrics.txt`: the gate metrics as OpenMetrics text, which Prometheus, GitLab and many others
//! read.
//!
//! GitLab compares the values of two pipelines as text: so they have three digits, no stamps and
//! a stable order, and what cannot be trusted is not among them. `docs/formats.md` lists the
//! families.

use std::collections::{BTreeMap, BTreeSet};

use super::Report;
use super::json::code;
use super::names::Names;
use super::numbers::significant;
use crate::compare::{Change, Comparison, Interval, Verdict, metric::Unit};
use crate::text::{printable, shorten};

/// What differs by less is noise.
const DIGITS: usize = 3;
/// No store of metrics wants more values of a label.
const ENDPOINTS_MAX: usize = 200;
/// Longer names are cut, in characters.
const LABEL_MAX: usize = 200;

const VERDICTS: [Verdict; 4] = [
    Verdict::Pass,
    Verdict::Regressed,
    Verdict::Inconclusive,
    Verdict::Invalid,
];

/// Families by their names, each with its help and its samples.
#[derive(Default)]
struct Text(BTreeMap<&'static str, (&'static str, Vec<String>)>);

impl Text {
    fn sample(&mut self, (name, help): (&'static str, &'static str), labels: &str, value: f64) {
        let line = format!("{name}{labels} {value}\n");
        let family = self.0.entry(name).or_insert((help, Vec::new()));
        family.1.push(line);
    }

    /// In the order of names and labels, which is the same whatever was found.
    fn end(self) -> String {
        let mut text = String::new();
        for (name, (help, mut samples)) in self.0 {
            samples.sort();
            let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
            text.push_str(&head);
            text.extend(samples);
        }
        text.push_str("# EOF\n");
        text
    }
}

const VERDICT: (&str, &str) = (
    "proofload_verdict",
    "1 for the verdict that was given, 0 for the others.",
);
const ROUNDS: (&str, &str) = (
    "proofload_rounds",
    "Rounds of the comparison by what became of them.",
);
const FOUND: (&str, &str) = ("proofload_gate_metrics", "Gate metrics by their status.");
const LEFT_OUT: (&str, &str) = (
    "proofload_endpoints_left_out",
    "Endpoints beyond those that are listed here; all stand in report.json.",
);
const SECONDS: (&str, &str) = (
    "proofload_level_seconds",
    "Level of a metric of time by side.",
);
const RATIO: (&str, &str) = (
    "proofload_level_ratio",
    "Level of a share of requests by side, 0 to 1.",
);
const BYTES: (&str, &str) = ("proofload_level_bytes", "Level of a size by side.");
const CHANGE: (&str, &str) = (
    "proofload_change_ratio",
    "Change against the baseline or a limit; positive is worse, 0.1 is 10 % or 10 pp.",
);
const TOLERANCE: (&str, &str) = (
    "proofload_tolerance_ratio",
    "The largest change that is tolerated, on the same scale.",
);

/// The metrics of one comparison.
pub(super) fn render(report: &Report) -> String {
    let comparison = &report.comparison;
    let mut text = Text::default();
    for verdict in VERDICTS {
        let given = f64::from(u8::from(verdict == comparison.verdict));
        text.sample(VERDICT, &labels(&[("verdict", &code(&verdict))]), given);
    }
    let rounds = &comparison.rounds;
    let dropped = rounds.dropped.values().sum();
    for (state, n) in [
        ("planned", rounds.planned),
        ("measured", rounds.measured),
        ("judged", rounds.judged),
        ("dropped", dropped),
    ] {
        text.sample(ROUNDS, &labels(&[("state", state)]), f64::from(n));
    }
    let gate = || comparison.changes.iter().filter(|change| change.gate);
    let mut found = BTreeMap::<String, u32>::new();
    gate().for_each(|change| *found.entry(code(&change.status)).or_default() += 1);
    for (status, n) in found {
        text.sample(FOUND, &labels(&[("status", &status)]), f64::from(n));
    }
    figures(&mut text, comparison);
    text.end()
}

/// Levels and changes of the endpoints, those that matter most first.
fn figures(text: &mut Text, comparison: &Comparison) {
    let judged = super::findings::trusted(comparison);
    let (mut names, mut shown) = (Names::default(), BTreeMap::new());
    let mut left_out = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for change in judged {
        let endpoint = change.endpoint.as_str();
        if !shown.contains_key(endpoint) {
            if shown.len() == ENDPOINTS_MAX {
                left_out.insert(endpoint);
                continue;
            }
            let name = names.unique(&shorten(&printable(endpoint), LABEL_MAX));
            shown.insert(endpoint, name);
        }
        let endpoint = &shown[endpoint];
        let against = change.limit.map_or("baseline", |_| "limit");
        // A row may be there twice in a damaged file; a sample may not.
        if seen.insert((endpoint.clone(), change.metric, against)) {
            figure(text, change, endpoint, against);
        }
    }
    if !left_out.is_empty() {
        let n = u32::try_from(left_out.len()).unwrap_or(u32::MAX);
        text.sample(LEFT_OUT, "", f64::from(n));
    }
}

fn figure(text: &mut Text, change: &Change, endpoint: &str, against: &str) {
    let metric = change.metric.name();
    let (family, scale) = match change.metric.traits().unit {
        Unit::Time => (SECONDS, 1e-9),
        Unit::Share => (RATIO, 1.0),
        Unit::Bytes => (BYTES, 1.0),
    };
    if change.limit.is_none() {
        for (side, level) in [
            ("baseline", change.baseline),
            ("candidate", change.candidate),
        ] {
            if let Some(level) = level.filter(|level| level.is_finite()) {
                let labels = labels(&[("endpoint", endpoint), ("metric", metric), ("side", side)]);
                text.sample(family, &labels, significant(level * scale, DIGITS));
            }
        }
    }
    let Some(Interval {
        estimate,
        lower,
        upper,
    }) = change.change
    else {
        return;
    };
    let own = [
        ("endpoint", endpoint),
        ("metric", metric),
        ("against", against),
    ];
    for (bound, value) in [("estimate", estimate), ("lower", lower), ("upper", upper)] {
        if value.is_finite() {
            let labels = labels(&[own.as_slice(), &[("bound", bound)]].concat());
            text.sample(CHANGE, &labels, significant(value, DIGITS));
        }
    }
    text.sample(
        TOLERANCE,
        &labels(&own),
        significant(change.tolerance, DIGITS),
    );
}

/// Labels in braces, their values escaped.
fn labels(pairs: &[(&str, &str)]) -> String {
    let escape = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        value.replace('\n', "\\n")
    };
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escape(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::compare::Metric;

    #[test]
    fn the_order_is_that_of_names_and_not_that_of_what_was_found() {
        let mut report = sample::report();
        let text = render(&report);
        report.comparison.changes.reverse();
        assert_eq!(render(&report), text);
    }

    #[test]
    fn what_cannot_be_trusted_is_not_there_and_no_zero_has_a_sign() {
        let mut report = sample::report();
        report.comparison.changes[4].change = Some(Interval {
            estimate: -0.0,
            lower: f64::NEG_INFINITY,
            upper: 0.123_456,
        });
        let text = render(&report);
        let row = "metric=\"p50\",against=\"baseline\",bound=\"";
        let of = |endpoint: &str, bound| format!("{{endpoint=\"{endpoint}\",{row}{bound}\"}}");
        assert!(text.contains(&format!("{} 0\n", of("GET /cart", "estimate"))));
        assert!(text.contains(&format!("{} 0.123\n", of("GET /cart", "upper"))));
        assert!(!text.contains(&of("GET /cart", "lower")));
        // Its p99 is INVALID.
        let invalid = "endpoint=\"POST /orders/{id}\",metric=\"p99\"";
        assert!(!text.contains(invalid));
        report.comparison.verdict = Verdict::Invalid;
        let text = render(&report);
        assert!(text.contains("{verdict=\"invalid\"} 1\n") && !text.contains("endpoint="));
    }

    #[test]
    fn no_name_is_a_line_or_a_label_of_its_own() {
        let shape = |foreign: &str| {
            let mut report = sample::report();
            for change in &mut report.comparison.changes {
                foreign.clone_into(&mut change.endpoint);
            }
            report.comparison.rounds.dropped = [(foreign.to_owned(), 1)].into();
            let text = render(&report);
            let lines = text.lines().map(|line| {
                // What stands in quotes, with its escapes, is left out.
                let plain = line.replace("\\\\", "").replace("\\\"", "");
                plain.split('"').step_by(2).collect::<Vec<_>>().join("\"")
            });
            lines.collect::<Vec<_>>()
        };
        let benign = shape("@NAME");
        for foreign in [
            "a\nproofload_verdict{verdict=\"pass\"} 1",
            "\"} 1\n# EOF\n",
            "a\",side=\"x",
            "a\\",
            "\\\"",
            "a\\\\\"b",
            "# TYPE x gauge",
            "\u{2028}\u{85}\r",
            "",
        ] {
            assert_eq!(shape(foreign), benign, "{foreign:?}");
        }
    }

    #[test]
    fn a_thousand_endpoints_are_two_hundred_and_a_number() {
        let mut report = sample::report();
        let row = report.comparison.changes[0].clone();
        let named = |n: u32| {
            let endpoint = format!("GET /{n}\n\\\"{}", "x".repeat(300));
            [Metric::P50, Metric::P99].map(|metric| Change {
                endpoint: endpoint.clone(),
                metric,
                ..row.clone()
            })
        };
        report.comparison.changes = (0..1_000).flat_map(named).collect();
        let text = render(&report);
        assert!(text.contains("proofload_endpoints_left_out 800\n"));
        let levels = text.lines().filter(|line| line.starts_with(SECONDS.0));
        let levels: BTreeSet<_> = levels.collect();
        assert_eq!(levels.len(), 2 * 2 * ENDPOINTS_MAX);
        assert!(
            levels.iter().all(|line| line.contains("\\\\n\\\\\\\"")),
            "{levels:?}"
        );
    }
}
