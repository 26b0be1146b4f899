//! A HAR of 100 MB is imported in no more than 128 MB of memory, by the real binary, from a pipe.
//!
//! Two shapes: what a proxy writes of small requests, of which a file holds most, and what a
//! browser writes, with header fields and contents. How long it takes is printed and not judged,
//! because a test does not fail where a machine is slow.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]
#![expect(clippy::print_stdout, reason = "figures for whoever asks for them")]

use std::{
    io::{BufWriter, Read, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use proofload::clock::Clock;
use serde_json::{Value, json};

const BYTES: usize = 100_000_000;
/// 128 MB in KiB, as the kernel counts.
const MOST_KIB: u64 = 125_000;

fn time(number: usize) -> String {
    let (second, ms) = (number / 50, number % 50 * 20);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!(
        "2026-03-01T{hour:02}:{minute:02}:{:02}.{ms:03}Z",
        second % 60
    )
}

/// A small request as mitmproxy writes it.
fn small(number: usize) -> Value {
    let client = number % 997;
    json!({
        "startedDateTime": time(number), "time": 12.5,
        "request": {
            "method": "GET", "httpVersion": "HTTP/2.0", "cookies": [],
            "url": format!("https://shop.example/api/products/{number}?page={client}"),
            "headers": [
                {"name": "accept", "value": "application/json"},
                {"name": "user-agent", "value": format!("app/7.{client}")},
                {"name": "cookie", "value": format!("sid=c{client}x")},
            ],
            "queryString": [{"name": "page", "value": client.to_string()}],
            "headersSize": 120, "bodySize": 0,
        },
        "response": {
            "status": 200, "statusText": "OK", "httpVersion": "HTTP/2.0", "cookies": [],
            "headers": [], "content": {"size": 0, "mimeType": "application/json"},
            "redirectURL": "", "headersSize": 90, "bodySize": 512,
        },
        "cache": {}, "timings": {"send": 1, "receive": 1, "wait": 10.5},
    })
}

/// The fields that Chromium sends with each page.
const FIELDS: [(&str, &str); 12] = [
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    ),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de-AT;q=0.8,de;q=0.7"),
    ("cache-control", "no-cache"),
    ("cookie", "sid=k3f9a8c7d6e5f4a3b2; theme=dark"),
    ("priority", "u=0, i"),
    (
        "sec-ch-ua",
        "\"Chromium\";v=\"156\", \"Not/A)Brand\";v=\"24\"",
    ),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("upgrade-insecure-requests", "1"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0",
    ),
];

/// A request as Chromium writes it, answered by a short page.
fn browser_like(number: usize) -> Value {
    let referer = format!("https://shop.example/products/{}", number / 2);
    let mut headers = vec![json!({"name": "referer", "value": referer})];
    let fields = FIELDS.iter();
    headers.extend(fields.map(|(name, value)| json!({"name": name, "value": value})));
    let page = format!("page_{}", number / 20);
    let words = "words ".repeat(60);
    let text = format!("<form><input name=csrf value=t{number}k9f8><p>{words}");
    json!({
        "startedDateTime": time(number), "time": 12.5, "pageref": page,
        "connection": (number / 20).to_string(), "_priority": "High",
        "_resourceType": "document", "_initiator": {"type": "other"},
        "request": {
            "method": "GET", "url": format!("https://shop.example/products/{number}"),
            "httpVersion": "h2", "headers": headers, "queryString": [], "cookies": [],
            "headersSize": -1, "bodySize": 0,
        },
        "response": {
            "status": 200, "statusText": "", "httpVersion": "h2", "cookies": [],
            "headers": [{"name": "content-type", "value": "text/html"}],
            "content": {"size": 400, "mimeType": "text/html", "text": text},
            "redirectURL": "", "headersSize": -1, "bodySize": -1, "_transferSize": 512,
        },
        "cache": {},
        "timings": {
            "blocked": 1, "dns": -1, "ssl": -1, "connect": -1, "send": 0.1, "wait": 10,
            "receive": 1,
        },
    })
}

/// The most memory that a process has had, in KiB, for as long as it runs.
fn peak(child: &Child, is_over: Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let path = format!("/proc/{}/status", child.id());
    thread::spawn(move || {
        let mut most = 0;
        while !is_over.load(Ordering::Relaxed) {
            let status = std::fs::read_to_string(&path).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            most = most.max(kib.unwrap_or(0));
            thread::sleep(Duration::from_millis(2));
        }
        most
    })
}

/// Imports 100 MB of such entries; how many there were, and the most memory in KiB.
fn import(creator: &str, entry: fn(usize) -> Value) -> (usize, u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_proofload"))
        .args(["import", "har", "-", "-o", "w.jsonl"])
        .current_dir(dir.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let peak = peak(&child, Arc::clone(&is_over));
    let clock = Clock::start();
    let mut into = BufWriter::with_capacity(1 << 20, child.stdin.take().unwrap());
    write!(
        into,
        r#"{{"log":{{"creator":{{"name":"{creator}"}},"entries":["#
    )
    .unwrap();
    let (mut count, mut bytes) = (0, 0);
    while bytes < BYTES {
        let text = entry(count).to_string();
        let comma = if count == 0 { "" } else { "," };
        write!(into, "{comma}{text}").unwrap();
        bytes += comma.len() + text.len();
        count += 1;
    }
    write!(into, "]}}}}").unwrap();
    drop(into);
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    is_over.store(true, Ordering::Relaxed);
    let most = peak.join().unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let seconds = proofload::units::seconds(clock.now_ns());
    assert!(
        said.contains(&format!("read {count}, kept {count}, skipped 0")),
        "{said}"
    );
    println!(
        "{creator}: {count} entries, {} MiB at most, {seconds:.1} s",
        most / 1024
    );
    (count, most)
}

#[test]
fn a_hundred_megabytes_of_small_requests_take_no_more_than_128_megabytes() {
    let (count, most) = import("mitmproxy", small);
    assert!(count > 120_000, "{count}");
    assert!((1..=MOST_KIB).contains(&most), "{most} KiB");
}

#[test]
fn a_hundred_megabytes_of_a_browser_take_no_more_than_128_megabytes() {
    let (count, most) = import("WebInspector", browser_like);
    assert!(count > 25_000, "{count}");
    assert!((1..=MOST_KIB).contains(&most), "{most} KiB");
}
