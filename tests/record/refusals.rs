//! The recorder serves one upstream and is nobody's open proxy.

use std::{io::Read, net::TcpListener};

use crate::{
    app::App,
    binary::Proofload,
    client::Client,
    recording::{account, call, counted, record},
};

/// Request heads that ask for something else than the upstream, and what is said to each.
const PROBES: &[(&str, &str)] = &[
    (
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
        "403",
    ),
    ("CONNECT CANARY HTTP/1.1\r\nHost: CANARY\r\n\r\n", "403"),
    ("GET http://CANARY/ HTTP/1.1\r\nHost: CANARY\r\n\r\n", "403"),
    (
        "GET http://CANARY/ HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n",
        "403",
    ),
    (
        "GET http://UPSTREAM@CANARY/ HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n",
        "403",
    ),
    (
        "GET https://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n\r\n",
        "403",
    ),
    ("GET http://CANARY/ HTTP/1.0\r\n\r\n", "403"),
    (
        "POST http://CANARY/ HTTP/1.1\r\nHost: CANARY\r\nContent-Length: 0\r\n\r\n",
        "403",
    ),
    ("GET ftp://CANARY/ HTTP/1.1\r\nHost: CANARY\r\n\r\n", "403"),
    // A Host field is no address: these go to the upstream like all others.
    ("GET / HTTP/1.1\r\nHost: CANARY\r\n\r\n", "200"),
    (
        "GET // HTTP/1.1\r\nHost: CANARY\r\nX-Forwarded-Host: CANARY\r\n\r\n",
        "200",
    ),
    (
        "GET /http://CANARY/ HTTP/1.1\r\nHost: CANARY\r\nForwarded: host=CANARY\r\n\r\n",
        "200",
    ),
    (
        "GET http://UPSTREAM/ HTTP/1.1\r\nHost: CANARY\r\n\r\n",
        "200",
    ),
    (
        "GET http://RECORDER/ HTTP/1.1\r\nHost: RECORDER\r\n\r\n",
        "200",
    ),
];

#[test]
fn nothing_leads_anywhere_else_than_to_the_upstream() {
    let app = App::start();
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let recording = record(&app.url(), "");
    for (probe, status) in PROBES {
        let probe = probe
            .replace("CANARY", &canary.local_addr().unwrap().to_string())
            .replace("UPSTREAM", &app.address().to_string())
            .replace("RECORDER", &recording.address.to_string());
        let mut client = Client::connect(recording.address);
        client.send(probe.as_bytes());
        let answer = client.answer("GET").unwrap();
        assert!(answer.status.starts_with(status), "{probe}: {answer:?}");
    }
    assert!(canary.accept().is_err(), "somebody came");
    assert_eq!(app.seen().len(), 5);
    // A request line with a whole URL names the host, whatever the Host field says.
    assert_eq!(
        app.seen()[3].field("host"),
        Some(app.address().to_string().as_str())
    );
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 14, kept 5, skipped 9");
    assert_eq!(counted(&done, "refused: CONNECT, which is for proxies"), 2);
    assert_eq!(
        counted(&done, "refused: another host in the request line"),
        7
    );
}

#[test]
fn what_is_no_http_is_refused_and_counted() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello over TLS"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA b: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nab",
    ] {
        let mut client = Client::connect(recording.address);
        client.send(garbage);
        let mut said = Vec::new();
        let _ = client.reader.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{garbage:?}: {said}"
        );
    }
    // Two lengths in one request have opened many a proxy: the application sees none of it.
    assert_eq!(app.seen().len(), 0);
    assert_eq!(
        Client::connect(recording.address).get("/size/1").status,
        "200 OK"
    );
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 7, kept 1, skipped 6");
    assert_eq!(counted(&done, "no HTTP that can be read"), 6);
}

#[test]
fn others_than_loopback_are_asked_for_twice() {
    let app = App::start();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let line = format!(
            "record --listen {address} --upstream {} -o w.jsonl",
            app.url()
        );
        let done = Proofload::new(&line).run().expect(3);
        assert!(done.stderr.contains("--allow-remote"), "{}", done.stderr);
        assert!(!done.path("w.part.jsonl").exists());
    }
    let line = format!(
        "record --listen 0.0.0.0:0 --allow-remote -d 100ms --upstream {} -o w.jsonl",
        app.url()
    );
    let done = Proofload::new(&line).run().expect(12);
    assert!(
        done.stderr.contains("recording http://0.0.0.0:"),
        "{}",
        done.stderr
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_listens() {
    let app = App::start();
    let url = app.url();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    for (line, said) in [
        (
            "--listen 0 --upstream ftp://x -o w.jsonl".to_owned(),
            "only http, https and unix",
        ),
        (
            format!("--listen 0 --upstream {url}/base -o w.jsonl"),
            "has the path `/base`",
        ),
        (
            "--listen 0 --upstream http://u:hunter2@x -o w.jsonl".to_owned(),
            "holds a user name",
        ),
        (
            format!("--listen 0 --upstream {url} -o w.har"),
            "a workload ends in .jsonl",
        ),
        (
            format!("--listen 99999 --upstream {url} -o w.jsonl"),
            "is no address",
        ),
        (
            format!("--listen {taken} --upstream {url} -o w.jsonl"),
            "cannot listen on",
        ),
        (
            format!("--listen 0 --upstream {url} -o w.jsonl --session-by x"),
            "cookie:NAME",
        ),
        (
            format!("--listen 0 --upstream {url} -o w.jsonl --max-requests 0"),
            "--max-requests",
        ),
        (
            format!("--listen 0 --upstream {url} -o w.jsonl --listen-cert a"),
            "--listen-key",
        ),
        (
            format!("--listen 0 --upstream {url} -o w.jsonl --cacert nothing"),
            "--cacert nothing",
        ),
    ] {
        let done = Proofload::new(&format!("record {line}")).run().expect(2);
        assert!(done.stderr.contains(said), "{line}: {}", done.stderr);
        assert!(!done.stderr.contains("hunter2"));
        assert!(!done.path("w.part.jsonl").exists(), "{line}");
    }
}

#[test]
fn the_recorder_is_not_its_own_upstream() {
    // The port is free again for the blink of an eye; nobody else binds this one by number.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let done = Proofload::new(&format!(
        "record --listen {port} --upstream {url} -o w.jsonl"
    ));
    let done = done.run().expect(2);
    assert!(
        done.stderr.contains("the recorder listens on"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_upstream_is_asked_for_by_the_name_of_the_client_or_by_its_own() {
    let app = App::start();
    for (flag, host) in [
        ("", "app.test".to_owned()),
        ("--upstream-host", app.address().to_string()),
    ] {
        let recording = crate::recording::start(call(&app.url(), flag));
        Client::connect(recording.address).get("/size/1");
        assert_eq!(
            app.seen().last().unwrap().field("host"),
            Some(host.as_str()),
            "{flag}"
        );
        recording.stop().expect(0);
    }
}
