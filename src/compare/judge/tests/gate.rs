//! Which metrics decide: the whole workload, goodput, limits, chosen metrics and weights; and what
//! is only worth a warning.

use super::*;
use crate::{compare::Gate, run::WORKLOAD};

const A: &str = "GET /a";
const B: &str = "GET /b";

/// Two endpoints and what they are together; `change` may spoil a round.
fn two(n: u32, change: impl Fn(&mut RoundEvidence)) -> Vec<RoundEvidence> {
    let mut rounds = rounds(n, 1.0, 0);
    for round in &mut rounds {
        for side in &mut round.sides {
            let other = side.endpoints[A].clone();
            side.endpoints.insert(B.to_owned(), other);
            side.workload = figures(10.0, 2_000, 0);
        }
        change(round);
    }
    rounds
}

fn candidate<'a>(round: &'a mut RoundEvidence, endpoint: &str) -> &'a mut Figures {
    let side = &mut round.sides[1];
    match endpoint {
        WORKLOAD => &mut side.workload,
        _ => side.endpoints.get_mut(endpoint).unwrap(),
    }
}

fn ruled(rounds: &[RoundEvidence], rules: &[&str]) -> Comparison {
    let rules: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
    gated(rounds, Gate::default().with(&rules))
}

fn gated(rounds: &[RoundEvidence], gate: Gate) -> Comparison {
    let design = design(&[(A, 1_000.0), (B, 1_000.0)]);
    let policy = Policy { gate, ..policy() };
    judge(&design, &policy, &Tables::default(), rounds)
}

fn at<'a>(found: &'a Comparison, endpoint: &str, metric: Metric, limit: bool) -> &'a Change {
    let mut own = found.changes.iter();
    let same = |it: &&Change| (it.metric, it.limit.is_some()) == (metric, limit);
    own.find(|it| it.endpoint == endpoint && same(it)).unwrap()
}

fn gate_of(found: &Comparison, endpoint: &str) -> Vec<&'static str> {
    let own = found
        .changes
        .iter()
        .filter(|it| it.gate && it.endpoint == endpoint);
    let mut own: Vec<_> = own.map(|it| it.metric.name()).collect();
    own.sort_unstable();
    own
}

#[test]
fn the_whole_workload_decides_and_is_counted_once() {
    let sound = ruled(&two(8, |_| {}), &[]);
    assert_eq!((sound.verdict, sound.coverage), (Verdict::Pass, 1.0));
    assert_eq!(gate_of(&sound, A), ["errors", "p50", "p99"]);
    assert_eq!(
        gate_of(&sound, WORKLOAD),
        ["errors", "goodput", "p50", "p99"]
    );
    assert_eq!(
        at(&sound, WORKLOAD, Metric::P50, false).requests_per_round,
        2_000.0
    );
    // A tail that no endpoint shows by itself.
    let slow = ruled(
        &two(10, |it| candidate(it, WORKLOAD).readings = reads(13.0)),
        &[],
    );
    assert_eq!(slow.verdict, Verdict::Regressed);
    assert_eq!(slow.changes[0].endpoint, WORKLOAD);
    // A single endpoint is the whole already.
    let single = run(&rounds(8, 1.0, 0));
    assert_eq!(gate_of(&single, WORKLOAD), ["goodput"]);
    assert!(single.changes.iter().all(|it| it.gate || it.endpoint == A));
}

#[test]
fn a_quantile_between_two_endpoints_holds_nothing_up_unless_it_is_named() {
    let jumpy = two(12, |it| {
        let level = if it.round % 3 == 0 { 2.0 } else { 30.0 };
        candidate(it, WORKLOAD).readings = reads(level);
    });
    let found = ruled(&jumpy, &[]);
    let p50 = at(&found, WORKLOAD, Metric::P50, false);
    assert_eq!(
        (p50.status, p50.reason),
        (Status::NotJudged, Reason::Unneeded)
    );
    assert_eq!(found.verdict, Verdict::Pass, "{:?}", found.causes);
    let named = ruled(&jumpy, &["workload:p50=6%"]);
    assert_eq!(named.verdict, Verdict::Inconclusive);
    assert!(
        named
            .causes
            .iter()
            .any(|it| it.contains("the whole workload's p50")),
        "{:?}",
        named.causes
    );
}

