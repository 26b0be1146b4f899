//! The smallest change that so many rounds find nine times in ten, and the rounds that a
//! change needs (method.md 2.8).
//!
//! The multipliers were computed with the exact noncentral t and the inflation of the spending
//! rule; between the tabulated points they are interpolated, because the closed form is 15 %
//! off where it matters most: few rounds and a small alpha.

use super::distribution::{normal_critical, size};

const ROUNDS: [f64; 8] = [8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0, 60.0];
const ALPHAS: [f64; 4] = [0.05, 0.05 / 5.0, 0.05 / 20.0, 0.05 / 80.0];
/// By rounds, by alpha: (smallest true change − minimum effect) / sigma at power 0.9.
const MULTIPLIERS: [[f64; 4]; 8] = [
    [1.199, 1.665, 2.120, 2.652],
    [0.938, 1.241, 1.505, 1.784],
    [0.797, 1.033, 1.228, 1.424],
    [0.706, 0.904, 1.063, 1.218],
    [0.640, 0.814, 0.950, 1.081],
    [0.550, 0.694, 0.803, 0.905],
    [0.489, 0.614, 0.708, 0.795],
    [0.397, 0.496, 0.568, 0.633],
];
/// The inflation of the spending rule against one look (method.md 2.8).
const INFLATION: f64 = 1.08;

/// `M(n, α)`: how many standard deviations beyond the minimum effect a true change must lie to
/// be found with probability 0.9. Linear in ln α and in ln M over ln n; beyond the table the
/// outermost line goes on.
pub fn multiplier(rounds: usize, alpha: f64) -> f64 {
    let n = size(rounds.max(2)).ln();
    let above = ROUNDS.iter().position(|r| r.ln() >= n).unwrap_or(7).max(1);
    let at = |row: usize| by_alpha(&MULTIPLIERS[row], alpha).ln();
    let (low, high) = (ROUNDS[above - 1].ln(), ROUNDS[above].ln());
    let share = (n - low) / (high - low);
    (at(above - 1) + share * (at(above) - at(above - 1))).exp()
}

fn by_alpha(row: &[f64; 4], alpha: f64) -> f64 {
    let x = alpha.clamp(1e-9, 0.5).ln();
    let above = ALPHAS.iter().position(|a| a.ln() <= x).unwrap_or(3).max(1);
    let (low, high) = (ALPHAS[above - 1].ln(), ALPHAS[above].ln());
    let share = (x - low) / (high - low);
    (row[above - 1] + share * (row[above] - row[above - 1])).max(0.1)
}

/// The smallest true change that so many rounds find nine times in ten, on the scale of the
/// statistic: `δ_f + M(n, α)·σ`.
pub fn detectable(rounds: usize, alpha: f64, effect: f64, sigma: f64) -> f64 {
    effect + multiplier(rounds, alpha) * sigma
}

/// The rounds of one fixed look that show a distance of `effect` standard deviations with
/// probability `power`: Guenther 1981, Sample size formulas for normal theory t tests.
pub fn guenther(alpha: f64, power: f64, effect: f64) -> f64 {
    let z = normal_critical(alpha);
    let sum = z + normal_critical(1.0 - power);
    sum * sum / (effect * effect) + z * z / 2.0
}

/// The rounds that a sequential plan needs for a distance of `effect` standard deviations with
/// probability 0.9; `None` when no plan that anyone would wait for is enough.
pub fn rounds_needed(alpha: f64, effect: f64) -> Option<u32> {
    let needed = INFLATION * guenther(alpha, 0.9, effect);
    let acceptable = effect > 0.0 && needed < 10_000.0;
    acceptable.then(|| {
        (8..10_000)
            .find(|n| f64::from(*n) >= needed)
            .unwrap_or(10_000)
    })
}

/// The rounds of a sequential plan after which a metric is likely decided, whichever way
/// (method.md 2.8): nine times in ten REGRESSED at a true change of the tolerance, and PASS without
/// a change but for a share of `missed`. `alphas` are those of REGRESSED and of PASS, `margins` the
/// minimum effect and the tolerance in standard deviations. Many, when the margins leave no room.
pub fn rounds_to_decide(alphas: (f64, f64), missed: f64, margins: (f64, f64)) -> u32 {
    let regressed = guenther(alphas.0, 0.9, margins.1 - margins.0);
    let pass = guenther(alphas.1, 1.0 - missed, margins.1);
    let needed = INFLATION * regressed.max(pass);
    if margins.1 > margins.0 && needed < 10_000.0 {
        (1..10_000)
            .find(|n| f64::from(*n) >= needed)
            .unwrap_or(10_000)
    } else {
        10_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_met_and_the_rest_lies_between() {
        assert!((multiplier(8, 0.05) - 1.199).abs() < 1e-9);
        assert!((multiplier(24, 0.05 / 80.0) - 1.081).abs() < 1e-9);
        assert!((multiplier(60, 0.01) - 0.496).abs() < 1e-9);
        for n in 2..120 {
            for alpha in [0.2, 0.05, 0.02, 1e-3, 1e-5] {
                assert!(
                    multiplier(n, alpha) > multiplier(n + 1, alpha),
                    "{n} {alpha}"
                );
                assert!(multiplier(n, alpha) < multiplier(n, alpha / 2.0));
            }
        }
        assert!(multiplier(0, 0.0).is_finite());
    }

    #[test]
    fn row_28_guenthers_approximation() {
        assert!((guenther(0.05, 0.9, 0.5) - 35.608_2).abs() < 5e-5);
        // The exact number of rounds is 35.6527; the approximation is meant to be this close.
        assert!((guenther(0.05, 0.9, 0.5) / 35.652_7 - 1.0).abs() < 2e-3);
        assert!((guenther(0.05, 0.9, 1.0) / 10.081_1 - 1.0).abs() < 2e-2);
        assert_eq!(rounds_needed(0.05, 0.5), Some(39));
        assert_eq!(rounds_needed(0.05, 0.0), None);
        assert_eq!(rounds_needed(0.05, f64::NAN), None);
    }

    #[test]
    fn the_example_of_the_method() {
        let found = detectable(24, 0.05 / 80.0, 0.0, 0.03);
        assert!((found - 0.032).abs() < 5e-4, "{found}");
    }
}
