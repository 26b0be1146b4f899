//! `proofload verify` after real comparisons: what holds is approved, and nothing else.

use crate::kit::{Home, Outcome};

const COMMIT: &str = "4f1c2e9d00aa11bb22cc33dd44ee55ff66778899";

fn passed() -> Home {
    let home = Home::new(Outcome::Pass);
    home.compare(&format!("--commit {COMMIT}"), &[]).expect(0);
    home
}

#[test]
fn only_a_pass_of_the_commit_is_approved() {
    for outcome in Outcome::ALL {
        let home = Home::new(outcome);
        let more = format!("--commit {COMMIT} --baseline-commit v2.3");
        let code = outcome.code();
        let done = home.compare(&more, &[]).expect(code);
        let verdict = home.json("out/verdict.json");
        assert_eq!(verdict["verdict"], outcome.name(), "{}", done.stdout);
        assert_eq!(verdict["exit_code"], code);
        assert_eq!(verdict["candidate"]["labels"]["commit"], COMMIT);
        assert_eq!(verdict["baseline"]["labels"]["commit"], "v2.3");
        let line = "verify out/verdict.json --commit 4f1c2e9d --baseline-commit v2.3 --max-age 1h";
        let done = home.call(line, &[]).expect(code);
        let said = if code == 0 {
            &done.stdout
        } else {
            &done.stderr
        };
        let word = outcome.name().to_uppercase();
        assert!(said.contains(&format!("{word}: ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        // Another commit comes first, whatever the verdict.
        let done = home.call("verify out --commit 5f1c2e9d", &[]).expect(12);
        assert!(done.stderr.contains("is to be approved"), "{}", done.stderr);
    }
}

#[test]
fn whatever_was_changed_is_refused() {
    let home = passed();
    let said = |name: &str, change: fn(String) -> String| {
        let before = home.read(name);
        std::fs::write(home.path(name), change(before.clone())).unwrap();
        let done = home.call("verify out", &[]).expect(12);
        std::fs::write(home.path(name), before).unwrap();
        home.call("verify out", &[]).expect(0);
        done.stderr
    };
    for name in [
        "report.html",
        "report.json",
        "junit.xml",
        "summary.md",
        "changes.csv",
        "metrics.txt",
        "run.jsonl",
    ] {
        let said = said(&format!("out/{name}"), |text| text + " ");
        assert!(
            said.contains(&format!("{name} was changed since")),
            "{said}"
        );
    }
    // What fits its own digest still has to be what the report says.
    let later = said("out/verdict.json", |text| {
        text.replace("\"expires_at\": \"2", "\"expires_at\": \"3")
    });
    assert!(
        later.contains("does not say what report.json says"),
        "{later}"
    );
    let other = said("out/verdict.json", |text| text.replace(COMMIT, "5f1c2e9d"));
    assert!(
        other.contains("does not say what report.json says"),
        "{other}"
    );
}

#[test]
fn a_directory_without_its_big_file_is_enough_and_one_without_its_report_is_not() {
    let home = passed();
    std::fs::remove_file(home.path("out/run.jsonl")).unwrap();
    let done = home.call("verify out", &[]).expect(0);
    let said = "not there to be checked: run.jsonl";
    assert!(done.stdout.contains(said), "{}", done.stdout);
    std::fs::remove_file(home.path("out/report.json")).unwrap();
    let done = home.call("verify out", &[]).expect(12);
    assert!(
        done.stderr.contains("report.json is not there"),
        "{}",
        done.stderr
    );
    for (content, said) in [
        ("{}", "not a verdict"),
        ("{\"schema\":\"proofload.verdict.v9\"}", "use the newer one"),
        ("\u{fffd}", "not a verdict"),
    ] {
        std::fs::write(home.path("out/verdict.json"), content).unwrap();
        let done = home.call("verify out/verdict.json", &[]).expect(2);
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
    home.call("verify nowhere.json", &[]).expect(2);
    home.call("verify out --max-age soon", &[]).expect(2);
    home.call("verify out --commit $(id)", &[]).expect(2);
}

#[test]
fn what_is_too_old_or_let_through_is_not_approved() {
    let home = Home::new(Outcome::Pass);
    home.compare("--valid-for 30s", &[]).expect(0);
    let done = home.call("verify out", &[]).expect(12);
    assert!(done.stderr.contains("expired at"), "{}", done.stderr);
    home.compare("", &[("PROOFLOAD_VALID_FOR", "1h")]).expect(0);
    home.call("verify out --max-age 10m", &[]).expect(0);
    let done = home.call("verify out --max-age 10s", &[]).expect(12);
    assert!(done.stderr.contains("compare again"), "{}", done.stderr);
    let done = home.call("verify out --commit 4f1c2e9", &[]).expect(12);
    assert!(done.stderr.contains("PROOFLOAD_COMMIT"), "{}", done.stderr);

    let home = Home::new(Outcome::Inconclusive);
    home.compare("--inconclusive-as pass", &[]).expect(0);
    let done = home.call("verify out", &[]).expect(11);
    assert!(done.stderr.contains("let it through"), "{}", done.stderr);
}

#[test]
fn an_earlier_verdict_never_stands_beside_a_later_run() {
    let home = passed();
    let other = Home::new(Outcome::Regressed);
    let name = "candidate.jsonl";
    std::fs::copy(other.path(name), home.path(name)).unwrap();
    home.compare("", &[]).expect(10);
    home.call("verify out", &[]).expect(10);
    let verdict = home.json("out/verdict.json");
    let regressed = verdict["regressed"].as_array().unwrap();
    assert!(!regressed.is_empty(), "{verdict}");
}
