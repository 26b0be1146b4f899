//! What one round says: figures by side, endpoint and metric, and the generator's health.
//!
//! Small and without histograms, so that a long run stays in constant memory. The slots of a
//! side are merged before anything is read from them (method.md 2.2). Nothing is judged here.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{Metric, Policy, proportion::Failures, steady::Seconds};
use crate::{
    histogram::{Histogram, Read},
    run::{Class, EndpointStats, Group, Resources, Side, Signs, Slot, WORKLOAD},
    units::count,
};

/// A side is at its in-flight cap when at least one in so many requests was not sent for it.
const CAP_SHARE: u64 = 1_000;

/// The quantiles at which the shift of a distribution is shown; never judged.
pub const SHAPE: [f64; 12] = [
    0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999,
];

/// The number of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The number, in the unit of the metric.
    pub value: f64,
    /// How finely it was measured: the width of the histogram's bucket, or 0.
    pub width: f64,
}

impl Reading {
    /// A number that was counted and not read from a histogram.
    pub fn exactly(value: f64) -> Self {
        Self { value, width: 0.0 }
    }
}

impl From<Read> for Reading {
    fn from(read: Read) -> Self {
        Self {
            value: read.value_ns,
            width: read.width_ns,
        }
    }
}

/// What one endpoint did on one side in one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Requests that the schedule held.
    pub scheduled: u64,
    /// Requests answered as expected.
    pub ok: u64,
    /// Requests that failed by the target's fault.
    pub failures: u64,
    /// Those of them that were answered, with another status than expected.
    pub http_errors: u64,
    /// Those of them that a limiter answered.
    pub throttled: u64,
    /// Those of them that got no complete answer.
    pub unanswered: u64,
    /// Those of them that were not sent because no answer had brought the value that they need.
    pub lacking: u64,
    /// Requests that were sent again after a keep-alive race.
    pub retried: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The reading of each metric in the order of [`Metric::ALL`]; absent without requests,
    /// and for the error rate.
    pub readings: [Option<Reading>; Metric::COUNT],
    /// Response times at the quantiles of [`SHAPE`] in nanoseconds, failures slower than every
    /// success; 0 where there were no requests.
    pub shape_ns: [f64; SHAPE.len()],
}

impl Figures {
    /// Failures among the requests that count.
    pub fn failures(&self) -> Failures {
        Failures {
            failed: self.failures,
            requests: self.ok + self.failures,
        }
    }

    /// The reading of one metric in its unit; above 0.
    pub fn reading(&self, metric: Metric) -> Option<Reading> {
        let read = self.readings[metric as usize]?;
        let sound = read.value > 0.0 && read.value.is_finite() && read.width >= 0.0;
        sound.then_some(read)
    }

    /// Gives the reading of one metric.
    pub fn set(&mut self, metric: Metric, reading: Option<Reading>) {
        self.readings[metric as usize] = reading;
    }
}

/// One side in one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SideEvidence {
    /// What each endpoint did.
    pub endpoints: BTreeMap<String, Figures>,
    /// What all of them did together; apart from them, so that no sum counts it twice.
    pub workload: Figures,
    /// How the generator did.
    pub health: Signs,
    /// Whether a noticeable part of the schedule was not sent for the in-flight cap.
    pub at_cap: bool,
    /// The seconds of each of its slots.
    pub seconds: Vec<Seconds>,
}

impl SideEvidence {
    /// The sum of one count over all endpoints.
    pub fn sum(&self, of: impl Fn(&Figures) -> u64) -> u64 {
        self.endpoints.values().map(of).sum()
    }
}

/// One complete round: the unit of statistics.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RoundEvidence {
    /// Its number; round 0 warms up and is not judged. Successive numbers are neighbours.
    pub round: u32,
    /// Whether the baseline had the first slot; always true for a simultaneous window.
    pub baseline_first: bool,
    /// The baseline, then the candidate.
    pub sides: [SideEvidence; 2],
}

impl RoundEvidence {
    /// Reads the slots of one round: two that ran at the same time, or four in turn. `None`
    /// when one is missing or was not carried out completely.
    pub fn from_slots(round: u32, slots: &[Slot], policy: &Policy) -> Option<Self> {
        let simultaneous = slots.iter().all(|slot| slot.position == 0);
        let per_side = if simultaneous { 1 } else { 2 };
        let of = |side| slots.iter().filter(move |slot| slot.side == side);
        let full = |side| of(side).count() == per_side;
        let complete = slots.iter().all(|slot| slot.complete);
        if !(complete && Side::BOTH.into_iter().all(full)) {
            return None;
        }
        let merged = Side::BOTH.map(|side| Merged::of(of(side)));
        let at_cap = [merged[0].at_cap(), merged[1].at_cap()];
        let evidence = |side: Side| {
            // When both are at the cap, the load and not a side is to blame.
            let cap_counts = !at_cap[side.other().index()];
            let merged = &merged[side.index()];
            merged.evidence(cap_counts, policy.timeout_ns)
        };
        let first = slots.iter().min_by_key(|slot| (slot.position, slot.side))?;
        Some(Self {
            round,
            baseline_first: first.side == Side::Baseline,
            sides: Side::BOTH.map(evidence),
        })
    }

