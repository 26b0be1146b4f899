//! One recorded exchange, from the head of its request to the end of its answer.
//!
//! An exchange reports itself when it ends, however it ends: each request that arrived is kept or
//! counted under a reason. Nothing here waits for the disk; what the thread behind the channel
//! cannot take in time is left out of the recording, never out of the traffic.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

use hyper::{
    HeaderMap, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, HeaderValue},
    http::{request, response},
};
use tokio::sync::Notify;

use super::{
    answer::Answer,
    copy::{BodyCopy, Held, OF_REQUESTS, Room},
    forward,
    session::{Claim, Sessions},
};
use crate::clock::{Clock, wall_ns};

/// Why an exchange is not in the recording.
pub(super) mod reason {
    pub(in crate::record) const CONNECT: &str = "refused: CONNECT, which is for proxies";
    pub(in crate::record) const OTHER_HOST: &str = "refused: another host in the request line";
    pub(in crate::record) const MALFORMED: &str = "no HTTP that can be read";
    pub(in crate::record) const WEBSOCKET: &str = "WebSocket";
    pub(in crate::record) const UPGRADE: &str = "upgrade to another protocol";
    pub(in crate::record) const NOT_GRANTED: &str = "upgrade that was not granted";
    pub(in crate::record) const EVENT_STREAM: &str = "event stream, which has no end";
    pub(in crate::record) const GRPC: &str = "gRPC, which is not replayed";
    pub(in crate::record) const PREFLIGHT: &str = "CORS preflight, which browsers add";
    pub(in crate::record) const NO_ANSWER: &str = "the upstream gave no answer";
    pub(in crate::record) const BROKEN: &str = "its answer broke off";
    pub(in crate::record) const CLIENT_LEFT: &str = "its client left before the answer";
    pub(in crate::record) const UNDER_WAY: &str = "under way when the recording ended";
    pub(in crate::record) const LARGE: &str = "its body is larger than 8 MiB";
    pub(in crate::record) const NO_ROOM: &str = "too many bodies at once to hold them";
    pub(in crate::record) const PART: &str = "its body was not read to its end";
    pub(in crate::record) const BEHIND: &str = "the recording fell behind the traffic";
    pub(in crate::record) const CUT: &str = "the recording could not be written";
    pub(in crate::record) const LATE: &str = "its answer took too long to put it in order";
    pub(in crate::record) const METHOD: &str = "its method cannot be replayed";
    pub(in crate::record) const NO_TEXT: &str = "a header field is not UTF-8";
    pub(in crate::record) const LINE: &str = "it makes a longer line than a workload may have";
}

/// What an exchange was, for the thread that writes.
#[derive(Debug)]
pub(super) struct Finished {
    /// Its place in the order of arrival, counted from 0.
    pub(super) number: u64,
    /// When the head of its request arrived, after that of the first.
    pub(super) offset_ns: u64,
    /// The exchange, or why it is not recorded.
    pub(super) raw: Result<Raw, &'static str>,
}

/// A request as it arrived, secrets and all, and what is known of its answer.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) host: Option<HeaderValue>,
    pub(super) body: Held,
    pub(super) session: u32,
    pub(super) status: u16,
    pub(super) latency_ns: Option<u64>,
    pub(super) size_bytes: Option<u64>,
    /// The whole answer, where somebody listens.
    pub(super) answer: Option<Answer>,
}

/// When the first request arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begin {
    pub(super) at_ns: u64,
    pub(super) wall_ns: u64,
}

/// What the proxy and the thread that writes both see.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) begin: Arc<OnceLock<Begin>>,
    /// Whether answers are copied, to find what later requests carry of them.
    pub(super) is_listening: Arc<AtomicBool>,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            begin: Arc::default(),
            is_listening: Arc::new(AtomicBool::new(true)),
        }
    }
}

/// The recording as the proxy sees it.
#[derive(Debug)]
pub struct Recorder {
    clock: Clock,
    begin: Arc<OnceLock<Begin>>,
    is_open: AtomicBool,
    is_listening: Arc<AtomicBool>,
    arrived: AtomicU64,
    most: u64,
    is_full: Notify,
    behind: AtomicU64,
    room: Arc<Room>,
    sessions: Mutex<Sessions>,
    tape: SyncSender<Option<Finished>>,
}

impl Recorder {
    pub(super) fn new(
        sessions: Sessions,
        most: u64,
        shared: Shared,
        tape: SyncSender<Option<Finished>>,
    ) -> Self {
        Self {
            clock: shared.clock,
            begin: shared.begin,
            is_open: AtomicBool::new(true),
            is_listening: shared.is_listening,
            arrived: AtomicU64::new(0),
            most,
            is_full: Notify::new(),
            behind: AtomicU64::new(0),
            room: Arc::default(),
            sessions: Mutex::new(sessions),
            tape,
        }
    }

