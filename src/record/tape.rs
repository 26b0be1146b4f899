//! The thread that redacts, puts in order and writes: beside the traffic, never in its way.
//!
//! Exchanges end in another order than they began in, and a workload is in order of arrival. So a
//! line waits a moment before it is written. What ends later than that is kept aside until the
//! recording ends and is put in its place then. A disk that takes no more ends the recording and
//! nothing else.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    io,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::watch;

use super::{
    exchange::{Finished, Raw, Recorder, Shared, reason},
    listen::{Heard, Listener},
    session::{SessionBy, Sessions},
};
use crate::{
    clock::Clock,
    text::printable_cut,
    units::SECOND_NS,
    workload::{
        Method, Origin, Recorded, Request, clean::Cleaner, growing_header, import::ImportSummary,
        request_line,
    },
};

/// How long a line waits for those that arrived before it.
const WAIT_NS: u64 = 2 * SECOND_NS;
/// Lines wait for each other up to this size, in bytes, and late ones too.
const MOST_WAITING: usize = 32 << 20;
/// How often the thread looks for lines that have waited long enough.
const TICK: Duration = Duration::from_millis(100);
/// How long the thread lets exchanges gather when there is none. Woken by each of them, it would
/// want a core just when the service has the next request.
const GATHER: Duration = Duration::from_millis(10);
/// Exchanges that have ended and wait to be redacted.
const MOST_FINISHED: usize = 4096;
/// Lines are written in pieces of about this size, in bytes.
const PIECE: usize = 64 << 10;

/// Where the recording grows. The seam to the disk: a full one is an error here and no more.
pub trait Sink: Send {
    /// Adds whole lines.
    ///
    /// # Errors
    /// When they could not be written; nothing of them may stay then.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Replaces the first line by another of the same length.
    ///
    /// # Errors
    /// When it could not be written.
    fn replace_start(&mut self, line: &[u8]) -> io::Result<()>;
}

/// The recording while it is made.
#[derive(Debug)]
pub struct Tape {
    thread: JoinHandle<Writer>,
    end: SyncSender<Option<Finished>>,
    cut: watch::Receiver<Option<String>>,
}

/// The recording when it has ended.
#[derive(Debug)]
pub struct Taped {
    /// What became of each request that arrived.
    pub summary: ImportSummary,
    /// What the header says of its source.
    pub origin: Origin,
    /// Why it ends before the traffic did, when it does.
    pub cut: Option<String>,
    /// Requests that came too late for the sink and belong between its lines, in order.
    pub late: Vec<Request>,
    /// The sessions among what arrived.
    pub sessions: u32,
    numbers: Vec<u64>,
}

impl Taped {
    /// Counts the late requests as lost.
    pub fn lose_late(&mut self) {
        for number in self.numbers.drain(..) {
            self.summary.kept -= 1;
            self.summary.skip(reason::CUT, false, number);
        }
        self.late.clear();
    }
}

/// Begins a recording of at most `most` requests; clients are told apart in these ways.
///
/// # Errors
/// When the thread cannot be started or the sink takes nothing.
pub fn start(
    ways: Vec<SessionBy>,
    most: Option<u64>,
    cleaner: Cleaner,
    sink: Box<dyn Sink>,
) -> io::Result<(Arc<Recorder>, Tape)> {
    let (end, finished) = sync_channel(MOST_FINISHED);
    let shared = Shared::new(Clock::start());
    let writer = Writer::new(sink, cleaner, shared.clone())?;
    let cut = writer.cut.subscribe();
    let most = most.unwrap_or(u64::MAX);
    let recorder = Recorder::new(Sessions::new(ways), most, shared, end.clone());
    let name = thread::Builder::new().name("tape".to_owned());
    let thread = name.spawn(move || writer.run(&finished))?;
    Ok((Arc::new(recorder), Tape { thread, end, cut }))
}

