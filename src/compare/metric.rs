//! The metrics that are judged or shown, each with its direction and its default margins.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A figure of one endpoint, side and round. All are oriented so that more is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Failures among the requests that were sent; compared by difference.
    ErrorRate,
    /// The median of response time; quantiles count failures as slower than every success.
    P50,
    /// The 0.90 quantile of response time.
    P90,
    /// The 0.99 quantile of response time.
    P99,
    /// The 0.999 quantile of response time.
    P999,
    /// The mean of response time, a failure counting as the time-out.
    Mean,
}

impl Metric {
    /// Every metric, in the order of reports.
    pub const ALL: [Self; 6] = [
        Self::ErrorRate,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Mean,
    ];

    /// The metrics that decide the verdict by default.
    pub const GATE: [Self; 3] = [Self::ErrorRate, Self::P50, Self::P99];

    /// The name people write and read.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "errors",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Mean => "mean",
        }
    }

    /// The quantile in `[0, 1]`, for those that are one.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P99 => Some(0.99),
            Self::P999 => Some(0.999),
            Self::ErrorRate | Self::Mean => None,
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|metric| metric.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|metric| metric.name()).collect();
                format!("`{text}` is not a metric; there are {}", names.join(", "))
            })
    }
}
