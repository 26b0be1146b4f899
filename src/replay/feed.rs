//! From the workload to the list of (instant, side, request) that sending threads are fed.
//!
//! Runs on a thread of its own, ahead of the clock by a bounded number of requests, so that a
//! workload of any length replays in constant memory. Whatever takes time (reading, parsing,
//! encoding) happens here. Small workloads are encoded once, before the run begins.

use std::{collections::BTreeMap, sync::Arc};

use rand::RngExt;

use super::{
    control::Stop,
    encode::{Card, Deck},
    queue::Producer,
    schedule::{Arrivals, Window, purpose, stream},
    source::{Drawn, Pick, Recipe, Source},
};
use crate::{
    clock::Clock,
    run::Side,
    units::{count, seconds},
    workload::{Workload, WorkloadError},
};

/// Requests in one message to a thread, at the most.
const CHUNK: usize = 256;
/// Bytes of requests in one message, about.
const CHUNK_BYTES: usize = 64 << 10;
/// How much of the schedule one message may span: what is due soon must not wait for company.
const CHUNK_NS: u64 = 20_000_000;
/// Marks the requests that are sent while a slot settles: they are not counted in it.
pub(super) const SETTLING: u32 = 1 << 31;

/// One request of one side with its instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shot {
    /// When it is due, in nanoseconds after its window began; 0 where answers decide.
    pub(super) at_ns: u64,
    /// The slot it belongs to, with [`SETTLING`] while that settles.
    pub(super) slot: u32,
    /// Its place in the deck.
    pub(super) card: u32,
    /// Its client.
    pub(super) session: u64,
    /// Whom it is sent to.
    pub(super) side: Side,
}

/// What a thread is told, in order.
#[derive(Debug)]
pub(super) enum Event {
    /// A window begins.
    Open(Window),
    /// Requests of the open window, in order.
    Shots(Arc<Deck>, Vec<Shot>),
    /// The window has no more requests.
    Close,
}

/// The thread that feeds the others.
pub(super) struct Feed {
    pub(super) recipe: Arc<Recipe>,
    pub(super) clock: Clock,
    pub(super) start_ns: u64,
    pub(super) lanes: Vec<Producer<Event>>,
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

    pub(super) fn index(&self, name: &str) -> u32 {
        let other = u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX);
        self.index.get(name).copied().unwrap_or(other)
    }
}

/// The requests that each endpoint gets on average in so much time, by name.
pub(super) fn expected(
    workload: &Workload,
    arrivals: Arrivals,
    time_ns: u64,
) -> BTreeMap<String, f64> {
    let summary = workload.summary();
    let total = count(summary.requests).max(1.0);
    let rate = mean_rate(workload, arrivals);
    summary
        .endpoints
        .iter()
        .map(|(name, n)| (name.clone(), rate * seconds(time_ns) * count(*n) / total))
        .collect()
}

/// Requests per second and side on average; 0 where only the answers decide.
pub fn mean_rate(workload: &Workload, arrivals: Arrivals) -> f64 {
    match arrivals {
        Arrivals::Constant(rate) | Arrivals::Poisson(rate) => rate.per_second(),
        Arrivals::Ramp(from, to) => f64::midpoint(from.per_second(), to.per_second()),
        Arrivals::Closed(_) => 0.0,
        Arrivals::Recorded(speed) => {
            let period_s = seconds(period_ns(workload)).max(1e-9);
            count(workload.summary().requests) * speed.factor() / period_s
        }
    }
}

/// After how much recorded time a workload repeats: its length and one mean gap, so that the
/// seam is no burst.
pub(super) fn period_ns(workload: &Workload) -> u64 {
    let summary = workload.summary();
    let gaps = summary.requests.saturating_sub(1).max(1);
    (summary.duration_ns + summary.duration_ns / gaps).max(1)
}

impl Feed {
    /// Feeds all windows, or until the run is stopped.
    pub(super) fn run(&self, mut source: Source) -> Result<(), WorkloadError> {
        let keeps_pieces = self.recipe.layout.takes_turns();
        let mut kept: Option<(u64, Vec<(u64, Drawn)>)> = None;
        for window in self.recipe.layout.windows(self.recipe.seed) {
            if !self.tell(|| Event::Open(window.clone())) {
                break;
            }
            let mut out = Outbox::new(self, &source, &window);
            if let Arrivals::Closed(_) = self.recipe.arrivals {
                let end_ns = self.start_ns + window.start_ns + window.total_ns();
                while self.clock.now_ns() < end_ns && out.fill(&mut source)? {}
            } else if keeps_pieces {
                // The other side gets the same piece in another window.
                if kept
                    .as_ref()
                    .is_none_or(|(piece, _)| *piece != window.piece)
                {
                    let mut shots = Vec::new();
                    source.piece(&window, |at_ns, drawn| {
                        shots.push((at_ns, drawn.clone()));
                        !self.stop.is_set()
                    })?;
                    kept = Some((window.piece, shots));
                }
                let mut shots = kept.iter().flat_map(|(_, shots)| shots);
                shots.all(|(at_ns, drawn)| out.push(*at_ns, drawn));
            } else {
                source.piece(&window, |at_ns, drawn| out.push(at_ns, drawn))?;
            }
            if !out.flush() || !self.tell(|| Event::Close) {
                break;
            }
        }
        Ok(())
    }

