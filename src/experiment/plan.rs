//! From a budget of time to rounds, slots and looks: fixed before the first request.
//!
//! The table is DESIGN's: short budgets measure both sides at the same time, long ones buy
//! rounds first, then longer slots, then the stricter interleaved arrangement.

use serde::{Deserialize, Serialize};

use crate::{
    replay::{Arrangement, Layout},
    units::SECOND_NS,
};

/// Left of the budget for connecting, preflight and the last answers.
const RESERVE_NS: u64 = 5 * SECOND_NS;
/// Shorter windows measure the scheduler of the machine.
const WINDOW_MIN_NS: u64 = SECOND_NS / 2;
/// The first look; fewer rounds carry no verdict (method.md 2.5).
const LOOK_FIRST: u32 = 8;
/// More rounds than this are not planned (method.md 2.11).
const ROUNDS_MAX: u32 = 40;
/// Slot and settle cut of the interleaved arrangement where the budget allows them.
const SLOT_NS: u64 = 10 * SECOND_NS;
const SETTLE_NS: u64 = 2 * SECOND_NS;

/// What the user gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// The whole time, in nanoseconds.
    pub duration_ns: u64,
    /// The arrangement, if one was asked for.
    pub arrangement: Option<Arrangement>,
    /// The length of a slot, if one was asked for, in nanoseconds.
    pub slot_ns: Option<u64>,
    /// The length of the slots that are sent first and discarded, if one was asked for.
    pub warmup_ns: Option<u64>,
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How the time is cut.
    pub layout: Layout,
    /// After how many valid rounds the evidence is looked at.
    pub looks: Vec<u32>,
}

/// Why a budget cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too short for the smallest plan.
    #[error("{given} is too short: {rounds} rounds need at least {needed}; give -d {needed}")]
    TooShort {
        /// The budget.
        given: String,
        /// Rounds, the discarded one included.
        rounds: u32,
        /// The shortest budget that would do.
        needed: String,
    },
}

/// Plans a comparison.
///
/// # Errors
/// When the budget is too short for eight rounds and the discarded one.
pub fn plan(budget: Budget) -> Result<Plan, PlanError> {
    let minutes = budget.duration_ns / (60 * SECOND_NS);
    let arrangement = budget.arrangement.unwrap_or(if minutes >= 15 {
        Arrangement::Interleaved
    } else {
        Arrangement::Simultaneous
    });
    let wanted = match minutes {
        0..2 => 12,
        2..15 => 24,
        _ => ROUNDS_MAX,
    };
    let slots = if arrangement == Arrangement::Interleaved {
        4
    } else {
        1
    };
    let usable_ns = budget.duration_ns.saturating_sub(RESERVE_NS);
    let (rounds, slot_ns, settle_ns) = match (arrangement, budget.slot_ns) {
        (Arrangement::Simultaneous, None) => (wanted, usable_ns / u64::from(wanted + 1), 0),
        (Arrangement::Simultaneous, Some(slot_ns)) => (fitting(usable_ns, slot_ns), slot_ns, 0),
        (Arrangement::Interleaved, Some(slot_ns)) => {
            let settle_ns = SETTLE_NS.min(slot_ns / 5);
            (
                fitting(usable_ns, slots * (slot_ns + settle_ns)),
                slot_ns,
                settle_ns,
            )
        }
        (Arrangement::Interleaved, None) => {
            let full = fitting(usable_ns, slots * (SLOT_NS + SETTLE_NS));
            if full >= wanted.min(LOOK_FIRST + 4) {
                (full, SLOT_NS, SETTLE_NS)
            } else {
                let each_ns = usable_ns / u64::from(wanted + 1) / slots;
                (wanted, each_ns - each_ns / 6, each_ns / 6)
            }
        }
    };
    if rounds < LOOK_FIRST || slot_ns < WINDOW_MIN_NS {
        let rounds = rounds.max(LOOK_FIRST) + 1;
        let slot_ns = slot_ns.max(WINDOW_MIN_NS);
        let settle_ns = if slots == 4 {
            settle_ns.max(slot_ns / 5)
        } else {
            0
        };
        let needed_ns = RESERVE_NS + u64::from(rounds) * slots * (slot_ns + settle_ns);
        return Err(PlanError::TooShort {
            given: show(budget.duration_ns),
            rounds,
            needed: show(needed_ns.div_ceil(SECOND_NS) * SECOND_NS),
        });
    }
    let arrangement = Some(arrangement);
    let warmup_ns = Some(budget.warmup_ns.unwrap_or(slot_ns));
    let layout = Layout {
        arrangement,
        rounds,
        warmup_ns,
        slot_ns,
        settle_ns,
    };
    Ok(Plan {
        layout,
        looks: looks(rounds),
    })
}

