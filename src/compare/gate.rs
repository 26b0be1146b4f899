//! The gate: which metrics of which endpoints decide, which must keep a limit, and how endpoints
//! share alpha (method.md 2.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{LimitRule, MarginRule, Metric, ToleranceRule};
use crate::run::WORKLOAD;

/// What decides. The default is that of method.md 2.11.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The metrics that decide everywhere, when they were chosen; else each metric's own default.
    metrics: Option<BTreeSet<Metric>>,
    /// Those that decide at one endpoint because a rule names them there.
    named: BTreeSet<(String, Metric)>,
    /// Limits for all endpoints and the whole workload.
    limits: BTreeMap<Metric, f64>,
    /// Limits of single endpoints, which stand above those for all.
    own_limits: BTreeMap<String, BTreeMap<Metric, f64>>,
    /// Shares of alpha by endpoint; 1 where none is given.
    weights: BTreeMap<String, f64>,
}

impl Gate {
    /// With these metrics deciding; the error rate always does, because nothing passes where it
    /// does not. Empty means the default.
    pub fn of(metrics: &[Metric]) -> Self {
        let chosen = metrics.iter().copied().chain([Metric::ErrorRate]);
        Self {
            metrics: (!metrics.is_empty()).then(|| chosen.collect()),
            ..Self::default()
        }
    }

    /// With what these rules add: a limit decides, and so does a metric that a rule names at an
    /// endpoint. Later rules win.
    pub fn with(mut self, rules: &[ToleranceRule]) -> Self {
        for rule in rules {
            match rule {
                ToleranceRule::Margin(rule) => self.name(rule),
                ToleranceRule::Limit(rule) => self.limit(rule),
            }
        }
        self
    }

    fn name(&mut self, rule: &MarginRule) {
        if let Some(endpoint) = &rule.endpoint {
            self.named.insert((endpoint.clone(), rule.metric));
        }
    }

    fn limit(&mut self, rule: &LimitRule) {
        let limits = match &rule.endpoint {
            None => &mut self.limits,
            Some(endpoint) => self.own_limits.entry(endpoint.clone()).or_default(),
        };
        limits.insert(rule.metric, rule.limit);
    }

    /// With this share of alpha for an endpoint, in units of the share of any other.
    pub fn weighted(mut self, endpoint: &str, weight: f64) -> Self {
        self.weights.insert(endpoint.to_owned(), weight);
        self
    }

    /// Whether the change of a metric against the baseline decides at an endpoint.
    pub fn has(&self, endpoint: &str, metric: Metric) -> bool {
        let chosen = match &self.metrics {
            Some(metrics) => metrics.contains(&metric),
            None => metric.traits().gate[usize::from(endpoint == WORKLOAD)],
        };
        chosen || self.is_named(endpoint, metric, false)
    }

    /// Whether anybody asked for a metric: chose it, named it for the whole workload or gave it a
    /// limit. It is judged then even where there is nothing to read, and cannot pass.
    pub fn asks_for(&self, metric: Metric) -> bool {
        let chosen = self.metrics.as_ref();
        chosen.is_some_and(|metrics| metrics.contains(&metric))
            || [false, true]
                .iter()
                .any(|limit| self.is_named(WORKLOAD, metric, *limit))
            || self.limits.contains_key(&metric)
    }

    /// Whether a rule names this metric of this endpoint: a limit, or a margin.
    pub fn is_named(&self, endpoint: &str, metric: Metric, limit: bool) -> bool {
        if limit {
            let own = self.own_limits.get(endpoint);
            return own.is_some_and(|own| own.contains_key(&metric));
        }
        self.named.contains(&(endpoint.to_owned(), metric))
    }

    /// The limit that the candidate must keep, in the unit of the metric.
    pub fn limit_of(&self, endpoint: &str, metric: Metric) -> Option<f64> {
        let own = self.own_limits.get(endpoint);
        let own = own.and_then(|own| own.get(&metric));
        own.or_else(|| self.limits.get(&metric)).copied()
    }

    /// Metrics with a limit for all endpoints, and single endpoints with limits of their own.
    pub fn limits(&self) -> impl Iterator<Item = (Option<&str>, Metric)> {
        let all = self.limits.keys().map(|metric| (None, *metric));
        let own = self.own_limits.iter().flat_map(|(endpoint, own)| {
            own.keys().map(|metric| (Some(endpoint.as_str()), *metric))
        });
        all.chain(own)
    }

    /// The share of alpha of an endpoint, relative to the others.
    pub fn weight(&self, endpoint: &str) -> f64 {
        self.weights.get(endpoint).copied().unwrap_or(1.0)
    }

    /// Endpoints that any rule or weight names, to refuse those that do not exist.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        let named = self.named.iter().map(|(endpoint, _)| endpoint);
        let named = named
            .chain(self.own_limits.keys())
            .chain(self.weights.keys());
        named.map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Vec<ToleranceRule> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn members(gate: &Gate, endpoint: &str) -> Vec<&'static str> {
        let own = Metric::ALL
            .into_iter()
            .filter(|metric| gate.has(endpoint, *metric));
        own.map(Metric::name).collect()
    }

    #[test]
    fn the_default_is_errors_and_two_quantiles_and_more_for_the_whole() {
        let gate = Gate::default();
        assert_eq!(members(&gate, "GET /"), ["errors", "p50", "p99"]);
        assert_eq!(
            members(&gate, WORKLOAD),
            ["errors", "p50", "p99", "goodput", "cpu"]
        );
        assert_eq!(Gate::of(&[]), gate);
    }

    #[test]
    fn chosen_metrics_replace_the_default_and_errors_stay() {
        let gate = Gate::of(&[Metric::P90]);
        assert_eq!(members(&gate, "GET /"), ["errors", "p90"]);
        assert_eq!(members(&gate, WORKLOAD), ["errors", "p90"]);
        let gate = gate.with(&rules(&["GET /:mean=3%", "p99.9=3%"]));
        assert_eq!(members(&gate, "GET /"), ["errors", "p90", "mean"]);
        assert_eq!(members(&gate, "GET /b"), ["errors", "p90"]);
    }

    #[test]
    fn limits_of_an_endpoint_stand_above_those_for_all() {
        let gate = Gate::default().with(&rules(&["p99<300ms", "GET /:p99<80ms", "GET /:p99<90ms"]));
        assert_eq!(gate.limit_of("GET /", Metric::P99), Some(90e6));
        assert_eq!(gate.limit_of(WORKLOAD, Metric::P99), Some(300e6));
        assert_eq!(gate.limit_of("GET /", Metric::P50), None);
        let is_named = |endpoint| gate.is_named(endpoint, Metric::P99, true);
        assert!(is_named("GET /") && !is_named("GET /b"));
        assert_eq!(gate.limits().count(), 2);
        // A limit decides by itself; the change against the baseline does not come with it.
        let gate = Gate::of(&[Metric::P50]).with(&rules(&["p99<1s", "GET /:p99<1s"]));
        assert_eq!(members(&gate, "GET /"), ["errors", "p50"]);
    }

    #[test]
    fn weights_are_relative_to_one() {
        let gate = Gate::default().weighted("GET /cart", 3.0);
        assert_eq!((gate.weight("GET /cart"), gate.weight("GET /")), (3.0, 1.0));
        assert_eq!(gate.endpoints().collect::<Vec<_>>(), ["GET /cart"]);
    }
}