    /// Tells all threads; `false` when nobody listens any more.
    fn tell(&self, event: impl Fn() -> Event) -> bool {
        !self.stop.is_set() && self.lanes.iter().all(|lane| lane.push(0, event()))
    }
}

/// What one thread gets next.
struct Bundle {
    /// Requests that were drawn for this message alone.
    fresh: Vec<Arc<Card>>,
    shots: Vec<Shot>,
    weight: usize,
}

/// Shots on their way to the threads of one window.
struct Outbox<'a> {
    feed: &'a Feed,
    kept: Arc<Deck>,
    window: &'a Window,
    bundles: Vec<Bundle>,
    coin: rand_chacha::ChaCha8Rng,
    /// Until when the schedule was sent on to everybody.
    flushed_ns: u64,
    /// Requests of a closed loop so far.
    dealt: u64,
}

impl<'a> Outbox<'a> {
    fn new(feed: &'a Feed, source: &Source, window: &'a Window) -> Self {
        let bundles = feed.lanes.iter().map(|_| Bundle {
            fresh: Vec::new(),
            shots: Vec::with_capacity(CHUNK),
            weight: 0,
        });
        Self {
            feed,
            kept: source.kept(),
            window,
            bundles: bundles.collect(),
            coin: stream(feed.recipe.seed, purpose::PAIRS, window.piece),
            flushed_ns: 0,
            dealt: 0,
        }
    }

    /// Adds one request for each side of the window; `false` when nobody listens any more.
    fn push(&mut self, at_ns: u64, drawn: &Drawn) -> bool {
        if at_ns >= self.flushed_ns + CHUNK_NS {
            self.flushed_ns = at_ns;
            if !self.flush() {
                return false;
            }
        }
        let lanes = self.bundles.len() as u64;
        let lane = usize::try_from(drawn.session % lanes).expect("below the number of lanes");
        let bundle = &mut self.bundles[lane];
        let card = match &drawn.card {
            Pick::Kept(index) => *index,
            Pick::Fresh(card) => {
                bundle.weight += card.weight();
                bundle.fresh.push(Arc::clone(card));
                u32::try_from(bundle.fresh.len() - 1).expect("a message is short")
            }
        };
        // Neither side may profit from always being the second of a pair.
        let swap = self.window.slots.len() == 2 && self.coin.random();
        for n in 0..self.window.slots.len() {
            let spec = self.window.slots[if swap { 1 - n } else { n }];
            let slot = if at_ns < self.window.settle_ns {
                spec.id | SETTLING
            } else {
                spec.id
            };
            let side = spec.side;
            bundle.shots.push(Shot {
                at_ns,
                slot,
                card,
                session: drawn.session,
                side,
            });
        }
        let is_full = bundle.shots.len() >= CHUNK || bundle.weight >= CHUNK_BYTES;
        !is_full || self.send(lane)
    }

    /// Adds one message's worth of requests for whoever is free; `false` as for `push`.
    fn fill(&mut self, source: &mut Source) -> Result<bool, WorkloadError> {
        source.due_ns = self.feed.clock.now_ns().saturating_sub(self.feed.start_ns);
        for _ in 0..CHUNK {
            let mut drawn = source.next_in_turn()?;
            // Whoever is free sends it: sessions wait for nobody here.
            self.dealt += 1;
            drawn.session = self.dealt;
            if !self.push(0, &drawn) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn send(&mut self, lane: usize) -> bool {
        let bundle = &mut self.bundles[lane];
        let shots = std::mem::replace(&mut bundle.shots, Vec::with_capacity(CHUNK));
        let weight = std::mem::take(&mut bundle.weight) + size_of_val(shots.as_slice());
        let deck = if bundle.fresh.is_empty() {
            Arc::clone(&self.kept)
        } else {
            let cards = std::mem::take(&mut bundle.fresh);
            Arc::new(Deck { cards })
        };
        let feed = self.feed;
        !feed.stop.is_set() && feed.lanes[lane].push(weight, Event::Shots(deck, shots))
    }

    fn flush(&mut self) -> bool {
        (0..self.bundles.len()).all(|lane| self.bundles[lane].shots.is_empty() || self.send(lane))
    }
}
