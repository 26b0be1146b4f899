//! Whether slots have warmed up before they are measured: the pooled MSER cut (method.md 2.10).
//!
//! The medians of the seconds of many slots are averaged on the log scale, over all slots and for
//! each side; the cut that leaves the most certain mean of the rest is White's (1997, An effective
//! truncation heuristic for bias reduction in simulation output). It is a check: the cut of a
//! plan is fixed before the load and never moved by what is seen here.

use std::borrow::Borrow;

use super::{RoundEvidence, Warning, distribution::size};
use crate::{
    run::{Side, Slot},
    units::SECOND_NS,
};

/// Fewer seconds than this tell nothing of a warm-up, and nothing is said then.
const SECONDS_MIN: usize = 8;
/// And by at least this much on the log scale: the smallest minimum effect.
const LEAST: f64 = 0.01;
/// So many rounds are looked at, besides the discarded one.
const ROUNDS: usize = 4;

/// The seconds of one slot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seconds {
    /// How many of them lie in the settle cut, in nanoseconds.
    pub settle_ns: u64,
    /// Natural logarithms of the medians, from the begin of the load; absent where a second had
    /// no median.
    pub ln_medians: Vec<Option<f64>>,
}

impl Seconds {
    /// Those of a slot.
    pub fn of(slot: &Slot) -> Self {
        let ln = |ns: &Option<u64>| ns.map(|ns| crate::units::count(ns.max(1)).ln());
        Self {
            settle_ns: slot.settle_ns,
            ln_medians: slot.medians_ns.iter().map(ln).collect(),
        }
    }

    /// The first so many values, if there is no gap in them.
    fn whole(&self, n: usize) -> Option<Vec<f64>> {
        self.ln_medians.get(..n)?.iter().copied().collect()
    }
}

/// How long slots take until they are steady.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUp {
    /// Seconds from the begin of a slot's load, the settle cut included, until it was steady; 0
    /// when it was so all the time.
    pub cut_s: u64,
    /// Seconds that were looked at.
    pub seconds: u64,
    /// Whether it was steady before the half of what was looked at.
    pub is_steady: bool,
}

/// The warm-up of slots of equal length from this second on: of all together and of each side, the
/// longer. `None` when there are fewer than eight seconds, or no side has a slot without a gap.
pub fn warm_up<S: Borrow<Seconds>>(sides: [&[S]; 2], from: usize) -> Option<WarmUp> {
    let lengths = sides.iter().flat_map(|slots| slots.iter());
    let lengths = lengths.map(|slot| slot.borrow().ln_medians.len());
    let n = lengths.min().filter(|n| *n >= from + SECONDS_MIN)?;
    let whole = |side: Side| -> Vec<Vec<f64>> {
        let slots = sides[side.index()].iter();
        slots.filter_map(|slot| slot.borrow().whole(n)).collect()
    };
    let [baseline, candidate] = Side::BOTH.map(whole);
    let pooled = [baseline.as_slice(), candidate.as_slice()].concat();
    let groups = [pooled, baseline, candidate];
    let cuts = groups.iter().filter_map(|slots| average(slots));
    let cut = cuts.map(|series| cut(&series[from..])).max()?;
    Some(WarmUp {
        cut_s: if cut == 0 { 0 } else { (from + cut) as u64 },
        seconds: n as u64,
        is_steady: cut < (n - from) / 2,
    })
}

/// What the first rounds say of the warm-up.
#[derive(Debug, Default)]
pub(super) struct Steadiness {
    pub(super) warnings: Vec<Warning>,
    /// Why nothing can be judged.
    pub(super) cause: Option<String>,
}

