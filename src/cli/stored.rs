//! `proofload compare` with a side that was measured at another time: a stored run beside a
//! deployment, which is measured now as `run` would, or beside another stored run, for which
//! nothing is sent. Judged once, when everything is there (method.md 8).

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::{
    again::rate,
    command, commit,
    exit::{self, Failure},
    labels,
    local::Origin,
    outputs::Outputs,
    publish::{End, publish},
    run::ROUNDS_MIN,
    say,
    settings::{GateSettings, LoadSettings},
    sides::{Stored, check_alike},
};
use crate::{
    compare::{
        Comparison, Picture, Policy, RoundEvidence, Verdict, Warning, design_apart, is_judgeable,
        judge_apart, judge_death, picture,
    },
    experiment::Interrupt,
    report::{Place, Report, Subject, Totals},
    run::{
        Labels, Run, RunFooter, RunHeader, STORED, Side, Slot, TargetRecord, arrangement,
        footer_line, header_line, side_rounds, slot_line,
    },
    store::{OutDir, Readers, StoreError, write_with},
    units::{SECOND_NS, Span},
};

/// How a measurement of the live side ended, besides its run.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// The signal that ended it early.
    pub(super) interrupt: Option<Interrupt>,
    /// What could not be stored.
    pub(super) storage: Option<StoreError>,
    /// What was seen on the way.
    pub(super) warnings: Vec<Warning>,
    /// What the preflight found.
    pub(super) notes: Vec<String>,
}

/// Two runs that were not measured together, and how they are judged.
pub(super) struct Apart {
    /// The baseline and the candidate.
    pub(super) sides: [Stored; 2],
    pub(super) gate: GateSettings,
    pub(super) out_dir: OutDir,
    pub(super) outputs: Outputs,
    /// What the sides were built from, as far as it was given now.
    pub(super) labels: [Labels; 2],
    /// What came of measuring one of them now; absent when nothing was sent.
    pub(super) measured: Option<Measured>,
}

/// The settings with which a side is loaded like a stored one: what is not given is taken from
/// it, and two of the new slots make one of its rounds.
///
/// # Errors
/// When the settings of the stored run cannot be read (usage).
pub(super) fn load_like(stored: &Stored, given: &LoadSettings) -> Result<LoadSettings, Failure> {
    let mut load = given.over(&stored.load()?);
    let rounds = stored.rounds();
    let round_ns = rounds.first().map_or(SECOND_NS, |round| round.length_ns);
    let slot_ns = round_ns / 2;
    let all_ns = slot_ns.saturating_mul(2 * rounds.len() as u64);
    load.slot = Some(given.slot.unwrap_or(Span::from_ns(slot_ns)));
    load.duration = Some(given.duration.unwrap_or(Span::from_ns(all_ns)));
    load.arrangement = None;
    Ok(load)
}

/// Refuses a stored side of which nothing could be judged, before anything is sent.
///
/// # Errors
/// When it has too few rounds or requests, or the margins do not fit it (usage).
pub(super) fn check_stored(stored: &Stored, gate: &GateSettings) -> Result<(), Failure> {
    let policy = gate.policy(timeout_ns(stored)?)?;
    let rounds = stored.rounds();
    let has_died = stored.death().is_some();
    if rounds.len() < ROUNDS_MIN as usize && !has_died {
        return Err(Failure::usage(anyhow!(
            "{} has {} complete rounds, and {ROUNDS_MIN} are needed (two slots of a run make a \
             round); measure it for longer",
            stored.label,
            rounds.len()
        )));
    }
    let design = design_apart(&beside(&rounds, &rounds, &policy));
    let checked = policy.check(&design, &gate.min_effect);
    checked.map_err(Failure::usage)?;
    if !is_judgeable(&design) && !has_died {
        return Err(Failure::usage(anyhow!(
            "{}: nothing could be judged, because no endpoint has 50 requests in a round; measure \
             it with a higher rate or a longer -d",
            stored.label
        )));
    }
    Ok(())
}

fn timeout_ns(stored: &Stored) -> Result<u64, Failure> {
    Ok(stored.load()?.timeout.unwrap_or(Span::from_secs(30)).ns())
}

/// The rounds that both sides have, by number.
fn beside(baseline: &[Slot], candidate: &[Slot], policy: &Policy) -> Vec<RoundEvidence> {
    let of = |side: Side, slot: &Slot| Slot {
        side,
        ..slot.clone()
    };
    let others: BTreeMap<u32, &Slot> = candidate.iter().map(|slot| (slot.round, slot)).collect();
    let pair = |slot: &Slot| {
        let other = others.get(&slot.round)?;
        let slots = [of(Side::Baseline, slot), of(Side::Candidate, other)];
        RoundEvidence::from_slots(slot.round, &slots, policy)
    };
    baseline.iter().filter_map(pair).collect()
}

