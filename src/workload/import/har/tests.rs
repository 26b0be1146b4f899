//! Small HAR files made in place: what is kept, what is skipped and why.

use serde_json::{Value, json};

use super::*;

fn entry(second: u32, url: &str) -> Value {
    json!({
        "startedDateTime": format!("2026-01-02T03:04:{second:02}.5Z"),
        "time": 12.5,
        "request": {"method": "GET", "url": url, "headers": []},
        "response": {"status": 200, "bodySize": 10, "content": {"text": "x"}},
    })
}

fn with(mut entry: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    entry.pointer_mut(parent).unwrap()[name] = value;
    entry
}

fn import(entries: &[Value]) -> Result<Imported, ImportError> {
    let har = json!({ "log": { "entries": entries } }).to_string();
    let options = ImportOptions {
        key: Some([1; 32]),
        lenient: true,
        ..ImportOptions::default()
    };
    import_har(har.as_bytes(), &options)
}

#[test]
fn a_request_keeps_what_replay_and_inspection_need() {
    let mut first = entry(1, "https://Shop.example/users/7?page=2#top");
    first["request"]["headers"] = json!([
        {"name": ":method", "value": "GET"},
        {"name": "Accept", "value": "*/*"},
        {"name": "If-None-Match", "value": "x"},
        {"name": "X-Number", "value": 5},
        {"name": "Cookie", "value": "sid=hunter2"},
    ]);
    first["response"]["_transferSize"] = json!(77);
    let second = with(
        entry(3, "https://shop.example/b"),
        "/pageref",
        json!("page 1"),
    );
    let imported = import(&[second, first]).unwrap();
    let request = &imported.requests[0];
    assert_eq!(request.path, "/users/7?page=2");
    assert_eq!(request.endpoint, "GET /users/{id}");
    assert_eq!(
        request.headers,
        [
            ("Accept".to_owned(), "*/*".to_owned()),
            ("X-Number".to_owned(), "5".to_owned()),
        ]
    );
    assert_eq!(request.recorded.latency_ns, Some(12_500_000));
    assert_eq!(request.recorded.size_bytes, Some(77));
    assert_eq!(request.expect_status, Some(200));
    assert_eq!((request.offset_ns, request.session.as_str()), (0, "s1"));
    let other = &imported.requests[1];
    assert_eq!(
        (other.offset_ns, other.session.as_str()),
        (2_000_000_000, "s1")
    );
    assert_eq!(other.recorded.size_bytes, Some(10));
    assert_eq!(
        imported.origin.recorded_at.as_deref(),
        Some("2026-01-02T03:04:01.5Z")
    );
    let summary = imported.summary.to_string();
    assert!(
        summary.starts_with("read 2, kept 2, skipped 0\n"),
        "{summary}"
    );
    assert!(
        summary.contains("1  conditional: if-none-match"),
        "{summary}"
    );
    assert!(summary.contains("not in order of time"), "{summary}");
    assert!(
        summary.contains("1 of 2 requests carried credentials"),
        "{summary}"
    );
}

const URL: &str = "https://shop.example/a";

/// A sound entry with one value replaced.
fn bad(pointer: &str, value: Value) -> Value {
    with(entry(1, URL), pointer, value)
}

fn unwanted() -> Vec<(Value, &'static str)> {
    vec![
        (bad("/_fromCache", json!("disk")), "cache"),
        (bad("/_fetchType", json!("Memory Cache")), "cache"),
        (bad("/_resourceType", json!("websocket")), "WebSocket"),
        (bad("/_resourceType", json!("eventsource")), "event stream"),
        (bad("/_resourceType", json!("preflight")), "preflight"),
        (bad("/response/status", json!(0)), "no answer"),
        (bad("/response/status", json!(101)), "WebSocket"),
        (bad("/response/status", json!(-1)), "no answer"),
        (bad("/response/_error", json!("net::ERR")), "no answer"),
        (bad("/_wasFulfilled", json!(true)), "test script"),
        (entry(1, "data:text/plain,x"), "not HTTP"),
        (entry(1, "chrome-extension://x/y"), "not HTTP"),
        (entry(1, "wss://shop.example/a"), "WebSocket"),
        (entry(1, "https://cdn.example/a"), "other host"),
        (bad("/request/method", json!("CONNECT")), "CONNECT"),
        (
            bad("/request/bodySize", json!(9)),
            "body is not in the file",
        ),
        // An upload as Playwright records it.
        (
            bad(
                "/request/headers",
                json!([{"name": "content-type", "value": "multipart/form-data; boundary=B"}]),
            ),
            "body is not in the file",
        ),
        (
            bad(
                "/request/headers",
                json!([{"name": "Content-Length", "value": "7"}]),
            ),
            "body is not in the file",
        ),
        (
            bad("/request/x", json!("x".repeat(9 << 20))),
            "larger than 8 MiB",
        ),
    ]
}

