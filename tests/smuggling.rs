//! Line breaks and their like in header names and values, methods and paths, through every way by
//! which they reach a request. A raw server counts the lines that arrive: they are those that
//! were meant, and nothing is smuggled in between. All by the real binary.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use proofload::workload::Workload;
use serde_json::{Value, json};

/// A request line, and the other lines of a head in the order of the alphabet.
type Head = (String, Vec<String>);

/// A hundred texts that end a line where nobody may, and go on with something of their own.
fn texts() -> Vec<String> {
    // Line breaks, folded lines, and letters whose low byte is CR or LF.
    let breaks = [
        "\r",
        "\n",
        "\r\n",
        "\0",
        "\r\n ",
        "\n\t",
        "\r\n\r\n",
        "\r\0\n",
        "\u{10d}\u{10a}",
        "%0d%0a",
    ];
    let all = breaks.iter().flat_map(|b| {
        [
            format!("a{b}X-Smuggled: 1"),
            format!("{b}X-Smuggled: 1"),
            format!("a{b}"),
            format!("a: b{b}X-Smuggled: 1{b}c"),
            format!("a{b}Content-Length: 0{b}{b}GET /smuggled HTTP/1.1{b}Host: a{b}{b}"),
            format!("a{b}Transfer-Encoding: chunked{b}{b}0{b}{b}"),
            format!("a HTTP/1.1{b}X-Smuggled: 1"),
            format!("a{b}{b}X-Smuggled: 1"),
            format!(" {b} X-Smuggled: 1{b} "),
            format!("a{b}Host: evil.example"),
        ]
    });
    all.collect()
}

/// A server that takes everything between two ends of lines, of whatever kind, for a line.
struct Server {
    url: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let all = Arc::clone(&all);
                std::thread::spawn(move || answer(stream, &all));
            }
        });
        Self { url, seen }
    }

    /// The heads that came since the last look, without the lines that each request has of its own.
    fn take(&self) -> BTreeSet<Head> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        let host = self.url.replace("http://", "host: ");
        seen.iter().map(|head| without_own(head, &host)).collect()
    }
}

fn answer(mut stream: TcpStream, all: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let (mut kept, mut buffer) = (Vec::new(), [0; 8 << 10]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..read]);
        while let Some(end) = kept.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8(kept[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |it| it.parse().unwrap());
            if kept.len() < end + 4 + length {
                break;
            }
            kept.drain(..end + 4 + length);
            all.lock().unwrap().push(head);
            let said = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(said).is_err() {
                return;
            }
        }
    }
}

/// A line with its name in lower case, in which names do not differ.
fn plain(line: &str) -> String {
    let (name, value) = line.split_once(": ").unwrap_or((line, ""));
    format!("{}: {value}", name.to_ascii_lowercase())
}

fn without_own(head: &str, host: &str) -> Head {
    let mut lines: Vec<&str> = head.split(['\r', '\n', '\0']).collect();
    // Between CR and LF nothing stands.
    let breaks = head.matches("\r\n").count();
    assert_eq!(
        lines.iter().filter(|it| it.is_empty()).count(),
        breaks,
        "{head:?}"
    );
    lines.retain(|line| !line.is_empty());
    let first = lines.remove(0).to_owned();
    let mut count = |own: &dyn Fn(&str) -> bool| {
        let before = lines.len();
        lines.retain(|line| !own(line));
        before - lines.len()
    };
    assert_eq!(count(&|line| line == host), 1, "{head:?}");
    assert!(
        count(&|line| line.starts_with("content-length: ")) <= 1,
        "{head:?}"
    );
    count(&|line| line.starts_with("user-agent: proofload/"));
    let runs = count(&|line| line.starts_with("x-proofload-run: "));
    assert_eq!(runs, 1, "{head:?}");
    // The preflight adds a field of its own.
    assert!(count(&|line| line == "accept: */*") <= 1, "{head:?}");
    let mut lines: Vec<String> = lines.into_iter().map(plain).collect();
    lines.sort();
    (first, lines)
}

