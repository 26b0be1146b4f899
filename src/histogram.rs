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

/// A distribution of durations in nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Histogram {
    // Absent until the first value.
    hdr: Option<Box<Hdr<u32>>>,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        match (&self.hdr, &other.hdr) {
            (Some(a), Some(b)) => a == b,
            _ => self.count() == 0 && other.count() == 0,
        }
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
        let hdr = self.hdr.get_or_insert_with(|| Box::new(empty()));
        hdr.record(ns.min(HIGHEST_NS))
            .expect("an auto-resized histogram takes every value");
    }

    /// Adds all values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        let Some(from) = &other.hdr else { return };
        match &mut self.hdr {
            Some(into) => into
                .add(from.as_ref())
                .expect("equal, auto-resized parameters"),
            None => self.hdr = Some(from.clone()),
        }
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.hdr.as_ref().map_or(0, |hdr| hdr.len())
    }

    /// The mean in nanoseconds; 0 when empty.
    pub fn mean_ns(&self) -> f64 {
        self.hdr.as_ref().map_or(0.0, |hdr| hdr.mean())
    }

    /// The largest value in nanoseconds, to three digits; 0 when empty.
    pub fn max_ns(&self) -> u64 {
        self.hdr.as_ref().map_or(0, |hdr| hdr.max())
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
        let hdr = self.hdr.as_ref()?;
        let mut below = 0.0;
        for bucket in hdr.iter_recorded() {
            let inside = count(bucket.count_since_last_iteration());
            if below + inside >= rank {
                let low = hdr.lowest_equivalent(bucket.value_iterated_to());
                let width = count(hdr.equivalent_range(low));
                let value_ns = count(low) + width * (rank - 0.5 - below) / inside;
                return Some(Read {
                    value_ns,
                    width_ns: width,
                });
            }
            below += inside;
        }
        None
    }

    /// The recorded buckets from low to high as (middle in nanoseconds, count).
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.hdr.iter().flat_map(|hdr| {
            hdr.iter_recorded().map(|bucket| {
                let middle = hdr.median_equivalent(bucket.value_iterated_to());
                (middle, bucket.count_since_last_iteration())
            })
        })
    }

    /// The V2 compressed encoding in base64, as other histogram readers take it; an empty
    /// histogram is the empty text.
    pub fn encode(&self) -> String {
        let Some(hdr) = &self.hdr else {
            return String::new();
        };
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(hdr, &mut bytes)
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
        Ok(Self {
            hdr: Some(Box::new(hdr)),
        })
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
    }
}
