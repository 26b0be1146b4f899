//! The median response time of each second of a slot, for what a slot's histograms cannot show:
//! how long a side warms up, and for how long a disturbance lasts.
//!
//! One coarse histogram a second, all endpoints together, in rows that are made when they are
//! needed: recording costs a few nanoseconds, and the histograms become one number a second when
//! the slot closes. What is judged is not read here.

use crate::units::{SECOND_NS, count, whole};

/// Buckets of one octave: each is at most 0.8 % wide, and reads are interpolated.
const ROW: usize = 1 << ROW_BITS;
const ROW_BITS: u32 = 7;
/// Shorter times count as this, about a microsecond, and longer ones as the end of the last row.
const LOWEST_BITS: u32 = 10;
const ROWS: usize = 32;
const LOWEST_NS: u64 = 1 << LOWEST_BITS;
const HIGHEST_NS: u64 = (LOWEST_NS << ROWS) - 1;
/// Of a longer slot, the first ten minutes.
const SECONDS_MAX: u64 = 600;

/// The seconds of one slot.
#[derive(Debug, Default)]
pub(super) struct Seconds {
    /// When the load of the slot began, its settle cut included, on the run's clock.
    begin_ns: u64,
    seconds: Vec<Second>,
}

/// What ended of one second's requests.
#[derive(Debug, Clone, Default)]
struct Second {
    rows: [Option<Box<[u32; ROW]>>; ROWS],
    ok: u32,
    /// Failures are slower than every success.
    failed: u32,
}

impl Seconds {
    /// For a load of so many nanoseconds that begins then; only whole seconds are kept.
    pub(super) fn new(begin_ns: u64, length_ns: u64) -> Self {
        let seconds = (length_ns / SECOND_NS).min(SECONDS_MAX);
        let seconds = usize::try_from(seconds).unwrap_or_default();
        Self {
            begin_ns,
            seconds: vec![Second::default(); seconds],
        }
    }

    /// A request that was due then has ended after `ns`, or has failed (`None`).
    pub(super) fn record(&mut self, intended_ns: u64, ns: Option<u64>) {
        let index = intended_ns.saturating_sub(self.begin_ns) / SECOND_NS;
        let second = usize::try_from(index).map(|index| self.seconds.get_mut(index));
        let Ok(Some(second)) = second else {
            return;
        };
        let Some(ns) = ns else {
            second.failed += 1;
            return;
        };
        let ns = ns.clamp(LOWEST_NS, HIGHEST_NS);
        let shift = ns.ilog2() - ROW_BITS;
        let row = (shift + ROW_BITS - LOWEST_BITS) as usize;
        let place = usize::try_from(ns >> shift).expect("eight bits are left") - ROW;
        second.rows[row].get_or_insert_with(|| Box::new([0; ROW]))[place] += 1;
        second.ok += 1;
    }

    /// Adds what another thread saw of the same slot.
    pub(super) fn merge(&mut self, other: Self) {
        if self.seconds.len() < other.seconds.len() {
            self.seconds
                .resize_with(other.seconds.len(), Second::default);
        }
        for (into, from) in self.seconds.iter_mut().zip(other.seconds) {
            into.ok += from.ok;
            into.failed += from.failed;
            for (into, from) in into.rows.iter_mut().zip(from.rows) {
                match (into.as_mut(), from) {
                    (Some(into), Some(from)) => {
                        into.iter_mut().zip(*from).for_each(|(a, b)| *a += b);
                    }
                    (None, from) => *into = from,
                    (Some(_), None) => {}
                }
            }
        }
    }

    /// The median of each second in nanoseconds; none where nothing ended, or where it would be a
    /// failure.
    pub(super) fn medians_ns(&self) -> Vec<Option<u64>> {
        self.seconds.iter().map(Second::median_ns).collect()
    }
}

impl Second {
    /// Read as [`crate::histogram::Histogram::rank`] does, at rank `ceil(N/2)`.
    fn median_ns(&self) -> Option<u64> {
        let rank = (self.ok + self.failed).div_ceil(2);
        if rank == 0 || rank > self.ok {
            return None;
        }
        let rows = self.rows.iter().zip(LOWEST_BITS..);
        let buckets = rows.flat_map(|(row, bits)| {
            let places = row.iter().flat_map(|row| row.iter().zip(0_u32..));
            places.map(move |(n, place)| (*n, place, bits))
        });
        let mut below = 0;
        for (n, place, bits) in buckets {
            if below + n >= rank {
                let width = count(1 << (bits - ROW_BITS));
                let inside = (f64::from(rank - below) - 0.5) / f64::from(n);
                let low = count(ROW as u64) + f64::from(place);
                return Some(whole(width * (low + inside)));
            }
            below += n;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn each_second_has_the_median_of_what_was_due_in_it() {
        let mut seconds = Seconds::new(SECOND_NS, 3 * SECOND_NS + SECOND_NS / 2);
        for n in 0..999 {
            seconds.record(SECOND_NS + n * MS, Some(MS + n * 1_000));
            seconds.record(2 * SECOND_NS + n * MS, Some(7 * MS));
        }
        // Beyond the last whole second, and before the first.
        seconds.record(4 * SECOND_NS + 1, Some(MS));
        seconds.record(0, Some(90 * MS));
        let medians = seconds.medians_ns();
        assert_eq!(medians.len(), 3);
        let near = |found: Option<u64>, ns: u64| found.is_some_and(|it| it.abs_diff(ns) < ns / 250);
        assert!(near(medians[0], 1_499_500), "{medians:?}");
        assert!(near(medians[1], 7 * MS), "{medians:?}");
        assert_eq!(medians[2], None);
    }

    #[test]
    fn failures_are_slower_than_every_success() {
        let mut seconds = Seconds::new(0, SECOND_NS);
        for ns in [MS, 2 * MS, 3 * MS] {
            seconds.record(5, Some(ns));
        }
        seconds.record(5, None);
        let median = seconds.medians_ns()[0].unwrap();
        assert!(median.abs_diff(2 * MS) < MS / 100, "{median}");
        (0..3).for_each(|_| seconds.record(5, None));
        assert_eq!(seconds.medians_ns(), [None]);
    }

    #[test]
    fn any_time_has_a_bucket_that_holds_it() {
        for ns in [
            0,
            1,
            1_023,
            1_024,
            2_047,
            2_048,
            123_456_789,
            HIGHEST_NS,
            u64::MAX,
        ] {
            let mut seconds = Seconds::new(0, SECOND_NS);
            seconds.record(0, Some(ns));
            let read = seconds.medians_ns()[0].unwrap();
            let kept = ns.clamp(LOWEST_NS, HIGHEST_NS);
            assert!(read.abs_diff(kept) <= kept / 128, "{ns}: {read}");
        }
    }

    #[test]
    fn two_threads_together_see_what_one_would() {
        let (mut one, mut two, mut all) = (
            Seconds::new(0, 2 * SECOND_NS),
            Seconds::default(),
            Seconds::new(0, 2 * SECOND_NS),
        );
        two.merge(Seconds::new(0, 2 * SECOND_NS));
        for n in 0..2_000_u64 {
            let ns = (n % 7 != 0).then_some(n * n * 50);
            if n % 3 == 0 { &mut one } else { &mut two }.record(n * MS, ns);
            all.record(n * MS, ns);
        }
        one.merge(two);
        assert_eq!(one.medians_ns(), all.medians_ns());
    }
}
