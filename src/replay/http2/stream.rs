//! One request on an HTTP/2 connection, and how far its answer has come.

use crate::{
    replay::{
        caught::Caught,
        exchange::{Ended, Exchange},
        hpack,
    },
    run::{Class, Group},
};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) exchange: Exchange,
    /// Bytes of the request's body that were framed.
    pub(super) body_sent: usize,
    pub(super) send_window: i64,
    pub(super) status: u16,
    pub(super) retry_after: bool,
    pub(super) declared: Option<u64>,
    pub(super) body_bytes: u64,
    pub(super) first_byte_ns: u64,
    pub(super) interim: u32,
    /// When the present phase began: waiting for the head, waiting for more body.
    pub(super) phase_ns: u64,
    /// What is kept of the answer.
    pub(super) caught: Option<Box<Caught>>,
}

impl Stream {
    pub(super) fn has_head(&self) -> bool {
        self.status != 0
    }

    /// Whether the peer has not said a word about it.
    pub(super) fn is_silent(&self) -> bool {
        !self.has_head() && self.interim == 0
    }

    pub(super) fn ended(self, class: Class) -> Ended {
        let status = self.has_head().then_some(self.status);
        Ended {
            status: status.filter(|_| matches!(class.group(), Group::Ok | Group::HttpError)),
            body_bytes: self.body_bytes,
            first_byte_ns: self.first_byte_ns,
            caught: self.caught,
            ..self.exchange.failed(class)
        }
    }

    /// Keeps what is wanted of a final head.
    pub(super) fn keep(&mut self, block: &[u8], has_cookies: bool) {
        let keeps = self.exchange.card().asked.keeps;
        if keeps.wants(has_cookies) {
            let fields = hpack::all(block);
            let fields = fields
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice()));
            self.caught = Some(Box::new(Caught::new(keeps, fields)));
        }
    }

    pub(super) fn is_body_framed(&self) -> bool {
        let wire = self.exchange.wire();
        wire.head + self.body_sent == wire.bytes.len()
    }
}
