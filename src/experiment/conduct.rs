//! The one loop over slots: store, gather into rounds, judge, stop.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::death::{Counts, Death, Watch};
use crate::{
    clock::Clock,
    compare::{
        Boundaries, Comparison, Design, Policy, RoundEvidence, Warning, judge, judge_death,
        judge_failing,
    },
    replay::{EngineError, Gauge, Load, Running, start},
    run::{RunFooter, Side, Slot},
    store::{RunLog, StoreError},
};

/// How often a display is told that time has passed.
const TICK: Duration = Duration::from_millis(100);

/// What is measured, and how it is judged.
#[derive(Debug)]
pub struct Experiment {
    /// What is sent to whom.
    pub load: Load,
    /// How rounds are judged; absent for a run of one side.
    pub judgement: Option<Judgement>,
}

/// What was fixed about the judgement before the first request.
#[derive(Debug)]
pub struct Judgement {
    /// What was planned.
    pub design: Design,
    /// What is tolerated.
    pub policy: Policy,
    /// The critical values of its looks.
    pub boundaries: Boundaries,
}

/// What an observer is told while the load runs.
#[derive(Debug)]
pub enum News<'a> {
    /// Time has passed.
    Tick(&'a Gauge),
    /// A slot has closed and is on disk.
    Slot(&'a Slot),
    /// A round was judged.
    Judged(&'a Comparison),
}

/// A signal that ended a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
}

impl Interrupt {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "SIGINT",
            Self::Term => "SIGTERM",
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// The last comparison; absent for a run of one side.
    pub comparison: Option<Comparison>,
    /// What the footer of the run file says.
    pub footer: RunFooter,
    /// The signal that ended it early.
    pub interrupt: Option<Interrupt>,
    /// The side that died under the load and so ended it.
    pub death: Option<Death>,
    /// What could not be stored; the load was stopped then.
    pub storage: Option<StoreError>,
    /// What the engine saw that belongs to no request.
    pub warnings: Vec<Warning>,
}

/// Runs an experiment to its end: decided, budget spent, interrupted, a side dead, or out of disk.
///
/// # Errors
/// When the engine itself cannot go on; never for what a target did.
pub async fn conduct(
    experiment: &Experiment,
    log: RunLog,
    mut news: impl FnMut(News<'_>),
) -> Result<Ended, EngineError> {
    let clock = Clock::start();
    let mut signals = Signals::new()?;
    let mut running = start(&experiment.load)?;
    let mut keeper = Keeper {
        log: Some(log),
        failed: None,
    };
    let mut rounds = Rounds::new(experiment);
    let mut watch = Watch::new(experiment.load.layout.takes_turns());
    let (mut interrupt, mut death, mut failing) = (None, None, None);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            slot = running.next_slot() => {
                let Some(slot) = slot else { break };
                keeper.slot(&slot, &running);
                news(News::Slot(&slot));
                if rounds.add(slot) && interrupt.is_none()
                    && let Some(comparison) = &rounds.comparison {
                        news(News::Judged(comparison));
                        if comparison.decided {
                            running.stop.gently();
                            failing = watch.failing();
                        }
                    }
            }
            _ = tick.tick() => {
                news(News::Tick(&running.gauge));
                // What fails after our own stop says nothing.
                if !running.stop.is_set() {
                    death = watch.look(clock.now_ns(), counts(&running.gauge));
                    if death.is_some() {
                        running.stop.gently();
                    }
                }
            }
            signal = signals.next() => {
                if interrupt.is_some() { running.stop.at_once() } else { running.stop.gently() }
                interrupt = interrupt.or(Some(signal));
            }
        }
    }
    let mut warnings = stray_warnings(&running.gauge);
    running.finish()?;
    let dead = death.or(failing);
    let dead = dead.map(|it| it.sentence(rounds.name(it.side)));
    let (state, reason) = match (interrupt, &keeper.failed, &dead) {
        (Some(interrupt), ..) => ("partial", format!("interrupted by {}", interrupt.name())),
        (None, Some(_), _) => ("partial", "the run file could not be written".to_owned()),
        (None, None, Some(dead)) => ("partial", format!("target_died: {dead}")),
        (None, None, None) => ("complete", rounds.reason().to_owned()),
    };
    let footer = RunFooter {
        state: state.to_owned(),
        reason,
        elapsed_ns: clock.now_ns(),
    };
    keeper.finish(&footer);
    let comparison = rounds.finish(death, failing);
    warnings.extend(dead.map(death_warning));
    Ok(Ended {
        comparison,
        footer,
        interrupt,
        death,
        storage: keeper.failed,
        warnings,
    })
}

