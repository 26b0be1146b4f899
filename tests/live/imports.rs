//! From a file of another tool to load on a server: import, inspect and run by the binary, once
//! for each format. The server counts what arrives.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    binary::Proofload,
    faultd::{Fault, Faultd},
};

/// A small file of each format: its name, how it is imported, its bytes as text, and the paths
/// that it asks for.
fn formats() -> Vec<(&'static str, &'static str, String, &'static [&'static str])> {
    let gor = "1 a 1795573200000000000 1\nGET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n\n🐵🙈🙉\n\
        1 b 1795573200100000000 1\nGET /2?x=y HTTP/1.1\r\nHost: a.example\r\n\r\n\n🐵🙈🙉\n";
    let har = r#"{"log": {"entries": [
        {"startedDateTime": "2026-01-02T03:04:05Z",
         "request": {"method": "GET", "url": "http://a.example/1"}},
        {"startedDateTime": "2026-01-02T03:04:05.1Z",
         "request": {"method": "GET", "url": "http://a.example/2?x=y"}}]}}"#;
    let log = "192.0.2.1 - - [25/Nov/2026:02:20:00 +0000] \"GET /1 HTTP/1.1\" 200 5 \"-\" \"c\"\n\
        192.0.2.2 - - [25/Nov/2026:02:20:00 +0000] \"GET /2?x=y HTTP/1.1\" 200 5 \"-\" \"c\"\n";
    let yaml = "openapi: 3.0.0\npaths:\n  /1: {get: {}}\n  /2:\n    get:\n      parameters:\n      \
        - {name: x, in: query, example: \"y\", schema: {type: string}}\n";
    let both: &[&str] = &["/1", "/2?x=y"];
    vec![
        ("a.gor", "gor", gor.to_owned(), both),
        ("a.har", "har", har.to_owned(), both),
        ("access.log", "log", log.to_owned(), both),
        (
            "targets",
            "vegeta",
            "GET http://a.example/1\nGET http://a.example/2?x=y\n".to_owned(),
            both,
        ),
        (
            "a.csv",
            "csv",
            "path,method\n/1,GET\n/2?x=y,GET\n".to_owned(),
            both,
        ),
        ("a.yaml", "openapi", yaml.to_owned(), both),
    ]
}

#[test]
fn what_is_imported_can_be_inspected_and_run_and_arrives() {
    for (name, format, text, paths) in formats() {
        let call = format!("import {format} {name} -o w.jsonl");
        let imported = Proofload::new(&call).file(name, &text).run().expect(0);
        let said = "read 2, kept 2, skipped 0\n";
        assert!(
            imported.stdout.starts_with(said),
            "{format}: {}",
            imported.stdout
        );
        let inspected = Proofload::new("inspect w.jsonl")
            .within(imported)
            .run()
            .expect(0);
        assert!(inspected.stdout.contains("GET /"), "{}", inspected.stdout);
        let server = Faultd::always(Fault::Status(200));
        let run = format!(
            "run --target {} -w w.jsonl --rate 100/s -d 1s -o run.jsonl --format json",
            server.url()
        );
        let done = Proofload::new(&run).within(inspected).run().measured();
        let sums: Value = serde_json::from_str(&done.stdout).unwrap();
        let sum = |name: &str| sums[name].as_u64().unwrap();
        assert_eq!(sum("scheduled"), sum("sent") + sum("not_sent"), "{format}");
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        for seen in server
            .seen()
            .iter()
            .filter(|it| it.head.contains("x-proofload-run"))
        {
            *counted.entry(seen.path.clone()).or_default() += 1;
        }
        let asked: Vec<&str> = counted.keys().map(String::as_str).collect();
        assert_eq!(asked, paths, "{format}");
        let all: u64 = counted.values().sum();
        assert!(
            all >= sum("sent") && sum("sent") >= 50,
            "{format}: {all}, {}",
            sum("sent")
        );
    }
}

#[test]
fn without_instants_a_rate_is_needed_and_the_message_says_so() {
    let file = "GET http://a.example/1\n";
    let imported = Proofload::new("import vegeta targets -o w.jsonl").file("targets", file);
    let imported = imported.run().expect(0);
    assert!(
        imported.stdout.contains("--rate 100/s"),
        "{}",
        imported.stdout
    );
    let run = "run --target http://127.0.0.1:9 -w w.jsonl -d 1s -o run.jsonl";
    let refused = Proofload::new(run).within(imported).run().expect(2);
    let said = "the workload has no recorded instants to replay; add --rate";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
}

#[test]
fn bad_calls_of_import_end_with_2_and_say_what_to_do() {
    for (line, said) in [
        ("import log a -o w.txt", "a workload ends in .jsonl"),
        ("import log gone -o w.jsonl", "cannot read gone"),
        ("import log . -o w.jsonl", "it is a directory"),
        ("import log - - -o w.jsonl", "name it once"),
        (
            "import log a -o w.jsonl --format nginx",
            "is no known format",
        ),
        (
            "import log a -o w.jsonl --nginx-format $status",
            "it names no request",
        ),
        (
            "import log a -o w.jsonl --format alb --json-map x=y",
            "cannot be used with",
        ),
        ("import csv a -o w.jsonl", "no column is called path"),
        (
            "import openapi a -o w.jsonl",
            "neither OpenAPI 3 nor Swagger 2",
        ),
        ("import har a -o w.jsonl", "no JSON in UTF-8"),
        ("import gor a -o w.jsonl", "1 of 1 records are damaged"),
        ("import vegeta a -o w.jsonl", "1 of 1 targets are damaged"),
        ("import log a -o w.jsonl --max-input 1kb", "is not a size"),
        (
            "import log a -o w.jsonl --max-input 1B",
            "more than 1 bytes",
        ),
        ("import log", "required"),
    ] {
        let done = Proofload::new(line).file("a", "nonsense\n").run().expect(2);
        assert!(done.stderr.contains(said), "{line}: {}", done.stderr);
        assert!(!done.path("w.jsonl").exists(), "{line}");
    }
}
