//! One metric of one endpoint over the rounds, against the baseline or against a limit: its
//! series, and its estimate after any number of rounds with both margins on the same scale
//! (method.md 2.2 and 2.4).

use super::{
    Interval, Metric, Policy, RoundEvidence,
    detectable::detectable,
    distribution::median,
    evidence::Figures,
    limit::Rate,
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
    /// Relative widths of the buckets.
    resolution: [f64; 2],
    /// The levels of (baseline, candidate).
    levels: [f64; 2],
    failures: [Failures; 2],
}

/// The series of one metric of one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Track {
    pub(super) endpoint: String,
    pub(super) metric: Metric,
    /// What the candidate is held against instead of the baseline, in the unit of the metric.
    pub(super) limit: Option<f64>,
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
                resolution: [0.0; 2],
                levels: failures.map(Failures::rate),
                failures,
            };
            if metric == Metric::ErrorRate {
                let value = base.levels[1] - base.levels[0];
                let counted = failures.iter().all(|side| side.requests > 0);
                return counted.then_some(Point { value, ..base });
            }
            let reads = [sides[0].reading(metric)?, sides[1].reading(metric)?];
            Some(Point {
                value: log_ratio(metric, reads[1].value, reads[0].value),
                resolution: reads.map(|read| read.width / read.value),
                levels: reads.map(|read| read.value),
                ..base
            })
        };
        let points: Vec<Point> = rounds.iter().enumerate().filter_map(point).collect();
        let whole = metric == Metric::ErrorRate || points.len() == rounds.len();
        whole.then(|| Self {
            endpoint: endpoint.to_owned(),
            metric,
            limit: None,
            points,
            earlier: None,
        })
    }

    /// The candidate alone against a fixed amount; whether the sides were measured together is no
    /// question then.
    pub(super) fn held_to(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self.earlier = None;
        for point in &mut self.points {
            let own = point.levels[Side::Candidate.index()];
            point.resolution[Side::Baseline.index()] = 0.0;
            point.value = match self.metric {
                Metric::ErrorRate => own - limit,
                metric => log_ratio(metric, own, limit),
            };
        }
        self
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

    /// The statistic by valid round, of which there are so many; absent where one has none.
    pub(super) fn course(&self, valid: usize) -> Vec<Option<f64>> {
        let mut course = vec![None; valid];
        for point in &self.points {
            if let Some(place) = course.get_mut(point.order) {
                *place = Some(point.value);
            }
        }
        course
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
            let own: Vec<_> = rounds.iter().map(|round| round[1]).collect();
            let statistic = match self.limit {
                Some(limit) => Statistic::Rate(Rate::of(&own)?, limit),
                None => Statistic::Errors(pooled),
            };
            return Some(Estimate {
                levels: [pooled.baseline.rate(), pooled.candidate.rate()],
                is_unknown,
                ..self.estimate(statistic, effect.relative, tolerance.relative)
            });
        }
        let statistic = if self.earlier.is_none() {
            let numbered: Vec<_> = points.iter().map(|p| (p.round, p.value)).collect();
            Statistic::Ratio(Paired::of(&numbered, resolution(points))?)
        } else {
            let [a, b] = Side::BOTH.map(|side| level(self.metric, points, side));
            Statistic::Apart(Apart::of(&a?, &b?, between.as_ref()), points.len())
        };
        let level = |side: Side| median(points.iter().map(|p| p.levels[side.index()]).collect());
        let levels = [level(Side::Baseline)?, level(Side::Candidate)?];
        let on_scale = |margin: super::Margin| margin.on_scale(self.metric, levels[0]);
        Some(Estimate {
            levels,
            is_unknown,
            ..self.estimate(statistic, on_scale(effect), on_scale(tolerance))
        })
    }

    /// With both margins on the scale of the statistic; a limit leaves no room between them.
    fn estimate(&self, statistic: Statistic, effect: f64, tolerance: f64) -> Estimate {
        let tolerance = self.limit.map_or(tolerance, |_| 0.0);
        Estimate {
            statistic,
            // Whoever tolerates less than the usual minimum effect wants that to block.
            effect: effect.min(tolerance),
            tolerance,
            levels: [0.0; 2],
            is_unknown: false,
        }
    }

    /// What runs of the baseline differ by, if it is known.
    fn between(&self, points: &[Point]) -> Option<Between> {
        let earlier = self.earlier.as_ref()?;
        let own = level(self.metric, points, Side::Baseline)?;
        let runs: Vec<_> = earlier.iter().copied().chain([own]).collect();
        Between::of(&runs)
    }
}

