//! How faithfully the recording was replayed: planned against sent, and the mix of endpoints.

use std::collections::BTreeMap;

use askama::Template;

use crate::report::words::{share, time_cell, whole_number};
use crate::report::{Report, SideFidelity, fidelity};
use crate::text::printable;

/// No more endpoints are listed.
const LISTED: usize = 200;

#[derive(Template)]
#[template(path = "fidelity.html")]
pub(super) struct Fidelity {
    lines: Vec<String>,
    instants: Vec<Instants>,
    sides: Vec<&'static str>,
    mix: Vec<Shares>,
    hidden: usize,
}

/// One side: what was planned, what was sent, and how far behind.
struct Instants {
    side: &'static str,
    scheduled: String,
    sent: String,
    left_out: String,
    behind: [String; 5],
    waited: String,
    order: String,
}

/// One endpoint: its share of the recording, and of what each side was sent.
struct Shares {
    endpoint: String,
    recorded: String,
    sent: Vec<String>,
}

/// The section, where anything is known of it.
pub(super) fn section(report: &Report) -> Option<Fidelity> {
    let sides = &report.totals.fidelity;
    let mut mix = mixes(sides);
    let hidden = mix.len().saturating_sub(LISTED);
    mix.truncate(LISTED);
    (!sides.is_empty()).then(|| Fidelity {
        lines: fidelity::lines(sides),
        instants: sides.iter().map(instants).collect(),
        sides: sides.iter().map(|it| it.side.name()).collect(),
        mix,
        hidden,
    })
}

fn instants(side: &SideFidelity) -> Instants {
    let lag = side.send_lag_ns;
    let left_out = match side.left_out() {
        nothing if nothing.is_empty() => "nothing".to_owned(),
        some => some,
    };
    Instants {
        side: side.side.name(),
        scheduled: whole_number(side.scheduled),
        sent: whole_number(side.sent),
        left_out,
        behind: [lag.p50, lag.p90, lag.p99, lag.p999, lag.max].map(time_cell),
        waited: whole_number(side.waited),
        order: side.kept().unwrap_or("no order".to_owned()),
    }
}

/// Every endpoint of the recording, the one whose share differs most first.
fn mixes(sides: &[SideFidelity]) -> Vec<Shares> {
    let mut all: BTreeMap<&str, (f64, Vec<Option<f64>>)> = BTreeMap::new();
    for (index, side) in sides.iter().enumerate() {
        for mix in &side.mix {
            let own = all.entry(&mix.endpoint);
            let (_, sent) = own.or_insert((mix.recorded, vec![None; sides.len()]));
            sent[index] = Some(mix.sent);
        }
    }
    let shift = |(recorded, sent): &(f64, Vec<Option<f64>>)| {
        let apart = sent.iter().flatten().map(|sent| (sent - recorded).abs());
        apart.fold(0.0, f64::max)
    };
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|(_, a), (_, b)| shift(b).total_cmp(&shift(a)));
    let rows = all.into_iter().map(|(name, (recorded, sent))| Shares {
        endpoint: printable(name),
        recorded: share(recorded),
        sent: sent
            .into_iter()
            .map(|it| it.map_or("–".to_owned(), share))
            .collect(),
    });
    rows.collect()
}
