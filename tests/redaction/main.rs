//! No secret of ten thousand comes through, wherever it was planted, and `scan` finds what other
//! files hold. All by the real binary, up to the server that gets the load.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod formats;
mod planted;
mod scan;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use planted::{POSITIONS, Search, Secret, plant};
use proofload::workload::{
    redact::{Redactor, Rules},
    scan::scan as scan_text,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

const SECRETS: usize = 10_000;

/// What a call has said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Said {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// The binary in a directory, with a clean environment.
pub(crate) fn proofload(dir: &Path, args: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_proofload"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Said {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// A server that keeps what it is sent and answers everything with 200.
fn server() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let all = Arc::clone(&all);
            std::thread::spawn(move || answer(stream, &all));
        }
    });
    (address, seen)
}

fn answer(mut stream: TcpStream, all: &Mutex<Vec<u8>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let (mut kept, mut buffer) = (Vec::new(), [0; 8 << 10]);
    while let Ok(read @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..read]);
        while let Some(length) = whole_request(&kept) {
            all.lock().unwrap().extend(kept.drain(..length));
            if stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .is_err()
            {
                return;
            }
        }
    }
}

/// The length of the request that the bytes begin with, once it is whole.
fn whole_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let body = body.map_or(0, |length| length.trim().parse().unwrap());
    (bytes.len() >= head + body).then_some(head + body)
}

/// Everything in a directory but the recordings that were put there.
fn files(dir: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_none_or(|ending| ending != "har") {
            let bytes = std::fs::read(&path).unwrap();
            into.push((path.display().to_string(), bytes));
        }
    }
}

/// A recording with a secret in each entry, and a search for all of them.
fn recording() -> (String, Search) {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut search = Search::new();
    let mut entries = Vec::new();
    for number in 0..SECRETS {
        let secret = Secret::draw(&mut random);
        let position = number % POSITIONS;
        let mut entry = plant(position, &secret);
        if position != 69 {
            let second = number / 100;
            let time = format!(
                "2026-01-02T03:{:02}:{:02}.{:02}Z",
                second / 60,
                second % 60,
                number % 100
            );
            entry["startedDateTime"] = json!(time);
        }
        let planted = entry.to_string();
        entries.push(entry);
        search.add(position, &secret.chosen);
        search.add(position, &secret.token);
        search.add(position, &secret.token[..28]);
        let is_seen = !search.found(planted.as_bytes()).is_empty();
        assert!(
            is_seen || [63, 64].contains(&position),
            "{position}: {planted}"
        );
    }
    (json!({ "log": { "entries": entries } }).to_string(), search)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one recording through every command")]
fn none_of_ten_thousand_planted_secrets_is_in_any_output() {
    let (har, search) = recording();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("all.har"), &har).unwrap();
    std::fs::write(dir.join("cut.har"), &har[..har.len() / 2]).unwrap();
    let (address, seen) = server();
    let url = format!("http://{address}");
    let calls: &[(&str, &[i32])] = &[
        (
            "import har all.har -o w.jsonl --host a.example --lenient",
            &[0],
        ),
        ("import har all.har -o w.jsonl.zst", &[0]),
        ("import har all.har -o none.jsonl --host none.example", &[2]),
        ("import har cut.har -o cut.jsonl", &[2]),
        ("inspect w.jsonl --svg rate.svg", &[0]),
        ("sample w.jsonl -o sample.jsonl --keep 20%", &[0]),
        ("scan w.jsonl w.jsonl.zst sample.jsonl", &[0]),
        ("scan all.har", &[3]),
        (
            "run --target URL -w w.jsonl --allow-writes --rate 4000/s -d 3s -o run.jsonl",
            &[0, 12],
        ),
        (
            "run --target URL -w w.jsonl --rate 9/s -d 1s -o refused.jsonl",
            &[3],
        ),
        (
            "compare --baseline URL --candidate URL -w w.jsonl --allow-writes --rate 400/s \
             -d 10500ms --slot 500ms --out-dir out",
            &[0, 10, 11, 12],
        ),
        (
            "scan run.jsonl out/report.html out/report.json out/summary.md out/run.jsonl rate.svg",
            &[0],
        ),
    ];
    let mut leaks = Vec::new();
    for (call, codes) in calls {
        let args: Vec<&str> = call
            .split_whitespace()
            .map(|word| if word == "URL" { &*url } else { word })
            .collect();
        let said = proofload(dir, &args);
        let (text, errors) = (said.text(), said.errors());
        let is_expected = said.code.is_some_and(|code| codes.contains(&code));
        assert!(is_expected, "{call}: {:?} {text} {errors}", said.code);
        for said in [&said.stdout, &said.stderr] {
            leaks.extend(
                search
                    .found(said)
                    .into_iter()
                    .map(|it| (call.to_string(), it)),
            );
        }
    }
    let mut written = Vec::new();
    files(dir, &mut written);
    assert!(written.len() >= 12, "{:?}", written.len());
    written.push(("what was sent".to_owned(), seen.lock().unwrap().clone()));
    for (name, bytes) in written {
        let bytes = match name.strip_suffix(".zst") {
            Some(_) => zstd::decode_all(&bytes[..]).unwrap(),
            None => bytes,
        };
        assert!(!bytes.is_empty(), "{name}");
        leaks.extend(
            search
                .found(&bytes)
                .into_iter()
                .map(|it| (name.clone(), it)),
        );
    }
    assert!(leaks.is_empty(), "outputs and positions: {leaks:?}");
}

