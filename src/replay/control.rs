//! What a run is held to, and how it is watched and stopped from outside.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Bounds on requests and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight per side; more are counted as not sent.
    pub in_flight_max: usize,
    /// Connections per side that carry one request at a time.
    pub connections_max: usize,
    /// Connections per side that carry several.
    pub http2_connections_max: usize,
    /// Requests at once on one connection, where the protocol allows several.
    pub streams_max: usize,
    /// Time to connect, TLS included, in nanoseconds.
    pub connect_ns: u64,
    /// Time from the request to the end of the answer's head, in nanoseconds.
    pub header_ns: u64,
    /// Time that a body may stand still, in nanoseconds.
    pub idle_ns: u64,
    /// Time for the whole request, in nanoseconds.
    pub total_ns: u64,
    /// Time for what is in flight when a run is stopped, in nanoseconds.
    pub drain_ns: u64,
}

impl Limits {
    /// Those of tests: a second for everything, and one connection that carries several requests.
    #[cfg(test)]
    pub(super) const OF_TESTS: Self = {
        use crate::units::SECOND_NS;
        Self {
            in_flight_max: 100,
            connections_max: 100,
            http2_connections_max: 1,
            streams_max: 100,
            connect_ns: SECOND_NS,
            header_ns: SECOND_NS,
            idle_ns: SECOND_NS,
            total_ns: 3 * SECOND_NS,
            drain_ns: SECOND_NS,
        }
    };

    /// The share of one of several threads; all shares together are the
    /// whole, unless there is less than one for each.
    pub(super) fn share(self, thread: usize, threads: usize) -> Self {
        let part = |whole| share(whole, thread, threads).max(1);
        Self {
            in_flight_max: part(self.in_flight_max),
            connections_max: part(self.connections_max),
            http2_connections_max: part(self.http2_connections_max),
            ..self
        }
    }
}

/// The part of a whole that falls to one of several threads.
pub(super) fn share(whole: usize, thread: usize, threads: usize) -> usize {
    whole / threads + usize::from(thread < whole % threads)
}

/// Whether a run goes on, as seen by all its threads.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

impl Stop {
    /// Send nothing more, wait for what is in flight.
    pub fn gently(&self) {
        self.0.fetch_max(1, Ordering::Relaxed);
    }

    /// Give up what is in flight too.
    pub fn at_once(&self) {
        self.0.fetch_max(2, Ordering::Relaxed);
    }

    /// Whether sending is over.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether what is in flight is given up.
    pub(super) fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// What a progress display may read while the load runs; brought up to date some fifty times a
/// second.
#[derive(Debug, Default)]
pub struct Gauge {
    /// Requests sent so far.
    pub sent: AtomicU64,
    /// Requests that failed so far.
    pub failed: AtomicU64,
    /// Requests in flight now.
    pub in_flight: AtomicU64,
    /// Connections that broke the protocol while idle.
    pub stray: AtomicU64,
    /// Requests that were sent and have ended, by side, the baseline first.
    pub ended: [AtomicU64; 2],
    /// Those of them to which the target gave no sign of life.
    pub unanswered: [AtomicU64; 2],
}
