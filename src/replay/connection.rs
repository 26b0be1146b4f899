//! One connection: carries one request at a time, never pipelines, watches itself while idle.
//!
//! The sending loop writes a request straight into the socket, so that the send does not wait
//! for a task to be scheduled; the connection's own task only reads, and wakes when the socket
//! does. It also sees a close or stray bytes while nothing is in flight.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{
    feed::Shot,
    http1::{Answer, Progress, Response},
    stream::{Stream, local_class},
    tally::{Ending, Instants},
    worker::Worker,
};
use crate::run::Class;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) shot: Shot,
    /// The intended instant, in nanoseconds after the start of the run.
    pub(super) intended_ns: u64,
    pub(super) sent_ns: u64,
    written: usize,
    response: Response,
    answered: bool,
    retried: bool,
}

impl Exchange {
    pub(super) fn new(shot: Shot, intended_ns: u64, sent_ns: u64) -> Self {
        let response = Response::new(shot.request.asked);
        let (written, answered, retried) = (0, false, false);
        Self {
            shot,
            intended_ns,
            sent_ns,
            written,
            response,
            answered,
            retried,
        }
    }

    /// The same request once more, after a keep-alive race.
    fn again(self) -> Self {
        Self {
            retried: true,
            ..Self::new(self.shot, self.intended_ns, self.sent_ns)
        }
    }
}

/// One connection of one worker to one side.
pub(super) struct Connection {
    side: usize,
    stream: RefCell<Option<Stream>>,
    exchange: RefCell<Option<Exchange>>,
    waker: RefCell<Waker>,
    /// Set by the worker to end the connection, with the class of what is in flight.
    doom: Cell<Option<Class>>,
    /// When the present phase began: connecting, waiting for the head, waiting for more body.
    phase_ns: Cell<u64>,
    reused: Cell<bool>,
    pub(super) closed: Cell<bool>,
}

impl Connection {
    /// Starts a task that connects, sends the first request, and serves until closed.
    pub(super) fn spawn(worker: &Rc<Worker>, exchange: Exchange) -> Rc<Self> {
        let connection = Rc::new(Self {
            side: exchange.shot.side.index(),
            stream: RefCell::new(None),
            exchange: RefCell::new(Some(exchange)),
            waker: RefCell::new(Waker::noop().clone()),
            doom: Cell::new(None),
            phase_ns: Cell::new(worker.now_ns()),
            reused: Cell::new(false),
            closed: Cell::new(false),
        });
        let (task, worker) = (Rc::clone(&connection), Rc::clone(worker));
        tokio::task::spawn_local(async move {
            task.serve(&worker).await;
            task.closed.set(true);
            task.stream.borrow_mut().take();
        });
        connection
    }

    /// Sends a request on this idle connection; the task reads the answer.
    pub(super) fn send(self: &Rc<Self>, worker: &Rc<Worker>, exchange: Exchange) {
        self.reused.set(true);
        self.phase_ns.set(exchange.sent_ns);
        *self.exchange.borrow_mut() = Some(exchange);
        let waker = self.waker.borrow().clone();
        if let Poll::Ready(Err(class)) = self.poll_send(&mut Context::from_waker(&waker)) {
            self.end(class, worker.now_ns());
        }
    }

    /// Ends the connection from outside; what is in flight fails with this class.
    pub(super) fn end(&self, class: Class, now_ns: u64) {
        self.phase_ns.set(now_ns);
        self.doom.set(Some(class));
        self.waker.borrow().wake_by_ref();
    }

    /// The time-out that has passed, if any.
    pub(super) fn overdue(&self, worker: &Worker, now_ns: u64) -> Option<Class> {
        let exchange = self.exchange.borrow();
        let exchange = exchange.as_ref()?;
        let limits = &worker.limits;
        let phase_ns = now_ns.saturating_sub(self.phase_ns.get());
        if now_ns.saturating_sub(exchange.sent_ns) >= limits.total_ns {
            return Some(Class::TotalTimeout);
        }
        let (limit_ns, class) = if self.stream.borrow().is_none() {
            (limits.connect_ns, Class::ConnectTimeout)
        } else if exchange.response.has_head() {
            (limits.idle_ns, Class::BodyIdleTimeout)
        } else {
            (limits.header_ns, Class::HeaderTimeout)
        };
        (phase_ns >= limit_ns).then_some(class)
    }

    /// Which side it goes to.
    pub(super) fn side(&self) -> usize {
        self.side
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.exchange.borrow().is_some()
    }

    async fn serve(self: &Rc<Self>, worker: &Rc<Worker>) {
        let connect = worker.endpoint(self.side).connect();
        let mut connect = std::pin::pin!(connect);
        let connected = poll_fn(|cx| {
            self.remember(cx);
            match self.doom.take() {
                Some(class) => Poll::Ready(Err(class)),
                None => connect.as_mut().poll(cx),
            }
        });
        match connected.await {
            Ok(stream) => *self.stream.borrow_mut() = Some(stream),
            Err(class) => return self.fail(worker, class),
        }
        self.phase_ns.set(worker.now_ns());
        poll_fn(|cx| self.poll(worker, cx)).await;
    }

    fn remember(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
    }

