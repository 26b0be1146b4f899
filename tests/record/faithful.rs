//! What a client sees through the recorder is what it sees without it, byte for byte.

use std::io::Write;

use crate::{
    app::{App, pattern},
    client::{Answer, Client},
    recording::{account, counted, record, recorded},
};

/// The same requests to the application itself and through a recorder.
struct Pair {
    app: App,
    direct: Client,
    through: Client,
}

impl Pair {
    /// Sends the same and gets the same.
    #[track_caller]
    fn same(&mut self, method: &str, path: &str, fields: &str, body: &[u8]) -> Answer {
        let answers = [&mut self.direct, &mut self.through]
            .map(|client| client.ask(method, path, fields, body));
        let [direct, through] = answers;
        assert!(
            direct == through,
            "{method} {path}\n{direct:?}\n{through:?}"
        );
        // And the application got the same.
        let seen = self.app.seen();
        let [one, two] = &seen[seen.len() - 2..] else {
            panic!("two requests arrived");
        };
        let hop = |name: &str| ["connection", "te"].contains(&name.to_lowercase().as_str());
        let fields = [one, two].map(|seen| {
            let kept = seen.fields.iter().filter(|(name, _)| !hop(name));
            kept.cloned().collect::<Vec<_>>()
        });
        assert_eq!(fields[0], fields[1], "{method} {path}");
        assert_eq!(one.line, two.line);
        assert!(one.body == two.body, "{method} {path}: bodies differ");
        direct
    }
}

const SIZES: [usize; 14] = [
    0,
    1,
    2,
    100,
    1_023,
    1_024,
    4_096,
    8_191,
    8_192,
    16_384,
    65_535,
    65_536,
    100_001,
    1 << 20,
];

#[test]
fn answers_of_every_kind_are_the_same_through_the_recorder() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let direct = Client::connect(app.address());
    let through = Client::connect(recording.address);
    let mut pair = Pair {
        app,
        direct,
        through,
    };
    for size in SIZES {
        for kind in ["size", "chunked", "trailers", "hints"] {
            let path = format!("/{kind}/{size}?x=%2F+a%20b");
            let answer = pair.same("GET", &path, "TE: trailers\r\nX-MiXed: Case\r\n", b"");
            assert_eq!(answer.body, pattern(size), "{path}");
            assert_eq!(answer.is_chunked, kind == "chunked" || kind == "trailers");
            assert_eq!(
                answer.trailers.len(),
                if kind == "trailers" { 2 } else { 0 }
            );
            assert_eq!(answer.interim.len(), if kind == "hints" { 2 } else { 0 });
        }
        pair.same("HEAD", &format!("/size/{size}"), "", b"");
        pair.same("HEAD", &format!("/chunked/{size}"), "", b"");
        let body = pattern(size);
        for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "PROPFIND"] {
            let answer = pair.same(method, "/echo", "Content-Type: a/b; c=d\r\n", &body);
            assert_eq!(answer.body, body);
        }
        let waiting = "Expect: 100-continue\r\nContent-Type: x/y\r\n";
        let answer = pair.same("POST", "/echo", waiting, &body);
        assert_eq!(answer.body, body);
    }
    for status in [
        200, 201, 204, 206, 301, 304, 400, 404, 418, 429, 500, 503, 599,
    ] {
        let answer = pair.same(
            "GET",
            &format!("/status/{status}"),
            "If-None-Match: \"x\"\r\n",
            b"",
        );
        assert_eq!(answer.status, format!("{status} Said So"));
    }
    pair.same("GET", "/many/3", "", b"");
    pair.same("OPTIONS", "*", "", b"");
    pair.same(
        "GET",
        "/a/../b;c=d//e?f&&g=",
        "Accept: */*, a/b;q=0.1\r\n",
        b"",
    );
    let kept = pair.app.seen().len() / 2;
    let done = recording.stop().expect(0);
    assert_eq!(recorded(&done).len(), kept - 1, "all but `OPTIONS *`");
    assert!(
        account(&done).starts_with(&format!("read {kept}, kept")),
        "{}",
        done.stdout
    );
}

#[test]
fn chunks_and_trailers_of_a_request_arrive() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for address in [app.address(), recording.address] {
        for method in ["POST", "GET"] {
            let mut client = Client::connect(address);
            let head = format!(
                "{method} /echo HTTP/1.1\r\nHost: app.test\r\nTrailer: X-Sum\r\n\
                 Transfer-Encoding: chunked\r\n\r\n"
            );
            client.send(head.as_bytes());
            client.send(b"3\r\ntea\r\n5;x=y\r\n, hot\r\n");
            client.send(b"0\r\nX-Sum: 8\r\n\r\n");
            assert_eq!(client.answer(method).unwrap().body, b"tea, hot");
        }
    }
    for seen in app.seen() {
        assert_eq!(seen.body, b"tea, hot", "{}", seen.line);
        let trailers: Vec<_> = seen
            .trailers
            .iter()
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(trailers, ["8"]);
    }
    let done = recording.stop().expect(0);
    let bodies: Vec<_> = recorded(&done)
        .into_iter()
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [b"tea, hot", b"tea, hot"]);
}

