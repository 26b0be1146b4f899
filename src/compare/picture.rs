//! What charts show besides the changes: the course of the rounds, and by how much each quantile
//! shifted. Shown, never judged; drops are those of the judgement.
//!
//! A shift is the mean of the per-round log ratios of one quantile with Student's two-sided
//! interval at the policy's alpha, quantile by quantile: neither looks nor families are paid for.

use serde::{Deserialize, Serialize};

use super::{
    Design, Metric, Policy, RoundEvidence,
    evidence::{Figures, SHAPE, SideEvidence, endpoints},
    paired::Paired,
    validity::examine,
};
use crate::{
    run::{Side, WORKLOAD},
    units::{count, whole},
};

/// Requests of a round that lie beyond a quantile, at least: fewer are no quantile.
const BEYOND: f64 = 4.99;
/// The relative width of a histogram's bucket.
const RESOLUTION: f64 = 1e-3;

/// What the rounds of a comparison looked like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Each measured round in order, dropped ones as well, without the discarded first.
    pub course: Vec<Course>,
    /// How the distributions shifted, by endpoint; all of them together first. Endpoints with too
    /// few requests for any quantile are left out.
    pub shifts: Vec<Shift>,
}

/// One measured round over all endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Its number.
    pub round: u32,
    /// The code of the reason for which it was dropped; absent when it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<String>,
    /// What the baseline did.
    pub baseline: CourseSide,
    /// What the candidate did.
    pub candidate: CourseSide,
}

/// One side in one round over all endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CourseSide {
    /// Requests that the schedule held.
    pub scheduled: u64,
    /// Requests answered as expected.
    pub ok: u64,
    /// Requests that failed by the target's fault.
    pub failed: u64,
    /// The median of response time, failures slower than every success.
    pub p50_ns: Option<u64>,
    /// The 0.99 quantile, likewise.
    pub p99_ns: Option<u64>,
    /// The 0.99 quantile of the generator's own lateness.
    pub send_lag_p99_ns: u64,
    /// CPU time of the side for each request answered as expected; absent where it is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns_per_request: Option<u64>,
    /// The most memory that the side held at once; absent where it is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

/// By how much the response times of one endpoint shifted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shift {
    /// The endpoint, or [`WORKLOAD`].
    pub endpoint: String,
    /// By quantile, from low to high.
    pub points: Vec<ShiftPoint>,
}

/// The relative difference of one quantile; positive is slower.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ShiftPoint {
    /// The quantile in `[0, 1]`.
    pub quantile: f64,
    /// The estimate: 0.1 is 10 % slower.
    pub estimate: f64,
    /// The lower end of the band; absent where the sides were not measured together, because
    /// rounds then say nothing of how much runs differ.
    pub lower: Option<f64>,
    /// The upper end of the band, likewise.
    pub upper: Option<f64>,
}

/// The picture of these rounds. `together` says whether the sides of a round were measured at
/// the same time. Cannot fail.
pub fn picture(
    design: &Design,
    policy: &Policy,
    rounds: &[RoundEvidence],
    together: bool,
) -> Picture {
    let validity = examine(design, policy, rounds);
    let measured = rounds.iter().filter(|round| round.round > 0);
    let course = measured.map(|round| Course {
        round: round.round,
        dropped: validity
            .dropped
            .get(&round.round)
            .map(|it| (*it).to_owned()),
        baseline: course_side(round.side(Side::Baseline)),
        candidate: course_side(round.side(Side::Candidate)),
    });
    let names = std::iter::once(WORKLOAD).chain(endpoints(rounds));
    let tail = together.then_some(policy.alpha / 2.0);
    let shifts = names.map(|name| Shift {
        endpoint: name.to_owned(),
        points: shift(name, &validity.valid, tail),
    });
    Picture {
        course: course.collect(),
        shifts: shifts.filter(|shift| !shift.points.is_empty()).collect(),
    }
}

fn course_side(side: &SideEvidence) -> CourseSide {
    let all = &side.workload;
    let read = |metric| all.reading(metric).map(|read| whole(read.value));
    CourseSide {
        scheduled: all.scheduled,
        ok: all.ok,
        failed: all.failures,
        p50_ns: read(Metric::P50),
        p99_ns: read(Metric::P99),
        send_lag_p99_ns: whole(side.health.lag_p99_ns),
        cpu_ns_per_request: read(Metric::Cpu),
        peak_bytes: read(Metric::Memory),
    }
}

