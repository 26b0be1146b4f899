//! The paired statistics of a series of rounds: mean, spread, serial dependence and the two
//! one-sided tests (method.md 2.3 and 2.4), with the diagnostics that are shown beside them.
//!
//! A value is one round's log ratio or difference, positive when the candidate is worse. No
//! value is ever left out for its size.

use super::distribution::{median, size, t_critical, t_tail};

/// Below this a spread is taken for a rounding error; it keeps identical rounds from proving
/// anything by a division by zero.
const SMALLEST_SD: f64 = 1e-6;
/// From this many rounds a strong lag-1 autocorrelation makes the figures untrustworthy.
const DEPENDENCE_ROUNDS: usize = 12;
const DEPENDENCE_LIMIT: f64 = 0.5;
/// But for so many standard errors of it, which are 1/√n: among a hundred metrics of independent
/// rounds some exceed 0.5 by chance (0.8 % of them at 12 rounds).
const DEPENDENCE_ERRORS: f64 = 3.0;

/// The statistics of one metric over the rounds so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// How many rounds.
    pub rounds: usize,
    /// The mean of the per-round statistic.
    pub mean: f64,
    /// Its standard deviation, not below what the resolution of the histograms allows.
    pub sd: f64,
    /// Lag-1 autocorrelation over neighbouring rounds.
    pub autocorrelation: f64,
    /// The standard error of the mean, widened when rounds resemble their neighbours.
    pub standard_error: f64,
    /// Degrees of freedom, at least 2.
    pub freedom: f64,
}

impl Paired {
    /// The statistics of (round number, value) pairs in order; numbers tell which rounds are
    /// neighbours. `resolution` is the relative bucket width at the quantile, 0 for exact
    /// values. `None` below two rounds or when a value is not finite.
    pub fn of(series: &[(u32, f64)], resolution: f64) -> Option<Self> {
        let finite = series.iter().all(|(_, value)| value.is_finite());
        if series.len() < 2 || !finite {
            return None;
        }
        let n = size(series.len());
        let mean = series.iter().map(|(_, value)| value).sum::<f64>() / n;
        let squares: f64 = series.iter().map(|(_, value)| (value - mean).powi(2)).sum();
        // Two read-outs, each uniform in its bucket: w²/12 twice.
        let floor = (resolution.powi(2) / 6.0).max(SMALLEST_SD.powi(2));
        let sd = (squares / (n - 1.0)).max(floor).sqrt();
        let products: f64 = series
            .windows(2)
            .filter(|pair| pair[1].0 == pair[0].0.saturating_add(1))
            .map(|pair| (pair[1].1 - mean) * (pair[0].1 - mean))
            .sum();
        let autocorrelation = if squares > 0.0 {
            products / squares
        } else {
            0.0
        };
        let inflation = inflation(autocorrelation, n);
        Some(Self {
            rounds: series.len(),
            mean,
            sd,
            autocorrelation,
            standard_error: sd * (inflation / n).sqrt(),
            freedom: (n / inflation - 1.0).max(2.0),
        })
    }

    /// Whether successive rounds resemble each other too much for any verdict.
    pub fn is_dependent(&self) -> bool {
        let chance = DEPENDENCE_ERRORS / size(self.rounds).sqrt();
        let limit = DEPENDENCE_LIMIT.max(chance);
        self.rounds >= DEPENDENCE_ROUNDS && self.autocorrelation > limit
    }

    /// The p-value of "the change is at most `effect`"; small means REGRESSED.
    pub fn p_regressed(&self, effect: f64) -> f64 {
        t_tail((self.mean - effect) / self.standard_error, self.freedom)
    }

    /// The p-value of "the change is at least `tolerance`"; small means PASS.
    pub fn p_pass(&self, tolerance: f64) -> f64 {
        t_tail((tolerance - self.mean) / self.standard_error, self.freedom)
    }

    /// Both one-sided bounds whose error is `tail` each.
    pub fn bounds(&self, tail: f64) -> (f64, f64) {
        let half = t_critical(tail, self.freedom) * self.standard_error;
        (self.mean - half, self.mean + half)
    }
}

/// The factor φ on the variance of the mean, a guard for first-order dependence, with the
/// small-sample bias of `r1` corrected; 1 when `r1` is within chance (method.md 2.3).
fn inflation(r1: f64, n: f64) -> f64 {
    if r1 <= 1.0 / n.sqrt() {
        return 1.0;
    }
    let r = (r1 + (1.0 + 3.0 * r1) / n).min(0.9);
    (1.0 + r) / (1.0 - r)
}

/// Hodges and Lehmann's centre: the median of all pairwise means, each value with itself
/// included. Shown, never judged, because it hides what happens in few rounds.
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    let pairs = values
        .iter()
        .enumerate()
        .flat_map(|(i, a)| values[i..].iter().map(move |b| f64::midpoint(*a, *b)));
    median(pairs.collect())
}

/// Whether single rounds stand far out: `max |d − median| / (1.4826·MAD) > 6` (method.md
/// 2.10). All identical but one counts as bursty, all identical does not.
pub fn is_bursty(values: &[f64]) -> bool {
    let Some(centre) = median(values.to_vec()) else {
        return false;
    };
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    let farthest = distances.iter().copied().fold(0.0, f64::max);
    let spread = 1.4826 * median(distances).unwrap_or(0.0);
    farthest > 6.0 * spread.max(SMALLEST_SD)
}

