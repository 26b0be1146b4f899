//! What a comparison leaves behind, from end to end and without any load: reports are made from
//! run files that are written here, read by programs of others, verified, and told to CI services
//! that are not there.
//!
//! Programs that are missing are named, and what they would have read is skipped.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that cannot go on fails its test, and what was skipped says why"
)]

mod github;
mod kit;
mod readers;
mod recipes;
mod schemas;
mod verify;
