//! When the evidence is looked at, and what each look may spend.
//!
//! A session is one stretch of measuring: the comparison itself, then each time it was resumed.
//! It is planned as one or two segments, and each segment spends nine tenths of what is left of
//! alpha, so that there is always something left for a session that nobody has thought of yet.
//! What a look may spend never depends on the result: the first segment ends where the spread of
//! the first rounds says that enough will be known (the internal pilot of method.md 2.8), the
//! second with the session. Rounds that were dropped bring the last look of a session forward.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Design, RoundEvidence,
    spending::{Boundaries, Look, share_spent},
};

/// The first look: fewer rounds carry no verdict (method.md 2.5).
pub const LOOK_FIRST: u32 = 8;
/// Rounds between two looks (method.md 2.5).
const LOOK_EVERY: u32 = 2;
/// What a segment leaves of alpha.
const KEPT: f64 = 0.1;

/// What of alpha the looks of a first segment may spend.
pub(super) const FIRST_SHARE: f64 = 1.0 - KEPT;

/// The looks of a comparison so far, in order. `last` is the number of the last round measured,
/// valid or not, and `enough` what the pilot says: after so many valid rounds the first segment
/// ends.
pub(super) fn looks(
    design: &Design,
    valid: &[&RoundEvidence],
    last: Option<u32>,
    enough: Option<u32>,
) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let (mut begin, mut spent) = (0, 0.0);
    let mut last_before = 0;
    for (n, session) in design.sessions.iter().enumerate() {
        let planned = session.last_round.saturating_sub(last_before);
        let done = valid
            .iter()
            .filter(|it| it.round <= session.last_round)
            .count();
        let done = u32::try_from(done).unwrap_or(u32::MAX);
        let is_past = n + 1 < design.sessions.len();
        let reached = last.is_some_and(|round| round >= session.last_round);
        let ends = segments(begin, begin + planned, enough.filter(|_| n == 0));
        let mut own = Vec::new();
        let mut left = spent;
        for pair in ends.windows(2) {
            left = segment(&mut own, (pair[0], pair[1]), left);
        }
        if session.carried_out || reached {
            // The last look spends what the session may, whatever was dropped for reasons that
            // do not look at the result.
            own.retain(|look| look.rounds < done);
            if done >= LOOK_FIRST && done > begin {
                own.push(Look {
                    rounds: done,
                    spent: left,
                });
            }
        } else if is_past {
            own.retain(|look| look.rounds <= done);
        }
        spent = own.last().map_or(spent, |look| look.spent);
        looks.extend(own);
        begin = done;
        last_before = session.last_round;
    }
    looks
}

/// Where the segments of a session begin and end, in valid rounds.
fn segments(begin: u32, end: u32, enough: Option<u32>) -> Vec<u32> {
    let middle = enough.filter(|n| *n > begin && *n < end);
    [Some(begin), middle, Some(end)]
        .into_iter()
        .flatten()
        .collect()
}

/// Adds the looks of a segment that begins with `spent` of alpha gone; returns what is gone at
/// its end.
fn segment(looks: &mut Vec<Look>, (begin, end): (u32, u32), spent: f64) -> f64 {
    let goal = spent + (1.0 - spent) * (1.0 - KEPT);
    let first = (begin + LOOK_EVERY).max(LOOK_FIRST);
    let mut rounds: Vec<u32> = (first..=end).step_by(LOOK_EVERY as usize).collect();
    if end >= first && rounds.last() != Some(&end) {
        // A look one round before the last would cost more than it tells.
        rounds.pop();
        rounds.push(end);
    }
    let length = f64::from(end.saturating_sub(begin).max(1));
    looks.extend(rounds.into_iter().map(|rounds| {
        let share = share_spent(f64::from(rounds - begin) / length);
        Look {
            rounds,
            spent: spent + (goal - spent) * share,
        }
    }));
    goal
}

/// The critical values of the courses that were asked for, each computed once. A table takes
/// some 50 ms, and the same few are asked for after each round.
#[derive(Debug, Default)]
pub struct Tables {
    known: Mutex<HashMap<Key, Arc<Boundaries>>>,
}

/// Looks as (rounds, bits of the share spent).
type Key = Vec<(u32, u64)>;

