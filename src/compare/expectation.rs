//! What a calibration lets a comparison expect: after how many rounds it is likely decided, and
//! which changes it would find (method.md 2.8).

use super::{
    Design, LOOK_FIRST, Margins, Metric, Noise, Policy,
    course::FIRST_SHARE,
    detectable::{detectable, rounds_to_decide},
    distribution::size,
    metric::{Kind, Unit},
    planning::{MISSED, clean_rounds, is_planned, is_required},
};
use crate::run::WORKLOAD;

/// What is expected of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Valid rounds after which every gate metric is likely decided; more than are planned when
    /// the budget is too short.
    pub enough: u32,
    /// By metric, the endpoint where the smallest change that all planned rounds find nine times
    /// in ten is largest, and that change: 0.1 is 10 % slower. Times only.
    pub detectable: Vec<(Metric, String, f64)>,
}

/// What noise that was measured before says of a plan; `None` when it does not know a metric that
/// has to be decided.
pub fn expect(
    noise: &Noise,
    design: &Design,
    policy: &Policy,
    measured_ns: u64,
) -> Option<Expectation> {
    let endpoints = design.expected.keys().map(String::as_str).chain([WORKLOAD]);
    let gate = endpoints.flat_map(|name| {
        let decides = move |metric: &Metric| {
            // What it takes to read those is not known before the load.
            let is_read = !matches!(metric, Metric::Cpu | Metric::Memory);
            is_read
                && policy.gate.has(name, *metric)
                && is_planned(design, name, *metric)
                && is_required(design, policy, name, (*metric, false))
        };
        let metrics = Metric::ALL.into_iter().filter(decides);
        metrics.map(move |metric| (name, metric))
    });
    let gate: Vec<(&str, Metric)> = gate.collect();
    let alpha = policy.alpha * FIRST_SHARE;
    let metrics = size(gate.len().max(1));
    let mut expectation = Expectation {
        enough: LOOK_FIRST,
        detectable: Vec::new(),
    };
    for (name, metric) in gate {
        let sigma = noise
            .sigma(name, metric, measured_ns)?
            .max(f64::MIN_POSITIVE);
        let level = noise.metric(name, metric)?.level;
        let of = |margins: &Margins| {
            let margin = margins.of(name, metric);
            match metric.traits().kind {
                Kind::Difference => margin.relative,
                Kind::Ratio => margin.on_scale(metric, level),
            }
        };
        let tolerance = of(&policy.tolerance);
        let effect = of(&policy.minimum_effect).min(tolerance);
        let alphas = (alpha / metrics, alpha);
        let margins = (effect / sigma, tolerance / sigma);
        let mut needed = rounds_to_decide(alphas, MISSED / metrics, margins);
        if metric == Metric::ErrorRate {
            needed = needed.max(clean_rounds(design, name, tolerance, alpha));
        }
        if metric.traits().unit == Unit::Time {
            let rounds = design.last_round() as usize;
            let found = detectable(rounds, policy.alpha / metrics, effect, sigma);
            expectation.add(metric, name, metric.from_scale(found));
        }
        expectation.enough = expectation.enough.max(needed);
    }
    expectation.enough = expectation.enough.next_multiple_of(2);
    Some(expectation)
}

impl Expectation {
    fn add(&mut self, metric: Metric, endpoint: &str, change: f64) {
        let worst = self.detectable.iter_mut().find(|it| it.0 == metric);
        match worst {
            Some(it) if it.2 >= change => {}
            Some(it) => *it = (metric, endpoint.to_owned(), change),
            None => self.detectable.push((metric, endpoint.to_owned(), change)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        compare::{FalseAlarms, MetricNoise},
        units::SECOND_NS,
    };

    fn noise(sigmas: &[(&str, f64)]) -> Noise {
        let metric = |(name, sigma): &(&str, f64), metric, level| MetricNoise {
            endpoint: (*name).to_owned(),
            metric,
            gate: true,
            level,
            sigma: *sigma,
            sigma_upper: *sigma,
            sigma_sampling: 0.0,
            autocorrelation: None,
            detectable: Vec::new(),
        };
        let all = sigmas.iter().flat_map(|own| {
            let quiet = &(own.0, 0.0);
            [
                metric(quiet, Metric::ErrorRate, 0.0),
                metric(own, Metric::P50, 20e6),
                metric(own, Metric::P99, 60e6),
            ]
        });
        let whole = &(WORKLOAD, 0.0001);
        let whole = [
            metric(whole, Metric::ErrorRate, 0.0),
            metric(whole, Metric::Goodput, 1.0),
        ];
        Noise {
            rounds: 24,
            measured_ns: 4 * SECOND_NS,
            round_ns: 4 * SECOND_NS,
            slot_ns: SECOND_NS,
            false_alarms: FalseAlarms {
                judged: 1,
                alarms: 0,
            },
            metrics: all.chain(whole).collect(),
        }
    }

    fn expected(sigmas: &[(&str, f64)], requests: f64) -> Option<Expectation> {
        let names = ["GET /a", "GET /b"].map(|name| (name.to_owned(), requests));
        let design = Design::new(24, true, BTreeMap::from(names));
        let policy = Policy::standard(SECOND_NS);
        expect(&noise(sigmas), &design, &policy, 4 * SECOND_NS)
    }

    #[test]
    fn little_noise_needs_few_rounds_and_much_needs_more_than_there_are() {
        let quiet = expected(&[("GET /a", 0.005), ("GET /b", 0.004)], 2_000.0).unwrap();
        assert_eq!(quiet.enough, LOOK_FIRST);
        let loud = expected(&[("GET /a", 0.005), ("GET /b", 0.2)], 2_000.0).unwrap();
        assert!(loud.enough > 40, "{loud:?}");
        let worst = loud
            .detectable
            .iter()
            .find(|it| it.0 == Metric::P50)
            .unwrap();
        assert!(worst.1 == "GET /b" && worst.2 > 0.1, "{loud:?}");
        assert_eq!(loud.detectable.len(), 2, "errors have no share of this");
    }

    #[test]
    fn errors_need_their_requests_and_an_unknown_metric_says_nothing() {
        let few = expected(&[("GET /a", 0.005), ("GET /b", 0.004)], 400.0).unwrap();
        assert!(few.enough > LOOK_FIRST, "{few:?}");
        assert_eq!(expected(&[("GET /a", 0.005)], 2_000.0), None);
        // What is too rare to be judged is not asked for.
        assert!(expected(&[], 10.0).is_some());
    }
}
