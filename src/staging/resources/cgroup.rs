//! A cgroup, of version 2 or 1: its CPU time and memory, as the kernel counts them.
//!
//! The memory of a cgroup holds its share of the page cache too.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Reading, ResourceError};

/// One cgroup.
#[derive(Debug, Clone)]
pub(super) struct Group {
    path: PathBuf,
    /// Device and inode: a directory that was made anew is another cgroup.
    identity: (u64, u64),
    cpu: Option<Cpu>,
    memory: Option<Memory>,
    /// The high-water mark of memory when it was last seen, in bytes.
    mark: Option<u64>,
}

/// Where CPU time stands, and in which unit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cpu {
    /// `cpu.stat` of version 2, in microseconds.
    Stat(PathBuf),
    /// `cpuacct.usage` of version 1, in nanoseconds.
    Usage(PathBuf),
}

/// Where memory stands: what is held now, and the most so far.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Memory {
    held: PathBuf,
    most: PathBuf,
}

impl Group {
    /// A cgroup by its directory.
    ///
    /// # Errors
    /// When it is no cgroup, or says nothing of CPU and memory.
    pub(super) fn open(path: &Path) -> Result<Self, ResourceError> {
        let identity = identity(path)?;
        let cpu_stat = path.join("cpu.stat");
        let is_v2 = number(&cpu_stat, "usage_usec").is_ok();
        let (cpu, memory) = if is_v2 {
            (Some(Cpu::Stat(cpu_stat)), memory_v2(path))
        } else {
            let usage = sibling(path, &["cpuacct", "cpu,cpuacct"], "cpuacct.usage");
            (usage.map(Cpu::Usage), memory_v1(path))
        };
        if cpu.is_none() && memory.is_none() {
            return Err(ResourceError::NoCgroup(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            identity,
            cpu,
            memory,
            mark: None,
        })
    }

    /// CPU time so far, and the most memory since the last reading.
    ///
    /// # Errors
    /// When the cgroup is gone, was made anew, or cannot be read any more.
    pub(super) fn read(&mut self) -> Result<Reading, ResourceError> {
        if identity(&self.path)? != self.identity {
            return Err(ResourceError::Remade(self.path.clone()));
        }
        let cpu_ns = self.cpu.as_ref().map(Cpu::read).transpose()?;
        let Some(memory) = &self.memory else {
            return Ok(Reading {
                cpu_ns,
                bytes: None,
            });
        };
        let held = plain(&memory.held)?;
        // Kernels before 5.19 keep no high-water mark in version 2.
        let mark = plain(&memory.most).ok();
        let has_risen = mark.zip(self.mark).is_some_and(|(now, then)| now > then);
        self.mark = mark;
        Ok(Reading {
            cpu_ns,
            bytes: mark.filter(|_| has_risen).or(Some(held)),
        })
    }

    /// Whether a process is directly in it.
    pub(super) fn holds(&self, pid: u32) -> bool {
        let procs = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        procs.lines().any(|line| line.trim() == pid.to_string())
    }
}

impl Cpu {
    fn read(&self) -> Result<u64, ResourceError> {
        match self {
            Self::Stat(path) => Ok(number(path, "usage_usec")?.saturating_mul(1_000)),
            Self::Usage(path) => plain(path),
        }
    }
}

fn identity(path: &Path) -> Result<(u64, u64), ResourceError> {
    let facts = fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if !facts.is_dir() {
        return Err(ResourceError::NoCgroup(path.to_owned()));
    }
    Ok((facts.dev(), facts.ino()))
}

fn memory_v2(path: &Path) -> Option<Memory> {
    let held = path.join("memory.current");
    let most = path.join("memory.peak");
    held.is_file().then_some(Memory { held, most })
}

fn memory_v1(path: &Path) -> Option<Memory> {
    let held = sibling(path, &["memory"], "memory.usage_in_bytes")?;
    let most = held.with_file_name("memory.max_usage_in_bytes");
    Some(Memory { held, most })
}

/// A file of the cgroup itself, or of the cgroup with the same name in the hierarchy of another
/// controller: version 1 mounts each at a place of its own.
fn sibling(path: &Path, controllers: &[&str], file: &str) -> Option<PathBuf> {
    let own = path.join(file);
    if own.is_file() {
        return Some(own);
    }
    path.ancestors().find_map(|hierarchy| {
        let (top, below) = (hierarchy.parent()?, path.strip_prefix(hierarchy).ok()?);
        let places = controllers.iter();
        let mut places = places.map(|controller| top.join(controller).join(below).join(file));
        places.find(|place| place.is_file())
    })
}

/// The figure of a file that holds nothing else.
fn plain(path: &Path) -> Result<u64, ResourceError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    text.trim().parse().map_err(|_| malformed(path))
}

