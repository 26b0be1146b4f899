//! Judging: rounds in, a comparison with a verdict out. Pure: no file, no clock, no chance,
//! and it cannot fail; what cannot be judged is listed with its reason.
//!
//! The method is `docs/method.md`; formulas are cited beside the code.

mod comparison;
mod metric;
mod policy;

pub use comparison::{Change, Comparison, Interval, Reason, RoundsUsed, Status, Verdict, Warning};
pub use metric::Metric;
pub use policy::{Design, Margin, Margins, Policy, PolicyError};
