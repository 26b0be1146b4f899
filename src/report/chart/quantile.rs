//! Charts along the quantiles of a distribution, on an axis on which each nine takes the same
//! room: both sides, and by how much they differ.

use super::{
    At, Chart, Ink, draw,
    plot::{BOTTOM, LEFT, RIGHT, SIZE, TOP, Tick, frame, joined},
    scale::Scale,
};
use crate::compare::ShiftPoint;
use crate::report::EndpointTotals;
use crate::report::numbers::{bare, duration};
use crate::run::Side;
use crate::units::count;

/// Quantiles that get a label, and those that a description names.
const LABELLED: [f64; 6] = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999];
/// A range above this many times its begin is shown by factors.
const LOG_FROM: f64 = 4.0;

/// Both sides of one endpoint.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Curves<'a> {
    /// What each curve is read at.
    pub(in crate::report) quantiles: &'a [f64],
    /// The baseline and the candidate.
    pub(in crate::report) sides: [&'a EndpointTotals; 2],
}

/// The place of a quantile: how many nines it has.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile.clamp(0.0, 0.999_999)).log10()
}

/// `p99.9`, and `min` for 0.
pub(in crate::report) fn name(quantile: f64) -> String {
    if quantile <= 0.0 {
        return "min".to_owned();
    }
    format!("p{}", percent(quantile))
}

fn percent(quantile: f64) -> String {
    let text = format!("{:.2}", quantile * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The horizontal axis up to a quantile, with its labels.
fn across(last: f64) -> (Scale, Vec<Tick>) {
    let scale = Scale::linear(0.0, nines(last.max(0.99)), [LEFT, RIGHT]);
    let shown = LABELLED.iter().filter(|it| **it <= last.max(0.99));
    let tick = |quantile: &f64| (scale.place(nines(*quantile)), percent(*quantile));
    (scale, shown.map(tick).collect())
}

impl Curves<'_> {
    /// The quantiles and times of one side.
    fn points(&self, side: Side) -> impl Iterator<Item = (f64, u64)> {
        let times = self.sides[side.index()].curve_ns.iter().copied();
        self.quantiles.iter().copied().zip(times)
    }

    /// The time of a side at one quantile.
    pub(in crate::report) fn at(&self, side: Side, quantile: f64) -> Option<u64> {
        let found = self
            .points(side)
            .find(|(it, _)| (it - quantile).abs() < 1e-9);
        found.map(|(_, ns)| ns)
    }

    /// Whether the line of a side ends where its failures begin.
    fn ends_in_failures(&self, side: Side) -> bool {
        let totals = &self.sides[side.index()];
        let requests = count(totals.counts.ok + totals.counts.failures());
        let next = self.quantiles.get(totals.curve_ns.len());
        totals.counts.failures() > 0 && next.is_some_and(|it| requests * (1.0 - it) >= 1.0)
    }

    fn said(&self, quantile: f64) -> Option<String> {
        let of = |side: Side| {
            let shown = self.at(side, quantile).map(|ns| duration(count(ns)));
            let ended = || "failed".to_owned();
            format!("{} {}", side.name(), shown.unwrap_or_else(ended))
        };
        let known = Side::BOTH
            .iter()
            .any(|side| self.at(*side, quantile).is_some());
        let [a, b] = Side::BOTH.map(of);
        known.then(|| format!("{}: {a}, {b}", name(quantile)))
    }
}

/// The response times of both sides by quantile; `None` where neither has any.
pub(in crate::report) fn curves(both: &Curves<'_>) -> Option<Chart> {
    let all = || Side::BOTH.into_iter().flat_map(|side| both.points(side));
    let last = all().map(|(quantile, _)| quantile).reduce(f64::max)?;
    let times = all().map(|(_, ns)| count(ns.max(1)));
    let (low, high) = times.fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), ns| {
        (a.min(ns), b.max(ns))
    });
    let (x, across) = across(last);
    let y = if high > LOG_FROM * low {
        Scale::log(low * 0.92, high * 1.08, [BOTTOM, TOP])
    } else {
        Scale::linear(0.0, super::scale::roof(high), [BOTTOM, TOP])
    };
    let up: Vec<Tick> = y
        .ticks(7)
        .into_iter()
        .map(|ns| (y.place(ns), tick_time(ns)))
        .collect();
    let named = LABELLED.iter().filter_map(|quantile| both.said(*quantile));
    let said = format!(
        "Response time by quantile. {}.",
        named.collect::<Vec<_>>().join("; ")
    );
    let svg = draw(SIZE, "plot", &said, |pen| {
        frame(pen, &across, &up, "quantile in %");
        for (side, ink) in Side::BOTH.into_iter().zip([Ink::Baseline, Ink::Candidate]) {
            let points = both.points(side);
            let points: Vec<At> = points
                .map(|(quantile, ns)| (x.place(nines(quantile)), y.place(count(ns))))
                .collect();
            joined(pen, &points, ink);
            if let Some(end) = points.last().filter(|_| both.ends_in_failures(side)) {
                pen.dot(*end, 9, Ink::Regressed);
            }
        }
    });
    let read = both.quantiles.iter().filter_map(|quantile| {
        let said = both.said(*quantile)?;
        Some(format!("{} {said}\n", x.place(nines(*quantile))))
    });
    Some(Chart {
        svg,
        points: read.collect(),
    })
}

