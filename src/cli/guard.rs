//! `proofload __guard`: the hidden process that ends a local build. Not for people.

use std::ffi::OsString;

use clap::Args;

use super::exit::{self, Failure};
use crate::staging::guard;

/// What the guard starts.
#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    /// The command
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl GuardArgs {
    /// Starts it and stays until it has ended.
    pub(super) fn exec(&self) -> Result<u8, Failure> {
        guard(&self.command).map_err(Failure::bug)?;
        Ok(exit::PASS)
    }
}
