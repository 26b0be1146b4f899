//! What is tolerated and what was planned: both fixed before the first request.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Metric;

/// One margin: relative for times, absolute for the error rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// For times: the relative change, 0.1 for 10 %. For the error rate: the difference of the
    /// rates, 0.001 for a tenth of a percentage point.
    pub relative: f64,
    /// For times: never less than this many nanoseconds at the baseline's level. For the error
    /// rate: unused, 0.
    pub floor_ns: f64,
}

/// A margin for every metric, with exceptions by endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Margins {
    default: BTreeMap<Metric, Margin>,
    by_endpoint: BTreeMap<String, BTreeMap<Metric, Margin>>,
}

/// Why a margin flag cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a margin: {cause}; write [ENDPOINT:]METRIC=REL[,ABS], such as p99=10%")]
pub struct PolicyError {
    text: String,
    cause: String,
}

/// One `[ENDPOINT:]METRIC=REL[,ABS]` as given by a flag or a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarginRule {
    text: String,
    endpoint: Option<String>,
    metric: Metric,
    relative: f64,
    floor_ns: Option<f64>,
}

impl FromStr for MarginRule {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let fail = |cause: &str| PolicyError {
            text: text.to_owned(),
            cause: cause.to_owned(),
        };
        let (left, right) = text
            .rsplit_once('=')
            .ok_or_else(|| fail("there is no `=`"))?;
        let (endpoint, metric) = match left.rsplit_once(':') {
            Some((endpoint, metric)) => (Some(endpoint.trim().to_owned()), metric),
            None => (None, left),
        };
        let metric: Metric = metric
            .trim()
            .parse()
            .map_err(|cause: String| fail(&cause))?;
        let (relative, floor) = match right.split_once(',') {
            Some((relative, floor)) => (relative, Some(floor)),
            None => (right, None),
        };
        let unit = if metric == Metric::ErrorRate {
            "pp or %"
        } else {
            "%"
        };
        let relative = relative.trim();
        let number = relative
            .strip_suffix("pp")
            .filter(|_| metric == Metric::ErrorRate)
            .or_else(|| relative.strip_suffix('%'))
            .ok_or_else(|| fail(&format!("the size `{relative}` has no unit {unit}")))?;
        let percent: f64 = number
            .trim()
            .parse()
            .map_err(|_| fail(&format!("`{number}` is no number")))?;
        if !(percent.is_finite() && (0.0..=1000.0).contains(&percent)) {
            return Err(fail("the size must lie between 0 and 1000 %"));
        }
        let floor_ns = match floor.map(str::trim) {
            None => None,
            Some(_) if metric == Metric::ErrorRate => return Err(fail("errors take no floor")),
            Some(floor) => {
                let floor = humantime::parse_duration(floor)
                    .map_err(|_| fail(&format!("`{floor}` is no duration such as 150us")))?;
                Some(floor.as_secs_f64() * 1e9)
            }
        };
        Ok(Self {
            text: text.to_owned(),
            endpoint,
            metric,
            relative: percent / 100.0,
            floor_ns,
        })
    }
}

impl TryFrom<String> for MarginRule {
    type Error = PolicyError;
    fn try_from(text: String) -> Result<Self, PolicyError> {
        text.parse()
    }
}

impl From<MarginRule> for String {
    fn from(rule: MarginRule) -> Self {
        rule.text
    }
}

impl Margins {
    /// The largest slowdowns that anyone would still ship (method.md 2.11).
    pub fn tolerance() -> Self {
        Self::table(150_000.0, [0.001, 0.05, 0.07, 0.10, 0.20, 0.05])
    }

    /// The smallest slowdowns that may block (method.md 2.11).
    pub fn minimum_effect() -> Self {
        Self::table(50_000.0, [0.0002, 0.01, 0.02, 0.03, 0.05, 0.01])
    }

    fn table(floor_ns: f64, relative: [f64; 6]) -> Self {
        let default = Metric::ALL
            .into_iter()
            .zip(relative)
            .map(|(metric, relative)| {
                let floor_ns = if metric == Metric::ErrorRate {
                    0.0
                } else {
                    floor_ns
                };
                (metric, Margin { relative, floor_ns })
            })
            .collect();
        Self {
            default,
            by_endpoint: BTreeMap::new(),
        }
    }

    /// Lays rules over the margins; later rules win, rules with an endpoint win over those
    /// without.
    pub fn with(mut self, rules: &[MarginRule]) -> Self {
        for rule in rules.iter().filter(|rule| rule.endpoint.is_none()) {
            let margin = self
                .default
                .get_mut(&rule.metric)
                .expect("every metric has a margin");
            *margin = rule.over(*margin);
        }
        for rule in rules {
            let Some(endpoint) = &rule.endpoint else {
                continue;
            };
            let base = self.of(endpoint, rule.metric);
            let by_metric = self.by_endpoint.entry(endpoint.clone()).or_default();
            by_metric.insert(rule.metric, rule.over(base));
        }
        self
    }

    /// The margin of one metric of one endpoint.
    pub fn of(&self, endpoint: &str, metric: Metric) -> Margin {
        let own = self
            .by_endpoint
            .get(endpoint)
            .and_then(|own| own.get(&metric));
        *own.unwrap_or_else(|| &self.default[&metric])
    }

