//! What was compared, and how: plain strings and numbers that the caller fills in.
//!
//! No secret belongs in here: header values are left out or redacted before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::printable;
use crate::run::{COMMIT, Facts, Labels, Recorded};

/// What was compared, when, with which load, and how to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// What the reader calls this comparison, such as `cart: main against v2.3`.
    pub title: String,
    /// The version of proofload that measured.
    pub version: String,
    /// When the load began, in RFC 3339.
    pub started_at: String,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// What is in service today.
    pub baseline: Place,
    /// What wants to go into service.
    pub candidate: Place,
    /// What was sent.
    pub workload: Workload,
    /// How the sides were put side by side: `simultaneous` or `interleaved`.
    pub arrangement: String,
    /// How much was sent, such as `constant 200/s` or `recorded at 2x`.
    pub rate: String,
    /// The seed of everything drawn by chance.
    pub seed: u64,
    /// The effective configuration: an object of plain values.
    pub configuration: serde_json::Value,
    /// The command line that does the same again.
    pub command: String,
    /// What the process ends with.
    pub exit_code: u8,
    /// Until when the verdict may be relied on, in RFC 3339; absent where nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What the preflight found, one plain sentence each.
    pub notes: Vec<String>,
}

/// One deployment, or the stored run that stands in for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The URL, the name of a baseline or the run file.
    pub label: String,
    /// The address that the connections went to.
    pub address: Option<String>,
    /// What was spoken there, such as `HTTP/2`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// What it was built from, where that is known.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What it said of itself before the load.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
}

impl Place {
    /// The commit it was built from, where that is known.
    pub fn commit(&self) -> Option<&str> {
        self.labels.get(COMMIT).map(String::as_str)
    }

    /// Label, address and commit, safe to print.
    pub(super) fn shown(&self) -> String {
        let label = printable(&self.label);
        let known = [&self.address, &self.protocol].into_iter().flatten();
        let known = known.map(|text| printable(text));
        let commit = self.commit().map(|it| format!("commit {}", printable(it)));
        let known: Vec<_> = known.chain(commit).collect();
        if known.is_empty() {
            return label;
        }
        format!("{label} ({})", known.join(", "))
    }
}

/// The recording that was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The file, or what stood in for it.
    pub source: String,
    /// How many requests it holds.
    pub requests: u64,
    /// From its first to its last request, in nanoseconds.
    pub duration_ns: u64,
    /// Its digest, as in its header.
    pub digest: String,
    /// When it was recorded, in RFC 3339; absent when nothing was recorded.
    pub recorded_at: Option<String>,
    /// What the recording saw, by endpoint; empty where nobody looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub recorded: BTreeMap<String, Recorded>,
}
