//! The metrics that are judged or shown: one table holds all that tells them apart.
//!
//! A metric is one number per endpoint, side and round. Whoever adds one writes its variant, its
//! row, and where its number comes from (`Figures::set` in `evidence`); tests, margins, gate,
//! reports and files follow from the row.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A figure of one endpoint, side and round.
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
    /// Answers as expected among the requests that the schedule held.
    Goodput,
    /// The median of the time to the first byte, failures as slowest.
    FirstByte,
    /// The 0.99 quantile of the time to the first byte, failures as slowest.
    FirstByteP99,
    /// The mean size of the bodies of good answers.
    Size,
    /// The CPU time of a side for each request answered as expected.
    Cpu,
    /// The most memory that a side held at once.
    Memory,
}

/// In what a metric is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Time,
    /// A share between 0 and 1.
    Share,
    /// Bytes.
    Bytes,
}

/// How the two sides of a round become one statistic (method.md 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The log ratio of two levels, tested by a paired t.
    Ratio,
    /// The difference of two rates of failure, tested by Miettinen and Nurminen's score.
    Difference,
}

/// Which way is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worse {
    /// More is worse: times, errors, sizes.
    Higher,
    /// Less is worse: goodput.
    Lower,
}

/// What a change is called in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wording {
    /// The figure, to be followed by "of ENDPOINT".
    pub figure: &'static str,
    /// What more of it is called.
    pub more: &'static str,
    /// What less of it is called.
    pub less: &'static str,
    /// What is said of a candidate that regressed by it.
    pub complaint: &'static str,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// The name people write and read.
    pub name: &'static str,
    /// In what it is counted.
    pub unit: Unit,
    /// How the sides are compared.
    pub kind: Kind,
    /// Which way is worse.
    pub worse: Worse,
    /// Whether a candidate may be called better by it; a smaller answer may lack something.
    pub improves: bool,
    /// The quantile in `[0, 1]`, for those that are one.
    pub quantile: Option<f64>,
    /// Requests a round and side that it needs (method.md 2.2): five beyond a quantile, and for
    /// medians and means enough to be one.
    pub requests: f64,
    /// Default minimum effect and tolerance: relative, or a difference of rates.
    pub margins: [f64; 2],
    /// The same as amounts in the unit of the metric: what is less never counts.
    pub floors: [f64; 2],
    /// Whether it decides by default: at an endpoint, and for the whole workload.
    pub gate: [bool; 2],
    /// Whether it belongs to a side as a whole: no endpoint has it, and a side only where its
    /// resources are read.
    pub of_side: bool,
    /// Its words.
    pub words: Wording,
}

const TIMES: Traits = Traits {
    name: "",
    unit: Unit::Time,
    kind: Kind::Ratio,
    worse: Worse::Higher,
    improves: true,
    quantile: None,
    requests: 50.0,
    margins: [0.01, 0.05],
    floors: [50_000.0, 150_000.0],
    gate: [false, false],
    of_side: false,
    words: Wording {
        figure: "",
        more: "slower",
        less: "faster",
        complaint: "is slower than you tolerate",
    },
};

/// A row of response times.
const fn times(name: &'static str, quantile: Option<f64>, requests: f64) -> Traits {
    let words = Wording {
        figure: name,
        ..TIMES.words
    };
    Traits {
        name,
        quantile,
        requests,
        words,
        ..TIMES
    }
}

/// In the order of [`Metric::ALL`].
const TABLE: [Traits; Metric::COUNT] = [
    Traits {
        name: "errors",
        unit: Unit::Share,
        kind: Kind::Difference,
        requests: 0.0,
        margins: [0.0002, 0.001],
        floors: [0.0, 0.0],
        gate: [true, true],
        words: Wording {
            figure: "The error rate",
            more: "higher",
            less: "lower",
            complaint: "fails more often than the baseline",
        },
        ..TIMES
    },
    Traits {
        gate: [true, true],
        ..times("p50", Some(0.5), 50.0)
    },
    Traits {
        margins: [0.02, 0.07],
        ..times("p90", Some(0.9), 50.0)
    },
    Traits {
        margins: [0.03, 0.10],
        gate: [true, true],
        ..times("p99", Some(0.99), 500.0)
    },
    Traits {
        margins: [0.05, 0.20],
        ..times("p99.9", Some(0.999), 5_000.0)
    },
    Traits {
        words: Wording {
            figure: "The mean",
            ..TIMES.words
        },
        ..times("mean", None, 50.0)
    },
    Traits {
        name: "goodput",
        unit: Unit::Share,
        worse: Worse::Lower,
        margins: [0.005, 0.02],
        floors: [0.0, 0.0],
        gate: [false, true],
        words: Wording {
            figure: "The goodput",
            more: "higher",
            less: "lower",
            complaint: "answers fewer of the requests well",
        },
        ..TIMES
    },
    Traits {
        words: Wording {
            figure: "The time to the first byte",
            ..TIMES.words
        },
        ..times("ttfb", Some(0.5), 50.0)
    },
    Traits {
        margins: [0.03, 0.10],
        words: Wording {
            figure: "p99 of the time to the first byte",
            ..TIMES.words
        },
        ..times("ttfb-p99", Some(0.99), 500.0)
    },
    Traits {
        name: "size",
        unit: Unit::Bytes,
        improves: false,
        floors: [8.0, 32.0],
        words: Wording {
            figure: "The size of the answers",
            more: "larger",
            less: "smaller",
            complaint: "sends larger answers",
        },
        ..TIMES
    },
    Traits {
        name: "cpu",
        floors: [0.0, 0.0],
        gate: [false, true],
        of_side: true,
        words: Wording {
            figure: "The CPU time for a request",
            more: "higher",
            less: "lower",
            complaint: "uses more CPU than you tolerate",
        },
        ..TIMES
    },
    Traits {
        name: "memory",
        unit: Unit::Bytes,
        margins: [0.03, 0.10],
        floors: [262_144.0, 1_048_576.0],
        of_side: true,
        words: Wording {
            figure: "The peak memory",
            more: "higher",
            less: "lower",
            complaint: "uses more memory than you tolerate",
        },
        ..TIMES
    },
];

