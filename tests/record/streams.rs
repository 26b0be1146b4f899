//! What has no answer that can be replayed: other protocols, streams without an end, upstreams
//! that are down or break off, clients that leave.

use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    os::unix::net::UnixListener,
    thread,
    time::Duration,
};

use crate::{
    app::App,
    binary::Proofload,
    client::Client,
    recording::{account, counted, record, recorded},
};

const UPGRADE: &str = "GET /socket HTTP/1.1\r\nHost: app.test\r\nUpgrade: websocket\r\n\
                       Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: abc=\r\n\r\n";

/// Waits for something that comes by itself, and fails when it does not.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("did not come about: {what}");
}

#[test]
fn a_websocket_passes_both_ways_and_is_counted() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for address in [app.address(), recording.address] {
        let mut client = Client::connect(address);
        client.send(UPGRADE.as_bytes());
        let answer = client.answer("GET").unwrap();
        assert_eq!(answer.status, "101 Switching Protocols");
        let fields = [("Sec-WebSocket-Accept", "abc="), ("Upgrade", "websocket")];
        assert_eq!(
            answer.fields,
            fields.map(|(name, value)| (name.into(), value.into()))
        );
        for word in ["abcd", "1234", "\0\r\n\u{7f}"] {
            client.send(word.as_bytes());
            let mut back = [0; 4];
            client.reader.read_exact(&mut back).unwrap();
            back.reverse();
            assert_eq!(back, word.as_bytes());
        }
    }
    assert_eq!(app.seen()[1].field("sec-websocket-key"), Some("abc="));
    let mut open = Client::connect(recording.address);
    open.send(UPGRADE.as_bytes());
    open.answer("GET").unwrap();
    // What HTTP/2 would hide goes on as HTTP/1.1.
    let mut client = Client::connect(recording.address);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n";
    assert_eq!(client.ask("GET", "/size/1", fields, b"").status, "200 OK");
    let seen = app.seen();
    assert_eq!(seen.last().unwrap().field("upgrade"), None);
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 3, kept 1, skipped 2");
    assert_eq!(counted(&done, "WebSocket"), 2);
    // The file says so too, long after the account has scrolled away.
    let (summary, _) = crate::recording::read(&done.path("w.jsonl"));
    assert_eq!(summary.left_out, [("WebSocket".to_owned(), 2)].into());
    let shown = Proofload::new("inspect w.jsonl")
        .within(done)
        .run()
        .expect(0);
    let said = "left out   of the recorded traffic: 2 × WebSocket\n";
    assert!(shown.stdout.contains(said), "{}", shown.stdout);
    // The one that was still open was ended.
    assert_eq!(open.reader.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_upgrade_that_is_refused_is_answered_and_no_request_of_the_recording() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(
        client.ask("GET", "/status/403", fields, b"").status,
        "403 Said So"
    );
    assert_eq!(client.get("/size/3").status, "200 OK");
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
    assert_eq!(counted(&done, "upgrade that was not granted"), 1);
    // Replayed, it would be no handshake, and its status a failure of the candidate.
    assert_eq!(recorded(&done)[0].path, "/size/3");
}

#[test]
fn events_arrive_as_they_are_sent_and_end_with_their_client() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    client.send(b"GET /events HTTP/1.1\r\nHost: app.test\r\nAccept: text/event-stream\r\n\r\n");
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    // The stream has no end: whoever waited for one would wait for ever.
    while !String::from_utf8_lossy(&got).contains("data: 20\n\n") {
        let length = client.reader.read(&mut piece).unwrap();
        assert!(length > 0);
        got.extend_from_slice(&piece[..length]);
    }
    drop(client);
    let mut other = Client::connect(recording.address);
    assert_eq!(other.get("/size/3").status, "200 OK");
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
    assert_eq!(counted(&done, "event stream, which has no end"), 1);
}

