//! `proofload calibrate`: the same deployment on both sides, in both arrangements; how noisy they
//! are here, and what comparisons may expect.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{
    DataFormat, StdoutFormat,
    auth::Credentials,
    calibration::{self, Place},
    command,
    exit::{self, Failure},
    host,
    input::{self, Safety, Source},
    labels,
    local::{self, Origin, Ports, origin},
    observe::{ObserveSettings, Resources},
    outputs::Outputs,
    pipeline::Pipeline,
    prepare::Prepared,
    progress::Progress,
    ready, say,
    settings::{GateSettings, LoadSettings, layered},
    style,
};
use crate::{
    compare::{CALIBRATION_VERSION, Calibration, Collected, Environment, Planned, Term, choose},
    experiment::{Budget, Ended, Experiment, News, PlanError, conduct, plan},
    replay::Arrangement,
    report::{calibration_text, printable},
    staging::Local,
    store::{OutDir, RunLog},
    units::{SECOND_NS, Span, seconds},
};

/// The arrangements by the index that everything here goes by.
const ARRANGEMENTS: [Arrangement; 2] = [Arrangement::Simultaneous, Arrangement::Interleaved];
/// Which arrangement has which quarter of the time: what drifts in a straight line favours neither.
const QUARTERS: [usize; 4] = [0, 1, 1, 0];
/// The whole time, unless told otherwise.
const DURATION: Span = Span::from_secs(240);
/// Budgets for which the table says what could be detected.
const BUDGETS_S: [u64; 4] = [60, 300, 600, 1_200];

/// Flags of `proofload calibrate`.
#[derive(Debug, Args)]
pub(super) struct CalibrateArgs {
    /// The deployment; with --target-cmd it may hold {port}
    #[arg(long, value_name = "URL", required_unless_present = "target_cmd")]
    target: Option<String>,
    /// Another instance of it, for the second side [default: the same one, which then carries both
    /// loads when they are simultaneous]
    #[arg(long, value_name = "URL", conflicts_with = "target_cmd")]
    twin: Option<String>,
    /// Starts the deployment here: a shell command, such as './shop --port {port}'; with {port} it
    /// is started twice
    #[arg(long, value_name = "COMMAND")]
    target_cmd: Option<String>,
    /// How long a started command may take until it answers
    #[arg(long, value_name = "TIME", default_value = "30s")]
    start_timeout: Span,
    #[command(flatten)]
    source: Source,
    /// The calibration is kept as baselines/NAME.calibration.json, where `compare` finds it
    /// [default: the name of the workload file]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where the run files go that it is computed from; earlier ones there are replaced
    #[arg(long, value_name = "DIR", default_value = "reports/calibration")]
    out_dir: PathBuf,
    /// What stdout shows
    #[arg(long, value_enum, default_value = "text")]
    format: DataFormat,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    safety: Safety,
    #[command(flatten)]
    load: LoadSettings,
    #[command(flatten)]
    gate: GateSettings,
}

impl CalibrateArgs {
    /// Checks, measures, computes, stores.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        let file = self.safety.file()?;
        let headers = self.credentials.headers(&[])?;
        if self.load.arrangement.is_some() {
            return Err(Failure::usage(anyhow!(
                "--arrangement is for `compare`: calibrate measures both"
            )));
        }
        let mut load = self.load.over(&file.load);
        let workload = self.source.open(&file, &load)?;
        let place = Place::of(self.name.as_deref(), &self.source)?;
        let origins = self.origins()?;
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        place.prepare()?;
        self.safety.check_methods(&workload)?;
        load.arrangement = None;
        let whole_ns = load.duration.unwrap_or(DURATION).ns();
        load.duration = Some(Span::from_ns(whole_ns / QUARTERS.len() as u64));
        let target = |origin: &Origin| {
            let mut target = self.safety.target(&origin.url, headers.clone(), &file)?;
            target.protocol = load.protocol.unwrap_or_default();
            self.credentials.log_in(&mut target)?;
            Ok(target)
        };
        let targets = [target(&origins[0])?, target(&origins[1])?];
        let allowed = self.safety.allow_host.iter().chain(&file.targets.allow);
        let allowed = allowed.cloned().collect();
        let label = origins[0].label.clone();
        let pipeline = Pipeline {
            title: format!("calibration of {label}"),
            commands: origins.map(|origin| origin.command),
            start_within: self.start_timeout,
            targets,
            workload,
            load,
            gate: layered(&self.gate, &file.gate),
            trust: self.safety.tls.trust()?,
            tls: self.safety.tls.record(),
            pins: self.safety.resolve.clone(),
            out_dir,
            outputs: Outputs::plain(StdoutFormat::Text),
            labels: Default::default(),
            resources: Resources::default(),
            observe: ObserveSettings {
                bodies: Some(0),
                ..ObserveSettings::default()
            },
            allowed,
            earlier: None,
            calibration: None,
            facts: Default::default(),
            remarks: Vec::new(),
        };
        let quarters = Quarters {
            pipeline,
            format: self.format,
            place,
            label,
        };
        quarters.exec().await
    }

    /// The two instances; a command without a port of its own can be started once only.
    fn origins(&self) -> Result<[Origin; 2], Failure> {
        command::note_secrets(&[("--target-cmd", &self.target_cmd)]);
        let mut ports = Ports::default();
        let given = (self.target.as_deref(), self.target_cmd.as_deref());
        let first = origin("--target", given, &mut ports)?;
        let second = if let Some(twin) = &self.twin {
            origin("--twin", (Some(twin), None), &mut ports)?
        } else if first.draws_port {
            origin("--target", given, &mut ports)?
        } else {
            Origin {
                command: None,
                ..first.clone()
            }
        };
        Ok([first, second])
    }
}

