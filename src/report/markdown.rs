//! `summary.md`: for pull requests and step summaries, which drop what is over a megabyte.
//!
//! Foreign text stands in code spans only, where neither mentions, links, images nor HTML act.

use super::words::{self, change_cell, level_cell, status_sign, status_word, tolerance_cell};
use super::{Place, Report, findings};
use crate::compare::{Change, Verdict};
use crate::run::Side;
use crate::text::{printable, shorten};

/// What a step summary surely takes, in bytes.
pub(super) const SUMMARY_MAX: usize = 900_000;
/// What a comment surely takes, in bytes: GitHub's has 65,536 characters.
pub(super) const COMMENT_MAX: usize = 60_000;
/// By this a script finds the comment that it wrote before. Nobody sees it.
pub(super) const MARK: &str = "<!-- proofload summary -->";
/// Room kept for the note on what was left out and for closing tags.
const RESERVE: usize = 1_000;
/// Longer names and texts are cut, in characters.
const LONGEST: usize = 300;

const HEADER: &str = concat!(
    "| | endpoint | metric | baseline | candidate | change | tolerated | status |\n",
    "|---|---|---|--:|--:|:--|--:|:--|\n"
);

/// Lines up to the limit; what does not fit is counted.
struct Page {
    text: String,
    limit: usize,
    left_out: u64,
}

impl Page {
    fn push(&mut self, line: &str) {
        if self.text.len() + line.len() + RESERVE > self.limit {
            self.left_out += 1;
        } else {
            self.text.push_str(line);
        }
    }

    fn list(&mut self, title: &str, lines: impl Iterator<Item = String>) {
        for (index, line) in lines.enumerate() {
            if index == 0 {
                self.push(&format!("\n**{title}**\n\n"));
            }
            self.push(&format!("- {line}\n"));
        }
    }

    // The tags go in pairs, whatever the limit leaves out between them.
    fn folded(&mut self, title: &str, fill: impl FnOnce(&mut Self)) {
        for part in ["\n<details><summary>", title, "</summary>\n\n"] {
            self.text.push_str(part);
        }
        fill(self);
        self.text.push_str("\n</details>\n");
    }
}

/// The summary, at most so many bytes, which are some thousand or more.
pub(super) fn render(report: &Report, limit: usize) -> String {
    let comparison = &report.comparison;
    let mut page = Page {
        text: format!("{MARK}\n"),
        limit,
        left_out: 0,
    };
    let said = words::verdict_sentence(comparison, &code);
    let sign = match comparison.verdict {
        Verdict::Pass => "✅",
        Verdict::Regressed => "❌",
        Verdict::Inconclusive => "❔",
        Verdict::Invalid => "⚠️",
    };
    let word = words::verdict_word(comparison.verdict);
    page.push(&format!("## {sign} {word}: {said}\n"));
    page.push(&compared(report));
    page.list("Why", comparison.causes.iter().map(|cause| prose(cause)));
    let notable = findings::notable(comparison);
    let shown = notable.iter().take(5);
    page.list("What matters", shown.map(|change| sentence(change)));
    let judged = findings::judged(comparison);
    if !judged.is_empty() {
        page.push(&format!("\n{HEADER}"));
        for change in judged {
            page.push(&row(change));
        }
    }
    page.push(&format!(
        "\nCan it be trusted? {} {} {}\n",
        findings::trust(comparison),
        findings::rounds(comparison, &code),
        findings::coverage(comparison)
    ));
    let warnings = comparison.warnings.iter();
    let warnings = warnings.map(|w| format!("{}: {}", code(&w.code), prose(&w.text)));
    page.list("Warnings", warnings);
    details(&mut page, report);
    if page.left_out > 0 {
        let lines = words::plural(page.left_out, "more line");
        return format!("{}\n{lines} left out; see `report.html`.\n", page.text);
    }
    page.text
}

fn compared(report: &Report) -> String {
    let subject = &report.subject;
    format!(
        "\n{} against the baseline {}, workload {}, {}, {}, started {}.\n",
        place(&subject.candidate),
        place(&subject.baseline),
        code(&subject.workload.source),
        prose(&subject.arrangement),
        words::elapsed(subject.elapsed_ns),
        code(&subject.started_at),
    )
}

fn place(place: &Place) -> String {
    let commit = place.commit().map(|it| format!(" (commit {})", code(it)));
    format!("{}{}", code(&place.label), commit.unwrap_or_default())
}