    /// One side.
    pub fn side(&self, side: Side) -> &SideEvidence {
        &self.sides[side.index()]
    }

    /// What both sides did at one endpoint, or all together under [`WORKLOAD`], the baseline
    /// first; `None` when one never had it.
    pub fn endpoint(&self, endpoint: &str) -> Option<[&Figures; 2]> {
        let of = |side: Side| match endpoint {
            WORKLOAD => Some(&self.side(side).workload),
            _ => self.side(side).endpoints.get(endpoint),
        };
        Some([of(Side::Baseline)?, of(Side::Candidate)?])
    }
}

/// The slots of one side, as one.
struct Merged<'a> {
    slots: Vec<&'a Slot>,
    endpoints: BTreeMap<&'a str, Cow<'a, EndpointStats>>,
}

impl<'a> Merged<'a> {
    fn of(slots: impl Iterator<Item = &'a Slot>) -> Self {
        let slots: Vec<&Slot> = slots.collect();
        let mut endpoints: BTreeMap<&str, Cow<EndpointStats>> = BTreeMap::new();
        for (name, stats) in slots.iter().flat_map(|slot| &slot.endpoints) {
            endpoints
                .entry(name)
                .and_modify(|sum| sum.to_mut().merge(stats))
                .or_insert(Cow::Borrowed(stats));
        }
        Self { slots, endpoints }
    }

    /// All endpoints as one. The distributions that nothing is read from are left out.
    fn total(&self) -> Cow<'_, EndpointStats> {
        let mut all = self.endpoints.values();
        if let (Some(only), None) = (all.next(), all.next()) {
            return Cow::Borrowed(only);
        }
        let mut total = EndpointStats::default();
        for stats in self.endpoints.values() {
            total.scheduled += stats.scheduled;
            total.retried += stats.retried;
            total.ok_bytes += stats.ok_bytes;
            for (class, n) in &stats.classes {
                *total.classes.entry(*class).or_default() += n;
            }
            for (status, n) in &stats.statuses {
                *total.statuses.entry(*status).or_default() += n;
            }
            total.response.merge(&stats.response);
            total.first_byte.merge(&stats.first_byte);
        }
        Cow::Owned(total)
    }

    /// What the side used, as far as it is known of each slot.
    fn resources(&self) -> Resources {
        let used = self
            .slots
            .iter()
            .map(|slot| slot.resources.unwrap_or_default());
        used.reduce(Resources::and).unwrap_or_default()
    }

    fn at_cap(&self) -> bool {
        let sum = |of: fn(&EndpointStats) -> u64| -> u64 {
            self.endpoints.values().map(|stats| of(stats)).sum()
        };
        let (capped, scheduled) = (sum(capped), sum(|stats| stats.scheduled));
        capped > 0 && capped.saturating_mul(CAP_SHARE) >= scheduled
    }

    fn evidence(&self, cap_counts: bool, timeout_ns: u64) -> SideEvidence {
        let endpoint = |(name, stats): (&&str, &Cow<EndpointStats>)| {
            let figures = figures(stats, cap_counts, timeout_ns);
            ((*name).to_owned(), figures)
        };
        let mut workload = figures(&self.total(), cap_counts, timeout_ns);
        let used = self.resources();
        let cpu = used.cpu_ns.filter(|_| workload.ok > 0);
        let cpu = cpu.map(|cpu_ns| Reading::exactly(count(cpu_ns) / count(workload.ok)));
        workload.set(Metric::Cpu, cpu);
        let memory = used.peak_bytes.map(|bytes| Reading::exactly(count(bytes)));
        workload.set(Metric::Memory, memory);
        SideEvidence {
            endpoints: self.endpoints.iter().map(endpoint).collect(),
            workload,
            health: Signs::of(self.slots.iter().copied()),
            at_cap: self.at_cap(),
            seconds: self.slots.iter().map(|slot| Seconds::of(slot)).collect(),
        }
    }
}

fn capped(stats: &EndpointStats) -> u64 {
    stats.classes.get(&Class::NotSentCap).copied().unwrap_or(0)
}

