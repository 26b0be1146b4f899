//! Noise of made-up rounds: the factors of the method, and that planted spreads come back.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::run::{Class, ConnectionStats, EndpointStats, Health, Side};

const NAME: &str = "GET /a";

fn policy() -> Policy {
    Policy::standard(30 * SECOND_NS)
}

#[test]
fn row_29_upper_limits_of_a_spread() {
    for (rounds, factor) in [(8, 1.353_272_9), (10, 1.293_385_4), (20, 1.176_972_7)] {
        let found = upper_factor(rounds);
        assert!((found - factor).abs() < 5e-7, "{rounds}: {found}");
    }
    assert!(upper_factor(0).is_finite());
}

/// About normal, with this standard deviation.
fn normal(random: &mut ChaCha8Rng, sd: f64) -> f64 {
    let sum: f64 = (0..12).map(|_| random.random::<f64>()).sum();
    (sum - 6.0) * sd
}

/// One side of a round: so many requests of about 10 ms, all of them off by a factor of its own.
fn slot(random: &mut ChaCha8Rng, (round, side): (u32, Side), sd: f64, requests: u64) -> Slot {
    let factor = normal(random, sd).exp();
    let mut stats = EndpointStats::default();
    for _ in 0..requests {
        let ns = 10e6 * factor * normal(random, 0.2).exp();
        stats.response.record(crate::units::whole(ns));
        stats.service.record(crate::units::whole(ns));
    }
    stats.scheduled = requests;
    stats.classes.insert(Class::Ok, requests);
    Slot {
        round,
        position: 0,
        side,
        start_ns: 0,
        length_ns: 4 * SECOND_NS,
        settle_ns: 0,
        medians_ns: Vec::new(),
        complete: true,
        resources: None,
        endpoints: BTreeMap::from([(NAME.to_owned(), stats)]),
        connections: ConnectionStats::default(),
        health: Health::default(),
    }
}

fn collected(sd: f64, blocks: u32, rounds: u32) -> Collected {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut collected = Collected::new(true, policy());
    for _ in 0..blocks {
        collected.next_block();
        for round in 0..=rounds {
            for side in Side::BOTH {
                collected.add(&slot(&mut random, (round, side), sd, 600));
            }
        }
    }
    collected
}

fn design() -> Design {
    Design::new(17, true, BTreeMap::from([(NAME.to_owned(), 600.0)]))
}

fn judged(rounds: &[RoundEvidence]) -> Comparison {
    judge(&design(), &policy(), &Tables::default(), rounds)
}

const TERMS: [Term; 2] = [
    Term {
        budget_s: 60,
        rounds: 12,
        measured_ns: 4 * SECOND_NS,
    },
    Term {
        budget_s: 300,
        rounds: 24,
        measured_ns: 12 * SECOND_NS,
    },
];

fn noise(collected: &Collected) -> Noise {
    let planned = Planned {
        design: &design(),
        tables: &Tables::default(),
        measured_ns: 4 * SECOND_NS,
        round_ns: 4 * SECOND_NS,
        terms: &TERMS,
        known: (None, None),
    };
    let (noise, objections) = collected.noise(&planned, 1);
    assert_eq!(objections, [""; 0]);
    noise
}

#[test]
fn a_planted_spread_comes_back_and_says_what_can_be_detected() {
    let noise = noise(&collected(0.05, 2, 8));
    let p50 = noise.metric(NAME, Metric::P50).unwrap();
    // Two sides, each with its own 5 %.
    assert!((0.05..0.1).contains(&p50.sigma), "{p50:?}");
    assert!((p50.sigma_upper / p50.sigma - upper_factor(16)).abs() < 1e-9);
    // 0.2 · sqrt(π/2) / sqrt(600) on each side.
    assert!((0.010..0.020).contains(&p50.sigma_sampling), "{p50:?}");
    let [short, long] = p50.detectable.as_slice() else {
        panic!("{p50:?}");
    };
    assert!(short.change > 0.05 && long.change < short.change && long.change > 0.02);
    let errors = noise.metric(NAME, Metric::ErrorRate).unwrap();
    assert!(errors.gate && errors.detectable.is_empty());
    assert_eq!((noise.rounds, noise.false_alarms.judged), (16, 1_000));
    assert!(noise.false_alarms.rate() < 0.05, "{:?}", noise.false_alarms);
}

#[test]
fn only_the_share_of_sampling_shrinks_with_longer_rounds() {
    let noise = noise(&collected(0.05, 2, 8));
    let at = |s: u64| noise.sigma(NAME, Metric::P50, s * SECOND_NS).unwrap();
    let p50 = noise.metric(NAME, Metric::P50).unwrap();
    assert!((at(4) - p50.sigma_upper).abs() < 1e-12);
    assert!(at(400) < at(4) && at(400) > 0.9 * at(4));
    assert!((at(1) / at(4) - 2.0).abs() < 1e-9);
    assert_eq!(noise.sigma("GET /b", Metric::P50, 1), None);
}

