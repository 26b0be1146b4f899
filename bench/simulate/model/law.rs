//! The law of response times of one side in one slot, and samples of it as order statistics.
//!
//! Times are held as ln(time / median of the endpoint). Requests of a slot depend on each other
//! by what they share: each second of it has its own shift, and the law is the mixture over the
//! seconds. Given those shifts, requests are independent, so that a sorted sample is a walk of
//! exponential steps: exact in distribution, and cheap because most of it is drawn several
//! values at a time.

use proofload::{
    compare::distribution::normal_tail,
    units::{count, whole},
};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp1, Gamma};

/// The grid on which a law is held: from here, in such steps, so many points.
const LOW: f64 = -3.0;
const STEP: f64 = 0.02;
const POINTS: u32 = 600;
/// The body of a sample is drawn in about so many groups, whose values share a place; a group
/// is then 0.5 % wide at the median, a fourth of the sampling error of 2,000 requests.
const GROUPS: u64 = 256;
/// From this share on, each value is drawn by itself.
const TAIL: f64 = 0.97;

/// A distribution function of ln(time / median) on an even grid.
#[derive(Debug, Clone)]
pub(crate) struct Law(Vec<f64>);

impl Law {
    /// Log-normal with this standard deviation of the logarithm.
    pub(crate) fn log_normal(sd: f64) -> Self {
        Self::tabulated(|x| 1.0 - normal_tail(x / sd))
    }

    /// Log-normal, but `share` of the requests are slower by a Pareto factor of this index.
    pub(crate) fn heavy(sd: f64, share: f64, index: f64) -> Self {
        let body = |x: f64| 1.0 - normal_tail(x / sd);
        // Normal plus exponential: the closed form of its distribution function.
        let slower = |x: f64| {
            let bent = (index * sd).powi(2) / 2.0 - index * x;
            body(x) - bent.exp() * (1.0 - normal_tail(x / sd - index * sd))
        };
        Self::tabulated(|x| (1.0 - share) * body(x) + share * slower(x))
    }

    fn tabulated(cdf: impl Fn(f64) -> f64) -> Self {
        let points = (0..POINTS).map(|j| cdf(LOW + STEP * f64::from(j)));
        Self(points.collect())
    }

    /// The mixture of this law shifted by each of `shifts`, in equal parts.
    pub(crate) fn mixed(&self, shifts: &[f64]) -> Self {
        if shifts.iter().all(|shift| *shift == shifts[0]) {
            return self.mixed_distinct(&shifts[..1]);
        }
        self.mixed_distinct(shifts)
    }

    fn mixed_distinct(&self, shifts: &[f64]) -> Self {
        let mut sum = vec![0.0; self.0.len()];
        let weight = 1.0 / count(shifts.len() as u64);
        for shift in shifts {
            self.add_shifted(*shift, weight, &mut sum);
        }
        Self(sum)
    }

    /// `share` of the requests are slower by `shift`.
    pub(crate) fn with_rare(&self, share: f64, shift: f64) -> Self {
        let mut sum: Vec<f64> = self.0.iter().map(|p| (1.0 - share) * p).collect();
        self.add_shifted(shift, share, &mut sum);
        Self(sum)
    }

    fn add_shifted(&self, shift: f64, weight: f64, sum: &mut [f64]) {
        /// A shift of zero in grid steps, so that steps are never negative.
        const ZERO: u32 = 2 * POINTS;
        let steps = (shift / STEP + f64::from(ZERO)).clamp(0.0, 2.0 * f64::from(ZERO));
        let part = steps.fract();
        let full = usize::try_from(whole(steps)).expect("clamped");
        let at = |j: usize| match (j + ZERO as usize).checked_sub(full) {
            None => 0.0,
            Some(from) => self.0.get(from).copied().unwrap_or(1.0),
        };
        let mut before = if full > ZERO as usize { 0.0 } else { at(0) };
        for (j, sum) in sum.iter_mut().enumerate() {
            let here = at(j);
            *sum += weight * (here + part * (before - here));
            before = here;
        }
    }

    /// Draws `n` values in ascending order: hands out the share of the law below, the value, and
    /// how many of the sample lie there. Only the part of the law below `top` is drawn from.
    pub(crate) fn sample(
        &self,
        rng: &mut ChaCha8Rng,
        n: u64,
        top: f64,
        mut take: impl FnMut(f64, f64, u32),
    ) {
        let size = u32::try_from((n / GROUPS).max(1)).unwrap_or(u32::MAX);
        let several = Gamma::new(f64::from(size), 1.0).expect("a positive shape");
        let singly = whole(count(n) * TAIL);
        let mut steps = Vec::new();
        let (mut drawn, mut sum) = (0, 0.0);
        while drawn < n {
            let group = if drawn + u64::from(size) <= singly {
                size
            } else {
                1
            };
            let step: f64 = if group == size {
                several.sample(rng)
            } else {
                Exp1.sample(rng)
            };
            // The mean place of the values between the last one and this one.
            let behind = f64::from(group - 1) / (2.0 * f64::from(group));
            sum += step;
            steps.push((sum - step * behind, group));
            drawn += u64::from(group);
        }
        let last: f64 = Exp1.sample(rng);
        let scale = top / (sum + last);
        let mut j = 1;
        for (place, group) in steps {
            let share = place * scale;
            while j + 1 < self.0.len() && self.0[j] < share {
                j += 1;
            }
            let (below, above) = (self.0[j - 1], self.0[j]);
            let part = ((share - below) / (above - below)).clamp(0.0, 1.0);
            let left = LOW + STEP * count(j as u64 - 1);
            take(share, left + STEP * part, group);
        }
    }
}
