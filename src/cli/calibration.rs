//! The stored calibration: by which name `calibrate` and `compare` know it, its JSON, and whether
//! it is of use for a comparison.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::{exit::Failure, input::Source, labels, say};
use crate::{
    clock::wall_ns,
    compare::{CALIBRATION_VERSION, Calibration, Environment},
    replay::Arrivals,
    report::printable,
    store::CalibrationFile,
    workload::Workload,
};

/// Where calibrations are kept, from the working directory.
const DIRECTORY: &str = "baselines";
/// Infrastructure changes: an older calibration is used, and said to be old.
const OLD_DAYS: f64 = 14.0;
/// The name under which `compare` takes none.
const NONE: &str = "none";

/// Where one calibration is kept.
#[derive(Debug)]
pub(super) struct Place {
    file: CalibrationFile,
    /// Whether it was named, so that it has to be there.
    is_named: bool,
}

impl Place {
    /// The place of a name, or of the workload's own name.
    ///
    /// # Errors
    /// When the name cannot be one (usage).
    pub(super) fn of(name: Option<&str>, source: &Source) -> Result<Self, Failure> {
        let own = own_name(source.workload.as_deref());
        let file = CalibrationFile::named(Path::new(DIRECTORY), name.unwrap_or(&own));
        Ok(Self {
            file: file.map_err(Failure::usage)?,
            is_named: name.is_some(),
        })
    }

    /// The same for `compare`, where `none` means none.
    ///
    /// # Errors
    /// As [`Place::of`].
    pub(super) fn wanted(name: Option<&str>, source: &Source) -> Result<Option<Self>, Failure> {
        if name == Some(NONE) {
            return Ok(None);
        }
        Self::of(name, source).map(Some)
    }

    /// Makes sure that it can be written before any load.
    ///
    /// # Errors
    /// When it cannot (usage).
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        self.file.prepare().map_err(Failure::usage)
    }

    /// Stores a calibration; says where, or why not, and whether it is there.
    pub(super) fn store(&self, text: &str) -> bool {
        let stored = self.file.write(text);
        match &stored {
            Ok(()) => say(&format!("calibration: {}", self.file.path().display())),
            Err(error) => say(&format!("proofload: {error}")),
        }
        stored.is_ok()
    }

    /// Reads the calibration, if there is one.
    ///
    /// # Errors
    /// When it was named and is not there, or is there and cannot be read (usage).
    pub(super) fn load(&self) -> Result<Option<Calibration>, Failure> {
        let shown = self.file.path().display();
        match self.file.read().map_err(Failure::usage)? {
            Some(text) => {
                let read = read(&text).with_context(|| format!("{shown} cannot be used"));
                read.map(Some).map_err(Failure::usage)
            }
            None if self.is_named => Err(Failure::usage(anyhow!(
                "there is no {shown}; make it with `proofload calibrate --name`, or leave \
                 --calibration out"
            ))),
            None => Ok(None),
        }
    }
}

/// What a workload file is called, made a name; `requests` where there is none.
fn own_name(workload: Option<&Path>) -> String {
    let file: Option<PathBuf> = workload
        .and_then(|path| path.file_name())
        .map(PathBuf::from);
    let file = file.unwrap_or_default();
    let file = file.to_string_lossy();
    let stem = file.strip_suffix(".zst").unwrap_or(&file);
    let stem = stem.strip_suffix(".jsonl").unwrap_or(stem);
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = stem.chars().map(plain).take(100).collect();
    match name.trim_start_matches(['-', '_', '.']) {
        "" => "requests".to_owned(),
        name => name.to_owned(),
    }
}

/// The calibration as its file holds it.
///
/// # Errors
/// When it holds a number that JSON has not, which would be a bug.
pub(super) fn to_text(calibration: &Calibration) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(calibration).map_err(Failure::bug)?;
    Ok(text + "\n")
}

fn read(text: &str) -> anyhow::Result<Calibration> {
    let value: serde_json::Value = serde_json::from_str(text).context("it is no JSON")?;
    let number = |key: &str| value.get(key).and_then(serde_json::Value::as_u64);
    let version = number("proofload_calibration").context("it is no calibration")?;
    if version > u64::from(CALIBRATION_VERSION) {
        let tool = value.get("version").and_then(serde_json::Value::as_str);
        anyhow::bail!(
            "it was made by proofload {}, which writes a newer format; use that version or newer, \
             or calibrate again",
            tool.unwrap_or("?")
        );
    }
    serde_json::from_value(value).context("it is damaged; calibrate again")
}

