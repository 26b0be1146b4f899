//! What is printed: the figures as text for people and as JSON for scripts.

use std::fmt::Write;

use proofload::units::{count, seconds};
use serde_json::{Value, json};

use super::{
    Plan,
    fit::{self, Errors},
    server::Recording,
};

/// A wall clock that was set by more than this makes the figures worthless.
const STEP_MOST_NS: u64 = 50_000;
/// A rate that is off by more than this share is another plan.
const RATE_TOLERANCE: f64 = 0.01;

/// Pairs that may belong to a preflight.
const PREFLIGHT: usize = 20;

/// Everything that was found out about one recording.
pub(crate) struct Report {
    /// The table.
    pub(crate) text: String,
    /// The same figures.
    pub(crate) json: Value,
}

impl Report {
    /// Fits the arrivals to the plan.
    pub(crate) fn new(plan: &Plan, recording: &Recording) -> Self {
        let arrivals = &recording.arrivals;
        let span = arrivals.last().zip(arrivals.first());
        let elapsed_ns = span.map_or(0, |(last, first)| last - first);
        let rate = count((arrivals.len() as u64).saturating_sub(1)) / seconds(elapsed_ns.max(1));
        let mut text = String::new();
        let mut line = |line: String| {
            text += &line;
            text.push('\n');
        };
        line(format!(
            "{} arrivals on {} connections in {:.3} s ({rate:.1}/s), plan {plan}",
            arrivals.len(),
            recording.connections,
            seconds(elapsed_ns),
        ));
        let (words, mut figures, rows) = match plan {
            Plan::Constant(rate) => constant(arrivals, 1e9 / rate.per_second()),
            Plan::Recording { offsets, .. } => recorded(arrivals, offsets),
        };
        line(words);
        line(format!(
            "{:<26}{:>12}{:>12}{:>12}{:>12}{:>14}",
            "error in µs", "p50", "p90", "p99", "p99.9", "max"
        ));
        for (name, errors) in rows {
            line(row(name, &errors));
        }
        if !recording.twins.is_empty() {
            let (words, errors) = twins(arrivals, &recording.twins);
            line(words);
            line(row("apart", &errors));
        }
        let server = server(recording);
        if let Plan::Constant(planned) = plan
            && (rate / planned.per_second() - 1.0).abs() > RATE_TOLERANCE
        {
            line(format!(
                "warning: the plan is {planned}, and {rate:.1}/s came"
            ));
        }
        for warning in warnings(recording, &figures) {
            line(format!("warning: {warning}"));
        }
        figures["schema"] = json!("proofload.arrivals.v1");
        figures["plan"] = json!(plan.to_string());
        figures["arrivals"] = json!(arrivals.len());
        figures["elapsed_ns"] = json!(elapsed_ns);
        figures["rate"] = json!(rate);
        figures["server"] = server;
        Self {
            text,
            json: figures,
        }
    }
}

type Parts = (String, Value, Vec<(&'static str, Errors)>);

fn constant(arrivals: &[u64], gap_ns: f64) -> Parts {
    let fit = fit::constant(arrivals, gap_ns);
    let words = format!(
        "left out at the start {}, skipped {}, gaps below a tenth of the plan {:.1} %",
        fit.lead_in,
        fit.skipped,
        100.0 * fit.burst_share
    );
    let rows = vec![
        ("late (skips taken out)", fit.late),
        ("around the median", fit.centred),
        ("strict (skips count)", fit.strict),
    ];
    let figures = json!({
        "lead_in": fit.lead_in,
        "fitted": fit.fitted,
        "skipped": fit.skipped,
        "burst_share": fit.burst_share,
        "late_ns": errors_json(&fit.late),
        "centred_ns": errors_json(&fit.centred),
        "strict_ns": errors_json(&fit.strict),
    });
    (words, figures, rows)
}

fn recorded(arrivals: &[u64], offsets: &[u64]) -> Parts {
    let fit = fit::recording(arrivals, offsets);
    let words = format!(
        "left out at the start {}, compared {}, missing {}, beyond the recording {}",
        fit.lead_in, fit.fitted, fit.missing, fit.beyond
    );
    let rows = vec![
        ("gap against recorded gap", fit.gaps),
        ("late against the instant", fit.late),
    ];
    let figures = json!({
        "lead_in": fit.lead_in,
        "fitted": fit.fitted,
        "missing": fit.missing,
        "beyond": fit.beyond,
        "gap_ns": errors_json(&fit.gaps),
        "late_ns": errors_json(&fit.late),
    });
    (words, figures, rows)
}

fn server(recording: &Recording) -> Value {
    let wakeup = |quantile| {
        recording
            .wakeup
            .quantile_ns(quantile)
            .unwrap_or(0.0)
            .round()
    };
    json!({
        "connections": recording.connections,
        "accepted": recording.accepted,
        "pipelined": recording.pipelined,
        "unstamped": recording.unstamped,
        "refused": recording.refused,
        "wakeup_ns": { "p50": wakeup(0.5), "p99": wakeup(0.99) },
        "wall_step_ns": recording.wall_step_ns,
    })
}

fn warnings(recording: &Recording, figures: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let skipped = figures["skipped"].as_u64().unwrap_or(0);
    if skipped > recording.arrivals.len() as u64 / 100 {
        warnings.push(format!(
            "{skipped} requests of the plan never came; an error above is at most one gap for \
             a generator that is too slow: look at `strict`"
        ));
    }
    if figures["missing"].as_u64().unwrap_or(0) > 0 {
        warnings.push(
            "arrivals are missing: behind the first one, gaps are compared with the wrong ones"
                .to_owned(),
        );
    }
    for (n, what) in [
        (recording.unstamped, "arrivals had no stamp of the kernel"),
        (
            recording.pipelined,
            "arrivals were pipelined and share a stamp",
        ),
        (
            recording.refused,
            "connections were given up: no request, or never read",
        ),
    ] {
        if n > 0 {
            warnings.push(format!("{n} {what}"));
        }
    }
    if recording.wall_step_ns.unsigned_abs() > STEP_MOST_NS {
        let step_ns = recording.wall_step_ns;
        warnings.push(format!(
            "the wall clock was set by {step_ns} ns meanwhile: measure again"
        ));
    }
    warnings
}

/// How far apart the n-th requests of both listeners came; the first ones, a preflight, are left
/// out.
fn twins(arrivals: &[u64], twins: &[u64]) -> (String, Errors) {
    let pairs = || arrivals.iter().zip(twins).skip(PREFLIGHT);
    let first = pairs().filter(|(a, b)| a < b).count();
    let words = format!(
        "{} and {} arrivals on the two listeners; the first was first in {:.1} % of pairs",
        arrivals.len(),
        twins.len(),
        100.0 * count(first as u64) / count(pairs().count().max(1) as u64),
    );
    let apart = pairs().map(|(a, b)| count(a.abs_diff(*b)));
    (words, Errors::of(apart.collect()))
}

/// One line of quantiles in microseconds.
pub(crate) fn row(name: &str, errors: &Errors) -> String {
    let mut line = format!("{name:<26}");
    let columns = [errors.p50, errors.p90, errors.p99, errors.p999];
    for ns in columns {
        write!(line, "{:>12.1}", ns / 1e3).expect("writing to memory");
    }
    line + &format!("{:>14.1}", errors.max / 1e3)
}

fn errors_json(errors: &Errors) -> Value {
    json!({
        "p50": errors.p50.round(),
        "p90": errors.p90.round(),
        "p99": errors.p99.round(),
        "p999": errors.p999.round(),
        "max": errors.max.round(),
    })
}
