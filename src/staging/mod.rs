//! What the environment is and whether we may load it: the allow-list, addresses, and the
//! preflight in which both sides answer each endpoint once.

mod allow;
mod preflight;

pub use allow::{Refusal, check_host, resolve};
pub use preflight::{Answered, Preflight, Probe, preflight};
