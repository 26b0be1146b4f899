//! A workload made smaller, looked at, and sent so many times over, by the real binary.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proofload::workload::{Request, Workload};

fn proofload(dir: &Path, line: &str) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_proofload"))
        .args(line.split_whitespace())
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// 2,000 sessions of five requests over 2,000 seconds. Of one hundred sessions, one ends with
/// something rare; three end with something rarer.
fn recording(dir: &Path) {
    let mut text = String::from(
        "{\"proofload_workload\":1,\"source\":\"har\",\"recorded_at\":\"2026-01-02T03:04:05Z\",\
         \"redaction\":\"default\"}\n",
    );
    for i in 0..2_000_u64 {
        for step in 0..5_u64 {
            let at = 1_000_000_000 * i + 100_000_000 * step;
            let (method, path) = match (step, i) {
                (4, 7 | 1_001 | 1_999) => ("GET", "/rarest"),
                (4, i) if i % 100 == 0 => ("GET", "/rare"),
                (0, _) => ("POST", "/login"),
                _ => ("GET", "/items/17"),
            };
            writeln!(
                text,
                "{{\"offset_ns\":{at},\"session\":\"s{i}\",\"method\":\"{method}\",\
                 \"path\":\"{path}\",\"status\":200,\"size_bytes\":1000}}"
            )
            .unwrap();
        }
    }
    std::fs::write(dir.join("w.jsonl"), text).unwrap();
}

fn requests(path: &Path) -> Vec<Request> {
    let workload = Workload::open(path).unwrap();
    workload.requests().unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_sample_by_session_keeps_sessions_whole_and_rare_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recording(dir);
    for (name, seed) in [("a.jsonl", 1), ("b.jsonl.zst", 1), ("c.jsonl", 2)] {
        let line = format!("sample w.jsonl -o {name} --keep 10% --by session --seed {seed}");
        let (code, text, errors) = proofload(dir, &line);
        assert_eq!(code, Some(0), "{errors}");
        assert!(text.contains("sessions   2000 → "), "{text}");
        assert!(text.contains("endpoints  4 → 4"), "{text}");
        assert!(errors.contains(name), "{errors}");
    }
    let sample = requests(&dir.join("a.jsonl"));
    let mut sessions: BTreeMap<&str, u64> = BTreeMap::new();
    let mut endpoints: BTreeMap<&str, u64> = BTreeMap::new();
    for request in &sample {
        *sessions.entry(&request.session).or_default() += 1;
        *endpoints.entry(&request.endpoint).or_default() += 1;
    }
    assert!(sessions.values().all(|length| *length == 5), "{sessions:?}");
    assert!((170..260).contains(&sessions.len()), "{}", sessions.len());
    assert_eq!((endpoints["GET /rarest"], endpoints["GET /rare"]), (3, 20));
    assert_eq!(sample[0].offset_ns, 0);
    assert!(sample.is_sorted_by_key(|request| request.offset_ns));
    assert_eq!(
        requests(&dir.join("b.jsonl.zst")),
        sample,
        "the same seed draws the same"
    );
    assert_ne!(requests(&dir.join("c.jsonl")), sample);
    let workload = Workload::open(&dir.join("a.jsonl")).unwrap();
    let origin = &workload.summary().origin;
    assert_eq!(origin.source, "sample (10%) of har");
    assert_eq!(origin.redaction, "default");
    assert!(
        origin
            .recorded_at
            .as_ref()
            .unwrap()
            .starts_with("2026-01-02T03:")
    );
}

#[test]
fn filters_take_endpoints_methods_and_time() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recording(dir);
    let part = |flags: &str| {
        let (code, text, errors) = proofload(dir, &format!("sample w.jsonl -o p.jsonl {flags}"));
        assert_eq!(code, Some(0), "{flags} {text} {errors}");
        requests(&dir.join("p.jsonl"))
    };
    assert_eq!(part("--method POST").len(), 2_000);
    assert_eq!(part("--method post,get").len(), 10_000);
    assert_eq!(part("--endpoint /rare").len(), 20);
    assert_eq!(part("--endpoint *rare*").len(), 23);
    assert_eq!(part("--endpoint /rarest --endpoint /rare").len(), 23);
    let minute = part("--window 1m..2m");
    assert_eq!((minute.len(), minute[0].offset_ns), (300, 0));
    assert_eq!(minute[0].session, "s60");
    let workload = Workload::open(&dir.join("p.jsonl")).unwrap();
    let origin = &workload.summary().origin;
    assert_eq!(origin.recorded_at.as_deref(), Some("2026-01-02T03:05:05Z"));
    assert_eq!(
        part("--window 1m..2m --keep 50% --by request --at-least 0")
            .len()
            .clamp(100, 200),
        { requests(&dir.join("p.jsonl")).len() }
    );
    for (flags, said) in [
        ("", "nothing says what to leave out"),
        ("--endpoint /none", "no request of w.jsonl is left"),
        ("--window 2h..", "no request of w.jsonl is left"),
        ("--window 2m..1m", "10m..20m"),
        ("--keep 10", "percent"),
        ("--keep 0%", "percent"),
        ("--endpoint *", "matches everything"),
        ("--method CONNECT", "method"),
    ] {
        let (code, _, errors) = proofload(dir, &format!("sample w.jsonl -o q.jsonl {flags}"));
        assert_eq!(code, Some(2), "{flags}");
        assert!(errors.contains(said), "{flags}: {errors}");
        assert!(!dir.join("q.jsonl").exists());
    }
    let (code, _, errors) = proofload(dir, "sample w.jsonl -o q.txt --keep 10%");
    assert_eq!(
        (code, errors.contains(".jsonl")),
        (Some(2), true),
        "{errors}"
    );
}

