//! What `compare` and `demo` share: from checked inputs to a verdict, files and an exit code.
//!
//! Everything that can be refused is refused before the first request of the load.

use std::collections::BTreeMap;

use anyhow::anyhow;

use super::{
    StdoutFormat,
    exit::{self, Failure},
    host, input, labels,
    local::{self, Build},
    progress::Progress,
    ready::{self, Asked},
    say,
    settings::{GateSettings, LoadSettings},
    style, trust,
};
use crate::{
    clock::wall_ns,
    compare::{
        Boundaries, Design, Margins, Metric, Policy, Verdict, can_show_errors, is_judgeable,
        minimum_requests,
    },
    experiment::{Budget, Ended, Experiment, Judgement, News, Plan, conduct, plan},
    replay::{Arrangement, Arrivals, Load, expected, mean_rate},
    report::{FILES, Format, Report, Subject, Totals, render},
    run::{RunHeader, Side},
    staging::{Local, Pin, Preflight},
    store::{OutDir, RunLog, create_log},
    tls::Trust,
    units::{Span, seconds},
    workload::{Address, Request, Target, Workload},
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
    pub(super) format: StdoutFormat,
    pub(super) allowed: Vec<String>,
}

/// What was decided before the preflight.
struct Prepared {
    resolved: [String; 2],
    plan: Plan,
    arrivals: Arrivals,
    experiment: Experiment,
}

impl Pipeline {
    /// Runs the comparison; returns the exit code that a gate gets.
    pub(super) async fn exec(mut self) -> Result<u8, Failure> {
        let addresses = input::addresses(&self.targets, &self.pins)?;
        self.load.seed = Some(self.load.seed.unwrap_or_else(labels::draw_seed));
        let mut prepared = self.prepare()?;
        for (shown, addresses) in prepared.resolved.iter_mut().zip(&addresses) {
            *shown = ready::addresses_shown(addresses);
        }
        self.announce(&prepared);
        // They end when they are dropped, on every way out of here.
        let mut builds = self.start(&prepared, &addresses).await?;
        let notes = self.ask(&mut prepared, &addresses).await?;
        for note in &notes {
            say(&format!("note: {}", crate::report::printable(note)));
        }
        let ended = self.measure(&prepared, notes, &builds).await;
        // Both begin to end before the first is waited for.
        builds.iter_mut().flatten().for_each(Local::release);
        ended
    }

