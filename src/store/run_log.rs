//! The run file while it grows: each slot is on disk before the next one is judged.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::atomic::{StoreError, sync_directory};
use crate::run::{RunFooter, RunHeader, Slot, footer_line, header_line, slot_line};

/// An open run file. Opened before the load, so that results can be saved even when the
/// process has run out of descriptors since.
#[derive(Debug)]
pub struct RunLog {
    file: File,
    path: PathBuf,
}

impl RunLog {
    /// Creates or replaces the file and writes the header.
    ///
    /// # Errors
    /// When it cannot be created or written.
    pub fn create(path: &Path, header: &RunHeader) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(StoreError::io("create", path))?;
        sync_directory(path).map_err(StoreError::io("create", path))?;
        let mut log = Self {
            file,
            path: path.to_owned(),
        };
        log.append(&header_line(header))?;
        Ok(log)
    }

    /// Appends a slot and waits until it is on disk.
    ///
    /// # Errors
    /// When it cannot be written; the log must not be used any further then.
    pub fn slot(&mut self, slot: &Slot) -> Result<(), StoreError> {
        self.append(&slot_line(slot))
    }

    /// Appends the footer.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self, footer: &RunFooter) -> Result<(), StoreError> {
        self.append(&footer_line(footer))
    }

    fn append(&mut self, line: &str) -> Result<(), StoreError> {
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(StoreError::io("write", &self.path))
    }
}
