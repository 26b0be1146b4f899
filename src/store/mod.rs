//! Everything on disk: atomic writes, the run file as it grows, the output directory, stored
//! baselines, recordings as they grow, digests of files, and the lock of a host under load.
//!
//! Per file: a temporary name in the same directory, write, sync, rename, sync the directory.
//! After a failed sync the same file is never trusted again.

mod atomic;
mod baselines;
mod calibration;
mod digest;
mod host_lock;
mod out_dir;
mod run_log;
mod side_log;
mod spool;

pub use atomic::{Readers, StoreError, write_atomic, write_with};
pub use baselines::{BASELINES, BaselineError, BaselineName, Baselines, StoredRun};
pub use calibration::{CalibrationFile, NameError};
pub use digest::{digest, digest_file};
pub use host_lock::HostLock;
pub use out_dir::OutDir;
pub use run_log::{RunLog, complete_run};
pub use side_log::create_log;
pub use spool::Spool;