fn damaged() -> Vec<(Value, &'static str)> {
    vec![
        (bad("/request/method", json!("G T")), "method"),
        (bad("/request/method", json!(null)), "no method"),
        (bad("/request/url", json!(null)), "no URL"),
        (entry(1, "https://"), "cannot be parsed"),
        (entry(1, "/relative"), "cannot be parsed"),
        (bad("/request", json!([])), "no request"),
        (bad("/startedDateTime", json!("yesterday")), "is no time"),
        (
            bad("/startedDateTime", json!("99999-01-01T00:00:00Z")),
            "is no time",
        ),
        (
            bad("/startedDateTime", json!("0001-01-01T00:00:00Z")),
            "1990",
        ),
        (bad("/startedDateTime", json!(5)), "no startedDateTime"),
        (bad("/time", json!(-5)), "no duration"),
        (bad("/time", json!("NaN")), "no duration"),
        (json!(null), "no object"),
        (json!("x"), "no object"),
        (json!([[1]]), "no object"),
    ]
}

#[test]
fn every_entry_that_is_left_out_has_its_reason() {
    for (rows, is_malformed) in [(unwanted(), false), (damaged(), true)] {
        for (bad, reason) in rows {
            let good = entry(1, URL);
            let summary = import(&[good.clone(), good, bad]).unwrap().summary;
            assert_eq!((summary.read, summary.kept), (3, 2), "{reason}");
            let (found, skipped) = summary.skipped.first_key_value().unwrap();
            assert!(found.contains(reason), "{reason}: {found}");
            assert_eq!(skipped.is_malformed, is_malformed, "{reason}");
            assert_eq!(skipped.samples, [2], "{reason}");
        }
    }
}

#[test]
fn odd_but_usable_entries_are_kept() {
    let good = || entry(1, URL);
    for odd in [
        with(good(), "/response", json!(null)),
        with(good(), "/response", json!("gone")),
        with(good(), "/response/status", json!("200")),
        with(good(), "/response/content", json!({})),
        with(good(), "/response/_failureText", json!("net::ERR_ABORTED")),
        with(good(), "/time", json!(null)),
        with(good(), "/time", json!(-1)),
        with(good(), "/timings", json!({"connect": null, "ssl": null})),
        with(
            good(),
            "/startedDateTime",
            json!("2026-01-02T03:04:05+0100"),
        ),
        with(good(), "/startedDateTime", json!("2026-01-02T03:04:05")),
        with(good(), "/request/headers", json!(null)),
        with(
            good(),
            "/request/headers",
            json!([null, {"name": 1}, {"value": "x"}]),
        ),
        with(good(), "/request/postData", json!({"mimeType": null})),
        with(good(), "/_fromCache", json!(null)),
        with(good(), "/pageref", json!(7)),
        with(good(), "/_custom", json!({"a": [{"b": null}]})),
    ] {
        let imported = import(std::slice::from_ref(&odd)).unwrap();
        assert_eq!(imported.requests.len(), 1, "{odd}");
    }
}

#[test]
fn hosts_are_the_most_requested_or_the_named() {
    let entries = [
        entry(1, "https://a.example/1"),
        entry(2, "http://staging@b.example:8080/2"),
        entry(3, "http://b.example:8080/3"),
    ];
    let har = json!({ "log": { "entries": entries } }).to_string();
    let paths = |hosts: &[&str]| {
        let options = ImportOptions {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..ImportOptions::default()
        };
        let imported = import_har(har.as_bytes(), &options)?;
        let paths = imported.requests.into_iter().map(|request| request.path);
        Ok::<_, ImportError>(paths.collect::<Vec<_>>())
    };
    assert_eq!(paths(&[]).unwrap(), ["/2", "/3"]);
    assert_eq!(paths(&["A.example"]).unwrap(), ["/1"]);
    assert_eq!(
        paths(&["a.example", "b.example:8080"]).unwrap(),
        ["/1", "/2", "/3"]
    );
    let error = paths(&["b.example"]).unwrap_err().to_string();
    assert!(error.contains("a.example, b.example:8080"), "{error}");
    assert!(!error.contains("staging"), "{error}");
}

