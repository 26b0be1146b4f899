//! Starting and stopping the threads of a run, and putting slots together from their parts.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
};

use mio::{Poll, Waker};
use tokio::sync::mpsc;

use super::{
    control::{Gauge, Limits, Stop, share},
    encode::Encoder,
    feed::{Endpoints, Feed},
    queue::queue,
    rendezvous::Rendezvous,
    schedule::{Arrivals, Layout, SlotSpec},
    source::{Recipe, Source},
    stream::{Route, RouteError},
    tally::{Part, merge},
    worker::{self, FEED_TOKEN, Task},
};
use crate::{
    clock::{Clock, prefer_this_thread, wall_ns},
    run::{Class, EndpointStats, Side, Slot},
    tls::Trust,
    units::SECOND_NS,
    workload::{Target, Workload, WorkloadError},
};

/// Time between starting the threads and the first instant of the schedule.
const LEAD_NS: u64 = SECOND_NS / 10;
/// Parts of slots that may wait for the conductor.
const PARTS_DEPTH: usize = 1024;

/// Everything that decides what a run sends.
#[derive(Debug, Clone)]
pub struct Load {
    /// The resolved targets: baseline and candidate; a run of one side has only the candidate.
    pub targets: [Option<Target>; 2],
    /// What is sent.
    pub workload: Workload,
    /// How the time is cut.
    pub layout: Layout,
    /// When requests are due.
    pub arrivals: Arrivals,
    /// Makes every choice of the schedule repeatable.
    pub seed: u64,
    /// Bounds on requests and connections.
    pub limits: Limits,
    /// Sending threads, at least 1.
    pub threads: usize,
    /// The mark that each request carries.
    pub run_id: String,
    /// How certificates are checked.
    pub trust: Trust,
}

/// Why a run could not go on; never anything that a target did.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A target cannot be connected to at all.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The workload could not be read.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A thread could not be started, or its runtime broke.
    #[error("the load engine failed: {0}")]
    Io(#[from] io::Error),
    /// A bug: a thread of the engine panicked.
    #[error("a thread of the load engine panicked; this is a bug in proofload")]
    Panicked,
}

/// A run under way.
#[derive(Debug)]
pub struct Running {
    parts: mpsc::Receiver<Part>,
    threads: Vec<Thread>,
    gathering: BTreeMap<u32, (usize, Part)>,
    ready: BTreeMap<u32, Slot>,
    specs: BTreeMap<u32, SlotSpec>,
    workers: usize,
    endpoints: Endpoints,
    load_length_ns: u64,
    start_ns: u64,
    /// Ends the run early.
    pub stop: Arc<Stop>,
    /// What a progress display may read.
    pub gauge: Arc<Gauge>,
    /// Its zero is the start of the run, as in `start_ns` of a slot.
    pub clock: Clock,
}

/// Starts a run; returns as soon as its threads are started.
///
/// # Errors
/// When a target was not resolved, the workload cannot be read, or a thread not be started.
pub fn start(load: &Load) -> Result<Running, EngineError> {
    let clock = Clock::start();
    let routes = routes(load)?;
    let recipe = Arc::new(recipe(load));
    let names = recipe.endpoints.clone();
    // A small workload is read here, so that the first request is not late.
    let source = Source::new(&recipe)?;
    let start_ns = clock.now_ns() + LEAD_NS;
    let (stop, gauge) = (Arc::new(Stop::default()), Arc::new(Gauge::default()));
    let (parts_in, parts) = mpsc::channel(PARTS_DEPTH);
    let mut threads = Vec::new();
    let mut lanes = Vec::new();
    let workers = load.threads.max(1);
    let switches = load.layout.takes_turns();
    let rendezvous = switches.then(|| Arc::new(Rendezvous::new(workers)));
    for n in 0..workers {
        let poll = Poll::new()?;
        let (lane, feed) = queue(Waker::new(poll.registry(), FEED_TOKEN)?);
        lanes.push(lane);
        threads.push(spawn(
            n,
            Task {
                clock,
                poll,
                routes: routes.clone(),
                limits: load.limits.share(n, workers),
                clients: load.arrivals.clients().map(|it| share(it, n, workers)),
                start_ns,
                recipe: Arc::clone(&recipe),
                rendezvous: rendezvous.clone(),
                gauge: Arc::clone(&gauge),
                stop: Arc::clone(&stop),
                feed,
                parts: parts_in.clone(),
            },
        )?);
    }
    let feed = Feed {
        recipe,
        clock,
        start_ns,
        lanes,
        stop: Arc::clone(&stop),
    };
    let feeder = thread::Builder::new().name("feed".to_owned());
    threads.push(feeder.spawn(move || {
        let _guard = OnPanic(Arc::clone(&feed.stop));
        Ok(feed.run(source)?)
    })?);
    let windows = load.layout.windows(load.seed);
    let specs = windows.flat_map(|window| window.slots);
    Ok(Running {
        parts,
        threads,
        gathering: BTreeMap::new(),
        ready: BTreeMap::new(),
        specs: specs.map(|spec| (spec.id, spec)).collect(),
        workers,
        endpoints: names,
        load_length_ns: load.layout.slot_ns,
        start_ns,
        stop,
        gauge,
        clock: clock.with_zero_at(start_ns),
    })
}

