//! Many runs of a row to one line of Markdown, with the Monte-Carlo standard error of each
//! figure.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use proofload::units::count;

use super::rows::Row;

/// What stands in a column, and how many numbers of a run it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// A share of the runs: one number, 0 or 1.
    Rate(&'static str),
    /// A mean over the runs: one number.
    Mean(&'static str),
    /// How often the changed endpoint was named, and how often another one: two numbers.
    Pair(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Rate(title) | Self::Mean(title) | Self::Pair(title) => title,
        }
    }

    fn width(self) -> usize {
        match self {
            Self::Rate(_) | Self::Mean(_) => 1,
            Self::Pair(_) => 2,
        }
    }
}

/// The two lines that begin a table.
pub(crate) fn head(labels: &[&str], columns: &[Column]) -> String {
    let titles = labels
        .iter()
        .copied()
        .chain(columns.iter().map(|it| it.title()));
    let titles: Vec<&str> = titles.collect();
    let rule = "|---".repeat(titles.len());
    format!("| {} |\n{rule}|\n", titles.join(" | "))
}

/// Runs a row on so many threads. The result depends on the seeds alone.
pub(crate) fn measure(row: &Row, runs: u64, threads: usize) -> Vec<Sum> {
    let next = AtomicU64::new(0);
    let sums = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        break;
                    }
                    let found = row.run(run);
                    let mut sums = sums.lock().expect("no thread panics with the lock");
                    sums.resize(found.len(), Sum::default());
                    for (sum, number) in sums.iter_mut().zip(found) {
                        sum.add(number);
                    }
                }
            });
        }
    });
    sums.into_inner().expect("no thread panics with the lock")
}

/// One line of a table.
pub(crate) fn line(labels: &[String], columns: &[Column], sums: &[Sum]) -> String {
    let mut cells = labels.to_vec();
    let mut rest = sums;
    for column in columns {
        let (own, others) = rest.split_at(column.width());
        rest = others;
        cells.push(match column {
            Column::Rate(_) => own[0].rate(),
            Column::Mean(_) => own[0].mean(),
            Column::Pair(_) => format!("{} / {}", own[0].rate(), own[1].rate()),
        });
    }
    format!("| {} |\n", cells.join(" | "))
}

/// One number over many runs; whole numbers, so that the order of threads does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    runs: u64,
    total: u64,
    squares: u64,
}

impl Sum {
    fn add(&mut self, value: u64) {
        self.runs += 1;
        self.total += value;
        self.squares += value * value;
    }

    /// Per cent with its standard error, of which half a run more keeps it from being zero.
    fn rate(self) -> String {
        let n = count(self.runs);
        let shy = (count(self.total) + 0.5) / (n + 1.0);
        let error = 100.0 * (shy * (1.0 - shy) / n).sqrt();
        let digits = if error < 0.095 { 2 } else { 1 };
        format!("{:.1} ± {error:.digits$}", 100.0 * count(self.total) / n)
    }

    fn mean(self) -> String {
        let n = count(self.runs);
        let mean = count(self.total) / n;
        let variance = (count(self.squares) / n - mean * mean).max(0.0);
        format!("{mean:.1} ± {:.1}", (variance / n).sqrt())
    }
}