#[test]
fn blocks_are_no_neighbours_and_only_the_first_discarded_round_is_kept() {
    let collected = collected(0.01, 2, 3);
    let numbers: Vec<u32> = collected.rounds().iter().map(|it| it.round).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 5, 6, 7]);
    let mut half = Collected::new(false, policy());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    half.add(&slot(&mut random, (1, Side::Baseline), 0.1, 9));
    assert!(half.rounds().is_empty());
    assert_eq!((half.warm_up_s(), half.correlation_s()), (None, None));
}

#[test]
fn simultaneous_windows_are_one_load_for_each_block() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut collected = Collected::new(true, policy());
    for _ in 0..2 {
        collected.next_block();
        for round in 0..=7 {
            for side in Side::BOTH {
                let mut slot = slot(&mut random, (round, side), 0.01, 9);
                let cold = |second: u32| if round == 0 && second < 3 { 2.0 } else { 1.0 };
                let ns = |second| 10e6 * cold(second) * normal(&mut random, 0.01).exp();
                slot.medians_ns = (0..4)
                    .map(ns)
                    .map(|ns| Some(crate::units::whole(ns)))
                    .collect();
                collected.add(&slot);
            }
        }
    }
    assert_eq!(collected.loads().map(|it| it[1].ln_medians.len()), [32, 32]);
    assert!(matches!(collected.warm_up_s(), Some(3 | 4)));
    assert_eq!(collected.correlation_s(), Some(1));
}

#[test]
fn alarms_are_counted_when_a_side_is_always_worse() {
    // Sides that differ by the same in each round are no equal sides: chance calls it noise.
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut collected = Collected::new(true, policy());
    for round in 1..=16 {
        collected.add(&slot(&mut random, (round, Side::Baseline), 0.001, 600));
        let mut slow = slot(&mut random, (round, Side::Candidate), 0.001, 600);
        slow.endpoints = slot(&mut random, (round, Side::Candidate), 0.001, 400).endpoints;
        collected.add(&slow);
    }
    let always = |_: &[RoundEvidence]| Comparison {
        verdict: Verdict::Regressed,
        ..judged(&[])
    };
    let found = collected.false_alarms(20, 3, always);
    assert_eq!((found.judged, found.alarms, found.rate()), (20, 20, 1.0));
    let swapped = std::cell::Cell::new(0);
    let count = |rounds: &[RoundEvidence]| {
        let first = rounds[0].side(Side::Baseline).endpoints[NAME].ok;
        swapped.set(swapped.get() + u32::from(first == 400));
        judged(&[])
    };
    assert_eq!(collected.false_alarms(200, 3, count).alarms, 0);
    assert!((60..140).contains(&swapped.get()), "{}", swapped.get());
}

#[test]
fn equal_sides_that_are_called_different_are_not_trusted() {
    let collected = collected(0.05, 1, 8);
    let alarms = FalseAlarms {
        judged: 1_000,
        alarms: 76,
    };
    let mut found = judged(collected.rounds());
    let objections = collected.objections(&found, alarms);
    assert!(
        objections[0].starts_with("7.6 % false alarms, where 5.0 % are"),
        "{objections:?}"
    );
    let alarms = FalseAlarms {
        alarms: 75,
        ..alarms
    };
    assert_eq!(collected.objections(&found, alarms), [""; 0]);
    found.changes[0].status = Status::Regressed;
    let objections = collected.objections(&found, alarms);
    assert!(
        objections[0].contains("called different (GET /a"),
        "{objections:?}"
    );
    let objections = collected.objections(&judged(&[]), alarms);
    assert!(objections[0].starts_with("only 0 rounds"), "{objections:?}");
}

#[test]
fn the_arrangement_with_less_variance_for_its_time_is_chosen() {
    let quiet = noise(&collected(0.01, 2, 8));
    let loud = Noise {
        round_ns: 5 * SECOND_NS,
        ..noise(&collected(0.05, 2, 8))
    };
    let choice = choose(&quiet, &loud).unwrap();
    assert!(choice.simultaneous && choice.is_shown() && choice.time_ratio > 3.0);
    let back = choose(&loud, &quiet).unwrap();
    assert!(!back.simultaneous && back.is_shown());
    let same = choose(&quiet, &quiet).unwrap();
    assert!(!same.is_shown() && (same.time_ratio - 1.0).abs() < 1e-12);
    let empty = Noise {
        metrics: Vec::new(),
        ..quiet.clone()
    };
    assert_eq!(choose(&quiet, &empty), None);
}

#[test]
fn suggested_slots_hold_enough_requests_and_outlast_the_correlation() {
    let noise = noise(&collected(0.05, 2, 8));
    let expected = BTreeMap::from([(NAME.to_owned(), 600.0)]);
    let suggested =
        |simultaneous, times| suggested_slot_ns((&noise, simultaneous), &expected, times);
    // 500 requests for a p99 take 3.3 s on each side.
    let window = suggested(true, (None, None));
    assert!((3_300_000_000..3_400_000_000).contains(&window), "{window}");
    assert_eq!(suggested(true, (Some(3), None)), 24 * SECOND_NS);
    assert_eq!(suggested(false, (Some(9), None)), 18 * SECOND_NS);
    let slot = suggested(false, (Some(1), Some(4)));
    assert!((2 * SECOND_NS..=10 * SECOND_NS).contains(&slot), "{slot}");
}
