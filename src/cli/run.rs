//! `proofload run`: one target under load, measured and not judged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    slice,
};

use anyhow::{Context, anyhow};
use clap::Args;

use super::{
    DataFormat,
    auth::Credentials,
    ci::{self, CiFlag},
    command,
    commit::Commit,
    exit::{self, Failure},
    host,
    input::{self, Safety, Source},
    labels,
    local::{self, Build, Ports},
    looped::looped,
    observe::Resources,
    probes,
    progress::Progress,
    ready::{self, Asked},
    replace::{RUN, check_place},
    say,
    settings::LoadSettings,
    trust,
};
use crate::{
    clock::wall_ns,
    compare::{Checkup, Warning},
    experiment::{Ended, Experiment, News, conduct},
    replay::{Layout, Load},
    report::{self, RunReport, Totals},
    run::{Facts, Labels, RunHeader, Side},
    staging::{Meter, Place},
    store::{BASELINES, BaselineName, Baselines, RunLog, create_log},
    tls::Trust,
    units::{SECOND_NS, Span, seconds},
    workload::{Target, Workload, redact::masked_command},
};

/// Slots are no longer than this, so that a killed run loses little, in nanoseconds.
const SLOT_MAX_NS: u64 = 10 * SECOND_NS;
/// Slots of a run of the default length; two make a round when it stands in for a side.
const SLOTS: u64 = 24;
/// Fewer rounds, or shorter ones, carry no verdict.
pub(super) const ROUNDS_MIN: u32 = 8;
const ROUND_MIN_NS: u64 = SECOND_NS / 2;

/// Flags of `proofload run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What is loaded; with --target-cmd it may hold {port}
    #[arg(long, value_name = "URL", required_unless_present = "target_cmd")]
    target: Option<String>,
    /// Starts the target here: a shell command, such as './shop --port {port}'; it is ended with
    /// proofload, and what it says goes to a log beside the run file
    #[arg(long, value_name = "COMMAND")]
    target_cmd: Option<String>,
    /// How long a started command may take until it answers
    #[arg(long, value_name = "TIME", default_value = "30s")]
    start_timeout: Span,
    #[command(flatten)]
    source: Source,
    /// The run file
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present = "save_baseline"
    )]
    output: Option<PathBuf>,
    /// Replaces the run file whatever is there
    #[arg(long)]
    force: bool,
    /// Keeps the run as the newest of this name in baselines/, for `compare --baseline NAME`
    #[arg(long, value_name = "NAME")]
    save_baseline: Option<String>,
    /// What stdout shows
    #[arg(long, value_enum, default_value = "text")]
    format: DataFormat,
    #[command(flatten)]
    credentials: Credentials,
    /// Where CPU and memory of the target are read: pid:N (with all that descends from it),
    /// cgroup:PATH, or none [default: the processes of --target-cmd]
    #[arg(long, env = "PROOFLOAD_TARGET_RESOURCES", value_name = "PLACE")]
    target_resources: Option<Place>,
    /// Sends the whole workload so many times, in place of --duration
    #[arg(
        long = "loop",
        value_name = "N",
        conflicts_with = "duration",
        help_heading = "Load"
    )]
    loops: Option<u32>,
    /// The commit that the target was built from [default: that of the CI service]
    #[arg(long, env = "PROOFLOAD_COMMIT", value_name = "SHA")]
    commit: Option<Commit>,
    #[command(flatten)]
    ci: CiFlag,
    #[command(flatten)]
    safety: Safety,
    #[command(flatten)]
    load: LoadSettings,
}

