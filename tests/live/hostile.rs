//! HTTP/1.1 servers at their worst: answers in single bytes, twice, too early, without end, to
//! requests that are still being written; and connections that close when they are wanted.

use std::collections::BTreeMap;

use proofload::{
    clock::Clock,
    replay::{Arrivals, Load},
    run::{Class, EndpointStats, Side},
    workload::{Request, Workload, parse_request},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    binary::Proofload,
    engine::{Trial, load, quiet, run, workload},
    faultd::{Fault, Faultd, MS, Setup, Then, plain},
};

fn count(trial: &Trial, class: Class) -> u64 {
    trial.classes().get(&class).copied().unwrap_or(0)
}

/// All that was sent ended in this class.
fn assert_all(name: &str, trial: &Trial, class: Class) -> EndpointStats {
    let total = trial.side(Side::Candidate);
    let expected = BTreeMap::from([(class, total.sent())]);
    assert_eq!(trial.classes(), expected, "{name}");
    total
}

/// Requests that each expect a status of their own, so that a mix-up shows.
fn numbered(n: usize) -> Workload {
    let one = |n: usize| {
        // Without the two that have no body.
        let status = 210 + n % 89;
        Request {
            expect_status: u16::try_from(status).ok(),
            ..parse_request(&format!("GET /{status}")).unwrap()
        }
    };
    Workload::from_requests((0..n).map(one).collect(), "test").unwrap()
}

/// Bursts of requests at one instant each, this far apart and up to so much more or less.
fn bursts(request: &str, (bursts, size): (u64, usize), gap_ns: u64, jitter_ns: u64) -> Workload {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut requests = Vec::new();
    for burst in 0..bursts {
        let offset_ns = burst * gap_ns + random.random_range(0..=jitter_ns);
        requests.extend((0..size).map(|_| Request {
            offset_ns,
            ..parse_request(request).unwrap()
        }));
    }
    Workload::from_requests(requests, "recorded").unwrap()
}

/// Sends a workload once, as it was recorded.
fn recorded(server: &Faultd, workload: Workload) -> Load {
    let ms = workload.summary().duration_ns / MS + 1;
    Load {
        arrivals: Arrivals::Recorded("1x".parse().unwrap()),
        ..load(server.address, workload, "1/s", ms)
    }
}

#[test]
fn an_answer_in_single_bytes_is_an_answer() {
    let trailers = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                    3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nx-sum: 1\r\n\r\n";
    for (answer, body) in [(trailers.into(), 4), (plain(200), 5)] {
        let server = Faultd::always(Fault::Drip(answer, 0));
        let trial = run(&load(
            server.address,
            workload(&["GET /x"], None),
            "100/s",
            300,
        ));
        let total = assert_all("slices", &trial, Class::Ok);
        assert_eq!(total.body_bytes, body * total.sent());
        assert_eq!(server.requests(), total.sent());
        assert!(
            server.connections() < server.requests(),
            "they are used again"
        );
    }
}

#[test]
fn ten_thousand_double_answers_never_answer_another_request() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::EchoThen(0, plain(299)));
    let twice = Setup::default()
        .route("/2", Fault::Echo)
        .greet(&plain(299))
        .start();
    // A second answer behind each answer.
    let trial = run(&load(server.address, numbered(10_000), "4000/s", 2_500));
    let total = trial.side(Side::Candidate);
    let wrong = total.sent() - count(&trial, Class::Ok);
    // Both come in one segment, so that nothing can cross on the way.
    assert_eq!(wrong, 0, "{:?}", total.classes);
    assert_eq!(server.requests(), total.sent() + total.retried);
    // An answer before the first request of each connection: never that of another request.
    let trial = run(&load(twice.address, numbered(200), "100/s", 500));
    let total = trial.side(Side::Candidate);
    let early = count(&trial, Class::UnexpectedStatus) + count(&trial, Class::MalformedHttp);
    assert_eq!(count(&trial, Class::Ok) + early, total.sent());
    let known = [&299, &0];
    let statuses = total
        .statuses
        .iter()
        .filter(|(status, _)| !known.contains(status));
    let others: u64 = statuses.map(|(_, n)| n).sum();
    assert_eq!(others, count(&trial, Class::Ok), "{:?}", total.statuses);
}

