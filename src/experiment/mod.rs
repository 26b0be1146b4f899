//! The conductor: sends slots of both sides in order, stores each, asks `compare` after each
//! round whether enough is known, and stops then.

mod conduct;
mod death;
mod oversize;
mod plan;
mod rounds;

pub use conduct::{CARRIED_OUT, Ended, Experiment, Interrupt, Judgement, News, conduct};
pub use death::Death;
pub use plan::{Budget, Plan, PlanError, SETTLE_NS, plan};
pub use rounds::rounds_of;
