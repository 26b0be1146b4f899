//! Thousands of conversations with answers that a seeded coin has damaged, over real sockets:
//! each request ends once and in time, whatever comes back.

use proofload::{
    clock::Clock,
    replay::{Limits, Load},
    run::{Class, Side},
    workload::Protocol,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    engine::{Trial, load, quiet, run, workload},
    faultd::{Fault, Faultd, MS, Then, plain},
    h2d::{
        DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, Peer, RESET, WINDOW_UPDATE, block,
        frame, settings,
    },
};

/// Changes, cuts, repeats or inserts a few bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(0..3) {
        let at = random.random_range(0..=bytes.len());
        match random.random_range(0..5) {
            0 if at < bytes.len() => bytes[at] = random.random(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, b"\r\n0:; "[random.random_range(0..6)]),
            _ => {
                let end = random.random_range(at..=bytes.len());
                bytes.extend_from_within(at..end);
            }
        }
    }
}

/// A damaged answer, and what becomes of the connection.
fn damaged(nth: u64) -> (Vec<u8>, Then) {
    let mut random = ChaCha8Rng::seed_from_u64(nth);
    let mut bytes = match random.random_range(0..6) {
        0 => plain(200),
        1 => plain(404),
        2 => b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n".to_vec(),
        3 => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        4 => b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end".to_vec(),
        _ => b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\nkeep-alive: timeout=5\r\n\
               content-length: 4\r\n\r\nbusy"
            .to_vec(),
    };
    mutate(&mut bytes, &mut random);
    let then = [Then::Keep, Then::Keep, Then::Close, Then::Reset, Then::Hang];
    (bytes, then[random.random_range(0..then.len())])
}

/// Short time-outs, so that nothing is waited for long.
fn impatient(load: Load) -> Load {
    let limits = Limits {
        header_ns: 200 * MS,
        idle_ns: 200 * MS,
        total_ns: 400 * MS,
        in_flight_max: 2_000,
        connections_max: 2_000,
        ..load.limits
    };
    Load { limits, ..load }
}

/// Runs it, again where the machine was too busy to send the half of it; in time in any case.
fn run_in_time(load: &Load) -> Trial {
    for _ in 0..4 {
        let clock = Clock::start();
        let trial = run(load);
        assert!(clock.now_ns() < 50_000 * MS, "it hung");
        let total = trial.side(Side::Candidate);
        if total.sent() * 2 > total.scheduled {
            return trial;
        }
    }
    panic!("the machine is too busy to send anything");
}

/// Everything has ended in many ways, and never through a fault of our own.
fn assert_varied(trial: &Trial, kinds: usize) {
    let classes = trial.classes();
    assert!(classes.len() >= kinds, "too tame: {classes:?}");
    let ours = classes.keys().filter(|class| class.is_ours());
    assert_eq!(ours.count(), 0, "{classes:?}");
}

#[test]
fn damaged_answers_end_each_request_once_and_in_time() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Each(damaged));
    let requests = ["GET /x", "POST /x", "HEAD /x"];
    let load = load(server.address, workload(&requests, None), "1500/s", 3_000);
    let trial = run_in_time(&impatient(load));
    let total = trial.side(Side::Candidate);
    assert_varied(&trial, 8);
    // What the server never read met a connection that it was closing, or that it had left
    // hanging after a whole answer.
    let count = |class| total.classes.get(&class).copied().unwrap_or(0);
    let timed_out = count(Class::HeaderTimeout) + count(Class::TotalTimeout);
    let excused = count(Class::ClosedReused) + timed_out + total.retried;
    let unseen = (total.sent() + total.retried).saturating_sub(server.requests());
    assert!(unseen <= excused, "{unseen}: {:?}", total.classes);
    assert!(server.connections() > 2_000, "{}", server.connections());
}

#[test]
fn damaged_frames_end_each_request_once_and_in_time() {
    let _quiet = quiet();
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let peer = Peer::start(move |it, talk| {
        let extra = match random.random_range(0..8) {
            0 => settings(&[(3, 50), (4, 1 << 17)]),
            1 => frame(PING, 0, 0, &[1; 8]),
            2 => frame(WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]),
            3 => frame(RESET, 0, it.stream, &[0, 0, 0, 7]),
            4 => frame(GOAWAY, 0, 0, &[[0; 4], [0; 4]].concat()),
            _ => Vec::new(),
        };
        let head = frame(HEADERS, END_HEADERS, it.stream, &block(200, &[("x", "y")]));
        let body = frame(DATA, END_STREAM, it.stream, b"some body");
        let mut bytes = [extra, head, body].concat();
        mutate(&mut bytes, &mut random);
        talk.write(bytes);
        if random.random_range(0..10) == 0 {
            talk.close();
        }
    });
    let requests = workload(&["GET /x", "POST /x"], None);
    let mut load = impatient(load(peer.address, requests, "1500/s", 2_000));
    load.targets[1].as_mut().unwrap().protocol = Protocol::Http2;
    load.limits.http2_connections_max = 40;
    let trial = run_in_time(&load);
    assert_varied(&trial, 6);
    let total = trial.side(Side::Candidate);
    assert!(peer.requests() <= total.sent() + total.retried);
    assert!(peer.connections() > 300, "{}", peer.connections());
}
