//! What to send, and where: requests as recorded, the workload file, importers, endpoint
//! templates and redaction. Knows nothing of schedules, sockets or results.

pub mod clean;
pub mod endpoint;
pub mod headers;
mod line;
pub mod redact;
mod request;
mod target;

pub use line::LineFault;
pub use request::{Header, Method, Recorded, Request};
pub use target::{Scheme, Target, TargetError};
