//! Seeded simulations of the whole method: false alarms and power at the promised rates, and a
//! few comparisons from slots with real distributions to the verdict.
//!
//! The rates are those of `docs/method.md` section 5. Peeking without paying for it must fail
//! the same check, which shows that the check has teeth.

#[expect(dead_code, reason = "the bench uses all of it")]
#[path = "../bench/simulate/model/mod.rs"]
mod model;
#[expect(dead_code, reason = "the bench uses all of them")]
#[path = "../bench/simulate/rivals.rs"]
mod rivals;

use std::collections::BTreeMap;

use model::{
    course::Course,
    noise::Noise,
    world::{Effect, Scene, World},
};
use proofload::{
    compare::{
        Boundaries, Comparison, Design, Margins, Metric, Policy, Reason, RoundEvidence, Status,
        Tables, Verdict,
        detectable::multiplier,
        judge,
        paired::Paired,
        sequence::{Decision, Family, Scores},
    },
    replay::Arrangement,
    run::{Class, EndpointStats, Side, Slot, WORKLOAD},
    units::{count, from_seconds},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Bernoulli, Distribution, StandardNormal};
use rivals::Rule;

const ALPHA: f64 = 0.05;

fn looks(end: u32) -> Vec<u32> {
    (8..=end).step_by(2).collect()
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// The promise on false alarms where the minimum effect is zero.
fn keeps_the_promise(rate: f64) -> bool {
    (0.025..=0.06).contains(&rate)
}

/// Scores at each look of one series in units of its standard deviation.
fn scores(series: &[f64], looks: &[u32], effect: f64, tolerance: f64) -> Vec<Scores> {
    let numbered: Vec<(u32, f64)> = (1..).zip(series.iter().copied()).collect();
    let at = |n: &u32| {
        let paired = Paired::of(&numbered[..*n as usize], 0.0).expect("eight rounds or more");
        Scores::of(paired.p_regressed(effect), paired.p_pass(tolerance))
    };
    looks.iter().map(at).collect()
}

/// Series of 20 endpoints × 4 metrics, correlated 0.7 inside an endpoint and 0.3 between.
fn family(rng: &mut ChaCha8Rng, rounds: u32, shift: impl Fn(usize) -> f64) -> Vec<Vec<Vec<f64>>> {
    let mut series = vec![vec![Vec::new(); 4]; 20];
    for _ in 0..rounds {
        let all = normal(rng) * 0.3_f64.sqrt();
        for (endpoint, metrics) in series.iter_mut().enumerate() {
            let own = normal(rng) * 0.4_f64.sqrt();
            for metric in metrics {
                let value = all + own + normal(rng) * 0.3_f64.sqrt();
                metric.push(value + shift(endpoint));
            }
        }
    }
    series
}

/// Runs the whole family many times and counts the runs in which `bad` endpoints alone, and
/// in which any other endpoint, had a regressed metric.
fn run_family(runs: u32, effect: f64, tolerance: f64, shift: f64) -> (f64, f64) {
    let looks = looks(24);
    let boundaries = Boundaries::new(&looks);
    let family_of = Family {
        boundaries: &boundaries,
        alpha: ALPHA,
        weights: &[1.0; 20],
    };
    let mut rng = ChaCha8Rng::seed_from_u64(20);
    let (mut found, mut blamed) = (0, 0);
    for _ in 0..runs {
        let series = family(&mut rng, 24, |e| if e == 0 { shift } else { 0.0 });
        let all: Vec<Vec<Vec<Scores>>> = series
            .iter()
            .map(|metrics| {
                let one = |s: &Vec<f64>| scores(s, &looks, effect, tolerance);
                metrics.iter().map(one).collect()
            })
            .collect();
        let outcomes = family_of.decide(&all);
        let regressed = |metrics: &Vec<proofload::compare::sequence::Outcome>| {
            let mut own = metrics.iter();
            own.any(|outcome| matches!(outcome.decision, Decision::Regressed(_)))
        };
        found += u32::from(regressed(&outcomes[0]));
        blamed += u32::from(outcomes[1..].iter().any(regressed));
    }
    let share = |n: u32| f64::from(n) / f64::from(runs);
    (share(found), share(blamed))
}

#[test]
fn equal_sides_raise_a_false_alarm_at_the_promised_rate() {
    let (first, others) = run_family(2_000, 0.0, 0.75, 0.0);
    let at_most = first + others;
    assert!(keeps_the_promise(others), "{others}");
    assert!(at_most <= 0.065, "{at_most}");
}

#[test]
fn default_margins_leave_next_to_no_false_alarm() {
    // p50 at 3 % noise: minimum effect 1 %, tolerance 5 %.
    let (first, others) = run_family(500, 1.0 / 3.0, 5.0 / 3.0, 0.0);
    assert!(first + others <= 0.02, "{first} {others}");
}

#[test]
fn an_endpoint_that_is_slower_is_found_and_no_other_is_blamed() {
    let shift = multiplier(24, ALPHA / 20.0);
    let (found, blamed) = run_family(400, 0.0, shift, shift);
    assert!(found >= 0.87, "{found}");
    assert!(blamed <= 0.065, "{blamed}");
}

/// One metric alone, many times: how often it regressed by the plan, how often it passed by
/// the plan when nothing else stops it, and how often plain t at every look would regress it.
fn run_single(runs: u32, effect: f64, tolerance: f64, truth: f64) -> [f64; 3] {
    let looks = looks(24);
    let boundaries = Boundaries::new(&looks);
    let family_of = Family {
        boundaries: &boundaries,
        alpha: ALPHA,
        weights: &[1.0],
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut counts = [0_u32; 3];
    for _ in 0..runs {
        let series: Vec<f64> = (0..24).map(|_| truth + normal(&mut rng)).collect();
        let scores = scores(&series, &looks, effect, tolerance);
        let naive = scores.iter().any(|score| score.regressed > 1.644_854);
        let outcome = family_of.decide(&[vec![scores]])[0][0];
        counts[0] += u32::from(matches!(outcome.decision, Decision::Regressed(_)));
        counts[1] += u32::from(outcome.p_pass <= ALPHA);
        counts[2] += u32::from(naive);
    }
    counts.map(|n| f64::from(n) / f64::from(runs))
}

#[test]
fn peeking_without_paying_fails_the_check_that_the_method_passes() {
    let [regressed, _, naive] = run_single(6_000, 0.0, 0.64, 0.0);
    assert!(keeps_the_promise(regressed), "{regressed}");
    assert!(!keeps_the_promise(naive) && naive > 0.1, "{naive}");
}

#[test]
fn a_change_as_large_as_the_tolerance_seldom_passes() {
    let [_, passed, _] = run_single(10_000, 0.0, 0.64, 0.64);
    assert!((0.03..=0.06).contains(&passed), "{passed}");
}

#[test]
fn a_change_as_large_as_the_tolerance_is_found_nine_times_in_ten() {
    let shift = multiplier(24, ALPHA);
    let [regressed, _, _] = run_single(3_000, 0.0, shift, shift);
    assert!((0.86..=0.94).contains(&regressed), "{regressed}");
}

/// What is wrong with the candidate in an end-to-end run.
#[derive(Clone, Copy, Default)]
struct Candidate {
    /// Factor on the times of the first endpoint.
    slower: Option<f64>,
    /// Share of the first endpoint's requests that fail at once.
    fail_fast: f64,
    /// Share of the first endpoint's requests, the slowest, that time out.
    time_out: f64,
}

const ENDPOINTS: [(&str, f64); 3] = [("GET /a", 0.010), ("GET /b", 0.015), ("GET /c", 0.020)];
const REQUESTS: u64 = 1_000;

fn endpoint(rng: &mut ChaCha8Rng, median: f64, candidate: Candidate) -> EndpointStats {
    let mut stats = EndpointStats {
        scheduled: REQUESTS,
        ..EndpointStats::default()
    };
    let fails = Bernoulli::new(candidate.fail_fast).expect("a probability");
    let mut times: Vec<f64> = (0..REQUESTS)
        .map(|_| median * (0.4 * normal(rng)).exp() * candidate.slower.unwrap_or(1.0))
        .collect();
    times.sort_by(f64::total_cmp);
    for (place, time) in (1..).zip(times) {
        let slowest = count(place) > (1.0 - candidate.time_out) * count(REQUESTS);
        let (class, ns) = match (slowest, fails.sample(rng)) {
            (true, _) => (Class::TotalTimeout, 30_000_000_000),
            (false, true) => (Class::Http5xx, 200_000),
            (false, false) => (Class::Ok, from_seconds(time)),
        };
        *stats.classes.entry(class).or_default() += 1;
        if class == Class::Ok {
            stats.response.record(ns);
            stats.service.record(ns);
        } else {
            stats.failed.record(ns);
        }
    }
    assert!(stats.is_conserved());
    stats
}

fn slot(rng: &mut ChaCha8Rng, round: u32, side: Side, candidate: Candidate) -> Slot {
    let endpoints = ENDPOINTS
        .into_iter()
        .enumerate()
        .map(|(i, (name, median))| {
            let healthy = i > 0 || side == Side::Baseline;
            let own = if healthy {
                Candidate::default()
            } else {
                candidate
            };
            (name.to_owned(), endpoint(rng, median, own))
        });
    let mut slot = Slot {
        round,
        position: 0,
        side,
        start_ns: 0,
        length_ns: 4_000_000_000,
        settle_ns: 0,
        medians_ns: Vec::new(),
        complete: true,
        endpoints: endpoints.collect(),
        connections: proofload::run::ConnectionStats::default(),
        health: proofload::run::Health::default(),
        resources: None,
    };
    for _ in 0..100 {
        slot.health.lag.record(60_000);
    }
    slot
}

/// A run of up to 12 rounds that ends when the judge has decided.
fn compare(seed: u64, candidate: Candidate) -> Comparison {
    let expected = ENDPOINTS
        .iter()
        .map(|(name, _)| ((*name).to_owned(), count(REQUESTS)))
        .collect::<BTreeMap<_, _>>();
    let design = Design::new(12, true, expected);
    let policy = Policy {
        tolerance: Margins::tolerance().with(&["p99=25%".parse().expect("a margin")]),
        ..Policy::standard(30_000_000_000)
    };
    let tables = Tables::default();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rounds = Vec::new();
    for round in 1..=12 {
        let slots = Side::BOTH.map(|side| slot(&mut rng, round, side, candidate));
        rounds.push(RoundEvidence::from_slots(round, &slots, &policy).expect("both sides"));
        let comparison = judge(&design, &policy, &tables, &rounds);
        if comparison.decided {
            return comparison;
        }
    }
    panic!("never decided");
}

fn regressed(comparison: &Comparison) -> Vec<(&str, Metric)> {
    let gate = comparison.changes.iter().filter(|change| change.gate);
    // What one endpoint does shows in the whole as well, which is no blame of another.
    gate.filter(|change| change.status == Status::Regressed && change.endpoint != WORKLOAD)
        .map(|change| (change.endpoint.as_str(), change.metric))
        .collect()
}

#[test]
fn equal_deployments_pass() {
    for seed in 0..6 {
        let found = compare(seed, Candidate::default());
        assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.causes);
        assert_eq!(found.coverage, 1.0);
    }
}

#[test]
fn a_slower_endpoint_is_named_and_only_that() {
    for seed in 0..3 {
        let slower = Candidate {
            slower: Some(1.3),
            ..Candidate::default()
        };
        let found = compare(seed, slower);
        assert_eq!(found.verdict, Verdict::Regressed);
        let named = regressed(&found);
        assert!(named.contains(&("GET /a", Metric::P50)), "{named:?}");
        assert!(named.iter().all(|(endpoint, _)| *endpoint == "GET /a"));
    }
}

#[test]
fn failing_fast_is_a_regression_and_never_an_improvement() {
    let broken = Candidate {
        slower: Some(0.5),
        fail_fast: 0.3,
        ..Candidate::default()
    };
    let found = compare(1, broken);
    assert_eq!(found.verdict, Verdict::Regressed);
    assert!(regressed(&found).contains(&("GET /a", Metric::ErrorRate)));
    let own = found
        .changes
        .iter()
        .filter(|change| change.endpoint == "GET /a");
    for change in own {
        assert_ne!(change.reason, Reason::Improved, "{change:?}");
        assert_ne!(change.status, Status::Pass, "{change:?}");
    }
}

#[test]
fn the_slowest_timing_out_shows_in_errors_and_in_the_tail() {
    let hanging = Candidate {
        time_out: 0.05,
        ..Candidate::default()
    };
    let found = compare(2, hanging);
    let named = regressed(&found);
    assert!(named.contains(&("GET /a", Metric::ErrorRate)), "{named:?}");
    assert!(named.contains(&("GET /a", Metric::P99)), "{named:?}");
    assert!(named.iter().all(|(endpoint, _)| *endpoint == "GET /a"));
}

/// Five endpoints, judged by the plan of five minutes.
fn scene(noise: Noise, effect: Effect) -> (Scene, Course) {
    let scene = Scene {
        endpoints: 5,
        requests: 2_000,
        noise,
        effect,
    };
    let course = Course::new(&scene, 300, Arrangement::Simultaneous, &[], &[]);
    (scene, course)
}

#[test]
fn the_whole_pipeline_keeps_quiet_where_the_rules_of_today_cry_wolf() {
    const RUNS: u64 = 50;
    let (scene, course) = scene(Noise::Bursts, Effect::NONE);
    let mut alarms = [0_u64; 4];
    for seed in 0..RUNS {
        let world = || World::new(&scene, course.total_ns(), seed);
        let after = course.halves(&mut world(), seed);
        let any = |rule: Rule| (0..5).any(|number| rule(&after, &Scene::endpoint(number)));
        let own = course.run(&scene, seed);
        let called = [
            own.verdict == Verdict::Regressed,
            any(rivals::thresholds),
            any(rivals::by_request),
            any(rivals::by_window),
        ];
        for (n, is) in alarms.iter_mut().zip(called) {
            *n += u64::from(is);
        }
    }
    assert!(alarms[0] <= 1, "{alarms:?}");
    // The same check must fail for those who measure one side after the other.
    assert!(alarms[1..].iter().all(|n| *n >= 3), "{alarms:?}");
}

#[test]
fn the_whole_pipeline_finds_what_is_planted_and_blames_nobody_else() {
    const RUNS: u64 = 8;
    let slower = Effect {
        body: 0.10,
        tail: 0.20,
        ..Effect::NONE
    };
    let rare = Effect {
        rare: 0.01,
        ..Effect::NONE
    };
    let fail_fast = Effect {
        fail_fast: 0.02,
        ..Effect::NONE
    };
    for (effect, metric) in [
        (slower, Metric::P50),
        (rare, Metric::P99),
        (fail_fast, Metric::ErrorRate),
    ] {
        let (scene, course) = scene(Noise::Correlated, effect);
        let (mut found, mut blamed) = (0, 0);
        for seed in 0..RUNS {
            let comparison = course.run(&scene, seed);
            let named = regressed(&comparison);
            found += u64::from(named.contains(&("GET /00", metric)));
            blamed += u64::from(named.iter().any(|(endpoint, _)| *endpoint != "GET /00"));
        }
        assert!(found >= RUNS - 1, "{effect:?}: {found}");
        assert!(blamed <= 1, "{effect:?}: {blamed}");
    }
}

#[test]
fn a_plan_resized_by_its_pilot_seldom_passes_what_is_not_tolerated() {
    const RUNS: u64 = 300;
    let scene = Scene {
        endpoints: 1,
        requests: 500,
        noise: Noise::White(0.07),
        effect: Effect {
            body: 0.05,
            tail: 0.05,
            ..Effect::NONE
        },
    };
    let alone = ["p99=900%", "errors=50%"];
    let course = Course::new(
        &scene,
        2_000,
        Arrangement::Interleaved,
        &alone,
        &["p50=0%,0us"],
    );
    let (mut passed, mut regressed) = (0, 0);
    for seed in 0..RUNS {
        let verdict = course.run(&scene, seed).verdict;
        passed += u64::from(verdict == Verdict::Pass);
        regressed += u64::from(verdict == Verdict::Regressed);
    }
    // 5 % and two standard errors; nine in ten by the plan.
    assert!(count(passed) / count(RUNS) <= 0.075, "{passed}");
    assert!(count(regressed) / count(RUNS) >= 0.85, "{regressed}");
}

#[test]
fn rounds_between_two_looks_decide_nothing() {
    for noise in [Noise::Correlated, Noise::LateRounds, Noise::OwnSlow] {
        let (scene, course) = scene(noise, Effect::NONE);
        for seed in 0..4 {
            let at_looks = course.run(&scene, seed);
            assert_eq!(at_looks, course.conducted(&scene, seed, true), "{noise:?}");
            assert!(at_looks.rounds.measured >= 8);
        }
    }
}
