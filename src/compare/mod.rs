//! Judging: rounds in, a comparison with a verdict out. Pure: no file, no clock, no chance,
//! and it cannot fail; what cannot be judged is listed with its reason.
//!
//! The method is `docs/method.md`; formulas are cited beside the code. The way through:
//! `evidence` reads slots, `validity` drops rounds, `track` makes a series of each metric,
//! `paired` and `proportion` test it, `course` says when to look, `sequence` goes through the looks
//! that `spending` pays for and the `family` shares, `judge` gives the verdict. `stored` has the
//! statistics of sides that were not measured together; `steady` says whether slots have warmed up,
//! `checkup` whether a run of one side can be trusted, `freshness` whether a recording fits. What
//! two equal deployments show becomes a `calibration` by `noise`, and `expectation` asks it.

mod answers;
pub mod bodies;
mod calibration;
mod causes;
mod change;
mod checkup;
mod comparison;
mod correlation;
mod course;
pub mod detectable;
pub mod distribution;
pub mod evidence;
mod expectation;
pub mod family;
mod freshness;
mod gate;
mod judge;
mod judged;
mod limit;
mod margin;
pub mod metric;
mod noise;
pub mod paired;
mod planning;
mod policy;
pub mod proportion;
mod rule;
pub mod sequence;
pub mod spending;
pub mod steady;
pub mod stored;
mod track;
mod validity;

pub use bodies::{Answer, Bodies};
pub use calibration::{
    CALIBRATION_VERSION, Calibration, Choice, Detectable, Environment, FalseAlarms, MetricNoise,
    Noise,
};
pub use checkup::{Checkup, Diagnosis};
pub use comparison::{Change, Comparison, Interval, Reason, RoundsUsed, Status, Verdict, Warning};
pub use course::{LOOK_FIRST, Tables};
pub use evidence::RoundEvidence;
pub use expectation::{Expectation, expect};
pub use freshness::{AGING_SHARE, Finding, Freshness, STALE_SHARE, STATUSES};
pub use gate::Gate;
pub use judge::{NOT_TOGETHER, design_apart, judge, judge_apart, judge_death, judge_failing};
pub use margin::{Margin, Margins};
pub use metric::Metric;
pub use noise::{Collected, Planned, Term, choose};
pub use planning::{
    Prospect, ROUNDS_MAX, clean_requests_needed, is_judgeable, minimum_requests, prospects,
};
pub use policy::{Design, Policy, PolicyProblem, Session};
pub use rule::{LimitRule, MarginRule, RuleError, ToleranceRule};
pub use spending::{Boundaries, Look};
