//! Files that are read, files that are refused, and what the refusal says.

use proptest::prelude::*;

use super::{super::write::write_workload, *};
use crate::workload::{Method, Recorded};

const HEADER: &str = "{\"proofload_workload\":1}\n";
const FIRST: &str = "{\"offset_ns\":0,\"method\":\"GET\",\"path\":\"/a\",\"status\":200}\n";
const SECOND: &str = "{\"offset_ns\":5,\"method\":\"POST\",\"path\":\"/b/17\",\"body\":\"x\"}\n";

fn open_bytes(name: &str, bytes: &[u8]) -> Result<Workload, WorkloadError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let workload = Workload::open(&path)?;
    // Each stream opens the file again, so it is read while it is still there.
    for request in workload.requests()? {
        request?;
    }
    Ok(workload)
}

fn request(offset_ns: u64, path: &str) -> Request {
    Request {
        offset_ns,
        session: "s1".into(),
        method: Method::get(),
        path: path.into(),
        headers: vec![("accept".into(), "*/*".into())],
        body: vec![0xff, 0],
        expect_status: Some(200),
        endpoint: format!("GET {path}"),
        recorded: Recorded {
            latency_ns: Some(1),
            size_bytes: None,
        },
    }
}

fn origin() -> Origin {
    Origin {
        source: "test".into(),
        recorded_at: Some("2026-01-02T03:04:05Z".into()),
        redaction: "default".into(),
        suggestions: Vec::new(),
    }
}

#[test]
fn a_file_written_by_hand_is_counted() {
    let crlf = format!("\u{feff}{HEADER}{FIRST}\n{SECOND}").replace('\n', "\r\n");
    for text in [format!("{HEADER}{FIRST}{SECOND}"), crlf] {
        let workload = open_bytes("w.jsonl", text.as_bytes()).unwrap();
        let summary = workload.summary();
        assert_eq!((summary.requests, summary.duration_ns), (2, 5));
        assert_eq!(summary.endpoints["POST /b/{id}"], 1);
        assert_eq!(summary.unsafe_methods(), [("POST".to_owned(), 1)].into());
        assert_eq!(summary.statuses, [(200, 1)].into());
        assert_eq!(summary.origin.redaction, "none");
        assert_eq!(summary.digest.len(), 7 + 64);
    }
}

