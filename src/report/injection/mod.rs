//! Nasty text in every field, through every format: nothing of it may act.
//!
//! The test is on structure: a page with a nasty name must be the page with a harmless name,
//! but for the name.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, FILES, Format, Overview, Report, Style, printable, render, sample};
use crate::{run::COMMIT, text::is_hidden};

const HARMLESS: &str = "@NAME";

/// Texts by what they would act in; `tests/browser.rs` opens pages that hold the first.
const TEXTS: &str = include_str!("texts.json");

fn texts() -> BTreeMap<String, Vec<String>> {
    serde_json::from_str(TEXTS).unwrap()
}

/// All of them, each once.
fn nasty() -> Vec<String> {
    let all: BTreeSet<String> = texts().into_values().flatten().collect();
    all.into_iter().collect()
}

/// Those that show something.
fn visible() -> Vec<String> {
    let mut all = nasty();
    all.retain(|text| !text.trim().is_empty());
    all
}

fn report_with(foreign: &str) -> Report {
    let mut report = sample::report();
    let named = || foreign.to_owned();
    let subject = &mut report.subject;
    subject.title = named();
    subject.version = named();
    subject.started_at = named();
    for place in [&mut subject.baseline, &mut subject.candidate] {
        place.label = named();
        place.address = Some(named());
        place.protocol = Some(named());
        place.labels = [COMMIT.to_owned(), named()]
            .map(|name| (name, named()))
            .into();
        place.facts = ["server".to_owned(), named()]
            .map(|name| (name, named()))
            .into();
    }
    subject.workload.source = named();
    subject.workload.digest = named();
    subject.workload.recorded_at = Some(named());
    subject.arrangement = named();
    subject.rate = named();
    subject.command = named();
    subject.expires_at = Some(named());
    subject.notes = vec![named()];
    let comparison = &mut report.comparison;
    comparison.causes = vec![named()];
    comparison.rounds.dropped = [(named(), 1)].into();
    comparison.warnings[0].code = named();
    comparison.warnings[0].text = named();
    for change in &mut comparison.changes {
        change.endpoint = named();
    }
    let totals = &mut report.totals;
    for total in totals.endpoints.iter_mut().chain(&mut totals.workload) {
        total.endpoint = named();
        total.classes = [(named(), 3)].into();
    }
    for side in &mut totals.fidelity {
        side.skipped = [(named(), 3)].into();
        side.mix.truncate(1);
        side.mix[0].endpoint = named();
    }
    for shift in &mut report.picture.shifts {
        shift.endpoint = named();
    }
    for round in &mut report.picture.course {
        round.dropped = round.dropped.as_ref().map(|_| named());
    }
    let recorded = report.subject.workload.recorded.pop_first();
    let recorded = recorded.map(|(_, it)| (named(), it));
    report.subject.workload.recorded = recorded.into_iter().collect();
    report
}

#[test]
fn the_tables_are_as_long_as_promised() {
    let texts = texts();
    for (kind, promised) in [
        ("xss", 200),
        ("csv", 100),
        ("ansi", 100),
        ("workflow", 50),
        ("xml", 50),
    ] {
        let different: BTreeSet<&String> = texts[kind].iter().collect();
        assert!(different.len() >= promised, "{kind}: {}", different.len());
    }
    assert!(
        texts["xss"]
            .iter()
            .filter(|it| it.contains("alert"))
            .count()
            >= 180
    );
}

#[test]
fn no_character_hides_in_any_format() {
    for nasty in &nasty() {
        let mut report = report_with(nasty);
        report.subject.configuration = serde_json::json!({ nasty: [nasty] });
        for (name, format) in FILES.into_iter().chain([("text", Format::Text)]) {
            let text = render(&report, format, Style::default());
            let hidden = text.chars().find(|c| is_hidden(*c) && *c != '\n');
            // The one sign that is an emoji carries its variation selector.
            assert!(
                matches!(hidden, None | Some('\u{fe0f}')),
                "{name}: {nasty:?}: {hidden:?}"
            );
            let code = name != "changes.csv" && name != "report.html";
            for line in text.lines().filter(|_| code) {
                assert!(!line.trim_start().starts_with("::"), "{name}: {line}");
                assert!(
                    !line.contains("##[") && !line.contains("##vso"),
                    "{name}: {line}"
                );
            }
        }
    }
}

#[test]
fn a_page_differs_by_nothing_but_the_escaped_name() {
    let escape = |text: &str| {
        let marks = ["<", ">", "\"", "'"];
        let shown = printable(text).replace('&', "&#38;");
        marks.iter().fold(shown, |text, mark| {
            let code = format!("&#{};", mark.as_bytes()[0]);
            text.replace(mark, &code)
        })
    };
    let page = |foreign: &str| render(&report_with(foreign), Format::Html, Style::default());
    let benign = page(HARMLESS);
    for nasty in &visible() {
        let escaped = escape(nasty);
        assert!(!escaped.contains(['<', '>', '"', '\'']));
        // What stands in the page anyway cannot be told from it; a browser's parser can.
        if benign.contains(&escaped) {
            continue;
        }
        assert_eq!(page(nasty).replace(&escaped, HARMLESS), benign, "{nasty:?}");
    }
}

#[test]
fn a_configuration_cannot_leave_its_box() {
    for nasty in &nasty() {
        let mut report = sample::report();
        report.subject.configuration = serde_json::json!({ nasty: [nasty] });
        let page = render(&report, Format::Html, Style::default());
        report.subject.configuration = serde_json::json!({ "a": ["a"] });
        let benign = render(&report, Format::Html, Style::default());
        assert_eq!(
            page.matches('<').count(),
            benign.matches('<').count(),
            "{nasty:?}"
        );
        assert_eq!(
            page.matches('"').count(),
            benign.matches('"').count(),
            "{nasty:?}"
        );
    }
}