/// Checks the discarded round, and the first four after it together. Interleaved slots begin cold,
/// so that one that is still changing in its second half makes the comparison INVALID; windows of
/// simultaneous sides touch each other, and both sides change alike.
pub(super) fn check(simultaneous: bool, rounds: &[RoundEvidence]) -> Steadiness {
    let mut found = Steadiness::default();
    let mut warn = |code: &str, text: String| {
        found.warnings.push(Warning {
            code: code.to_owned(),
            text,
        });
    };
    let discarded = rounds.iter().filter(|it| it.round == 0).collect::<Vec<_>>();
    let discarded = of_rounds(&discarded, 0);
    if discarded.is_some_and(|it| !it.is_steady) {
        warn(
            "warm_up",
            "response times were still changing in the second half of the discarded first round; \
             give it more time with --warmup"
                .to_owned(),
        );
    }
    let first = rounds.iter().filter(|it| it.round > 0).take(ROUNDS);
    let first: Vec<_> = first.collect();
    let settle_ns = first.iter().flat_map(|round| &round.sides);
    let settle_ns = settle_ns
        .flat_map(|side| &side.seconds)
        .map(|it| it.settle_ns);
    let settle_ns = settle_ns.min().unwrap_or(0);
    let settle = usize::try_from(settle_ns.div_ceil(SECOND_NS)).unwrap_or(usize::MAX);
    let found_late = of_rounds(&first, settle.min(usize::MAX / 2));
    let Some(it) = found_late.filter(|_| first.len() == ROUNDS) else {
        return found;
    };
    let (cut_s, seconds) = (it.cut_s, it.seconds);
    if !it.is_steady && !simultaneous {
        found.cause = Some(format!(
            "not steady: response times were still changing in the second half of slots of \
             {seconds} s; lengthen --slot, or warm the sides up before"
        ));
    } else if !it.is_steady {
        warn(
            "not_steady",
            format!(
                "response times change within windows of {seconds} s in the same way each time; \
                 something goes in step with them"
            ),
        );
    } else if cut_s > 0 && !simultaneous {
        warn(
            "warm_up",
            format!(
                "slots take {cut_s} s until they are steady, and are measured after {:.1} s; a \
                 `proofload calibrate` of this deployment lets comparisons wait for that long",
                crate::units::seconds(settle_ns)
            ),
        );
    }
    found
}

/// The warm-up of all slots of some rounds.
pub(super) fn of_rounds(rounds: &[&RoundEvidence], from: usize) -> Option<WarmUp> {
    let [baseline, candidate] = Side::BOTH.map(|side| -> Vec<&Seconds> {
        let own = rounds.iter().flat_map(|round| &round.side(side).seconds);
        own.collect()
    });
    warm_up([&baseline, &candidate], from)
}

fn average(slots: &[Vec<f64>]) -> Option<Vec<f64>> {
    let first = slots.first()?;
    let mean = |i: usize| slots.iter().map(|slot| slot[i]).sum::<f64>() / size(slots.len());
    Some((0..first.len()).map(mean).collect())
}

/// The MSER cut, 0 where what it cuts off does not stand out from the rest: the cut of a series
/// without any trend would otherwise be anywhere. Chance alone brings what is cut so many standard
/// errors off the rest in one of a thousand series (simulated; few seconds have heavy tails).
fn cut(series: &[f64]) -> usize {
    let d = mser(series);
    if d == 0 {
        return 0;
    }
    let (head, rest) = series.split_at(d);
    // From the spread of the steps between neighbours: a trend in the rest is no noise.
    let steps: Vec<f64> = rest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let variance = moments(&steps).1 / 2.0;
    let (head, rest) = (moments(head).0, moments(rest).0);
    let error = (variance * (1.0 / size(d) + 1.0 / size(series.len() - d))).sqrt();
    let errors = 4.5 + 1_500.0 / size(series.len()).powi(2);
    if (head - rest).abs() > LEAST.max(errors * error) {
        d
    } else {
        0
    }
}

/// `argmin_d Σ_{i≥d}(y_i − ȳ_d)²/(n−d)²` for `d ≤ n/2`; of equals the first.
fn mser(series: &[f64]) -> usize {
    let n = series.len();
    let score = |d: usize| {
        let (_, variance) = moments(&series[d..]);
        let m = size(n - d);
        variance * (m - 1.0) / (m * m)
    };
    let scores = (0..=n / 2).map(|d| (d, score(d)));
    let best = scores.min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(0, |(d, _)| d)
}