fn details(page: &mut Page, report: &Report) {
    let comparison = &report.comparison;
    let besides = findings::besides(comparison);
    if !besides.is_empty() {
        page.folded("Other metrics, shown but not judged by", |page| {
            page.push(HEADER);
            for change in besides {
                page.push(&row(change));
            }
        });
    }
    let not_judged = findings::not_judged(comparison, &code);
    if !not_judged.is_empty() {
        page.folded("What could not be judged", |page| {
            for said in not_judged {
                page.push(&format!("- {said}\n"));
            }
        });
    }
    if !report.totals.endpoints.is_empty() {
        page.folded("Latency and errors of both sides", |page| {
            page.push("| endpoint | side | sent | failed | p50 | p90 | p99 | max |\n");
            page.push("|---|---|--:|--:|--:|--:|--:|--:|\n");
            for total in &report.totals.endpoints {
                let times = &total.response_ns;
                let times = [times.p50, times.p90, times.p99, times.max].map(words::time_cell);
                page.push(&format!(
                    "| {} | {} | {} | {} | {} |\n",
                    code_in_table(&total.endpoint),
                    total.side.name(),
                    words::whole_number(total.counts.sent),
                    words::whole_number(total.counts.failures()),
                    times.join(" | ")
                ));
            }
        });
    }
    page.folded("How to do it again", |page| {
        page.push(&format!("{}\n", code(&report.subject.command)));
    });
}

fn row(change: &Change) -> String {
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        status_sign(change.status),
        code_in_table(&change.endpoint),
        change.metric.name(),
        level_cell(change, Side::Baseline),
        level_cell(change, Side::Candidate),
        change_cell(change),
        tolerance_cell(change),
        status_word(change.status),
    )
}

fn sentence(change: &Change) -> String {
    words::sentence(change, &code(&change.endpoint))
}

/// Foreign text as a code span whose fence is longer than any run of backticks inside.
fn code(foreign: &str) -> String {
    span(&shorten(&printable(foreign), LONGEST))
}

fn span(shown: &str) -> String {
    if shown.trim().is_empty() {
        return "(empty)".to_owned();
    }
    let runs = shown.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0) + 1);
    let edge = |c: char| c == '`' || c == ' ';
    let space = if shown.starts_with(edge) || shown.ends_with(edge) {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{shown}{space}{fence}")
}

/// The same inside a table, whose cells end at `|` even inside of code. A backslash before it
/// could take away the escape, so that such a `|` is shown as `\x7c`.
pub(super) fn code_in_table(foreign: &str) -> String {
    let shown = shorten(&printable(foreign), LONGEST);
    if shown.trim().is_empty() {
        return "(empty)".to_owned();
    }
    span(&shown.replace("\\|", "\\\\x7c").replace('|', "\\|"))
}

/// Sentences that may hold foreign text: plain where nothing in them could act, else as code.
fn prose(text: &str) -> String {
    let harmless = |c: char| c.is_alphanumeric() || " .,;()%+'–−/=".contains(c);
    let plain = text.chars().all(harmless) && !text.contains("www.");
    if plain && text.starts_with(char::is_alphanumeric) {
        return text.to_owned();
    }
    span(&shorten(&printable(text), 4 * LONGEST))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn fences_are_longer_than_what_they_hold() {
        for (foreign, shown) in [
            ("GET /a", "`GET /a`"),
            ("a`b", "``a`b``"),
            ("```", "```` ``` ````"),
            ("`", "`` ` ``"),
            (" a ", "`  a  `"),
            ("", "(empty)"),
            ("a\n# b", "`a\\n# b`"),
        ] {
            assert_eq!(code(foreign), shown);
        }
        assert_eq!(code_in_table("a|b"), "`a\\|b`");
        assert_eq!(code_in_table("a\\|b"), "`a\\\\x7cb`");
    }

    #[test]
    fn prose_that_could_act_becomes_code() {
        assert_eq!(prose("2 rounds were dropped."), "2 rounds were dropped.");
        for foreign in [
            "@all", "![x](y)", "<b>", "#12", "http://x", "www.x.y", "a*b*", "- x",
        ] {
            assert!(prose(foreign).starts_with('`'), "{foreign}");
        }
    }

    #[test]
    fn a_thousand_long_endpoints_stay_under_the_limit() {
        let mut report = sample::report();
        let row = report.comparison.changes[0].clone();
        report.comparison.changes = (0..9_000)
            .map(|n| Change {
                endpoint: format!("GET /{n}/{}", "x".repeat(200)),
                ..row.clone()
            })
            .collect();
        for limit in [SUMMARY_MAX, COMMENT_MAX, 4_000] {
            let text = render(&report, limit);
            assert!(text.len() <= limit, "{}", text.len());
            assert!(text.contains("left out; see `report.html`"));
            let tags = |tag| text.matches(tag).count();
            assert_eq!(tags("<details>"), tags("</details>"));
        }
    }

    #[test]
    fn the_commit_of_a_side_stands_beside_it() {
        let mut report = sample::report();
        let labels = &mut report.subject.candidate.labels;
        labels.insert(crate::run::COMMIT.to_owned(), "4f1c2e9".to_owned());
        let text = render(&report, SUMMARY_MAX);
        let said = "`https://candidate.shop.example` (commit `4f1c2e9`) against the baseline";
        assert!(text.contains(said), "{text}");
    }
}
