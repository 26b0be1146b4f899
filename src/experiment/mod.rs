//! The conductor: sends slots of both sides in order, stores each, asks `compare` after each
//! round whether enough is known, and stops then.

mod conduct;
mod death;
mod plan;

pub use conduct::{Ended, Experiment, Interrupt, Judgement, News, conduct};
pub use death::Death;
pub use plan::{Budget, Plan, PlanError, plan};
