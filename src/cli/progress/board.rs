//! The lines of the display: where the run is, and for each gate metric its interval on the way
//! to its tolerance. Pure: state in, lines out, none wider than the terminal.

use crate::{
    compare::{Change, Comparison, Status},
    report::{
        printable,
        words::{change_cell, duration, status_sign, tolerance_cell, whole_number},
    },
    text::{columns, fit},
    units::{count, seconds, whole},
};

/// No more metrics have a line of their own.
const ROWS: usize = 8;
/// A bar shows so many tolerances to each side.
const REACH: f64 = 2.0;
/// The room of a metric's name.
const METRIC: usize = 8;
/// The most room of what is said of its change.
const SAID: usize = 34;

/// How lines are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Columns of the terminal.
    pub(super) width: usize,
    /// Whether it takes colour; signs say the same without it.
    pub(super) colour: bool,
    /// Whether it takes more than ASCII.
    pub(super) unicode: bool,
}

/// Where a run is.
#[derive(Debug, Clone, Default)]
pub(super) struct Board {
    pub(super) total_ns: u64,
    pub(super) round: u32,
    pub(super) rounds: u32,
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) in_flight: u64,
    /// The 0.99 quantile of the generator's lateness in the newest slot.
    pub(super) lag_ns: Option<u64>,
    pub(super) metrics: Metrics,
}

/// What is known of the gate metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Metrics {
    passed: usize,
    rows: Vec<Row>,
    more: usize,
    all: usize,
}

/// One gate metric that has not passed.
#[derive(Debug, Clone)]
struct Row {
    status: Status,
    metric: &'static str,
    endpoint: String,
    /// Lower bound, estimate and upper bound, counted in tolerances.
    bounds: Option<[f64; 3]>,
    /// What is tolerated, likewise: 0 where the candidate is held to a limit.
    edge: f64,
    said: String,
}

impl Metrics {
    /// What a look found. Regressions first, then what is open.
    pub(super) fn of(comparison: &Comparison) -> Self {
        let gate = comparison.changes.iter().filter(|change| change.gate);
        let judged: Vec<_> = gate.filter(|it| it.status != Status::NotJudged).collect();
        let open = judged.iter().filter(|it| it.status != Status::Pass);
        let rows: Vec<Row> = open.clone().take(ROWS).map(|it| row(it)).collect();
        Self {
            passed: judged.iter().filter(|it| it.status == Status::Pass).count(),
            more: open.count() - rows.len(),
            rows,
            all: judged.len(),
        }
    }

    /// How far the decision is, in one clause.
    fn said(&self) -> Option<String> {
        let decided = self
            .rows
            .iter()
            .filter(|row| row.status != Status::Inconclusive);
        let decided = self.passed + decided.count();
        (self.all > 0).then(|| format!("{decided} of {} decided", self.all))
    }
}

fn row(change: &Change) -> Row {
    let unit = change.unit();
    Row {
        status: change.status,
        metric: change.metric.name(),
        endpoint: printable(&change.endpoint),
        bounds: change
            .change
            .map(|it| [it.lower, it.estimate, it.upper].map(|value| value / unit)),
        edge: change.tolerance / unit,
        said: format!("{} of {}", change_cell(change), tolerance_cell(change)),
    }
}

