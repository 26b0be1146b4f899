//! The statistics of two sides that were not measured together (method.md 8): Welch's t on the
//! figures of their rounds, and what two runs of one deployment differ by.
//!
//! With a baseline's run `a`, a candidate's run `b`, and `k` stored runs of the baseline:
//!
//! ```text
//! D  = mean(b) − mean(a),  w = SE_a² + SE_b²      of the logs of the rounds, or of their rates
//! S² = variance of the k runs' means
//! u  = max(0, S² − mean of their SE²)              one-way ANOVA: the variance between runs
//! V  = w + 2u,  SE = √V
//! ν  = V² / (SE_a⁴/ν_a + SE_b⁴/ν_b + (2S²)²/(k−1))
//! ```
//!
//! Each run has an offset of its own that no number of rounds averages out, the candidate's as
//! well as the baseline's: hence `2u`. Welch 1947, The generalization of Student's problem;
//! Satterthwaite 1946, An approximate distribution of estimates of variance components, for `ν`,
//! in which the mean square `S²` stands for `u`; Searle, Casella, `McCulloch` 1992, Variance
//! Components, for the estimate of `u`.

use super::{
    distribution::{size, t_critical, t_tail},
    paired::Paired,
    proportion::{Failures, Proportions},
};
use crate::units::count;

/// Fewer stored runs do not say how much runs differ.
pub const RUNS_MIN: usize = 4;

/// The mean of one run with its variance, from its rounds alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// How many rounds.
    pub rounds: usize,
    /// The mean of the rounds, or the pooled rate.
    pub mean: f64,
    /// The standard deviation of one round.
    pub sd: f64,
    /// The variance of the mean.
    pub variance: f64,
    /// Degrees of freedom of that variance, at least 1.
    pub freedom: f64,
}

impl Level {
    /// The mean of the logs of (round number, level) pairs, widened where neighbouring rounds
    /// resemble each other. `resolution` is the relative width of the widest bucket that was
    /// read. `None` below two rounds, or when a level is not positive.
    pub fn of_logs(levels: &[(u32, f64)], resolution: f64) -> Option<Self> {
        let logs = levels.iter().map(|(round, level)| (*round, level.ln()));
        let logs: Vec<_> = logs.collect();
        let own = Paired::of(&logs, resolution)?;
        Some(Self {
            rounds: own.rounds,
            mean: own.mean,
            sd: own.sd,
            variance: own.standard_error.powi(2),
            freedom: own.freedom,
        })
    }

    /// The pooled error rate, with the variance that its rounds show. `None` below two rounds.
    pub fn of_failures(rounds: &[Failures]) -> Option<Self> {
        if rounds.len() < 2 || rounds.iter().any(|round| round.requests == 0) {
            return None;
        }
        let n = size(rounds.len());
        let pooled = pooled(rounds).rate();
        let mean = rounds.iter().map(|round| round.rate()).sum::<f64>() / n;
        let squares: f64 = rounds
            .iter()
            .map(|round| (round.rate() - mean).powi(2))
            .sum();
        let variance = squares / (n - 1.0);
        Some(Self {
            rounds: rounds.len(),
            mean: pooled,
            sd: variance.sqrt(),
            variance: variance / n,
            freedom: n - 1.0,
        })
    }
}

/// All rounds of a side as one.
pub fn pooled(rounds: &[Failures]) -> Failures {
    let rounds = rounds.iter().copied();
    rounds.fold(Failures::default(), Failures::plus)
}

/// What runs of one deployment differ by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Between {
    /// How many runs.
    pub runs: usize,
    /// `S²`: the variance of their means, noise within the runs included.
    pub mean_square: f64,
    /// `u`: the same without that noise, not below 0.
    pub component: f64,
}

