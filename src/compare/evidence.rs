//! What one round says: figures by side, endpoint and metric, and the generator's health.
//!
//! Small and without histograms, so that a long run stays in constant memory. The slots of a
//! side are merged before anything is read from them (method.md 2.2). Nothing is judged here.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{Metric, Policy, proportion::Failures};
use crate::{
    histogram::{Histogram, Read},
    run::{Class, EndpointStats, Group, Resources, Side, Signs, Slot, WORKLOAD},
    units::count,
};

/// A side is at its in-flight cap when at least one in so many requests was not sent for it.
const CAP_SHARE: u64 = 1_000;

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
    /// Requests that were sent again after a keep-alive race.
    pub retried: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// The reading of each metric in the order of [`Metric::ALL`]; absent without requests,
    /// and for the error rate.
    pub readings: [Option<Reading>; Metric::COUNT],
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
    let failures = http_errors + unanswered;
    let read = |metric| reading(metric, stats, failures, timeout_ns);
    Figures {
        scheduled: stats.scheduled,
        ok: stats.response.count(),
        failures,
        http_errors,
        throttled: stats.classes.get(&Class::Throttled).copied().unwrap_or(0),
        unanswered,
        retried: stats.retried,
        statuses: stats.statuses.clone(),
        readings: Metric::ALL.map(read),
    }
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
    let rank = (quantile * total).ceil().max(1.0);
    let read = ok.rank(rank).map(Reading::from);
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
mod tests {
    use super::*;
    use crate::run::Health;

    fn policy() -> Policy {
        Policy::standard(30_000_000_000)
    }

    fn slot(side: Side, position: u8, ok_ms: &[u64], others: &[(Class, u64)]) -> Slot {
        let mut stats = EndpointStats::default();
        for ms in ok_ms {
            stats.response.record(ms * 1_000_000);
            stats.first_byte.record(ms * 500_000);
            stats.ok_bytes += 200;
        }
        stats.classes.insert(Class::Ok, ok_ms.len() as u64);
        stats.classes.extend(others.iter().copied());
        stats.scheduled = stats.classes.values().sum();
        Slot {
            round: 1,
            position,
            side,
            start_ns: 0,
            length_ns: 1,
            complete: true,
            endpoints: BTreeMap::from([("GET /".to_owned(), stats)]),
            connections: crate::run::ConnectionStats::default(),
            health: Health::default(),
            resources: None,
        }
    }

    fn figures(slots: &[Slot], side: Side) -> Figures {
        let round = RoundEvidence::from_slots(1, slots, &policy()).unwrap();
        round.side(side).endpoints["GET /"].clone()
    }

    #[test]
    fn failures_take_the_highest_ranks() {
        let good = slot(Side::Baseline, 0, &[10; 100], &[]);
        let bad = slot(Side::Candidate, 0, &[10; 98], &[(Class::Http5xx, 2)]);
        let found = figures(&[good, bad], Side::Candidate);
        assert_eq!((found.ok, found.failures, found.http_errors), (98, 2, 2));
        let value = |metric| found.reading(metric).unwrap().value;
        assert!((value(Metric::P90) / 10e6 - 1.0).abs() < 1e-3);
        assert_eq!(value(Metric::P99), 30e9);
        assert!((value(Metric::Mean) / 0.6098e9 - 1.0).abs() < 1e-3);
        assert_eq!(found.reading(Metric::ErrorRate), None);
    }

    #[test]
    fn our_own_faults_count_against_nobody() {
        let ours = [
            (Class::LocalPorts, 3),
            (Class::NotSentLate, 4),
            (Class::Ok, 10),
        ];
        let slots = [
            slot(Side::Baseline, 0, &[10; 10], &[]),
            slot(Side::Candidate, 0, &[10; 10], &ours),
        ];
        let found = figures(&slots, Side::Candidate);
        assert_eq!((found.ok, found.failures), (10, 0));
        let round = RoundEvidence::from_slots(1, &slots, &policy()).unwrap();
        let own = &round.side(Side::Candidate).health.ours;
        assert_eq!(own[&Class::LocalPorts] + own[&Class::NotSentLate], 7);
    }

    #[test]
    fn the_cap_is_a_failure_of_the_side_that_reaches_it_alone() {
        let full = [(Class::NotSentCap, 40)];
        let free = slot(Side::Baseline, 0, &[10; 60], &[]);
        let capped = slot(Side::Candidate, 0, &[10; 60], &full);
        let found = figures(&[free, capped.clone()], Side::Candidate);
        assert_eq!((found.failures, found.unanswered), (40, 40));
        let both = [slot(Side::Baseline, 0, &[10; 60], &full), capped];
        assert_eq!(figures(&both, Side::Candidate).failures, 0);
        let round = RoundEvidence::from_slots(1, &both, &policy()).unwrap();
        assert!(round.sides.iter().all(|side| side.at_cap));
    }

