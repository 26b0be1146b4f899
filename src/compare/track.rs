//! One metric of one endpoint over the rounds: its series, and its estimate after any number
//! of rounds with both margins on the same scale (method.md 2.2 and 2.4).

use super::{
    Interval, Metric, Policy, RoundEvidence,
    detectable::detectable,
    distribution::median,
    evidence::Figures,
    paired::Paired,
    proportion::{Failures, Proportions},
    sequence::Scores,
    stored::{Apart, Between, Level, errors_apart},
};
use crate::run::Side;

/// One valid round of one metric.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// How many valid rounds came before it, with or without a figure.
    order: usize,
    round: u32,
    /// Log ratio or difference, positive when the candidate is worse.
    value: f64,
    /// Relative width of the wider of the two buckets.
    resolution: f64,
    /// The levels of (baseline, candidate).
    levels: [f64; 2],
    failures: [Failures; 2],
}

/// The series of one metric of one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) endpoint: String,
    pub(super) metric: Metric,
    points: Vec<Point>,
    /// Where the sides were not measured together: the baseline's level in earlier runs.
    earlier: Option<Vec<Level>>,
}

impl Track {
    /// Reads the series; `None` when a round has no figure for it. For the error rate, rounds
    /// without a request of the endpoint are left out, because rare endpoints have such.
    pub(super) fn of(endpoint: &str, metric: Metric, rounds: &[&RoundEvidence]) -> Option<Self> {
        let point = |(order, round): (usize, &&RoundEvidence)| {
            let sides = round.endpoint(endpoint)?;
            let failures = sides.map(Figures::failures);
            let base = Point {
                order,
                round: round.round,
                value: 0.0,
                resolution: 0.0,
                levels: failures.map(Failures::rate),
                failures,
            };
            if metric == Metric::ErrorRate {
                let value = base.levels[1] - base.levels[0];
                let counted = failures.iter().all(|side| side.requests > 0);
                return counted.then_some(Point { value, ..base });
            }
            let reads = [sides[0].reading(metric)?, sides[1].reading(metric)?];
            let resolution = reads.map(|read| read.width_ns / read.value_ns);
            Some(Point {
                value: (reads[1].value_ns / reads[0].value_ns).ln(),
                resolution: resolution[0].max(resolution[1]),
                levels: reads.map(|read| read.value_ns),
                ..base
            })
        };
        let points: Vec<Point> = rounds.iter().enumerate().filter_map(point).collect();
        let whole = metric == Metric::ErrorRate || points.len() == rounds.len();
        whole.then(|| Self {
            endpoint: endpoint.to_owned(),
            metric,
            points,
            earlier: None,
        })
    }

    /// The same series of sides that were not measured together, with the rounds of earlier runs
    /// of the baseline, if they were not.
    pub(super) fn beside(mut self, earlier: Option<&[Vec<&RoundEvidence>]>) -> Self {
        let level = |rounds: &Vec<&RoundEvidence>| {
            let other = Self::of(&self.endpoint, self.metric, rounds)?;
            level(self.metric, &other.points, Side::Baseline)
        };
        self.earlier = earlier.map(|runs| runs.iter().filter_map(level).collect());
        self
    }

    /// The statistic of each round that has one.
    pub(super) fn series(&self) -> Vec<f64> {
        self.points.iter().map(|point| point.value).collect()
    }

    /// The statistic of the rounds for which `chosen` holds.
    pub(super) fn series_where(&self, chosen: impl Fn(u32) -> bool) -> Vec<f64> {
        let own = self.points.iter().filter(|point| chosen(point.round));
        own.map(|point| point.value).collect()
    }

    /// What is known after so many valid rounds; `None` when too little for a spread.
    pub(super) fn after(&self, rounds: usize, policy: &Policy) -> Option<Estimate> {
        let end = self.points.partition_point(|point| point.order < rounds);
        let points = &self.points[..end];
        let of = |margins: &super::Margins| margins.of(&self.endpoint, self.metric);
        let (effect, tolerance) = (of(&policy.minimum_effect), of(&policy.tolerance));
        let between = self.between(points);
        let is_unknown = self.earlier.is_some() && between.is_none();
        if self.metric == Metric::ErrorRate {
            let rounds: Vec<_> = points.iter().map(|point| point.failures).collect();
            let pooled = if self.earlier.is_none() {
                Proportions::of(&rounds)?
            } else {
                let of = |side: Side| rounds.iter().map(move |it| it[side.index()]);
                let [a, b]: [Vec<_>; 2] = Side::BOTH.map(|side| of(side).collect());
                errors_apart(&a, &b, between.as_ref())?
            };
            return Some(Estimate {
                effect: effect.relative.min(tolerance.relative),
                tolerance: tolerance.relative,
                levels: [pooled.baseline.rate(), pooled.candidate.rate()],
                statistic: Statistic::Errors(pooled),
                is_unknown,
            });
        }
        let statistic = if self.earlier.is_none() {
            let numbered: Vec<_> = points.iter().map(|p| (p.round, p.value)).collect();
            Statistic::Time(Paired::of(&numbered, resolution(points))?)
        } else {
            let [a, b] = Side::BOTH.map(|side| level(self.metric, points, side));
            Statistic::Apart(Apart::of(&a?, &b?, between.as_ref()), points.len())
        };
        let level = |side: Side| median(points.iter().map(|p| p.levels[side.index()]).collect());
        let levels = [level(Side::Baseline)?, level(Side::Candidate)?];
        let log = |margin: super::Margin| {
            let floor = margin.floor_ns / levels[0];
            margin.relative.max(floor).max(0.0).ln_1p()
        };
        Some(Estimate {
            // Whoever tolerates less than the usual minimum effect wants that to block.
            effect: log(effect).min(log(tolerance)),
            tolerance: log(tolerance),
            levels,
            statistic,
            is_unknown,
        })
    }

