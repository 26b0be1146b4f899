//! Each fixture under `tests/fixtures/har` is imported: what is kept, and how it looks then.
//! The files are hand-made; their README says after which shapes.

use std::{
    collections::BTreeSet,
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
};

use proofload::workload::{
    Request,
    import::{ImportOptions, Imported, har::import_har},
};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/har")
}

fn import(name: &str) -> Imported {
    let file = File::open(folder().join(name)).expect("the fixture is there");
    import_har(file, &ImportOptions::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let found = request
        .headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

const READ_AND_KEPT: &[(&str, u64, &[&str])] = &[
    ("chrome.har", 7, &["/products/42", "/api/cart"]),
    ("firefox.har", 2, &["/users/7", "/login"]),
    ("safari.har", 3, &["/a", "/b"]),
    ("mitmproxy.har", 3, &["/a", "/c"]),
    ("fiddler.har", 3, &["/a", "/b"]),
    ("playwright.har", 7, &["/", "/login", "/api/items"]),
    ("har-to-k6-16-page-without-title.har", 1, &["/a"]),
    ("har-to-k6-12-pseudo-headers.har", 1, &["/a"]),
    ("har-to-k6-87-65-mime-type.har", 2, &["/a", "/b"]),
    (
        "har2requests-8-13-params-and-text.har",
        3,
        &["/neither", "/both", "/params"],
    ),
    ("k6-984-multipart.har", 1, &["/upload"]),
    ("monika-297-headers-and-body-dropped.har", 2, &["/b"]),
    ("k6-studio-294-content-not-base64.har", 2, &["/a", "/b"]),
    ("har-crate-strict-fields.har", 1, &["/a"]),
];

#[test]
fn every_fixture_is_imported_and_nothing_is_lost_silently() {
    let mut names = BTreeSet::new();
    for (name, read, paths) in READ_AND_KEPT {
        names.insert((*name).to_owned());
        let imported = import(name);
        let found: Vec<&str> = imported.requests.iter().map(|r| r.path.as_str()).collect();
        assert_eq!(&found, paths, "{name}");
        let summary = &imported.summary;
        let skipped: u64 = summary.skipped.values().map(|skipped| skipped.count).sum();
        assert_eq!(
            (summary.read, summary.kept + skipped),
            (*read, *read),
            "{name}"
        );
        assert_eq!(summary.malformed(), 0, "{name}");
    }
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(files, names, "each fixture is listed here");
}

#[test]
fn chrome_loses_what_is_not_replayed() {
    let imported = import("chrome.har");
    let [page, cart] = &imported.requests[..] else {
        panic!()
    };
    assert!(page.headers.iter().all(|(name, _)| !name.starts_with(':')));
    assert_eq!(header(page, "accept"), Some("text/html"));
    assert_eq!(page.recorded.size_bytes, Some(512));
    assert_eq!(header(cart, "referer"), Some("/products/42"));
    assert_eq!(header(cart, "content-length"), None);
    assert_eq!(cart.offset_ns, 150_000_000);
    assert_eq!(
        (cart.expect_status, cart.body.as_slice()),
        (Some(201), &b"{\"item\":\"42\"}"[..])
    );
    insta::assert_snapshot!(imported.summary);
}

#[test]
fn what_playwright_did_not_ask_the_service_is_left_out() {
    let imported = import("playwright.har");
    let reasons: Vec<&str> = imported.summary.skipped.keys().copied().collect();
    let expected = [
        "WebSocket",
        "answered by a test script, not by the service",
        "it got no answer",
        "its body is not in the file",
    ];
    assert_eq!(reasons, expected);
    assert_eq!(imported.requests[1].expect_status, Some(303));
    // A page that did not read the answer has got one all the same.
    assert_eq!(imported.requests[2].expect_status, Some(201));
    let body = String::from_utf8(imported.requests[1].body.clone()).unwrap();
    assert!(!body.contains("hunter2x"), "{body}");
    let fiddler = import("fiddler.har");
    assert_eq!(fiddler.requests[1].offset_ns, 100_000_000);
    // The same log-in on two connections.
    assert_eq!(fiddler.requests[1].session, "s1");
}

/// An entry of a visit, so many seconds after its start.
fn step(second: u32, page: &str, request: &Value, answer: (&Value, &str)) -> Value {
    let mut request = request.clone();
    let path = request["url"].as_str().unwrap_or_default();
    request["url"] = json!(format!("https://shop.example{path}"));
    json!({
        "startedDateTime": format!("2026-03-01T10:00:{second:02}.000Z"), "time": 20.0,
        "pageref": page, "connection": second.to_string(), "request": request,
        "response": {
            "status": 200, "headers": answer.0,
            "content": {"mimeType": "text/html", "text": answer.1},
        },
    })
}

/// A log-in on one page and a form on the next, as Chrome exports them.
fn visit() -> Value {
    let form = |token: &str| format!("<form><input type=hidden name=csrf value={token}></form>");
    let cookie = |value: &str| json!([{"name": "Set-Cookie", "value": value}]);
    let get = |path: &str, cookie: &str| {
        let headers = json!([{"name": "Cookie", "value": cookie}]);
        json!({"method": "GET", "url": path, "headers": headers})
    };
    let post = |path: &str, cookie: &str, text: &str| {
        let mut request = get(path, cookie);
        let kind = "application/x-www-form-urlencoded";
        request["method"] = json!("POST");
        request["postData"] = json!({"mimeType": kind, "text": text});
        request
    };
    let (none, first, second) = (json!([]), "k3f9a8c7d6e5", "zz81d6e5f4a3");
    let log_in = format!("user=ann&csrf={first}");
    let order = format!("item=tea&csrf={second}");
    let entries = [
        step(
            1,
            "page_1",
            &get("/login", "sid=before"),
            (&none, &form(first)),
        ),
        step(
            2,
            "page_1",
            &post("/login", "sid=before", &log_in),
            (&cookie("sid=ann"), ""),
        ),
        step(
            3,
            "page_1",
            &get("/account", "sid=ann"),
            (&none, &form(second)),
        ),
        step(
            4,
            "page_2",
            &post("/orders", "sid=ann", &order),
            (&none, ""),
        ),
    ];
    json!({"log": {
        "version": "1.2", "creator": {"name": "WebInspector", "version": "537.36"},
        "pages": [{"id": "page_1", "title": "a"}, {"id": "page_2", "title": "b"}],
        "entries": entries,
    }})
}

#[test]
fn a_log_in_on_one_page_and_a_form_on_the_next_are_one_session_with_suggestions() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("visit.har"), visit().to_string()).unwrap();
    let proofload = |line: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_proofload"))
            .args(line.split_whitespace())
            .current_dir(dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {said} {errors}");
        said
    };
    let said = proofload("import har visit.har -o visit.jsonl");
    assert!(said.contains("all of it is one session"), "{said}");
    let lines = std::fs::read_to_string(dir.path().join("visit.jsonl")).unwrap();
    assert_eq!(lines.matches(r#""session":"s1""#).count(), 4, "{lines}");
    let said = proofload("inspect visit.jsonl --suggest");
    for rule in [
        r#"extract = { from = "GET /login", at = "field:csrf" }"#,
        r#"replace = [{ in = "POST /login", at = "form:csrf" }]"#,
        r#"extract = { from = "GET /account", at = "field:csrf" }"#,
        r#"replace = [{ in = "POST /orders", at = "form:csrf" }]"#,
    ] {
        assert!(said.contains(rule), "{rule}: {said}");
    }
}

#[test]
fn clients_that_a_proxy_has_seen_are_told_apart_by_their_log_ins() {
    let rows = [
        ("1", "sid=ann-4711"),
        ("1", "sid=bob-4712"),
        ("2", "sid=ann-4711"),
        ("3", ""),
    ];
    let entries = rows.iter().zip(1..).map(|((connection, cookie), second)| {
        let headers = json!([{"name": "Cookie", "value": cookie}]);
        let request = json!({"method": "GET", "url": "/a", "headers": headers});
        let mut entry = step(second, "", &request, (&json!([]), ""));
        entry["connection"] = json!(connection);
        entry
    });
    let entries: Vec<Value> = entries.collect();
    let har = json!({"log": {"creator": {"name": "mitmproxy"}, "entries": entries}});
    let imported = import_har(har.to_string().as_bytes(), &ImportOptions::default()).unwrap();
    let sessions = imported.requests.iter().map(|it| it.session.as_str());
    assert_eq!(sessions.collect::<Vec<_>>(), ["s1", "s2", "s1", "s3"]);
    assert!(!format!("{:?}{}", imported.requests, imported.summary).contains("ann-4711"));
}

#[test]
fn firefox_gives_up_its_condition_and_its_password() {
    let imported = import("firefox.har");
    let [user, login] = &imported.requests[..] else {
        panic!()
    };
    assert_eq!(
        user.expect_status,
        Some(200),
        "304 without its condition is 200"
    );
    let names: Vec<&str> = user.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Accept"]);
    let body = String::from_utf8(login.body.clone()).unwrap();
    assert!(
        body.starts_with("user=ann&password=") && !body.contains("hunter2x"),
        "{body}"
    );
    assert_eq!(
        imported.origin.recorded_at.as_deref(),
        Some("2026-03-01T10:00:00Z")
    );
}

#[test]
fn bodies_survive_every_way_of_writing_them() {
    let kinds = import("har-to-k6-87-65-mime-type.har").requests;
    assert_eq!(header(&kinds[0], "content-type"), None);
    assert_eq!(header(&kinds[1], "content-type"), Some("application/json"));
    let forms = import("har2requests-8-13-params-and-text.har").requests;
    let bodies: Vec<&[u8]> = forms
        .iter()
        .map(|request| request.body.as_slice())
        .collect();
    assert_eq!(bodies, [&b""[..], b"a=1", b"a=1+2"]);
    let upload = &import("k6-984-multipart.har").requests[0];
    let body = String::from_utf8(upload.body.clone()).unwrap();
    let boundary = header(upload, "content-type")
        .unwrap()
        .split_once("boundary=")
        .unwrap()
        .1;
    assert!(body.starts_with(&format!("--{boundary}\r\n")) && body.contains("\r\n\r\nhello\r\n"));
    let binary = &import("mitmproxy.har").requests[1];
    assert_eq!(binary.body, [0, 1, 255]);
    let lost = import("monika-297-headers-and-body-dropped.har").summary;
    assert_eq!(lost.skipped["its body is not in the file"].samples, [0]);
}
