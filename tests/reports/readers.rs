//! Programs of others read what is written: promtool, junitparser, xmllint, a whole JSON Schema
//! validator, and two HdrHistogram readers. Each is skipped by name where it is missing.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    kit::{Home, NASTY, Outcome, ask_python, has},
    schemas::{DESCRIBED, schema},
};

/// The reports of each verdict, with an endpoint that would act if anything let it.
fn homes(more: &str) -> Vec<(Outcome, Home)> {
    let made = |outcome: Outcome| {
        let home = Home::new(outcome);
        home.compare(more, &[]).expect(outcome.code());
        (outcome, home)
    };
    Outcome::ALL.into_iter().map(made).collect()
}

#[test]
fn promtool_takes_the_metrics() {
    if !has("promtool") {
        return;
    }
    for (outcome, home) in homes("") {
        let metrics = std::fs::File::open(home.path("out/metrics.txt")).unwrap();
        let output = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::from(metrics))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // It also says what is bad style, and there is none.
        assert!(
            output.status.success() && said.is_empty(),
            "{outcome:?}: {said}"
        );
    }
}

const OPENMETRICS: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
found = {}
for family in read(open(sys.argv[1]).read()):
    found[family.name] = [[sample.labels, sample.value] for sample in family.samples]
print(json.dumps(found))
";

#[test]
fn a_strict_reader_of_openmetrics_finds_the_same_figures() {
    for (outcome, home) in homes("") {
        let path = home.path("out/metrics.txt");
        let Some(found) = ask_python("prometheus_client", OPENMETRICS, &[&path]) else {
            return;
        };
        let verdicts = found["proofload_verdict"].as_array().unwrap();
        let given = verdicts.iter().filter(|it| it[1] == 1.0);
        let given: Vec<_> = given.map(|it| it[0]["verdict"].as_str().unwrap()).collect();
        assert_eq!(given, [outcome.name()]);
        let levels = found.get("proofload_level_seconds");
        assert_eq!(levels.is_some(), outcome != Outcome::Invalid);
        let report = home.json("out/report.json");
        for sample in levels.into_iter().flat_map(|it| it.as_array().unwrap()) {
            let [labels, value] = [&sample[0], &sample[1]];
            let rows = report["changes"].as_array().unwrap().iter();
            let shown = |row: &&Value| {
                let endpoint = row["endpoint"].as_str().unwrap();
                labels["endpoint"] == proofload::report::printable(endpoint)
                    && labels["metric"] == row["metric"]
                    && row["limit_ns"].is_null()
            };
            let row = rows.into_iter().find(shown).unwrap();
            let key = format!("{}_ns", labels["side"].as_str().unwrap());
            let [own, theirs] = [row[key].as_f64().unwrap() / 1e9, value.as_f64().unwrap()];
            assert!((own / theirs - 1.0).abs() < 0.006, "{sample} {row}");
        }
    }
}

const JUNIT: &str = "
import json, sys
from junitparser import JUnitXml, Error, Failure, Skipped
xml = JUnitXml.fromfile(sys.argv[1])
kinds = {Error: 'error', Failure: 'failure', Skipped: 'skipped'}
cases = []
for suite in xml:
    for case in suite:
        results = [[kinds[type(it)], it.message, it.type, it.text] for it in case.result]
        cases.append([case.classname, case.name, results])
print(json.dumps({'tests': xml.tests, 'failures': xml.failures, 'errors': xml.errors,
                  'skipped': xml.skipped, 'cases': cases}))
";

#[test]
fn junitparser_finds_a_case_for_each_gate_metric() {
    for (outcome, home) in homes("") {
        let path = home.path("out/junit.xml");
        let Some(found) = ask_python("junitparser", JUNIT, &[&path]) else {
            return;
        };
        let cases = found["cases"].as_array().unwrap();
        assert_eq!(found["tests"], cases.len());
        let names: BTreeMap<_, _> = cases
            .iter()
            .map(|case| ((case[0].as_str(), case[1].as_str()), &case[2]))
            .collect();
        assert_eq!(names.len(), cases.len(), "{found}");
        let report = home.json("out/report.json");
        let rows = report["changes"].as_array().unwrap().iter();
        let mut kinds = BTreeMap::<&str, usize>::new();
        for row in rows.filter(|row| row["gate"] == true) {
            let endpoint = proofload::report::printable(row["endpoint"].as_str().unwrap());
            let name = format!("{endpoint} {}", row["metric"].as_str().unwrap());
            let results = names[&(Some("proofload.shop"), Some(name.as_str()))];
            let kind = match row["status"].as_str().unwrap() {
                "pass" => "",
                "regressed" => "failure",
                "invalid" => "error",
                _ => "skipped",
            };
            assert_eq!(
                results[0][0].as_str().unwrap_or(""),
                kind,
                "{name}: {results}"
            );
            *kinds.entry(kind).or_default() += 1;
            if !kind.is_empty() {
                // The reason stands in the message and, for those that drop it, in the text.
                let message = results[0][1].as_str().unwrap();
                assert!(!message.is_empty() && results[0][3].as_str().unwrap().contains(message));
            }
        }
        let of = |kind| kinds.get(kind).copied().unwrap_or(0);
        match outcome {
            Outcome::Pass => assert_eq!((of("failure"), of("skipped")), (0, 0)),
            Outcome::Regressed => assert!(of("failure") > 0 && found["failures"] == of("failure")),
            Outcome::Inconclusive => assert!(of("skipped") > 0 && found["failures"] == 0),
            Outcome::Invalid => assert!(found["errors"].as_u64() > Some(0), "{found}"),
        }
    }
}

