//! Nasty text in every field, through every format: nothing of it may act.
//!
//! The test is on structure: a page with a nasty name must be the page with a harmless name,
//! but for the name.

use super::{FILES, Format, Report, Style, printable, render, sample};
use crate::text::is_hidden;

const HARMLESS: &str = "@NAME";

const NASTY: &[&str] = &[
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    "</code></pre><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)//",
    "<img/src=x/onerror=alert(1)>",
    "<IMG SRC=\"javascript:alert(1)\">",
    "<svg onload=alert(1)>",
    "<svg><script>alert&#40;1)</script>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc=\"&lt;script&gt;alert(1)&lt;/script&gt;\">",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href=\"data:text/html,<script>alert(1)</script>\">x",
    "<form action=javascript:alert(1)><input type=submit>",
    "<input autofocus onfocus=alert(1)>",
    "<select autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<marquee onstart=alert(1)>",
    "<math><mi xlink:href=\"data:x,<script>alert(1)</script>\">",
    "<meta http-equiv=refresh content=0;url=javascript:alert(1)>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<base href=//evil.example/>",
    "<style>@import '//evil.example/x.css'</style>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "\"><script>alert(1)</script>",
    "'><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=alert(1) x=\"",
    "`onmouseover=alert(1)`",
    "<!--<script>alert(1)</script>-->",
    "--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "]]><script>alert(1)</script>",
    "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]>&y;",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u{0}<scr\u{0}ipt>alert(1)</script>",
    "<<SCRIPT>alert(1);//<</SCRIPT>",
    "{{7*7}}{% raw %}${7*7}<%= 7*7 %>",
    "javascript:alert(1)",
    "\u{ff1c}script\u{ff1e}alert(1)",
    "=1+1",
    "=cmd|' /C calc'!A0",
    "=HYPERLINK(\"http://evil.example\",\"x\")",
    "+1+1",
    "-1+1",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\",=1+1,\"",
    "\"\n=1+1",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}[2J\u{1b}[H",
    "\u{9b}31m",
    "\u{8}\u{8}\u{8}PASS",
    "\rPASS: nothing is worse",
    "\u{202e}ssap\u{202c}",
    "\u{2066}a\u{2069}\u{200f}\u{61c}",
    "\u{200b}\u{feff}\u{2060}",
    "\u{e0041}\u{e0042}",
    "\u{2028}\u{2029}\u{85}",
    "\u{fffe}\u{ffff}\u{fdd0}",
    "\u{0}\u{1}\u{b}\u{c}\u{1f}\u{7f}",
    "::error::x",
    "\n::error file=a,line=1::x",
    "\r\n::set-env name=PATH::x",
    "a ::add-mask::e",
    "  ::stop-commands::x",
    "##[error]x",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[buildStatus text='x']",
    "###[group]x",
    "%0A::error::x",
    "@everyone",
    "a @octocat b",
    "![x](http://evil.example/x.png)",
    "[x](javascript:alert(1))",
    "<http://evil.example>",
    "http://evil.example #12 GH-1",
    "a|b|c",
    "|||",
    "\\|\\\\|\\\\\\|",
    "a\\",
    "`a`",
    "``a``` ![x](y)",
    "```\n# heading\n```",
    "\n\n# heading\n\n- list\n\n---",
    "~~~",
    "*a* **b** _c_ ~~d~~ $$e$$",
    "</details>",
    "",
    " ",
];

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
    }
    subject.workload.source = named();
    subject.workload.digest = named();
    subject.workload.recorded_at = Some(named());
    subject.arrangement = named();
    subject.rate = named();
    subject.command = named();
    subject.notes = vec![named()];
    let comparison = &mut report.comparison;
    comparison.causes = vec![named()];
    comparison.rounds.dropped = [(named(), 1)].into();
    comparison.warnings[0].code = named();
    comparison.warnings[0].text = named();
    for change in &mut comparison.changes {
        change.endpoint = named();
    }
    for total in &mut report.totals.endpoints {
        total.endpoint = named();
        total.classes = [(named(), 3)].into();
    }
    report
}

#[test]
fn the_table_is_as_long_as_promised() {
    assert!(
        NASTY
            .iter()
            .filter(|text| text.contains("alert(1)"))
            .count()
            >= 40
    );
    assert!(NASTY.len() >= 100);
}

#[test]
fn no_character_hides_in_any_format() {
    for nasty in NASTY {
        let mut report = report_with(nasty);
        report.subject.configuration = serde_json::json!({ *nasty: [nasty] });
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
    for nasty in NASTY.iter().filter(|nasty| !nasty.trim().is_empty()) {
        let escaped = escape(nasty);
        assert!(!escaped.contains(['<', '>', '"', '\'']));
        assert_eq!(page(nasty).replace(&escaped, HARMLESS), benign, "{nasty:?}");
    }
}

#[test]
fn a_configuration_cannot_leave_its_box() {
    for nasty in NASTY {
        let mut report = sample::report();
        report.subject.configuration = serde_json::json!({ *nasty: [nasty] });
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
    for nasty in NASTY.iter().filter(|nasty| !nasty.trim().is_empty()) {
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
    for nasty in NASTY {
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
    for nasty in NASTY {
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
    for nasty in NASTY {
        let report = report_with(nasty);
        let text = render(&report, Format::Json, Style::default());
        assert_eq!(super::read_json(&text).unwrap(), report, "{nasty:?}");
    }
}

#[test]
fn the_report_of_a_run_holds_no_hidden_character() {
    for nasty in NASTY {
        let mut report = sample::run();
        (*nasty).clone_into(&mut report.target.label);
        (*nasty).clone_into(&mut report.workload.source);
        (*nasty).clone_into(&mut report.warnings[0].text);
        (*nasty).clone_into(&mut report.totals.endpoints[0].endpoint);
        report.totals.endpoints[0].classes = [((*nasty).to_owned(), 1)].into();
        for text in [report.text(Style::default()), report.json()] {
            assert!(!text.contains(|c| is_hidden(c) && c != '\n'), "{nasty:?}");
            for line in text.lines() {
                assert!(!line.trim_start().starts_with("::"), "{line}");
                assert!(!line.contains("##"), "{line}");
            }
        }
    }
}