#[test]
fn an_inspection_shows_rate_gaps_sessions_sizes_age_and_draws_a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recording(dir);
    let (code, text, errors) = proofload(dir, "inspect w.jsonl --svg rate.svg");
    assert_eq!(code, Some(0), "{errors}");
    for said in [
        "requests   10000 in 33 min 19 s",
        " ago",
        "▇",
        "gaps       p50",
        "longest 600 ms, after 0.40 s",
        "sessions   2000, half have up to 5 requests, the longest 5",
        "answers    10000 with a size, 9.5 MiB in all, mean 1000 B",
        "GET /rarest",
    ] {
        let said = said.replace("0.40 s", "400 ms");
        assert!(
            text.contains(&said) || text.contains('█') && said == "▇",
            "{said}: {text}"
        );
    }
    let svg = std::fs::read_to_string(dir.join("rate.svg")).unwrap();
    assert!(
        svg.contains("<title>w.jsonl: requests per second over 1999 s"),
        "{svg}"
    );
    assert!(svg.contains("minutes after the first request"), "{svg}");
    assert_eq!(svg.matches("#3A6EA5").count(), 240, "each part has a bar");
}

#[test]
fn a_loop_sends_the_workload_so_many_times_and_a_filter_only_its_part() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let line = |at: u64, path: &str| {
        format!("{{\"offset_ns\":{at},\"method\":\"GET\",\"path\":\"{path}\"}}\n")
    };
    let text: String = (0..20)
        .map(|i| line(i * 20_000_000, if i % 4 == 0 { "/a" } else { "/b" }))
        .collect();
    std::fs::write(
        dir.join("w.jsonl"),
        "{\"proofload_workload\":1}\n".to_owned() + &text,
    )
    .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new([const { AtomicU64::new(0) }; 2]);
    let counts = Arc::clone(&seen);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || {
                let mut kept = Vec::new();
                let mut buffer = [0; 4_096];
                while let Ok(read @ 1..) = stream.read(&mut buffer) {
                    kept.extend_from_slice(&buffer[..read]);
                    while let Some(end) = kept.windows(4).position(|it| it == b"\r\n\r\n") {
                        let head: Vec<u8> = kept.drain(..end + 4).collect();
                        let path = usize::from(head.starts_with(b"GET /b"));
                        counts[path].fetch_add(1, Ordering::Relaxed);
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
                    }
                }
            });
        }
    });
    // Each endpoint is asked once before the load.
    let sent = |flags: &str| {
        let before = [0, 1].map(|at| seen[at].load(Ordering::Relaxed));
        let line = format!("run --target {url} -w w.jsonl -o r.jsonl --format json {flags}");
        let (code, text, errors) = proofload(dir, &line);
        assert!(matches!(code, Some(0 | 12)), "{errors}");
        let scheduled = text.split("\"scheduled\":").nth(1).unwrap();
        let digits: String = scheduled
            .trim_start()
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        let after = [0, 1].map(|at| seen[at].load(Ordering::Relaxed));
        (
            digits.parse::<u64>().unwrap(),
            [after[0] - before[0], after[1] - before[1]],
        )
    };
    assert_eq!(sent("--loop 3"), (60, [16, 46]));
    assert_eq!(sent("--loop 4 --speed 2x").0, 80);
    assert_eq!(sent("--loop 2 --endpoint /a"), (10, [11, 0]));
    assert_eq!(sent("--loop 2 --rate 100/s").0, 40);
    for (flags, said) in [
        ("--loop 0", "sends nothing"),
        ("--loop 2 -d 1s", "cannot be used"),
        ("--loop 2 --arrivals closed", "give --duration"),
        ("--loop 2 --endpoint /c", "no request of w.jsonl is left"),
    ] {
        let line = format!("run --target {url} -w w.jsonl -o r.jsonl {flags}");
        let (code, _, errors) = proofload(dir, &line);
        assert_eq!(code, Some(2), "{flags}");
        assert!(errors.contains(said), "{flags}: {errors}");
    }
}

#[test]
fn the_mix_of_a_sample_is_that_of_its_file() {
    for flags in [
        "--keep 5%",
        "--keep 5% --by request",
        "--keep 0.1% --by request",
        "--endpoint /rare",
    ] {
        the_mix_is_that_of_the_file(flags);
    }
}

fn the_mix_is_that_of_the_file(flags: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    recording(dir);
    let (_, text, _) = proofload(dir, &format!("sample w.jsonl -o s.jsonl {flags}"));
    let sample = requests(&dir.join("s.jsonl"));
    let sessions: BTreeSet<&str> = sample
        .iter()
        .map(|request| request.session.as_str())
        .collect();
    assert!(
        text.contains(&format!("requests   10000 → {} (", sample.len())),
        "{text}"
    );
    assert!(
        text.contains(&format!("sessions   2000 → {} (", sessions.len())),
        "{text}"
    );
}
