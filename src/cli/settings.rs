//! Settings from four layers: defaults < `proofload.toml` < `PROOFLOAD_*` < flags.
//!
//! Each group of flags is one struct of options. The file holds the same keys; what flags and
//! environment leave open is filled in from it, and what is left then are the defaults.

mod gate;
mod redact;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::observe::ObserveSettings;
pub(super) use gate::{GateSettings, InconclusiveAs};
use redact::RedactSettings;

use crate::{
    replay::Arrangement,
    units::{Rate, Span, Speed},
    workload::{Protocol, rules::ReplaySettings},
};

/// Which arrival process.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) enum Process {
    /// The recorded instants.
    Recorded,
    /// Evenly spaced; needs --rate.
    Constant,
    /// Independent random gaps; needs --rate.
    Poisson,
    /// Each client waits for its answer before it asks again.
    Closed,
    /// From one rate to another over the whole run.
    Ramp(Rate, Rate),
}

impl std::str::FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "recorded" => return Ok(Self::Recorded),
            "constant" => return Ok(Self::Constant),
            "poisson" => return Ok(Self::Poisson),
            "closed" => return Ok(Self::Closed),
            _ => {}
        }
        let refuse = || {
            let known = "recorded, constant, poisson, closed and a ramp such as ramp:50..500/s";
            format!("`{text}` is no arrival process; there are {known}")
        };
        let ramp = text.strip_prefix("ramp:").ok_or_else(refuse)?;
        let (from, to) = ramp.split_once("..").ok_or_else(refuse)?;
        if !to.contains('/') {
            return Err(format!("`{text}` has no unit; write it as ramp:50..500/s"));
        }
        // One unit serves both: 50..500/s.
        let unit = to.split_once('/').map_or("", |(_, unit)| unit);
        let from = if from.contains('/') {
            from.to_owned()
        } else {
            format!("{from}/{unit}")
        };
        let rate = |text: &str| text.parse().map_err(|error| format!("{error}"));
        Ok(Self::Ramp(rate(&from)?, rate(to)?))
    }
}

impl TryFrom<String> for Process {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Process> for String {
    fn from(process: Process) -> Self {
        match process {
            Process::Recorded => "recorded".to_owned(),
            Process::Constant => "constant".to_owned(),
            Process::Poisson => "poisson".to_owned(),
            Process::Closed => "closed".to_owned(),
            Process::Ramp(from, to) => format!("ramp:{from}..{to}"),
        }
    }
}

impl clap::ValueEnum for Arrangement {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Interleaved, Self::Simultaneous]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Interleaved => "interleaved",
            Self::Simultaneous => "simultaneous",
        }))
    }
}

impl clap::ValueEnum for Protocol {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Auto, Self::Http1, Self::Http2]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// What becomes of cookies that a side sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cookies {
    /// Each session sends back what it was given.
    Keep,
    /// Nobody looks at them.
    Drop,
}

/// How much is sent, and when.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Load")]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct LoadSettings {
    /// When requests are due: recorded, constant, poisson; for `run` also closed (each of -c
    /// clients waits for its answer) and ramp:50..500/s [default: recorded; constant with --rate]
    #[arg(long, env = "PROOFLOAD_ARRIVALS", value_name = "PROCESS")]
    pub arrivals: Option<Process>,
    /// Requests per second and side, such as 200/s
    #[arg(long, env = "PROOFLOAD_RATE")]
    pub rate: Option<Rate>,
    /// Replays recorded instants faster or slower, such as 2x
    #[arg(long, env = "PROOFLOAD_SPEED")]
    pub speed: Option<Speed>,
    /// Connections per side at the most; in a closed loop one client on each, or --streams of them
    /// [default: as --max-in-flight; 50 in a closed loop; 8 with HTTP/2]
    #[arg(short, long, env = "PROOFLOAD_CONNECTIONS")]
    pub connections: Option<usize>,
    /// Requests in flight per side at the most; more are counted as not sent [default: 10000]
    #[arg(long, env = "PROOFLOAD_MAX_IN_FLIGHT")]
    pub max_in_flight: Option<usize>,
    /// Requests at once on one HTTP/2 connection [default: 100, or what the server allows]
    #[arg(long, env = "PROOFLOAD_STREAMS")]
    pub streams: Option<usize>,
    /// Sending threads [default: 1]
    #[arg(long, env = "PROOFLOAD_THREADS")]
    pub threads: Option<usize>,
    /// The whole time; stops earlier when enough is known [default: 60s]
    #[arg(short, long, env = "PROOFLOAD_DURATION")]
    pub duration: Option<Span>,
    /// Sent first and not judged [default: one slot; none for `run`]
    #[arg(long, env = "PROOFLOAD_WARMUP")]
    pub warmup: Option<Span>,
    /// Length of a slot [default: from the duration]
    #[arg(long, env = "PROOFLOAD_SLOT")]
    pub slot: Option<Span>,
    /// Time for a whole request [default: 30s]
    #[arg(long, env = "PROOFLOAD_TIMEOUT")]
    pub timeout: Option<Span>,
    /// Time to connect, TLS included [default: 5s]
    #[arg(long, env = "PROOFLOAD_CONNECT_TIMEOUT")]
    pub connect_timeout: Option<Span>,
    /// Time until the head of an answer is complete [default: 10s]
    #[arg(long, env = "PROOFLOAD_HEADER_TIMEOUT")]
    pub header_timeout: Option<Span>,
    /// Time that a body may stand still [default: 10s]
    #[arg(long, env = "PROOFLOAD_IDLE_TIMEOUT")]
    pub idle_timeout: Option<Span>,
    /// How the sides share the time [default: from the duration]
    #[arg(long, env = "PROOFLOAD_ARRANGEMENT", value_enum)]
    pub arrangement: Option<Arrangement>,
    /// Cookies that a side sets: keep (each session sends its own back) or drop [default: keep]
    #[arg(long, env = "PROOFLOAD_COOKIES", value_enum)]
    pub cookies: Option<Cookies>,
    /// Version of HTTP: auto takes what a TLS server picks, and 1.1 without TLS [default: auto]
    #[arg(long, env = "PROOFLOAD_PROTOCOL", value_enum)]
    pub protocol: Option<Protocol>,
    /// Makes every random choice repeatable [default: drawn and printed]
    #[arg(long, env = "PROOFLOAD_SEED")]
    pub seed: Option<u64>,
}

