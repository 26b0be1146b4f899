//! `proofload demo`: the whole pipeline on two embedded deployments.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    StdoutFormat,
    exit::{self, Failure},
    labels::draw_seed,
    observe::{ObserveSettings, Resources},
    outputs::OutputFlags,
    pipeline::Pipeline,
    say,
    settings::{GateSettings, LoadSettings},
};
use crate::{
    demo::{Pair, Scenario},
    store::OutDir,
    tls::Trust,
    units::Span,
    workload::{self, Target},
};

/// Flags of `proofload demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// What is wrong with the candidate
    #[arg(long, value_enum, default_value = "same")]
    scenario: ScenarioFlag,
    /// Where the report goes; an earlier report there is replaced
    #[arg(long, value_name = "DIR", default_value = "reports/demo")]
    out_dir: PathBuf,
    /// Ends with the code that a gate would get, instead of 0
    #[arg(long)]
    exit_code: bool,
    /// Makes every random choice repeatable [default: drawn and printed]
    #[arg(long)]
    seed: Option<u64>,
    /// What stdout shows [default: text]
    #[arg(long, value_enum)]
    format: Option<StdoutFormat>,
    #[command(flatten)]
    outputs: OutputFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScenarioFlag {
    /// Nothing: the verdict is PASS
    Same,
    /// One endpoint takes half as long again: REGRESSED
    Slower,
    /// One endpoint fails one request in two hundred: REGRESSED
    Errors,
}

impl DemoArgs {
    /// Starts the pair, compares it, says what a gate would have got.
    pub(super) async fn exec(self) -> Result<u8, Failure> {
        let (scenario, name) = match self.scenario {
            ScenarioFlag::Same => (Scenario::Same, "same"),
            ScenarioFlag::Slower => (Scenario::Slower, "slower"),
            ScenarioFlag::Errors => (Scenario::Errors, "errors"),
        };
        let seed = self.seed.unwrap_or_else(draw_seed);
        let workload = workload::demo().map_err(Failure::bug)?;
        let out_dir = OutDir::check(&self.out_dir).map_err(Failure::usage)?;
        let outputs = self.outputs.check(&out_dir, self.format)?;
        let pair = Pair::start(scenario, seed).map_err(Failure::bug)?;
        say(&format!(
            "demo: baseline on {}, candidate on {} (scenario {name})",
            pair.baseline, pair.candidate
        ));
        let parse = |address| Target::parse(&format!("http://{address}")).map_err(Failure::bug);
        let targets = [parse(pair.baseline)?, parse(pair.candidate)?];
        let settings = |text: &str| toml::from_str(text).map_err(Failure::bug);
        let load: LoadSettings = settings("duration = '46s'")?;
        let gate: GateSettings =
            toml::from_str("tolerance = ['p50=10%', 'p99=25%']").map_err(Failure::bug)?;
        let pipeline = Pipeline {
            title: format!("demo, scenario {name}"),
            targets,
            workload,
            load: LoadSettings {
                seed: Some(seed),
                ..load
            },
            gate,
            trust: Trust::default(),
            commands: [None, None],
            start_within: Span::from_secs(0),
            tls: serde_json::Value::Null,
            pins: Vec::new(),
            out_dir,
            outputs,
            labels: Default::default(),
            resources: Resources::default(),
            // Both sides answer the same text by construction.
            observe: ObserveSettings {
                bodies: Some(0),
                ..ObserveSettings::default()
            },
            allowed: Vec::new(),
            earlier: None,
            calibration: None,
            facts: Default::default(),
            remarks: Vec::new(),
        };
        let code = pipeline.exec().await?;
        say(&format!("demo: a gate would have got exit code {code}"));
        let verdict = matches!(code, exit::REGRESSED | exit::INCONCLUSIVE | exit::INVALID);
        Ok(if verdict && !self.exit_code {
            exit::PASS
        } else {
            code
        })
    }
}
