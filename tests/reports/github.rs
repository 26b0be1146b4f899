//! What GitHub Actions would get, from files and variables that look like its own, and what the
//! other services tell.

use crate::kit::{Done, Home, NASTY, Outcome};

/// Lines that the runner would take for commands: those that begin so after blanks, and the old
/// kind anywhere.
fn commands(done: &Done) -> Vec<&str> {
    let lines = done.stdout.lines().chain(done.stderr.lines());
    let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    lines.filter(is_command).collect()
}

fn actions(home: &Home, more: &str, code: i32) -> Done {
    let [summary, output] = ["summary", "output"].map(|name| home.path(name));
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("GITHUB_OUTPUT", output.to_str().unwrap()),
    ];
    home.compare(more, &variables).expect(code)
}

#[test]
fn a_step_gets_its_summary_annotations_and_outputs() {
    for outcome in Outcome::ALL {
        let home = Home::new(outcome);
        std::fs::write(home.path("output"), "left=open").unwrap();
        let done = actions(&home, "", outcome.code());
        let said = commands(&done);
        assert!(said.len() <= 10, "{said:?}");
        let ours = |line: &&str| {
            let levels = [
                "::error title=proofload%3A ",
                "::warning title=proofload%3A ",
            ];
            levels.iter().any(|level| line.starts_with(level))
        };
        assert!(said.iter().all(ours), "{said:?}");
        assert_eq!(said.is_empty(), outcome == Outcome::Pass, "{said:?}");
        // The result stays alone on stdout.
        let stdout = done.stdout.lines();
        assert!(stdout.into_iter().all(|line| !line.starts_with("::")));

        let summary = home.read("summary");
        assert_eq!(summary.trim(), home.read("out/summary.md").trim());
        let word = outcome.name().to_uppercase();
        assert!(summary.contains(&format!("{word}: ")), "{summary}");
        let output = home.read("output");
        let outputs: Vec<_> = output
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let value = |name: &str| {
            let mut own = outputs.iter().filter(|(key, _)| *key == name);
            let (_, value) = own.next().unwrap_or_else(|| panic!("{name}: {output}"));
            assert!(own.next().is_none(), "{name}: {output}");
            *value
        };
        assert_eq!(value("left"), "open");
        assert_eq!(value("verdict"), outcome.name());
        assert_eq!(value("exit-code"), outcome.code().to_string());
        assert_eq!(value("out-dir"), "out");
        assert_eq!(value("report"), "out/report.html");
        assert!(value("sentence").starts_with(&word));
        assert_eq!(outputs.len(), 6, "{output}");
    }
}

#[test]
fn a_full_step_and_files_that_are_not_there_change_nothing() {
    let home = Home::new(Outcome::Pass);
    std::fs::write(home.path("summary"), vec![b'x'; 999_000]).unwrap();
    let done = actions(&home, "", 0);
    assert!(
        done.stderr.contains("summaries of this step are full"),
        "{}",
        done.stderr
    );
    assert_eq!(home.read("summary").len(), 999_000);
    let gone = home.path("none/output");
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_OUTPUT", gone.to_str().unwrap()),
    ];
    let done = home.compare("", &variables).expect(0);
    assert!(done.stderr.contains("cannot be written"), "{}", done.stderr);
}

#[test]
fn nobody_is_told_who_is_not_there_or_was_refused() {
    let home = Home::new(Outcome::Regressed);
    let done = actions(&home, "--ci none", 10);
    assert!(commands(&done).is_empty(), "{}", done.stderr);
    assert!(!home.path("summary").exists() && !home.path("output").exists());
    for variables in [
        vec![],
        vec![("GITLAB_CI", "true")],
        vec![("JENKINS_URL", "x")],
    ] {
        let done = home.compare("", &variables).expect(10);
        assert!(commands(&done).is_empty(), "{}", done.stderr);
    }
}

#[test]
fn the_commit_of_a_service_is_that_of_what_it_measures_now() {
    let home = Home::new(Outcome::Pass);
    let commit = |variables: &[(&str, &str)], more: &str| {
        home.compare(more, variables).expect(0);
        let verdict = home.json("out/verdict.json");
        verdict["candidate"]["labels"]["commit"]
            .as_str()
            .map(str::to_owned)
    };
    // This candidate was measured at another time, so that it is nothing that is built now.
    assert_eq!(commit(&[("GITHUB_SHA", "aaaaaaa")], ""), None);
    let own = ("PROOFLOAD_COMMIT", "bbbbbbb");
    assert_eq!(commit(&[own], ""), Some("bbbbbbb".to_owned()));
    assert_eq!(
        commit(&[own], "--commit ccccccc"),
        Some("ccccccc".to_owned())
    );
    // What is live is looked at before anything is sent: `run` refuses a dead target with 12.
    let again = ("PROOFLOAD_COMMIT", "a b");
    home.compare("", &[again]).expect(2);
}

#[test]
fn a_stored_commit_is_shown_unless_another_is_given() {
    let home = Home::new(Outcome::Pass);
    home.compare("--commit 4f1c2e9", &[]).expect(0);
    std::fs::copy(home.path("out/run.jsonl"), home.path("both.jsonl")).unwrap();
    let line = "compare --baseline main --candidate both.jsonl:candidate --out-dir again";
    home.call(line, &[]);
    let report = home.json("again/report.json");
    assert_eq!(
        report["subject"]["candidate"]["labels"]["commit"],
        "4f1c2e9"
    );
    assert!(home.read("again/summary.md").contains("(commit `4f1c2e9`)"));
    assert!(home.read("again/report.html").contains("commit 4f1c2e9"));
    assert!(!home.read("again/summary.md").contains(NASTY));
}
