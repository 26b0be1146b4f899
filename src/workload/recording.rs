//! What the recording saw of each endpoint: how often, with which answers, how fast, how large.
//!
//! Describes the recording and is never judged. Read as a stream, in memory bounded by endpoints.

use std::collections::BTreeMap;

use super::{Request, Workload, WorkloadError};
use crate::{histogram::Histogram, units::count};

/// So many requests of a workload are looked at: of ten million, all would take ten seconds.
const DESCRIBED_MAX: usize = 200_000;

/// What a workload knows of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct EndpointFacts {
    /// How many requests.
    pub requests: u64,
    /// Recorded statuses with how often.
    pub statuses: BTreeMap<u16, u64>,
    /// Recorded latencies.
    pub latency: Histogram,
    /// Answers whose size was recorded.
    pub sized: u64,
    /// The bytes of their bodies together, as transferred.
    pub bytes: u64,
}

impl EndpointFacts {
    /// Adds one request of the endpoint.
    pub(super) fn add(&mut self, request: &Request) {
        self.requests += 1;
        if let Some(status) = request.expect_status {
            *self.statuses.entry(status).or_default() += 1;
        }
        if let Some(latency_ns) = request.recorded.latency_ns {
            self.latency.record(latency_ns);
        }
        if let Some(bytes) = request.recorded.size_bytes {
            self.sized += 1;
            self.bytes = self.bytes.saturating_add(bytes);
        }
    }

    /// The mean size of an answer's body in bytes; `None` when no size was recorded.
    pub fn mean_bytes(&self) -> Option<f64> {
        (self.sized > 0).then(|| count(self.bytes) / count(self.sized))
    }
}

/// Adds a request to the facts of its endpoint.
pub(super) fn note(endpoints: &mut BTreeMap<String, EndpointFacts>, request: &Request) {
    // Looked up first, so that no name is copied for each of millions of requests.
    if !endpoints.contains_key(&request.endpoint) {
        endpoints.insert(request.endpoint.clone(), EndpointFacts::default());
    }
    if let Some(facts) = endpoints.get_mut(&request.endpoint) {
        facts.add(request);
    }
}

/// Tells what a workload knows of each endpoint; of a long one, what its first 200,000 requests
/// know.
///
/// # Errors
/// When it cannot be read.
pub fn recording(workload: &Workload) -> Result<BTreeMap<String, EndpointFacts>, WorkloadError> {
    let mut endpoints = BTreeMap::new();
    for request in workload.requests()?.take(DESCRIBED_MAX) {
        note(&mut endpoints, &request?);
    }
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_told_by_endpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.jsonl");
        let line = |ns: u64, rest: &str| {
            format!("{{\"offset_ns\":{ns},\"method\":\"GET\",\"path\":\"/a\"{rest}}}\n")
        };
        let text = "{\"proofload_workload\":1}\n".to_owned()
            + &line(
                0,
                ",\"status\":200,\"latency_ns\":5000000,\"size_bytes\":100",
            )
            + &line(
                1,
                ",\"status\":404,\"latency_ns\":7000000,\"size_bytes\":300",
            )
            + &line(2, "");
        std::fs::write(&path, text).unwrap();
        let found = recording(&Workload::open(&path).unwrap()).unwrap();
        let facts = &found["GET /a"];
        assert_eq!(facts.requests, 3);
        assert_eq!(facts.statuses, BTreeMap::from([(200, 1), (404, 1)]));
        assert_eq!(facts.latency.count(), 2);
        assert_eq!(facts.mean_bytes(), Some(200.0));
        assert_eq!(EndpointFacts::default().mean_bytes(), None);
    }

    #[test]
    fn of_a_long_workload_the_beginning_is_described() {
        let one = crate::workload::parse_request("GET /a").unwrap();
        let many = std::iter::repeat_n(one, DESCRIBED_MAX + 1).collect();
        let found = recording(&Workload::from_requests(many, "many").unwrap()).unwrap();
        assert_eq!(found["GET /a"].requests, DESCRIBED_MAX as u64);
    }
}
