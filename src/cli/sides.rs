//! Sides that are read and not measured: what `--baseline` and `--candidate` mean, the run files
//! behind them, and whether two runs were loaded alike.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};

use super::{
    exit::Failure,
    input::{check_stored, endpoints},
    settings::{LoadSettings, Process},
};
use crate::{
    run::{Run, RunHeader, Side, Slot, arrangement, side_rounds},
    store::{BASELINES, BaselineName, Baselines, complete_run},
    text::printable,
    workload::Workload,
};

/// What a side is, by how it is written: a value with `://` is live, an existing file or a name
/// that ends in `.jsonl` is a run file, anything else the name of a baseline. Of a run file with
/// two sides, `FILE:baseline` or `FILE:candidate` is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    /// A deployment.
    Live,
    /// A run file, and which of its sides.
    Run(PathBuf, Option<Side>),
    /// A stored baseline.
    Name(BaselineName),
}

impl Given {
    /// Reads a flag of that name.
    ///
    /// # Errors
    /// When it is nothing of the kind (usage).
    pub(super) fn of(flag: &str, text: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = text.filter(|text| !text.contains("://")) else {
            return Ok(Self::Live);
        };
        let is_file = |text: &str| {
            let path = Path::new(text);
            path.extension().is_some_and(|it| it == "jsonl") || path.is_file()
        };
        if is_file(text) {
            return Ok(Self::Run(PathBuf::from(text), None));
        }
        for side in Side::BOTH {
            let file = text.strip_suffix(&format!(":{}", side.name()));
            if let Some(file) = file.filter(|file| is_file(file)) {
                return Ok(Self::Run(PathBuf::from(file), Some(side)));
            }
        }
        let name = text.parse::<BaselineName>();
        let name = name.with_context(|| {
            format!("{flag} takes a URL such as http://HOST:PORT, a run file or a baseline's name")
        });
        name.map(Self::Name).map_err(Failure::usage)
    }

    /// Refuses a run file that the report would replace.
    ///
    /// # Errors
    /// When it lies in the output directory (usage).
    pub(super) fn check_outside(&self, out_dir: &Path) -> Result<(), Failure> {
        let Self::Run(path, _) = self else {
            return Ok(());
        };
        let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new(".")).canonicalize().ok();
        if parent.is_none() || parent != out_dir.canonicalize().ok() {
            return Ok(());
        }
        Err(Failure::usage(anyhow!(
            "{} lies in --out-dir, which is replaced; give another --out-dir",
            path.display()
        )))
    }

    /// The runs behind it; `None` for what is live.
    ///
    /// # Errors
    /// When a file is not there, damaged, incomplete or not clear (usage), or is not redacted
    /// (refused).
    pub(super) fn read(&self, flag: &str) -> Result<Option<Stored>, Failure> {
        let stored = match self {
            Self::Live => return Ok(None),
            Self::Run(path, side) => read_file(path, *side),
            Self::Name(name) => read_baseline(name),
        };
        let stored = stored.with_context(|| flag.to_owned());
        let stored = stored.map_err(Failure::usage)?;
        for run in stored.earlier.iter().chain([&stored.run]) {
            check_stored(&printable(&stored.label), endpoints(run))?;
        }
        Ok(Some(stored))
    }
}

/// A side as runs on disk show it.
#[derive(Debug)]
pub(super) struct Stored {
    /// What people call it.
    pub label: String,
    /// The run that is compared.
    pub run: Run,
    /// Which side of it.
    pub side: Side,
    /// Earlier runs of the same baseline that were loaded like it.
    pub earlier: Vec<Run>,
}

impl Stored {
    /// The rounds that are compared, in order.
    pub(super) fn rounds(&self) -> Vec<Slot> {
        side_rounds(&self.run, self.side)
    }

    /// The load that was put on it.
    ///
    /// # Errors
    /// When its settings cannot be read, because another version wrote them (usage).
    pub(super) fn load(&self) -> Result<LoadSettings, Failure> {
        load_of(&self.run.header).map_err(Failure::usage)
    }

    /// When, by what and from how many rounds.
    pub(super) fn note(&self, who: &str) -> String {
        let header = &self.run.header;
        format!(
            "{who}: {} measured {} at {} (run {}, {} rounds, proofload {})",
            self.label,
            self.url(),
            header.started_at,
            header.run_id,
            self.rounds().len(),
            header.version
        )
    }

    /// Who died and when, if that ended the load of this side.
    pub(super) fn death(&self) -> Option<&str> {
        let said = self.run.footer.as_ref()?.died()?;
        let own = ["the target".to_owned(), format!("the {}", self.side.name())];
        Some(said).filter(|said| own.iter().any(|own| said.starts_with(own)))
    }

    /// What was loaded.
    pub(super) fn url(&self) -> &str {
        let target = self.run.header.targets.get(&self.side);
        target.map_or("a target", |target| &target.url)
    }
}

fn read_file(path: &Path, side: Option<Side>) -> anyhow::Result<Stored> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let run = complete_run(&bytes).map_err(|cause| anyhow!("{shown} {cause}"))?;
    let side = match (run.header.targets.len(), side) {
        (1, None | Some(Side::Candidate)) => Side::Candidate,
        (1, Some(Side::Baseline)) => bail!("{shown} is a run of one side; write {shown}"),
        (_, Some(side)) => side,
        (_, None) => bail!(
            "{shown} holds both sides of a comparison; write {shown}:candidate or \
             {shown}:baseline"
        ),
    };
    let label = match run.header.targets.len() {
        1 => shown.to_string(),
        _ => format!("{shown}:{}", side.name()),
    };
    Ok(Stored {
        label,
        run,
        side,
        earlier: Vec::new(),
    })
}

