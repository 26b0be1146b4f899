//! A slot: one side under load for a few seconds, with the generator's own health.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConnectionStats, EndpointStats};
use crate::histogram::Histogram;

/// Which of the two deployments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What is in service today.
    Baseline,
    /// What wants to go into service.
    Candidate,
}

impl Side {
    /// Both sides, the baseline first.
    pub const BOTH: [Self; 2] = [Self::Baseline, Self::Candidate];

    /// 0 for the baseline, 1 for the candidate.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word used in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Baseline => Self::Candidate,
            Self::Candidate => Self::Baseline,
        }
    }
}

/// How the generator itself did during a slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Send lags: sent − intended, of every request that was sent.
    pub lag: Histogram,
    /// CPU time of the busiest sending thread as a share of the slot's wall time (or of its
    /// CPU quota), 0 to 1.
    #[serde(rename = "cpu_share_ppm", with = "ppm")]
    pub cpu_share: f64,
    /// CPU time that the hypervisor gave to others, as a share of all cores, 0 to 1.
    #[serde(rename = "steal_share_ppm", with = "ppm")]
    pub steal_share: f64,
    /// The longest time a sending thread woke up too late, in nanoseconds.
    pub stall_ns: u64,
    /// By how much the wall clock was stepped against the monotonic clock, in nanoseconds.
    pub wall_step_ns: u64,
}

/// One side under load for a few seconds. Slots are never merged before the statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The round it belongs to; round 0 warms up and is not judged.
    pub round: u32,
    /// Its place in the round, from 0: up to 3 interleaved, always 0 simultaneous.
    pub position: u8,
    /// Which deployment.
    pub side: Side,
    /// When it began, in nanoseconds after the start of the run.
    pub start_ns: u64,
    /// How long requests were measured, in nanoseconds, the settle cut left out.
    pub length_ns: u64,
    /// Whether all of its schedule was carried out; others are kept but never judged.
    pub complete: bool,
    /// What each endpoint did.
    pub endpoints: BTreeMap<String, EndpointStats>,
    /// How connections were opened.
    #[serde(default)]
    pub connections: ConnectionStats,
    /// How the generator did.
    pub health: Health,
}

impl Slot {
    /// All endpoints of the slot as one.
    pub fn total(&self) -> EndpointStats {
        let mut total = EndpointStats::default();
        for stats in self.endpoints.values() {
            total.merge(stats);
        }
        total
    }
}

/// Shares as whole millionths: files hold no floats.
mod ppm {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::units::{count, from_seconds};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn serialize<S: Serializer>(share: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(from_seconds(share / 1e3))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        Ok(count(u64::deserialize(from)?) / 1e6)
    }
}
