//! Margins: how large a change may be, by endpoint and metric (method.md 2.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MarginRule, Metric};

/// One margin. Of the two the larger counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Margin {
    /// The relative change, 0.1 for 10 %; for the error rate the difference of the rates, 0.001
    /// for a tenth of a percentage point.
    pub relative: f64,
    /// The amount in the unit of the metric: nanoseconds or bytes; 0 for shares.
    pub floor: f64,
}

impl Margin {
    /// The margin on the scale of the statistic, where the baseline is at `level`.
    pub fn on_scale(self, metric: Metric, level: f64) -> f64 {
        let floor = if level > 0.0 { self.floor / level } else { 0.0 };
        metric.to_scale(self.relative.max(floor).max(0.0))
    }
}

/// A margin for every metric, with exceptions by endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Margins {
    default: BTreeMap<Metric, Margin>,
    by_endpoint: BTreeMap<String, BTreeMap<Metric, Margin>>,
}

impl Margins {
    /// The largest changes that anyone would still ship (method.md 2.11).
    pub fn tolerance() -> Self {
        Self::table(1)
    }

    /// The smallest changes that may block (method.md 2.11).
    pub fn minimum_effect() -> Self {
        Self::table(0)
    }

    fn table(column: usize) -> Self {
        let margin = |metric: Metric| Margin {
            relative: metric.traits().margins[column],
            floor: metric.traits().floors[column],
        };
        let all = Metric::ALL.into_iter();
        Self {
            default: all.map(|metric| (metric, margin(metric))).collect(),
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
            floor: self.floor.unwrap_or(base.floor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_laid_over_the_defaults() {
        let rules: Vec<MarginRule> = ["p99=25%", "GET /a:b:p50=3%,1ms", "errors=0.5pp", "mean=2ms"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let margins = Margins::tolerance().with(&rules);
        let of = |endpoint, metric| {
            let margin = margins.of(endpoint, metric);
            (margin.relative, margin.floor)
        };
        assert_eq!(of("x", Metric::P99), (0.25, 150_000.0));
        assert_eq!(of("x", Metric::P50), (0.05, 150_000.0));
        assert_eq!(of("GET /a:b", Metric::P50), (0.03, 1e6));
        assert_eq!(of("x", Metric::ErrorRate), (0.005, 0.0));
        assert_eq!(of("x", Metric::Mean), (0.0, 2e6));
    }

    #[test]
    fn the_larger_of_share_and_amount_counts() {
        let at = |relative, floor, level| {
            let margin = Margin { relative, floor };
            margin.on_scale(Metric::P99, level).exp_m1()
        };
        assert!((at(0.1, 2e6, 100e6) - 0.1).abs() < 1e-12);
        assert!((at(0.1, 2e6, 10e6) - 0.2).abs() < 1e-12);
        assert!((at(0.0, 5e6, 100e6) - 0.05).abs() < 1e-12);
        assert_eq!(at(0.0, 5e6, 0.0), 0.0);
    }
}
