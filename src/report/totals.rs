//! Totals over all slots, for display only: the judgement works on rounds and never on these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fidelity::{Recorded, SideFidelity};
use super::used::{SideResources, Used};
use crate::histogram::Histogram;
use crate::run::{ConnectionStats, EndpointStats, Group, Health, Side, Slot, WORKLOAD};
use crate::units::count;

/// The quantiles of a curve, spaced for an axis on which each nine takes the same room.
const CURVE: [f64; 26] = [
    0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98,
    0.99, 0.993, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9998, 0.9999,
];

/// Adds up slots of both sides.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    endpoints: BTreeMap<(String, Side), EndpointStats>,
    sides: BTreeMap<Side, (u32, u64, Health)>,
    connections: BTreeMap<Side, ConnectionStats>,
    retried: BTreeMap<Side, u64>,
    used: BTreeMap<Side, Used>,
    recorded: Recorded,
}

impl Totals {
    /// Totals of a load that replays this recording.
    pub fn of(recorded: Recorded) -> Self {
        Self {
            recorded,
            ..Self::default()
        }
    }

    /// Adds a slot. Slots of the discarded round 0 are the caller's to leave out.
    pub fn add(&mut self, slot: &Slot) {
        for (endpoint, stats) in &slot.endpoints {
            let key = (endpoint.clone(), slot.side);
            self.endpoints.entry(key).or_default().merge(stats);
        }
        let (slots, measured_ns, health) = self.sides.entry(slot.side).or_default();
        *slots += 1;
        *measured_ns += slot.length_ns;
        health.merge(&slot.health);
        let connections = self.connections.entry(slot.side).or_default();
        connections.merge(&slot.connections);
        let retried = slot.endpoints.values().map(|stats| stats.retried);
        *self.retried.entry(slot.side).or_default() += retried.sum::<u64>();
        self.used.entry(slot.side).or_default().add(slot);
    }

    /// What was added so far, by endpoint and side in a fixed order.
    pub fn figures(&self) -> Figures {
        let endpoints = self.endpoints.iter();
        let sides = self.sides.iter();
        let together = Side::BOTH.map(|side| {
            let mut own = self.endpoints.iter().filter(|((_, of), _)| *of == side);
            let (_, first) = own.next()?;
            let mut all = first.clone();
            own.for_each(|(_, stats)| all.merge(stats));
            Some(EndpointTotals::new(WORKLOAD, side, &all))
        });
        Figures {
            workload: together.into_iter().flatten().collect(),
            curve_quantiles: if self.endpoints.is_empty() {
                Vec::new()
            } else {
                CURVE.to_vec()
            },
            endpoints: endpoints
                .map(|((endpoint, side), stats)| EndpointTotals::new(endpoint, *side, stats))
                .collect(),
            generator: sides
                .map(|(side, (slots, measured_ns, health))| {
                    SideHealth::new(*side, (*slots, *measured_ns), health)
                })
                .collect(),
            connections: self
                .connections
                .iter()
                .map(|(side, stats)| SideConnections {
                    side: *side,
                    opened: stats.connect.count(),
                    connect_ns: Quantiles::of(&stats.connect),
                    tls_ns: Quantiles::of(&stats.tls),
                    retried: self.retried.get(side).copied().unwrap_or(0),
                })
                .collect(),
            resources: self
                .used
                .iter()
                .filter_map(|(side, used)| used.of(*side))
                .collect(),
            fidelity: self.fidelity(),
        }
    }

    /// How faithfully the recording was replayed to each side.
    fn fidelity(&self) -> Vec<SideFidelity> {
        let sides = self.sides.iter().map(|(side, (.., health))| {
            let own = self.endpoints.iter().filter(|((_, it), _)| it == side);
            let own = own.map(|((endpoint, _), stats)| (endpoint.as_str(), stats));
            let lag = Quantiles::of(&health.lag);
            SideFidelity::of(*side, own, (lag, &self.recorded))
        });
        sides.collect()
    }
}

/// What all slots together showed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Each endpoint and side, by name, the baseline first.
    pub endpoints: Vec<EndpointTotals>,
    /// All endpoints together, by side.
    #[serde(default)]
    pub workload: Vec<EndpointTotals>,
    /// The quantiles that every `curve_ns` is read at.
    #[serde(default)]
    pub curve_quantiles: Vec<f64>,
    /// How the generator did while it loaded each side.
    pub generator: Vec<SideHealth>,
    /// How connections to each side were opened.
    #[serde(default)]
    pub connections: Vec<SideConnections>,
    /// What each side used of its own machine; those that nobody could read are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<SideResources>,
    /// How faithfully the recording was replayed to each side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fidelity: Vec<SideFidelity>,
}

