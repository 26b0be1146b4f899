//! What is tolerated and what was planned: both fixed before the first request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Gate, MarginRule, Margins, planning::is_planned};
use crate::run::WORKLOAD;

/// What is tolerated and how sure the judgement must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// `δ_p`: the largest change you would still ship; PASS needs the whole interval below.
    pub tolerance: Margins,
    /// `δ_f`: the smallest change that may block; REGRESSED needs the interval above.
    pub minimum_effect: Margins,
    /// The error probability of each of the two decisions, 0.05 by default: for REGRESSED over
    /// the whole family of gate metrics, for PASS of each metric.
    pub alpha: f64,
    /// What a failed request counts as in means and quantiles, in nanoseconds: the time-out.
    pub timeout_ns: u64,
    /// Which metrics decide.
    pub gate: Gate,
}

impl Policy {
    /// The defaults of method.md 2.11, with the time-out of a request in nanoseconds.
    pub fn standard(timeout_ns: u64) -> Self {
        Self {
            tolerance: Margins::tolerance(),
            minimum_effect: Margins::minimum_effect(),
            alpha: 0.05,
            timeout_ns,
            gate: Gate::default(),
        }
    }

    /// Whether the rules make sense for what is planned.
    ///
    /// # Errors
    /// When a rule names an endpoint that is not there, a limit could not be judged anywhere, or
    /// a minimum effect that was given does not lie below its tolerance: nothing could be
    /// decided between them.
    pub fn check(&self, design: &Design, min_effect: &[MarginRule]) -> Result<(), PolicyProblem> {
        let margins = [&self.tolerance, &self.minimum_effect];
        let margins = margins.into_iter().flat_map(Margins::endpoints);
        let known = |name: &str| name == WORKLOAD || design.expected.contains_key(name);
        if let Some(name) = margins
            .chain(self.gate.endpoints())
            .find(|name| !known(name))
        {
            let there: Vec<_> = design.expected.keys().take(5).cloned().collect();
            return Err(PolicyProblem::Endpoint {
                name: name.to_owned(),
                there: there.join(", "),
            });
        }
        for (endpoint, metric) in self.gate.limits() {
            let all = design.expected.keys().map(String::as_str);
            let mut where_judged = endpoint
                .into_iter()
                .chain(all.filter(|_| endpoint.is_none()));
            if !where_judged.any(|endpoint| is_planned(design, endpoint, metric)) {
                return Err(PolicyProblem::Limit {
                    metric: metric.name(),
                    place: endpoint.unwrap_or("any endpoint").to_owned(),
                    needed: metric.traits().requests,
                });
            }
        }
        min_effect
            .iter()
            .try_for_each(|rule| self.check_order(rule))
    }

    fn check_order(&self, rule: &MarginRule) -> Result<(), PolicyProblem> {
        let endpoint = rule.endpoint.as_deref().unwrap_or_default();
        let [effect, tolerance] =
            [&self.minimum_effect, &self.tolerance].map(|it| it.of(endpoint, rule.metric));
        // A share and an amount can only be compared where the baseline's level is known.
        let shares = effect.relative > 0.0 && tolerance.relative > 0.0;
        let amounts = effect.relative == 0.0 && tolerance.relative == 0.0;
        let wrong = (shares && effect.relative >= tolerance.relative)
            || (amounts && effect.floor >= tolerance.floor);
        if wrong {
            return Err(PolicyProblem::Order {
                text: rule.text.clone(),
            });
        }
        Ok(())
    }
}

