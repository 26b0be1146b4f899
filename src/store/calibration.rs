//! Where calibrations are kept: `baselines/NAME.calibration.json`. What stands in them is not
//! looked at here.

use std::path::{Path, PathBuf};

use super::atomic::{Readers, StoreError, write_atomic};

/// Where one calibration is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalibrationFile {
    path: PathBuf,
}

/// Why a name cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a calibration: it takes letters, digits, `-`, `_` and `.`, and begins \
     with none of the last three"
)]
pub struct NameError(String);

impl CalibrationFile {
    /// The place of a name below a directory, such as `baselines`.
    ///
    /// # Errors
    /// When the name could lead elsewhere.
    pub fn named(directory: &Path, name: &str) -> Result<Self, NameError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !begins || name.len() > 100 || !name.chars().all(plain) {
            return Err(NameError(name.to_owned()));
        }
        Ok(Self {
            path: directory.join(format!("{name}.calibration.json")),
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What stands in it; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self) -> Result<Option<String>, StoreError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &self.path)(error)),
        }
    }

    /// Makes its directory, so that a place that cannot be written is known before the load.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn prepare(&self) -> Result<(), StoreError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory).map_err(StoreError::io("create", directory))
    }

    /// Replaces it in one step.
    ///
    /// # Errors
    /// When it cannot be written; the old one is untouched then.
    pub fn write(&self, text: &str) -> Result<(), StoreError> {
        write_atomic(&self.path, text.as_bytes(), Readers::Everyone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_nothing_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = CalibrationFile::named(&dir.path().join("new"), "check-out.v2").unwrap();
        assert!(file.path().ends_with("new/check-out.v2.calibration.json"));
        assert_eq!(file.read().unwrap(), None);
        file.prepare().unwrap();
        file.write("{}\n").unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some("{}\n"));
        std::fs::write(file.path(), [0xff]).unwrap();
        assert!(file.read().is_err());
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "-x",
            "a b",
            "ü",
            &"x".repeat(101),
        ] {
            let error = CalibrationFile::named(Path::new("baselines"), name).unwrap_err();
            assert!(error.to_string().contains("letters"), "{name}");
        }
    }
}
