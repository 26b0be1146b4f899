//! One comparison from its budget to its verdict, driven as `src/experiment/conduct.rs` drives a
//! real one: slots to rounds, each complete round judged, the end where the judge has decided.
//!
//! The only file of the simulator that knows how the judge is called.

use std::sync::LazyLock;

use proofload::{
    compare::{Comparison, Design, LOOK_FIRST, Margins, Policy, RoundEvidence, Tables, judge},
    experiment::{Budget, Plan, plan},
    replay::Arrangement,
    run::{Side, Slot},
    units::SECOND_NS,
};

use super::world::{Scene, World};

/// Kept over all runs and rows: few plans are resized to the same looks.
static TABLES: LazyLock<Tables> = LazyLock::new(Tables::default);

/// What is fixed before the first request of a comparison.
#[derive(Debug)]
pub(crate) struct Course {
    plan: Plan,
    design: Design,
    policy: Policy,
}

impl Course {
    /// The plan of the product for a budget in seconds, with its usual margins laid over by
    /// `tolerance` and `minimum_effect`, each in the words of the command line.
    pub(crate) fn new(
        scene: &Scene,
        duration_s: u64,
        arrangement: Arrangement,
        tolerance: &[&str],
        minimum_effect: &[&str],
    ) -> Self {
        let plan = plan(Budget {
            duration_ns: duration_s * SECOND_NS,
            arrangement: Some(arrangement),
            ..Budget::default()
        })
        .expect("a budget that is long enough");
        let rules = |words: &[&str]| -> Vec<_> {
            let rules = words.iter().map(|word| word.parse());
            rules.collect::<Result<_, _>>().expect("margins")
        };
        let policy = Policy {
            tolerance: Margins::tolerance().with(&rules(tolerance)),
            minimum_effect: Margins::minimum_effect().with(&rules(minimum_effect)),
            ..Policy::standard(30 * SECOND_NS)
        };
        let is_simultaneous = arrangement == Arrangement::Simultaneous;
        let design = Design {
            sessions: plan.sessions.clone(),
            ..Design::new(plan.layout.rounds, is_simultaneous, scene.expected())
        };
        Self {
            plan,
            design,
            policy,
        }
    }

    /// How long the whole takes, in nanoseconds.
    pub(crate) fn total_ns(&self) -> u64 {
        self.plan.layout.total_ns()
    }

    /// The rounds of a run in order, each with its slots, the discarded one left out.
    pub(crate) fn rounds<'a>(
        &self,
        world: &'a mut World,
        seed: u64,
    ) -> impl Iterator<Item = (u32, Vec<Slot>)> + 'a {
        let mut windows = self.plan.layout.windows(seed).peekable();
        let share = if self.design.simultaneous { 1.0 } else { 0.5 };
        std::iter::from_fn(move || {
            windows
                .by_ref()
                .find(|window| window.slots[0].round > 0)
                .map(|first| {
                    let round = first.slots[0].round;
                    let mut slots = Vec::new();
                    let mut add = |window: &proofload::replay::Window| {
                        let drawn = window
                            .slots
                            .iter()
                            .map(|spec| world.slot(spec, window, share));
                        slots.extend(drawn);
                    };
                    add(&first);
                    while let Some(next) = windows.next_if(|it| it.slots[0].round == round) {
                        add(&next);
                    }
                    (round, slots)
                })
        })
    }

    /// The windows of both sides as they are loaded together, the baseline's first.
    pub(crate) fn sides(&self, world: &mut World, seed: u64) -> [Vec<Slot>; 2] {
        let slots = self.rounds(world, seed).flat_map(|(_, slots)| slots);
        let (baseline, candidate) = slots.partition(|slot| slot.side == Side::Baseline);
        [baseline, candidate]
    }

    /// The same windows used as two runs, one after the other: the baseline in the first half
    /// of them, the candidate in the second.
    pub(crate) fn halves(&self, world: &mut World, seed: u64) -> [Vec<Slot>; 2] {
        let rounds = self.plan.layout.rounds;
        let belongs = |slot: &Slot| (slot.side == Side::Baseline) == (slot.round * 2 <= rounds);
        self.sides(world, seed)
            .map(|own| own.into_iter().filter(belongs).collect())
    }

    /// Begins to judge.
    pub(crate) fn begin(&self) -> Judging<'_> {
        Judging {
            course: self,
            evidence: Vec::new(),
            judges_all: false,
            comparison: self.judged(&[]),
        }
    }

    fn judged(&self, evidence: &[RoundEvidence]) -> Comparison {
        judge(&self.design, &self.policy, &TABLES, evidence)
    }

    /// The whole comparison of one run.
    pub(crate) fn run(&self, scene: &Scene, seed: u64) -> Comparison {
        self.conducted(scene, seed, false)
    }

    /// The same; `judges_all` is whether rounds between two looks are judged too.
    pub(crate) fn conducted(&self, scene: &Scene, seed: u64, judges_all: bool) -> Comparison {
        let mut world = World::new(scene, self.total_ns(), seed);
        let mut judging = self.begin();
        judging.judges_all = judges_all;
        for (round, slots) in self.rounds(&mut world, seed) {
            if judging.add(round, &slots) {
                break;
            }
        }
        judging.comparison
    }
}

/// A comparison on its way.
#[derive(Debug)]
pub(crate) struct Judging<'a> {
    course: &'a Course,
    evidence: Vec<RoundEvidence>,
    /// Whether rounds between two looks are judged too, as a real run does.
    pub(crate) judges_all: bool,
    /// What was found so far.
    pub(crate) comparison: Comparison,
}

impl Judging<'_> {
    /// Takes a round; `true` when enough is known, after which nothing more is judged.
    ///
    /// Rounds between two looks are not judged, because nothing is decided there: unless rounds
    /// were dropped, looks come after 8, 10, … rounds and after the last.
    pub(crate) fn add(&mut self, round: u32, slots: &[Slot]) -> bool {
        if self.comparison.decided {
            return true;
        }
        let course = self.course;
        let evidence = RoundEvidence::from_slots(round, slots, &course.policy);
        self.evidence.extend(evidence);
        let is_last = round >= course.design.last_round();
        let is_even = round.is_multiple_of(2) || !self.comparison.rounds.dropped.is_empty();
        if is_last || self.judges_all || (round >= LOOK_FIRST && is_even) {
            self.comparison = course.judged(&self.evidence);
        }
        self.comparison.decided
    }
}
