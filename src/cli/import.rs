//! `proofload import`: recordings of other tools made into workloads.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::{
    exit::{self, Failure},
    print, say,
};
use crate::{
    store::{Readers, write_with},
    workload::{
        har::{HarOptions, import_har},
        import::Imported,
        is_compressed, write_workload,
    },
};

/// The formats that can be imported.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// A HAR file, as browsers and proxies export it
    Har(HarArgs),
}

/// Flags of `proofload import har`.
#[derive(Debug, Args)]
pub(super) struct HarArgs {
    /// The recording; - is stdin
    file: PathBuf,
    /// The workload: .jsonl, or .jsonl.zst for a compressed one
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Keeps requests to this host, as NAME or NAME:PORT; may be repeated [default: the host with
    /// the most requests]
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Accepts a file in which more than a fifth of the entries is damaged
    #[arg(long)]
    lenient: bool,
}

impl ImportCommand {
    /// Reads, redacts, writes, and says what became of each entry.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let Self::Har(args) = self;
        check_output(&args.output).map_err(Failure::usage)?;
        let options = HarOptions {
            hosts: args.host,
            lenient: args.lenient,
            key: None,
        };
        let name = args.file.display();
        let reader = open(&args.file).with_context(|| format!("cannot read {name}"));
        let imported = import_har(reader.map_err(Failure::usage)?, &options)
            .with_context(|| format!("cannot import {name}"))
            .map_err(Failure::usage)?;
        write(&args.output, imported)
    }
}

/// A workload is told from other files by its name.
pub(super) fn check_output(path: &Path) -> anyhow::Result<()> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain = name.strip_suffix(".zst").unwrap_or(name);
    if Path::new(plain)
        .extension()
        .is_none_or(|ending| ending != "jsonl")
    {
        return Err(anyhow!(
            "-o {}: a workload ends in .jsonl or .jsonl.zst",
            path.display()
        ));
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    if path.is_dir() {
        return Err(io::Error::other("it is a directory; name a HAR file"));
    }
    Ok(Box::new(File::open(path)?))
}

/// Writes the workload, readable only for its owner, and prints the account.
fn write(path: &Path, imported: Imported) -> Result<u8, Failure> {
    let compressed = is_compressed(path);
    let Imported {
        requests,
        origin,
        summary,
    } = imported;
    let written = write_with(path, Readers::Owner, |file| {
        write_workload(file, compressed, origin, &requests).map_err(io::Error::other)?;
        Ok(())
    });
    written.map_err(Failure::storage)?;
    print(&summary.to_string());
    say(&format!("workload: {}", path.display()));
    Ok(exit::PASS)
}