/// Welch's t of two groups of rounds, for the order effect; `None` when a group has fewer than
/// two rounds or nothing varies.
pub fn welch(a: &[f64], b: &[f64]) -> Option<f64> {
    let moments = |values: &[f64]| {
        let n = size(values.len());
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (mean, squares / (n - 1.0) / n)
    };
    if a.len() < 2 || b.len() < 2 {
        return None;
    }
    let ((mean_a, var_a), (mean_b, var_b)) = (moments(a), moments(b));
    let error = (var_a + var_b).sqrt();
    (error > 0.0).then(|| (mean_a - mean_b) / error)
}

#[cfg(test)]
mod tests {
    use super::super::distribution::normal_critical;
    use super::*;

    const MAIZE: [f64; 15] = [
        6.0, 8.0, 14.0, 16.0, 23.0, 24.0, 28.0, 29.0, 41.0, -48.0, 49.0, 56.0, 60.0, -67.0, 75.0,
    ];
    const SLEEP: [f64; 10] = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4];
    const RATIOS: [f64; 10] = [
        0.012, -0.004, 0.021, 0.008, 0.015, -0.009, 0.017, 0.003, 0.011, 0.006,
    ];

    /// Rounds that are no neighbours, so that the guard against dependence keeps out.
    fn apart(values: &[f64]) -> Paired {
        let numbered: Vec<_> = (0..).step_by(2).zip(values.iter().copied()).collect();
        Paired::of(&numbered, 0.0).unwrap()
    }

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }

    #[test]
    fn row_1_darwins_maize() {
        let t = apart(&MAIZE);
        close(t.mean, 20.933_333_333);
        close(t.sd, 37.744_378_326);
        close(t.mean / t.standard_error, 2.147_987_461);
        assert_eq!(t.freedom, 14.0);
        close(2.0 * t.p_regressed(0.0), 0.049_702_944);
        let (low, high) = t.bounds(0.025);
        close(low, 0.031_193_318);
        close(high, 41.835_473_348);
        let (low, high) = t.bounds(0.05);
        close(low, 3.768_385_737);
        close(high, 38.098_280_93);
        assert_eq!(hodges_lehmann(&MAIZE), Some(25.0));
    }

    #[test]
    fn row_4_and_5_sleep_both_ways() {
        let t = apart(&SLEEP);
        close(t.mean / t.standard_error, 4.062_127_683);
        close(2.0 * t.p_regressed(0.0), 0.002_832_890);
        let (low, high) = t.bounds(0.025);
        close(low, 0.700_114_237);
        close(high, 2.459_885_763);
        let (low, high) = t.bounds(0.05);
        close(low, 0.866_994_733);
        close(high, 2.293_005_267);
        close(t.p_regressed(0.0), 0.001_416_445);
        close(t.p_pass(3.0), 0.002_655_570);
    }

    #[test]
    fn row_6_the_core_of_a_verdict() {
        let numbered: Vec<_> = (1..).zip(RATIOS).collect();
        let t = Paired::of(&numbered, 0.0).unwrap();
        close(t.mean, 0.008);
        close(t.sd, 0.009_345_231);
        close(t.standard_error, 0.002_955_221);
        close(t.autocorrelation, -0.689_567_430);
        close(t.p_regressed(0.0), 0.012_056_393);
        let z = |p: f64, expected: f64| {
            assert!((normal_critical(p) - expected).abs() < 1e-5);
        };
        z(t.p_regressed(0.0), 2.255_327);
        z(t.p_pass(1.03_f64.ln()), 4.075_662);
        close(t.p_pass(1.03_f64.ln()), 2.294_180_214e-5);
        close(t.p_pass(1.02_f64.ln()), 0.001_569_782);
        let (low, high) = t.bounds(0.05);
        close(low, 0.002_582_745_5);
        close(high, 0.013_417_254_5);
    }

    #[test]
    fn dependent_rounds_widen_the_error_and_gaps_are_no_neighbours() {
        let slow: Vec<f64> = (0..24_u32).map(|i| f64::from(i / 4)).collect();
        let numbered: Vec<_> = (1..).zip(slow.iter().copied()).collect();
        let t = Paired::of(&numbered, 0.0).unwrap();
        assert!(t.is_dependent() && t.autocorrelation > 0.5);
        assert!(t.standard_error > apart(&slow).standard_error);
        assert_eq!(apart(&slow).autocorrelation, 0.0);
        assert!(t.freedom >= 2.0);
    }

    #[test]
    fn resolution_and_identical_rounds_leave_an_error() {
        let same: Vec<_> = (1..=8).map(|i| (i, 0.0)).collect();
        let t = Paired::of(&same, 0.0006).unwrap();
        close(t.sd, 0.0006 / 6.0_f64.sqrt());
        assert!(Paired::of(&same, 0.0).unwrap().standard_error > 0.0);
        assert_eq!(Paired::of(&same[..1], 0.0), None);
        assert_eq!(Paired::of(&[(1, f64::NAN), (2, 0.0)], 0.0), None);
    }

    #[test]
    fn bursts_and_orders() {
        assert!(!is_bursty(&RATIOS));
        let mut burst = RATIOS;
        burst[3] = 0.9;
        assert!(is_bursty(&burst));
        assert!(!is_bursty(&[0.0; 8]) && !is_bursty(&[]));
        let t = welch(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]).unwrap();
        close(t, -12.247_448_714);
        assert_eq!(welch(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(welch(&[1.0, 1.0], &[1.0, 1.0]), None);
    }
}