fn read_baseline(name: &BaselineName) -> anyhow::Result<Stored> {
    let runs = Baselines::at(Path::new(BASELINES)).load(name)?;
    let mut runs = runs.into_iter().map(|(_, run)| run);
    let run = runs.next().context("it has no run")?;
    let own = facts(&run.header, Side::Candidate)?;
    let like = |other: &Run| facts(&other.header, Side::Candidate).is_ok_and(|it| it == own);
    Ok(Stored {
        label: name.to_string(),
        earlier: runs.filter(like).collect(),
        run,
        side: Side::Candidate,
    })
}

fn load_of(header: &RunHeader) -> anyhow::Result<LoadSettings> {
    let load = header.config.get("load").cloned().unwrap_or_default();
    serde_json::from_value(load).with_context(|| {
        format!(
            "the settings of run {} cannot be read; proofload {} wrote them",
            header.run_id, header.version
        )
    })
}

/// What two stored runs of one baseline must share, so that they differ by chance only: workload,
/// load, length of a round, and what was loaded.
fn facts(header: &RunHeader, side: Side) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut facts = load_facts(header)?;
    let command = header.config.get("command").and_then(|it| it.as_str());
    let url = header.targets.get(&side).map(|target| target.url.as_str());
    // A local build has another port each time.
    let target = command.or(url).unwrap_or_default().to_owned();
    facts.insert("target", target);
    Ok(facts)
}

/// What two sides must share to be compared.
fn load_facts(header: &RunHeader) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let load = load_of(header)?;
    let process = load.arrivals.unwrap_or(match load.rate {
        Some(_) => Process::Constant,
        None => Process::Recorded,
    });
    // The instants of a random process are the same for the same seed only.
    let seed = Some(header.seed).filter(|_| process == Process::Poisson);
    let plan = header.plan.get("layout").unwrap_or(&header.plan);
    let length = |key: &str| plan.get(key).and_then(serde_json::Value::as_u64);
    let slots = if arrangement(header) == Some("simultaneous") {
        1
    } else {
        2
    };
    let round_ms = length("slot_ns").map(|ns| ns.saturating_mul(slots) / 1_000_000);
    Ok(BTreeMap::from([
        ("workload", header.workload.digest.clone()),
        ("length of a round in ms", shown(round_ms)),
        ("seed of poisson arrivals", shown(seed)),
        ("arrivals", String::from(process)),
        ("rate", shown(load.rate)),
        ("speed", shown(load.speed)),
        ("connections", shown(load.connections)),
        ("max-in-flight", shown(load.max_in_flight)),
        ("streams", shown(load.streams)),
        ("threads", shown(load.threads)),
        ("timeout", shown(load.timeout)),
        ("connect-timeout", shown(load.connect_timeout)),
        ("header-timeout", shown(load.header_timeout)),
        ("idle-timeout", shown(load.idle_timeout)),
        ("protocol", shown(load.protocol)),
        ("cookies", shown(load.cookies)),
        ("rules of [replay]", replay_of(header)),
    ]))
}

/// The rules that requests were under, as they were written.
fn replay_of(header: &RunHeader) -> String {
    let rules = header.config.get("replay").map(ToString::to_string);
    rules
        .filter(|rules| rules != "{}")
        .unwrap_or("none".to_owned())
}

/// A setting as it was given.
fn shown<T: serde::Serialize>(value: Option<T>) -> String {
    let value = value.and_then(|value| serde_json::to_value(value).ok());
    value.map_or("not given".to_owned(), |value| {
        value.as_str().map_or(value.to_string(), str::to_owned)
    })
}

/// Refuses a workload that is not the one of a stored run.
///
/// # Errors
/// When their digests differ (usage).
pub(super) fn check_workload(workload: &Workload, stored: &Stored) -> Result<(), Failure> {
    let (own, other) = (&workload.summary().digest, &stored.run.header.workload);
    if *own == other.digest {
        return Ok(());
    }
    Err(Failure::usage(anyhow!(
        "{} was measured with another workload: {} has the digest {}, and {} has {own}; give \
         that workload, or measure the stored side again",
        stored.label,
        other.source,
        other.digest,
        workload.name()
    )))
}

/// Refuses sides that were not loaded alike.
///
/// # Errors
/// When anything of workload, load or the length of a round differs (usage).
pub(super) fn check_alike(baseline: &RunHeader, candidate: &RunHeader) -> Result<(), Failure> {
    let both = load_facts(baseline).and_then(|a| Ok((a, load_facts(candidate)?)));
    let (a, b) = both.map_err(Failure::usage)?;
    match a.iter().find(|(key, value)| b.get(*key) != Some(value)) {
        None => Ok(()),
        Some((key, value)) => Err(Failure::usage(anyhow!(
            "the sides were not loaded alike, so they cannot be compared: {key} is {value} for \
             the baseline and {} for the candidate; measure one of them again like the other",
            b.get(key).map_or("not given", String::as_str)
        ))),
    }
}
