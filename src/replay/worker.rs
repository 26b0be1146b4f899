//! The sending loop: one per thread, and the only one.
//!
//! It waits for the next instant of the schedule and writes the request that is due. What the
//! answer does has no influence on it. Arrivals, arrangement and protocol are in the data it is
//! fed; connections, counts and time-outs belong to this thread alone.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    connection::{Connection, Exchange},
    feed::{Event, Shot},
    health::Vitals,
    schedule::Window,
    stream::Endpoint,
    tally::{Ending, Instants, Part, Tally},
};
use crate::{
    clock::{Clock, Timer},
    run::{Class, Group},
    units::SECOND_NS,
};

/// A request later than this is not sent at all: it would measure our stall, not the target.
const LATE_MAX_NS: u64 = SECOND_NS / 4;
/// How often time-outs and the stop sign are looked at.
const SWEEP_NS: u64 = 20_000_000;
/// How long a switch between sides waits for what is in flight.
const SWITCH_WAIT_NS: u64 = SECOND_NS;
/// Sends in a row, when behind the schedule, before answers get a turn.
const BURST_MAX: u32 = 16;

/// Bounds on requests and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight per side and worker; more are counted as not sent.
    pub in_flight_max: usize,
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

    fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// What a progress display may read while the load runs.
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

struct Lane {
    endpoint: Endpoint,
    idle: RefCell<Vec<Rc<Connection>>>,
    all: RefCell<Vec<Rc<Connection>>>,
    in_flight: Cell<usize>,
}

/// One sending thread.
pub(super) struct Worker {
    clock: Clock,
    pub(super) limits: Limits,
    pub(super) scratch: RefCell<Box<[u8]>>,
    lanes: [Option<Lane>; 2],
    tally: RefCell<Tally>,
    gauge: Arc<Gauge>,
    stop: Arc<Stop>,
    stall_ns: Cell<u64>,
}

/// What a worker is given.
pub(super) struct Task {
    pub(super) clock: Clock,
    pub(super) endpoints: [Option<Endpoint>; 2],
    pub(super) limits: Limits,
    pub(super) gauge: Arc<Gauge>,
    pub(super) stop: Arc<Stop>,
    pub(super) feed: mpsc::Receiver<Event>,
    pub(super) parts: mpsc::Sender<Part>,
}

/// Runs a worker to its end on the current thread.
pub(super) async fn run(task: Task) -> io::Result<()> {
    let lanes = task.endpoints.map(|endpoint| {
        endpoint.map(|endpoint| Lane {
            endpoint,
            idle: RefCell::default(),
            all: RefCell::default(),
            in_flight: Cell::new(0),
        })
    });
    let worker = Rc::new(Worker {
        clock: task.clock,
        limits: task.limits,
        scratch: RefCell::new(vec![0; 64 * 1024].into_boxed_slice()),
        lanes,
        tally: RefCell::default(),
        gauge: task.gauge,
        stop: task.stop,
        stall_ns: Cell::new(0),
    });
    let timer = Timer::new(task.clock)?;
    let (parts, feed) = (task.parts, task.feed);
    let pacer = Pacer {
        worker,
        timer,
        parts,
        base_ns: 0,
        next_sweep_ns: 0,
        burst: 0,
    };
    pacer.run(feed).await
}

impl Worker {
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn lane(&self, side: usize) -> &Lane {
        self.lanes[side]
            .as_ref()
            .expect("shots only name sides that the run has")
    }

    pub(super) fn endpoint(&self, side: usize) -> &Endpoint {
        &self.lane(side).endpoint
    }

