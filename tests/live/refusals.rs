//! What is refused before any load: one line that names thing, cause and next step, its exit
//! code, nothing on stdout, and not a single request at the server.

use std::net::{Ipv4Addr, TcpListener};

use crate::{
    binary::{Done, Proofload},
    faultd::{Fault, Faultd, Setup, Then},
};

const HEADER: &str = "{\"proofload_workload\":1}\n";
const COMPARE: &str = "compare --baseline {url} --candidate {url} --out-dir out";
const FAST: &str = "--request /x --rate 200/s";

/// Asserts that nothing was said but one line, which holds all of these words.
#[track_caller]
fn assert_refused(done: &Done, code: i32, words: &[&str]) {
    let Done { stdout, stderr, .. } = done;
    assert_eq!(done.code, code, "stdout: {stdout}\nstderr: {stderr}");
    assert_eq!(stdout, "", "nothing was measured");
    let usage = stderr.starts_with("error: ");
    let ours = stderr
        .lines()
        .filter(|line| line.starts_with("proofload: "));
    assert!(usage || ours.count() == 1, "one line: {stderr}");
    for bad in ["\\u{", "\\x", "\\n", "panicked"] {
        assert!(!stderr.contains(bad), "{stderr}");
    }
    for word in words {
        assert!(stderr.contains(word), "`{word}` is not in: {stderr}");
    }
}

/// The first word of the message that comes after this one.
fn word_after<'a>(text: &'a str, mark: &str) -> &'a str {
    let rest = text.split_once(mark).unwrap_or_else(|| panic!("{text}")).1;
    rest.split([',', ';', ' ', '\n']).next().unwrap()
}

/// A call whose line names the server as `{url}`.
fn call(server: &Faultd, line: &str) -> Proofload {
    Proofload::new(&line.replace("{url}", &server.url()))
}

fn check(lines: &[(&str, &str, &[&str])], code: i32) {
    let server = Faultd::always(Fault::Status(200));
    for (command, rest, words) in lines {
        let done = call(&server, &format!("{command} {rest}")).run();
        assert_refused(&done, code, words);
        assert_eq!(server.requests(), 0, "{rest}");
    }
}

const RUN: &str = "run --target {url} -o run.jsonl";

