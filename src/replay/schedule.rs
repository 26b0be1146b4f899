//! When what is sent to whom: the pure part of the engine.
//!
//! A [`Layout`] cuts the budget into windows; each window holds one slot (a single side at a
//! time) or two (both sides at once). Inside a window the [`Gaps`] of an arrival process say
//! when requests are due. Arrangement and arrivals are values: there is one sending loop and
//! it does not know them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    run::Side,
    units::{Rate, Speed, count, from_seconds, seconds, whole},
};

/// The process that decides when requests are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// The recorded instants, faster or slower by a factor.
    Recorded(Speed),
    /// Evenly spaced.
    Constant(Rate),
    /// Independent exponential gaps with this mean rate.
    Poisson(Rate),
    /// From one rate to another in a straight line over the whole run.
    Ramp(Rate, Rate),
    /// No plan: each of so many clients sends its next request when its last one has ended, so
    /// that a slow target is asked less. It measures throughput, and no latency that a user
    /// would see.
    Closed(usize),
}

impl Arrivals {
    /// How many clients there are in a closed loop.
    pub fn clients(self) -> Option<usize> {
        match self {
            Self::Closed(clients) => Some(clients),
            _ => None,
        }
    }
}

/// How the sides of a comparison share the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrangement {
    /// One side after the other, four slots a round: ABBA or BAAB by a seeded coin.
    Interleaved,
    /// Both sides at the same time with the same requests, one window a round.
    Simultaneous,
}

/// One side under load in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotSpec {
    /// Counts the slots of the run from 0.
    pub id: u32,
    /// The round, 0 being the discarded one.
    pub round: u32,
    /// The place in the round.
    pub position: u8,
    /// Which side.
    pub side: Side,
}

/// A stretch of time with its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Planned begin, in nanoseconds after the start of the run.
    pub start_ns: u64,
    /// Sent but not measured at its beginning, in nanoseconds.
    pub settle_ns: u64,
    /// Measured, in nanoseconds.
    pub length_ns: u64,
    /// Which stretch of the arrival process it replays; windows with the same piece send the
    /// same requests at the same instants.
    pub piece: u64,
    /// One slot, or one of each side.
    pub slots: Vec<SlotSpec>,
}

impl Window {
    /// Settle cut and measured time together, in nanoseconds.
    pub fn total_ns(&self) -> u64 {
        self.settle_ns + self.length_ns
    }
}

/// How the time of a run is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// How the sides share the time; absent for a run of one side.
    pub arrangement: Option<Arrangement>,
    /// Rounds that were measured by earlier sessions; the first of this one follows them.
    #[serde(default)]
    pub before: u32,
    /// Rounds that may be measured, without the discarded first.
    pub rounds: u32,
    /// Measured time of each slot of a round 0, which is sent and not judged; absent for none.
    pub warmup_ns: Option<u64>,
    /// Measured time of one slot, in nanoseconds.
    pub slot_ns: u64,
    /// Settle cut before each slot, in nanoseconds.
    pub settle_ns: u64,
}

impl Layout {
    /// Whether the sides are loaded one after the other.
    pub fn takes_turns(self) -> bool {
        self.arrangement == Some(Arrangement::Interleaved)
    }

    /// The windows of the whole run in order. The seed decides which rounds are ABBA.
    pub fn windows(self, seed: u64) -> impl Iterator<Item = Window> {
        let warmup = self.warmup_ns.map(|_| 0);
        let rounds = self.before + 1..=self.before + self.rounds;
        let mut start_ns = 0;
        let mut id = 0;
        // What earlier sessions have drawn is not drawn again.
        let mut piece = u64::from(self.before) * if self.takes_turns() { 2 } else { 1 };
        warmup.into_iter().chain(rounds).flat_map(move |round| {
            let plan = self.round(round, seed);
            let length_ns = self.length_ns(round);
            let windows: Vec<Window> = plan
                .into_iter()
                .zip(0_u8..)
                .map(|((offset, sides), position)| {
                    let specs = sides.iter().map(|&side| {
                        let spec = SlotSpec {
                            id,
                            round,
                            position,
                            side,
                        };
                        id += 1;
                        spec
                    });
                    let slots = specs.collect();
                    let window = Window {
                        start_ns,
                        settle_ns: self.settle_ns,
                        length_ns,
                        piece: piece + offset,
                        slots,
                    };
                    start_ns += window.total_ns();
                    window
                })
                .collect();
            piece += if windows.len() == 4 { 2 } else { 1 };
            windows
        })
    }