/// Four stretches of measuring, and what comes of them.
struct Quarters {
    pipeline: Pipeline,
    format: DataFormat,
    place: Place,
    /// What the calibration calls the deployment.
    label: String,
}

/// What the measuring left behind.
struct Measured {
    collected: [Collected; 2],
    started_at: String,
    /// What ended it before its time.
    cut_short: Option<Ended>,
    notes: Vec<String>,
}

impl Quarters {
    async fn exec(mut self) -> Result<u8, Failure> {
        let addresses = input::addresses(&self.pipeline.targets, &self.pipeline.pins)?;
        let seed = self.pipeline.load.seed.unwrap_or_else(labels::draw_seed);
        self.pipeline.load.seed = Some(seed);
        // What needs more time is asked first, for an error that says enough.
        let interleaved = self.prepare(ARRANGEMENTS[1])?;
        let mut prepared = [self.prepare(ARRANGEMENTS[0])?, interleaved];
        for one in &mut prepared {
            one.resolved = [0, 1].map(|side: usize| ready::addresses_shown(&addresses[side]));
        }
        self.announce(&prepared);
        // They end when they are dropped, on every way out of here.
        let mut builds = self.pipeline.start(&prepared[0], &addresses).await?;
        let notes = self.pipeline.ask(&mut prepared[0], &addresses).await?;
        let [first, second] = &mut prepared;
        second
            .experiment
            .load
            .targets
            .clone_from(&first.experiment.load.targets);
        for note in &notes {
            say(&format!("note: {}", printable(note)));
        }
        let measured = self.measure(&prepared).await;
        builds.iter_mut().flatten().for_each(Local::release);
        let mut measured = measured?;
        for (n, build) in builds.iter().enumerate() {
            let name = ["first instance", "second instance"][n];
            measured.notes.extend(local::ended(name, build.as_ref()));
        }
        for note in &measured.notes {
            say(&format!("note: {}", printable(note)));
        }
        match &measured.cut_short {
            Some(ended) => Ok(cut_short(ended)),
            None => self.conclude(&prepared, &measured),
        }
    }

    /// Says what will be sent, before it is.
    fn announce(&self, prepared: &[Prepared; 2]) {
        for one in prepared {
            let layout = one.plan.layout;
            say(&format!(
                "plan: twice {}, 1 + {} rounds of {:.1}s",
                labels::arrangement(layout.arrangement),
                layout.rounds,
                seconds(layout.round_ns()),
            ));
        }
        let total_ns: u64 = prepared
            .iter()
            .map(|it| 2 * it.plan.layout.total_ns())
            .sum();
        say(&format!(
            "plan: {:.0}s in all, {}, seed {}",
            seconds(total_ns),
            labels::rate(&self.pipeline.workload, prepared[0].arrivals),
            prepared[0].experiment.load.seed,
        ));
    }

    fn prepare(&mut self, arrangement: Arrangement) -> Result<Prepared, Failure> {
        self.pipeline.load.arrangement = Some(arrangement);
        self.pipeline.wanted().prepare().map_err(in_quarters)
    }

    /// Loads both sides in each quarter and gathers the rounds of each arrangement.
    async fn measure(&self, prepared: &[Prepared; 2]) -> Result<Measured, Failure> {
        let pipeline = &self.pipeline;
        pipeline.out_dir.clear().map_err(Failure::storage)?;
        let mut measured = Measured {
            collected: [0, 1].map(|which: usize| {
                let judgement = prepared[which].judgement();
                Collected::new(judgement.design.simultaneous, judgement.policy.clone())
            }),
            started_at: labels::now(),
            cut_short: None,
            notes: Vec::new(),
        };
        let (lock, shared) = host::occupy();
        measured.notes.extend(shared.map(|it| it.text));
        for (n, which) in QUARTERS.into_iter().enumerate() {
            let own = &prepared[which];
            let mut load = own.experiment.load.clone();
            // Each quarter draws its own.
            load.seed = load.seed.wrapping_add(n as u64);
            let mut header = pipeline.header(own, &labels::now());
            header.seed = load.seed;
            let path = pipeline.out_dir.file(OutDir::RUNS[n]);
            let log = RunLog::create(&path, &header).map_err(Failure::storage)?;
            let mut progress = Progress::new(load.layout.total_ns(), load.layout.rounds);
            let experiment = Experiment {
                load,
                judgement: None,
                resources: own.experiment.resources.clone(),
            };
            let collected = &mut measured.collected[which];
            collected.next_block();
            let ended = conduct(&experiment, log, |news| {
                if let News::Slot(slot) = news {
                    collected.add(slot);
                }
                progress.tell(&news);
            });
            let ended = ended.await.map_err(Failure::engine)?;
            progress.finish();
            measured
                .notes
                .extend(ended.warnings.iter().map(|it| it.text.clone()));
            if ended.interrupt.is_some() || ended.death.is_some() || ended.storage.is_some() {
                measured.cut_short = Some(ended);
                break;
            }
        }
        drop(lock);
        Ok(measured)
    }

