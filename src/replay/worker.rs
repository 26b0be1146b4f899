//! The sending loop: one per thread, and the only one.
//!
//! It waits for the next instant of the schedule and writes the request that is due. What the
//! answer does has no influence on it, unless the arrivals are those of a closed loop.
//! Arrivals, arrangement and protocol are in the data it is fed; connections, counts and
//! time-outs belong to this thread alone.

mod account;

use std::{io, os::fd::AsRawFd, rc::Rc, sync::Arc, time::Duration};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use tokio::sync::mpsc;

use super::{
    control::{Gauge, Limits, Stop},
    counted::Counted,
    encode::Hand,
    exchange::Exchange,
    feed::{Event, Shot},
    health::Vitals,
    pool::{FIRST_TOKEN, Pool},
    queue::{Consumer, Pop},
    rendezvous::Rendezvous,
    schedule::Window,
    sessions::{Fate, Sessions},
    source::Recipe,
    stream::Route,
    tally::{Part, Tally},
};
use crate::{
    clock::{Alarm, Clock},
    run::Class,
    units::SECOND_NS,
};

/// A request later than this is not sent at all: it would measure our stall, not the target.
const LATE_MAX_NS: u64 = SECOND_NS / 4;
/// How often time-outs and the stop sign are looked at.
const SWEEP_NS: u64 = 20_000_000;
/// How long a switch between sides waits for what is in flight.
const SWITCH_WAIT_NS: u64 = SECOND_NS;
/// How often a thread that waits for others looks again.
const GLANCE_NS: u64 = 500_000;
/// The longest wait that is not slept through: setting the alarm, going to sleep and being woken
/// take a virtual machine as long, so that sleeping would save nothing and only make sends late.
const NAP_MIN_NS: u64 = 15_000;
/// Sends in a row, when behind the schedule, before answers get a turn.
const BURST_MAX: usize = 16;
/// How long the clients of a closed loop pause when so many requests in a row got no answer: a
/// dead target must not be asked as fast as it refuses.
const PAUSE_NS: u64 = 10_000_000;
const IN_VAIN_MAX: usize = 16;
/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

/// The token of the thread's waker.
pub(super) const FEED_TOKEN: Token = Token(0);
const ALARM_TOKEN: Token = Token(1);

/// What a worker is given.
pub(super) struct Task {
    pub(super) clock: Clock,
    pub(super) poll: Poll,
    pub(super) routes: [Option<Route>; 2],
    pub(super) limits: Limits,
    /// The clients of a closed loop; absent where the schedule decides.
    pub(super) clients: Option<usize>,
    pub(super) start_ns: u64,
    pub(super) recipe: Arc<Recipe>,
    /// Present where a window waits for what is in flight.
    pub(super) rendezvous: Option<Arc<Rendezvous>>,
    pub(super) gauge: Arc<Gauge>,
    pub(super) stop: Arc<Stop>,
    pub(super) feed: Consumer<Event>,
    pub(super) parts: mpsc::Sender<Part>,
}

/// Where the thread stands in its schedule.
enum Stage {
    /// Between windows.
    Idle,
    /// Waiting for what is in flight, at most until then, and for the other threads.
    Switching(Window, u64),
    /// Sending.
    Open(Window),
    /// All was sent; the time of the window is not over.
    Closing(Window),
    /// Nothing more is sent.
    Over,
}

/// One sending thread.
struct Worker {
    task: Task,
    pool: Pool,
    sessions: Sessions,
    tally: Tally,
    alarm: Alarm,
    stage: Stage,
    /// Windows that were switched to.
    switches: usize,
    has_arrived: bool,
    /// When the present window began.
    base_ns: u64,
    hand: Rc<Hand>,
    shots: std::vec::IntoIter<Shot>,
    /// When the next request is due, or something else is.
    next_ns: u64,
    /// Windows whose time is over, and whether all of their schedule was carried out.
    over: Vec<(Window, bool)>,
    vitals: Vitals,
    stall_ns: u64,
    /// Time in which it only waited, awake.
    spun_ns: u64,
    sweep_ns: u64,
    paused_until_ns: u64,
    /// Requests of a closed loop in a row without an answer.
    in_vain: usize,
    counted: Counted,
    /// Until when what is in flight may end once the run was stopped.
    give_up_ns: Option<u64>,
}

/// Runs a worker to its end on the current thread.
pub(super) fn run(task: Task) -> io::Result<()> {
    let registry = task.poll.registry();
    let alarm = Alarm::new(task.clock)?;
    registry.register(
        &mut SourceFd(&alarm.as_raw_fd()),
        ALARM_TOKEN,
        Interest::READABLE,
    )?;
    let (clock, limits) = (task.clock, task.limits);
    let pool = Pool::new(registry.try_clone()?, task.routes.clone(), clock, limits);
    let worker = Worker {
        pool,
        sessions: Sessions::new(Arc::clone(&task.recipe)),
        tally: Tally::default(),
        alarm,
        stage: Stage::Idle,
        switches: 0,
        has_arrived: false,
        base_ns: 0,
        hand: Rc::default(),
        shots: Vec::new().into_iter(),
        next_ns: 0,
        over: Vec::new(),
        vitals: Vitals::now(clock, 0),
        stall_ns: 0,
        spun_ns: 0,
        sweep_ns: 0,
        paused_until_ns: 0,
        in_vain: 0,
        counted: Counted::default(),
        give_up_ns: None,
        task,
    };
    worker.run()
}

