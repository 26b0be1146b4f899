//! The bundled demo workload: what `proofload demo` replays.
//!
//! Made by the seeded generator in the tests below, which also check that the file in
//! `workloads/` is what it makes: 250 requests a second to each of three endpoints for six
//! seconds. Inside a second the instants are uniform, so the gaps are those of a Poisson
//! process that happens to bring exactly 750.

use super::{Workload, WorkloadError};

const TEXT: &str = include_str!("../../workloads/demo.jsonl");

/// The demo workload.
///
/// # Errors
/// Never, as long as the tests pass.
pub fn demo() -> Result<Workload, WorkloadError> {
    Workload::from_text(TEXT, "workloads/demo.jsonl")
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        units::SECOND_NS,
        workload::{Origin, Request, parse_request, write_workload},
    };

    const WORDS: [&str; 8] = ["tea", "cup", "lamp", "desk", "book", "shoe", "coat", "bike"];

    fn requests() -> Vec<Request> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut requests = Vec::new();
        for second in 0..6 {
            for number in 0..750 {
                let path = match number % 3 {
                    0 => format!("/search?q={}", WORDS[random.random_range(0..WORDS.len())]),
                    1 => format!("/products/{}", random.random_range(1..5_000)),
                    _ => format!("/cart/{}", random.random_range(1..500)),
                };
                requests.push(Request {
                    offset_ns: second * SECOND_NS + random.random_range(0..SECOND_NS),
                    session: format!("s{}", random.random_range(1..=40)),
                    expect_status: Some(200),
                    ..parse_request(&path).unwrap()
                });
            }
        }
        requests.sort_by_key(|request| request.offset_ns);
        requests[0].offset_ns = 0;
        requests
    }

    fn generated() -> String {
        let origin = Origin {
            source: "demo".into(),
            recorded_at: None,
            redaction: "none".into(),
            suggestions: Vec::new(),
        };
        let mut bytes = Vec::new();
        write_workload(&mut bytes, false, origin, &requests()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// `PROOFLOAD_WRITE_DEMO=1 cargo test demo` writes the file again.
    #[test]
    fn the_bundled_file_is_what_the_generator_makes() {
        let made = generated();
        if std::env::var_os("PROOFLOAD_WRITE_DEMO").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/workloads/demo.jsonl");
            std::fs::write(path, &made).unwrap();
            return;
        }
        assert!(made == TEXT, "run PROOFLOAD_WRITE_DEMO=1 cargo test demo");
        assert!(TEXT.len() < 600_000);
    }

    #[test]
    fn each_endpoint_gets_250_requests_in_each_second() {
        let workload = demo().unwrap();
        let mut seconds = std::collections::BTreeMap::<(u64, String), u64>::new();
        for request in workload.requests().unwrap() {
            let request = request.unwrap();
            let second = request.offset_ns / SECOND_NS;
            *seconds.entry((second, request.endpoint)).or_default() += 1;
        }
        assert_eq!(seconds.len(), 18);
        assert!(seconds.values().all(|count| *count == 250));
        assert_eq!(workload.summary().statuses, [(200, 4_500)].into());
    }
}
