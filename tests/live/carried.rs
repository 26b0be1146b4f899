//! What goes from answers to later requests: values by rules, cookies, and what is made anew for
//! each request, against a service that refuses what was not its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use proofload::{
    replay::{Arrangement, Arrivals, Layout, Load},
    run::{Class, Side},
    units::Speed,
    workload::{Request, Workload, parse_request, rules::ReplaySettings, write_workload},
};

use crate::{
    engine::{Trial, load, quiet, run, target},
    faultd::MS,
};

/// What a service knows.
#[derive(Default)]
struct Book {
    /// Every request: its head and its body.
    seen: Vec<(String, String)>,
    /// Tokens that were handed out, each with the client that got it; used once.
    tokens: BTreeMap<String, String>,
    issued: u64,
    refused: u64,
}

/// A service that gives each client a cookie and each form a token, and takes no other.
struct Service {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
}

impl Service {
    /// Answers forms after this time; what it issues begins with its name.
    fn start(name: &'static str, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = Arc::clone(&shared);
                // It ends with its connection, which ends with the load.
                thread::spawn(move || converse(stream, name, delay, &book));
            }
        });
        Self { address, book }
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.book.lock().unwrap().seen.clone()
    }

    fn refused(&self) -> u64 {
        self.book.lock().unwrap().refused
    }
}