#[test]
fn files_that_are_no_har_say_where_and_what_to_do() {
    let whole = json!({ "log": { "entries": [entry(1, "https://a.example/1")] } }).to_string();
    let bom = format!("\u{feff}{whole}");
    assert_eq!(
        import_har(bom.as_bytes(), &ImportOptions::default())
            .unwrap()
            .requests
            .len(),
        1
    );
    let more = format!("{whole}\n\0\0");
    let summary = import_har(more.as_bytes(), &ImportOptions::default())
        .unwrap()
        .summary;
    assert!(summary.warnings[0].contains("something follows"));
    let deep = format!("{{\"log\":{{\"x\":{}", "[".repeat(1_000_000));
    let closed = format!(
        "{{\"log\":{{\"x\":{}{},{}",
        "[".repeat(200_000),
        "]".repeat(200_000),
        &whole[8..]
    );
    assert_eq!(
        import_har(closed.as_bytes(), &ImportOptions::default())
            .unwrap()
            .requests
            .len(),
        1
    );
    for (text, said) in [
        ("", "cut off at line 1 column 0"),
        (&whole[..whole.len() - 10], "cut off at line 1"),
        (&deep, "cut off"),
        ("<html>", "breaks at line 1 column 1"),
        ("{\"log\":{}}", "without log.entries"),
        ("[]", "without log.entries"),
        ("{\"log\":{\"entries\":null}}", "without log.entries"),
        ("{\"log\":{\"entries\":[]}}", "none of 0 entries"),
        (
            "{\"log\":{\"entries\":[1,2]}}",
            "2 of 2 entries are damaged: 2 × the entry is no obj",
        ),
    ] {
        let error = import_har(text.as_bytes(), &ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_fifth_of_damaged_entries_is_too_much_unless_allowed() {
    let url = "https://a.example/1";
    let good = vec![entry(1, url); 4];
    let strict = |entries: &[Value]| {
        let har = json!({ "log": { "entries": entries } }).to_string();
        import_har(har.as_bytes(), &ImportOptions::default())
    };
    let fifth = [good.clone(), vec![json!(1)]].concat();
    assert_eq!(strict(&fifth).unwrap().summary.malformed(), 1);
    let more = [good, vec![json!(1), json!(2)]].concat();
    assert!(matches!(
        strict(&more),
        Err(ImportError::Malformed {
            malformed: 2,
            read: 6,
            ..
        })
    ));
    assert_eq!(import(&more).unwrap().requests.len(), 4);
}

#[test]
fn numbers_out_of_range_spoil_their_entry_only() {
    let har = json!({ "log": { "entries": [
        entry(1, "https://a.example/1"), entry(2, "https://a.example/2"),
    ] } });
    let har = har.to_string().replacen("12.5", "1e999", 1);
    let options = ImportOptions {
        lenient: true,
        ..ImportOptions::default()
    };
    let imported = import_har(har.as_bytes(), &options).unwrap();
    assert_eq!(
        (imported.summary.kept, imported.summary.malformed()),
        (1, 1)
    );
}

#[test]
fn a_key_that_is_there_twice_spoils_its_entry() {
    let good = entry(1, "https://a.example/good");
    let bad = entry(2, "https://a.example/bad").to_string();
    let evil = "\"url\":\"https://evil.example/\"";
    for (before, twice) in [
        ("\"request\":{", format!("\"request\":{{{evil},")),
        (
            "\"request\":{",
            "\"request\":{\"method\":\"POST\",".to_owned(),
        ),
        ("\"headers\":[]", "\"headers\":[],\"headers\":[]".to_owned()),
        (
            "\"headers\":[]",
            "\"headers\":[{\"name\":\"a\",\"name\":\"b\"}]".to_owned(),
        ),
        (
            "\"headers\":[]",
            "\"headers\":[],\"postData\":{\"text\":\"a\",\"text\":\"b\"}".to_owned(),
        ),
        (
            "\"time\":",
            format!("\"request\":{{\"method\":\"GET\",{evil}}},\"time\":"),
        ),
    ] {
        assert!(bad.contains(before), "{bad}");
        let bad = bad.replacen(before, &twice, 1);
        let har = format!("{{\"log\":{{\"entries\":[{good},{good},{bad}]}}}}");
        let options = ImportOptions {
            lenient: true,
            ..ImportOptions::default()
        };
        let imported = import_har(har.as_bytes(), &options).unwrap();
        assert_eq!(imported.summary.kept, 2, "{twice}");
        let reason = "a key of its request is there twice";
        assert_eq!(imported.summary.skipped[reason].samples, [2], "{twice}");
        assert_eq!(imported.summary.malformed(), 1);
        assert!(!imported.summary.hosts.contains_key("evil.example"));
    }
}
