//! A server that tells a load generator when its requests really arrived.
//!
//! It answers each request at once, stamps its arrival in the kernel and prints the error
//! against the plan. Loopback only, bounded in time, usable for any generator:
//!
//! ```text
//! cargo run --release --example arrivals -- --plan constant:2000/s --listen 127.0.0.1:8100
//! ```
//!
//! It ends after `--idle` without a request, after `--for`, or on a GET of `/__report`, which is
//! answered with the report. bench/README.md says how its own error was measured.

mod fit;
mod report;
mod self_test;
mod server;

use std::{
    fmt,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    str::FromStr,
};

use anyhow::Context;
use clap::Parser;
use proofload::{
    units::{Rate, Span},
    workload::Workload,
};

use report::Report;
use server::Until;

/// Timestamps the requests of a load generator and prints their error against its plan
#[derive(Debug, Parser)]
#[command(name = "arrivals", max_term_width = 100)]
struct Args {
    /// What was meant to arrive: `constant:2000/s` or another rate, or `file:WORKLOAD.jsonl`
    #[arg(long, required_unless_present = "self_test")]
    plan: Option<String>,
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Listens here too, and prints how far apart the n-th requests of both came
    #[arg(long)]
    twin: Option<SocketAddr>,
    /// Ends after this time in any case
    #[arg(long = "for", default_value = "60s", value_name = "DURATION")]
    total: Span,
    /// Ends after this time without a request, once there was one
    #[arg(long, default_value = "2s")]
    idle: Span,
    /// Writes the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures the error of this server against a raw sender, and nothing else
    #[arg(long)]
    self_test: bool,
}

/// When requests were meant to be sent.
#[derive(Debug)]
enum Plan {
    /// Evenly spaced.
    Constant(Rate),
    /// At recorded offsets, in nanoseconds.
    Recording { name: String, offsets: Vec<u64> },
}

impl FromStr for Plan {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            Some(("constant", rate)) => Ok(Self::Constant(rate.parse()?)),
            Some(("file", path)) => {
                let workload = Workload::open(path.as_ref())?;
                let offsets = workload.requests()?.map(|it| it.map(|it| it.offset_ns));
                Ok(Self::Recording {
                    name: workload.name().to_owned(),
                    offsets: offsets.collect::<Result<_, _>>()?,
                })
            }
            _ => anyhow::bail!(
                "`{text}` is not a plan; write constant:2000/s or file:WORKLOAD.jsonl"
            ),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "constant:{rate}"),
            Self::Recording { name, .. } => write!(f, "file:{name}"),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    let Some(plan) = &args.plan else {
        return self_test::run(&mut out);
    };
    let plan: Plan = plan.parse()?;
    raise_descriptor_limit();
    let mut listeners = Vec::new();
    for address in [Some(args.listen), args.twin].into_iter().flatten() {
        anyhow::ensure!(
            address.ip().is_loopback(),
            "{address} is not a loopback address; this server is for this machine only"
        );
        let bound = server::bind(address);
        let listener = bound.with_context(|| format!("cannot listen on {address}"))?;
        writeln!(out, "listening on http://{}", listener.local_addr()?)?;
        listeners.push(listener);
    }
    out.flush()?;
    let until = Until {
        total_ns: args.total.ns(),
        idle_ns: args.idle.ns(),
    };
    let mut recording = server::record(&listeners, until)?;
    let report = Report::new(&plan, &recording);
    write!(out, "{}", report.text)?;
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report.json)?;
        let shown = path.display();
        std::fs::write(path, json + "\n").with_context(|| format!("cannot write {shown}"))?;
    }
    if let Some(mut asker) = recording.asker.take() {
        asker.set_nonblocking(false)?;
        let (length, text) = (report.text.len(), report.text);
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
        // Who asked may be gone: the report was printed.
        let _ = asker.write_all(format!("{head}\r\n\r\n{text}").as_bytes());
    }
    Ok(())
}

/// Each connection is a descriptor, and the usual limit is 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without the right to it the limit stays, and connections above it are refused.
    let _ = setrlimit(Resource::Nofile, limit);
}
