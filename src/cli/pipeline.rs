//! What `compare` and `demo` share: from checked inputs to a verdict, files and an exit code.
//!
//! Everything that can be refused is refused before the first request of the load.

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::{
    bodies, command,
    exit::{self, Failure},
    host, input, labels,
    local::{self, Build},
    observe::{self, ObserveSettings},
    outputs::Outputs,
    prepare::{Prepared, Wanted},
    probes,
    progress::Progress,
    publish::{End, publish},
    ready::{self, Asked},
    resume::Earlier,
    say,
    settings::{GateSettings, LoadSettings},
    stale, trust,
};
use crate::{
    compare::{Calibration, STATUSES, Verdict, Warning},
    experiment::{Ended, News, conduct},
    replay::Load,
    report::{Report, Subject, Totals},
    run::{Facts, Labels, RunHeader, Side},
    staging::{Local, Pin, Probes},
    store::{OutDir, RunLog, create_log},
    tls::Trust,
    units::Span,
    workload::{Address, Target, Workload, redact::masked_command},
};

/// A comparison whose flags and files were checked.
pub(super) struct Pipeline {
    pub(super) title: String,
    pub(super) targets: [Target; 2],
    /// How the sides are started that are local builds.
    pub(super) commands: [Option<String>; 2],
    pub(super) start_within: Span,
    pub(super) workload: Workload,
    pub(super) load: LoadSettings,
    pub(super) gate: GateSettings,
    pub(super) trust: Trust,
    pub(super) tls: serde_json::Value,
    pub(super) pins: Vec<Pin>,
    pub(super) out_dir: OutDir,
    pub(super) outputs: Outputs,
    /// What the sides were built from.
    pub(super) labels: [Labels; 2],
    pub(super) resources: observe::Resources,
    pub(super) observe: ObserveSettings,
    pub(super) allowed: Vec<String>,
    /// What was measured already, where a comparison is resumed.
    pub(super) earlier: Option<Earlier>,
    /// What is known of the noise here.
    pub(super) calibration: Option<Calibration>,
    /// What each side says of itself; known when it was asked.
    pub(super) facts: [Facts; 2],
    /// What was found worth saying before anything was sent.
    pub(super) remarks: Vec<String>,
}

impl Pipeline {
    /// Runs the comparison; returns the exit code that a gate gets.
    pub(super) async fn exec(mut self) -> Result<u8, Failure> {
        let addresses = input::addresses(&self.targets, &self.pins)?;
        self.load.seed = Some(self.load.seed.unwrap_or_else(labels::draw_seed));
        let mut prepared = self.wanted().prepare()?;
        for (shown, addresses) in prepared.resolved.iter_mut().zip(&addresses) {
            *shown = ready::addresses_shown(addresses);
        }
        if let Some(earlier) = &self.earlier {
            let local = self.commands.each_ref().map(Option::is_some);
            earlier.check(&self.header(&prepared, ""), local)?;
            let judgement = prepared.experiment.judgement.as_ref();
            judgement.map_or(Ok(()), |it| earlier.check_open(it))?;
        }
        prepared.announce(&self.workload);
        // They end when they are dropped, on every way out of here.
        let mut builds = self.start(&prepared, &addresses).await?;
        prepared.experiment.resources = self
            .resources
            .with_builds(builds.each_ref().map(Option::as_ref));
        let mut notes = std::mem::take(&mut self.remarks);
        notes.extend(self.ask(&mut prepared, &addresses).await?);
        notes.extend(observe::one_sided(&prepared.experiment.resources));
        for note in &notes {
            say(&format!("note: {}", crate::report::printable(note)));
        }
        let ended = self.measure(&prepared, notes, &builds).await;
        // Both begin to end before the first is waited for.
        builds.iter_mut().flatten().for_each(Local::release);
        ended
    }

    /// Starts the local builds, one after the other, and waits until they answer.
    pub(super) async fn start(
        &self,
        prepared: &Prepared,
        addresses: &[Vec<Address>],
    ) -> Result<[Option<Local>; 2], Failure> {
        let mut builds = [None, None];
        self.out_dir.clear_logs();
        for (side, addresses) in Side::BOTH.into_iter().zip(addresses) {
            let Some(command) = &self.commands[side.index()] else {
                continue;
            };
            let log = self.out_dir.file(&format!("{}.log", side.name()));
            let build = Build {
                who: side.name(),
                command,
                log: create_log(&log, &masked_command(command)).map_err(Failure::usage)?,
                within: self.start_within,
            };
            let nothing = Probes::default();
            let asked = self.asked(&prepared.experiment.load, &nothing);
            let target = &self.targets[side.index()];
            builds[side.index()] = Some(local::start(build, target, addresses, &asked).await?);
        }
        Ok(builds)
    }

