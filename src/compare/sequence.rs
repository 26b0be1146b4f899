//! The looks: which metrics are decided at which look (method.md 2.6 and 2.12).
//!
//! Takes test scores by endpoint, metric and look, whatever they were computed from; knows
//! nothing of rounds or margins. Recomputes all looks each time, so that the answer depends on
//! the evidence alone.

use super::{distribution::normal_critical, family::select, spending::Boundaries};

/// The two tests of one metric at one look, as z: large means rejected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// Against "the change is at most the minimum effect".
    pub regressed: f64,
    /// Against "the change is at least the tolerance".
    pub pass: f64,
}

impl Scores {
    /// No evidence for anything.
    pub const NONE: Self = Self {
        regressed: f64::NEG_INFINITY,
        pass: f64::NEG_INFINITY,
    };

    /// From the p-values of the two tests.
    pub fn of(p_regressed: f64, p_pass: f64) -> Self {
        Self {
            regressed: normal_critical(p_regressed),
            pass: normal_critical(p_pass),
        }
    }
}

/// What the looks so far say of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet.
    Open,
    /// Within the tolerance, since this look (from 0).
    Pass(usize),
    /// Worse than the minimum effect, since this look (from 0).
    Regressed(usize),
}

impl Decision {
    /// The look of the decision.
    pub fn look(self) -> Option<usize> {
        match self {
            Self::Open => None,
            Self::Pass(look) | Self::Regressed(look) => Some(look),
        }
    }
}

/// The decision and the sequential p-values behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// What was decided, and when.
    pub decision: Decision,
    /// Of "worse than the minimum effect", uncorrected; 1 before the first look.
    pub p_regressed: f64,
    /// Of "within the tolerance"; 1 before the first look.
    pub p_pass: f64,
}

/// One family of metrics that share alpha.
#[derive(Debug, Clone, Copy)]
pub struct Family<'a> {
    /// What each look costs.
    pub boundaries: &'a Boundaries,
    /// The error probability of either decision.
    pub alpha: f64,
    /// How endpoints share alpha, in the order of the scores.
    pub weights: &'a [f64],
}

impl Family<'_> {
    /// Goes through the looks in order: PASS first, then the rejections; what is decided
    /// stays. `scores` are by endpoint, metric and look reached.
    pub fn decide(&self, scores: &[Vec<Vec<Scores>>]) -> Vec<Vec<Outcome>> {
        let sequential = |of: fn(&Scores) -> f64| -> Vec<Vec<Vec<f64>>> {
            let metric = |looks: &Vec<Scores>| self.boundaries.sequential(looks.iter().map(of));
            scores
                .iter()
                .map(|metrics| metrics.iter().map(metric).collect())
                .collect()
        };
        let regressed = sequential(|scores| scores.regressed);
        let pass = sequential(|scores| scores.pass);
        let looks = scores.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let open = Outcome {
            decision: Decision::Open,
            p_regressed: 1.0,
            p_pass: 1.0,
        };
        let mut outcomes: Vec<Vec<Outcome>> = scores
            .iter()
            .map(|metrics| vec![open; metrics.len()])
            .collect();
        for look in 0..looks {
            let at = |p: &Vec<f64>| p.get(look).copied().unwrap_or(1.0);
            let now: Vec<Vec<f64>> = regressed
                .iter()
                .map(|metrics| metrics.iter().map(at).collect())
                .collect();
            let fallen = select(&now, self.weights, self.alpha);
            for (endpoint, metrics) in outcomes.iter_mut().enumerate() {
                for (metric, outcome) in metrics.iter_mut().enumerate() {
                    outcome.p_regressed = now[endpoint][metric];
                    outcome.p_pass = at(&pass[endpoint][metric]);
                    if outcome.decision != Decision::Open {
                        continue;
                    }
                    if outcome.p_pass <= self.alpha {
                        outcome.decision = Decision::Pass(look);
                    } else if fallen[endpoint][metric] {
                        outcome.decision = Decision::Regressed(look);
                    }
                }
            }
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn z(regressed: f64, pass: f64) -> Scores {
        Scores { regressed, pass }
    }

    #[test]
    fn what_is_decided_stays_and_pass_comes_first() {
        let boundaries = Boundaries::new(&[8, 10, 12]);
        let family = Family {
            boundaries: &boundaries,
            alpha: 0.05,
            weights: &[1.0],
        };
        let scores = vec![vec![
            vec![z(6.0, -6.0), z(-6.0, 6.0), z(-6.0, 6.0)],
            vec![z(0.0, 0.0), z(6.0, 6.0), z(6.0, 0.0)],
            vec![z(0.0, 0.0), z(0.0, 0.0), z(0.0, 0.0)],
        ]];
        let decisions: Vec<Decision> = family.decide(&scores)[0]
            .iter()
            .map(|outcome| outcome.decision)
            .collect();
        assert_eq!(
            decisions,
            [Decision::Regressed(0), Decision::Pass(1), Decision::Open]
        );
        assert_eq!(decisions[2].look(), None);
    }

    #[test]
    fn nothing_in_nothing_out() {
        let boundaries = Boundaries::new(&[8]);
        let family = Family {
            boundaries: &boundaries,
            alpha: 0.05,
            weights: &[],
        };
        assert!(family.decide(&[]).is_empty());
        let outcome = family.decide(&[vec![vec![]]])[0][0];
        assert_eq!((outcome.decision, outcome.p_pass), (Decision::Open, 1.0));
        let none = family.decide(&[vec![vec![Scores::NONE]]])[0][0];
        assert_eq!(none.decision, Decision::Open);
    }
}
