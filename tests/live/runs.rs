//! `proofload run` from end to end: its sums, its files, and the places it must not fail in.

use proofload::run::Run;
use serde_json::Value;

use crate::{
    binary::{Done, Proofload},
    faultd::{Fault, Faultd, Setup, Then},
};

/// A run against this server with JSON on stdout.
pub(crate) fn run(server: &Faultd, rest: &str) -> Proofload {
    let url = server.url();
    Proofload::new(&format!(
        "run --target {url} -o run.jsonl --format json {rest}"
    ))
}

/// The run file that a call left behind.
pub(crate) fn stored(done: &Done) -> Run {
    let file = std::fs::File::open(done.path("run.jsonl")).unwrap();
    Run::read(std::io::BufReader::new(file)).unwrap()
}

fn json(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap()
}

#[test]
fn the_sums_of_a_run_add_up_and_are_what_the_server_counted() {
    let server = Setup::default()
        .route("/fine", Fault::Status(200))
        .route("/mixed", Fault::Mix(0.5, 503))
        .route(
            "/cut",
            Fault::Bytes(
                b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".into(),
                Then::Close,
            ),
        )
        .start();
    let paths = [
        "--request",
        "/fine",
        "--request",
        "/mixed?x=1",
        "--request",
        "/missing",
    ];
    let done = run(&server, "--rate 300/s -d 900ms")
        .args(&paths)
        .run()
        .measured();
    let sums = json(&done);
    let sum = |name: &str| sums[name].as_u64().unwrap();
    assert_eq!(sum("scheduled"), 270);
    assert_eq!(sum("scheduled"), sum("sent") + sum("not_sent"));
    assert_eq!(
        sum("sent"),
        sum("ok") + sum("http_error") + sum("transport_error")
    );
    assert_eq!(
        sum("sent") + 3,
        server.requests(),
        "the preflight asks each endpoint once"
    );
    let seen = server.seen();
    for (endpoint, path) in [
        ("GET /fine", "/fine"),
        ("GET /mixed", "/mixed"),
        ("GET /missing", "/missing"),
    ] {
        let at_server = seen.iter().filter(|one| one.path.starts_with(path)).count() as u64;
        let sent = &sums["endpoints"][endpoint]["sent"];
        assert_eq!(sent.as_u64().unwrap() + 1, at_server, "{endpoint}");
    }
    assert_eq!(
        sums["endpoints"]["GET /missing"]["classes"]["http_4xx"],
        sums["endpoints"]["GET /missing"]["sent"]
    );
    let run = stored(&done);
    assert_eq!(run.damage, None);
    assert_eq!(run.footer.unwrap().state, "complete");
    let in_file: u64 = run.slots.iter().map(|slot| slot.total().scheduled).sum();
    assert_eq!(in_file, 270);
}

#[test]
fn a_target_that_cannot_be_measured_gets_no_load() {
    let server = Faultd::always(Fault::Bytes(b"garbage\r\n\r\n".into(), Then::Close));
    let done = run(&server, "--request /x --rate 100/s").run().expect(12);
    assert!(done.stderr.contains("no load was sent"), "{}", done.stderr);
    assert!(!done.path("run.jsonl").exists());
    assert!(server.requests() <= 2);
}

#[test]
fn proxies_of_the_environment_are_ignored() {
    let server = Faultd::always(Fault::Status(200));
    let proxy = "http://127.0.0.1:1";
    let mut call = run(&server, "--request /x --rate 100/s -d 300ms");
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
    ] {
        call = call.env(name, proxy);
    }
    let done = call.run().measured();
    assert_eq!(json(&done)["ok"], json(&done)["scheduled"]);
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let server = Faultd::always(Fault::Status(200));
    let file = "[load]\nrate = \"10/s\"\nseed = 3\nduration = \"500ms\"\n";
    for (flag, rate, scheduled) in [("", "20/s", 10), ("--rate 40/s", "20/s", 20)] {
        let call = run(&server, &format!("--request /x {flag}"));
        let done = call
            .file("proofload.toml", file)
            .env("PROOFLOAD_RATE", rate)
            .run()
            .measured();
        assert_eq!(
            (&json(&done)["scheduled"], &json(&done)["seed"]),
            (&scheduled.into(), &3.into())
        );
    }
}

