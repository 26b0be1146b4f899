//! Slots on their way to rounds, and rounds on their way to a comparison.

use std::collections::BTreeMap;

use super::{
    conduct::{Experiment, Judgement},
    death::Death,
};
use crate::{
    compare::{
        Comparison, Picture, Policy, RoundEvidence, judge, judge_death, judge_failing, picture,
    },
    run::{Side, Slot},
};

/// The rounds of a run so far.
pub(super) struct Rounds<'a> {
    judgement: Option<&'a Judgement>,
    slots_per_round: usize,
    open: BTreeMap<u32, Vec<Slot>>,
    closed: BTreeMap<u32, Option<RoundEvidence>>,
    evidence: Vec<RoundEvidence>,
    next: u32,
    pub(super) comparison: Option<Comparison>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(experiment: &'a Experiment) -> Self {
        let judgement = experiment.judgement.as_ref();
        let simultaneous = judgement.is_none_or(|judgement| judgement.design.simultaneous);
        Self {
            judgement,
            slots_per_round: if simultaneous { 2 } else { 4 },
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            evidence: judgement.map_or_else(Vec::new, |it| it.earlier.clone()),
            next: experiment.load.layout.before + 1,
            comparison: None,
        }
    }

    /// Takes a slot; `true` when a round was judged. A round that closes before an earlier one
    /// waits for it: which rounds are looked at must not depend on how fast they were.
    pub(super) fn add(&mut self, slot: Slot) -> bool {
        let Some(judgement) = self.judgement else {
            return false;
        };
        // Nothing is judged after the decision: the stop has cut short what comes then.
        if self.is_decided() {
            return false;
        }
        let round = slot.round;
        let slots = self.open.entry(round).or_default();
        slots.push(slot);
        if slots.len() < self.slots_per_round {
            return false;
        }
        let slots = self.open.remove(&round).unwrap_or_default();
        let evidence = RoundEvidence::from_slots(round, &slots, &judgement.policy);
        if round == 0 {
            // It only says whether the sides had warmed up by its end.
            self.evidence.splice(..0, evidence);
            return false;
        }
        self.closed.insert(round, evidence);
        let mut judged = false;
        while let Some(evidence) = self.closed.remove(&self.next) {
            self.next += 1;
            if let Some(evidence) = evidence {
                self.evidence.push(evidence);
                judged = true;
            }
        }
        if judged {
            self.comparison = Some(judgement.judge(&self.evidence));
        }
        judged
    }

    /// Whether nothing more can change.
    pub(super) fn is_decided(&self) -> bool {
        let last = self.comparison.as_ref();
        last.is_some_and(|comparison| comparison.decided)
    }

    /// What a side is called: a run of one side has no candidate.
    pub(super) fn name(&self, side: Side) -> &'static str {
        self.judgement.map_or("target", |_| side.name())
    }

    /// What the rounds looked like; empty for a run of one side.
    pub(super) fn picture(&self) -> Picture {
        let seen = |it: &Judgement| picture(&it.design, &it.policy, &self.evidence, true);
        self.judgement.map(seen).unwrap_or_default()
    }

    /// The last comparison, made from nothing if no round was complete. A schedule that was
    /// carried out may have lost its last rounds; what there is has its last look then.
    pub(super) fn finish(
        self,
        carried_out: bool,
        death: Option<Death>,
        failing: Option<Death>,
    ) -> Option<Comparison> {
        let judgement = self.judgement?;
        let last = match self.comparison {
            Some(comparison) if comparison.decided => comparison,
            _ => judgement.judge_all(&self.evidence, carried_out),
        };
        Some(match (death, failing) {
            (Some(it), _) => {
                let said = it.sentence(it.side.name());
                judge_death(last, it.side, it.other_is_healthy, &said)
            }
            (None, Some(it)) => judge_failing(last, &it.sentence(it.side.name())),
            (None, None) => last,
        })
    }
}

impl Judgement {
    fn judge(&self, rounds: &[RoundEvidence]) -> Comparison {
        judge(&self.design, &self.policy, &self.tables, rounds)
    }

    fn judge_all(&self, rounds: &[RoundEvidence], carried_out: bool) -> Comparison {
        let mut design = self.design.clone();
        if let Some(session) = design.sessions.last_mut() {
            session.carried_out |= carried_out;
        }
        judge(&design, &self.policy, &self.tables, rounds)
    }
}

/// The complete rounds among the slots of a run file, in order; the discarded one is left out.
pub fn rounds_of(slots: &[Slot], policy: &Policy) -> Vec<RoundEvidence> {
    let mut by_round: BTreeMap<u32, Vec<Slot>> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.round > 0) {
        by_round.entry(slot.round).or_default().push(slot.clone());
    }
    let rounds = by_round.into_iter();
    rounds
        .filter_map(|(round, slots)| RoundEvidence::from_slots(round, &slots, policy))
        .collect()
}