    /// Sends one request that is due, or counts why not.
    fn dispatch(self: &Rc<Self>, shot: Shot, intended_ns: u64) {
        let now_ns = self.now_ns();
        let lag_ns = now_ns.saturating_sub(intended_ns);
        let lane = self.lane(shot.side.index());
        let refused = if lag_ns > LATE_MAX_NS {
            Some(Class::NotSentLate)
        } else if lane.in_flight.get() >= self.limits.in_flight_max {
            Some(Class::NotSentCap)
        } else {
            None
        };
        let endpoint = shot.request.endpoint;
        let mut tally = self.tally.borrow_mut();
        tally.scheduled(shot.slot, endpoint);
        if let Some(class) = refused {
            tally.not_sent(shot.slot, endpoint, class, 1);
            return;
        }
        tally.sent(shot.slot, lag_ns);
        drop(tally);
        lane.in_flight.set(lane.in_flight.get() + 1);
        self.gauge.sent.fetch_add(1, Ordering::Relaxed);
        let exchange = Exchange::new(shot, intended_ns, now_ns);
        let idle = loop {
            match lane.idle.borrow_mut().pop() {
                Some(connection) if connection.closed.get() => {}
                other => break other,
            }
        };
        match idle {
            Some(connection) => connection.send(self, exchange),
            None => self.adopt(Connection::spawn(self, exchange)),
        }
    }

    /// Keeps an eye on a new connection.
    pub(super) fn adopt(&self, connection: Rc<Connection>) {
        self.lane(connection.side())
            .all
            .borrow_mut()
            .push(connection);
    }

    /// Takes back a connection that can carry another request.
    pub(super) fn release(&self, side: usize, connection: Rc<Connection>) {
        self.lane(side).idle.borrow_mut().push(connection);
    }

    /// A request that was sent has ended.
    pub(super) fn ended(&self, shot: &Shot, at: Instants, ending: Ending) {
        let lane = self.lane(shot.side.index());
        lane.in_flight.set(lane.in_flight.get() - 1);
        self.gauge.ended[shot.side.index()].fetch_add(1, Ordering::Relaxed);
        let unanswered = u64::from(ending.class.is_unanswered());
        self.gauge.unanswered[shot.side.index()].fetch_add(unanswered, Ordering::Relaxed);
        if ending.class.group() != Group::Ok {
            self.gauge.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.tally
            .borrow_mut()
            .ended(shot.slot, shot.request.endpoint, at, ending);
    }

    /// Bytes came that no request had asked for.
    pub(super) fn stray(&self) {
        self.gauge.stray.fetch_add(1, Ordering::Relaxed);
    }

    fn in_flight(&self) -> usize {
        self.lanes
            .iter()
            .flatten()
            .map(|lane| lane.in_flight.get())
            .sum()
    }

    /// Ends what is overdue and forgets what is closed.
    fn sweep(&self, now_ns: u64) {
        for lane in self.lanes.iter().flatten() {
            let mut all = lane.all.borrow_mut();
            let before = all.len();
            all.retain(|connection| !connection.closed.get());
            if all.len() < before {
                // The idle list is used from its end; what a burst left at its beginning would
                // otherwise stay for ever.
                let mut idle = lane.idle.borrow_mut();
                idle.retain(|connection| !connection.closed.get());
            }
            drop(all);
            for connection in lane.all.borrow().iter() {
                if let Some(class) = connection.overdue(self, now_ns) {
                    connection.end(class, now_ns);
                }
            }
        }
        self.gauge
            .in_flight
            .store(self.in_flight() as u64, Ordering::Relaxed);
    }

    fn abort(&self) {
        let now_ns = self.now_ns();
        for lane in self.lanes.iter().flatten() {
            for connection in lane.all.borrow().iter().filter(|it| it.is_busy()) {
                connection.end(Class::Aborted, now_ns);
            }
        }
    }
}

/// The loop itself, with what only it needs.
struct Pacer {
    worker: Rc<Worker>,
    timer: Timer,
    parts: mpsc::Sender<Part>,
    base_ns: u64,
    next_sweep_ns: u64,
    burst: u32,
}

impl Pacer {
    async fn run(mut self, mut feed: mpsc::Receiver<Event>) -> io::Result<()> {
        let mut open: Option<(Window, Vitals)> = None;
        while let Some(event) = feed.recv().await {
            match event {
                Event::Open {
                    window,
                    switch,
                    start_ns,
                } => {
                    if self.worker.stop.is_set() {
                        break;
                    }
                    self.open(&window, switch, start_ns).await?;
                    open = Some((window, Vitals::now(self.worker.clock)));
                }
                Event::Shots(shots) => {
                    for shot in shots {
                        self.fire(shot).await?;
                    }
                }
                Event::Close => {
                    if let Some((window, vitals)) = open.take() {
                        self.close(&window, &vitals).await?;
                    }
                }
            }
            self.hand_over().await;
        }
        drop(feed);
        self.drain().await
    }

