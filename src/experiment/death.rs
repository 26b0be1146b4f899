//! Whether a side has died: for five seconds of load nearly everything that ended had met nobody.
//!
//! Fed with time and counters; knows no clock and no sockets. Rounds would show it too, but the
//! rounds of a long comparison take a minute.

use crate::{
    run::Side,
    units::{SECOND_NS, seconds},
};

/// How long a side is loaded in vain before it is given up.
const LASTING_NS: u64 = 5 * SECOND_NS;
/// Long enough to be named when the load has ended for another reason.
const NOTICED_NS: u64 = SECOND_NS / 2;
/// Fewer requests than this say nothing.
const REQUESTS_MIN: u64 = 20;
/// A longer pause is time in which this side was not loaded, or in which we stood still.
const GAP_MAX_NS: u64 = SECOND_NS;

/// What one side's counters show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Requests that were sent and have ended.
    pub(super) ended: u64,
    /// Those of them to which there was no sign of life.
    pub(super) unanswered: u64,
}

impl Counts {
    fn since(self, earlier: Self) -> Self {
        Self {
            ended: self.ended.saturating_sub(earlier.ended),
            unanswered: self.unanswered.saturating_sub(earlier.unanswered),
        }
    }

    fn is_dead(self) -> bool {
        self.ended > 0 && self.unanswered * 100 >= self.ended * 99
    }

    fn is_healthy(self) -> bool {
        self.ended > 0 && self.unanswered * 10 <= self.ended
    }
}

/// A side that no longer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death {
    /// Which one.
    pub side: Side,
    /// When it was last seen to answer, in nanoseconds after the start.
    pub at_ns: u64,
    /// Whether the other side went on answering.
    pub other_is_healthy: bool,
}

impl Death {
    /// Who stopped answering and when; `who` is its name in this kind of run.
    pub fn sentence(&self, who: &str) -> String {
        let at = seconds(self.at_ns);
        format!("the {who} stopped answering {at:.1} s after the start")
    }
}

/// An unbroken stretch of failures of one side.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    at_ns: u64,
    /// The counters of both sides when it began.
    base: [Counts; 2],
    /// Time under load in it.
    lasted_ns: u64,
    seen_ns: u64,
}

/// Follows both sides through a run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    takes_turns: bool,
    before_ns: u64,
    before: [Counts; 2],
    stretches: [Option<Stretch>; 2],
    /// The last look that found an answer of each side: a silent target fails its requests only
    /// when their time-outs have passed.
    answered_ns: [Option<u64>; 2],
}

impl Watch {
    /// Says whether the sides are loaded in turns: then silence is only a turn of the other one.
    pub(super) fn new(takes_turns: bool) -> Self {
        Self {
            takes_turns,
            ..Self::default()
        }
    }

    /// Takes the counters of both sides at this instant; says so when one has died.
    pub(super) fn look(&mut self, now_ns: u64, now: [Counts; 2]) -> Option<Death> {
        for side in Side::BOTH {
            self.follow(side.index(), now_ns, now);
        }
        self.before_ns = now_ns;
        self.before = now;
        self.longer_than(LASTING_NS)
    }

    /// The side that has not been answering lately, though not for long enough to end a run.
    pub(super) fn failing(&self) -> Option<Death> {
        self.longer_than(NOTICED_NS)
    }

    fn follow(&mut self, side: usize, now_ns: u64, now: [Counts; 2]) {
        let fresh = now[side].since(self.before[side]);
        if fresh.ended == 0 {
            return;
        }
        let answered_ns = self.answered_ns[side].filter(|_| !self.takes_turns);
        let before_ns = answered_ns.unwrap_or(self.before_ns);
        if fresh.unanswered < fresh.ended {
            self.answered_ns[side] = Some(now_ns);
        }
        if let Some(stretch) = &mut self.stretches[side]
            && now[side].since(stretch.base[side]).is_dead()
        {
            stretch.lasted_ns += now_ns.saturating_sub(stretch.seen_ns).min(GAP_MAX_NS);
            stretch.seen_ns = now_ns;
            return;
        }
        // What was answered ends a stretch; another may begin with the same look.
        self.stretches[side] = fresh.is_dead().then_some(Stretch {
            at_ns: before_ns.min(self.before_ns),
            base: self.before,
            lasted_ns: now_ns.saturating_sub(self.before_ns).min(GAP_MAX_NS),
            seen_ns: now_ns,
        });
    }

