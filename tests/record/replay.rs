//! A real application with a database: recorded, replayed, and its own log held against both.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use proofload::{clock::wall_ns, workload::Request};

use crate::{
    binary::Proofload,
    client::Client,
    recording::{account, record},
};

const VISITORS: usize = 4;
/// The median difference between two spacings that a busy machine is forgiven.
const MEDIAN_NS: u64 = 20_000_000;
const TRIES: usize = 5;

/// A line of the application's log.
#[derive(Debug, Clone, PartialEq)]
struct Logged {
    at_ns: u64,
    call: String,
    visitor: String,
    status: u16,
    is_replay: bool,
}

/// The application, ended with the test.
struct Notes {
    process: Child,
    dir: tempfile::TempDir,
    address: SocketAddr,
}

impl Drop for Notes {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Notes {
    /// Starts it; `None` where there is no Python with a database.
    fn start() -> Option<Self> {
        let checked = Command::new("python3")
            .args(["-c", "import sqlite3"])
            .stderr(Stdio::null())
            .status();
        if !checked.is_ok_and(|status| status.success()) {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/apps/notes.py");
        let port_file = dir.path().join("port");
        let process = Command::new("python3")
            .arg(script)
            .args([&port_file, &dir.path().join("log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut notes = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir,
        };
        for _ in 0..3_000 {
            let written = fs::read_to_string(&port_file).unwrap_or_default();
            if let Some(port) = written.strip_suffix('\n') {
                notes.address.set_port(port.parse().unwrap());
                return Some(notes);
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("notes.py did not start");
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn log(&self) -> Vec<Logged> {
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap();
        let mut lines: Vec<Logged> = text.lines().map(logged).collect();
        lines.sort_by_key(|line| line.at_ns);
        lines
    }
}

fn logged(line: &str) -> Logged {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    Logged {
        at_ns: line["at_ns"].as_u64().unwrap(),
        call: format!("{} {} {}", text("method"), text("path"), line["length"]),
        visitor: text("visitor"),
        status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
        is_replay: !line["run"].is_null(),
    }
}

/// One visit: in, a few notes, out. Says when each request was sent.
fn visit(visitor: usize, address: SocketAddr) -> Vec<u64> {
    let mut client = Client::connect(address);
    let mut sent = Vec::new();
    let mut cookie = String::new();
    let mut ask = |method: &str, path: &str, more: &str, body: &str| {
        // Everyone at a pace of his own.
        thread::sleep(Duration::from_millis(
            7 + 5 * visitor as u64 + 11 * (sent.len() % 3) as u64,
        ));
        let fields = format!("X-Visitor: {visitor}\r\n{cookie}{more}");
        sent.push(wall_ns());
        let answer = client.ask(method, path, &fields, body.as_bytes());
        let found = answer.fields.iter().find(|(name, _)| name == "Set-Cookie");
        if let Some((_, value)) = found {
            cookie = format!("Cookie: {}\r\n", value.split(';').next().unwrap());
        }
        answer
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json = "Content-Type: application/json\r\n";
    assert_eq!(ask("GET", "/", "", "").status, "200 OK");
    let login = format!("name=ann-{visitor}&password=s3cr3t-{visitor}");
    assert_eq!(ask("POST", "/login", form, &login).status, "303 See Other");
    for number in 0..6 {
        let note =
            format!("{{\"text\":\"note {number} of {visitor}\",\"token\":\"s3cr3t-{number}\"}}");
        let made = ask("POST", "/notes", json, &note);
        assert_eq!(made.status, "201 Created");
        let id = String::from_utf8(made.body).unwrap();
        assert_eq!(ask("GET", &format!("/notes/{id}"), "", "").status, "200 OK");
        assert_eq!(ask("GET", "/notes?sort=id", "", "").status, "200 OK");
        assert_eq!(ask("HEAD", "/notes", "", "").status, "200 OK");
        assert_eq!(
            ask("DELETE", &format!("/notes/{id}"), "", "").status,
            "200 OK"
        );
    }
    assert_eq!(ask("GET", "/nothing", "", "").status, "404 Not Found");
    sent
}

/// What each visitor asked for, in order.
fn by_visitor<'a>(
    calls: impl Iterator<Item = (&'a str, String)>,
) -> BTreeMap<&'a str, Vec<String>> {
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    calls.for_each(|(visitor, call)| found.entry(visitor).or_default().push(call));
    found
}

fn visitor(request: &Request) -> &str {
    let found = request.headers.iter().find(|(name, _)| name == "x-visitor");
    &found.unwrap().1
}

fn call(request: &Request) -> String {
    format!(
        "{} {} {}",
        request.method.as_str(),
        request.path,
        request.body.len()
    )
}

/// The median of how much two spacings differ, each counted from its first instant.
fn apart_ns(one: &[u64], other: &[u64]) -> u64 {
    assert_eq!(one.len(), other.len());
    let since = |all: &[u64], at: usize| all[at] - all[0];
    let mut apart: Vec<u64> = (0..one.len())
        .map(|at| since(one, at).abs_diff(since(other, at)))
        .collect();
    apart.sort_unstable();
    apart[apart.len() / 2]
}

/// Records four visits; the directory has the recording then.
fn recording(notes: &Notes) -> (crate::binary::Done, Vec<Request>) {
    let recording = record(&notes.url(), "");
    let address = recording.address;
    let sent: Vec<Vec<u64>> = thread::scope(|scope| {
        let visits: Vec<_> = (0..VISITORS)
            .map(|visitor| scope.spawn(move || visit(visitor, address)))
            .collect();
        visits
            .into_iter()
            .map(|visit| visit.join().unwrap())
            .collect()
    });
    let done = recording.stop().expect(0);
    let all: usize = sent.iter().map(Vec::len).sum();
    assert_eq!(account(&done), format!("read {all}, kept {all}, skipped 0"));
    let (summary, requests) = crate::recording::read(&done.path("w.jsonl"));
    let log = notes.log();
    // The same requests with the same answers, in the same order for each visitor.
    let came = by_visitor(
        log.iter()
            .map(|line| (line.visitor.as_str(), line.call.clone())),
    );
    assert_eq!(
        by_visitor(
            requests
                .iter()
                .map(|request| (visitor(request), call(request)))
        ),
        came
    );
    let mut sessions: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in &requests {
        sessions.entry(&request.session).or_default().push(request);
    }
    // From the log-in on a visitor is a session; before it nobody knows who asks.
    let whole = sessions
        .values()
        .filter(|of| of.len() == sent[0].len() - 1)
        .count();
    assert_eq!((sessions.len(), whole), (VISITORS + 1, VISITORS));
    for (name, of) in sessions.iter().filter(|(_, of)| of.len() > VISITORS) {
        assert!(
            of.iter().all(|request| visitor(request) == visitor(of[0])),
            "{name}"
        );
    }
    // Each instant lies between that of sending and that of the application, on one clock.
    let begin: jiff::Timestamp = summary.origin.recorded_at.unwrap().parse().unwrap();
    let begin_ns = u64::try_from(begin.as_nanosecond()).unwrap();
    for number in 0..VISITORS {
        let name = number.to_string();
        let of = requests.iter().filter(|request| visitor(request) == name);
        let came = log.iter().filter(|line| line.visitor == name);
        for ((request, came), sent) in of.zip(came).zip(&sent[number]) {
            let at_ns = begin_ns + request.offset_ns;
            assert!(*sent <= at_ns, "recorded before it was sent");
            assert!(at_ns <= came.at_ns, "recorded after it had come");
            assert_eq!(request.expect_status, Some(came.status));
        }
    }
    (done, requests)
}

#[test]
fn a_real_application_sees_the_same_traffic_again() {
    let Some(notes) = Notes::start() else {
        eprintln!("skipped: python3 with sqlite3 is not installed");
        return;
    };
    let (done, requests) = recording(&notes);
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cr3t"), "a secret in {}", path.display());
    }
    let recording = done.path("w.jsonl");
    let offsets: Vec<u64> = requests.iter().map(|request| request.offset_ns).collect();
    let mut found = 0;
    for _ in 0..TRIES {
        found = replayed(&recording, &requests, &offsets);
        if found <= MEDIAN_NS {
            return;
        }
    }
    panic!("the replay is {found} ns away from the recording, in the median");
}

/// Replays the recording against a fresh application; how far the spacing is from the recorded.
fn replayed(recording: &Path, requests: &[Request], offsets: &[u64]) -> u64 {
    let notes = Notes::start().unwrap();
    let length_ms = offsets.last().unwrap() / 1_000_000 + 5;
    let line = format!(
        "run --target {} -w {} -d {length_ms}ms -o run.jsonl --allow-writes",
        notes.url(),
        recording.display()
    );
    // Without the recorded log-in most answers differ, which is not the question here.
    let done = Proofload::new(&line).run();
    assert!(
        [0, 12].contains(&done.code),
        "{}\n{}",
        done.stdout,
        done.stderr
    );
    let log: Vec<Logged> = notes
        .log()
        .into_iter()
        .filter(|line| line.is_replay)
        .collect();
    let came: Vec<&Logged> = log.iter().take(requests.len()).collect();
    assert_eq!(came.len(), requests.len(), "{}", done.stdout);
    let asked = by_visitor(
        requests
            .iter()
            .map(|request| (visitor(request), call(request))),
    );
    let again = by_visitor(
        came.iter()
            .map(|line| (line.visitor.as_str(), line.call.clone())),
    );
    assert_eq!(asked, again);
    let instants: Vec<u64> = came.iter().map(|line| line.at_ns).collect();
    apart_ns(&instants, offsets)
}
