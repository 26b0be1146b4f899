//! The comparison on a terminal: verdict first, then the changes, worst first.
//!
//! Foreign text never begins a line, and colour only repeats what signs and words say.

use super::table::{Align, Table, wrap};
use super::words::{self, change_cell, level_cell, status_sign, status_word, tolerance_cell};
use super::{INSECURE, Report, Style, fidelity, findings};
use crate::compare::{Change, Status, Verdict};
use crate::run::Side;
use crate::text::printable;

/// No more changes are put into sentences.
const SHOWN: usize = 10;

/// The whole answer, at most 100 columns wide.
pub(super) fn render(report: &Report, style: Style) -> String {
    let comparison = &report.comparison;
    let mut text = head(report, style);
    let judged = findings::judged(comparison);
    if !judged.is_empty() {
        text.push('\n');
        text.push_str(&changes(&judged, style));
    }
    let notable = findings::notable(comparison);
    let more = notable.len().saturating_sub(SHOWN);
    let notable = notable
        .iter()
        .take(SHOWN)
        .map(|change| words::sentence(change, &printable(&change.endpoint)));
    let more =
        (more > 0).then(|| format!("{} more in the table above", words::plural(more, "row")));
    section(&mut text, "What matters", notable.chain(more));
    section(
        &mut text,
        "Why",
        comparison.causes.iter().map(|cause| printable(cause)),
    );
    text.push('\n');
    text.push_str(&wrap(
        &findings::rounds(comparison, &|reason| printable(reason)),
        "Rounds: ",
        "  ",
    ));
    text.push_str(&wrap(&findings::coverage(comparison), "", "  "));
    let not_judged = findings::not_judged(comparison, &|endpoint| printable(endpoint));
    section(&mut text, "Not judged", not_judged.into_iter());
    let fidelity = fidelity::lines(&report.totals.fidelity);
    section(&mut text, "Replay", fidelity.into_iter());
    let warnings = comparison.warnings.iter();
    let warnings = warnings.map(|warning| {
        let (code, said) = (printable(&warning.code), printable(&warning.text));
        format!("{code}: {said}")
    });
    section(&mut text, "Warnings", warnings);
    section(
        &mut text,
        "Notes",
        report.subject.notes.iter().map(|note| printable(note)),
    );
    text
}

fn head(report: &Report, style: Style) -> String {
    let (subject, comparison) = (&report.subject, &report.comparison);
    let said = words::headline(comparison, &|endpoint| printable(endpoint));
    let mut text = wrap(&said, "", "  ");
    if style.colour {
        let word = words::verdict_word(comparison.verdict);
        let rest = text.split_off(word.len());
        text = format!("{}{rest}", paint(verdict_colour(comparison.verdict), word));
    }
    text.push('\n');
    for (name, place) in [
        ("baseline ", &subject.baseline),
        ("candidate", &subject.candidate),
    ] {
        let said = place.shown();
        text.push_str(&wrap(&said, &format!("  {name}  "), "             "));
    }
    let load = format!(
        "{}, {}, {}, seed {}, {}",
        subject.workload.source,
        subject.rate,
        subject.arrangement,
        subject.seed,
        words::elapsed(subject.elapsed_ns)
    );
    text.push_str(&wrap(&printable(&load), "  workload   ", "             "));
    let warnings = &comparison.warnings;
    if warnings.iter().any(|it| it.code == INSECURE) {
        let said = "  insecure   no certificate was checked";
        let shown = if style.colour {
            paint("31", said)
        } else {
            said.to_owned()
        };
        text.push_str(&shown);
        text.push('\n');
    }
    text
}

fn changes(changes: &[&Change], style: Style) -> String {
    let header = [
        ("", Align::Left),
        ("endpoint", Align::Left),
        ("metric", Align::Left),
        ("baseline", Align::Right),
        ("candidate", Align::Right),
        ("change", Align::Left),
        ("tolerated", Align::Right),
        ("status", Align::Left),
    ];
    let mut table = Table::new(&header, 1);
    for change in changes {
        table.push(vec![
            status_sign(change.status).to_owned(),
            printable(&change.endpoint),
            change.metric.name().to_owned(),
            level_cell(change, Side::Baseline),
            level_cell(change, Side::Candidate),
            change_cell(change),
            tolerance_cell(change),
            status_word(change.status).to_owned(),
        ]);
    }
    table.lines(&|row, column, cell| match row {
        Some(row) if style.colour && matches!(column, 0 | 7) => {
            paint(status_colour(changes[row].status), &cell)
        }
        None if style.colour => paint("2", &cell),
        _ => cell,
    })
}

fn section(text: &mut String, title: &str, lines: impl Iterator<Item = String>) {
    for (index, line) in lines.enumerate() {
        if index == 0 {
            for part in ["\n", title, ":\n"] {
                text.push_str(part);
            }
        }
        text.push_str(&wrap(&line, "  - ", "    "));
    }
}

fn paint(colour: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    format!("\x1b[{colour}m{text}\x1b[0m")
}

/// A word that stands for a verdict, in its colour where colour is wanted.
pub(super) fn dressed(verdict: Verdict, text: &str, style: Style) -> String {
    if style.colour {
        paint(verdict_colour(verdict), text)
    } else {
        text.to_owned()
    }
}

fn verdict_colour(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "1;32",
        Verdict::Regressed => "1;31",
        Verdict::Inconclusive => "1;33",
        Verdict::Invalid => "1;35",
    }
}

fn status_colour(status: Status) -> &'static str {
    match status {
        Status::Pass => "32",
        Status::Regressed => "31",
        Status::Inconclusive => "33",
        Status::Invalid => "35",
        Status::NotJudged => "2",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::text::columns;

    #[test]
    fn no_line_is_wider_than_a_hundred_columns() {
        let mut report = sample::report();
        for change in &mut report.comparison.changes {
            change.endpoint = format!("GET /日本語/{}", "long/".repeat(60));
            change.tolerance *= 1e6;
            if let Some(interval) = &mut change.change {
                interval.upper = 1e9;
            }
        }
        report.comparison.causes.push("word ".repeat(80));
        for line in render(&report, Style::default()).lines() {
            assert!(columns(line) <= 100, "{}: {line}", columns(line));
        }
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let mut report = sample::report();
        report.comparison.warnings[0].code = INSECURE.to_owned();
        let plain = render(&report, Style::default());
        let mut stripped = render(&report, Style { colour: true });
        for code in [
            "0", "2", "31", "32", "33", "35", "1;31", "1;32", "1;33", "1;35",
        ] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert!(plain.contains("  insecure   no certificate was checked"));
        let trimmed: Vec<_> = stripped.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }
}
