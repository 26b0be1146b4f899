//! Latency distributions: the only file that names hdrhistogram.
//!
//! Nanoseconds, three significant digits, 32-bit counts, created empty and grown by need, so
//! that an endpoint nobody asked costs nothing. Reads interpolate inside a bucket, because the
//! highest-equivalent read-out of the library would quantise small differences (method.md 2.2).

use base64::{Engine, engine::general_purpose::STANDARD};
use hdrhistogram::{
    Histogram as Hdr,
    serialization::{Deserializer, Serializer, V2DeflateSerializer},
};

use serde::{Deserialize, Serialize};

use crate::units::count;

/// Values below this many nanoseconds share buckets of 64 ns; above, three digits hold.
const LOWEST_NS: u64 = 100;
/// Longer times are recorded as this: about 1.2 hours.
const HIGHEST_NS: u64 = 1 << 42;
/// The smallest bucket is two to this power wide, and two to the other share one width.
const UNIT_BITS: u32 = 6;
const SUB_BITS: u32 = 11;
/// A distribution of fewer values than this, in fewer buckets than that, keeps only those that
/// it has: a workload of a thousand endpoints asks each of them rarely. What is recorded into one
/// by one is cheaper with all buckets, from fewer values on.
const SPARSE_VALUES: u32 = 4096;
const SPARSE_RECORDED: u32 = 512;
const SPARSE_BUCKETS: usize = 2048;

/// A distribution of durations in nanoseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Histogram(Store);

#[derive(Debug, Clone)]
enum Store {
    /// Buckets with their counts in ascending order, and how many values there are.
    Sparse(Vec<(Bucket, u32)>, u32),
    Full(Box<Hdr<u32>>),
}

impl Default for Histogram {
    fn default() -> Self {
        Self(Store::Sparse(Vec::new(), 0))
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.recorded().eq(other.recorded())
    }
}

/// One of the buckets of HdrHistogram with these parameters, in the order of their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bucket(u32);

impl Bucket {
    fn of(ns: u64) -> Self {
        let bits = u64::BITS - (ns | (1 << (UNIT_BITS + SUB_BITS)) >> 1).leading_zeros();
        let shift = bits - SUB_BITS;
        let place = u32::try_from(ns >> shift).expect("eleven bits are left");
        Self((shift - UNIT_BITS) << SUB_BITS | place)
    }

    fn width_ns(self) -> u64 {
        1 << ((self.0 >> SUB_BITS) + UNIT_BITS)
    }

    fn low_ns(self) -> u64 {
        u64::from(self.0 & ((1 << SUB_BITS) - 1)) * self.width_ns()
    }
}

/// What was wrong with an encoded histogram.
#[derive(Debug, thiserror::Error)]
#[error("not a histogram in the HdrHistogram V2 encoding: {0}")]
pub struct DecodeError(String);

impl TryFrom<String> for Histogram {
    type Error = DecodeError;

    fn try_from(text: String) -> Result<Self, DecodeError> {
        Self::decode(&text)
    }
}

impl From<Histogram> for String {
    fn from(histogram: Histogram) -> Self {
        histogram.encode()
    }
}

impl Histogram {
    /// Adds one duration; longer than the range counts as the longest.
    pub fn record(&mut self, ns: u64) {
        let ns = ns.min(HIGHEST_NS);
        match &mut self.0 {
            Store::Full(hdr) => hdr
                .record(ns)
                .expect("an auto-resized histogram takes every value"),
            Store::Sparse(_, values) if *values < SPARSE_RECORDED => self.add(Bucket::of(ns), 1),
            Store::Sparse(..) => self.full_mut(|hdr| add(hdr, Bucket::of(ns), 1)),
        }
    }

    /// Adds one duration so many times; longer than the range counts as the longest.
    pub fn record_n(&mut self, ns: u64, n: u32) {
        self.add(Bucket::of(ns.min(HIGHEST_NS)), n);
    }

