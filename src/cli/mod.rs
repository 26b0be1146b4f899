//! The command line: parse, check, run, print, choose the exit code. One file per command;
//! nobody imports this module.

mod again;
mod auth;
mod baseline;
mod bodies;
mod calibrate;
mod calibration;
mod ci;
mod command;
mod commit;
mod compare;
mod demo;
mod exit;
mod filter;
mod guard;
mod host;
mod import;
mod input;
mod inspect;
mod labels;
mod live;
mod local;
mod looped;
mod observe;
mod outputs;
mod pipeline;
mod plan;
mod prepare;
mod probes;
mod progress;
mod publish;
mod ready;
mod record;
mod replace;
mod report;
mod resume;
mod run;
mod sample;
mod scan;
mod schema;
mod settings;
mod sides;
mod stale;
mod stored;
mod trust;
mod verify;

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::report::{Style, printable};
use exit::Failure;

/// Replays recorded traffic against a baseline and a candidate and judges the difference.
#[derive(Debug, Parser)]
#[command(name = "proofload", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 pass, 2 usage, 3 refused, 10 regressed, 11 inconclusive, \
12 invalid, 20 storage, 130/143 interrupted, 1/101 a bug in proofload";

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares two embedded deployments: the whole pipeline, nothing else needed
    Demo(demo::DemoArgs),
    /// Compares a candidate with a baseline and gives a verdict
    Compare(compare::CompareArgs),
    /// Says what `compare` would send with the same flags, for how long, and what it could find;
    /// sends nothing
    Plan(plan::PlanArgs),
    /// Measures how noisy two equal deployments are here: what comparisons may expect
    Calibrate(calibrate::CalibrateArgs),
    /// Loads one target and writes what was measured
    Run(run::RunArgs),
    /// Renders again from stored files, or one page over many comparisons
    Report(report::ReportArgs),
    /// Passes traffic on to an application and writes what can be replayed
    Record(record::RecordArgs),
    /// Makes a workload from a recording
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Stored runs of what is in service
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand),
    /// Shows what a workload holds
    Inspect(inspect::InspectArgs),
    /// Makes a smaller workload, by lot or by a filter, and says what has changed in the mix
    Sample(sample::SampleArgs),
    /// Finds secrets that are left in a file; exit code 3 when there are any
    Scan(scan::ScanArgs),
    /// Says whether a stored verdict is a PASS, of a commit, and fresh: for approval steps
    Verify(verify::VerifyArgs),
    /// Prints the JSON Schema of a file
    Schema(schema::SchemaArgs),
    /// Ends a local build when proofload is gone
    #[command(name = "__guard", hide = true)]
    Guard(guard::GuardArgs),
}

/// What goes to stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StdoutFormat {
    /// Tables for people
    Text,
    /// One JSON object
    Json,
    /// A summary for pull requests
    Markdown,
}

/// What goes to stdout where nothing is judged against another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DataFormat {
    /// Tables for people
    Text,
    /// One JSON object
    Json,
}

/// Parses the arguments of the process and does what they say.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help and version to stdout with code 0, everything else is usage.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                exit::USAGE
            } else {
                exit::PASS
            });
        }
    };
    match execute(cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&format!(
                "proofload: {}",
                printable(&format!("{:#}", failure.error))
            ));
            ExitCode::from(failure.code)
        }
    }
}

fn execute(command: Command) -> Result<u8, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::bug)?;
    // Left alone it would end the process at a file-size limit, with nothing shown; handled, the
    // write fails like one on a full disk. The handler stays when the listener is dropped.
    let file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let entered = runtime.enter();
    drop(signal(file_size).map_err(Failure::bug)?);
    drop(entered);
    match command {
        Command::Demo(args) => runtime.block_on(args.exec()),
        Command::Compare(args) => runtime.block_on(args.exec()),
        Command::Plan(args) => args.exec(),
        Command::Calibrate(args) => runtime.block_on(args.exec()),
        Command::Run(args) => runtime.block_on(args.exec()),
        Command::Report(args) => args.exec(),
        Command::Record(args) => runtime.block_on(args.exec()),
        Command::Import(command) => command.exec(),
        Command::Baseline(command) => command.exec(),
        Command::Inspect(args) => args.exec(),
        Command::Sample(args) => args.exec(),
        Command::Scan(args) => args.exec(),
        Command::Verify(args) => args.exec(),
        Command::Schema(args) => Ok(args.exec()),
        Command::Guard(args) => args.exec(),
    }
}

/// One line for people, on stderr. A closed stderr is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The result, on stdout; says whether it got there. Whoever closes the pipe has read enough, but
/// a full disk has lost the result.
fn print(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    let written = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            say(&format!(
                "proofload: the result cannot be written to stdout: {error}"
            ));
            false
        }
        _ => true,
    }
}

/// Colour only where a person looks and did not forbid it.
fn style() -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    Style {
        colour: std::io::stdout().is_terminal() && !refused,
    }
}
