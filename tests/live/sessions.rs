//! A comparison in several sessions, and the plan of one that is never begun.

use std::path::Path;

use proofload::run::Run;

use crate::{
    binary::{Done, Proofload, honestly},
    engine::quiet,
    faultd::{Fault, Faultd, MS},
};

/// One warm-up and eight rounds of half a second.
const SHORT: &str = "-d 9500ms --slot 500ms --rate 160/s --request /x";
/// An error tolerance for which no such plan has enough requests; times do not matter.
const OPEN: &str = "--tolerance p50=400% --min-effect p50=200% --tolerance errors=0.01pp \
                    --min-effect errors=0.005pp";

fn compare(a: &Faultd, b: &Faultd, out: &Path, rest: &str) -> Proofload {
    let (a, b, out) = (a.url(), b.url(), out.display());
    Proofload::new(&format!(
        "compare --baseline {a} --candidate {b} --out-dir {out} {SHORT} {rest}"
    ))
}

fn stored(out: &Path) -> Run {
    Run::read(std::fs::read(out.join("run.jsonl")).unwrap().as_slice()).unwrap()
}

fn planned_rounds(done: &Done) -> u64 {
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    report["rounds"]["planned"].as_u64().unwrap()
}

#[test]
fn what_has_no_answer_is_gone_on_with_and_what_has_one_is_not() {
    let _quiet = quiet();
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Delay(100 * MS)));
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let built = format!("{OPEN} --commit 4f1c2e9");
    let first = honestly(|| compare(&a, &b, &out, &built).run()).expect(11);
    assert!(first.stderr.contains("--resume"), "{}", first.stderr);
    let before = stored(&out).slots;
    let rest = format!("{built} --resume --format json");
    let second = compare(&a, &b, &out, &rest).run();
    assert!([11, 12].contains(&second.code), "{}", second.stderr);
    assert_eq!(planned_rounds(&second), 16);
    let run = stored(&out);
    let judged = |slots: &[proofload::run::Slot]| -> Vec<u32> {
        slots
            .iter()
            .map(|slot| slot.round)
            .filter(|round| *round > 0)
            .collect()
    };
    let kept = judged(&before);
    assert_eq!(judged(&run.slots)[..kept.len()], kept);
    let sessions = run.header.plan["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);

    for (flags, cause) in [
        ("--tolerance errors=5pp", "gate"),
        ("--rate 170/s", "load"),
        ("--timeout 3s", "--timeout"),
        ("--commit 5f1c2e9", "the commit of the candidate"),
    ] {
        let refused = compare(&a, &b, &out, &format!("{OPEN} {flags} --resume"))
            .run()
            .expect(2);
        assert!(
            refused.stderr.contains(cause),
            "{flags}: {}",
            refused.stderr
        );
    }
    let swapped = compare(&b, &a, &out, &format!("{OPEN} --resume"))
        .run()
        .expect(2);
    assert!(
        swapped.stderr.contains("the baseline"),
        "{}",
        swapped.stderr
    );

    let done = home.path().join("done");
    let wide = "--tolerance p50=400% --min-effect p50=200% --tolerance errors=50pp";
    honestly(|| compare(&a, &b, &done, wide).run()).expect(0);
    let again = compare(&a, &b, &done, &format!("{wide} --resume"))
        .run()
        .expect(2);
    assert!(again.stderr.contains("has an answer"), "{}", again.stderr);
    let nothing = compare(&a, &b, &home.path().join("new"), "--resume")
        .run()
        .expect(2);
    assert!(nothing.stderr.contains("--resume"), "{}", nothing.stderr);
}

#[test]
fn an_interrupted_comparison_goes_on_after_its_last_whole_round() {
    let _quiet = quiet();
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Delay(100 * MS)));
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let mut started = compare(&a, &b, &out, OPEN).start();
    started.wait_until("three rounds are stored", |_| {
        let text = std::fs::read_to_string(out.join("run.jsonl")).unwrap_or_default();
        text.matches('\n').count() > 8
    });
    started.signal("KILL");
    started.wait();
    let whole = stored(&out)
        .slots
        .iter()
        .map(|slot| slot.round)
        .max()
        .unwrap()
        - 1;
    let rest = format!("{OPEN} --resume --format json");
    let second = compare(&a, &b, &out, &rest).run();
    assert!([11, 12].contains(&second.code), "{}", second.stderr);
    let planned = planned_rounds(&second);
    assert!(
        (u64::from(whole) + 8..=u64::from(whole) + 9).contains(&planned),
        "{planned}"
    );
}

#[test]
fn a_plan_is_told_and_nothing_is_sent() {
    let server = Faultd::always(Fault::Status(200));
    let url = server.url();
    let line = format!("plan --baseline {url} --candidate {url} --out-dir out --request /x");
    let done = Proofload::new(&format!("{line} --rate 200/s -d 5m"))
        .run()
        .expect(0);
    assert!(
        done.stdout.contains("24 rounds") && done.stdout.contains("GET /x"),
        "{}",
        done.stdout
    );
    assert!(!done.path("out").exists(), "it writes nothing");
    let json = Proofload::new(&format!("{line} --rate 200/s --format json"))
        .run()
        .expect(0);
    let plan: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&plan["rounds"], &plan["looks"][0]),
        (&12.into(), &8.into())
    );
    assert_eq!(server.requests(), 0);
    let few = Proofload::new(&format!("{line} --rate 1/s"))
        .run()
        .expect(2);
    assert!(few.stderr.contains("--rate"), "{}", few.stderr);
}
