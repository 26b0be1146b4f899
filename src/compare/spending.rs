//! What each look at the evidence costs: group-sequential boundaries under alpha spending.
//!
//! Hwang, Shih and `DeCani` 1990 with γ = −2 says how much of alpha may be spent by each look;
//! the recursive integration of Armitage, `McPherson` and Rowe 1969 turns that into critical
//! values (method.md 2.5). The integrals use Gauss-Legendre nodes: the integrand is smooth up
//! to the boundary, where an equidistant rule would need eight times the points. Not here: what
//! is tested, and with which statistic.

use super::distribution::{normal_critical, normal_density, normal_tail, size};

/// Alphas of the table: so many, evenly spaced in the logarithm.
const ALPHAS: u32 = 36;
const SMALLEST_ALPHA: f64 = 1e-7;
const LARGEST_ALPHA: f64 = 0.5;
/// Critical values are capped here: nobody measures what lies beyond.
const LARGEST_Z: f64 = 8.0;
/// Below this many standard deviations no path comes back to the boundary.
const LOWEST_SD: f64 = 6.0;

/// A look at the evidence, and what it may cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// After how many valid rounds.
    pub rounds: u32,
    /// The share of alpha that may be spent by then, in (0, 1]; never falls from look to look.
    pub spent: f64,
}

/// The critical values of planned looks for any alpha, tabulated once for a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundaries {
    looks: Vec<Look>,
    /// Natural logarithms of the tabulated alphas, ascending.
    ln_alphas: Vec<f64>,
    /// By look, by alpha; descending in alpha.
    critical: Vec<Vec<f64>>,
}

impl Boundaries {
    /// Tabulates looks after so many rounds each, of which the last may spend the last of alpha;
    /// zeros and repetitions are ignored.
    pub fn new(rounds: &[u32]) -> Self {
        let mut rounds: Vec<u32> = rounds.iter().copied().filter(|n| *n > 0).collect();
        rounds.sort_unstable();
        rounds.dedup();
        let end = f64::from(rounds.last().copied().unwrap_or(1));
        let look = |rounds: u32| Look {
            rounds,
            spent: share_spent(f64::from(rounds) / end),
        };
        Self::of(rounds.into_iter().map(look).collect())
    }

    /// Tabulates looks in ascending order of their rounds.
    pub fn of(looks: Vec<Look>) -> Self {
        let end = f64::from(looks.last().map_or(1, |look| look.rounds));
        let times: Vec<(f64, f64)> = looks
            .iter()
            .map(|look| (f64::from(look.rounds) / end, look.spent))
            .collect();
        let integral = Integral::new(&times);
        let (from, to) = (SMALLEST_ALPHA.ln(), LARGEST_ALPHA.ln());
        let step = (to - from) / f64::from(ALPHAS - 1);
        let ln_alphas: Vec<f64> = (0..ALPHAS).map(|i| from + f64::from(i) * step).collect();
        let by_alpha: Vec<Vec<f64>> = ln_alphas
            .iter()
            .map(|ln_alpha| integral.critical_values(&times, ln_alpha.exp()))
            .collect();
        let critical = (0..times.len())
            .map(|look| by_alpha.iter().map(|values| values[look]).collect())
            .collect();
        Self {
            looks,
            ln_alphas,
            critical,
        }
    }

    /// The looks, ascending.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// The critical z at a look (from 0) when alpha is spent over all looks; infinite for a
    /// look that is not planned.
    pub fn critical(&self, look: usize, alpha: f64) -> f64 {
        let Some(values) = self.critical.get(look) else {
            return f64::INFINITY;
        };
        let x = alpha.ln();
        let last = self.ln_alphas.len() - 1;
        let above = self.ln_alphas.partition_point(|a| *a < x).clamp(1, last);
        let (a, b) = (self.ln_alphas[above - 1], self.ln_alphas[above]);
        let share = ((x - a) / (b - a)).clamp(0.0, 1.0);
        values[above - 1] + share * (values[above] - values[above - 1])
    }

    /// The smallest alpha at which `z` reaches the boundary of a look: ln(alpha) linearly in
    /// z between the tabulated values (method.md 2.5); at least 1e-7, and 1 above 0.5.
    pub fn p_value(&self, look: usize, z: f64) -> f64 {
        let Some(values) = self.critical.get(look) else {
            return 1.0;
        };
        let reached = values.partition_point(|c| *c > z);
        if z.is_nan() || reached == values.len() {
            return 1.0;
        }
        if reached == 0 {
            return SMALLEST_ALPHA;
        }
        let (above, below) = (values[reached - 1], values[reached]);
        let share = (above - z) / (above - below);
        let (a, b) = (self.ln_alphas[reached - 1], self.ln_alphas[reached]);
        (a + share * (b - a)).exp()
    }

