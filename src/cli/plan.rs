//! `proofload plan`: what `compare` would do with the same flags. Sends nothing, looks nothing up.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;

use super::{
    StdoutFormat,
    compare::ComparisonArgs,
    exit::{self, Failure},
    labels,
    prepare::{Prepared, Wanted},
    say,
    settings::layered,
    sides::Given,
};
use crate::{
    compare::prospects,
    experiment::Judgement,
    report::{Outlook, outlook_json, outlook_text},
};

/// Flags of `proofload plan`: those of `compare`.
#[derive(Debug, Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    comparison: ComparisonArgs,
    /// Taken, as `compare` needs it, and not touched
    #[arg(long, value_name = "DIR", hide = true)]
    out_dir: Option<PathBuf>,
}

impl PlanArgs {
    /// Plans and prints.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        let args = &self.comparison;
        if args.given()?.iter().any(|side| *side != Given::Live) {
            return Err(Failure::usage(anyhow!(
                "a plan is for two live sides; beside a stored one the rounds are those that were \
                 stored: give two URLs, or none"
            )));
        }
        let file = args.safety.file()?;
        let mut load = args.load.over(&file.load);
        let workload = args.source.open(&file, &load)?;
        args.safety.check_methods(&workload)?;
        load.seed = Some(load.seed.unwrap_or_default());
        let gate = layered(&args.gate, &file.gate);
        let (calibration, remarks) = args.calibration(&workload, &load)?;
        let wanted = Wanted {
            workload: &workload,
            load: &load,
            gate: &gate,
            trust: &args.safety.tls.trust()?,
            earlier: None,
            calibration: calibration.as_ref(),
        };
        let prepared = wanted.prepare()?;
        for line in remarks.into_iter().chain(prepared.expected()) {
            say(&format!("note: {line}"));
        }
        let outlook = outlook(&prepared, labels::rate(&workload, prepared.arrivals))?;
        let text = match args.format.unwrap_or(StdoutFormat::Text) {
            StdoutFormat::Text => outlook_text(&outlook),
            StdoutFormat::Json => outlook_json(&outlook),
            StdoutFormat::Markdown => format!("```\n{}```\n", outlook_text(&outlook)),
        };
        Ok(if super::print(&text) {
            exit::PASS
        } else {
            exit::STORAGE
        })
    }
}

fn outlook(prepared: &Prepared, rate: String) -> Result<Outlook, Failure> {
    let judgement = prepared.experiment.judgement.as_ref();
    let Judgement {
        design,
        policy,
        tables,
        ..
    } = judgement.ok_or_else(|| Failure::bug(anyhow!("a plan without a judgement")))?;
    let boundaries = tables.planned(design);
    let layout = prepared.plan.layout;
    Ok(Outlook {
        arrangement: labels::arrangement(layout.arrangement),
        rate,
        rounds: layout.rounds,
        round_ns: layout.round_ns(),
        warmup_ns: layout.warmup_total_ns(),
        looks: boundaries.looks().iter().map(|look| look.rounds).collect(),
        prospects: prospects(design, policy, &boundaries),
        policy: policy.clone(),
    })
}
