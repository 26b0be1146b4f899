//! Verdicts on evidence made by hand: the table of validity (method.md 2.10), the precedence of
//! causes, errors before latency, and when a run may stop.

use super::*;
use crate::{
    compare::evidence::{Figures, Reading},
    run::{Class, Side},
    units::count,
};

mod gate;
mod properties;
mod resources;

const MAX: u32 = 12;

fn design(expected: &[(&str, f64)]) -> Design {
    let of = |(name, n): &(&str, f64)| ((*name).to_owned(), *n);
    let expected = expected.iter().map(of).collect();
    Design {
        round_s: 4.0,
        ..Design::new(MAX, true, expected)
    }
}

fn policy() -> Policy {
    Policy::standard(30_000_000_000)
}

fn reads(ms: f64) -> [Option<Reading>; Metric::COUNT] {
    Metric::ALL.map(|metric| match metric {
        Metric::ErrorRate | Metric::Cpu | Metric::Memory => None,
        Metric::Goodput => Some(Reading::exactly(1.0)),
        Metric::Size => Some(Reading::exactly(1_000.0)),
        _ => Some(Reading {
            value: 1e6 * ms * (1.0 + metric.quantile().unwrap_or(0.5)),
            width: 64.0,
        }),
    })
}

fn figures(ms: f64, requests: u64, failures: u64) -> Figures {
    let mut figures = Figures {
        scheduled: requests,
        ok: requests - failures,
        failures,
        readings: reads(ms),
        ..Figures::default()
    };
    let goodput = count(requests - failures) / count(requests);
    figures.set(Metric::Goodput, Some(Reading::exactly(goodput)));
    figures
}

/// The round with its one endpoint as the whole workload, as slots would have it.
fn whole(mut evidence: RoundEvidence) -> RoundEvidence {
    for side in &mut evidence.sides {
        side.workload = side.endpoints.values().next().cloned().unwrap_or_default();
    }
    evidence
}

/// One endpoint, 10 ms on the baseline with a little noise, `factor` times that on the
/// candidate.
fn rounds(n: u32, factor: f64, failures: u64) -> Vec<RoundEvidence> {
    (1..=n)
        .map(|round| {
            let noise = 1.0 + 0.002 * f64::from(round * 7 % 5);
            let mut evidence = RoundEvidence {
                round,
                baseline_first: true,
                ..RoundEvidence::default()
            };
            let own = [
                figures(10.0 * noise, 1_000, 0),
                figures(10.0 * factor, 1_000, failures),
            ];
            for (side, figures) in evidence.sides.iter_mut().zip(own) {
                side.endpoints.insert("GET /a".to_owned(), figures);
            }
            whole(evidence)
        })
        .collect()
}

fn run(rounds: &[RoundEvidence]) -> Comparison {
    let design = design(&[("GET /a", 1_000.0)]);
    judge(&design, &policy(), &Tables::default(), rounds)
}

fn find(comparison: &Comparison, metric: Metric) -> &Change {
    let mut own = comparison.changes.iter();
    own.find(|change| change.metric == metric).unwrap()
}

#[test]
fn equal_sides_pass_at_the_first_look_and_not_before() {
    let early = run(&rounds(7, 1.0, 0));
    assert_eq!(
        (early.verdict, early.decided),
        (Verdict::Inconclusive, false)
    );
    assert!(
        early.causes[0].starts_with("too early"),
        "{:?}",
        early.causes
    );
    let found = run(&rounds(8, 1.0, 0));
    assert_eq!((found.verdict, found.decided), (Verdict::Pass, true));
    assert_eq!(found.causes, Vec::<String>::new());
    assert_eq!(found.rounds.valid, 8);
    let tail = find(&found, Metric::P999);
    assert_eq!(
        (tail.status, tail.reason),
        (Status::NotJudged, Reason::TooFewRequests)
    );
    assert!(!tail.gate && !find(&found, Metric::P90).gate);
}

/// The evidence with an endpoint besides that is asked three times a round.
fn with_rare(n: u32, failures: u64) -> Comparison {
    let mut rounds = rounds(n, 1.0, 0);
    for evidence in &mut rounds {
        for (side, failures) in evidence.sides.iter_mut().zip([0, failures]) {
            let rare = figures(10.0, 3, failures);
            side.endpoints.insert("GET /rare".to_owned(), rare);
        }
    }
    let design = design(&[("GET /a", 1_000.0), ("GET /rare", 3.0)]);
    judge(&design, &policy(), &Tables::default(), &rounds)
}