    /// Endpoints that have a margin of their own, to warn of those that do not exist.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.by_endpoint.keys().map(String::as_str)
    }
}

impl MarginRule {
    fn over(&self, base: Margin) -> Margin {
        Margin {
            relative: self.relative,
            floor_ns: self.floor_ns.unwrap_or(base.floor_ns),
        }
    }
}

/// What is tolerated and how sure the judgement must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `δ_p`: the largest slowdown you would still ship; PASS needs the whole interval below.
    pub tolerance: Margins,
    /// `δ_f`: the smallest slowdown that may block; REGRESSED needs the interval above.
    pub minimum_effect: Margins,
    /// The error probability of each of the two decisions, 0.05 by default: for REGRESSED over
    /// the whole family of gate metrics, for PASS of each metric.
    pub alpha: f64,
    /// What a failed request counts as in means and quantiles, in nanoseconds: the time-out.
    pub timeout_ns: u64,
}

impl Policy {
    /// Whether the margins make sense for what is planned.
    ///
    /// # Errors
    /// When a rule names an endpoint that is not there, or a minimum effect that was given does
    /// not lie below its tolerance: nothing could be decided between them.
    pub fn check(&self, design: &Design, min_effect: &[MarginRule]) -> Result<(), PolicyProblem> {
        for name in self
            .tolerance
            .endpoints()
            .chain(self.minimum_effect.endpoints())
        {
            if !design.expected.contains_key(name) {
                let there = design
                    .expected
                    .keys()
                    .take(5)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(", ");
                return Err(PolicyProblem::Endpoint {
                    name: name.to_owned(),
                    there,
                });
            }
        }
        for rule in min_effect {
            let endpoint = rule.endpoint.as_deref().unwrap_or_default();
            let tolerance = self.tolerance.of(endpoint, rule.metric);
            if rule.relative >= tolerance.relative {
                let text = rule.text.clone();
                return Err(PolicyProblem::Order {
                    text,
                    tolerance: tolerance.relative * 100.0,
                });
            }
        }
        Ok(())
    }
}

/// Why margins cannot be used together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyProblem {
    /// A rule for an endpoint that the workload does not have.
    #[error(
        "a margin names the endpoint `{name}`, which the workload does not have; it has {there}"
    )]
    Endpoint {
        /// What the rule names.
        name: String,
        /// Some that there are.
        there: String,
    },
    /// The minimum effect must lie below the tolerance.
    #[error("the minimum effect `{text}` must be smaller than its tolerance of {tolerance} %")]
    Order {
        /// The rule as given.
        text: String,
        /// The tolerance in per cent.
        tolerance: f64,
    },
}

/// One stretch of measuring: the comparison itself, then each time it was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The number of its last planned round; its first follows the last of the session before.
    pub last_round: u32,
    /// Whether it went to its end, so that none of its rounds is still to come. A session that
    /// goes on, was interrupted, or came to a decision did not.
    pub carried_out: bool,
}

/// What was planned, fixed before the first request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// The sessions in order; the last one may be going on.
    pub sessions: Vec<Session>,
    /// Valid rounds that are enough as far as a calibration knows; where absent, the first
    /// rounds of the comparison itself say it.
    pub enough: Option<u32>,
    /// Whether both sides run at the same time (one window a round) or one after the other.
    pub simultaneous: bool,
    /// Requests that the schedule holds in a round and side, by endpoint: the mean over rounds.
    pub expected: BTreeMap<String, f64>,
    /// The same in the round that holds the fewest.
    pub fewest: BTreeMap<String, f64>,
}

impl Design {
    /// A plan of one session with so many rounds, each of which holds the same requests.
    pub fn new(rounds: u32, simultaneous: bool, expected: BTreeMap<String, f64>) -> Self {
        Self {
            sessions: vec![Session {
                last_round: rounds,
                carried_out: false,
            }],
            enough: None,
            simultaneous,
            fewest: expected.clone(),
            expected,
        }
    }

    /// The number of the last round that is planned.
    pub fn last_round(&self) -> u32 {
        self.sessions.last().map_or(0, |session| session.last_round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_and_laid_over_the_defaults() {
        let rules: Vec<MarginRule> = ["p99=25%", "GET /a:b:p50=3%,1ms", "errors=0.5pp"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let margins = Margins::tolerance().with(&rules);
        assert_eq!(margins.of("x", Metric::P99).relative, 0.25);
        assert_eq!(margins.of("x", Metric::P99).floor_ns, 150_000.0);
        assert_eq!(margins.of("x", Metric::P50).relative, 0.05);
        let own = margins.of("GET /a:b", Metric::P50);
        assert_eq!((own.relative, own.floor_ns), (0.03, 1e6));
        assert_eq!(margins.of("x", Metric::ErrorRate).relative, 0.005);
    }

    #[test]
    fn a_bad_rule_names_itself_and_the_syntax() {
        for text in [
            "p99", "p98=1%", "p99=10", "p99=x%", "p99=-1%", "p99=NaN%", "p99=1%,x", "",
        ] {
            let error = text.parse::<MarginRule>().unwrap_err().to_string();
            assert!(error.contains("METRIC=REL"), "{error}");
        }
    }
}
