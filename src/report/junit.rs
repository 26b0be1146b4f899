//! `junit.xml` as Jenkins and GitLab read it: one case for each endpoint and gate metric.
//!
//! REGRESSED is a failure, INCONCLUSIVE and NOT JUDGED are skipped, INVALID is an error. A
//! verdict that no single case explains gets a case of its own, so that it is never lost.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use super::names::Names;
use super::sentence::judged_from;
use super::words::{self, change_cell, level_cell, tolerance_cell};
use super::{Report, findings, printable};
use crate::compare::{Change, Comparison, Status, Verdict};
use crate::run::Side;

/// One suite with all cases.
pub(super) fn render(report: &Report) -> String {
    let subject = &report.subject;
    let (baseline, candidate) = (&subject.baseline.label, &subject.candidate.label);
    let source = &subject.workload.source;
    let mut name = format!("{source}: {baseline} against {candidate}");
    if !words::together(&report.comparison) {
        name = format!("{name} ({})", words::APART);
    }
    let mut suite = TestSuite::new(printable(&name));
    let time = Duration::from_nanos(subject.elapsed_ns);
    suite.set_time(time);
    suite.timestamp = subject.started_at.parse().ok();
    for warning in &report.comparison.warnings {
        suite.add_property((printable(&warning.code), printable(&warning.text)));
    }
    let class = class_name(source);
    let mut names = Names::default();
    for (name, status) in cases(report) {
        // Of two cases with one name GitLab would only count the first.
        let mut test = TestCase::new(names.unique(&name), status);
        test.set_classname(&class).set_time(Duration::ZERO);
        suite.add_test_case(test);
    }
    let mut xml = Xml::new("proofload");
    xml.set_time(time).add_test_suite(suite);
    xml.to_string().expect("writing to memory")
}

/// Jenkins splits class names at dots, so that the workload's own become `_`.
fn class_name(source: &str) -> String {
    let file = source.rsplit(['/', '\\']).next().unwrap_or(source);
    let stem = file.split(".jsonl").next().unwrap_or(file);
    format!("proofload.{}", printable(stem).replace('.', "_"))
}

fn cases(report: &Report) -> Vec<(String, TestCaseStatus)> {
    let comparison = &report.comparison;
    let gate = || comparison.changes.iter().filter(|change| change.gate);
    let apart = !words::together(comparison);
    let mut cases: Vec<_> = gate().map(|change| case(change, apart)).collect();
    let explained = gate().any(|change| match comparison.verdict {
        Verdict::Pass => change.status == Status::Pass,
        Verdict::Regressed => change.status == Status::Regressed,
        Verdict::Inconclusive => change.status == Status::Inconclusive,
        Verdict::Invalid => change.status == Status::Invalid,
    });
    if !explained || (comparison.verdict == Verdict::Invalid && !comparison.causes.is_empty()) {
        cases.push(("verdict".to_owned(), whole(comparison)));
    }
    cases
}

fn whole(comparison: &Comparison) -> TestCaseStatus {
    let message = words::headline(comparison, &|endpoint| printable(endpoint));
    let causes: Vec<_> = comparison
        .causes
        .iter()
        .map(|cause| printable(cause))
        .collect();
    let text = format!(
        "{message}\n{}\n{}",
        causes.join("\n"),
        findings::rounds(comparison, &|reason| printable(reason))
    );
    let status = match comparison.verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Regressed => Status::Regressed,
        Verdict::Inconclusive => Status::Inconclusive,
        Verdict::Invalid => Status::Invalid,
    };
    outcome(status, &message, &text)
}

fn case(change: &Change, apart: bool) -> (String, TestCaseStatus) {
    let endpoint = printable(&change.endpoint);
    let name = words::change_name(change);
    let mut message = words::sentence(change, &endpoint);
    if apart {
        message = format!("{message} ({})", words::APART);
    }
    let text = format!(
        "{}: {message}\nbaseline {}, candidate {}, {} {}, tolerated {}, {}",
        words::status_word(change.status),
        level_cell(change, Side::Baseline),
        level_cell(change, Side::Candidate),
        if change.limit.is_some() {
            "interval"
        } else {
            "change"
        },
        change_cell(change),
        tolerance_cell(change),
        judged_from(change),
    );
    (name, outcome(change.status, &message, &text))
}

fn outcome(status: Status, message: &str, text: &str) -> TestCaseStatus {
    let (mut outcome, kind) = match status {
        Status::Pass => return TestCaseStatus::success(),
        Status::Regressed => (
            TestCaseStatus::non_success(NonSuccessKind::Failure),
            "regression",
        ),
        Status::Invalid => (
            TestCaseStatus::non_success(NonSuccessKind::Error),
            "invalid",
        ),
        Status::Inconclusive => (TestCaseStatus::skipped(), "inconclusive"),
        Status::NotJudged => (TestCaseStatus::skipped(), "not_judged"),
    };
    outcome
        .set_message(message)
        .set_type(kind)
        .set_description(text);
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn equal_names_are_told_apart() {
        let mut report = sample::report();
        let first = report.comparison.changes[0].clone();
        report.comparison.changes = vec![first.clone(), first];
        let text = render(&report);
        assert!(text.contains(" (1)\""), "{text}");
    }

    #[test]
    fn an_invalid_comparison_without_changes_is_one_error() {
        let mut report = sample::report();
        report.comparison.changes.clear();
        report.comparison.verdict = Verdict::Invalid;
        report.comparison.causes = vec!["more than 20 % of the rounds were dropped".into()];
        let text = render(&report);
        assert!(
            text.contains("tests=\"1\"") && text.contains("errors=\"1\""),
            "{text}"
        );
        assert!(text.contains("more than 20 %"), "{text}");
    }

    #[test]
    fn what_was_not_checked_is_a_property_of_the_suite() {
        let mut report = sample::report();
        report.comparison.warnings[0].code = super::super::INSECURE.to_owned();
        let text = render(&report);
        assert!(text.contains("<property name=\"insecure\""), "{text}");
    }

    #[test]
    fn class_names_are_the_workload_without_its_dots() {
        for (source, class) in [
            ("workloads/shop.v2.jsonl.zst", "proofload.shop_v2"),
            ("demo", "proofload.demo"),
            ("a\\b.jsonl", "proofload.b"),
        ] {
            assert_eq!(class_name(source), class);
        }
    }
}
