//! The run file while it grows: each slot is on disk before the next one is judged.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use super::atomic::{Readers, StoreError, write_atomic};
use crate::run::{Run, RunFooter, RunHeader, Slot, footer_line, header_line, slot_line};

/// An open run file. Opened before the load, so that results can be saved even when the
/// process has run out of descriptors since.
#[derive(Debug)]
pub struct RunLog {
    file: File,
    path: PathBuf,
}

impl RunLog {
    /// Creates or replaces the file, whatever is there, and writes the header.
    ///
    /// # Errors
    /// When it cannot be created or written.
    pub fn create(path: &Path, header: &RunHeader) -> Result<Self, StoreError> {
        let facts = std::fs::symlink_metadata(path);
        let is_device = facts.is_ok_and(|facts| facts.file_type().is_char_device());
        if !is_device {
            // A new file in its place: opened and emptied, a link would empty what it leads to.
            return Self::resume(path, header, &[]);
        }
        let file = OpenOptions::new().write(true).open(path);
        let mut log = Self {
            file: file.map_err(StoreError::io("open", path))?,
            path: path.to_owned(),
        };
        log.append(&header_line(header))?;
        Ok(log)
    }

    /// Replaces the file in one step by one that holds the slots of earlier sessions already.
    ///
    /// # Errors
    /// When it cannot be written; the file of the earlier sessions stays as it was then.
    pub fn resume(path: &Path, header: &RunHeader, slots: &[Slot]) -> Result<Self, StoreError> {
        let mut lines = header_line(header);
        lines.extend(slots.iter().map(slot_line));
        write_atomic(path, lines.as_bytes(), Readers::Owner)?;
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self {
            file: file.map_err(StoreError::io("open", path))?,
            path: path.to_owned(),
        })
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

/// Reads a run file of which every line is intact and whose load came to its planned end, or to
/// the death of what was loaded.
///
/// # Errors
/// What is wrong with it, to be read after the name of the file.
pub fn complete_run(bytes: &[u8]) -> Result<Run, String> {
    let run = Run::read(bytes).map_err(|error| error.to_string())?;
    if let Some(cause) = &run.damage {
        return Err(format!("cannot be used: {cause}; measure again"));
    }
    match &run.footer {
        None => Err("has no end: its run was killed; measure again".to_owned()),
        Some(footer) if footer.state == "complete" || footer.died().is_some() => Ok(run),
        Some(footer) => Err(format!(
            "is a part of a run ({}); measure again",
            footer.reason
        )),
    }
}
