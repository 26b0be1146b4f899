//! HTTP/2 against a scripted peer: every class that it can produce, counted by both ends.

use std::{collections::BTreeMap, sync::Arc};

use proofload::{
    clock::Clock,
    replay::Load,
    run::{Class, EndpointStats, Side},
    workload::{Protocol, Request, Workload, parse_request},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use crate::{
    engine::{Trial, load, run, target, workload},
    faultd::MS,
    h2d::{
        Asked, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Peer, Setup, Talk,
        WINDOW_UPDATE, answer, block, frame, settings,
    },
    tls::Authority,
};

/// One connection, 40 requests in 200 ms.
pub(crate) fn forty(peer: &Peer, requests: &[&str]) -> Load {
    over_http2(load(peer.address, workload(requests, None), "200/s", 200))
}

pub(crate) fn over_http2(mut load: Load) -> Load {
    load.targets[1].as_mut().unwrap().protocol = Protocol::Http2;
    load.limits.http2_connections_max = 1;
    load
}

fn post(body: usize) -> Workload {
    let request = Request {
        body: vec![b'x'; body],
        ..parse_request("POST /x").unwrap()
    };
    Workload::from_requests(vec![request], "test").unwrap()
}

pub(crate) fn count(trial: &Trial, class: Class) -> u64 {
    trial.classes().get(&class).copied().unwrap_or(0)
}

/// What came of it, after the counts of both ends were compared.
pub(crate) fn counted(peer: &Peer, trial: &Trial) -> EndpointStats {
    assert_eq!(peer.wrongs(), [""; 0], "the client keeps the rules");
    let total = trial.side(Side::Candidate);
    assert_eq!(peer.requests(), total.sent() + total.retried);
    assert!(!trial.classes().contains_key(&Class::LocalOther));
    total
}

pub(crate) fn assert_all(name: &str, trial: &Trial, class: Class) {
    let sent = trial.side(Side::Candidate).sent();
    assert_eq!(trial.classes(), BTreeMap::from([(class, sent)]), "{name}");
}

pub(crate) fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, block)
}

pub(crate) fn data(stream: u32, flags: u8, body: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, body)
}

#[test]
fn interleaved_answers_reach_the_requests_they_belong_to() {
    // Each path has a status of its own, so that a mix-up shows.
    let paths: Vec<_> = (0..60).map(|n| format!("GET /{}", 200 + n)).collect();
    let requests = paths.iter().map(|path| Request {
        expect_status: path[5..].parse().ok(),
        ..parse_request(path).unwrap()
    });
    let workload = Workload::from_requests(requests.collect(), "test").unwrap();
    let peer = Peer::start(|asked, talk| {
        let status = asked.path[1..].parse().unwrap();
        talk.later(
            1 + asked.total % 3,
            head(asked.stream, 0, &block(status, &[])),
        );
        talk.later(6, data(asked.stream, 0, b"some "));
        talk.later(11 + asked.total % 5, data(asked.stream, 0, b""));
        talk.later(
            20 + asked.total % 7,
            data(asked.stream, END_STREAM, b"body"),
        );
    });
    let load = over_http2(load(peer.address, workload, "1000/s", 300));
    let trial = run(&load);
    let total = counted(&peer, &trial);
    assert_all("interleaved", &trial, Class::Ok);
    assert_eq!(total.body_bytes, 9 * total.sent());
    assert_eq!((peer.connections(), total.retried), (1, 0));
}