    fn asked<'a>(&self, load: &'a Load, probes: &'a Probes) -> Asked<'a> {
        Asked::before(load, &self.workload, probes)
    }

    /// Both sides answer each endpoint once; the baseline first, and what it refuses ends it.
    pub(super) async fn ask(
        &mut self,
        prepared: &mut Prepared,
        addresses: &[Vec<Address>],
    ) -> Result<Vec<String>, Failure> {
        let load = &mut prepared.experiment.load;
        let probes = probes::one_of_each(&self.workload)?;
        let mut notes: Vec<_> = ready::proxies().into_iter().collect();
        let mut all_found = Vec::new();
        let mut warnings = Vec::new();
        for (side, addresses) in Side::BOTH.into_iter().zip(addresses) {
            let mut target = self.targets[side.index()].clone();
            let asked = self.asked(load, &probes);
            let (found, said) = ready::ask(side.name(), &mut target, addresses, &asked).await?;
            if side == Side::Baseline {
                warnings = stale::check(&found, (&self.workload, &target), &asked).await?;
            }
            notes.extend(said);
            self.facts[side.index()] = ready::facts(&found, addresses);
            all_found.push(found);
            load.targets[side.index()] = Some(target.clone());
            self.targets[side.index()] = target;
        }
        if let [baseline, candidate] = all_found.as_slice() {
            notes.extend(ready::versions(baseline, candidate));
        }
        let (found, said) = self.compare_bodies(&prepared.experiment.load).await?;
        prepared.warnings = found;
        prepared.warnings.extend(warnings);
        notes.extend(said);
        Ok(notes)
    }