    fn conclude(&self, prepared: &[Prepared; 2], measured: &Measured) -> Result<u8, Failure> {
        let [simultaneous, interleaved] = &measured.collected;
        let correlation_s = simultaneous.correlation_s();
        let warm_up_s = simultaneous.warm_up_s().max(interleaved.warm_up_s());
        let slot_ns = self.pipeline.load.slot.map(Span::ns);
        let mut causes = Vec::new();
        let mut noise = |which: usize| {
            let layout = prepared[which].experiment.load.layout;
            let terms = terms(ARRANGEMENTS[which], slot_ns);
            let judgement = prepared[which].judgement();
            let planned = Planned {
                design: &judgement.design,
                tables: &judgement.tables,
                measured_ns: layout.measured_ns(),
                round_ns: layout.round_ns(),
                terms: &terms,
                known: (correlation_s, warm_up_s),
            };
            let seed = prepared[which].experiment.load.seed;
            let (noise, objections) = measured.collected[which].noise(&planned, seed);
            let name = labels::arrangement(layout.arrangement);
            causes.extend(objections.into_iter().map(|it| format!("{name}: {it}")));
            noise
        };
        let (simultaneous, interleaved) = (noise(0), noise(1));
        let calibration = Calibration {
            proofload_calibration: CALIBRATION_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            measured_at: measured.started_at.clone(),
            environment: self.environment(&prepared[0]),
            seed: prepared[0].experiment.load.seed,
            alpha: prepared[0].judgement().policy.alpha,
            trusted: causes.is_empty(),
            causes,
            correlation_s,
            warm_up_s,
            choice: choose(&simultaneous, &interleaved),
            simultaneous,
            interleaved,
        };
        let text = calibration::to_text(&calibration)?;
        let shown = super::print(&match self.format {
            DataFormat::Json => text.clone(),
            DataFormat::Text => calibration_text(&calibration, style()),
        });
        let stored = self.place.store(&text) && shown;
        let verdict = if calibration.trusted {
            exit::PASS
        } else {
            exit::INVALID
        };
        Ok(exit::of_run(None, stored, verdict))
    }

    fn environment(&self, prepared: &Prepared) -> Environment {
        let pipeline = &self.pipeline;
        calibration::environment(&self.label, &pipeline.workload, prepared.arrivals)
    }
}

/// The exit code of a run that did not come to its end: nothing is computed from the rest.
fn cut_short(ended: &Ended) -> u8 {
    if let Some(error) = &ended.storage {
        say(&format!("proofload: {error}"));
    }
    let reason = printable(&ended.footer.reason);
    say(&format!("no calibration was made: {reason}"));
    exit::of_run(ended.interrupt, ended.storage.is_none(), exit::INVALID)
}

/// Each quarter is planned for itself: what it says of a duration is meant of the whole.
fn in_quarters(failure: Failure) -> Failure {
    let needed = match failure.error.downcast_ref() {
        Some(PlanError::TooShort { needed, .. }) => needed.parse::<Span>().ok(),
        None => None,
    };
    match needed {
        Some(quarter) => {
            let whole = Span::from_ns(quarter.ns().saturating_mul(QUARTERS.len() as u64));
            Failure::usage(anyhow!(
                "-d is too short: each of its four quarters needs at least {quarter}; give \
                 -d {whole}"
            ))
        }
        None => Failure {
            error: failure
                .error
                .context("each of the four quarters of -d is planned for itself"),
            ..failure
        },
    }
}

/// What comparisons of some lengths would look like, as they are planned without a calibration.
fn terms(arrangement: Arrangement, slot_ns: Option<u64>) -> Vec<Term> {
    let term = |budget_s: u64| {
        let budget = Budget {
            duration_ns: budget_s * SECOND_NS,
            arrangement: Some(arrangement),
            slot_ns,
            ..Budget::default()
        };
        let layout = plan(budget).ok()?.layout;
        Some(Term {
            budget_s,
            rounds: layout.rounds,
            measured_ns: layout.measured_ns(),
        })
    };
    BUDGETS_S.into_iter().filter_map(term).collect()
}