    /// The sequential p-value after each look reached: the running minimum (method.md 2.5).
    pub fn sequential(&self, z: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut least = 1.0_f64;
        let after = |(look, z)| {
            least = least.min(self.p_value(look, z));
            least
        };
        z.into_iter().enumerate().map(after).collect()
    }
}

/// The share of alpha that may be spent until the share `t` of a plan: `(1 − e^{2t})/(1 − e²)`,
/// that is Hwang-Shih-DeCani with γ = −2.
pub fn share_spent(t: f64) -> f64 {
    (2.0 * t).exp_m1() / 2.0_f64.exp_m1()
}

/// A quadrature rule that is fine enough for the closest two looks.
struct Integral {
    /// Nodes on [−1, 1] with their weights.
    rule: Vec<(f64, f64)>,
}

/// The paths that have not yet crossed: where they are, and the mass at each node.
type Paths = Vec<(f64, f64)>;

impl Integral {
    fn new(times: &[(f64, f64)]) -> Self {
        let closest = times
            .windows(2)
            .map(|pair| (pair[1].0 - pair[0].0).sqrt())
            .fold(1.0, f64::min);
        // Nodes lie at most one standard deviation of the step apart, also mid-interval,
        // where they are π/2 times sparser than on average.
        let needed = (24.0 / closest).clamp(40.0, 400.0);
        let mut nodes = 40;
        while size(nodes) < needed {
            nodes += 4;
        }
        Self {
            rule: legendre(nodes),
        }
    }

    /// The z to reach at each look, given as (time, share spent by then), so that by then exactly
    /// that share of alpha is spent when nothing is wrong; `corr(Z_j, Z_k) = sqrt(t_j/t_k)`.
    fn critical_values(&self, times: &[(f64, f64)], alpha: f64) -> Vec<f64> {
        let mut values = Vec::with_capacity(times.len());
        let mut paths = Paths::new();
        let (mut before, mut spent_before) = (0.0, 0.0);
        for &(time, spent) in times {
            let share = alpha * spent - spent_before;
            let step = (time - before).sqrt();
            let z = if paths.is_empty() {
                normal_critical(share).min(LARGEST_Z)
            } else {
                boundary(&paths, step, share, time.sqrt())
            };
            let density = |s: f64| {
                if paths.is_empty() {
                    normal_density(s / step) / step
                } else {
                    arriving(&paths, step, s)
                }
            };
            let (low, high) = (-LOWEST_SD * time.sqrt(), z * time.sqrt());
            let half = (high - low) / 2.0;
            let place = |&(x, weight): &(f64, f64)| {
                let s = low + half * (1.0 + x);
                (s, half * weight * density(s))
            };
            paths = self.rule.iter().map(place).collect();
            values.push(z);
            (before, spent_before) = (time, alpha * spent);
        }
        values
    }
}

/// The density at `s` after one more step.
fn arriving(paths: &Paths, step: f64, s: f64) -> f64 {
    let kernel = |(from, mass): &(f64, f64)| {
        let z = (s - from) / step;
        // Beyond seven standard deviations nothing of the printed digits changes.
        if z.abs() < 7.0 {
            mass * normal_density(z)
        } else {
            0.0
        }
    };
    paths.iter().map(kernel).sum::<f64>() / step
}

/// The z at which the probability to cross now is `share`: Newton, kept inside a bracket.
fn boundary(paths: &Paths, step: f64, share: f64, scale: f64) -> f64 {
    let crossing = |b: f64| -> f64 {
        paths
            .iter()
            .map(|(from, mass)| mass * normal_tail((b - from) / step))
            .sum()
    };
    let (mut low, mut high) = (-LOWEST_SD * scale, LARGEST_Z * scale);
    if share < 1e-16 || crossing(high) >= share {
        return LARGEST_Z;
    }
    let mut b = 2.0 * scale;
    for _ in 0..60 {
        let excess = crossing(b) - share;
        if excess > 0.0 {
            low = b;
        } else {
            high = b;
        }
        let newton = b + excess / arriving(paths, step, b);
        let next = if newton > low && newton < high {
            newton
        } else {
            f64::midpoint(low, high)
        };
        if (next - b).abs() < 1e-10 {
            return next / scale;
        }
        b = next;
    }
    b / scale
}