impl Between {
    /// From the levels of stored runs of one deployment; `None` for fewer than [`RUNS_MIN`].
    pub fn of(runs: &[Level]) -> Option<Self> {
        if runs.len() < RUNS_MIN {
            return None;
        }
        let k = size(runs.len());
        let mean = runs.iter().map(|run| run.mean).sum::<f64>() / k;
        let squares: f64 = runs.iter().map(|run| (run.mean - mean).powi(2)).sum();
        let mean_square = squares / (k - 1.0);
        let within = runs.iter().map(|run| run.variance).sum::<f64>() / k;
        Some(Self {
            runs: runs.len(),
            mean_square,
            component: (mean_square - within).max(0.0),
        })
    }
}

/// The difference of two levels that were measured apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// `D`, positive when the candidate's level is higher.
    pub difference: f64,
    /// `√V`.
    pub standard_error: f64,
    /// `ν`, at least 1.
    pub freedom: f64,
    /// The standard deviation of the difference of two single rounds.
    pub sd: f64,
}

impl Apart {
    /// The candidate against the baseline. Without `between` the error is that within the two
    /// runs alone, which is too small for any verdict on latency.
    pub fn of(baseline: &Level, candidate: &Level, between: Option<&Between>) -> Self {
        let within = baseline.variance + candidate.variance;
        let variance = within + 2.0 * between.map_or(0.0, |it| it.component);
        let by_level = |level: &Level| level.variance.powi(2) / level.freedom.max(1.0);
        let by_runs = between.map_or(0.0, |it| {
            (2.0 * it.mean_square).powi(2) / (size(it.runs) - 1.0)
        });
        let spread = by_level(baseline) + by_level(candidate) + by_runs;
        let most = baseline.freedom + candidate.freedom;
        let freedom = if spread > 0.0 {
            variance.powi(2) / spread
        } else {
            most
        };
        Self {
            difference: candidate.mean - baseline.mean,
            standard_error: variance.sqrt(),
            freedom: freedom.clamp(1.0, most.max(1.0)),
            sd: baseline.sd.hypot(candidate.sd),
        }
    }

    /// The p-value of "the difference is at most `effect`"; small means REGRESSED.
    pub fn p_regressed(&self, effect: f64) -> f64 {
        t_tail(
            (self.difference - effect) / self.standard_error,
            self.freedom,
        )
    }

    /// The p-value of "the difference is at least `tolerance`"; small means PASS.
    pub fn p_pass(&self, tolerance: f64) -> f64 {
        t_tail(
            (tolerance - self.difference) / self.standard_error,
            self.freedom,
        )
    }

    /// Both one-sided bounds whose error is `tail` each.
    pub fn bounds(&self, tail: f64) -> (f64, f64) {
        let half = t_critical(tail, self.freedom) * self.standard_error;
        (self.difference - half, self.difference + half)
    }

    /// The smallest true difference that this error would have found nine times in ten.
    pub fn detectable(&self, alpha: f64, effect: f64) -> f64 {
        let reach = t_critical(alpha, self.freedom) + t_critical(0.1, self.freedom);
        effect + reach * self.standard_error
    }
}

