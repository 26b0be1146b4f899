//! What the page promises of itself, as far as text can say it; `tests/browser.rs` opens it.

use super::super::{sample, words::status_word};
use super::*;
use crate::report::{INSECURE, findings};

#[test]
fn the_policy_allows_exactly_the_style_sheet_and_the_script_of_the_page() {
    let text = render(&sample::report());
    for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
        assert_eq!(text.matches(&format!("<{tag}")).count(), 1, "{tag}");
        let inside = text.split(&format!("<{tag}>")).nth(1).unwrap();
        let inside = inside.split(&format!("</{tag}>")).next().unwrap();
        let digest = STANDARD.encode(Sha256::digest(inside));
        assert!(
            text.contains(&format!("{directive} 'sha256-{digest}'")),
            "{tag}"
        );
    }
    for forbidden in [
        " style=",
        "src=",
        "@import",
        "url(",
        " onclick=",
        "javascript:",
    ] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    // Links lead to parts of the page itself.
    let mut links = text.split("href=\"").skip(1);
    assert!(links.all(|link| link.starts_with('#')));
}

#[test]
fn that_no_certificate_was_checked_stands_in_red() {
    let mut report = sample::report();
    assert!(!render(&report).contains("class=\"alarm"));
    report.comparison.warnings[0].code = INSECURE.to_owned();
    assert!(render(&report).contains("<li class=\"alarm regressed\">"));
}

#[test]
fn every_judged_change_has_its_strip_and_status() {
    let report = sample::report();
    let judged = findings::judged(&report.comparison);
    let shown = findings::notable(&report.comparison).len().min(3);
    let page = render(&report);
    let strips = page.matches("<svg class=\"strip\"").count();
    assert_eq!(strips, judged.len() + shown);
    for change in judged {
        assert!(page.contains(status_word(change.status)));
    }
}

#[test]
fn a_thousand_endpoints_stay_under_five_megabytes() {
    let page = render(&sample::large(1_000));
    assert!(page.matches("<article").count() > 1_000);
    assert!(page.len() < 5_000_000, "{}", page.len());
}

#[test]
fn what_is_not_known_has_no_section() {
    let mut report = sample::report();
    let has = |report: &Report, id: &str| render(report).contains(&format!("<section id=\"{id}\""));
    for id in [
        "rounds",
        "outcomes",
        "answers",
        "resources",
        "recording",
        "generator",
        "fidelity",
    ] {
        assert!(has(&report, id), "{id}");
    }
    let first = "It is told of the first 12,345 of 12,346 recorded requests.";
    assert!(!render(&report).contains(first));
    report.subject.workload.requests += 1;
    assert!(render(&report).contains(first));
    report.picture = crate::compare::Picture::default();
    report.totals = super::super::Figures::default();
    report.subject.workload.recorded.clear();
    for id in [
        "rounds",
        "outcomes",
        "answers",
        "resources",
        "recording",
        "generator",
        "fidelity",
    ] {
        assert!(!has(&report, id), "{id}");
    }
    for id in ["endpoints", "environment", "again", "method"] {
        assert!(has(&report, id), "{id}");
    }
}