    async fn open(&mut self, window: &Window, switch: bool, start_ns: u64) -> io::Result<()> {
        if switch {
            let give_up_ns = self.worker.now_ns() + SWITCH_WAIT_NS;
            let stop = Arc::clone(&self.worker.stop);
            while self.worker.in_flight() > 0 && self.worker.now_ns() < give_up_ns && !stop.is_set()
            {
                self.wait_until(self.worker.now_ns() + 1_000_000).await?;
            }
            self.base_ns = self.worker.now_ns() + 1_000_000;
        } else {
            self.base_ns = start_ns + window.start_ns;
        }
        let mut tally = self.worker.tally.borrow_mut();
        for slot in &window.slots {
            tally.open(slot.id, self.base_ns + window.settle_ns);
        }
        Ok(())
    }

    async fn fire(&mut self, shot: Shot) -> io::Result<()> {
        let intended_ns = self.base_ns + shot.at_ns;
        self.wait_until(intended_ns).await?;
        if self.worker.stop.is_set() {
            let mut tally = self.worker.tally.borrow_mut();
            tally.scheduled(shot.slot, shot.request.endpoint);
            tally.not_sent(shot.slot, shot.request.endpoint, Class::NotSentAbort, 1);
        } else {
            self.worker.dispatch(shot, intended_ns);
        }
        Ok(())
    }

    async fn close(&mut self, window: &Window, vitals: &Vitals) -> io::Result<()> {
        self.wait_until(self.base_ns + window.total_ns()).await?;
        let stall_ns = self.worker.stall_ns.take();
        let health = Vitals::now(self.worker.clock).since(vitals, stall_ns);
        let complete = !self.worker.stop.is_set();
        for slot in &window.slots {
            self.worker
                .tally
                .borrow_mut()
                .over(slot.id, complete, &health);
        }
        Ok(())
    }

    /// Waits for an instant and does the housekeeping that falls due before it; returns early
    /// when the run is stopped.
    async fn wait_until(&mut self, at_ns: u64) -> io::Result<()> {
        loop {
            let now_ns = self.worker.now_ns();
            if now_ns >= self.next_sweep_ns {
                self.worker.sweep(now_ns);
                self.next_sweep_ns = now_ns + SWEEP_NS;
                self.hand_over().await;
            }
            if now_ns >= at_ns || self.worker.stop.is_set() {
                self.burst += 1;
                if self.burst >= BURST_MAX {
                    self.burst = 0;
                    tokio::task::yield_now().await;
                }
                return Ok(());
            }
            self.burst = 0;
            let wake_ns = at_ns.min(self.next_sweep_ns);
            self.timer.until(wake_ns).await?;
            let late_ns = self.worker.now_ns().saturating_sub(wake_ns);
            self.worker
                .stall_ns
                .set(self.worker.stall_ns.get().max(late_ns));
        }
    }

    /// Passes on the slots that have closed.
    async fn hand_over(&self) {
        let closed = self.worker.tally.borrow_mut().take_closed();
        for part in closed {
            // Nobody listens any more when the run was given up: nothing is lost then.
            let _ = self.parts.send(part).await;
        }
    }

    /// Waits for what is in flight: at the end of the schedule as long as the time-outs allow,
    /// when stopped only for the drain time.
    async fn drain(self) -> io::Result<()> {
        let mut give_up_ns = None;
        while self.worker.in_flight() > 0 {
            let now_ns = self.worker.now_ns();
            if self.worker.stop.is_set() && give_up_ns.is_none() {
                give_up_ns = Some(now_ns + self.worker.limits.drain_ns);
            }
            let expired = give_up_ns.is_some_and(|at_ns| now_ns >= at_ns);
            if expired || self.worker.stop.is_urgent() {
                self.worker.abort();
                tokio::task::yield_now().await;
            }
            self.timer.until(now_ns + 5_000_000).await?;
            self.worker.sweep(self.worker.now_ns());
        }
        self.hand_over().await;
        Ok(())
    }
}