    /// The windows of one round as (piece within the round, sides).
    fn round(self, round: u32, seed: u64) -> Vec<(u64, Vec<Side>)> {
        match self.arrangement {
            None => vec![(0, vec![Side::Candidate])],
            Some(Arrangement::Simultaneous) => vec![(0, Side::BOTH.to_vec())],
            Some(Arrangement::Interleaved) => {
                let outer = if coin(seed, round) {
                    Side::Baseline
                } else {
                    Side::Candidate
                };
                let inner = outer.other();
                [(0, outer), (0, inner), (1, inner), (1, outer)]
                    .map(|(piece, side)| (piece, vec![side]))
                    .to_vec()
            }
        }
    }

    fn length_ns(self, round: u32) -> u64 {
        self.warmup_ns
            .filter(|_| round == 0)
            .unwrap_or(self.slot_ns)
    }

    /// How long the whole run takes when it is not stopped early, in nanoseconds.
    pub fn total_ns(self) -> u64 {
        self.warmup_total_ns() + u64::from(self.rounds) * self.round_ns()
    }

    /// How long one round takes, in nanoseconds.
    pub fn round_ns(self) -> u64 {
        self.slots_in_turn() * (self.slot_ns + self.settle_ns)
    }

    /// How long the discarded round takes, in nanoseconds; 0 where there is none.
    pub fn warmup_total_ns(self) -> u64 {
        let own = self.warmup_ns.map(|length_ns| length_ns + self.settle_ns);
        self.slots_in_turn() * own.unwrap_or(0)
    }

    fn slots_in_turn(self) -> u64 {
        if self.takes_turns() { 4 } else { 1 }
    }

    /// Measured time per round and side, in nanoseconds.
    pub fn measured_ns(self) -> u64 {
        let slots = if self.takes_turns() { 2 } else { 1 };
        slots * self.slot_ns
    }
}

/// A seeded generator of its own for each purpose, so that no choice shifts another.
pub(super) fn stream(seed: u64, purpose: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(purpose << 48 | index);
    rng
}

/// Purposes of [`stream`].
pub(super) mod purpose {
    /// The order of a round's slots.
    pub(crate) const ORDER: u64 = 1;
    /// Gaps of an arrival process.
    pub(crate) const GAPS: u64 = 2;
    /// The order of the two sends of a simultaneous pair.
    pub(crate) const PAIRS: u64 = 3;
}

fn coin(seed: u64, round: u32) -> bool {
    stream(seed, purpose::ORDER, u64::from(round)).random()
}

/// The due instants of one piece for the processes that make their own.
#[derive(Debug)]
pub(super) struct Gaps {
    arrivals: Arrivals,
    rng: ChaCha8Rng,
    begin_ns: u64,
    /// The length of the whole run, over which a ramp goes from one rate to the other.
    run_ns: u64,
    index: u64,
    at_s: f64,
}

impl Gaps {
    /// The instants of a piece that begins at `begin_ns` of the endless process; the same
    /// arguments give the same instants.
    pub(super) fn new(
        arrivals: Arrivals,
        seed: u64,
        piece: u64,
        (begin_ns, run_ns): (u64, u64),
    ) -> Self {
        let mut gaps = Self {
            arrivals,
            rng: stream(seed, purpose::GAPS, piece),
            begin_ns,
            run_ns,
            index: 0,
            at_s: 0.0,
        };
        gaps.index = gaps.first_index();
        gaps
    }

    /// The first of regularly spaced requests that is not due before the piece begins: the
    /// pieces of a run continue each other, so that rate times duration is what is scheduled.
    fn first_index(&self) -> u64 {
        let begin_s = seconds(self.begin_ns);
        let before = match self.arrivals {
            Arrivals::Constant(rate) => begin_s * rate.per_second(),
            Arrivals::Ramp(from, to) => ramped(from, to, begin_s, seconds(self.run_ns)),
            _ => return 0,
        };
        let mut index = whole(before).saturating_sub(1);
        while self
            .regular(index)
            .is_some_and(|at_ns| at_ns < self.begin_ns)
        {
            index += 1;
        }
        index
    }