#[test]
fn a_rare_endpoint_can_fail_the_gate_but_not_hold_it_up() {
    let sound = with_rare(8, 0);
    assert_eq!((sound.verdict, sound.decided), (Verdict::Pass, true));
    let rare = |comparison: &Comparison| {
        let mut own = comparison.changes.iter();
        let found = own.find(|it| it.endpoint == "GET /rare" && it.metric == Metric::ErrorRate);
        found
            .map(|change| (change.gate, change.status, change.reason))
            .unwrap()
    };
    assert_eq!(
        rare(&sound),
        (true, Status::NotJudged, Reason::TooFewRequests)
    );
    let broken = with_rare(8, 3);
    assert_eq!(broken.verdict, Verdict::Regressed);
    assert_eq!(rare(&broken).1, Status::Regressed);
}

#[test]
fn a_slower_candidate_is_named_and_one_more_look_confirms() {
    let found = run(&rounds(8, 1.2, 0));
    assert_eq!((found.verdict, found.decided), (Verdict::Regressed, true));
    let worst = &found.changes[0];
    assert_eq!(
        (worst.status, worst.reason),
        (Status::Regressed, Reason::BeyondTolerance)
    );
    assert!(
        (worst.change.unwrap().estimate - 0.195).abs() < 0.01,
        "{worst:?}"
    );
    // A noisy tail that stays open holds the run for one look and no longer.
    let open = |n| {
        let mut rounds = rounds(n, 1.2, 0);
        for round in &mut rounds {
            let own = round.sides[1].endpoints.get_mut("GET /a").unwrap();
            let p99 = own.readings[Metric::P99 as usize].as_mut().unwrap();
            p99.value *= if round.round % 2 == 0 { 3.0 } else { 0.3 };
        }
        run(&rounds)
    };
    assert_eq!(
        (open(8).verdict, open(8).decided),
        (Verdict::Regressed, false)
    );
    assert_eq!(
        (open(10).verdict, open(10).decided),
        (Verdict::Regressed, true)
    );
}

#[test]
fn errors_block_latency_and_nothing_is_improved() {
    let found = run(&rounds(12, 0.5, 30));
    assert_eq!(found.verdict, Verdict::Regressed);
    assert_eq!(find(&found, Metric::ErrorRate).status, Status::Regressed);
    let p50 = find(&found, Metric::P50);
    assert_eq!(
        (p50.status, p50.reason),
        (Status::Inconclusive, Reason::BlockedByErrors)
    );
    let sound = run(&rounds(12, 0.5, 0));
    assert_eq!(find(&sound, Metric::P50).reason, Reason::Improved);
    let trifle = run(&rounds(12, 0.998, 0));
    let trifle = find(&trifle, Metric::P50);
    assert!(
        trifle.change.unwrap().upper < 0.0,
        "surely better, by next to nothing"
    );
    assert_eq!((trifle.status, trifle.reason), (Status::Pass, Reason::Ok));
    let slower = run(&rounds(12, 1.02, 0));
    assert_eq!(
        find(&slower, Metric::P50).reason,
        Reason::SlowerWithinTolerance
    );
}

#[test]
fn uncovered_requests_keep_from_passing() {
    let design = design(&[("GET /a", 1_000.0), ("GET /rare", 49.0), ("GET /b", 300.0)]);
    let boundaries = Tables::default();
    let found = judge(&design, &policy(), &boundaries, &rounds(12, 1.0, 0));
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        (found.coverage - 1_000.0 / 1_349.0).abs() < 1e-9,
        "{}",
        found.coverage
    );
    let starts = |text: &str| found.causes.iter().any(|cause| cause.starts_with(text));
    assert!(
        starts("coverage") && starts("GET /b p50"),
        "{:?}",
        found.causes
    );
    let nothing = judge(&self::design(&[]), &policy(), &boundaries, &[]);
    assert_eq!(
        (nothing.verdict, nothing.coverage),
        (Verdict::Inconclusive, 0.0)
    );
}

#[test]
fn few_requests_are_open_errors_with_advice() {
    let design = design(&[("GET /a", 100.0)]);
    let mut rounds = rounds(12, 1.0, 0);
    for figures in rounds.iter_mut().flat_map(|round| &mut round.sides) {
        figures.endpoints.get_mut("GET /a").unwrap().ok = 100;
    }
    let found = judge(&design, &policy(), &Tables::default(), &rounds);
    assert_eq!(
        (found.verdict, found.decided),
        (Verdict::Inconclusive, true)
    );
    assert!(
        found.causes[0].contains("more minutes would do"),
        "{:?}",
        found.causes
    );
    assert_eq!(find(&found, Metric::P50).reason, Reason::BlockedByErrors);
}

