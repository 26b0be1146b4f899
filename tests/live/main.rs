//! Real sockets: the load engine and the binary against a server that misbehaves on purpose
//! and counts everything it saw.
//!
//! Loads go to loopback only, are bounded, and stop by themselves. Nothing here depends on how
//! fast the machine is: what a slow one cannot do honestly is measured again, and said.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod addresses;
mod binary;
mod calibrations;
mod carried;
mod closed;
mod engine;
mod facts;
mod faultd;
mod faults;
mod fresh;
mod goaway;
mod h2d;
mod hostile;
mod http2;
mod imports;
mod interrupted;
mod kernel;
mod local;
mod mutated;
mod nginx_h2;
mod observed;
mod refusals;
mod replaced;
mod reports;
mod runs;
mod secrets;
mod sessions;
mod stored;
mod taxonomy;
mod terminal;
mod timing;
mod tls;
mod traps;
mod unredacted;
mod verdicts;