    fn add(&mut self, bucket: Bucket, n: u32) {
        if n == 0 {
            return;
        }
        let Store::Sparse(buckets, values) = &mut self.0 else {
            return self.full_mut(|hdr| add(hdr, bucket, n));
        };
        *values = values.saturating_add(n);
        let is_above = buckets.last().is_none_or(|(last, _)| *last < bucket);
        let place = if is_above {
            Err(buckets.len())
        } else {
            buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket)
        };
        match place {
            Ok(at) => buckets[at].1 += n,
            Err(at) => buckets.insert(at, (bucket, n)),
        }
        self.grow();
    }

    /// Goes over to all buckets where there are many.
    fn grow(&mut self) {
        if let Store::Sparse(buckets, values) = &self.0
            && (*values >= SPARSE_VALUES || buckets.len() >= SPARSE_BUCKETS)
        {
            self.full_mut(|_| {});
        }
    }

    fn full_mut(&mut self, act: impl FnOnce(&mut Hdr<u32>)) {
        if let Store::Sparse(..) = &self.0 {
            self.0 = Store::Full(Box::new(self.full()));
        }
        if let Store::Full(hdr) = &mut self.0 {
            act(hdr);
        }
    }

    fn full(&self) -> Hdr<u32> {
        match &self.0 {
            Store::Full(hdr) => hdr.as_ref().clone(),
            Store::Sparse(buckets, _) => {
                let mut hdr = empty();
                for (bucket, n) in buckets {
                    add(&mut hdr, *bucket, *n);
                }
                hdr
            }
        }
    }

    /// Adds all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (Store::Sparse(into, values), Store::Sparse(from, more)) => {
                *values = values.saturating_add(*more);
                *into = united(into, from);
                self.grow();
            }
            (Store::Full(into), Store::Sparse(buckets, _)) => {
                for (bucket, n) in buckets {
                    add(into, *bucket, *n);
                }
            }
            (_, Store::Full(from)) => self.full_mut(|into| {
                into.add(from.as_ref())
                    .expect("equal, auto-resized parameters");
            }),
        }
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Store::Sparse(_, values) => u64::from(*values),
            Store::Full(hdr) => hdr.len(),
        }
    }

    /// Recorded buckets as (low edge, width, count), from low to high.
    fn recorded(&self) -> Box<dyn Iterator<Item = (u64, u64, u64)> + '_> {
        match &self.0 {
            Store::Sparse(buckets, _) => Box::new(
                buckets
                    .iter()
                    .map(|(bucket, n)| (bucket.low_ns(), bucket.width_ns(), u64::from(*n))),
            ),
            Store::Full(hdr) => Box::new(hdr.iter_recorded().map(|step| {
                let low_ns = hdr.lowest_equivalent(step.value_iterated_to());
                let n = step.count_since_last_iteration();
                (low_ns, hdr.equivalent_range(low_ns), n)
            })),
        }
    }

    /// The mean in nanoseconds; 0 when empty.
    pub fn mean_ns(&self) -> f64 {
        let sum = self
            .buckets()
            .map(|(middle_ns, n)| count(middle_ns) * count(n));
        sum.sum::<f64>() / count(self.count().max(1))
    }

    /// The largest value in nanoseconds, to three digits; 0 when empty.
    pub fn max_ns(&self) -> u64 {
        let last = self.recorded().last();
        last.map_or(0, |(low_ns, width_ns, _)| low_ns + width_ns - 1)
    }

    /// The quantile in `[0, 1]` in nanoseconds, interpolated; `None` when empty.
    pub fn quantile_ns(&self, quantile: f64) -> Option<f64> {
        let rank = (quantile * count(self.count())).ceil().max(1.0);
        self.rank(rank).map(|read| read.value_ns)
    }

    /// The value at a 1-based rank, interpolated inside its bucket:
    /// `L + W·(rank − ½ − C)/c` with low edge L, width W, count c and C values below
    /// (method.md 2.2). `None` when the rank is above the count.
    pub fn rank(&self, rank: f64) -> Option<Read> {
        let mut below = 0.0;
        for (low_ns, width_ns, n) in self.recorded() {
            let inside = count(n);
            if below + inside >= rank {
                let width_ns = count(width_ns);
                let value_ns = count(low_ns) + width_ns * (rank - 0.5 - below) / inside;
                return Some(Read { value_ns, width_ns });
            }
            below += inside;
        }
        None
    }

    /// The values at several 1-based ranks in ascending order, each as [`Histogram::rank`] reads
    /// it, in one pass.
    pub fn ranks(&self, ranks: &[f64]) -> Vec<Option<Read>> {
        let mut found = Vec::with_capacity(ranks.len());
        let mut below = 0.0;
        for (low_ns, width_ns, n) in self.recorded() {
            let (inside, width_ns) = (count(n), count(width_ns));
            while let Some(rank) = ranks.get(found.len()).filter(|it| below + inside >= **it) {
                let value_ns = count(low_ns) + width_ns * (rank - 0.5 - below) / inside;
                found.push(Some(Read { value_ns, width_ns }));
            }
            below += inside;
        }
        found.resize(ranks.len(), None);
        found
    }

    /// The recorded buckets from low to high as (middle in nanoseconds, count).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let recorded = self.recorded();
        recorded.map(|(low_ns, width_ns, n)| (low_ns + width_ns / 2, n))
    }

    /// The V2 compressed encoding in base64, as other histogram readers take it; an empty
    /// histogram is the empty text.
    pub fn encode(&self) -> String {
        if self.count() == 0 {
            return String::new();
        }
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&self.full(), &mut bytes)
            .expect("writing to memory");
        STANDARD.encode(bytes)
    }

    /// Reads what [`Histogram::encode`] wrote.
    ///
    /// # Errors
    /// When the text is no base64 or the bytes are no V2 histogram of this tool's parameters.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bytes = STANDARD
            .decode(text)
            .map_err(|error| DecodeError(error.to_string()))?;
        let mut hdr: Hdr<u32> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| DecodeError(format!("{error:?}")))?;
        if hdr.sigfig() != 3 || hdr.low() != LOWEST_NS {
            return Err(DecodeError(
                "other precision or unit than this tool writes".into(),
            ));
        }
        hdr.auto(true);
        Ok(Self(Store::Full(Box::new(hdr))))
    }
}

