//! What GitHub Actions is told of a comparison: annotations, outputs of the step, and the summary
//! as it fits.
//!
//! Annotations are commands of the runner, so that everything in them is escaped as its own
//! toolkit does: `%`, CR and LF, in properties `:` and `,` as well. Foreign text has passed
//! through `printable` before, which leaves no line break and no `::` in it.

use std::path::Path;

use super::{Report, findings, markdown, words};
use crate::compare::{Status, Verdict};
use crate::text::{printable, shorten};

/// GitHub shows ten annotations of a kind for each step.
const ANNOTATIONS_MAX: usize = 10;
/// Longer ones are cut, in characters.
const MESSAGE_MAX: usize = 1_000;
/// What all summaries of one step may hold, in bytes: of more than 1 MiB GitHub shows nothing.
const STEP_MAX: u64 = 1_000_000;
/// Less room than this is none, in bytes.
const ROOM_MIN: usize = 4_000;

/// At most ten lines, one for each finding that did not pass, the verdict first; empty for PASS.
pub fn annotations(report: &Report) -> String {
    let comparison = &report.comparison;
    if comparison.verdict == Verdict::Pass {
        return String::new();
    }
    let level = match comparison.verdict {
        Verdict::Regressed | Verdict::Invalid => "error",
        Verdict::Inconclusive | Verdict::Pass => "warning",
    };
    let word = words::verdict_word(comparison.verdict);
    let said = words::verdict_sentence(comparison, &|endpoint| printable(endpoint));
    let causes = comparison.causes.iter().map(|cause| printable(cause));
    let said: Vec<_> = std::iter::once(said).chain(causes).collect();
    let mut lines = command(level, word, &said.join("\n"));
    let mut notable = findings::notable(comparison);
    if comparison.verdict == Verdict::Invalid && !comparison.causes.is_empty() {
        // Of a measurement that cannot be trusted no metric is worth a line.
        notable.clear();
    }
    // The verdict is one, and what is left out another.
    let room = if notable.len() < ANNOTATIONS_MAX {
        notable.len()
    } else {
        ANNOTATIONS_MAX - 2
    };
    for change in &notable[..room] {
        let level = match change.status {
            Status::Regressed => "error",
            _ => "warning",
        };
        let said = words::sentence(change, &printable(&change.endpoint));
        lines.push_str(&command(level, &words::change_name(change), &said));
    }
    let more = notable.len() - room;
    if more > 0 {
        let said = format!("{} in the report", words::plural(more, "more finding"));
        lines.push_str(&command("warning", word, &said));
    }
    lines
}

/// `name=value` lines for the outputs of the step. A directory whose name is no plain text has no
/// output.
pub fn step_outputs(report: &Report, out_dir: &Path) -> String {
    let comparison = &report.comparison;
    let said = words::headline(comparison, &|endpoint| printable(endpoint));
    let verdict = words::verdict_word(comparison.verdict).to_lowercase();
    let mut lines = format!(
        "verdict={verdict}\nexit-code={}\nsentence={said}\n",
        report.subject.exit_code
    );
    let plain = |path: &&str| !path.contains(char::is_control);
    if let Some(path) = out_dir.to_str().filter(plain) {
        let named = [
            ("out-dir", path.to_owned()),
            ("report", format!("{path}/report.html")),
        ];
        lines.extend(named.map(|(name, value)| format!("{name}={value}\n")));
    }
    lines
}

/// The summary cut to what is left of the room of a step, in whose file so many bytes are; `None`
/// where there is none.
pub fn step_summary(report: &Report, there: u64) -> Option<String> {
    let left = STEP_MAX.saturating_sub(there);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let limit = left.min(markdown::SUMMARY_MAX);
    (limit >= ROOM_MIN).then(|| markdown::render(report, limit))
}

fn command(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| {
        let text = shorten(text, MESSAGE_MAX).replace('%', "%25");
        text.replace('\r', "%0D").replace('\n', "%0A")
    };
    let title = data(&format!("proofload: {title}"));
    let title = title.replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={title}::{}\n", data(message))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn it_looks_as_agreed() {
        let report = sample::report();
        let text = annotations(&report) + &step_outputs(&report, Path::new("reports/shop"));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn there_are_ten_annotations_at_the_most_and_none_for_a_pass() {
        let mut report = sample::report();
        let row = report.comparison.changes[0].clone();
        for n in [1, 8, 9, 10, 11, 200] {
            report.comparison.changes = vec![row.clone(); n];
            let text = annotations(&report);
            let lines = text.lines().count();
            assert_eq!(lines, (n + 1).min(ANNOTATIONS_MAX), "{n}");
            let rest = text.contains(&format!("{} more finding", n.saturating_sub(8)));
            assert_eq!(rest, n > 9, "{n}: {text}");
        }
        report.comparison.verdict = Verdict::Invalid;
        report.comparison.causes = vec!["the machine was busy".to_owned()];
        let text = annotations(&report);
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("%0Athe machine was busy\n"), "{text}");
        report.comparison.verdict = Verdict::Pass;
        assert_eq!(annotations(&report), "");
    }

    #[test]
    fn nothing_in_them_is_a_command_or_an_output_of_its_own() {
        for foreign in [
            "a\n::error::b",
            "a\r\n::set-env name=PATH::b",
            "100%0A::error::b",
            "a,file=/etc/passwd::b",
            "x\nverdict=pass",
            "##[error]x",
            "::stop-commands::pause",
        ] {
            let mut report = sample::report();
            for change in &mut report.comparison.changes {
                foreign.clone_into(&mut change.endpoint);
            }
            report.comparison.causes = vec![foreign.to_owned()];
            let text = annotations(&report);
            for line in text.lines() {
                let (head, message) = line[2..].split_once("::").unwrap();
                let (level, title) = head.split_once(" title=").unwrap();
                assert!(["error", "warning"].contains(&level), "{line}");
                assert!(!title.contains([':', ',']), "{line}");
                let escapes = message.split('%').skip(1);
                let known = |it: &str| ["25", "0A", "0D"].iter().any(|code| it.starts_with(code));
                assert!(escapes.into_iter().all(known), "{line}");
                assert!(!line.contains("##["), "{line}");
            }
            let lines = step_outputs(&report, Path::new(foreign));
            let names = lines.lines().map(|line| line.split('=').next().unwrap());
            let names: Vec<_> = names.collect();
            assert_eq!(names[..3], ["verdict", "exit-code", "sentence"]);
            let rest = &names[3..];
            assert!(rest.is_empty() || *rest == ["out-dir", "report"], "{lines}");
        }
    }

    #[test]
    fn a_summary_takes_what_is_left_of_the_step() {
        let mut report = sample::report();
        let row = report.comparison.changes[0].clone();
        report.comparison.changes = vec![row; 12_000];
        for (there, most) in [(0, 900_000), (500_000, 500_000), (990_000, 10_000)] {
            let text = step_summary(&report, there).unwrap();
            assert!(
                text.len() <= most && text.len() > most / 2,
                "{}",
                text.len()
            );
        }
        for there in [997_000, 1_000_000, u64::MAX] {
            assert_eq!(step_summary(&report, there), None);
        }
    }
}
