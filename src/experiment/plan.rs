//! From a budget of time to rounds and slots: fixed before the first request.
//!
//! The table is DESIGN's: short budgets measure both sides at the same time, long ones buy
//! rounds first, then longer slots, then the stricter interleaved arrangement.

use serde::{Deserialize, Serialize};

use crate::{
    compare::{LOOK_FIRST, ROUNDS_MAX, Session},
    replay::{Arrangement, Layout},
    units::SECOND_NS,
};

/// Left of the budget for connecting, preflight and the last answers.
const RESERVE_NS: u64 = 5 * SECOND_NS;
/// Shorter windows measure the scheduler of the machine.
const WINDOW_MIN_NS: u64 = SECOND_NS / 2;
/// Slot of the interleaved arrangement where the budget allows it.
const SLOT_NS: u64 = 10 * SECOND_NS;
/// Settle cut of interleaved slots, in nanoseconds, where the budget allows it and no calibration
/// found that they take longer.
pub const SETTLE_NS: u64 = 2 * SECOND_NS;

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
    /// Rounds to cut the time into, in place of as many as the table says; longer ones hold more
    /// requests of a rare endpoint.
    pub rounds: Option<u32>,
    /// Settle cut of interleaved slots that a calibration found, in nanoseconds.
    pub settle_ns: Option<u64>,
}

impl Budget {
    /// Fewer, longer rounds that the same time can be cut into, the most first: what may be tried
    /// when the rounds of the table hold too few requests of an endpoint. None where a length of
    /// the slots was asked for, or the table has no more than twelve.
    pub fn coarser(self) -> impl Iterator<Item = Self> {
        let rounds = [20, 16, 12].into_iter();
        let is_free = self.slot_ns.is_none() && wanted(self.duration_ns) > 12;
        rounds.filter(move |_| is_free).map(move |rounds| Self {
            rounds: Some(rounds),
            ..self
        })
    }
}

/// Rounds that a budget is cut into.
fn wanted(duration_ns: u64) -> u32 {
    match duration_ns / (60 * SECOND_NS) {
        0..2 => 12,
        2..15 => 24,
        _ => ROUNDS_MAX,
    }
}

/// What follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How the time is cut.
    pub layout: Layout,
    /// The sessions of the comparison up to this one.
    pub sessions: Vec<Session>,
    /// Valid rounds that are enough as far as a calibration knows.
    #[serde(default)]
    pub enough: Option<u32>,
}

impl Plan {
    /// The first session of a comparison.
    fn first(layout: Layout) -> Self {
        Self {
            layout,
            sessions: vec![Session {
                last_round: layout.rounds,
                carried_out: false,
            }],
            enough: None,
        }
    }
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
    let wanted = budget.rounds.unwrap_or(wanted(budget.duration_ns));
    let slots = if arrangement == Arrangement::Interleaved {
        4
    } else {
        1
    };
    let settle_ns = budget.settle_ns.unwrap_or(SETTLE_NS);
    let warmup_ns = match budget.warmup_ns {
        None | Some(0) => 0,
        Some(own_ns) if slots == 4 => slots * (own_ns + settle_ns),
        Some(own_ns) => own_ns,
    };
    let usable_ns = budget.duration_ns.saturating_sub(RESERVE_NS + warmup_ns);
    // The discarded round is as long as the others, unless its length was given.
    let discarded = u32::from(budget.warmup_ns.is_none());
    let fitting = |round_ns| fitting(usable_ns, round_ns, discarded);
    let each_ns = usable_ns / u64::from(wanted + discarded) / slots;
    let (rounds, slot_ns, settle_ns) = match (arrangement, budget.slot_ns) {
        (Arrangement::Simultaneous, None) => (wanted, each_ns, 0),
        (Arrangement::Simultaneous, Some(slot_ns)) => (fitting(slot_ns), slot_ns, 0),
        (Arrangement::Interleaved, Some(slot_ns)) => {
            let settle_ns = settle_ns.min(slot_ns / 5);
            (fitting(slots * (slot_ns + settle_ns)), slot_ns, settle_ns)
        }
        (Arrangement::Interleaved, None) => {
            let full = fitting(slots * (SLOT_NS + settle_ns));
            if budget.rounds.is_none() && full >= wanted.min(LOOK_FIRST + 4) {
                (full, SLOT_NS, settle_ns)
            } else {
                let settle_ns = settle_ns.min(each_ns / 6);
                (wanted, each_ns - settle_ns, settle_ns)
            }
        }
    };
    if rounds < LOOK_FIRST || slot_ns < WINDOW_MIN_NS {
        let rounds = rounds.max(LOOK_FIRST) + discarded;
        let slot_ns = slot_ns.max(WINDOW_MIN_NS);
        let settle_ns = if slots == 4 {
            settle_ns.max(slot_ns / 5)
        } else {
            0
        };
        let needed_ns = RESERVE_NS + warmup_ns + u64::from(rounds) * slots * (slot_ns + settle_ns);
        return Err(PlanError::TooShort {
            given: show(budget.duration_ns),
            rounds,
            needed: show(needed_ns.div_ceil(SECOND_NS) * SECOND_NS),
        });
    }
    let arrangement = Some(arrangement);
    let warmup_ns = Some(budget.warmup_ns.unwrap_or(slot_ns)).filter(|own_ns| *own_ns > 0);
    let layout = Layout {
        arrangement,
        before: 0,
        rounds,
        warmup_ns,
        slot_ns,
        settle_ns,
    };
    Ok(Plan::first(layout))
}

/// Rounds that fit beside the discarded one.
fn fitting(usable_ns: u64, round_ns: u64, discarded: u32) -> u32 {
    let rounds = usable_ns / round_ns.max(1);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    rounds.saturating_sub(discarded).min(ROUNDS_MAX)
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
        assert_eq!(short.layout.rounds, 12);
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
    }

    #[test]
    fn no_plan_is_longer_than_its_budget() {
        for seconds in [12, 30, 60, 119, 120, 899, 900, 1200, 3600] {
            for arrangement in [Arrangement::Simultaneous, Arrangement::Interleaved] {
                let duration_ns = seconds * SECOND_NS;
                for warmup_ns in [None, Some(0), Some(20 * SECOND_NS)] {
                    let budget = Budget {
                        duration_ns,
                        arrangement: Some(arrangement),
                        warmup_ns,
                        ..Budget::default()
                    };
                    for budget in std::iter::once(budget).chain(budget.coarser()) {
                        let Ok(plan) = plan(budget) else { continue };
                        let total_ns = plan.layout.total_ns();
                        assert!(total_ns + RESERVE_NS <= duration_ns, "{budget:?}");
                        assert!((LOOK_FIRST..=ROUNDS_MAX).contains(&plan.layout.rounds));
                    }
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