impl Apart {
    /// Judges, writes, shows; returns the exit code.
    ///
    /// # Errors
    /// When the sides cannot be compared (usage) or nothing can be written (storage).
    pub(super) fn exec(mut self) -> Result<u8, Failure> {
        let [baseline, candidate] = &self.sides;
        if baseline.run.header.run_id == candidate.run.header.run_id {
            return Err(Failure::usage(anyhow!(
                "both sides are of the same run, {}; what was measured together is judged in its \
                 own report",
                baseline.run.header.run_id
            )));
        }
        check_alike(&baseline.run.header, &candidate.run.header)?;
        let policy = self.gate.policy(timeout_ns(baseline)?)?;
        let (mut comparison, picture) = self.judge(&policy)?;
        let measured = if let Some(measured) = self.measured.take() {
            measured
        } else {
            self.out_dir.clear().map_err(Failure::storage)?;
            Measured::default()
        };
        comparison.warnings.extend(measured.warnings);
        comparison.warnings.extend(self.arrangements());
        if measured.interrupt.is_some() {
            // Fail closed: what was cut short was not shown.
            if comparison.verdict == Verdict::Pass {
                comparison.verdict = Verdict::Inconclusive;
            }
            let cause = "the measurement was interrupted".to_owned();
            comparison.causes.insert(0, cause);
        }
        let verdict = exit::of_verdict(comparison.verdict, self.gate.inconclusive_as);
        let mut storage = measured.storage;
        let header = self.header(&policy);
        if let Err(error) = self.write_run(&header) {
            storage.get_or_insert(error);
        }
        let end = End {
            interrupt: measured.interrupt,
            storage,
            verdict,
        };
        let report = Report {
            subject: self.subject(header, measured.notes),
            comparison,
            totals: self.totals(),
            picture,
        };
        Ok(publish(report, &self.out_dir, &self.outputs, end))
    }

    fn judge(&self, policy: &Policy) -> Result<(Comparison, Picture), Failure> {
        let [baseline, candidate] = &self.sides;
        let rounds = candidate.rounds();
        let earlier = baseline.earlier.iter();
        let earlier = earlier.map(|run| side_rounds(run, Side::Candidate));
        let runs: Vec<Vec<RoundEvidence>> = std::iter::once(baseline.rounds())
            .chain(earlier)
            .map(|run| beside(&run, &rounds, policy))
            .collect();
        let deaths = self.sides.each_ref().map(Stored::death);
        let shared = runs.first().map_or(0, Vec::len);
        let interrupted = self.measured.as_ref().and_then(|it| it.interrupt);
        let may_be_few = deaths.iter().any(Option::is_some) || interrupted.is_some();
        if shared < ROUNDS_MIN as usize && !may_be_few {
            return Err(Failure::usage(anyhow!(
                "the sides share {shared} complete rounds, and {ROUNDS_MIN} are needed; measure \
                 the shorter one for longer"
            )));
        }
        let first = runs.first().map_or(&[][..], Vec::as_slice);
        let design = design_apart(first);
        let mut comparison = judge_apart(&design, policy, &runs);
        for side in [Side::Candidate, Side::Baseline] {
            if let Some(said) = deaths[side.index()] {
                let said = said.replacen("the target", &format!("the {}", side.name()), 1);
                comparison = judge_death(comparison, side, true, &said);
            }
        }
        Ok((comparison, picture(&design, policy, first, false)))
    }

    /// A neighbour under load is a difference of its own.
    fn arrangements(&self) -> Option<Warning> {
        let [a, b] = self.sides.each_ref().map(|it| arrangement(&it.run.header));
        let alone = |it: Option<&str>| it.is_none_or(|it| it == STORED);
        (alone(a) != alone(b) || (!alone(a) && a != b)).then(|| Warning {
            code: "arrangement_differs".to_owned(),
            text: format!(
                "the baseline was measured {} and the candidate {}: whether another deployment \
                 was under load at the same time may be part of the difference",
                a.unwrap_or("alone"),
                b.unwrap_or("alone")
            ),
        })
    }

    fn header(&self, policy: &Policy) -> RunHeader {
        let newest = self.newest();
        let targets = Side::BOTH.into_iter().filter_map(|side| {
            let stored = &self.sides[side.index()];
            let target = stored.run.header.targets.get(&stored.side)?;
            let labels = self.labels_of(side);
            let target = TargetRecord {
                labels,
                ..target.clone()
            };
            Some((side, target))
        });
        let of = |side: Side| {
            let stored = &self.sides[side.index()];
            let header = &stored.run.header;
            serde_json::json!({
                "label": stored.label,
                "run_id": header.run_id,
                "started_at": header.started_at,
                "version": header.version,
                "rounds": stored.rounds().len(),
                "earlier_runs": stored.earlier.len(),
                "config": header.config,
            })
        };
        RunHeader {
            proofload_run: crate::run::VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: format!(
                "{}-{}",
                self.sides[0].run.header.run_id, self.sides[1].run.header.run_id
            ),
            started_at: newest.started_at.clone(),
            seed: newest.seed,
            targets: targets.collect(),
            workload: newest.workload.clone(),
            plan: serde_json::json!({
                "arrangement": STORED,
                "slot_ns": newest.plan.get("layout").unwrap_or(&newest.plan).get("slot_ns"),
            }),
            config: serde_json::json!({
                "load": newest.config.get("load"),
                "gate": {
                    "alpha": policy.alpha,
                    "tolerance": policy.tolerance,
                    "minimum_effect": policy.minimum_effect,
                    "inconclusive_as": self.gate.inconclusive_as,
                },
                "baseline": of(Side::Baseline),
                "candidate": of(Side::Candidate),
            }),
        }
    }

