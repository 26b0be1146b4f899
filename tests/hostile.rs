//! Hostile files for every importer and for the reader of workloads: at least 50,000 seeded
//! mutations each, none of which may bring one down, and all of which must stay small in memory;
//! and small files that stand for large ones.
//!
//! What comes through an import has to make a workload, and what does not has to be counted.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use proofload::workload::{
    Workload,
    import::{
        ImportError, ImportOptions, Imported,
        gor::import_gor,
        har::import_har,
        log::{LogFormat, LogOptions, import_log},
        openapi::import_openapi,
        table::import_csv,
        vegeta::{BodyFault, import_vegeta},
    },
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How often each importer is asked.
const MUTATIONS: usize = 50_000;
/// More than all tests of this file may ever need together, in MiB.
const MEMORY_MIB: u64 = 300;

/// What formats take for something else than text.
const PIECES: [&[u8]; 30] = [
    b"null",
    b"-1",
    b"1e999",
    b"\"",
    b"\\",
    b"\\ud800",
    b"\\x",
    b"{",
    b"[[[[",
    b"}",
    b"\xff",
    b"\0",
    b"\n",
    b"\r\n\r\n",
    b"\n\xf0\x9f\x90\xb5\xf0\x9f\x99\x88\xf0\x9f\x99\x89\n",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"%",
    b"$",
    b"#",
    b"@",
    b":",
    b"://",
    b" - ",
    b"&a [*a]",
    b"$ref",
    b"99999999999999999999",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 18446744073709551615\r\n",
    b",,,,,,,,",
];

/// A few random changes: flipped, removed, repeated and inserted bytes, and cuts.
fn mutate(original: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..random.random_range(1..5) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..40)).min(bytes.len());
        match random.random_range(0..7) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => bytes.truncate(at),
            4 => bytes[at] = random.next_u32().to_le_bytes()[0],
            _ => {
                let piece = PIECES[random.random_range(0..PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
        }
    }
    bytes
}

fn options() -> ImportOptions {
    ImportOptions {
        lenient: true,
        key: Some([1; 32]),
        max_input: 1 << 20,
        ..ImportOptions::default()
    }
}

/// The most memory that this process has ever held, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() / 1024
}

/// Mutates the files and imports them, so often that some still come through.
fn attack(seed: u64, files: &[&str], import: impl Fn(&[u8]) -> Result<Imported, ImportError>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut came_through = 0;
    for round in 0..MUTATIONS {
        let bytes = mutate(files[round % files.len()].as_bytes(), &mut random);
        match import(&bytes) {
            Ok(imported) => {
                came_through += 1;
                let summary = imported.summary;
                let skipped: u64 = summary.skipped.values().map(|it| it.count).sum();
                assert_eq!(summary.read, summary.kept + skipped);
                assert_eq!(summary.kept, imported.requests.len() as u64);
                let workload =
                    Workload::from_requests(imported.requests.into_iter().collect(), "test")
                        .unwrap();
                assert_eq!(workload.summary().requests, summary.kept);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(!error.is_empty() && error.len() < 2_000, "{error}");
                assert!(!error.chars().any(char::is_control), "{error:?}");
            }
        }
    }
    let least = MUTATIONS / 20;
    assert!(
        came_through > least,
        "the mutations are too coarse: {came_through}"
    );
    let peak = peak_mib();
    assert!(peak < MEMORY_MIB, "{peak} MiB");
}

const HAR: &str = r#"{"log": {"version": "1.2", "pages": [{"id": "p"}], "entries": [
    {"startedDateTime": "2026-01-02T03:04:05.5Z", "time": 12.5, "pageref": "p",
     "request": {"method": "GET", "url": "https://a.example/x?token=1&b=%20", "headers":
       [{"name": ":path", "value": "/x"}, {"name": "Accept", "value": "*/*"}]},
     "response": {"status": 200, "content": {"text": "x"}, "_transferSize": 7}},
    {"startedDateTime": "2026-01-02T03:04:06+01:00", "request": {"method": "POST",
       "url": "https://a.example/y", "headers": [], "cookies": [{"name": "a", "value": "b"}],
       "postData": {"mimeType": "multipart/form-data; boundary=B", "params":
         [{"name": "f", "value": "data", "fileName": "n.txt"}]}}, "response": {}},
    {"startedDateTime": "2026-01-02T03:04:07Z", "_resourceType": "websocket",
     "request": {"method": "PUT", "url": "https://b.example/z",
       "postData": {"text": "aGk=", "encoding": "base64"}}}]}}"#;