    /// Waits until as many requests have arrived as are wanted.
    pub async fn is_full(&self) {
        self.is_full.notified().await;
    }

    /// Takes no further request into the recording.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Relaxed);
    }

    pub(super) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Requests that arrived, those that the channel had no place for, and sessions.
    pub(super) fn totals(&self) -> (u64, u64, u32, bool) {
        let sessions = self.sessions();
        (
            self.arrived.load(Ordering::Relaxed),
            self.behind.load(Ordering::Relaxed),
            sessions.count(),
            sessions.has_forgotten(),
        )
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for bodies on their way, which are copied beside.
    pub(super) fn hold(&self) -> Arc<BodyCopy> {
        Arc::new(BodyCopy::new(Arc::clone(&self.room), OF_REQUESTS))
    }

    /// A request that arrived at `at_ns`; `None` when it is not part of the recording.
    pub(super) fn begin(self: &Arc<Self>, at_ns: u64) -> Option<Exchange> {
        if !self.is_open.load(Ordering::Relaxed) {
            return None;
        }
        let next = |arrived| (arrived < self.most).then(|| arrived + 1);
        let order = Ordering::Relaxed;
        let number = self.arrived.fetch_update(order, order, next).ok()?;
        let begin = self.begin.get_or_init(|| Begin {
            at_ns,
            wall_ns: wall_ns(),
        });
        if number + 1 == self.most {
            self.is_full.notify_one();
        }
        Some(Exchange {
            recorder: Arc::clone(self),
            number,
            at_ns,
            offset_ns: at_ns.saturating_sub(begin.at_ns),
            fate: Fate::Unanswered,
            request: None,
            answer: None,
            status: 0,
            size_bytes: 0,
        })
    }

    /// Counts what is no request at all.
    pub(super) fn malformed(self: &Arc<Self>) {
        if let Some(exchange) = self.begin(self.now_ns()) {
            exchange.skip(reason::MALFORMED);
        }
    }
}

/// How far an exchange has come.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Unanswered,
    Answering,
    Answered(u64),
    Skipped(&'static str),
}

#[derive(Debug)]
struct Noted {
    method: Method,
    path: String,
    headers: HeaderMap,
    host: Option<HeaderValue>,
    body: Arc<BodyCopy>,
    claim: Claim,
    session: u32,
}

/// An exchange under way; it reports when it is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    recorder: Arc<Recorder>,
    number: u64,
    at_ns: u64,
    offset_ns: u64,
    fate: Fate,
    request: Option<Noted>,
    answer: Option<Answer>,
    status: u16,
    size_bytes: u64,
}

impl Exchange {
    /// Takes down the head of the request, whose body is copied into `body`.
    pub(super) fn note(&mut self, head: &request::Parts, from: IpAddr, body: Arc<BodyCopy>) {
        let claim = self.recorder.sessions().claim(&head.headers, from);
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        self.request = Some(Noted {
            method: head.method.clone(),
            path: path.to_owned(),
            headers: head.headers.clone(),
            host: forward::host(&head.uri, &head.headers),
            body,
            claim,
            session: 0,
        });
        let asks_first = head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if head.method == Method::OPTIONS && asks_first {
            self.fate = Fate::Skipped(reason::PREFLIGHT);
        }
    }

    /// Ends it without a line in the recording.
    pub(super) fn skip(mut self, reason: &'static str) {
        self.fate = Fate::Skipped(reason);
    }

    /// Takes down the head of the answer. What has no end that could be recorded ends here.
    pub(super) fn answered(mut self, head: &response::Parts) -> Option<Self> {
        if let Some(request) = &mut self.request {
            let mut sessions = self.recorder.sessions();
            request.session = sessions.settle(request.claim, Some(&head.headers));
        }
        self.status = head.status.as_u16();
        if let Some(reason) = forward::not_replayable(&head.headers) {
            self.skip(reason);
            return None;
        }
        if matches!(self.fate, Fate::Unanswered) {
            self.fate = Fate::Answering;
            if self.recorder.is_listening.load(Ordering::Relaxed) {
                self.answer = Some(Answer::new(&head.headers, &self.recorder.room));
            }
        }
        Some(self)
    }

