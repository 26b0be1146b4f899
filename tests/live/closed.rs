//! Closed loops and ramps, Unix sockets and IPv6, and several threads: what the sending loop
//! does with other data than the usual.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proofload::{
    replay::{Arrangement, Arrivals, Load},
    run::{Class, Side},
    workload::{Address, Protocol, Request, Target, Workload, parse_request},
};

use crate::{
    engine::{load, pair, quiet, run, workload},
    faultd::{Fault, Faultd, MS, Setup, plain},
    h2d::{Peer, answer},
};

fn closed(load: Load, clients: usize, windows: u32) -> Load {
    let mut load = Load {
        arrivals: Arrivals::Closed(clients),
        ..load
    };
    load.layout.rounds = windows;
    load
}

#[test]
fn a_closed_loop_has_never_more_in_flight_than_clients_and_counts_everything() {
    let _quiet = quiet();
    let get = || workload(&["GET /x", "GET /y"], None);
    for (clients, threads) in [(1, 1), (7, 1), (7, 2)] {
        let server = Faultd::always(Fault::Delay(2 * MS));
        let mut load = closed(load(server.address, get(), "1/s", 100), clients, 4);
        load.threads = threads;
        let trial = run(&load);
        let total = trial.side(Side::Candidate);
        assert_eq!(
            trial.classes(),
            BTreeMap::from([(Class::Ok, server.requests())])
        );
        assert_eq!(total.scheduled, total.sent(), "nothing is left over");
        assert!(server.most_in_flight() <= clients as u64);
        assert_eq!(
            server.connections(),
            server.most_in_flight(),
            "they are used again"
        );
        assert_eq!(trial.slots.len(), 4);
        for slot in &trial.slots {
            assert!(
                slot.complete && slot.total().sent() > 0,
                "round {}",
                slot.round
            );
        }
    }
}

#[test]
fn a_closed_loop_over_http2_shares_its_connections() {
    let _quiet = quiet();
    let peer = Peer::start(|it, talk| talk.later(2, answer(it.stream, 200)));
    let get = workload(&["GET /x"], None);
    let mut load = closed(load(peer.address, get, "1/s", 200), 24, 2);
    load.targets[1].as_mut().unwrap().protocol = Protocol::Http2;
    load.limits.http2_connections_max = 3;
    load.limits.streams_max = 8;
    let trial = run(&load);
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::Ok, peer.requests())])
    );
    assert_eq!((peer.connections(), peer.wrongs()), (3, Vec::new()));
    assert!(peer.requests() > 48, "{}", peer.requests());
}

#[test]
fn a_closed_loop_on_a_dead_target_pauses() {
    let gone = Faultd::always(Fault::Silence);
    let address = gone.address;
    drop(gone);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nobody.sock");
    for target in [Address::Tcp(address), Address::Unix(socket)] {
        let mut load = closed(load(address, workload(&["GET /x"], None), "1/s", 300), 4, 1);
        load.targets[1].as_mut().unwrap().address = Some(target.clone());
        let trial = run(&load);
        let sent = trial.side(Side::Candidate).sent();
        assert_eq!(
            trial.classes(),
            BTreeMap::from([(Class::ConnectRefused, sent)])
        );
        // Sixteen in vain before it pauses, then each client at most once in ten milliseconds.
        assert!((1..=16 + 4 * 31).contains(&sent), "{target}: {sent}");
    }
}

#[test]
fn a_closed_loop_goes_on_after_failures() {
    let server = Setup::default()
        .route("/silent", Fault::Silence)
        .route(
            "/cut",
            Fault::Bytes(b"HTTP/1.1 2".to_vec(), crate::faultd::Then::Close),
        )
        .route("/", Fault::Status(200))
        .start();
    let requests = ["GET /silent", "GET /cut", "GET /x", "GET /y"];
    let mut load = closed(
        load(server.address, workload(&requests, None), "1/s", 400),
        3,
        2,
    );
    load.limits.header_ns = 60 * MS;
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_eq!(server.requests(), total.sent());
    let classes = trial.classes();
    for class in [Class::HeaderTimeout, Class::MalformedHttp, Class::Ok] {
        assert!(
            classes.get(&class).is_some_and(|n| *n > 1),
            "{class:?}: {classes:?}"
        );
    }
    assert_eq!(classes.len(), 3);
}