#[test]
fn rounds_that_follow_each_other_are_no_evidence() {
    let mut rounds = rounds(24, 1.0, 0);
    for (place, round) in (0_u32..).zip(&mut rounds) {
        let drift = 1.0 + 0.1 * f64::from(place / 6);
        let own = round.sides[1].endpoints.get_mut("GET /a").unwrap();
        own.readings = reads(10.0 * drift);
    }
    let mut design = design(&[("GET /a", 1_000.0)]);
    design.sessions[0].last_round = 24;
    let found = judge(&design, &policy(), &Tables::default(), &rounds);
    let p50 = find(&found, Metric::P50);
    assert_eq!(
        (p50.status, p50.reason),
        (Status::Invalid, Reason::Dependent)
    );
    assert_eq!(found.verdict, Verdict::Invalid);
    assert!(
        found.causes[0].contains("lengthen the slots"),
        "{:?}",
        found.causes
    );
}

#[test]
fn a_dropped_last_round_leaves_the_last_look_to_those_before() {
    let mut all = rounds(12, 1.0, 0);
    all[11].sides[0].health.ours.insert(Class::LocalPorts, 1);
    // Too few requests for the errors before the last look, which may spend what is left.
    let design = design(&[("GET /a", 400.0)]);
    for figures in all.iter_mut().flat_map(|round| &mut round.sides) {
        figures.endpoints.get_mut("GET /a").unwrap().ok = 400;
    }
    let found = judge(&design, &policy(), &Tables::default(), &all);
    assert_eq!((found.rounds.valid, found.decided), (11, true));
    let errors = find(&found, Metric::ErrorRate);
    assert_eq!(errors.rounds, 11, "the last look is after the eleventh");
}

/// Every line of the drop table, by what was disturbed on which sides.
#[test]
fn disturbed_rounds_are_dropped_whole_by_reason() {
    type Disturb = fn(&mut RoundEvidence);
    let table: [(&str, Disturb); 9] = [
        ("send_lag", |r| r.sides[0].health.lag_p99_ns = 1.1e6),
        ("lag_differs", |r| r.sides[0].health.lag_p50_ns = 0.8e5),
        ("not_sent_late", |r| {
            r.sides[0].health.ours.insert(Class::NotSentLate, 1);
        }),
        ("local_ports", |r| {
            r.sides[0].health.ours.insert(Class::LocalPorts, 1);
        }),
        ("cpu", |r| r.sides[0].health.cpu_share = 0.81),
        ("stall", |r| r.sides[0].health.stall_ns = 251_000_000),
        ("throttled", |r| r.sides[1].health.throttled_share = 0.02),
        // The cause gives its name, not the symptom.
        ("throttled", |r| {
            r.sides[0].health.lag_p99_ns = 80e6;
            r.sides[0].health.cpu_share = 0.9;
            r.sides[1].health.throttled_share = 0.8;
        }),
        ("clock_step", |r| {
            r.sides[0].health.wall_step_ns = 1_000_000_000;
        }),
    ];
    for (code, disturb) in table {
        let mut rounds = rounds(9, 1.0, 0);
        // Below the medians of 15 ms, 5 % is 0.75 ms.
        disturb(&mut rounds[4]);
        let found = run(&rounds);
        assert_eq!(found.rounds.dropped, BTreeMap::from([(code.to_owned(), 1)]));
        assert_eq!((found.rounds.measured, found.rounds.valid), (9, 8));
        assert_eq!(found.verdict, Verdict::Pass, "{code}");
    }
}

#[test]
fn steal_warns_where_both_suffer_and_drops_where_one_does() {
    let mut rounds = rounds(9, 1.0, 0);
    rounds[3].sides[0].health.steal_share = 0.06;
    assert_eq!(run(&rounds).warnings[0].code, "steal");
    let mut design = design(&[("GET /a", 1_000.0)]);
    design.simultaneous = false;
    let found = judge(&design, &policy(), &Tables::default(), &rounds);
    assert_eq!(found.rounds.dropped["steal"], 1);
}

#[test]
fn a_side_that_dies_decides_by_which_it_is_and_how_the_other_does() {
    let said = "the side stopped answering 3.0 s after the start";
    let (a, b) = (Side::Baseline, Side::Candidate);
    for rounds in [rounds(9, 1.0, 0), Vec::new()] {
        let after = |side, healthy| judge_death(run(&rounds), side, healthy, said);
        let dead = after(b, true);
        assert_eq!((dead.verdict, dead.decided), (Verdict::Regressed, true));
        let errors = dead
            .changes
            .iter()
            .find(|it| it.metric == Metric::ErrorRate);
        assert_eq!(errors.unwrap().reason, Reason::Unavailable);
        assert!(dead.causes.is_empty());
        for (side, healthy, words) in [
            (a, true, "repair it and measure again"),
            (a, false, "the candidate was not healthy either"),
            (b, false, "the baseline was not healthy either"),
        ] {
            let dead = after(side, healthy);
            assert_eq!((dead.verdict, dead.decided), (Verdict::Invalid, true));
            let cause = &dead.causes[0];
            assert!(cause.starts_with(said) && cause.contains(words), "{cause}");
        }
    }
}

