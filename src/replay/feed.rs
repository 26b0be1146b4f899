//! From the workload to the list of (instant, side, request) that workers are fed.
//!
//! Runs on a thread of its own, ahead of the clock by a bounded number of requests, so that a
//! workload of any length replays in constant memory. Whatever takes time (reading, parsing,
//! encoding) happens here.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use rand::RngExt;
use tokio::sync::mpsc;

use super::{
    encode::{Encoded, Encoder},
    schedule::{Arrangement, Arrivals, Gaps, Layout, Window, purpose, stream},
    worker::Stop,
};
use crate::{
    run::Side,
    units::{count, from_seconds, seconds},
    workload::{Request, Workload, WorkloadError},
};

/// Requests in one message to a worker.
const CHUNK: usize = 256;
/// Messages that may wait for a worker.
pub(super) const FEED_DEPTH: usize = 64;
/// Workloads up to this many requests are encoded once and kept.
const KEPT_MAX: u64 = 20_000;
/// Requests sent while a slot settles belong to no slot.
const SETTLING: u32 = u32::MAX;

/// One request of one side with its instant.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    /// When it is due, in nanoseconds after its window began.
    pub(super) at_ns: u64,
    /// The slot it belongs to.
    pub(super) slot: u32,
    /// Whom it is sent to.
    pub(super) side: Side,
    /// What is sent.
    pub(super) request: Arc<Encoded>,
}

/// What a worker is told, in order.
#[derive(Debug)]
pub(super) enum Event {
    /// A window begins.
    Open {
        /// Which one.
        window: Window,
        /// Whether to wait for what is in flight first, and to begin whenever that is done.
        switch: bool,
        /// The start of the run on its clock.
        start_ns: u64,
    },
    /// Requests of the open window, in order.
    Shots(Vec<Shot>),
    /// The window ends.
    Close,
}

/// A request ready for both sides.
#[derive(Debug, Clone)]
struct Ready {
    encoded: [Option<Arc<Encoded>>; 2],
    session: u64,
}

/// What the feed is made from.
pub(super) struct Feed {
    pub(super) workload: Workload,
    pub(super) layout: Layout,
    pub(super) arrivals: Arrivals,
    pub(super) seed: u64,
    pub(super) start_ns: u64,
    pub(super) encoders: [Option<Encoder>; 2],
    pub(super) endpoints: Endpoints,
    pub(super) lanes: Vec<mpsc::Sender<Event>>,
    pub(super) stop: Arc<Stop>,
}

/// Endpoint names by index.
#[derive(Debug, Clone)]
pub struct Endpoints {
    names: Arc<Vec<String>>,
    index: Arc<BTreeMap<String, u32>>,
}

impl Endpoints {
    /// The endpoints of a workload.
    pub fn new(workload: &Workload) -> Self {
        let mut names: Vec<String> = workload.summary().endpoints.keys().cloned().collect();
        names.push("(other)".to_owned());
        let index = names.iter().cloned().zip(0..).collect();
        Self {
            names: Arc::new(names),
            index: Arc::new(index),
        }
    }

    /// The name behind an index.
    pub fn name(&self, index: u32) -> &str {
        &self.names[index as usize]
    }

    fn index(&self, name: &str) -> u32 {
        let other = u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX);
        self.index.get(name).copied().unwrap_or(other)
    }
}

/// The requests that each endpoint gets on average in so much time, by name.
pub fn expected(workload: &Workload, arrivals: Arrivals, time_ns: u64) -> BTreeMap<String, f64> {
    let summary = workload.summary();
    let total = count(summary.requests).max(1.0);
    let rate = mean_rate(workload, arrivals);
    summary
        .endpoints
        .iter()
        .map(|(name, n)| (name.clone(), rate * seconds(time_ns) * count(*n) / total))
        .collect()
}

/// Requests per second and side on average.
pub fn mean_rate(workload: &Workload, arrivals: Arrivals) -> f64 {
    match arrivals {
        Arrivals::Constant(rate) | Arrivals::Poisson(rate) => rate.per_second(),
        Arrivals::Recorded(speed) => {
            let period_s = seconds(period_ns(workload)).max(1e-9);
            count(workload.summary().requests) * speed.factor() / period_s
        }
    }
}

