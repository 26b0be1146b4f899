//! What is folded inside the card of an endpoint: the charts, both sides in numbers, and the
//! metrics that do not decide.

use super::{Group, Totals, here};
use crate::compare::{Change, Metric, Status};
use crate::report::chart::{self, Chart, Curves};
use crate::report::numbers::bytes;
use crate::report::words::{time_cell, whole_number};
use crate::report::{EndpointTotals, Report, words};
use crate::run::Side;
use crate::text::printable;

/// Quantiles of which the values stand in a table.
const TABLED: [f64; 9] = [0.1, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999];

/// The inside of a card.
#[derive(Default)]
pub(super) struct Inside {
    pub(super) figures: Vec<Figure>,
    pub(super) quantiles: Vec<Quantile>,
    pub(super) sides: Vec<SideRow>,
    pub(super) outcomes: Vec<String>,
    pub(super) others: Vec<Other>,
    /// Whether other metrics stand elsewhere only.
    pub(super) is_cut: bool,
}

/// A chart with its words.
pub(in crate::report::html) struct Figure {
    pub(in crate::report::html) title: String,
    pub(in crate::report::html) caption: String,
    pub(in crate::report::html) svg: String,
    pub(in crate::report::html) points: String,
    /// Whether it has a line for each side.
    pub(in crate::report::html) both: bool,
}

impl Figure {
    pub(in crate::report::html) fn new(chart: Chart, title: String, caption: &str) -> Self {
        Self {
            title,
            caption: caption.to_owned(),
            svg: chart.svg,
            points: chart.points,
            both: false,
        }
    }

    pub(in crate::report::html) fn of_both(chart: Chart, title: &str, caption: &str) -> Self {
        Self {
            both: true,
            ..Self::new(chart, title.to_owned(), caption)
        }
    }
}

/// One column of the table of quantiles.
pub(super) struct Quantile {
    pub(super) name: String,
    pub(super) baseline: String,
    pub(super) candidate: String,
    pub(super) shift: [String; 2],
}

/// One side in numbers.
pub(super) struct SideRow {
    pub(super) side: &'static str,
    pub(super) sent: String,
    pub(super) failed: String,
    pub(super) times: [String; 5],
    pub(super) service: [String; 2],
    pub(super) first_byte: String,
    pub(super) size: String,
}

/// A metric that does not decide.
pub(super) struct Other {
    pub(super) metric: &'static str,
    pub(super) baseline: String,
    pub(super) candidate: String,
    pub(super) change: String,
    pub(super) tolerance: String,
    pub(super) kind: &'static str,
    pub(super) sign: &'static str,
    pub(super) sentence: String,
}

/// The inside of an endpoint's card, with charts and other metrics if it is `whole`.
pub(super) fn of(report: &Report, group: &Group<'_>, totals: &Totals<'_>, whole: bool) -> Inside {
    let sides = totals.both(group.endpoint);
    let known = sides.iter().copied().flatten();
    let mut inside = Inside {
        sides: known.clone().map(side_row).collect(),
        outcomes: known.filter_map(outcome).collect(),
        is_cut: !whole && !group.besides.is_empty(),
        ..Inside::default()
    };
    if whole {
        inside.others = group.besides.iter().map(|it| other(it)).collect();
        inside.figures = figures(report, group, sides);
        inside.quantiles = quantiles(report, group, sides);
    }
    inside
}

