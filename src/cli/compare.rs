//! `proofload compare`: a baseline, a candidate, a workload; a verdict.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{
    StdoutFormat,
    exit::Failure,
    input::{Safety, Source, headers},
    pipeline::Pipeline,
    settings::{GateSettings, LoadSettings, layered},
};
use crate::store::OutDir;

/// Flags of `proofload compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// What is in service today
    #[arg(long, value_name = "URL")]
    baseline: String,
    /// What wants to go into service
    #[arg(long, value_name = "URL")]
    candidate: String,
    #[command(flatten)]
    source: Source,
    /// Where the report goes; an earlier report there is replaced
    #[arg(long, value_name = "DIR")]
    out_dir: PathBuf,
    /// What stdout shows
    #[arg(long, value_enum, default_value = "text")]
    format: StdoutFormat,
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
    safety: Safety,
    #[command(flatten)]
    load: LoadSettings,
    #[command(flatten)]
    gate: GateSettings,
}

impl CompareArgs {
    /// Checks, measures, judges, reports.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        let file = self.safety.file()?;
        let own = [&self.baseline_header, &self.candidate_header];
        let own = own.map(|own| headers(&[self.header.as_slice(), own.as_slice()].concat()));
        let [baseline_headers, candidate_headers] = own;
        let (baseline_headers, candidate_headers) = (baseline_headers?, candidate_headers?);
        let workload = self.source.open()?;
        for given in [&self.baseline, &self.candidate] {
            if !given.contains("://") {
                return Err(Failure::usage(anyhow!(
                    "`{given}` is not a URL; this version compares live deployments, so write \
                     http://HOST:PORT"
                )));
            }
        }
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        self.safety.check_methods(&workload)?;
        let load = layered(&self.load, &file.load);
        let mut targets = [
            self.safety
                .target(&self.baseline, baseline_headers, &file)?,
            self.safety
                .target(&self.candidate, candidate_headers, &file)?,
        ];
        for target in &mut targets {
            target.protocol = load.protocol.unwrap_or_default();
        }
        let allowed = self
            .safety
            .allow_host
            .iter()
            .chain(&file.targets.allow)
            .cloned()
            .collect();
        let pipeline = Pipeline {
            title: format!("{} against {}", self.candidate, self.baseline),
            targets,
            workload,
            load,
            gate: layered(&self.gate, &file.gate),
            trust: self.safety.tls.trust()?,
            tls: self.safety.tls.record(),
            pins: self.safety.resolve.clone(),
            out_dir,
            format: self.format,
            allowed,
        };
        pipeline.exec().await
    }
}