/// How connections to one side were opened, over all slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideConnections {
    /// The side.
    pub side: Side,
    /// How many were opened.
    pub opened: u64,
    /// Times until a connection stood, TLS left out.
    pub connect_ns: Quantiles,
    /// Times of TLS handshakes, from there on.
    pub tls_ns: Quantiles,
    /// Requests that were sent once more because the server closed the connection they went out
    /// on, or refused their stream.
    pub retried: u64,
}

/// The conservation law in numbers: `scheduled = sent + not_sent` and
/// `sent = ok + http_error + transport_error`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that the schedule held.
    pub scheduled: u64,
    /// Requests that never left the generator.
    pub not_sent: u64,
    /// Requests that did.
    pub sent: u64,
    /// Answered as expected.
    pub ok: u64,
    /// Answered with another status than expected.
    pub http_error: u64,
    /// Sent, but no complete answer came.
    pub transport_error: u64,
}

impl Counts {
    fn of(stats: &EndpointStats) -> Self {
        Self {
            scheduled: stats.scheduled,
            not_sent: stats.group(Group::NotSent),
            sent: stats.sent(),
            ok: stats.ok(),
            http_error: stats.group(Group::HttpError),
            transport_error: stats.group(Group::TransportError),
        }
    }

    /// Everything that was sent and did not succeed.
    pub fn failures(&self) -> u64 {
        self.http_error + self.transport_error
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            scheduled: self.scheduled + other.scheduled,
            not_sent: self.not_sent + other.not_sent,
            sent: self.sent + other.sent,
            ok: self.ok + other.ok,
            http_error: self.http_error + other.http_error,
            transport_error: self.transport_error + other.transport_error,
        }
    }
}

/// One endpoint on one side, over all slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointTotals {
    /// The endpoint.
    pub endpoint: String,
    /// The side.
    pub side: Side,
    /// How many requests there were and how they ended.
    #[serde(flatten)]
    pub counts: Counts,
    /// Requests by class.
    pub classes: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Response times of the successes: done − intended.
    pub response_ns: Quantiles,
    /// Service times of the successes: done − sent.
    pub service_ns: Quantiles,
    /// Times to the first byte of the successes: first byte of the answer − intended.
    #[serde(default)]
    pub first_byte_ns: Quantiles,
    /// Response times at the quantiles of [`Figures`], failures slower than every success: it ends
    /// where they begin, or where a quantile would have less than one request beyond it.
    #[serde(default)]
    pub curve_ns: Vec<u64>,
    /// Bytes of the bodies of the successes, as transferred.
    #[serde(default)]
    pub ok_bytes: u64,
}

impl EndpointTotals {
    fn new(endpoint: &str, side: Side, stats: &EndpointStats) -> Self {
        let classes = stats.classes.iter();
        Self {
            endpoint: endpoint.to_owned(),
            side,
            counts: Counts::of(stats),
            classes: classes
                .map(|(class, n)| (class.name().to_owned(), *n))
                .collect(),
            statuses: stats.statuses.clone(),
            response_ns: Quantiles::of(&stats.response),
            service_ns: Quantiles::of(&stats.service),
            first_byte_ns: Quantiles::of(&stats.first_byte),
            curve_ns: curve(&stats.response, stats.failures()),
            ok_bytes: stats.ok_bytes,
        }
    }

    /// The mean size of the body of a success, in bytes.
    pub(super) fn mean_bytes(&self) -> Option<f64> {
        (self.counts.ok > 0).then(|| count(self.ok_bytes) / count(self.counts.ok))
    }
}

fn curve(ok: &Histogram, failures: u64) -> Vec<u64> {
    let total = count(ok.count() + failures);
    let has_one_beyond = |quantile: &&f64| total * (1.0 - **quantile) >= 1.0;
    let ranks = CURVE.iter().take_while(has_one_beyond);
    let ranks: Vec<f64> = ranks.map(|q| (q * total).ceil().max(1.0)).collect();
    let read = ok.ranks(&ranks).into_iter();
    read.map_while(|read| Some(whole_ns(read?.value_ns)))
        .collect()
}

/// Quantiles of a distribution of times, in nanoseconds; absent when it is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// The median.
    pub p50: Option<u64>,
    /// The 0.90 quantile.
    pub p90: Option<u64>,
    /// The 0.99 quantile.
    pub p99: Option<u64>,
    /// The 0.999 quantile.
    #[serde(rename = "p99.9")]
    pub p999: Option<u64>,
    /// The largest value, to three digits.
    pub max: Option<u64>,
}

impl Quantiles {
    fn of(histogram: &Histogram) -> Self {
        let read = |quantile| histogram.quantile_ns(quantile).map(whole_ns);
        Self {
            p50: read(0.5),
            p90: read(0.9),
            p99: read(0.99),
            p999: read(0.999),
            max: (histogram.count() > 0).then(|| histogram.max_ns()),
        }
    }
}

