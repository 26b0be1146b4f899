//! How much was sent and what became of it: throughput and errors of both sides, the mix of
//! answers, their sizes.

use std::collections::BTreeSet;

use askama::Template;

use super::cards::by_importance;
use crate::report::numbers::bytes;
use crate::report::words::{share, time_cell, whole_number};
use crate::report::{EndpointTotals, Report};
use crate::run::Side;
use crate::text::printable;
use crate::units::{count, seconds};

/// No more endpoints are listed.
const LISTED: usize = 200;

#[derive(Template)]
#[template(path = "outcomes.html")]
pub(super) struct Outcomes {
    rows: Vec<Figures>,
    failures: Vec<Failure>,
    hidden: usize,
}

/// One figure of both sides.
struct Figures {
    name: &'static str,
    sides: [String; 2],
}

struct Failure {
    endpoint: String,
    side: &'static str,
    classes: String,
}

/// Throughput and errors; nothing without totals.
pub(super) fn section(report: &Report) -> Option<Outcomes> {
    let [Some(_), Some(_)] = sides(report) else {
        return None;
    };
    let names = by_importance(report);
    let mut failures: Vec<Failure> = names
        .iter()
        .flat_map(|name| {
            let own = report.totals.endpoints.iter();
            own.filter(|total| total.endpoint == **name)
        })
        .filter_map(failure)
        .collect();
    let hidden = failures.len().saturating_sub(LISTED);
    failures.truncate(LISTED);
    Some(Outcomes {
        rows: rows(report),
        failures,
        hidden,
    })
}

/// All endpoints together, by side.
fn sides(report: &Report) -> [Option<&EndpointTotals>; 2] {
    Side::BOTH.map(|side| report.totals.workload.iter().find(|it| it.side == side))
}

fn rows(report: &Report) -> Vec<Figures> {
    let sides = sides(report);
    let row = |name, of: &dyn Fn(&EndpointTotals) -> String| Figures {
        name,
        sides: sides.map(|it| it.map_or("–".to_owned(), of)),
    };
    let part = |n: u64, of: u64| {
        format!(
            "{} ({})",
            whole_number(n),
            share(count(n) / count(of.max(1)))
        )
    };
    let per_second = |total: &EndpointTotals| {
        let own = report
            .totals
            .generator
            .iter()
            .find(|it| it.side == total.side);
        let measured_s = own.map_or(0.0, |it| seconds(it.measured_ns));
        if measured_s > 0.0 {
            format!("{:.1} /s", count(total.counts.ok) / measured_s)
        } else {
            "–".to_owned()
        }
    };
    let connections = |name, of: &dyn Fn(&crate::report::SideConnections) -> String| {
        let own = |side| report.totals.connections.iter().find(|it| it.side == side);
        Figures {
            name,
            sides: Side::BOTH.map(|side| own(side).map_or("–".to_owned(), of)),
        }
    };
    vec![
        row("Planned requests", &|it| whole_number(it.counts.scheduled)),
        row("Sent", &|it| part(it.counts.sent, it.counts.scheduled)),
        row("Not sent", &|it| whole_number(it.counts.not_sent)),
        row("Answered as expected", &|it| {
            part(it.counts.ok, it.counts.sent)
        }),
        row("The same per second", &per_second),
        row("Answered otherwise", &|it| {
            part(it.counts.http_error, it.counts.sent)
        }),
        row("No complete answer", &|it| {
            part(it.counts.transport_error, it.counts.sent)
        }),
        row("Mean size of an answer", &|it| {
            it.mean_bytes().map_or("–".to_owned(), bytes)
        }),
        connections("Connections opened", &|it| whole_number(it.opened)),
        connections("Time to connect, p50", &|it| time_cell(it.connect_ns.p50)),
        connections("TLS handshake, p50", &|it| time_cell(it.tls_ns.p50)),
        connections("Sent once more", &|it| whole_number(it.retried)),
    ]
}

/// What did not succeed, by class; nothing where all did.
pub(super) fn failed_classes(total: &EndpointTotals) -> Option<String> {
    let failed = total.classes.iter();
    let failed = failed.filter(|(class, n)| class.as_str() != "ok" && **n > 0);
    let classes: Vec<_> = failed
        .map(|(class, n)| format!("{} {}", printable(class), whole_number(*n)))
        .collect();
    (!classes.is_empty()).then(|| classes.join(", "))
}

fn failure(total: &EndpointTotals) -> Option<Failure> {
    Some(Failure {
        endpoint: printable(&total.endpoint),
        side: total.side.name(),
        classes: failed_classes(total)?,
    })
}

#[derive(Template)]
#[template(path = "answers.html")]
pub(super) struct Answers {
    rows: Vec<Answer>,
    hidden: usize,
}

struct Answer {
    endpoint: String,
    statuses: [String; 2],
    sizes: [String; 2],
    differs: bool,
}

/// The statuses and sizes of the answers by endpoint; nothing without totals.
pub(super) fn answers(report: &Report) -> Option<Answers> {
    let names = by_importance(report);
    let mut rows: Vec<Answer> = names
        .iter()
        .filter_map(|name| answer(report, name))
        .collect();
    let hidden = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    (!rows.is_empty()).then_some(Answers { rows, hidden })
}

fn answer(report: &Report, endpoint: &str) -> Option<Answer> {
    let all = &report.totals.endpoints;
    let own = Side::BOTH.map(|side| {
        let mut own = all.iter().filter(|it| it.endpoint == endpoint);
        own.find(|it| it.side == side)
    });
    own.iter().flatten().next()?;
    let statuses = own.map(|it| it.map_or("–".to_owned(), |it| mix(&it.statuses)));
    let seen = own.map(|it| {
        let statuses = it.map(|it| it.statuses.keys().copied().collect());
        statuses.unwrap_or_default()
    });
    let [a, b]: [BTreeSet<u16>; 2] = seen;
    Some(Answer {
        endpoint: printable(endpoint),
        statuses,
        sizes: own.map(|it| {
            it.and_then(EndpointTotals::mean_bytes)
                .map_or("–".to_owned(), bytes)
        }),
        differs: a != b,
    })
}

/// `200 × 6,870 (98.9 %), 503 × 73 (1.1 %)`.
fn mix(statuses: &std::collections::BTreeMap<u16, u64>) -> String {
    let all: u64 = statuses.values().sum();
    let each = statuses.iter().map(|(status, n)| {
        let part = share(count(*n) / count(all.max(1)));
        format!("{status} × {} ({part})", whole_number(*n))
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() {
        return "none".to_owned();
    }
    each.join(", ")
}
