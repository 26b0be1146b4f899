//! An advisory lock that says "this user is loading something from this host right now".
//!
//! Two loads at once take each other's CPU; whoever comes second is told so, and not stopped.
//! The kernel gives the lock back when its holder ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::OFlags;

/// Held while a load runs.
#[derive(Debug)]
pub struct HostLock {
    /// Absent when somebody else has the lock, or the file could not be opened.
    _file: Option<File>,
    is_shared: bool,
}

impl HostLock {
    /// Takes the lock of this file, which is created if need be and never written.
    ///
    /// It only ever warns, so a directory that cannot be written is nobody's problem.
    pub fn take(path: &Path) -> Self {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        // The name can be guessed and the directory belongs to everyone.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
        let file = options.open(path).ok();
        let taken = file.as_ref().map(File::try_lock);
        let is_shared = matches!(taken, Some(Err(TryLockError::WouldBlock)));
        Self {
            _file: file.filter(|_| !is_shared),
            is_shared,
        }
    }

    /// Whether somebody else was loading from this host already.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_and_the_first_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = HostLock::take(&path);
        assert!(!first.is_shared());
        assert!(HostLock::take(&path).is_shared());
        assert!(HostLock::take(&path).is_shared(), "telling takes nothing");
        drop(first);
        assert!(!HostLock::take(&path).is_shared());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn what_cannot_be_locked_warns_of_nothing_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!HostLock::take(&dir.path().join("no/such")).is_shared());
        let (link, aim) = (dir.path().join("link"), dir.path().join("aim"));
        std::os::unix::fs::symlink(&aim, &link).unwrap();
        assert!(!HostLock::take(&link).is_shared());
        assert!(!aim.exists());
    }
}
