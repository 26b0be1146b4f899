//! Hostile input: secrets planted in every position must not come through an import, and
//! mutated files must not bring a parser down.

use base64::{Engine, engine::general_purpose::STANDARD};
use proofload::workload::{
    Workload,
    import::{ImportOptions, har::import_har},
    inspect::inspect,
    write_workload,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn entry(url: &str) -> Value {
    json!({
        "startedDateTime": "2026-01-02T03:04:05Z",
        "time": 1,
        "request": {"method": "POST", "url": url, "headers": []},
        "response": {"status": 200},
    })
}

fn with_header(name: &str, value: &str) -> Value {
    let mut entry = entry("https://a.example/x");
    entry["request"]["headers"] = json!([{"name": name, "value": value}]);
    entry
}

fn with_body(kind: &str, body: &str) -> Value {
    let mut entry = entry("https://a.example/x");
    entry["request"]["postData"] = json!({"mimeType": kind, "text": body});
    entry
}

fn percent(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    bytes.concat()
}

/// A password, a hexadecimal session id, or a token, of 12 to 30 characters.
fn secret(random: &mut ChaCha8Rng) -> String {
    let alphabet: &[u8] = match random.random_range(0..4) {
        0 => b"0123456789abcdef",
        1 => b"0123456789",
        2 => b"abcdefghijklmnopqrstuvwxyz",
        _ => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    };
    let length = random.random_range(12..30);
    let pick = |_| char::from(alphabet[random.random_range(0..alphabet.len())]);
    (0..length).map(pick).collect()
}

/// A token whose claims hold the secret.
fn jwt(secret: &str) -> String {
    let part = |text: &str| {
        STANDARD
            .encode(text)
            .trim_end_matches('=')
            .replace(['+', '/'], "-")
    };
    format!(
        "{}.{}.{secret}",
        part("{\"alg\":\"HS256\"}"),
        part(&format!("{{\"s\":\"{secret}\"}}"))
    )
}

const POSITIONS: usize = 34;

fn plant(position: usize, secret: &str) -> Value {
    match position {
        0..=9 => in_header(position, secret),
        10..=20 => in_address(position, secret),
        21..=29 => in_body(position, secret),
        _ => elsewhere(position, secret),
    }
}

fn in_header(position: usize, s: &str) -> Value {
    match position {
        0 => with_header("authorization", &format!("Bearer {s}")),
        1 => with_header("AUTHORIZATION", s),
        2 => with_header("Cookie", &format!("theme={s}; sid={s}")),
        3 => with_header("X-API-KEY", s),
        4 => with_header("x-amz-security-token", s),
        5 => with_header("X-Anything", &format!("Basic {}", STANDARD.encode(s))),
        6 => with_header("X-Anything", &jwt(s)),
        7 => with_header("Referer", &format!("https://a.example/p?token={s}")),
        8 => with_header("Referer", &format!("https://other.example/{s}")),
        _ => with_header(":path", &format!("/x?token={s}")),
    }
}

fn in_address(position: usize, s: &str) -> Value {
    let url = |rest: &str| entry(&format!("https://a.example{rest}"));
    match position {
        10 => url(&format!("/x?password={s}&b=c")),
        11 => url(&format!("/x?a=b&CLIENT_SECRET={s}")),
        12 => url(&format!("/x?p%61ssword={}", percent(s))),
        13 => url(&format!(
            "/x?next={}",
            percent(&format!("/cb?code={s}&a=b"))
        )),
        14 => url(&format!("/x?nonce={}", percent(&percent(s)))),
        15 => url(&format!(
            "/x?data={}",
            percent(&STANDARD.encode(format!("{{\"token\":\"{s}\"}}")))
        )),
        16 => url(&format!("/v/{}/x", jwt(s))),
        17 => url(&format!("/v?{}", jwt(s))),
        18 => url(&format!("/x;jsessionid={s}/y")),
        19 => entry(&format!("https://{s}:{s}@a.example/x")),
        _ => url(&format!("/x#access_token={s}")),
    }
}

fn in_body(position: usize, s: &str) -> Value {
    let form = "application/x-www-form-urlencoded";
    match position {
        21 => with_body(form, &format!("a=b&user%5Bpassword%5D={s}")),
        22 => with_body(
            &form.to_uppercase(),
            &format!("SAMLResponse={}&a=b", percent(s)),
        ),
        23 => with_body(
            "application/json",
            &json!({"a": [{"Api-Key": {"x": [s]}}]}).to_string(),
        ),
        24 => with_body(
            "text/plain",
            &json!({"a": format!("{{\"pin\":\"{s}\"}}")}).to_string(),
        ),
        25 => with_body("application/json", &format!("{{\"id_token\":\"{s}")),
        26 => with_body("text/xml", &format!("<a><Password>{s}</Password></a>")),
        27 => with_body(
            "multipart/form-data; boundary=B",
            &format!("--B\r\nContent-Disposition: form-data; name=\"otp\"\r\n\r\n{s}\r\n--B--\r\n"),
        ),
        28 => with_body("text/plain", &format!("see {} there", jwt(s))),
        _ => {
            let mut entry = with_body(form, "");
            entry["request"]["postData"]["params"] = json!([{"name": "email", "value": s}]);
            entry["request"]["cookies"] = json!([{"name": "x", "value": s}]);
            entry
        }
    }
}

fn elsewhere(position: usize, s: &str) -> Value {
    match position {
        30 => {
            let mut entry = entry("https://a.example/x");
            entry["response"]["headers"] = json!([{"name": "Set-Cookie", "value": s}]);
            entry["response"]["content"] = json!({"text": s});
            entry["pageref"] = json!(s);
            entry["connection"] = json!(s);
            entry
        }
        31 => {
            let mut entry = entry("https://a.example/x");
            entry["startedDateTime"] = json!(s);
            entry
        }
        32 => {
            let mut entry = entry("https://a.example/x");
            entry["request"]["method"] = json!(format!("{s} {s}"));
            entry
        }
        _ => entry(&format!("https://other.example/x?password={s}")),
    }
}

#[test]
fn no_planted_secret_comes_through_an_import() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut secrets = Vec::new();
    let mut entries = Vec::new();
    for number in 0..100 * POSITIONS {
        let secret = secret(&mut random);
        entries.push(plant(number % POSITIONS, &secret));
        secrets.push(secret);
    }
    let har = json!({ "log": { "entries": entries } }).to_string();
    let strict = import_har(har.as_bytes(), &ImportOptions::default());
    let mut shown =
        vec![strict.map_or_else(|error| format!("{error} {error:?}"), |_| String::new())];
    let options = ImportOptions {
        lenient: true,
        ..ImportOptions::default()
    };
    let imported = import_har(har.as_bytes(), &options).unwrap();
    assert!(imported.summary.kept >= 30 * 100, "{}", imported.summary);
    shown.push(format!("{} {:?}", imported.summary, imported.summary));
    let mut file = Vec::new();
    write_workload(
        &mut file,
        false,
        imported.origin.clone(),
        &imported.requests,
    )
    .unwrap();
    shown.push(String::from_utf8(file).unwrap());
    let workload = Workload::from_requests(imported.requests, "test").unwrap();
    shown.push(inspect(&workload, 0).unwrap().to_string());
    let nothing = ImportOptions {
        lenient: true,
        hosts: vec!["none".into()],
        ..ImportOptions::default()
    };
    let none_kept = import_har(har.as_bytes(), &nothing).unwrap_err();
    shown.push(none_kept.to_string());
    let cut = import_har(&har.as_bytes()[..har.len() / 2], &options).unwrap_err();
    shown.push(format!("{cut} {cut:?}"));
    let shown = shown.concat();
    let found: Vec<(usize, &String)> = secrets
        .iter()
        .enumerate()
        .filter(|(_, secret)| {
            // Inside base 64 a text has three spellings; the middle of each shows it.
            let encoded = |lead: usize| {
                let text = STANDARD.encode(format!("{}{secret}", &"\"\"\""[..lead]));
                text[4..text.len() - 4].to_owned()
            };
            let spellings = [
                (*secret).clone(),
                percent(secret),
                encoded(0),
                encoded(1),
                encoded(2),
            ];
            spellings
                .iter()
                .any(|spelling| shown.contains(spelling.as_str()))
        })
        .map(|(number, secret)| (number % POSITIONS, secret))
        .collect();
    assert_eq!(found, [], "secrets by position");
}

