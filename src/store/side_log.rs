//! The log of a local build: what a command that proofload started has said.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use super::atomic::StoreError;

/// The beginning of each such log, by which it is known as ours.
const MARK: &str = "# proofload started: ";

/// Creates the log of a command, in place of an earlier one. It can be appended to and read.
///
/// # Errors
/// When it cannot be created, or something else has that name.
pub fn create_log(path: &Path, command: &str) -> Result<File, StoreError> {
    if path.exists() && !is_log(path) {
        return Err(StoreError::ForeignLog(path.to_owned()));
    }
    // Emptied by removal: the command of a run that still ends may hold the earlier one.
    let _ = std::fs::remove_file(path);
    let open = File::options()
        .read(true)
        .append(true)
        .create_new(true)
        .open(path);
    let mut file = open.map_err(StoreError::io("create", path))?;
    let line = command.replace(['\n', '\r'], " ");
    writeln!(file, "{MARK}{line}").map_err(StoreError::io("write", path))?;
    Ok(file)
}

/// Whether a file is such a log.
pub(super) fn is_log(path: &Path) -> bool {
    let mut head = vec![0; MARK.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == MARK.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_replaces_a_log_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("baseline.log");
        for command in ["./old", "./older\n# x"] {
            create_log(&path, command).unwrap();
            assert!(is_log(&path));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# proofload started: ./older # x\n");
        std::fs::write(&path, "mine").unwrap();
        assert!(create_log(&path, "./old").is_err());
    }
}