#[test]
fn each_refusal_names_file_cause_and_next_step() {
    let row = |line: &str| format!("{HEADER}{FIRST}{line}\n");
    for (text, said) in [
        (String::new(), "holds no requests"),
        ("\n\n".into(), "holds no requests"),
        (HEADER.into(), "holds no requests"),
        (FIRST.into(), "no workload header"),
        ("{\"proofload_workload\":0}\n".into(), "no workload header"),
        ("GET /\n".into(), "its first line is no JSON"),
        ("{GET\n".into(), "line 1: key must be a string at column 2"),
        ("{\"log\":{\"entries\":[]}}".into(), "proofload import har"),
        ("{\n  \"log\": {}}".into(), "proofload import har"),
        (
            "{\"proofload_workload\":2,\"new\":1}\n".into(),
            "newer proofload, version 2",
        ),
        (
            "{\"proofload_workload\":1,\"sourc\":1}\n".into(),
            "line 1: unknown field `sourc`",
        ),
        (
            row("{\"offset_ns\":0,\"x\":1}"),
            "line 3: unknown field `x`",
        ),
        (row("{\"offset_ns\":NaN}"), "line 3"),
        (
            row("{\"offset_ns\":1,\"method\":\"GET\",\"pa"),
            "line 3: the line is cut off",
        ),
        (
            format!("{HEADER}{SECOND}{FIRST}"),
            "line 3: offset_ns goes back from 5 to 0",
        ),
        (
            format!("{{\"proofload_workload\":1,\"requests\":2}}\n{FIRST}"),
            "holds 1 requests where its header says 2",
        ),
        (
            format!("{{\"proofload_workload\":1,\"digest\":\"sha256:0\"}}\n{FIRST}"),
            "do not match the digest",
        ),
    ] {
        let error = open_bytes("w.jsonl", text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(said) && error.contains("w.jsonl"),
            "{said}: {error}"
        );
        assert!(error.contains([';', ':']), "no next step: {error}");
    }
    let directory = tempfile::tempdir().unwrap();
    let error = Workload::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("it is a directory"), "{error}");
    let error = Workload::open(&directory.path().join("gone.jsonl"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("No such file") && error.contains("check the path"),
        "{error}"
    );
    let error = Workload::open(Path::new("/dev/null"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("no regular file"), "{error}");
    let invalid = [HEADER.as_bytes(), b"{\"offset_ns\":0,\"\xff"].concat();
    let error = open_bytes("w.jsonl", &invalid).unwrap_err().to_string();
    assert!(
        error.contains("line 2: byte 17 of the line is not UTF-8"),
        "{error}"
    );
}

#[test]
fn an_endless_line_is_refused_without_reading_it_all() {
    let mut text = HEADER.as_bytes().to_vec();
    text.resize(LONGEST_LINE + 1000, b'x');
    let error = open_bytes("w.jsonl", &text).unwrap_err().to_string();
    assert!(
        error.contains("line 2: the line is longer than 32 MiB"),
        "{error}"
    );
    let bomb = zstd::encode_all(&vec![b' '; 64 << 20][..], 1).unwrap();
    assert!(bomb.len() < 64 << 10);
    let error = open_bytes("w.jsonl.zst", &bomb).unwrap_err().to_string();
    assert!(error.contains("line 1: the line is longer"), "{error}");
}

#[test]
fn what_is_written_is_read_again_plain_and_compressed() {
    let requests: Vec<Request> = (0..100)
        .map(|i| request(i * 7, &format!("/p/x{i}")))
        .collect();
    for (name, compressed) in [("w.jsonl", false), ("w.jsonl.zst", true)] {
        let mut bytes = Vec::new();
        let written = write_workload(&mut bytes, compressed, origin(), &requests).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let workload = Workload::open(&path).unwrap();
        assert_eq!(workload.summary(), &written);
        assert_eq!(written.origin, origin());
        for _ in 0..2 {
            let copy = workload.clone();
            let read = std::thread::spawn(move || {
                let requests: Result<Vec<_>, _> = copy.requests().unwrap().collect();
                requests.unwrap()
            });
            assert_eq!(read.join().unwrap(), requests);
        }
        let cut = open_bytes(name, &bytes[..bytes.len() - 20])
            .unwrap_err()
            .to_string();
        assert!(
            cut.contains("cut off") || cut.contains("incomplete"),
            "{cut}"
        );
    }
    let memory = Workload::from_requests(requests.clone(), "test").unwrap();
    let read: Result<Vec<_>, _> = memory.requests().unwrap().collect();
    assert_eq!(read.unwrap(), requests);
    assert_eq!(memory.summary().requests, 100);
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let mut bad = request(0, "/a");
    bad.path = "/a\r\nX: y".into();
    for requests in [vec![], vec![request(5, "/a"), request(4, "/a")], vec![bad]] {
        let mut bytes = Vec::new();
        assert!(write_workload(&mut bytes, false, origin(), &requests).is_err());
        assert!(bytes.is_empty());
        assert!(Workload::from_requests(requests, "test").is_err());
    }
}

#[test]
fn a_workload_may_have_only_so_many_endpoints() {
    let requests: Vec<Request> = (0..2_100).map(|i| request(i, &format!("/p{i}x"))).collect();
    let workload = Workload::from_requests(requests.clone(), "test").unwrap();
    assert_eq!(workload.summary().endpoints.len(), 2_001);
    assert_eq!(workload.summary().endpoints["(other)"], 100);
    let mut bytes = Vec::new();
    let written = write_workload(&mut bytes, false, origin(), &requests).unwrap();
    let read = open_bytes("w.jsonl", &bytes).unwrap();
    assert_eq!(read.summary(), &written);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = open_bytes("w.jsonl", &[HEADER.as_bytes(), FIRST.as_bytes(), &bytes].concat());
        let _ = open_bytes("w.jsonl.zst", &bytes);
    }
}

#[test]
fn a_method_that_the_header_does_not_name_never_comes_through() {
    let header = "{\"proofload_workload\":1,\"methods\":{\"GET\":2}}\n";
    let error = open_bytes("w.jsonl", format!("{header}{FIRST}{SECOND}").as_bytes());
    assert!(matches!(error, Err(WorkloadError::Digest(_))), "{error:?}");
}
