//! `proofload compare`: a baseline, a candidate, a workload; a verdict.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{
    StdoutFormat,
    auth::{self, Credentials},
    calibration::{self, Place},
    command,
    commit::CommitFlags,
    exit::Failure,
    input::{self, Safety, Source},
    live::Live,
    local::{Origin, Ports, origin},
    observe::{ObserveSettings, Resources},
    outputs::OutputFlags,
    pipeline::Pipeline,
    resume::Earlier,
    settings::{FileSettings, GateSettings, LoadSettings, layered},
    sides::{Given, Stored, check_workload},
    stored::{Apart, check_stored, load_like},
};
use crate::{
    compare::Calibration,
    run::{Labels, Side},
    store::OutDir,
    units::Span,
    workload::{Target, Workload, redact::masked_command},
};

/// Flags of `proofload compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// Where the report goes; an earlier report there is replaced
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// Goes on with a comparison in --out-dir that was interrupted or ended INCONCLUSIVE, for
    /// another -d; every other flag has to be the same
    #[arg(long)]
    resume: bool,
}

/// What is compared, and how: the same for `compare` and `plan`.
#[derive(Debug, Args)]
pub(super) struct ComparisonArgs {
    /// What is in service today: a URL, a run file or the name of a baseline; with --baseline-cmd
    /// it may hold {port}
    #[arg(long, value_name = "URL|NAME|RUN")]
    baseline: Option<String>,
    /// What wants to go into service, likewise; of a run file that holds two sides,
    /// `FILE:candidate` is one
    #[arg(long, value_name = "URL|NAME|RUN")]
    candidate: Option<String>,
    /// Starts the baseline here: a shell command, such as './old --port {port}'; it is ended
    /// with proofload. The report shows it, so it should hold no secret
    #[arg(long, value_name = "COMMAND")]
    baseline_cmd: Option<String>,
    /// Starts the candidate here
    #[arg(long, value_name = "COMMAND")]
    candidate_cmd: Option<String>,
    /// How long a started command may take until it answers
    #[arg(long, value_name = "TIME", default_value = "30s")]
    start_timeout: Span,
    #[command(flatten)]
    pub(super) source: Source,
    /// What stdout shows [default: text]
    #[arg(long, value_enum)]
    pub(super) format: Option<StdoutFormat>,
    #[command(flatten)]
    outputs: OutputFlags,
    #[command(flatten)]
    commits: CommitFlags,
    #[command(flatten)]
    credentials: Credentials,
    /// Header for the baseline only
    #[arg(long, value_name = "HEADER")]
    baseline_header: Vec<String>,
    /// Header for the candidate only
    #[arg(long, value_name = "HEADER")]
    candidate_header: Vec<String>,
    /// Prints headers for the baseline only, in place of --auth-cmd
    #[arg(long, env = "PROOFLOAD_BASELINE_AUTH_CMD", hide_env_values = true)]
    #[arg(value_name = "COMMAND")]
    baseline_auth_cmd: Option<String>,
    /// Prints headers for the candidate only
    #[arg(long, env = "PROOFLOAD_CANDIDATE_AUTH_CMD", hide_env_values = true)]
    #[arg(value_name = "COMMAND")]
    candidate_auth_cmd: Option<String>,
    /// The calibration to plan with, by name; `none` for none [default: that with the name of the
    /// workload file, if there is one]
    #[arg(long, value_name = "NAME")]
    calibration: Option<String>,
    #[command(flatten)]
    pub(super) safety: Safety,
    #[command(flatten)]
    pub(super) load: LoadSettings,
    #[command(flatten)]
    pub(super) gate: GateSettings,
    #[command(flatten)]
    observe: ObserveSettings,
}

