//! A picture of a workload for people: how much, how fast, of what, how old.
//!
//! Reads the stream once, in memory bounded by endpoints and sessions. Latencies are those of
//! the recording; they describe it and are never judged.

mod render;

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use jiff::Timestamp;

use super::{
    EndpointFacts, Request, Summary, Workload, WorkloadError, recording, sessions::Sessions,
};
use crate::{
    histogram::Histogram,
    units::{SECOND_NS, count, seconds},
};

/// How many parts the time is divided into.
const BUCKETS: usize = 240;
/// So many of them are one character in a terminal.
const MERGED: usize = 4;

/// What was found in a workload.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The name of the workload, fit for a terminal.
    pub name: String,
    /// The counts.
    pub summary: Summary,
    /// Requests in each of at most 240 equal parts of the time.
    pub buckets: Vec<u64>,
    /// The length of one part in nanoseconds.
    pub bucket_ns: u64,
    /// By endpoint, what is known of it.
    pub endpoints: BTreeMap<String, EndpointFacts>,
    /// How many recorded clients there are.
    pub sessions: u64,
    /// Whether they were counted; of very many, a part is followed and the rest estimated.
    pub sessions_exact: bool,
    /// Half of the sessions have no more requests than this.
    pub median_session: u64,
    /// Requests of the longest session, of those that were followed.
    pub longest_session: u64,
    /// Requests with a body.
    pub bodies: u64,
    /// Bytes of all bodies together.
    pub body_bytes: u64,
    /// The largest body in bytes.
    pub largest_body: u64,
    /// Recorded answers whose size is known.
    pub answers: u64,
    /// Bytes of those answers together.
    pub answer_bytes: u64,
    /// The largest of them in bytes.
    pub largest_answer: u64,
    /// Times between one request and the next.
    pub gaps: Histogram,
    /// The longest of them, and when it began, in nanoseconds.
    pub longest_gap: (u64, u64),
    /// How long ago the recording was made, in nanoseconds; `None` when nobody knows.
    pub age_ns: Option<u64>,
}

impl Inspection {
    /// Requests per second on average, over the time from the first request to the last.
    pub fn mean_rate(&self) -> f64 {
        let time = seconds(self.summary.duration_ns);
        if time > 0.0 {
            count(self.summary.requests) / time
        } else {
            0.0
        }
    }

    /// Requests per second in the busiest of at most 60 parts of the time.
    pub fn peak_rate(&self) -> f64 {
        let (parts, part_ns) = self.parts();
        let most = parts.into_iter().max().unwrap_or(0);
        count(most) / seconds(part_ns)
    }

    /// Requests in at most 60 parts of the time, and the length of one in nanoseconds.
    fn parts(&self) -> (Vec<u64>, u64) {
        let parts = self.buckets.chunks(MERGED).map(|part| part.iter().sum());
        (parts.collect(), self.bucket_ns * MERGED as u64)
    }
}

/// Reads a workload and describes it; `now_ns` is the wall time in nanoseconds since 1970.
///
/// # Errors
/// When the workload cannot be read to its end.
pub fn inspect(workload: &Workload, now_ns: u64) -> Result<Inspection, WorkloadError> {
    let summary = workload.summary().clone();
    // One more nanosecond puts the last request into the last part.
    let span = summary.duration_ns.saturating_add(1);
    let bucket_ns = span.div_ceil(BUCKETS as u64).max(SECOND_NS / 4_000);
    let mut inspection = Inspection {
        name: workload.name().to_owned(),
        buckets: vec![0; usize::try_from(span.div_ceil(bucket_ns)).unwrap_or(BUCKETS)],
        bucket_ns,
        endpoints: BTreeMap::new(),
        sessions: 0,
        sessions_exact: true,
        median_session: 0,
        longest_session: 0,
        bodies: 0,
        body_bytes: 0,
        largest_body: 0,
        answers: 0,
        answer_bytes: 0,
        largest_answer: 0,
        gaps: Histogram::default(),
        longest_gap: (0, 0),
        age_ns: age_ns(&summary, now_ns),
        summary,
    };
    let mut sessions = Sessions::default();
    let mut last_ns = None;
    for request in workload.requests()? {
        let request = request?;
        inspection.add(&request);
        let mut hasher = DefaultHasher::new();
        request.session.hash(&mut hasher);
        sessions.add(hasher.finish());
        if let Some(last) = last_ns.replace(request.offset_ns) {
            let gap_ns = request.offset_ns - last;
            inspection.gaps.record(gap_ns);
            if gap_ns > inspection.longest_gap.0 {
                inspection.longest_gap = (gap_ns, last);
            }
        }
    }
    inspection.sessions = sessions.count();
    inspection.sessions_exact = sessions.is_exact();
    inspection.median_session = sessions.quantile(0.5);
    inspection.longest_session = sessions.quantile(1.0);
    Ok(inspection)
}