#[test]
fn stray_bytes_on_an_idle_connection_end_it_before_it_is_used_again() {
    let _quiet = quiet();
    // Each of a burst has its own connection: it is opened long before one is free again.
    let server = Faultd::always(Fault::EchoThen(20 * MS, plain(299)));
    let bursts = bursts("GET /210", (25, 40), 100 * MS, 0);
    let trial = run(&recorded(&server, bursts));
    let total = trial.side(Side::Candidate);
    let wrong = total.statuses.get(&299).copied().unwrap_or(0);
    assert!(wrong <= server.crossed(), "{wrong} of {}", server.crossed());
    assert!(
        server.crossed() <= total.sent() / 20,
        "{}",
        server.crossed()
    );
    assert!(trial.stray > total.sent() / 2, "{} strays", trial.stray);
}

/// Bursts with stray bytes behind each answer, and stops in which both the bytes and the next
/// burst become due; how many requests went out over a connection that had such bytes.
fn crossed_in_stops() -> u64 {
    let server = Faultd::always(Fault::EchoThen(30 * MS, plain(299)));
    let line = |request: u64| {
        let offset_ns = request / 10 * 200 * MS;
        format!("{{\"offset_ns\":{offset_ns},\"method\":\"GET\",\"path\":\"/210\"}}\n")
    };
    let head = "{\"proofload_workload\":1}\n".to_owned();
    let lines: Vec<String> = [head].into_iter().chain((0..100).map(line)).collect();
    let mut started = Proofload::new("run -w w.jsonl -o run.jsonl -d 1810ms --target")
        .args(&[&server.url()])
        .file("w.jsonl", lines.concat())
        .start();
    for burst in [2, 4, 6] {
        let enough = burst * 10;
        started.wait_until("a burst has arrived", |_| server.requests() > enough);
        // It is answered after 30 ms, and the stray bytes follow after 60.
        std::thread::sleep(std::time::Duration::from_millis(45));
        started.signal("STOP");
        // The pause is the fault that is planted.
        std::thread::sleep(std::time::Duration::from_millis(260));
        started.signal("CONT");
    }
    started.wait();
    assert!(server.requests() > 50, "{}", server.requests());
    server.crossed()
}

#[test]
fn after_a_stall_no_connection_is_used_that_has_something_to_say() {
    let _quiet = quiet();
    // Where the server stood still as well, the two may have crossed on the way.
    let crossed = (0..3).map(|_| crossed_in_stops()).find(|n| *n == 0);
    assert_eq!(crossed, Some(0), "each time some were");
}

#[test]
fn a_connection_that_closes_when_it_is_wanted_costs_no_get_and_repeats_no_post() {
    let _quiet = quiet();
    let (idle_ns, delay_ns) = (20 * MS, 2 * MS);
    for (request, lost) in [("GET /", None), ("POST /", Some(Class::ClosedReused))] {
        let server = Setup::default()
            .route("/", Fault::Delay(delay_ns))
            .close_idle(idle_ns)
            .start();
        // 2,000 tries, each a little before or after the connection closes, which the server's
        // timer does up to a millisecond late.
        let gap_ns = idle_ns + delay_ns + MS;
        let tries = bursts(request, (41, 50), gap_ns, 3 * MS);
        let trial = run(&recorded(&server, tries));
        let total = trial.side(Side::Candidate);
        let ok = count(&trial, Class::Ok);
        assert_eq!(server.requests(), ok, "{request}: each side effect once");
        let lost = lost.map_or(0, |it| count(&trial, it));
        assert_eq!(ok + lost, total.sent(), "{request}: {:?}", total.classes);
        assert!(request == "GET /" || total.retried == 0);
        assert!(total.sent() > 1_000, "{:?}", total.classes);
        let (connections, requests) = (server.connections(), server.requests());
        // Fifty at once are opened first; how many of them are met closing is up to chance.
        assert!(
            connections >= 50 && requests > connections,
            "{connections}, {requests}"
        );
    }
}