const WRONG: &[(&str, &str, &[&str])] = &[
    (COMPARE, "", &["-w FILE", "--request"]),
    (
        COMPARE,
        "--request /x --rate 1O0/s",
        &["1O0/s", "such as 200/s"],
    ),
    (
        COMPARE,
        "--request /x --rate 100",
        &["`100`", "such as 200/s"],
    ),
    (COMPARE, "--request /x --rate=-1/s", &["`-1/s`"]),
    (COMPARE, "--request /x --rate NaN/s", &["NaN/s", "such as"]),
    (COMPARE, "--request /x", &["no recorded instants", "--rate"]),
    (COMPARE, "--request nope --rate 9/s", &["nope", "GET /path"]),
    (
        COMPARE,
        "--request /x --rate 200/s --speed 2x",
        &["--speed", "--rate"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --tolerence p99=9%",
        &["--tolerance"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --tolerance p98=9%",
        &["p98", "p99"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --tolerance p99=9",
        &["unit"],
    ),
    (COMPARE, "--request /x --rate 200/s -d 60", &["60", "30s"]),
    (
        COMPARE,
        "--request /x --rate 200/s -d 5s",
        &["5s", "too short", "give -d"],
    ),
    (
        COMPARE,
        "--request /x --rate 1/s -d 12s",
        &["nothing could be judged", "or more"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --alpha 0.9",
        &["--alpha", "0.2"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --timeout 0s",
        &["--timeout"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s -c 0",
        &["--connections 0", "or more"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --max-in-flight 0",
        &["--max-in-flight 0"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --threads 0",
        &["--threads 0"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --connect-timeout 0s",
        &["--connect-timeout 0s"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s -w w.jsonl",
        &["--request", "--workload", "cannot be used with"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s -c 99999999",
        &["--connections", "ulimit"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --min-effect p50=50%",
        &["p50"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --tolerance /cart:p50=9%",
        &["/cart", "GET /x"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --header @none",
        &["none", "header file"],
    ),
    (
        COMPARE,
        "--request /x --rate 200/s --header Host:x",
        &["Host", "itself"],
    ),
    (
        RUN,
        "--request /x --rate 9/s -o .",
        &["cannot be used multiple times"],
    ),
    (RUN, "--request /x --rate 9/s -d 0s", &["0s"]),
    (
        RUN,
        "--request /x --rate 9/s --arrangement interleaved",
        &["--arrangement"],
    ),
    (
        RUN,
        "--request /x --rate 9/s --format markdown",
        &["markdown", "text, json"],
    ),
    (
        "run --target {url} -o .",
        "--request /x --rate 9/s",
        &["directory", "-o"],
    ),
];

#[test]
fn a_wrong_flag_or_value_is_usage() {
    check(WRONG, 2);
}

#[test]
fn a_target_that_is_no_base_url_is_usage_and_its_password_is_not_shown() {
    let to = "run -o run.jsonl --request /x --rate 9/s --target";
    check(
        &[
            (to, "nonsense", &["nonsense", "http://HOST:PORT"]),
            (to, "ftp://127.0.0.1/", &["ftp", "http, https and unix"]),
            (to, "http://127.0.0.1/?q=1", &["query"]),
            (
                to,
                "http://u:hunter2@127.0.0.1/",
                &["127.0.0.1", "--header @FILE"],
            ),
        ],
        2,
    );
    let server = Faultd::always(Fault::Status(200));
    let line = "run -o x --request /x --rate 9/s --target http://u:hunter2@127.0.0.1/";
    assert!(!call(&server, line).run().stderr.contains("hunter2"));
    let secret = format!("run --target {{url}} -o x {FAST}");
    let done = call(&server, &secret)
        .args(&["-H", "Authorization hunter2"])
        .run();
    assert_refused(&done, 2, &["Name: value"]);
    assert!(!done.stderr.contains("hunter2"));
    let words = "compare --baseline stored --candidate {url} --out-dir out --request /x";
    let done = call(&server, words).run();
    assert_refused(&done, 2, &["`stored`", "http://HOST:PORT"]);
}

#[test]
fn a_workload_that_cannot_be_used_says_where_and_what_to_do() {
    let line = |rest: &str| format!("{HEADER}{{\"offset_ns\":0,\"method\":\"GET\",{rest}}}\n");
    let server = Faultd::always(Fault::Status(200));
    let har = "{\"log\":{\"version\":\"1.2\",\"entries\":[{\"startedDateTime\":\"2026-";
    let whole_har = "{\"log\":{\"version\":\"1.2\",\"entries\":[]}}";
    let newer = "{\"proofload_workload\":99}\n";
    for (text, words) in [
        ("", ["no requests", "--request"]),
        ("\n\n", ["no requests", "--request"]),
        (HEADER, ["no requests", "--request"]),
        ("GET /x\n", ["no workload", "proofload import"]),
        ("\u{1f}\u{8b}", ["no workload", "proofload import"]),
        ("{GET}\n", ["line 1", "docs/formats.md"]),
        (har, ["w.jsonl", "import"]),
        (whole_har, ["HAR", "proofload import har"]),
        (newer, ["newer", "99"]),
        (
            &line("\"path\":\"/\"").replace(":0,", ":NaN,"),
            ["w.jsonl line 2", "column 14"],
        ),
        (
            &line("\"path\":\"/\"").replace(":0,", ":-1,"),
            ["w.jsonl line 2", "`-1`"],
        ),
        (&line("\"path\":\"x\""), ["line 2", "begin with `/`"]),
        (
            &line("\"path\":\"/\",\"headers\":[[\"cookie\",\"hunter2\"]]"),
            ["cookie", "@FILE"],
        ),
        (
            &line("\"path\":\"/\",\"headers\":[[\"a\",\"b\\r\\nc: d\"]]"),
            ["`a`", "line break"],
        ),
        (&line("\"path\":\"/\"")[..60], ["line 2", "cut off"]),
    ] {
        let done = call(&server, COMPARE)
            .args(&["-w", "w.jsonl"])
            .file("w.jsonl", text)
            .run();
        assert_refused(&done, 2, &words);
        assert!(!done.stderr.contains("hunter2"));
    }
    let gzip = call(&server, COMPARE).args(&["-w", "w.jsonl.gz"]);
    let done = gzip.file("w.jsonl.gz", b"\x1f\x8b\x08\0\0").run();
    assert_refused(&done, 2, &["gzip", "zstd"]);
    for (path, words) in [
        (".", ["directory", "file inside"]),
        ("none.jsonl", ["none.jsonl", "path"]),
    ] {
        let done = call(&server, COMPARE).args(&["-w", path]).run();
        assert_refused(&done, 2, &words);
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_settings_file_with_a_fault_names_the_place_or_the_nearest_key() {
    let server = Faultd::always(Fault::Status(200));
    for (text, words) in [
        ("[load]\nrat = \"1/s\"\n", ["`rat`", "`rate`"]),
        ("[gate]\ntolerence = []\n", ["`tolerence`", "`tolerance`"]),
        ("[laod]\n", ["`laod`", "`load`"]),
        ("[load]\nrate = \"1O0/s\"\n", ["line 2", "1O0/s"]),
        ("[load]\nrate = 100\n", ["line 2", "proofload.toml"]),
        ("[load\n", ["line 1", "proofload.toml"]),
    ] {
        let done = call(&server, &format!("{COMPARE} {FAST}"))
            .file("proofload.toml", text)
            .run();
        assert_refused(&done, 2, &words);
    }
    let done = call(&server, &format!("{COMPARE} {FAST} --config none.toml")).run();
    assert_refused(&done, 2, &["none.toml"]);
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_directory_with_something_else_in_it_is_not_overwritten() {
    let server = Faultd::always(Fault::Status(200));
    let line = format!("{COMPARE} {FAST}");
    let done = call(&server, &line).file("out/thesis.tex", "mine").run();
    assert_refused(&done, 2, &["out", "--out-dir"]);
    assert_eq!(
        std::fs::read_to_string(done.path("out/thesis.tex")).unwrap(),
        "mine"
    );
    let done = call(&server, &line).file("out", "a file").run();
    assert_refused(&done, 2, &["out"]);
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_host_that_was_not_allowed_is_refused_by_name_or_address() {
    let to = "run -o run.jsonl --request /x --rate 9/s --target";
    let named = "run -o run.jsonl --request /x --rate 9/s --allow-host";
    check(
        &[
            (
                to,
                "http://staging.invalid",
                &["staging.invalid", "--allow-host staging.invalid"],
            ),
            (to, "http://192.0.2.1", &["192.0.2.1", "--allow-host"]),
            (to, "http://localhost.invalid", &["localhost.invalid"]),
            (
                named,
                "other.invalid --target http://staging.invalid",
                &["staging.invalid"],
            ),
            (
                named,
                "0.0.0.0 --target http://0.0.0.0:1",
                &["no address of a service"],
            ),
            (
                named,
                "169.254.169.254 --target http://169.254.169.254",
                &["metadata"],
            ),
            (
                "compare --out-dir out --request /x --rate 200/s --baseline {url}",
                "--candidate http://192.0.2.1",
                &["192.0.2.1", "allow-list"],
            ),
        ],
        3,
    );
}

#[test]
fn an_allowed_host_is_refused_no_longer_and_the_message_says_how() {
    // An address of this machine that is not known as loopback, and a port where nobody is.
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let line = format!("run -o x {FAST} --target http://[::ffff:127.0.0.1]:{port}");
    let done = Proofload::new(&line).run();
    assert_refused(&done, 3, &["[targets]"]);
    let host = word_after(&done.stderr, "--allow-host ").to_owned();
    let done = Proofload::new(&line).args(&["--allow-host", &host]).run();
    assert_refused(&done, 12, &["refuses connections", "no load was sent"]);
    let settings = format!("[targets]\nallow = [\"{host}\"]\n");
    let done = Proofload::new(&line)
        .file("proofload.toml", &settings)
        .run();
    assert_refused(&done, 12, &["refuses connections"]);
}

#[test]
fn writes_need_a_permission_of_their_own() {
    let server = Faultd::always(Fault::Status(200));
    let post = ["--request", "POST /orders", "--rate", "50/s"];
    for line in [COMPARE, "run -o x --target {url}"] {
        let done = call(&server, line).args(&post).run();
        assert_refused(&done, 3, &["1 × POST", "--allow-writes"]);
    }
    assert_eq!(server.requests(), 0);
    let line = "run -o x -d 300ms --allow-writes --target {url}";
    call(&server, line).args(&post).run().measured();
    assert!(
        server
            .seen()
            .iter()
            .all(|one| one.head.starts_with("POST /orders "))
    );
    assert!(server.requests() > 1);
}

#[test]
fn a_side_that_refuses_connections_is_invalid_and_nobody_gets_a_load() {
    let server = Faultd::always(Fault::Status(200));
    let gone = Faultd::always(Fault::Status(200));
    let dead = gone.url();
    drop(gone);
    let url = server.url();
    for (baseline, candidate, words, seen) in [
        (&dead, &url, ["baseline", "refuses connections"], 0),
        (&url, &dead, ["candidate", "refuses connections"], 2),
    ] {
        let line = format!("compare --baseline {baseline} --candidate {candidate} --out-dir out");
        let two = ["--request", "/x", "--request", "/y", "--rate", "400/s"];
        let done = Proofload::new(&line).args(&two).run();
        assert_refused(&done, 12, &words);
        assert!(done.stderr.contains("no load was sent"), "{}", done.stderr);
        assert_eq!(
            server.requests(),
            seen,
            "the preflight asks each endpoint once"
        );
        assert!(!done.path("out/report.html").exists());
    }
}

#[test]
fn an_endpoint_without_an_answer_is_found_before_any_load() {
    let server = Setup::default()
        .route("/x", Fault::Status(200))
        .route("/y", Fault::Bytes(Vec::new(), Then::Close))
        .start();
    let two = ["--request", "/x", "--request", "/y", "--rate", "400/s"];
    let done = call(&server, COMPARE).args(&two).run();
    assert_refused(&done, 12, &["GET /y gave no answer", "no load was sent"]);
    assert!(server.requests() <= 3, "{}", server.requests());
}

#[test]
fn a_recording_that_no_longer_fits_is_invalid() {
    let server = Setup::default().route("/x", Fault::Status(200)).start();
    let lines = ["/x", "/gone", "/x", "/lost"].iter().zip(1..).map(|(path, at)| {
        format!(
            "{{\"offset_ns\":{at}0000000,\"method\":\"GET\",\"path\":\"{path}\",\"status\":200}}"
        )
    });
    let text = HEADER.to_owned() + &lines.collect::<Vec<_>>().join("\n");
    let line = format!("{COMPARE} -w w.jsonl");
    let done = call(&server, &line).file("w.jsonl", &text).run();
    assert_refused(&done, 12, &["no longer fits the data", "GET /gone", "404"]);
    assert_eq!(server.requests(), 3, "one for each endpoint");
}

#[test]
fn a_run_never_replaces_what_is_no_run_file() {
    let server = Faultd::always(Fault::Status(200));
    let line = r#"{"offset_ns":0,"method":"GET","path":"/"}"#;
    let text = format!("{HEADER}{line}\n");
    let call = call(
        &server,
        "run --target {url} -w w.jsonl -o w.jsonl --rate 50/s -d 1s",
    );
    let done = call.file("w.jsonl", &text).run();
    assert_refused(&done, 2, &["w.jsonl", "no run file", "-o"]);
    assert_eq!(std::fs::read_to_string(done.path("w.jsonl")).unwrap(), text);
    assert_eq!(server.seen().len(), 0);
}
