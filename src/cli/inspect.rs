//! `proofload inspect`: what a workload holds.

use std::path::PathBuf;

use clap::Args;

use super::{
    exit::{self, Failure},
    print, say,
};
use crate::{
    clock::wall_ns,
    report::{RateOverTime, rate_svg},
    store::{Readers, write_atomic},
    workload::{Workload, inspect::inspect},
};

/// Flags of `proofload inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The workload
    file: PathBuf,
    /// Draws the rate over the time into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl InspectArgs {
    /// Reads the workload once and prints what is in it.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let workload = Workload::open(&self.file).map_err(Failure::usage)?;
        let found = inspect(&workload, wall_ns()).map_err(Failure::usage)?;
        print(&found.to_string());
        if let Some(path) = &self.svg {
            let picture = rate_svg(RateOverTime {
                name: &found.name,
                counts: &found.buckets,
                part_ns: found.bucket_ns,
            });
            let written = write_atomic(path, picture.as_bytes(), Readers::Everyone);
            written.map_err(Failure::storage)?;
            say(&format!("picture: {}", path.display()));
        }
        Ok(exit::PASS)
    }
}
