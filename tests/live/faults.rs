//! Every class of failure that loopback can produce, counted by both ends: what the engine says
//! it sent is what the server saw, and each request ended in exactly one class.

use std::collections::BTreeMap;

use proofload::{
    replay::{EngineError, Limits, Load, start},
    run::{Class, Group, Side},
    workload::Workload,
};

use crate::{
    engine::{Trial, load, run, run_with, workload},
    faultd::{Fault, Faultd, MS, Setup, Then, plain},
};

const N: u64 = 40;

/// A load of [`N`] requests on this server.
fn forty(server: &Faultd, request: &str) -> Load {
    load(server.address, workload(&[request], None), "200/s", 200)
}

fn after(head: &str, body: &str, then: Then) -> Fault {
    Fault::Bytes(
        format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").into_bytes(),
        then,
    )
}

/// All that was sent ended in this class, and the server saw just that.
fn assert_all(name: &str, trial: &Trial, class: Class, seen: u64) {
    let total = trial.side(Side::Candidate);
    assert_eq!(total.scheduled, N, "{name}");
    assert_eq!(trial.classes(), BTreeMap::from([(class, seen)]), "{name}");
    assert_eq!(total.sent(), seen, "{name}");
    assert_eq!(total.retried, 0, "{name}");
}

type Case = (&'static str, Option<u16>, Fault, Class);

fn assert_each(cases: impl IntoIterator<Item = Case>) {
    for (name, expected, fault, class) in cases {
        let server = Faultd::always(fault);
        let load = load(
            server.address,
            workload(&["GET /x"], expected),
            "200/s",
            200,
        );
        assert_all(name, &run(&load), class, server.requests());
    }
}

#[test]
fn each_status_has_its_class_and_both_ends_count_the_same() {
    use Class::{Http4xx, Http5xx, Ok, Throttled, UnexpectedStatus};
    let busy = "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
    let busy = Fault::Bytes(busy.into(), Then::Keep);
    assert_each([
        ("fine", None, Fault::Status(200), Ok),
        ("no content", None, Fault::Status(204), Ok),
        ("not followed", None, Fault::Status(302), Ok),
        ("the recorded 404", Some(404), Fault::Status(404), Ok),
        ("404", None, Fault::Status(404), Http4xx),
        ("500", Some(200), Fault::Status(500), Http5xx),
        ("429", None, Fault::Status(429), Throttled),
        ("503", None, Fault::Status(503), Http5xx),
        ("come back later", None, busy, Throttled),
        (
            "another status",
            Some(200),
            Fault::Status(304),
            UnexpectedStatus,
        ),
        ("late", None, Fault::Delay(30 * MS), Ok),
    ]);
}

#[test]
fn each_broken_head_has_its_class_and_both_ends_count_the_same() {
    use Class::{ClosedBeforeResponse, HeadersTooLarge, MalformedHttp, Ok};
    let fields = "x: y\r\n".repeat(300);
    let interim = |n: usize| "HTTP/1.1 100 Continue\r\n\r\n".repeat(n).into_bytes();
    let then = |bytes: &[u8], then| Fault::Bytes(bytes.to_vec(), then);
    let patient = [interim(50), plain(200)].concat();
    let storm = interim(150);
    assert_each([
        ("interim", None, then(&patient, Then::Keep), Ok),
        ("storm", None, then(&storm, Then::Hang), MalformedHttp),
        ("closed", None, then(b"", Then::Close), ClosedBeforeResponse),
        ("reset", None, then(b"", Then::Reset), ClosedBeforeResponse),
        (
            "half",
            None,
            then(b"HTTP/1.1 20", Then::Close),
            MalformedHttp,
        ),
        (
            "bad line",
            None,
            then(b"NOPE\r\n\r\n", Then::Hang),
            MalformedHttp,
        ),
        (
            "fields",
            None,
            after(&fields, "", Then::Hang),
            HeadersTooLarge,
        ),
    ]);
}

#[test]
fn each_broken_body_has_its_class_and_both_ends_count_the_same() {
    use Class::{BodyTooLarge, MalformedHttp, Ok, TruncatedBody};
    let (nine, huge) = ("content-length: 9\r\n", "ffffffffffffffff\r\n");
    let long = "content-length: 17000000\r\n";
    assert_each([
        ("cut", None, after(nine, "abc", Then::Close), TruncatedBody),
        (
            "reset",
            None,
            after(nine, "abc", Then::Reset),
            TruncatedBody,
        ),
        ("until close", None, after("", "all", Then::Close), Ok),
        (
            "until reset",
            None,
            after("", "all", Then::Reset),
            TruncatedBody,
        ),
        (
            "chunks cut",
            None,
            after(CHUNKED, "5\r\nab", Then::Close),
            TruncatedBody,
        ),
        (
            "bad chunks",
            None,
            after(CHUNKED, "2\r\nhello", Then::Hang),
            MalformedHttp,
        ),
        (
            "huge chunk",
            None,
            after(CHUNKED, huge, Then::Hang),
            MalformedHttp,
        ),
        ("long", None, after(long, "", Then::Hang), BodyTooLarge),
    ]);
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

#[test]
fn an_endless_body_is_cut_off_at_the_limit() {
    let server = Faultd::always(Fault::Endless);
    let load = load(server.address, workload(&["GET /x"], None), "20/s", 200);
    let trial = run(&load);
    let expected = BTreeMap::from([(Class::BodyTooLarge, server.requests())]);
    assert_eq!(trial.classes(), expected);
}

#[test]
fn each_time_out_has_its_class() {
    type Set = fn(&mut Limits);
    let drip = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{}",
        "x".repeat(900)
    );
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(500);
    let part = after("content-length: 9\r\n", "abc", Then::Hang);
    let cases: [(&str, Fault, Set, Class); 6] = [
        (
            "silence",
            Fault::Silence,
            |it| it.header_ns = 150 * MS,
            Class::HeaderTimeout,
        ),
        (
            "slow head",
            Fault::Drip(drip.clone().into(), 20 * MS),
            |it| it.header_ns = 150 * MS,
            Class::HeaderTimeout,
        ),
        (
            "slow 1xx",
            Fault::Drip(interim.into(), MS),
            |it| it.header_ns = 150 * MS,
            Class::HeaderTimeout,
        ),
        (
            "body stops",
            part.clone(),
            |it| it.idle_ns = 150 * MS,
            Class::BodyIdleTimeout,
        ),
        (
            "body stops, late",
            part,
            |it| it.total_ns = 200 * MS,
            Class::TotalTimeout,
        ),
        (
            "drip",
            Fault::Drip(drip.into(), MS),
            |it| it.total_ns = 300 * MS,
            Class::TotalTimeout,
        ),
    ];
    for (name, fault, set, class) in cases {
        let server = Faultd::always(fault);
        let mut load = forty(&server, "GET /x");
        set(&mut load.limits);
        assert_all(name, &run(&load), class, server.requests());
    }
}

#[test]
fn a_closed_port_is_refused_and_a_reset_one_is_not_silent() {
    let gone = Faultd::always(Fault::Silence);
    let load = forty(&gone, "GET /x");
    drop(gone);
    let trial = run(&load);
    let sent = trial.side(Side::Candidate).sent();
    assert_all("refused", &trial, Class::ConnectRefused, sent);

    let server = Setup::default().reset_at_accept().start();
    let trial = run(&forty(&server, "GET /x"));
    let total = trial.side(Side::Candidate);
    assert_eq!((server.requests(), server.connections()), (0, total.sent()));
    // Which of them depends on how far the request had got when the reset came.
    let phases = [
        Class::ConnectReset,
        Class::WriteReset,
        Class::ClosedBeforeResponse,
    ];
    let classes = trial.classes();
    assert!(
        classes.keys().all(|class| phases.contains(class)),
        "{classes:?}"
    );
}

#[test]
fn a_post_that_met_a_closing_connection_is_never_sent_again() {
    let server = Faultd::always(Fault::Once);
    let trial = run(&forty(&server, "POST /orders"));
    let total = trial.side(Side::Candidate);
    assert_eq!(
        server.requests(),
        total.sent(),
        "the side effect happens once per request"
    );
    assert_eq!(total.retried, 0);
    let answered = server.connections();
    let expected = [
        (Class::Ok, answered),
        (Class::ClosedReused, total.sent() - answered),
    ];
    assert_eq!(trial.classes(), BTreeMap::from(expected));
}

#[test]
fn a_get_that_met_a_closing_connection_is_sent_once_more_and_counted() {
    let server = Faultd::always(Fault::Once);
    let trial = run(&forty(&server, "GET /orders"));
    let total = trial.side(Side::Candidate);
    assert_eq!(trial.classes(), BTreeMap::from([(Class::Ok, total.sent())]));
    assert!(total.retried > 0);
    assert_eq!(server.requests(), total.sent() + total.retried);
    assert_eq!(
        server.connections(),
        total.ok(),
        "each connection answered one"
    );
}

#[test]
fn connections_that_close_while_idle_cost_no_get() {
    let server = Setup::default()
        .route("/", Fault::Status(200))
        .close_idle(20 * MS)
        .start();
    for (request, class) in [("GET /x", Class::Ok), ("POST /x", Class::ClosedReused)] {
        let before = server.requests();
        let trial = run(&load(
            server.address,
            workload(&[request], None),
            "50/s",
            800,
        ));
        let total = trial.side(Side::Candidate);
        assert_eq!(server.requests() - before, total.ok(), "{request}");
        let others = trial.classes().into_keys().filter(|it| *it != Class::Ok);
        assert!(
            others.into_iter().all(|it| it == class),
            "{request}: {:?}",
            total.classes
        );
    }
}

#[test]
fn a_second_answer_to_one_request_never_answers_another() {
    let twice = [plain(200), plain(500)].concat();
    let server = Faultd::always(Fault::Bytes(twice, Then::Keep));
    let trial = run(&forty(&server, "GET /x"));
    assert_all("double", &trial, Class::Ok, server.requests());
    assert_eq!(
        server.connections(),
        server.requests(),
        "no connection is used again"
    );
    assert_eq!(trial.stray, server.requests());
}

#[test]
fn above_the_cap_requests_are_counted_as_not_sent_exactly() {
    let server = Faultd::always(Fault::Silence);
    let mut load = forty(&server, "GET /x");
    load.limits.in_flight_max = 3;
    load.limits.connections_max = 3;
    load.limits.header_ns = 2_000 * MS;
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_eq!(
        (total.scheduled, total.sent(), server.requests()),
        (N, 3, 3)
    );
    assert_eq!(trial.classes()[&Class::HeaderTimeout], 3);
    let late = total.classes.get(&Class::NotSentLate).copied().unwrap_or(0);
    assert_eq!(total.classes[&Class::NotSentCap] + late, N - 3);
}

#[test]
fn what_is_in_flight_when_a_run_is_stopped_is_aborted_and_the_rest_never_due() {
    for (delay_ns, drain_ns, urgent, class) in [
        (60_000 * MS, 60_000 * MS, true, Class::Aborted),
        (60_000 * MS, 100 * MS, false, Class::Aborted),
        (100 * MS, 20_000 * MS, false, Class::Ok),
    ] {
        let server = Faultd::always(Fault::Delay(delay_ns));
        let mut load = load(server.address, workload(&["GET /x"], None), "200/s", 5_000);
        load.limits.drain_ns = drain_ns;
        let trial = run_with(&load, |gauge, stop| {
            if gauge.sent.load(std::sync::atomic::Ordering::Relaxed) >= 10 {
                stop.gently();
                if urgent {
                    stop.at_once();
                }
            }
        });
        let total = trial.side(Side::Candidate);
        // What would have been due after the stop belongs to no plan any more.
        assert!(total.scheduled < 1_000, "{class:?}");
        assert!(total.sent() >= 10, "{:?}", total.classes);
        assert_eq!(total.scheduled - total.sent(), total.group(Group::NotSent));
        let ended = trial.classes()[&class];
        let early = trial.classes().get(&Class::Ok).copied().unwrap_or(0);
        assert!(
            ended == total.sent() || ended + early == total.sent(),
            "{:?}",
            total.classes
        );
        assert!(
            server.requests() <= total.sent(),
            "nothing was sent uncounted"
        );
        assert!(trial.slots.iter().all(|slot| !slot.complete), "cut short");
    }
}

#[test]
fn one_threads_failures_and_anothers_are_one_count() {
    let server = Setup::default()
        .route("/mixed", Fault::Mix(0.3, 500))
        .route("/closed", Fault::Bytes(Vec::new(), Then::Close))
        .start();
    let requests = ["GET /mixed", "GET /closed", "GET /missing"];
    let mut load = load(server.address, workload(&requests, None), "600/s", 300);
    load.threads = 2;
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_eq!(total.scheduled, 180);
    assert_eq!(server.requests(), total.sent() + total.retried);
    let count = |class| total.classes.get(&class).copied().unwrap_or(0);
    let answered = |status| total.statuses.get(&status).copied().unwrap_or(0);
    assert_eq!(count(Class::Ok), answered(200));
    assert_eq!(count(Class::Http5xx), answered(500));
    assert_eq!(count(Class::Http4xx), answered(404));
    assert!(count(Class::Ok) > 0 && count(Class::Http5xx) > 0);
}

#[test]
fn a_workload_that_breaks_after_it_was_checked_ends_the_run_with_its_name() {
    let server = Setup::default().route("/", Fault::Status(200)).start();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.jsonl");
    let line = "{\"offset_ns\":0,\"method\":\"GET\",\"path\":\"/\"}\n";
    let head = "{\"proofload_workload\":1}\n";
    // Too many to be read before the run begins.
    std::fs::write(&path, format!("{head}{}", line.repeat(20_001))).unwrap();
    let workload = Workload::open(&path).unwrap();
    std::fs::write(&path, format!("{head}{line}nonsense\n")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut running = start(&load(server.address, workload, "200/s", 200)).unwrap();
    runtime.block_on(async { while running.next_slot().await.is_some() {} });
    let error = running.finish().unwrap_err();
    assert!(matches!(error, EngineError::Workload(_)), "{error}");
    assert!(error.to_string().contains("w.jsonl"), "{error}");
}
