//! Each fixture under `tests/fixtures/har` is imported: what is kept, and how it looks then.
//! The files are hand-made; their README says after which shapes.

use std::{collections::BTreeSet, fs::File, path::PathBuf};

use proofload::workload::{
    Request,
    import::{ImportOptions, Imported, har::import_har},
};

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
    assert_eq!(fiddler.requests[1].session, "s2");
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
