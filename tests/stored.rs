//! Seeded simulations of sides that were not measured together (method.md 8): runs of one
//! deployment have offsets of their own, and only what the stored runs say of those keeps false
//! alarms at the promised rate. The same check fails without it, which shows that it has teeth.

use std::collections::BTreeMap;

use proofload::{
    compare::{
        Comparison, Margins, Metric, NOT_TOGETHER, Policy, Reason, RoundEvidence, Status, Verdict,
        design_apart, judge_apart,
        stored::{Apart, Between, Level},
    },
    run::{Class, ConnectionStats, EndpointStats, Health, Side, Slot},
    units::{count, from_seconds},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

const ALPHA: f64 = 0.05;
const ROUNDS: u32 = 12;
/// Standard deviation of the log of one round.
const NOISE: f64 = 0.03;
const REPEATS: u32 = 8_000;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// One run: its own offset, and rounds around it.
fn level(rng: &mut ChaCha8Rng, between: f64, shift: f64) -> Level {
    let offset = shift + between * normal(rng);
    let rounds = (1..=ROUNDS).map(|round| (round, (offset + NOISE * normal(rng)).exp()));
    Level::of_logs(&rounds.collect::<Vec<_>>(), 0.0).expect("twelve positive rounds")
}

/// How often a candidate that is `shift` slower is called worse than `margin` at this level, with
/// and without what the stored runs say; and how often it is called better than that.
fn rates(runs: usize, between: f64, shift: f64, margin: f64, alpha: f64) -> [f64; 3] {
    let mut rng = ChaCha8Rng::seed_from_u64(80);
    let mut counts = [0_u32; 3];
    for _ in 0..REPEATS {
        let stored: Vec<Level> = (0..runs).map(|_| level(&mut rng, between, 0.0)).collect();
        let candidate = level(&mut rng, between, shift);
        let known = Between::of(&stored).expect("four runs or more");
        let with = Apart::of(&stored[0], &candidate, Some(&known));
        let without = Apart::of(&stored[0], &candidate, None);
        counts[0] += u32::from(with.p_regressed(margin) <= alpha);
        counts[1] += u32::from(without.p_regressed(margin) <= alpha);
        counts[2] += u32::from(with.p_pass(margin) <= alpha);
    }
    counts.map(|n| f64::from(n) / f64::from(REPEATS))
}

/// Offsets in units of the error of a run's mean.
fn offset(ratio: f64) -> f64 {
    ratio * NOISE / f64::from(ROUNDS).sqrt()
}

#[test]
fn runs_that_differ_raise_no_more_false_alarms_than_promised() {
    for runs in [4, 6, 12] {
        for ratio in [0.0, 0.5, 1.0, 2.0, 5.0, 20.0] {
            for alpha in [ALPHA, ALPHA / 6.0] {
                let [with, _, passed] = rates(runs, offset(ratio), 0.0, 0.0, alpha);
                // Three standard errors of 8,000 repeats.
                let most = alpha + 3.0 * (alpha / f64::from(REPEATS)).sqrt();
                let said = format!("{runs} runs, offsets {ratio}, alpha {alpha}: {with} {passed}");
                assert!(with <= most && passed <= most, "{said}");
            }
        }
    }
}

#[test]
fn without_the_variance_between_runs_the_same_check_fails() {
    for (ratio, least) in [(1.0, 0.08), (2.0, 0.2), (5.0, 0.35)] {
        let [with, without, _] = rates(4, offset(ratio), 0.0, 0.0, ALPHA);
        assert!(
            with <= 0.06 && without >= least,
            "{ratio}: {with} {without}"
        );
    }
}

#[test]
fn what_is_much_slower_than_runs_differ_is_found() {
    let [found, ..] = rates(6, 0.02, 1.2_f64.ln(), 0.01, ALPHA);
    assert!(found >= 0.95, "{found}");
    let [found, ..] = rates(4, 0.02, 1.2_f64.ln(), 0.01, ALPHA);
    assert!(found >= 0.80, "{found}");
}

const REQUESTS: u64 = 600;

/// One round of one side whose times are `factor` times the usual, and of which so many fail.
fn slot(rng: &mut ChaCha8Rng, side: Side, factor: f64, failed: u64) -> Slot {
    let mut stats = EndpointStats {
        scheduled: REQUESTS,
        ..EndpointStats::default()
    };
    for n in 0..REQUESTS {
        let ns = from_seconds(0.010 * factor * (0.3 * normal(rng)).exp());
        let class = if n < failed {
            Class::Http5xx
        } else {
            Class::Ok
        };
        *stats.classes.entry(class).or_default() += 1;
        if class == Class::Ok {
            stats.response.record(ns);
            stats.service.record(ns);
        } else {
            stats.failed.record(ns);
        }
    }
    let mut health = Health::default();
    (0..100).for_each(|_| health.lag.record(60_000));
    Slot {
        round: 1,
        position: 0,
        side,
        start_ns: 0,
        length_ns: 5_000_000_000,
        settle_ns: 0,
        medians_ns: Vec::new(),
        complete: true,
        endpoints: BTreeMap::from([("GET /a".to_owned(), stats)]),
        connections: ConnectionStats::default(),
        health,
        resources: None,
    }
}

fn policy() -> Policy {
    Policy {
        tolerance: Margins::tolerance().with(&[
            "p50=20%".parse().expect("a margin"),
            "p99=30%".parse().expect("a margin"),
            "errors=1pp".parse().expect("a margin"),
        ]),
        ..Policy::standard(30_000_000_000)
    }
}

/// A comparison from slots to the verdict: stored runs with offsets, and a candidate.
fn compare(seed: u64, runs: usize, slower: f64, failed: u64) -> Comparison {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let policy = policy();
    let mut own = |slower: f64, side: Side, failed: u64| -> Vec<Slot> {
        let factor = slower * (0.02 * normal(&mut rng)).exp();
        (0..ROUNDS)
            .map(|_| slot(&mut rng, side, factor, failed))
            .collect()
    };
    let candidate = own(slower, Side::Candidate, failed);
    let mut beside = || -> Vec<RoundEvidence> {
        let baseline = own(1.0, Side::Baseline, 0);
        let pairs = (1..).zip(baseline.into_iter().zip(candidate.iter().cloned()));
        pairs
            .filter_map(|(n, (a, b))| RoundEvidence::from_slots(n, &[a, b], &policy))
            .collect()
    };
    let runs: Vec<Vec<RoundEvidence>> = (0..runs).map(|_| beside()).collect();
    judge_apart(&design_apart(&runs[0]), &policy, &runs)
}

fn statuses(found: &Comparison, metric: Metric) -> (Status, Reason) {
    let mut own = found.changes.iter();
    let change = own.find(|change| change.metric == metric).expect("judged");
    (change.status, change.reason)
}

#[test]
fn with_enough_runs_equal_deployments_pass_and_slower_ones_do_not() {
    let mut passed = 0;
    for seed in 0..40 {
        let found = compare(seed, 6, 1.0, 0);
        assert_ne!(found.verdict, Verdict::Regressed, "{:?}", found.changes);
        assert_eq!(found.warnings[0].code, NOT_TOGETHER);
        assert!(found.decided);
        passed += u32::from(found.verdict == Verdict::Pass);
    }
    assert!(passed >= 25, "{passed} of 40");
    for seed in 0..10 {
        let found = compare(seed, 8, 1.5, 0);
        assert_eq!(found.verdict, Verdict::Regressed, "{:?}", found.causes);
    }
}

#[test]
fn with_fewer_runs_nothing_passes_and_only_errors_regress() {
    for runs in 1..=3 {
        for slower in [1.0, 3.0, 0.3] {
            let found = compare(7, runs, slower, 0);
            assert_eq!(found.verdict, Verdict::Inconclusive, "{runs} {slower}");
            let unknown = (Status::Inconclusive, Reason::NotTogether);
            for metric in [Metric::ErrorRate, Metric::P50, Metric::P99] {
                assert_eq!(statuses(&found, metric), unknown, "{runs} {slower}");
            }
            let cause = &found.causes[0];
            let said = format!("sides not measured together: {runs} usable stored run(s)");
            assert!(cause.starts_with(&said), "{cause}");
        }
        let found = compare(7, runs, 0.3, 60);
        assert_eq!(found.verdict, Verdict::Regressed);
        let (status, _) = statuses(&found, Metric::ErrorRate);
        assert_eq!(status, Status::Regressed);
        let (status, _) = statuses(&found, Metric::P50);
        assert_eq!(status, Status::Inconclusive);
    }
}

#[test]
fn what_cannot_be_judged_is_invalid_here_too() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let policy = policy();
    let mut stalled = |n| {
        let mut slots = Side::BOTH.map(|side| slot(&mut rng, side, 1.0, 0));
        slots[0].health.stall_ns = 300_000_000;
        RoundEvidence::from_slots(n, &slots, &policy).expect("both sides")
    };
    let runs = vec![(1..=ROUNDS).map(&mut stalled).collect::<Vec<_>>()];
    let found = judge_apart(&design_apart(&runs[0]), &policy, &runs);
    assert_eq!(found.verdict, Verdict::Invalid);
    let nothing = judge_apart(&design_apart(&[]), &policy, &[]);
    assert_eq!(nothing.verdict, Verdict::Inconclusive);
    assert_eq!(nothing.warnings[0].code, NOT_TOGETHER);
    assert_eq!(count(0), nothing.coverage);
}