/// After how much recorded time a workload repeats: its length and one mean gap, so that the
/// seam is no burst.
fn period_ns(workload: &Workload) -> u64 {
    let summary = workload.summary();
    let gaps = summary.requests.saturating_sub(1).max(1);
    (summary.duration_ns + summary.duration_ns / gaps).max(1)
}

impl Feed {
    /// Feeds all windows, or until the run is stopped and the open window is complete.
    pub(super) fn run(self) -> Result<(), WorkloadError> {
        let mut source = Source::new(&self)?;
        let mut kept: Option<(u64, Vec<(u64, Ready)>)> = None;
        let switch = self.layout.arrangement == Some(Arrangement::Interleaved);
        for window in self.layout.windows(self.seed) {
            if self.stop.is_set() {
                break;
            }
            let (window, start_ns) = (&window, self.start_ns);
            if !self.tell(|| Event::Open {
                window: window.clone(),
                switch,
                start_ns,
            }) {
                break;
            }
            let mut out = Outbox::new(&self, window);
            if switch {
                if kept
                    .as_ref()
                    .is_none_or(|(piece, _)| *piece != window.piece)
                {
                    let mut shots = Vec::new();
                    source.piece(window, |at_ns, ready| {
                        shots.push((at_ns, ready.clone()));
                        true
                    })?;
                    kept = Some((window.piece, shots));
                }
                for (at_ns, ready) in kept.iter().flat_map(|(_, shots)| shots) {
                    if !out.push(*at_ns, ready) {
                        break;
                    }
                }
            } else {
                source.piece(window, |at_ns, ready| out.push(at_ns, ready))?;
            }
            if !out.flush() || !self.tell(|| Event::Close) {
                break;
            }
        }
        Ok(())
    }

    fn tell(&self, event: impl Fn() -> Event) -> bool {
        self.lanes
            .iter()
            .all(|lane| lane.blocking_send(event()).is_ok())
    }
}

/// Shots on their way to the workers of one window.
struct Outbox<'a> {
    feed: &'a Feed,
    window: &'a Window,
    chunks: Vec<Vec<Shot>>,
    coin: rand_chacha::ChaCha8Rng,
}

impl<'a> Outbox<'a> {
    fn new(feed: &'a Feed, window: &'a Window) -> Self {
        let chunks = feed
            .lanes
            .iter()
            .map(|_| Vec::with_capacity(CHUNK))
            .collect();
        let coin = stream(feed.seed, purpose::PAIRS, window.piece);
        Self {
            feed,
            window,
            chunks,
            coin,
        }
    }

    /// Adds one request for each side of the window; `false` when nobody listens any more.
    fn push(&mut self, at_ns: u64, ready: &Ready) -> bool {
        let lanes = self.feed.lanes.len() as u64;
        let lane = usize::try_from(ready.session % lanes).expect("below the number of lanes");
        // Neither side may profit from always being the second of a pair.
        let swap = self.window.slots.len() == 2 && self.coin.random();
        for n in 0..self.window.slots.len() {
            let spec = self.window.slots[if swap { 1 - n } else { n }];
            let Some(request) = ready.encoded[spec.side.index()].clone() else {
                continue;
            };
            let slot = if at_ns < self.window.settle_ns {
                SETTLING
            } else {
                spec.id
            };
            self.chunks[lane].push(Shot {
                at_ns,
                slot,
                side: spec.side,
                request,
            });
        }
        self.chunks[lane].len() < CHUNK || self.send(lane)
    }

    fn send(&mut self, lane: usize) -> bool {
        let chunk = std::mem::replace(&mut self.chunks[lane], Vec::with_capacity(CHUNK));
        self.feed.lanes[lane]
            .blocking_send(Event::Shots(chunk))
            .is_ok()
    }

    fn flush(&mut self) -> bool {
        (0..self.chunks.len()).all(|lane| self.chunks[lane].is_empty() || self.send(lane))
    }
}

