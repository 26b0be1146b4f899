//! `proofload compare` from end to end: each verdict, its code and its files.
//!
//! Plans are as short as they can be, so tolerances are wide where a verdict must not depend on
//! the noise of the machine. The demo's own test holds the tight ones.

use std::collections::BTreeSet;

use proofload::run::Run;

use crate::{
    binary::{Done, Proofload, honestly},
    engine::quiet,
    faultd::{Fault, Faultd, MS, Setup},
};

/// One warm-up and ten rounds of half a second: two more than a verdict needs.
pub(crate) const SHORT: &str = "-d 10500ms --slot 500ms --rate 160/s --seed 5";
/// An answer that takes long enough for a late wake-up of the generator not to matter.
const USUAL: Fault = Fault::Delay(100 * MS);
/// What only a planted fault can exceed.
const WIDE: &str = "--tolerance p50=80% --min-effect p50=40%";

/// A comparison of two servers.
pub(crate) fn compare(a: &Faultd, b: &Faultd, rest: &str) -> Proofload {
    let (a, b) = (a.url(), b.url());
    Proofload::new(&format!(
        "compare --baseline {a} --candidate {b} --out-dir out {rest}"
    ))
}

fn files(done: &Done, name: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(done.path(name)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_server_against_itself_is_never_regressed() {
    let _quiet = quiet();
    let [a, b] = [(); 2].map(|()| Faultd::always(USUAL));
    let rest = format!("{SHORT} --request /x {WIDE} --tolerance errors=5pp");
    let done = honestly(|| compare(&a, &b, &rest).run());
    // Noise may keep it from being shown, and can do no more than that.
    assert!(
        [0, 11].contains(&done.code),
        "{}\n{}",
        done.stdout,
        done.stderr
    );
    let said = done.stdout.to_lowercase();
    assert!(
        said.starts_with(if done.code == 0 {
            "pass"
        } else {
            "inconclusive"
        }),
        "{said}"
    );
    let names = [
        "changes.csv",
        "junit.xml",
        "metrics.txt",
        "report.html",
        "report.json",
        "run.jsonl",
        "summary.md",
        "verdict.json",
    ];
    assert_eq!(
        files(&done, "out"),
        BTreeSet::from(names.map(str::to_owned))
    );
    let json = std::fs::read_to_string(done.path("out/report.json")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok());
}

#[test]
fn a_slow_candidate_is_regressed_and_the_slow_endpoint_is_named() {
    let _quiet = quiet();
    let server = |slow| {
        let setup = Setup::default().route("/quick", USUAL);
        setup.route("/slow", Fault::Delay(slow)).start()
    };
    let (a, b) = (server(100 * MS), server(220 * MS));
    let two = "-d 10500ms --slot 500ms --request /quick --request /slow --rate 300/s";
    let done = honestly(|| compare(&a, &b, &format!("{two} {WIDE}")).run()).expect(10);
    let summary = std::fs::read_to_string(done.path("out/summary.md")).unwrap();
    for text in [&done.stdout, &summary] {
        let mut lines = text.lines().filter(|line| !line.starts_with("<!--"));
        let headline = lines.find(|line| !line.is_empty()).unwrap();
        assert!(headline.to_lowercase().contains("regressed"), "{headline}");
        assert!(text.contains("/slow") && !text.contains("faster"), "{text}");
    }
    let junit = std::fs::read_to_string(done.path("out/junit.xml")).unwrap();
    assert!(junit.contains("<failure"), "{junit}");
}

#[test]
fn a_failing_candidate_is_regressed_however_quick_its_failures_are() {
    let _quiet = quiet();
    let a = Faultd::always(USUAL);
    let b = Faultd::always(Fault::Mix(0.05, 500));
    let done = honestly(|| compare(&a, &b, SHORT).args(&["--request", "/x"]).run()).expect(10);
    assert!(done.stdout.contains("errors"), "{}", done.stdout);
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains("faster"), "{}", path.display());
    }
}

