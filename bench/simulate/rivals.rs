//! Four rules that people decide by today, on the same simulated deployments. Each names the
//! endpoints that it would block; none has a test for failures, so latencies of successes are
//! all that it sees.

use std::collections::BTreeMap;

use proofload::{
    compare::distribution::{median, normal_critical},
    histogram::Histogram,
    run::Slot,
    units::{count, whole},
};

/// What both sides measured, window by window, the baseline first.
pub(crate) type Windows = [Vec<Slot>; 2];

/// A rule: whether it blocks an endpoint.
pub(crate) type Rule = fn(&Windows, &str) -> bool;

/// The quantiles that all rules look at.
const QUANTILES: [f64; 2] = [0.5, 0.99];

/// The pooled p50 more than 5 % or the pooled p99 more than 10 % above the baseline's: fixed
/// thresholds on two runs.
pub(crate) fn thresholds(windows: &Windows, endpoint: &str) -> bool {
    let pooled = windows.each_ref().map(|own| pooled(own, endpoint));
    let mut both = QUANTILES.into_iter().zip([1.05, 1.10]);
    both.any(|(quantile, limit)| {
        let [a, b] = pooled
            .each_ref()
            .map(|it| it.quantile_ns(quantile).unwrap_or(0.0));
        b > limit * a
    })
}

/// Mann-Whitney over single requests, two-sided at 5 %, the candidate slower.
pub(crate) fn by_request(windows: &Windows, endpoint: &str) -> bool {
    let mut counts: BTreeMap<u64, [f64; 2]> = BTreeMap::new();
    for (side, own) in windows.iter().enumerate() {
        for (value, n) in pooled(own, endpoint).buckets() {
            counts.entry(value).or_default()[side] += count(n);
        }
    }
    let ties: Vec<[f64; 2]> = counts.into_values().collect();
    mann_whitney(&ties) > normal_critical(0.025)
}

/// Mann-Whitney over one figure per window, two-sided at 5 %, the candidate's median larger:
/// how benchstat is used.
pub(crate) fn by_window(windows: &Windows, endpoint: &str) -> bool {
    QUANTILES.into_iter().any(|quantile| {
        let [a, b] = series(windows, endpoint, quantile);
        let mut counts: BTreeMap<u64, [f64; 2]> = BTreeMap::new();
        for (side, own) in [&a, &b].into_iter().enumerate() {
            for value in own {
                counts.entry(whole(*value)).or_default()[side] += 1.0;
            }
        }
        let ties: Vec<[f64; 2]> = counts.into_values().collect();
        mann_whitney(&ties) > normal_critical(0.025) && median(b) > median(a)
    })
}

/// Kayenta's rule: the lower end of the 98 % Mann-Whitney interval of the shift above a quarter
/// of the estimated shift, each window a point in time of both sides.
pub(crate) fn kayenta(windows: &Windows, endpoint: &str) -> bool {
    QUANTILES.into_iter().any(|quantile| {
        let [a, b] = series(windows, endpoint, quantile);
        let (n, m) = (count(a.len() as u64), count(b.len() as u64));
        let pairs = b.iter().flat_map(|b| a.iter().map(move |a| b - a));
        let mut differences: Vec<f64> = pairs.collect();
        differences.sort_by(f64::total_cmp);
        let half = normal_critical(0.01) * (n * m * (n + m + 1.0) / 12.0).sqrt();
        let lowest = usize::try_from(whole(n * m / 2.0 - half - 0.5)).unwrap_or(0);
        let lower = differences
            .get(lowest)
            .copied()
            .unwrap_or(f64::NEG_INFINITY);
        median(differences).is_some_and(|estimate| lower > 0.25 * estimate.abs())
    })
}

fn pooled(windows: &[Slot], endpoint: &str) -> Histogram {
    let mut pooled = Histogram::default();
    for window in windows {
        pooled.merge(&window.endpoints[endpoint].response);
    }
    pooled
}

/// One quantile of each window, by side.
fn series(windows: &Windows, endpoint: &str, quantile: f64) -> [Vec<f64>; 2] {
    windows.each_ref().map(|own| {
        let of = |slot: &Slot| slot.endpoints[endpoint].response.quantile_ns(quantile);
        own.iter().filter_map(of).collect()
    })
}

/// The z of Mann and Whitney's U, positive when the second group is larger, with the correction
/// for ties and for continuity; `ties` are the counts of both groups at each value, ascending.
fn mann_whitney(ties: &[[f64; 2]]) -> f64 {
    let (mut below, mut u, mut cubes) = (0.0, 0.0, 0.0);
    let mut sums = [0.0; 2];
    for [a, b] in ties {
        u += b * (below + a / 2.0);
        below += a;
        sums = [sums[0] + a, sums[1] + b];
        cubes += (a + b).powi(3) - (a + b);
    }
    let [n, m] = sums;
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - cubes / (all * (all - 1.0)));
    let distance = u - n * m / 2.0;
    (distance.abs() - 0.5).max(0.0).copysign(distance) / variance.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mann_and_whitneys_u_is_the_published_one() {
        // males 19,22,16,29,24; females 20,11,17,12: U 17, two-sided p 0.1113469.
        let males = [19, 22, 16, 29, 24];
        let females = [20, 11, 17, 12];
        let mut counts: BTreeMap<u64, [f64; 2]> = BTreeMap::new();
        for value in females {
            counts.entry(value).or_default()[0] += 1.0;
        }
        for value in males {
            counts.entry(value).or_default()[1] += 1.0;
        }
        let ties: Vec<_> = counts.into_values().collect();
        let z = mann_whitney(&ties);
        assert!((z - normal_critical(0.111_346_9 / 2.0)).abs() < 1e-4, "{z}");
        // ClickHouse: (10,11,12) above (1,2,3): two-sided p 0.0808556 with continuity.
        let apart: Vec<[f64; 2]> = [[1.0, 0.0]; 3].into_iter().chain([[0.0, 1.0]; 3]).collect();
        let z = mann_whitney(&apart);
        assert!((z - normal_critical(0.040_427_799)).abs() < 1e-4, "{z}");
    }
}
