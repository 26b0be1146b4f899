//! `report.html`: one self-contained page, readable without scripts and without the network.
//!
//! The template escapes every value; only the style sheet and the charts, both our own, pass
//! unescaped. The content security policy allows that one style sheet by its digest.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::words::{self, whole_number};
use super::{EndpointTotals, Report, chart, fidelity, findings};
use crate::compare::{Change, Comparison, Status, Verdict};
use crate::run::Side;
use crate::text::printable;

/// More rows of what does not decide would make a page that no browser likes.
const BESIDES: usize = 500;
const CSS: &str = include_str!("../../templates/report.css");

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    css: &'static str,
    css_digest: String,
    title: String,
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: String,
    notable: Vec<Finding>,
    more: usize,
    trust: &'static str,
    rounds: String,
    coverage: String,
    causes: Vec<String>,
    warnings: Vec<(String, String)>,
    notes: Vec<String>,
    facts: Vec<(&'static str, String)>,
    changes: Vec<Row>,
    besides: Vec<Row>,
    hidden: usize,
    not_judged: Vec<String>,
    latencies: Vec<Latency>,
    failures: Vec<Failure>,
    generator: Vec<Generator>,
    fidelity: Vec<String>,
    configuration: String,
    command: String,
    version: String,
}

struct Finding {
    kind: &'static str,
    sign: &'static str,
    text: String,
}

struct Row {
    endpoint: String,
    metric: &'static str,
    baseline: String,
    candidate: String,
    change: String,
    strip: String,
    tolerance: String,
    kind: &'static str,
    sign: &'static str,
    status: &'static str,
    sentence: String,
}

struct Latency {
    endpoint: String,
    side: &'static str,
    sent: String,
    failed: String,
    times: [String; 5],
    service: [String; 2],
}

struct Failure {
    endpoint: String,
    side: &'static str,
    classes: String,
    statuses: String,
}

struct Generator {
    side: &'static str,
    slots: u32,
    lag: [String; 3],
    cpu: String,
    throttled: String,
    steal: String,
    stall: String,
}

/// The page.
pub(super) fn render(report: &Report) -> String {
    let comparison = &report.comparison;
    let judged = findings::judged(comparison);
    let notable = findings::notable(comparison);
    let mut besides = findings::besides(comparison);
    let hidden = besides.len().saturating_sub(BESIDES);
    besides.truncate(BESIDES);
    let rows = |changes: &[&Change]| {
        let reach = chart::reach(changes);
        changes.iter().map(|change| row(change, reach)).collect()
    };
    let all = |texts: &[String]| texts.iter().map(|text| printable(text)).collect();
    let totals = &report.totals;
    let said = words::verdict_sentence(comparison, &|endpoint| printable(endpoint));
    let page = Page {
        css: CSS,
        css_digest: STANDARD.encode(Sha256::digest(CSS)),
        title: printable(&report.subject.title),
        kind: verdict_kind(comparison.verdict),
        sign: verdict_sign(comparison.verdict),
        word: words::verdict_word(comparison.verdict),
        sentence: capital(&said),
        notable: notable
            .iter()
            .take(3)
            .map(|change| finding(change))
            .collect(),
        more: notable.len().saturating_sub(3),
        trust: findings::trust(comparison),
        rounds: findings::rounds(comparison, &|reason| printable(reason)),
        coverage: findings::coverage(comparison),
        causes: all(&comparison.causes),
        warnings: warnings(comparison),
        notes: all(&report.subject.notes),
        facts: facts(report),
        changes: rows(&judged),
        besides: rows(&besides),
        hidden,
        not_judged: findings::not_judged(comparison, &|endpoint| printable(endpoint)),
        latencies: totals.endpoints.iter().map(latency).collect(),
        failures: totals.endpoints.iter().filter_map(failure).collect(),
        generator: totals.generator.iter().map(generator).collect(),
        fidelity: fidelity::lines(&totals.fidelity),
        configuration: configuration(report),
        command: printable(&report.subject.command),
        version: printable(&report.subject.version),
    };
    let mut text = page.render().expect("writing to memory");
    text.push('\n');
    text
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let subject = &report.subject;
    let workload = &subject.workload;
    let mut facts = vec![
        ("Baseline", subject.baseline.shown()),
        ("Candidate", subject.candidate.shown()),
        ("Started", printable(&subject.started_at)),
        ("Took", words::elapsed(subject.elapsed_ns)),
        ("Workload", printable(&workload.source)),
        (
            "Holds",
            format!(
                "{} over {}",
                words::plural(workload.requests, "request"),
                words::elapsed(workload.duration_ns)
            ),
        ),
        ("Digest", printable(&workload.digest)),
    ];
    if let Some(recorded) = &workload.recorded_at {
        facts.push(("Recorded", printable(recorded)));
    }
    facts.push(("Rate", printable(&subject.rate)));
    facts.push(("Arrangement", printable(&subject.arrangement)));
    facts.push(("Seed", subject.seed.to_string()));
    facts.push(("Exit code", subject.exit_code.to_string()));
    facts
}

