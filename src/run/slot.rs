//! A slot: one side under load for a few seconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConnectionStats, EndpointStats, Health, Resources};

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
    /// How long requests were sent before that and not measured: the settle cut, in nanoseconds.
    #[serde(default)]
    pub settle_ns: u64,
    /// The median response time of each whole second of its load over all endpoints, the settle
    /// cut included, in nanoseconds; absent where nothing ended or the median is a failure.
    #[serde(default)]
    pub medians_ns: Vec<Option<u64>>,
    /// Whether all of its schedule was carried out; others are kept but never judged.
    pub complete: bool,
    /// What each endpoint did.
    pub endpoints: BTreeMap<String, EndpointStats>,
    /// How connections were opened.
    #[serde(default)]
    pub connections: ConnectionStats,
    /// How the generator did.
    pub health: Health,
    /// What the side used of its own machine in the measured time; absent where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
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
