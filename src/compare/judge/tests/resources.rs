//! CPU and memory of the sides: judged where they were read, and nowhere else.

use super::*;
use crate::{compare::Gate, run::WORKLOAD};

/// CPU for a request and memory by round: of the candidate, in units of the baseline's; `None`
/// where nobody could read them.
fn used(n: u32, of: impl Fn(u32) -> Option<[f64; 2]>) -> Vec<RoundEvidence> {
    let mut rounds = rounds(n, 1.0, 0);
    for round in &mut rounds {
        let noise = 1.0 + 0.002 * f64::from(round.round * 7 % 5);
        let of_baseline = of(round.round).map(|_| [noise, noise]);
        let own = [of_baseline, of(round.round)];
        for (side, own) in round.sides.iter_mut().zip(own) {
            let read = |of: usize, unit: f64| own.map(|it| Reading::exactly(unit * it[of]));
            side.workload.set(Metric::Cpu, read(0, 40e3));
            side.workload.set(Metric::Memory, read(1, 50e6));
        }
    }
    rounds
}

fn row(found: &Comparison, metric: Metric) -> Option<&Change> {
    let mut own = found.changes.iter();
    own.find(|change| change.metric == metric)
}

fn ruled(rounds: &[RoundEvidence], rule: &str) -> Comparison {
    let gate = Gate::default().with(&[rule.parse().unwrap()]);
    let design = design(&[("GET /a", 1_000.0)]);
    let policy = Policy { gate, ..policy() };
    judge(&design, &policy, &Tables::default(), rounds)
}

#[test]
fn cpu_decides_and_memory_is_shown() {
    let sound = run(&used(8, |_| Some([1.0, 1.0])));
    assert_eq!(sound.verdict, Verdict::Pass, "{:?}", sound.causes);
    let cpu = row(&sound, Metric::Cpu).unwrap();
    assert_eq!((cpu.gate, cpu.status), (true, Status::Pass));
    assert_eq!(cpu.endpoint, WORKLOAD);
    let memory = row(&sound, Metric::Memory).unwrap();
    assert!(!memory.gate && memory.endpoint == WORKLOAD);
    let costly = run(&used(10, |_| Some([1.1, 1.5])));
    assert_eq!(costly.verdict, Verdict::Regressed);
    let bad = costly
        .changes
        .iter()
        .filter(|it| it.status == Status::Regressed);
    let bad: Vec<_> = bad.map(|it| (it.metric, it.gate)).collect();
    assert_eq!(bad, [(Metric::Cpu, true), (Metric::Memory, false)]);
    let change = row(&costly, Metric::Cpu).unwrap().change.unwrap();
    assert!((change.estimate - 0.096).abs() < 0.005, "{change:?}");
    // Memory alone fails nothing by default, and everything where it was asked for.
    let large = used(10, |_| Some([1.0, 1.5]));
    assert_eq!(run(&large).verdict, Verdict::Pass);
    assert_eq!(
        ruled(&large, "workload:memory=10%").verdict,
        Verdict::Regressed
    );
}

#[test]
fn what_was_not_read_is_no_part_of_a_comparison_unless_it_was_asked_for() {
    let without = used(8, |_| None);
    let found = run(&without);
    assert_eq!(found.verdict, Verdict::Pass);
    assert_eq!(
        (row(&found, Metric::Cpu), row(&found, Metric::Memory)),
        (None, None)
    );
    let asked = ruled(&without, "workload:cpu=5%");
    assert_eq!(asked.verdict, Verdict::Inconclusive);
    let cpu = row(&asked, Metric::Cpu).unwrap();
    assert_eq!(
        (cpu.status, cpu.reason),
        (Status::NotJudged, Reason::Missing)
    );
}

#[test]
fn a_side_that_was_lost_on_the_way_passes_nothing() {
    let lost = run(&used(12, |round| (round < 7).then_some([1.0, 1.0])));
    assert_eq!(lost.verdict, Verdict::Inconclusive);
    assert!(
        lost.causes.iter().any(|it| it.contains("cpu")),
        "{:?}",
        lost.causes
    );
}