/// Markdown without what its code spans hold. Pipes that end cells stay visible.
fn skeleton(markdown: &str) -> String {
    let mut bare = String::new();
    for line in markdown.lines() {
        let mut rest = line;
        while let Some(start) = rest.find('`') {
            bare.push_str(&rest[..start]);
            let opened = &rest[start..];
            let fence = opened.len() - opened.trim_start_matches('`').len();
            let mut inside = &opened[fence..];
            loop {
                let at = inside.find('`').expect("each span is closed on its line");
                let run = &inside[at..];
                let length = run.len() - run.trim_start_matches('`').len();
                inside = &run[length..];
                if length == fence {
                    break;
                }
            }
            bare.push('C');
            rest = inside;
        }
        bare.push_str(rest);
        bare.push('\n');
    }
    bare
}

#[test]
fn markdown_differs_by_nothing_but_code_spans() {
    let summary = |foreign: &str| render(&report_with(foreign), Format::Markdown, Style::default());
    let benign = skeleton(&summary(HARMLESS));
    assert!(!benign.contains('@'));
    for nasty in &visible() {
        let text = summary(nasty);
        let bare = skeleton(&text);
        // The words for failed and dropped are prose, and prose is code only where it must be.
        assert_eq!(bare, benign, "{nasty:?}\n{text}");
        for row in text.lines().filter(|line| line.starts_with('|')) {
            // Both readings of a backslash before a backslash must see the same cells.
            let first = row.replace("\\|", "").matches('|').count();
            let second = row
                .replace("\\\\", "")
                .replace("\\|", "")
                .matches('|')
                .count();
            assert_eq!((first, second), (9, 9), "{row}");
        }
    }
}

#[test]
fn cells_are_no_formulas_and_rows_stay_rows() {
    for nasty in &nasty() {
        let report = report_with(nasty);
        let text = render(&report, Format::Csv, Style::default());
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), report.comparison.changes.len(), "{nasty:?}");
        for row in rows {
            let cell = row[0].trim_start();
            assert!(
                !cell.starts_with(['=', '+', '-', '@', '\t', '\r']),
                "{nasty:?}"
            );
        }
        assert_eq!(text.lines().count(), report.comparison.changes.len() + 1);
    }
}

#[test]
fn xml_has_the_same_elements_and_legal_characters() {
    let xml = |foreign: &str| render(&report_with(foreign), Format::Junit, Style::default());
    let elements = |text: &str| {
        let tags = text.split('<').skip(1);
        let tags = tags.map(|tag| tag.split([' ', '>', '/']).next().unwrap().to_owned());
        tags.collect::<Vec<_>>()
    };
    let benign = xml(HARMLESS);
    for nasty in &nasty() {
        let text = xml(nasty);
        assert_eq!(elements(&text), elements(&benign), "{nasty:?}");
        assert_eq!(
            text.matches('"').count(),
            benign.matches('"').count(),
            "{nasty:?}"
        );
        assert!(!text.contains("]]>"), "{nasty:?}");
    }
}

#[test]
fn json_gives_back_exactly_what_was_put_in() {
    for nasty in &nasty() {
        let report = report_with(nasty);
        let text = render(&report, Format::Json, Style::default());
        assert_eq!(super::read_json(&text).unwrap(), report, "{nasty:?}");
    }
}

#[test]
fn the_report_of_a_run_holds_no_hidden_character() {
    for nasty in &nasty() {
        let mut report = sample::run();
        nasty.clone_into(&mut report.target.label);
        nasty.clone_into(&mut report.workload.source);
        nasty.clone_into(&mut report.warnings[0].text);
        nasty.clone_into(&mut report.totals.endpoints[0].endpoint);
        report.totals.endpoints[0].classes = [(nasty.clone(), 1)].into();
        for text in [report.text(Style::default()), report.json()] {
            assert!(!text.contains(|c| is_hidden(c) && c != '\n'), "{nasty:?}");
            for line in text.lines() {
                assert!(!line.trim_start().starts_with("::"), "{line}");
                assert!(!line.contains("##"), "{line}");
            }
        }
    }
}

#[test]
fn a_page_over_many_differs_by_nothing_but_the_escaped_name() {
    let page = |foreign: &str, format| {
        let entry = Entry {
            path: "reports/a".to_owned(),
            href: None,
            report: report_with(foreign),
        };
        let overview = Overview::new(vec![entry]);
        overview.render(format, Style::default()).unwrap()
    };
    let tags = |text: &str| (text.matches('<').count(), text.matches('"').count());
    let benign = tags(&page(HARMLESS, Format::Html));
    let rows = skeleton(&page(HARMLESS, Format::Markdown));
    for nasty in &visible() {
        assert_eq!(tags(&page(nasty, Format::Html)), benign, "{nasty:?}");
        assert_eq!(skeleton(&page(nasty, Format::Markdown)), rows, "{nasty:?}");
        for format in [Format::Html, Format::Markdown, Format::Text, Format::Json] {
            let text = page(nasty, format);
            let hidden = text.chars().find(|c| is_hidden(*c) && *c != '\n');
            assert_eq!(hidden, None, "{nasty:?}");
            assert!(!text.contains("##["), "{nasty:?}");
        }
    }
}
