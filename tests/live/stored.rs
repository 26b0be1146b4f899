//! `run --save-baseline` and `compare` with stored sides, from end to end.
//!
//! A round is two slots of 250 ms; the server takes 200 ms, so that a late wake-up of the
//! generator does not matter.

use std::path::Path;

use proofload::run::{Run, STORED, Side, arrangement};

use crate::{
    binary::{Done, Proofload, honestly},
    engine::quiet,
    faultd::{Fault, Faultd, MS},
};

const LOAD: &str = "-d 6s --slot 250ms --rate 160/s --seed 5 --request /x";
const USUAL: Fault = Fault::Delay(200 * MS);
const LABEL: &str = "not measured together";

/// A run of this server that is kept under a name, after what was done before.
fn keep(server: &Faultd, name: &str, before: Option<Done>) -> Done {
    let line = format!(
        "run --target {} --save-baseline {name} {LOAD}",
        server.url()
    );
    again(&line, before, 0)
}

/// A call in the same directory until the machine lets it measure.
fn again(line: &str, before: Option<Done>, code: i32) -> Done {
    let call = |before: Option<Done>| {
        let call = Proofload::new(line);
        match before {
            Some(before) => call.within(before).run(),
            None => call.run(),
        }
    };
    let mut done = call(before);
    for _ in 0..7 {
        if !done.is_disturbed() {
            break;
        }
        done = call(Some(done));
    }
    done.expect(code)
}

fn read(done: &Done, name: &str) -> String {
    std::fs::read_to_string(done.path(name)).unwrap()
}

fn run_of(path: &Path) -> Run {
    Run::read(std::io::BufReader::new(std::fs::File::open(path).unwrap())).unwrap()
}

/// Whether the honest label stands in every report.
fn assert_labelled(done: &Done) {
    assert!(done.stdout.contains(LABEL), "{}", done.stdout);
    for name in ["report.html", "summary.md", "junit.xml", "report.json"] {
        let text = read(done, &format!("out/{name}"));
        assert!(text.contains(LABEL), "{name}: {text}");
    }
    let mut csv = csv::Reader::from_path(done.path("out/changes.csv")).unwrap();
    let mut names = csv.headers().unwrap().iter();
    let column = names.position(|it| it == "measured_together").unwrap();
    assert!(csv.records().all(|row| &row.unwrap()[column] == "false"));
}

#[test]
fn one_stored_run_judges_errors_only_and_says_so_everywhere() {
    let _quiet = quiet();
    let (good, fast) = (Faultd::always(USUAL), Faultd::always(Fault::Delay(90 * MS)));
    let done = keep(&good, "main", None);
    assert!(done.stderr.contains("1 stored run(s)"), "{}", done.stderr);
    let stored = run_of(&done.path("baselines/main.run.jsonl"));
    assert!(read(&done, "baselines/main.json").contains(&stored.header.run_id));
    // The load is that of the stored run; only what is sent has to be given.
    let line = format!(
        "compare --baseline main --candidate {} --request /x --out-dir out",
        fast.url()
    );
    let before = fast.requests();
    let done = again(&line, Some(done), 11);
    assert!(fast.requests() - before >= 950, "{}", fast.requests());
    assert!(
        done.stdout.contains("sides not measured together"),
        "{}",
        done.stdout
    );
    assert_labelled(&done);
    assert!(!done.stdout.contains("faster"), "{}", done.stdout);
    let both = run_of(&done.path("out/run.jsonl"));
    assert_eq!(arrangement(&both.header), Some(STORED));
    for side in Side::BOTH {
        assert_eq!(
            proofload::run::side_rounds(&both, side).len(),
            12,
            "{side:?}"
        );
    }
    let some = Fault::Either(0.1, Box::new(Fault::Status(500)), Box::new(USUAL));
    let errors = Faultd::always(some);
    let line = line.replace(&fast.url(), &errors.url());
    let done = again(&line, Some(done), 10);
    assert!(done.stdout.contains("fails more often"), "{}", done.stdout);
    assert_labelled(&done);
    // And the file of that comparison is a run again, offline.
    drop((good, fast, errors));
    let line = "compare --baseline main --candidate kept.jsonl:candidate --out-dir out";
    std::fs::copy(done.path("out/run.jsonl"), done.path("kept.jsonl")).unwrap();
    let done = again(line, Some(done), 10);
    assert_labelled(&done);
    let mut done = Some(done);
    for (line, code, said) in [
        ("baseline list", 0, "main  1 run(s), the newest: 20"),
        ("baseline show main", 0, "24 slots"),
        ("baseline show ../x", 2, "is no name for a baseline"),
        ("baseline remove main", 0, "1 run(s) removed"),
        ("baseline show main", 2, "there is no baseline `main`"),
    ] {
        let call = Proofload::new(line).within(done.take().unwrap());
        let after = call.run().expect(code);
        let all = format!("{}{}", after.stdout, after.stderr);
        assert!(all.contains(said), "{line}: {all}");
        done = Some(after);
    }
}

