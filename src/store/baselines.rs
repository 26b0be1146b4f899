//! Stored baselines: for each name the newest run, earlier ones, and an index with their digests.
//!
//! ```text
//! baselines/NAME.run.jsonl           the newest run
//! baselines/NAME/RUN_ID.run.jsonl    each kept run, the newest too; never changed
//! baselines/NAME.json                which there are, the newest first, with their digests
//! ```
//!
//! Runs are written before the index that names them, so that whatever happens in between the
//! index names whole files only. Nothing is read without its digest having been compared.

use std::{
    fmt,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    atomic::{Readers, StoreError, write_atomic},
    digest::digest,
    run_log::complete_run,
};
use crate::run::{Run, RunFooter, Side};

/// Where baselines are kept, below the working directory.
pub const BASELINES: &str = "baselines";
/// The version of the index that this tool writes, and the newest that it reads.
const VERSION: u32 = 1;
/// So many runs of a name are kept; the oldest gives way.
const KEPT: usize = 20;
const NAME_MAX: usize = 64;
/// Whoever else saves a run of the same name needs less than this.
const LOCK_TRIES: u32 = 1_000;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a baseline cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is no name of a baseline.
    #[error("`{0}` is no name for a baseline: {1}; use letters, digits, `-`, `_` and `.`")]
    Name(String, &'static str),
    /// There is none of this name.
    #[error("there is no baseline `{0}` in {1}{2}")]
    Missing(String, String, String),
    /// The index cannot be read.
    #[error("the index {0} cannot be used: {1}")]
    Index(PathBuf, String),
    /// The run file is not the one that was stored.
    #[error(
        "{0} is not the file that was stored (its SHA-256 differs from the one in {1}); restore \
         it, or remove the baseline and measure it again"
    )]
    Changed(PathBuf, PathBuf),
    /// The run file cannot be used.
    #[error("{0} {1}")]
    Run(PathBuf, String),
    /// Another process holds the lock.
    #[error("{0} is being written by another process; try again")]
    Busy(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The name of a baseline: a part of a path, and never mistaken for a URL or a run file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaselineName(String);

impl FromStr for BaselineName {
    type Err = BaselineError;

    fn from_str(text: &str) -> Result<Self, BaselineError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let cause = if text.is_empty() {
            "it is empty"
        } else if text.contains("://") {
            "it is a URL"
        } else if Path::new(text)
            .extension()
            .is_some_and(|it| it == "jsonl" || it == "json")
        {
            "it reads like a file"
        } else if text.starts_with(['.', '-']) {
            "it begins with a dot or a dash"
        } else if text.len() > NAME_MAX {
            "it is longer than 64 characters"
        } else if !text.chars().all(plain) {
            "it holds something else"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(BaselineError::Name(text.to_owned(), cause))
    }
}

impl fmt::Display for BaselineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One stored run as the index names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRun {
    /// Its file, below the directory of all baselines.
    pub run: String,
    /// `sha256:` and the digest of its bytes.
    pub digest: String,
    /// The mark that each of its requests carried.
    pub run_id: String,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// What was loaded: its base URL.
    pub target: String,
    /// The digest of the workload.
    pub workload: String,
    /// The version of proofload that measured it.
    pub version: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Index {
    proofload_baseline: u32,
    name: String,
    /// The newest first.
    runs: Vec<StoredRun>,
}

/// The directory of all baselines.
#[derive(Debug, Clone)]
pub struct Baselines {
    dir: PathBuf,
}

impl Baselines {
    /// Baselines in this directory, which need not be there yet.
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Keeps a run file under a name, in front of what was kept there; returns how many runs the
    /// name has then. The same file twice counts once.
    ///
    /// # Errors
    /// When the file is no whole, completed run of one side, or something cannot be written.
    pub fn save(&self, name: &BaselineName, file: &Path) -> Result<usize, BaselineError> {
        let bytes = std::fs::read(file).map_err(StoreError::io("read", file))?;
        let run = whole(file, &bytes)?;
        let digest = digest(&bytes);
        let own = self.dir.join(&name.0);
        std::fs::create_dir_all(&own).map_err(StoreError::io("create", &own))?;
        let _lock = self.lock(name)?;
        let mut index = match self.index(name) {
            Err(BaselineError::Missing(..)) => Index {
                proofload_baseline: VERSION,
                name: name.0.clone(),
                runs: Vec::new(),
            },
            other => other?,
        };
        if index.runs.iter().any(|it| it.digest == digest) {
            return Ok(index.runs.len());
        }
        let entry = self.entry(name, &run, digest);
        write_atomic(&self.dir.join(&entry.run), &bytes, Readers::Owner)?;
        write_atomic(&self.newest(name), &bytes, Readers::Owner)?;
        index.runs.insert(0, entry);
        let gone = index.runs.split_off(KEPT.min(index.runs.len()));
        self.write_index(name, &index)?;
        for old in gone {
            // What stays behind is named by nothing and read by nobody.
            let _ = std::fs::remove_file(self.dir.join(old.run));
        }
        Ok(index.runs.len())
    }

    fn entry(&self, name: &BaselineName, run: &Run, digest: String) -> StoredRun {
        let header = &run.header;
        let plain = |c: &char| c.is_ascii_alphanumeric();
        let id: String = header.run_id.chars().filter(plain).take(32).collect();
        let place = |n: u32| match n {
            0 => format!("{name}/{id}.run.jsonl"),
            n => format!("{name}/{id}-{n}.run.jsonl"),
        };
        let mut places = (0..).map(place);
        let free = places.find(|place| !self.dir.join(place).exists());
        let target = header.targets.get(&Side::Candidate);
        StoredRun {
            run: free.unwrap_or_default(),
            digest,
            run_id: header.run_id.clone(),
            started_at: header.started_at.clone(),
            target: target.map_or(String::new(), |target| target.url.clone()),
            workload: header.workload.digest.clone(),
            version: header.version.clone(),
        }
    }

    /// All runs of a name, the newest first, each compared with its digest.
    ///
    /// # Errors
    /// When there is no such baseline, or any of its files was changed, cut or damaged.
    pub fn load(&self, name: &BaselineName) -> Result<Vec<(StoredRun, Run)>, BaselineError> {
        let runs = self.index(name)?.runs.into_iter();
        let read = |stored: StoredRun| {
            let path = self.dir.join(&stored.run);
            let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
            if digest(&bytes) != stored.digest {
                return Err(BaselineError::Changed(path, self.index_path(name)));
            }
            let run = whole(&path, &bytes)?;
            Ok((stored, run))
        };
        runs.map(read).collect()
    }

    /// Every name with its stored runs, the newest first, in the order of names.
    ///
    /// # Errors
    /// When the directory or an index cannot be read.
    pub fn list(&self) -> Result<Vec<(BaselineName, Vec<StoredRun>)>, BaselineError> {
        let names = self.names()?.into_iter();
        let with_runs = |name: BaselineName| {
            let runs = self.index(&name)?.runs;
            Ok((name, runs))
        };
        names.map(with_runs).collect()
    }

    /// Forgets a name and all of its runs.
    ///
    /// # Errors
    /// When there is no such baseline, or something cannot be removed.
    pub fn remove(&self, name: &BaselineName) -> Result<usize, BaselineError> {
        let _lock = self.lock(name)?;
        let runs = self.index(name)?.runs;
        let remove = |path: PathBuf| match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        };
        // The index first: what it does not name does not exist.
        remove(self.index_path(name))?;
        remove(self.newest(name))?;
        for stored in &runs {
            remove(self.dir.join(&stored.run))?;
        }
        // Something that is not ours may be in there; it stays.
        let _ = std::fs::remove_dir(self.dir.join(&name.0));
        Ok(runs.len())
    }

    fn names(&self) -> Result<Vec<BaselineName>, BaselineError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::io("read", &self.dir))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let names = names.filter_map(|file| file.strip_suffix(".json")?.parse().ok());
        let mut names: Vec<BaselineName> = names.collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    fn index(&self, name: &BaselineName) -> Result<Index, BaselineError> {
        let path = self.index_path(name);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(self.missing(name));
            }
            other => other.map_err(StoreError::io("read", &path))?,
        };
        let fail = |cause: String| BaselineError::Index(path.clone(), cause);
        let index: Index = serde_json::from_str(&text).map_err(|error| fail(error.to_string()))?;
        if index.proofload_baseline > VERSION {
            return Err(fail(
                "a newer proofload wrote it; use that version".to_owned(),
            ));
        }
        let is_own = |run: &StoredRun| {
            let file = run.run.strip_prefix(&format!("{name}/"));
            file.is_some_and(|file| !file.contains('/') && file.ends_with(".run.jsonl"))
        };
        match index.runs.iter().find(|run| !is_own(run)) {
            _ if index.runs.is_empty() => Err(fail("it names no run".to_owned())),
            Some(foreign) => Err(fail(format!("it names `{}`", foreign.run))),
            None => Ok(index),
        }
    }

    fn missing(&self, name: &BaselineName) -> BaselineError {
        let others = self.names().unwrap_or_default();
        let others: Vec<_> = others.iter().map(|it| format!("`{it}`")).collect();
        let hint = if others.is_empty() {
            "; store one with proofload run --save-baseline NAME, or write the URL of a live \
             deployment, such as http://HOST:PORT"
                .to_owned()
        } else {
            format!("; there is {}", others.join(", "))
        };
        BaselineError::Missing(name.0.clone(), self.dir.display().to_string(), hint)
    }

    fn write_index(&self, name: &BaselineName, index: &Index) -> Result<(), StoreError> {
        let mut text = serde_json::to_string_pretty(index).expect("plain data with text keys");
        text.push('\n');
        write_atomic(&self.index_path(name), text.as_bytes(), Readers::Everyone)
    }

    /// Keeps others from changing the index of this name at the same time.
    fn lock(&self, name: &BaselineName) -> Result<File, BaselineError> {
        let path = self.dir.join(format!(".{name}.lock"));
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let file = options
            .open(&path)
            .map_err(StoreError::io("create", &path))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(TryLockError::Error(error)) => {
                    return Err(StoreError::io("lock", &path)(error).into());
                }
            }
        }
        Err(BaselineError::Busy(path))
    }

    fn index_path(&self, name: &BaselineName) -> PathBuf {
        self.dir.join(format!("{name}.json"))
    }

    fn newest(&self, name: &BaselineName) -> PathBuf {
        self.dir.join(format!("{name}.run.jsonl"))
    }
}

/// A completed run of one side.
fn whole(path: &Path, bytes: &[u8]) -> Result<Run, BaselineError> {
    let refuse = |cause: String| BaselineError::Run(path.to_owned(), cause);
    let run = complete_run(bytes).map_err(refuse)?;
    if let Some(said) = run.footer.as_ref().and_then(RunFooter::died) {
        return Err(refuse(format!("is of no use as a baseline: {said}")));
    }
    if run.header.targets.len() == 1 {
        Ok(run)
    } else {
        Err(refuse(
            "holds two sides; a baseline is a run of one".to_owned(),
        ))
    }
}

#[cfg(test)]
mod tests;