impl Worker {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        loop {
            self.pool.turn();
            let is_behind = self.advance();
            let now_ns = self.pool.cx.now_ns;
            if now_ns >= self.sweep_ns {
                self.sweep();
            }
            if matches!(self.stage, Stage::Over) && self.is_drained() {
                self.sweep();
                return Ok(());
            }
            self.wait(&mut events, is_behind)?;
            let (asked_ns, mut taken) = (self.pool.cx.now_ns, 0);
            for event in &events {
                taken += 1;
                if event.token().0 >= FIRST_TOKEN {
                    self.pool.ready(event);
                    self.take();
                    if self.task.clients.is_some() || self.pool.cx.now_ns >= self.next_ns {
                        self.advance();
                    }
                }
            }
            for key in self.pool.take_unread() {
                self.pool.read_on(key);
                self.take();
            }
            if taken < EVENTS_MAX {
                self.pool.cx.known_ns = asked_ns;
            }
        }
    }

    /// Waits for the next instant or for a socket, whichever comes first.
    fn wait(&mut self, events: &mut Events, is_behind: bool) -> io::Result<()> {
        let (asked_ns, wake_ns) = (self.pool.cx.now_ns, self.next_ns.min(self.sweep_ns));
        let has_time = !is_behind && !self.pool.wants_turn();
        let sleeps = has_time && wake_ns > asked_ns + NAP_MIN_NS;
        if sleeps {
            self.alarm.set(wake_ns)?;
        }
        let mut timeout = (!sleeps).then_some(Duration::ZERO);
        while let Err(error) = self.task.poll.poll(events, timeout) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            // Stopped and let go on: what sockets have to say meanwhile comes before what is due.
            timeout = Some(Duration::ZERO);
        }
        let now_ns = self.pool.cx.tick();
        if has_time {
            let late_ns = now_ns.saturating_sub(wake_ns);
            self.stall_ns = self.stall_ns.max(late_ns);
            if !sleeps && events.is_empty() {
                // What is longer was taken away, and is no CPU time that could be left out.
                self.spun_ns += (now_ns - asked_ns).min(NAP_MIN_NS);
            }
        }
        Ok(())
    }

    /// Does all that is due and says when to come back: in `next_ns`, or at once when there is
    /// more than answers should wait for.
    fn advance(&mut self) -> bool {
        // In a closed loop nobody is late: what was answered together is sent together.
        let mut burst = if self.task.clients.is_some() {
            EVENTS_MAX
        } else {
            BURST_MAX
        };
        loop {
            if self.task.stop.is_set() {
                self.cut_short();
            }
            self.next_ns = match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Idle => match self.task.feed.pop() {
                    Pop::Event(Event::Open(window)) => {
                        self.open(window);
                        continue;
                    }
                    Pop::Event(_) => unreachable!("a window is opened before it is filled"),
                    Pop::Empty => {
                        self.stage = Stage::Idle;
                        u64::MAX
                    }
                    Pop::Over => u64::MAX,
                },
                Stage::Switching(window, give_up_ns) => match self.switch(window, give_up_ns) {
                    Some(at_ns) => at_ns,
                    None => continue,
                },
                Stage::Open(window) => match self.fire(window) {
                    Some(at_ns) => at_ns,
                    None if burst > 0 => {
                        burst -= 1;
                        continue;
                    }
                    None => {
                        self.flush();
                        return true;
                    }
                },
                Stage::Closing(window) => {
                    let end_ns = self.base_ns + window.total_ns();
                    if self.pool.cx.tick() >= end_ns {
                        self.over.push((window, true));
                        self.stage = Stage::Idle;
                        continue;
                    }
                    self.stage = Stage::Closing(window);
                    end_ns
                }
                Stage::Over => u64::MAX,
            };
            // The clients of a closed loop that were served in one turn share a write.
            self.flush();
            return false;
        }
    }

    fn open(&mut self, window: Window) {
        if self.task.rendezvous.is_some() {
            let give_up_ns = self.pool.cx.tick() + SWITCH_WAIT_NS;
            self.has_arrived = false;
            self.stage = Stage::Switching(window, give_up_ns);
        } else {
            let base_ns = self.task.start_ns + window.start_ns;
            self.begin(window, base_ns);
        }
    }

    /// Waits for what is in flight and for the other threads; says when to look again.
    fn switch(&mut self, window: Window, give_up_ns: u64) -> Option<u64> {
        let now_ns = self.pool.cx.tick();
        let rendezvous = self.task.rendezvous.as_ref();
        let rendezvous = rendezvous.expect("there is one where windows are switched");
        if !self.has_arrived && (self.is_quiet() || now_ns >= give_up_ns) {
            self.has_arrived = true;
            rendezvous.arrive(self.switches, now_ns);
        }
        if let Some(base_ns) = rendezvous.begin_ns(self.switches) {
            self.switches += 1;
            self.begin(window, base_ns);
            return None;
        }
        self.stage = Stage::Switching(window, give_up_ns);
        Some(now_ns + GLANCE_NS)
    }

    fn begin(&mut self, window: Window, base_ns: u64) {
        self.base_ns = base_ns;
        for slot in &window.slots {
            let times = (base_ns, window.settle_ns, window.length_ns);
            self.tally.open(slot.id, times);
        }
        self.stage = Stage::Open(window);
    }

    /// Sends the next request if it is due; says when to come back if there is none.
    fn fire(&mut self, window: Window) -> Option<u64> {
        let end_ns = self.base_ns + window.total_ns();
        let Some(&shot) = self.shots.as_slice().first() else {
            let popped = self.task.feed.pop();
            self.stage = Stage::Open(window);
            match popped {
                Pop::Event(Event::Shots(deck, shots)) => {
                    self.hand = Rc::new(Hand(deck));
                    self.shots = shots.into_iter();
                }
                Pop::Empty => return Some(u64::MAX),
                Pop::Event(_) => self.close(),
                // The feed has ended inside a window: it broke.
                Pop::Over => self.cut_short(),
            }
            return None;
        };
        self.stage = Stage::Open(window);
        let now_ns = self.pool.cx.now_ns;
        let Some(clients) = self.task.clients else {
            let at_ns = self.base_ns + shot.at_ns;
            if at_ns > self.pool.cx.tick() {
                return Some(at_ns);
            }
            self.shots.next();
            self.dispatch(shot, at_ns);
            self.flush();
            return None;
        };
        if now_ns >= end_ns {
            // What is left over was never due.
            self.shots = Vec::new().into_iter();
        } else if now_ns < self.paused_until_ns {
            return Some(self.paused_until_ns.min(end_ns));
        } else if now_ns < self.base_ns {
            return Some(self.base_ns);
        } else if self.pool.in_flight_on(shot.side.index()) < clients && self.dispatch(shot, now_ns)
        {
            self.shots.next();
        } else {
            return Some(end_ns);
        }
        None
    }

    fn close(&mut self) {
        if let Stage::Open(window) = std::mem::replace(&mut self.stage, Stage::Over) {
            self.stage = Stage::Closing(window);
        }
    }

    /// Sends one request that is due, or counts why not; `false` where a client of a closed loop
    /// has to wait for a connection. Flushed by [`Worker::flush`].
    fn dispatch(&mut self, shot: Shot, intended_ns: u64) -> bool {
        let now_ns = self.pool.cx.now_ns.max(intended_ns);
        let lag_ns = now_ns - intended_ns;
        let request = (Rc::clone(&self.hand), shot.card);
        let place = (shot.slot, shot.side.index(), shot.session);
        let exchange = Exchange::new(request, place, (intended_ns, now_ns));
        if lag_ns > LATE_MAX_NS {
            self.not_sent(&exchange, Class::NotSentLate);
            return true;
        }
        if exchange.card().carries.is_none() && self.sessions.is_empty() {
            return self.send(exchange);
        }
        match self.sessions.due(exchange) {
            Fate::Send(exchange) => return self.send(exchange),
            Fate::Wait => self.tally.waits(shot.slot),
            Fate::Never(exchange, class) => self.not_sent(&exchange, class),
        }
        true
    }

    /// Writes what was dispatched.
    fn flush(&mut self) {
        // What failed to be written may be sent again on another connection.
        loop {
            self.pool.flush();
            self.count();
            if !self.pool.has_unflushed() {
                return;
            }
        }
    }

    /// The run was stopped: the open window ends here and is not complete.
    fn cut_short(&mut self) {
        self.task.feed.close();
        self.shots = Vec::new().into_iter();
        if !self.sessions.is_calm() {
            for exchange in self.sessions.give_up() {
                self.tally.given_up(exchange.slot, exchange.card().endpoint);
            }
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Open(window) | Stage::Closing(window) => self.over.push((window, false)),
            Stage::Idle | Stage::Switching(..) | Stage::Over => {}
        }
    }

    /// Whether nothing is in flight any more. At the end of the schedule that takes as long as
    /// the time-outs allow, after a stop only the drain time.
    fn is_drained(&mut self) -> bool {
        if self.task.stop.is_set() {
            let now_ns = self.pool.cx.tick();
            let drain_ns = self.task.limits.drain_ns;
            let give_up_ns = *self.give_up_ns.get_or_insert(now_ns + drain_ns);
            if now_ns >= give_up_ns || self.task.stop.is_urgent() {
                self.pool.abort();
                self.count();
            }
        }
        self.is_quiet()
    }
}