impl LoadSettings {
    /// These settings over those of a lower layer. Arrivals bring their own rate and speed: what a
    /// lower layer says of them belongs to its own arrivals.
    pub(super) fn over(&self, lower: &Self) -> Self {
        let mut lower = lower.clone();
        match self.arrivals {
            Some(Process::Constant | Process::Poisson) => lower.speed = None,
            Some(Process::Recorded) => lower.rate = None,
            Some(Process::Closed | Process::Ramp(..)) => (lower.rate, lower.speed) = (None, None),
            None => {}
        }
        if self.rate.is_some() {
            (lower.arrivals, lower.speed) = (None, None);
        }
        if self.speed.is_some() {
            (lower.arrivals, lower.rate) = (None, None);
        }
        layered(self, &lower)
    }
}

/// Which hosts may be loaded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct TargetSettings {
    /// Hosts, or hosts with ports, besides loopback.
    pub allow: Vec<String>,
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct FileSettings {
    /// `[load]`
    pub load: LoadSettings,
    /// `[gate]`
    pub gate: GateSettings,
    /// `[targets]`
    pub targets: TargetSettings,
    /// `[observe]`
    pub observe: ObserveSettings,
    /// `[redact]`
    pub redact: RedactSettings,
    /// `[replay]`
    pub replay: ReplaySettings,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// It is no TOML, or a value is wrong; the text names the line.
    #[error("{0} is not valid: {1}")]
    Syntax(PathBuf, String),
    /// A key that nobody knows.
    #[error("{path}: unknown key `{key}` in {table}{hint}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// Where it stands, in words.
        table: String,
        /// The key.
        key: String,
        /// The nearest key, as a question.
        hint: String,
    },
}

impl FileSettings {
    /// Reads the given file, or `proofload.toml` of the working directory or a parent up to the
    /// root of the repository, or nothing.
    ///
    /// # Errors
    /// When a file is there and cannot be used.
    pub(super) fn find(given: Option<&Path>) -> Result<Self, SettingsError> {
        match given.map(Path::to_owned).or_else(found) {
            None => Ok(Self::default()),
            Some(path) => Self::read(&path),
        }
    }

    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| SettingsError::Io(path.to_owned(), error))?;
        let syntax = |error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            let cause = error.message().trim().replace('\n', ", ");
            SettingsError::Syntax(path.to_owned(), format!("line {line}: {cause}"))
        };
        let table: toml::Table = toml::from_str(&text).map_err(syntax)?;
        check_keys(path, &table)?;
        toml::from_str(&text).map_err(syntax)
    }
}

/// The settings file that is read where none is named: `proofload.toml` of the working directory or
/// a parent up to the root of the repository.
pub(super) fn found() -> Option<PathBuf> {
    let mut directory = std::env::current_dir().ok()?;
    loop {
        let path = directory.join("proofload.toml");
        if path.is_file() {
            return Some(path);
        }
        if directory.join(".git").exists() || !directory.pop() {
            return None;
        }
    }
}

