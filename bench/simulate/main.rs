//! What the judge says of deployments that were simulated: the table of docs/simulations.md.
//!
//! Every row goes through the whole pipeline, from the law of single requests to histograms,
//! slots, rounds, looks and a verdict; beside it stand four rules that people decide by today.
//!
//! ```text
//! cargo run --release --example simulate -- --rows 'order effect'
//! ```
//!
//! The same seeds give the same table on any number of threads. bench/README.md says more.

mod list;
mod model;
mod rivals;
mod rows;
mod table;

use std::{
    io::{self, Write},
    thread,
};

use clap::Parser;
use proofload::{clock::Clock, units::seconds};

use rows::Section;

/// Simulates comparisons from requests to verdicts and prints how they ended as Markdown
#[derive(Debug, Parser)]
#[command(name = "simulate", max_term_width = 100)]
struct Args {
    /// Runs of each row, instead of 2,000 for equal sides and 500 for others
    #[arg(long)]
    runs: Option<u64>,
    /// Only rows whose line or heading contains this text, such as `| 20 |` for 20 endpoints
    #[arg(long, value_name = "TEXT", default_value = "")]
    rows: String,
    /// Threads; all cores by default
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = args.threads.unwrap_or_else(cores).max(1);
    let clock = Clock::start();
    let mut out = io::stdout().lock();
    let rows = list::all();
    for section in Section::ALL {
        let is_wanted = |row: &&rows::Row| {
            let line = format!("{} | {} |", section.title(), row.labels.join(" | "));
            row.section == section && line.contains(&args.rows)
        };
        let wanted: Vec<_> = rows.iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            continue;
        }
        let runs = args.runs.unwrap_or_else(|| section.runs()).max(1);
        writeln!(out, "## {}\n", section.title())?;
        writeln!(out, "{runs} runs a row.\n")?;
        write!(out, "{}", table::head(section.labels(), section.columns()))?;
        for row in wanted {
            let sums = table::measure(row, runs, threads);
            write!(
                out,
                "{}",
                table::line(&row.labels, section.columns(), &sums)
            )?;
            out.flush()?;
        }
        writeln!(out)?;
    }
    writeln!(
        out,
        "Took {:.0} s on {threads} threads.",
        seconds(clock.now_ns())
    )?;
    Ok(())
}
