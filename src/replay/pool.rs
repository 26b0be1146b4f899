//! The connections of one sending thread: which one carries a request, when a new one is opened,
//! and what becomes of it when it breaks.

use std::collections::VecDeque;

use mio::{Registry, Token, event::Event};
use slab::Slab;

use super::{
    connection::{Connection, Context, Opened},
    control::Limits,
    exchange::{Ended, Exchange},
    order::Order,
    stream::{Buffers, Route},
};
use crate::{clock::Clock, run::Class};

/// Tokens below this one are not connections.
pub(super) const FIRST_TOKEN: usize = 2;
/// So many connections are opened at once, each in a turn of its own; more requests than that wait
/// for whichever is free first. After a stall a connection for each request that has become due
/// would take longer to open than the answers take to come, and the stall would feed itself.
const OPENING_MAX: usize = 64;
/// So many forgotten places may stand in the list before it is cleared.
const FORGOTTEN_MAX: usize = 64;

/// One side's connections.
struct Lane {
    route: Route,
    /// Connections that take requests, by place and serial.
    listed: VecDeque<(usize, u64)>,
    connections: usize,
    /// How many of them are being opened.
    opening: usize,
    /// Whether one was opened in this turn.
    has_opened: bool,
    /// Requests in flight that no connection has taken yet.
    waiting: VecDeque<Exchange>,
    in_flight: usize,
}

impl Lane {
    /// Whether another connection may be opened now. What is sent again must not wait for the next
    /// turn: it could be put on a connection that is just being closed as well.
    fn opens(&self, is_retry: bool) -> bool {
        (is_retry || !self.has_opened) && self.opening < OPENING_MAX
    }
}

/// Where a request goes.
#[derive(Clone, Copy)]
enum Place {
    /// To the connection in this place.
    On(usize),
    /// To a new connection.
    New,
    /// To whichever connection is free first.
    Any,
}

/// All connections of one thread.
pub(super) struct Pool {
    registry: Registry,
    connections: Slab<Connection>,
    lanes: [Option<Lane>; 2],
    serial: u64,
    /// Written to, but not flushed yet: one flush serves all requests of one turn.
    unflushed: Vec<usize>,
    /// Those with more to read than they got in their turn.
    unread: Vec<usize>,
    forgotten: usize,
    pub(super) cx: Context,
}

impl Pool {
    /// A pool without connections.
    pub(super) fn new(
        registry: Registry,
        routes: [Option<Route>; 2],
        clock: Clock,
        limits: Limits,
    ) -> Self {
        let lanes = routes.map(|route| {
            Some(Lane {
                route: route?,
                listed: VecDeque::new(),
                connections: 0,
                opening: 0,
                has_opened: false,
                waiting: VecDeque::new(),
                in_flight: 0,
            })
        });
        Self {
            registry,
            connections: Slab::new(),
            lanes,
            serial: 0,
            unflushed: Vec::new(),
            unread: Vec::new(),
            forgotten: 0,
            cx: Context {
                clock,
                limits,
                buffers: Buffers::new(),
                now_ns: clock.now_ns(),
                endings: Vec::new(),
                opened: Vec::new(),
                strays: 0,
                order: Order::default(),
                known_ns: 0,
            },
        }
    }

    fn lane(&mut self, side: usize) -> &mut Lane {
        let lane = self.lanes[side].as_mut();
        lane.expect("shots only name sides that the run has")
    }

    /// Requests in flight on one side.
    pub(super) fn in_flight_on(&self, side: usize) -> usize {
        self.lanes[side].as_ref().map_or(0, |lane| lane.in_flight)
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.lanes.iter().flatten().map(|lane| lane.in_flight).sum()
    }

    /// Takes a connection that has room out of the list: the one used last, so that a few are
    /// kept warm; with HTTP/2 the one used longest ago, so that all carry alike. What is sent a
    /// second time goes to the one used last in any case: it is the least likely to go away.
    fn unlist(&mut self, side: usize, is_retry: bool) -> Option<usize> {
        let now_ns = self.cx.now_ns;
        loop {
            let lane = self.lane(side);
            let (key, serial) = if lane.route.is_http2 && !is_retry {
                lane.listed.pop_front()?
            } else {
                lane.listed.pop_back()?
            };
            let connection = self.connections.get_mut(key);
            let Some(connection) = connection.filter(|it| it.serial == serial) else {
                self.forgotten = self.forgotten.saturating_sub(1);
                continue;
            };
            connection.is_listed = false;
            if connection.room() > 0 && connection.is_stale(now_ns) {
                connection.lost(None, &mut self.cx);
            }
            connection.look(&mut self.cx);
            if connection.room() > 0 {
                return Some(key);
            }
            self.settle(key);
        }
    }

    fn list(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if !connection.is_listed && connection.room() > 0 {
            connection.is_listed = true;
            let (side, entry) = (connection.side, (key, connection.serial));
            self.lane(side).listed.push_back(entry);
        }
    }

