//! What two equal deployments showed in one environment, and what a comparison there may expect.
//!
//! Plain data of a versioned file, with the few questions that a plan asks of it. How it is
//! computed stands in `noise`; where it is stored does not matter here.

use serde::{Deserialize, Serialize};

use super::Metric;
use crate::{run::WorkloadRecord, units::seconds};

/// The version of the file that this tool writes, and the newest that it reads.
pub const CALIBRATION_VERSION: u32 = 1;

/// What is known of one environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The version of this format.
    pub proofload_calibration: u32,
    /// The version of the tool that measured.
    pub version: String,
    /// When it was measured, RFC 3339, UTC.
    pub measured_at: String,
    /// Where.
    pub environment: Environment,
    /// Makes every random choice repeatable.
    pub seed: u64,
    /// The error probability that false alarms are held against.
    pub alpha: f64,
    /// Whether a comparison may plan with it.
    pub trusted: bool,
    /// Why not; empty when it may.
    pub causes: Vec<String>,
    /// Seconds after which the difference of the sides is another one: the smallest lag at which
    /// the autocorrelation of the per-second log ratio is below 1/e. Absent when there were too few
    /// seconds to say.
    pub correlation_s: Option<u64>,
    /// Seconds from the begin of a load until it was steady; absent when it was too short to say,
    /// or not steady in its first half.
    pub warm_up_s: Option<u64>,
    /// Both sides at the same time.
    pub simultaneous: Noise,
    /// One side after the other.
    pub interleaved: Noise,
    /// Which of the two needs less time here; absent when they share no judged latency.
    pub choice: Option<Choice>,
}

/// What was loaded, with what, how fast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The deployment: its URL, or the command that started it.
    pub target: String,
    /// What was sent.
    pub workload: WorkloadRecord,
    /// How much of it, as reports say it.
    pub rate: String,
}

/// The noise of one arrangement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Valid rounds that it was computed from.
    pub rounds: u32,
    /// Measured time per round and side, in nanoseconds.
    pub measured_ns: u64,
    /// Wall time of a round, settle cuts included, in nanoseconds.
    pub round_ns: u64,
    /// Suggested length of a slot (interleaved) or window (simultaneous), in nanoseconds.
    pub slot_ns: u64,
    /// What comes of the rounds when it is chance which side is called the baseline.
    pub false_alarms: FalseAlarms,
    /// Each endpoint and metric that was judged.
    pub metrics: Vec<MetricNoise>,
}

/// How often equal sides were called different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FalseAlarms {
    /// How often the stored rounds were judged with sides swapped at random.
    pub judged: u32,
    /// How often the verdict was REGRESSED.
    pub alarms: u32,
}

impl FalseAlarms {
    /// The share of alarms; 0 when nothing was judged.
    pub fn rate(self) -> f64 {
        f64::from(self.alarms) / f64::from(self.judged.max(1))
    }
}

/// The noise of one metric of one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricNoise {
    /// The endpoint.
    pub endpoint: String,
    /// The metric.
    pub metric: Metric,
    /// Whether it decides the verdict.
    pub gate: bool,
    /// The level: nanoseconds, or a rate.
    pub level: f64,
    /// Standard deviation of the per-round statistic (log ratio or difference).
    pub sigma: f64,
    /// Its upper limit at 80 % confidence, which is what a plan counts with (method.md 2.8).
    pub sigma_upper: f64,
    /// The part of `sigma` that the number of requests explains; 0 where that is not known.
    pub sigma_sampling: f64,
    /// Lag-1 autocorrelation of the per-round statistic; absent for differences of rates.
    pub autocorrelation: Option<f64>,
    /// What comparisons of some lengths would find nine times in ten.
    pub detectable: Vec<Detectable>,
}

/// The smallest change that a comparison of some length finds nine times in ten.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detectable {
    /// The budget, in seconds.
    pub budget_s: u64,
    /// Rounds of that budget.
    pub rounds: u32,
    /// Relative change of times: 0.1 is 10 % slower.
    pub change: f64,
}

/// Which arrangement needs less time for the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Whether the simultaneous one is better.
    pub simultaneous: bool,
    /// Test time of the interleaved one over that of the simultaneous one: the geometric mean over
    /// the gate latencies of the ratio of `sigma² × wall time of a round`.
    pub time_ratio: f64,
    /// The 90 % limits of that ratio.
    pub limits: (f64, f64),
}

impl Choice {
    /// Whether the evidence shows a difference at all.
    pub fn is_shown(&self) -> bool {
        self.limits.0 > 1.0 || self.limits.1 < 1.0
    }
}

impl Calibration {
    /// The noise of one arrangement.
    pub fn noise(&self, simultaneous: bool) -> &Noise {
        if simultaneous {
            &self.simultaneous
        } else {
            &self.interleaved
        }
    }

    /// What speaks against using it for a comparison there; empty when nothing does.
    pub fn objections(&self, there: &Environment) -> Vec<String> {
        let own = &self.environment;
        let mut found = Vec::new();
        let mut compare = |what: &str, own: &str, other: &str| {
            if own != other {
                found.push(format!("it is of another {what} ({own}, now {other})"));
            }
        };
        compare("target", &own.target, &there.target);
        compare("workload", &own.workload.digest, &there.workload.digest);
        compare("rate", &own.rate, &there.rate);
        if !self.trusted {
            let cause = self.causes.first().map_or("", String::as_str);
            found.push(format!("it is not trusted: {cause}"));
        }
        found
    }
}

impl Noise {
    /// The noise of one metric, if it was judged.
    pub fn metric(&self, endpoint: &str, metric: Metric) -> Option<&MetricNoise> {
        let mut all = self.metrics.iter();
        all.find(|it| it.endpoint == endpoint && it.metric == metric)
    }

    /// The spread that a plan should count with for rounds in which so much is measured on each
    /// side, at 80 % confidence; `None` for a metric that was not judged.
    pub fn sigma(&self, endpoint: &str, metric: Metric, measured_ns: u64) -> Option<f64> {
        let found = self.metric(endpoint, metric)?;
        Some(found.sigma_upper * found.scale(self.measured_ns, measured_ns))
    }
}

impl MetricNoise {
    /// By what the spread changes from rounds of one length to those of another. Longer rounds
    /// have less of what the number of requests explains, and all else as before:
    /// `σ_b² + σ_s²·T/T′`. Shorter ones may have more of everything.
    pub(super) fn scale(&self, from_ns: u64, to_ns: u64) -> f64 {
        let ratio = seconds(from_ns.max(1)) / seconds(to_ns.max(1));
        if ratio >= 1.0 {
            return ratio.sqrt();
        }
        let share = self.sampling_share();
        (1.0 - share + share * ratio).sqrt()
    }

    /// The part of the variance that the number of requests explains, 0 to 1.
    pub(super) fn sampling_share(&self) -> f64 {
        let share = (self.sigma_sampling / self.sigma).powi(2);
        if share.is_finite() {
            share.min(1.0)
        } else {
            0.0
        }
    }
}