/// The failures of two sides that were measured apart: the score test of `proportion` with a
/// design effect from the spread of the rounds and of the runs. `None` below two rounds a side.
pub fn errors_apart(
    baseline: &[Failures],
    candidate: &[Failures],
    between: Option<&Between>,
) -> Option<Proportions> {
    let levels = [
        Level::of_failures(baseline)?,
        Level::of_failures(candidate)?,
    ];
    let apart = Apart::of(&levels[0], &levels[1], between);
    let (baseline, candidate) = (pooled(baseline), pooled(candidate));
    let rate = baseline.plus(candidate).rate();
    let each = 1.0 / count(baseline.requests) + 1.0 / count(candidate.requests);
    let expected = rate * (1.0 - rate) * each;
    let design_effect = if expected > 0.0 {
        (apart.standard_error.powi(2) / expected).max(1.0)
    } else {
        1.0
    };
    Some(Proportions {
        rounds: levels[0].rounds.min(levels[1].rounds),
        baseline,
        candidate,
        sd: apart.sd,
        design_effect,
        freedom: apart.freedom,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    }

    /// Rounds that are no neighbours, so that the guard against dependence keeps out.
    fn apart(values: &[f64]) -> Level {
        let levels = values.iter().map(|value| value.exp());
        let numbered: Vec<_> = (0..).step_by(2).zip(levels).collect();
        Level::of_logs(&numbered, 0.0).unwrap()
    }

    #[test]
    fn student_sleep_as_two_groups_is_welchs_t_of_the_r_manual() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let found = Apart::of(&apart(&first), &apart(&second), None);
        // R: t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p = 0.07939,
        // interval -3.3654832 to 0.2054832.
        close(found.difference / found.standard_error, 1.860_813);
        close(found.freedom, 17.776_47);
        close(2.0 * found.p_regressed(0.0), 0.079_394_14);
        let (low, high) = found.bounds(0.025);
        close(low, -0.205_483_2);
        close(high, 3.365_483_2);
        close(found.p_pass(3.365_483_2), 0.025);
    }

    fn level(mean: f64, variance: f64) -> Level {
        Level {
            rounds: 12,
            mean,
            sd: (12.0 * variance).sqrt(),
            variance,
            freedom: 11.0,
        }
    }

    #[test]
    fn what_runs_differ_by_is_added_for_both_and_counts_their_number() {
        let means = [0.0, 0.02, 0.04, 0.06];
        let runs = means.map(|mean| level(mean, 1e-4));
        assert_eq!(Between::of(&runs[..3]), None);
        let between = Between::of(&runs).unwrap();
        // Variance of 0, 2, 4, 6 is 20/3.
        close(between.mean_square, 20e-4 / 3.0);
        close(between.component, 20e-4 / 3.0 - 1e-4);
        let with = Apart::of(&runs[3], &level(0.1, 1e-4), Some(&between));
        let without = Apart::of(&runs[3], &level(0.1, 1e-4), None);
        close(
            with.standard_error.powi(2),
            2e-4 + 2.0 * (20e-4 / 3.0 - 1e-4),
        );
        close(without.standard_error.powi(2), 2e-4);
        close(without.freedom, 22.0);
        assert!(with.freedom < 3.1, "{with:?}");
        assert!(with.p_regressed(0.0) > 20.0 * without.p_regressed(0.0));
        // Runs that are closer than their own noise add nothing but doubt about it.
        let same = Between::of(&[level(0.0, 1e-4); 5]).unwrap();
        assert_eq!(same.component, 0.0);
        close(Apart::of(&runs[0], &runs[1], Some(&same)).freedom, 22.0);
    }

    #[test]
    fn error_rates_widen_with_bursts_and_with_runs() {
        let side = |failed: &[u64]| -> Vec<Failures> {
            let round = |failed: &u64| Failures {
                failed: *failed,
                requests: 1_000,
            };
            failed.iter().map(round).collect()
        };
        let (even, bursts) = (side(&[10; 8]), side(&[80, 0, 0, 0, 0, 0, 0, 0]));
        let clean = side(&[0; 8]);
        let steady = errors_apart(&clean, &even, None).unwrap();
        assert_eq!(steady.design_effect, 1.0);
        assert!(steady.p_regressed(0.000_2) < 1e-6, "{steady:?}");
        let burst = errors_apart(&clean, &bursts, None).unwrap();
        assert!(burst.p_regressed(0.000_2) > 0.1, "{burst:?}");
        let rates = [0.0, 0.004, 0.012, 0.02].map(|rate| level(rate, 1e-6));
        let between = Between::of(&rates).unwrap();
        let known = errors_apart(&clean, &even, Some(&between)).unwrap();
        assert!(known.p_regressed(0.000_2) > 0.1, "{known:?}");
        let nothing = errors_apart(&clean, &clean, None).unwrap();
        close(nothing.freedom, 14.0);
        assert!(nothing.p_pass(0.001) < 0.05);
        assert_eq!(errors_apart(&clean[..1], &clean, None), None);
        assert_eq!(Level::of_failures(&[Failures::default(); 9]), None);
        assert_eq!(Level::of_logs(&[(1, 0.0), (2, 1.0)], 0.0), None);
    }
}
