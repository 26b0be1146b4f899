//! A report made again from a run file: rounds are gathered and judged as they were while the
//! load ran, from the settings that the file holds. Nothing is sent.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::{
    exit, labels,
    settings::{GateSettings, LoadSettings, Process},
};
use crate::{
    compare::{
        Checkup, Comparison, Picture, RoundEvidence, Tables, Verdict, design_measured, judge,
        judge_death, picture,
    },
    experiment::{CARRIED_OUT, Plan, rounds_of},
    replay::Arrangement,
    report::{Place, Report, RunReport, Subject, Totals},
    run::{Run, RunHeader, STORED, Side, Slot, arrangement},
    units::{Span, seconds},
};

/// What a run file holds, judged again where there is something to judge.
#[derive(Debug)]
pub(super) enum Again {
    /// Both sides.
    Compared(Box<Report>),
    /// One side.
    Measured(Box<RunReport>),
}

/// Makes the report of a run file; `shown` is its name.
///
/// # Errors
/// When it cannot be judged from the file alone, or another version wrote its settings.
pub(super) fn again(run: &Run, shown: &str) -> anyhow::Result<Again> {
    if run.header.targets.len() == 1 {
        return Ok(Again::Measured(Box::new(measured(run))));
    }
    if arrangement(&run.header) == Some(STORED) {
        bail!(
            "its sides were not measured together, and the earlier runs that say how much runs \
             differ are not in it; give the directory with its report.json"
        );
    }
    let (comparison, picture) = judged(run)?;
    let gate = gate_of(&run.header)?;
    let exit_code = exit::of_verdict(comparison.verdict, gate.inconclusive_as);
    Ok(Again::Compared(Box::new(Report {
        subject: subject(run, shown, exit_code),
        comparison,
        totals: totals(&run.slots),
        picture,
    })))
}

fn gate_of(header: &RunHeader) -> anyhow::Result<GateSettings> {
    let rules = header.config.get("gate").and_then(|gate| gate.get("rules"));
    serde_json::from_value(rules.cloned().unwrap_or_default()).with_context(|| wrote(header))
}

fn load_of(header: &RunHeader) -> anyhow::Result<LoadSettings> {
    let load = header.config.get("load").cloned().unwrap_or_default();
    serde_json::from_value(load).with_context(|| wrote(header))
}

fn wrote(header: &RunHeader) -> String {
    format!(
        "its settings cannot be read; proofload {} wrote them",
        header.version
    )
}

/// The comparison of the rounds that the file holds.
fn judged(run: &Run) -> anyhow::Result<(Comparison, Picture)> {
    let header = &run.header;
    let plan: Plan = serde_json::from_value(header.plan.clone()).with_context(|| wrote(header))?;
    let timeout = load_of(header)?.timeout.unwrap_or(Span::from_secs(30));
    let policy = gate_of(header)?.policy(timeout.ns());
    let policy = policy.map_err(|failure| failure.error)?;
    let first: Vec<Slot> = run
        .slots
        .iter()
        .filter(|it| it.round == 0)
        .cloned()
        .collect();
    let mut rounds: Vec<_> = RoundEvidence::from_slots(0, &first, &policy)
        .into_iter()
        .collect();
    rounds.extend(rounds_of(&run.slots, &policy));
    let mut design = design_measured(&rounds);
    design.simultaneous = plan.layout.arrangement == Some(Arrangement::Simultaneous);
    design.round_s = seconds(plan.layout.round_ns());
    design.enough = plan.enough;
    design.sessions = plan.sessions;
    let footer = run.footer.as_ref();
    if let Some(last) = design.sessions.last_mut() {
        last.carried_out |= footer.is_some_and(|footer| footer.reason == CARRIED_OUT);
    }
    let mut comparison = judge(&design, &policy, &Tables::default(), &rounds);
    if let Some(said) = footer.and_then(|footer| footer.died()) {
        let candidate = said.contains(Side::Candidate.name());
        let side = if candidate {
            Side::Candidate
        } else {
            Side::Baseline
        };
        comparison = judge_death(comparison, side, is_healthy(&run.slots, side.other()), said);
    } else if footer.is_none_or(|footer| footer.state != "complete") {
        // Fail closed: what was cut short was not shown.
        if comparison.verdict == Verdict::Pass {
            comparison.verdict = Verdict::Inconclusive;
        }
        let why = footer.map_or("the run was killed", |footer| footer.reason.as_str());
        comparison
            .causes
            .insert(0, format!("the run is not whole: {why}"));
    }
    let picture = picture(&design, &policy, &rounds, true);
    Ok((comparison, picture))
}

