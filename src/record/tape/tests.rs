//! The writer without its thread, on a sink that takes so much and no more.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Mutex, mpsc},
};

use hyper::{Request as Head, Response};

use super::*;
use crate::workload::redact::Redactor;

/// What was written, and how much there is room for.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<(Vec<u8>, usize)>>);

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }

    /// The paths of the lines, in order.
    fn paths(&self) -> Vec<String> {
        let text = self.text();
        let path = |line: &str| line.split("\"path\":\"").nth(1).map(str::to_owned);
        let paths = text.lines().filter_map(path);
        paths
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    }
}

impl Sink for Paper {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut paper = self.0.lock().unwrap();
        if paper.0.len() + lines.len() > paper.1 {
            return Err(io::Error::other("no \u{1b}[2Jroom"));
        }
        paper.0.extend_from_slice(lines);
        Ok(())
    }

    fn replace_start(&mut self, line: &[u8]) -> io::Result<()> {
        self.0.lock().unwrap().0[..line.len()].copy_from_slice(line);
        Ok(())
    }
}

/// A writer on a paper with this much room, and the recorder before it.
struct Desk {
    paper: Paper,
    writer: Writer,
    recorder: Arc<Recorder>,
    finished: mpsc::Receiver<Option<Finished>>,
}

impl Desk {
    fn new(room: usize) -> Self {
        let paper = Paper::default();
        paper.0.lock().unwrap().1 = room;
        let (tape, finished) = sync_channel(100);
        let shared = Shared::new(Clock::start());
        let sessions = Sessions::new(vec![SessionBy::Address]);
        let recorder = Recorder::new(sessions, u64::MAX, shared.clone(), tape);
        let cleaner = Cleaner::with_redactor(Redactor::with_key([7; 32]));
        let writer = Writer::new(Box::new(paper.clone()), cleaner, shared).unwrap();
        Self {
            paper,
            writer,
            recorder: Arc::new(recorder),
            finished,
        }
    }

    /// A request that arrives at an instant and is answered when its exchange is completed.
    fn arrives(&self, at_ns: u64, path: &str) -> super::super::exchange::Exchange {
        let mut exchange = self.recorder.begin(at_ns).unwrap();
        let head = Head::builder().uri(path).header("host", "app.test");
        let (head, ()) = head.body(()).unwrap().into_parts();
        let copy = self.recorder.hold();
        copy.end();
        exchange.note(&head, IpAddr::V4(Ipv4Addr::LOCALHOST), copy);
        let (answer, ()) = Response::builder().body(()).unwrap().into_parts();
        exchange.answered(&answer).unwrap()
    }

    /// Takes what has ended by now.
    fn take(&mut self) {
        while let Ok(Some(finished)) = self.finished.try_recv() {
            self.writer.take(finished);
        }
    }
}

#[test]
fn what_ends_late_is_put_in_its_place() {
    let mut desk = Desk::new(1 << 20);
    let [first, slow, third, slower] = [
        (1_000, "/first"),
        (2_000, "/slow"),
        (3_000, "/third"),
        (4_000, "/slower"),
    ]
    .map(|(at_ns, path)| desk.arrives(at_ns, path));
    third.complete();
    first.complete();
    desk.take();
    desk.writer.release(500);
    assert_eq!(
        desk.paper.paths(),
        ["/first"],
        "the others wait for who came before"
    );
    slow.complete();
    desk.take();
    desk.writer.release(2_500);
    assert_eq!(desk.paper.paths(), ["/first", "/slow", "/third"]);
    let late = desk.arrives(2_200, "/late");
    slower.complete();
    late.complete();
    desk.take();
    desk.writer.release(u64::MAX);
    assert_eq!(desk.paper.paths(), ["/first", "/slow", "/third", "/slower"]);
    let under_way = desk.arrives(9_000, "/under-way");
    let mut taped = desk.writer.end(&desk.recorder);
    drop(under_way);
    let late: Vec<_> = taped
        .late
        .iter()
        .map(|late| (late.offset_ns, late.path.clone()))
        .collect();
    assert_eq!(late, [(1_200, "/late".to_owned())]);
    assert_eq!(
        (taped.summary.read, taped.summary.kept, taped.sessions),
        (6, 5, 1)
    );
    assert_eq!(taped.summary.skipped[reason::UNDER_WAY].count, 1);
    assert!(taped.origin.recorded_at.is_some() && taped.cut.is_none());
    taped.lose_late();
    assert_eq!((taped.summary.kept, taped.late.len()), (4, 0));
    assert_eq!(taped.summary.skipped[reason::CUT].count, 1);
}