/// One interpolated read-out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Read {
    /// The value in nanoseconds.
    pub value_ns: f64,
    /// The width of its bucket in nanoseconds: the resolution of the read-out.
    pub width_ns: f64,
}

/// The counts of two lists in the order of the buckets, each bucket once.
fn united(a: &[(Bucket, u32)], b: &[(Bucket, u32)]) -> Vec<(Bucket, u32)> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut a, mut b) = (a.iter().copied().peekable(), b.iter().copied().peekable());
    loop {
        let first = match (a.peek(), b.peek()) {
            (Some(x), Some(y)) => x.0.cmp(&y.0),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return all,
        };
        let x = a.next_if(|_| first.is_le());
        let y = b.next_if(|_| first.is_ge());
        all.extend(match (x, y) {
            (Some(x), Some(y)) => Some((x.0, x.1.saturating_add(y.1))),
            (x, y) => x.or(y),
        });
    }
}

fn add(hdr: &mut Hdr<u32>, bucket: Bucket, n: u32) {
    hdr.record_n(bucket.low_ns(), n)
        .expect("an auto-resized histogram takes every value");
}

fn empty() -> Hdr<u32> {
    let mut hdr = Hdr::new_with_bounds(LOWEST_NS, 4 * LOWEST_NS, 3).expect("valid bounds");
    hdr.auto(true);
    hdr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_promised_three_digits() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000_u64 {
            histogram.record(value * 1_000);
        }
        for quantile in [0.01, 0.5, 0.9, 0.99, 0.999] {
            let read = histogram.quantile_ns(quantile).unwrap();
            let exact = quantile * 1e8;
            assert!((read / exact - 1.0).abs() < 1e-3, "{quantile}: {read}");
        }
        assert_eq!(histogram.rank(100_001.0), None);
        let ranks = [1.0, 1.0, 7.0, 99_000.0, 100_000.0, 100_001.0];
        let each: Vec<_> = ranks.iter().map(|rank| histogram.rank(*rank)).collect();
        assert_eq!(histogram.ranks(&ranks), each);
        assert_eq!(Histogram::default().quantile_ns(0.5), None);
    }

    #[test]
    fn encoding_keeps_every_count() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 99, 7_777, 1_000_000, 3_600_000_000_000, u64::MAX] {
            histogram.record(value);
        }
        let back = Histogram::decode(&histogram.encode()).unwrap();
        assert_eq!(back, histogram);
        assert_eq!(back.encode(), histogram.encode());
        assert_eq!(Histogram::decode("").unwrap(), Histogram::default());
        for damaged in ["!", "HISTFA", "HISTFAAAAAAAAAAA"] {
            assert!(Histogram::decode(damaged).is_err());
        }
    }

    #[test]
    fn merging_equals_recording_together() {
        let (mut a, mut b, mut both) = (
            Histogram::default(),
            Histogram::default(),
            Histogram::default(),
        );
        for value in 1..1_000_u64 {
            if value % 3 == 0 { &mut a } else { &mut b }.record(value * value);
            both.record(value * value);
        }
        a.merge(&b);
        assert_eq!(a, both);
        let (few, mut some) = ([5, 900, 5_000, 900], Histogram::default());
        for ns in few {
            some.record_n(ns, 2);
        }
        let mut twice = some.clone();
        for ns in few {
            twice.record_n(ns, 2);
        }
        some.merge(&some.clone());
        assert_eq!((&some, some.count()), (&twice, 16));
    }

    #[test]
    fn few_values_are_kept_as_they_would_be_among_many() {
        let mut value = 1_u64;
        let mut histogram = Histogram::default();
        let mut full = empty();
        for n in 0..SPARSE_VALUES + 10 {
            value = value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let ns = (value >> 20) >> (n % 40);
            histogram.record(ns);
            full.record(ns.min(HIGHEST_NS)).unwrap();
            let ns = ns.min(HIGHEST_NS);
            assert_eq!(Bucket::of(ns).low_ns(), full.lowest_equivalent(ns), "{ns}");
            assert_eq!(Bucket::of(ns).width_ns(), full.equivalent_range(ns), "{ns}");
            if n.is_multiple_of(500) || n.abs_diff(SPARSE_RECORDED) < 3 {
                let other = Histogram(Store::Full(Box::new(full.clone())));
                assert_eq!(histogram, other);
                assert_eq!(histogram.encode(), other.encode());
                assert_eq!(histogram.max_ns(), full.max());
                assert!((histogram.mean_ns() / full.mean() - 1.0).abs() < 1e-9);
            }
        }
        assert!(matches!(histogram.0, Store::Full(_)));
    }

    #[test]
    fn sums_of_few_values_stay_small_until_they_are_many() {
        let (mut part, mut sum) = (Histogram::default(), Histogram::default());
        (0..100).for_each(|n| part.record(n << 20));
        for n in 0..SPARSE_VALUES / 100 {
            assert!(matches!(sum.0, Store::Sparse(..)), "{n}");
            sum.merge(&part);
        }
        sum.merge(&part);
        assert!(matches!(sum.0, Store::Full(_)));
        assert_eq!(sum.count(), u64::from(SPARSE_VALUES / 100 + 1) * 100);
    }
}
