//! A request on its way, and how it ended.

use std::rc::Rc;

use super::{
    caught::Caught,
    encode::{Card, Hand, Wire},
};
use crate::run::Class;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    hand: Rc<Hand>,
    index: u32,
    /// The slot that it is counted in, with `SETTLING` in one that does not count it yet.
    pub(super) slot: u32,
    /// 0 for the baseline, 1 for the candidate.
    pub(super) side: usize,
    /// When the schedule wanted it sent, in nanoseconds on the run's clock.
    pub(super) intended_ns: u64,
    /// When it went out, on the same clock: to a connection, or to one that is opened for it.
    pub(super) sent_ns: u64,
    /// Whether it was sent a second time.
    pub(super) is_retried: bool,
    /// Whether it waits for a connection.
    pub(super) is_aside: bool,
    /// Whether it went out while another of its client, due before it, waited.
    pub(super) overtakes: bool,
    /// Its client among those of its side.
    pub(super) session: u64,
    /// Which of its client's requests that others wait for; 0 for none.
    pub(super) turn: u32,
    /// Its own bytes, where they are not those of its card.
    pub(super) own: Option<Box<Wire>>,
}

impl Exchange {
    /// A request that is sent now.
    pub(super) fn new(
        (hand, index): (Rc<Hand>, u32),
        (slot, side, session): (u32, usize, u64),
        (intended_ns, sent_ns): (u64, u64),
    ) -> Self {
        Self {
            hand,
            index,
            slot,
            side,
            intended_ns,
            sent_ns,
            is_retried: false,
            is_aside: false,
            overtakes: false,
            session,
            turn: 0,
            own: None,
        }
    }

    /// What is known of the request.
    pub(super) fn card(&self) -> &Card {
        &self.hand.0.cards[self.index as usize]
    }

    /// Its bytes.
    pub(super) fn wire(&self) -> &Wire {
        if let Some(own) = &self.own {
            return own;
        }
        let wire = self.card().wires[self.side].as_ref();
        wire.expect("shots only name sides that the run has")
    }

    /// The end of this request.
    pub(super) fn failed(self, class: Class) -> Ended {
        Ended {
            exchange: self,
            class,
            status: None,
            body_bytes: 0,
            first_byte_ns: 0,
            may_retry: false,
            caught: None,
        }
    }
}

/// How a request ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Which one.
    pub(super) exchange: Exchange,
    /// The class.
    pub(super) class: Class,
    /// The status, if an answer came.
    pub(super) status: Option<u16>,
    /// Bytes of body received.
    pub(super) body_bytes: u64,
    /// When the first byte of the answer's final head came, on the run's clock; 0 for none.
    pub(super) first_byte_ns: u64,
    /// The server surely did nothing, or may have done it on a connection it was closing: the
    /// keep-alive race and its likes.
    pub(super) may_retry: bool,
    /// What of the answer is kept for later requests of the same client.
    pub(super) caught: Option<Box<Caught>>,
}

impl Ended {
    /// Whether it is to be sent once more on a new connection: harmless only where the method
    /// is, and only once.
    pub(super) fn is_to_be_retried(&self) -> bool {
        self.may_retry && !self.exchange.is_retried && self.exchange.card().is_repeatable
    }
}
