//! The recipes in `deploy/ci/`: well formed, safe against what a workflow puts into them, and made
//! of commands that this binary takes. Their shell runs here as it would there.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::kit::{COMPARE, Done, Home, Outcome, ask_python, has};

const GITHUB: &str = "deploy/ci/github";

/// The documents of a YAML file.
fn yaml(path: &str) -> Option<Vec<Value>> {
    let script = "import json, sys, yaml\n\
                  print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let found = ask_python("yaml", script, &[Path::new(path)])?;
    Some(found.as_array().unwrap().clone())
}

fn texts<'a>(value: &'a Value, into: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => into.push(text),
        Value::Array(values) => values.iter().for_each(|it| texts(it, into)),
        Value::Object(values) => values.values().for_each(|it| texts(it, into)),
        _ => {}
    }
}

/// The command as `plan` takes it, which sends nothing: every flag is one that `compare` has.
fn is_taken(home: &Home, words: &[&str]) {
    assert_eq!(words[..2], ["proofload", "compare"], "{words:?}");
    let mut plan = Command::new(env!("CARGO_BIN_EXE_proofload"));
    plan.arg("plan").args(&words[2..]);
    // The recipes name workloads of others.
    let taken = home.done(plan, &[("PROOFLOAD_RATE", "200/s")]);
    assert_eq!(taken.code, Some(0), "{words:?}\n{}", taken.stderr);
}

/// A shell in a directory with the binary on its path, as a service would start it.
fn shell(home: &Home, shell: &[&str], variables: &[(&str, &str)]) -> Done {
    let binary = Path::new(env!("CARGO_BIN_EXE_proofload"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]);
    let all = [variables, &[("PATH", path.as_str())]].concat();
    home.done(command, &all)
}

#[test]
fn the_action_has_what_an_action_needs_and_interpolates_nothing_into_shell() {
    let Some(documents) = yaml(&format!("{GITHUB}/action.yml")) else {
        return;
    };
    let action = &documents[0];
    for key in ["name", "description"] {
        assert!(action[key].is_string(), "{key}");
    }
    let inputs = action["inputs"].as_object().unwrap();
    for (name, input) in inputs {
        assert!(
            input["description"].is_string() && input["required"].is_boolean(),
            "{name}"
        );
        assert_eq!(
            input["required"] == true,
            input["default"].is_null(),
            "{name}"
        );
    }
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    let mut given = Vec::new();
    for step in steps {
        assert_eq!(step["shell"], "bash");
        let run = step["run"].as_str().unwrap();
        assert!(!run.contains("${{"), "{run}");
        let script = run.trim_matches('"').replace("$GITHUB_ACTION_PATH", GITHUB);
        assert!(Path::new(&script).is_file(), "{script}");
        texts(&step["env"], &mut given);
    }
    for name in inputs.keys() {
        let used = format!("${{{{ inputs.{name} }}}}");
        assert!(given.contains(&used.as_str()), "{name} is not used");
    }
    let ids: Vec<_> = steps
        .iter()
        .map(|step| step["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["install", "compare"]);
    for (name, output) in action["outputs"].as_object().unwrap() {
        let value = output["value"].as_str().unwrap();
        assert_eq!(value, format!("${{{{ steps.compare.outputs.{name} }}}}"));
    }
}

#[test]
fn the_shell_of_every_recipe_is_shell() {
    for name in ["install.sh", "compare.sh"] {
        let path = format!("{GITHUB}/{name}");
        let checked = Command::new("bash").args(["-n", &path]).status().unwrap();
        assert!(checked.success(), "{path}");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/usr/bin/env bash\n") && text.contains("set -euo pipefail"));
        if has("shellcheck") {
            let output = Command::new("shellcheck").arg(&path).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
        }
    }
}

/// The action as the runner would run it, with these inputs.
fn action(home: &Home, inputs: &[(&str, &str)]) -> Done {
    let [summary, output] = ["summary", "output"].map(|name| home.path(name));
    let scripts = std::fs::canonicalize(GITHUB).unwrap();
    let script = |name: &str| scripts.join(name).display().to_string();
    let runner = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTION_PATH", scripts.to_str().unwrap()),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("GITHUB_OUTPUT", output.to_str().unwrap()),
        ("RUNNER_TEMP", "/nonexistent"),
    ];
    let bash = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];
    let [install, compare] = ["install.sh", "compare.sh"].map(script);
    let install = [bash.as_slice(), &[&install]].concat();
    let installed = shell(home, &install, &runner).expect(0);
    assert!(
        installed.stdout.starts_with("proofload "),
        "{}",
        installed.stdout
    );
    let found = home.read("output");
    let mut named = found
        .lines()
        .rev()
        .filter_map(|it| it.strip_prefix("binary="));
    let binary = named.next().unwrap();
    let more = [("PROOFLOAD", binary), ("INPUT_OUT_DIR", "out")];
    let all = [runner.as_slice(), &more, inputs].concat();
    let compare = [bash.as_slice(), &[&compare]].concat();
    shell(home, &compare, &all)
}

