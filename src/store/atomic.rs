//! Files that are either the old or the new one, whatever happens in between.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Why something could not be stored or prepared.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Writing or creating failed.
    #[error("cannot {action} {path}: {cause}")]
    Io {
        /// What was tried: `write`, `create`, …
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The output directory holds something else.
    #[error(
        "{0} is not empty and holds no proofload report; choose another --out-dir, or empty it"
    )]
    Foreign(PathBuf),
    /// The place of a log holds something else.
    #[error("{0} is there and is no log of proofload's; move it, or choose another place")]
    ForeignLog(PathBuf),
    /// A recording that nobody finished, or that another process is making.
    #[error(
        "{0} is there: a recording that was killed, or one that is being made; move it to keep \
         it, or remove it"
    )]
    Unfinished(PathBuf),
}

impl StoreError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io {
            action,
            path,
            cause,
        }
    }
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Only its owner: recordings and runs may hold what nobody thought of.
    Owner,
    /// Whoever the umask admits.
    Everyone,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o666,
        }
    }
}

/// Replaces a file in one step.
///
/// # Errors
/// When any step fails; the old file is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), StoreError> {
    write_with(path, readers, |file| file.write_all(bytes))
}

/// Replaces a file in one step with what `fill` writes.
///
/// # Errors
/// When any step fails; the old file is untouched then.
pub fn write_with(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let result = fill_and_sync(&temporary, readers, fill)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| sync_directory(path));
    if result.is_err() {
        // Best effort: a name that ends in .tmp is never read as data.
        let _ = std::fs::remove_file(&temporary);
    }
    result.map_err(StoreError::io("write", path))
}

fn fill_and_sync(
    temporary: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // What another process of the same id left behind.
    let _ = std::fs::remove_file(temporary);
    let mut options = OpenOptions::new();
    let mut out = options
        .write(true)
        .create_new(true)
        .mode(readers.mode())
        .open(temporary)?;
    fill(&mut out)?;
    out.sync_all()
}

/// Makes a rename durable; file systems that cannot sync a directory are tolerated.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match File::open(parent)?.sync_all() {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.json");
        write_atomic(&path, b"old", Readers::Everyone).unwrap();
        let failed = write_with(&path, Readers::Everyone, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk full"))
        });
        let error = failed.unwrap_err().to_string();
        assert!(
            error.contains("report.json") && error.contains("disk full"),
            "{error}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_only_the_owner_may_read_is_so_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.jsonl");
        write_atomic(&path, b"x", Readers::Owner).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
