//! `proofload compare`: a baseline, a candidate, a workload; a verdict.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{
    StdoutFormat,
    exit::Failure,
    input::{Safety, Source, headers},
    local::{Origin, Ports, origin},
    observe::{ObserveSettings, Resources},
    pipeline::Pipeline,
    resume::Earlier,
    settings::{GateSettings, LoadSettings, layered},
};
use crate::{store::OutDir, units::Span};

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
    /// What is in service today; with --baseline-cmd it may hold {port}
    #[arg(long, value_name = "URL")]
    baseline: Option<String>,
    /// What wants to go into service; with --candidate-cmd it may hold {port}
    #[arg(long, value_name = "URL")]
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
    /// What stdout shows
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: StdoutFormat,
    /// Header for both sides: 'Name: value', or @FILE with such lines; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// Header for the baseline only
    #[arg(long, value_name = "HEADER")]
    baseline_header: Vec<String>,
    /// Header for the candidate only
    #[arg(long, value_name = "HEADER")]
    candidate_header: Vec<String>,
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
        let own = [&args.baseline_header, &args.candidate_header];
        let own = own.map(|own| headers(&[args.header.as_slice(), own.as_slice()].concat()));
        let [baseline_headers, candidate_headers] = own;
        let (baseline_headers, candidate_headers) = (baseline_headers?, candidate_headers?);
        let observe = layered(&args.observe, &file.observe);
        let resources = Resources::of_sides(&observe)?;
        let workload = args.source.open()?;
        let origins = args.origins()?;
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        let earlier = self
            .resume
            .then(|| Earlier::read(&self.out_dir))
            .transpose()?;
        args.safety.check_methods(&workload)?;
        let load = args.load.over(&file.load);
        let mut targets = [
            args.safety
                .target(&origins[0].url, baseline_headers, &file)?,
            args.safety
                .target(&origins[1].url, candidate_headers, &file)?,
        ];
        for target in &mut targets {
            target.protocol = load.protocol.unwrap_or_default();
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
            format: args.format,
            resources,
            observe,
            allowed,
            earlier,
        };
        pipeline.exec().await
    }
}

impl ComparisonArgs {
    /// Where the two sides are.
    fn origins(&self) -> Result<[Origin; 2], Failure> {
        for given in [&self.baseline, &self.candidate].into_iter().flatten() {
            if !given.contains("://") {
                return Err(Failure::usage(anyhow!(
                    "`{given}` is not a URL; this version compares live deployments, so write \
                     http://HOST:PORT"
                )));
            }
        }
        let mut ports = Ports::default();
        let baseline = (self.baseline.as_deref(), self.baseline_cmd.as_deref());
        let candidate = (self.candidate.as_deref(), self.candidate_cmd.as_deref());
        Ok([
            origin("--baseline", baseline, &mut ports)?,
            origin("--candidate", candidate, &mut ports)?,
        ])
    }
}