#[test]
fn mutated_har_files_bring_nothing_down() {
    attack(21, &[HAR], |bytes| import_har(bytes, &options()));
}

#[test]
fn mutated_gor_files_bring_nothing_down() {
    let separator = "🐵🙈🙉";
    let file = format!(
        "1 a1 1795573200000000000 5\nGET /x?token=1 HTTP/1.1\r\nHost: a.example\r\n\
         Cookie: sid=1\r\n\r\n\n{separator}\n\
         2 a1 1795573200040000000 2\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\n{separator}\n\
         1 b2 1795573201000000000 -1\nPOST /y HTTP/1.1\r\nHost: a.example\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         7\r\n{{\"a\":1}}\r\n0\r\n\r\n\n{separator}\n"
    );
    attack(22, &[&file], |bytes| import_gor([bytes], &options()));
}

const LOG_LINES: [&str; 8] = [
    "192.0.2.1 - ann [25/Nov/2026:02:20:00 +0000] \"GET /a?b=\\x22c HTTP/1.1\" 200 5 \"-\" \
     \"c/8\"",
    "192.0.2.1 - - [25/Nov/2026:02:20:00 +0000] \"HEAD /a?b=c HTTP/1.1\" 304 -",
    "shop.example:80 192.0.2.1 - - [25/Nov/2026:02:20:00 +0000] \"GET /a\\\"b HTTP/1.1\" 200 9 \
     \"http://shop.example/\" \"c/8\"",
    "https 2026-11-25T02:20:00.25Z app/lb/5 192.0.2.1:2817 10.0.0.1:80 0.086 0.048 -1 200 200 0 \
     57 \"GET https://shop.example:443/a?b=c HTTP/1.1\" \"c/8\" E T arn \"R\" \"shop.example\" \
     \"a\" 1 2026-11-25T02:20:00.0Z \"f\" \"-\" \"-\"",
    "[2026-11-25T02:20:00.310Z] \"GET /a?b=c HTTP/2\" 200 - 0 154 226 100 \"192.0.2.1\" \"c/8\" \
     \"cd0b\" \"shop.example\" \"127.0.0.1:80\"",
    "192.0.2.1:33317 [25/Nov/2026:02:20:00.655] in static/s1 10/0/30/69/+109 200 2750 - - ---- \
     1/1/1/1/0 0/0 {a b|c} \"GET /a#22?b=c HTTP/1.1\"",
    "{\"ts\":1795573200.75,\"request\":{\"remote_ip\":\"192.0.2.1\",\"method\":\"GET\",\"host\":\
     \"shop.example\",\"uri\":\"/a\",\"headers\":{\"User-Agent\":[\"c\"]}},\"duration\":0.25,\
     \"status\":200}",
    "{\"time_iso8601\":\"2026-11-25T02:20:00+00:00\",\"request\":\"GET /\\x22a HTTP/1.1\",\
     \"status\":\"200\",\"request_time\":\"0.005\"}",
];

#[test]
fn mutated_logs_bring_nothing_down() {
    let all = LOG_LINES.join("\n");
    let mut files = LOG_LINES.to_vec();
    files.push(&all);
    let log = LogOptions::default();
    attack(23, &files, |bytes| import_log([bytes], &log, &options()));
}