#[test]
fn a_candidate_that_closes_the_door_on_writes_is_regressed() {
    let _quiet = quiet();
    let a = Faultd::always(USUAL);
    let b = Faultd::always(Fault::Once);
    let post = ["--allow-writes", "--request", "POST /x"];
    let done = honestly(|| compare(&a, &b, SHORT).args(&post).run()).expect(10);
    let json = std::fs::read_to_string(done.path("out/report.json")).unwrap();
    assert!(json.contains("closed_reused"), "{json}");
}

/// The report of a comparison.
fn report(done: &Done) -> serde_json::Value {
    let json = std::fs::read(done.path("out/report.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn a_candidate_that_redirects_some_is_warned_of_and_not_failed_for_it() {
    let _quiet = quiet();
    let a = Faultd::always(USUAL);
    let b = Setup::default().route("/x", Fault::Mix(0.05, 302)).start();
    let rest = format!("{SHORT} --request /x --tolerance errors=5pp");
    let done = honestly(|| compare(&a, &b, &rest).run());
    // Nothing was recorded, so that a redirect is as good an answer as any.
    assert!([0, 11].contains(&done.code), "{}", done.stdout);
    let found = report(&done);
    let warnings = found["warnings"].as_array().unwrap();
    let mix = warnings.iter().find(|it| it["code"] == "status_mix");
    let text = mix.expect("a warning")["text"].as_str().unwrap();
    assert!(text.starts_with("GET /x answers 302 in "), "{text}");
    assert!(text.contains("the baseline in 0.0 %"), "{text}");
    assert!(done.stdout.contains("answers 302 in"), "{}", done.stdout);
    let sides = found["totals"]["endpoints"].as_array().unwrap();
    assert_eq!(sides[0]["statuses"]["302"], serde_json::Value::Null);
    assert!(sides[1]["statuses"]["302"].as_u64().unwrap() > 10);
}

#[test]
fn a_limit_fails_where_the_tolerance_passes() {
    let _quiet = quiet();
    let [a, b] = [(); 2].map(|()| Faultd::always(USUAL));
    let rest = format!("{SHORT} --request /x {WIDE} --tolerance errors=5pp");
    let limit = ["--tolerance", "GET /x:p50<80ms"];
    let done = honestly(|| compare(&a, &b, &rest).args(&limit).run()).expect(10);
    let found = report(&done);
    let p50 = found["changes"].as_array().unwrap().iter();
    let p50: Vec<_> = p50
        .filter(|it| it["metric"] == "p50" && it["endpoint"] == "GET /x")
        .collect();
    let [held, compared] = p50[..] else {
        panic!("a limit and a change: {p50:?}");
    };
    assert_eq!(
        (&held["status"], &compared["status"]),
        (&"regressed".into(), &"pass".into())
    );
    assert_eq!(held["limit_ns"], 80_000_000);
    let headline = done.stdout.lines().next().unwrap();
    assert!(
        headline.contains("exceeds a limit that you set at GET /x"),
        "{headline}"
    );
    for name in ["report.html", "summary.md", "junit.xml", "changes.csv"] {
        let text = std::fs::read_to_string(done.path("out").join(name)).unwrap();
        assert!(text.contains("the limit is 80.0 ms"), "{name}: {text}");
    }
}

/// Takes one side away in the middle of the load.
fn without(side: usize) -> Done {
    honestly(|| {
        let mut servers = [(); 2].map(|()| Some(Faultd::always(USUAL)));
        let [Some(a), Some(b)] = &servers else {
            unreachable!("both were just started");
        };
        let line = format!("{SHORT} --request /x {WIDE} --timeout 2s");
        let mut started = compare(a, b, &line).start();
        started.wait_until("three rounds are stored", |directory| slots(directory) >= 6);
        drop(servers[side].take());
        started.wait()
    })
}

fn slots(directory: &std::path::Path) -> usize {
    let text = std::fs::read_to_string(directory.join("out/run.jsonl")).unwrap_or_default();
    text.matches("\"slot\":").count()
}

#[test]
fn a_side_that_dies_under_load_is_regressed_or_invalid_by_which_it_is() {
    let _quiet = quiet();
    let done = without(1).expect(10);
    assert!(done.stdout.starts_with("REGRESSED"), "{}", done.stdout);
    assert_died(&done, "candidate");
    assert!(done.stdout.contains("candidate"), "{}", done.stdout);
    let done = without(0).expect(12);
    assert!(
        done.stdout.contains("the baseline stopped answering"),
        "{}",
        done.stdout
    );
    assert_died(&done, "baseline");
}

/// Whether the run file names the side that stopped answering.
fn assert_died(done: &Done, side: &str) {
    let file = std::fs::File::open(done.path("out/run.jsonl")).unwrap();
    let run = Run::read(std::io::BufReader::new(file)).unwrap();
    let footer = run.footer.unwrap();
    assert_eq!(footer.state, "partial");
    let said = format!("target_died: the {side} stopped answering ");
    assert!(footer.reason.starts_with(&said), "{}", footer.reason);
}

#[test]
fn a_side_that_dies_in_a_long_round_is_noticed_in_seconds() {
    let _quiet = quiet();
    for (side, code) in [("baseline", 12), ("candidate", 10)] {
        let mut servers = [(); 2].map(|()| Some(Faultd::always(USUAL)));
        let [Some(a), Some(b)] = &servers else {
            unreachable!("both were just started");
        };
        let line = "-d 10m --slot 20s --warmup 500ms --rate 160/s --request /x";
        let mut started = compare(a, b, line).start();
        started.wait_until("the first round has begun", |_| b.requests() > 200);
        drop(servers[usize::from(side == "candidate")].take());
        let done = started.wait().expect(code);
        assert_died(&done, side);
        let text = std::fs::read_to_string(done.path("out/summary.md")).unwrap();
        assert!(
            text.contains(&format!("{side} stopped answering")),
            "{text}"
        );
    }
}

#[test]
fn too_little_evidence_is_inconclusive_said_beforehand_and_can_be_mapped() {
    let _quiet = quiet();
    let [a, b] = [(); 2].map(|()| Faultd::always(USUAL));
    for (map, code) in [
        ("", 11),
        ("--inconclusive-as pass", 0),
        ("--inconclusive-as fail", 10),
    ] {
        let done =
            honestly(|| compare(&a, &b, &format!("{SHORT} --request /x {WIDE} {map}")).run());
        let done = done.expect(code);
        let warned = "too few requests to show the error tolerance";
        assert!(done.stderr.contains(warned), "{}", done.stderr);
        let headline = done.stdout.lines().next().unwrap().to_lowercase();
        assert!(headline.contains("inconclusive"), "{headline}");
    }
}

#[test]
fn an_interrupted_comparison_is_no_verdict_and_its_report_is_whole() {
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Status(200)));
    let mut started = compare(&a, &b, "-d 60s --request /x --rate 100/s --slot 500ms").start();
    started.wait_until("a round is stored", |directory| slots(directory) >= 2);
    started.signal("TERM");
    let done = started.wait().expect(143);
    assert!(done.stdout.contains("SIGTERM"), "{}", done.stdout);
    assert_eq!(files(&done, "out").len(), 8);
    let json = std::fs::read(done.path("out/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(!report.to_string().contains("\"pass\""), "{report}");
}

#[test]
fn an_earlier_report_is_replaced_as_a_whole() {
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Status(200)));
    let mark = "{\"schema\":\"proofload.report.v1\"}";
    let done = compare(&a, &b, &format!("{SHORT} --request /x"))
        .file("out/report.json", mark)
        .file("out/summary.md", "old")
        .run();
    assert!([0, 10, 11, 12].contains(&done.code), "{}", done.stderr);
    assert_eq!(files(&done, "out").len(), 8);
    for name in ["report.json", "summary.md"] {
        let text = std::fs::read_to_string(done.path("out").join(name)).unwrap();
        assert!(text != mark && text != "old", "{name}");
    }
}

#[test]
fn a_comparison_that_could_not_be_stored_is_no_pass_and_still_shown() {
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Status(200)));
    let done = compare(&a, &b, &format!("{SHORT} --request /x"))
        .before("ulimit -f 12")
        .run()
        .expect(20);
    assert!(done.stderr.contains("cannot write"), "{}", done.stderr);
    assert!(done.stdout.contains("Rounds: "), "{}", done.stdout);
}