impl Tape {
    /// Waits until the recording is cut; says why. For ever when it never is.
    pub async fn is_cut(&self) -> String {
        let mut cut = self.cut.clone();
        let reason = cut.wait_for(Option::is_some).await;
        match reason.ok().and_then(|reason| reason.clone()) {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Ends the recording: what has ended by now is written.
    pub fn finish(self, recorder: &Recorder) -> Taped {
        recorder.close();
        // A thread that is gone takes no message, and tells why below.
        let _ = self.end.send(None);
        let writer = match self.thread.join() {
            Ok(writer) => writer,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        writer.end(recorder)
    }
}

/// A line that waits for its turn.
#[derive(Debug)]
struct Waiting {
    offset_ns: u64,
    number: u64,
    line: String,
    heard: Option<Heard>,
}

impl Waiting {
    fn turn(&self) -> (u64, u64) {
        (self.offset_ns, self.number)
    }

    /// About how much memory it takes, in bytes.
    fn size(&self) -> usize {
        self.line.len() + self.heard.as_ref().map_or(0, Heard::size)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.turn() == other.turn()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.turn().cmp(&other.turn())
    }
}

struct Writer {
    sink: Box<dyn Sink>,
    cleaner: Cleaner,
    listener: Listener,
    shared: Shared,
    origin: Origin,
    summary: ImportSummary,
    waiting: BinaryHeap<Reverse<Waiting>>,
    waiting_bytes: usize,
    /// The offset of the last line that was written.
    written_ns: u64,
    late: Vec<(u64, Request)>,
    late_bytes: usize,
    cut: watch::Sender<Option<String>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({} lines wait)", self.waiting.len())
    }
}

impl Writer {
    /// A writer that has written the first line.
    fn new(mut sink: Box<dyn Sink>, cleaner: Cleaner, shared: Shared) -> io::Result<Self> {
        let origin = Origin {
            source: "record".to_owned(),
            recorded_at: None,
            redaction: cleaner.redaction(),
            suggestions: Vec::new(),
        };
        sink.append(growing_header(&origin, None).as_bytes())?;
        Ok(Self {
            sink,
            cleaner,
            listener: Listener::new(Arc::clone(&shared.is_listening)),
            shared,
            origin,
            summary: ImportSummary::default(),
            waiting: BinaryHeap::new(),
            waiting_bytes: 0,
            written_ns: 0,
            late: Vec::new(),
            late_bytes: 0,
            cut: watch::channel(None).0,
        })
    }

    fn run(mut self, finished: &Receiver<Option<Finished>>) -> Self {
        loop {
            let next = finished.try_recv().or_else(|_| {
                thread::sleep(GATHER);
                finished.recv_timeout(TICK)
            });
            match next {
                Ok(Some(finished)) => self.take(finished),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
            }
            let since = self.shared.begin.get().map_or(0, |begin| begin.at_ns);
            let now_ns = self.shared.clock.now_ns().saturating_sub(since);
            self.release(now_ns.saturating_sub(WAIT_NS));
        }
        self.release(u64::MAX);
        self
    }

    fn is_cut(&self) -> bool {
        self.cut.borrow().is_some()
    }

    fn take(&mut self, finished: Finished) {
        self.summary.read += 1;
        let number = finished.number;
        if let Err(reason) = self.put(finished) {
            self.summary.skip(reason, false, number);
        }
    }

    /// Puts an exchange where it waits for its turn, or aside when it has missed it.
    fn put(&mut self, finished: Finished) -> Result<(), &'static str> {
        let Finished {
            number,
            offset_ns,
            raw,
        } = finished;
        let raw = raw?;
        if self.is_cut() {
            return Err(reason::CUT);
        }
        let (request, heard) = self.clean(raw, offset_ns)?;
        let line = request_line(&request).map_err(|_| reason::LINE)?;
        if offset_ns >= self.written_ns {
            let waiting = Waiting {
                offset_ns,
                number,
                line,
                heard,
            };
            self.waiting_bytes += waiting.size();
            self.waiting.push(Reverse(waiting));
        } else if self.late_bytes + line.len() > MOST_WAITING {
            return Err(reason::LATE);
        } else {
            self.late_bytes += line.len();
            self.late.push((number, request));
            self.summary.kept += 1;
            if let Some(heard) = heard {
                self.listener.late(heard);
            }
        }
        Ok(())
    }

    /// The request as it is written, and what it and its answer said before that.
    fn clean(
        &mut self,
        raw: Raw,
        offset_ns: u64,
    ) -> Result<(Request, Option<Heard>), &'static str> {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let method = Method::try_from(raw.method.as_str().to_owned());
        let mut headers = Vec::with_capacity(raw.headers.len());
        for (name, value) in &raw.headers {
            let value = text(value.as_bytes()).map_err(|_| reason::NO_TEXT)?;
            headers.push((name.as_str().to_owned(), value));
        }
        let host = raw
            .host
            .as_ref()
            .and_then(|host| text(host.as_bytes()).ok());
        let request = Request {
            offset_ns,
            session: format!("s{}", raw.session),
            method: method.map_err(|_| reason::METHOD)?,
            path: raw.path,
            headers,
            body: raw.body.into_bytes(),
            expect_status: Some(raw.status),
            endpoint: String::new(),
            recorded: Recorded {
                latency_ns: raw.latency_ns,
                size_bytes: raw.size_bytes,
            },
        };
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let answer = raw.answer.zip(raw.latency_ns);
        let mut heard =
            answer.map(|(answer, latency_ns)| self.listener.hear(&request, answer, latency_ns));
        let request = self.cleaner.clean(request, &host)?;
        if let Some(heard) = &mut heard {
            heard.of(&request);
        }
        Ok((request, heard))
    }

