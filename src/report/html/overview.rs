//! One page over many comparisons, such as all of a release: a matrix of verdicts, the newest
//! first.

use askama::Template;

use super::{Head, kind_of, status_of, written};
use crate::report::overview::{Cell, Entry, Overview};
use crate::report::words;
use crate::text::printable;

#[derive(Template)]
#[template(path = "overview.html")]
struct Page {
    head: Head,
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: String,
    metrics: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    title: String,
    href: Option<String>,
    started: String,
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    sentence: String,
    cells: Vec<Option<Shown>>,
    baseline: String,
    candidate: String,
    workload: String,
    trust: &'static str,
}

struct Shown {
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    change: String,
    endpoint: String,
}

/// The page.
pub(in crate::report) fn render(overview: &Overview) -> String {
    let worst = overview.worst();
    let status = status_of(worst);
    let metrics = overview.metrics();
    let rows = overview.entries.iter().map(|entry| row(entry, &metrics));
    let page = Page {
        head: Head::new(
            format!("{}: {}", words::verdict_word(worst), overview.title()),
            env!("CARGO_PKG_VERSION"),
        ),
        kind: kind_of(status),
        sign: words::status_sign(status),
        word: words::verdict_word(worst),
        sentence: overview.sentence(),
        rows: rows.collect(),
        metrics: metrics.iter().map(|metric| metric.name()).collect(),
    };
    written(&page) + "\n"
}

fn row(entry: &Entry, metrics: &[crate::compare::Metric]) -> Row {
    let (subject, comparison) = (&entry.report.subject, &entry.report.comparison);
    let status = status_of(comparison.verdict);
    let cells = metrics.iter().map(|metric| entry.cell(*metric).map(shown));
    Row {
        title: printable(&subject.title),
        href: entry.href.clone(),
        started: printable(&subject.started_at),
        kind: kind_of(status),
        sign: words::status_sign(status),
        word: words::verdict_word(comparison.verdict),
        sentence: words::verdict_sentence(comparison, &|endpoint| printable(endpoint)),
        cells: cells.collect(),
        baseline: printable(&subject.baseline.label),
        candidate: printable(&subject.candidate.label),
        workload: printable(&subject.workload.source),
        trust: crate::report::findings::trust(comparison),
    }
}

fn shown(cell: Cell<'_>) -> Shown {
    let change = cell.change;
    Shown {
        kind: kind_of(change.status),
        sign: words::status_sign(change.status),
        word: words::status_word(change.status),
        change: words::change_cell(change),
        endpoint: cell.place(),
    }
}
