//! Any bytes as the answer to an HTTP/1.1 request.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proofload::replay::fuzzing::http1(bytes));