    /// Writes and reads as far as it goes; ready when the connection is to be closed.
    fn poll(self: &Rc<Self>, worker: &Rc<Worker>, cx: &mut Context<'_>) -> Poll<()> {
        self.remember(cx);
        if let Some(class) = self.doom.take() {
            self.fail(worker, class);
            return Poll::Ready(());
        }
        if let Poll::Ready(Err(class)) = self.poll_send(cx) {
            self.fail(worker, class);
            return Poll::Ready(());
        }
        loop {
            let mut scratch = worker.scratch.borrow_mut();
            let read = match self.stream.borrow_mut().as_mut() {
                Some(stream) => stream.poll_read(cx, &mut scratch),
                None => return Poll::Ready(()),
            };
            match read {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) if n > 0 => {
                    if !self.received(worker, &scratch[..n]) {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(end) => {
                    drop(scratch);
                    self.ended(worker, end.is_err());
                    return Poll::Ready(());
                }
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>) -> Poll<Result<(), Class>> {
        let mut exchange = self.exchange.borrow_mut();
        let mut stream = self.stream.borrow_mut();
        let (Some(exchange), Some(stream)) = (exchange.as_mut(), stream.as_mut()) else {
            return Poll::Ready(Ok(()));
        };
        let broken = |error: &io::Error| match local_class(error) {
            Some(class) => class,
            None if self.reused.get() => Class::ClosedReused,
            None => Class::WriteReset,
        };
        let bytes = &exchange.shot.request.bytes;
        while exchange.written < bytes.len() {
            match stream.poll_write(cx, &bytes[exchange.written..]) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(n)) => exchange.written += n,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
            }
        }
        stream.poll_flush(cx).map_err(|error| broken(&error))
    }

    /// Takes bytes of the peer; `false` when the connection cannot be used any further.
    fn received(self: &Rc<Self>, worker: &Rc<Worker>, bytes: &[u8]) -> bool {
        let (progress, has_head) = {
            let mut exchange = self.exchange.borrow_mut();
            let Some(exchange) = exchange.as_mut() else {
                worker.stray();
                return false;
            };
            exchange.answered = true;
            let progress = exchange.response.feed(bytes);
            (progress, exchange.response.has_head())
        };
        match progress {
            Ok(Progress::More) => {
                // A head that trickles in, or interim answers without end, gain no time.
                if has_head {
                    self.phase_ns.set(worker.now_ns());
                }
                true
            }
            Ok(Progress::Done(answer, used)) => {
                let stray = used < bytes.len();
                if stray {
                    worker.stray();
                }
                let unsent = self.is_half_sent();
                self.succeed(worker, answer);
                let reusable = answer.reusable && !stray && !unsent;
                if reusable {
                    worker.release(self.side, Rc::clone(self));
                }
                reusable
            }
            Err(class) => {
                self.fail(worker, class);
                false
            }
        }
    }

    fn is_half_sent(&self) -> bool {
        let exchange = self.exchange.borrow();
        exchange
            .as_ref()
            .is_some_and(|it| it.written < it.shot.request.bytes.len())
    }

    /// The peer has closed, or the connection broke.
    fn ended(self: &Rc<Self>, worker: &Rc<Worker>, broken: bool) {
        let end = {
            let exchange = self.exchange.borrow();
            let Some(exchange) = exchange.as_ref() else {
                return;
            };
            match exchange.response.finish() {
                Ok(answer) if !broken => Ok(answer),
                Ok(_) => Err(Class::TruncatedBody),
                Err(Some(class)) => Err(class),
                Err(None) if self.reused.get() => Err(Class::ClosedReused),
                Err(None) => Err(Class::ClosedBeforeResponse),
            }
        };
        match end {
            Ok(answer) => self.succeed(worker, answer),
            Err(class) => self.fail(worker, class),
        }
    }

    fn succeed(&self, worker: &Worker, answer: Answer) {
        let Some(exchange) = self.exchange.borrow_mut().take() else {
            return;
        };
        let expected = exchange.shot.request.expect_status;
        let ending = Ending {
            class: Class::of_status(answer.status, expected, answer.retry_after),
            status: Some(answer.status),
            body_bytes: answer.body_bytes,
            retried: exchange.retried,
        };
        Self::record(worker, &exchange, ending);
    }

    fn fail(self: &Rc<Self>, worker: &Rc<Worker>, class: Class) {
        let Some(exchange) = self.exchange.borrow_mut().take() else {
            return;
        };
        // The server closed an idle connection just as we used it. Sending again is only
        // harmless where the method is safe and nothing of an answer has come.
        let race = class == Class::ClosedReused && !exchange.answered && !exchange.retried;
        if race && exchange.shot.request.repeatable {
            worker.adopt(Self::spawn(worker, exchange.again()));
            return;
        }
        let retried = exchange.retried;
        let ending = Ending {
            class,
            status: None,
            body_bytes: 0,
            retried,
        };
        Self::record(worker, &exchange, ending);
    }

    fn record(worker: &Worker, exchange: &Exchange, ending: Ending) {
        let at = Instants {
            intended_ns: exchange.intended_ns,
            sent_ns: exchange.sent_ns,
            done_ns: worker.now_ns(),
        };
        worker.ended(&exchange.shot, at, ending);
    }
}
