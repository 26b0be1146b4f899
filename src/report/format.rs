//! **The** table of formats: what each is called, in which file it lies, and what it is made from.
//!
//! Whoever adds a format writes a variant, a row of [`KINDS`], and one line in [`render`]; flags,
//! files and help follow from the row. What must be in every output directory stands in [`FILES`]
//! as well.

use std::{fmt, str::FromStr};

use super::{Report, Style, bencher, benchmark_action, html, json, junit, markdown, metrics, text};

/// The formats of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table for the terminal, at most 100 columns.
    Text,
    /// `report.json`, for machines.
    Json,
    /// A summary for step summaries, at most 900 KB.
    Markdown,
    /// The same for a comment, at most 60 KB.
    Comment,
    /// One self-contained page.
    Html,
    /// One case for each endpoint and gate metric.
    Junit,
    /// One row for each endpoint and metric.
    Csv,
    /// The gate metrics as OpenMetrics text.
    Metrics,
    /// The gate metrics in the Bencher Metric Format.
    Bencher,
    /// Those of which less is better, for github-action-benchmark.
    Smaller,
    /// Those of which more is better.
    Bigger,
}

/// What can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Rendered from the report.
    Report(Format),
    /// Every histogram of the run file, by [`hlog`](super::hlog).
    Histograms,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// How it is asked for.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The name that its file usually has.
    pub file: &'static str,
    /// What stands in the first 4 KB of each such file, by which one of ours is known.
    pub mark: &'static str,
}

const fn row(name: &'static str, format: Format, file: &'static str, mark: &'static str) -> Row {
    Row {
        name,
        kind: Kind::Report(format),
        file,
        mark,
    }
}

/// Everything that can be asked for.
pub const KINDS: [Row; 12] = [
    row("html", Format::Html, "report.html", "proofload"),
    row("json", Format::Json, "report.json", json::SCHEMA),
    row("junit", Format::Junit, "junit.xml", "\"proofload\""),
    row("md", Format::Markdown, "summary.md", markdown::MARK),
    row("comment", Format::Comment, "comment.md", markdown::MARK),
    row("csv", Format::Csv, "changes.csv", "\"endpoint\",\"metric\""),
    row("metrics", Format::Metrics, "metrics.txt", "proofload_"),
    row("bmf", Format::Bencher, "bencher.json", "\"value\""),
    row("gab", Format::Smaller, "benchmark.json", "\"value\""),
    row(
        "gab-bigger",
        Format::Bigger,
        "benchmark-bigger.json",
        "\"value\"",
    ),
    row("text", Format::Text, "summary.txt", "workload"),
    Row {
        name: "hlog",
        kind: Kind::Histograms,
        file: "histograms.hlog",
        mark: "#[proofload ",
    },
];

/// The files of every output directory, beside the run file and `verdict.json`.
pub const FILES: [(&str, Format); 6] = [
    ("report.html", Format::Html),
    ("report.json", Format::Json),
    ("junit.xml", Format::Junit),
    ("summary.md", Format::Markdown),
    ("changes.csv", Format::Csv),
    ("metrics.txt", Format::Metrics),
];

impl Kind {
    /// Its row of the table.
    pub fn row(self) -> &'static Row {
        let mut rows = KINDS.iter();
        let own = rows.find(|row| row.kind == self);
        own.expect("each kind has a row, which a test holds")
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = if text == "markdown" { "md" } else { text };
        let found = KINDS.iter().find(|row| row.name == name);
        found.map(|row| row.kind).ok_or_else(|| {
            let names: Vec<_> = KINDS.iter().map(|row| row.name).collect();
            format!(
                "`{text}` is no kind of report; there are {}",
                names.join(", ")
            )
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().name)
    }
}

/// The report in one format. Each ends with a line feed.
pub fn render(report: &Report, format: Format, style: Style) -> String {
    match format {
        Format::Text => text::render(report, style),
        Format::Json => json::render(report),
        Format::Markdown => markdown::render(report, markdown::SUMMARY_MAX),
        Format::Comment => markdown::render(report, markdown::COMMENT_MAX),
        Format::Html => html::render(report),
        Format::Junit => junit::render(report),
        Format::Csv => super::csv::render(report),
        Format::Metrics => metrics::render(report),
        Format::Bencher => bencher::render(report),
        Format::Smaller => benchmark_action::render(report, false),
        Format::Bigger => benchmark_action::render(report, true),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    /// Every format once: a new variant does not compile here before it is listed.
    fn all() -> Vec<Format> {
        let listed = |format: &Format| match format {
            Format::Text
            | Format::Json
            | Format::Markdown
            | Format::Comment
            | Format::Html
            | Format::Junit
            | Format::Csv
            | Format::Metrics
            | Format::Bencher
            | Format::Smaller
            | Format::Bigger => true,
        };
        let rows = KINDS.iter().filter_map(|row| match row.kind {
            Kind::Report(format) => Some(format),
            Kind::Histograms => None,
        });
        rows.filter(listed).collect()
    }

    #[test]
    fn every_kind_is_found_by_its_name_and_known_by_its_mark() {
        let report = sample::report();
        assert_eq!(all().len(), 11, "a format without a row");
        for row in KINDS {
            assert_eq!(row.name.parse(), Ok(row.kind));
            assert_eq!(row.kind.row().name, row.name);
            assert_eq!(row.kind.to_string(), row.name);
        }
        let error = "pdf".parse::<Kind>().unwrap_err();
        assert!(
            error.contains("`pdf`") && error.contains("junit"),
            "{error}"
        );
        for format in all() {
            let row = Kind::Report(format).row();
            let text = render(&report, format, Style::default());
            let head = &text.as_bytes()[..text.len().min(4096)];
            let head = String::from_utf8_lossy(head);
            assert!(head.contains(row.mark), "{}: {head}", row.name);
        }
        for (name, format) in FILES {
            assert_eq!(Kind::Report(format).row().file, name);
        }
    }

    #[test]
    fn the_same_report_gives_the_same_bytes_in_each() {
        let report = sample::report();
        for format in all() {
            let text = render(&report, format, Style::default());
            assert_eq!(
                text,
                render(&report, format, Style::default()),
                "{format:?}"
            );
            assert!(text.ends_with('\n'), "{format:?}");
        }
    }
}
