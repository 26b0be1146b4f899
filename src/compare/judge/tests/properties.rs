//! What must hold of a comparison for any evidence at all: it exists, it holds numbers, it is
//! symmetric in the sides, and it is monotone in the tolerance.

use proptest::prelude::*;

use super::*;
use crate::compare::evidence::SideEvidence;

fn any_read() -> impl Strategy<Value = Option<Reading>> {
    let value = prop_oneof![
        8 => 1e3..1e10,
        1 => Just(0.0),
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)],
    ];
    prop_oneof![
        9 => (value, 0.0..1e4).prop_map(|(value, width)| Some(Reading { value, width })),
        1 => Just(None),
    ]
}

fn any_figures() -> impl Strategy<Value = Figures> {
    let counts = prop::array::uniform8(prop_oneof![Just(0_u64), 0..20_u64, 0..100_000_u64]);
    let statuses = prop::collection::btree_map(199_u16..203, 0..100_000_u64, 0..3);
    let readings = prop::array::uniform12(any_read());
    (counts, readings, statuses).prop_map(|(n, readings, statuses)| Figures {
        statuses,
        scheduled: n[0],
        ok: n[1],
        failures: n[2],
        http_errors: n[3],
        throttled: n[4] / 1_000,
        unanswered: n[5],
        retried: n[6],
        lacking: n[7] / 1_000,
        readings,
        shape_ns: readings.map(|read| read.map_or(0.0, |it| it.value)),
    })
}

fn any_side() -> impl Strategy<Value = SideEvidence> {
    let names = prop_oneof![Just("GET /a"), Just("GET /b"), Just("")];
    let side = prop::collection::btree_map(names.prop_map(str::to_owned), any_figures(), 0..3);
    let health = (0.0..2.0, 0.0..2e6, 0.0..0.1, any::<bool>());
    (side, health, any_figures()).prop_map(|(endpoints, (cpu, lag, steal, at_cap), workload)| {
        let mut side = SideEvidence {
            endpoints,
            workload,
            ..Default::default()
        };
        side.health.cpu_share = cpu * 0.5;
        side.health.lag_p50_ns = lag / 100.0;
        side.health.lag_p99_ns = lag;
        side.health.steal_share = steal;
        side.at_cap = at_cap && cpu > 1.9;
        side
    })
}

fn any_round() -> impl Strategy<Value = RoundEvidence> {
    (0..20_u32, any::<bool>(), [any_side(), any_side()]).prop_map(
        |(round, baseline_first, sides)| RoundEvidence {
            round,
            baseline_first,
            sides,
        },
    )
}

/// Clean rounds of one endpoint with any times and failures, for properties of verdicts.
fn plain_rounds() -> impl Strategy<Value = Vec<RoundEvidence>> {
    let round = (1.0..1.5_f64, 1.0..1.5_f64, 0..30_u64, 0..30_u64);
    prop::collection::vec(round, 8..14).prop_map(|all| {
        let one = |(round, (a, b, x, y)): (u32, (f64, f64, u64, u64))| {
            let mut evidence = RoundEvidence {
                round,
                ..RoundEvidence::default()
            };
            let own = [figures(10.0 * a, 1_000, x), figures(10.0 * b, 1_000, y)];
            for (side, figures) in evidence.sides.iter_mut().zip(own) {
                side.endpoints.insert("GET /a".to_owned(), figures);
            }
            whole(evidence)
        };
        (1..).zip(all).map(one).collect()
    })
}

proptest! {
    #[test]
    fn any_evidence_gives_a_comparison_of_numbers(
        rounds in prop::collection::vec(any_round(), 0..20),
        simultaneous: bool,
        alpha in prop_oneof![Just(0.05), Just(0.0), Just(1.0), Just(f64::NAN)],
    ) {
        let mut design = design(&[("GET /a", 600.0), ("GET /b", 20.0), ("GET /c", 1e9)]);
        design.simultaneous = simultaneous;
        let mut policy = policy();
        policy.alpha = alpha;
        let found = judge(&design, &policy, &Tables::default(), &rounds);
        let text = serde_json::to_string(&found).unwrap();
        let back: Comparison = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&back.verdict, &found.verdict);
        let of_endpoints = Metric::ALL.iter().filter(|metric| !metric.traits().of_side);
        let least = 3 * of_endpoints.count();
        prop_assert_eq!(back.changes.len(), least.max(found.changes.len()));
        for change in found.changes.iter().filter_map(|change| change.change) {
            prop_assert!(change.lower <= change.estimate && change.estimate <= change.upper);
        }
    }

    #[test]
    fn swapping_the_sides_inverts_the_signs(rounds in plain_rounds()) {
        let mut swapped = rounds.clone();
        for round in &mut swapped {
            round.sides.swap(0, 1);
        }
        let (there, back) = (run(&rounds), run(&swapped));
        for metric in [Metric::ErrorRate, Metric::P50, Metric::P99] {
            let (a, b) = (find(&there, metric), find(&back, metric));
            for (x, y) in a.series.iter().zip(&b.series) {
                prop_assert!((x.unwrap() + y.unwrap()).abs() < 1e-12);
            }
            let both = [a.status, b.status];
            prop_assert!(both != [Status::Regressed; 2]);
        }
    }

    #[test]
    fn a_wider_tolerance_never_turns_pass_into_regressed(
        rounds in plain_rounds(),
        wider in 10_u32..100,
    ) {
        let design = design(&[("GET /a", 1_000.0)]);
        let boundaries = Tables::default();
        let rule = |metric: &str| format!("{metric}={wider}%").parse().unwrap();
        let mut wide = policy();
        let metrics = ["p50", "p99", "errors", "goodput"];
        wide.tolerance = wide.tolerance.with(&metrics.map(rule));
        let narrow = judge(&design, &policy(), &boundaries, &rounds);
        let wide = judge(&design, &wide, &boundaries, &rounds);
        for change in narrow.changes.iter().filter(|c| c.status == Status::Pass) {
            prop_assert_ne!(find(&wide, change.metric).status, Status::Regressed);
        }
        // The first rounds may then say that enough will be known sooner, and alpha is spent
        // sooner: what passed late may be left open.
        if narrow.verdict == Verdict::Pass {
            prop_assert_ne!(wide.verdict, Verdict::Regressed);
        }
    }
}