    /// Sends a request, or gives it back when a cap forbids that. Flushed by [`Pool::flush`].
    ///
    /// # Errors
    /// The request, when more would be in flight than the limits allow.
    pub(super) fn send(&mut self, exchange: Exchange) -> Result<(), Exchange> {
        let side = exchange.side;
        if self.in_flight_on(side) >= self.cx.limits.in_flight_max {
            return Err(exchange);
        }
        let Some(place) = self.place(side, false) else {
            return Err(exchange);
        };
        self.lane(side).in_flight += 1;
        self.put(place, exchange);
        Ok(())
    }

    /// Where a request goes; nowhere when all connections that there may be are full.
    fn place(&mut self, side: usize, is_retry: bool) -> Option<Place> {
        let limits = self.cx.limits;
        let lane = self.lane(side);
        let is_http2 = lane.route.is_http2;
        let connections_max = if is_http2 {
            limits.http2_connections_max
        } else {
            limits.connections_max
        };
        let may_open = lane.connections + lane.waiting.len() < connections_max;
        // HTTP/2 opens all its connections before it puts two requests on one. What met a closing
        // HTTP/1.1 connection must not meet another one.
        let must_open = if is_http2 { may_open } else { is_retry };
        let listed = if must_open {
            None
        } else {
            self.unlist(side, is_retry)
        };
        match listed {
            Some(key) => Some(Place::On(key)),
            None if may_open && !self.lane(side).opens(is_retry) => Some(Place::Any),
            None if may_open || must_open => Some(Place::New),
            None => None,
        }
    }

    fn put(&mut self, place: Place, mut exchange: Exchange) {
        match place {
            Place::On(key) if !self.connections[key].is_opening() => {
                self.cx.order.go(&mut exchange);
            }
            _ => self.cx.order.wait(&mut exchange),
        }
        match place {
            Place::On(key) => {
                self.connections[key].send(exchange, self.cx.now_ns);
                self.unflushed.push(key);
                self.list(key);
            }
            Place::New => self.open(exchange),
            Place::Any => self.lane(exchange.side).waiting.push_back(exchange),
        }
    }

    fn open(&mut self, exchange: Exchange) {
        self.serial += 1;
        let side = exchange.side;
        let key = self.connections.vacant_key();
        let Some(lane) = &mut self.lanes[side] else {
            return;
        };
        lane.has_opened = true;
        let place = (&self.registry, Token(FIRST_TOKEN + key));
        match Connection::open(&lane.route, place, self.serial, exchange, &self.cx) {
            Ok(connection) => {
                lane.connections += 1;
                lane.opening += 1;
                self.connections.insert(connection);
                self.list(key);
            }
            Err(ended) => self.cx.endings.push(ended),
        }
    }