#[test]
fn errors_about_a_workload_show_none_of_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let lines = [
        r#""method":"GET","path":"users?password=%S""#,
        r#""method":"GET","path":"http://u:%S@h.example/%T""#,
        r#""method":"GET","path":"/a b?token=%S""#,
        r#""method":"GET","path":"/","headers":[["Authorization","%S"]]"#,
        r#""method":"GET","path":"/","headers":[["%T","a\r\nb"]]"#,
        r#""method":"GET","path":"/","status":"%S""#,
        r#""method":"GET","path":"/","%T":1"#,
        r#""method":"%T %T","path":"/""#,
        r#""method":"GET","path":"/","session":"\u001btoken=%S""#,
        r#""method":"GET","path":"/","endpoint":"\u001b%T""#,
        r#""method":"GET","path":"/","body_base64":"%S!""#,
        r#""method":"GET","path":"/","body":"password=%S""#,
    ];
    for (number, line) in lines.iter().enumerate() {
        let secret = Secret::draw(&mut random);
        let mut search = Search::new();
        search.add(number, &secret.chosen);
        search.add(number, &secret.token);
        let line = line
            .replace("%S", &secret.chosen)
            .replace("%T", &secret.token);
        let text = format!("{{\"proofload_workload\":1}}\n{{\"offset_ns\":0,{line}\n");
        std::fs::write(dir.join("w.jsonl"), text).unwrap();
        let request = format!("PO {}?token={}", secret.token, secret.chosen);
        for args in [
            &["inspect", "w.jsonl"][..],
            &["scan", "w.jsonl"],
            &[
                "run",
                "--target",
                "http://127.0.0.1:1",
                "-o",
                "r.jsonl",
                "--request",
                &request,
            ],
        ] {
            let said = proofload(dir, args);
            assert!(
                matches!(said.code, Some(0 | 2 | 3)),
                "{line}: {:?} {}",
                said.code,
                said.errors()
            );
            let leaks = search.found(&[said.stdout, said.stderr].concat());
            assert!(leaks.is_empty(), "{line}: {leaks:?}");
        }
    }
}

#[test]
fn endpoints_that_look_like_secrets_are_never_loaded_or_reported() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let token = "Ab3dE5fG7hI9jK1mN3pQ5rS7";
    let line = |more: &str| {
        format!(
            "{{\"proofload_workload\":1}}\n{{\"offset_ns\":0,\"method\":\"GET\",\
             \"path\":\"/\"{more}}}\n"
        )
    };
    std::fs::write(
        dir.join("bad.jsonl"),
        line(&format!(",\"endpoint\":\"GET /{token}\"")),
    )
    .unwrap();
    let (address, seen) = server();
    let url = format!("http://{address}");
    let bad = proofload(
        dir,
        &[
            "run",
            "--target",
            &url,
            "-w",
            "bad.jsonl",
            "--rate",
            "9/s",
            "-o",
            "r.jsonl",
        ],
    );
    assert_eq!(bad.code, Some(3), "{}", bad.errors());
    assert!(bad.errors().contains("not redacted"), "{}", bad.errors());
    assert!(!bad.errors().contains(token) && !dir.join("r.jsonl").exists());
    let out = proofload(
        dir,
        &[
            "compare",
            "--baseline",
            &url,
            "--candidate",
            &url,
            "-w",
            "bad.jsonl",
            "--rate",
            "9/s",
            "--out-dir",
            "out",
        ],
    );
    assert_eq!(out.code, Some(3), "{}", out.errors());
    assert!(!dir.join("out/report.html").exists());
    assert!(seen.lock().unwrap().is_empty(), "nothing was sent");
}

