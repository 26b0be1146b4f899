//! Counting on one worker: what each open slot has seen so far.
//!
//! Nothing is shared with other workers; the parts of a slot are put together when it closes.
//! A request belongs to the slot of its intended instant, and a slot closes when its last
//! request has ended. Counts stand in plain arrays while the load runs, and become the maps of
//! the run file afterwards.

use std::collections::BTreeMap;

use super::{connection::Opened, exchange::Ended, feed::SETTLING, seconds::Seconds};
use crate::{
    histogram::Histogram,
    run::{Class, ConnectionStats, EndpointStats, Group, Health},
};

/// What one worker saw of one slot.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The slot.
    pub(super) slot: u32,
    /// Begin of the measured time, in nanoseconds after the start of the run.
    pub(super) start_ns: u64,
    /// How long it settled before, in nanoseconds.
    pub(super) settle_ns: u64,
    /// Whether its whole schedule was carried out.
    pub(super) complete: bool,
    /// What each endpoint did, by index.
    pub(super) endpoints: BTreeMap<u32, EndpointStats>,
    /// The medians of its seconds, from the begin of its load.
    pub(super) seconds: Seconds,
    /// The connections that its requests opened.
    pub(super) connections: ConnectionStats,
    /// The worker's own health.
    pub(super) health: Health,
}

/// A count for each class, in the order of [`Class::ALL`].
#[derive(Debug)]
struct ByClass([u32; Class::ALL.len()]);

impl Default for ByClass {
    fn default() -> Self {
        Self([0; Class::ALL.len()])
    }
}

/// One endpoint of one slot.
#[derive(Debug, Default)]
struct Cell {
    scheduled: u64,
    classes: ByClass,
    /// A handful at the most; the commonest comes first.
    statuses: Vec<(u16, u64)>,
    retried: u64,
    waited: u64,
    overtook: u64,
    body_bytes: u64,
    ok_bytes: u64,
    response: Histogram,
    service: Histogram,
    first_byte: Histogram,
    failed: Histogram,
}

impl Cell {
    fn status(&mut self, status: u16) {
        match self.statuses.iter_mut().find(|(it, _)| *it == status) {
            Some((_, n)) => *n += 1,
            None => self.statuses.push((status, 1)),
        }
    }

    fn into_stats(self) -> EndpointStats {
        let classes = Class::ALL.iter().zip(self.classes.0);
        EndpointStats {
            scheduled: self.scheduled,
            classes: classes
                .filter(|(_, n)| *n > 0)
                .map(|(class, n)| (*class, u64::from(n)))
                .collect(),
            statuses: self.statuses.into_iter().collect(),
            retried: self.retried,
            waited: self.waited,
            overtook: self.overtook,
            body_bytes: self.body_bytes,
            ok_bytes: self.ok_bytes,
            response: self.response,
            service: self.service,
            first_byte: self.first_byte,
            failed: self.failed,
        }
    }
}

#[derive(Debug)]
struct Open {
    part: Part,
    cells: Vec<Option<Box<Cell>>>,
    /// Requests dispatched whose end is not known yet.
    in_flight: u64,
    /// Whether its time is over.
    over: bool,
    /// Whether requests of it were given up that were due.
    is_cut: bool,
}

impl Open {
    fn cell(&mut self, endpoint: u32) -> &mut Cell {
        let index = endpoint as usize;
        if index >= self.cells.len() {
            self.cells.resize_with(index + 1, || None);
        }
        self.cells[index].get_or_insert_default()
    }

    fn into_part(mut self) -> Part {
        let cells = self.cells.into_iter().zip(0..);
        let endpoints = cells.filter_map(|(cell, index)| Some((index, cell?.into_stats())));
        self.part.endpoints = endpoints.collect();
        self.part.complete &= !self.is_cut;
        self.part
    }
}

/// The open slots of one worker.
#[derive(Debug, Default)]
pub(super) struct Tally {
    open: Vec<Open>,
    closed: Vec<Part>,
}

