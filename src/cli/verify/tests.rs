//! Whatever does not hold is refused, with its code and a sentence.

use std::collections::BTreeMap;

use super::*;
use crate::report::VERDICT_SCHEMA;

fn verdict() -> VerdictFile {
    let side =
        |commit: &str| serde_json::json!({"label": "http://x", "labels": {"commit": commit}});
    let value = serde_json::json!({
        "schema": VERDICT_SCHEMA, "verdict": "pass", "exit_code": 0,
        "sentence": "PASS: nothing is worse than you tolerate", "causes": [], "regressed": [],
        "title": "x", "version": "0.1.0", "started_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-02T12:00:00Z", "baseline": side("77aa0d1"),
        "candidate": side("4f1c2e9d00"), "workload": {"source": "w", "digest": "sha256:0"},
        "files": BTreeMap::<String, String>::new(),
    });
    serde_json::from_value(value).unwrap()
}

/// The code and the sentence for a verdict that is looked at at that time.
fn found(verdict: &VerdictFile, at: &str, commit: &str, max_age: &str) -> (u8, String) {
    let args = VerifyArgs {
        file: PathBuf::new(),
        commit: Some(commit)
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().unwrap()),
        baseline_commit: None,
        max_age: Some(max_age)
            .filter(|it| !it.is_empty())
            .map(|it| it.parse().unwrap()),
    };
    match args.check(verdict, at.parse().unwrap()) {
        Ok(()) => (0, String::new()),
        Err(failure) => (failure.code, format!("{:#}", failure.error)),
    }
}

#[test]
fn age_and_commit_are_held_against_what_is_wanted() {
    let verdict = verdict();
    let noon = "2026-03-01T12:00:00Z";
    for (at, commit, max_age, code, said) in [
        (noon, "", "", 0, ""),
        ("2026-03-02T12:00:00Z", "4f1c2e9", "24h", 0, ""),
        (
            "2026-03-02T12:00:01Z",
            "",
            "",
            12,
            "expired at 2026-03-02T12:00:00Z",
        ),
        ("2026-03-01T13:00:01Z", "", "1h", 12, "measured 1.0 h ago"),
        ("2026-03-01T13:00:00Z", "", "1h", 0, ""),
        ("2026-03-01T11:56:00Z", "", "1h", 0, ""),
        ("2026-03-01T11:50:00Z", "", "", 12, "in the future"),
        (
            noon,
            "77aa0d1",
            "",
            12,
            "built from commit 4f1c2e9d00, and 77aa0d1 is to be approved",
        ),
        (noon, "4f1c2e9d00", "", 0, ""),
    ] {
        let (found, sentence) = self::found(&verdict, at, commit, max_age);
        assert_eq!(found, code, "{at} {commit} {max_age}: {sentence}");
        assert!(sentence.contains(said), "{sentence}");
    }
    let mut unsaid = verdict.clone();
    unsaid.candidate.labels.clear();
    let (code, said) = found(&unsaid, noon, "4f1c2e9", "");
    assert!(
        code == 12 && said.contains("--commit or PROOFLOAD_COMMIT"),
        "{said}"
    );
    for expires_at in [None, Some("tomorrow".to_owned())] {
        let verdict = VerdictFile {
            expires_at,
            ..verdict.clone()
        };
        assert_eq!(found(&verdict, noon, "", "").0, 12);
    }
}

#[test]
fn only_a_pass_that_ended_well_is_one() {
    for (verdict, exit_code, code, said) in [
        (Verdict::Pass, 0, 0, ""),
        (Verdict::Pass, 20, 20, "ended with exit code 20"),
        (Verdict::Pass, 143, 143, "ended with exit code 143"),
        (Verdict::Regressed, 10, 10, "too slow"),
        (Verdict::Regressed, 0, 10, "no PASS"),
        (Verdict::Inconclusive, 11, 11, "too slow; because"),
        (Verdict::Inconclusive, 0, 11, "let it through"),
        (Verdict::Invalid, 12, 12, "too slow"),
    ] {
        let verdict = VerdictFile {
            verdict,
            exit_code,
            sentence: "too slow".to_owned(),
            causes: vec!["because".to_owned()],
            ..self::verdict()
        };
        let (found, sentence) = found(&verdict, "2026-03-01T12:00:00Z", "", "");
        assert_eq!(found, code, "{sentence}");
        assert!(sentence.contains(said), "{sentence}");
    }
}

#[test]
fn a_verdict_names_only_files_beside_it() {
    for name in ["../x", "/etc/passwd", ".hidden", "a/b", "a\nb"] {
        let mut verdict = verdict();
        verdict.files.insert(name.to_owned(), "sha256:0".to_owned());
        let error = check_files(&verdict, Path::new("out/verdict.json")).unwrap_err();
        assert!(
            error.to_string().contains("no comparison writes"),
            "{error}"
        );
    }
    let error = check_files(&verdict(), Path::new("out/verdict.json")).unwrap_err();
    assert!(
        error.to_string().contains("report.json is not there"),
        "{error}"
    );
}
