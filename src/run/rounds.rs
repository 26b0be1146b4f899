//! The rounds of one side of a run, for a comparison with a side that was measured at another
//! time. Pure; nothing is judged here.

use std::collections::BTreeMap;

use super::{Run, RunHeader, Side, Slot};

/// The word in the plan of a run file whose sides were not measured together.
pub const STORED: &str = "stored";

/// How the slots of a run were put side by side: `simultaneous`, `interleaved`, [`STORED`], or
/// nothing for a run of one side.
pub fn arrangement(header: &RunHeader) -> Option<&str> {
    let plan = &header.plan;
    let said = plan.get("layout").unwrap_or(plan).get("arrangement");
    said.and_then(serde_json::Value::as_str)
}

/// The rounds of a side in order, each as one slot at position 0. Where the sides were measured
/// together, the slots of a round make a round; elsewhere two successive slots do (method.md 8).
/// Round 0 is left out, and so is every round that was not carried out completely.
pub fn side_rounds(run: &Run, side: Side) -> Vec<Slot> {
    let per_round = if arrangement(&run.header) == Some("simultaneous") {
        1
    } else {
        2
    };
    let together = ["simultaneous", "interleaved"];
    let is_numbered = arrangement(&run.header).is_some_and(|it| together.contains(&it));
    let mut rounds: BTreeMap<u32, Vec<&Slot>> = BTreeMap::new();
    for slot in &run.slots {
        if slot.side == side && slot.round > 0 {
            let round = if is_numbered {
                slot.round
            } else {
                slot.round.div_ceil(2)
            };
            rounds.entry(round).or_default().push(slot);
        }
    }
    let whole = |slots: &Vec<&Slot>| slots.len() == per_round && slots.iter().all(|it| it.complete);
    let rounds = rounds.into_iter().filter(|(_, slots)| whole(slots));
    rounds
        .filter_map(|(round, slots)| joined(round, slots))
        .collect()
}

/// Several slots as one.
fn joined(round: u32, mut slots: Vec<&Slot>) -> Option<Slot> {
    slots.sort_by_key(|slot| slot.start_ns);
    let (first, rest) = slots.split_first()?;
    let mut sum = Slot {
        round,
        position: 0,
        // Of other times and maybe of other machines: nothing to compare.
        resources: None,
        // Loads that began at other times have no second in common.
        medians_ns: Vec::new(),
        ..(*first).clone()
    };
    for slot in rest {
        sum.length_ns += slot.length_ns;
        for (name, stats) in &slot.endpoints {
            sum.endpoints.entry(name.clone()).or_default().merge(stats);
        }
        sum.connections.merge(&slot.connections);
        sum.health.merge(&slot.health);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Class, ConnectionStats, EndpointStats, Health, WorkloadRecord};

    fn slot(round: u32, position: u8, side: Side) -> Slot {
        let mut stats = EndpointStats {
            scheduled: 1,
            ..EndpointStats::default()
        };
        stats.classes.insert(Class::Ok, 1);
        stats.response.record(1_000_000 * u64::from(round + 1));
        Slot {
            round,
            position,
            side,
            start_ns: u64::from(round) * 10 + u64::from(position),
            length_ns: 10,
            settle_ns: 0,
            medians_ns: Vec::new(),
            complete: true,
            endpoints: BTreeMap::from([("GET /".to_owned(), stats)]),
            connections: ConnectionStats::default(),
            health: Health::default(),
            resources: None,
        }
    }

    fn run(plan: serde_json::Value, slots: Vec<Slot>) -> Run {
        Run {
            header: RunHeader {
                proofload_run: crate::run::VERSION,
                version: String::new(),
                run_id: String::new(),
                started_at: String::new(),
                seed: 1,
                targets: BTreeMap::new(),
                workload: WorkloadRecord::default(),
                plan,
                config: serde_json::Value::Null,
            },
            slots,
            footer: None,
            damage: None,
        }
    }

    /// The numbers of the rounds and how many requests each has.
    fn shape(run: &Run, side: Side) -> Vec<(u32, u64)> {
        let rounds = side_rounds(run, side);
        let shape = rounds
            .iter()
            .map(|it| (it.round, it.endpoints["GET /"].response.count()));
        shape.collect()
    }

    #[test]
    fn two_slots_of_a_run_make_a_round_and_halves_are_left_out() {
        let mut slots: Vec<_> = (0..=7).map(|n| slot(n, 0, Side::Candidate)).collect();
        slots[3].complete = false;
        let found = run(serde_json::json!({"arrangement": null}), slots.clone());
        assert_eq!(shape(&found, Side::Candidate), [(1, 2), (3, 2)]);
        assert_eq!(side_rounds(&found, Side::Candidate)[0].length_ns, 20);
        assert_eq!(shape(&found, Side::Baseline), []);
        let stored = run(serde_json::json!({"arrangement": "stored"}), slots);
        assert_eq!(shape(&stored, Side::Candidate).len(), 2);
    }

    #[test]
    fn a_side_of_a_comparison_keeps_its_rounds() {
        let plan = serde_json::json!({"layout": {"arrangement": "simultaneous"}, "looks": [8]});
        let both = |n| Side::BOTH.map(|side| slot(n, 0, side));
        let simultaneous = run(plan, (0..=2).flat_map(both).collect());
        for side in Side::BOTH {
            assert_eq!(shape(&simultaneous, side), [(1, 1), (2, 1)]);
        }
        let plan = serde_json::json!({"layout": {"arrangement": "interleaved"}});
        let [a, b] = Side::BOTH;
        let turns = [(1, 0, a), (1, 1, b), (1, 2, b), (1, 3, a), (2, 0, b)];
        let interleaved = run(plan, turns.map(|(n, p, side)| slot(n, p, side)).to_vec());
        assert_eq!(shape(&interleaved, a), [(1, 2)]);
        assert_eq!(shape(&interleaved, b), [(1, 2)]);
    }
}