type Case = (&'static str, fn(&Asked, &mut Talk), Class);

/// Every request ends in the class of its script, and both ends count the same.
fn assert_each(cases: impl IntoIterator<Item = Case>) {
    for (name, script, class) in cases {
        let peer = Peer::start(script);
        let trial = run(&forty(&peer, &["POST /x"]));
        counted(&peer, &trial);
        assert_all(name, &trial, class);
    }
}

#[test]
fn each_answer_has_its_class() {
    use Class::*;
    assert_each([
        ("404", |it, talk| talk.answer(it.stream, 404), Http4xx),
        ("500", |it, talk| talk.answer(it.stream, 500), Http5xx),
        ("429", |it, talk| talk.answer(it.stream, 429), Throttled),
        (
            "come back later",
            |it, talk| {
                let fields = block(503, &[("retry-after", "1")]);
                talk.write(head(it.stream, END_STREAM, &fields));
            },
            Throttled,
        ),
        (
            "internal error",
            |it, talk| talk.reset(it.stream, 2),
            H2StreamReset,
        ),
        (
            "reset in the body",
            |it, talk| {
                talk.write(head(it.stream, 0, &block(200, &[])));
                talk.reset(it.stream, 2);
            },
            H2StreamReset,
        ),
        (
            "a body that is too short",
            |it, talk| {
                let fields = block(200, &[("content-length", "9")]);
                talk.write(head(it.stream, 0, &fields));
                talk.write(data(it.stream, END_STREAM, b"abc"));
            },
            TruncatedBody,
        ),
    ] as [Case; 7]);
}

#[test]
fn each_broken_connection_has_its_class() {
    use Class::*;
    assert_each([
        (
            "closed in the body",
            |it, talk| {
                talk.write(head(it.stream, 0, &block(200, &[])));
                talk.write(data(it.stream, 0, b"abc"));
                talk.close();
            },
            TruncatedBody,
        ),
        ("closed", |_, talk| talk.close(), ClosedBeforeResponse),
        (
            "no HTTP/2",
            |_, talk| talk.write(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec()),
            H2Protocol,
        ),
        (
            "an oversized frame",
            |it, talk| talk.write(data(it.stream, 0, &vec![0; 16_385])),
            H2Protocol,
        ),
        (
            "a body before its head",
            |it, talk| talk.write(data(it.stream, 0, b"x")),
            H2Protocol,
        ),
        (
            "101 Switching Protocols",
            |it, talk| talk.write(head(it.stream, 0, &block(101, &[]))),
            H2Protocol,
        ),
        (
            "too large a head",
            |it, talk| {
                // A field of 16 kB, five times.
                let field = [&[0, 1, b'x', 0x7f, 0x81, 0x7f][..], &[b'y'; 16_384]].concat();
                let all = [block(200, &[]), field.repeat(5)].concat();
                let parts: Vec<_> = all.chunks(16_384).collect();
                for (n, part) in parts.iter().enumerate() {
                    let kind = if n == 0 { HEADERS } else { CONTINUATION };
                    let last = if n + 1 == parts.len() { END_HEADERS } else { 0 };
                    talk.write(frame(kind, last, it.stream, part));
                }
            },
            HeadersTooLarge,
        ),
        (
            "too large a body",
            |it, talk| {
                let fields = block(200, &[("content-length", "17000000")]);
                talk.write(head(it.stream, 0, &fields));
            },
            BodyTooLarge,
        ),
    ] as [Case; 8]);
}

#[test]
fn a_header_list_without_end_breaks_the_connection() {
    let peer = Peer::start(|it, talk| {
        talk.write(frame(HEADERS, 0, it.stream, &block(200, &[])));
        talk.flood(&frame(CONTINUATION, 0, it.stream, &[]));
    });
    let trial = run(&forty(&peer, &["GET /x"]));
    counted(&peer, &trial);
    assert_all("continuations", &trial, Class::H2Protocol);
}

#[test]
fn time_outs_end_streams_and_leave_the_connection() {
    let silent = |_: &Asked, _: &mut Talk| {};
    let stuck = |it: &Asked, talk: &mut Talk| talk.write(head(it.stream, 0, &block(200, &[])));
    let drip = |it: &Asked, talk: &mut Talk| {
        talk.write(head(it.stream, 0, &block(200, &[])));
        for n in 1..60 {
            talk.later(20 * n, data(it.stream, 0, b"x"));
        }
    };
    for (class, peer) in [
        (Class::HeaderTimeout, Peer::start(silent)),
        (Class::BodyIdleTimeout, Peer::start(stuck)),
        (Class::TotalTimeout, Peer::start(drip)),
    ] {
        let mut load = forty(&peer, &["GET /x"]);
        load.limits.header_ns = 150 * MS;
        load.limits.idle_ns = 150 * MS;
        load.limits.total_ns = 400 * MS;
        let trial = run(&load);
        let total = counted(&peer, &trial);
        assert_all("time-out", &trial, class);
        // Who has said nothing at all is given up for another connection.
        let most = if class == Class::HeaderTimeout { 2 } else { 1 };
        assert!((1..=most).contains(&peer.connections()), "{class:?}");
        // The peer is told, and may learn of it after the end of the run.
        let clock = Clock::start();
        while peer.resets() < total.sent() && clock.now_ns() < 10_000 * MS {
            std::thread::yield_now();
        }
        assert_eq!(peer.resets(), total.sent(), "{class:?}");
    }
}

#[test]
fn streams_that_timed_out_make_room_for_others() {
    let peer = Peer::start(|_, _| {});
    let mut load = over_http2(load(peer.address, workload(&["GET /x"], None), "50/s", 800));
    load.limits.streams_max = 1;
    load.limits.header_ns = 100 * MS;
    let trial = run(&load);
    let total = counted(&peer, &trial);
    assert_eq!(count(&trial, Class::HeaderTimeout), total.sent());
    // A peer that says nothing still gets the next request when one was given up.
    assert!(total.sent() >= 3, "{:?}", total.classes);
}

#[test]
fn the_peer_may_lower_the_number_of_streams_while_the_load_runs() {
    let peer = Peer::start(|it, talk| {
        if it.total == 20 {
            talk.write(settings(&[(3, 1)]));
        }
        talk.later(15, answer(it.stream, 200));
    });
    let load = over_http2(load(
        peer.address,
        workload(&["GET /x"], None),
        "400/s",
        400,
    ));
    let trial = run(&load);
    let total = counted(&peer, &trial);
    let capped = total.classes.get(&Class::NotSentCap).copied().unwrap_or(0);
    assert_eq!(count(&trial, Class::Ok), total.sent());
    assert!(capped > 0 && total.sent() > 22, "{:?}", total.classes);
}

#[test]
fn windows_that_change_while_bodies_are_sent_lose_nothing() {
    let body = 100_000;
    let peer = Peer::start(|it, talk| {
        let window = [1_000, 300_000, 20_000, 65_535][usize::try_from(it.total % 4).unwrap()];
        talk.write(settings(&[(4, window)]));
        talk.answer(it.stream, 200);
    });
    let load = over_http2(load(peer.address, post(body), "100/s", 300));
    let trial = run(&load);
    counted(&peer, &trial);
    assert_all("windows", &trial, Class::Ok);
    assert!(
        peer.seen().iter().all(|it| it.body == body),
        "{:?}",
        peer.seen()
    );
}

#[test]
fn a_window_of_nothing_ends_in_the_total_time_out() {
    let setup = Setup {
        greeting: Some(settings(&[(4, 0)])),
        window: Some(0),
        stingy: true,
        ..Setup::default()
    };
    let peer = setup.start(|it, talk| talk.answer(it.stream, 200));
    let mut load = over_http2(load(peer.address, post(100_000), "100/s", 200));
    load.limits.total_ns = 200 * MS;
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_all("zero window", &trial, Class::TotalTimeout);
    // The first one went out before the peer's settings had come, as far as its window reached.
    assert_eq!(peer.requests(), total.sent());
}

#[test]
fn large_bodies_with_roomy_windows_are_no_breach() {
    let greeting = [
        settings(&[(4, 32 << 20)]),
        frame(WINDOW_UPDATE, 0, 0, &(64_u32 << 20).to_be_bytes()),
    ];
    let setup = Setup {
        greeting: Some(greeting.concat()),
        early: true,
        stingy: true,
        pause_ms: 100,
        ..Setup::default()
    };
    let body = 8 << 20;
    let peer = setup.start(|it, talk| {
        // Something to read while most of the body waits to be written.
        for n in 0..20 {
            talk.later(5 * n, frame(PING, 0, 0, &[7; 8]));
        }
        talk.later(1_500, answer(it.stream, 200));
    });
    let load = over_http2(load(peer.address, post(body), "10/s", 300));
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_eq!(
        count(&trial, Class::Ok),
        total.sent(),
        "{:?}",
        total.classes
    );
    assert_eq!(peer.requests(), total.sent());
}

/// The same server, with one protocol to agree on.
fn offering(acceptor: &TlsAcceptor, protocol: &str) -> TlsAcceptor {
    let mut config = ServerConfig::clone(acceptor.config());
    config.alpn_protocols = vec![protocol.into()];
    TlsAcceptor::from(Arc::new(config))
}

#[test]
fn http2_over_tls_is_agreed_on_by_alpn_or_the_handshake_fails() {
    let authority = Authority::new();
    for (protocol, class) in [("h2", Class::Ok), ("http/1.1", Class::TlsHandshake)] {
        let setup = Setup {
            tls: Some(offering(&authority.acceptor("127.0.0.1", 4000), protocol)),
            ..Setup::default()
        };
        let peer = setup.start(|it, talk| talk.answer(it.stream, 200));
        let url = format!("https://{}", peer.address);
        let mut load = forty(&peer, &["GET /x"]);
        load.targets[1] = Some(target(&url, peer.address));
        load = over_http2(load);
        load.trust.insecure = true;
        let trial = run(&load);
        let total = trial.side(Side::Candidate);
        assert_all(protocol, &trial, class);
        assert_eq!(peer.wrongs(), [""; 0]);
        let seen = if class == Class::Ok { total.sent() } else { 0 };
        assert_eq!(peer.requests(), seen);
    }
}