#[test]
fn a_keep_alive_time_out_that_was_announced_is_never_run_into() {
    let answer = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 0\r\n\r\n";
    let server = Setup::default()
        .route("/", Fault::Bytes(answer.into(), Then::Keep))
        .close_idle(1_000 * MS)
        .start();
    let trial = run(&recorded(
        &server,
        bursts("POST /x", (4, 40), 1_000 * MS, 4 * MS),
    ));
    let total = assert_all("announced", &trial, Class::Ok);
    assert_eq!(server.requests(), total.sent());
    assert!(
        server.connections() >= 4,
        "none was used again a second later"
    );
}

#[test]
fn heads_are_limited_in_fields_and_bytes() {
    let field = "x-filler: y\r\n";
    for (name, fields, class) in [
        ("101 fields", field.repeat(100), Class::Ok),
        ("1,000 fields", field.repeat(1_000), Class::HeadersTooLarge),
        (
            "a megabyte",
            format!("x: {}\r\n", "y".repeat(1 << 20)),
            Class::HeadersTooLarge,
        ),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        let server = Faultd::always(Fault::Bytes(answer.into(), Then::Keep));
        let trial = run(&load(
            server.address,
            workload(&["GET /x"], None),
            "100/s",
            200,
        ));
        assert_all(name, &trial, class);
    }
}

#[test]
fn two_lengths_and_garbage_between_chunks_are_refused() {
    let chunked = "transfer-encoding: chunked\r\n";
    for (fields, body) in [
        (
            format!("{chunked}content-length: 3\r\n"),
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        ("content-length: 3\r\ncontent-length: 4\r\n".into(), "abc"),
        (chunked.into(), "3\r\nabcXX3\r\nabc\r\n0\r\n\r\n"),
        (chunked.into(), "zz\r\n"),
        (chunked.into(), "ffffffffffffffff\r\nabc"),
        (format!("{chunked}{chunked}"), "0\r\n\r\n"),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}");
        let server = Faultd::always(Fault::Bytes(answer.into(), Then::Keep));
        let trial = run(&load(
            server.address,
            workload(&["GET /x"], None),
            "100/s",
            200,
        ));
        let total = assert_all(&fields, &trial, Class::MalformedHttp);
        assert_eq!(
            server.connections(),
            total.sent(),
            "none is used again: {fields}"
        );
    }
}

#[test]
fn a_redirect_is_an_answer_and_a_bomb_is_so_many_bytes() {
    let elsewhere = Faultd::always(Fault::Status(200));
    let there = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}/x\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url()
    );
    // Ten kilobytes that would be ten megabytes.
    let bomb = [0x1f_u8, 0x8b, 8, 0]
        .into_iter()
        .chain((0..10_236).map(|_| 0));
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10240\r\n\r\n";
    let bomb: Vec<u8> = head.bytes().chain(bomb).collect();
    for (answer, expected, body) in [(there.into_bytes(), 302, 0), (bomb, 200, 10_240)] {
        let server = Faultd::always(Fault::Bytes(answer, Then::Keep));
        let load = load(
            server.address,
            workload(&["GET /x"], Some(expected)),
            "100/s",
            200,
        );
        let total = assert_all("as it came", &run(&load), Class::Ok);
        assert_eq!(total.body_bytes, body * total.sent());
    }
    assert_eq!(elsewhere.connections(), 0, "nobody followed");
}

