//! How many sessions there are, and how long, in memory that does not grow with them.
//!
//! Adaptive sampling (Flajolet, 1990): while there is room every session is counted; then only
//! those whose hash ends in one zero bit, then in two, and so on. What is kept is a fair sample.

use std::collections::HashMap;

use crate::units::count;

/// Sessions that are followed at once; the estimate of more is off by about half a percent.
const ROOM: usize = 1 << 16;

/// Counts requests by session.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    requests: HashMap<u64, u64>,
    /// Of two to the power of this, one session is followed.
    skipped_bits: u32,
}

impl Sessions {
    /// One request of the session with this hash, which must be evenly spread.
    pub(super) fn add(&mut self, hash: u64) {
        if hash.trailing_zeros() < self.skipped_bits {
            return;
        }
        *self.requests.entry(hash).or_default() += 1;
        while self.requests.len() > ROOM {
            self.skipped_bits += 1;
            let bits = self.skipped_bits;
            self.requests
                .retain(|hash, _| hash.trailing_zeros() >= bits);
        }
    }

    /// How many there are; exact while they have room.
    pub(super) fn count(&self) -> u64 {
        (self.requests.len() as u64) << self.skipped_bits
    }

    /// Whether the count is exact.
    pub(super) fn is_exact(&self) -> bool {
        self.skipped_bits == 0
    }

    /// How many requests the session has that is longer than this share of those followed.
    pub(super) fn quantile(&self, share: f64) -> u64 {
        let mut lengths: Vec<u64> = self.requests.values().copied().collect();
        lengths.sort_unstable();
        let last = lengths.len().saturating_sub(1);
        let wanted = share * count(last as u64);
        // The first whose place is not before the wanted one.
        let at = (0..=last).find(|at| count(*at as u64) >= wanted);
        at.and_then(|at| lengths.get(at)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(i: u64) -> u64 {
        let mut hash = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash ^ (hash >> 31)
    }

    #[test]
    fn few_sessions_are_counted_exactly() {
        let mut sessions = Sessions::default();
        for i in 0..300 {
            sessions.add(spread(i % 100));
        }
        sessions.add(spread(5));
        assert_eq!((sessions.count(), sessions.is_exact()), (100, true));
        assert_eq!((sessions.quantile(0.5), sessions.quantile(1.0)), (3, 4));
        assert_eq!(Sessions::default().quantile(0.5), 0);
    }

    #[test]
    fn many_sessions_are_estimated_in_bounded_memory() {
        let mut sessions = Sessions::default();
        for _ in 0..2 {
            for i in 0..1_000_000 {
                sessions.add(spread(i));
            }
        }
        assert!(!sessions.is_exact() && sessions.requests.len() <= ROOM);
        let off = count(sessions.count()) / 1e6 - 1.0;
        assert!(off.abs() < 0.02, "{off}");
        assert_eq!(sessions.quantile(0.5), 2);
    }
}
