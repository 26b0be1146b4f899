//! Interim answers (1xx) on a client's HTTP/1.1 connection, which hyper's server cannot send.
//!
//! RFC 9110, section 15.2, has a proxy pass them on. Between two answers hyper writes nothing,
//! so bytes put there stand before the head of the final answer. As long as hyper still holds
//! bytes of the answer before, which happens only to a client that sends ahead and does not read,
//! there is no such place, and the interim answer is left out.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use hyper::{
    HeaderMap, StatusCode,
    rt::{Read, ReadBufCursor, Write},
};

/// Interim answers that wait for their client are held up to this size, in bytes.
const MOST_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// hyper has written since it last had nothing left to write.
    is_midway: bool,
}

/// Interim answers on their way to one client connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Interim(Arc<Mutex<State>>);

impl Interim {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the head of an interim answer at the next flush.
    pub(super) fn push(&self, status: StatusCode, headers: &HeaderMap) {
        let mut head = format!("HTTP/1.1 {} ", status.as_str()).into_bytes();
        head.extend(status.canonical_reason().unwrap_or_default().as_bytes());
        for (name, value) in headers {
            head.extend(b"\r\n");
            head.extend(name.as_str().as_bytes());
            head.extend(b": ");
            head.extend(value.as_bytes());
        }
        head.extend(b"\r\n\r\n");
        let mut state = self.state();
        if state.waiting.len() + head.len() <= MOST_BYTES {
            state.waiting.extend(head);
        }
    }

    /// The final answer comes: what found no place before it is left out.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if state.is_midway {
            state.waiting.clear();
        }
    }
}

/// A client's connection that interim answers can be put into.
#[derive(Debug)]
pub(super) struct WithInterim<S> {
    socket: S,
    interim: Interim,
}

impl<S: Write + Unpin> WithInterim<S> {
    pub(super) fn new(socket: S, interim: Interim) -> Self {
        Self { socket, interim }
    }

    fn pour(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.interim.state();
        while !state.waiting.is_empty() {
            let socket = Pin::new(&mut self.socket);
            let written = ready!(socket.poll_write(cx, &state.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            state.waiting.drain(..written);
        }
        Poll::Ready(Ok(()))
    }

    /// What waits goes first, unless hyper is in the middle of something.
    fn before_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_midway = self.interim.state().is_midway;
        if !is_midway {
            ready!(self.pour(cx))?;
            self.interim.state().is_midway = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Read + Unpin> Read for WithInterim<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: Write + Unpin> Write for WithInterim<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.before_write(cx))?;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.before_write(cx))?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// hyper calls it only when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pour(cx))?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.interim.state().is_midway = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
