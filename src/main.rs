//! The binary: parses, runs, prints, chooses the exit code; all of it in `cli`.

fn main() {}