impl Tally {
    /// Opens a slot whose load begins then, settles for so long and is measured for so long, in
    /// nanoseconds.
    pub(super) fn open(&mut self, slot: u32, (begin_ns, settle_ns, length_ns): (u64, u64, u64)) {
        let part = Part {
            slot,
            start_ns: begin_ns + settle_ns,
            settle_ns,
            seconds: Seconds::new(begin_ns, settle_ns + length_ns),
            ..Part::default()
        };
        self.open.push(Open {
            part,
            cells: Vec::new(),
            in_flight: 0,
            over: false,
            is_cut: false,
        });
    }

    /// The time of a slot is over; it closes when nothing of it is in flight any more.
    pub(super) fn over(&mut self, slot: u32, complete: bool, health: &Health) {
        if let Some(open) = self.find(slot) {
            open.over = true;
            open.part.complete = complete;
            let lag = std::mem::take(&mut open.part.health.lag);
            open.part.health = Health {
                lag,
                ..health.clone()
            };
        }
        self.sweep();
    }

    /// A request was planned and left the generator.
    pub(super) fn sent(&mut self, slot: u32, endpoint: u32) {
        if let Some(open) = self.find(slot) {
            open.in_flight += 1;
            open.cell(endpoint).scheduled += 1;
        }
    }

    /// A request was planned and not sent.
    pub(super) fn not_sent(&mut self, slot: u32, endpoint: u32, class: Class) {
        debug_assert_eq!(class.group(), Group::NotSent);
        if let Some(open) = self.find(slot) {
            let cell = open.cell(endpoint);
            cell.scheduled += 1;
            cell.classes.0[class as usize] += 1;
        }
    }

    /// A request was due and waits for an answer: its slot stays open for it.
    pub(super) fn waits(&mut self, slot: u32) {
        if let Some(open) = self.find(slot) {
            open.in_flight += 1;
        }
    }

    /// It waits no longer; what became of it is counted by itself.
    pub(super) fn waits_no_more(&mut self, slot: u32) {
        if let Some(open) = self.find(slot) {
            open.in_flight -= 1;
        }
        self.sweep();
    }

    /// A request was sent that had waited for an answer.
    pub(super) fn waited(&mut self, slot: u32, endpoint: u32) {
        if let Some(open) = self.find(slot) {
            open.cell(endpoint).waited += 1;
        }
    }

    /// A request waited when the run was stopped: its slot is not complete, whatever it was before.
    pub(super) fn given_up(&mut self, slot: u32, endpoint: u32) {
        self.not_sent(slot, endpoint, Class::NotSentValue);
        if let Some(open) = self.find(slot) {
            open.is_cut = true;
            open.in_flight -= 1;
        }
        self.sweep();
    }

    /// A request that was sent has ended.
    pub(super) fn ended(&mut self, ended: &Ended, done_ns: u64) {
        let exchange = &ended.exchange;
        let Some(open) = self.find(exchange.slot & !SETTLING) else {
            return;
        };
        let since = |begin_ns: u64, end_ns: u64| end_ns.saturating_sub(begin_ns);
        let response_ns = since(exchange.intended_ns, done_ns);
        let is_ok = ended.class.group() == Group::Ok;
        let seconds = &mut open.part.seconds;
        seconds.record(exchange.intended_ns, is_ok.then_some(response_ns));
        if exchange.slot & SETTLING != 0 {
            return;
        }
        open.in_flight -= 1;
        let lag_ns = exchange.sent_ns.saturating_sub(exchange.intended_ns);
        open.part.health.lag.record(lag_ns);
        let is_last = open.over && open.in_flight == 0;
        let cell = open.cell(exchange.card().endpoint);
        cell.classes.0[ended.class as usize] += 1;
        if let Some(status) = ended.status {
            cell.status(status);
        }
        cell.body_bytes += ended.body_bytes;
        cell.retried += u64::from(exchange.is_retried);
        cell.overtook += u64::from(exchange.overtakes);
        if is_ok {
            cell.ok_bytes += ended.body_bytes;
            cell.response.record(response_ns);
            cell.service.record(since(exchange.sent_ns, done_ns));
            let first_byte_ns = since(exchange.intended_ns, ended.first_byte_ns);
            cell.first_byte.record(first_byte_ns);
        } else {
            cell.failed.record(response_ns);
        }
        if is_last {
            self.sweep();
        }
    }

