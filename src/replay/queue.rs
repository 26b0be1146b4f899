//! The queue from the feed to one sending thread: bounded by bytes, and it wakes a sleeper.
//!
//! Bounded by bytes and not only by count, because one request may carry megabytes.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use mio::Waker;

/// What may wait, in bytes of requests; one event is always let in.
const WEIGHT_MAX: usize = 8 << 20;
/// How many events may wait.
const DEPTH_MAX: usize = 64;

struct State<T> {
    events: VecDeque<(usize, T)>,
    weight: usize,
    /// The consumer found nothing and sleeps.
    is_hungry: bool,
    is_closed: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    room: Condvar,
    waker: Waker,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // A panic of the other end leaves nothing half done in here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that puts in; dropping it is the end of the sequence.
pub(super) struct Producer<T>(Arc<Shared<T>>);

/// The end that takes out; dropping it makes every push fail.
pub(super) struct Consumer<T>(Arc<Shared<T>>);

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pop<T> {
    /// The next one.
    Event(T),
    /// Nothing yet; the waker will be woken.
    Empty,
    /// Nothing, and nothing will come.
    Over,
}

/// A queue whose consumer is woken by this waker.
pub(super) fn queue<T>(waker: Waker) -> (Producer<T>, Consumer<T>) {
    let state = State {
        events: VecDeque::new(),
        weight: 0,
        is_hungry: false,
        is_closed: false,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        room: Condvar::new(),
        waker,
    });
    (Producer(Arc::clone(&shared)), Consumer(shared))
}

impl<T> Producer<T> {
    /// Puts an event of this weight in, waiting for room; `false` when nobody listens any more.
    pub(super) fn push(&self, weight: usize, event: T) -> bool {
        let mut state = self.0.state();
        while !state.is_closed
            && !state.events.is_empty()
            && (state.weight + weight > WEIGHT_MAX || state.events.len() >= DEPTH_MAX)
        {
            let woken = self.0.room.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_closed {
            return false;
        }
        state.weight += weight;
        state.events.push_back((weight, event));
        self.wake(state);
        true
    }

    fn wake(&self, mut state: MutexGuard<'_, State<T>>) {
        if std::mem::take(&mut state.is_hungry) {
            drop(state);
            // It fails only when the poll it belongs to is gone, and then nobody waits.
            let _ = self.0.waker.wake();
        }
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = true;
        self.wake(state);
    }
}

impl<T> Consumer<T> {
    /// Takes the next event if there is one; never waits.
    pub(super) fn pop(&self) -> Pop<T> {
        let mut state = self.0.state();
        match state.events.pop_front() {
            Some((weight, event)) => {
                state.weight -= weight;
                // Half a queue at a time: each waking costs more than filling it.
                if state.events.len() <= DEPTH_MAX / 2 {
                    self.0.room.notify_one();
                }
                Pop::Event(event)
            }
            None if state.is_closed => Pop::Over,
            None => {
                state.is_hungry = true;
                Pop::Empty
            }
        }
    }

    /// Wants nothing more: what waits is thrown away, and every push fails from now on.
    pub(super) fn close(&self) {
        let mut state = self.0.state();
        state.is_closed = true;
        state.events.clear();
        state.weight = 0;
        self.0.room.notify_one();
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    fn pair() -> (Poll, Producer<u32>, Consumer<u32>) {
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let (producer, consumer) = queue(waker);
        (poll, producer, consumer)
    }

    #[test]
    fn a_full_queue_waits_for_room_and_loses_nothing() {
        let (_poll, producer, consumer) = pair();
        let thread = std::thread::spawn(move || {
            // Heavier than the whole queue: let in alone.
            assert!((0..200).all(|n| producer.push(WEIGHT_MAX / 3 * (1 + n as usize % 4), n)));
        });
        let mut found = Vec::new();
        loop {
            match consumer.pop() {
                Pop::Event(n) => found.push(n),
                Pop::Empty => std::thread::yield_now(),
                Pop::Over => break,
            }
        }
        thread.join().unwrap();
        assert_eq!(found, (0..200).collect::<Vec<_>>());
    }

    #[test]
    fn a_sleeper_is_woken_by_an_event_and_by_the_end() {
        let (mut poll, producer, consumer) = pair();
        let mut events = mio::Events::with_capacity(4);
        assert_eq!(consumer.pop(), Pop::Empty);
        let thread = std::thread::spawn(move || {
            assert!(producer.push(1, 7));
            producer
        });
        poll.poll(&mut events, None).unwrap();
        assert_eq!(consumer.pop(), Pop::Event(7));
        assert_eq!(consumer.pop(), Pop::Empty);
        drop(thread.join().unwrap());
        poll.poll(&mut events, None).unwrap();
        assert_eq!(consumer.pop(), Pop::Over);
    }

    #[test]
    fn nobody_waits_for_a_consumer_that_is_gone() {
        let (_poll, producer, consumer) = pair();
        assert!(producer.push(WEIGHT_MAX, 1));
        let thread = std::thread::spawn(move || producer.push(1, 2));
        drop(consumer);
        assert!(!thread.join().unwrap());
    }
}
