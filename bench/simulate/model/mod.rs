//! Simulated comparisons through the whole pipeline: from the law of single requests to slots,
//! rounds, looks and a verdict. `tests/simulations.rs` uses it too.

pub(crate) mod course;
pub(crate) mod law;
pub(crate) mod noise;
pub(crate) mod world;