    /// A connection was opened.
    pub(super) fn opened(&mut self, opened: Opened) {
        if let Some(open) = self.find(opened.slot) {
            let connections = &mut open.part.connections;
            connections.connect.record(opened.connect_ns);
            if let Some(tls_ns) = opened.tls_ns {
                connections.tls.record(tls_ns);
            }
        }
    }

    /// Slots that have closed since the last call.
    pub(super) fn take_closed(&mut self) -> Vec<Part> {
        std::mem::take(&mut self.closed)
    }

    fn find(&mut self, slot: u32) -> Option<&mut Open> {
        // A handful of slots at the most, the newest last.
        self.open
            .iter_mut()
            .rev()
            .find(|open| open.part.slot == slot)
    }

    fn sweep(&mut self) {
        let is_closed = |open: &mut Open| open.over && open.in_flight == 0;
        for open in self.open.extract_if(.., is_closed) {
            let part = open.into_part();
            debug_assert!(part.endpoints.values().all(EndpointStats::is_conserved));
            self.closed.push(part);
        }
    }
}

/// Adds what another worker saw of the same slot.
pub(super) fn merge(into: &mut Part, other: Part) {
    into.start_ns = into.start_ns.min(other.start_ns);
    into.complete &= other.complete;
    for (endpoint, stats) in other.endpoints {
        into.endpoints.entry(endpoint).or_default().merge(&stats);
    }
    into.seconds.merge(other.seconds);
    into.connections.merge(&other.connections);
    into.health.merge(&other.health);
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, sync::Arc};

    use super::*;
    use crate::replay::{
        encode::{Card, Deck, Hand},
        exchange::Exchange,
        http1::Asked,
    };

    fn exchange(slot: u32, endpoint: u32) -> Exchange {
        let card = Card {
            endpoint,
            expect_status: None,
            asked: Asked::plain(false),
            is_repeatable: true,
            has_session: false,
            session_path: None,
            carries: None,
            wires: [None, None],
        };
        let deck = Deck {
            cards: vec![Arc::new(card)],
        };
        Exchange::new(
            (Rc::new(Hand(Arc::new(deck))), 0),
            (slot, 0, 0),
            (110_000, 113_000),
        )
    }

    fn ok(exchange: Exchange) -> Ended {
        Ended {
            exchange,
            class: Class::Ok,
            status: Some(200),
            body_bytes: 5,
            first_byte_ns: 140_000,
            may_retry: false,
            caught: None,
        }
    }

    #[test]
    fn a_slot_closes_when_its_last_request_has_ended() {
        let mut tally = Tally::default();
        tally.open(0, (50, 50, 1_000_000_000));
        tally.sent(0, 7);
        tally.over(0, true, &Health::default());
        assert!(
            tally.take_closed().is_empty(),
            "one request is still in flight"
        );
        tally.open(1, (200, 0, 9));
        tally.ended(&ok(exchange(0, 7)), 150_000);
        let parts = tally.take_closed();
        assert_eq!(parts.len(), 1);
        let stats = &parts[0].endpoints[&7];
        assert!(stats.is_conserved() && parts[0].complete);
        assert_eq!(stats.service.max_ns() / 1_000, 37);
        assert_eq!(stats.first_byte.max_ns() / 1_000, 30);
        assert_eq!((stats.body_bytes, stats.ok_bytes), (5, 5));
        assert_eq!(stats.statuses[&200], 1);
        assert_eq!(parts[0].health.lag.count(), 1);
    }

    #[test]
    fn what_was_not_sent_is_counted_and_holds_nothing_open() {
        let mut tally = Tally::default();
        tally.open(0, (0, 0, 9));
        tally.not_sent(0, 0, Class::NotSentCap);
        tally.over(0, true, &Health::default());
        let parts = tally.take_closed();
        assert!(parts[0].endpoints[&0].is_conserved());
        assert_eq!(parts[0].endpoints[&0].sent(), 0);
    }
}