fn figures(stats: &EndpointStats, cap_counts: bool, timeout_ns: u64) -> Figures {
    let ours = |class: &Class| class.is_ours();
    let theirs = |group: Group| -> u64 {
        let own = stats.classes.iter();
        own.filter(|(class, _)| class.group() == group && !ours(class))
            .map(|(_, n)| n)
            .sum()
    };
    let http_errors = theirs(Group::HttpError);
    let capped = if cap_counts { capped(stats) } else { 0 };
    let unanswered = theirs(Group::TransportError) + capped;
    let lacking = stats.classes.get(&Class::NotSentValue);
    let lacking = lacking.copied().unwrap_or(0);
    let failures = http_errors + unanswered + lacking;
    let read = |metric| reading(metric, stats, failures, timeout_ns);
    Figures {
        scheduled: stats.scheduled,
        ok: stats.response.count(),
        failures,
        http_errors,
        throttled: stats.classes.get(&Class::Throttled).copied().unwrap_or(0),
        unanswered,
        lacking,
        retried: stats.retried,
        statuses: stats.statuses.clone(),
        readings: Metric::ALL.map(read),
        shape_ns: shape(&stats.response, failures, timeout_ns),
    }
}

/// The distribution at the quantiles of [`SHAPE`], read as the judged quantiles are.
fn shape(ok: &Histogram, failures: u64, timeout_ns: u64) -> [f64; SHAPE.len()] {
    let total = count(ok.count() + failures);
    if total == 0.0 {
        return [0.0; SHAPE.len()];
    }
    let read = ok.ranks(&SHAPE.map(|quantile| rank(quantile, total)));
    let at = |read: Option<&Option<Read>>| read.copied().flatten().map(|it| it.value_ns);
    std::array::from_fn(|place| at(read.get(place)).unwrap_or(count(timeout_ns)))
}

/// The 1-based rank of a quantile among so many values.
fn rank(quantile: f64, total: f64) -> f64 {
    (quantile * total).ceil().max(1.0)
}

/// The reading of one metric; `None` where there is nothing to read.
fn reading(
    metric: Metric,
    stats: &EndpointStats,
    failures: u64,
    timeout_ns: u64,
) -> Option<Reading> {
    let good = stats.response.count();
    let quantile = |ok: &Histogram| quantile(metric.quantile()?, ok, failures, timeout_ns);
    match metric {
        // The latter belong to a side and to no endpoint.
        Metric::ErrorRate | Metric::Cpu | Metric::Memory => None,
        Metric::P50 | Metric::P90 | Metric::P99 | Metric::P999 => quantile(&stats.response),
        // Files may lack these times.
        Metric::FirstByte | Metric::FirstByteP99 if stats.first_byte.count() != good => None,
        Metric::FirstByte | Metric::FirstByteP99 => quantile(&stats.first_byte),
        Metric::Mean => {
            let failed = count(timeout_ns) * count(failures);
            let sum = stats.response.mean_ns() * count(good) + failed;
            (good + failures > 0).then(|| Reading::exactly(sum / count(good + failures)))
        }
        // Half an answer stands for none, and a byte for an empty body: ratios need something.
        Metric::Goodput => (stats.scheduled > 0)
            .then(|| Reading::exactly(count(good).max(0.5) / count(stats.scheduled))),
        Metric::Size => {
            (good > 0).then(|| Reading::exactly((count(stats.ok_bytes) / count(good)).max(1.0)))
        }
    }
}

/// A quantile of a distribution in which `failures` more values lie above all others: the value
/// at rank `ceil(q·N)`, or the time-out when a failure has that rank (method.md 2.2).
fn quantile(quantile: f64, ok: &Histogram, failures: u64, timeout_ns: u64) -> Option<Reading> {
    let total = count(ok.count() + failures);
    if total == 0.0 {
        return None;
    }
    let read = ok.rank(rank(quantile, total)).map(Reading::from);
    Some(read.unwrap_or_else(|| Reading::exactly(count(timeout_ns))))
}

/// The endpoints that any round has seen, in the order of their names.
pub(super) fn endpoints(rounds: &[RoundEvidence]) -> BTreeSet<&str> {
    let sides = rounds.iter().flat_map(|round| &round.sides);
    sides
        .flat_map(|side| side.endpoints.keys().map(String::as_str))
        .collect()
}

/// A count over the requests of one side in many rounds, as a share of another count.
pub(super) fn share(
    rounds: &[&RoundEvidence],
    side: Side,
    part: fn(&Figures) -> u64,
    whole: fn(&Figures) -> u64,
) -> f64 {
    let sum = |of: fn(&Figures) -> u64| -> u64 {
        rounds.iter().map(|round| round.side(side).sum(of)).sum()
    };
    count(sum(part)) / count(sum(whole)).max(1.0)
}

#[cfg(test)]
mod tests;