#[test]
fn mutated_formats_of_logs_bring_nothing_down() {
    let formats = [
        "log_format main '$remote_addr - ${remote_user} [$time_local] \"$request\" $status '\n \
         '$body_bytes_sent \"$http_referer\" \"$http_user_agent\"';",
        "$request_method $scheme://$host$uri$is_args$args $status $msec $request_time",
        "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %b \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" c",
        "%v:%p %{c}a %!200,304{X}i %{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t %{%z}t %m %U%q %% %^ti",
        "end=ts,method=request.method,path=request.uri,header.a=request.a,dur_ms=d,status=s",
    ];
    let mut random = ChaCha8Rng::seed_from_u64(24);
    let mut compiled = 0;
    for round in 0..MUTATIONS {
        let place = round % formats.len();
        let text = mutate(formats[place].as_bytes(), &mut random);
        let text = String::from_utf8_lossy(&text).into_owned();
        let format = match place {
            0 | 1 => LogFormat::Nginx(text),
            2 | 3 => LogFormat::Apache(text),
            _ => LogFormat::Json(text),
        };
        let log = LogOptions {
            format,
            ..LogOptions::default()
        };
        let line = LOG_LINES[random.random_range(0..LOG_LINES.len())];
        match import_log([line.as_bytes()], &log, &options()) {
            Err(ImportError::Format(why)) => {
                assert!(
                    why.len() < 2_000 && !why.chars().any(char::is_control),
                    "{why:?}"
                );
            }
            _ => compiled += 1,
        }
    }
    assert!(
        compiled > MUTATIONS / 4,
        "the mutations are too coarse: {compiled}"
    );
}

#[test]
fn mutated_vegeta_targets_bring_nothing_down() {
    let http = "# x\nGET http://a.example/1?token=1\n\nPOST http://a.example/2\n\
        Content-Type: application/json\nX-a: b:c\n@body.json\nDELETE http://a.example/3\n";
    let json = "{\"method\":\"POST\",\"url\":\"http://a.example/1\",\"body\":\"aGk=\",\
        \"header\":{\"X-A\":[\"1\",\"2\"]}}\n{\"method\":\"GET\",\"url\":\"http://a.example/2\"}\n";
    attack(25, &[http, json], |bytes| {
        let mut bodies = |name: &str| match name {
            "body.json" => Ok(b"{\"a\":1}".to_vec()),
            _ => Err(BodyFault::Unreadable),
        };
        import_vegeta(bytes, &mut bodies, &options())
    });
}

#[test]
fn mutated_tables_bring_nothing_down() {
    let comma = "\u{feff}time,url,method,header:X-A,body,status,session,dur_ms,colour\n\
        2026-11-25T02:20:00Z,http://a.example/1?q=1,GET,\"a, b\",,200,ann,12.5,red\n\
        2026-11-25T02:20:01Z,http://a.example/2,POST,,\"say \"\"hi\"\"\n\",201,bob,,\n";
    let tabs = "path\toffset_s\tbody_base64\n/1\t0\tAAH/\n/2\t1.5\t\n";
    attack(26, &[comma, tabs], |bytes| import_csv(bytes, 1, &options()));
}

const YAML: &str = "openapi: 3.1.0\n\
servers: [{url: 'https://a.example/{v}', variables: {v: {default: v1}}}]\n\
paths:\n\
\u{20} /pets/{id}: &p\n\
\u{20}   parameters:\n\
\u{20}   - {name: id, in: path, required: true, schema: {type: integer}}\n\
\u{20}   get:\n\
\u{20}     parameters:\n\
\u{20}     - name: q\n\
\u{20}       in: query\n\
\u{20}       schema: {type: array, items: {type: string}}\n\
\u{20}       example: [a, b]\n\
\u{20}     responses: {200: {content: {application/json: {}}}}\n\
\u{20}   post:\n\
\u{20}     requestBody:\n\
\u{20}       content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}\n\
\u{20} /copy: *p\n\
components:\n\
\u{20} schemas:\n\
\u{20}   Pet:\n\
\u{20}     allOf:\n\
\u{20}     - properties: {name: {type: string, minLength: 3}}\n\
\u{20}     - $ref: '#/components/schemas/Other'\n\
\u{20}   Other: {properties: {n: {type: integer, minimum: 3}}}\n";

const SWAGGER: &str = r#"{"swagger": "2.0", "host": "a.example", "basePath": "/v1", "paths": {
    "/a": {"post": {"parameters": [{"name": "b", "in": "body", "schema": {"properties":
      {"n": {"type": "number", "exclusiveMaximum": true, "maximum": 1}}}}]}},
    "/b/{x}": {"put": {"parameters": [{"name": "f", "in": "formData", "type": "file",
      "required": true}]}}}}"#;

