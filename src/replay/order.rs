//! Whether the requests of a client go out in the order in which they are due: those that wait for
//! a connection may be passed by later ones, which find one that is free.

use std::collections::HashMap;

use super::exchange::Exchange;

/// The requests of one thread that wait for their connection.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// When those of a client are due, by session and side.
    aside: HashMap<(u64, usize), Vec<u64>>,
}

impl Order {
    /// It waits for its connection from now on.
    pub(super) fn wait(&mut self, exchange: &mut Exchange) {
        if exchange.card().has_session && !exchange.is_aside {
            exchange.is_aside = true;
            let key = (exchange.session, exchange.side);
            self.aside
                .entry(key)
                .or_default()
                .push(exchange.intended_ns);
        }
    }

    /// It goes out: past those of its client that were due before and still wait.
    pub(super) fn go(&mut self, exchange: &mut Exchange) {
        if self.aside.is_empty() {
            return;
        }
        self.leave(exchange);
        let others = self.aside.get(&(exchange.session, exchange.side));
        exchange.overtakes |=
            others.is_some_and(|others| others.iter().any(|due| *due < exchange.intended_ns));
    }

    /// It waits no longer, whatever became of it.
    pub(super) fn leave(&mut self, exchange: &mut Exchange) {
        if !std::mem::take(&mut exchange.is_aside) {
            return;
        }
        let key = (exchange.session, exchange.side);
        let Some(dues) = self.aside.get_mut(&key) else {
            return;
        };
        if let Some(at) = dues.iter().position(|due| *due == exchange.intended_ns) {
            dues.swap_remove(at);
        }
        if dues.is_empty() {
            self.aside.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, sync::Arc};

    use super::*;
    use crate::replay::{
        encode::{Card, Deck, Hand},
        http1::Asked,
    };

    fn exchange(session: u64, side: usize, due: u64, has_session: bool) -> Exchange {
        let card = Card {
            endpoint: 0,
            expect_status: None,
            asked: Asked::plain(false),
            is_repeatable: true,
            has_session,
            session_path: None,
            carries: None,
            wires: [None, None],
        };
        let cards = vec![Arc::new(card)];
        let hand = Rc::new(Hand(Arc::new(Deck { cards })));
        Exchange::new((hand, 0), (0, side, session), (due, due))
    }

    #[test]
    fn who_passes_an_earlier_one_of_its_client_is_known() {
        let mut order = Order::default();
        let mut first = exchange(1, 0, 10, true);
        order.wait(&mut first);
        order.wait(&mut first);
        for (session, side, due, passes) in [
            (1, 0, 20, true),
            (1, 1, 20, false),
            (2, 0, 20, false),
            (1, 0, 5, false),
        ] {
            let mut other = exchange(session, side, due, true);
            order.go(&mut other);
            assert_eq!(other.overtakes, passes, "{session} {side} {due}");
        }
        order.go(&mut first);
        assert!(!first.overtakes && order.aside.is_empty());
        let mut later = exchange(1, 0, 30, true);
        order.go(&mut later);
        assert!(!later.overtakes);
    }

    #[test]
    fn of_two_that_wait_the_later_may_come_first() {
        let mut order = Order::default();
        let (mut first, mut second) = (exchange(1, 0, 10, true), exchange(1, 0, 20, true));
        order.wait(&mut first);
        order.wait(&mut second);
        order.go(&mut second);
        assert!(second.overtakes);
        // It failed before it went out.
        order.leave(&mut first);
        assert!(order.aside.is_empty());
    }

    #[test]
    fn requests_of_nobody_known_have_no_order() {
        let mut order = Order::default();
        order.wait(&mut exchange(0, 0, 10, false));
        let mut later = exchange(0, 0, 20, false);
        order.go(&mut later);
        assert!(!later.overtakes && order.aside.is_empty());
    }
}
