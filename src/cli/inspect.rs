//! `proofload inspect`: what a workload holds.

use std::path::PathBuf;

use clap::Args;

use super::{
    exit::{self, Failure},
    print,
};
use crate::{
    clock::wall_ns,
    workload::{Workload, inspect::inspect},
};

/// Flags of `proofload inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The workload
    file: PathBuf,
}

impl InspectArgs {
    /// Reads the workload once and prints what is in it.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let workload = Workload::open(&self.file).map_err(Failure::usage)?;
        let found = inspect(&workload, wall_ns()).map_err(Failure::usage)?;
        print(&found.to_string());
        Ok(exit::PASS)
    }
}