    /// Compares the answers of both sides, outside of the time that is measured.
    async fn compare_bodies(&self, load: &Load) -> Result<(Vec<Warning>, Option<String>), Failure> {
        let samples = self.observe.bodies.unwrap_or(bodies::SAMPLES);
        let requests = bodies::sampled(&self.workload, samples, load.seed)?;
        let check = bodies::Check {
            targets: &self.targets,
            requests,
            seed: load.seed,
            within_ns: bodies::budget_ns(load.layout.total_ns()),
        };
        check
            .exec(self.asked(load, &Probes::default()).terms())
            .await
    }

    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            workload: &self.workload,
            load: &self.load,
            gate: &self.gate,
            trust: &self.trust,
            earlier: self.earlier.as_ref(),
            calibration: self.calibration.as_ref(),
        }
    }

    async fn measure(
        &self,
        prepared: &Prepared,
        mut notes: Vec<String>,
        builds: &[Option<Local>; 2],
    ) -> Result<u8, Failure> {
        let experiment = &prepared.experiment;
        let started_at = labels::now();
        let log = self.open_log(&self.header(prepared, &started_at))?;
        let layout = prepared.plan.layout;
        let mut progress = Progress::new(layout.total_ns(), layout.before + layout.rounds);
        let recorded = labels::recorded(&self.workload, prepared.arrivals);
        let mut totals = Totals::of(recorded);
        let earlier = self.earlier.iter().flat_map(Earlier::slots);
        earlier.for_each(|slot| totals.add(slot));
        let (lock, shared) = host::occupy();
        let ended = conduct(experiment, log, |news| {
            if let News::Slot(slot) = news
                && slot.round > 0
                && slot.complete
            {
                totals.add(slot);
            }
            progress.tell(&news);
        });
        let mut ended = ended.await.map_err(Failure::engine)?;
        drop(lock);
        ended.warnings.extend(shared);
        progress.finish();
        for side in Side::BOTH {
            let target = &self.targets[side.index()];
            notes.extend(ready::moved(side.name(), target, &self.pins));
            notes.extend(local::ended(side.name(), builds[side.index()].as_ref()));
        }
        self.conclude(prepared, ended, &totals, (started_at, notes))
    }

    /// The run file: new, or what an earlier session left with more to come.
    fn open_log(&self, header: &RunHeader) -> Result<RunLog, Failure> {
        let path = self.out_dir.file("run.jsonl");
        let log = if let Some(earlier) = &self.earlier {
            RunLog::resume(&path, header, earlier.slots())
        } else {
            let cleared = self.out_dir.clear();
            cleared.and_then(|()| RunLog::create(&path, header))
        };
        log.map_err(Failure::storage)
    }

    fn conclude(
        &self,
        prepared: &Prepared,
        ended: Ended,
        totals: &Totals,
        (started_at, notes): (String, Vec<String>),
    ) -> Result<u8, Failure> {
        let Some(mut comparison) = ended.comparison else {
            return Err(Failure::bug(anyhow!(
                "a comparison ended without a judgement"
            )));
        };
        comparison.warnings.extend(trust::warning(&self.trust));
        comparison.warnings.extend(ended.warnings);
        // What the load itself has shown of the recording is better known.
        let is_known = |it: &Warning| it.code == STATUSES;
        let knows = comparison.warnings.iter().any(is_known);
        let mut before = prepared.warnings.clone();
        before.retain(|it| !(knows && is_known(it)));
        comparison.warnings.extend(before);
        if ended.interrupt.is_some() && comparison.verdict == Verdict::Pass {
            // Fail closed: what was cut short was not shown.
            comparison.verdict = Verdict::Inconclusive;
        }
        if ended.interrupt.is_some() {
            comparison
                .causes
                .insert(0, format!("the run was {}", ended.footer.reason));
        }
        let verdict = exit::of_verdict(comparison.verdict, self.gate.inconclusive_as);
        let subject = Subject {
            title: self.title.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            elapsed_ns: ended.footer.elapsed_ns
                + self.earlier.as_ref().map_or(0, Earlier::elapsed_ns),
            baseline: labels::place(&self.targets[0], self.known(Side::Baseline)),
            candidate: labels::place(&self.targets[1], self.known(Side::Candidate)),
            workload: labels::workload(prepared.workload.clone()),
            arrangement: labels::arrangement(prepared.plan.layout.arrangement).to_owned(),
            rate: labels::rate(&self.workload, prepared.arrivals),
            seed: prepared.experiment.load.seed,
            configuration: self.configuration(prepared),
            command: command::again(prepared.experiment.load.seed),
            exit_code: exit::of_run(ended.interrupt, ended.storage.is_none(), verdict),
            expires_at: None,
            notes,
        };
        let is_open = comparison.verdict == Verdict::Inconclusive;
        let report = Report {
            subject,
            comparison,
            totals: totals.figures(),
            picture: ended.picture,
        };
        let end = End {
            interrupt: ended.interrupt,
            storage: ended.storage,
            verdict,
        };
        let code = publish(report, &self.out_dir, &self.outputs, end);
        if is_open {
            say("to go on where it ended, give the same command with --resume");
        }
        Ok(code)
    }

    pub(super) fn header(&self, prepared: &Prepared, started_at: &str) -> RunHeader {
        let targets = Side::BOTH.map(|side| {
            let target = &self.targets[side.index()];
            (
                side,
                labels::target_record(
                    prepared.experiment.load.targets[side.index()].as_ref(),
                    target,
                    self.known(side),
                ),
            )
        });
        RunHeader {
            proofload_run: crate::run::VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: prepared.experiment.load.run_id.clone(),
            started_at: started_at.to_owned(),
            seed: prepared.experiment.load.seed,
            targets: BTreeMap::from(targets),
            workload: prepared.workload.clone(),
            plan: serde_json::to_value(&prepared.plan).unwrap_or_default(),
            config: self.configuration(prepared),
        }
    }

    /// What a side was built from, and what it said of itself.
    fn known(&self, side: Side) -> (&Labels, &Facts) {
        (&self.labels[side.index()], &self.facts[side.index()])
    }

    /// The effective settings, header values left out.
    fn configuration(&self, prepared: &Prepared) -> serde_json::Value {
        let names = |side: Side| -> Vec<&str> {
            let headers = &self.targets[side.index()].headers;
            headers.iter().map(|(name, _)| name.as_str()).collect()
        };
        let policy = prepared.experiment.judgement.as_ref().map(|it| &it.policy);
        serde_json::json!({
            "title": self.title,
            "command_line": command::again(prepared.experiment.load.seed),
            "load": self.load,
            "limits": input::limits_record(&prepared.experiment.load.limits),
            "gate": {
                "alpha": policy.map(|policy| policy.alpha),
                "tolerance": policy.map(|policy| &policy.tolerance),
                "minimum_effect": policy.map(|policy| &policy.minimum_effect),
                "decides": policy.map(|policy| &policy.gate),
                "rules": self.gate,
                "inconclusive_as": self.gate.inconclusive_as,
            },
            "targets": { "allow": self.allowed, "insecure": self.trust.insecure },
            "observe": self.observe,
            "tls": self.tls,
            "replay": self.workload.rules().settings(),
            "calibration": self.calibration.as_ref().map(|it| &it.measured_at),
            "resolved": prepared.resolved,
            "header_names": {
                "baseline": names(Side::Baseline),
                "candidate": names(Side::Candidate),
            },
        })
    }
}
