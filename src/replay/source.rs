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
    units::{SECOND_NS, count, from_seconds, seconds},
    workload::{
        Request, Workload, WorkloadError,
        rules::{Lot, Rules},
    },
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
    /// What is carried over and made anew.
    pub(super) rules: Rules,
    /// When the run begins, in nanoseconds since 1970.
    pub(super) wall_ns: u64,
}

impl Recipe {
    /// When the run begins, in seconds since 1970.
    pub(super) fn wall_s(&self) -> i64 {
        i64::try_from(self.wall_ns / SECOND_NS).unwrap_or(i64::MAX)
    }
}

/// The sequence.
pub(super) struct Source {
    recipe: Arc<Recipe>,
    requests: Box<dyn Iterator<Item = Result<Request, WorkloadError>> + Send>,
    repetition: u64,
    /// All requests in order, where the workload is small enough.
    kept: Vec<Kept>,
    /// Whether some of them are made anew each time, so that none is sent by its place.
    has_drawn: bool,
    deck: Arc<Deck>,
    next_kept: usize,
    /// Requests drawn so far, and how many sequence numbers they took.
    drawn: u64,
    seq: u64,
    /// When the next request is due after the run began, where its recording does not say it.
    pub(super) due_ns: u64,
    /// Read, but due in a later piece: its instant in nanoseconds of the endless sequence.
    pending: Option<(u64, Drawn)>,
    begin_ns: u64,
}

/// A request that is kept for the whole run.
struct Kept {
    offset_ns: u64,
    session: u64,
    /// The request itself, where it is made anew each time.
    fresh: Option<Request>,
}

impl Source {
    /// The sequence from its beginning; a small workload is read as a whole.
    pub(super) fn new(recipe: &Arc<Recipe>) -> Result<Self, WorkloadError> {
        let mut source = Self {
            recipe: Arc::clone(recipe),
            requests: Box::new(recipe.workload.requests()?),
            repetition: 0,
            kept: Vec::new(),
            has_drawn: false,
            deck: Arc::default(),
            next_kept: 0,
            drawn: 0,
            seq: 0,
            due_ns: 0,
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
                (self.kept, self.has_drawn) = (Vec::new(), false);
                return Ok(());
            }
            let is_drawn = self.recipe.rules.is_drawn(&request);
            self.has_drawn |= is_drawn;
            self.kept.push(Kept {
                offset_ns: request.offset_ns,
                session: session(&request),
                fresh: is_drawn.then_some(request),
            });
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
                self.due_ns = self.begin_ns + at_ns;
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
        Ok((self.recorded_ns(offset_ns, factor), drawn))
    }

    /// The next request of the endless sequence and its offset in this repetition.
    fn draw(&mut self) -> Result<(u64, Drawn), WorkloadError> {
        loop {
            let repetition = self.repetition;
            let found = if self.kept.is_empty() {
                match self.requests.next() {
                    Some(request) => {
                        let request = request?;
                        let card = self.drawn(&request);
                        Some((request.offset_ns, session(&request), card))
                    }
                    None => None,
                }
            } else {
                let index = self.next_kept;
                self.next_kept += 1;
                self.next_of_kept(index)
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

    fn next_of_kept(&mut self, index: usize) -> Option<(u64, u64, Pick)> {
        let kept = self.kept.get_mut(index)?;
        let (offset_ns, session) = (kept.offset_ns, kept.session);
        let card = if let Some(request) = kept.fresh.take() {
            let card = self.drawn(&request);
            self.kept[index].fresh = Some(request);
            card
        } else if self.has_drawn {
            Pick::Fresh(Arc::clone(&self.deck.cards[index]))
        } else {
            Pick::Kept(u32::try_from(index).expect("few are kept"))
        };
        Some((offset_ns, session, card))
    }

    /// A request with what is made anew each time.
    fn drawn(&mut self, request: &Request) -> Pick {
        let recipe = Arc::clone(&self.recipe);
        let mut lot = Lot {
            seed: recipe.seed,
            repetition: self.repetition,
            index: self.drawn,
            now_ns: recipe
                .wall_ns
                .saturating_add(self.planned_ns(request.offset_ns)),
            seq: &mut self.seq,
        };
        let request = recipe.rules.draw(request, &mut lot);
        self.drawn += 1;
        Pick::Fresh(Arc::new(self.encode(&request)))
    }

    /// When the next request is due after the run began; where sides take turns, on the first.
    fn planned_ns(&self, offset_ns: u64) -> u64 {
        match self.recipe.arrivals {
            Arrivals::Recorded(speed) => self.recorded_ns(offset_ns, speed.factor()),
            _ => self.due_ns,
        }
    }

    fn recorded_ns(&self, offset_ns: u64, factor: f64) -> u64 {
        let period_s = seconds(period_ns(&self.recipe.workload));
        let at_s = period_s * count(self.repetition) + seconds(offset_ns);
        from_seconds(at_s / factor)
    }

    fn encode(&self, request: &Request) -> Card {
        let endpoint = self.recipe.endpoints.index(&request.endpoint);
        card(
            &self.recipe.encoders,
            (request, &self.recipe.rules),
            endpoint,
        )
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