/// Rounds that fit beside the discarded one.
fn fitting(usable_ns: u64, round_ns: u64) -> u32 {
    let rounds = usable_ns / round_ns.max(1);
    u32::try_from(rounds.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(ROUNDS_MAX)
}

/// Every second round from the first look on, and the last.
fn looks(rounds: u32) -> Vec<u32> {
    let mut looks: Vec<u32> = (LOOK_FIRST..=rounds).step_by(2).collect();
    if looks.last() != Some(&rounds) {
        looks.pop();
        looks.push(rounds);
    }
    looks
}

fn show(ns: u64) -> String {
    humantime::format_duration(std::time::Duration::from_nanos(ns))
        .to_string()
        .replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(seconds: u64) -> Plan {
        plan(Budget {
            duration_ns: seconds * SECOND_NS,
            ..Budget::default()
        })
        .unwrap()
    }

    #[test]
    fn the_budget_decides_as_the_table_says() {
        let short = planned(60);
        assert_eq!(short.layout.arrangement, Some(Arrangement::Simultaneous));
        assert_eq!((short.layout.rounds, short.looks), (12, vec![8, 10, 12]));
        assert_eq!(short.layout.slot_ns, 55 * SECOND_NS / 13);
        let middle = planned(300);
        assert_eq!(middle.layout.rounds, 24);
        assert_eq!(middle.layout.slot_ns, 295 * SECOND_NS / 25);
        let long = planned(1200);
        assert_eq!(long.layout.arrangement, Some(Arrangement::Interleaved));
        assert_eq!(
            (long.layout.slot_ns, long.layout.settle_ns),
            (SLOT_NS, SETTLE_NS)
        );
        assert_eq!(long.layout.rounds, 23);
        assert_eq!(*long.looks.last().unwrap(), 23);
    }

    #[test]
    fn no_plan_is_longer_than_its_budget() {
        for seconds in [12, 30, 60, 119, 120, 899, 900, 1200, 3600] {
            for arrangement in [Arrangement::Simultaneous, Arrangement::Interleaved] {
                let duration_ns = seconds * SECOND_NS;
                let budget = Budget {
                    duration_ns,
                    arrangement: Some(arrangement),
                    ..Budget::default()
                };
                if let Ok(plan) = plan(budget) {
                    assert!(
                        plan.layout.total_ns() + RESERVE_NS <= duration_ns,
                        "{budget:?}"
                    );
                    assert!(plan.looks[0] == 8 && plan.looks.is_sorted());
                    assert_eq!(*plan.looks.last().unwrap(), plan.layout.rounds);
                }
            }
        }
    }

    #[test]
    fn a_budget_that_is_too_short_names_one_that_is_not() {
        for (budget, arrangement) in [(5, None), (1, None), (20, Some(Arrangement::Interleaved))] {
            let duration_ns = budget * SECOND_NS;
            let budget = Budget {
                duration_ns,
                arrangement,
                ..Budget::default()
            };
            let PlanError::TooShort { needed, .. } = plan(budget).unwrap_err();
            let needed = humantime::parse_duration(&needed).unwrap();
            let duration_ns = u64::try_from(needed.as_nanos()).unwrap();
            assert!(
                plan(Budget {
                    duration_ns,
                    ..budget
                })
                .is_ok(),
                "{needed:?}"
            );
        }
    }
}
