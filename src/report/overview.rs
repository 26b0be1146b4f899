//! Many comparisons at once, such as all of a release: which of them hold, and the worst change
//! of each metric. The newest first.

use std::collections::BTreeSet;

use serde::Serialize;

use super::table::{Align, Table, wrap};
use super::words::{self, change_cell, status_sign};
use super::{Format, Kind, Report, Style, html, json, markdown};
use crate::compare::{Change, Metric, Status, Verdict};
use crate::run::WORKLOAD;
use crate::text::printable;

/// The name of the JSON form.
pub const OVERVIEW_SCHEMA: &str = "proofload.overview.v1";

/// Comparisons with what they are called and where their pages are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// The newest first.
    pub entries: Vec<Entry>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it was read from.
    pub path: String,
    /// Its own page, relative to the one over all and percent-encoded; absent where there is
    /// none.
    pub href: Option<String>,
    /// What it holds.
    pub report: Report,
}

/// The worst judged change of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) change: &'a Change,
}

impl Cell<'_> {
    /// Where it is, safe to print.
    pub(super) fn place(self) -> String {
        match self.change.endpoint.as_str() {
            WORKLOAD => "the whole workload".to_owned(),
            endpoint => printable(endpoint),
        }
    }
}

impl Entry {
    /// The worst judged change of a metric; changes are sorted so.
    pub(super) fn cell(&self, metric: Metric) -> Option<Cell<'_>> {
        let mut judged = self.judged();
        let change = judged.find(|change| change.metric == metric)?;
        Some(Cell { change })
    }

    fn judged(&self) -> impl Iterator<Item = &Change> {
        let all = self.report.comparison.changes.iter();
        all.filter(|change| change.gate && change.status != Status::NotJudged)
    }
}