impl CompareArgs {
    /// Checks, measures, judges, reports.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        let args = &self.comparison;
        let file = args.safety.file()?;
        let given = args.given()?;
        if given.iter().any(|it| *it != Given::Live) {
            return self.beside_stored(&given, &file).await;
        }
        let own = [&args.baseline_header, &args.candidate_header];
        let own = own.map(|own| args.credentials.headers(own));
        let [baseline_headers, candidate_headers] = own;
        let (baseline_headers, candidate_headers) = (baseline_headers?, candidate_headers?);
        let observe = layered(&args.observe, &file.observe);
        let resources = Resources::of_sides(&observe)?;
        let load = args.load.over(&file.load);
        let workload = args.source.open(&file, &load)?;
        let origins = args.origins()?;
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        let outputs = args.outputs.check(&out_dir, args.format)?;
        let earlier = self
            .resume
            .then(|| Earlier::read(&self.out_dir))
            .transpose()?;
        args.safety.check_methods(&workload)?;
        let (calibration, remarks) = args.calibration(&workload, &load)?;
        let mut targets = [
            args.safety
                .target(&origins[0].url, baseline_headers, &file)?,
            args.safety
                .target(&origins[1].url, candidate_headers, &file)?,
        ];
        for (side, target) in Side::BOTH.into_iter().zip(&mut targets) {
            target.protocol = load.protocol.unwrap_or_default();
            args.log_in(side, target)?;
        }
        let allowed = args
            .safety
            .allow_host
            .iter()
            .chain(&file.targets.allow)
            .cloned()
            .collect();
        let pipeline = Pipeline {
            title: format!("{} against {}", origins[1].label, origins[0].label),
            commands: origins.map(|origin| origin.command),
            start_within: args.start_timeout,
            targets,
            workload,
            load,
            gate: layered(&args.gate, &file.gate),
            trust: args.safety.tls.trust()?,
            tls: args.safety.tls.record(),
            pins: args.safety.resolve.clone(),
            out_dir,
            outputs,
            labels: args.commits.labels(args.outputs.ci.ci, [true; 2]),
            resources,
            observe,
            allowed,
            earlier,
            calibration,
            facts: Default::default(),
            remarks,
        };
        pipeline.exec().await
    }

    /// The same with at least one side that was measured before.
    async fn beside_stored(&self, given: &[Given; 2], file: &FileSettings) -> Result<u8, Failure> {
        let commands = [
            &self.comparison.baseline_cmd,
            &self.comparison.candidate_cmd,
        ];
        for (given, command) in given.iter().zip(commands) {
            if *given != Given::Live && command.is_some() {
                return Err(Failure::usage(anyhow!(
                    "a stored side is not started: leave out its command"
                )));
            }
            given.check_outside(&self.out_dir)?;
        }
        if self.resume {
            return Err(Failure::usage(anyhow!(
                "--resume is for two live deployments: a stored side cannot be measured on"
            )));
        }
        let gate = layered(&self.comparison.gate, &file.gate);
        let stored = [given[0].read("--baseline")?, given[1].read("--candidate")?];
        for side in stored.iter().flatten() {
            check_stored(side, &gate)?;
        }
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        let args = &self.comparison;
        let outputs = args.outputs.check(&out_dir, args.format)?;
        let is_live = given.each_ref().map(|it| *it == Given::Live);
        let labels = args.commits.labels(args.outputs.ci.ci, is_live);
        let (sides, measured) = match stored {
            [Some(baseline), Some(candidate)] => {
                if self.comparison.source.is_given() {
                    let source = &self.comparison.source;
                    let workload = source.open(file, &self.comparison.load.over(&file.load))?;
                    check_workload(&workload, &candidate)?;
                }
                ([baseline, candidate], None)
            }
            [Some(baseline), None] => {
                let live = self.live(Side::Candidate, &baseline, (file, &out_dir, &labels))?;
                let (candidate, measured) = live.measure(&baseline).await?;
                ([baseline, candidate], Some(measured))
            }
            [None, Some(candidate)] => {
                let live = self.live(Side::Baseline, &candidate, (file, &out_dir, &labels))?;
                let (baseline, measured) = live.measure(&candidate).await?;
                ([baseline, candidate], Some(measured))
            }
            [None, None] => return Err(Failure::bug(anyhow!("no side is stored"))),
        };
        let apart = Apart {
            sides,
            gate,
            out_dir,
            outputs,
            labels,
            measured,
        };
        apart.exec()
    }

    /// The live side, checked as far as it can be before anyone is asked.
    fn live<'a>(
        &'a self,
        side: Side,
        like: &Stored,
        (file, out_dir, labels): (&FileSettings, &'a OutDir, &[Labels; 2]),
    ) -> Result<Live<'a>, Failure> {
        let (flag, url, command, own) = match side {
            Side::Baseline => (
                "--baseline",
                &self.comparison.baseline,
                &self.comparison.baseline_cmd,
                &self.comparison.baseline_header,
            ),
            Side::Candidate => (
                "--candidate",
                &self.comparison.candidate,
                &self.comparison.candidate_cmd,
                &self.comparison.candidate_header,
            ),
        };
        let headers = self.comparison.credentials.headers(own)?;
        let observe = layered(&self.comparison.observe, &file.observe);
        let resources = Resources::beside_stored(&observe, side)?;
        let settings = load_like(like, &self.comparison.load.over(&file.load))?;
        let workload = self.comparison.source.open(file, &settings)?;
        check_workload(&workload, like)?;
        self.comparison.safety.check_methods(&workload)?;
        command::note_secrets(&[(&format!("{flag}-cmd"), command)]);
        let given = (url.as_deref(), command.as_deref());
        let origin = origin(flag, given, &mut Ports::default())?;
        let mut target = self.comparison.safety.target(&origin.url, headers, file)?;
        target.protocol = settings.protocol.unwrap_or_default();
        self.comparison.log_in(side, &mut target)?;
        Ok(Live {
            side,
            origin,
            labels: labels[side.index()].clone(),
            target,
            workload,
            settings,
            safety: &self.comparison.safety,
            start_within: self.comparison.start_timeout,
            out_dir,
            resources,
        })
    }
}

