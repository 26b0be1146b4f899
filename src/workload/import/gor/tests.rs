//! Small recordings made in place.

use super::*;

const BEGIN: u64 = 1_795_573_200_000_000_000;

fn record(kind: u8, id: &str, after_ms: u64, rest: &str, message: &str) -> String {
    let time = BEGIN + after_ms * 1_000_000;
    let separator = std::str::from_utf8(SEPARATOR).unwrap();
    format!("{kind} {id} {time}{rest}\n{message}\n{separator}\n")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: Shop.example:80\r\nCookie: sid=hunter2x\r\n\r\n")
}

fn import(files: &[&str]) -> Result<Imported, ImportError> {
    let options = ImportOptions {
        key: Some([1; 32]),
        ..ImportOptions::default()
    };
    import_gor(files.iter().map(|file| file.as_bytes()), &options)
}

#[test]
fn files_are_merged_by_time_and_answers_told_to_their_requests() {
    let one = [
        record(1, "a", 0, " 5", &get("/1")),
        record(
            2,
            "a",
            40,
            " 2",
            "HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n1234567",
        ),
        record(1, "b", 300, "", &get("/3")),
        record(3, "b", 310, " 9", "HTTP/1.1 500 No\r\n\r\n"),
        record(2, "zz", 320, " 9", "HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let other = [record(1, "c", 200, " -1", &get("/2"))];
    let imported = import(&[&one.concat(), &other.concat()]).unwrap();
    let shown: Vec<(&str, u64)> = imported
        .requests
        .iter()
        .map(|it| (it.path.as_str(), it.offset_ns / 1_000_000))
        .collect();
    assert_eq!(shown, [("/1", 0), ("/2", 200), ("/3", 300)]);
    let first = &imported.requests[0];
    assert_eq!(first.expect_status, Some(201));
    assert_eq!(first.recorded.latency_ns, Some(40_000_000));
    assert_eq!(first.recorded.size_bytes, Some(7));
    assert_eq!(first.headers, []);
    assert_eq!(imported.requests[2].expect_status, None);
    assert_eq!(imported.requests[2].session, "s1", "one cookie, one client");
    let summary = imported.summary.to_string();
    assert!(
        summary.starts_with("read 6, kept 3, skipped 3\n"),
        "{summary}"
    );
    assert!(summary.contains("an answer to a replay by GoReplay (record 4 of file 1)"));
    assert!(summary.contains("an answer without its request (record 5 of file 1)"));
    assert!(summary.contains("3  shop.example, kept\n"), "{summary}");
    assert!(
        summary.contains("3 of 3 requests carried credentials"),
        "{summary}"
    );
    assert!(!format!("{imported:?}").contains("hunter2x"));
}

#[test]
fn a_last_record_needs_no_separator_and_chunks_are_put_together() {
    let chunked = "POST /up HTTP/1.1\r\nHost: shop.example\r\nContent-Type: text/plain\r\n\
        Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\n\ndef\r\n0\r\n\r\n";
    let text = record(1, "a", 0, " 5", &get("/1")) + &record(1, "b", 9, " 5", chunked);
    let separator = std::str::from_utf8(SEPARATOR).unwrap();
    let unended = text.trim_end().strip_suffix(separator).unwrap().to_owned();
    for text in [text.clone(), unended.clone()] {
        let imported = import(&[&text]).unwrap();
        assert_eq!(imported.requests[1].body, b"abc\ndef");
        let has_note = imported
            .summary
            .to_string()
            .contains("no separator behind it");
        assert_eq!(has_note, text == unended);
    }
}

#[test]
fn what_cannot_be_replayed_has_its_reason() {
    let cut = "POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 10\r\n\r\nabc";
    let huge = format!("POST / HTTP/1.1\r\n\r\n{}", "x\n".repeat(LARGEST / 2 + 10));
    let separator = std::str::from_utf8(SEPARATOR).unwrap();
    for (text, said, is_malformed) in [
        (record(1, "x", 1, "", cut), "cut off in the file", false),
        (record(1, "x", 1, "", &huge), "larger than 8 MiB", false),
        (
            record(1, "x", 1, "", "GET / HTTP/1.1\r\nHost: a"),
            "no end",
            true,
        ),
        (
            record(1, "x", 1, "", "no request\r\n\r\n"),
            "no HTTP/1 request",
            true,
        ),
        (record(7, "x", 1, "", &get("/")), "header line", true),
        (
            format!("1 x yesterday\n{}\n{separator}\n", get("/")),
            "header line",
            true,
        ),
        (
            format!("1 x 5\n{}\n{separator}\n", get("/")),
            "header line",
            true,
        ),
        (format!("rubbish\n{separator}\n"), "header line", true),
        (
            record(1, "x", 1, "", &get("/").replace("Shop", "Other")),
            "other host",
            false,
        ),
    ] {
        let good: String = (0..9).map(|n| record(1, "g", n, "", &get("/g"))).collect();
        let imported = import(&[&(text + &good)]).unwrap();
        let (reason, skipped) = imported.summary.skipped.first_key_value().unwrap();
        assert!(reason.contains(said), "{said}: {reason}");
        assert_eq!(skipped.is_malformed, is_malformed, "{said}");
        assert_eq!((skipped.count, imported.summary.kept), (1, 9), "{said}");
    }
    let error = import(&["", "\n\n"]).unwrap_err().to_string();
    assert_eq!(
        error,
        "none of 0 records can be replayed: nothing was found"
    );
    let error = import(&["<html>\n</html>\n"]).unwrap_err().to_string();
    assert!(error.starts_with("1 of 1 records are damaged"), "{error}");
}
