//! Counting on one worker: what each open slot has seen so far.
//!
//! Nothing is shared with other workers; the parts of a slot are put together when it closes.
//! A request belongs to the slot of its intended instant, and a slot closes when its last
//! request has ended.

use std::collections::BTreeMap;

use crate::{
    histogram::Histogram,
    run::{Class, EndpointStats, Group, Health},
};

/// The instants of one request that was sent, in nanoseconds after the start of the run.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit is in every name of an instant"
)]
pub(super) struct Instants {
    /// When the schedule wanted it sent.
    pub intended_ns: u64,
    /// When its first byte was handed to the kernel.
    pub sent_ns: u64,
    /// When its answer was complete, or had failed.
    pub done_ns: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    /// The class.
    pub class: Class,
    /// The status, if an answer came.
    pub status: Option<u16>,
    /// Bytes of body received.
    pub body_bytes: u64,
    /// Whether it was sent a second time.
    pub retried: bool,
}

/// What one worker saw of one slot.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The slot.
    pub slot: u32,
    /// Begin of the measured time, in nanoseconds after the start of the run.
    pub start_ns: u64,
    /// Whether its whole schedule was carried out.
    pub complete: bool,
    /// What each endpoint did, by index.
    pub endpoints: BTreeMap<u32, EndpointStats>,
    /// The worker's own health.
    pub health: Health,
}

#[derive(Debug)]
struct Open {
    part: Part,
    /// Requests dispatched whose end is not known yet.
    in_flight: u64,
    /// Whether its time is over.
    over: bool,
}

/// The open slots of one worker.
#[derive(Debug, Default)]
pub(super) struct Tally {
    open: Vec<Open>,
    closed: Vec<Part>,
}

impl Tally {
    /// Opens a slot that is measured from this instant on.
    pub(super) fn open(&mut self, slot: u32, start_ns: u64) {
        let part = Part {
            slot,
            start_ns,
            ..Part::default()
        };
        self.open.push(Open {
            part,
            in_flight: 0,
            over: false,
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

    /// A request was planned and is now either dispatched or given up.
    pub(super) fn scheduled(&mut self, slot: u32, endpoint: u32) {
        if let Some(stats) = self.stats(slot, endpoint) {
            stats.scheduled += 1;
        }
    }

    /// A request left the generator.
    pub(super) fn sent(&mut self, slot: u32, lag_ns: u64) {
        if let Some(open) = self.find(slot) {
            open.in_flight += 1;
            open.part.health.lag.record(lag_ns);
        }
    }

    /// A planned request was not sent.
    pub(super) fn not_sent(&mut self, slot: u32, endpoint: u32, class: Class, n: u64) {
        debug_assert_eq!(class.group(), Group::NotSent);
        if n > 0
            && let Some(stats) = self.stats(slot, endpoint)
        {
            *stats.classes.entry(class).or_default() += n;
        }
    }

    /// A request that was sent has ended.
    pub(super) fn ended(&mut self, slot: u32, endpoint: u32, at: Instants, ending: Ending) {
        let Some(stats) = self.stats(slot, endpoint) else {
            return;
        };
        *stats.classes.entry(ending.class).or_default() += 1;
        if let Some(status) = ending.status {
            *stats.statuses.entry(status).or_default() += 1;
        }
        stats.body_bytes += ending.body_bytes;
        stats.retried += u64::from(ending.retried);
        let response_ns = at.done_ns.saturating_sub(at.intended_ns);
        if ending.class.group() == Group::Ok {
            stats.response.record(response_ns);
            stats.service.record(at.done_ns.saturating_sub(at.sent_ns));
        } else {
            stats.failed.record(response_ns);
        }
        if let Some(open) = self.find(slot) {
            open.in_flight -= 1;
        }
        self.sweep();
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

    fn stats(&mut self, slot: u32, endpoint: u32) -> Option<&mut EndpointStats> {
        self.find(slot)
            .map(|open| open.part.endpoints.entry(endpoint).or_default())
    }

    fn sweep(&mut self) {
        let mut index = 0;
        while index < self.open.len() {
            if self.open[index].over && self.open[index].in_flight == 0 {
                let open = self.open.remove(index);
                debug_assert!(
                    open.part
                        .endpoints
                        .values()
                        .all(EndpointStats::is_conserved)
                );
                self.closed.push(open.part);
            } else {
                index += 1;
            }
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
    let lag: &mut Histogram = &mut into.health.lag;
    lag.merge(&other.health.lag);
    into.health.cpu_share = into.health.cpu_share.max(other.health.cpu_share);
    into.health.steal_share = into.health.steal_share.max(other.health.steal_share);
    into.health.stall_ns = into.health.stall_ns.max(other.health.stall_ns);
    into.health.wall_step_ns = into.health.wall_step_ns.max(other.health.wall_step_ns);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok() -> Ending {
        Ending {
            class: Class::Ok,
            status: Some(200),
            body_bytes: 5,
            retried: false,
        }
    }

    #[test]
    fn a_slot_closes_when_its_last_request_has_ended() {
        let mut tally = Tally::default();
        tally.open(0, 100);
        tally.scheduled(0, 7);
        tally.sent(0, 3);
        tally.over(0, true, &Health::default());
        assert!(
            tally.take_closed().is_empty(),
            "one request is still in flight"
        );
        tally.open(1, 200);
        let at = Instants {
            intended_ns: 110,
            sent_ns: 113,
            done_ns: 150,
        };
        tally.ended(0, 7, at, ok());
        let parts = tally.take_closed();
        assert_eq!(parts.len(), 1);
        let stats = &parts[0].endpoints[&7];
        assert!(stats.is_conserved() && parts[0].complete);
        assert_eq!(stats.service.count(), 1);
        assert_eq!(parts[0].health.lag.count(), 1);
    }

    #[test]
    fn what_was_not_sent_is_counted_and_holds_nothing_open() {
        let mut tally = Tally::default();
        tally.open(0, 0);
        tally.scheduled(0, 0);
        tally.not_sent(0, 0, Class::NotSentCap, 1);
        tally.over(0, true, &Health::default());
        let parts = tally.take_closed();
        assert!(parts[0].endpoints[&0].is_conserved());
        assert_eq!(parts[0].endpoints[&0].sent(), 0);
    }
}