/// Refuses keys that no table has, naming the nearest one.
fn check_keys(path: &Path, table: &toml::Table) -> Result<(), SettingsError> {
    let known = [
        ("load", keys::<LoadSettings>()),
        ("gate", keys::<GateSettings>()),
        ("observe", keys::<ObserveSettings>()),
        ("targets", vec!["allow".to_owned()]),
        ("redact", redact::KEYS.map(str::to_owned).to_vec()),
        ("replay", ReplaySettings::KEYS.map(str::to_owned).to_vec()),
    ];
    let tables: Vec<String> = known.iter().map(|(name, _)| (*name).to_owned()).collect();
    let unknown = |table: &str, key: &str, candidates: &[String]| {
        let nearest = candidates
            .iter()
            .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
        SettingsError::UnknownKey {
            path: path.to_owned(),
            table: table.to_owned(),
            key: key.to_owned(),
            hint: nearest.map_or(String::new(), |key| format!("; did you mean `{key}`?")),
        }
    };
    for (name, value) in table {
        let Some((_, keys)) = known.iter().find(|(table, _)| table == name) else {
            return Err(unknown("the file", name, &tables));
        };
        for key in value.as_table().into_iter().flat_map(toml::Table::keys) {
            if !keys.contains(key) {
                return Err(unknown(&format!("[{name}]"), key, keys));
            }
        }
    }
    Ok(())
}

/// The keys of a group of settings: its flags.
fn keys<T: Args>() -> Vec<String> {
    let command = T::augment_args(clap::Command::new("keys"));
    command
        .get_arguments()
        .map(|arg| arg.get_id().as_str().replace('_', "-"))
        .collect()
}

/// Fills in what is not set from a lower layer.
pub(super) fn layered<T>(upper: &T, lower: &T) -> T
where
    T: Serialize + for<'a> Deserialize<'a> + Clone,
{
    // Through JSON and not TOML: a seed may be larger than TOML's integers.
    let object = |settings: &T| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let mut sum = object(lower);
    for (key, value) in object(upper) {
        let unset = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !unset {
            sum.insert(key, value);
        }
    }
    serde_json::from_value(serde_json::Value::Object(sum)).unwrap_or_else(|_| upper.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FileSettings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proofload.toml");
        std::fs::write(&path, text).unwrap();
        FileSettings::read(&path)
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_nothing() {
        let file = read(
            "[load]\nrate = \"50/s\"\nmax-in-flight = 7\nseed = 3\n\
             [gate]\ntolerance = [\"p99=20%\"]\n[targets]\nallow = [\"a.example\"]\n",
        )
        .unwrap();
        let flags = LoadSettings {
            rate: "9/s".parse().ok(),
            ..LoadSettings::default()
        };
        let load = layered(&flags, &file.load);
        assert_eq!(load.rate, "9/s".parse().ok());
        assert_eq!((load.max_in_flight, load.seed), (Some(7), Some(3)));
        let gate = layered(&GateSettings::default(), &file.gate);
        assert_eq!(gate.tolerance.len(), 1);
        assert_eq!(file.targets.allow, ["a.example"]);
    }

    #[test]
    fn arrivals_of_a_flag_bring_their_own_rate() {
        let file = read("[load]\nrate = \"50/s\"\nduration = \"9s\"\n").unwrap();
        let flags = |text: &str| -> LoadSettings { toml::from_str(text).unwrap() };
        let closed = flags("arrivals = 'closed'").over(&file.load);
        assert_eq!((closed.rate, closed.duration), (None, file.load.duration));
        let faster = flags("speed = '2x'").over(&file.load);
        assert_eq!(faster.rate, None);
        let closed = flags("arrivals = 'closed'");
        assert_eq!(flags("rate = '7/s'").over(&closed).arrivals, None);
        assert_eq!(flags("").over(&file.load).rate, file.load.rate);
        let poisson = flags("arrivals = 'poisson'").over(&file.load);
        assert_eq!(poisson.rate, file.load.rate);
    }

    #[test]
    fn the_largest_seed_leaves_the_other_flags_alone() {
        let flags = LoadSettings {
            rate: "9/s".parse().ok(),
            seed: Some(u64::MAX),
            ..LoadSettings::default()
        };
        assert_eq!(layered(&flags, &LoadSettings::default()), flags);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        for (text, wanted) in [
            ("[load]\nrat = \"1/s\"\n", "`rate`"),
            ("[load]\nmax_in_flight = 1\n", "`max-in-flight`"),
            ("[gate]\ntolerence = []\n", "`tolerance`"),
            ("[gate]\nweights = []\n", "`weight`"),
            ("[targets]\nallows = []\n", "`allow`"),
            ("[redact]\nkeep_name = []\n", "`keep-names`"),
            ("[redakt]\n", "`redact`"),
            ("[laod]\n", "`load`"),
            ("[replay]\nendpoint = []\n", "`endpoints`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains("did you mean") && error.contains(wanted),
                "{error}"
            );
        }
    }

    #[test]
    fn a_wrong_value_shows_its_place() {
        for text in [
            "[load]\nrate = \"1O0/s\"\n",
            "[load\n",
            "[[replay.rule]]\nname = \"a\"\nextracts = 1\n",
            "[load]\nseed = -1\n",
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("line"), "{error}");
        }
    }
}
