//! What was measured: outcomes, per-endpoint statistics, slots, the generator's health, and the
//! run file format. Plain data; nothing here sends, judges a target or touches a disk.

mod file;
mod health;
mod outcome;
mod recorded;
mod resources;
mod rounds;
mod slot;
mod stats;

pub use file::{
    COMMIT, Facts, Labels, Run, RunFileError, RunFooter, RunHeader, TARGET_DIED, TargetRecord,
    VERSION, WorkloadRecord, footer_line, header_line, slot_line,
};
pub use health::{Flaw, Health, Signs, Yardstick, is_spoilt};
pub use outcome::{BODY_BYTES_MAX, Class, Group, HEAD_BYTES_MAX, HEAD_FIELDS_MAX};
pub use recorded::Recorded;
pub use resources::Resources;
pub use rounds::{STORED, arrangement, side_rounds};
pub use slot::{Side, Slot};
pub use stats::{ConnectionStats, EndpointStats, WORKLOAD};