#[test]
fn mutated_descriptions_bring_nothing_down() {
    attack(27, &[YAML, SWAGGER], |bytes| {
        import_openapi(bytes, &options())
    });
}

/// A gigabyte of the text, again and again, as a file of about a megabyte.
fn bomb(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let piece = text.repeat((1 << 20) / text.len());
    for _ in 0..1024 {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn small_files_that_expand_without_end_stop_at_the_limit() {
    let zeros = bomb(b"\0");
    assert!(zeros.len() < 8 << 20);
    let limits = ImportOptions {
        max_input: 64 << 20,
        ..options()
    };
    let log = LogOptions::default();
    let mut none = |_: &str| Err(BodyFault::Unreadable);
    let open = bomb(b"[");
    let results = [
        import_gor([&zeros[..]], &limits),
        import_log([&zeros[..]], &log, &limits),
        import_vegeta(&zeros[..], &mut none, &limits),
        import_openapi(&zeros[..], &limits),
        import_har(&open[..], &limits),
    ];
    for (number, result) in results.into_iter().enumerate() {
        match result.unwrap_err() {
            ImportError::TooLarge(_) => assert!(number < 3),
            // They have bounds of their own, below that of the input.
            ImportError::Format(why) => {
                let said = if number == 3 { "32 MiB" } else { "deeper" };
                assert!(number >= 3 && why.contains(said), "{number}: {why}");
            }
            other => panic!("{number}: {other}"),
        }
    }
    let endless = import_csv(&bomb(b"path,")[..], 1, &limits).unwrap_err();
    assert!(matches!(endless, ImportError::Format(_)), "{endless}");
    let peak = peak_mib();
    assert!(peak < MEMORY_MIB, "{peak} MiB");
}

/// The same line a hundred thousand times.
struct Repeated {
    line: Vec<u8>,
    left: usize,
    at: usize,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.line.len() {
            self.at = 0;
            self.left = self.left.saturating_sub(1);
        }
        if self.left == 0 {
            return Ok(0);
        }
        let piece = &self.line[self.at..];
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        self.at += length;
        Ok(length)
    }
}

#[test]
fn what_is_left_out_takes_no_memory() {
    let body = STANDARD.encode(vec![7; 48_000]);
    let long = format!("{}\n", "x".repeat(200_000)).into_bytes();
    let rubbish = format!("no line of a log {}\n", &body[..60_000]).into_bytes();
    for (line, reason) in [
        (long, "longer than 64 KiB"),
        (rubbish, "fits no known format"),
    ] {
        let files = [Repeated {
            line,
            left: 2_000,
            at: 0,
        }];
        let limits = ImportOptions {
            max_input: 2 << 30,
            ..options()
        };
        let error = import_log(files, &LogOptions::default(), &limits).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        let peak = peak_mib();
        assert!(peak < MEMORY_MIB, "{peak} MiB");
    }
}

#[test]
fn mutated_workload_files_bring_nothing_down() {
    let text = "{\"proofload_workload\":1,\"source\":\"x\",\"requests\":3}\n\
        {\"offset_ns\":0,\"session\":\"s1\",\"method\":\"GET\",\"path\":\"/a?b=1\",\
        \"status\":200}\n\
        {\"offset_ns\":5,\"method\":\"POST\",\"path\":\"/b/7\",\"headers\":[[\"a\",\"b\"]],\
        \"body\":\"x\",\"endpoint\":\"POST /b/{id}\",\"latency_ns\":5,\"size_bytes\":6}\n\
        {\"offset_ns\":9,\"method\":\"PUT\",\"path\":\"/c\",\"body_base64\":\"AAH/\"}\n";
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.jsonl");
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let mut read = 0;
    for _ in 0..MUTATIONS {
        std::fs::write(&path, mutate(text.as_bytes(), &mut random)).unwrap();
        match Workload::open(&path) {
            Ok(workload) => {
                read += 1;
                assert_eq!(
                    workload.requests().unwrap().count() as u64,
                    workload.summary().requests
                );
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("w.jsonl") && error.len() < 2_000, "{error}");
                assert!(!error.chars().any(char::is_control), "{error:?}");
            }
        }
    }
    assert!(read > 100, "the mutations are too coarse: {read}");
}