    /// Starts the local builds, one after the other, and waits until they answer.
    async fn start(
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
                log: create_log(&log, command).map_err(Failure::usage)?,
                within: self.start_within,
            };
            let asked = self.asked(&prepared.experiment.load, &[]);
            let target = &self.targets[side.index()];
            builds[side.index()] = Some(local::start(build, target, addresses, &asked).await?);
        }
        Ok(builds)
    }

    fn asked<'a>(&'a self, load: &Load, probes: &'a [Request]) -> Asked<'a> {
        Asked {
            probes,
            trust: &self.trust,
            limits: load.limits,
            length_ns: load.layout.total_ns(),
            rate_per_s: mean_rate(&self.workload, load.arrivals),
        }
    }

    /// Both sides answer each endpoint once; the baseline first, and what it refuses ends it.
    async fn ask(
        &mut self,
        prepared: &mut Prepared,
        addresses: &[Vec<Address>],
    ) -> Result<Vec<String>, Failure> {
        let load = &mut prepared.experiment.load;
        let probes = input::one_of_each(&self.workload)?;
        let mut notes: Vec<_> = ready::proxies().into_iter().collect();
        let mut all_found = Vec::new();
        for (side, addresses) in Side::BOTH.into_iter().zip(addresses) {
            let mut target = self.targets[side.index()].clone();
            let asked = self.asked(load, &probes);
            let (found, said) = ready::ask(side.name(), &mut target, addresses, &asked).await?;
            if side == Side::Baseline {
                check_recording(&found)?;
            }
            notes.extend(said);
            all_found.push(found);
            load.targets[side.index()] = Some(target.clone());
            self.targets[side.index()] = target;
        }
        if let [baseline, candidate] = all_found.as_slice() {
            notes.extend(ready::versions(baseline, candidate));
        }
        Ok(notes)
    }

    fn prepare(&self) -> Result<Prepared, Failure> {
        input::check_comparable(&self.load)?;
        let arrivals = input::arrivals(&self.load, &self.workload)?;
        let limits = input::limits(&self.load, 2)?;
        let budget = Budget {
            duration_ns: self.load.duration.unwrap_or(Span::from_secs(60)).ns(),
            arrangement: self.load.arrangement,
            slot_ns: self.load.slot.map(Span::ns),
            warmup_ns: self.load.warmup.map(Span::ns),
        };
        let plan = plan(budget).map_err(Failure::usage)?;
        let design = Design {
            rounds_max: plan.layout.rounds,
            looks: plan.looks.clone(),
            simultaneous: plan.layout.arrangement == Some(Arrangement::Simultaneous),
            expected: expected(&self.workload, arrivals, plan.layout.measured_ns()),
        };
        check_judgeable(&design, &self.workload, arrivals, &plan)?;
        let alpha = self.gate.alpha.unwrap_or(0.05);
        if !(1e-4..=0.2).contains(&alpha) {
            return Err(Failure::usage(anyhow!(
                "--alpha {alpha} must lie between 0.0001 and 0.2"
            )));
        }
        let policy = Policy {
            tolerance: Margins::tolerance().with(&self.gate.tolerance),
            minimum_effect: Margins::minimum_effect().with(&self.gate.min_effect),
            alpha,
            timeout_ns: limits.total_ns,
        };
        policy
            .check(&design, &self.gate.min_effect)
            .map_err(Failure::usage)?;
        let boundaries = Boundaries::new(&plan.looks);
        let load = Load {
            targets: [None, None],
            workload: self.workload.clone(),
            layout: plan.layout,
            arrivals,
            seed: self.load.seed.unwrap_or_default(),
            limits,
            threads: self.load.threads.unwrap_or(1).max(1),
            run_id: format!("{:x}", wall_ns() / 1_000_000),
            trust: self.trust.clone(),
        };
        let judgement = Some(Judgement {
            design,
            policy,
            boundaries,
        });
        Ok(Prepared {
            plan,
            arrivals,
            experiment: Experiment { load, judgement },
            resolved: [String::new(), String::new()],
        })
    }

    fn announce(&self, prepared: &Prepared) {
        let layout = prepared.plan.layout;
        let looks: Vec<_> = prepared
            .plan
            .looks
            .iter()
            .map(ToString::to_string)
            .collect();
        say(&format!(
            "plan: {}, 1 + {} rounds of {:.1}s, looks after {}, at most {:.0}s, {}, seed {}",
            labels::arrangement(layout.arrangement),
            layout.rounds,
            seconds(layout.total_ns()) / f64::from(layout.rounds + 1),
            looks.join(" "),
            seconds(layout.total_ns()),
            labels::rate(&self.workload, prepared.arrivals),
            prepared.experiment.load.seed,
        ));
        let Some(judgement) = &prepared.experiment.judgement else {
            return;
        };
        let (design, policy) = (&judgement.design, &judgement.policy);
        for line in shortfalls(design, policy, &judgement.boundaries) {
            say(&format!("plan: {line}"));
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
        self.out_dir.clear().map_err(Failure::storage)?;
        let header = self.header(prepared, &started_at);
        let log = RunLog::create(&self.out_dir.file("run.jsonl"), &header);
        let log = log.map_err(Failure::storage)?;
        let layout = prepared.plan.layout;
        let mut progress = Progress::new(layout.total_ns(), layout.rounds);
        let mut totals = Totals::default();
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
            elapsed_ns: ended.footer.elapsed_ns,
            baseline: labels::place(&self.targets[0]),
            candidate: labels::place(&self.targets[1]),
            workload: labels::workload(&self.workload),
            arrangement: labels::arrangement(prepared.plan.layout.arrangement).to_owned(),
            rate: labels::rate(&self.workload, prepared.arrivals),
            seed: prepared.experiment.load.seed,
            configuration: self.configuration(prepared),
            command: labels::command(prepared.experiment.load.seed),
            exit_code: exit::of_run(ended.interrupt, ended.storage.is_none(), verdict),
            notes,
        };
        let mut report = Report {
            subject,
            comparison,
            totals: totals.figures(),
        };
        let mut storage = ended.storage;
        for (name, format) in FILES {
            let text = render(&report, format, crate::report::Style::default());
            if let Err(error) = self.out_dir.write(name, text.as_bytes()) {
                storage.get_or_insert(error);
            }
        }
        let code = exit::of_run(ended.interrupt, storage.is_none(), verdict);
        report.subject.exit_code = code;
        let format = match self.format {
            StdoutFormat::Text => Format::Text,
            StdoutFormat::Json => Format::Json,
            StdoutFormat::Markdown => Format::Markdown,
        };
        let shown = super::print(&render(&report, format, style()));
        match storage {
            Some(error) => say(&format!("proofload: {error}")),
            None => say(&format!(
                "report: {}",
                self.out_dir.file("report.html").display()
            )),
        }
        Ok(exit::of_run(ended.interrupt, shown, code))
    }

    fn header(&self, prepared: &Prepared, started_at: &str) -> RunHeader {
        let targets = Side::BOTH.map(|side| {
            let target = &self.targets[side.index()];
            (
                side,
                labels::target_record(
                    prepared.experiment.load.targets[side.index()].as_ref(),
                    target,
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
            workload: labels::workload_record(&self.workload),
            plan: serde_json::to_value(&prepared.plan).unwrap_or_default(),
            config: self.configuration(prepared),
        }
    }

    /// The effective settings, header values left out.
    fn configuration(&self, prepared: &Prepared) -> serde_json::Value {
        let names = |side: Side| -> Vec<&str> {
            let headers = &self.targets[side.index()].headers;
            headers.iter().map(|(name, _)| name.as_str()).collect()
        };
        let policy = prepared.experiment.judgement.as_ref().map(|it| &it.policy);
        serde_json::json!({
            "load": self.load,
            "limits": input::limits_record(&prepared.experiment.load.limits),
            "gate": {
                "alpha": policy.map(|policy| policy.alpha),
                "tolerance": policy.map(|policy| &policy.tolerance),
                "minimum_effect": policy.map(|policy| &policy.minimum_effect),
                "inconclusive_as": self.gate.inconclusive_as,
            },
            "targets": { "allow": self.allowed, "insecure": self.trust.insecure },
            "tls": self.tls,
            "resolved": prepared.resolved,
            "header_names": {
                "baseline": names(Side::Baseline),
                "candidate": names(Side::Candidate),
            },
        })
    }
}

/// Refuses a plan in which no latency could be judged, naming what would do.
fn check_judgeable(
    design: &Design,
    workload: &Workload,
    arrivals: Arrivals,
    plan: &Plan,
) -> Result<(), Failure> {
    if is_judgeable(design) {
        return Ok(());
    }
    let best = design
        .expected
        .values()
        .copied()
        .fold(0.0, f64::max)
        .max(1e-9);
    let factor = minimum_requests(Metric::P50) / best;
    let rate = mean_rate(workload, arrivals) * factor;
    let duration_s = seconds(plan.layout.total_ns()) * factor + 6.0;
    Err(Failure::usage(anyhow!(
        "nothing could be judged: the busiest endpoint gets {best:.1} requests a round and side, \
         and a median needs {:.0}; use a rate of {rate:.1}/s or more (--rate or --speed), or \
         -d {duration_s:.0}s",
        minimum_requests(Metric::P50)
    )))
}

/// What the plan cannot show, said before the load.
fn shortfalls(design: &Design, policy: &Policy, boundaries: &Boundaries) -> Vec<String> {
    let names = |metric: Metric| -> Vec<&str> {
        let least = minimum_requests(metric);
        let few = design.expected.iter().filter(|(_, n)| **n < least);
        few.map(|(name, _)| name.as_str()).collect()
    };
    let mut lines = Vec::new();
    for metric in [Metric::P50, Metric::P99] {
        let names = names(metric);
        if !names.is_empty() {
            lines.push(format!(
                "{} is not judged for {} of {} endpoints (fewer than {:.0} requests a round)",
                metric.name(),
                names.len(),
                design.expected.len(),
                minimum_requests(metric)
            ));
        }
    }
    let few = design
        .expected
        .iter()
        .filter(|(_, requests)| **requests >= minimum_requests(Metric::P50))
        .filter(|(name, _)| !can_show_errors(design, policy, boundaries, name));
    let few: Vec<_> = few
        .map(|(name, _)| crate::report::printable(name))
        .collect();
    if let Some(first) = few.first() {
        lines.push(format!(
            "too few requests to show the error tolerance of {} of {} endpoints ({first}, …): at \
             best INCONCLUSIVE there; a longer -d, a higher rate or --tolerance errors=… would do",
            few.len(),
            design.expected.len()
        ));
    }
    lines
}

/// Refuses a recording whose expected statuses the baseline no longer gives.
fn check_recording(found: &Preflight) -> Result<(), Failure> {
    let unexpected = found.unexpected();
    match unexpected.iter().next() {
        Some((name, status)) if unexpected.len() * 5 > found.probes.len() => {
            Err(Failure::invalid(anyhow!(
                "the recording no longer fits the baseline: {} of {} endpoints answer with \
                 another status than expected ({name}: {status}); record again, or check \
                 credentials; no load was sent",
                unexpected.len(),
                found.probes.len()
            )))
        }
        _ => Ok(()),
    }
}