impl ComparisonArgs {
    /// What the two sides are.
    ///
    /// # Errors
    /// When one is nothing that could be a side (usage).
    pub(super) fn given(&self) -> Result<[Given; 2], Failure> {
        Ok([
            Given::of("--baseline", self.baseline.as_deref())?,
            Given::of("--candidate", self.candidate.as_deref())?,
        ])
    }

    /// Adds what the command for a side prints to its headers.
    fn log_in(&self, side: Side, target: &mut Target) -> Result<(), Failure> {
        let (flag, own) = match side {
            Side::Baseline => ("--baseline-auth-cmd", &self.baseline_auth_cmd),
            Side::Candidate => ("--candidate-auth-cmd", &self.candidate_auth_cmd),
        };
        match own {
            Some(own) => auth::add(flag, Some(own), target),
            None => self.credentials.log_in(target),
        }
    }

    /// The calibration to plan with, and what there is to say of it.
    ///
    /// # Errors
    /// When one was named and is not there, or one is there and cannot be read (usage).
    pub(super) fn calibration(
        &self,
        workload: &Workload,
        load: &LoadSettings,
    ) -> Result<(Option<Calibration>, Vec<String>), Failure> {
        let place = Place::wanted(self.calibration.as_deref(), &self.source)?;
        let stored = place.map(|place| place.load()).transpose()?.flatten();
        let baseline = self.baseline_cmd.as_ref().or(self.baseline.as_ref());
        let baseline = masked_command(baseline.map_or("", String::as_str));
        let arrivals = input::arrivals(load, workload)?;
        let there = calibration::environment(&baseline, workload, arrivals);
        Ok(calibration::fitting(stored, &there))
    }

    /// Where the two sides are.
    fn origins(&self) -> Result<[Origin; 2], Failure> {
        command::note_secrets(&[
            ("--baseline-cmd", &self.baseline_cmd),
            ("--candidate-cmd", &self.candidate_cmd),
        ]);
        let mut ports = Ports::default();
        let baseline = (self.baseline.as_deref(), self.baseline_cmd.as_deref());
        let candidate = (self.candidate.as_deref(), self.candidate_cmd.as_deref());
        Ok([
            origin("--baseline", baseline, &mut ports)?,
            origin("--candidate", candidate, &mut ports)?,
        ])
    }
}