/// The quantiles of which every round has enough requests.
fn shift(endpoint: &str, rounds: &[&RoundEvidence], tail: Option<f64>) -> Vec<ShiftPoint> {
    let sides: Option<Vec<_>> = rounds
        .iter()
        .map(|round| Some((round.round, round.endpoint(endpoint)?)))
        .collect();
    let sides = sides.unwrap_or_default();
    let requests = |figures: &Figures| figures.ok + figures.failures;
    let all = sides.iter().flat_map(|(_, sides)| sides);
    let fewest = count(all.map(|side| requests(side)).min().unwrap_or(0));
    let point = |(place, quantile): (usize, &f64)| {
        if fewest * quantile.min(1.0 - quantile) < BEYOND {
            return None;
        }
        let ratio = |(round, [a, b]): &(u32, [&Figures; 2])| {
            (*round, (b.shape_ns[place] / a.shape_ns[place]).ln())
        };
        let series: Vec<(u32, f64)> = sides.iter().map(ratio).collect();
        let found = Paired::of(&series, RESOLUTION)?;
        let bounds = tail.map(|tail| found.bounds(tail));
        let of = |value: f64| Some(Metric::P50.from_scale(value)).filter(|it| it.is_finite());
        Some(ShiftPoint {
            quantile: *quantile,
            estimate: of(found.mean)?,
            lower: bounds.and_then(|(lower, _)| of(lower)),
            upper: bounds.and_then(|(_, upper)| of(upper)),
        })
    };
    SHAPE.iter().enumerate().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compare::evidence::Reading;

    fn figures(ms: f64, requests: u64) -> Figures {
        let mut figures = Figures {
            scheduled: requests,
            ok: requests,
            shape_ns: SHAPE.map(|quantile| ms * 1e6 * (1.0 + quantile)),
            ..Figures::default()
        };
        figures.set(Metric::P50, Some(Reading::exactly(ms * 1e6)));
        figures
    }

    /// Rounds whose candidate is a tenth slower, but for a wobble; the third was disturbed.
    fn rounds(requests: u64) -> Vec<RoundEvidence> {
        let round = |n: u32| {
            let mut round = RoundEvidence {
                round: n,
                baseline_first: true,
                ..RoundEvidence::default()
            };
            let wobble = if n.is_multiple_of(2) {
                1.01
            } else {
                1.0 / 1.01
            };
            for (side, ms) in round.sides.iter_mut().zip([10.0, 11.0 * wobble]) {
                side.workload = figures(ms, requests);
                side.endpoints = BTreeMap::from([("GET /a".to_owned(), figures(ms, requests))]);
                side.health.stall_ns = if n == 3 { 900_000_000 } else { 0 };
            }
            round
        };
        (0..=12).map(round).collect()
    }

    fn of(requests: u64, together: bool) -> Picture {
        let expected = BTreeMap::from([("GET /a".to_owned(), count(requests))]);
        let design = Design::new(12, true, expected);
        picture(
            &design,
            &Policy::standard(30_000_000_000),
            &rounds(requests),
            together,
        )
    }

    #[test]
    fn each_round_is_there_and_the_dropped_one_says_why() {
        let found = of(1_000, true);
        assert_eq!(found.course.len(), 12);
        let dropped: Vec<_> = found
            .course
            .iter()
            .filter(|it| it.dropped.is_some())
            .collect();
        assert_eq!(dropped.len(), 1);
        assert_eq!(dropped[0].round, 3);
        assert_eq!(dropped[0].dropped.as_deref(), Some("stall"));
        assert_eq!(dropped[0].baseline.p50_ns, Some(10_000_000));
        assert_eq!(dropped[0].candidate.ok, 1_000);
    }

    #[test]
    fn a_shift_has_a_band_that_holds_the_truth() {
        let found = of(1_000, true);
        let names: Vec<_> = found.shifts.iter().map(|it| it.endpoint.as_str()).collect();
        assert_eq!(names, [WORKLOAD, "GET /a"]);
        let points = &found.shifts[1].points;
        // Of 1,000 requests five lie beyond 0.995 and one beyond 0.999.
        assert_eq!(points.last().unwrap().quantile, 0.995);
        for point in points {
            let (lower, upper) = (point.lower.unwrap(), point.upper.unwrap());
            assert!(lower < 0.1 && 0.1 < upper, "{point:?}");
            assert!(upper - lower < 0.02, "{point:?}");
        }
    }

    #[test]
    fn sides_of_other_times_have_no_band_and_few_requests_no_shift() {
        let found = of(1_000, false);
        assert!(found.shifts[0].points.iter().all(|it| it.lower.is_none()));
        assert!((found.shifts[0].points[0].estimate - 0.1).abs() < 0.01);
        assert_eq!(of(8, true).shifts, []);
        let nothing = picture(
            &Design::new(12, true, BTreeMap::new()),
            &Policy::standard(1),
            &[],
            true,
        );
        assert_eq!(nothing, Picture::default());
    }
}
