//! The error rate of one side against a fixed limit: the score test of one proportion, made
//! robust against bursts by a design effect as in `proportion` (method.md 2.4).
//!
//! Wilson 1927, Probable inference; the limit is given, so that it has no variance of its own.

use super::{
    comparison::Interval,
    distribution::{size, t_critical, t_tail},
    proportion::Failures,
};
use crate::units::count;

/// The failures of one side over the rounds so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    /// How many rounds, each with requests.
    pub(super) rounds: usize,
    /// All failures.
    pub(super) pooled: Failures,
    /// Standard deviation of the rate of a round; not below what as many independent requests
    /// would give, half a failure added.
    pub(super) sd: f64,
    /// How much the rounds vary beyond independent requests: a factor on the variance, ≥ 1.
    design_effect: f64,
}

impl Rate {
    /// Pools rounds, which all have requests; `None` below two rounds.
    pub(super) fn of(rounds: &[Failures]) -> Option<Self> {
        if rounds.len() < 2 || rounds.iter().any(|round| round.requests == 0) {
            return None;
        }
        let n = size(rounds.len());
        let pooled = rounds
            .iter()
            .copied()
            .fold(Failures::default(), Failures::plus);
        let mean = rounds.iter().map(|round| round.rate()).sum::<f64>() / n;
        let squares = rounds.iter().map(|round| (round.rate() - mean).powi(2));
        let variance = squares.sum::<f64>() / (n - 1.0);
        let inverse = rounds.iter().map(|round| 1.0 / count(round.requests));
        let spread = inverse.sum::<f64>() / n;
        let expected = pooled.rate() * (1.0 - pooled.rate()) * spread;
        let design_effect = if expected > 0.0 {
            (variance / expected).max(1.0)
        } else {
            1.0
        };
        // Without a failure the spread is not zero, only too small to be seen.
        let shy = (count(pooled.failed) + 0.5) / (count(pooled.requests) + 1.0);
        Some(Self {
            rounds: rounds.len(),
            pooled,
            sd: variance.max(shy * (1.0 - shy) * spread).sqrt(),
            design_effect,
        })
    }

    /// The p-value of "the rate is at most the limit"; small means REGRESSED.
    pub(super) fn p_above(&self, limit: f64) -> f64 {
        t_tail(self.score(limit), self.freedom())
    }

    /// The p-value of "the rate is at least the limit"; small means PASS.
    pub(super) fn p_below(&self, limit: f64) -> f64 {
        t_tail(-self.score(limit), self.freedom())
    }

    /// The rate with both one-sided bounds whose error is `tail` each.
    pub(super) fn interval(&self, tail: f64) -> Interval {
        let t = t_critical(tail, self.freedom());
        let k = t * t * self.design_effect / count(self.pooled.requests);
        let rate = self.pooled.rate();
        let centre = (rate + k / 2.0) / (1.0 + k);
        let half = (rate * (1.0 - rate) * k + k * k / 4.0).sqrt() / (1.0 + k);
        Interval {
            estimate: rate,
            lower: (centre - half).clamp(0.0, rate),
            upper: (centre + half).clamp(rate, 1.0),
        }
    }

    fn freedom(&self) -> f64 {
        (size(self.rounds) - 1.0).max(1.0)
    }

    fn score(&self, limit: f64) -> f64 {
        let variance = limit * (1.0 - limit) / count(self.pooled.requests) * self.design_effect;
        if variance > 0.0 {
            (self.pooled.rate() - limit) / variance.sqrt()
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many rounds that t is z.
    fn of(failed: u64, requests: u64) -> Rate {
        Rate {
            rounds: 1_000_000_000,
            pooled: Failures { failed, requests },
            sd: 0.0,
            design_effect: 1.0,
        }
    }

    #[test]
    fn newcombes_table_of_single_proportions() {
        // Newcombe 1998, Two-sided confidence intervals for the single proportion, table I.
        for (failed, requests, lower, upper) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = of(failed, requests).interval(0.025);
            assert!((found.lower - lower).abs() < 6e-5, "{found:?}");
            assert!((found.upper - upper).abs() < 6e-5, "{found:?}");
            // The bounds are where the test turns.
            assert!((of(failed, requests).p_below(found.upper) - 0.025).abs() < 1e-6);
        }
    }

    #[test]
    fn bursts_widen_it_and_few_rounds_say_nothing() {
        let round = |failed| Failures {
            failed,
            requests: 1_000,
        };
        let calm = Rate::of(&[round(5); 8]).unwrap();
        let bursts = [0, 0, 0, 40, 0, 0, 0, 0].map(round);
        let bursts = Rate::of(&bursts).unwrap();
        assert_eq!(calm.pooled, bursts.pooled);
        let wide = |rate: &Rate| rate.interval(0.05).upper - rate.interval(0.05).lower;
        assert!(wide(&bursts) > 3.0 * wide(&calm));
        assert!(calm.p_below(0.01) < 0.002 && bursts.p_below(0.01) > 0.05);
        assert!(calm.p_above(0.002) < 0.001 && bursts.p_above(0.002) > 0.05);
        assert_eq!(Rate::of(&[round(5)]), None);
        assert_eq!(Rate::of(&[Failures::default(); 8]), None);
        let none = Rate::of(&[round(0); 8]).unwrap();
        assert!(none.p_below(0.01) < 1e-3 && none.sd > 0.0);
        let all = Rate::of(&[round(1_000); 8]).unwrap();
        assert_eq!(
            (all.interval(0.05).estimate, all.interval(0.05).upper),
            (1.0, 1.0)
        );
    }
}