fn curves_of<'a>(report: &'a Report, sides: [Option<&'a EndpointTotals>; 2]) -> Option<Curves<'a>> {
    let [baseline, candidate] = sides;
    Some(Curves {
        quantiles: &report.totals.curve_quantiles,
        sides: [baseline?, candidate?],
    })
}

fn figures(report: &Report, group: &Group<'_>, sides: [Option<&EndpointTotals>; 2]) -> Vec<Figure> {
    let curves = curves_of(report, sides).and_then(|it| chart::curves(&it));
    let curves = curves.map(|it| {
        let caption = "Response time from the planned instant; failures count as slower than \
                       every success, and a red end is where they begin.";
        Figure::of_both(it, "Latency by quantile", caption)
    });
    let shifts = report.picture.shifts.iter();
    let shift = shifts
        .filter(|it| it.endpoint == group.endpoint)
        .find_map(|it| {
            let chart = chart::shift(&it.points, &tolerated(group))?;
            let caption = if it.points.iter().any(|point| point.lower.is_some()) {
                "Candidate against baseline; the band is the 95 % interval of each quantile by \
             itself. Green marks are what you tolerate."
            } else {
                "Candidate against baseline. Green marks are what you tolerate."
            };
            Some(Figure::new(
                chart,
                "Difference by quantile".to_owned(),
                caption,
            ))
        });
    let series = group.judged.iter().find_map(|change| {
        let chart = chart::series(change, &report.picture.course)?;
        let title = format!("Change of {} by round", change.metric.name());
        let caption = "Above 0 is worse. The band is the judged interval, the green line what you \
                       tolerate; grey rounds were dropped.";
        Some(Figure::new(chart, title, caption))
    });
    [curves, shift, series].into_iter().flatten().collect()
}

/// What is tolerated at the quantiles that have a margin.
fn tolerated(group: &Group<'_>) -> Vec<(f64, f64)> {
    let all = group.judged.iter().chain(&group.besides);
    let of = |change: &&&Change| change.limit.is_none() && is_response(change.metric);
    let mut found: Vec<(f64, f64)> = all
        .filter(of)
        .filter_map(|it| Some((it.metric.quantile()?, it.tolerance)))
        .collect();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

fn is_response(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::P50 | Metric::P90 | Metric::P99 | Metric::P999
    )
}

fn quantiles(
    report: &Report,
    group: &Group<'_>,
    sides: [Option<&EndpointTotals>; 2],
) -> Vec<Quantile> {
    let Some(curves) = curves_of(report, sides) else {
        return Vec::new();
    };
    let mut shifts = report.picture.shifts.iter();
    let shift = shifts.find(|it| it.endpoint == group.endpoint);
    let points = shift.map_or(&[][..], |it| it.points.as_slice());
    let column = |quantile: &f64| {
        let [baseline, candidate] = Side::BOTH.map(|side| curves.at(side, *quantile));
        let point = points
            .iter()
            .find(|it| (it.quantile - quantile).abs() < 1e-9);
        (baseline.is_some() || candidate.is_some()).then(|| Quantile {
            name: chart::name(*quantile),
            baseline: time_cell(baseline),
            candidate: time_cell(candidate),
            shift: point.map_or(["–".to_owned(), String::new()], chart::shift_cells),
        })
    };
    TABLED.iter().filter_map(column).collect()
}

fn side_row(total: &EndpointTotals) -> SideRow {
    let times = &total.response_ns;
    let times = [times.p50, times.p90, times.p99, times.p999, times.max];
    SideRow {
        side: total.side.name(),
        sent: whole_number(total.counts.sent),
        failed: whole_number(total.counts.failures()),
        times: times.map(time_cell),
        service: [total.service_ns.p50, total.service_ns.p99].map(time_cell),
        first_byte: time_cell(total.first_byte_ns.p50),
        size: total.mean_bytes().map_or("–".to_owned(), bytes),
    }
}

/// What did not succeed on one side, in one line; nothing where all did.
fn outcome(total: &EndpointTotals) -> Option<String> {
    let classes = super::super::outcomes::failed_classes(total)?;
    Some(format!("{}: {classes}", total.side.name()))
}

fn other(change: &Change) -> Other {
    let plain = change.status == Status::Pass;
    Other {
        metric: change.metric.name(),
        baseline: words::level_cell(change, Side::Baseline),
        candidate: words::level_cell(change, Side::Candidate),
        change: words::change_cell(change),
        tolerance: words::tolerance_cell(change),
        kind: super::kind_of(change.status),
        sign: words::status_sign(change.status),
        sentence: if plain {
            words::status_word(change.status).to_owned()
        } else {
            words::sentence(change, &printable(&here(change)))
        },
    }
}
