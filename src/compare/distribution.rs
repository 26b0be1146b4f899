//! The normal distribution and Student's t, as the tests need them: upper tails, and the
//! quantiles that belong to them.
//!
//! The only file of this module that names statrs. Tails are computed as tails, never as
//! 1 − cdf, because p-values of 1e-9 occur. Nothing here panics on any number.

use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal, StudentsT};

/// p-values are clipped here before they become z (method.md section 5, traps).
const SMALLEST_P: f64 = 1e-12;

/// The median: the middle value or the mean of the two middle ones; `None` when empty.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, above, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if is_odd {
        return Some(*above);
    }
    let below = below.iter().copied().max_by(f64::total_cmp)?;
    Some(f64::midpoint(below, *above))
}

/// The number of items as a float.
pub(super) fn size(n: usize) -> f64 {
    crate::units::count(n as u64)
}

/// `P(Z ≥ z)` of the standard normal.
pub fn normal_tail(z: f64) -> f64 {
    Normal::standard().sf(z)
}

/// The density of the standard normal.
pub(super) fn normal_density(z: f64) -> f64 {
    const SCALE: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2 / 2.0;
    SCALE * (-0.5 * z * z).exp()
}

/// The z whose upper tail is `p`; `p` is clipped to `[1e-12, 1 − 1e-12]`, and not-a-number is
/// taken as no evidence at all.
pub fn normal_critical(p: f64) -> f64 {
    let p = if p.is_nan() { 1.0 } else { p };
    -Normal::standard().inverse_cdf(p.clamp(SMALLEST_P, 1.0 - SMALLEST_P))
}

/// `P(T ≥ t)` of Student's t with so many degrees of freedom (at least 1); 1 for
/// not-a-number.
pub fn t_tail(t: f64, freedom: f64) -> f64 {
    if t.is_nan() {
        return 1.0;
    }
    student(freedom).sf(t)
}

/// The t whose upper tail is `p`, clipped to `[1e-12, 0.5]`: Newton on the logarithm of the
/// tail, kept inside a bracket, from the expansion of Cornish and Fisher.
pub fn t_critical(p: f64, freedom: f64) -> f64 {
    let student = student(freedom);
    // An alpha that is no number leaves no width, and no bound that is none either.
    let p = if p.is_nan() { 0.5 } else { p };
    let p = p.clamp(SMALLEST_P, 0.5);
    let z = normal_critical(p);
    let mut t = z + (z.powi(3) + z) / (4.0 * freedom.max(1.0));
    let (mut low, mut high) = (0.0, f64::INFINITY);
    for _ in 0..200 {
        let tail = student.sf(t);
        if tail > p {
            low = t;
        } else {
            high = t;
        }
        let newton = t + (tail / p).ln() * tail / student.pdf(t);
        let next = match (newton > low && newton < high, high.is_finite()) {
            (true, _) => newton,
            (false, true) => f64::midpoint(low, high),
            (false, false) => 2.0 * low + 1.0,
        };
        // The error of the next step is about the square of this one.
        if (next - t).abs() <= 1e-8 * next.max(1e-4) {
            return next;
        }
        t = next;
    }
    t
}

/// Where a falling function is zero between `low` and `high`: regula falsi after the Illinois
/// rule, which halves the weight of an end that stays. An end where the sign is wrong is taken
/// for the zero.
pub(super) fn falling_zero(of: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let (mut above, mut below) = (of(low), of(high));
    if above <= 0.0 {
        return low;
    }
    if below >= 0.0 {
        return high;
    }
    let mut stayed = std::cmp::Ordering::Equal;
    for _ in 0..200 {
        let middle = (low * below - high * above) / (below - above);
        let value = of(middle);
        if value.abs() <= 1e-10 || (high - low).abs() <= 1e-14 {
            return middle;
        }
        if value > 0.0 {
            (low, above) = (middle, value);
            below *= if stayed.is_lt() { 0.5 } else { 1.0 };
            stayed = std::cmp::Ordering::Less;
        } else {
            (high, below) = (middle, value);
            above *= if stayed.is_gt() { 0.5 } else { 1.0 };
            stayed = std::cmp::Ordering::Greater;
        }
    }
    f64::midpoint(low, high)
}

/// The value below which chi-squared with so many degrees of freedom (at least 1) lies with
/// probability `p`, which is kept within `[1e-6, 1 − 1e-6]`.
pub(super) fn chi_square_quantile(p: f64, freedom: f64) -> f64 {
    let p = if p.is_nan() { 0.5 } else { p }.clamp(1e-6, 1.0 - 1e-6);
    // `max` also turns not-a-number into 1.
    let chi = ChiSquared::new(freedom.max(1.0)).expect("at least one degree of freedom");
    chi.inverse_cdf(p)
}

fn student(freedom: f64) -> StudentsT {
    // `max` also turns not-a-number into 1.
    StudentsT::new(0.0, 1.0, freedom.max(1.0)).expect("at least one degree of freedom")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_35_t_quantiles() {
        let expected = [
            (7.0, 1.89458),
            (9.0, 1.83311),
            (11.0, 1.79588),
            (15.0, 1.75305),
            (19.0, 1.72913),
            (23.0, 1.71387),
            (39.0, 1.68488),
        ];
        for (freedom, t) in expected {
            assert!((t_critical(0.05, freedom) - t).abs() < 5e-6, "{freedom}");
        }
    }

    #[test]
    fn tails_and_quantiles_are_inverse_and_take_anything() {
        for p in [1e-9, 1e-4, 0.05, 0.5] {
            assert!((normal_tail(normal_critical(p)) / p - 1.0).abs() < 1e-6);
            assert!((t_tail(t_critical(p, 9.0), 9.0) / p - 1.0).abs() < 1e-6);
        }
        for (p, freedom) in [
            (0.025, 1.0),
            (1e-9, 1.0),
            (1e-12, 2.0),
            (0.4, 1e6),
            (3e-4, 2.6),
        ] {
            let t = t_critical(p, freedom);
            assert!((t_tail(t, freedom) / p - 1.0).abs() < 1e-6, "{p} {freedom}");
        }
        assert!((normal_density(0.0) - 0.398_942_28).abs() < 1e-8);
        for wild in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0] {
            assert!(normal_critical(wild).is_finite());
            assert!((0.0..=1.0).contains(&t_tail(wild, wild)));
            assert!(t_critical(wild, 3.0).is_finite());
        }
    }

    #[test]
    fn zeros_of_falling_functions() {
        let cubic = |x: f64| 2.0 - x * x * x;
        assert!((falling_zero(cubic, -1.0, 50.0) - 2.0_f64.cbrt()).abs() < 1e-9);
        assert_eq!(falling_zero(cubic, 2.0, 3.0), 2.0);
        assert_eq!(falling_zero(cubic, 0.0, 1.0), 1.0);
        let step = |x: f64| if x < 0.25 { 1.0 } else { -1.0 };
        assert!((falling_zero(step, 0.0, 1.0) - 0.25).abs() < 1e-9);
        assert!(falling_zero(|_| f64::NAN, 0.0, 1.0).is_nan());
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
