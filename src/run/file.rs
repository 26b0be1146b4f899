//! The run file: JSON Lines, one record a line, each with its checksum.
//!
//! `{"crc32":"1c291ca3","record":{"slot":{…}}}`: a header, then slot after slot as they close,
//! then a footer. A killed run keeps each line that was complete. A reader takes the intact
//! beginning and names the first damaged line; it never reads damage as numbers. Nothing here
//! touches a disk.
//!
//! Format history: 1 (0.1.0) first.

use std::{collections::BTreeMap, io::BufRead};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{EndpointStats, Recorded, Side, Slot};

/// The version of the format that this tool writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// The first record: what was measured, how, and with which settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunHeader {
    /// The version of this format.
    pub proofload_run: u32,
    /// The version of the tool that wrote it.
    pub version: String,
    /// The mark that each request carried.
    pub run_id: String,
    /// When the run began, RFC 3339, UTC.
    pub started_at: String,
    /// The seed of every choice.
    pub seed: u64,
    /// The deployments by side; a run of one side has only the candidate.
    pub targets: BTreeMap<Side, TargetRecord>,
    /// What was sent.
    pub workload: WorkloadRecord,
    /// The plan: arrangement, rounds, slot lengths, looks; as the tool printed it.
    pub plan: serde_json::Value,
    /// The effective configuration; secrets are left out by whoever makes it.
    pub config: serde_json::Value,
}

/// What is known of a deployment besides where it is, by name; [`COMMIT`] is one.
pub type Labels = BTreeMap<String, String>;

/// The label that holds the commit which a deployment was built from.
pub const COMMIT: &str = "commit";

/// What a deployment said of itself before the load, by name; safe to print.
pub type Facts = BTreeMap<String, String>;

/// One deployment as it was spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetRecord {
    /// The base URL.
    pub url: String,
    /// The address it was pinned to.
    pub address: String,
    /// What it was built from, where that was given.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it said of itself.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

/// Where the requests came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// File, flag or bundled.
    pub source: String,
    /// Digest of its requests.
    pub digest: String,
    /// How many requests it holds.
    pub requests: u64,
    /// From its first to its last request, in nanoseconds.
    #[serde(default)]
    pub duration_ns: u64,
    /// When it was recorded, if known.
    pub recorded_at: Option<String>,
    /// What the recording saw, by endpoint; empty where nobody looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, Recorded>,
}

/// The last record: how the run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFooter {
    /// `complete` when the schedule was carried out or enough was known, else `partial`.
    pub state: String,
    /// Why it ended.
    pub reason: String,
    /// Elapsed time in nanoseconds.
    pub elapsed_ns: u64,
}

/// How the reason of a run begins that ended with the death of what was loaded.
pub const TARGET_DIED: &str = "target_died: ";

impl RunFooter {
    /// Who died and when, if that ended the run.
    pub fn died(&self) -> Option<&str> {
        self.reason.strip_prefix(TARGET_DIED)
    }
}

#[derive(Debug, Serialize, Deserialize)]
// Tagged from outside: a tag inside would buffer the record, and buffered keys cannot become
// numbers again.
#[serde(rename_all = "lowercase")]
enum Record {
    Header(RunHeader),
    Slot(Slot),
    Footer(RunFooter),
}

/// A run as read from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What was measured.
    pub header: RunHeader,
    /// The slots in the order of closing.
    pub slots: Vec<Slot>,
    /// How it ended; absent when the process was killed.
    pub footer: Option<RunFooter>,
    /// What was wrong with the first line that is not in `slots`, if anything was.
    pub damage: Option<String>,
}

/// Why a file is no run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// Reading failed.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The first line is no intact header.
    #[error("is not a run file: {0}")]
    NoHeader(String),
    /// Written by a newer version of the tool.
    #[error("was made by proofload {0}, which writes a newer format; use that version or newer")]
    Newer(String),
}

fn seal(record: &Record) -> String {
    let text = serde_json::to_string(record).expect("records hold text keys and finite numbers");
    let sum = crc32fast::hash(text.as_bytes());
    format!("{{\"crc32\":\"{sum:08x}\",\"record\":{text}}}\n")
}

/// The header as a line of the file.
pub fn header_line(header: &RunHeader) -> String {
    seal(&Record::Header(header.clone()))
}

/// A slot as a line of the file.
pub fn slot_line(slot: &Slot) -> String {
    seal(&Record::Slot(slot.clone()))
}

