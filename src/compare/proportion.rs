//! Error rates: the score test of Miettinen and Nurminen 1985 for a difference of proportions,
//! made robust against bursts by a design effect (method.md 2.4).
//!
//! The constrained estimate has the closed form of Farrington and Manning 1990. Requests of a
//! round depend on each other, so that the spread of the rounds, and not the number of
//! requests alone, says how sure a difference is (Rao and Scott 1992).

use super::{
    comparison::Interval,
    distribution::{falling_zero, size, t_critical, t_tail},
};
use crate::{run::Side, units::count};

/// Failures among requests of one side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many failed.
    pub failed: u64,
    /// Of how many.
    pub requests: u64,
}

impl Failures {
    /// The share that failed, 0 to 1; 0 without requests.
    pub fn rate(self) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        count(self.failed) / count(self.requests)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            failed: self.failed + other.failed,
            requests: self.requests + other.requests,
        }
    }
}

/// The failures of both sides over the rounds so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportions {
    /// How many rounds, each with requests on both sides.
    pub rounds: usize,
    /// All failures of the baseline.
    pub baseline: Failures,
    /// All failures of the candidate.
    pub candidate: Failures,
    /// Standard deviation of the per-round difference; not below what as many independent
    /// requests would give at the pooled rate, half a failure added.
    pub sd: f64,
    /// How much the rounds vary beyond independent requests: a factor on the variance, ≥ 1.
    pub design_effect: f64,
    /// Degrees of freedom of that spread, at least 1.
    pub freedom: f64,
}

impl Proportions {
    /// Pools rounds, given as the failures of (baseline, candidate); rounds without requests
    /// on a side must have been left out. `None` below two rounds.
    pub fn of(rounds: &[[Failures; 2]]) -> Option<Self> {
        let both = |round: &[Failures; 2]| round.iter().all(|side| side.requests > 0);
        if rounds.len() < 2 || !rounds.iter().all(both) {
            return None;
        }
        let sum = |side: Side| {
            let own = rounds.iter().map(|round| round[side.index()]);
            own.fold(Failures::default(), Failures::plus)
        };
        let (baseline, candidate) = (sum(Side::Baseline), sum(Side::Candidate));
        let n = size(rounds.len());
        let difference = |round: &[Failures; 2]| round[1].rate() - round[0].rate();
        let mean = rounds.iter().map(difference).sum::<f64>() / n;
        let squares: f64 = rounds
            .iter()
            .map(|round| (difference(round) - mean).powi(2))
            .sum();
        let variance = squares / (n - 1.0);
        let inverse = |round: &[Failures; 2]| -> f64 {
            round.iter().map(|side| 1.0 / count(side.requests)).sum()
        };
        let spread = rounds.iter().map(inverse).sum::<f64>() / n;
        let pooled = baseline.plus(candidate);
        let rate = pooled.rate();
        let expected = rate * (1.0 - rate) * spread;
        let design_effect = if expected > 0.0 {
            (variance / expected).max(1.0)
        } else {
            1.0
        };
        // Without a failure the spread is not zero, only too small to be seen.
        let shy = (count(pooled.failed) + 0.5) / (count(pooled.requests) + 1.0);
        let floor = shy * (1.0 - shy) * spread;
        Some(Self {
            rounds: rounds.len(),
            baseline,
            candidate,
            sd: variance.max(floor).sqrt(),
            design_effect,
            freedom: n - 1.0,
        })
    }

    /// The difference of the pooled rates, positive when the candidate fails more.
    pub fn difference(&self) -> f64 {
        self.candidate.rate() - self.baseline.rate()
    }

    /// The p-value of "the difference is at most `effect`"; small means REGRESSED.
    pub fn p_regressed(&self, effect: f64) -> f64 {
        t_tail(self.score(effect), self.freedom)
    }

    /// The p-value of "the difference is at least `tolerance`"; small means PASS.
    pub fn p_pass(&self, tolerance: f64) -> f64 {
        t_tail(-self.score(tolerance), self.freedom)
    }