    #[test]
    fn the_two_slots_of_a_side_are_merged_first() {
        let slots = [
            slot(Side::Candidate, 0, &[1; 10], &[]),
            slot(Side::Baseline, 1, &[10; 10], &[]),
            slot(Side::Baseline, 2, &[20; 30], &[]),
            slot(Side::Candidate, 3, &[1; 10], &[]),
        ];
        let round = RoundEvidence::from_slots(7, &slots, &policy()).unwrap();
        assert!(!round.baseline_first);
        let [baseline, _] = round.endpoint("GET /").unwrap();
        assert_eq!(baseline.ok, 40);
        let p50 = baseline.reading(Metric::P50).unwrap().value;
        assert!((p50 / 20e6 - 1.0).abs() < 1e-3, "{p50}");
    }

    #[test]
    fn what_is_not_whole_is_no_round() {
        let baseline = slot(Side::Baseline, 0, &[1], &[]);
        let candidate = slot(Side::Candidate, 0, &[1], &[]);
        let of = |slots: &[Slot]| RoundEvidence::from_slots(1, slots, &policy());
        assert_eq!(of(&[]), None);
        assert_eq!(of(std::slice::from_ref(&baseline)), None);
        let mut broken = candidate.clone();
        broken.complete = false;
        assert_eq!(of(&[baseline.clone(), broken]), None);
        // Half of an interleaved round.
        let mut second = candidate.clone();
        second.position = 1;
        assert_eq!(of(&[baseline.clone(), second]), None);
        assert!(of(&[baseline, candidate]).is_some());
    }

    #[test]
    fn nothing_answered_reads_as_the_time_out_and_nothing_asked_as_nothing() {
        let slots = [
            slot(Side::Baseline, 0, &[], &[]),
            slot(Side::Candidate, 0, &[], &[(Class::ConnectRefused, 5)]),
        ];
        assert_eq!(figures(&slots, Side::Baseline).reading(Metric::P50), None);
        let found = figures(&slots, Side::Candidate);
        assert_eq!(found.reading(Metric::P50).unwrap().value, 30e9);
        assert_eq!(found.reading(Metric::Mean).unwrap().value, 30e9);
    }

    #[test]
    fn goodput_counts_what_was_offered_and_size_what_was_good() {
        let others = [(Class::Http5xx, 20), (Class::NotSentCap, 30)];
        let bad = slot(Side::Candidate, 0, &[10; 50], &others);
        let good = slot(Side::Baseline, 0, &[10; 100], &[]);
        let found = figures(&[good, bad.clone()], Side::Candidate);
        let value = |metric| found.reading(metric).map(|read| read.value);
        assert_eq!(value(Metric::Goodput), Some(0.5));
        assert_eq!(value(Metric::Size), Some(200.0));
        let first = value(Metric::FirstByte).unwrap();
        assert!((first / 5e6 - 1.0).abs() < 1e-3, "{first}");
        assert_eq!(value(Metric::FirstByteP99), Some(30e9));
        let silent = slot(Side::Baseline, 0, &[], &[(Class::ConnectRefused, 10)]);
        let found = figures(&[silent, bad], Side::Baseline);
        assert_eq!(found.reading(Metric::Goodput).unwrap().value, 0.05);
        assert_eq!(found.reading(Metric::Size), None);
    }

    #[test]
    fn the_whole_workload_is_all_endpoints_and_in_no_sum() {
        let two = |side, ms: u64| {
            let mut slot = slot(side, 0, &[10; 100], &[(Class::Http5xx, 4)]);
            let other = self::slot(side, 0, &[ms; 300], &[]).endpoints["GET /"].clone();
            slot.endpoints.insert("GET /b".to_owned(), other);
            slot
        };
        let slots = [two(Side::Baseline, 20), two(Side::Candidate, 30)];
        let round = RoundEvidence::from_slots(1, &slots, &policy()).unwrap();
        let [_, all] = round.endpoint(WORKLOAD).unwrap();
        assert_eq!((all.scheduled, all.ok, all.failures), (404, 400, 4));
        let p50 = all.reading(Metric::P50).unwrap().value;
        assert!((p50 / 30e6 - 1.0).abs() < 1e-3, "{p50}");
        assert_eq!(all.reading(Metric::P999).unwrap().value, 30e9);
        assert_eq!(
            round.side(Side::Candidate).sum(|figures| figures.scheduled),
            404
        );
        assert_eq!(endpoints(std::slice::from_ref(&round)).len(), 2);
        // One endpoint alone is the whole.
        let one = slot(Side::Baseline, 0, &[10; 9], &[]);
        let other = slot(Side::Candidate, 0, &[10; 9], &[]);
        let round = RoundEvidence::from_slots(1, &[one, other], &policy()).unwrap();
        assert_eq!(
            round.side(Side::Baseline).workload,
            round.side(Side::Baseline).endpoints["GET /"]
        );
    }
}