#[test]
fn a_full_disk_is_told_from_the_first_byte_on() {
    let server = Faultd::always(Fault::Status(200));
    let url = server.url();
    let line = format!("run --target {url} --request /x --rate 100/s -d 300ms -o /dev/full");
    let done = Proofload::new(&line).run().expect(20);
    assert!(done.stderr.contains("/dev/full"), "{}", done.stderr);
    assert_eq!(
        server.requests(),
        1,
        "what could not be stored is not measured"
    );
}

#[test]
fn a_disk_that_fills_up_stops_the_load_and_the_summary_is_still_shown() {
    let server = Faultd::always(Fault::Status(200));
    let done = run(&server, "--request /x --rate 100/s -d 20s --slot 100ms")
        .before("ulimit -f 8")
        .run()
        .expect(20);
    assert!(done.stderr.contains("cannot write"), "{}", done.stderr);
    let sums = json(&done);
    assert!(sums["scheduled"].as_u64().unwrap() < 1_500, "stopped early");
    assert_eq!(sums["complete"], false);
    let run = stored(&done);
    assert!(
        !run.slots.is_empty() && run.footer.is_none(),
        "what was synced is kept"
    );
}

#[test]
fn nobody_reading_stdout_is_no_panic() {
    let server = Faultd::always(Fault::Status(200));
    let call = run(&server, "--request /x --rate 100/s -d 300ms");
    let mut started = call.start_with(std::process::Stdio::piped());
    drop(started.stdout());
    let done = started.wait().measured();
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    assert_eq!(stored(&done).footer.unwrap().state, "complete");
}

#[test]
fn a_second_load_from_one_host_is_told_of_the_first() {
    let server = Faultd::always(Fault::Status(200));
    let shared = tempfile::tempdir().unwrap();
    let temporary = shared.path().to_str().unwrap();
    let call = |rest: &str| {
        let line = format!("--request /x --rate 50/s {rest}");
        run(&server, &line).env("TMPDIR", temporary)
    };
    let mut first = call("-d 30s --slot 100ms").start();
    first.wait_until("a slot is stored", |directory| {
        let text = std::fs::read_to_string(directory.join("run.jsonl")).unwrap_or_default();
        text.contains("\"slot\":")
    });
    let second = call("-d 300ms").run().measured();
    assert!(
        second.stderr.contains("another proofload is loading"),
        "{}",
        second.stderr
    );
    let warnings = json(&second)["warnings"].to_string();
    assert!(warnings.contains("host_shared"), "{warnings}");
    first.signal("INT");
    let first = first.wait().expect(130);
    assert!(
        !first.stderr.contains("another proofload"),
        "it was alone before"
    );
    let third = call("-d 300ms").run().measured();
    assert!(
        !third.stderr.contains("another proofload"),
        "{}",
        third.stderr
    );
}

#[test]
fn a_run_keeps_the_commit_that_was_given_or_that_the_service_builds() {
    let server = Faultd::always(Fault::Status(200));
    for (flags, variables, commit) in [
        ("", &[][..], None),
        ("", &[("GITHUB_SHA", "aaaaaaa")], Some("aaaaaaa")),
        ("", &[("CI_COMMIT_SHA", "bbbbbbb")], Some("bbbbbbb")),
        ("", &[("GIT_COMMIT", "not a commit")], None),
        ("--ci none", &[("GIT_COMMIT", "ccccccc")], None),
        (
            "--commit ddddddd",
            &[("GIT_COMMIT", "ccccccc")],
            Some("ddddddd"),
        ),
    ] {
        let rest = format!("--rate 50/s -d 200ms --request /x {flags}");
        let call = run(&server, &rest);
        let call = variables
            .iter()
            .fold(call, |call, (name, value)| call.env(name, value));
        let done = call.run();
        let stored = stored(&done);
        let target = &stored.header.targets[&proofload::run::Side::Candidate];
        let found = target.labels.get(proofload::run::COMMIT);
        assert_eq!(found.map(String::as_str), commit, "{flags} {variables:?}");
        let target = &json(&done)["target"];
        assert_eq!(target["labels"]["commit"].as_str(), commit);
    }
}