impl Inspection {
    fn add(&mut self, request: &Request) {
        let at = usize::try_from(request.offset_ns / self.bucket_ns).unwrap_or(usize::MAX);
        let last = self.buckets.len() - 1;
        self.buckets[at.min(last)] += 1;
        recording::note(&mut self.endpoints, request);
        let size = request.body.len() as u64;
        self.bodies += u64::from(size > 0);
        self.body_bytes += size;
        self.largest_body = self.largest_body.max(size);
        if let Some(size) = request.recorded.size_bytes {
            self.answers += 1;
            self.answer_bytes = self.answer_bytes.saturating_add(size);
            self.largest_answer = self.largest_answer.max(size);
        }
    }
}

fn age_ns(summary: &Summary, now_ns: u64) -> Option<u64> {
    let recorded: Timestamp = summary.origin.recorded_at.as_deref()?.parse().ok()?;
    let recorded = u64::try_from(recorded.as_nanosecond()).ok()?;
    now_ns.checked_sub(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Recorded, parse_request};

    fn request(offset_ns: u64, path: &str, session: &str) -> Request {
        Request {
            offset_ns,
            session: session.into(),
            expect_status: Some(200),
            recorded: Recorded {
                latency_ns: Some(5_000_000),
                size_bytes: Some(2_000),
            },
            ..parse_request(path).unwrap()
        }
    }

    #[test]
    fn a_workload_is_described_from_one_reading() {
        let mut requests: Vec<Request> = (0..100)
            .map(|i| request(i * 100_000_000, "/users/1", &format!("s{}", i % 4)))
            .collect();
        let mut odd = request(9_950_000_000, "POST /odd", "s\u{202e}");
        odd.endpoint = "POST /\u{202e}odd".into();
        odd.body = vec![1; 2048];
        requests.push(odd);
        let workload = Workload::from_requests(requests, "test").unwrap();
        let inspection = inspect(&workload, 0).unwrap();
        assert_eq!(inspection.buckets.iter().sum::<u64>(), 101);
        assert_eq!(
            (inspection.buckets.len(), inspection.parts().0.len()),
            (240, 60)
        );
        assert_eq!(
            (inspection.answers, inspection.largest_answer),
            (101, 2_000)
        );
        assert_eq!((inspection.sessions, inspection.longest_session), (5, 25));
        assert_eq!(inspection.age_ns, None);
        let text = inspection.to_string();
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{202e}'));
    }

    #[test]
    fn a_single_request_has_no_rate_and_no_gaps() {
        let workload = Workload::from_requests(vec![request(0, "/", "")], "x").unwrap();
        let inspection = inspect(&workload, 0).unwrap();
        assert_eq!(
            (inspection.buckets.as_slice(), inspection.mean_rate()),
            (&[1][..], 0.0)
        );
        assert!(inspection.to_string().contains("p50 -"));
    }

    #[test]
    fn the_age_is_counted_from_the_recording() {
        let mut summary = Summary::default();
        let day = 86_400 * SECOND_NS;
        for (recorded_at, age) in [
            (Some("1970-01-02T00:00:00Z"), Some(9 * day)),
            (Some("1970-02-02T00:00:00Z"), None),
            (Some("nonsense"), None),
            (None, None),
        ] {
            summary.origin.recorded_at = recorded_at.map(str::to_owned);
            assert_eq!(age_ns(&summary, 10 * day), age);
        }
    }
}
