//! What a round says, from slots made by hand.

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
        settle_ns: 0,
        medians_ns: Vec::new(),
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