#[test]
fn xmllint_finds_the_dialect_that_all_of_them_read() {
    if !has("xmllint") {
        return;
    }
    let check = |path: &Path| {
        let output = Command::new("xmllint")
            .args(["--noout", "--nonet", "--schema", "tests/reports/junit.xsd"])
            .arg(path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), said)
    };
    for (outcome, home) in homes("") {
        let (fits, said) = check(&home.path("out/junit.xml"));
        assert!(fits, "{outcome:?}: {said}");
        // The check has teeth: two cases of one name are found.
        let text = home.read("out/junit.xml");
        let (head, rest) = text.split_once("<testcase").unwrap();
        let twice = format!("{head}<testcase name=\"a\" classname=\"b\" time=\"0\"/>")
            + "<testcase name=\"a\" classname=\"b\" time=\"0\"/><testcase"
            + rest;
        std::fs::write(home.path("twice.xml"), twice).unwrap();
        assert!(!check(&home.path("twice.xml")).0);
    }
}

const SCHEMA: &str = "
import json, sys
from jsonschema import Draft202012Validator as Validator
schema = json.load(open(sys.argv[1]))
Validator.check_schema(schema)
faults = []
for path in sys.argv[2:]:
    text = open(path).read()
    lines = text.splitlines() if path.endswith('l') else [text]
    values = [json.loads(it) for it in lines]
    for value in values:
        faults += [path + ': ' + it.message for it in Validator(schema).iter_errors(value)]
print(json.dumps(faults))
";

#[test]
fn a_validator_takes_the_schemas_and_the_files_of_every_verdict() {
    let homes = homes("--commit 4f1c2e9");
    for name in DESCRIBED {
        let (_, first) = &homes[0];
        let path = first.path(&format!("{name}.schema.json"));
        std::fs::write(&path, schema(first, name).to_string()).unwrap();
        let file = match name {
            "report" => "out/report.json",
            "verdict" => "out/verdict.json",
            "run" => "out/run.jsonl",
            _ => "",
        };
        let mut files: Vec<_> = homes.iter().map(|(_, home)| home.path(file)).collect();
        match name {
            "workload" => files = vec!["workloads/demo.jsonl".into()],
            "run-report" => files.clear(),
            _ => {}
        }
        let all: Vec<&Path> = std::iter::once(&path)
            .chain(&files)
            .map(AsRef::as_ref)
            .collect();
        let Some(faults) = ask_python("jsonschema", SCHEMA, &all) else {
            return;
        };
        assert_eq!(faults, serde_json::json!([]), "{name}");
    }
}

const HISTOGRAMS: &str = "
import json, sys
from hdrh.log import HistogramLogReader
from hdrh.histogram import HdrHistogram
found = {}
reader = HistogramLogReader(sys.argv[1], HdrHistogram(100, 4398046511104, 3))
while True:
    one = reader.get_next_interval_histogram()
    if one is None:
        break
    tag = one.get_tag()
    if tag not in found:
        found[tag] = HdrHistogram(100, 4398046511104, 3)
    found[tag].add(one)
shown = {}
for tag, it in found.items():
    shown[tag] = [it.get_total_count()]
    shown[tag] += [it.get_value_at_percentile(q) for q in (50, 90, 99, 99.9)]
print(json.dumps(shown))
";

#[test]
fn another_reader_of_histograms_finds_the_same_quantiles() {
    for (outcome, home) in homes("--report hlog=all.hlog") {
        let path = home.path("all.hlog");
        let Some(found) = ask_python("hdrh", HISTOGRAMS, &[&path]) else {
            return;
        };
        let report = home.json("out/report.json");
        let totals = report["totals"]["endpoints"].as_array().unwrap();
        assert_eq!(totals.len(), 4, "{outcome:?}");
        for total in totals {
            let endpoint = total["endpoint"].as_str().unwrap();
            let endpoint = if endpoint == NASTY {
                concat!(
                    "GET%20/a%0D%0A::error::x%2Cy%7C%60%3Cb%3E%5D%5D%3E%22%5C%20%23%23%5Berror%5D",
                    "z%E2%80%AE"
                )
            } else {
                "GET%20/orders/{id}"
            };
            for kind in ["response", "service", "first_byte"] {
                let tag = format!("{}.{kind}.{endpoint}", total["side"].as_str().unwrap());
                let theirs = found[&tag]
                    .as_array()
                    .unwrap_or_else(|| panic!("{tag}: {found}"));
                assert_eq!(theirs[0], total["ok"], "{tag}");
                let names = ["p50", "p90", "p99", "p99.9"];
                for (name, theirs) in names.iter().zip(&theirs[1..]) {
                    let own = total[format!("{kind}_ns")][name].as_f64().unwrap();
                    let theirs = theirs.as_f64().unwrap();
                    // Theirs is the end of the bucket in which ours lies.
                    let apart = (theirs - own) / own;
                    assert!(
                        (-1e-6..2e-3).contains(&apart),
                        "{tag} {name}: {own} {theirs}"
                    );
                }
            }
        }
    }
}