fn warnings(comparison: &Comparison) -> Vec<(String, String)> {
    let warnings = comparison.warnings.iter();
    warnings
        .map(|warning| (printable(&warning.code), printable(&warning.text)))
        .collect()
}

fn finding(change: &Change) -> Finding {
    Finding {
        kind: status_kind(change.status),
        sign: words::status_sign(change.status),
        text: words::sentence(change, &printable(&change.endpoint)),
    }
}

fn row(change: &Change, reach: f64) -> Row {
    Row {
        metric: change.metric.name(),
        baseline: words::level_cell(change, Side::Baseline),
        candidate: words::level_cell(change, Side::Candidate),
        change: words::change_cell(change),
        strip: chart::strip(change, reach),
        tolerance: words::tolerance_cell(change),
        kind: status_kind(change.status),
        sign: words::status_sign(change.status),
        status: words::status_word(change.status),
        sentence: words::sentence(change, &printable(&change.endpoint)),
        endpoint: printable(&change.endpoint),
    }
}

fn latency(total: &EndpointTotals) -> Latency {
    let times = &total.response_ns;
    let times = [times.p50, times.p90, times.p99, times.p999, times.max];
    Latency {
        endpoint: printable(&total.endpoint),
        side: total.side.name(),
        sent: whole_number(total.counts.sent),
        failed: whole_number(total.counts.failures()),
        times: times.map(words::time_cell),
        service: [total.service_ns.p50, total.service_ns.p99].map(words::time_cell),
    }
}

fn failure(total: &EndpointTotals) -> Option<Failure> {
    let failed = total.classes.iter();
    let failed = failed.filter(|(class, n)| class.as_str() != "ok" && **n > 0);
    let classes: Vec<_> = failed
        .map(|(class, n)| format!("{} {}", printable(class), whole_number(*n)))
        .collect();
    let statuses = total.statuses.iter();
    let statuses: Vec<_> = statuses
        .map(|(status, n)| format!("{status} × {}", whole_number(*n)))
        .collect();
    (!classes.is_empty()).then(|| Failure {
        endpoint: printable(&total.endpoint),
        side: total.side.name(),
        classes: classes.join(", "),
        statuses: statuses.join(", "),
    })
}

fn generator(side: &super::SideHealth) -> Generator {
    let lag = side.send_lag_ns;
    Generator {
        side: side.side.name(),
        slots: side.slots,
        lag: [lag.p50, lag.p99, lag.max].map(words::time_cell),
        cpu: words::share(side.cpu_share),
        throttled: words::share(side.throttled_share),
        steal: words::share(side.steal_share),
        stall: words::time_cell(Some(side.stall_ns)),
    }
}

fn configuration(report: &Report) -> String {
    let value = &report.subject.configuration;
    let text = serde_json::to_string_pretty(value).expect("plain data with text keys");
    // The line feeds are ours: those inside of values are escaped by JSON already.
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn verdict_kind(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Regressed => "regressed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Invalid => "invalid",
    }
}

fn verdict_sign(verdict: Verdict) -> &'static str {
    words::status_sign(match verdict {
        Verdict::Pass => Status::Pass,
        Verdict::Regressed => Status::Regressed,
        Verdict::Inconclusive => Status::Inconclusive,
        Verdict::Invalid => Status::Invalid,
    })
}

fn status_kind(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Regressed => "regressed",
        Status::Inconclusive => "inconclusive",
        Status::Invalid => "invalid",
        Status::NotJudged => "unjudged",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_policy_allows_exactly_the_style_sheet_of_the_page() {
        let text = render(&sample::report());
        let style = text.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(
            text.contains(&format!("style-src &#39;sha256-{digest}&#39;"))
                || text.contains(&format!("style-src 'sha256-{digest}'"))
        );
        for forbidden in ["<script", " style=", "href=", "src=", "@import", "url("] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn that_no_certificate_was_checked_stands_in_red() {
        let mut report = sample::report();
        assert!(!render(&report).contains("class=\"alarm\""));
        report.comparison.warnings[0].code = super::super::INSECURE.to_owned();
        assert!(render(&report).contains("<li class=\"alarm\"><code>insecure</code>"));
    }

    #[test]
    fn every_gate_change_has_its_strip() {
        let report = sample::report();
        let judged = findings::judged(&report.comparison).len();
        let besides = findings::besides(&report.comparison).len();
        assert_eq!(render(&report).matches("<svg").count(), judged + besides);
    }

    #[test]
    fn a_thousand_endpoints_stay_under_five_megabytes() {
        let mut report = sample::report();
        let (changes, totals) = (&mut report.comparison.changes, &mut report.totals.endpoints);
        let rows: Vec<_> = changes.iter().take(3).cloned().collect();
        let sides: Vec<_> = totals.iter().take(2).cloned().collect();
        for n in 0..1_000 {
            let named = || format!("GET /some/longer/path/{n}/{{id}}");
            changes.extend(rows.iter().cloned().map(|mut row| {
                row.endpoint = named();
                row
            }));
            totals.extend(sides.iter().cloned().map(|mut side| {
                side.endpoint = named();
                side
            }));
        }
        let page = render(&report);
        assert!(page.len() < 5_000_000, "{}", page.len());
    }
}
