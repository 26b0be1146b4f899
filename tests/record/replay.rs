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
/// What the way from the generator to the application's own clock may add, in nanoseconds: in the
/// median, and for nine of ten requests. Visitors wait 7 to 44 ms from one request to the next.
const WAY_NS: [u64; 2] = [1_000_000, 3_000_000];
/// By how much the replay is slowed down, try after try: where a machine is too busy to answer a
/// log-in before the next request is due, a visitor with more patience is the same test.
const STRETCHED: [u64; 5] = [1, 1, 2, 5, 10];
/// The application numbers the notes of all visitors as they come: a replay has numbers of its own.
const RULES: &str = r#"
[[replay.rule]]
name = "note"
extract = { from = "POST /notes", at = "json:" }
replace = [
    { in = "GET /notes/{id}", at = "segment:2" },
    { in = "DELETE /notes/{id}", at = "segment:2" },
]
"#;

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

/// How far requests came from where the recording has them, apart from the one shift that all have
/// in common: in the median, and of nine in ten.
fn apart_ns(log: &[Logged], requests: &[Request], stretched: u64) -> [u64; 2] {
    let mut shifts = Vec::new();
    for number in 0..VISITORS {
        let name = number.to_string();
        let of = requests.iter().filter(|request| visitor(request) == name);
        let came = log.iter().filter(|line| line.visitor == name);
        for (came, request) in came.zip(of) {
            shifts.push(came.at_ns - request.offset_ns * stretched);
        }
    }
    assert_eq!(shifts.len(), requests.len());
    shifts.sort_unstable();
    let middle = shifts[shifts.len() / 2];
    let mut apart: Vec<u64> = shifts.iter().map(|shift| shift.abs_diff(middle)).collect();
    apart.sort_unstable();
    [apart[apart.len() / 2], apart[apart.len() * 9 / 10]]
}

/// Records four visits; the directory has the recording then. Says too how far the application's
/// own log is from it, which is what this machine does to instants between two processes.
fn recording(notes: &Notes) -> (crate::binary::Done, Vec<Request>, [u64; 2]) {
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
    let apart = apart_ns(&log, &requests, 1);
    (done, requests, apart)
}

#[test]
fn a_real_application_sees_the_same_traffic_again() {
    let Some(notes) = Notes::start() else {
        eprintln!("skipped: python3 with sqlite3 is not installed");
        return;
    };
    let (done, requests, noise) = recording(&notes);
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cr3t"), "a secret in {}", path.display());
    }
    let recording = done.path("w.jsonl");
    let mut failed = Vec::new();
    for stretched in STRETCHED {
        match replayed(&recording, &requests, (stretched, noise)) {
            Ok(()) => return,
            Err(what) => failed.push(what),
        }
    }
    panic!("the replay is not what was recorded: {failed:#?}");
}

/// The number of a note, which is another one in each application.
fn without_number(call: &str) -> String {
    let parts = call.split('/');
    let parts = parts.map(|part| match part.split_once(' ') {
        Some((number, rest)) if number.parse::<u64>().is_ok() => format!("N {rest}"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Replays the recording against a fresh application, which gives its own cookies and numbers, and
/// holds its log against the recording. A machine that is too busy to keep the order of two
/// answers, or the spacing, gets another try.
fn replayed(
    recording: &Path,
    requests: &[Request],
    (stretched, noise): (u64, [u64; 2]),
) -> Result<(), String> {
    let notes = Notes::start().unwrap();
    let length_ms = (requests.last().unwrap().offset_ns / 1_000_000 + 5) * stretched;
    let speed = 1.0 / f64::from(u32::try_from(stretched).unwrap());
    let line = format!(
        "run --target {} -w {} --speed {speed}x -d {length_ms}ms -o run.jsonl --allow-writes \
         --format json",
        notes.url(),
        recording.display()
    );
    let done = Proofload::new(&line).file("proofload.toml", RULES).run();
    let said: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    // A machine that was busy is no reason: what it did to the generator is in the lag below.
    let was_busy = said["health"].as_object().is_some_and(|it| !it.is_empty());
    if done.code != 0 && !(done.code == 12 && was_busy) {
        return Err(format!("exit code {}: {}", done.code, said["causes"]));
    }
    let mut log = notes.log();
    log.retain(|line| line.is_replay);
    log.truncate(requests.len());
    let asked = by_visitor(requests.iter().map(|request| {
        let status = request.expect_status.unwrap();
        let call = without_number(&call(request));
        (visitor(request), format!("{call}: {status}"))
    }));
    let again = by_visitor(log.iter().map(|line| {
        let call = without_number(&line.call);
        (line.visitor.as_str(), format!("{call}: {}", line.status))
    }));
    if asked != again {
        let all = |of: &BTreeMap<&str, Vec<String>>| of.values().flatten().cloned().collect();
        let (asked, again): (Vec<String>, Vec<String>) = (all(&asked), all(&again));
        let mut pairs = asked.iter().zip(&again);
        let differ = pairs.find(|(asked, again)| asked != again);
        return Err(format!(
            "recorded and replayed, the first that differ: {differ:?}"
        ));
    }
    let lag = ["p50", "p99"].map(|q| said["send_lag_ns"][q].as_u64().unwrap());
    let found = apart_ns(&log, requests, stretched);
    let most = [0, 1].map(|at| WAY_NS[at] + 2 * noise[at] + lag[at]);
    if found[0] > most[0] || found[1] > most[1] {
        return Err(format!(
            "{found:?} ns apart, with a lag of {lag:?} and a noise of {noise:?}"
        ));
    }
    Ok(())
}