#[test]
fn what_a_limiter_refused_is_throttled_to_the_last_request() {
    let server = Faultd::always(Fault::Bucket(10, 20));
    let trial = run(&load(
        server.address,
        workload(&["GET /x"], None),
        "200/s",
        500,
    ));
    let total = trial.side(Side::Candidate);
    let status = |status| total.statuses.get(&status).copied().unwrap_or(0);
    assert_eq!(count(&trial, Class::Throttled), status(429));
    assert_eq!(count(&trial, Class::Ok), status(200));
    assert_eq!(status(200) + status(429), server.requests());
    assert!(status(429) > 0 && status(200) >= 10, "{:?}", total.statuses);
}

fn uploads(body: usize) -> Workload {
    let request = Request {
        body: vec![b'x'; body],
        ..parse_request("POST /upload").unwrap()
    };
    Workload::from_requests(vec![request], "test").unwrap()
}

#[test]
fn an_answer_to_a_request_that_is_still_being_written_counts_whenever_it_came() {
    let refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n".to_vec();
    // Nothing of the body was read, a part of it, nearly all.
    for read in [0, 100_000, 4_000_000, 7_999_000] {
        let server = Setup::default()
            .route("/", Fault::Bytes(refusal.clone(), Then::Close))
            .early(read)
            .start();
        let trial = run(&load(server.address, uploads(8_000_000), "20/s", 300));
        let total = assert_all(&read.to_string(), &trial, Class::Http4xx);
        assert_eq!(server.requests(), total.sent());
    }
}

#[test]
fn a_reset_while_a_request_is_written_is_no_silence() {
    let server = Setup::default()
        .route("/", Fault::Bytes(Vec::new(), Then::Reset))
        .early(100_000)
        .start();
    let trial = run(&load(server.address, uploads(8_000_000), "20/s", 300));
    let total = assert_all("reset", &trial, Class::WriteReset);
    assert_eq!(server.requests(), total.sent());
}

#[test]
fn a_connect_that_never_ends_has_its_time_out_and_the_total_one_is_not_forgotten() {
    // A listener whose queue is full: the kernel drops what else would connect.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As short as it can be.
    let backlog = nix::sys::socket::Backlog::new(1).unwrap();
    nix::sys::socket::listen(&listener, backlog).unwrap();
    let mut held = Vec::new();
    let clock = Clock::start();
    while clock.now_ns() < 20_000 * MS {
        let wait = std::time::Duration::from_millis(200);
        match std::net::TcpStream::connect_timeout(&address, wait) {
            Ok(stream) => held.push(stream),
            Err(_) => break,
        }
    }
    for (connect_ns, total_ns, class) in [
        (150 * MS, 900 * MS, Class::ConnectTimeout),
        (900 * MS, 150 * MS, Class::TotalTimeout),
    ] {
        // More at once than connections are opened at once.
        let mut load = load(address, workload(&["GET /x"], None), "1000/s", 130);
        load.limits.connect_ns = connect_ns;
        load.limits.total_ns = total_ns;
        assert_all("full", &run(&load), class);
    }
}

/// A line of `/proc/PID/status` in kilobytes.
fn memory_kb(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|it| it.strip_prefix(line));
    let number = line.and_then(|it| it.split_whitespace().nth(1));
    number.and_then(|it| it.parse().ok()).unwrap_or(0)
}

#[test]
fn a_body_without_end_at_full_speed_takes_no_memory() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Endless);
    let mut started = Proofload::new("run --request /x -o run.jsonl --rate 20/s -d 3s --target")
        .args(&[&server.url()])
        .start();
    started.wait_until("bodies are read", |_| server.requests() > 10);
    let pid = started.pid();
    let before = memory_kb(pid, "VmRSS");
    let mut most = before;
    started.wait_until("more bodies are read", |_| {
        most = most.max(memory_kb(pid, "VmHWM"));
        server.requests() > 50
    });
    let done = started.wait();
    assert!(
        before > 0 && most < before + (8 << 10),
        "{before} to {most} kB"
    );
    assert!(done.stdout.contains("body_too_large"), "{}", done.stdout);
}
