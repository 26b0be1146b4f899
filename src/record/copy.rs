//! Copies of bodies, made while the bodies pass: each has a limit, and so have all together.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use super::exchange::reason;

/// How large copies may become, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// One of them.
    largest: usize,
    /// No byte is taken beyond so many that are held for all bodies together.
    most_held: usize,
}

/// Of requests, which are recorded.
pub(super) const OF_REQUESTS: Bounds = Bounds {
    largest: 8 << 20,
    most_held: 64 << 20,
};
/// Of answers, which are only looked at: they never take the last of the room, and where bodies
/// pile up because the thread that reads them is behind, it gets none of them to read.
pub(super) const OF_ANSWERS: Bounds = Bounds {
    largest: 1 << 20,
    most_held: 16 << 20,
};

/// How many bytes of bodies are held, all together.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

impl Room {
    fn take(&self, bytes: usize, most_held: usize) -> bool {
        let order = Ordering::Relaxed;
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= most_held);
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

/// The copy of a body, which grows while the body passes.
#[derive(Debug)]
pub(super) struct BodyCopy {
    progress: Mutex<Progress>,
    bounds: Bounds,
}

impl BodyCopy {
    /// An empty copy, whose bytes will count against the room.
    pub(super) fn new(room: Arc<Room>, bounds: Bounds) -> Self {
        let held = Held {
            bytes: Vec::new(),
            room,
        };
        Self {
            progress: Mutex::new(Progress::Growing(held)),
            bounds,
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds bytes, as long as there is room for them.
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut progress = self.progress();
        let Progress::Growing(held) = &mut *progress else {
            return;
        };
        if held.bytes.len() + bytes.len() > self.bounds.largest {
            *progress = Progress::Lost(reason::LARGE);
        } else if held.room.take(bytes.len(), self.bounds.most_held) {
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
        let hold = || BodyCopy::new(Arc::clone(&room), OF_REQUESTS);
        let large = hold();
        (0..9).for_each(|_| large.add(&vec![0; 1 << 20]));
        large.end();
        assert_eq!(large.take().unwrap_err(), reason::LARGE);
        let many: Vec<_> = (0..9).map(|_| hold()).collect();
        for copy in &many {
            copy.add(&vec![0; OF_REQUESTS.largest]);
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

    #[test]
    fn answers_never_take_the_room_of_requests() {
        let room = Arc::new(Room::default());
        let of = |bounds, size: usize| {
            let copy = BodyCopy::new(Arc::clone(&room), bounds);
            copy.add(&vec![0; size]);
            copy.end();
            copy.take()
        };
        assert_eq!(of(OF_ANSWERS, (1 << 20) + 1).unwrap_err(), reason::LARGE);
        let answers: Vec<_> = (0..20).map(|_| of(OF_ANSWERS, 1 << 20)).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 16);
        let request = of(OF_REQUESTS, 8 << 20);
        assert!(request.is_ok());
        drop(answers);
        assert!(of(OF_ANSWERS, 1 << 20).is_ok());
        drop(request);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