impl Overview {
    /// Sorts comparisons by when they began, the newest first.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        let started = |entry: &Entry| entry.report.subject.started_at.clone();
        entries.sort_by(|a, b| started(b).cmp(&started(a)).then(a.path.cmp(&b.path)));
        Self { entries }
    }

    /// All of them in one format.
    ///
    /// # Errors
    /// The name of a format that holds one comparison only.
    pub fn render(&self, format: Format, style: Style) -> Result<String, &'static str> {
        match format {
            Format::Html => Ok(html::render_overview(self)),
            Format::Text => Ok(self.text(style)),
            Format::Json => Ok(self.json()),
            Format::Markdown => Ok(self.markdown()),
            one => Err(Kind::Report(one).row().name),
        }
    }

    /// What stands for all of them: the gravest verdict.
    pub(super) fn worst(&self) -> Verdict {
        let gravity = |verdict: Verdict| match verdict {
            Verdict::Regressed => 3,
            Verdict::Invalid => 2,
            Verdict::Inconclusive => 1,
            Verdict::Pass => 0,
        };
        let all = self.entries.iter().map(|it| it.report.comparison.verdict);
        all.max_by_key(|it| gravity(*it))
            .unwrap_or(Verdict::Invalid)
    }

    /// How many there are of each verdict.
    pub(super) fn sentence(&self) -> String {
        let of = |verdict: Verdict| {
            let all = self.entries.iter();
            let n = all
                .filter(|it| it.report.comparison.verdict == verdict)
                .count();
            (n > 0).then(|| format!("{n} {}", words::verdict_word(verdict)))
        };
        let all = [
            Verdict::Regressed,
            Verdict::Invalid,
            Verdict::Inconclusive,
            Verdict::Pass,
        ];
        let said: Vec<String> = all.into_iter().filter_map(of).collect();
        let all = words::plural(self.entries.len(), "comparison");
        format!("{all}: {}.", said.join(", "))
    }

    pub(super) fn title(&self) -> String {
        words::plural(self.entries.len(), "comparison")
    }

    /// The metrics that any of them judged, in the order of reports.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        let seen = self.entries.iter().flat_map(Entry::judged);
        let seen: BTreeSet<Metric> = seen.map(|change| change.metric).collect();
        seen.into_iter().collect()
    }

    fn text(&self, style: Style) -> String {
        let metrics = self.metrics();
        let mut header = vec![
            ("", Align::Left),
            ("started", Align::Left),
            ("comparison", Align::Left),
            ("verdict", Align::Left),
        ];
        header.extend(metrics.iter().map(|it| (it.name(), Align::Left)));
        let mut table = Table::new(&header, 2);
        for entry in &self.entries {
            let report = &entry.report;
            let verdict = report.comparison.verdict;
            let mut row = vec![
                status_sign(html::status_of(verdict)).to_owned(),
                printable(&report.subject.started_at),
                printable(&report.subject.title),
                words::verdict_word(verdict).to_owned(),
            ];
            row.extend(metrics.iter().map(|metric| {
                let cell = entry.cell(*metric);
                cell.map_or("–".to_owned(), |it| {
                    format!("{} {}", status_sign(it.change.status), short(it.change))
                })
            }));
            table.push(row);
        }
        let verdicts: Vec<Verdict> = self
            .entries
            .iter()
            .map(|it| it.report.comparison.verdict)
            .collect();
        let lines = table.lines(&|row, column, cell| match row {
            Some(row) if matches!(column, 0 | 3) => {
                super::text::dressed(verdicts[row], &cell, style)
            }
            _ => cell,
        });
        format!("{}\n{lines}", wrap(&self.sentence(), "", "  "))
    }

    fn markdown(&self) -> String {
        let metrics = self.metrics();
        let header = |cell: &dyn Fn(&Metric) -> String| {
            let cells: Vec<String> = metrics.iter().map(cell).collect();
            cells.concat()
        };
        let mut text = format!(
            "## {}\n\n| | started | comparison | verdict |{}\n|---|---|---|---|{}\n",
            self.sentence(),
            header(&|metric| format!(" {} |", metric.name())),
            header(&|_| "---|".to_owned())
        );
        for entry in &self.entries {
            let report = &entry.report;
            let verdict = report.comparison.verdict;
            let row = [
                status_sign(html::status_of(verdict)).to_owned(),
                markdown::code_in_table(&report.subject.started_at),
                markdown::code_in_table(&report.subject.title),
                words::verdict_word(verdict).to_owned(),
            ];
            let cells = metrics.iter().map(|metric| {
                let cell = entry.cell(*metric);
                cell.map_or("–".to_owned(), |it| {
                    format!(
                        "{} {}",
                        status_sign(it.change.status),
                        change_cell(it.change)
                    )
                })
            });
            let cells: Vec<String> = row.into_iter().chain(cells).collect();
            for part in ["| ", &cells.join(" | "), " |\n"] {
                text.push_str(part);
            }
        }
        text
    }

    fn json(&self) -> String {
        let entries = self.entries.iter().map(|entry| {
            let (subject, comparison) = (&entry.report.subject, &entry.report.comparison);
            Row {
                path: &entry.path,
                page: entry.href.as_deref(),
                title: &subject.title,
                started_at: &subject.started_at,
                verdict: comparison.verdict,
                exit_code: subject.exit_code,
                causes: &comparison.causes,
                regressed: entry
                    .judged()
                    .filter(|it| it.status == Status::Regressed)
                    .count(),
                open: entry
                    .judged()
                    .filter(|it| it.status == Status::Inconclusive)
                    .count(),
                judged: entry.judged().count(),
            }
        });
        json::pretty(&Document {
            schema: OVERVIEW_SCHEMA,
            verdict: self.worst(),
            comparisons: entries.collect(),
        })
    }
}

/// The estimate alone.
fn short(change: &Change) -> String {
    let cell = change_cell(change);
    cell.split(" [").next().unwrap_or_default().to_owned()
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    verdict: Verdict,
    comparisons: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    path: &'a str,
    page: Option<&'a str>,
    title: &'a str,
    started_at: &'a str,
    verdict: Verdict,
    exit_code: u8,
    causes: &'a [String],
    judged: usize,
    regressed: usize,
    open: usize,
}
