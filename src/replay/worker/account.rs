//! What becomes of the requests of one thread: sent, waiting, never sent, ended. Decides nothing
//! about time.

use super::{IN_VAIN_MAX, PAUSE_NS, SWEEP_NS, Worker};
use crate::{
    replay::{exchange::Exchange, health::Vitals, sessions::Fate},
    run::{Class, Group},
};

impl Worker {
    /// Sends a request, or counts why not; `false` where a cap forbids it.
    pub(super) fn send(&mut self, exchange: Exchange) -> bool {
        let (slot, endpoint) = (exchange.slot, exchange.card().endpoint);
        match self.pool.send(exchange) {
            Ok(()) => {
                self.tally.sent(slot, endpoint);
                self.counted.sent += 1;
                true
            }
            Err(exchange) => {
                if self.task.clients.is_none() {
                    self.not_sent(&exchange, Class::NotSentCap);
                }
                false
            }
        }
    }

    /// Counts a request that is never sent.
    pub(super) fn not_sent(&mut self, exchange: &Exchange, class: Class) {
        self.tally
            .not_sent(exchange.slot, exchange.card().endpoint, class);
        self.sessions.not_sent(exchange, class);
    }

    /// Sends those that waited for an answer which has come, from the instant that it came.
    fn release(&mut self) {
        while let Some(fate) = self.sessions.next_ready(self.pool.cx.now_ns) {
            let slot = match fate {
                Fate::Send(exchange) => {
                    let (slot, endpoint) = (exchange.slot, exchange.card().endpoint);
                    if self.send(exchange) {
                        self.tally.waited(slot, endpoint);
                    }
                    slot
                }
                Fate::Never(exchange, class) => {
                    self.not_sent(&exchange, class);
                    exchange.slot
                }
                Fate::Wait => continue,
            };
            self.tally.waits_no_more(slot);
        }
    }

    /// Counts what has ended, and writes what that has set going.
    pub(super) fn take(&mut self) {
        self.count();
        if self.pool.has_unflushed() {
            self.flush();
        }
    }

    /// Counts what has ended.
    pub(super) fn count(&mut self) {
        while let Some(ended) = self.pool.next_ended() {
            let done_ns = self.pool.cx.now_ns;
            self.counted.ended(&ended);
            if self.task.clients.is_some() {
                let failed = ended.class.group() == Group::TransportError;
                self.in_vain = if failed { self.in_vain + 1 } else { 0 };
                if self.in_vain >= IN_VAIN_MAX {
                    self.paused_until_ns = done_ns + PAUSE_NS;
                }
            }
            self.tally.ended(&ended, done_ns);
            if ended.caught.is_some() || ended.exchange.card().carries.is_some() {
                self.sessions.ended(&ended);
                self.release();
            }
        }
        while let Some(opened) = self.pool.next_opened() {
            self.tally.opened(opened);
        }
    }

    /// Housekeeping that can wait some milliseconds: time-outs, the gauge, slots that are over.
    pub(super) fn sweep(&mut self) {
        // A thread that was stopped while it had work to do comes here late, and not to its poll.
        let now_ns = self.pool.cx.tick();
        if self.sweep_ns > 0 {
            self.stall_ns = self.stall_ns.max(now_ns.saturating_sub(self.sweep_ns));
        }
        self.pool.sweep();
        self.count();
        self.flush();
        if !self.over.is_empty() {
            let vitals = Vitals::now(self.task.clock, self.spun_ns);
            let stall_ns = std::mem::take(&mut self.stall_ns);
            let health = vitals.since(&self.vitals, stall_ns);
            self.vitals = vitals;
            for (window, complete) in std::mem::take(&mut self.over) {
                for slot in &window.slots {
                    self.tally.over(slot.id, complete, &health);
                }
            }
        }
        for part in self.tally.take_closed() {
            // Nobody listens any more when the run was given up: nothing is lost then.
            let _ = self.task.parts.blocking_send(part);
        }
        let strays = std::mem::take(&mut self.pool.cx.strays);
        let now = (self.pool.in_flight() as u64, strays);
        self.counted.report(&self.task.gauge, now);
        self.sweep_ns = self.pool.cx.tick() + SWEEP_NS;
    }

    /// Whether nothing is in flight, and nobody waits for what was.
    pub(super) fn is_quiet(&self) -> bool {
        self.pool.in_flight() == 0 && self.sessions.is_calm()
    }
}
