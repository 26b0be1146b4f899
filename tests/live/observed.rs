//! What is looked at besides the load: CPU and memory of the sides, and what their answers hold.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proofload::{
    clock::thread_cpu_ns,
    run::{Run, Side, Slot},
    units::count,
};
use serde_json::Value;

use crate::{
    binary::{Done, Proofload},
    engine::quiet,
    faultd::{Fault, Faultd},
    verdicts::SHORT,
};

const PORT: &str = "OBSERVED_PORT";
const BURN_US: &str = "OBSERVED_BURN_US";

/// Headers and body of an answer to a path; the number counts all requests of the server.
type Answers = dyn Fn(&str, u64) -> (&'static str, String) + Send + Sync;

/// Answers for as long as the process lives, each connection on a thread.
fn serve(listener: &TcpListener, answers: &Arc<Answers>) {
    let asked = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming() {
        let (answers, asked) = (Arc::clone(answers), Arc::clone(&asked));
        thread::spawn(move || converse(stream.unwrap(), &*answers, &asked));
    }
}

fn converse(mut stream: TcpStream, answers: &Answers, asked: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut path = String::new();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1)?.into();
            }
        }
        let (headers, body) = answers(&path, asked.fetch_add(1, Ordering::SeqCst));
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all((head + &body).as_bytes()).ok()?;
    }
}