fn proofload(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_proofload"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// What the requests of a workload mean.
fn meant(path: &Path) -> BTreeSet<Head> {
    let workload = Workload::open(path).unwrap();
    let mut all = BTreeSet::new();
    for request in workload.requests().unwrap().map(Result::unwrap) {
        let fields = request.headers.iter();
        let mut lines: Vec<String> = fields
            .map(|(name, value)| plain(&format!("{name}: {value}")))
            .collect();
        lines.sort();
        all.insert((
            format!("{} {} HTTP/1.1", request.method.as_str(), request.path),
            lines,
        ));
    }
    all
}

fn har() -> Value {
    let entry = |(text, kind): (String, usize)| {
        let mut request = json!({"method": "GET", "url": "http://a.example/x", "headers": []});
        match kind {
            0 => request["headers"] = json!([{"name": text, "value": "1"}]),
            1 => request["headers"] = json!([{"name": "X-A", "value": text}]),
            2 => request["url"] = json!(format!("http://a.example/{text}")),
            _ => request["method"] = json!(text),
        }
        json!({"startedDateTime": "2026-01-02T03:04:05Z", "request": request})
    };
    let entries = texts()
        .into_iter()
        .flat_map(|text| (0..4).map(move |kind| (text.clone(), kind)));
    let entries: Vec<Value> = entries.map(entry).collect();
    json!({"log": {"entries": entries}})
}

fn gor() -> String {
    let mut all = String::new();
    for (text, number) in texts().into_iter().zip(0..) {
        for (method, path, field) in [
            ("GET", "/x".to_owned(), format!("{text}: 1")),
            ("GET", "/x".to_owned(), format!("X-A: {text}")),
            ("GET", format!("/{text}"), "X-A: 1".to_owned()),
            (text.as_str(), "/x".to_owned(), "X-A: 1".to_owned()),
        ] {
            let time = 1_795_573_200_000_000_000_u64 + number;
            let head = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{field}");
            write!(all, "1 a{number} {time} 0\n{head}\r\n\r\n\n🐵🙈🙉\n").unwrap();
        }
    }
    all
}

fn csv() -> Vec<u8> {
    let texts = texts();
    let mut rows = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::new());
    let names = texts.iter().map(|text| format!("header:{text}"));
    let first = ["method", "url", "header:X-A"].map(str::to_owned);
    rows.write_record(first.into_iter().chain(names)).unwrap();
    let url = "http://a.example/x";
    for (text, number) in texts.iter().zip(0..) {
        let path = format!("http://a.example/{text}");
        for (method, url, value, named) in [
            ("GET", url, text.as_str(), None),
            ("GET", url, "1", Some(number)),
            ("GET", &path, "1", None),
            (text, url, "1", None),
        ] {
            let names = (0..texts.len()).map(|it| if named == Some(it) { "1" } else { "" });
            rows.write_record([method, url, value].into_iter().chain(names))
                .unwrap();
        }
    }
    rows.into_inner().unwrap()
}

fn vegeta(is_json: bool) -> String {
    let mut all = String::new();
    let url = "http://a.example/x".to_owned();
    for text in texts() {
        for (method, url, name, value) in [
            ("GET", &url, text.as_str(), "1"),
            ("GET", &url, "X-A", text.as_str()),
            ("GET", &format!("http://a.example/{text}"), "X-A", "1"),
            (text.as_str(), &url, "X-A", "1"),
        ] {
            if is_json {
                let target = json!({"method": method, "url": url, "header": {name: [value]}});
                writeln!(all, "{target}").unwrap();
            } else {
                write!(all, "{method} {url}\n{name}: {value}\n\n").unwrap();
            }
        }
    }
    all
}

