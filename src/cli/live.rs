//! The live side beside a stored one: checked as `compare` does, loaded and kept as `run` does.

use std::{collections::BTreeMap, slice};

use super::{
    exit::Failure,
    host,
    input::{self, Safety},
    labels,
    local::{self, Build, Origin},
    observe::Resources,
    probes,
    progress::Progress,
    ready::{self, Asked},
    run::{check_rounds, single_load},
    say,
    settings::LoadSettings,
    sides::{Stored, check_alike},
    stale,
    stored::{Measured, announce},
    trust,
};
use crate::{
    experiment::{Experiment, News, conduct},
    replay::Load,
    run::{Facts, Labels, Run, RunHeader, Side},
    staging::Local,
    store::{OutDir, RunLog, create_log},
    units::Span,
    workload::{Address, Target, Workload, redact::masked_command},
};

/// A deployment that stands beside a stored run.
pub(super) struct Live<'a> {
    pub(super) side: Side,
    pub(super) origin: Origin,
    /// What it was built from.
    pub(super) labels: Labels,
    pub(super) target: Target,
    pub(super) workload: Workload,
    /// Those of the stored side, where none were given.
    pub(super) settings: LoadSettings,
    pub(super) safety: &'a Safety,
    pub(super) start_within: Span,
    pub(super) out_dir: &'a OutDir,
    pub(super) resources: Resources,
}

impl Live<'_> {
    /// Loads it like the stored side; its run is in the output directory slot by slot.
    ///
    /// # Errors
    /// When it was to be loaded otherwise (usage), may not be loaded (refused), cannot be
    /// measured (invalid), or nothing can be stored.
    pub(super) async fn measure(mut self, like: &Stored) -> Result<(Stored, Measured), Failure> {
        let addresses = input::addresses(slice::from_ref(&self.target), &self.safety.resolve)?;
        let addresses = addresses.into_iter().next().unwrap_or_default();
        let trust = self.safety.tls.trust()?;
        let mut load = single_load(&self.settings, &self.workload, trust)?;
        check_rounds(&self.settings, load.layout)?;
        let header = self.header(&load, (&addresses, &Facts::default()))?;
        match self.side {
            Side::Baseline => check_alike(&header, &like.run.header)?,
            Side::Candidate => check_alike(&like.run.header, &header)?,
        }
        announce(like, &self.origin);
        let probes = probes::one_of_each(&self.workload)?;
        let asked = Asked::before(&load, &self.workload, &probes);
        let build = self.start(&addresses, &asked).await?;
        let who = self.side.name();
        let (found, mut notes) = ready::ask(who, &mut self.target, &addresses, &asked).await?;
        if self.side == Side::Baseline {
            let about = (&self.workload, &self.target);
            let warnings = stale::check(&found, about, &asked).await?;
            notes.extend(warnings.into_iter().map(|it| it.text));
        }
        notes.extend(ready::proxies());
        for note in &notes {
            say(&format!("note: {}", crate::report::printable(note)));
        }
        load.targets = [None, Some(self.target.clone())];
        let facts = ready::facts(&found, &addresses);
        let header = self.header(&load, (&addresses, &facts))?;
        self.load(load, header, (build, notes)).await
    }

    async fn start(
        &self,
        addresses: &[Address],
        asked: &Asked<'_>,
    ) -> Result<Option<Local>, Failure> {
        let Some(command) = &self.origin.command else {
            return Ok(None);
        };
        self.out_dir.clear_logs();
        let log = self.out_dir.file(&format!("{}.log", self.side.name()));
        let build = Build {
            who: self.side.name(),
            command,
            log: create_log(&log, &masked_command(command)).map_err(Failure::usage)?,
            within: self.start_within,
        };
        let started = local::start(build, &self.target, addresses, asked).await;
        started.map(Some)
    }

    async fn load(
        &self,
        load: Load,
        header: RunHeader,
        (build, mut notes): (Option<Local>, Vec<String>),
    ) -> Result<(Stored, Measured), Failure> {
        self.out_dir.clear().map_err(Failure::storage)?;
        let log = RunLog::create(&self.out_dir.file("run.jsonl"), &header);
        let log = log.map_err(Failure::storage)?;
        let mut progress = Progress::new(load.layout.total_ns(), load.layout.rounds);
        let mut slots = Vec::new();
        let insecure = trust::warning(&load.trust);
        let experiment = Experiment {
            load,
            judgement: None,
            resources: self.resources.with_builds([None, build.as_ref()]),
        };
        let (lock, shared) = host::occupy();
        let ended = conduct(&experiment, log, |news| {
            if let News::Slot(slot) = news {
                slots.push(slot.clone());
            }
            progress.tell(&news);
        });
        let ended = ended.await.map_err(Failure::engine)?;
        drop(lock);
        progress.finish();
        let who = self.side.name();
        notes.extend(ready::moved(who, &self.target, &self.safety.resolve));
        notes.extend(local::ended(who, build.as_ref()));
        let mut warnings = ended.warnings;
        warnings.extend(insecure.into_iter().chain(shared));
        let run = Run {
            header,
            slots,
            footer: Some(ended.footer),
            damage: None,
        };
        let side = Stored {
            label: self.origin.label.clone(),
            run,
            side: Side::Candidate,
            earlier: Vec::new(),
        };
        let measured = Measured {
            interrupt: ended.interrupt,
            storage: ended.storage,
            warnings,
            notes,
        };
        Ok((side, measured))
    }

    fn header(
        &self,
        load: &Load,
        (addresses, facts): (&[Address], &Facts),
    ) -> Result<RunHeader, Failure> {
        let record = labels::target_record(Some(&self.target), &self.target, (&self.labels, facts));
        let settings = LoadSettings {
            seed: Some(load.seed),
            ..self.settings.clone()
        };
        Ok(RunHeader {
            proofload_run: crate::run::VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: load.run_id.clone(),
            started_at: labels::now(),
            seed: load.seed,
            targets: BTreeMap::from([(Side::Candidate, record)]),
            workload: labels::workload_recorded(&self.workload).map_err(Failure::usage)?,
            plan: serde_json::to_value(load.layout).unwrap_or_default(),
            config: serde_json::json!({
                "load": settings,
                "limits": input::limits_record(&load.limits),
                "tls": self.safety.tls.record(),
                "resolved": [ready::addresses_shown(addresses)],
                "replay": self.workload.rules().settings(),
            }),
        })
    }
}
