//! The result of judging: plain data that reports render without computing anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Metric;

/// The answer for the whole comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every gate metric was shown to be within its tolerance.
    Pass,
    /// At least one gate metric was shown to be worse than the minimum effect.
    Regressed,
    /// A sound measurement, but not enough evidence within the budget.
    Inconclusive,
    /// The measurement cannot be trusted, or a side is unusable.
    Invalid,
}

/// What was found of one metric of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Shown to be within the tolerance.
    Pass,
    /// Shown to be worse than the minimum effect.
    Regressed,
    /// Neither was shown.
    Inconclusive,
    /// The figures of this metric cannot be trusted.
    Invalid,
    /// Not part of the family: too few requests; the reason says how many there were.
    NotJudged,
}

/// Why a status is what it is (method.md 2.7). Each becomes one plain sentence in reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// PASS: no worse than tolerated.
    Ok,
    /// PASS: the whole interval says better, by more than the minimum effect.
    Improved,
    /// PASS: probably slower, but surely within the tolerance.
    SlowerWithinTolerance,
    /// REGRESSED: the whole interval lies beyond the tolerance.
    BeyondTolerance,
    /// REGRESSED: the whole interval lies above the limit.
    BeyondLimit,
    /// REGRESSED: worse than the minimum effect, and within tolerance was not shown.
    Slower,
    /// REGRESSED: the candidate stopped answering while the baseline was healthy.
    Unavailable,
    /// INCONCLUSIVE: the latency would pass, but the endpoint's error rate does not.
    BlockedByErrors,
    /// INCONCLUSIVE: too noisy for the rounds that there were.
    Noise,
    /// INCONCLUSIVE: the sides were not measured together, and too few stored runs say how much
    /// runs differ.
    NotTogether,
    /// INVALID: successive rounds resemble each other; longer slots are needed.
    Dependent,
    /// NOT JUDGED: fewer requests a round than the metric needs.
    TooFewRequests,
    /// NOT JUDGED: some round had no figure for it.
    Missing,
    /// NOT JUDGED: a quantile of the whole workload that stayed open; each endpoint is judged by
    /// itself, so that nothing waits for it.
    Unneeded,
}

/// A two-sided range with its middle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower one-sided bound at the look's own level.
    pub lower: f64,
    /// The upper one-sided bound at the look's own level.
    pub upper: f64,
}

/// One metric of one endpoint, compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The endpoint.
    pub endpoint: String,
    /// The metric.
    pub metric: Metric,
    /// Whether it decides the verdict.
    pub gate: bool,
    /// What was found.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// What the candidate was held against instead of the baseline, in the unit of the metric.
    pub limit: Option<f64>,
    /// Relative change (0.1 is 10 % slower, or 10 % less goodput) or difference of error rates
    /// (0.001 is +0.1 pp), against the baseline or the limit; positive is worse. Absent when not
    /// judged.
    pub change: Option<Interval>,
    /// The tolerance on the scale of `change`, floors applied.
    pub tolerance: f64,
    /// The minimum effect on the scale of `change`, floors applied.
    pub minimum_effect: f64,
    /// The baseline's level in the unit of the metric: median over rounds, or the pooled error
    /// rate.
    pub baseline: Option<f64>,
    /// The candidate's level, likewise.
    pub candidate: Option<f64>,
    /// Valid rounds that it was judged from.
    pub rounds: u32,
    /// Requests per round and side that the schedule held.
    pub requests_per_round: f64,
    /// Standard deviation of the per-round statistic (log ratio or difference).
    pub sigma: Option<f64>,
    /// The smallest true change that this many rounds would have found nine times in ten, on
    /// the scale of `change`.
    pub detectable: Option<f64>,
    /// About how many rounds more would decide it, while it is open; absent when it is not, or
    /// when no number that anyone would wait for is likely to.
    pub more_rounds: Option<u32>,
    /// How long they take, in seconds, where the length of a round is known.
    pub more_s: Option<f64>,
    /// Sequential p-value of "worse than the minimum effect", uncorrected.
    pub p_regressed: Option<f64>,
    /// Sequential p-value of "within the tolerance".
    pub p_pass: Option<f64>,
    /// Lag-1 autocorrelation of the per-round statistic.
    pub autocorrelation: Option<f64>,
    /// Hodges-Lehmann centre on the scale of `change`; a diagnostic, never judged.
    pub hodges_lehmann: Option<f64>,
    /// Whether single rounds stand far out (method.md 2.10); all are kept.
    pub bursty: bool,
    /// The per-round statistic of each valid round (log ratio or difference), in order; absent
    /// where the round had no request of a rare endpoint.
    pub series: Vec<Option<f64>>,
}

