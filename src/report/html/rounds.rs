//! The course of the measurement: the levels of both sides in each round, dropped rounds marked,
//! and what the sides used of their own machines.

use askama::Template;

use super::cards::Figure;
use crate::compare::{Course, CourseSide, metric::Unit};
use crate::report::chart::{self, Line};
use crate::report::numbers::bytes;
use crate::report::words::{duration, whole_number};
use crate::report::{Report, findings};
use crate::text::printable;
use crate::units::count;

const P50: Line = Line {
    name: "p50",
    of: |side| side.p50_ns.map(count),
    unit: Some(Unit::Time),
};
const P99: Line = Line {
    name: "p99",
    of: |side| side.p99_ns.map(count),
    unit: Some(Unit::Time),
};
const FAILED: Line = Line {
    name: "Error rate",
    of: |side| rate(side),
    unit: Some(Unit::Share),
};
const OK: Line = Line {
    name: "Answered as expected",
    of: |side| Some(count(side.ok)),
    unit: None,
};
const LAG: Line = Line {
    name: "Send lag, p99",
    of: |side| Some(count(side.send_lag_p99_ns)),
    unit: Some(Unit::Time),
};
const CPU: Line = Line {
    name: "CPU for a request",
    of: |side| side.cpu_ns_per_request.map(count),
    unit: Some(Unit::Time),
};
const MEMORY: Line = Line {
    name: "Peak memory",
    of: |side| side.peak_bytes.map(count),
    unit: Some(Unit::Bytes),
};

fn rate(side: &CourseSide) -> Option<f64> {
    let all = side.ok + side.failed;
    (all > 0).then(|| count(side.failed) / count(all))
}

#[derive(Template)]
#[template(path = "rounds.html")]
pub(super) struct Rounds {
    said: String,
    figures: Vec<Figure>,
    rows: Vec<Row>,
}

struct Row {
    round: u32,
    dropped: Option<String>,
    cells: Vec<String>,
}

/// Round by round; nothing where no round was measured.
pub(super) fn section(report: &Report) -> Option<Rounds> {
    let rounds = &report.picture.course;
    let captions = [
        (
            P50,
            "The median over all endpoints, failures slower than every success.",
        ),
        (P99, "One request in a hundred takes longer."),
        (FAILED, "Failures among the requests that were sent."),
        (OK, "Good answers in a round."),
        (
            LAG,
            "The generator’s own lateness: ours, and never the service’s.",
        ),
    ];
    let figures = captions
        .iter()
        .filter_map(|(line, caption)| figure(rounds, line, caption));
    (!rounds.is_empty()).then(|| Rounds {
        said: findings::rounds(&report.comparison, &|reason| printable(reason)),
        figures: figures.collect(),
        rows: rounds.iter().map(row).collect(),
    })
}

fn figure(rounds: &[Course], line: &Line, caption: &str) -> Option<Figure> {
    let chart = chart::course(rounds, line)?;
    Some(Figure::of_both(chart, line.name, caption))
}

fn row(round: &Course) -> Row {
    let cell = |line: &Line, side: &CourseSide| {
        (line.of)(side).map_or("–".to_owned(), |value| line.shown(value))
    };
    let cells = [P50, P99, FAILED, OK, LAG]
        .iter()
        .flat_map(|line| [cell(line, &round.baseline), cell(line, &round.candidate)])
        .collect();
    Row {
        round: round.round,
        dropped: round.dropped.as_deref().map(printable),
        cells,
    }
}

#[derive(Template)]
#[template(path = "resources.html")]
pub(super) struct Resources {
    sides: Vec<Used>,
    figures: Vec<Figure>,
}

struct Used {
    side: &'static str,
    cpu: String,
    requests: String,
    per_thousand: String,
    memory: String,
}

/// CPU and memory of the sides; nothing where neither was read.
pub(super) fn resources(report: &Report) -> Option<Resources> {
    let used = report.totals.resources.iter().map(|it| Used {
        side: it.side.name(),
        cpu: it.cpu_ns.map_or("–".to_owned(), |ns| duration(count(ns))),
        requests: whole_number(it.requests),
        per_thousand: it
            .cpu_ns_per_request
            .map_or("–".to_owned(), |ns| duration(1e3 * count(ns))),
        memory: it.peak_bytes.map_or("–".to_owned(), |n| bytes(count(n))),
    });
    let captions = [
        (
            CPU,
            "CPU time of the side’s own processes for each request answered as expected.",
        ),
        (MEMORY, "The most memory that the side held at once."),
    ];
    let rounds = &report.picture.course;
    let figures = captions
        .iter()
        .filter_map(|(line, caption)| figure(rounds, line, caption));
    let sides: Vec<Used> = used.collect();
    (!sides.is_empty()).then(|| Resources {
        sides,
        figures: figures.collect(),
    })
}