/// What decides the sequence of requests.
fn recipe(load: &Load) -> Recipe {
    let encoder = |side: Side| {
        let target = load.targets[side.index()].as_ref()?;
        Some(Encoder::new(target, &load.run_id, side))
    };
    Recipe {
        workload: load.workload.clone(),
        layout: load.layout,
        arrivals: load.arrivals,
        seed: load.seed,
        encoders: Side::BOTH.map(encoder),
        endpoints: Endpoints::new(&load.workload),
        rules: match load.arrivals.clients() {
            None => load.workload.rules().clone(),
            // Whoever is free sends the next request of any client.
            Some(_) => load.workload.rules().without_clients(),
        },
        wall_ns: wall_ns(),
    }
}

/// Stops the other threads when this one panics: they would wait for it.
struct OnPanic(Arc<Stop>);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.at_once();
        }
    }
}

fn routes(load: &Load) -> Result<[Option<Route>; 2], RouteError> {
    let mut routes = [None, None];
    for (route, target) in routes.iter_mut().zip(&load.targets) {
        if let Some(target) = target {
            *route = Some(Route::new(target, &load.trust)?);
        }
    }
    Ok(routes)
}

type Thread = JoinHandle<Result<(), EngineError>>;

fn spawn(n: usize, task: Task) -> io::Result<Thread> {
    let thread = thread::Builder::new().name(format!("send-{n}"));
    thread.spawn(move || Ok(sender(task)?))
}

/// One sending thread: its own poll, its own connections, nothing shared.
fn sender(task: Task) -> io::Result<()> {
    let _guard = OnPanic(Arc::clone(&task.stop));
    prefer_this_thread();
    let stop = Arc::clone(&task.stop);
    // The others may wait for this thread.
    worker::run(task).inspect_err(|_| stop.at_once())
}

impl Running {
    /// The next slot that has closed, in the order of closing; `None` when the run is over.
    pub async fn next_slot(&mut self) -> Option<Slot> {
        loop {
            if let Some((_, slot)) = self.ready.pop_first() {
                return Some(slot);
            }
            let part = self.parts.recv().await?;
            let id = part.slot;
            match self.gathering.remove(&id) {
                None => self.gathering.insert(id, (1, part)),
                Some((n, mut sum)) => {
                    merge(&mut sum, part);
                    self.gathering.insert(id, (n + 1, sum))
                }
            };
            if self
                .gathering
                .get(&id)
                .is_some_and(|(n, _)| *n == self.workers)
                && let Some((_, part)) = self.gathering.remove(&id)
                && let Some(spec) = self.specs.get(&id)
            {
                self.ready.insert(id, self.slot(*spec, part));
            }
        }
    }

    fn slot(&self, spec: SlotSpec, part: Part) -> Slot {
        // A count that does not add up makes the slot worthless, whatever the reason.
        let conserved = part.endpoints.values().all(EndpointStats::is_conserved);
        // What our own stop cut short says nothing about the target.
        let mut all = part.endpoints.values();
        let given_up = all.any(|stats| stats.classes.contains_key(&Class::Aborted));
        let named = part.endpoints.into_iter();
        Slot {
            round: spec.round,
            position: spec.position,
            side: spec.side,
            start_ns: part.start_ns.saturating_sub(self.start_ns),
            length_ns: self.load_length_ns,
            settle_ns: part.settle_ns,
            medians_ns: part.seconds.medians_ns(),
            complete: part.complete && conserved && !given_up,
            endpoints: named
                .map(|(index, stats)| (self.endpoints.name(index).to_owned(), stats))
                .collect(),
            connections: part.connections,
            health: part.health,
            resources: None,
        }
    }

    /// Waits for all threads to end.
    ///
    /// # Errors
    /// The first thing that went wrong on one of them.
    pub fn finish(self) -> Result<(), EngineError> {
        drop(self.parts);
        for thread in self.threads {
            thread.join().map_err(|_| EngineError::Panicked)??;
        }
        Ok(())
    }
}