/// A server in this process.
fn server(answers: impl Fn(&str, u64) -> (&'static str, String) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let answers: Arc<Answers> = Arc::new(answers);
    thread::spawn(move || serve(&listener, &answers));
    format!("http://{address}")
}

#[test]
fn burns_when_it_is_called_as_a_local_build() {
    let Ok(port) = std::env::var(PORT) else {
        return;
    };
    let burn_us: u64 = std::env::var(BURN_US).unwrap().parse().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    let answers: Arc<Answers> = Arc::new(move |_, _| {
        let begin_ns = thread_cpu_ns();
        while thread_cpu_ns() - begin_ns < burn_us * 1_000 {
            std::hint::spin_loop();
        }
        ("", "ok".to_owned())
    });
    serve(&listener, &answers);
}

/// The shell command of a server that uses so much CPU for each request.
fn burning(burn_us: u64) -> String {
    let binary = std::env::current_exe().unwrap();
    let name = "observed::burns_when_it_is_called_as_a_local_build";
    let binary = binary.display();
    format!("env {PORT}={{port}} {BURN_US}={burn_us} '{binary}' --exact {name} --nocapture")
}

fn slots(done: &Done, name: &str) -> Vec<Slot> {
    let file = std::fs::File::open(done.path(name)).unwrap();
    Run::read(BufReader::new(file)).unwrap().slots
}

/// CPU time per request of one side in nanoseconds, and its most memory in bytes.
fn used(slots: &[Slot], side: Side) -> (u64, u64) {
    let own = slots
        .iter()
        .filter(|slot| slot.side == side && slot.complete);
    let own: Vec<_> = own
        .map(|slot| (slot.total().ok(), slot.resources.unwrap()))
        .collect();
    let requests: u64 = own.iter().map(|(ok, _)| ok).sum();
    let cpu_ns: u64 = own.iter().map(|(_, used)| used.cpu_ns.unwrap()).sum();
    let peaks = own.iter().map(|(_, used)| used.peak_bytes.unwrap());
    (cpu_ns / requests.max(1), peaks.max().unwrap())
}

#[test]
fn a_build_that_burns_twice_the_cpu_is_seen_to() {
    let _quiet = quiet();
    let done = Proofload::new(&format!(
        "compare {SHORT} --request /x --out-dir out --bodies 0"
    ))
    .args(&["--baseline-cmd", &burning(500)])
    .args(&["--candidate-cmd", &burning(1_000)])
    .run();
    let slots = slots(&done, "out/run.jsonl");
    let [(old_ns, old_bytes), (new_ns, new_bytes)] = Side::BOTH.map(|side| used(&slots, side));
    // The requests themselves cost some tens of microseconds besides.
    let ratio = count(new_ns) / count(old_ns);
    assert!(
        old_ns >= 450_000 && (1.5..2.2).contains(&ratio),
        "{old_ns} {new_ns}"
    );
    assert!(
        old_bytes > 500_000 && new_bytes > 500_000,
        "{old_bytes} {new_bytes}"
    );
    let report = std::fs::read_to_string(done.path("out/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let said = report["totals"]["resources"].as_array().unwrap();
    let said = said
        .iter()
        .map(|it| it["cpu_ns_per_request"].as_u64().unwrap());
    let said: Vec<_> = said.map(count).collect();
    assert!((1.5..2.2).contains(&(said[1] / said[0])), "{said:?}");
    assert!(
        !done.stdout.contains("answers of both sides"),
        "{}",
        done.stdout
    );
}

#[test]
fn a_place_that_is_not_there_or_says_nothing_is_refused() {
    let target = Faultd::always(Fault::Status(200));
    let gone = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        format!("pid:{}", child.id())
    };
    let own = format!("pid:{}", std::process::id());
    for (flags, wanted) in [
        (
            ["--baseline-resources", gone.as_str()],
            "there is no process",
        ),
        (
            ["--candidate-resources", "cgroup:/nowhere"],
            "cannot be read",
        ),
        (["--candidate-resources", "cgroup:/"], "holds neither"),
        (
            ["--baseline-resources", own.as_str()],
            "holds proofload itself",
        ),
        (["--baseline-resources", "1234"], "write pid:1234"),
    ] {
        let url = target.url();
        let line = format!("compare --baseline {url} --candidate {url} --out-dir out --request /x");
        let done = Proofload::new(&format!("{line} {SHORT}"))
            .args(&flags)
            .run()
            .expect(2);
        assert!(done.stderr.contains(wanted), "{}", done.stderr);
    }
    assert_eq!(target.requests(), 0, "nothing was sent");
}

#[test]
fn a_process_that_ends_under_the_load_is_a_warning_and_its_slots_say_nothing() {
    let _quiet = quiet();
    let target = Faultd::always(Fault::Status(200));
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let place = format!("pid:{}", other.id());
    let line = format!(
        "run --target {} --request /x -d 3s --slot 500ms --rate 50/s",
        target.url()
    );
    let started = Proofload::new(&format!("{line} -o run.jsonl --format json"))
        .args(&["--target-resources", &place])
        .start();
    let mut started = started;
    started.wait_until("a slot is stored", |directory| {
        let text = std::fs::read_to_string(directory.join("run.jsonl"));
        text.unwrap_or_default().matches('\n').count() >= 2
    });
    drop(other.stdin.take());
    other.wait().unwrap();
    let done = started.wait();
    let slots = slots(&done, "run.jsonl");
    assert!(slots.len() == 6, "{}", done.stderr);
    let first = slots[0].resources.unwrap();
    assert!(first.cpu_ns.is_some() && first.peak_bytes.unwrap() > 0);
    assert_eq!(slots[5].resources, None);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    let warnings = said["warnings"].as_array().unwrap();
    let own = warnings
        .iter()
        .find(|it| it["code"] == "resources")
        .unwrap();
    let text = own["text"].as_str().unwrap();
    assert!(
        text.starts_with("CPU and memory of the target are unknown from "),
        "{text}"
    );
}

#[test]
fn what_the_answers_hold_is_compared_and_noise_is_not() {
    let _quiet = quiet();
    // Both count their answers, which differ each time; the candidate has lost and gained some.
    let old = server(|path, n| {
        let body = match path {
            "/order" => format!(r#"{{"id":{n},"total":"hunter2","items":[{{"n":1}}],"ok":true}}"#),
            _ => format!("<p>Hello {n}</p>"),
        };
        ("content-type: application/json\r\nx-old: 1\r\n", body)
    });
    let new = server(|path, n| {
        let body = match path {
            "/order" => format!(r#"{{"id":{n},"items":[{{"n":"1"}}],"ok":true,"trace":{n}}}"#),
            _ => format!("<p>Hello {n}</p>"),
        };
        ("content-type: application/json\r\n", body)
    });
    // A machine on which a second was not enough for 24 answers gets another chance.
    let requests = "--request /order --request /order --request /hello";
    let line = format!("compare --baseline {old} --candidate {new} --out-dir out {SHORT}");
    let call = || Proofload::new(&format!("{line} {requests}")).run();
    let too_slow = |done: &Done| done.stderr.contains(" not asked, because ");
    let mut calls = (0..5).map(|_| call());
    let done = calls.find(|done| !too_slow(done)).unwrap();
    let report = std::fs::read_to_string(done.path("out/report.json")).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let warnings = report["warnings"].as_array().unwrap();
    let own = warnings.iter().filter(|it| it["code"] == "bodies");
    let said: Vec<_> = own.map(|it| it["text"].as_str().unwrap()).collect();
    let header = "the header `x-old` is missing in the candidate's answers (3 of 3 requests)";
    assert_eq!(
        said,
        [
            format!("GET /hello: {header}"),
            format!("GET /order: {header}"),
            "GET /order: the field `items[].n` is a number in the baseline's answers and a string \
             in the candidate's (3 of 3 requests)"
                .to_owned(),
            "GET /order: the field `total` is missing in the candidate's answers (3 of 3 requests)"
                .to_owned(),
            "GET /order: the field `trace` is only in the candidate's answers (3 of 3 requests)"
                .to_owned(),
        ]
    );
    let html = std::fs::read_to_string(done.path("out/report.html")).unwrap();
    assert!(html.contains("items[].n") && done.stdout.contains("`total` is missing"));
    for text in [&html, &done.stdout, &done.stderr, &report.to_string()] {
        assert!(!text.contains("hunter2"));
    }
    assert!(
        done.stdout.contains("before the load: 6 (endpoints: 2)"),
        "{}",
        done.stdout
    );
}