#[test]
fn recordings_smuggle_nothing_past_the_lines_that_they_mean() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let server = Server::start();
    let inputs = [
        ("har", har().to_string().into_bytes(), false),
        ("gor", gor().into_bytes(), true),
        ("csv", csv(), false),
        ("vegeta", vegeta(true).into_bytes(), false),
        // Here as in a capture, the end of a line is one.
        ("vegeta", vegeta(false).into_bytes(), true),
    ];
    for (format, input, has_lines) in inputs {
        std::fs::write(dir.join("input"), input).unwrap();
        let import = [
            "import",
            format,
            "input",
            "-o",
            "w.jsonl",
            "--lenient",
            "--host",
            "a.example",
        ];
        let (code, said) = proofload(dir, &import);
        assert_eq!(code, Some(0), "{format}: {said}");
        let meant = meant(&dir.join("w.jsonl"));
        let run = [
            "run",
            "--target",
            &server.url,
            "-w",
            "w.jsonl",
            "--allow-writes",
            "--rate",
            "600/s",
            "-d",
            "3s",
            "-o",
            "run.jsonl",
        ];
        let (code, said) = proofload(dir, &run);
        assert!(matches!(code, Some(0 | 12)), "{format}: {code:?} {said}");
        let seen = server.take();
        println!(
            "{format}: {} heads were meant, {} seen",
            meant.len(),
            seen.len()
        );
        let (lost, smuggled): (Vec<_>, Vec<_>) = (
            meant.difference(&seen).collect(),
            seen.difference(&meant).collect(),
        );
        assert!(
            smuggled.is_empty() && lost.is_empty(),
            "{format}: {smuggled:?} {lost:?}"
        );
        assert!(seen.len() > 20, "{format}: {seen:?}");
        for (first, lines) in seen.iter().filter(|_| !has_lines) {
            assert!(!first.contains(" /smuggled "), "{format}: {first}");
            let evil = |line: &str| {
                let line = line.to_ascii_lowercase();
                ["x-smuggled:", "transfer-encoding:", "host:"]
                    .iter()
                    .any(|it| line.starts_with(it))
            };
            assert!(!lines.iter().any(|line| evil(line)), "{format}: {lines:?}");
        }
    }
}

#[test]
fn a_header_of_the_command_line_is_one_line_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let server = Server::start();
    let (mut refused, mut sent) = (0, 0);
    for text in texts() {
        for line in [format!("{text}: 1"), format!("X-A: {text}")] {
            // An argument holds no NUL, but a file does. Its lines are headers of their own.
            let (flag, lines) = if line.contains('\0') {
                std::fs::write(dir.join("fields"), &line).unwrap();
                ("@fields", line.lines().collect())
            } else {
                (line.as_str(), vec![line.as_str()])
            };
            let run = [
                "run",
                "--target",
                &server.url,
                "--request",
                "GET /x",
                "--rate",
                "10/s",
                "-d",
                "300ms",
                "-o",
                "run.jsonl",
                "-H",
                flag,
            ];
            let (code, said) = proofload(dir, &run);
            let seen = server.take();
            if code == Some(2) {
                assert!(seen.is_empty(), "{line:?}: {seen:?}");
                refused += 1;
                continue;
            }
            assert!(matches!(code, Some(0 | 12)), "{line:?}: {code:?} {said}");
            let lines = lines.into_iter().filter(|line| !line.trim().is_empty());
            let mut meant: Vec<String> = lines
                .map(|line| {
                    let (name, value) = line.split_once(':').unwrap();
                    plain(&format!("{}: {}", name.trim(), value.trim()))
                })
                .collect();
            meant.sort();
            let head = ("GET /x HTTP/1.1".to_owned(), meant);
            assert_eq!(seen, BTreeSet::from([head]), "{line:?}");
            sent += 1;
        }
    }
    println!("of 200 fields {sent} were sent as they were meant and {refused} refused");
    assert!(refused > 100 && sent > 20, "{refused} {sent}");
}
