//! What a file may be written in place of: nothing, an empty file, or one of the same kind. Asked
//! before any work, by every command that is told where a file goes.

use std::{fs, io, os::unix::fs::FileTypeExt, path::Path};

use anyhow::{Context, bail};

use crate::workload::{beginning, is_compressed};

/// By how many bytes of its beginning a file is known.
const HEAD: u64 = 4096;

/// How files of one kind are known as proofload's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ours<'a> {
    /// What one is called.
    pub name: &'a str,
    /// How each begins; of a compressed one, what is in it.
    pub begins: &'a str,
    /// One of these stands in the first 4 KB; none is asked for when there are none.
    pub holds: &'a [&'a str],
    /// Whether a character device takes it too, such as `/dev/null`.
    pub or_device: bool,
}

/// A workload, plain or compressed.
pub(super) const WORKLOAD: Ours<'static> = Ours {
    name: "workload of proofload's",
    begins: "{\"proofload_workload\"",
    holds: &[],
    or_device: false,
};

/// A run file.
pub(super) const RUN: Ours<'static> = Ours {
    name: "run file",
    begins: "{\"crc32\"",
    holds: &["\"proofload_run\""],
    or_device: true,
};

/// The picture of a rate.
pub(super) const PICTURE: Ours<'static> = Ours {
    name: "picture of proofload's",
    begins: "<svg",
    holds: &[": requests per second over "],
    or_device: false,
};

/// Whether a file of that kind may be written there. `force` is whether everything may be replaced
/// that is a file, and `None` where the command has no such flag. Links are never followed, and
/// with `force` the link itself is replaced.
///
/// # Errors
/// When it may not; read after the flag that names the place.
pub(super) fn check_place(path: &Path, ours: Ours<'_>, force: Option<bool>) -> anyhow::Result<()> {
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    if parent.is_some_and(|parent| !parent.is_dir()) {
        bail!("there is no such directory; create it first");
    }
    let facts = match fs::symlink_metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("cannot look at it; check the path"),
    };
    if facts.is_dir() {
        bail!("it is a directory; name a file in it");
    }
    if facts.file_type().is_char_device() && ours.or_device {
        return Ok(());
    }
    if !facts.is_file() && !facts.is_symlink() {
        bail!("it is no regular file; name another one");
    }
    if force == Some(true) {
        return Ok(());
    }
    let or_force = force.map_or("", |_| ", or add --force to replace it");
    if facts.is_symlink() {
        bail!("it is a symbolic link, which is not followed; name the file itself{or_force}");
    }
    if facts.len() == 0 || is_ours(path, ours).context("cannot see what is there")? {
        return Ok(());
    }
    let name = ours.name;
    bail!("what is there is no {name}; move it, name another file{or_force}")
}

fn is_ours(path: &Path, ours: Ours<'_>) -> io::Result<bool> {
    let head = match beginning(path, HEAD) {
        Ok(head) => head,
        // A name that ends in .zst makes nothing compressed.
        Err(_) if is_compressed(path) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(head.starts_with(ours.begins.as_bytes())
        && (ours.holds.is_empty() || ours.holds.iter().any(|mark| is_in(&head, mark))))
}

fn is_in(head: &[u8], mark: &str) -> bool {
    head.windows(mark.len()).any(|part| part == mark.as_bytes())
}