impl Metric {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// Every metric, in the order of reports.
    pub const ALL: [Self; Self::COUNT] = [
        Self::ErrorRate,
        Self::P50,
        Self::P90,
        Self::P99,
        Self::P999,
        Self::Mean,
        Self::Goodput,
        Self::FirstByte,
        Self::FirstByteP99,
        Self::Size,
        Self::Cpu,
        Self::Memory,
    ];

    /// All that tells it from the others.
    pub fn traits(self) -> &'static Traits {
        &TABLE[self as usize]
    }

    /// The name people write and read.
    pub fn name(self) -> &'static str {
        self.traits().name
    }

    /// The quantile in `[0, 1]`, for those that are one.
    pub fn quantile(self) -> Option<f64> {
        self.traits().quantile
    }

    /// Whether more is worse.
    pub fn is_worse_higher(self) -> bool {
        self.traits().worse == Worse::Higher
    }

    /// From a relative change, positive when worse, to the scale of the statistic: a slowdown of
    /// 10 % is ln 1.1, a loss of 10 % is −ln 0.9. Differences stay as they are.
    pub fn to_scale(self, change: f64) -> f64 {
        match (self.traits().kind, self.traits().worse) {
            (Kind::Difference, _) => change,
            (Kind::Ratio, Worse::Higher) => change.max(-1.0).ln_1p(),
            (Kind::Ratio, Worse::Lower) => -(-change.min(1.0)).ln_1p(),
        }
    }

    /// The way back.
    pub fn from_scale(self, value: f64) -> f64 {
        if value.is_infinite() {
            return value;
        }
        // Few wild rounds can have bounds of any size; files need numbers.
        let log = value.clamp(-50.0, 50.0);
        match (self.traits().kind, self.traits().worse) {
            (Kind::Difference, _) => value,
            (Kind::Ratio, Worse::Higher) => log.exp_m1(),
            (Kind::Ratio, Worse::Lower) => -(-log).exp_m1(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_whole_and_each_name_its_own() {
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            let own = metric.traits();
            assert_eq!(metric as usize, place);
            assert_eq!(metric.name().parse(), Ok(metric));
            assert!(own.margins[0] < own.margins[1] && own.floors[0] <= own.floors[1]);
            assert!(!own.words.figure.is_empty(), "{metric:?}");
        }
        let names: std::collections::BTreeSet<_> = Metric::ALL.map(Metric::name).into();
        assert_eq!(names.len(), Metric::COUNT);
        let tail = |metric: Metric| metric.traits().requests * (1.0 - metric.quantile().unwrap());
        for metric in [Metric::P90, Metric::P99, Metric::P999, Metric::FirstByteP99] {
            assert!(tail(metric) > 4.99, "{metric:?}");
        }
    }

    #[test]
    fn scales_say_what_people_say_and_come_back() {
        let ln = f64::ln;
        for (metric, change, scale) in [
            (Metric::P99, 0.1, ln(1.1)),
            (Metric::P99, -0.5, ln(0.5)),
            (Metric::Goodput, 0.02, -ln(0.98)),
            (Metric::Goodput, -0.25, -ln(1.25)),
            (Metric::Size, 1.0, ln(2.0)),
            (Metric::ErrorRate, 0.001, 0.001),
        ] {
            let found = metric.to_scale(change);
            assert!((found - scale).abs() < 1e-12, "{metric:?}: {found}");
            assert!((metric.from_scale(found) - change).abs() < 1e-12);
        }
        for wild in [1e9, -1e9] {
            assert!(Metric::P50.from_scale(wild).is_finite());
            assert!(Metric::Goodput.from_scale(wild).is_finite());
        }
        // A bound that does not exist stays away.
        assert_eq!(Metric::P50.from_scale(f64::NEG_INFINITY), f64::NEG_INFINITY);
    }
}
