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
    run::{Class, EndpointStats, Group, Side, Signs, Slot},
    units::count,
};

/// A side is at its in-flight cap when at least one in so many requests was not sent for it.
const CAP_SHARE: u64 = 1_000;

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
    /// The reading of each metric in the order of [`Metric::ALL`]; absent without requests,
    /// and for the error rate.
    pub readings: [Option<Read>; 6],
}

impl Figures {
    /// Failures among the requests that count.
    pub fn failures(&self) -> Failures {
        Failures {
            failed: self.failures,
            requests: self.ok + self.failures,
        }
    }

    /// The reading of one metric in nanoseconds.
    pub fn reading(&self, metric: Metric) -> Option<Read> {
        let read = self.readings[metric as usize]?;
        let sound = read.value_ns > 0.0 && read.value_ns.is_finite() && read.width_ns >= 0.0;
        sound.then_some(read)
    }
}

/// One side in one round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SideEvidence {
    /// What each endpoint did.
    pub endpoints: BTreeMap<String, Figures>,
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

    /// What both sides did at one endpoint, the baseline first; `None` when one never had it.
    pub fn endpoint(&self, endpoint: &str) -> Option<[&Figures; 2]> {
        let of = |side: Side| self.side(side).endpoints.get(endpoint);
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
        SideEvidence {
            endpoints: self.endpoints.iter().map(endpoint).collect(),
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
    let read = |metric| reading(metric, &stats.response, failures, timeout_ns);
    Figures {
        scheduled: stats.scheduled,
        ok: stats.response.count(),
        failures,
        http_errors,
        throttled: stats.classes.get(&Class::Throttled).copied().unwrap_or(0),
        unanswered,
        retried: stats.retried,
        readings: Metric::ALL.map(read),
    }
}

/// One figure of a distribution in which `failures` more values lie above all others: the
/// value at rank `ceil(q·N)`, or the time-out when a failure has that rank (method.md 2.2).
fn reading(metric: Metric, ok: &Histogram, failures: u64, timeout_ns: u64) -> Option<Read> {
    let total = count(ok.count() + failures);
    if total == 0.0 || metric == Metric::ErrorRate {
        return None;
    }
    let exactly = |value_ns: f64| Read {
        value_ns,
        width_ns: 0.0,
    };
    let timeout = count(timeout_ns);
    let Some(quantile) = metric.quantile() else {
        let sum = ok.mean_ns() * count(ok.count()) + timeout * count(failures);
        return Some(exactly(sum / total));
    };
    let rank = (quantile * total).ceil().max(1.0);
    Some(ok.rank(rank).unwrap_or_else(|| exactly(timeout)))
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
    use crate::compare::Margins;
    use crate::run::Health;

    fn policy() -> Policy {
        Policy {
            tolerance: Margins::tolerance(),
            minimum_effect: Margins::minimum_effect(),
            alpha: 0.05,
            timeout_ns: 30_000_000_000,
        }
    }

    fn slot(side: Side, position: u8, ok_ms: &[u64], others: &[(Class, u64)]) -> Slot {
        let mut stats = EndpointStats::default();
        for ms in ok_ms {
            stats.response.record(ms * 1_000_000);
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
        let value = |metric| found.reading(metric).unwrap().value_ns;
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
        let p50 = baseline.reading(Metric::P50).unwrap().value_ns;
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
        assert_eq!(found.reading(Metric::P50).unwrap().value_ns, 30e9);
        assert_eq!(found.reading(Metric::Mean).unwrap().value_ns, 30e9);
    }
}