/// Whether a side answered nine of ten requests of its last slot.
fn is_healthy(slots: &[Slot], side: Side) -> bool {
    let last = slots.iter().rev().find(|slot| slot.side == side);
    last.is_some_and(|slot| {
        let total = slot.total();
        total.sent() > 0 && total.failures() * 10 <= total.sent()
    })
}

fn totals(slots: &[Slot]) -> crate::report::Figures {
    let mut totals = Totals::default();
    let counted = slots.iter().filter(|slot| slot.round > 0 && slot.complete);
    counted.for_each(|slot| totals.add(slot));
    totals.figures()
}

fn subject(run: &Run, shown: &str, exit_code: u8) -> Subject {
    let header = &run.header;
    let place = |side: Side| place(header, side);
    let text = |key: &str| {
        let value = header.config.get(key).and_then(serde_json::Value::as_str);
        value.map(str::to_owned)
    };
    let [baseline, candidate] = Side::BOTH.map(place);
    Subject {
        title: text("title").unwrap_or(format!("{} against {}", candidate.label, baseline.label)),
        version: header.version.clone(),
        started_at: header.started_at.clone(),
        elapsed_ns: elapsed_ns(run),
        baseline,
        candidate,
        workload: labels::workload(header.workload.clone()),
        arrangement: arrangement(header).unwrap_or_default().to_owned(),
        rate: rate(header),
        seed: header.seed,
        configuration: header.config.clone(),
        command: text("command_line").unwrap_or(format!("proofload report {shown}")),
        exit_code,
        expires_at: None,
        notes: vec![format!(
            "judged again from {shown}: what was found before the load, and warnings that belong \
             to no round, stand in the report of that time only"
        )],
    }
}

fn place(header: &RunHeader, side: Side) -> Place {
    let target = header.targets.get(&side);
    let address = target.map(|it| it.address.clone());
    Place {
        label: target.map_or_else(|| side.name().to_owned(), |it| it.url.clone()),
        address: address.filter(|it| !it.is_empty()),
        protocol: None,
        labels: target.map(|it| it.labels.clone()).unwrap_or_default(),
        facts: target.map(|it| it.facts.clone()).unwrap_or_default(),
    }
}

/// Wall time, or for a run that was killed the end of its last slot.
fn elapsed_ns(run: &Run) -> u64 {
    let last = run
        .slots
        .iter()
        .map(|slot| slot.start_ns + slot.length_ns)
        .max();
    let footer = run.footer.as_ref().map(|footer| footer.elapsed_ns);
    footer.or(last).unwrap_or(0)
}

/// How much was sent, in the words of the settings.
pub(super) fn rate(header: &RunHeader) -> String {
    let load = load_of(header).unwrap_or_default();
    let process = load.arrivals.unwrap_or(match load.rate {
        Some(_) => Process::Constant,
        None => Process::Recorded,
    });
    let how_much = load.rate.map(|rate| rate.to_string());
    let how_much = how_much.or(load.speed.map(|speed| format!("at {speed}")));
    let words = [Some(String::from(process)), how_much];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A run of one side: nothing is judged but the generator.
fn measured(run: &Run) -> RunReport {
    let header = &run.header;
    let is_open = load_of(header).is_ok_and(|load| {
        let process = load.arrivals.map(String::from);
        process.is_none_or(|it| it != "closed")
    });
    let mut checkup = Checkup::new(is_open);
    run.slots.iter().for_each(|slot| checkup.add(slot));
    let mut found = checkup.diagnosis();
    let footer = run.footer.as_ref();
    if let Some(said) = footer.and_then(|footer| footer.died()) {
        let cause = format!("{said}; repair it and measure again");
        found.causes.insert(0, cause);
    }
    let mut whole = Totals::default();
    let counted = run.slots.iter().filter(|slot| slot.round > 0);
    counted.for_each(|slot| whole.add(slot));
    RunReport {
        version: header.version.clone(),
        started_at: header.started_at.clone(),
        elapsed_ns: elapsed_ns(run),
        target: place(header, Side::Candidate),
        workload: crate::report::Workload {
            recorded: BTreeMap::new(),
            ..labels::workload(header.workload.clone())
        },
        rate: rate(header),
        seed: header.seed,
        complete: footer.is_some_and(|footer| footer.state == "complete"),
        causes: found.causes,
        health: found.health,
        warnings: found.warnings,
        totals: whole.figures(),
    }
}
