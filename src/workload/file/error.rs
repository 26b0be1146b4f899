//! Why a workload file cannot be used.

use crate::workload::{LineFault, rules::RuleError, summary::VERSION};

/// Why a workload cannot be used; each message names the file, the cause and the next step.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file cannot be opened or read.
    #[error("cannot read {name}: {cause}; {hint}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        cause: String,
        /// What to do.
        hint: &'static str,
    },
    /// A line breaks the rules of the format.
    #[error("{name} line {line}: {fault}")]
    Line {
        /// The file.
        name: String,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// The first line is no header.
    #[error(
        "{0} line 1 is no workload header; write {{\"proofload_workload\":1}} on the first line, \
         or make the file with proofload import"
    )]
    NoHeader(String),
    /// The file is a HAR.
    #[error("{0} looks like a HAR file; turn it into a workload with proofload import har")]
    Har(String),
    /// The file is of another kind.
    #[error(
        "{0} is no workload: its first line is no JSON; proofload import makes one of a HAR, of \
         logs and of others (proofload import --help)"
    )]
    Foreign(String),
    /// The file is compressed in another way.
    #[error("{0} is compressed with gzip; unpack it, or compress it with zstd as .jsonl.zst")]
    Gzip(String),
    /// The format is newer than this program.
    #[error(
        "{name} was made by a newer proofload, version {version} of the format; this one \
             reads up to {VERSION}: install a newer proofload"
    )]
    Newer {
        /// The file.
        name: String,
        /// The version that it states.
        version: u64,
    },
    /// Nothing at all, or nothing behind the header.
    #[error("{0} holds no requests; record or import some, or use --request 'GET /path'")]
    Empty(String),
    /// Nothing of it passes a filter.
    #[error(
        "no request of {name} is left by the filter ({filter}); proofload inspect shows its \
             endpoints and how long it is"
    )]
    NothingLeft {
        /// The file.
        name: String,
        /// The filter in words.
        filter: String,
    },
    /// Fewer or more lines than the header says.
    #[error(
        "{name} holds {found} requests where its header says {promised}: it was cut or \
             changed; make it again, or remove `requests` from its header"
    )]
    Count {
        /// The file.
        name: String,
        /// What the header says.
        promised: u64,
        /// What the file holds.
        found: u64,
    },
    /// The lines are not those that the header was made for.
    #[error(
        "the requests in {0} do not match the digest in its header: the file was changed; \
             make it again, or remove `digest` from its header"
    )]
    Digest(String),
    /// The rules of the settings do not fit it.
    #[error(transparent)]
    Rules(#[from] RuleError),
}