/// A few random changes: flipped, removed, repeated and inserted bytes, and cuts.
fn mutate(original: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"null",
        b"-1",
        b"1e999",
        b"\"",
        b"\\ud800",
        b"{",
        b"[[[[",
        b"}",
        b"\xff",
        b"\0",
        b"\n",
        b"\xf0\x9f\x90\xb5",
    ];
    let mut bytes = original.to_vec();
    for _ in 0..random.random_range(1..5) {
        if bytes.is_empty() {
            break;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..40)).min(bytes.len());
        match random.random_range(0..6) {
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

#[test]
fn mutated_har_files_never_bring_the_importer_down() {
    let entries: Vec<Value> = (0..POSITIONS)
        .step_by(5)
        .map(|p| plant(p, "s3cr3t-s3cr3t"))
        .collect();
    let har = json!({ "log": { "version": "1.2", "entries": entries } }).to_string();
    let mut random = ChaCha8Rng::seed_from_u64(12);
    let options = ImportOptions {
        lenient: true,
        key: Some([1; 32]),
        ..ImportOptions::default()
    };
    let mut imported = 0;
    for _ in 0..20_000 {
        let bytes = mutate(har.as_bytes(), &mut random);
        let Ok(result) = import_har(&bytes[..], &options) else {
            continue;
        };
        imported += 1;
        // Whatever was imported makes a file that can be read.
        let workload = Workload::from_requests(result.requests, "test").unwrap();
        assert_eq!(workload.summary().requests, result.summary.kept);
    }
    assert!(imported > 1_000, "the mutations are too coarse: {imported}");
}

#[test]
fn mutated_workload_files_never_bring_the_reader_down() {
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
    for _ in 0..20_000 {
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