/// Nodes and weights of Gauss-Legendre quadrature on [−1, 1]: the zeros of the Legendre
/// polynomial by Newton from the usual cosine guess.
fn legendre(n: usize) -> Vec<(f64, f64)> {
    let degree = size(n);
    let node = |i: usize| {
        let mut x = (std::f64::consts::PI * (size(i) + 0.75) / (degree + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..20 {
            let (mut p, mut previous) = (1.0, 0.0);
            for k in 0..n {
                let k = size(k);
                (p, previous) = (((2.0 * k + 1.0) * x * p - k * previous) / (k + 1.0), p);
            }
            slope = degree * (x * p - previous) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..n).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(looks: &[u32], alpha: f64) -> Vec<f64> {
        let end = f64::from(*looks.last().unwrap());
        let time = |n: &u32| (f64::from(*n) / end, share_spent(f64::from(*n) / end));
        let times: Vec<(f64, f64)> = looks.iter().map(time).collect();
        Integral::new(&times).critical_values(&times, alpha)
    }

    fn assert_close(found: &[f64], expected: &[f64], digits: f64) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= digits, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn row_17_five_equal_looks() {
        let looks = [1, 2, 3, 4, 5];
        let expected = [2.66504, 2.46029, 2.24299, 2.01949, 1.78692];
        assert_close(&exact(&looks, 0.05), &expected, 6e-6);
        let cumulative: Vec<f64> = looks
            .iter()
            .map(|k| 0.05 * share_spent(f64::from(*k) / 5.0))
            .collect();
        let expected = [0.00385, 0.00959, 0.01816, 0.03094, 0.05];
        assert_close(&cumulative, &expected, 6e-6);
    }

    #[test]
    fn row_18_looks_from_8_to_24_and_40() {
        let looks: Vec<u32> = (8..=24).step_by(2).collect();
        let at_5 = [
            2.43641, 2.49934, 2.42701, 2.33783, 2.24355, 2.14687, 2.04847, 1.94840, 1.84644,
        ];
        let at_20th = [
            3.37369, 3.47469, 3.42934, 3.36822, 3.30315, 3.23682, 3.17002, 3.10295, 3.03566,
        ];
        assert_close(&exact(&looks, 0.05), &at_5, 6e-6);
        assert_close(&exact(&looks, 0.0025), &at_20th, 6e-6);
        let looks: Vec<u32> = (8..=40).step_by(4).collect();
        let at_5 = [
            2.66504, 2.65751, 2.54811, 2.43214, 2.31527, 2.19791, 2.07962, 1.95977, 1.83767,
        ];
        assert_close(&exact(&looks, 0.05), &at_5, 6e-6);
    }

    #[test]
    fn row_19_sequential_p_values() {
        let boundaries = Boundaries::new(&[1, 2, 3, 4, 5]);
        let p = boundaries.sequential([1.2, 2.0, 2.5]);
        assert!(p[0] >= 0.5, "{p:?}");
        assert_close(&p[1..], &[0.15494, 0.02594], 5e-4);
        assert_eq!(boundaries.sequential([9.0, -9.0]), [1e-7, 1e-7]);
    }

    #[test]
    fn the_table_is_nested_and_agrees_with_the_integral() {
        let looks: Vec<u32> = (8..=40).step_by(2).collect();
        let boundaries = Boundaries::new(&looks);
        for (look, values) in boundaries.critical.iter().enumerate() {
            assert!(values.windows(2).all(|pair| pair[0] > pair[1]), "{look}");
        }
        let expected = exact(&looks, 0.05);
        for (look, z) in expected.into_iter().enumerate() {
            assert!((boundaries.critical(look, 0.05) - z).abs() < 3e-3);
            assert!((boundaries.p_value(look, z) / 0.05 - 1.0).abs() < 1e-2);
        }
    }

    #[test]
    fn odd_plans_and_numbers_are_taken() {
        let none = Boundaries::new(&[]);
        assert_eq!(none.p_value(0, 3.0), 1.0);
        assert_eq!(none.critical(0, 0.05), f64::INFINITY);
        let odd = Boundaries::new(&[0, 3, 3, 1]);
        let rounds: Vec<u32> = odd.looks().iter().map(|look| look.rounds).collect();
        assert_eq!(rounds, [1, 3]);
        for z in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!((1e-7..=1.0).contains(&odd.p_value(1, z)));
        }
        assert!(odd.critical(0, 0.0).is_finite());
    }
}