impl RunArgs {
    /// Checks, measures, writes.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        let file = self.safety.file()?;
        let headers = self.credentials.headers(&[])?;
        let settings = self.load.over(&file.load);
        if settings.arrangement.is_some() {
            return Err(Failure::usage(anyhow!(
                "--arrangement is for `compare`: a run has one side"
            )));
        }
        let resources = Resources::of_target(self.target_resources.as_ref())?;
        let workload = self.source.open(&file, &settings)?;
        let settings = looped(self.loops, settings, &workload)?;
        let baseline = self.baseline()?;
        let output = self.output(baseline.as_ref())?;
        self.safety.check_methods(&workload)?;
        command::note_secrets(&[("--target-cmd", &self.target_cmd)]);
        let given = (self.target.as_deref(), self.target_cmd.as_deref());
        let origin = local::origin("--target", given, &mut Ports::default())?;
        let mut target = self.safety.target(&origin.url, headers, &file)?;
        target.protocol = settings.protocol.unwrap_or_default();
        self.credentials.log_in(&mut target)?;
        let trust = self.safety.tls.trust()?;
        let addresses = input::addresses(slice::from_ref(&target), &self.safety.resolve)?;
        let addresses = addresses.into_iter().next().unwrap_or_default();
        let (mut load, mut record) = self.prepare(&settings, &workload, trust)?;
        record["resolved"] = serde_json::json!([ready::addresses_shown(&addresses)]);
        let probes = probes::one_of_each(&workload)?;
        let asked = Asked::before(&load, &workload, &probes);
        let build = match &origin.command {
            None => None,
            Some(command) => {
                let build = self.build(command, &output)?;
                Some(local::start(build, &target, &addresses, &asked).await?)
            }
        };
        let (found, notes) = ready::ask("target", &mut target, &addresses, &asked).await?;
        for note in ready::proxies().into_iter().chain(notes) {
            say(&format!("note: {}", crate::report::printable(&note)));
        }
        let facts = ready::facts(&found, &addresses);
        load.targets = [None, Some(target.clone())];
        record["observe"] = serde_json::json!({ "target-resources": self.target_resources });
        let sources = resources.with_builds([None, build.as_ref()]);
        let code = self
            .measure(load, (sources, &output), (&target, &facts), record)
            .await;
        let code = code.map(|code| match &baseline {
            None => code,
            Some(name) => self.keep(name, &output, code),
        });
        let moved = ready::moved("target", &target, &self.safety.resolve);
        for note in moved
            .into_iter()
            .chain(local::ended("target", build.as_ref()))
        {
            say(&format!("note: {}", crate::report::printable(&note)));
        }
        code
    }

    /// What the target was built from.
    fn labels(&self) -> Labels {
        let commit = self.commit.clone().or_else(|| ci::commit(self.ci.ci));
        commit.map_or_else(Labels::new, |commit| commit.labels())
    }

    /// The name to keep the run under.
    fn baseline(&self) -> Result<Option<BaselineName>, Failure> {
        let Some(text) = &self.save_baseline else {
            return Ok(None);
        };
        let name: BaselineName = text.parse().map_err(Failure::usage)?;
        if Path::new(text).is_file() {
            return Err(Failure::usage(anyhow!(
                "--save-baseline {name}: a file of that name is here, which `compare` would take \
                 for a run file; choose another name"
            )));
        }
        Ok(Some(name))
    }

    /// Where the run file goes, checked; without -o, beside the baselines until it is one.
    fn output(&self, baseline: Option<&BaselineName>) -> Result<PathBuf, Failure> {
        let output = self.place(baseline)?;
        let checked = check_place(&output, RUN, Some(self.force));
        let checked = checked.with_context(|| format!("-o {}", output.display()));
        checked.map_err(Failure::usage)?;
        Ok(output)
    }

    fn place(&self, baseline: Option<&BaselineName>) -> Result<PathBuf, Failure> {
        match (&self.output, baseline) {
            (Some(output), _) => Ok(output.clone()),
            (None, None) => Err(Failure::usage(anyhow!(
                "-o is needed: where the run file goes"
            ))),
            (None, Some(name)) => {
                let made = std::fs::create_dir_all(BASELINES);
                let made = made.with_context(|| format!("cannot create {BASELINES}/"));
                made.map_err(Failure::usage)?;
                Ok(Path::new(BASELINES).join(format!("{name}.unsaved.run.jsonl")))
            }
        }
    }

    /// Keeps a good run as a baseline; returns the exit code.
    fn keep(&self, name: &BaselineName, output: &Path, code: u8) -> u8 {
        if code != exit::PASS {
            let shown = output.display();
            say(&format!(
                "baseline {name}: not stored, because the run did not end well; see {shown}"
            ));
            return code;
        }
        match Baselines::at(Path::new(BASELINES)).save(name, output) {
            Ok(runs) => {
                say(&format!(
                    "baseline {name}: {BASELINES}/{name}.run.jsonl, {runs} stored run(s)"
                ));
                if self.output.is_none() {
                    // It is stored under its name now.
                    let _ = std::fs::remove_file(output);
                }
                code
            }
            Err(error) => {
                let error = crate::report::printable(&error.to_string());
                say(&format!("proofload: baseline {name}: {error}"));
                exit::STORAGE
            }
        }
    }

    /// The local build, with its log beside the run file.
    fn build<'a>(&self, command: &'a str, output: &Path) -> Result<Build<'a>, Failure> {
        let mut log = output.to_owned().into_os_string();
        log.push(".log");
        let log = create_log(Path::new(&log), &masked_command(command)).map_err(Failure::usage)?;
        Ok(Build {
            who: "target",
            command,
            log,
            within: self.start_timeout,
        })
    }

    fn prepare(
        &self,
        settings: &LoadSettings,
        workload: &Workload,
        trust: Trust,
    ) -> Result<(Load, serde_json::Value), Failure> {
        let load = single_load(settings, workload, trust)?;
        if self.save_baseline.is_some() {
            check_rounds(settings, load.layout)?;
        }
        let settings = LoadSettings {
            seed: Some(load.seed),
            ..settings.clone()
        };
        let tls = self.safety.tls.record();
        let limits = input::limits_record(&load.limits);
        let command = self.target_cmd.as_deref().map(masked_command);
        let record = serde_json::json!({
            "load": settings, "limits": limits, "tls": tls, "command": command,
            "replay": workload.rules().settings(),
        });
        Ok((load, record))
    }

    async fn measure(
        &self,
        load: Load,
        (resources, output): ([Option<Meter>; 2], &Path),
        (target, facts): (&Target, &Facts),
        config: serde_json::Value,
    ) -> Result<u8, Failure> {
        let started_at = labels::now();
        let labels = self.labels();
        let record = labels::target_record(Some(target), target, (&labels, facts));
        let header = RunHeader {
            proofload_run: crate::run::VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: load.run_id.clone(),
            started_at: started_at.clone(),
            seed: load.seed,
            targets: BTreeMap::from([(Side::Candidate, record)]),
            workload: labels::workload_recorded(&load.workload).map_err(Failure::usage)?,
            plan: serde_json::to_value(load.layout).unwrap_or_default(),
            config,
        };
        let log = RunLog::create(output, &header).map_err(Failure::storage)?;
        let mut progress = Progress::new(load.layout.total_ns(), load.layout.rounds);
        let mut totals = Totals::of(labels::recorded(&load.workload, load.arrivals));
        let checkup = Checkup::new(load.arrivals.clients().is_none());
        let mut checkup = checkup.of_baseline(self.save_baseline.is_some());
        let experiment = Experiment {
            load,
            judgement: None,
            resources,
        };
        let (lock, shared) = host::occupy();
        let ended = conduct(&experiment, log, |news| {
            if let News::Slot(slot) = news
                && slot.round > 0
            {
                totals.add(slot);
                checkup.add(slot);
            }
            progress.tell(&news);
        });
        let mut ended = ended.await.map_err(Failure::engine)?;
        drop(lock);
        progress.finish();
        ended.warnings.extend(shared);
        let stored = ended.storage.is_none();
        let about = (labels::place(target, (&labels, facts)), started_at);
        let code = self.conclude(&experiment.load, about, ended, (&totals, &checkup));
        if stored {
            say(&format!("run: {}", output.display()));
        }
        Ok(code)
    }

    fn conclude(
        &self,
        load: &Load,
        (target, started_at): (report::Place, String),
        ended: Ended,
        (totals, checkup): (&Totals, &Checkup),
    ) -> u8 {
        let mut found = checkup.diagnosis();
        if let Some(death) = ended.death {
            let cause = format!("{}; repair it and measure again", death.sentence("target"));
            found.causes.insert(0, cause);
        }
        let verdict = if found.causes.is_empty() {
            exit::PASS
        } else {
            exit::INVALID
        };
        if ended.interrupt.is_some() {
            found.warnings.push(Warning {
                code: "interrupted".to_owned(),
                text: format!("the run was {}", ended.footer.reason),
            });
        }
        let insecure = trust::warning(&load.trust);
        found
            .warnings
            .extend(insecure.into_iter().chain(ended.warnings));
        let report = RunReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at,
            elapsed_ns: ended.footer.elapsed_ns,
            target,
            workload: labels::workload(labels::workload_record(&load.workload)),
            rate: labels::rate(&load.workload, load.arrivals),
            seed: load.seed,
            complete: ended.footer.state == "complete",
            causes: found.causes,
            health: found.health,
            warnings: found.warnings,
            totals: totals.figures(),
        };
        let shown = super::print(&match self.format {
            DataFormat::Json => report.json(),
            DataFormat::Text => report.text(super::style()),
        });
        if let Some(error) = &ended.storage {
            say(&format!("proofload: {error}"));
        }
        let stored = ended.storage.is_none() && shown;
        exit::of_run(ended.interrupt, stored, verdict)
    }
}

