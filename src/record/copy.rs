//! Copies of bodies, made while the bodies pass: each has a limit, and so have all together.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::exchange::reason;

/// The largest body that is recorded, in bytes.
const LARGEST_BODY: usize = 8 << 20;
/// All bodies that are held at once, in bytes.
const MOST_HELD: usize = 64 << 20;

/// How many bytes of bodies are held, all together.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let order = Ordering::Relaxed;
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= MOST_HELD);
        self.0.fetch_update(order, order, more).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes of a body that count against the room until they are dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    room: Arc<Room>,
}

impl Held {
    /// The bytes themselves, which no longer count.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.room.give(self.bytes.len());
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.give(self.bytes.len());
    }
}

#[derive(Debug)]
enum Progress {
    Growing(Held),
    Whole(Held),
    Lost(&'static str),
}

/// The copy of a request's body, which grows while the body passes.
#[derive(Debug)]
pub(super) struct BodyCopy(Mutex<Progress>);

impl BodyCopy {
    /// An empty copy, whose bytes will count against the room.
    pub(super) fn new(room: Arc<Room>) -> Self {
        let held = Held {
            bytes: Vec::new(),
            room,
        };
        Self(Mutex::new(Progress::Growing(held)))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes, as long as there is room for them.
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut progress = self.progress();
        let Progress::Growing(held) = &mut *progress else {
            return;
        };
        if held.bytes.len() + bytes.len() > LARGEST_BODY {
            *progress = Progress::Lost(reason::LARGE);
        } else if held.room.take(bytes.len()) {
            held.bytes.extend_from_slice(bytes);
        } else {
            *progress = Progress::Lost(reason::NO_ROOM);
        }
    }

    /// The body is complete.
    pub(super) fn end(&self) {
        let mut progress = self.progress();
        *progress = match std::mem::replace(&mut *progress, Progress::Lost(reason::PART)) {
            Progress::Growing(held) => Progress::Whole(held),
            other => other,
        };
    }

    /// The whole body, or why it is not there.
    pub(super) fn take(&self) -> Result<Held, &'static str> {
        let mut progress = self.progress();
        match std::mem::replace(&mut *progress, Progress::Lost(reason::PART)) {
            Progress::Whole(held) => Ok(held),
            Progress::Growing(_) => Err(reason::PART),
            Progress::Lost(reason) => Err(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_a_limit_each_and_together() {
        let room = Arc::new(Room::default());
        let hold = || BodyCopy::new(Arc::clone(&room));
        let large = hold();
        (0..9).for_each(|_| large.add(&vec![0; 1 << 20]));
        large.end();
        assert_eq!(large.take().unwrap_err(), reason::LARGE);
        let many: Vec<_> = (0..9).map(|_| hold()).collect();
        for copy in &many {
            copy.add(&vec![0; LARGEST_BODY]);
            copy.end();
        }
        let taken: Vec<_> = many.iter().map(BodyCopy::take).collect();
        assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 8);
        assert_eq!(*taken[8].as_ref().unwrap_err(), reason::NO_ROOM);
        drop(taken);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
        let part = hold();
        part.add(b"half");
        assert_eq!(part.take().unwrap_err(), reason::PART);
        drop(part);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
