//! What to send, and where: requests as recorded, the workload file, importers, endpoint
//! templates and redaction. Knows nothing of schedules, sockets or results.

pub mod clean;
mod demo;
pub mod endpoint;
mod file;
pub mod filter;
pub mod headers;
pub mod import;
pub mod inspect;
mod line;
pub mod pattern;
mod recording;
pub mod redact;
mod request;
pub mod rules;
pub mod sample;
pub mod scan;
mod sessions;
mod single;
mod summary;
mod target;
mod write;

pub use demo::demo;
pub use file::{Requests, Workload, WorkloadError};
pub use headers::{RUN_FIELD, USER_AGENT};
pub use line::LineFault;
pub use recording::{EndpointFacts, recording};
pub use request::{Header, Method, Recorded, Request};
pub use single::{SingleError, parse_request};
pub use summary::{Origin, Summary, VERSION};
pub use target::{Address, Protocol, Scheme, Target, TargetError};
pub use write::{
    Account, WriteError, beginning, growing_header, is_compressed, request_line, write_each,
    write_from, write_recording, write_workload,
};