/// A time on an axis: `10 ms`.
pub(super) fn tick_time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns <= 0.0 => return "0".to_owned(),
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999_500.0 => (ns / 1e3, "µs"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", short(value))
}

/// A round number without superfluous digits.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `+22.8 %` and `[+14.0, +32.1]`, which is empty where there is no band.
pub(in crate::report) fn shift_cells(point: &ShiftPoint) -> [String; 2] {
    let band = match (point.lower, point.upper) {
        (Some(lower), Some(upper)) => format!("[{}, {}]", bare(lower), bare(upper)),
        _ => String::new(),
    };
    [format!("{} %", bare(point.estimate)), band]
}

fn shift_said(point: &ShiftPoint) -> String {
    shift_cells(point).join(" ").trim_end().to_owned()
}

/// By how much the quantiles differ, with the band of each and what is tolerated at some of them;
/// `None` without any.
pub(in crate::report) fn shift(points: &[ShiftPoint], tolerated: &[(f64, f64)]) -> Option<Chart> {
    let last = points.last()?.quantile;
    let (x, across) = across(last);
    let y = shift_scale(points, tolerated);
    let up = y.ticks(6).into_iter();
    let up: Vec<Tick> = up.map(|it| (y.place(it), percent_tick(it))).collect();
    let named = points
        .iter()
        .map(|it| format!("{} {}", name(it.quantile), shift_said(it)));
    let said = format!(
        "Difference of the candidate by quantile, above 0 is slower. {}.",
        named.collect::<Vec<_>>().join("; ")
    );
    let at = |point: &ShiftPoint, value: f64| (x.place(nines(point.quantile)), y.place(value));
    let svg = draw(SIZE, "plot", &said, |pen| {
        frame(pen, &across, &up, "quantile in %");
        let edges = |pick: fn(&ShiftPoint) -> Option<f64>| {
            let known = points.iter().filter_map(move |it| Some((it, pick(it)?)));
            known.map(|(it, value)| at(it, value)).collect::<Vec<At>>()
        };
        let band: Vec<At> = edges(|it| it.upper)
            .into_iter()
            .chain(edges(|it| it.lower).into_iter().rev())
            .collect();
        if band.len() > 3 {
            pen.area(band, Ink::Band);
        }
        pen.line(
            vec![(LEFT, y.place(0.0)), (RIGHT, y.place(0.0))],
            Ink::Axis,
            2,
        );
        for (quantile, tolerance) in tolerated.iter().filter(|(it, _)| *it <= last.max(0.99)) {
            let (middle, height) = (x.place(nines(*quantile)), y.place(*tolerance));
            let ends = [middle - 26, middle + 26].map(|it| (it.clamp(LEFT, RIGHT), height));
            pen.line(ends.to_vec(), Ink::Edge, 5);
        }
        let middle: Vec<At> = points.iter().map(|it| at(it, it.estimate)).collect();
        joined(pen, &middle, Ink::Candidate);
        for place in middle.iter().filter(|_| middle.len() > 1) {
            pen.dot(*place, 5, Ink::Candidate);
        }
    });
    let read = points.iter().map(|it| {
        let place = x.place(nines(it.quantile));
        format!("{place} {}: {}\n", name(it.quantile), shift_said(it))
    });
    Some(Chart {
        svg,
        points: read.collect(),
    })
}

/// Up to three times what matters to each side, so that a wild tail does not flatten the rest.
fn shift_scale(points: &[ShiftPoint], tolerated: &[(f64, f64)]) -> Scale {
    let sizes = points.iter().map(|it| it.estimate.abs());
    let sizes = sizes.chain(tolerated.iter().map(|(_, it)| *it));
    let widest = 3.0 * sizes.fold(0.02, f64::max);
    let ends = points
        .iter()
        .flat_map(|it| [it.lower, it.upper, Some(it.estimate)]);
    let ends = ends.flatten().chain(tolerated.iter().map(|(_, it)| *it));
    let (low, high) = ends.fold((0.0, 0.0), |(a, b): (f64, f64), it| {
        (a.min(it.max(-widest)), b.max(it.min(widest)))
    });
    let room = 0.08 * (high - low).max(0.01);
    Scale::linear(low - room, high + room, [BOTTOM, TOP])
}

/// A change on an axis: `+5 %`.
pub(super) fn percent_tick(change: f64) -> String {
    let value = short(change.abs() * 100.0);
    match change {
        it if value == "0" || it == 0.0 => "0".to_owned(),
        it if it < 0.0 => format!("−{value} %"),
        _ => format!("+{value} %"),
    }
}