#[test]
fn rules_of_the_settings_file_reach_import_and_scan() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let har = json!({"log": {"entries": [{
        "startedDateTime": "2026-01-02T03:04:05Z", "time": 1,
        "request": {
            "method": "GET", "headers": [{"name": "X-Tenant", "value": "acme-corporation"}],
            "url": "https://a.example/commit/9fceb02d0ae598e95dc970b74767f193\
                ?cursor=Ab3dE5fG7hI9jK1mN3pQ5rS7&ref=cust_4711x",
        },
        "response": {"status": 200},
    }]}});
    std::fs::write(dir.join("a.har"), har.to_string()).unwrap();
    std::fs::write(
        dir.join("proofload.toml"),
        "[redact]\nnames = ['x-tenant']\nkeep-names = ['cursor']\nvalues = ['cust_*']\n\
         paths = ['/commit/{keep}']\nkey-file = 'redact.key'\n",
    )
    .unwrap();
    std::fs::write(dir.join("redact.key"), "0f".repeat(32)).unwrap();
    let import = |name: &str| {
        let said = proofload(dir, &["import", "har", "a.har", "-o", name]);
        assert_eq!(said.code, Some(0), "{}", said.errors());
        std::fs::read_to_string(dir.join(name)).unwrap()
    };
    let text = import("w.jsonl");
    assert!(
        text.contains("/commit/9fceb02d0ae598e95dc970b74767f193?cursor=Ab3dE5fG7hI9jK1mN3pQ5rS7")
    );
    assert!(
        !text.contains("acme-corporation") && !text.contains("cust_4711x"),
        "{text}"
    );
    assert!(
        text.contains("\"redaction\":\"default, 2 rules added, 2 exemptions\""),
        "{text}"
    );
    assert_eq!(
        import("again.jsonl"),
        text,
        "the key makes the same pseudonyms"
    );
    let scan = |config: &[&str]| proofload(dir, &[&["scan", "w.jsonl"], config].concat());
    assert_eq!(scan(&[]).code, Some(0), "{}", scan(&[]).text());
    std::fs::write(dir.join("none.toml"), "").unwrap();
    assert_eq!(scan(&["--config", "none.toml"]).code, Some(3));
    for (bad, said) in [
        ("[redact]\nname = []\n", "did you mean `names`"),
        ("[redact]\nnames = ['*']\n", "matches everything"),
        (
            "[redact]\nkey-file = 'none.key'\n",
            "cannot read the key file",
        ),
    ] {
        std::fs::write(dir.join("bad.toml"), bad).unwrap();
        let refused = proofload(
            dir,
            &[
                "import", "har", "a.har", "-o", "x.jsonl", "--config", "bad.toml",
            ],
        );
        assert_eq!(refused.code, Some(2));
        assert!(refused.errors().contains(said), "{}", refused.errors());
    }
}

#[test]
fn mutated_bodies_and_files_never_bring_redaction_or_scan_down() {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let secret = Secret::draw(&mut random);
    let entries: Vec<_> = (44..67).map(|position| plant(position, &secret)).collect();
    let mut redactor = Redactor::with_key([1; 32]);
    for number in 0..50_000 {
        let post = &entries[number % entries.len()]["request"]["postData"];
        let kind = post["mimeType"].as_str().unwrap();
        let mut bytes = post["text"].as_str().unwrap().as_bytes().to_vec();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..4) {
                0 => bytes[at] = random.next_u32().to_le_bytes()[0],
                1 => bytes.truncate(at + 1),
                2 => bytes.insert(at, b"\"{}[]=%&:\\<@"[random.random_range(0..12)]),
                _ => bytes.extend_from_within(at..),
            }
            bytes.truncate(4_000);
        }
        redactor.body(kind, bytes.clone());
        if number % 5 == 0 {
            let _ = scan_text(&bytes[..], &Rules::default(), &mut |_| {});
        }
    }
    assert!(redactor.counts().len() >= 5, "{:?}", redactor.counts());
}
