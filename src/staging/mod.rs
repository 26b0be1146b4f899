//! What the environment is and whether we may load it: the allow-list, addresses, the preflight
//! in which both sides answer each endpoint once, and what the sides use of their machines.

mod allow;
mod answers;
mod certificate;
mod facts;
mod guard;
mod local;
mod ports;
mod preflight;
mod resolve;
mod resources;
mod walk;

pub use allow::{Refusal, check_host};
pub use answers::{Asker, Whole};
pub use certificate::{Validity, validity};
pub use facts::Facts;
pub use guard::guard;
pub use local::{Local, StartError, taken};
pub use ports::{local_ports, ports_short};
pub use preflight::{Answered, Preflight, PreflightError, Probe, Terms, preflight};
pub use resolve::{Pin, PinError, check_pins, resolve};
pub use resources::{Lost, Meter, Place, ResourceError, Sampler};
pub use walk::{Probes, Step};