#[test]
fn the_action_compares_and_ends_as_the_verdict_does() {
    // The margins of the kit, one argument a line.
    let margins: Vec<_> = COMPARE.split_whitespace().skip(7).collect();
    let margins = margins.join("\n");
    for outcome in [Outcome::Pass, Outcome::Regressed] {
        let home = Home::new(outcome);
        let inputs = [
            ("INPUT_BASELINE", "main"),
            ("INPUT_CANDIDATE", "candidate.jsonl"),
            ("INPUT_ARGUMENTS", margins.as_str()),
            ("PROOFLOAD_COMMIT", "4f1c2e9"),
        ];
        action(&home, &inputs).expect(outcome.code());
        let output = home.read("output");
        let verdict = format!("\nverdict={}\n", outcome.name());
        assert!(output.contains(&verdict), "{output}");
        assert!(home.read("summary").contains("| `GET /orders/{id}` |"));
        let verdict = home.json("out/verdict.json");
        assert_eq!(verdict["candidate"]["labels"]["commit"], "4f1c2e9");
    }
}

#[test]
fn nothing_that_a_workflow_gives_is_run() {
    let home = Home::new(Outcome::Pass);
    let evil = "$(touch hacked) `touch hacked`; touch hacked\n--insecure";
    for name in [
        "INPUT_BASELINE",
        "INPUT_CANDIDATE",
        "INPUT_WORKLOAD",
        "INPUT_DURATION",
    ] {
        let usual = [
            ("INPUT_BASELINE", "main"),
            ("INPUT_CANDIDATE", "candidate.jsonl"),
        ];
        let usual = usual.into_iter().filter(|(key, _)| *key != name);
        let inputs: Vec<_> = usual.chain([(name, evil)]).collect();
        let done = action(&home, &inputs).expect(2);
        assert!(
            !done.stderr.contains("command not found"),
            "{}",
            done.stderr
        );
    }
    let inputs = [
        ("INPUT_BASELINE", "main"),
        ("INPUT_CANDIDATE", "candidate.jsonl"),
        ("INPUT_ARGUMENTS", "$(touch hacked)"),
    ];
    action(&home, &inputs).expect(2);
    assert!(!home.path("hacked").exists());
}

#[test]
fn the_jobs_of_gitlab_collect_what_is_written_and_run_here() {
    let Some(documents) = yaml("deploy/ci/gitlab/proofload.yml") else {
        return;
    };
    let job = &documents[0][".proofload"];
    assert_eq!(job["allow_failure"]["exit_codes"], serde_json::json!([11]));
    assert_eq!(job["artifacts"]["when"], "always");
    let home = Home::new(Outcome::Pass);
    let script = |job: &Value| {
        let lines: Vec<_> = job["script"].as_array().unwrap().iter().collect();
        let lines: Vec<_> = lines.iter().map(|line| line.as_str().unwrap()).collect();
        lines.join("\n")
    };
    let words = script(job);
    let words = words.replace("\"$BASELINE\"", "http://127.0.0.1:1");
    let words = words.replace("\"$CANDIDATE\"", "http://127.0.0.1:2");
    let workload = std::fs::canonicalize("workloads/demo.jsonl").unwrap();
    let words = words.replace("\"$WORKLOAD\"", workload.to_str().unwrap());
    is_taken(&home, &words.split_whitespace().collect::<Vec<_>>());

    let moved = COMPARE.replace("--out-dir out", "--out-dir proofload");
    home.call(&format!("{moved} --commit 4f1c2e9"), &[])
        .expect(0);
    for report in ["junit", "metrics"] {
        let path = job["artifacts"]["reports"][report].as_str().unwrap();
        assert!(home.path(path).is_file(), "{path}");
    }
    let verify = script(&documents[0][".proofload-verify"]);
    for (commit, code) in [("4f1c2e9d00", 0), ("5f1c2e9", 12)] {
        let variables = [("CI_COMMIT_SHA", commit)];
        shell(&home, &["sh", "-ec", &verify], &variables).expect(code);
    }
}

