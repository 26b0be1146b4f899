//! The clients that one sending thread plays, as far as their answers matter to their requests:
//! cookies, values that rules carry over, and who waits for which answer.
//!
//! A client is here from its first cookie, or its first request under a rule; for all others this
//! costs one look at an empty map. What a client has learnt on one side is unknown on the other.
//! Only a request whose value is still under way waits; what it waits for is the newest request
//! before it whose answer may bring the value.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{
    encode::{Card, Wire},
    exchange::{Ended, Exchange},
    source::Recipe,
};
use crate::{
    run::Class,
    workload::rules::{Answer, Client},
};

/// So many clients are remembered before those are forgotten that were silent for longest; up to
/// twice as many are.
const REMEMBERED: usize = 20_000;

/// What becomes of a request that is due.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is sent now.
    Send(Exchange),
    /// It waits for an answer.
    Wait,
    /// It cannot be sent: no answer has brought what it needs.
    Never(Exchange, Class),
}

/// A session on one side.
type Key = (u64, usize);

/// One client.
#[derive(Debug, Default)]
struct Known {
    client: Client,
    /// Requests so far whose answers others may wait for.
    turn: u32,
    /// Those that have not ended.
    open: Vec<u32>,
    /// The newest of them for each rule.
    newest: Vec<u32>,
    /// Why the newest was not sent, if it was not.
    lost: Option<Class>,
    waiting: VecDeque<Waiting>,
}

/// A request that waits for the end of these.
#[derive(Debug)]
struct Waiting {
    exchange: Exchange,
    turns: Vec<u32>,
}

impl Known {
    fn is_busy(&self) -> bool {
        !self.open.is_empty() || !self.waiting.is_empty()
    }

    /// What a request with these needs has to wait for.
    fn awaited(&self, needs: impl Iterator<Item = usize>) -> Vec<u32> {
        let newest = needs.filter_map(|rule| self.newest.get(rule));
        newest
            .filter(|turn| self.open.contains(turn))
            .copied()
            .collect()
    }

    /// A request whose answer these rules look into is on its way from now on.
    fn begin(&mut self, gives: &[usize]) -> u32 {
        self.turn += 1;
        self.open.push(self.turn);
        for rule in gives {
            if self.newest.len() <= *rule {
                self.newest.resize(rule + 1, 0);
            }
            self.newest[*rule] = self.turn;
        }
        self.turn
    }

    /// It has ended; those that waited for nothing else can go.
    fn end(&mut self, turn: u32) -> Vec<Exchange> {
        self.open.retain(|it| *it != turn);
        let open = &self.open;
        let can_go = |it: &Waiting| it.turns.iter().all(|turn| !open.contains(turn));
        let mut gone = Vec::new();
        let mut rest = VecDeque::new();
        for waiting in self.waiting.drain(..) {
            if can_go(&waiting) {
                gone.push(waiting.exchange);
            } else {
                rest.push_back(waiting);
            }
        }
        self.waiting = rest;
        gone
    }
}

/// All clients of one thread.
pub(super) struct Sessions {
    recipe: Arc<Recipe>,
    young: HashMap<Key, Known>,
    old: HashMap<Key, Known>,
    /// Requests that wait for an answer.
    waiting: usize,
    /// Requests that have waited and can go.
    ready: VecDeque<Exchange>,
}

impl Sessions {
    /// Nobody is known yet.
    pub(super) fn new(recipe: Arc<Recipe>) -> Self {
        Self {
            recipe,
            young: HashMap::new(),
            old: HashMap::new(),
            waiting: 0,
            ready: VecDeque::new(),
        }
    }

    /// Whether nobody is known.
    pub(super) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// Whether nobody waits.
    pub(super) fn is_calm(&self) -> bool {
        self.waiting == 0
    }

    fn find(&mut self, key: Key) -> Option<&mut Known> {
        if !self.young.contains_key(&key) {
            let known = self.old.remove(&key)?;
            self.young.insert(key, known);
        }
        self.young.get_mut(&key)
    }

    fn find_or_meet(&mut self, key: Key) -> &mut Known {
        if self.find(key).is_none() {
            self.make_room();
        }
        self.young.entry(key).or_default()
    }

    /// Forgets who was silent since all of the others came.
    fn make_room(&mut self) {
        if self.young.len() < REMEMBERED {
            return;
        }
        let silent = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        // Whoever has requests under way is not forgotten.
        let busy = silent.into_iter().filter(|(_, known)| known.is_busy());
        self.young.extend(busy);
    }

