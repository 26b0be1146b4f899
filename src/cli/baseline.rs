//! `proofload baseline`: what is stored under `baselines/`, and how it goes away again.

use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};

use super::{
    exit::{self, Failure},
    say,
};
use crate::{
    report::printable,
    store::{BASELINES, BaselineError, BaselineName, Baselines, StoredRun},
};

/// What to do with stored baselines.
#[derive(Debug, Subcommand)]
pub(super) enum BaselineCommand {
    /// Every name with its newest run
    List,
    /// The runs of a name, the newest first, each compared with its digest
    Show(Named),
    /// Forgets a name and all of its runs
    Remove(Named),
}

/// One of them.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The name that was given to --save-baseline
    name: String,
}

impl BaselineCommand {
    /// Does it.
    ///
    /// # Errors
    /// When there is no such baseline or its files are not what was stored (usage), or nothing
    /// can be removed (storage).
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let all = Baselines::at(Path::new(BASELINES));
        let text = match self {
            Self::List => list(&all.list().map_err(failure)?),
            Self::Show(named) => {
                let name = named.name()?;
                let runs = all.load(&name).map_err(failure)?;
                let lines = runs
                    .iter()
                    .map(|(stored, run)| format!("{}  {} slots\n", line(stored), run.slots.len()));
                lines.collect()
            }
            Self::Remove(named) => {
                let name = named.name()?;
                let runs = all.remove(&name).map_err(failure)?;
                say(&format!("baseline {name}: {runs} run(s) removed"));
                String::new()
            }
        };
        Ok(if super::print(&text) {
            exit::PASS
        } else {
            exit::STORAGE
        })
    }
}

impl Named {
    fn name(&self) -> Result<BaselineName, Failure> {
        self.name.parse().map_err(failure)
    }
}

fn failure(error: BaselineError) -> Failure {
    match error {
        BaselineError::Store(_) | BaselineError::Busy(_) => Failure::storage(anyhow!(error)),
        _ => Failure::usage(error),
    }
}

fn list(all: &[(BaselineName, Vec<StoredRun>)]) -> String {
    let lines = all.iter().filter_map(|(name, runs)| {
        let newest = line(runs.first()?);
        Some(format!(
            "{name}  {} run(s), the newest: {newest}\n",
            runs.len()
        ))
    });
    lines.collect()
}

fn line(stored: &StoredRun) -> String {
    let of = [
        &stored.started_at,
        &stored.target,
        &stored.run,
        &stored.workload,
    ];
    of.map(|text| printable(text)).join("  ")
}
