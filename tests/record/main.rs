//! The recorder as a user runs it: the real binary between a client and an application.
//!
//! Everything stays on loopback, on free ports and in directories of its own, and nothing here
//! depends on how fast the machine is.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod app;
#[path = "../live/binary.rs"]
#[expect(dead_code, reason = "shared with tests that measure")]
mod binary;
mod client;
mod disk;
mod faithful;
mod http2;
mod recording;
mod refusals;
mod replay;
mod secrets;
mod sessions;
mod stops;
mod streams;
mod suggest;
