//! A smaller workload with the same endpoints: a share by lot, and of each endpoint that would
//! become rare as much as is needed to see it.
//!
//! Reads the workload once and keeps no requests: for each endpoint the smallest lots are enough
//! to know which sessions have to be taken besides.

use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
};

use super::{
    Summary, Workload, WorkloadError,
    filter::{By, Draw, Filter},
    sessions::Sessions,
};
use crate::units::Share;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share that is kept.
    pub keep: Share,
    /// Of what.
    pub by: By,
    /// The same seed draws the same.
    pub seed: u64,
    /// Requests of each endpoint that are kept at the least, or all there are.
    pub least: usize,
}

/// A sample, and what has changed by it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What is left.
    pub workload: Workload,
    /// What there was.
    pub before: Summary,
    /// Sessions there were.
    pub sessions_before: u64,
    /// Sessions that are left.
    pub sessions: u64,
    /// Whether the sessions were counted, not estimated.
    pub is_exact: bool,
}

/// What is known of an endpoint while the workload is read.
#[derive(Default)]
struct Rarity {
    requests: u64,
    taken: u64,
    /// The smallest lots of its requests with their sessions, the largest on top.
    smallest: BinaryHeap<(u64, u64)>,
}

/// How many sessions a workload has, and whether they were counted, not estimated.
///
/// # Errors
/// When the workload cannot be read to its end.
pub fn sessions(workload: &Workload) -> Result<(u64, bool), WorkloadError> {
    let mut all = Sessions::default();
    for request in workload.requests()? {
        all.add(Draw::lot(By::Session, 0, &request?, 0));
    }
    Ok((all.count(), all.is_exact()))
}

/// Draws a sample.
///
/// # Errors
/// When the workload cannot be read to its end.
pub fn sample(workload: &Workload, sampling: Sampling) -> Result<Sample, WorkloadError> {
    let Sampling {
        keep,
        by,
        seed,
        least,
    } = sampling;
    let below = keep.of_lots();
    let mut endpoints: BTreeMap<String, Rarity> = BTreeMap::new();
    let (mut all, mut taken) = (Sessions::default(), Sessions::default());
    for (request, index) in workload.requests()?.zip(0..) {
        let request = request?;
        let lot = Draw::lot(by, seed, &request, index);
        let is_taken = lot < below;
        let session = Draw::lot(By::Session, seed, &request, index);
        all.add(session);
        if is_taken {
            taken.add(session);
        }
        if !endpoints.contains_key(&request.endpoint) {
            endpoints.insert(request.endpoint.clone(), Rarity::default());
        }
        let own = endpoints
            .get_mut(&request.endpoint)
            .expect("it was inserted");
        own.requests += 1;
        own.taken += u64::from(is_taken);
        own.smallest.push((lot, session));
        if own.smallest.len() > least {
            own.smallest.pop();
        }
    }
    let rare = endpoints.into_values();
    let rare = rare.filter(|own| own.taken < own.requests.min(least as u64));
    let mut besides = BTreeSet::new();
    for (lot, session) in rare.flat_map(|own| own.smallest) {
        if lot >= below && besides.insert(lot) {
            taken.add(session);
        }
    }
    let draw = Draw {
        by,
        seed,
        below,
        besides: Arc::new(besides),
    };
    let filter = Filter {
        draw: Some(draw),
        ..Filter::default()
    };
    Ok(Sample {
        workload: workload.select(filter)?,
        before: workload.summary().clone(),
        sessions_before: all.count(),
        sessions: taken.count(),
        is_exact: all.is_exact(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::workload::{Request, parse_request};

    /// 1,000 sessions of 6 requests; one in 100 asks for a rare thing, three for a rarer one.
    fn workload() -> Workload {
        let mut requests = Vec::new();
        for i in 0..1_000_u64 {
            for step in 0..6 {
                let path = match (step, i) {
                    (5, i) if i % 100 == 0 => "/rare",
                    (4, 17 | 400 | 999) => "/rarest",
                    (0, _) => "/login",
                    _ => "/items/1",
                };
                let mut request = parse_request(path).unwrap();
                request.offset_ns = 1_000 * i + step;
                request.session = format!("s{i}");
                requests.push(request);
            }
        }
        Workload::from_requests(requests, "test").unwrap()
    }

    fn sampled(by: By, seed: u64) -> (Sample, Vec<Request>) {
        let sampling = Sampling {
            keep: "10%".parse().unwrap(),
            by,
            seed,
            least: 20,
        };
        let sample = sample(&workload(), sampling).unwrap();
        let requests = sample.workload.requests().unwrap();
        let requests = requests.collect::<Result<Vec<_>, _>>().unwrap();
        (sample, requests)
    }

    #[test]
    fn rare_endpoints_stay_and_sessions_stay_whole() {
        let (sample, requests) = sampled(By::Session, 1);
        let endpoints = &sample.workload.summary().endpoints;
        assert_eq!((endpoints["GET /rare"], endpoints["GET /rarest"]), (10, 3));
        assert!(
            (70..140).contains(&endpoints["GET /login"]),
            "{endpoints:?}"
        );
        let mut lengths: HashMap<&str, u64> = HashMap::new();
        for request in &requests {
            *lengths.entry(&request.session).or_default() += 1;
        }
        assert!(lengths.values().all(|length| *length == 6));
        assert_eq!(
            (sample.sessions, sample.sessions_before),
            (lengths.len() as u64, 1_000)
        );
        assert!(requests.is_sorted_by_key(|request| request.offset_ns));
        assert_eq!(requests[0].offset_ns, 0);
    }

    #[test]
    fn single_requests_can_be_drawn_too() {
        let (sample, requests) = sampled(By::Request, 1);
        let endpoints = &sample.workload.summary().endpoints;
        assert_eq!((endpoints["GET /rare"], endpoints["GET /rarest"]), (10, 3));
        assert!((540..720).contains(&requests.len()), "{}", requests.len());
        assert!(sample.sessions > 400);
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        let [one, same, other] = [1, 1, 2].map(|seed| sampled(By::Session, seed).1);
        assert_eq!(one, same);
        assert_ne!(one, other);
    }
}