/// One side under load by the settings: arrivals, limits, and the time cut into slots.
///
/// # Errors
/// When the settings do not fit each other, the workload or the machine (usage).
pub(super) fn single_load(
    settings: &LoadSettings,
    workload: &Workload,
    trust: Trust,
) -> Result<Load, Failure> {
    let arrivals = input::arrivals(settings, workload)?;
    let limits = input::limits(settings, 1)?;
    let duration_ns = settings.duration.unwrap_or(Span::from_secs(60)).ns();
    let slot_ns = settings.slot.map_or(duration_ns.div_ceil(SLOTS), Span::ns);
    let slot_ns = slot_ns
        .clamp(1, SLOT_MAX_NS)
        .max(duration_ns.min(SECOND_NS / 10));
    let rounds = u32::try_from(duration_ns.div_ceil(slot_ns)).unwrap_or(u32::MAX);
    if rounds == 0 {
        return Err(Failure::usage(anyhow!("--duration 0s sends nothing")));
    }
    // The slots must add up to the duration, so that a rate times it is what is scheduled.
    let slot_ns = duration_ns / u64::from(rounds);
    Ok(Load {
        targets: [None, None],
        workload: workload.clone(),
        layout: Layout {
            arrangement: None,
            before: 0,
            rounds,
            warmup_ns: settings.warmup.map(Span::ns),
            slot_ns,
            settle_ns: 0,
        },
        arrivals,
        seed: settings.seed.unwrap_or_else(labels::draw_seed),
        limits,
        threads: settings.threads.unwrap_or(1).max(1),
        run_id: format!("{:x}", wall_ns() / 1_000_000),
        trust,
    })
}

/// Whether a run can stand beside one of another time: a schedule, and enough rounds of enough
/// length.
///
/// # Errors
/// When it cannot (usage).
pub(super) fn check_rounds(settings: &LoadSettings, layout: Layout) -> Result<(), Failure> {
    input::check_comparable(settings)?;
    if layout.rounds < 2 * ROUNDS_MIN || layout.slot_ns < ROUND_MIN_NS / 2 {
        return Err(Failure::usage(anyhow!(
            "a stored side needs {ROUNDS_MIN} rounds of half a second or more, each of two slots, \
             and this run has {} slots of {:.3}s; give a longer -d, or -d 4s --slot 250ms",
            layout.rounds,
            seconds(layout.slot_ns)
        )));
    }
    Ok(())
}
