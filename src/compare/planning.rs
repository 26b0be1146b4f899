//! What a plan can show: which metrics have enough requests, and whether the error tolerance
//! can be proved at all. Fixed from the schedule, before the first request.

use super::{
    Boundaries, Design, Metric, Policy,
    distribution::{normal_tail, t_critical},
    proportion::clean_requests,
};

/// The requests per round and side that a metric needs to be judged: five observations beyond
/// the quantile (method.md 2.2), and for the median and the mean enough to be one.
pub fn minimum_requests(metric: Metric) -> f64 {
    match metric {
        Metric::ErrorRate => 0.0,
        Metric::P50 | Metric::P90 | Metric::Mean => 50.0,
        Metric::P99 => 500.0,
        Metric::P999 => 5_000.0,
    }
}

/// Whether the schedule holds enough requests of an endpoint to judge a metric.
pub(super) fn is_planned(design: &Design, endpoint: &str, metric: Metric) -> bool {
    let expected = design.expected.get(endpoint).copied().unwrap_or(0.0);
    expected > 0.0 && expected >= minimum_requests(metric)
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
    let at = |(look, rounds): (usize, &u32)| {
        let tail = normal_tail(boundaries.critical(look, alpha));
        let t = t_critical(tail, f64::from(*rounds) - 1.0);
        (*rounds, clean_requests(t, tolerance))
    };
    boundaries.looks().iter().enumerate().map(at).collect()
}

/// Whether the planned requests of an endpoint, all answered well on both sides, would show
/// its error tolerance at any look.
pub fn can_show_errors(
    design: &Design,
    policy: &Policy,
    boundaries: &Boundaries,
    endpoint: &str,
) -> bool {
    let expected = design.expected.get(endpoint).copied().unwrap_or(0.0);
    let tolerance = policy.tolerance.of(endpoint, Metric::ErrorRate).relative;
    let needed = clean_requests_needed(boundaries, policy.alpha, tolerance);
    let mut looks = needed.into_iter();
    looks.any(|(rounds, requests)| expected * f64::from(rounds) >= requests)
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