/// Where something is measured, as calibrations name it.
pub(super) fn environment(target: &str, workload: &Workload, arrivals: Arrivals) -> Environment {
    Environment {
        target: target.trim_end_matches('/').to_owned(),
        workload: labels::workload_record(workload),
        rate: labels::rate(workload, arrivals),
    }
}

/// The calibration if it fits the comparison, and what there is to say of it.
pub(super) fn fitting(
    calibration: Option<Calibration>,
    there: &Environment,
) -> (Option<Calibration>, Vec<String>) {
    let Some(calibration) = calibration else {
        return (None, Vec::new());
    };
    let name = format!("the calibration of {}", calibration.measured_at);
    let objections = calibration.objections(there);
    if !objections.is_empty() {
        let said = format!("{name} is not used: {}", objections.join("; "));
        return (None, vec![printable(&said)]);
    }
    let days = age_days(&calibration.measured_at);
    let old = days.filter(|days| *days > OLD_DAYS);
    let said = old.map(|days| format!("{name} is {days:.0} days old; calibrate again soon"));
    (Some(calibration), said.into_iter().collect())
}

/// Days since an instant; `None` when it is none.
fn age_days(instant: &str) -> Option<f64> {
    let then: jiff::Timestamp = instant.parse().ok()?;
    let then_ns = u64::try_from(then.as_nanosecond()).ok()?;
    let age_ns = wall_ns().saturating_sub(then_ns);
    Some(crate::units::seconds(age_ns) / 86_400.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{FalseAlarms, Noise},
        run::WorkloadRecord,
    };

    fn calibration() -> Calibration {
        let noise = Noise {
            rounds: 24,
            measured_ns: 1,
            round_ns: 1,
            slot_ns: 1,
            false_alarms: FalseAlarms {
                judged: 1_000,
                alarms: 0,
            },
            metrics: Vec::new(),
        };
        Calibration {
            proofload_calibration: 1,
            version: "0.1.0".to_owned(),
            measured_at: "2026-01-01T00:00:00Z".to_owned(),
            environment: environment(),
            seed: 1,
            alpha: 0.05,
            trusted: true,
            causes: Vec::new(),
            correlation_s: None,
            warm_up_s: Some(3),
            simultaneous: noise.clone(),
            interleaved: noise,
            choice: None,
        }
    }

    fn environment() -> Environment {
        Environment {
            target: "http://127.0.0.1:1/".to_owned(),
            workload: WorkloadRecord {
                source: "x".to_owned(),
                digest: "sha256:1".to_owned(),
                requests: 1,
                duration_ns: 0,
                recorded_at: None,
                recorded: std::collections::BTreeMap::new(),
            },
            rate: "constant 5/s".to_owned(),
        }
    }

    #[test]
    fn a_file_is_read_back_and_everything_else_refused() {
        let text = to_text(&calibration()).unwrap();
        assert_eq!(read(&text).unwrap(), calibration());
        let newer = text.replace(
            "\"proofload_calibration\": 1",
            "\"proofload_calibration\": 2",
        );
        let error = format!("{:#}", read(&newer).unwrap_err());
        assert!(error.contains("proofload 0.1.0"), "{error}");
        for bad in ["", "{}", "[]", &text.replace("\"alpha\"", "\"beta\"")] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_of_another_environment_is_not_used_and_an_old_one_is_said_to_be_old() {
        let (used, said) = fitting(Some(calibration()), &environment());
        assert!(used.is_some() && said[0].contains("days old"), "{said:?}");
        let elsewhere = Environment {
            rate: "constant 9/s".to_owned(),
            ..environment()
        };
        let (used, said) = fitting(Some(calibration()), &elsewhere);
        assert!(used.is_none());
        assert!(
            said[0].contains("another rate (constant 5/s, now constant 9/s)"),
            "{said:?}"
        );
        let untrusted = Calibration {
            trusted: false,
            causes: vec!["too many false alarms".to_owned()],
            ..calibration()
        };
        let (used, said) = fitting(Some(untrusted), &environment());
        assert!(used.is_none() && said[0].contains("too many"), "{said:?}");
        assert_eq!(fitting(None, &environment()), (None, Vec::new()));
    }

    #[test]
    fn the_name_of_a_workload_is_the_name_of_its_calibration() {
        let name = |path: &str| own_name(Some(Path::new(path)));
        assert_eq!(name("workloads/cart.jsonl"), "cart");
        assert_eq!(name("/x/cart v2.jsonl.zst"), "cart-v2");
        assert_eq!(name("..jsonl"), "requests");
        assert_eq!(own_name(None), "requests");
        assert_eq!(name(".hidden.jsonl"), "hidden");
    }
}
