//! What a plan can show: which metrics have enough requests, and whether the error tolerance
//! can be proved at all. Fixed from the schedule, before the first request.

use super::{
    Boundaries, Design, LOOK_FIRST, Look, Metric, Policy,
    course::FIRST_SHARE,
    detectable::rounds_to_decide,
    distribution::{normal_tail, size, t_critical},
    proportion::clean_requests,
    track::Track,
};
use crate::run::WORKLOAD;

/// The spread that the first rounds show is taken for a little larger than it is: so few rounds
/// know it badly (method.md 2.8).
const CAUTION: f64 = 1.1;
/// How often at most a comparison of equal sides is to end without PASS.
pub(super) const MISSED: f64 = 0.1;
/// More rounds than this are never planned (method.md 2.11).
pub const ROUNDS_MAX: u32 = 40;

/// The requests per round and side that a metric needs to be judged (method.md 2.2).
pub fn minimum_requests(metric: Metric) -> f64 {
    metric.traits().requests
}

/// Whether the schedule holds enough requests of an endpoint to judge a metric.
pub(super) fn is_planned(design: &Design, endpoint: &str, metric: Metric) -> bool {
    let fewest = design.fewest(endpoint);
    fewest > 0.0 && fewest >= minimum_requests(metric)
}

/// Whether PASS waits for a gate metric of an endpoint: a change against the baseline, or a limit.
/// It does not for rare endpoints, nor for quantiles of the whole workload, unless a rule names
/// them (docs/decisions/0006).
pub(super) fn is_required(
    design: &Design,
    policy: &Policy,
    endpoint: &str,
    (metric, limit): (Metric, bool),
) -> bool {
    let named = policy.gate.is_named(endpoint, metric, limit);
    match endpoint {
        WORKLOAD if metric.quantile().is_some() => named,
        _ => (limit && named) || is_planned(design, endpoint, Metric::P50),
    }
}

/// Whether any latency can be judged at all; without one the plan is to be refused.
pub fn is_judgeable(design: &Design) -> bool {
    let mut endpoints = design.expected.keys();
    endpoints.any(|endpoint| is_planned(design, endpoint, Metric::P50))
}

/// The requests without any failure that each side needs at each look to show that the error
/// rate is within `tolerance`: (rounds of the look, requests by then), method.md 2.4.
pub fn clean_requests_needed(
    boundaries: &Boundaries,
    alpha: f64,
    tolerance: f64,
) -> Vec<(u32, f64)> {
    let at = |(look, &Look { rounds, .. }): (usize, &Look)| {
        let tail = normal_tail(boundaries.critical(look, alpha));
        let t = t_critical(tail, f64::from(rounds) - 1.0);
        (rounds, clean_requests(t, tolerance))
    };
    boundaries.looks().iter().enumerate().map(at).collect()
}

/// What a plan can show of one endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// The endpoint.
    pub endpoint: String,
    /// Requests in a round and side, on average.
    pub requests: f64,
    /// Requests in the round that holds the fewest.
    pub fewest: f64,
    /// The metrics that can be judged.
    pub judged: Vec<Metric>,
    /// After how many valid rounds an error rate within the tolerance is shown if no request
    /// fails; `None` when the plan holds too few requests.
    pub errors_after: Option<u32>,
}

/// What a plan can show, by endpoint; the busiest first.
pub fn prospects(design: &Design, policy: &Policy, boundaries: &Boundaries) -> Vec<Prospect> {
    let of = |(endpoint, requests): (&String, &f64)| {
        let tolerance = policy.tolerance.of(endpoint, Metric::ErrorRate).relative;
        let needed = clean_requests_needed(boundaries, policy.alpha, tolerance);
        let shown = needed
            .iter()
            .find(|(rounds, needed)| requests * f64::from(*rounds) >= *needed);
        // Of single endpoints nobody reads CPU and memory.
        let is_read = |metric: &Metric| !matches!(metric, Metric::Cpu | Metric::Memory);
        let is_judged = |metric: &Metric| is_read(metric) && is_planned(design, endpoint, *metric);
        Prospect {
            endpoint: endpoint.clone(),
            requests: *requests,
            fewest: design.fewest.get(endpoint).copied().unwrap_or(0.0),
            judged: Metric::ALL.into_iter().filter(is_judged).collect(),
            errors_after: shown.map(|(rounds, _)| *rounds),
        }
    };
    let mut all: Vec<Prospect> = design.expected.iter().map(of).collect();
    all.sort_by(|a, b| b.requests.total_cmp(&a.requests));
    all
}

/// After how many valid rounds all gate metrics are likely decided, by the spread of the first
/// eight and by nothing else of them: the internal pilot of method.md 2.8. `None` before those are
/// there.
pub(super) fn rounds_enough(
    design: &Design,
    policy: &Policy,
    tracks: &[Vec<Track>],
) -> Option<u32> {
    // How far a limit is away says more than the spread, and must not be looked at here.
    let needed = |track: &&Track| {
        let member = (track.metric, false);
        track.limit.is_none() && is_required(design, policy, &track.endpoint, member)
    };
    let required: Vec<&Track> = tracks.iter().flatten().filter(needed).collect();
    let alpha = policy.alpha * FIRST_SHARE;
    let metrics = size(required.len().max(1));
    let mut most = LOOK_FIRST;
    for track in required {
        let estimate = track.after(LOOK_FIRST as usize, policy)?;
        if estimate.rounds() < LOOK_FIRST as usize {
            return None;
        }
        let sigma = CAUTION * estimate.sigma();
        let needed = rounds_to_decide(
            (alpha / metrics, alpha),
            MISSED / metrics,
            (estimate.effect / sigma, estimate.tolerance / sigma),
        );
        let clean = match track.metric {
            Metric::ErrorRate => clean_rounds(design, &track.endpoint, estimate.tolerance, alpha),
            _ => 0,
        };
        most = most.max(needed).max(clean);
    }
    // Looks come after even numbers of rounds.
    Some(most.next_multiple_of(2))
}

/// The fewest rounds whose requests, all answered well, show an error tolerance at one look.
pub(super) fn clean_rounds(design: &Design, endpoint: &str, tolerance: f64, alpha: f64) -> u32 {
    let expected = design.requests(endpoint);
    let shown = |rounds: &u32| {
        let t = t_critical(alpha, f64::from(*rounds) - 1.0);
        expected * f64::from(*rounds) >= clean_requests(t, tolerance)
    };
    (LOOK_FIRST..=ROUNDS_MAX).find(shown).unwrap_or(ROUNDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_requests_are_those_of_the_method() {
        for (rounds_max, first, last) in [(12, 6.0, 3.9), (24, 10.3, 3.8), (40, 13.7, 3.7)] {
            let looks: Vec<u32> = (8..=rounds_max).step_by(2).collect();
            let needed = clean_requests_needed(&Boundaries::new(&looks), 0.05, 0.001);
            let (_, at_first) = needed[0];
            let (_, at_last) = needed[looks.len() - 1];
            assert!((at_first / 1e3 / first - 1.0).abs() < 0.02, "{at_first}");
            assert!((at_last / 1e3 / last - 1.0).abs() < 0.02, "{at_last}");
        }
    }
}