#[test]
fn nothing_passes_while_a_side_is_failing() {
    let failing = |ratio| judge_failing(run(&rounds(9, ratio, 0)), "the candidate stopped");
    let doubted = failing(1.0);
    assert_eq!(doubted.verdict, Verdict::Inconclusive);
    assert_eq!(doubted.causes[0], "the candidate stopped; measure again");
    assert_eq!(failing(1.5).verdict, Verdict::Regressed);
}

#[test]
fn too_many_drops_are_invalid_until_more_rounds_make_up_for_them() {
    let mut rounds = rounds(14, 1.0, 0);
    for round in &mut rounds[..2] {
        round.sides[0].health.stall_ns = 300_000_000;
    }
    assert_eq!(run(&rounds[..9]).verdict, Verdict::Invalid);
    assert!(!run(&rounds[..9]).decided);
    let later = run(&rounds[..10]);
    assert_eq!((later.verdict, later.decided), (Verdict::Pass, true));
    rounds[2].sides[0].health.stall_ns = 300_000_000;
    let hopeless = run(&rounds[..10]);
    assert_eq!(
        (hopeless.verdict, hopeless.decided),
        (Verdict::Invalid, true)
    );
    assert!(
        hopeless.causes[0].contains("stall 3"),
        "{:?}",
        hopeless.causes
    );
}

#[test]
fn drops_that_follow_the_candidate_are_kept_and_named() {
    let disturbed = |side: usize| {
        let mut rounds = rounds(12, 1.0, 0);
        for round in &mut rounds[..5] {
            round.sides[side].health.cpu_share = 0.9;
        }
        run(&rounds)
    };
    let found = disturbed(1);
    assert_eq!((found.verdict, found.rounds.valid), (Verdict::Pass, 12));
    assert_eq!(found.warnings[0].code, "candidate_drops");
    assert_eq!(disturbed(0).verdict, Verdict::Invalid);
}

/// Conditions of the whole run, with the word that its cause must hold.
#[test]
fn what_spoils_the_whole_run_stands_above_a_regression() {
    type Spoil = fn(&mut RoundEvidence);
    let table: [(&str, Spoil); 4] = [
        ("lower the rate", |r| {
            r.sides.iter_mut().for_each(|side| side.at_cap = true);
        }),
        ("no longer fits", |r| {
            r.sides[0].endpoints.get_mut("GET /a").unwrap().http_errors = 300;
        }),
        ("the limiter was measured", |r| {
            r.sides[1].endpoints.get_mut("GET /a").unwrap().throttled = 6;
        }),
        ("same schedule", |r| {
            r.sides[1].endpoints.get_mut("GET /a").unwrap().scheduled = 980;
        }),
    ];
    for (words, spoil) in table {
        let mut rounds = rounds(10, 1.5, 0);
        rounds.iter_mut().for_each(spoil);
        let found = run(&rounds);
        assert_eq!(
            (found.verdict, found.decided),
            (Verdict::Invalid, true),
            "{words}"
        );
        assert!(found.causes[0].contains(words), "{:?}", found.causes);
    }
}

#[test]
fn a_side_that_stops_answering_is_no_noise() {
    let dead = |side: Side| {
        let mut rounds = rounds(5, 1.0, 0);
        for round in &mut rounds[3..] {
            let figures = round.sides[side.index()]
                .endpoints
                .get_mut("GET /a")
                .unwrap();
            (figures.ok, figures.failures, figures.unanswered) = (0, 1_000, 1_000);
        }
        run(&rounds)
    };
    let found = dead(Side::Candidate);
    assert_eq!((found.verdict, found.decided), (Verdict::Regressed, true));
    assert_eq!(find(&found, Metric::ErrorRate).reason, Reason::Unavailable);
    let found = dead(Side::Baseline);
    assert_eq!((found.verdict, found.decided), (Verdict::Invalid, true));
}

#[test]
fn an_order_effect_is_a_warning() {
    let mut design = design(&[("GET /a", 1_000.0)]);
    design.simultaneous = false;
    let mut rounds = rounds(12, 1.0, 0);
    for round in &mut rounds {
        round.baseline_first = round.round % 2 == 0;
        if round.baseline_first {
            let own = round.sides[1].endpoints.get_mut("GET /a").unwrap();
            own.readings = reads(10.2);
        }
    }
    let found = judge(&design, &policy(), &Tables::default(), &rounds);
    assert_eq!(found.warnings[0].code, "order_effect");
}
