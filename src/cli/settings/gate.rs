//! The settings of the gate: what is tolerated, which metrics decide, how sure it must be.

use std::str::FromStr;

use anyhow::anyhow;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::{
    cli::exit::Failure,
    compare::{Gate, MarginRule, Margins, Metric, Policy, ToleranceRule},
};

/// What INCONCLUSIVE becomes for a gate that knows only yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum InconclusiveAs {
    /// Exit 0
    Pass,
    /// Exit 10
    Fail,
}

/// What is tolerated, and how sure the judgement must be.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Gate")]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(in crate::cli) struct GateSettings {
    /// The largest change that you would still ship: [ENDPOINT:]METRIC=REL[,ABS], such as
    /// p99=10%, p99=5ms, 'GET /cart:p50=3%,1ms' or errors=0.1pp; or a limit that the candidate
    /// must keep: 'p99<300ms', 'GET /cart:errors<1%'. The endpoint `workload` is all of them
    /// together. A limit decides, and so does a metric that is named with an endpoint. May be
    /// repeated, or separated by ;
    #[arg(
        long,
        env = "PROOFLOAD_TOLERANCE",
        value_name = "RULE",
        value_delimiter = ';'
    )]
    pub tolerance: Vec<ToleranceRule>,
    /// The smallest change that may block, written as a tolerance
    #[arg(
        long,
        env = "PROOFLOAD_MIN_EFFECT",
        value_name = "MARGIN",
        value_delimiter = ';'
    )]
    pub min_effect: Vec<MarginRule>,
    /// The metrics that decide, of errors, p50, p90, p99, p99.9, mean, goodput, ttfb, ttfb-p99 and
    /// size; errors always do [default: errors,p50,p99, and goodput of the whole workload]
    #[arg(
        long,
        env = "PROOFLOAD_GATE",
        value_name = "METRIC",
        value_delimiter = ','
    )]
    pub gate: Vec<MetricName>,
    /// Gives an endpoint more of the allowed false alarms than the others, so that smaller changes
    /// are found there: 'GET /cart=3' [default: 1 each]; may be repeated, or separated by ;
    #[arg(
        long,
        env = "PROOFLOAD_WEIGHT",
        value_name = "ENDPOINT=N",
        value_delimiter = ';'
    )]
    pub weight: Vec<Weight>,
    /// Probability of a false alarm over all metrics, and of a false pass of one [default: 0.05]
    #[arg(long, env = "PROOFLOAD_ALPHA")]
    pub alpha: Option<f64>,
    /// What exit code 11 becomes
    #[arg(long, env = "PROOFLOAD_INCONCLUSIVE_AS", value_enum)]
    pub inconclusive_as: Option<InconclusiveAs>,
}

/// A metric under the name that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::cli) struct MetricName(Metric);

impl FromStr for MetricName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Self)
    }
}

/// `ENDPOINT=N`: a share of alpha.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(in crate::cli) struct Weight {
    endpoint: String,
    weight: f64,
}

impl FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |cause: &str| {
            format!("`{text}` is no weight: {cause}; write ENDPOINT=N, such as 'GET /cart=3'")
        };
        let (endpoint, weight) = text
            .rsplit_once('=')
            .ok_or_else(|| refuse("there is no `=`"))?;
        let number = weight.trim().parse::<f64>();
        let weight = number.map_err(|_| refuse("what follows the last `=` is no number"))?;
        if !(0.01..=100.0).contains(&weight) {
            return Err(refuse("the number must lie between 0.01 and 100"));
        }
        Ok(Self {
            endpoint: endpoint.trim().to_owned(),
            weight,
        })
    }
}

macro_rules! as_text {
    ($($it:ident),*) => {$(
        impl TryFrom<String> for $it {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    )*};
}

as_text!(MetricName, Weight);

impl From<MetricName> for String {
    fn from(name: MetricName) -> Self {
        name.0.name().to_owned()
    }
}

impl From<Weight> for String {
    fn from(it: Weight) -> Self {
        format!("{}={}", it.endpoint, it.weight)
    }
}

impl GateSettings {
    /// The policy that these settings make; a failure counts as the time-out, in nanoseconds.
    ///
    /// # Errors
    /// When alpha is out of its range (usage).
    pub(in crate::cli) fn policy(&self, timeout_ns: u64) -> Result<Policy, Failure> {
        let alpha = self.alpha.unwrap_or(0.05);
        if !(1e-4..=0.2).contains(&alpha) {
            return Err(Failure::usage(anyhow!(
                "--alpha {alpha} must lie between 0.0001 and 0.2"
            )));
        }
        let margins = self.tolerance.iter().filter_map(|rule| match rule {
            ToleranceRule::Margin(rule) => Some(rule.clone()),
            ToleranceRule::Limit(_) => None,
        });
        let metrics: Vec<Metric> = self.gate.iter().map(|name| name.0).collect();
        let gate = Gate::of(&metrics).with(&self.tolerance);
        let weighted = |gate: Gate, it: &Weight| gate.weighted(&it.endpoint, it.weight);
        Ok(Policy {
            tolerance: Margins::tolerance().with(&margins.collect::<Vec<_>>()),
            minimum_effect: Margins::minimum_effect().with(&self.min_effect),
            alpha,
            timeout_ns,
            gate: self.weight.iter().fold(gate, weighted),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{compare::Design, run::WORKLOAD};

    fn policy(toml: &str) -> Result<Policy, String> {
        let settings: GateSettings = toml::from_str(toml).map_err(|error| error.to_string())?;
        // What is written into the run file can be read again.
        let again = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<GateSettings>(&again).unwrap(),
            settings
        );
        let expected = BTreeMap::from([("GET /a".to_owned(), 600.0)]);
        let design = Design::new(12, true, expected);
        let policy = settings.policy(1).map_err(|it| format!("{it:?}"))?;
        let checked = policy.check(&design, &settings.min_effect);
        checked.map(|()| policy).map_err(|it| it.to_string())
    }

    #[test]
    fn keys_of_the_file_make_a_policy() {
        let policy = policy(
            "gate = ['errors', 'p90']\nweight = ['GET /a=3']\n\
             tolerance = ['p90=20%', 'GET /a:mean=3%', 'p99<300ms']\nmin-effect = ['p90=1%']\n",
        )
        .unwrap();
        let has = |metric| policy.gate.has("GET /a", metric);
        assert!(has(Metric::P90) && has(Metric::Mean) && !has(Metric::P50));
        assert_eq!(policy.gate.weight("GET /a"), 3.0);
        assert_eq!(policy.gate.limit_of(WORKLOAD, Metric::P99), Some(3e8));
        assert_eq!(policy.tolerance.of("x", Metric::P90).relative, 0.2);
        assert_eq!(policy.minimum_effect.of("x", Metric::P90).relative, 0.01);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_reason() {
        for (toml, said) in [
            ("alpha = 0.5", "--alpha 0.5"),
            ("gate = ['p98']", "`p98` is not a metric"),
            ("weight = ['GET /a']", "there is no `=`"),
            ("weight = ['GET /a=x']", "no number"),
            ("weight = ['GET /a=0']", "between 0.01 and 100"),
            ("weight = ['GET /b=2']", "GET /b"),
            ("tolerance = ['GET /b:p99<3s']", "GET /b"),
        ] {
            let found = policy(toml).unwrap_err();
            assert!(found.contains(said), "{toml}: {found}");
        }
    }

    #[test]
    fn all_endpoints_together_have_one_name_everywhere() {
        assert_eq!(crate::workload::endpoint::ALL_ENDPOINTS, WORKLOAD);
    }
}
