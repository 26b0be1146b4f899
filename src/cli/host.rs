//! Whether this host is busy with another load of ours.

use super::say;
use crate::{compare::Warning, store::HostLock};

/// Takes the lock that says that this user loads something from this host, to be held for as long
/// as the load runs. When another process has it, that is said and no more.
pub(super) fn occupy() -> (HostLock, Option<Warning>) {
    let user = rustix::process::getuid().as_raw();
    let path = std::env::temp_dir().join(format!("proofload-{user}.lock"));
    let lock = HostLock::take(&path);
    let warning = lock.is_shared().then(|| Warning {
        code: "host_shared".to_owned(),
        text:
            "another proofload is loading from this host; they take each other's CPU, so let one \
               finish before the other starts"
                .to_owned(),
    });
    if let Some(warning) = &warning {
        say(&format!("note: {}", warning.text));
    }
    (lock, warning)
}