#[test]
fn goodput_falls_by_what_was_not_answered_well() {
    let lost = |share: f64| {
        let rounds = two(10, |it| {
            // A little noise, so that the spread is not that of a machine.
            let kept = 1.0 - share * (1.0 + 0.02 * f64::from(it.round % 3));
            candidate(it, WORKLOAD).set(Metric::Goodput, Some(Reading::exactly(kept)));
        });
        ruled(&rounds, &[])
    };
    let found = lost(0.05);
    let goodput = at(&found, WORKLOAD, Metric::Goodput, false);
    assert_eq!(
        (goodput.status, goodput.reason),
        (Status::Regressed, Reason::BeyondTolerance)
    );
    let change = goodput.change.unwrap();
    assert!((change.estimate - 0.051).abs() < 0.001, "{change:?}");
    assert!((goodput.tolerance - 0.02).abs() < 1e-9 && goodput.baseline == Some(1.0));
    assert_eq!(lost(0.001).verdict, Verdict::Pass);
}

#[test]
fn a_limit_is_kept_or_not_whatever_the_baseline_does() {
    // 10 ms at p50 read as 15 ms, at p99 as 19.9 ms.
    let equal = two(8, |_| {});
    for (rule, status, reason) in [
        ("GET /a:p99<30ms", Status::Pass, Reason::Ok),
        ("GET /a:p99<15ms", Status::Regressed, Reason::BeyondLimit),
        ("GET /a:errors<1%", Status::Pass, Reason::Ok),
        ("p99<15ms", Status::Regressed, Reason::BeyondLimit),
        ("workload:p50<20ms", Status::Pass, Reason::Ok),
    ] {
        let metric = if rule.contains("errors") {
            Metric::ErrorRate
        } else if rule.contains("p50") {
            Metric::P50
        } else {
            Metric::P99
        };
        let place = if rule.starts_with("workload") {
            WORKLOAD
        } else {
            A
        };
        let found = ruled(&equal, &[rule]);
        let limit = at(&found, place, metric, true);
        assert_eq!(
            (limit.status, limit.reason, limit.gate),
            (status, reason, true),
            "{rule}"
        );
        assert_eq!((limit.tolerance, limit.minimum_effect), (0.0, 0.0));
        // The change against the baseline is judged beside it, and passes.
        assert_eq!(at(&found, place, metric, false).status, Status::Pass);
        let whole = if status == Status::Pass {
            Verdict::Pass
        } else {
            Verdict::Regressed
        };
        assert_eq!(found.verdict, whole, "{rule}");
    }
    // A candidate at its limit is neither.
    let close = two(12, |it| {
        let level = 10.0 * (1.0 + 0.01 * (f64::from(it.round * 5 % 7) - 3.0));
        candidate(it, A).readings = reads(level);
    });
    let found = ruled(&close, &["GET /a:p99<19.9ms"]);
    let limit = at(&found, A, Metric::P99, true);
    assert_eq!(
        (limit.status, limit.reason),
        (Status::Inconclusive, Reason::Noise)
    );
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(
        found.causes[0].contains("its limit lies inside"),
        "{:?}",
        found.causes
    );
}