    /// The difference with both one-sided bounds whose error is `tail` each.
    pub fn interval(&self, tail: f64) -> Interval {
        let t = t_critical(tail, self.freedom);
        let estimate = self.difference();
        Interval {
            estimate,
            lower: estimate - self.reach(t, estimate, -1.0),
            upper: estimate + self.reach(t, estimate, 1.0),
        }
    }

    /// How far from the estimate, downwards or upwards by `sign`, the score has moved by `t`; as
    /// far as there are differences where it never does.
    fn reach(&self, t: f64, estimate: f64, sign: f64) -> f64 {
        let left = |far: f64| t + sign * self.score(estimate + sign * far);
        let limit = 1.0 - sign * estimate;
        let (mut near, mut far) = (0.0, (self.sd / size(self.rounds).sqrt()).max(1e-6));
        while far < limit && left(far) > 0.0 {
            (near, far) = (far, 2.0 * far);
        }
        if far < limit {
            falling_zero(left, near, far)
        } else {
            // At the limit itself nothing can vary, and the score is no number to go by.
            falling_zero(left, near, limit.next_down().max(0.0))
        }
    }

    fn score(&self, difference: f64) -> f64 {
        score(self.candidate, self.baseline, difference) / self.design_effect.sqrt()
    }
}

/// The score z of "candidate − baseline = difference" with the factor M/(M − 1) of Miettinen
/// and Nurminen; 0 where nothing can vary.
pub fn score(candidate: Failures, baseline: Failures, difference: f64) -> f64 {
    let (m1, m0) = (count(candidate.requests), count(baseline.requests));
    if m1 == 0.0 || m0 == 0.0 {
        return 0.0;
    }
    let (p1, p0) = (candidate.rate(), baseline.rate());
    let r1 = constrained(p1, p0, m0 / m1, difference);
    let r0 = (r1 - difference).clamp(0.0, 1.0);
    let r1 = r1.clamp(0.0, 1.0);
    let total = m1 + m0;
    let variance = (r1 * (1.0 - r1) / m1 + r0 * (1.0 - r0) / m0) * total / (total - 1.0);
    if variance > 0.0 {
        (p1 - p0 - difference) / variance.sqrt()
    } else {
        0.0
    }
}

/// The most likely candidate rate when the difference is given: the root of the cubic
/// `Σ k_i x^i` by the cosine form (Farrington and Manning 1990, appendix). `ratio` is the size
/// of the baseline in units of the candidate's.
fn constrained(p1: f64, p0: f64, ratio: f64, delta: f64) -> f64 {
    let k3 = 1.0 + ratio;
    let k2 = -(1.0 + ratio + p1 + ratio * p0 + delta * (ratio + 2.0));
    let k1 = delta * delta + delta * (2.0 * p1 + ratio + 1.0) + p1 + ratio * p0;
    let k0 = -p1 * delta * (1.0 + delta);
    let shift = k2 / (3.0 * k3);
    let twist = shift.powi(3) - k2 * k1 / (6.0 * k3 * k3) + k0 / (2.0 * k3);
    let radius = (shift * shift - k1 / (3.0 * k3)).max(0.0).sqrt().max(1e-12);
    let radius = radius.copysign(twist);
    let turn = (twist / radius.powi(3)).clamp(-1.0, 1.0);
    let angle = (std::f64::consts::PI + turn.acos()) / 3.0;
    2.0 * radius * angle.cos() - shift
}