#[test]
fn a_ramp_sends_more_and_more() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let rate = |text: &str| text.parse().unwrap();
    let mut load = load(server.address, workload(&["GET /x"], None), "1/s", 250);
    load.layout.rounds = 4;
    load.arrivals = Arrivals::Ramp(rate("40/s"), rate("440/s"));
    let trial = run(&load);
    let scheduled: Vec<u64> = trial.slots.iter().map(|it| it.total().scheduled).collect();
    // The mean rate of each quarter: 90, 190, 290, 390.
    let near = scheduled
        .iter()
        .zip([22, 47, 72, 97])
        .all(|(n, mean)| n.abs_diff(mean) <= 2);
    assert!(near, "{scheduled:?}");
    assert_eq!(server.requests(), trial.side(Side::Candidate).sent());
}

/// Answers on a Unix socket until its file goes, and counts requests.
fn socket_server(listener: UnixListener, requests: Arc<AtomicU64>) {
    fn serve(mut stream: UnixStream, requests: &AtomicU64) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            bytes.extend_from_slice(&buffer[..n]);
            while let Some(at) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
                bytes.drain(..at + 4);
                requests.fetch_add(1, Ordering::Relaxed);
                stream.write_all(&plain(200))?;
            }
        }
    }
    thread::spawn(move || {
        // Ends with the process: nothing waits for it.
        for stream in listener.incoming().map_while(Result::ok) {
            let requests = Arc::clone(&requests);
            thread::spawn(move || serve(stream, &requests));
        }
    });
}

#[test]
fn unix_sockets_and_ipv6_are_loaded_like_any_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let requests = Arc::new(AtomicU64::new(0));
    socket_server(UnixListener::bind(&path).unwrap(), Arc::clone(&requests));
    let server = Setup::default()
        .route("/", Fault::Status(200))
        .ipv6()
        .start();
    let plain = || load(server.address, workload(&["GET /x"], None), "200/s", 200);
    for clients in [None, Some(4)] {
        let arrange = |load: Load| match clients {
            Some(clients) => closed(load, clients, 1),
            None => load,
        };
        let mut over_socket = arrange(plain());
        let target = Target::parse(&format!("unix://{}", path.display())).unwrap();
        over_socket.targets[1] = Some(target);
        let before = requests.load(Ordering::Relaxed);
        let trial = run(&over_socket);
        let seen = requests.load(Ordering::Relaxed) - before;
        assert_eq!(trial.classes(), BTreeMap::from([(Class::Ok, seen)]));

        assert!(server.address.is_ipv6());
        let before = server.requests();
        let trial = run(&arrange(plain()));
        let seen = server.requests() - before;
        assert_eq!(trial.classes(), BTreeMap::from([(Class::Ok, seen)]));
        assert!(seen > 0);
    }
}

/// So many sessions of so many requests each, in turn: `/SESSION/NUMBER`.
fn sessions(sessions: usize, requests: usize) -> Workload {
    let mut all = Vec::new();
    for number in 0..requests {
        for session in 0..sessions {
            all.push(Request {
                session: format!("s{session}"),
                ..parse_request(&format!("GET /{session}/{number}")).unwrap()
            });
        }
    }
    Workload::from_requests(all, "test").unwrap()
}

#[test]
fn two_threads_keep_the_order_of_each_session_and_their_sums_add_up() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let mut load = load(server.address, sessions(20, 30), "1000/s", 600);
    load.threads = 2;
    let trial = run(&load);
    let total = trial.side(Side::Candidate);
    assert_eq!(total.scheduled, 600);
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::Ok, server.requests())])
    );
    // The server reads its connections in no fixed order: only what lies well apart counts.
    let mut last: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for one in server.seen() {
        let mut parts = one.path[1..].split('/');
        let session = parts.next().unwrap().to_owned();
        let number: usize = parts.next().unwrap().parse().unwrap();
        if let Some((before, at_ns)) = last.get(&session) {
            let apart = one.at_ns - at_ns > MS;
            assert!(
                number > *before || !apart,
                "session {session}: {before}, {number}"
            );
        }
        last.insert(session, (number, one.at_ns));
    }
    assert_eq!(last.len(), 20);
}

#[test]
fn two_threads_never_load_both_sides_at_once() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Delay(5 * MS));
    let mut load = pair(server.address, sessions(8, 50), Arrangement::Interleaved);
    load.layout.rounds = 2;
    load.layout.slot_ns = 120 * MS;
    load.threads = 2;
    let trial = run(&load);
    let mut turns: Vec<String> = server.seen().iter().map(|it| it.path[..2].into()).collect();
    let seen = turns.len() as u64;
    turns.dedup();
    assert!(turns.len() <= 8, "one side at a time: {turns:?}");
    let [a, b] = Side::BOTH.map(|side| trial.side(side));
    assert_eq!((a.scheduled, b.scheduled), (96, 96));
    assert_eq!(a.sent() + b.sent(), seen);
    assert_eq!(a.ok() + b.ok(), seen);
    assert_eq!(trial.slots.len(), 8);
}