/// The endless sequence of requests: the workload, again and again.
struct Source<'a> {
    feed: &'a Feed,
    requests: Box<dyn Iterator<Item = Result<Request, WorkloadError>>>,
    repetition: u64,
    /// Encoded requests with their offsets, where the workload is small enough to be kept.
    kept: Vec<(u64, Ready)>,
    keep: bool,
    next_kept: usize,
    /// Read, but due in a later piece: its instant in nanoseconds of the endless sequence.
    pending: Option<(u64, Ready)>,
    begin_ns: u64,
    piece: u64,
}

impl<'a> Source<'a> {
    fn new(feed: &'a Feed) -> Result<Self, WorkloadError> {
        Ok(Self {
            feed,
            requests: Box::new(feed.workload.requests()?),
            repetition: 0,
            kept: Vec::new(),
            keep: feed.workload.summary().requests <= KEPT_MAX,
            next_kept: 0,
            pending: None,
            begin_ns: 0,
            piece: 0,
        })
    }

    /// Calls `each` with the instant (from the window's begin) and the request, in order, until
    /// it says that nobody listens. Pieces must be asked for in ascending order.
    fn piece(
        &mut self,
        window: &Window,
        mut each: impl FnMut(u64, &Ready) -> bool,
    ) -> Result<(), WorkloadError> {
        let total_ns = window.total_ns();
        if let Arrivals::Recorded(speed) = self.feed.arrivals {
            let end_ns = self.begin_ns + total_ns;
            loop {
                let (due_ns, ready) = match self.pending.take() {
                    Some(pending) => pending,
                    None => self.next(speed.factor())?,
                };
                if due_ns >= end_ns {
                    self.pending = Some((due_ns, ready));
                    break;
                }
                if !each(due_ns.saturating_sub(self.begin_ns), &ready) {
                    break;
                }
            }
        } else {
            let begin_ns = self.begin_ns;
            let mut gaps = Gaps::new(self.feed.arrivals, self.feed.seed, self.piece, begin_ns);
            while let Some(at_ns) = gaps.next_ns().filter(|at_ns| *at_ns < total_ns) {
                let (_, ready) = self.next(1.0)?;
                if !each(at_ns, &ready) {
                    break;
                }
            }
        }
        self.begin_ns += total_ns;
        self.piece += 1;
        Ok(())
    }

    /// The next request of the endless sequence and its recorded instant there, sped up.
    fn next(&mut self, factor: f64) -> Result<(u64, Ready), WorkloadError> {
        let period_ns = period_ns(&self.feed.workload);
        let scale = |offset_ns: u64, repetition: u64| {
            let at_s = seconds(period_ns) * count(repetition) + seconds(offset_ns);
            from_seconds(at_s / factor)
        };
        loop {
            if self.repetition > 0 && self.keep {
                if let Some((offset_ns, ready)) = self.kept.get(self.next_kept) {
                    self.next_kept += 1;
                    let session = fresh(ready.session, self.repetition);
                    let ready = Ready {
                        session,
                        ..ready.clone()
                    };
                    return Ok((scale(*offset_ns, self.repetition), ready));
                }
            } else if let Some(request) = self.requests.next() {
                let request = request?;
                let ready = self.encode(&request);
                if self.keep {
                    self.kept.push((request.offset_ns, ready.clone()));
                }
                let session = fresh(ready.session, self.repetition);
                let due_ns = scale(request.offset_ns, self.repetition);
                return Ok((due_ns, Ready { session, ..ready }));
            }
            self.repetition += 1;
            self.next_kept = 0;
            if !self.keep {
                self.requests = Box::new(self.feed.workload.requests()?);
            }
        }
    }

    fn encode(&self, request: &Request) -> Ready {
        let endpoint = self.feed.endpoints.index(&request.endpoint);
        let encoded = [0, 1].map(|side| {
            self.feed.encoders[side]
                .as_ref()
                .map(|encoder| encoder.encode(request, endpoint))
        });
        let mut hasher = DefaultHasher::new();
        request.session.hash(&mut hasher);
        Ready {
            encoded,
            session: hasher.finish(),
        }
    }
}

/// A session of a later repetition is another client.
fn fresh(session: u64, repetition: u64) -> u64 {
    session.wrapping_add(repetition.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