/// Why rules cannot be used together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyProblem {
    /// A rule for an endpoint that the workload does not have.
    #[error(
        "a rule names the endpoint `{name}`, which the workload does not have; it has {there}, \
         and `{WORKLOAD}` for all of them together"
    )]
    Endpoint {
        /// What the rule names.
        name: String,
        /// Some that there are.
        there: String,
    },
    /// A limit that nothing could show to be kept.
    #[error(
        "the limit on {metric} cannot be judged for {place}: it needs {needed:.0} requests a round \
         and side; use a higher rate, a longer -d, or another metric"
    )]
    Limit {
        /// The metric.
        metric: &'static str,
        /// The endpoint, or words for all.
        place: String,
        /// Requests a round and side.
        needed: f64,
    },
    /// The minimum effect must lie below the tolerance.
    #[error("the minimum effect `{text}` must be smaller than its tolerance; widen --tolerance")]
    Order {
        /// The rule as given.
        text: String,
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
    /// How long a round takes, in seconds; 0 where nobody knows.
    pub round_s: f64,
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
            round_s: 0.0,
        }
    }

    /// Requests in a round and side of an endpoint, or of all for the whole workload: the mean
    /// over rounds; 0 where there are none.
    pub fn requests(&self, endpoint: &str) -> f64 {
        requests(&self.expected, endpoint)
    }

    /// The same in the round that holds the fewest. For the whole workload the sum of the fewest
    /// of each endpoint, which no round goes below.
    pub fn fewest(&self, endpoint: &str) -> f64 {
        requests(&self.fewest, endpoint)
    }

    /// The number of the last round that is planned.
    pub fn last_round(&self) -> u32 {
        self.sessions.last().map_or(0, |session| session.last_round)
    }
}

fn requests(of: &BTreeMap<String, f64>, endpoint: &str) -> f64 {
    if endpoint == WORKLOAD {
        return of.values().sum();
    }
    of.get(endpoint).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Metric;

    fn design() -> Design {
        let expected = [("GET /a", 600.0), ("GET /b", 60.0)];
        let expected = expected.map(|(name, n)| (name.to_owned(), n));
        Design::new(12, true, BTreeMap::from(expected))
    }

    fn checked(tolerance: &[&str], effect: &[&str]) -> Result<(), String> {
        let rules: Vec<_> = tolerance.iter().map(|text| text.parse().unwrap()).collect();
        let effect: Vec<MarginRule> = effect.iter().map(|text| text.parse().unwrap()).collect();
        let margins: Vec<MarginRule> = tolerance.iter().filter_map(|it| it.parse().ok()).collect();
        let mut policy = Policy::standard(1);
        policy.gate = policy.gate.with(&rules);
        policy.tolerance = policy.tolerance.with(&margins);
        policy.minimum_effect = policy.minimum_effect.with(&effect);
        policy
            .check(&design(), &effect)
            .map_err(|it| it.to_string())
    }

    #[test]
    fn rules_that_fit_are_taken() {
        for (tolerance, effect) in [
            (&["GET /a:p99=3%", "workload:p99<300ms"][..], &[][..]),
            (&["p99<300ms", "errors<1%", "GET /b:errors<1%"], &[]),
            // Where the baseline's level decides which is larger, the smaller one blocks.
            (&["p99=5ms"], &["p99=3%"]),
            (&["p99=5ms"], &["p99=1ms"]),
            (&["p99=10%"], &["p99=2%"]),
        ] {
            assert_eq!(checked(tolerance, effect), Ok(()), "{tolerance:?}");
        }
    }

    #[test]
    fn rules_that_do_not_fit_say_why() {
        for (tolerance, effect, said) in [
            (&["GET /c:p99=3%"][..], &[][..], "endpoint `GET /c`"),
            (
                &["GET /c:p99<3s"],
                &[],
                "it has GET /a, GET /b, and `workload`",
            ),
            (
                &["GET /b:p99<3s"],
                &[],
                "p99 cannot be judged for GET /b: it needs 500",
            ),
            (&["p99.9<3s"], &[], "cannot be judged for any endpoint"),
            (&[], &["p99=10%"], "`p99=10%` must be smaller"),
            (&["p50=1ms"], &["p50=2ms"], "`p50=2ms` must be smaller"),
        ] {
            let found = checked(tolerance, effect).unwrap_err();
            assert!(found.contains(said), "{found}");
        }
    }

    #[test]
    fn the_whole_workload_gets_what_all_endpoints_get() {
        assert_eq!(design().requests(WORKLOAD), 660.0);
        assert_eq!(
            (design().requests("GET /b"), design().requests("x")),
            (60.0, 0.0)
        );
        assert!(is_planned(&design(), WORKLOAD, Metric::P99));
    }
}
