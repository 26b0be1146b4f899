//! The one loop over slots: store, gather into rounds, judge, stop.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    death::{Counts, Death, Watch},
    oversize::Oversize,
    rounds::Rounds,
};
use crate::{
    clock::Clock,
    compare::{Comparison, Design, Picture, Policy, RoundEvidence, Tables, Warning},
    replay::{EngineError, Gauge, Load, Running, start},
    run::{RunFooter, Side, Slot, TARGET_DIED},
    staging::{Lost, Meter, Sampler},
    store::{RunLog, StoreError},
    units::seconds,
};

/// The reason in the footer of a run whose schedule was carried out to its end.
pub const CARRIED_OUT: &str = "the schedule was carried out";
/// How often a display is told that time has passed.
const TICK: Duration = Duration::from_millis(100);

/// What is measured, and how it is judged.
#[derive(Debug)]
pub struct Experiment {
    /// What is sent to whom.
    pub load: Load,
    /// How rounds are judged; absent for a run of one side.
    pub judgement: Option<Judgement>,
    /// Where the resources of the baseline and the candidate are read.
    pub resources: [Option<Meter>; 2],
}

/// What was fixed about the judgement before the first request.
#[derive(Debug)]
pub struct Judgement {
    /// What was planned.
    pub design: Design,
    /// What is tolerated.
    pub policy: Policy,
    /// The critical values of its looks.
    pub tables: Tables,
    /// The rounds of earlier sessions.
    pub earlier: Vec<RoundEvidence>,
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
    /// What its rounds looked like; empty for a run of one side.
    pub picture: Picture,
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
    let sampler = Sampler::start(&experiment.resources, running.clock)?;
    let mut keeper = Keeper::new(log, sampler);
    let mut rounds = Rounds::new(experiment);
    let mut watch = Watch::new(experiment.load.layout.takes_turns());
    let mut oversize = Oversize::default();
    let (mut interrupt, mut death, mut failing) = (None, None, None);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            slot = running.next_slot() => {
                let Some(mut slot) = slot else { break };
                keeper.slot(&mut slot, &running);
                oversize.add(&slot);
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
    let mut warnings = keeper.warnings(&running.gauge, &rounds);
    warnings.extend(oversize.warnings());
    running.finish()?;
    let dead = death.or(failing);
    let dead = dead.map(|it| it.sentence(rounds.name(it.side)));
    let (state, reason) = ending(interrupt, keeper.failed.is_some(), dead.as_deref(), &rounds);
    let footer = RunFooter {
        state: state.to_owned(),
        reason,
        elapsed_ns: clock.now_ns(),
    };
    keeper.finish(&footer);
    let carried_out = footer.reason == CARRIED_OUT;
    let picture = rounds.picture();
    let comparison = rounds.finish(carried_out, death, failing);
    warnings.extend(dead.map(death_warning));
    Ok(Ended {
        comparison,
        picture,
        footer,
        interrupt,
        death,
        storage: keeper.failed,
        warnings,
    })
}

/// State and reason for the footer.
fn ending(
    interrupt: Option<Interrupt>,
    storage_failed: bool,
    dead: Option<&str>,
    rounds: &Rounds<'_>,
) -> (&'static str, String) {
    match (interrupt, dead) {
        (Some(interrupt), _) => ("partial", format!("interrupted by {}", interrupt.name())),
        _ if storage_failed => ("partial", "the run file could not be written".to_owned()),
        (None, Some(dead)) => ("partial", format!("{TARGET_DIED}{dead}")),
        (None, None) if rounds.is_decided() => ("complete", "decided".to_owned()),
        (None, None) => ("complete", CARRIED_OUT.to_owned()),
    }
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

/// The run file, until it fails, and what is added to a slot before it is written.
struct Keeper {
    log: Option<RunLog>,
    failed: Option<StoreError>,
    sampler: Option<Sampler>,
}

impl Keeper {
    fn new(log: RunLog, sampler: Option<Sampler>) -> Self {
        Self {
            log: Some(log),
            failed: None,
            sampler,
        }
    }

    fn slot(&mut self, slot: &mut Slot, running: &Running) {
        if let Some(sampler) = &self.sampler {
            sampler.fill(slot);
        }
        if let Some(log) = &mut self.log
            && let Err(error) = log.slot(slot)
        {
            // What was synced before stays; a file whose sync failed is not written again.
            self.log = None;
            self.failed = Some(error);
            running.stop.gently();
        }
    }

    /// What is worth knowing and belongs to no slot: strays, and processes and cgroups that were
    /// there before the load and not until its end.
    fn warnings(&self, gauge: &Gauge, rounds: &Rounds) -> Vec<Warning> {
        let lost = self.sampler.as_ref().map(Sampler::lost).unwrap_or_default();
        let warning = |lost: Lost| Warning {
            code: "resources".to_owned(),
            text: format!(
                "CPU and memory of the {} are unknown from {:.1} s after the start of the load \
                 on: {}",
                rounds.name(lost.side),
                seconds(lost.at_ns),
                lost.cause
            ),
        };
        let lost = lost.into_iter().map(warning);
        stray_warnings(gauge).into_iter().chain(lost).collect()
    }

    fn finish(&mut self, footer: &RunFooter) {
        if let Some(log) = self.log.take()
            && let Err(error) = log.finish(footer)
        {
            self.failed = Some(error);
        }
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
