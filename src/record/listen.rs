//! Looks for values of answers in later requests, on the thread that writes.
//!
//! Feeds the same finder as imports do, in the order in which requests arrived. When the finder
//! has heard as much as it remembers, nobody copies answers any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::answer::Answer;
use crate::workload::{
    Request,
    rules::{Carries, Finder, Offers, Suggestion},
};

/// The values of one exchange, until its turn comes.
#[derive(Debug)]
pub(super) struct Heard {
    carries: Carries,
    offers: Offers,
    session: String,
    endpoint: String,
    /// When the request came and its answer had gone, in nanoseconds after the first request.
    times: (u64, u64),
}

impl Heard {
    /// Takes the place of the request from the request that is written.
    pub(super) fn of(&mut self, request: &Request) {
        self.session.clone_from(&request.session);
        self.endpoint.clone_from(&request.endpoint);
    }

    /// About how much memory it takes, in bytes.
    pub(super) fn size(&self) -> usize {
        self.carries.size() + self.offers.size() + self.session.len() + self.endpoint.len()
    }
}

/// The finder and whether it still listens.
#[derive(Debug)]
pub(super) struct Listener {
    finder: Finder,
    is_listening: Arc<AtomicBool>,
}

impl Listener {
    /// A listener that says in `is_listening` when it has heard enough.
    pub(super) fn new(is_listening: Arc<AtomicBool>) -> Self {
        Self {
            finder: Finder::default(),
            is_listening,
        }
    }

    /// Reads a request as it came, secrets and all, and its answer, which took so long.
    pub(super) fn hear(&mut self, request: &Request, answer: Answer, latency_ns: u64) -> Heard {
        let said = answer.read();
        let offers = self.finder.offers(&said.fields, &said.kind, &said.text);
        if self.finder.is_full() {
            self.is_listening.store(false, Ordering::Relaxed);
        }
        let sent_ns = request.offset_ns;
        Heard {
            carries: Finder::carries(request),
            offers,
            session: String::new(),
            endpoint: String::new(),
            times: (sent_ns, sent_ns.saturating_add(latency_ns)),
        }
    }

    /// The next exchange in the order of arrival.
    pub(super) fn next(&mut self, heard: Heard) {
        let values = (heard.carries, heard.offers);
        self.finder
            .exchange(&heard.session, heard.times, &heard.endpoint, values);
    }

    /// An exchange that ended after others that came later had their turn: what its request carried
    /// can no longer be told from an echo, what its answer brought may still be carried.
    pub(super) fn late(&mut self, mut heard: Heard) {
        heard.carries = Carries::default();
        self.next(heard);
    }

    /// What was found.
    pub(super) fn suggestions(self) -> Vec<Suggestion> {
        self.finder.suggestions()
    }
}