fn death_warning(sentence: String) -> Warning {
    Warning {
        code: "target_died".to_owned(),
        text: sentence + "; the load was ended then",
    }
}

/// What has ended so far on each side.
fn counts(gauge: &Gauge) -> [Counts; 2] {
    Side::BOTH.map(|side| Counts {
        ended: gauge.ended[side.index()].load(Ordering::Relaxed),
        unanswered: gauge.unanswered[side.index()].load(Ordering::Relaxed),
    })
}

/// Bytes that no request had asked for break the protocol; the connections were closed.
fn stray_warnings(gauge: &Gauge) -> Vec<Warning> {
    let n = gauge.stray.load(Ordering::Relaxed);
    let warning = (n > 0).then(|| Warning {
        code: "stray_bytes".to_owned(),
        text: format!(
            "{n} connections brought bytes that no request had asked for and were closed; a server \
             or proxy in between breaks HTTP/1.1"
        ),
    });
    warning.into_iter().collect()
}

/// The run file, until it fails.
struct Keeper {
    log: Option<RunLog>,
    failed: Option<StoreError>,
}

impl Keeper {
    fn slot(&mut self, slot: &Slot, running: &Running) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.slot(slot)
        {
            // What was synced before stays; a file whose sync failed is not written again.
            self.log = None;
            self.failed = Some(error);
            running.stop.gently();
        }
    }

    fn finish(&mut self, footer: &RunFooter) {
        if let Some(log) = self.log.take()
            && let Err(error) = log.finish(footer)
        {
            self.failed = Some(error);
        }
    }
}

/// Slots on their way to rounds, and rounds on their way to a comparison.
struct Rounds<'a> {
    judgement: Option<&'a Judgement>,
    slots_per_round: usize,
    open: BTreeMap<u32, Vec<Slot>>,
    closed: BTreeMap<u32, Option<RoundEvidence>>,
    evidence: Vec<RoundEvidence>,
    next: u32,
    comparison: Option<Comparison>,
}

impl<'a> Rounds<'a> {
    fn new(experiment: &'a Experiment) -> Self {
        let judgement = experiment.judgement.as_ref();
        let simultaneous = judgement.is_none_or(|judgement| judgement.design.simultaneous);
        Self {
            judgement,
            slots_per_round: if simultaneous { 2 } else { 4 },
            open: BTreeMap::new(),
            closed: BTreeMap::new(),
            evidence: Vec::new(),
            next: 1,
            comparison: None,
        }
    }

    /// Takes a slot; `true` when a round was judged. A round that closes before an earlier one
    /// waits for it: which rounds are looked at must not depend on how fast they were.
    fn add(&mut self, slot: Slot) -> bool {
        let Some(judgement) = self.judgement else {
            return false;
        };
        // Nothing is judged after the decision: the stop has cut short what comes then.
        if slot.round == 0 || self.is_decided() {
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

    /// Why a run that nothing cut short is over.
    fn reason(&self) -> &'static str {
        if self.is_decided() {
            "decided"
        } else {
            "the schedule was carried out"
        }
    }

    fn is_decided(&self) -> bool {
        let last = self.comparison.as_ref();
        last.is_some_and(|comparison| comparison.decided)
    }

    /// What a side is called: a run of one side has no candidate.
    fn name(&self, side: Side) -> &'static str {
        self.judgement.map_or("target", |_| side.name())
    }

    /// The last comparison, made from nothing if no round was complete.
    fn finish(self, death: Option<Death>, failing: Option<Death>) -> Option<Comparison> {
        let judgement = self.judgement?;
        let last = self.comparison.unwrap_or_else(|| judgement.judge(&[]));
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
        judge(&self.design, &self.policy, &self.boundaries, rounds)
    }
}

struct Signals {
    int: Signal,
    term: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let int = signal(SignalKind::interrupt())?;
        Ok(Self {
            int,
            term: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.int.recv() => Interrupt::Int,
            _ = self.term.recv() => Interrupt::Term,
        }
    }
}