    /// What a side was built from: as its run says, unless it was given now.
    fn labels_of(&self, side: Side) -> Labels {
        let stored = &self.sides[side.index()];
        let target = stored.run.header.targets.get(&stored.side);
        let known = target.map(|target| target.labels.clone());
        commit::over(&self.labels[side.index()], &known.unwrap_or_default())
    }

    /// The run that began last.
    fn newest(&self) -> &RunHeader {
        let [a, b] = self.sides.each_ref().map(|side| &side.run.header);
        if a.started_at > b.started_at { a } else { b }
    }

    /// Both sides in one run file, each slot with its side.
    fn write_run(&self, header: &RunHeader) -> Result<(), StoreError> {
        // What one side lacks, the whole lacks.
        let mut ends = self.sides.iter().filter_map(|it| it.run.footer.as_ref());
        let partial = ends.find(|footer| footer.state != "complete");
        let footer = partial.cloned().unwrap_or_else(|| RunFooter {
            state: "complete".to_owned(),
            reason: "the sides were not measured together".to_owned(),
            elapsed_ns: self.elapsed_ns(),
        });
        let path = self.out_dir.file("run.jsonl");
        write_with(&path, Readers::Owner, |file| {
            use std::io::Write;
            file.write_all(header_line(header).as_bytes())?;
            for slot in self.slots() {
                file.write_all(slot_line(&slot).as_bytes())?;
            }
            file.write_all(footer_line(&footer).as_bytes())
        })
    }

    /// Every slot of both sides, under the side that it stands for here.
    fn slots(&self) -> impl Iterator<Item = Slot> {
        let of = |side: Side| {
            let stored = &self.sides[side.index()];
            let own = stored.run.slots.iter();
            own.filter(|slot| slot.side == stored.side)
                .map(move |slot| Slot {
                    side,
                    ..slot.clone()
                })
        };
        of(Side::Baseline).chain(of(Side::Candidate))
    }

    fn totals(&self) -> crate::report::Figures {
        let mut totals = Totals::default();
        for slot in self.slots().filter(|slot| slot.round > 0 && slot.complete) {
            totals.add(&slot);
        }
        totals.figures()
    }

    fn elapsed_ns(&self) -> u64 {
        let runs = self.sides.iter().map(|side| &side.run);
        let newest = runs.max_by(|a, b| a.header.started_at.cmp(&b.header.started_at));
        let footer = newest.and_then(|run: &Run| run.footer.as_ref());
        footer.map_or(0, |footer| footer.elapsed_ns)
    }

    fn subject(&self, header: RunHeader, found: Vec<String>) -> Subject {
        let place = |side: Side| {
            let stored = &self.sides[side.index()];
            let target = stored.run.header.targets.get(&stored.side);
            Place {
                label: stored.label.clone(),
                address: target.map(|target| target.url.clone()),
                protocol: None,
                labels: self.labels_of(side),
                facts: target.map(|it| it.facts.clone()).unwrap_or_default(),
            }
        };
        let notes = Side::BOTH.map(|side| self.sides[side.index()].note(side.name()));
        Subject {
            title: format!("{} against {}", self.sides[1].label, self.sides[0].label),
            version: header.version,
            started_at: header.started_at,
            elapsed_ns: self.elapsed_ns(),
            baseline: place(Side::Baseline),
            candidate: place(Side::Candidate),
            workload: labels::workload(header.workload),
            arrangement: "not together".to_owned(),
            rate: rate(&self.sides[0].run.header),
            seed: header.seed,
            configuration: header.config,
            command: command::again(header.seed),
            // Known once everything is stored.
            exit_code: exit::PASS,
            expires_at: None,
            notes: notes.into_iter().chain(found).collect(),
        }
    }
}

/// Says what stands beside what, before anything is sent.
pub(super) fn announce(stored: &Stored, live: &Origin) {
    let said = format!(
        "plan: {} is measured now, as it was done for {} at {}; the sides are not measured \
         together, which the report says",
        live.label, stored.label, stored.run.header.started_at
    );
    say(&crate::report::printable(&said));
}