    /// The instant of the n-th request of a process without chance, after the run began.
    fn regular(&self, index: u64) -> Option<u64> {
        match self.arrivals {
            Arrivals::Constant(rate) => Some(even(rate, index)),
            Arrivals::Ramp(from, to) => Some(ramp(from, to, index, seconds(self.run_ns))),
            _ => None,
        }
    }

    /// The next due instant in nanoseconds after the piece began; `None` for arrivals whose
    /// instants come from the workload or from answers.
    pub(super) fn next_ns(&mut self) -> Option<u64> {
        if let Arrivals::Poisson(rate) = self.arrivals {
            let unit: f64 = self.rng.random();
            self.at_s += -(1.0 - unit).ln() / rate.per_second();
            return Some(from_seconds(self.at_s));
        }
        let at_ns = self.regular(self.index)?;
        self.index += 1;
        Some(at_ns.saturating_sub(self.begin_ns))
    }
}

/// How many requests of a ramp are due before `at_s` of `run_s` seconds:
/// `r₀ t + (r₁ − r₀) t² / 2T`.
fn ramped(from: Rate, to: Rate, at_s: f64, run_s: f64) -> f64 {
    let (from, to) = (from.per_second(), to.per_second());
    from * at_s + (to - from) * at_s * at_s / (2.0 * run_s)
}

/// The instant at which that count reaches `index`, in nanoseconds; behind the run for more than
/// it holds. The root is taken in the form that does not cancel.
fn ramp(from: Rate, to: Rate, index: u64, run_s: f64) -> u64 {
    let (from, to) = (from.per_second(), to.per_second());
    let inside = from * from + 2.0 * count(index) * (to - from) / run_s;
    if inside < 0.0 {
        return u64::MAX;
    }
    from_seconds(2.0 * count(index) / (from + inside.sqrt()))
}

