//! Where all sending threads agree when a window begins that waits for what is in flight.
//!
//! Each arrives when nothing of its own is in flight any more, or when it has waited long
//! enough; the last one sets the instant for all. So no thread loads one side while another
//! still loads the other.

use std::sync::{Mutex, PoisonError};

/// Between the last arrival and the beginning, in nanoseconds: time to learn of it.
const LEAD_NS: u64 = 2_000_000;

/// The agreement of one run.
#[derive(Debug)]
pub(super) struct Rendezvous {
    threads: usize,
    /// For each window in order, how many have arrived and when it begins.
    windows: Mutex<Vec<(usize, u64)>>,
}

impl Rendezvous {
    /// An agreement between so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            windows: Mutex::default(),
        }
    }

    /// A thread is ready for the window with this number, counted from 0.
    pub(super) fn arrive(&self, window: usize, now_ns: u64) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() <= window {
            windows.resize(window + 1, (0, u64::MAX));
        }
        let (arrived, begin_ns) = &mut windows[window];
        *arrived += 1;
        if *arrived == self.threads {
            *begin_ns = now_ns + LEAD_NS;
        }
    }

    /// When the window begins, once all have arrived.
    pub(super) fn begin_ns(&self, window: usize) -> Option<u64> {
        let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, begin_ns) = windows.get(window)?;
        Some(*begin_ns).filter(|begin_ns| *begin_ns < u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_when_the_last_has_arrived_and_for_all_at_once() {
        let rendezvous = Rendezvous::new(2);
        rendezvous.arrive(0, 10);
        assert_eq!(rendezvous.begin_ns(0), None);
        rendezvous.arrive(0, 30);
        assert_eq!(rendezvous.begin_ns(0), Some(30 + LEAD_NS));
        assert_eq!(rendezvous.begin_ns(1), None);
        rendezvous.arrive(1, 50);
        assert_eq!(
            rendezvous.begin_ns(0),
            Some(30 + LEAD_NS),
            "for those who come to read late"
        );
        assert_eq!(rendezvous.begin_ns(1), None);
    }
}
