//! Reads the sources of both sides while the load runs, on a thread that sends nothing.
//!
//! Ten times a second, and once more when a slot has closed, so that its end lies close to a
//! reading; what lies between two readings is put on a straight line.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Meter, record::Record};
use crate::{
    clock::Clock,
    run::{Side, Slot},
};

/// Between two readings.
const INTERVAL: Duration = Duration::from_millis(100);

/// A source that could not be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Whose it was.
    pub side: Side,
    /// Since when, in nanoseconds after the start of the load.
    pub at_ns: u64,
    /// Why.
    pub cause: String,
}

/// A thread that reads; it ends when this value goes away.
#[derive(Debug)]
pub struct Sampler {
    watch: Arc<Mutex<Watch>>,
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What it reads, and what it has read.
#[derive(Debug)]
struct Watch {
    clock: Clock,
    sides: [Option<Watched>; 2],
    lost: Vec<Lost>,
}

#[derive(Debug)]
struct Watched {
    /// Absent when it was lost.
    source: Option<Meter>,
    record: Record,
}

impl Sampler {
    /// Begins to read the sources of the baseline and the candidate. The zero of the clock is
    /// the start of the load. `None` when there is nothing to read.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(sources: &[Option<Meter>; 2], clock: Clock) -> io::Result<Option<Self>> {
        if sources.iter().all(Option::is_none) {
            return Ok(None);
        }
        let watched = |source: &Option<Meter>| {
            source.clone().map(|source| Watched {
                source: Some(source),
                record: Record::default(),
            })
        };
        let watch = Arc::new(Mutex::new(Watch {
            clock,
            sides: sources.each_ref().map(watched),
            lost: Vec::new(),
        }));
        let (end, ended) = sync_channel(1);
        let shared = Arc::clone(&watch);
        let thread = thread::Builder::new().name("resources".to_owned());
        let thread = thread.spawn(move || sample(&shared, &ended))?;
        Ok(Some(Self {
            watch,
            end: Some(end),
            thread: Some(thread),
        }))
    }

    /// Writes into a slot that has closed what its side used in its measured time; nothing where
    /// that is unknown.
    pub fn fill(&self, slot: &mut Slot) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let end_ns = slot.start_ns + slot.length_ns;
        let is_behind = |watched: &Watched| watched.record.last_ns() < Some(end_ns);
        if watch.sides.iter().flatten().any(is_behind) {
            watch.look(true);
        }
        if let Some(watched) = &watch.sides[slot.side.index()] {
            let used = watched.record.between(slot.start_ns, end_ns);
            slot.resources = Some(used).filter(|used| *used != crate::run::Resources::default());
        }
    }

    /// The sources that went away so far.
    pub fn lost(&self) -> Vec<Lost> {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.lost.clone()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sample(watch: &Mutex<Watch>, ended: &Receiver<()>) {
    loop {
        watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look(false);
        if ended.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

impl Watch {
    fn look(&mut self, scan: bool) {
        for side in Side::BOTH {
            let Some(watched) = &mut self.sides[side.index()] else {
                continue;
            };
            let Some(source) = &mut watched.source else {
                continue;
            };
            let begin_ns = self.clock.now_ns();
            let reading = source.read(scan);
            // A reading takes a while, and belongs to the middle of it.
            let at_ns = begin_ns.midpoint(self.clock.now_ns());
            match reading {
                Ok(reading) => watched.record.push(at_ns, reading),
                Err(error) => {
                    watched.source = None;
                    let cause = error.to_string();
                    self.lost.push(Lost { side, at_ns, cause });
                }
            }
        }
    }
}