/// The instant of the n-th of evenly spaced requests, in nanoseconds: multiplied and not added
/// up, so that a thousand seconds later it is still exact.
fn even(rate: Rate, index: u64) -> u64 {
    from_seconds(count(index) / rate.per_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(arrangement: Option<Arrangement>) -> Layout {
        Layout {
            arrangement,
            before: 0,
            rounds: 12,
            warmup_ns: Some(100),
            slot_ns: 100,
            settle_ns: 20,
        }
    }

    #[test]
    fn simultaneous_windows_hold_both_sides_and_touch_each_other() {
        let windows: Vec<_> = layout(Some(Arrangement::Simultaneous)).windows(1).collect();
        assert_eq!(windows.len(), 13);
        for (index, window) in windows.iter().enumerate() {
            assert_eq!(window.start_ns, 120 * index as u64);
            assert_eq!(window.piece, index as u64);
            let sides: Vec<_> = window.slots.iter().map(|slot| slot.side).collect();
            assert_eq!(sides, Side::BOTH);
        }
        assert_eq!(windows[12].slots[1].id, 25);
    }

    #[test]
    fn a_later_session_goes_on_counting_rounds_and_pieces() {
        let later = Layout {
            before: 5,
            rounds: 2,
            ..layout(Some(Arrangement::Simultaneous))
        };
        let windows: Vec<_> = later.windows(1).collect();
        let rounds: Vec<_> = windows.iter().map(|it| it.slots[0].round).collect();
        assert_eq!(rounds, [0, 6, 7]);
        assert_eq!((windows[0].start_ns, windows[0].piece), (0, 5));
        assert_eq!(later.total_ns(), 360);
    }

    #[test]
    fn interleaved_rounds_are_abba_or_baab_with_the_same_pieces_on_both_sides() {
        let windows: Vec<_> = layout(Some(Arrangement::Interleaved)).windows(7).collect();
        assert_eq!(windows.len(), 52);
        let mut orders = std::collections::BTreeSet::new();
        for round in windows.chunks(4) {
            let sides: Vec<_> = round.iter().map(|window| window.slots[0].side).collect();
            assert_eq!(sides[0], sides[3]);
            assert_eq!(sides[1], sides[2]);
            assert_ne!(sides[0], sides[1]);
            orders.insert(sides[0]);
            let piece = |side| -> Vec<u64> {
                let mut pieces: Vec<_> = round
                    .iter()
                    .filter(|window| window.slots[0].side == side)
                    .map(|window| window.piece)
                    .collect();
                pieces.sort_unstable();
                pieces
            };
            assert_eq!(piece(Side::Baseline), piece(Side::Candidate));
        }
        assert_eq!(orders.len(), 2, "both orders occur");
    }

    #[test]
    fn arrivals_never_go_back_and_keep_their_rate() {
        for arrivals in [
            Arrivals::Constant("1000/s".parse().unwrap()),
            Arrivals::Poisson("1000/s".parse().unwrap()),
        ] {
            let mut gaps = Gaps::new(arrivals, 3, 0, (0, 0));
            let mut last = 0;
            let mut n = 0;
            while let Some(at_ns) = gaps.next_ns().filter(|at_ns| *at_ns < 10_000_000_000) {
                assert!(at_ns >= last);
                last = at_ns;
                n += 1;
            }
            assert!((9_600..=10_400).contains(&n), "{arrivals:?}: {n}");
        }
    }

    #[test]
    fn the_same_piece_is_the_same_whenever_it_is_drawn() {
        let rate = Arrivals::Poisson("10/s".parse().unwrap());
        let draw = |piece| {
            let mut gaps = Gaps::new(rate, 9, piece, (0, 0));
            (0..50).map(|_| gaps.next_ns()).collect::<Vec<_>>()
        };
        assert_eq!(draw(4), draw(4));
        assert_ne!(draw(4), draw(5));
    }

    #[test]
    fn regularly_spaced_pieces_continue_each_other() {
        let rate = |text: &str| text.parse().unwrap();
        for (arrivals, piece_ns) in [
            (Arrivals::Constant(rate("2000/s")), 208_333_333),
            (Arrivals::Constant(rate("7/s")), 1_000_000_000),
            (Arrivals::Constant(rate("3/s")), 99),
            (Arrivals::Ramp(rate("50/s"), rate("500/s")), 200_000_000),
            (Arrivals::Ramp(rate("500/s"), rate("2/s")), 200_000_000),
        ] {
            let run_ns = 50 * piece_ns;
            let mut joined = Vec::new();
            for piece in 0..50 {
                let begin_ns = piece * piece_ns;
                let mut gaps = Gaps::new(arrivals, 1, piece, (begin_ns, run_ns));
                while let Some(at_ns) = gaps.next_ns().filter(|at_ns| *at_ns < piece_ns) {
                    joined.push(begin_ns + at_ns);
                }
            }
            let mut whole = Gaps::new(arrivals, 1, 0, (0, run_ns));
            let expected: Vec<_> = joined.iter().map(|_| whole.next_ns().unwrap()).collect();
            assert_eq!(joined, expected, "{arrivals:?}");
            assert!(
                whole.next_ns().unwrap() >= run_ns,
                "{arrivals:?}: one was left out"
            );
        }
    }

    #[test]
    fn a_ramp_sends_the_area_under_its_line() {
        let (from, to) = ("50/s".parse().unwrap(), "500/s".parse().unwrap());
        for (from, to) in [(from, to), (to, from), (to, to)] {
            let run_ns = 20_000_000_000;
            let mut gaps = Gaps::new(Arrivals::Ramp(from, to), 1, 0, (0, run_ns));
            let mut at: Vec<u64> = Vec::new();
            while let Some(at_ns) = gaps.next_ns().filter(|at_ns| *at_ns < run_ns) {
                at.push(at_ns);
            }
            let area = f64::midpoint(from.per_second(), to.per_second()) * 20.0;
            assert!(
                (count(at.len() as u64) - area).abs() <= 1.0,
                "{} of {area}",
                at.len()
            );
            let gap = |pair: &[u64]| 1e9 / count(pair[1] - pair[0]);
            assert!((gap(&at[..2]) / from.per_second() - 1.0).abs() < 0.1);
            assert!((gap(&at[at.len() - 2..]) / to.per_second() - 1.0).abs() < 0.1);
        }
    }
}
