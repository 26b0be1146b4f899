//! What a sending thread has counted since it last added to the gauge.

use std::sync::atomic::Ordering;

use super::{control::Gauge, exchange::Ended};
use crate::run::Group;

/// Counts since the last report, and what was in flight then.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Requests that went out.
    pub(super) sent: u64,
    failed: u64,
    in_flight: u64,
    ended: [u64; 2],
    unanswered: [u64; 2],
}

impl Counted {
    /// A request has ended.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let side = ended.exchange.side;
        self.failed += u64::from(ended.class.group() != Group::Ok);
        self.ended[side] += 1;
        self.unanswered[side] += u64::from(ended.class.is_unanswered());
    }

    /// Adds everything to the gauge.
    pub(super) fn report(&mut self, gauge: &Gauge, (in_flight, strays): (u64, u64)) {
        let counted = std::mem::take(self);
        gauge.sent.fetch_add(counted.sent, Ordering::Relaxed);
        gauge.failed.fetch_add(counted.failed, Ordering::Relaxed);
        gauge.stray.fetch_add(strays, Ordering::Relaxed);
        for side in [0, 1] {
            gauge.ended[side].fetch_add(counted.ended[side], Ordering::Relaxed);
            gauge.unanswered[side].fetch_add(counted.unanswered[side], Ordering::Relaxed);
        }
        // Several threads share the gauge: each adds what has changed on its own.
        let change = in_flight.wrapping_sub(counted.in_flight);
        gauge.in_flight.fetch_add(change, Ordering::Relaxed);
        self.in_flight = in_flight;
    }
}