/// A time in nanoseconds without its fraction; below zero and not-a-number become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped; as saturates"
)]
pub(super) fn whole_ns(ns: f64) -> u64 {
    ns.max(0.0).round() as u64
}

/// How the generator did while it loaded one side; each figure is the worst of all slots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideHealth {
    /// The side.
    pub side: Side,
    /// How many slots were added up.
    pub slots: u32,
    /// The time that they measured, together.
    #[serde(default)]
    pub measured_ns: u64,
    /// Send lags: sent − intended.
    pub send_lag_ns: Quantiles,
    /// CPU time of the busiest sending thread as a share of the slot, or of all threads as a
    /// share of the CPU quota where that is more.
    pub cpu_share: f64,
    /// Time in which a CPU quota kept it from running, 0 to 1.
    #[serde(default)]
    pub throttled_share: f64,
    /// CPU time that the hypervisor gave to others, 0 to 1.
    pub steal_share: f64,
    /// Time in which anything on its machine waited for a CPU, 0 to 1.
    #[serde(default)]
    pub pressure_share: f64,
    /// The longest time a sending thread woke up too late.
    pub stall_ns: u64,
    /// The largest step of the wall clock against the monotonic clock.
    pub wall_step_ns: u64,
}

impl SideHealth {
    fn new(side: Side, (slots, measured_ns): (u32, u64), health: &Health) -> Self {
        Self {
            side,
            slots,
            measured_ns,
            send_lag_ns: Quantiles::of(&health.lag),
            cpu_share: health.cpu_share,
            throttled_share: health.throttled_share,
            steal_share: health.steal_share,
            pressure_share: health.pressure_share,
            stall_ns: health.stall_ns,
            wall_step_ns: health.wall_step_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Class;

    fn slot(side: Side, ns: u64) -> Slot {
        let mut stats = EndpointStats {
            scheduled: 3,
            ..EndpointStats::default()
        };
        stats.classes.insert(Class::Ok, 1);
        stats.classes.insert(Class::Http5xx, 1);
        stats.classes.insert(Class::NotSentCap, 1);
        stats.statuses.insert(200, 1);
        stats.response.record(ns);
        stats.service.record(ns / 2);
        stats.failed.record(ns);
        let mut health = Health {
            cpu_share: 0.25,
            ..Health::default()
        };
        health.lag.record(ns / 100);
        Slot {
            round: 1,
            position: 0,
            side,
            start_ns: 0,
            length_ns: 1,
            settle_ns: 0,
            medians_ns: Vec::new(),
            complete: true,
            endpoints: BTreeMap::from([("GET /a".to_owned(), stats)]),
            connections: crate::run::ConnectionStats::default(),
            health,
            resources: None,
        }
    }

    #[test]
    fn a_curve_ends_where_failures_begin_or_requests_end() {
        let mut times = Histogram::default();
        (1..=1_000_u64).for_each(|ms| times.record(ms * 1_000_000));
        let (whole, failing) = (curve(&times, 0), curve(&times, 250));
        let reached = |curve: &[u64]| CURVE[curve.len() - 1];
        assert_eq!(reached(&whole), 0.999);
        // A fifth fails: 0.8 is the slowest success.
        assert_eq!(reached(&failing), 0.8);
        assert!(failing.last().unwrap().abs_diff(1_000_000_000) < 1_000_000);
        assert!(curve(&Histogram::default(), 0).is_empty());
        assert!(CURVE.is_sorted());
    }

    #[test]
    fn slots_add_up_by_endpoint_and_side() {
        let mut totals = Totals::default();
        totals.add(&slot(Side::Candidate, 2_000_000));
        totals.add(&slot(Side::Baseline, 1_000_000));
        totals.add(&slot(Side::Candidate, 4_000_000));
        let figures = totals.figures();
        assert_eq!(figures.endpoints.len(), 2);
        let candidate = &figures.endpoints[1];
        assert_eq!(candidate.side, Side::Candidate);
        let counts = candidate.counts;
        assert_eq!((counts.scheduled, counts.not_sent, counts.sent), (6, 2, 4));
        assert_eq!((counts.ok, counts.http_error, counts.failures()), (2, 2, 2));
        assert_eq!(candidate.classes["http_5xx"], 2);
        let p50 = candidate.response_ns.p50.unwrap();
        assert!((1_990_000..2_010_000).contains(&p50), "{p50}");
        let whole = &figures.workload[1];
        assert_eq!((whole.endpoint.as_str(), whole.counts), (WORKLOAD, counts));
        assert_eq!(figures.generator[1].slots, 2);
        assert_eq!(figures.generator[0].cpu_share, 0.25);
        assert_eq!(Totals::default().figures(), Figures::default());
    }
}