/// A limit counts for the length of a strip as if a quarter of it were tolerated.
const LIMIT_PART: f64 = 0.25;

impl Change {
    /// One tolerance on the scale of `change`, so that all metrics can stand on one scale; above
    /// 0.
    pub fn unit(&self) -> f64 {
        match self.limit {
            Some(limit) if self.metric == Metric::ErrorRate => LIMIT_PART * limit,
            Some(_) => LIMIT_PART,
            // Where nothing is tolerated, one part in a hundred.
            None if self.tolerance <= 0.0 => 0.01,
            None => self.tolerance,
        }
    }

    /// What would decide an open metric, in a few words: "about 6 more minutes would do".
    pub fn advice(&self) -> String {
        match (self.more_s, self.more_rounds) {
            (Some(seconds), _) => format!("about {} would do", more_time(seconds)),
            (None, Some(rounds)) => format!("about {rounds} more rounds would do"),
            (None, None) => "more time is not likely to decide it".to_owned(),
        }
    }
}

/// A length of time to be added, in the unit that people would plan with.
fn more_time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 89.5 => (s.max(1.0), "second"),
        s if s < 89.5 * 60.0 => (s / 60.0, "minute"),
        s => (s / 3_600.0, "hour"),
    };
    let value = value.ceil();
    let ending = if value > 1.0 { "s" } else { "" };
    format!("{value:.0} more {unit}{ending}")
}

/// Something the reader should know that does not change the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable code, such as `steal`.
    pub code: String,
    /// What happened, why it matters, what to do.
    pub text: String,
}

/// How many rounds there were and what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundsUsed {
    /// Rounds of the plan, without the discarded first.
    pub planned: u32,
    /// Rounds that were measured completely, without the discarded first.
    pub measured: u32,
    /// Those of them that nothing disturbed.
    pub valid: u32,
    /// Those of them that the last look took in; the others wait for the next.
    #[serde(default)]
    pub judged: u32,
    /// Dropped rounds by reason; a round with two reasons counts under the first.
    pub dropped: BTreeMap<String, u32>,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The answer.
    pub verdict: Verdict,
    /// Why, for INVALID and for INCONCLUSIVE: one plain sentence each, empty otherwise.
    pub causes: Vec<String>,
    /// Each endpoint and metric: gate metrics first, worst first.
    pub changes: Vec<Change>,
    /// What became of the rounds.
    pub rounds: RoundsUsed,
    /// The share of requests that belongs to endpoints with a judged latency, 0 to 1.
    pub coverage: f64,
    /// What the reader should know besides.
    pub warnings: Vec<Warning>,
    /// Whether nothing more can change: the run may stop here.
    pub decided: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_is_said_as_people_plan_it() {
        for (seconds, said) in [
            (0.2, "1 more second"),
            (40.0, "40 more seconds"),
            (89.0, "89 more seconds"),
            (90.0, "2 more minutes"),
            (351.0, "6 more minutes"),
            (5_000.0, "84 more minutes"),
            (7_300.0, "3 more hours"),
        ] {
            assert_eq!(more_time(seconds), said);
        }
    }
}