#[test]
fn an_upstream_that_is_down_or_breaks_off_is_told_and_counted() {
    // Bound and let go: nobody listens there.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let recording = record(&format!("http://{nobody}"), "");
    let mut client = Client::connect(recording.address);
    for _ in 0..3 {
        let answer = client.get("/size/3");
        assert_eq!(answer.status, "502 Bad Gateway");
        let text = String::from_utf8(answer.body).unwrap();
        assert!(
            text.contains("cannot be reached") && text.contains("refused"),
            "{text}"
        );
    }
    let done = recording.stop().expect(12);
    assert!(
        done.stderr.contains("does not take connections yet"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("3 × the upstream gave no answer"),
        "{}",
        done.stderr
    );
    assert_eq!(account(&done), "read 3, kept 0, skipped 3");
    assert!(!done.path("w.jsonl").exists() && !done.path("w.part.jsonl").exists());

    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    assert_eq!(
        client.ask("POST", "/refuse", "", b"tea").status,
        "502 Bad Gateway"
    );
    assert_eq!(client.get("/size/3").status, "200 OK");
    client.send(b"GET /break HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(
        client.answer("GET").is_err(),
        "a broken answer must not look whole"
    );
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 3, kept 1, skipped 2");
    assert_eq!(counted(&done, "the upstream gave no answer"), 1);
    assert_eq!(counted(&done, "its answer broke off"), 1);
    // A request that may have had an effect was sent once and no more.
    let sent = app
        .seen()
        .iter()
        .filter(|seen| seen.path() == "/refuse")
        .count();
    assert_eq!(sent, 1);
}

#[test]
fn a_connection_that_the_upstream_closed_meanwhile_costs_no_request() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    assert_eq!(client.get("/size/3").status, "200 OK");
    // It closes on the second request of a connection, having read it.
    let answer = client.get("/refuse-once");
    assert_eq!(answer.status, "502 Bad Gateway");
    assert_eq!(client.get("/size/3").status, "200 OK");
    let sent = app
        .seen()
        .iter()
        .filter(|seen| seen.path() == "/refuse-once")
        .count();
    assert_eq!(
        sent, 2,
        "once more on a fresh connection, and then never again"
    );
    recording.stop().expect(0);
}

#[test]
fn a_client_that_leaves_ends_its_request_at_the_upstream_too() {
    let app = App::start();
    let recording = record(&app.url(), "");
    // Before the answer.
    let mut client = Client::connect(recording.address);
    client.send(b"GET /slow/600000 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    eventually("the request arrives", || app.seen().len() == 1);
    drop(client);
    // In the middle of its own body.
    let mut client = Client::connect(recording.address);
    client.send(b"POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\r\nhalf");
    thread::sleep(Duration::from_millis(50));
    drop(client);
    // In the middle of the answer.
    let mut client = Client::connect(recording.address);
    client.send(b"GET /flood/300 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    client.reader.read_exact(&mut vec![0; 100_000]).unwrap();
    drop(client);
    let mut other = Client::connect(recording.address);
    assert_eq!(other.get("/size/3").status, "200 OK");
    let part = recording.started.path("w.part.jsonl");
    eventually("what was cut off is in the recording", || {
        std::fs::read_to_string(&part)
            .unwrap()
            .contains("/flood/300")
    });
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 4, kept 2, skipped 2");
    assert_eq!(
        counted(&done, "its client left before the answer"),
        2,
        "{}",
        done.stdout
    );
    let requests = recorded(&done);
    let flood = requests
        .iter()
        .find(|request| request.path == "/flood/300")
        .unwrap();
    assert_eq!(
        (flood.expect_status, flood.recorded.size_bytes),
        (Some(200), None)
    );
}

#[test]
fn a_slow_upstream_is_waited_for_and_holds_up_nobody() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut slow = Client::connect(recording.address);
    slow.send(b"GET /slow/3000 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    eventually("the slow request arrives", || app.seen().len() == 1);
    let mut client = Client::connect(recording.address);
    for _ in 0..50 {
        assert_eq!(client.get("/size/3").status, "200 OK");
    }
    assert_eq!(slow.answer("GET").unwrap().body, b"late");
    assert_eq!(client.get("/size/4").status, "200 OK");
    let done = recording.stop().expect(0);
    // Ended long after others that began later were written, and yet in its place.
    let requests = recorded(&done);
    assert_eq!(requests.len(), 52);
    assert_eq!(requests[0].path, "/slow/3000");
    assert!(requests[0].recorded.latency_ns.unwrap() >= 3_000_000_000);
    assert!(requests.is_sorted_by_key(|request| request.offset_ns));
}

#[test]
fn a_unix_socket_can_be_the_upstream() {
    let app = App::start();
    let address = app.address();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for near in listener.incoming() {
            let (near, far) = (near.unwrap(), TcpStream::connect(address).unwrap());
            let (mut from, mut to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            thread::spawn(move || std::io::copy(&mut &far, &mut &near));
        }
    });
    let recording = record(&format!("unix://{}", path.display()), "");
    let mut client = Client::connect(recording.address);
    for size in [0, 3, 100_000] {
        assert_eq!(client.get(&format!("/size/{size}")).body.len(), size);
    }
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 3, kept 3, skipped 0");
}