/// Mean and sample variance; the variance of fewer than two values is 0.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = size(values.len());
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (n - 1.0).max(1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const ROW_32: [f64; 16] = [
        10.0, 8.0, 6.0, 4.0, 3.0, 3.0, 2.0, 3.0, 3.0, 2.0, 3.0, 2.0, 3.0, 3.0, 2.0, 3.0,
    ];

    #[test]
    fn row_32_mser() {
        let expected = [
            0.30859, 0.16593, 0.07143, 0.02549, 0.01852, 0.02104, 0.02400, 0.02469, 0.02930,
        ];
        for (d, expected) in expected.into_iter().enumerate() {
            let (_, variance) = moments(&ROW_32[d..]);
            let m = size(16 - d);
            let score = variance * (m - 1.0) / (m * m);
            assert!((score - expected).abs() < 5e-6, "{d}: {score}");
        }
        assert_eq!(mser(&ROW_32), 4);
        assert_eq!(cut(&ROW_32), 4);
    }

    fn slot(medians: impl IntoIterator<Item = f64>) -> Seconds {
        Seconds {
            settle_ns: 2_000_000_000,
            ln_medians: medians.into_iter().map(|ms| Some(ms.ln())).collect(),
        }
    }

    fn found(a: &[Seconds], b: &[Seconds]) -> Option<(u64, bool)> {
        let found = warm_up([a, b], 0)?;
        Some((found.cut_s, found.is_steady))
    }

    /// Log-normal noise of so much about 10 ms, times what the second brings.
    fn noisy(random: &mut ChaCha8Rng, noise: f64, n: u32, shape: impl Fn(f64) -> f64) -> Seconds {
        let values = (0..n).map(|second| {
            let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
            10.0 * ((sum - 6.0) * noise).exp() * shape(f64::from(second))
        });
        slot(values.collect::<Vec<_>>())
    }

    #[test]
    fn steady_slots_are_left_alone() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        for (n, slots) in [(8, 4), (12, 8), (12, 2), (40, 4)] {
            let mut cuts = 0;
            for _ in 0..1_000 {
                let mut side = || -> Vec<Seconds> {
                    (0..slots)
                        .map(|_| noisy(&mut random, 0.05, n, |_| 1.0))
                        .collect()
                };
                let (a, b) = (side(), side());
                cuts += u32::from(found(&a, &b).unwrap().0 > 0);
            }
            assert!(
                cuts <= 4,
                "{cuts} of 1,000 with {n} seconds in {slots} slots"
            );
        }
    }

    #[test]
    fn a_warm_up_is_found_on_either_side_and_one_without_end_is_not_steady() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        let mut side = |shape: fn(f64) -> f64| -> Vec<Seconds> {
            (0..8)
                .map(|_| noisy(&mut random, 0.03, 12, shape))
                .collect()
        };
        let plain = side(|_| 1.0);
        let warms = side(|second| if second < 3.0 { 1.5 } else { 1.0 });
        // The cut may take a second more than it must.
        let near = |found| matches!(found, Some((3 | 4, true)));
        assert!(near(found(&plain, &warms)));
        assert!(near(found(&warms, &plain)));
        let never = side(|second| 2.0 - 0.08 * second);
        assert_eq!(found(&plain, &never), Some((6, false)));
    }

    fn round(number: u32, shape: fn(f64) -> f64) -> RoundEvidence {
        let mut random = ChaCha8Rng::seed_from_u64(number.into());
        let mut round = RoundEvidence {
            round: number,
            ..RoundEvidence::default()
        };
        for side in &mut round.sides {
            side.seconds = (0..2)
                .map(|_| noisy(&mut random, 0.01, 12, shape))
                .collect();
        }
        round
    }

    #[test]
    fn the_first_rounds_say_whether_anything_can_be_judged() {
        let of = |shape, simultaneous| {
            let rounds: Vec<_> = (1..=5).map(|number| round(number, shape)).collect();
            assert!(check(simultaneous, &rounds[..3]).warnings.is_empty());
            let found = check(simultaneous, &rounds);
            let codes: Vec<_> = found.warnings.into_iter().map(|it| it.code).collect();
            (codes, found.cause)
        };
        assert_eq!(of(|_| 1.0, false), (vec![], None));
        assert_eq!(
            of(|second| if second < 2.0 { 1.5 } else { 1.0 }, false).0,
            [""; 0]
        );
        let slow: fn(f64) -> f64 = |second| if second < 4.0 { 1.5 } else { 1.0 };
        assert_eq!(of(slow, false), (vec!["warm_up".to_owned()], None));
        assert_eq!(of(slow, true), (vec![], None));
        let (codes, cause) = of(|second| 2.0 - second / 12.0, false);
        assert!(codes.is_empty() && cause.unwrap().starts_with("not steady"));
        let (codes, cause) = of(|second| 2.0 - second / 12.0, true);
        assert!(codes == ["not_steady"] && cause.is_none());
        let found = check(true, &[round(0, |second| 2.0 - second / 12.0)]);
        assert_eq!(found.warnings[0].code, "warm_up");
    }

    #[test]
    fn few_seconds_and_gaps_say_nothing() {
        let short = [slot([9.0, 5.0, 3.0, 3.0, 3.0, 3.0, 3.0])];
        assert_eq!(found(&short, &short), None);
        assert_eq!(found(&[], &[]), None);
        let mut gap = slot([9.0; 12]);
        gap.ln_medians[5] = None;
        assert_eq!(found(&[gap.clone()], &[gap.clone()]), None);
        assert_eq!(found(&[gap], &[slot([9.0; 12])]), Some((0, true)));
    }
}
