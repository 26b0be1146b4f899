//! The endless sequence of requests: the workload, again and again, cut into pieces.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::{
    encode::{Card, Deck, Encoder, card},
    feed::{Endpoints, period_ns},
    schedule::{Arrivals, Gaps, Layout, Window},
};
use crate::{
    units::{count, from_seconds, seconds},
    workload::{Request, Workload, WorkloadError},
};

/// Workloads up to this many requests, and this many bytes, are encoded once and kept.
const KEPT_MAX: u64 = 20_000;
const KEPT_BYTES_MAX: usize = 16 << 20;

/// One request of the sequence.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    /// Tells its client apart from others.
    pub(super) session: u64,
    /// What is sent.
    pub(super) card: Pick,
}

/// Where an encoded request is.
#[derive(Debug, Clone)]
pub(super) enum Pick {
    /// At this place of the deck that is kept.
    Kept(u32),
    /// Made for this one time.
    Fresh(Arc<Card>),
}

/// What decides the sequence, and when its requests are due.
pub(super) struct Recipe {
    pub(super) workload: Workload,
    pub(super) layout: Layout,
    pub(super) arrivals: Arrivals,
    pub(super) seed: u64,
    pub(super) encoders: [Option<Encoder>; 2],
    pub(super) endpoints: Endpoints,
}

/// The sequence.
pub(super) struct Source {
    recipe: Arc<Recipe>,
    requests: Box<dyn Iterator<Item = Result<Request, WorkloadError>> + Send>,
    repetition: u64,
    /// All requests in order with offset and session, where the workload is small enough.
    kept: Vec<(u64, u64)>,
    deck: Arc<Deck>,
    next_kept: usize,
    /// Read, but due in a later piece: its instant in nanoseconds of the endless sequence.
    pending: Option<(u64, Drawn)>,
    begin_ns: u64,
}

impl Source {
    /// The sequence from its beginning; a small workload is read as a whole.
    pub(super) fn new(recipe: &Arc<Recipe>) -> Result<Self, WorkloadError> {
        let mut source = Self {
            recipe: Arc::clone(recipe),
            requests: Box::new(recipe.workload.requests()?),
            repetition: 0,
            kept: Vec::new(),
            deck: Arc::default(),
            next_kept: 0,
            pending: None,
            begin_ns: 0,
        };
        if recipe.workload.summary().requests <= KEPT_MAX {
            source.keep()?;
        }
        Ok(source)
    }

    fn keep(&mut self) -> Result<(), WorkloadError> {
        let mut deck = Deck::default();
        let mut weight = 0;
        for request in self.recipe.workload.requests()? {
            let request = request?;
            let card = self.encode(&request);
            weight += card.weight();
            if weight > KEPT_BYTES_MAX {
                self.kept.clear();
                return Ok(());
            }
            self.kept.push((request.offset_ns, session(&request)));
            deck.cards.push(Arc::new(card));
        }
        self.deck = Arc::new(deck);
        Ok(())
    }

    /// The requests that are kept for the whole run; empty when they are not.
    pub(super) fn kept(&self) -> Arc<Deck> {
        Arc::clone(&self.deck)
    }

    /// Calls `each` with the instant (from the window's begin) and the request, in order, until
    /// it says that nobody listens. Pieces must be asked for in ascending order.
    pub(super) fn piece(
        &mut self,
        window: &Window,
        mut each: impl FnMut(u64, &Drawn) -> bool,
    ) -> Result<(), WorkloadError> {
        let total_ns = window.total_ns();
        if let Arrivals::Recorded(speed) = self.recipe.arrivals {
            let end_ns = self.begin_ns + total_ns;
            loop {
                let (due_ns, drawn) = match self.pending.take() {
                    Some(pending) => pending,
                    None => self.next(speed.factor())?,
                };
                if due_ns >= end_ns {
                    self.pending = Some((due_ns, drawn));
                    break;
                }
                if !each(due_ns.saturating_sub(self.begin_ns), &drawn) {
                    break;
                }
            }
        } else {
            let place = (self.begin_ns, self.recipe.layout.total_ns());
            let mut gaps = Gaps::new(self.recipe.arrivals, self.recipe.seed, window.piece, place);
            while let Some(at_ns) = gaps.next_ns().filter(|at_ns| *at_ns < total_ns) {
                if !each(at_ns, &self.next_in_turn()?) {
                    break;
                }
            }
        }
        self.begin_ns += total_ns;
        Ok(())
    }

    /// The next request, whenever it was recorded.
    pub(super) fn next_in_turn(&mut self) -> Result<Drawn, WorkloadError> {
        self.draw().map(|(_, drawn)| drawn)
    }

    /// The next request of the endless sequence and its recorded instant there, sped up.
    fn next(&mut self, factor: f64) -> Result<(u64, Drawn), WorkloadError> {
        let (offset_ns, drawn) = self.draw()?;
        let period_s = seconds(period_ns(&self.recipe.workload));
        let at_s = period_s * count(self.repetition) + seconds(offset_ns);
        Ok((from_seconds(at_s / factor), drawn))
    }

    /// The next request of the endless sequence and its offset in this repetition.
    fn draw(&mut self) -> Result<(u64, Drawn), WorkloadError> {
        loop {
            let repetition = self.repetition;
            let found = if self.kept.is_empty() {
                match self.requests.next() {
                    Some(request) => {
                        let request = request?;
                        let card = Pick::Fresh(Arc::new(self.encode(&request)));
                        Some((request.offset_ns, session(&request), card))
                    }
                    None => None,
                }
            } else {
                let index = self.next_kept;
                self.next_kept += 1;
                let card = u32::try_from(index).expect("few are kept");
                let kept = self.kept.get(index);
                kept.map(|(offset_ns, session)| (*offset_ns, *session, Pick::Kept(card)))
            };
            if let Some((offset_ns, session, card)) = found {
                let session = fresh(session, repetition);
                return Ok((offset_ns, Drawn { session, card }));
            }
            self.repetition += 1;
            self.next_kept = 0;
            if self.kept.is_empty() {
                self.requests = Box::new(self.recipe.workload.requests()?);
            }
        }
    }

    fn encode(&self, request: &Request) -> Card {
        let endpoint = self.recipe.endpoints.index(&request.endpoint);
        card(&self.recipe.encoders, request, endpoint)
    }
}

fn session(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    request.session.hash(&mut hasher);
    hasher.finish()
}

/// A session of a later repetition is another client.
fn fresh(session: u64, repetition: u64) -> u64 {
    session.wrapping_add(repetition.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}
