//! The directory that a comparison writes: files with fixed names, and the logs of local builds.

use std::path::{Path, PathBuf};

use super::{
    atomic::{Readers, StoreError, write_atomic},
    side_log,
};

/// The names that a report directory may hold.
const NAMES: [&str; 11] = [
    "report.html",
    "report.json",
    "junit.xml",
    "summary.md",
    "changes.csv",
    "metrics.txt",
    "verdict.json",
    "run.jsonl",
    "run-2.jsonl",
    "run-3.jsonl",
    "run-4.jsonl",
];

/// The logs of local builds, by side; they are replaced when a build starts.
const LOGS: [&str; 2] = ["baseline.log", "candidate.log"];

/// An output directory that was checked before the load.
#[derive(Debug, Clone)]
pub struct OutDir {
    path: PathBuf,
}

impl OutDir {
    /// The run files of four stretches of measuring; one stretch has the first.
    pub const RUNS: [&str; 4] = ["run.jsonl", "run-2.jsonl", "run-3.jsonl", "run-4.jsonl"];

    /// Checks that the directory is new, empty, or holds an earlier report, and that it can be
    /// written. Replaces nothing yet.
    ///
    /// # Errors
    /// When it holds anything else, or cannot be created or written.
    pub fn check(path: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        let entries = std::fs::read_dir(path).map_err(StoreError::io("read", path))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", path))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        let marked = names
            .iter()
            .any(|name| name == "report.json" || name == "run.jsonl");
        // What a build said that never answered stands alone.
        let mut logs = names.iter().filter(|name| LOGS.contains(&name.as_str()));
        let only_logs = names.len() == logs.clone().count()
            && logs.all(|name| side_log::is_log(&path.join(name)));
        let replaceable = only_logs || (marked && is_ours(path));
        if !replaceable {
            return Err(StoreError::Foreign(path.to_owned()));
        }
        let probe = path.join(".proofload-probe");
        write_atomic(&probe, b"", Readers::Owner)?;
        std::fs::remove_file(&probe).map_err(StoreError::io("remove", &probe))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Removes the earlier report, so that its parts never stand beside new ones.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn clear(&self) -> Result<(), StoreError> {
        for name in NAMES {
            let path = self.file(name);
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the logs of an earlier comparison.
    pub fn clear_logs(&self) {
        let logs = LOGS.iter().map(|name| self.file(name));
        for path in logs.filter(|path| side_log::is_log(path)) {
            // One that stays behind says in its first line what it is of.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether a path is that of a file that a comparison writes into this directory.
    pub fn has(&self, path: &Path) -> bool {
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new(".")).canonicalize();
        let name = path.file_name().and_then(|name| name.to_str());
        let is_ours = name.is_some_and(|name| NAMES.contains(&name) || LOGS.contains(&name));
        is_ours && parent.is_ok_and(|it| self.path.canonicalize().is_ok_and(|own| own == it))
    }

    /// Writes one of the files in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        write_atomic(&self.file(name), bytes, Readers::Everyone)
    }
}

/// Whether a marker file begins like one of ours.
fn is_ours(path: &Path) -> bool {
    ["report.json", "run.jsonl"].iter().any(|name| {
        std::fs::File::open(path.join(name)).is_ok_and(|file| {
            let mut head = Vec::new();
            let read = std::io::Read::take(file, 4096);
            std::io::Read::read_to_end(&mut { read }, &mut head).is_ok()
                && head.windows(9).any(|window| window == b"proofload")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_report_is_replaced_and_anything_else_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/reports");
        let out = OutDir::check(&path).unwrap();
        out.write("report.json", b"{\"schema\":\"proofload.report.v1\"}")
            .unwrap();
        out.write("changes.csv", b"x").unwrap();
        let out = OutDir::check(&path).unwrap();
        assert!(
            out.file("changes.csv").exists(),
            "checking replaces nothing"
        );
        out.clear().unwrap();
        assert!(!out.file("changes.csv").exists());

        assert!(out.has(&path.join("../reports/verdict.json")));
        assert!(!out.has(&path.join("bmf.json")) && !out.has(&dir.path().join("junit.xml")));
        side_log::create_log(&out.file("baseline.log"), "./old").unwrap();
        assert!(OutDir::check(&path).is_ok(), "only a log is in it");
        out.clear_logs();
        assert!(!out.file("baseline.log").exists());
        std::fs::write(path.join("baseline.log"), "mine").unwrap();
        assert!(OutDir::check(&path).is_err());
        out.clear_logs();
        assert!(out.file("baseline.log").exists());

        std::fs::write(path.join("thesis.tex"), "mine").unwrap();
        let error = OutDir::check(&path).unwrap_err().to_string();
        assert!(error.contains("--out-dir"), "{error}");
        std::fs::write(path.join("report.json"), "somebody else's").unwrap();
        assert!(OutDir::check(&path).is_err());
        assert!(OutDir::check(&path.join("thesis.tex")).is_err());
    }
}