impl Tables {
    /// The critical values of these looks.
    pub(super) fn of(&self, looks: Vec<Look>) -> Arc<Boundaries> {
        let key = looks
            .iter()
            .map(|look| (look.rounds, look.spent.to_bits()))
            .collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let table = known
            .entry(key)
            .or_insert_with(|| Arc::new(Boundaries::of(looks)));
        Arc::clone(table)
    }

    /// The critical values as they are planned, before any round.
    pub fn planned(&self, design: &Design) -> Arc<Boundaries> {
        self.of(looks(design, &[], None, design.enough))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Session;

    fn design(sessions: &[(u32, bool)]) -> Design {
        let mut design = Design::new(1, true, std::collections::BTreeMap::new());
        design.sessions = sessions
            .iter()
            .map(|&(last_round, carried_out)| Session {
                last_round,
                carried_out,
            })
            .collect();
        design
    }

    fn found(sessions: &[(u32, bool)], valid: &[u32], enough: Option<u32>) -> Vec<(u32, f64)> {
        let rounds: Vec<RoundEvidence> = valid
            .iter()
            .map(|&round| RoundEvidence {
                round,
                ..RoundEvidence::default()
            })
            .collect();
        let all: Vec<&RoundEvidence> = rounds.iter().collect();
        let looks = looks(&design(sessions), &all, valid.last().copied(), enough);
        assert!(
            looks
                .windows(2)
                .all(|pair| { pair[0].rounds < pair[1].rounds && pair[0].spent <= pair[1].spent })
        );
        looks
            .iter()
            .map(|look| (look.rounds, (look.spent * 1e4).round() / 1e4))
            .collect()
    }

    #[test]
    fn one_session_spends_nine_tenths_and_no_round_changes_that() {
        let h = |t| (9e3 * share_spent(t)).round() / 1e4;
        let plan = [(8, h(8.0 / 12.0)), (10, h(10.0 / 12.0)), (12, 0.9)];
        assert_eq!(found(&[(12, false)], &[], None), plan);
        assert_eq!(found(&[(12, false)], &[1, 2, 4, 5], None), plan);
        let all: Vec<u32> = (1..=12).collect();
        assert_eq!(found(&[(12, false)], &all, None), plan);
        let odd = found(&[(11, false)], &[], None);
        assert_eq!(odd.iter().map(|it| it.0).collect::<Vec<_>>(), [8, 11]);
        assert_eq!(found(&[(7, false)], &[], None), []);
    }

    #[test]
    fn the_pilot_ends_a_segment_and_the_rest_may_spend_nine_tenths_of_the_rest() {
        let looks = found(&[(12, false)], &[], Some(8));
        assert_eq!(looks[0], (8, 0.9));
        assert_eq!(looks[2], (12, 0.99));
        assert_eq!(
            found(&[(12, false)], &[], Some(12)),
            found(&[(12, false)], &[], None)
        );
    }

    #[test]
    fn dropped_rounds_bring_the_last_look_forward() {
        // The last round came, three others had been dropped.
        let some = [1, 2, 3, 5, 6, 8, 10, 11, 12];
        let looks = found(&[(12, false)], &some, None);
        assert_eq!(looks.iter().map(|it| it.0).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(looks[1].1, 0.9);
        // The last round itself was dropped: only its end says that no more will come.
        let looks = found(&[(12, true)], &some[..8], None);
        assert_eq!(looks, [(8, 0.9)]);
        assert_eq!(found(&[(12, true)], &some[..6], None), []);
    }

    #[test]
    fn a_resumed_comparison_goes_on_with_what_is_left() {
        let first: Vec<u32> = (1..=12).collect();
        let looks = found(&[(12, true), (24, false)], &first, None);
        assert_eq!((looks[2], looks[3].0), ((12, 0.9), 14));
        assert_eq!(*looks.last().unwrap(), (24, 0.99));
        // Interrupted after nine: the looks that there were stay as they were.
        let looks = found(&[(12, false), (24, false)], &first[..9], None);
        assert_eq!(looks[0], found(&[(12, false)], &[], None)[0]);
        assert_eq!(looks[1].0, 11);
        // Too short for any look: the next session has the first one.
        let looks = found(&[(12, false), (24, false)], &first[..3], None);
        assert_eq!(looks[0].0, 8);
    }

    #[test]
    fn a_table_is_made_once() {
        let tables = Tables::default();
        let plan = design(&[(12, false)]);
        assert!(Arc::ptr_eq(&tables.planned(&plan), &tables.planned(&plan)));
        assert_eq!(tables.planned(&design(&[])).looks().len(), 0);
    }
}
