//! Any bytes as what an HTTP/2 server says, and as a header block.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proofload::replay::fuzzing::http2(bytes));
