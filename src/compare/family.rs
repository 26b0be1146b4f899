//! Many endpoints and metrics at once: Simes inside an endpoint, Holm over the endpoints, Holm
//! inside each endpoint that was selected (method.md 2.6).
//!
//! Holm 1979, A simple sequentially rejective multiple test procedure; Simes 1986, An improved
//! Bonferroni procedure. Pure arithmetic on p-values; when they are computed is not decided
//! here.

use super::distribution::size;

/// Simes' p-value of "nothing in this group is wrong": `min_j (m/j)·p_(j)`; 1 when empty.
pub fn simes(p: &[f64]) -> f64 {
    let mut sorted = p.to_vec();
    sorted.sort_by(f64::total_cmp);
    let m = size(p.len());
    let scaled = sorted.iter().enumerate().map(|(j, p)| m / size(j + 1) * p);
    scaled.fold(1.0, f64::min)
}

/// Holm's adjusted p-values: a hypothesis falls at alpha when its own is at most alpha.
///
/// Weights say how alpha is shared (they need not sum to 1; one that is missing, zero or
/// negative counts as the smallest positive number). Equal weights are the classical method.
pub fn holm(p: &[f64], weights: &[f64]) -> Vec<f64> {
    let weight = |i: usize| weights.get(i).map_or(0.0, |w| *w).max(f64::MIN_POSITIVE);
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| (p[a] / weight(a)).total_cmp(&(p[b] / weight(b))));
    // Summed from the back, so that the last hypothesis is left with exactly its own weight.
    let mut remaining = vec![0.0; p.len()];
    let mut sum = 0.0;
    for (place, &i) in order.iter().enumerate().rev() {
        sum += weight(i);
        remaining[place] = sum;
    }
    let mut adjusted = vec![1.0; p.len()];
    let mut largest = 0.0_f64;
    for (place, &i) in order.iter().enumerate() {
        largest = largest.max(p[i] * (remaining[place] / weight(i))).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}

/// Which metrics of which endpoints fall at alpha. `family` holds the sequential p-values by
/// endpoint, `weights` how endpoints share alpha; metrics share equally.
pub fn select(family: &[Vec<f64>], weights: &[f64], alpha: f64) -> Vec<Vec<bool>> {
    let by_endpoint: Vec<f64> = family.iter().map(|metrics| simes(metrics)).collect();
    let selected = holm(&by_endpoint, weights);
    let inside = |(metrics, endpoint): (&Vec<f64>, f64)| {
        let adjusted = holm(metrics, &vec![1.0; metrics.len()]);
        let falls = |p: f64| endpoint <= alpha && p <= alpha;
        adjusted.into_iter().map(falls).collect()
    };
    family.iter().zip(selected).map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(n: usize) -> Vec<f64> {
        vec![1.0; n]
    }

    #[test]
    fn row_20_benjamini_and_hochbergs_fifteen() {
        let p = [
            0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
            0.5719, 0.6528, 0.7590, 1.0,
        ];
        let adjusted = holm(&p, &equal(15));
        for (found, expected) in adjusted
            .iter()
            .zip([0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278])
        {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(adjusted.iter().filter(|p| **p <= 0.05).count(), 3);
    }

    #[test]
    fn row_21_holm_and_simes() {
        let p = [0.01, 0.04, 0.03, 0.005];
        for (found, expected) in holm(&p, &equal(4)).iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((simes(&p) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn weights_move_alpha_and_nothing_is_lost_at_the_edges() {
        // The heavy one may use nearly all of alpha at once.
        let adjusted = holm(&[0.04, 0.04], &[0.9, 0.1]);
        assert!(adjusted[0] <= 0.05 && adjusted[1] <= 0.05);
        let adjusted = holm(&[0.04, 0.06], &[0.5, 0.5]);
        assert!(adjusted[0] > 0.05);
        assert_eq!(holm(&[], &[]), Vec::<f64>::new());
        assert_eq!(simes(&[]), 1.0);
        assert!(holm(&[0.5, 0.5], &[0.0]).iter().all(|p| *p <= 1.0));
    }

    #[test]
    fn only_metrics_of_selected_endpoints_fall() {
        let family = vec![vec![0.001, 0.2], vec![0.04, 0.9], vec![]];
        let fallen = select(&family, &equal(3), 0.05);
        assert_eq!(fallen, [vec![true, false], vec![false, false], vec![]]);
    }
}
