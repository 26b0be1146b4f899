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
    let options = HarOptions {
        key: Some([1; 32]),
        lenient: true,
        ..HarOptions::default()
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
        (2_000_000_000, "s2")
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

#[test]
fn every_entry_that_is_left_out_has_its_reason() {
    let url = "https://shop.example/a";
    let good = || entry(1, url);
    for (bad, reason, is_malformed) in [
        (with(good(), "/_fromCache", json!("disk")), "cache", false),
        (
            with(good(), "/_fetchType", json!("Memory Cache")),
            "cache",
            false,
        ),
        (
            with(good(), "/_resourceType", json!("websocket")),
            "WebSocket",
            false,
        ),
        (
            with(good(), "/_resourceType", json!("eventsource")),
            "event stream",
            false,
        ),
        (
            with(good(), "/_resourceType", json!("preflight")),
            "preflight",
            false,
        ),
        (
            with(good(), "/response/status", json!(0)),
            "no answer",
            false,
        ),
        (
            with(good(), "/response/status", json!(101)),
            "WebSocket",
            false,
        ),
        (
            with(good(), "/response/_error", json!("net::ERR")),
            "no answer",
            false,
        ),
        (entry(1, "data:text/plain,x"), "not HTTP", false),
        (entry(1, "chrome-extension://x/y"), "not HTTP", false),
        (entry(1, "wss://shop.example/a"), "WebSocket", false),
        (entry(1, "https://cdn.example/a"), "other host", false),
        (
            with(good(), "/request/method", json!("CONNECT")),
            "CONNECT",
            false,
        ),
        (
            with(good(), "/request/bodySize", json!(9)),
            "body is not in the file",
            false,
        ),
        (
            with(good(), "/request/method", json!("G T")),
            "method",
            true,
        ),
        (
            with(good(), "/request/method", json!(null)),
            "no method",
            true,
        ),
        (with(good(), "/request/url", json!(null)), "no URL", true),
        (entry(1, "https://"), "cannot be parsed", true),
        (entry(1, "/relative"), "cannot be parsed", true),
        (with(good(), "/request", json!([])), "no request", true),
        (
            with(good(), "/startedDateTime", json!("yesterday")),
            "is no time",
            true,
        ),
        (
            with(good(), "/startedDateTime", json!("99999-01-01T00:00:00Z")),
            "is no time",
            true,
        ),
        (
            with(good(), "/startedDateTime", json!("0001-01-01T00:00:00Z")),
            "1990",
            true,
        ),
        (
            with(good(), "/startedDateTime", json!(5)),
            "no startedDateTime",
            true,
        ),
        (with(good(), "/time", json!(-5)), "no duration", true),
        (with(good(), "/time", json!("NaN")), "no duration", true),
        (json!(null), "no object", true),
        (json!("x"), "no object", true),
        (json!([[1]]), "no object", true),
    ] {
        let summary = import(&[good(), good(), bad.clone()]).unwrap().summary;
        assert_eq!((summary.read, summary.kept), (3, 2), "{bad}");
        let (found, skipped) = summary.skipped.first_key_value().unwrap();
        assert!(found.contains(reason), "{bad}: {found}");
        assert_eq!(
            (skipped.is_malformed, skipped.samples.as_slice()),
            (is_malformed, &[2][..])
        );
    }
}

#[test]
fn odd_but_usable_entries_are_kept() {
    let url = "https://shop.example/a";
    let good = || entry(1, url);
    for odd in [
        with(good(), "/response", json!(null)),
        with(good(), "/response", json!("gone")),
        with(good(), "/response/status", json!("200")),
        with(good(), "/response/content", json!({})),
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
        let options = HarOptions {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..HarOptions::default()
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
        import_har(bom.as_bytes(), &HarOptions::default())
            .unwrap()
            .requests
            .len(),
        1
    );
    let more = format!("{whole}\n\0\0");
    let summary = import_har(more.as_bytes(), &HarOptions::default())
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
        import_har(closed.as_bytes(), &HarOptions::default())
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
        let error = import_har(text.as_bytes(), &HarOptions::default()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn a_fifth_of_damaged_entries_is_too_much_unless_allowed() {
    let url = "https://a.example/1";
    let good = vec![entry(1, url); 4];
    let strict = |entries: &[Value]| {
        let har = json!({ "log": { "entries": entries } }).to_string();
        import_har(har.as_bytes(), &HarOptions::default())
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
    let options = HarOptions {
        lenient: true,
        ..HarOptions::default()
    };
    let imported = import_har(har.as_bytes(), &options).unwrap();
    assert_eq!(
        (imported.summary.kept, imported.summary.malformed()),
        (1, 1)
    );
}
