//! proofload replays recorded traffic against a baseline and a candidate deployment, measures
//! both honestly and judges whether the candidate is worse than tolerated.
//!
//! Data flows in one line: `Workload → replay → Run (slots) → compare → Comparison → report`.
//! Measuring and judging are separate: everything after the run can be done again from its
//! file. ARCHITECTURE.md has the map.

pub mod cli;
pub mod clock;
pub mod compare;
pub mod demo;
pub mod experiment;
pub mod histogram;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod staging;
pub mod store;
pub mod text;
pub mod tls;
pub mod units;
pub mod workload;