#[test]
fn a_sink_that_takes_no_more_cuts_the_recording_after_its_last_line() {
    let mut desk = Desk::new(2_000);
    for number in 0..20 {
        desk.arrives(1_000 + number, &format!("/page?n={number}"))
            .complete();
    }
    desk.take();
    desk.writer.release(u64::MAX);
    let kept = desk.paper.paths().len() as u64;
    assert!((1..20).contains(&kept), "{kept}");
    desk.arrives(5_000, "/after").complete();
    desk.take();
    desk.writer.release(u64::MAX);
    let taped = desk.writer.end(&desk.recorder);
    assert_eq!(taped.cut.as_deref(), Some("no \\x1b[2Jroom"));
    assert_eq!((taped.summary.read, taped.summary.kept), (21, kept));
    assert_eq!(taped.summary.skipped[reason::CUT].count, 21 - kept);
    // The first line was long enough for the reason from the beginning.
    let text = desk.paper.text();
    let start = text.lines().next().unwrap();
    assert_eq!(start.len(), 1_023);
    assert!(start.contains("\"cut\":\"no \\\\x1b[2Jroom\""), "{start}");
    assert!(start.contains("\"recorded_at\":\"20"), "{start}");
}

#[test]
fn what_cannot_be_a_line_is_counted() {
    let mut desk = Desk::new(1 << 20);
    let mut exchange = desk.recorder.begin(1).unwrap();
    let head = Head::builder().uri("/a").header("x-latin", &b"caf\xe9"[..]);
    let (head, ()) = head.body(()).unwrap().into_parts();
    let copy = desk.recorder.hold();
    copy.end();
    exchange.note(&head, IpAddr::V4(Ipv4Addr::LOCALHOST), copy);
    let (answer, ()) = Response::builder().body(()).unwrap().into_parts();
    exchange.answered(&answer).unwrap().complete();
    desk.recorder.malformed();
    desk.take();
    let taped = desk.writer.end(&desk.recorder);
    let reasons: Vec<_> = taped.summary.skipped.keys().copied().collect();
    assert_eq!(reasons, [reason::NO_TEXT, reason::MALFORMED]);
}

#[tokio::test]
async fn the_thread_tells_of_a_cut_and_ends_when_it_is_asked() {
    let paper = Paper::default();
    paper.0.lock().unwrap().1 = 1_024;
    let cleaner = Cleaner::with_redactor(Redactor::with_key([7; 32]));
    let ways = vec![SessionBy::Address];
    let (recorder, tape) = start(ways, Some(1), cleaner, Box::new(paper.clone())).unwrap();
    let mut exchange = recorder.begin(0).unwrap();
    let (head, ()) = Head::builder().uri("/a").body(()).unwrap().into_parts();
    let copy = recorder.hold();
    copy.end();
    exchange.note(&head, IpAddr::V4(Ipv4Addr::LOCALHOST), copy);
    let (answer, ()) = Response::builder().body(()).unwrap().into_parts();
    exchange.answered(&answer).unwrap().complete();
    recorder.is_full().await;
    assert!(tape.is_cut().await.contains("room"));
    let taped = tape.finish(&recorder);
    assert_eq!((taped.summary.read, taped.summary.kept), (1, 0));
    let nothing = Paper::default();
    let cleaner = Cleaner::with_redactor(Redactor::with_key([7; 32]));
    assert!(start(Vec::new(), None, cleaner, Box::new(nothing)).is_err());
}
