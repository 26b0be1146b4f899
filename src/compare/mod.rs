//! Judging: rounds in, a comparison with a verdict out. Pure: no file, no clock, no chance,
//! and it cannot fail; what cannot be judged is listed with its reason.
//!
//! The method is `docs/method.md`; formulas are cited beside the code.

mod comparison;
pub mod detectable;
pub mod distribution;
pub mod evidence;
pub mod family;
mod metric;
pub mod paired;
mod policy;
pub mod proportion;
pub mod spending;

pub use comparison::{Change, Comparison, Interval, Reason, RoundsUsed, Status, Verdict, Warning};
pub use evidence::RoundEvidence;
pub use metric::Metric;
pub use policy::{Design, Margin, MarginRule, Margins, Policy, PolicyError};
pub use spending::Boundaries;
