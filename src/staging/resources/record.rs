//! Readings of one source in the order of time, and what was used between two instants. Pure.

use std::collections::VecDeque;

use super::Reading;
use crate::{
    run::Resources,
    units::{count, whole},
};

/// Readings are thinned out beyond so many.
const KEPT_MAX: usize = 4096;
/// A total that stays below an earlier one for so many readings has lost a process for good.
const DIPS_MAX: u32 = 3;

/// What one source said so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    samples: VecDeque<Sample>,
    /// Added to what is read, so that the total never falls.
    lift_ns: u64,
    dips: u32,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at_ns: u64,
    cpu_ns: Option<u64>,
    /// The most since the sample before.
    bytes: Option<u64>,
}

impl Record {
    /// Takes a reading; instants do not go back.
    pub(super) fn push(&mut self, at_ns: u64, reading: Reading) {
        let sample = Sample {
            at_ns,
            cpu_ns: reading.cpu_ns.map(|cpu_ns| self.risen(cpu_ns)),
            bytes: reading.bytes,
        };
        self.samples.push_back(sample);
        if self.samples.len() > KEPT_MAX {
            self.thin();
        }
    }

    /// When the last reading was taken.
    pub(super) fn last_ns(&self) -> Option<u64> {
        self.samples.back().map(|sample| sample.at_ns)
    }

    /// The total without falls: what ends between two looks is missing in one reading and
    /// there again in the next, while what has left the tree is missing for good.
    fn risen(&mut self, cpu_ns: u64) -> u64 {
        let last_ns = self.samples.back().and_then(|sample| sample.cpu_ns);
        let (last_ns, cpu_ns) = (last_ns.unwrap_or(0), cpu_ns + self.lift_ns);
        if cpu_ns >= last_ns {
            self.dips = 0;
            return cpu_ns;
        }
        self.dips += 1;
        if self.dips == DIPS_MAX {
            self.dips = 0;
            self.lift_ns += last_ns - cpu_ns;
        }
        last_ns
    }

    /// Keeps every second sample of the older half; of memory the most of both.
    fn thin(&mut self) {
        let newer = self.samples.split_off(KEPT_MAX / 2);
        let older = std::mem::take(&mut self.samples);
        let pairs = older.iter().zip(older.iter().skip(1)).step_by(2);
        let merged = pairs.map(|(first, second)| Sample {
            bytes: first.bytes.max(second.bytes),
            ..*second
        });
        self.samples = merged.chain(newer).collect();
    }

    /// What was used from one instant to another, the readings next to them being joined by
    /// straight lines; nothing where a reading on either side is missing.
    pub(super) fn between(&self, begin_ns: u64, end_ns: u64) -> Resources {
        let cpu_ns = self.total_at(begin_ns).zip(self.total_at(end_ns));
        // The first sample at or behind the end has seen what was held until then.
        let behind = self.samples.partition_point(|it| it.at_ns < end_ns);
        let first = self.samples.partition_point(|it| it.at_ns <= begin_ns);
        let covered = behind < self.samples.len() && self.samples[0].at_ns <= begin_ns;
        let peaks = self.samples.range(first.min(behind)..);
        let peaks = peaks.take(behind + 1 - first.min(behind));
        Resources {
            cpu_ns: cpu_ns.map(|(begin, end)| end.saturating_sub(begin)),
            peak_bytes: covered
                .then(|| peaks.filter_map(|it| it.bytes).max())
                .flatten(),
        }
    }

    fn total_at(&self, at_ns: u64) -> Option<u64> {
        let behind = self.samples.partition_point(|it| it.at_ns < at_ns);
        let next = self.samples.get(behind)?;
        if next.at_ns == at_ns {
            return next.cpu_ns;
        }
        let before = self.samples.get(behind.checked_sub(1)?)?;
        let (low, high) = (before.cpu_ns?, next.cpu_ns?);
        let part = count(at_ns - before.at_ns) / count(next.at_ns - before.at_ns);
        Some(low + whole(count(high - low) * part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(samples: &[(u64, u64, u64)]) -> Record {
        let mut record = Record::default();
        for (at_ns, cpu_ns, bytes) in samples {
            let reading = Reading {
                cpu_ns: Some(*cpu_ns),
                bytes: Some(*bytes),
            };
            record.push(*at_ns, reading);
        }
        record
    }

    #[test]
    fn what_was_used_lies_on_straight_lines_between_the_readings() {
        let record = record(&[(0, 50, 7), (100, 150, 9), (200, 150, 8), (300, 450, 5)]);
        let used = |begin_ns, end_ns| {
            let used = record.between(begin_ns, end_ns);
            (used.cpu_ns, used.peak_bytes)
        };
        assert_eq!(used(0, 300), (Some(400), Some(9)));
        assert_eq!(used(50, 250), (Some(200), Some(9)));
        assert_eq!(used(100, 200), (Some(0), Some(8)));
        assert_eq!(used(200, 300), (Some(300), Some(5)));
        assert_eq!(used(210, 220), (Some(30), Some(5)));
        assert_eq!(used(200, 301), (None, None), "nobody looked that late");
        let late = self::record(&[(10, 1, 1), (20, 2, 1)]);
        assert_eq!(late.between(5, 15), Resources::default());
        assert_eq!(Record::default().between(0, 1), Resources::default());
    }

    #[test]
    fn what_a_source_does_not_say_is_unknown() {
        let mut record = Record::default();
        for at_ns in [0, 10] {
            let reading = Reading {
                cpu_ns: None,
                bytes: Some(at_ns),
            };
            record.push(at_ns, reading);
        }
        let used = record.between(0, 10);
        assert_eq!((used.cpu_ns, used.peak_bytes), (None, Some(10)));
    }

    #[test]
    fn a_short_dip_is_made_up_for_and_a_long_one_is_a_loss() {
        // One reading misses a child that has just ended; the next has it from its parent.
        let short = record(&[(0, 100, 0), (1, 60, 0), (2, 110, 0), (3, 120, 0)]);
        assert_eq!(short.between(0, 3).cpu_ns, Some(20));
        // Somebody has left with 40 for good; the rest goes on at 10 a reading.
        let long = [100, 60, 70, 80, 90, 100, 110];
        let long: Vec<_> = (0..).zip(long).map(|(at, cpu)| (at, cpu, 0)).collect();
        assert_eq!(record(&long).between(3, 6).cpu_ns, Some(30));
    }

    #[test]
    fn a_long_record_is_thinned_and_forgets_no_peak() {
        let mut record = Record::default();
        for n in 0..3 * KEPT_MAX as u64 {
            let reading = Reading {
                cpu_ns: Some(7 * n),
                bytes: Some(if n == 33 { 1_000 } else { 10 }),
            };
            record.push(n, reading);
        }
        assert!(record.samples.len() <= KEPT_MAX);
        let last = record.last_ns().unwrap();
        let used = record.between(last / 2, last);
        assert_eq!(used.cpu_ns, Some(7 * (last - last / 2)));
        assert_eq!(
            record.between(record.samples[0].at_ns, last).peak_bytes,
            Some(10)
        );
        let peaks = record.samples.iter().filter_map(|it| it.bytes);
        assert_eq!(peaks.max(), Some(1_000));
    }
}
