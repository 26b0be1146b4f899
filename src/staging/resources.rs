//! What a side uses of its own machine: CPU time and memory, of a process with all that descends
//! from it or of a cgroup.
//!
//! Here stands where it is read; `sampler` reads it while the load runs, `record` says what
//! was used in a stretch of time.

mod cgroup;
mod process;
mod record;
mod sampler;

use std::{fmt, io, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

pub use sampler::{Lost, Sampler};

use super::Local;
use cgroup::Group;
use process::{Tree, is_within};

/// Where the resources of a side are read, as given by a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// Nowhere, a local build neither.
    None,
    /// A process and what descends from it.
    Pid(u32),
    /// The directory of a cgroup, version 1 or 2.
    Cgroup(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |cause: &str| {
            format!("`{text}` {cause}; write pid:1234, cgroup:/sys/fs/cgroup/NAME or none")
        };
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some(("pid", pid)) => match pid.parse() {
                Ok(pid) if pid > 0 && i32::try_from(pid).is_ok() => Ok(Self::Pid(pid)),
                _ => Err(refuse("holds no number of a process")),
            },
            Some(("cgroup", path)) if path.starts_with('/') => Ok(Self::Cgroup(path.into())),
            Some(("cgroup", _)) => Err(refuse("holds no absolute path")),
            _ => Err(refuse("is no place to read CPU and memory from")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Cgroup(path) => write!(f, "cgroup:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

/// Why resources cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// Nothing has this number.
    #[error("there is no process {0}; give the number of one that runs")]
    NoProcess(u32),
    /// The number went to another process.
    #[error("the process {0} has ended, and its number belongs to another process now")]
    Reused(u32),
    /// A file of the kernel cannot be read or understood.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, io::Error),
    /// Not the directory of a cgroup.
    #[error(
        "{} holds neither cpu.stat with usage_usec, cpuacct.usage nor the files of memory; give \
         the directory of a cgroup, such as /sys/fs/cgroup/system.slice/shop.service",
        .0.display()
    )]
    NoCgroup(PathBuf),
    /// The directory is another cgroup than before.
    #[error("{} was removed and made anew", .0.display())]
    Remade(PathBuf),
    /// The generator would be measured.
    #[error("{0} holds proofload itself, whose CPU would count as that of the target")]
    Ourselves(Place),
}

/// Something whose resources can be read again and again.
#[derive(Debug, Clone)]
pub struct Meter(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Tree(Tree),
    Group(Group),
}

/// What a source says at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// CPU time so far, in nanoseconds; from where it counts does not matter.
    cpu_ns: Option<u64>,
    /// The most memory since the last reading, in bytes.
    bytes: Option<u64>,
}

impl Meter {
    /// What a flag names; `None` when it names nothing.
    ///
    /// # Errors
    /// When it is not there, cannot be read, or holds proofload itself.
    pub fn open(place: &Place) -> Result<Option<Self>, ResourceError> {
        let own = std::process::id();
        let (kind, holds_us) = match place {
            Place::None => return Ok(None),
            Place::Pid(pid) => (Kind::Tree(Tree::of(*pid, true)?), is_within(own, *pid)),
            Place::Cgroup(path) => {
                let group = Group::open(path)?;
                let holds_us = group.holds(own);
                (Kind::Group(group), holds_us)
            }
        };
        if holds_us {
            return Err(ResourceError::Ourselves(place.clone()));
        }
        let mut source = Self(kind);
        source.read(true)?;
        Ok(Some(source))
    }

    /// All processes of a local build.
    ///
    /// # Errors
    /// When it has ended.
    pub fn of_build(build: &Local) -> Result<Self, ResourceError> {
        // Its guard is the parent of all, and takes in what loses its own.
        let mut source = Self(Kind::Tree(Tree::of(build.guard_pid(), false)?));
        source.read(true)?;
        Ok(source)
    }

    fn read(&mut self, scan: bool) -> Result<Reading, ResourceError> {
        match &mut self.0 {
            Kind::Tree(tree) => tree.read(scan),
            Kind::Group(group) => group.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_shown_alike() {
        for text in ["none", "pid:1234", "cgroup:/sys/fs/cgroup/shop"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "1234",
            "pid:",
            "pid:0",
            "pid:-1",
            "pid:x",
            "pid:99999999999",
            "cgroup:shop",
            "cgroup:",
            "docker:shop",
        ] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(error.contains("write pid:1234"), "{error}");
        }
    }

    #[test]
    fn proofload_itself_is_no_target() {
        let own = Place::Pid(std::process::id());
        let error = Meter::open(&own).unwrap_err().to_string();
        assert!(error.contains("proofload itself"), "{error}");
        assert!(Meter::open(&Place::None).unwrap().is_none());
    }
}