#[test]
fn connections_end_as_they_do_without_the_recorder() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let close = "Connection: close\r\n";
    for address in [app.address(), recording.address] {
        // The upstream ends the connection; its body ends with it.
        for path in ["/close/70000", "/old/70000", "/close/0"] {
            let answer = Client::connect(address).ask("GET", path, close, b"");
            let wanted = path.rsplit('/').next().unwrap().parse().unwrap();
            assert_eq!(answer.body, pattern(wanted), "{path}");
        }
        // So does a client of HTTP/1.0.
        let mut client = Client::connect(address);
        client.send(b"GET /size/9 HTTP/1.0\r\n\r\n");
        assert_eq!(client.answer("GET").unwrap().body, pattern(9));
        // An upstream that ends its connection after each answer costs nobody a request.
        let mut client = Client::connect(address);
        for _ in 0..5 {
            assert_eq!(client.get("/size/3").status, "200 OK");
        }
    }
    let mut client = Client::connect(recording.address);
    for _ in 0..20 {
        assert_eq!(client.get("/last/3").body, pattern(3));
    }
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 29, kept 29, skipped 0");
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for address in [app.address(), recording.address] {
        let mut client = Client::connect(address);
        let mut all = Vec::new();
        for size in 0..100 {
            write!(all, "GET /hints/{size} HTTP/1.1\r\nHost: app.test\r\n\r\n").unwrap();
            write!(
                all,
                "POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: 2\r\n\r\n{size:02}"
            )
            .unwrap();
        }
        client.send(&all);
        for size in 0..100 {
            let hints = client.answer("GET").unwrap();
            assert_eq!((hints.body, hints.interim.len()), (pattern(size), 2));
            assert_eq!(
                client.answer("POST").unwrap().body,
                format!("{size:02}").as_bytes()
            );
        }
    }
    let done = recording.stop().expect(0);
    let requests = recorded(&done);
    assert_eq!(requests.len(), 200);
    let order = requests.iter().filter(|request| request.path != "/echo");
    let sizes: Vec<String> = order.map(|request| request.path.clone()).collect();
    let wanted: Vec<String> = (0..100).map(|size| format!("/hints/{size}")).collect();
    assert_eq!(sizes, wanted);
}

#[test]
fn a_body_that_is_not_wanted_is_not_asked_for() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for address in [app.address(), recording.address] {
        let mut client = Client::connect(address);
        let head = "POST /unwanted HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1000000\r\n\
                    Expect: 100-continue\r\n\r\n";
        client.send(head.as_bytes());
        let answer = client.answer("POST").unwrap();
        assert_eq!(
            (answer.status.as_str(), answer.body.as_slice()),
            ("417 Expectation Failed", &b"no"[..])
        );
        assert_eq!(answer.interim.len(), 0, "nobody may say 100 here");
    }
    // An application that knows nothing of `Expect` gets the body after a while.
    let mut client = Client::connect(recording.address);
    let answer = client.ask("POST", "/silent", "Expect: 100-continue\r\n", b"tea");
    assert_eq!(answer.body, b"tea");
    let done = recording.stop().expect(0);
    assert_eq!(
        counted(&done, "its body was not read to its end"),
        1,
        "{}",
        done.stdout
    );
    assert_eq!(recorded(&done).len(), 1);
}

#[test]
fn large_bodies_pass_and_only_those_that_fit_are_recorded() {
    const LARGE: usize = 40 << 20;
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    assert!(client.get(&format!("/size/{LARGE}")).body == pattern(LARGE));
    let body = pattern(LARGE);
    assert!(client.ask("PUT", "/echo", "", &body).body == body);
    assert!(client.ask("PUT", "/echo", "", &body[..8 << 20]).body == body[..8 << 20]);
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 3, kept 2, skipped 1");
    assert_eq!(counted(&done, "its body is larger than 8 MiB"), 1);
    let requests = recorded(&done);
    assert_eq!(requests[0].recorded.size_bytes, Some(LARGE as u64));
    assert!(requests[0].recorded.latency_ns.unwrap() > 0);
    assert_eq!(requests[1].body.len(), 8 << 20);
}

/// The most memory that a process has had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_client_that_reads_slowly_fills_no_memory() {
    const MIB: usize = 300;
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    let head = format!("GET /flood/{MIB} HTTP/1.1\r\nHost: app.test\r\n\r\n");
    client.send(head.as_bytes());
    // Time enough for a recorder that reads ahead to read it all.
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(client.answer("GET").unwrap().body.len(), MIB << 20);
    // And a body that nobody records, on its way to an application that does not read yet.
    let body = vec![7; MIB << 20];
    assert_eq!(
        client.ask("PUT", "/sink", "", &body).body,
        (MIB << 20).to_string().as_bytes()
    );
    let peak = peak_kib(recording.started.pid());
    assert!(peak < 100 << 10, "{peak} KiB for bodies of {MIB} MiB");
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
}

#[test]
fn ten_thousand_exchanges_are_equal() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let ask = |client: &mut Client, number: usize| {
        let size = number * number % 3_001;
        match number % 4 {
            0 => client.get(&format!("/size/{size}?n={number}")),
            1 => client.get(&format!("/chunked/{size}?n={number}")),
            2 => client.ask("POST", &format!("/echo?n={number}"), "", &pattern(size)),
            _ => client.ask("HEAD", &format!("/size/{size}?n={number}"), "", b""),
        }
    };
    let run = |worker: usize| {
        let mut direct = Client::connect(app.address());
        let mut through = Client::connect(recording.address);
        for number in (worker..10_000).step_by(4) {
            let [direct, through] = [&mut direct, &mut through].map(|client| ask(client, number));
            assert!(direct == through, "{number}: {direct:?} {through:?}");
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| scope.spawn(move || run(worker)))
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 10000, kept 10000, skipped 0");
    let mut numbers: Vec<usize> = recorded(&done)
        .iter()
        .map(|request| request.path.rsplit('=').next().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..10_000));
}
