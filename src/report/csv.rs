//! `changes.csv`: one row for each endpoint and metric, every cell quoted.
//!
//! A spreadsheet takes cells that start with `=`, `+`, `-` or `@` for formulas. Foreign text of
//! that kind gets a leading `'` (OWASP, "CSV injection"); our own numbers stay numbers.

use csv::{QuoteStyle, WriterBuilder};

use super::json::{Levels, code, scale};
use super::{Report, printable, words};
use crate::compare::Change;

const HEADER: [&str; 30] = [
    "endpoint",
    "metric",
    "gate",
    "status",
    "reason",
    "scale",
    "change",
    "change_lower",
    "change_upper",
    "tolerance",
    "minimum_effect",
    "baseline_ns",
    "candidate_ns",
    "baseline_rate",
    "candidate_rate",
    "rounds",
    "requests_per_round",
    "sigma",
    "detectable",
    "p_regressed",
    "measured_together",
    "baseline_bytes",
    "candidate_bytes",
    "limit_ns",
    "limit_rate",
    "limit_bytes",
    "more_rounds",
    "more_s",
    "sentence",
    "warnings",
];

/// The rows below their header; the keys mean what they mean in `report.json`.
pub(super) fn render(report: &Report) -> String {
    let mut writer = WriterBuilder::new()
        .quote_style(QuoteStyle::Always)
        .from_writer(Vec::new());
    let warnings = report.comparison.warnings.iter();
    // What was not checked, or disturbed the whole, belongs to each figure that is taken from it.
    let codes: std::collections::BTreeSet<_> = warnings.map(|it| printable(&it.code)).collect();
    let codes: Vec<_> = codes.into_iter().collect();
    let codes = neutral(&codes.join(" "));
    let together = words::together(&report.comparison);
    let changes = report.comparison.changes.iter();
    let rows = changes.map(|change| row(change, together, &codes));
    let header = HEADER.map(str::to_owned);
    for row in std::iter::once(header).chain(rows) {
        writer.write_record(row).expect("writing to memory");
    }
    let bytes = writer.into_inner().expect("writing to memory");
    String::from_utf8(bytes).expect("only text was written")
}

fn row(change: &Change, together: bool, warnings: &str) -> [String; HEADER.len()] {
    let levels = Levels::of(change);
    let whole = |ns: Option<u64>| ns.map_or(String::new(), |ns| ns.to_string());
    let interval = change.change;
    [
        neutral(&change.endpoint),
        change.metric.name().to_owned(),
        change.gate.to_string(),
        code(&change.status),
        code(&change.reason),
        scale(change.metric).to_owned(),
        number(interval.map(|interval| interval.estimate)),
        number(interval.map(|interval| interval.lower)),
        number(interval.map(|interval| interval.upper)),
        number(Some(change.tolerance)),
        number(Some(change.minimum_effect)),
        whole(levels.baseline_ns),
        whole(levels.candidate_ns),
        number(levels.baseline_rate),
        number(levels.candidate_rate),
        change.rounds.to_string(),
        number(Some(change.requests_per_round)),
        number(change.sigma),
        number(change.detectable),
        number(change.p_regressed),
        together.to_string(),
        number(levels.baseline_bytes),
        number(levels.candidate_bytes),
        whole(levels.limit_ns),
        number(levels.limit_rate),
        number(levels.limit_bytes),
        number(change.more_rounds.map(f64::from)),
        number(change.more_s),
        neutral(&words::sentence(change, &printable(&change.endpoint))),
        warnings.to_owned(),
    ]
}

fn number(value: Option<f64>) -> String {
    let value = value.filter(|value| value.is_finite());
    value.map_or(String::new(), |value| value.to_string())
}

fn neutral(foreign: &str) -> String {
    const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
    let shown = printable(foreign);
    if foreign.starts_with(FORMULA) || shown.trim_start().starts_with(FORMULA) {
        return format!("'{shown}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn formulas_are_neutral_and_numbers_are_numbers() {
        for (foreign, cell) in [
            ("GET /a", "GET /a"),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\\t=1"),
            ("\r=1", "'\\r=1"),
            ("  =1", "'  =1"),
            ("＝1", "'＝1"),
            ("a\n=1", "a\\n=1"),
        ] {
            assert_eq!(neutral(foreign), cell);
        }
        assert_eq!(number(Some(-0.25)), "-0.25");
        assert_eq!(number(Some(f64::INFINITY)), "");
    }

    #[test]
    fn every_row_is_read_back_with_its_cells() {
        let mut report = sample::report();
        report.comparison.changes[0].endpoint = "GET /\"a\",b;=1|c".into();
        report.comparison.warnings[0].code = super::super::INSECURE.to_owned();
        let text = render(&report);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), report.comparison.changes.len());
        assert_eq!(&rows[0][0], "GET /\"a\",b;=1|c");
        assert!(rows.iter().all(|row| row.len() == HEADER.len()));
        assert!(rows.iter().all(|row| &row[HEADER.len() - 1] == "insecure"));
    }
}
