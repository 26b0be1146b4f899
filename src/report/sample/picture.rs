//! What the rounds of the sample looked like: twelve of them, the fifth dropped.

use std::collections::BTreeMap;

use super::super::{EndpointTotals, Mix, Quantiles, SideFidelity, SideResources};
use super::{CART, ORDER};
use crate::compare::{Course, CourseSide, Picture, Shift, ShiftPoint};
use crate::run::{Recorded, Side, WORKLOAD};
use crate::units::{count, whole};

/// The round that was dropped.
const DROPPED: u32 = 5;
const ROUNDS: u32 = 12;

/// A number between −1 and 1 that looks like chance and never changes.
fn wobble(n: u32) -> f64 {
    f64::from(n * 7_919 % 211) / 105.0 - 1.0
}

/// The per-round statistic of the valid rounds around a log ratio or difference.
pub(super) fn series(middle: f64, spread: f64) -> Vec<Option<f64>> {
    let valid = (1..=ROUNDS).filter(|round| *round != DROPPED);
    // Written to a few digits, so that snapshots are easy to read.
    let digits = |value: f64| (value * 1e5).round() / 1e5;
    valid
        .map(|round| Some(digits(middle + spread * wobble(round))))
        .collect()
}

/// A curve whose median and 99th percentile are three apart.
pub(super) fn curve(quantiles: &[f64], p50: u64, until: f64) -> Vec<u64> {
    let at = |quantile: &f64| {
        let nines = -(1.0 - quantile).log10();
        whole(count(p50) * (0.65 + 1.18 * nines) / 1_000.0) * 1_000
    };
    quantiles
        .iter()
        .take_while(|it| **it <= until)
        .map(at)
        .collect()
}

/// A replay that was faithful but for so many requests.
pub(super) fn fidelity(side: Side, waited: u64) -> SideFidelity {
    let mix = |endpoint: &str, recorded, sent| Mix {
        endpoint: endpoint.to_owned(),
        recorded,
        scheduled: 0.5,
        sent,
    };
    let mut skipped = BTreeMap::from([("not_sent_cap".to_owned(), 10)]);
    if waited > 0 {
        skipped.insert("not_sent_value".to_owned(), 4);
    }
    SideFidelity {
        side,
        scheduled: 13_750,
        sent: 13_740 - waited / 3,
        skipped,
        waited,
        overtook: waited / 4,
        order_kept: Some(if waited > 0 { 0.9998 } else { 1.0 }),
        send_lag_ns: Quantiles {
            p50: Some(49_000),
            p90: Some(71_000),
            p99: Some(94_000),
            p999: Some(180_000),
            max: Some(412_000),
        },
        mix: vec![mix(CART, 0.55, 0.5), mix(ORDER, 0.45, 0.5)],
    }
}

/// The course of the rounds and the shifts of both endpoints.
pub(super) fn picture() -> Picture {
    let shift = |endpoint: &str, size: f64| Shift {
        endpoint: endpoint.to_owned(),
        points: [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99]
            .into_iter()
            .map(|quantile: f64| point(quantile, size))
            .collect(),
    };
    Picture {
        course: (1..=ROUNDS).map(round).collect(),
        shifts: vec![
            shift(WORKLOAD, 0.12),
            shift(CART, 0.228),
            shift(ORDER, 0.02),
        ],
    }
}

fn point(quantile: f64, size: f64) -> ShiftPoint {
    let digits = |value: f64| (value * 1e5).round() / 1e5;
    let estimate = size * (0.1 + 0.9 * quantile * quantile);
    let half = 0.01 + 0.03 * quantile;
    ShiftPoint {
        quantile,
        estimate: digits(estimate),
        lower: Some(digits(estimate - half)),
        upper: Some(digits(estimate + half)),
    }
}

fn round(round: u32) -> Course {
    let disturbed = round == DROPPED;
    let side = |side: Side| {
        let place = u32::from(side == Side::Candidate);
        let slow = f64::from(place);
        let level = |ms: f64| {
            let ms = ms * (1.0 + 0.12 * slow + 0.03 * wobble(round + 3 * place));
            whole(ms * if disturbed { 1.6 } else { 1.0 } * 1e3) * 1_000
        };
        CourseSide {
            scheduled: 1_146,
            ok: 1_145 - u64::from(round % 3) * u64::from(place) * 3,
            failed: u64::from(round % 3) * u64::from(place) * 3,
            p50_ns: Some(level(21.5)),
            p99_ns: Some(level(80.0)),
            send_lag_p99_ns: if disturbed {
                3_200_000
            } else {
                94_000 + 1_000 * u64::from(round)
            },
            cpu_ns_per_request: Some(level(0.4)),
            peak_bytes: Some(72_000_000 + 400_000 * u64::from(round)),
        }
    };
    Course {
        round,
        dropped: disturbed.then(|| "send_lag".to_owned()),
        baseline: side(Side::Baseline),
        candidate: side(Side::Candidate),
    }
}

/// Both endpoints of one side together.
pub(super) fn together(parts: [&EndpointTotals; 2]) -> EndpointTotals {
    let [a, b] = parts;
    let mut all = a.clone();
    WORKLOAD.clone_into(&mut all.endpoint);
    all.counts = a.counts.plus(b.counts);
    all.ok_bytes += b.ok_bytes;
    for (class, n) in &b.classes {
        *all.classes.entry(class.clone()).or_default() += n;
    }
    for (status, n) in &b.statuses {
        *all.statuses.entry(*status).or_default() += n;
    }
    all
}

/// What the sides used of their machines.
pub(super) fn used(side: Side, cpu_ns: u64) -> SideResources {
    SideResources {
        side,
        cpu_ns: Some(cpu_ns),
        requests: 13_000,
        cpu_ns_per_request: Some(cpu_ns / 13_000),
        peak_bytes: Some(76_800_000),
    }
}

/// What the recording saw.
pub(super) fn recorded() -> BTreeMap<String, Recorded> {
    let of = |requests, statuses: &[(u16, u64)], ms: u64| Recorded {
        requests,
        statuses: statuses.iter().copied().collect(),
        latency_p50_ns: Some(ms * 1_000_000),
        latency_p99_ns: Some(4 * ms * 1_000_000),
        mean_bytes: Some(4_321),
    };
    BTreeMap::from([
        (CART.to_owned(), of(6_200, &[(200, 6_190), (304, 10)], 11)),
        (ORDER.to_owned(), of(6_145, &[(200, 6_145)], 27)),
    ])
}