#[test]
fn four_stored_runs_judge_latency() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let mut done = keep(&server, "main", None);
    for runs in 2..=5 {
        done = keep(&server, "main", Some(done));
        let said = format!("{runs} stored run(s)");
        assert!(done.stderr.contains(&said), "{}", done.stderr);
    }
    let slow = Faultd::always(Fault::Delay(440 * MS));
    let wide = "--tolerance p50=80% --min-effect p50=40% --tolerance errors=5pp";
    let line = |server: &Faultd| {
        let url = server.url();
        format!("compare --baseline main --candidate {url} --request /x --out-dir out {wide}")
    };
    let done = again(&line(&slow), Some(done), 10);
    assert!(
        done.stdout.contains("is slower than you tolerate"),
        "{}",
        done.stdout
    );
    assert_labelled(&done);
    let done = again(&line(&server), Some(done), 0);
    assert!(done.stdout.contains("5 stored runs"), "{}", done.stdout);
    assert_labelled(&done);
    // The other way round: the stored one is the candidate, and one run is all that there is of
    // the baseline.
    let line = format!(
        "compare --baseline {} --candidate main --request /x --out-dir out {wide}",
        slow.url()
    );
    again(&line, Some(done), 11);
}

#[test]
fn a_candidate_that_dies_beside_a_stored_run_is_regressed() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let mut done = Some(honestly(|| {
        let line = format!("run --target {} --save-baseline main {LOAD}", server.url());
        Proofload::new(&line).run()
    }));
    let mut candidate = Some(Faultd::always(USUAL));
    let url = candidate.as_ref().unwrap().url();
    let line =
        format!("compare --baseline main --candidate {url} --request /x --out-dir out -d 30s");
    let call = Proofload::new(&line).within(done.take().unwrap().expect(0));
    let mut started = call.start();
    started.wait_until("some slots are stored", |directory| {
        let text = std::fs::read_to_string(directory.join("out/run.jsonl"));
        text.unwrap_or_default().matches("\"slot\":").count() >= 6
    });
    drop(candidate.take());
    let done = started.wait();
    assert_eq!(done.code, 10, "{}\n{}", done.stdout, done.stderr);
    assert!(
        done.stdout.contains("candidate stopped answering"),
        "{}",
        done.stdout
    );
    assert_labelled(&done);
}

#[test]
fn what_cannot_stand_beside_each_other_is_refused_by_name() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let url = server.url();
    let done = keep(&server, "main", None);
    let sent = server.requests();
    let main = done.path("baselines/main.run.jsonl");
    let damaged = read(&done, "baselines/main.run.jsonl").replacen("\"round\":3", "\"round\":4", 1);
    std::fs::write(done.path("damaged.jsonl"), damaged).unwrap();
    std::fs::create_dir(done.path("out")).unwrap();
    std::fs::copy(&main, done.path("out/run.jsonl")).unwrap();
    let mut done = Some(done);
    let live = format!("--candidate {url} --request /x");
    for (line, said) in [
        (
            format!("--baseline other {live}"),
            "there is no baseline `other`",
        ),
        (
            format!("--baseline ../main {live}"),
            "is no name for a baseline",
        ),
        (
            format!("--baseline gone.jsonl {live}"),
            "cannot read gone.jsonl",
        ),
        (format!("--baseline damaged.jsonl {live}"), "is damaged"),
        (format!("--baseline main:candidate {live}"), "is no name"),
        (
            format!("--baseline out/run.jsonl {live}"),
            "lies in --out-dir",
        ),
        (
            format!("--baseline main --candidate {url} --request /y"),
            "with another workload",
        ),
        (
            format!("--baseline main --candidate {url}"),
            "nothing says what to send",
        ),
        (
            format!("--baseline main {live} --rate 170/s"),
            "rate is 160/s for the baseline",
        ),
        (
            format!("--baseline main {live} --slot 500ms -d 9s"),
            "length of a round",
        ),
        (format!("--baseline main {live} -d 2s"), "needs 8 rounds"),
        (
            format!("--baseline main {live} --resume"),
            "--resume is for two live",
        ),
        (
            "--baseline main --candidate main".to_owned(),
            "both sides are of the same run",
        ),
        (
            "--baseline main --baseline-cmd ./x --candidate main".to_owned(),
            "a stored side is not started",
        ),
    ] {
        let call = Proofload::new(&format!("compare --out-dir out {line}"));
        let after = call.within(done.take().unwrap()).run().expect(2);
        assert!(after.stderr.contains(said), "{line}: {}", after.stderr);
        done = Some(after);
    }
    assert_eq!(server.requests(), sent, "nothing was sent");
}

#[test]
fn what_cannot_become_a_baseline_is_refused_before_anything_is_sent() {
    let server = Faultd::always(USUAL);
    let url = server.url();
    for (rest, said) in [
        (
            "--save-baseline a/b -d 5s --rate 9/s",
            "is no name for a baseline",
        ),
        ("--save-baseline m -d 2s --rate 9/s", "needs 8 rounds"),
        (
            "--save-baseline m -d 5s --arrivals closed",
            "--arrivals closed is for",
        ),
        ("-d 5s --rate 9/s", "--output"),
    ] {
        let call = format!("run --target {url} --request /x {rest}");
        let after = Proofload::new(&call).run().expect(2);
        assert!(after.stderr.contains(said), "{rest}: {}", after.stderr);
    }
    assert_eq!(server.requests(), 0);
}