/// How much worse `own` is than `other`, as a log ratio.
fn log_ratio(metric: Metric, own: f64, other: f64) -> f64 {
    let ratio = (own / other).ln();
    if metric.is_worse_higher() {
        ratio
    } else {
        -ratio
    }
}

/// The relative width of the widest bucket that a level was read from.
fn resolution(points: &[Point]) -> f64 {
    let widths = points.iter().flat_map(|p| p.resolution);
    widths.fold(0.0, f64::max)
}

/// The level of one side over its rounds, on the scale of the statistic.
fn level(metric: Metric, points: &[Point], side: Side) -> Option<Level> {
    let side = side.index();
    if metric == Metric::ErrorRate {
        let rounds: Vec<_> = points.iter().map(|point| point.failures[side]).collect();
        return Level::of_failures(&rounds);
    }
    // More is worse on the scale of the statistic.
    let worse = |level: f64| {
        if metric.is_worse_higher() {
            level
        } else {
            level.recip()
        }
    };
    let levels = points.iter().map(|p| (p.round, worse(p.levels[side])));
    let levels: Vec<_> = levels.collect();
    Level::of_logs(&levels, resolution(points))
}

/// Which test belongs to a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Statistic {
    /// Log ratios.
    Ratio(Paired),
    /// Of sides that were not measured together, over so many rounds.
    Apart(Apart, usize),
    /// Failures of both sides.
    Errors(Proportions),
    /// Failures of the candidate, and their limit.
    Rate(Rate, f64),
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
            Statistic::Ratio(paired) if paired.is_dependent() => Scores::NONE,
            Statistic::Ratio(paired) => Scores::of(
                paired.p_regressed(self.effect),
                paired.p_pass(self.tolerance),
            ),
            Statistic::Errors(pooled) => Scores::of(
                pooled.p_regressed(self.effect),
                pooled.p_pass(self.tolerance),
            ),
            Statistic::Rate(rate, limit) => Scores::of(rate.p_above(*limit), rate.p_below(*limit)),
        }
    }

    /// The estimate with both one-sided bounds, on the scale of the statistic.
    pub(super) fn interval(&self, tail: f64) -> Interval {
        match &self.statistic {
            Statistic::Errors(pooled) => pooled.interval(tail),
            Statistic::Rate(rate, limit) => {
                let interval = rate.interval(tail);
                Interval {
                    estimate: interval.estimate - limit,
                    lower: interval.lower - limit,
                    upper: interval.upper - limit,
                }
            }
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
            Statistic::Ratio(paired) => {
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
        matches!(&self.statistic, Statistic::Ratio(paired) if paired.is_dependent())
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
            Statistic::Ratio(_) | Statistic::Errors(_) | Statistic::Rate(..) => {
                let (rounds, sigma) = (self.rounds(), self.sigma());
                Some(detectable(rounds, alpha, self.effect, sigma))
            }
        }
    }

    pub(super) fn rounds(&self) -> usize {
        match &self.statistic {
            Statistic::Apart(_, rounds) => *rounds,
            Statistic::Ratio(paired) => paired.rounds,
            Statistic::Errors(pooled) => pooled.rounds,
            Statistic::Rate(rate, _) => rate.rounds,
        }
    }

    pub(super) fn sigma(&self) -> f64 {
        match &self.statistic {
            Statistic::Ratio(paired) => paired.sd,
            Statistic::Apart(apart, _) => apart.sd,
            Statistic::Errors(pooled) => pooled.sd,
            Statistic::Rate(rate, _) => rate.sd,
        }
    }

    pub(super) fn autocorrelation(&self) -> Option<f64> {
        match &self.statistic {
            Statistic::Ratio(paired) => Some(paired.autocorrelation),
            Statistic::Errors(_) | Statistic::Rate(..) | Statistic::Apart(..) => None,
        }
    }
}
