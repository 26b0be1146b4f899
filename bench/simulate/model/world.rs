//! A simulated pair of deployments: what a slot of either side would have measured.

use std::{collections::BTreeMap, sync::LazyLock};

use proofload::{
    replay::{SlotSpec, Window},
    run::{Class, ConnectionStats, EndpointStats, Health, Side, Slot},
    units::{count, from_seconds, seconds, whole},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Binomial, Distribution};

use super::{
    law::Law,
    noise::{Noise, Weather},
};

/// The spread of single requests: standard deviation of ln(time).
const SPREAD: f64 = 0.5;
/// The share of requests that fail on a healthy side.
const FAILURES: f64 = 0.0005;
/// What fails at once has its answer after this time.
const AT_ONCE_NS: u64 = 200_000;
/// Send lags of a generator that keeps to its schedule, and of one that does not.
const LAG_NS: u64 = 60_000;
const LATE_NS: u64 = 20_000_000;

static USUAL: LazyLock<Law> = LazyLock::new(|| Law::log_normal(SPREAD));
static HEAVY: LazyLock<Law> = LazyLock::new(|| Law::heavy(SPREAD, 0.03, 2.5));

/// What is wrong with the candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Effect {
    /// Relative change of the times below the 0.6 quantile.
    pub(crate) body: f64,
    /// Relative change of the times above the 0.985 quantile; linear in the share between.
    pub(crate) tail: f64,
    /// Share of the requests that take five times as long.
    pub(crate) rare: f64,
    /// Factor on the failures of a healthy side.
    pub(crate) failures: f64,
    /// Share of the requests, the slowest, that fail at once instead.
    pub(crate) fail_fast: f64,
}

impl Effect {
    /// Nothing is wrong.
    pub(crate) const NONE: Self = Self {
        body: 0.0,
        tail: 0.0,
        rare: 0.0,
        failures: 1.0,
        fail_fast: 0.0,
    };

    fn shift(&self, share: f64) -> f64 {
        let weight = ((share - 0.6) / 0.385).clamp(0.0, 1.0);
        (1.0 - weight) * self.body.ln_1p() + weight * self.tail.ln_1p()
    }
}

/// A pair of deployments under load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    /// How many endpoints.
    pub(crate) endpoints: u32,
    /// Requests of each endpoint per round and side.
    pub(crate) requests: u64,
    /// What disturbs both.
    pub(crate) noise: Noise,
    /// What is wrong with the first endpoint of the candidate.
    pub(crate) effect: Effect,
}

impl Scene {
    /// The name of an endpoint, from 0.
    pub(crate) fn endpoint(number: u32) -> String {
        format!("GET /{number:02}")
    }

    /// The names of all endpoints with their requests per round and side, as a plan has them.
    pub(crate) fn expected(&self) -> BTreeMap<String, f64> {
        let each = (0..self.endpoints).map(Self::endpoint);
        each.map(|name| (name, count(self.requests))).collect()
    }
}

/// One run of a scene, decided by its seed.
#[derive(Debug)]
pub(crate) struct World<'a> {
    scene: &'a Scene,
    weather: Weather,
    rng: ChaCha8Rng,
    late: BTreeMap<u32, bool>,
}

impl<'a> World<'a> {
    /// Draws what the sides share; `total_ns` is the length of the whole run.
    pub(crate) fn new(scene: &'a Scene, total_ns: u64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let length = u32::try_from(whole(seconds(total_ns).ceil())).unwrap_or(u32::MAX);
        let weather = Weather::new(scene.noise, length, &mut rng);
        Self {
            scene,
            weather,
            rng,
            late: BTreeMap::new(),
        }
    }

    /// What one slot would have measured; `share` of the requests of a round fall into it.
    pub(crate) fn slot(&mut self, spec: &SlotSpec, window: &Window, share: f64) -> Slot {
        let (start_s, length_s) = (
            seconds(window.start_ns + window.settle_ns),
            seconds(window.length_ns),
        );
        let noise = self.scene.noise;
        let mut shifts = self
            .weather
            .shifts(spec.side, spec.position, start_s, length_s);
        let own = noise.of_slot(&mut self.rng);
        for shift in &mut shifts {
            *shift += own;
        }
        let law = if noise == Noise::HeavyTails {
            HEAVY.mixed(&shifts)
        } else {
            USUAL.mixed(&shifts)
        };
        let failures = FAILURES * noise.of_failures(&mut self.rng);
        let requests = whole(count(self.scene.requests) * share);
        let mut endpoints = BTreeMap::new();
        for number in 0..self.scene.endpoints {
            let is_changed = number == 0 && spec.side == Side::Candidate;
            let own = Requests {
                n: requests,
                median_s: 0.010 + 0.001 * f64::from(number),
                failures,
                effect: is_changed.then_some(&self.scene.effect),
            };
            let shift = noise.of_endpoint(&mut self.rng);
            let stats = own.drawn(&law, shift, &mut self.rng);
            endpoints.insert(Scene::endpoint(number), stats);
        }
        Slot {
            round: spec.round,
            position: spec.position,
            side: spec.side,
            start_ns: window.start_ns,
            length_ns: window.length_ns,
            settle_ns: window.settle_ns,
            medians_ns: Vec::new(),
            complete: true,
            resources: None,
            endpoints,
            connections: ConnectionStats::default(),
            health: self.health(spec.round),
        }
    }

    /// The generator is late on both sides of a round or on neither.
    fn health(&mut self, round: u32) -> Health {
        let (noise, rng) = (self.scene.noise, &mut self.rng);
        let is_late = *self.late.entry(round).or_insert_with(|| noise.is_late(rng));
        let mut health = Health::default();
        health.lag.record_n(LAG_NS, 380);
        if is_late {
            health.lag.record_n(LATE_NS, 20);
        }
        health
    }
}

/// The requests of one endpoint in one slot.
struct Requests<'a> {
    n: u64,
    median_s: f64,
    failures: f64,
    effect: Option<&'a Effect>,
}

impl Requests<'_> {
    fn drawn(&self, law: &Law, shift: f64, rng: &mut ChaCha8Rng) -> EndpointStats {
        let effect = self.effect.copied().unwrap_or(Effect::NONE);
        let drawn = |n: u64, p: f64, rng: &mut ChaCha8Rng| {
            let binomial = Binomial::new(n, p.clamp(0.0, 0.5)).expect("a probability");
            binomial.sample(rng)
        };
        let failed = drawn(self.n, self.failures * effect.failures, rng);
        let refused = drawn(self.n - failed, effect.fail_fast, rng);
        let ok = self.n - failed - refused;
        let rare = (effect.rare > 0.0).then(|| law.with_rare(effect.rare, 5.0_f64.ln()));
        let law = rare.as_ref().unwrap_or(law);
        let mut stats = EndpointStats {
            scheduled: self.n,
            body_bytes: 2_000 * ok,
            ..EndpointStats::default()
        };
        law.sample(rng, ok, 1.0 - effect.fail_fast, |share, value, n| {
            let ln = value + shift + effect.shift(share);
            let ns = from_seconds(self.median_s * ln.exp());
            stats.response.record_n(ns, n);
        });
        stats.service = stats.response.clone();
        stats.first_byte = stats.response.clone();
        let failures = failed + refused;
        for (class, status, n) in [(Class::Ok, 200, ok), (Class::Http5xx, 500, failures)] {
            if n > 0 {
                stats.classes.insert(class, n);
                stats.statuses.insert(status, n);
            }
        }
        for _ in 0..failures {
            stats.failed.record(AT_ONCE_NS);
        }
        stats
    }
}