/// The figure behind a key.
fn number(path: &Path, key: &str) -> Result<u64, ResourceError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(' '));
    let value = lines.find_map(|(it, value)| (it == key).then_some(value));
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| malformed(path))
}

fn unreadable(path: &Path, error: io::Error) -> ResourceError {
    ResourceError::Unreadable(path.display().to_string(), error)
}

fn malformed(path: &Path) -> ResourceError {
    unreadable(path, io::Error::other("it holds no such figure"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files below a directory of their own.
    fn place(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            write(&dir, name, text);
        }
        dir
    }

    fn write(dir: &tempfile::TempDir, name: &str, text: &str) {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    const STAT: &str = "shop/cpu.stat";

    #[test]
    fn version_2_counts_microseconds_and_a_mark_that_has_risen_is_the_peak() {
        let dir = place(&[
            (STAT, "usage_usec 7\nuser_usec 4\nsystem_usec 3\n"),
            ("shop/memory.current", "100\n"),
            ("shop/memory.peak", "900\n"),
            ("shop/cgroup.procs", "12\n34\n"),
        ]);
        let mut group = Group::open(&dir.path().join("shop")).unwrap();
        assert!(group.holds(34) && !group.holds(3));
        let mut read = || {
            let reading = group.read().unwrap();
            (reading.cpu_ns, reading.bytes)
        };
        assert_eq!(read(), (Some(7_000), Some(100)), "an old mark says nothing");
        write(&dir, STAT, "usage_usec 9\n");
        write(&dir, "shop/memory.peak", "950\n");
        assert_eq!(read(), (Some(9_000), Some(950)));
        assert_eq!(read(), (Some(9_000), Some(100)));
    }

    #[test]
    fn version_1_is_put_together_from_the_hierarchies_of_its_controllers() {
        for cpu in ["cpuacct", "cpu,cpuacct"] {
            let dir = place(&[
                (&format!("{cpu}/a/shop/cpuacct.usage"), "77\n"),
                (&format!("{cpu}/a/shop/cpu.stat"), "nr_periods 0\n"),
                ("memory/a/shop/memory.usage_in_bytes", "55\n"),
                ("memory/a/shop/memory.max_usage_in_bytes", "66\n"),
            ]);
            for given in [cpu, "memory"] {
                let mut group = Group::open(&dir.path().join(given).join("a/shop")).unwrap();
                let reading = group.read().unwrap();
                assert_eq!((reading.cpu_ns, reading.bytes), (Some(77), Some(55)));
            }
        }
    }

    #[test]
    fn what_is_absent_is_unknown_and_what_is_no_cgroup_is_refused() {
        let dir = place(&[(STAT, "usage_usec 7\n"), ("else/x", "")]);
        let reading = Group::open(&dir.path().join("shop")).unwrap().read();
        assert_eq!(reading.unwrap().bytes, None);
        for (name, wanted) in [
            ("else", "neither"),
            ("else/x", "neither"),
            ("gone", "cannot be"),
        ] {
            let error = Group::open(&dir.path().join(name)).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_cgroup_that_was_made_anew_or_is_broken_is_an_error() {
        let dir = place(&[(STAT, "usage_usec 7\n")]);
        let path = dir.path().join("shop");
        let mut group = Group::open(&path).unwrap();
        write(&dir, STAT, "usage_usec x\n");
        assert!(group.read().is_err());
        // The old one is kept, so that the new one cannot get its inode.
        fs::rename(&path, dir.path().join("old")).unwrap();
        assert!(group.read().is_err());
        write(&dir, STAT, "usage_usec 1\n");
        let error = group.read().unwrap_err().to_string();
        assert!(error.contains("made anew"), "{error}");
    }
}
