//! Bodies on their way through: frame by frame as they come, nothing held back.
//!
//! The body of a request is copied for the recording while it passes; the body of an answer is
//! counted, and copied where values may be in it. The other end sets the pace: what it does not
//! take is not read.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::{sync::oneshot, time::Sleep};

use super::{
    copy::BodyCopy,
    exchange::{Exchange, reason},
    upstream::Returning,
};

/// How long a body waits for permission (100 Continue) before it is sent without.
const PERMISSION: Duration = Duration::from_secs(1);

/// What a broken body is broken by.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Opens or shuts the way for a body that waits for permission.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<Option<oneshot::Sender<bool>>>>);

impl Gate {
    /// A gate, and what waits behind it.
    pub(super) fn new() -> (Self, Permission) {
        let (sender, answer) = oneshot::channel();
        let permission = Permission {
            answer,
            patience: Box::pin(tokio::time::sleep(PERMISSION)),
        };
        (Self(Arc::new(Mutex::new(Some(sender)))), permission)
    }

    fn send(&self, may: bool) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits any more: the body has gone already, or never will.
        let _ = sender.map(|sender| sender.send(may));
    }

    /// The body may come.
    pub(super) fn open(&self) {
        self.send(true);
    }

    /// The exchange is over: the body must not come any more.
    pub(super) fn shut(&self) {
        self.send(false);
    }
}

/// Permission to send a body.
#[derive(Debug)]
pub(super) struct Permission {
    answer: oneshot::Receiver<bool>,
    patience: Pin<Box<Sleep>>,
}

/// The body of a request on its way to the upstream.
#[derive(Debug, Default)]
pub(super) struct Upload {
    body: Option<Incoming>,
    copy: Option<Arc<BodyCopy>>,
    permission: Option<Permission>,
}

impl Upload {
    /// Passes on a body; it is copied where there is a place to copy it to.
    pub(super) fn new(body: Incoming, copy: Option<Arc<BodyCopy>>) -> Self {
        let upload = Self {
            body: Some(body),
            copy,
            permission: None,
        };
        upload.note_end(false);
        upload
    }

    /// Lets the body wait for permission.
    pub(super) fn wait_for(&mut self, permission: Permission) {
        self.permission = Some(permission);
    }

    /// Nobody asks again for what comes after the last frame, or after the trailers.
    fn note_end(&self, is_last: bool) {
        if (is_last || self.is_end_stream())
            && let Some(copy) = &self.copy
        {
            copy.end();
        }
    }

    fn poll_permission(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if let Some(permission) = &mut self.permission {
            let may = match Pin::new(&mut permission.answer).poll(cx) {
                Poll::Ready(answer) => answer.unwrap_or(false),
                Poll::Pending => {
                    ready!(permission.patience.as_mut().poll(cx));
                    true
                }
            };
            if !may {
                return Poll::Ready(Err("the upstream answered without the body".into()));
            }
            self.permission = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Err(error) = ready!(self.poll_permission(cx)) {
            return Poll::Ready(Some(Err(error)));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(copy)) = (frame.data_ref(), &self.copy) {
                    copy.add(data);
                }
                self.note_end(frame.is_trailers());
            }
            Some(Err(_)) => {}
            None => self.note_end(true),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer on its way to the client.
#[derive(Debug)]
pub(super) enum Download {
    /// The upstream's.
    Passed(Box<Passed>),
    /// A text of our own, until it is taken.
    Own(Option<Bytes>),
}

/// The body of an upstream's answer, and what is to be done when it ends.
#[derive(Debug)]
pub(super) struct Passed {
    body: Incoming,
    exchange: Option<Exchange>,
    connection: Option<Returning>,
    gate: Option<Gate>,
}

impl Download {
    /// Passes on a body. At its end the exchange is complete and the connection may be used again.
    pub(super) fn passed(
        body: Incoming,
        exchange: Option<Exchange>,
        connection: Option<Returning>,
        gate: Option<Gate>,
    ) -> Self {
        let mut passed = Passed {
            body,
            exchange,
            connection,
            gate,
        };
        if passed.body.is_end_stream() {
            passed.end();
        }
        Self::Passed(Box::new(passed))
    }
}

impl Passed {
    fn end(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.complete();
        }
        if let Some(connection) = self.connection.take() {
            connection.give_back();
        }
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // A body that still waits for permission never gets it.
        if let Some(gate) = &self.gate {
            gate.shut();
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let passed = match &mut *self {
            Self::Own(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Passed(passed) => passed,
        };
        let frame = ready!(Pin::new(&mut passed.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(exchange)) = (frame.data_ref(), &mut passed.exchange) {
                    exchange.pass(data);
                }
                if frame.is_trailers() || passed.body.is_end_stream() {
                    passed.end();
                }
            }
            Some(Err(_)) => {
                passed.connection = None;
                if let Some(exchange) = passed.exchange.take() {
                    exchange.skip(reason::BROKEN);
                }
            }
            None => passed.end(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(text) => text.is_none(),
            Self::Passed(passed) => passed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Passed(passed) => passed.body.size_hint(),
        }
    }
}
