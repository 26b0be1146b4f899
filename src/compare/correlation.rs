//! For how long what disturbs one side alone goes on: the correlation time of the per-second log
//! ratio of the sides (method.md 2.9). Slots should be twice as long (2.8).

use super::{RoundEvidence, distribution::size};
use crate::run::Side;

/// Fewer seconds than this tell nothing.
const SECONDS_MIN: usize = 24;

/// The smallest lag, in seconds, at which the autocorrelation of the log ratio of the per-second
/// medians of simultaneous sides is below 1/e; where it never is, the largest lag that was looked
/// at. `None` when there were too few seconds.
pub(super) fn correlation_s(rounds: &[RoundEvidence]) -> Option<u64> {
    let stretches = stretches(rounds);
    lag(&stretches)
}

/// The log ratios of seconds that follow each other. Successive rounds are neighbours.
fn stretches(rounds: &[RoundEvidence]) -> Vec<Vec<f64>> {
    let mut stretches = vec![Vec::new()];
    let mut last = None;
    for round in rounds {
        if last.is_some_and(|last| round.round != last + 1) {
            stretches.push(Vec::new());
        }
        last = Some(round.round);
        let [baseline, candidate] = Side::BOTH.map(|side| round.side(side).seconds.first());
        let (Some(a), Some(b)) = (baseline, candidate) else {
            stretches.push(Vec::new());
            continue;
        };
        for (a, b) in a.ln_medians.iter().zip(&b.ln_medians) {
            match (a, b) {
                (Some(a), Some(b)) => stretches.last_mut().expect("one at least").push(b - a),
                _ => stretches.push(Vec::new()),
            }
        }
    }
    stretches
}

fn lag(stretches: &[Vec<f64>]) -> Option<u64> {
    let n = stretches.iter().map(Vec::len).sum::<usize>();
    if n < SECONDS_MIN {
        return None;
    }
    let all = || stretches.iter().flatten();
    let mean = all().sum::<f64>() / size(n);
    let variance = all().map(|value| (value - mean).powi(2)).sum::<f64>() / size(n);
    if variance <= 0.0 {
        return Some(1);
    }
    let longest = stretches.iter().map(Vec::len).max().unwrap_or(0);
    let most = (longest / 4).max(1);
    let resembles = |lag: &usize| {
        let pairs = stretches
            .iter()
            .flat_map(|it| it.iter().zip(it.iter().skip(*lag)));
        let (sum, pairs) = pairs.fold((0.0, 0_usize), |(sum, pairs), (a, b)| {
            (sum + (a - mean) * (b - mean), pairs + 1)
        });
        sum / size(pairs.max(1)) / variance >= (-1.0_f64).exp()
    };
    let lag = (1..most).find(|lag| !resembles(lag)).unwrap_or(most);
    Some(lag as u64)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::compare::{evidence::SideEvidence, steady::Seconds};

    fn round(number: u32, ratios: &[f64]) -> RoundEvidence {
        let side = |values: Vec<Option<f64>>| SideEvidence {
            seconds: vec![Seconds {
                settle_ns: 0,
                ln_medians: values,
            }],
            ..SideEvidence::default()
        };
        let candidate = ratios.iter().map(|it| Some(7.0 + it)).collect();
        RoundEvidence {
            round: number,
            baseline_first: true,
            sides: [side(vec![Some(7.0); ratios.len()]), side(candidate)],
        }
    }

    /// An autoregressive series whose correlation falls by 1/e in so many seconds.
    fn rounds(tau_s: f64, rounds: u32) -> Vec<RoundEvidence> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let keep = (-1.0 / tau_s).exp();
        let mut value = 0.0;
        (1..=rounds)
            .map(|number| {
                let ratios: Vec<f64> = (0..10)
                    .map(|_| {
                        value = keep * value
                            + (1.0 - keep * keep).sqrt() * (random.random::<f64>() - 0.5);
                        value
                    })
                    .collect();
                round(number, &ratios)
            })
            .collect()
    }

    #[test]
    fn the_time_of_a_known_series_is_found() {
        for tau_s in [0.1, 3.0, 8.0] {
            let found = correlation_s(&rounds(tau_s, 300)).unwrap();
            let exact = tau_s.max(1.0);
            let ratio = crate::units::count(found) / exact;
            assert!((0.6..1.7).contains(&ratio), "{tau_s}: {found}");
        }
    }

    #[test]
    fn too_little_says_nothing_and_no_variation_no_more_than_a_second() {
        assert_eq!(correlation_s(&[]), None);
        assert_eq!(correlation_s(&rounds(3.0, 2)), None);
        let equal: Vec<_> = (1..=9).map(|number| round(number, &[0.0; 10])).collect();
        assert_eq!(correlation_s(&equal), Some(1));
    }

    #[test]
    fn seconds_on_both_sides_of_a_gap_are_no_neighbours() {
        let mut gap = rounds(3.0, 3);
        gap[1].sides[0].seconds[0].ln_medians[4] = None;
        gap[2].round = 9;
        let lengths: Vec<usize> = stretches(&gap).iter().map(Vec::len).collect();
        assert_eq!(lengths, [14, 5, 10]);
    }
}