/// The footer as a line of the file.
pub fn footer_line(footer: &RunFooter) -> String {
    seal(&Record::Footer(footer.clone()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    crc32: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

fn open(line: &str) -> Result<Record, String> {
    let Some(line) = line.strip_suffix('\n') else {
        return Err("it is cut off".to_owned());
    };
    let sealed: Sealed<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let text = sealed.record.get();
    if format!("{:08x}", crc32fast::hash(text.as_bytes())) != sealed.crc32 {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl Run {
    /// Reads a run: the header and every record up to the first that is damaged.
    ///
    /// # Errors
    /// When reading fails or the first line is no header of a version that can be read.
    pub fn read(mut reader: impl BufRead) -> Result<Self, RunFileError> {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line)?;
        let header = match text(&line).and_then(open) {
            Ok(Record::Header(header)) => header,
            Ok(_) => return Err(RunFileError::NoHeader("its first line is no header".into())),
            Err(cause) => {
                return Err(newer(&line).map_or(RunFileError::NoHeader(cause), RunFileError::Newer));
            }
        };
        if header.proofload_run > VERSION {
            return Err(RunFileError::Newer(header.version));
        }
        let mut run = Self {
            header,
            slots: Vec::new(),
            footer: None,
            damage: None,
        };
        for number in 2_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            match text(&line).and_then(open) {
                Ok(Record::Slot(slot)) if is_conserved(&slot) => run.slots.push(slot),
                Ok(Record::Slot(_)) => run.damage = Some("its counts do not add up".to_owned()),
                Ok(Record::Footer(footer)) => run.footer = Some(footer),
                Ok(Record::Header(_)) => run.damage = Some("it is a second header".to_owned()),
                Err(cause) => run.damage = Some(cause),
            }
            if let Some(cause) = &mut run.damage {
                *cause = format!("line {number} is damaged: {cause}");
                break;
            }
        }
        Ok(run)
    }
}

fn is_conserved(slot: &Slot) -> bool {
    slot.endpoints.values().all(EndpointStats::is_conserved)
}

fn text(line: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())
}

/// The version of the tool that wrote a header this one cannot read, if it is newer.
fn newer(line: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let record = value.get("record")?.get("header")?;
    let version = record.get("proofload_run")?.as_u64()?;
    let tool = record.get("version")?.as_str()?;
    (version > u64::from(VERSION)).then(|| tool.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Class, Health};

    fn header() -> RunHeader {
        RunHeader {
            proofload_run: VERSION,
            version: "0.1.0".into(),
            run_id: "r".into(),
            started_at: "2026-01-01T00:00:00Z".into(),
            seed: 7,
            targets: BTreeMap::from([(
                Side::Candidate,
                TargetRecord {
                    url: "http://x/".into(),
                    address: "127.0.0.1:1".into(),
                    labels: Labels::from([(COMMIT.into(), "4f1c2e9".into())]),
                    facts: Facts::from([("server".into(), "nginx".into())]),
                },
            )]),
            workload: WorkloadRecord {
                source: "x".into(),
                digest: String::new(),
                requests: 1,
                duration_ns: 0,
                recorded_at: None,
                recorded: BTreeMap::new(),
            },
            plan: serde_json::Value::Null,
            config: serde_json::Value::Null,
        }
    }

    fn slot() -> Slot {
        let mut stats = EndpointStats {
            scheduled: 2,
            ..EndpointStats::default()
        };
        stats.classes.insert(Class::Ok, 1);
        stats.classes.insert(Class::Http5xx, 1);
        stats.statuses.insert(500, 1);
        stats.response.record(1_234_567);
        stats.service.record(1_200_000);
        stats.failed.record(9);
        let mut health = Health {
            cpu_share: 0.25,
            steal_share: 0.01,
            ..Health::default()
        };
        health.lag.record(60_000);
        Slot {
            round: 1,
            position: 0,
            side: Side::Candidate,
            start_ns: 5,
            length_ns: 10,
            settle_ns: 2,
            medians_ns: vec![Some(1_234_567), None],
            complete: true,
            endpoints: BTreeMap::from([("GET /".to_owned(), stats)]),
            connections: crate::run::ConnectionStats::default(),
            health,
            resources: Some(crate::run::Resources {
                cpu_ns: Some(7_000_000),
                peak_bytes: None,
            }),
        }
    }

    fn file() -> String {
        let footer = RunFooter {
            state: "complete".into(),
            reason: "done".into(),
            elapsed_ns: 15,
        };
        header_line(&header()) + &slot_line(&slot()) + &footer_line(&footer)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let run = Run::read(file().as_bytes()).unwrap();
        assert_eq!(run.header, header());
        assert_eq!(run.slots, vec![slot()]);
        assert_eq!(run.footer.unwrap().elapsed_ns, 15);
        assert_eq!(run.damage, None);
    }

    #[test]
    fn no_flipped_bit_and_no_cut_is_ever_read_as_numbers() {
        let whole = file().into_bytes();
        let good = Run::read(whole.as_slice()).unwrap();
        let check = |bytes: &[u8], what: &str| {
            if let Ok(run) = Run::read(bytes) {
                assert_eq!(run.header, good.header, "{what}");
                assert!(run.slots.is_empty() || run.slots == good.slots, "{what}");
            }
        };
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                check(&bytes, &format!("bit {bit} of byte {at}"));
            }
            check(&whole[..at], &format!("cut at {at}"));
        }
    }

    #[test]
    fn a_newer_file_names_the_version_to_use() {
        let mut newer = header();
        newer.proofload_run = VERSION + 1;
        newer.version = "9.9.9".into();
        let error = Run::read(header_line(&newer).as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains("9.9.9"), "{error}");
        assert!(Run::read("{}\n".as_bytes()).is_err());
        assert!(Run::read("".as_bytes()).is_err());
    }
}