/// How many requests a side without any failure must answer to show a tolerance when the
/// critical t is `t`: the upper bound of the score is `t²/(M + t²)`.
pub fn clean_requests(t: f64, tolerance: f64) -> f64 {
    if tolerance <= 0.0 {
        return f64::INFINITY;
    }
    t * t * (1.0 / tolerance - 1.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(failed: u64, requests: u64) -> Failures {
        Failures { failed, requests }
    }

    /// The pooled figures with so many rounds that t is z.
    fn pooled(candidate: Failures, baseline: Failures) -> Proportions {
        Proportions {
            rounds: 1_000_000_000,
            baseline,
            candidate,
            sd: 0.0,
            design_effect: 1.0,
            freedom: 999_999_999.0,
        }
    }

    #[test]
    fn row_22_newcombes_examples() {
        for (candidate, baseline, lower, upper) in [
            (of(56, 70), of(48, 80), 0.0528, 0.3382),
            (of(9, 10), of(3, 10), 0.1700, 0.8406),
            (of(5, 56), of(0, 29), -0.0326, 0.1933),
            (of(0, 10), of(0, 20), -0.1658, 0.2844),
        ] {
            let found = pooled(candidate, baseline).interval(0.025);
            assert!((found.lower - lower).abs() < 6e-5, "{found:?}");
            assert!((found.upper - upper).abs() < 6e-5, "{found:?}");
        }
    }

    #[test]
    fn row_25_one_sided_with_bursts() {
        let mut figures = pooled(of(37, 24_000), of(21, 24_000));
        assert!((figures.score(0.0) - 2.102_151_5).abs() < 1e-6);
        assert!((figures.p_regressed(0.0) - 0.017_770_0).abs() < 1e-6);
        let bounds = figures.interval(0.05);
        assert!((bounds.lower - 0.000_148_513).abs() < 1e-8, "{bounds:?}");
        assert!((bounds.upper - 0.001_214_44).abs() < 1e-8, "{bounds:?}");
        assert!((figures.score(0.001) + 1.023_888_1).abs() < 1e-6);
        figures.design_effect = 3.0;
        assert!((figures.score(0.0) - 1.213_677_7).abs() < 1e-6);
    }

    #[test]
    fn row_26_no_error_at_all_still_leaves_a_bound() {
        let bounds = pooled(of(0, 24_000), of(0, 24_000)).interval(0.05);
        assert!((bounds.upper - 0.000_112_720_62).abs() < 1e-9, "{bounds:?}");
        let needed = clean_requests(1.644_853_627, bounds.upper);
        assert!((needed / 24_000.0 - 1.0).abs() < 1e-4, "{needed}");
        assert_eq!(clean_requests(2.0, 0.0), f64::INFINITY);
        assert_eq!(clean_requests(2.0, 5.0), 0.0);
    }

    #[test]
    fn bursts_raise_the_design_effect_and_calm_does_not_lower_it() {
        let calm = [[of(2, 1000), of(2, 1000)]; 8];
        assert_eq!(Proportions::of(&calm).unwrap().design_effect, 1.0);
        let mut bursts = [[of(0, 1000), of(0, 1000)]; 8];
        bursts[3][1] = of(16, 1000);
        let found = Proportions::of(&bursts).unwrap();
        assert!(found.design_effect > 3.0, "{found:?}");
        assert!(found.p_regressed(0.0) > 0.05);
        assert_eq!(Proportions::of(&bursts[..1]), None);
        assert_eq!(Proportions::of(&[[of(0, 0), of(0, 1)]; 8]), None);
    }

    #[test]
    fn swapping_the_sides_inverts_the_score() {
        for (a, b) in [(of(5, 100), of(9, 200)), (of(0, 10), of(10, 10))] {
            for difference in [-0.5, -0.01, 0.0, 0.01, 0.5] {
                let (there, back) = (score(a, b, difference), score(b, a, -difference));
                assert!((there + back).abs() < 1e-6, "{a:?} {difference}");
            }
        }
    }

    #[test]
    fn extremes_stay_numbers() {
        for (a, b) in [
            (of(10, 10), of(10, 10)),
            (of(1, 1), of(0, 1)),
            (of(0, 1), of(0, 1)),
        ] {
            let found = Proportions::of(&[[a, b]; 8]).unwrap();
            let bounds = found.interval(0.01);
            assert!(bounds.lower.is_finite() && bounds.upper.is_finite());
            assert!((0.0..=1.0).contains(&found.p_regressed(0.0)));
            assert!((0.0..=1.0).contains(&found.p_pass(0.001)));
        }
    }
}