fn converse(stream: TcpStream, name: &str, delay: Duration, book: &Mutex<Book>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let mut body = vec![0; field(&head, "content-length").map_or(0, |it| it.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).unwrap();
        if head.starts_with("GET /form") {
            thread::sleep(delay);
        }
        let answer = answer(&mut book.lock().unwrap(), name, (head, body));
        stream.write_all(answer.as_bytes()).ok()?;
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let mut own = fields.filter(|(it, _)| it.eq_ignore_ascii_case(name));
    Some(own.next()?.1.trim())
}

fn answer(book: &mut Book, name: &str, (head, body): (String, String)) -> String {
    book.issued += 1;
    let number = book.issued;
    let own = field(&head, "cookie").and_then(|it| it.strip_prefix("sid="));
    let (client, set) = if let Some(client) = own {
        (client.to_owned(), String::new())
    } else {
        let client = format!("{name}-{number}");
        let set = format!("set-cookie: sid={client}; Path=/; HttpOnly\r\n");
        (client, set)
    };
    let is_form = head.starts_with("GET /form");
    let (status, page) = if is_form {
        let token = format!("{name}/tok&{number}");
        book.tokens.insert(token.clone(), client);
        (200, format!("{{\"csrf\":\"{token}\"}}"))
    } else if head.starts_with("POST /send") {
        let token = body.strip_prefix("csrf=").unwrap_or_default();
        let token = token.replace("%2F", "/").replace("%26", "&");
        let is_own = book.tokens.remove(&token).is_some_and(|it| it == client);
        book.refused += u64::from(!is_own);
        (if is_own { 200 } else { 403 }, "done".to_owned())
    } else {
        (200, "page".to_owned())
    };
    book.seen.push((head, body));
    let length = page.len();
    format!("HTTP/1.1 {status} Status\r\n{set}content-length: {length}\r\n\r\n{page}")
}

/// A request of a session at so many milliseconds.
fn at(ms: u64, session: &str, line: &str, body: &str) -> Request {
    Request {
        offset_ns: ms * MS,
        session: session.to_owned(),
        body: body.as_bytes().to_vec(),
        expect_status: Some(200),
        ..parse_request(line).unwrap()
    }
}

const CSRF: &str = r#"
[[rule]]
name = "csrf"
extract = { from = "GET /form", at = "json:/csrf" }
replace = [{ in = "POST /send", at = "form:csrf" }]
"#;

/// Clients that each load a form twice and send it so many milliseconds later.
fn forms(clients: u64, later_ms: u64) -> Workload {
    let mut requests = Vec::new();
    for n in 0..clients {
        let session = format!("s{n}");
        for turn in 0..2 {
            let ms = 7 * n + turn * (later_ms + 400);
            requests.push(at(ms, &session, "GET /form", ""));
            requests.push(at(ms + later_ms, &session, "POST /send", "csrf=old"));
        }
    }
    requests.sort_by_key(|request| request.offset_ns);
    let workload = Workload::from_requests(requests, "test").unwrap();
    let settings: ReplaySettings = toml::from_str(CSRF).unwrap();
    workload.under(&settings, true).unwrap()
}

/// The whole workload once to each of these at the same time.
fn both(a: &Service, b: &Service, workload: Workload) -> Trial {
    arranged(Arrangement::Simultaneous, [a, b], workload)
}

fn arranged(arrangement: Arrangement, services: [&Service; 2], workload: Workload) -> Trial {
    let [a, b] = services;
    let length_ms = workload.summary().duration_ns / MS + 1;
    let single = load(a.address, workload, "1/s", length_ms);
    let side = |service: &Service| {
        Some(target(
            &format!("http://{}", service.address),
            service.address,
        ))
    };
    run(&Load {
        targets: [side(a), side(b)],
        arrivals: Arrivals::Recorded(Speed::ONE),
        layout: Layout {
            arrangement: Some(arrangement),
            ..single.layout
        },
        ..single
    })
}

fn late(trial: &Trial, side: Side) -> u64 {
    let classes = trial.side(side).classes;
    classes.get(&Class::NotSentLate).copied().unwrap_or(0)
}

#[test]
fn each_side_gets_back_its_own_tokens_and_refuses_none() {
    let _quiet = quiet();
    let services = ["old", "new"].map(|name| Service::start(name, Duration::from_millis(300)));
    // The answer takes longer than a request may be late, so that every one of them waits.
    let trial = both(&services[0], &services[1], forms(20, 10));
    for (side, service) in Side::BOTH.into_iter().zip(&services) {
        let stats = trial.side(side);
        assert_eq!(service.refused(), 0, "{side:?}");
        assert_eq!(stats.scheduled, 80);
        let missed = late(&trial, side);
        // Whoever lost his form to a late generator cannot send it either.
        assert_eq!(stats.ok(), 80 - missed, "{:?}", stats.classes);
        let sent = service
            .seen()
            .iter()
            .filter(|it| it.0.starts_with("POST"))
            .count();
        assert_eq!(stats.waited, sent as u64);
        // Waiting for an answer is nobody's lateness: it is measured from the answer on.
        let posts = trial.slots.iter().filter(|slot| slot.side == side);
        for slot in posts {
            let lag = slot.health.lag.quantile_ns(0.5).unwrap();
            assert!(lag < 100.0 * 1e6, "{lag}");
        }
    }
}

#[test]
fn nobody_waits_for_an_answer_that_is_there() {
    let _quiet = quiet();
    let services = ["old", "new"].map(|name| Service::start(name, Duration::ZERO));
    let trial = both(&services[0], &services[1], forms(5, 1_500));
    for (side, service) in Side::BOTH.into_iter().zip(&services) {
        assert_eq!(trial.side(side).waited, 0);
        assert_eq!((service.refused(), trial.side(side).overtook), (0, 0));
        assert_eq!(trial.side(side).ok(), 20 - late(&trial, side));
    }
}

#[test]
fn what_no_answer_brings_is_not_sent_and_counts_against_its_side() {
    let _quiet = quiet();
    let service = Service::start("old", Duration::ZERO);
    let requests = vec![
        at(0, "s", "GET /page", ""),
        at(300, "s", "POST /send", "csrf=old"),
        at(400, "s", "GET /page", ""),
    ];
    let workload = Workload::from_requests(requests, "test").unwrap();
    let rule = CSRF.replace("GET /form", "GET /page");
    let settings: ReplaySettings = toml::from_str(&rule).unwrap();
    let workload = workload.under(&settings, true).unwrap();
    let mut load = load(service.address, workload, "1/s", 401);
    load.arrivals = Arrivals::Recorded(Speed::ONE);
    let trial = run(&load);
    let classes = trial.classes();
    assert_eq!(classes.get(&Class::NotSentValue), Some(&1), "{classes:?}");
    assert_eq!(service.refused(), 0, "a recorded value is never sent");
    assert!(
        service
            .seen()
            .iter()
            .all(|(head, _)| head.starts_with("GET"))
    );
}

#[test]
fn requests_that_need_nothing_wait_for_nobody() {
    let _quiet = quiet();
    let service = Service::start("old", Duration::from_millis(400));
    let requests = vec![
        at(0, "s", "GET /form", ""),
        at(10, "s", "POST /send", "csrf=old"),
        at(20, "s", "GET /page", ""),
    ];
    let workload = Workload::from_requests(requests, "test").unwrap();
    let settings: ReplaySettings = toml::from_str(CSRF).unwrap();
    let mut load = load(
        service.address,
        workload.under(&settings, true).unwrap(),
        "1/s",
        21,
    );
    load.arrivals = Arrivals::Recorded(Speed::ONE);
    let trial = run(&load);
    let stats = trial.side(Side::Candidate);
    if late(&trial, Side::Candidate) == 0 {
        assert_eq!((stats.waited, stats.overtook, stats.ok()), (1, 1, 3));
    }
    assert_eq!(service.refused(), 0);
}

#[test]
fn cookies_of_sessions_and_sides_are_never_mixed() {
    let _quiet = quiet();
    let services = ["old", "new"].map(|name| Service::start(name, Duration::ZERO));
    let mut requests = Vec::new();
    for n in 0..100_u64 {
        let mut request = at(n * 8, &format!("s{}", n % 10), "GET /page", "");
        request.headers = vec![("x-client".to_owned(), format!("s{}", n % 10))];
        requests.push(request);
    }
    // Nobody knows who asks this: it belongs to no client.
    requests.extend((0..5).map(|n| at(800 + n, "", "GET /page", "")));
    let workload = Workload::from_requests(requests, "test").unwrap();
    both(&services[0], &services[1], workload.clone());
    for (name, service) in ["old", "new"].into_iter().zip(&services) {
        let mut clients: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut returned = 0;
        for (head, _) in service.seen() {
            assert!(
                head.to_lowercase().matches("cookie:").count() <= 1,
                "{head}"
            );
            let cookie = field(&head, "cookie");
            match (cookie, field(&head, "x-client")) {
                (Some(cookie), Some(client)) => {
                    returned += 1;
                    assert!(cookie.starts_with(&format!("sid={name}-")), "{cookie}");
                    let own = clients.entry(cookie.to_owned()).or_default();
                    own.insert(client.to_owned());
                }
                (cookie, None) => assert_eq!(cookie, None, "a request without a client"),
                (None, Some(_)) => {}
            }
        }
        assert!(returned > 0);
        assert!(clients.values().all(|own| own.len() == 1), "{clients:?}");
    }
    let dropped = Service::start("none", Duration::ZERO);
    let without = workload.under(&ReplaySettings::default(), false).unwrap();
    both(&dropped, &services[1], without);
    assert!(
        dropped
            .seen()
            .iter()
            .all(|(head, _)| field(head, "cookie").is_none())
    );
}

#[test]
fn what_is_made_anew_is_the_same_on_both_sides() {
    let _quiet = quiet();
    let settings: ReplaySettings = toml::from_str(
        "[[rule]]\nname = \"ref\"\nvalue = \"{{uuid}}\"\n\
         replace = [{ in = \"POST /order\", at = \"form:ref\" }]\n",
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let users: Vec<String> = (0..1_000).map(|n| format!("user{n}")).collect();
    std::fs::write(dir.path().join("users.txt"), users.join("\n")).unwrap();
    let drawn = |arrangement: Arrangement| {
        let services = ["old", "new"].map(|name| Service::start(name, Duration::ZERO));
        let mut order = at(
            0,
            "",
            "POST /order?u={{uuid}}&n={{seq}}&t={{now:ms}}&p={{pick:users.txt}}",
            "ref=x",
        );
        order.headers = vec![
            ("idempotency-key".to_owned(), "k".to_owned()),
            ("traceparent".to_owned(), "00-1-1-01".to_owned()),
        ];
        let requests = (0..30).map(|n| Request {
            offset_ns: n * 10 * MS,
            ..order.clone()
        });
        let requests: Vec<Request> = requests.collect();
        let summary = Workload::from_requests(requests.clone(), "test").unwrap();
        let origin = summary.summary().origin.clone();
        let path = dir.path().join("w.jsonl");
        write_workload(File::create(&path).unwrap(), false, origin, &requests).unwrap();
        let workload = Workload::open(&path).unwrap();
        let workload = workload.under(&settings, true).unwrap();
        arranged(arrangement, [&services[0], &services[1]], workload);
        services.map(|service| {
            let seen = service.seen().into_iter().map(|(head, body)| {
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let of = |name: &str| field(&head, name).unwrap().to_owned();
                let trace = of("traceparent");
                let (side, rest) = (trace[3..4].to_owned(), trace[4..].to_owned());
                assert_eq!(side, if service.seen_by_baseline() { "b" } else { "c" });
                (path, body, of("idempotency-key"), rest)
            });
            seen.collect::<BTreeSet<_>>()
        })
    };
    // In turn each side has two slots, and with the second the recording begins anew.
    for (arrangement, repetitions) in [
        (Arrangement::Simultaneous, 1),
        (Arrangement::Interleaved, 2),
    ] {
        same_on_both_sides(drawn(arrangement), repetitions);
    }
}

type Made = (String, String, String, String);

fn same_on_both_sides([old, new]: [BTreeSet<Made>; 2], repetitions: usize) {
    let common = old.intersection(&new).count();
    // A request that one side lost to a late generator has no partner.
    assert!(common > 0 && common >= old.len().max(new.len()) - 10);
    let picked = |(path, ..): &Made| path.contains("&p=user");
    assert!(old.iter().all(picked), "{old:?}");
    let count = |of: fn(&Made) -> &String| old.iter().map(of).collect::<BTreeSet<_>>().len();
    assert_eq!(
        (count(|it| &it.0), count(|it| &it.1)),
        (old.len(), old.len())
    );
    assert_eq!(count(|it| &it.2), repetitions, "one key was recorded");
    assert_eq!(count(|it| &it.3), old.len(), "each has a trace of its own");
}

impl Service {
    fn seen_by_baseline(&self) -> bool {
        let book = self.book.lock().unwrap();
        let (head, _) = &book.seen[0];
        field(head, "traceparent").is_some_and(|it| it.starts_with("00-b"))
    }
}