    fn longer_than(&self, least_ns: u64) -> Option<Death> {
        Side::BOTH.into_iter().find_map(|side| {
            let stretch = self.stretches[side.index()]?;
            let within = |side: Side| {
                let index = side.index();
                self.before[index].since(stretch.base[index])
            };
            let died = stretch.lasted_ns >= least_ns && within(side).ended >= REQUESTS_MIN;
            let other = within(side.other());
            // While the sides take turns, the other one is known from its turns before.
            let other = if other.ended > 0 {
                other
            } else {
                self.before[side.other().index()]
            };
            died.then_some(Death {
                side,
                at_ns: stretch.at_ns,
                other_is_healthy: other.is_healthy(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = SECOND_NS / 10;

    /// What ends in one tick on one side: answered, and not.
    type Tick = (u64, u64);

    /// Who is dead, since which second, and whether the other side is well.
    type Wanted = Option<(Side, u64, bool)>;

    /// Seconds of equal ticks: how many, the baseline's, the candidate's.
    type Phase = (u64, Tick, Tick);

    fn watch(phases: &[Phase]) -> (Option<(u64, Death)>, Watch) {
        let is_turn = |(_, a, b): &Phase| (*a == (0, 0)) != (*b == (0, 0));
        let mut watch = Watch::new(phases.iter().any(is_turn));
        let mut now = [Counts::default(); 2];
        let mut now_ns = 0;
        for (seconds, baseline, candidate) in phases {
            for _ in 0..seconds * 10 {
                now_ns += TICK_NS;
                for (counts, (answered, unanswered)) in now.iter_mut().zip([baseline, candidate]) {
                    counts.ended += answered + unanswered;
                    counts.unanswered += unanswered;
                }
                if let Some(death) = watch.look(now_ns, now) {
                    return (Some((now_ns, death)), watch);
                }
            }
        }
        (None, watch)
    }

    #[test]
    fn a_side_is_dead_after_five_seconds_of_load_in_vain() {
        let (fine, gone, none, ill) = ((10, 0), (0, 10), (0, 0), (5, 5));
        let dead = |side, at_s: u64, healthy| Some((side, at_s, healthy));
        let (a, b) = (Side::Baseline, Side::Candidate);
        let table: [(&str, &[Phase], Wanted); 13] = [
            ("healthy", &[(30, fine, fine)], None),
            (
                "one dies",
                &[(3, fine, fine), (6, fine, gone)],
                dead(b, 3, true),
            ),
            (
                "the other",
                &[(4, fine, fine), (6, gone, fine)],
                dead(a, 4, true),
            ),
            (
                "both",
                &[(3, fine, fine), (6, gone, gone)],
                dead(a, 3, false),
            ),
            (
                "with an ill other",
                &[(3, fine, fine), (6, ill, gone)],
                dead(b, 3, false),
            ),
            (
                "a run of one side",
                &[(3, none, fine), (6, none, gone)],
                dead(b, 3, false),
            ),
            (
                "it comes back",
                &[(3, fine, fine), (4, fine, gone), (20, fine, fine)],
                None,
            ),
            ("half of it", &[(30, fine, ill)], None),
            ("nothing ends", &[(3, fine, fine), (30, fine, none)], None),
            (
                "too few",
                &[(3, fine, fine), (1, fine, (0, 1)), (30, fine, none)],
                None,
            ),
            (
                "a turn of the other side is no time under load",
                &[(3, fine, none), (1, none, gone), (24, fine, none)],
                None,
            ),
            (
                "it falls silent, and its requests run into their time-outs",
                &[(3, fine, fine), (10, none, none), (6, gone, gone)],
                dead(a, 3, false),
            ),
            (
                "it dies in its turns",
                &[
                    (3, none, fine),
                    (10, fine, none),
                    (3, none, gone),
                    (10, fine, none),
                    (5, none, gone),
                ],
                dead(b, 13, true),
            ),
        ];
        for (what, phases, wanted) in table {
            let (found, _) = watch(phases);
            let found = found.map(|(_, death)| death);
            let found = found.map(|it| (it.side, it.at_ns / SECOND_NS, it.other_is_healthy));
            assert_eq!(found, wanted, "{what}");
        }
    }

    #[test]
    fn it_takes_five_seconds_and_one_answer_in_a_hundred_does_not_save_it() {
        let (found, _) = watch(&[(3, (10, 0), (200, 0)), (6, (10, 0), (1, 199))]);
        let (at_ns, death) = found.unwrap();
        assert_eq!(at_ns, 8 * SECOND_NS);
        assert_eq!(
            death.sentence("candidate"),
            "the candidate stopped answering 3.0 s after the start"
        );
    }

    #[test]
    fn what_fails_when_the_load_ends_is_named() {
        let (found, seen) = watch(&[(3, (10, 0), (10, 0)), (1, (10, 0), (0, 10))]);
        assert_eq!(found, None);
        let failing = seen.failing().unwrap();
        assert_eq!(
            (failing.side, failing.at_ns),
            (Side::Candidate, 3 * SECOND_NS)
        );
        assert_eq!(watch(&[(3, (10, 0), (10, 0))]).1.failing(), None);
    }
}