    /// Writes what was sent since the last time.
    pub(super) fn flush(&mut self) {
        while let Some(key) = self.unflushed.pop() {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.flush(&mut self.cx);
                self.settle(key);
            }
        }
    }

    /// Begins a turn: who waits longest gets a connection opened, one on each side. What is due and
    /// what was answered meanwhile has its own turn in between.
    pub(super) fn turn(&mut self) {
        for side in 0..self.lanes.len() {
            let Some(lane) = &mut self.lanes[side] else {
                continue;
            };
            lane.has_opened = false;
            if lane.opens(false)
                && let Some(exchange) = self.next_waiting(side)
            {
                self.open(exchange);
            }
        }
    }

    /// Whether there is something to be done in the next turn.
    pub(super) fn wants_turn(&self) -> bool {
        let waits = |lane: &Lane| !lane.waiting.is_empty() && lane.opening < OPENING_MAX;
        !self.unread.is_empty() || self.lanes.iter().flatten().any(waits)
    }

    /// A socket can do something.
    pub(super) fn ready(&mut self, event: &Event) {
        let key = event.token().0 - FIRST_TOKEN;
        // It may have been closed by what happened before in the same turn.
        if let Some(connection) = self.connections.get_mut(key) {
            connection.ready(event, &mut self.cx);
            self.settle(key);
            self.flush();
        }
    }

    /// Those with more to read than fitted into a turn, for their next one.
    pub(super) fn take_unread(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.unread)
    }

    /// Gives one its next turn.
    pub(super) fn read_on(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.read_on(&mut self.cx);
            self.settle(key);
        }
    }

    /// Whether something was sent and not written yet.
    pub(super) fn has_unflushed(&self) -> bool {
        !self.unflushed.is_empty()
    }

    /// Puts a connection where it belongs now: back on the list, or away.
    fn settle(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let side = connection.side;
        // One that takes nothing more leaves its place to another before it is gone.
        if connection.retires() {
            self.lane(side).connections -= 1;
        }
        let connection = &mut self.connections[key];
        if connection.counts_as_opening && !connection.is_opening() {
            connection.counts_as_opening = false;
            self.lane(side).opening -= 1;
        }
        let connection = &self.connections[key];
        if connection.is_closed() {
            self.forgotten += usize::from(connection.is_listed);
            self.connections.remove(key);
            return;
        }
        // One on the list is taken from there, after a look at it.
        if connection.room() > 0
            && !connection.is_listed
            && let Some(exchange) = self.next_waiting(side)
        {
            self.put(Place::On(key), exchange);
        }
        let connection = &self.connections[key];
        if connection.is_unread() && !self.unread.contains(&key) {
            self.unread.push(key);
        }
        self.list(key);
    }

    /// Who waits longest is sent now: that it waited is our doing, and its send lag.
    fn next_waiting(&mut self, side: usize) -> Option<Exchange> {
        let mut exchange = self.lane(side).waiting.pop_front()?;
        exchange.sent_ns = self.cx.now_ns;
        Some(exchange)
    }

    /// The next request that has ended for good; one that may be sent again is.
    pub(super) fn next_ended(&mut self) -> Option<Ended> {
        while let Some(mut ended) = self.cx.endings.pop() {
            let side = ended.exchange.side;
            self.cx.order.leave(&mut ended.exchange);
            if ended.is_to_be_retried()
                && let Some(place) = self.place(side, true)
            {
                let mut exchange = ended.exchange;
                exchange.is_retried = true;
                self.put(place, exchange);
                continue;
            }
            self.lane(side).in_flight -= 1;
            return Some(ended);
        }
        None
    }

    /// The next connection that was opened.
    pub(super) fn next_opened(&mut self) -> Option<Opened> {
        self.cx.opened.pop()
    }

    /// Ends what is overdue.
    pub(super) fn sweep(&mut self) {
        let now_ns = self.cx.tick();
        self.each(Connection::sweep);
        let limits = self.cx.limits;
        for (class, limit_ns) in [
            (Class::ConnectTimeout, limits.connect_ns),
            (Class::TotalTimeout, limits.total_ns),
        ] {
            self.give_up_waiting(class, |exchange| {
                now_ns.saturating_sub(exchange.sent_ns) >= limit_ns
            });
        }
        if self.forgotten > FORGOTTEN_MAX {
            let connections = &self.connections;
            let stands = |key: usize, serial| {
                let connection = connections.get(key);
                connection.is_some_and(|it| it.serial == serial && it.is_listed)
            };
            for lane in self.lanes.iter_mut().flatten() {
                lane.listed.retain(|(key, serial)| stands(*key, *serial));
            }
            self.forgotten = 0;
        }
    }

    /// Gives up what is in flight.
    pub(super) fn abort(&mut self) {
        self.give_up_waiting(Class::Aborted, |_| true);
        self.each(Connection::abort);
    }

    /// Fails those at the head of the queue for whom it is time.
    fn give_up_waiting(&mut self, class: Class, is_time: impl Fn(&Exchange) -> bool) {
        for lane in self.lanes.iter_mut().flatten() {
            while lane.waiting.front().is_some_and(&is_time)
                && let Some(exchange) = lane.waiting.pop_front()
            {
                self.cx.endings.push(exchange.failed(class));
            }
        }
    }

    fn each(&mut self, act: impl Fn(&mut Connection, &mut Context)) {
        for key in 0..self.connections.capacity() {
            if let Some(connection) = self.connections.get_mut(key) {
                act(connection, &mut self.cx);
                // Time-outs may have closed it, or made room on it.
                self.settle(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use mio::Poll;

    use super::*;
    use crate::{
        replay::fuzzing,
        workload::{Address, Target},
    };

    #[test]
    fn each_turn_opens_one_connection_at_most() {
        // Nobody accepts, so that each request needs one of its own.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut target = Target::parse("http://127.0.0.1").unwrap();
        target.address = Some(Address::Tcp(listener.local_addr().unwrap()));
        let route = Route::new(&target, &crate::tls::Trust::default()).unwrap();
        let registry = Poll::new().unwrap().registry().try_clone().unwrap();
        let limits = Limits::OF_TESTS;
        let routes = [Some(route), None];
        let mut pool = Pool::new(registry, routes, Clock::start(), limits);
        let stands = |pool: &Pool| {
            let lane = pool.lanes[0].as_ref().unwrap();
            (lane.connections, lane.waiting.len())
        };
        assert!(matches!(pool.place(0, false), Some(Place::New)));
        for slot in 0..100 {
            assert!(pool.send(fuzzing::exchange(slot)).is_ok());
            if slot == 0 {
                assert!(matches!(pool.place(0, false), Some(Place::Any)));
                assert!(matches!(pool.place(0, true), Some(Place::New)));
            }
        }
        assert!(pool.send(fuzzing::exchange(0)).is_err(), "the cap holds");
        assert_eq!(stands(&pool), (1, 99));
        for turn in 1..OPENING_MAX {
            assert!(pool.wants_turn());
            pool.turn();
            assert_eq!(stands(&pool), (1 + turn, 99 - turn));
        }
        // No more at once: those that are left take whichever is free first.
        assert!(!pool.wants_turn());
        pool.turn();
        assert_eq!(stands(&pool), (OPENING_MAX, 100 - OPENING_MAX));
    }
}
