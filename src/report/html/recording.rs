//! Staging against the recording: what was recorded of each endpoint beside what both sides did.
//! It says how much staging is like where the recording was made; nothing is judged by it.

use std::collections::BTreeMap;

use askama::Template;

use super::cards::by_importance;
use crate::report::numbers::bytes;
use crate::report::words::{share, time_cell, whole_number};
use crate::report::{EndpointTotals, Report};
use crate::run::{Recorded, Side};
use crate::text::printable;
use crate::units::count;

/// No more endpoints are listed.
const LISTED: usize = 200;

#[derive(Template)]
#[template(path = "recording.html")]
pub(super) struct Recording {
    rows: Vec<Row>,
    hidden: usize,
    has_times: bool,
    has_sizes: bool,
    /// How many requests it tells of, where those are not all.
    first: Option<[String; 2]>,
}

/// One endpoint: the recording, the baseline, the candidate.
struct Row {
    endpoint: String,
    requests: String,
    p50: [String; 3],
    p99: [String; 3],
    sizes: [String; 3],
    statuses: [String; 3],
}

/// The section; nothing where nothing was recorded.
pub(super) fn section(report: &Report) -> Option<Recording> {
    let recorded = &report.subject.workload.recorded;
    let known = |it: &Recorded| !it.statuses.is_empty() || it.latency_p50_ns.is_some();
    if !recorded.values().any(known) {
        return None;
    }
    let names = by_importance(report);
    let rows = names
        .iter()
        .filter_map(|name| Some(row(report, name, recorded.get(*name)?)));
    let mut rows: Vec<Row> = rows.collect();
    let hidden = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    let described = recorded.values().map(|it| it.requests).sum();
    let all = report.subject.workload.requests;
    Some(Recording {
        rows,
        hidden,
        has_times: recorded.values().any(|it| it.latency_p50_ns.is_some()),
        has_sizes: recorded.values().any(|it| it.mean_bytes.is_some()),
        first: (described < all).then(|| [described, all].map(whole_number)),
    })
}

fn row(report: &Report, endpoint: &str, recorded: &Recorded) -> Row {
    let [a, b] = Side::BOTH.map(|side| {
        let mut own = report.totals.endpoints.iter();
        own.find(|it| it.endpoint == endpoint && it.side == side)
    });
    let all = |own: String, of: &dyn Fn(&EndpointTotals) -> String| {
        let [a, b] = [a, b].map(|it| it.map_or("–".to_owned(), of));
        [own, a, b]
    };
    let size = |n: Option<f64>| n.map_or("–".to_owned(), bytes);
    Row {
        endpoint: printable(endpoint),
        requests: whole_number(recorded.requests),
        p50: all(time_cell(recorded.latency_p50_ns), &|it| {
            time_cell(it.service_ns.p50)
        }),
        p99: all(time_cell(recorded.latency_p99_ns), &|it| {
            time_cell(it.service_ns.p99)
        }),
        sizes: all(size(recorded.mean_bytes.map(count)), &|it| {
            size(it.mean_bytes())
        }),
        statuses: all(shares(&recorded.statuses), &|it| shares(&it.statuses)),
    }
}

/// `200 99.8 %, 304 0.16 %`; of a single status its name alone.
fn shares(statuses: &BTreeMap<u16, u64>) -> String {
    let all: u64 = statuses.values().sum();
    let each: Vec<String> = match statuses.len() {
        0 => vec!["–".to_owned()],
        1 => statuses.keys().map(u16::to_string).collect(),
        _ => statuses
            .iter()
            .map(|(status, n)| format!("{status} {}", share(count(*n) / count(all.max(1)))))
            .collect(),
    };
    each.join(", ")
}