#[test]
fn an_error_limit_counts_the_candidate_alone() {
    let failing = two(12, |it| {
        for side in &mut it.sides {
            let own = side.endpoints.get_mut(A).unwrap();
            (own.ok, own.failures) = (960 + u64::from(it.round % 2), 40 - u64::from(it.round % 2));
        }
    });
    let found = ruled(&failing, &["GET /a:errors<1%"]);
    let limit = at(&found, A, Metric::ErrorRate, true);
    assert_eq!(limit.reason, Reason::BeyondLimit);
    let above = limit.change.unwrap();
    assert!(
        (above.estimate - 0.0295).abs() < 1e-3 && above.lower > 0.015,
        "{above:?}"
    );
    assert_eq!(
        ruled(&failing, &["GET /a:errors<8%"])
            .changes
            .iter()
            .filter(|it| it.status == Status::Regressed)
            .count(),
        0
    );
}

#[test]
fn an_open_metric_says_how_much_longer_it_takes() {
    let noisy = two(12, |it| {
        let level = 10.3 * (1.0 + 0.05 * (f64::from(it.round * 5 % 7) - 3.0));
        candidate(it, A).readings = reads(level);
    });
    let found = ruled(&noisy, &[]);
    let p50 = at(&found, A, Metric::P50, false);
    assert_eq!(p50.reason, Reason::Noise);
    let more = p50.more_rounds.unwrap();
    assert_eq!(p50.more_s, Some(4.0 * f64::from(more)));
    assert!(
        found.causes.iter().any(|it| it.contains("more")),
        "{:?}",
        found.causes
    );
    let settled = at(&found, B, Metric::P50, false);
    assert_eq!((settled.more_rounds, settled.more_s), (None, None));
}

#[test]
fn chosen_metrics_decide_and_others_are_only_shown() {
    let slow_tail = two(10, |it| {
        let own = candidate(it, A);
        own.set(Metric::P90, Some(Reading::exactly(60e6)));
    });
    let shown = ruled(&slow_tail, &[]);
    let p90 = at(&shown, A, Metric::P90, false);
    assert_eq!((p90.gate, p90.status), (false, Status::Regressed));
    assert_eq!(shown.verdict, Verdict::Pass);
    let chosen = gated(&slow_tail, Gate::of(&[Metric::P90]));
    assert_eq!(gate_of(&chosen, A), ["errors", "p90"]);
    assert_eq!(chosen.verdict, Verdict::Regressed);
    assert_eq!(
        ruled(&slow_tail, &["GET /a:p90=5%"]).verdict,
        Verdict::Regressed
    );
}

#[test]
fn weights_move_what_can_be_found() {
    let detectable = |gate| {
        let found = gated(&two(12, |it| candidate(it, A).readings = reads(10.0)), gate);
        at(&found, A, Metric::P50, false).detectable.unwrap()
    };
    let even = detectable(Gate::default());
    assert!(detectable(Gate::default().weighted(A, 20.0)) < even);
    assert!(detectable(Gate::default().weighted(B, 20.0)) > even);
}

#[test]
fn other_statuses_and_smaller_answers_are_worth_a_warning() {
    let redirects = two(8, |it| {
        for (side, n) in it.sides.iter_mut().zip([1_u64, 40]) {
            let own = side.endpoints.get_mut(A).unwrap();
            own.statuses = BTreeMap::from([(200, 1_000 - n), (302, n)]);
        }
        candidate(it, B).set(Metric::Size, Some(Reading::exactly(600.0)));
    });
    let found = ruled(&redirects, &[]);
    assert_eq!(found.verdict, Verdict::Pass);
    let codes: Vec<_> = found.warnings.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["status_mix", "smaller_answers"]);
    let text = &found.warnings[0].text;
    assert!(
        text.starts_with("GET /a answers 302 in 4.0 % of the requests, the baseline in 0.10 %"),
        "{text}"
    );
    assert!(
        found.warnings[1]
            .text
            .contains("GET /b are 40 to 40 % smaller"),
        "{:?}",
        found.warnings
    );
    let size = at(&found, B, Metric::Size, false);
    assert_eq!((size.gate, size.reason), (false, Reason::Ok));
    assert!(ruled(&redirects[..7], &[]).warnings.is_empty());
}
