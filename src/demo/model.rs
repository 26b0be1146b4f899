//! When the demo service answers: a computed queue, no work and no clock of its own.
//!
//! Each endpoint has a pool of workers. A request waits for the first free one and then takes
//! its service time, which is log-normal and the same on both sides for the same request, times
//! a little noise of each side's own.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};

use crate::units::from_seconds;

/// σ of the logarithm of the service time.
const SPREAD: f64 = 0.4;
/// σ of the logarithm of each side's own noise on it.
const NOISE: f64 = 0.05;
/// Requests that an endpoint works on at the same time.
const WORKERS: usize = 8;

/// What is wrong with the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing.
    Same,
    /// One endpoint takes half as long again.
    Slower,
    /// One endpoint fails one request in two hundred.
    Errors,
}

impl Scenario {
    /// The fault of the candidate, if it has one.
    pub fn fault(self) -> Option<Fault> {
        let path = "/products";
        match self {
            Self::Same => None,
            Self::Slower => Some(Fault {
                path,
                slowdown: 1.5,
                error_share: 0.0,
            }),
            Self::Errors => Some(Fault {
                path,
                slowdown: 1.0,
                error_share: 0.005,
            }),
        }
    }
}

/// How one endpoint differs from the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    /// The first segment of its path.
    pub path: &'static str,
    /// Factor on its service times.
    pub slowdown: f64,
    /// Share of its requests that fail at once.
    pub error_share: f64,
}

/// What the service does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// Answer with 200 at this instant.
    Answer {
        /// Nanoseconds on the caller's clock.
        at_ns: u64,
    },
    /// Answer with 500 at once.
    Fail,
    /// Answer with 404 at once.
    Unknown,
}

#[derive(Debug)]
struct Pool {
    path: &'static str,
    median_s: f64,
    free_at_ns: [u64; WORKERS],
}

/// One deployment.
#[derive(Debug)]
pub(super) struct Service {
    seed: u64,
    side: u64,
    fault: Option<Fault>,
    pools: Vec<Pool>,
    /// How often each path was asked for: the same request on both sides has the same number.
    seen: HashMap<String, u64>,
}

impl Service {
    pub(super) fn new(seed: u64, side: u64, fault: Option<Fault>) -> Self {
        let pools = [("/products", 0.010), ("/cart", 0.015), ("/search", 0.020)];
        let pools = pools.map(|(path, median_s)| Pool {
            path,
            median_s,
            free_at_ns: [0; WORKERS],
        });
        Self {
            seed,
            side,
            fault,
            pools: pools.into(),
            seen: HashMap::new(),
        }
    }

    /// Decides about a request that arrived at `now_ns`.
    pub(super) fn plan(&mut self, path: &str, now_ns: u64) -> Plan {
        let root = path.split(['?', '#']).next().unwrap_or(path);
        let Some(pool) = self
            .pools
            .iter_mut()
            .find(|pool| root.starts_with(pool.path))
        else {
            return Plan::Unknown;
        };
        let nth = self.seen.entry(path.to_owned()).or_default();
        *nth += 1;
        let mut common = generator(self.seed, 0, path, *nth);
        let mut own = generator(self.seed, self.side, path, *nth);
        let cost = lognormal(pool.median_s, SPREAD, &mut common);
        let noise = lognormal(1.0, NOISE, &mut own);
        let fault = self.fault.filter(|fault| fault.path == pool.path);
        if let Some(fault) = fault
            && rand::RngExt::random_bool(&mut own, fault.error_share)
        {
            return Plan::Fail;
        }
        let slowdown = fault.map_or(1.0, |fault| fault.slowdown);
        let worker = pool
            .free_at_ns
            .iter_mut()
            .min()
            .expect("a pool has workers");
        *worker = now_ns.max(*worker) + from_seconds(cost * noise * slowdown);
        Plan::Answer { at_ns: *worker }
    }
}

fn generator(seed: u64, side: u64, path: &str, nth: u64) -> ChaCha8Rng {
    let mut hasher = DefaultHasher::new();
    (seed, side, path, nth).hash(&mut hasher);
    ChaCha8Rng::seed_from_u64(hasher.finish())
}

fn lognormal(median: f64, sigma: f64, rng: &mut ChaCha8Rng) -> f64 {
    LogNormal::new(median.ln(), sigma)
        .expect("a finite, positive spread")
        .sample(rng)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::count;

    fn cost(service: &mut Service, path: &str, now_ns: u64) -> u64 {
        match service.plan(path, now_ns) {
            Plan::Answer { at_ns } => at_ns - now_ns,
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn the_same_request_costs_nearly_the_same_on_both_sides() {
        let mut a = Service::new(1, 1, None);
        let mut b = Service::new(1, 2, None);
        for n in 0..500_u64 {
            let now_ns = n * 1_000_000_000;
            let path = format!("/products/{}", n % 50);
            let (x, y) = (cost(&mut a, &path, now_ns), cost(&mut b, &path, now_ns));
            let ratio = (count(x) / count(y)).ln();
            assert!(ratio.abs() < 6.0 * NOISE, "{path}: {ratio}");
            assert_ne!(x, y);
        }
    }

    #[test]
    fn a_full_pool_queues_and_leaves_other_endpoints_alone() {
        let mut service = Service::new(3, 1, None);
        let first: u64 = (0..8)
            .map(|n| cost(&mut service, &format!("/cart/{n}"), 0))
            .min()
            .unwrap();
        assert!(cost(&mut service, "/cart/99", 0) > first);
        for n in 0..200 {
            service.plan(&format!("/cart/{n}"), 0);
        }
        assert!(cost(&mut service, "/search?q=1", 0) < 200_000_000);
        assert!(cost(&mut service, "/cart/1", 0) > 200_000_000);
    }

    #[test]
    fn faults_hit_their_endpoint_only() {
        let mut errors = Service::new(5, 2, Scenario::Errors.fault());
        let mut failed = [0, 0];
        for n in 0..10_000_u64 {
            for (index, path) in ["/products/1", "/cart/1"].into_iter().enumerate() {
                let failure = errors.plan(path, n * 1_000_000_000) == Plan::Fail;
                failed[index] += u32::from(failure);
            }
        }
        assert!((30..=75).contains(&failed[0]), "{failed:?}");
        assert_eq!(failed[1], 0);
        assert_eq!(errors.plan("/nowhere", 0), Plan::Unknown);
    }
}