    /// Writes the lines up to an offset, and more where too many wait.
    fn release(&mut self, until_ns: u64) {
        let mut piece = Vec::new();
        let mut size = 0;
        while let Some(Reverse(first)) = self.waiting.peek()
            && (first.offset_ns <= until_ns || self.waiting_bytes > MOST_WAITING)
            && let Some(Reverse(mut next)) = self.waiting.pop()
        {
            self.waiting_bytes -= next.size();
            self.written_ns = next.offset_ns;
            if let Some(heard) = next.heard.take() {
                self.listener.next(heard);
            }
            size += next.line.len();
            piece.push(next);
            if size >= PIECE {
                self.write(&piece);
                piece.clear();
                size = 0;
            }
        }
        if !piece.is_empty() {
            self.write(&piece);
        }
    }

    /// Writes lines, all at once where the sink takes them, else as many as it takes.
    fn write(&mut self, lines: &[Waiting]) {
        let whole: Vec<&str> = lines.iter().map(|waiting| waiting.line.as_str()).collect();
        let is_written = !self.is_cut()
            && self.name_begin().is_ok()
            && self.sink.append(whole.concat().as_bytes()).is_ok();
        if is_written {
            self.summary.kept += lines.len() as u64;
            return;
        }
        for waiting in lines {
            if !self.is_cut()
                && let Err(error) = self.sink.append(waiting.line.as_bytes())
            {
                self.cut(&error);
            }
            if self.is_cut() {
                self.summary.skip(reason::CUT, false, waiting.number);
            } else {
                self.summary.kept += 1;
            }
        }
    }

    /// Nothing is written any more; what is on disk says so, if it can still be said.
    fn cut(&mut self, error: &io::Error) {
        let cause = printable_cut(&error.to_string(), 200);
        let start = growing_header(&self.origin, Some(&cause));
        let _ = self.sink.replace_start(start.as_bytes());
        self.cut.send_replace(Some(cause));
    }

    /// Says in the first line when the first request arrived, once it has.
    fn name_begin(&mut self) -> io::Result<()> {
        if self.origin.recorded_at.is_some() {
            return Ok(());
        }
        let Some(begin) = self.shared.begin.get() else {
            return Ok(());
        };
        self.origin.recorded_at = jiff::Timestamp::from_nanosecond(i128::from(begin.wall_ns))
            .ok()
            .map(|begin| begin.to_string());
        let start = growing_header(&self.origin, None);
        self.sink.replace_start(start.as_bytes())
    }

    /// The account: what did not report by now was still under way.
    fn end(mut self, recorder: &Recorder) -> Taped {
        let (arrived, behind, sessions, has_forgotten) = recorder.totals();
        let missing = arrived.saturating_sub(self.summary.read);
        let behind = behind.min(missing);
        self.summary.read = arrived;
        self.summary.skip_many(reason::BEHIND, behind);
        self.summary.skip_many(reason::UNDER_WAY, missing - behind);
        self.summary.take(&self.cleaner);
        if has_forgotten {
            self.summary.warnings.push(
                "there were more clients than are remembered; some sessions are in pieces"
                    .to_owned(),
            );
        }
        self.late
            .sort_by_key(|(number, request)| (request.offset_ns, *number));
        let (numbers, late) = self.late.into_iter().unzip();
        let cut = self.cut.borrow().clone();
        self.origin.suggestions = self.listener.suggestions();
        Taped {
            summary: self.summary,
            origin: self.origin,
            cut,
            late,
            sessions,
            numbers,
        }
    }
}

#[cfg(test)]
mod tests;
