//! Where connections go: pinned hosts, Unix sockets, servers that keep no connection, and
//! proxies that are not used.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    thread,
};

use proofload::{
    staging::{Preflight, Probes, Step, Terms, preflight, resolve},
    tls::Trust,
    workload::{Protocol, Target, parse_request},
};

use crate::{
    binary::Proofload,
    faultd::{Fault, Faultd, Then},
};

const RUN: &str = "run --request /x --rate 50/s -d 300ms -o run.jsonl";

/// A call that loads a host which no name service knows.
fn named(server: &Faultd, pin: &str) -> Proofload {
    let port = server.address.port().to_string();
    let url = format!("http://shop.invalid:{port}");
    Proofload::new(RUN)
        .args(&["--target", &url, "--allow-host", "shop.invalid"])
        .args(&["--resolve", &pin.replace("{port}", &port)])
}

#[test]
fn a_pinned_host_is_loaded_without_a_name_service() {
    let server = Faultd::always(Fault::Status(200));
    let done = named(&server, "shop.invalid:{port}:127.0.0.1")
        .run()
        .measured();
    assert!(!done.stderr.contains("addresses"), "{}", done.stderr);
    let host = format!("host: shop.invalid:{}", server.address.port());
    assert!(
        server
            .seen()
            .iter()
            .all(|one| one.head.to_lowercase().contains(&host))
    );
    let stored = std::fs::read_to_string(done.path("run.jsonl")).unwrap();
    assert!(stored.contains(&format!("\"127.0.0.1:{}\"", server.address.port())));

    let two = named(&server, "shop.invalid:{port}:127.0.0.1,127.0.0.2")
        .run()
        .measured();
    let port = server.address.port();
    let said = format!("2 addresses (127.0.0.1:{port}, 127.0.0.2:{port}); all");
    assert!(two.stderr.contains(&said), "{}", two.stderr);
}

#[test]
fn a_pin_is_checked_like_any_address_and_must_be_for_a_target() {
    let server = Faultd::always(Fault::Status(200));
    for (pin, code, word) in [
        ("shop.invalid:{port}:169.254.169.254", 3, "metadata"),
        ("shop.invalid:{port}:[fe80::1]", 3, "fe80::/10"),
        ("shop.invalid:1:127.0.0.1", 2, "no target here"),
        ("shop.invalid:127.0.0.1", 2, "HOST:PORT:ADDRESS"),
    ] {
        let done = named(&server, pin).run().expect(code);
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_server_that_closes_its_connections_may_need_more_ports_than_there_are() {
    let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let server = Faultd::always(Fault::Bytes(close.into(), Then::Close));
    let keeps = Faultd::always(Fault::Status(200));
    let run = |server: &Faultd, rate: &str| {
        let line = "run --request /x -d 100ms -o run.jsonl --target";
        Proofload::new(line)
            .args(&[&server.url(), "--rate", rate])
            .run()
            .measured()
    };
    // More than a minute of all ports that there can be.
    let short = run(&server, "1100/s");
    for word in [
        "1100 new connections/s",
        "66000 local ports",
        "keep",
        "ip_local_port_range",
    ] {
        assert!(short.stderr.contains(word), "{word}: {}", short.stderr);
    }
    for done in [run(&keeps, "1100/s"), run(&server, "1/s")] {
        assert!(!done.stderr.contains("local ports"), "{}", done.stderr);
    }
}

#[test]
fn proxies_of_the_environment_are_not_used_and_that_is_said() {
    let server = Faultd::always(Fault::Status(200));
    let call = || Proofload::new(RUN).args(&["--target", &server.url()]);
    let done = call()
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("all_proxy", "x")
        .run();
    let done = done.measured();
    let said = "note: HTTP_PROXY, all_proxy set in the environment is ignored";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    assert!(!call().run().measured().stderr.contains("ignored"));
}

fn ask(target: &Target) -> Preflight {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let step = Step {
        request: parse_request("/x?y").unwrap(),
        is_probe: true,
    };
    let probes = Probes {
        chains: vec![vec![step]],
        ..Probes::default()
    };
    let trust = Trust::default();
    let terms = Terms {
        trust: &trust,
        connect_ns: 20_000_000_000,
        total_ns: 20_000_000_000,
        run_id: "r1",
    };
    let addresses = resolve(target, &[]).unwrap();
    let asking = preflight(target, &addresses, &probes, terms);
    runtime.unwrap().block_on(asking).unwrap()
}

#[test]
fn a_unix_socket_is_asked_like_any_target() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.sock");
    let target = Target::parse(&format!("unix://{}", path.display())).unwrap();
    assert!(
        ask(&target).unusable().unwrap().contains("app.sock"),
        "nobody is there"
    );
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), Vec::new());
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let fields = [
                "get /x?y http/1.1\r\n",
                "host: localhost\r\n",
                "user-agent: proofload/",
                "x-proofload-run: r1\r\n",
            ];
            let fits = fields.iter().all(|field| head.contains(field));
            let status = if fits { 200 } else { 400 };
            let text = format!("HTTP/1.1 {status} S\r\ncontent-length: 0\r\n\r\n");
            // The first connection is only tried.
            let _ = stream.write_all(text.as_bytes());
        }
    });
    let found = ask(&target);
    assert_eq!(
        (found.unusable(), found.unexpected().len()),
        (None, 0),
        "{found:?}"
    );
    assert_eq!((found.version, found.closes), (Some("HTTP/1.1"), false));
    assert_eq!(found.address, target.address);
}

#[test]
fn prior_knowledge_is_spoken_where_it_is_asked_for() {
    // It does not understand, but it counts what begins like HTTP/2.
    let server = Faultd::always(Fault::Status(200));
    let mut target = Target::parse(&server.url()).unwrap();
    target.protocol = Protocol::Http2;
    assert!(ask(&target).unusable().is_some());
    assert_eq!(server.seen()[0].head, "PRI * HTTP/2.0\r\n\r\n");
}
