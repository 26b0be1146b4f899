//! The files that `{{pick:FILE}}` takes its lines from: read once, before anything is sent.
//!
//! A workload may come from a stranger, so a file must lie beside it or below: what it names could
//! be sent to whomever the requests go to.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use super::RuleError;
use crate::text::printable_cut;

/// The largest file, in bytes.
const LARGEST: u64 = 16 << 20;

/// Lines by the name of their file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Picks(BTreeMap<String, Vec<String>>);

impl Picks {
    /// Reads a file, unless it was read before.
    ///
    /// # Errors
    /// When it lies elsewhere than below `root`, cannot be read or has no lines.
    pub(super) fn read(&mut self, name: &str, root: &Path) -> Result<(), RuleError> {
        if self.0.contains_key(name) {
            return Ok(());
        }
        let shown = printable_cut(name, 80);
        let refuse = |why: String| RuleError::Pick(shown.clone(), why);
        let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if name.is_empty() || !Path::new(name).components().all(plain) {
            let why = "its path must be relative, without `..`; put it beside the workload";
            return Err(refuse(why.to_owned()));
        }
        let found = root.canonicalize().and_then(|root| {
            let path = root.join(name).canonicalize()?;
            let length = std::fs::metadata(&path)?.len();
            Ok((path.starts_with(&root), length, path))
        });
        let (is_below, length, path) =
            found.map_err(|error| refuse(format!("{error}; put it beside the workload")))?;
        if !is_below {
            return Err(refuse("it is a link that leads away; copy it".to_owned()));
        }
        if length > LARGEST {
            return Err(refuse("it is larger than 16 MiB; cut it".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        if lines.is_empty() {
            return Err(refuse(
                "it has no lines; write one value on each".to_owned(),
            ));
        }
        self.0.insert(name.to_owned(), lines);
        Ok(())
    }

    /// The line that falls to these bytes; nothing of a file that was not read.
    pub(super) fn pick(&self, name: &str, lot: [u8; 16]) -> &str {
        let Some(lines) = self.0.get(name) else {
            return "";
        };
        let at = u128::from_le_bytes(lot) % lines.len() as u128;
        usize::try_from(at).map_or("", |at| &lines[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_picked_from_files_beside_the_workload_only() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("workloads");
        std::fs::create_dir_all(root.join("data")).unwrap();
        std::fs::write(home.path().join("secret"), "hunter2").unwrap();
        std::fs::write(root.join("data/users.txt"), "ann\n\n  bob \r\n").unwrap();
        std::fs::write(root.join("empty"), "\n \n").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let mut picks = Picks::default();
        picks.read("data/users.txt", &root).unwrap();
        let found: std::collections::BTreeSet<_> = (0..9)
            .map(|n| picks.pick("data/users.txt", [n; 16]))
            .collect();
        assert_eq!(found, ["ann", "bob"].into());
        for name in [
            "../secret",
            "/etc/passwd",
            "link",
            "empty",
            "gone",
            "",
            "data",
        ] {
            let error = picks.read(name, &root).unwrap_err().to_string();
            assert!(error.contains("pick"), "{name}: {error}");
        }
        assert_eq!(picks.pick("gone", [1; 16]), "");
    }
}