    /// Takes a piece of the answer's body that passes by.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.size_bytes += bytes.len() as u64;
        if let Some(answer) = &self.answer {
            answer.add(bytes);
        }
    }

    /// The answer has come to its end.
    pub(super) fn complete(mut self) {
        if matches!(self.fate, Fate::Answering) {
            let latency_ns = self.recorder.now_ns().saturating_sub(self.at_ns);
            self.fate = Fate::Answered(latency_ns);
            if let Some(answer) = &self.answer {
                answer.end();
            }
        }
    }

    fn raw(&mut self) -> Result<Raw, &'static str> {
        let latency_ns = match self.fate {
            Fate::Skipped(reason) => return Err(reason),
            Fate::Unanswered if self.recorder.is_open.load(Ordering::Relaxed) => {
                return Err(reason::CLIENT_LEFT);
            }
            Fate::Unanswered => return Err(reason::UNDER_WAY),
            // Its client has left in the middle: the status is known, the rest is not.
            Fate::Answering => None,
            Fate::Answered(latency_ns) => Some(latency_ns),
        };
        let request = self.request.take().ok_or(reason::PART)?;
        Ok(Raw {
            body: request.body.take()?,
            method: request.method,
            path: request.path,
            headers: request.headers,
            host: request.host,
            session: request.session,
            status: self.status,
            latency_ns,
            size_bytes: latency_ns.map(|_| self.size_bytes),
            answer: self.answer.take(),
        })
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let finished = Finished {
            number: self.number,
            offset_ns: self.offset_ns,
            raw: self.raw(),
        };
        if self.recorder.tape.try_send(Some(finished)).is_err() {
            self.recorder.behind.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::mpsc};

    use hyper::{Request, Response};

    use super::*;

    fn recorder(most: u64, places: usize) -> (Arc<Recorder>, mpsc::Receiver<Option<Finished>>) {
        let (tape, finished) = mpsc::sync_channel(places);
        let sessions = Sessions::new(vec!["cookie".parse().unwrap()]);
        let recorder = Recorder::new(sessions, most, Shared::new(Clock::start()), tape);
        (Arc::new(recorder), finished)
    }

    fn noted(recorder: &Arc<Recorder>, at_ns: u64, body: &[u8]) -> Exchange {
        let mut exchange = recorder.begin(at_ns).unwrap();
        let (head, ()) = Request::builder()
            .uri("/a?b")
            .body(())
            .unwrap()
            .into_parts();
        let copy = recorder.hold();
        copy.add(body);
        copy.end();
        exchange.note(&head, IpAddr::V4(Ipv4Addr::LOCALHOST), copy);
        exchange
    }

    fn head(kind: &str) -> response::Parts {
        let answer = Response::builder().status(201).header("content-type", kind);
        answer.body(()).unwrap().into_parts().0
    }

    fn next(finished: &mpsc::Receiver<Option<Finished>>) -> Finished {
        finished.try_recv().unwrap().unwrap()
    }

    #[test]
    fn an_exchange_reports_however_it_ends() {
        let (recorder, finished) = recorder(u64::MAX, 10);
        let mut one = noted(&recorder, 1_000, b"tea")
            .answered(&head("text/plain"))
            .unwrap();
        one.pass(b"welcome");
        one.complete();
        let one = next(&finished);
        let raw = one.raw.unwrap();
        assert_eq!(
            (one.number, one.offset_ns, raw.status, raw.session),
            (0, 0, 201, 1)
        );
        assert_eq!((raw.path.as_str(), raw.size_bytes), ("/a?b", Some(7)));
        assert_eq!(raw.body.into_bytes(), b"tea");
        // Its client left while it was answered.
        drop(
            noted(&recorder, 1_500, b"")
                .answered(&head("text/plain"))
                .unwrap(),
        );
        let two = next(&finished);
        let raw = two.raw.unwrap();
        assert_eq!((two.number, two.offset_ns), (1, 500));
        assert_eq!(
            (raw.status, raw.latency_ns, raw.size_bytes),
            (201, None, None)
        );
        drop(noted(&recorder, 1_500, b""));
        assert_eq!(next(&finished).raw.unwrap_err(), reason::CLIENT_LEFT);
        assert!(
            noted(&recorder, 1_500, b"")
                .answered(&head("text/event-stream"))
                .is_none()
        );
        assert_eq!(next(&finished).raw.unwrap_err(), reason::EVENT_STREAM);
        noted(&recorder, 1_500, b"").skip(reason::BROKEN);
        assert_eq!(next(&finished).raw.unwrap_err(), reason::BROKEN);
        let last = noted(&recorder, 1_500, b"");
        recorder.close();
        drop(last);
        assert_eq!(next(&finished).raw.unwrap_err(), reason::UNDER_WAY);
        assert!(recorder.begin(9).is_none());
        assert_eq!(recorder.totals().0, 6);
    }

    #[test]
    fn what_finds_no_place_is_counted_and_never_waited_for() {
        let (recorder, finished) = recorder(3, 1);
        for _ in 0..5 {
            if let Some(exchange) = recorder.begin(0) {
                exchange.skip(reason::BROKEN);
            }
        }
        assert_eq!(recorder.totals(), (3, 2, 0, false));
        drop(finished);
    }
}