    /// What runs of the baseline differ by, if it is known.
    fn between(&self, points: &[Point]) -> Option<Between> {
        let earlier = self.earlier.as_ref()?;
        let own = level(self.metric, points, Side::Baseline)?;
        let runs: Vec<_> = earlier.iter().copied().chain([own]).collect();
        Between::of(&runs)
    }
}

/// The relative width of the widest bucket that a level was read from.
fn resolution(points: &[Point]) -> f64 {
    points.iter().map(|p| p.resolution).fold(0.0, f64::max)
}

/// The level of one side over its rounds, on the scale of the statistic.
fn level(metric: Metric, points: &[Point], side: Side) -> Option<Level> {
    let side = side.index();
    if metric == Metric::ErrorRate {
        let rounds: Vec<_> = points.iter().map(|point| point.failures[side]).collect();
        return Level::of_failures(&rounds);
    }
    let levels: Vec<_> = points.iter().map(|p| (p.round, p.levels[side])).collect();
    Level::of_logs(&levels, resolution(points))
}

/// Which test belongs to a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statistic {
    Time(Paired),
    /// Of sides that were not measured together, over so many rounds.
    Apart(Apart, usize),
    Errors(Proportions),
}

/// A metric after some rounds, with its margins on the scale of the statistic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub(super) statistic: Statistic,
    pub(super) effect: f64,
    pub(super) tolerance: f64,
    /// The levels of (baseline, candidate): median over rounds, or pooled rate.
    pub(super) levels: [f64; 2],
    /// Whether the sides were not measured together and nobody knows how much runs differ.
    is_unknown: bool,
}

impl Estimate {
    /// Both tests; none where the rounds depend on each other. Where nobody knows how much runs
    /// differ, nothing passes and only errors can have got worse.
    pub(super) fn scores(&self) -> Scores {
        match &self.statistic {
            Statistic::Apart(..) if self.is_unknown => Scores::NONE,
            Statistic::Apart(apart, _) => {
                Scores::of(apart.p_regressed(self.effect), apart.p_pass(self.tolerance))
            }
            Statistic::Errors(pooled) if self.is_unknown => Scores {
                pass: f64::NEG_INFINITY,
                ..Scores::of(pooled.p_regressed(self.effect), 1.0)
            },
            Statistic::Time(paired) if paired.is_dependent() => Scores::NONE,
            Statistic::Time(paired) => Scores::of(
                paired.p_regressed(self.effect),
                paired.p_pass(self.tolerance),
            ),
            Statistic::Errors(pooled) => Scores::of(
                pooled.p_regressed(self.effect),
                pooled.p_pass(self.tolerance),
            ),
        }
    }

    /// The estimate with both one-sided bounds, on the scale of the statistic.
    pub(super) fn interval(&self, tail: f64) -> Interval {
        match &self.statistic {
            Statistic::Errors(pooled) => pooled.interval(tail),
            Statistic::Apart(apart, _) => {
                let (lower, upper) = if self.is_unknown {
                    (f64::NEG_INFINITY, f64::INFINITY)
                } else {
                    apart.bounds(tail)
                };
                Interval {
                    estimate: apart.difference,
                    lower,
                    upper,
                }
            }
            Statistic::Time(paired) => {
                let (lower, upper) = paired.bounds(tail);
                Interval {
                    estimate: paired.mean,
                    lower,
                    upper,
                }
            }
        }
    }

    pub(super) fn is_dependent(&self) -> bool {
        matches!(&self.statistic, Statistic::Time(paired) if paired.is_dependent())
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.is_unknown
    }

    /// The smallest true change that would have been found nine times in ten, on the scale of the
    /// statistic; `None` where no size would have done.
    pub(super) fn detectable(&self, alpha: f64) -> Option<f64> {
        match &self.statistic {
            _ if self.is_unknown => None,
            Statistic::Apart(apart, _) => Some(apart.detectable(alpha, self.effect)),
            Statistic::Time(_) | Statistic::Errors(_) => {
                let (rounds, sigma) = (self.rounds(), self.sigma());
                Some(detectable(rounds, alpha, self.effect, sigma))
            }
        }
    }

    pub(super) fn rounds(&self) -> usize {
        match &self.statistic {
            Statistic::Apart(_, rounds) => *rounds,
            Statistic::Time(paired) => paired.rounds,
            Statistic::Errors(pooled) => pooled.rounds,
        }
    }

    pub(super) fn sigma(&self) -> f64 {
        match &self.statistic {
            Statistic::Time(paired) => paired.sd,
            Statistic::Apart(apart, _) => apart.sd,
            Statistic::Errors(pooled) => pooled.sd,
        }
    }

    pub(super) fn autocorrelation(&self) -> Option<f64> {
        match &self.statistic {
            Statistic::Time(paired) => Some(paired.autocorrelation),
            Statistic::Errors(_) | Statistic::Apart(..) => None,
        }
    }
}
