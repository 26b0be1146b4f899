//! Whether the recording still fits the data, log-ins, and the report of how faithfully it was
//! replayed: the real binary.

use crate::{
    binary::{Done, Proofload, honestly},
    engine::quiet,
    faultd::{Fault, Faultd, Setup, Then, plain},
};

const WORKLOAD: &str = "{\"proofload_workload\":1}\n\
    {\"offset_ns\":0,\"session\":\"s\",\"method\":\"GET\",\"path\":\"/x\",\"status\":200}\n";

/// So many of a hundred answers have another status, evenly spread, and the first has not.
fn of_a_hundred<const N: u64>(nth: u64) -> (Vec<u8>, Then) {
    let status = if nth * N % 100 < N { 404 } else { 200 };
    (plain(status), Then::Keep)
}

fn compare(share: fn(u64) -> (Vec<u8>, Then)) -> (Done, serde_json::Value) {
    let done = honestly(|| {
        let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Each(share)));
        let line = format!(
            "compare --baseline {} --candidate {} --out-dir out -w w.jsonl -d 9500ms --slot 500ms \
             --rate 200/s --bodies 0 --tolerance p50=400% --min-effect p50=200% --tolerance \
             errors=20pp --format json",
            a.url(),
            b.url()
        );
        Proofload::new(&line).file("w.jsonl", WORKLOAD).run()
    });
    let report = serde_json::from_str(&done.stdout).expect(&done.stderr);
    (done, report)
}

fn codes(report: &serde_json::Value) -> Vec<String> {
    let warnings = report["warnings"].as_array().unwrap();
    let codes = warnings.iter().map(|it| it["code"].as_str().unwrap());
    codes.map(str::to_owned).collect()
}

#[test]
fn four_of_a_hundred_are_fresh_six_are_getting_old_and_twenty_one_are_stale() {
    let _quiet = quiet();
    let stale = |report: &serde_json::Value| {
        let causes = report["causes"].to_string();
        causes.contains("no longer fits the data") && causes.contains("of GET /x")
    };
    let old = "baseline_statuses".to_owned();
    let (_, four) = compare(of_a_hundred::<4>);
    assert!(!codes(&four).contains(&old) && !stale(&four), "{four}");
    let (_, six) = compare(of_a_hundred::<6>);
    assert!(codes(&six).contains(&old) && !stale(&six), "{six}");
    let (done, many) = compare(of_a_hundred::<21>);
    assert!(stale(&many), "{many}");
    done.expect(12);
}

#[test]
fn a_service_that_wants_a_log_in_gets_no_load() {
    let server = Faultd::always(Fault::Status(401));
    let line = format!(
        "compare --baseline {0} --candidate {0} --out-dir out -w w.jsonl --rate 200/s",
        server.url()
    );
    let done = Proofload::new(&line)
        .file("w.jsonl", WORKLOAD)
        .run()
        .expect(12);
    assert!(done.stderr.contains("log-in"), "{}", done.stderr);
    assert!(
        done.stderr.contains("GET /x answered 401"),
        "{}",
        done.stderr
    );
    assert!(server.requests() <= 2);
}

#[test]
fn credentials_come_from_a_command_and_the_environment_and_go_nowhere_else() {
    let server = Faultd::always(Fault::Status(200));
    let line = format!(
        "run --target {} -w w.jsonl --rate 100/s -d 300ms -o run.jsonl",
        server.url()
    );
    let done = Proofload::new(&line)
        .args(&[
            "--auth-cmd",
            "echo \"Authorization: Bearer $PART-cmd\"; echo s3cr3t-log >&2",
        ])
        .args(&["-H", "$STAGING"])
        .env("PART", "s3cr3t")
        .env("STAGING", "X-Api-Key: s3cr3t-env")
        .file("w.jsonl", WORKLOAD)
        .run()
        .measured();
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("s3cr3t"), "{}", path.display());
    }
    for one in server.seen() {
        let head = one.head.to_lowercase();
        assert!(
            head.contains("authorization: bearer s3cr3t-cmd\r\n"),
            "{head}"
        );
        assert!(head.contains("x-api-key: s3cr3t-env\r\n"), "{head}");
    }
    let failed = Proofload::new(&line)
        .args(&["--auth-cmd", "echo s3cr3t; exit 7"])
        .file("w.jsonl", WORKLOAD)
        .run()
        .expect(2);
    assert!(
        failed.stderr.contains("exit status: 7"),
        "{}",
        failed.stderr
    );
    assert!(!failed.stderr.contains("s3cr3t"));
}

#[test]
fn the_report_says_how_faithfully_the_recording_was_replayed() {
    let server = Setup::default().route("/shop/", Fault::Status(200)).start();
    let lines = (0..40).map(|n| {
        format!(
            "{{\"offset_ns\":{},\"session\":\"s{}\",\"method\":\"GET\",\"path\":\"/shop/{}\"}}\n",
            n * 20_000_000,
            n % 4,
            ["tea", "cup"][n % 2]
        )
    });
    let text = "{\"proofload_workload\":1}\n".to_owned() + &lines.collect::<String>();
    let line = format!(
        "run --target {} -w w.jsonl -d 790ms -o run.jsonl",
        server.url()
    );
    let rules = "[replay]\nendpoints = [\"GET /shop/{name}\"]\n";
    let call = || {
        Proofload::new(&line)
            .file("w.jsonl", &text)
            .file("proofload.toml", rules)
    };
    let json = call().args(&["--format", "json"]).run().measured();
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let replay = &report["fidelity"];
    assert_eq!(replay["order_kept"], 1.0, "{replay}");
    assert_eq!(replay["mix"][0]["endpoint"], "GET /shop/{name}");
    assert_eq!(replay["mix"][0]["scheduled"], 1.0);
    assert_eq!(replay["scheduled"], report["scheduled"]);
    assert!(replay["send_lag_ns"]["p99"].is_u64());
    let shown = call().run().measured().stdout;
    assert!(shown.contains("Replay: "), "{shown}");
    assert!(
        shown.contains("order within sessions kept for 100"),
        "{shown}"
    );
}
