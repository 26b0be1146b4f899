//! `proofload sample`: a smaller workload, and what has changed by that.

use std::{io, path::PathBuf};

use anyhow::anyhow;
use clap::{Args, ValueEnum};

use super::{
    exit::{self, Failure},
    filter::FilterArgs,
    import::check_output,
    print, say,
};
use crate::{
    report::{SampleMix, mix_text},
    store::{Readers, write_with},
    units::{Share, count, seconds},
    workload::{
        Summary, Workload,
        filter::By,
        is_compressed,
        sample::{Sample, Sampling, sample, sessions},
        write_from,
    },
};

/// What is drawn by lot.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum DrawnBy {
    /// Whole sessions: each that is taken stays complete
    Session,
    /// Single requests: sessions lose some of theirs
    Request,
}

/// Flags of `proofload sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// The workload
    file: PathBuf,
    /// The new workload: .jsonl, or .jsonl.zst for a compressed one
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replaces the file at -o whatever it holds
    #[arg(long)]
    force: bool,
    /// How much is kept, such as 10%; of rare endpoints more, see --at-least
    #[arg(long, value_name = "SHARE")]
    keep: Option<Share>,
    /// What is drawn by lot
    #[arg(long, value_enum, default_value = "session")]
    by: DrawnBy,
    /// Requests of each endpoint that are kept, or all there are
    #[arg(long, value_name = "N", default_value = "20")]
    at_least: u16,
    /// Another seed draws others
    #[arg(long, default_value = "0")]
    seed: u64,
    #[command(flatten)]
    filter: FilterArgs,
}

impl SampleArgs {
    /// Reads the workload, draws, writes, and prints what has changed.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        check_output(&self.output, self.force).map_err(Failure::usage)?;
        let filter = self.filter.filter();
        if self.keep.is_none() && filter.takes_all() {
            return Err(Failure::usage(anyhow!(
                "nothing says what to leave out; add --keep, such as --keep 10%, or a filter"
            )));
        }
        let whole = Workload::open(&self.file).map_err(Failure::usage)?;
        let is_filtered = !filter.takes_all();
        let part = whole.select(filter).map_err(Failure::usage)?;
        let sampling = Sampling {
            keep: self.keep.unwrap_or(Share::ALL),
            by: match self.by {
                DrawnBy::Session => By::Session,
                DrawnBy::Request => By::Request,
            },
            seed: self.seed,
            least: usize::from(self.at_least),
        };
        let mut sample = sample(&part, sampling).map_err(Failure::usage)?;
        if is_filtered {
            let (before, is_exact) = sessions(&whole).map_err(Failure::usage)?;
            sample.sessions_before = before;
            sample.is_exact &= is_exact;
        }
        self.write(&sample.workload)?;
        print(&mix_text(&mix(&sample, whole.summary())));
        say(&format!("workload: {}", self.output.display()));
        Ok(exit::PASS)
    }

    fn write(&self, workload: &Workload) -> Result<(), Failure> {
        let compressed = is_compressed(&self.output);
        let mut origin = workload.summary().origin.clone();
        let source = if origin.source.is_empty() {
            "a workload"
        } else {
            &origin.source
        };
        origin.source = match self.keep {
            Some(keep) => format!("sample ({keep}) of {source}"),
            None => format!("part of {source}"),
        };
        let written = write_with(&self.output, Readers::Owner, |file| {
            write_from(file, compressed, origin, workload).map_err(io::Error::other)
        });
        written.map_err(Failure::storage)
    }
}

fn mix(sample: &Sample, whole: &Summary) -> SampleMix {
    let after = sample.workload.summary();
    let mut endpoints = whole.endpoints.clone();
    let endpoints = endpoints
        .iter_mut()
        .map(|(name, before)| {
            let after = after.endpoints.get(name).copied().unwrap_or(0);
            (name.clone(), [*before, after])
        })
        .collect();
    let rate = |summary: &Summary| match seconds(summary.duration_ns) {
        time if time > 0.0 => count(summary.requests) / time,
        _ => 0.0,
    };
    SampleMix {
        requests: [whole.requests, after.requests],
        sessions: [sample.sessions_before, sample.sessions],
        is_exact: sample.is_exact,
        rate: [rate(whole), rate(after)],
        endpoints,
    }
}