impl Board {
    /// All that is to be said in one line: elapsed and budget, round, rate, errors, in flight,
    /// send lag.
    pub(super) fn line(&self, now_ns: u64) -> String {
        let rate = count(self.sent) / seconds(now_ns).max(0.1);
        let lag = self
            .lag_ns
            .map(|ns| format!("send lag p99 {}", duration(count(ns))));
        let parts = [
            Some(format!("{} of {}", clock(now_ns), clock(self.total_ns))),
            Some(format!("round {} of {}", self.round, self.rounds)),
            Some(format!("{rate:.0}/s")),
            Some(format!("{} failed", whole_number(self.failed))),
            Some(format!("{} in flight", whole_number(self.in_flight))),
            lag,
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The same for a log, with how far the decision is and what is open first.
    pub(super) fn plain(&self, now_ns: u64) -> String {
        let first = self
            .metrics
            .rows
            .iter()
            .find(|row| row.status == Status::Inconclusive);
        let first = first.map(|row| format!("open: {} {} {}", row.metric, row.endpoint, row.said));
        let parts = [Some(self.line(now_ns)), self.metrics.said(), first];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The display.
    pub(super) fn lines(&self, now_ns: u64, look: Look) -> Vec<String> {
        let glyphs = Glyphs::of(look.unicode);
        let mut lines = vec![
            fit(&self.line(now_ns), look.width),
            self.bar(now_ns, look, &glyphs),
        ];
        let metrics = &self.metrics;
        let widths = metrics.rows.iter().map(|row| columns(&row.said));
        let said = widths.max().unwrap_or(0).min(SAID);
        lines.extend(metrics.rows.iter().map(|row| row.line(look, &glyphs, said)));
        let more = (metrics.more > 0).then(|| format!("{} more open", metrics.more));
        let passed = (metrics.passed > 0)
            .then(|| format!("{} of {} within tolerance", metrics.passed, metrics.all));
        let rest: Vec<String> = [passed, more].into_iter().flatten().collect();
        if !rest.is_empty() {
            let sign = if metrics.passed > 0 {
                glyphs.passed
            } else {
                " "
            };
            let text = fit(&format!("{sign} {}", rest.join(", ")), look.width);
            lines.push(painted(look, Status::Pass, &text));
        }
        lines
    }

    /// How much of the budget is spent.
    fn bar(&self, now_ns: u64, look: Look, glyphs: &Glyphs) -> String {
        let width = look.width.clamp(10, 100);
        let part = count(now_ns.min(self.total_ns)) / count(self.total_ns.max(1));
        let full = place(part * count(width as u64), width);
        let rest = glyphs.rest.repeat(width - full);
        format!("{}{rest}", glyphs.spent.repeat(full))
    }
}

impl Row {
    /// One line, whose words take so many columns in each of them.
    fn line(&self, look: Look, glyphs: &Glyphs, words: usize) -> String {
        let bar = if look.width >= 96 { 29 } else { 17 };
        let said = fit(&self.said, words);
        // Sign, metric, endpoint, bar and words, with two blanks between the last three.
        let used = 2 + METRIC + 1 + 2 + bar + 2 + words;
        let room = look.width.saturating_sub(used).clamp(6, 40);
        let endpoint = fit(&self.endpoint, room);
        let sign = if look.unicode {
            status_sign(self.status)
        } else {
            ascii_sign(self.status)
        };
        let metric = format!("{:METRIC$}", self.metric);
        let pad = " ".repeat(room.saturating_sub(columns(&endpoint)));
        let drawn = painted(look, self.status, &self.interval(bar, glyphs));
        let text = format!("{metric} {endpoint}{pad}");
        let line = format!(
            "{} {text}  {drawn}  {said}",
            painted(look, self.status, sign)
        );
        if used + room > look.width {
            // Too narrow for a bar: the words alone.
            return fit(&format!("{sign} {metric} {}", self.said), look.width);
        }
        line
    }

    /// The interval on a scale of tolerances.
    fn interval(&self, width: usize, glyphs: &Glyphs) -> String {
        let at = |value: f64| {
            let part = (value.clamp(-REACH, REACH) + REACH) / (2.0 * REACH);
            place(part * count(width as u64 - 1), width - 1)
        };
        let mut cells = vec![glyphs.empty; width];
        cells[at(0.0)] = glyphs.nothing;
        cells[at(self.edge)] = glyphs.edge;
        if let Some([lower, middle, upper]) = self.bounds {
            let (from, to) = (at(lower), at(upper));
            for (index, cell) in cells.iter_mut().enumerate().take(to + 1).skip(from) {
                let crossing = [at(0.0), at(self.edge)].contains(&index);
                *cell = if crossing {
                    glyphs.crossed
                } else {
                    glyphs.inside
                };
            }
            cells[from] = if lower < -REACH {
                glyphs.further[0]
            } else {
                glyphs.ends[0]
            };
            cells[to] = if upper > REACH {
                glyphs.further[1]
            } else {
                glyphs.ends[1]
            };
            if middle.abs() <= REACH {
                cells[at(middle)] = glyphs.middle;
            }
        }
        cells.concat()
    }
}

/// What is drawn with.
struct Glyphs {
    spent: &'static str,
    rest: &'static str,
    empty: &'static str,
    nothing: &'static str,
    edge: &'static str,
    inside: &'static str,
    crossed: &'static str,
    ends: [&'static str; 2],
    further: [&'static str; 2],
    middle: &'static str,
    passed: &'static str,
}

impl Glyphs {
    fn of(unicode: bool) -> Self {
        if unicode {
            return Self {
                spent: "━",
                rest: "┄",
                empty: "·",
                nothing: "│",
                edge: "┃",
                inside: "─",
                crossed: "┼",
                ends: ["├", "┤"],
                further: ["◀", "▶"],
                middle: "●",
                passed: "✓",
            };
        }
        Self {
            spent: "=",
            rest: "-",
            empty: ".",
            nothing: "|",
            edge: "!",
            inside: "-",
            crossed: "+",
            ends: ["[", "]"],
            further: ["<", ">"],
            middle: "o",
            passed: "=",
        }
    }
}

fn ascii_sign(status: Status) -> &'static str {
    match status {
        Status::Pass => "=",
        Status::Regressed => "X",
        other => status_sign(other),
    }
}

fn painted(look: Look, status: Status, text: &str) -> String {
    let code = match status {
        _ if !look.colour => return text.to_owned(),
        Status::Pass => "32",
        Status::Regressed => "31",
        Status::Inconclusive => "33",
        Status::Invalid => "35",
        Status::NotJudged => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// A whole place not above the last.
fn place(value: f64, last: usize) -> usize {
    usize::try_from(whole(value.round()))
        .unwrap_or(last)
        .min(last)
}

/// A time as a clock shows it: `46s`, `3m05s`.
fn clock(ns: u64) -> String {
    let whole_s = ns / crate::units::SECOND_NS;
    match whole_s / 60 {
        0 => format!("{whole_s}s"),
        minutes => format!("{minutes}m{:02}s", whole_s % 60),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::compare::{
        Design, Metric, Policy, RoundEvidence, Tables,
        evidence::{Figures, Reading},
        judge,
    };

    /// A comparison of two endpoints after so many rounds: one equal, one a tenth slower.
    fn comparison(rounds: u32) -> Comparison {
        let figures = |ms: f64| {
            let mut figures = Figures {
                scheduled: 1_000,
                ok: 1_000,
                ..Figures::default()
            };
            for metric in [Metric::P50, Metric::P99] {
                figures.set(metric, Some(Reading::exactly(ms * 1e6)));
            }
            figures
        };
        let round = |n: u32| {
            let mut round = RoundEvidence {
                round: n,
                baseline_first: true,
                ..RoundEvidence::default()
            };
            let wobble = 1.0 + 0.06 * f64::from(n * 7 % 5);
            let own = 1.1 + 0.02 * f64::from(n * 3 % 4);
            for (side, slower) in round.sides.iter_mut().zip([1.0, own]) {
                let own = [("GET /same", 1.0), ("GET /slow/{id}", slower)];
                side.endpoints = own
                    .map(|(name, factor)| (name.to_owned(), figures(10.0 * factor * wobble)))
                    .into();
                if slower > 1.0 {
                    side.endpoints
                        .insert("GET /same".to_owned(), figures(10.0 * (2.0 - wobble)));
                }
                side.workload = figures(10.0 * wobble);
            }
            round
        };
        let rounds: Vec<_> = (1..=rounds).map(round).collect();
        let expected = ["GET /same", "GET /slow/{id}"].map(|it| (it.to_owned(), 1_000.0));
        let design = Design::new(12, true, BTreeMap::from(expected));
        judge(&design, &Policy::standard(1), &Tables::default(), &rounds)
    }

    fn board(rounds: u32) -> Board {
        Board {
            total_ns: 46_000_000_000,
            round: rounds,
            rounds: 12,
            sent: 12_345,
            failed: 3,
            in_flight: 17,
            lag_ns: Some(94_000),
            metrics: Metrics::of(&comparison(rounds)),
        }
    }

    const WIDE: Look = Look {
        width: 100,
        colour: false,
        unicode: true,
    };

    #[test]
    fn the_display_looks_as_agreed() {
        let lines = |rounds, look| board(rounds).lines(23_000_000_000, look).join("\n");
        insta::assert_snapshot!("two_rounds", lines(2, WIDE));
        insta::assert_snapshot!("eight_rounds", lines(8, WIDE));
        let ascii = Look {
            unicode: false,
            width: 80,
            ..WIDE
        };
        insta::assert_snapshot!("ascii", lines(8, ascii));
        insta::assert_snapshot!("plain", board(8).plain(23_000_000_000));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut board = board(4);
        for row in &mut board.metrics.rows {
            row.endpoint = format!("GET /日本語/{}", "long/".repeat(30));
        }
        for width in [20, 40, 60, 80, 100, 200] {
            for unicode in [false, true] {
                let look = Look {
                    width,
                    unicode,
                    ..WIDE
                };
                for line in board.lines(1, look) {
                    assert!(columns(&line) <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn colour_repeats_what_signs_say() {
        let colour = Look {
            colour: true,
            ..WIDE
        };
        let mut stripped = board(8).lines(1, colour).join("\n");
        for code in ["0", "2", "31", "32", "33", "35"] {
            stripped = stripped.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(stripped, board(8).lines(1, WIDE).join("\n"));
    }

    #[test]
    fn an_interval_shrinks_with_the_rounds() {
        let width = |rounds| {
            let found = comparison(rounds);
            let mut changes = found.changes.iter();
            let of = |it: &&Change| it.endpoint == "GET /same" && it.metric == Metric::P50;
            let drawn = row(changes.find(of).unwrap()).interval(29, &Glyphs::of(true));
            assert_eq!(columns(&drawn), 29);
            drawn.matches(['─', '┼', '├', '┤']).count()
        };
        assert!(width(4) > width(12), "{} {}", width(4), width(12));
    }
}