#[test]
fn the_shell_of_jenkins_stands_in_single_quotes_and_runs_here() {
    let text = std::fs::read_to_string("deploy/ci/jenkins/Jenkinsfile").unwrap();
    assert!(
        !text.contains("\"\"\""),
        "double quotes let Groovy put text into shell"
    );
    let count = |c| text.matches(c).count();
    for [open, close] in [['{', '}'], ['(', ')'], ['[', ']']] {
        assert_eq!(count(open), count(close), "{open}{close}");
    }
    let scripts: Vec<_> = text.split("'''").skip(1).step_by(2).collect();
    let [compare, verify] = scripts[..] else {
        panic!("{scripts:?}");
    };
    let home = Home::new(Outcome::Pass);
    let workload = std::fs::canonicalize("workloads/demo.jsonl").unwrap();
    let variables = [
        ("BASELINE", "http://127.0.0.1:1"),
        ("CANDIDATE", "http://127.0.0.1:2"),
        ("WORKLOAD", workload.to_str().unwrap()),
        ("PROOFLOAD_RATE", "200/s"),
    ];
    let plan = compare.replace("proofload compare", "proofload plan");
    shell(&home, &["sh", "-ec", &plan], &variables).expect(0);
    let moved = COMPARE.replace("--out-dir out", "--out-dir proofload");
    home.call(&format!("{moved} --commit 4f1c2e9"), &[])
        .expect(0);
    shell(&home, &["sh", "-ec", verify], &[("GIT_COMMIT", "4f1c2e9")]).expect(0);
    for file in [
        "proofload/junit.xml",
        "proofload/report.html",
        "proofload/summary.md",
    ] {
        assert!(text.contains(file) && home.path(file).is_file(), "{file}");
    }
}

/// The arguments of a recipe with hosts of this machine and a workload that is there.
fn at_home(argument: &str) -> String {
    let workload = std::fs::canonicalize("workloads/demo.jsonl").unwrap();
    argument
        .replace("/workloads/shop.jsonl", workload.to_str().unwrap())
        .replace("{{args.baseline-host}}", "127.0.0.1:1")
        .replace("{{args.candidate-host}}", "127.0.0.1:2")
        .replace("{{args.commit}}", "4f1c2e9")
}

#[test]
fn the_job_of_argo_rollouts_is_one_and_its_arguments_are_taken() {
    let path = "deploy/ci/argo-rollouts/analysis-template.yaml";
    let Some(documents) = yaml(path) else {
        return;
    };
    let template = &documents[0];
    assert_eq!(template["kind"], "AnalysisTemplate");
    let metric = &template["spec"]["metrics"][0];
    assert_eq!(
        (&metric["count"], &metric["failureLimit"]),
        (&1.into(), &0.into())
    );
    let job = &metric["provider"]["job"]["spec"];
    assert_eq!(job["backoffLimit"], 0);
    let container = &job["template"]["spec"]["containers"][0];
    let mut words = vec![container["command"][0].as_str().unwrap().to_owned()];
    let arguments = container["args"].as_array().unwrap().iter();
    words.extend(arguments.map(|it| at_home(it.as_str().unwrap())));
    let home = Home::new(Outcome::Pass);
    is_taken(&home, &words.iter().map(String::as_str).collect::<Vec<_>>());
    // Each argument of the template is declared, and given by the Rollout.
    let declared = template["spec"]["args"].as_array().unwrap().iter();
    let declared: Vec<_> = declared.map(|it| it["name"].as_str().unwrap()).collect();
    let rollout = yaml("deploy/ci/argo-rollouts/rollout.yaml").unwrap();
    let asked = &rollout[0]["spec"]["strategy"]["blueGreen"]["prePromotionAnalysis"];
    assert_eq!(
        asked["templates"][0]["templateName"],
        template["metadata"]["name"]
    );
    let given = asked["args"].as_array().unwrap().iter();
    let given: Vec<_> = given.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(given, declared);
    let text = std::fs::read_to_string(path).unwrap();
    for used in text.split("{{args.").skip(1) {
        let (name, _) = used.split_once("}}").unwrap();
        assert!(declared.contains(&name), "{name}");
    }
    let whole = serde_json::json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": job,
    });
    std::fs::write(home.path("job.json"), whole.to_string()).unwrap();
    let script = "import json, sys, kubernetes_validate as kv\n\
                  print(json.dumps(kv.validate(json.load(open(sys.argv[1])), kv.latest_version(), \
                  strict=True)))";
    ask_python("kubernetes_validate", script, &[&home.path("job.json")]);
}

#[test]
fn the_webhook_of_flagger_is_taken() {
    let Some(documents) = yaml("deploy/ci/flagger/canary.yaml") else {
        return;
    };
    let canary = &documents[0];
    assert_eq!(canary["spec"]["analysis"]["threshold"], 1);
    let hook = &canary["spec"]["analysis"]["webhooks"][0];
    assert_eq!(
        (&hook["type"], &hook["metadata"]["type"]),
        (&"pre-rollout".into(), &"bash".into())
    );
    let command = hook["metadata"]["cmd"].as_str().unwrap();
    let words: Vec<_> = command.split_whitespace().map(at_home).collect();
    let home = Home::new(Outcome::Pass);
    is_taken(&home, &words.iter().map(String::as_str).collect::<Vec<_>>());
}
