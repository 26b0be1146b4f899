//! A recording while it grows: whole lines behind a first line that can be replaced in place.
//!
//! What is here after a kill can be read, up to the line that was being written. What a full disk
//! did not take whole is taken back, so that the file stays readable.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::atomic::{StoreError, sync_directory};

/// An open file of a growing recording, readable for its owner only.
#[derive(Debug)]
pub struct Spool {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Spool {
    /// Creates the file beside the one that it will become: `w.jsonl` grows as `w.part.jsonl`.
    ///
    /// # Errors
    /// When there is one already, or it cannot be created.
    pub fn create(target: &Path) -> Result<Self, StoreError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_suffix(".zst").unwrap_or(&name);
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        let path = target.with_file_name(format!("{stem}.part.jsonl"));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Unfinished(path.clone()),
            _ => StoreError::io("create", &path)(error),
        })?;
        Ok(Self {
            file,
            path,
            length: 0,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Another handle of the same file, for the one who writes.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn writer(&self) -> Result<Self, StoreError> {
        let file = self.file.try_clone();
        Ok(Self {
            file: file.map_err(StoreError::io("open", &self.path))?,
            path: self.path.clone(),
            length: self.length,
        })
    }

    /// Adds whole lines, or nothing.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(lines, self.length);
        if written.is_err() {
            // Best effort: where even this fails, a reader stops at the line that is cut off.
            let _ = self.file.set_len(self.length);
        } else {
            self.length += lines.len() as u64;
        }
        written
    }

    /// Replaces the first line by one of the same length, for which no further room is needed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn replace_start(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all_at(line, 0)
    }

    /// Makes it the recording as it is.
    ///
    /// # Errors
    /// When that fails; it stays where it is then.
    pub fn become_file(self, target: &Path) -> Result<(), StoreError> {
        self.file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.path, target))
            .and_then(|()| sync_directory(target))
            .map_err(StoreError::io("write", target))
    }

    /// Removes it, when the recording stands elsewhere or there is none.
    pub fn remove(self) {
        // Best effort: left behind, it is named before the next recording.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_spool_grows_by_whole_lines_and_becomes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("w.jsonl");
        let spool = Spool::create(&target).unwrap();
        let part = dir.path().join("w.part.jsonl");
        assert_eq!(spool.path(), part);
        let again = Spool::create(&target).unwrap_err();
        assert!(
            matches!(&again, StoreError::Unfinished(path) if *path == part),
            "{again}"
        );
        let mut writer = spool.writer().unwrap();
        writer.append(b"head\n").unwrap();
        writer.append(b"one\n").unwrap();
        writer.replace_start(b"HEAD\n").unwrap();
        writer.append(b"two\n").unwrap();
        spool.become_file(&target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"HEAD\none\ntwo\n");
        assert!(!part.exists());
        let mode = std::fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_compressed_recording_grows_plain() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(&dir.path().join("a.b.jsonl.zst")).unwrap();
        assert_eq!(spool.path(), dir.path().join("a.b.part.jsonl"));
        spool.remove();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_device_is_an_error_and_no_more() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut spool = Spool {
            file,
            path: PathBuf::from("/dev/full"),
            length: 0,
        };
        assert!(spool.append(b"line\n").is_err());
        assert!(spool.append(b"line\n").is_err());
        assert_eq!(spool.length, 0);
    }
}
