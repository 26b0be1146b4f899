//! What was measured: outcomes, per-endpoint statistics, slots, and the run file format.
//! Plain data; nothing here sends, judges or touches a disk.

mod file;
mod outcome;
mod slot;
mod stats;

pub use file::{
    Run, RunFileError, RunFooter, RunHeader, TargetRecord, VERSION, WorkloadRecord, footer_line,
    header_line, slot_line,
};
pub use outcome::{Class, Group};
pub use slot::{Health, Side, Slot};
pub use stats::{ConnectionStats, EndpointStats};