    /// Decides about a request that is due.
    pub(super) fn due(&mut self, mut exchange: Exchange) -> Fate {
        let key = (exchange.session, exchange.side);
        let Some(carries) = exchange.card().carries.as_deref() else {
            let recipe = Arc::clone(&self.recipe);
            return match self.find(key) {
                None => Fate::Send(exchange),
                Some(known) => {
                    exchange.overtakes = !known.waiting.is_empty();
                    compose(&recipe, known, exchange)
                }
            };
        };
        let recipe = Arc::clone(&self.recipe);
        let known = self.find_or_meet(key);
        let template = carries.template.as_ref();
        let turns = template.map_or(Vec::new(), |it| known.awaited(it.needs()));
        if !carries.gives.is_empty() {
            exchange.turn = known.begin(&carries.gives);
        }
        if turns.is_empty() {
            exchange.overtakes = !known.waiting.is_empty();
            return compose(&recipe, known, exchange);
        }
        known.waiting.push_back(Waiting { exchange, turns });
        self.waiting += 1;
        Fate::Wait
    }

    /// A request was not sent: those that wait for its answer need not wait any longer, and lack
    /// their value for the same reason.
    pub(super) fn not_sent(&mut self, exchange: &Exchange, class: Class) {
        let carries = exchange.card().carries.as_deref();
        if carries.is_none_or(|it| it.gives.is_empty()) {
            return;
        }
        let known = self.find_or_meet((exchange.session, exchange.side));
        known.lost = Some(class);
        let gone = known.end(exchange.turn);
        self.ready.extend(gone);
    }

    /// A request has ended: its client learns from its answer, and those that waited for it go on.
    pub(super) fn ended(&mut self, ended: &Ended) {
        let exchange = &ended.exchange;
        let recipe = Arc::clone(&self.recipe);
        let known = self.find_or_meet((exchange.session, exchange.side));
        let gives = exchange.card().carries.as_deref().map(|it| &it.gives);
        if let Some(caught) = &ended.caught {
            let answer = Answer {
                fields: &caught.fields,
                body: &caught.body,
                now_s: recipe.wall_s(),
            };
            if let (Some(path), Some(encoder)) = (
                &exchange.card().session_path,
                &recipe.encoders[exchange.side],
            ) {
                let path = encoder.full_path(path);
                known.client.keep_cookies(&path, &answer);
            }
            for rule in gives.into_iter().flatten() {
                known.client.keep_value(&recipe.rules, *rule, &answer);
            }
        }
        if exchange.turn > 0 {
            known.lost = None;
            let gone = known.end(exchange.turn);
            self.ready.extend(gone);
        }
    }

    /// The next request that has waited long enough, due from now on.
    pub(super) fn next_ready(&mut self, now_ns: u64) -> Option<Fate> {
        let mut exchange = self.ready.pop_front()?;
        self.waiting -= 1;
        exchange.intended_ns = exchange.intended_ns.max(now_ns);
        exchange.sent_ns = exchange.intended_ns;
        let recipe = Arc::clone(&self.recipe);
        let known = self.find_or_meet((exchange.session, exchange.side));
        Some(compose(&recipe, known, exchange))
    }

    /// Everybody who still waits, in no order: nothing is sent any more.
    pub(super) fn give_up(&mut self) -> Vec<Exchange> {
        let clients = self.young.values_mut().chain(self.old.values_mut());
        let waiting = clients.flat_map(|known| known.waiting.drain(..));
        let mut given_up: Vec<Exchange> = waiting.map(|it| it.exchange).collect();
        given_up.extend(self.ready.drain(..));
        self.waiting = 0;
        given_up
    }
}

/// Gives a request the values and cookies of its client.
fn compose(recipe: &Recipe, known: &mut Known, mut exchange: Exchange) -> Fate {
    let side = exchange.side;
    let encoder = recipe.encoders[side].as_ref();
    let encoder = encoder.expect("shots only name sides that the run has");
    let card = exchange.card();
    let carries = card.carries.as_deref();
    let filled = carries.and_then(|it| it.template.as_ref());
    let filled = match filled.map(|template| template.fill(&mut known.client)) {
        Some(Ok(request)) => Some(request),
        Some(Err(_)) => {
            let class = known.lost.unwrap_or(Class::NotSentValue);
            return Fate::Never(exchange, class);
        }
        None => None,
    };
    let mut own = filled.as_ref().map(|request| encoder.encode(request));
    if let Some(path) = &card.session_path
        && !known.client.has_no_cookies()
    {
        let path = filled.as_ref().map_or(&**path, |request| &request.path);
        let path = encoder.full_path(path);
        if let Some(cookies) = known.client.cookies(&path, encoder.fixed_cookies())
            && let Some(wire) = own.as_ref().or(wire_of(card, side))
        {
            own = Some(encoder.with_cookies(wire, &cookies));
        }
    }
    exchange.own = own.map(Box::new);
    Fate::Send(exchange)
}

fn wire_of(card: &Card, side: usize) -> Option<&Wire> {
    card.wires[side].as_ref()
}
