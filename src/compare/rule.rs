//! What a user writes: margins such as `p99=10%` and limits such as `p99<300ms`, each for all
//! endpoints or for one. Reading and writing only; `margin` and `gate` say what they mean.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Metric, metric::Unit};

/// A rule names no margin beyond this.
const LARGEST: f64 = 10.0;
/// Amounts beyond this many bytes are mistyped.
const LARGEST_BYTES: f64 = 1e15;

/// Why a rule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rule: {cause}; write [ENDPOINT:]METRIC=REL[,ABS], such as p99=10% or p99=5ms, \
     or a limit such as 'p99<300ms'"
)]
pub struct RuleError {
    text: String,
    cause: String,
}

/// `[ENDPOINT:]METRIC=REL[,ABS]`, or an absolute amount alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarginRule {
    pub(super) text: String,
    pub(super) endpoint: Option<String>,
    pub(super) metric: Metric,
    /// Relative change or difference of rates; 0 where the rule is an amount alone.
    pub(super) relative: f64,
    /// In the unit of the metric.
    pub(super) floor: Option<f64>,
}

/// `[ENDPOINT:]METRIC<AMOUNT`: an objective that the candidate must meet whatever the baseline
/// does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LimitRule {
    pub(super) text: String,
    pub(super) endpoint: Option<String>,
    pub(super) metric: Metric,
    /// In the unit of the metric, above 0.
    pub(super) limit: f64,
}

/// What `--tolerance` takes: a margin or a limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ToleranceRule {
    /// Against the baseline.
    Margin(MarginRule),
    /// Against a fixed amount.
    Limit(LimitRule),
}

/// A rule taken apart at its sign.
struct Parts<'a> {
    endpoint: Option<String>,
    metric: Metric,
    right: &'a str,
}

fn parts(text: &str, sign: char) -> Result<Parts<'_>, String> {
    let (left, right) = text
        .rsplit_once(sign)
        .ok_or_else(|| format!("there is no `{sign}`"))?;
    let (endpoint, metric) = match left.rsplit_once(':') {
        Some((endpoint, metric)) => (Some(endpoint.trim().to_owned()), metric),
        None => (None, left),
    };
    Ok(Parts {
        endpoint,
        metric: metric.trim().parse()?,
        right: right.trim(),
    })
}

fn number(text: &str) -> Result<f64, String> {
    let parsed = text.trim().parse::<f64>();
    let number = parsed.map_err(|_| format!("`{text}` is no number"))?;
    (number.is_finite() && number >= 0.0)
        .then_some(number)
        .ok_or_else(|| format!("`{text}` is no size"))
}

/// A share written as `10%` or, for error rates, `0.1pp`.
fn percent(text: &str, metric: Metric) -> Result<f64, String> {
    let points = text.strip_suffix("pp");
    let points = points.filter(|_| metric == Metric::ErrorRate);
    let digits = points.or_else(|| text.strip_suffix('%')).ok_or_else(|| {
        let units = match metric {
            Metric::ErrorRate => "pp or %",
            _ => "%",
        };
        format!("the size `{text}` has no unit {units}")
    })?;
    let share = number(digits)? / 100.0;
    let most = match metric {
        // Nobody can lose more than all.
        Metric::Goodput => 0.99,
        _ => LARGEST,
    };
    (share <= most)
        .then_some(share)
        .ok_or_else(|| format!("the size must lie between 0 and {:.0} %", 100.0 * most))
}

/// An amount in the unit of its metric: `5ms`, `64B`, `1.5kB`, or a share.
fn amount(text: &str, metric: Metric) -> Result<f64, String> {
    match metric.traits().unit {
        Unit::Share => percent(text, metric),
        Unit::Time => humantime::parse_duration(text)
            .map(|span| span.as_secs_f64() * 1e9)
            .map_err(|_| format!("`{text}` is no duration such as 150us")),
        Unit::Bytes => {
            let split = text.trim_end_matches(char::is_alphabetic).len();
            let (digits, unit) = text.split_at(split);
            let scale = match unit {
                "B" => 1.0,
                "kB" => 1e3,
                "MB" => 1e6,
                "GB" => 1e9,
                _ => {
                    return Err(format!(
                        "`{text}` is no size such as 64B, 10kB, 512MB or 2GB"
                    ));
                }
            };
            let bytes = number(digits)? * scale;
            (bytes <= LARGEST_BYTES)
                .then_some(bytes)
                .ok_or_else(|| format!("`{text}` is too large"))
        }
    }
}

/// The relative part and the amount, of which one may be missing.
fn margin(right: &str, metric: Metric) -> Result<(f64, Option<f64>), String> {
    if metric.traits().unit == Unit::Share {
        return if right.contains(',') {
            Err(format!("{} take one size", metric.name()))
        } else {
            Ok((percent(right, metric)?, None))
        };
    }
    match right.split_once(',') {
        Some((relative, floor)) => Ok((
            percent(relative.trim(), metric)?,
            Some(amount(floor.trim(), metric)?),
        )),
        None if right.ends_with('%') => Ok((percent(right, metric)?, None)),
        None if right.ends_with(char::is_alphabetic) => Ok((0.0, Some(amount(right, metric)?))),
        None => Err(format!("the size `{right}` has no unit")),
    }
}

impl FromStr for MarginRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let read = || {
            let parts = parts(text, '=')?;
            let (relative, floor) = margin(parts.right, parts.metric)?;
            Ok(Self {
                text: text.to_owned(),
                endpoint: parts.endpoint,
                metric: parts.metric,
                relative,
                floor,
            })
        };
        read().map_err(|cause| error(text, cause))
    }
}

impl FromStr for LimitRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let read = || {
            let parts = parts(text, '<')?;
            if !parts.metric.is_worse_higher() {
                let name = parts.metric.name();
                return Err(format!(
                    "more {name} is better, so that it has no upper limit"
                ));
            }
            let limit = amount(parts.right, parts.metric)?;
            let whole = parts.metric == Metric::ErrorRate && limit >= 1.0;
            if limit <= 0.0 || whole {
                return Err(format!(
                    "nothing can be told by the limit `{}`",
                    parts.right
                ));
            }
            Ok(Self {
                text: text.to_owned(),
                endpoint: parts.endpoint,
                metric: parts.metric,
                limit,
            })
        };
        read().map_err(|cause| error(text, cause))
    }
}

impl FromStr for ToleranceRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        // An endpoint may hold either sign, so that the last one counts.
        match text.rfind(['=', '<']).map(|at| text.as_bytes()[at]) {
            Some(b'<') => text.parse().map(Self::Limit),
            _ => text.parse().map(Self::Margin),
        }
    }
}

fn error(text: &str, cause: String) -> RuleError {
    RuleError {
        text: text.to_owned(),
        cause,
    }
}

macro_rules! as_text {
    ($($rule:ident: $text:expr;)*) => {$(
        impl TryFrom<String> for $rule {
            type Error = RuleError;

            fn try_from(text: String) -> Result<Self, RuleError> {
                text.parse()
            }
        }

        impl From<$rule> for String {
            fn from(rule: $rule) -> Self {
                let text: fn($rule) -> String = $text;
                text(rule)
            }
        }
    )*};
}

as_text! {
    MarginRule: |rule| rule.text;
    LimitRule: |rule| rule.text;
    ToleranceRule: |rule| match rule {
        ToleranceRule::Margin(rule) => rule.text,
        ToleranceRule::Limit(rule) => rule.text,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_are_relative_absolute_or_both() {
        for (text, endpoint, metric, relative, floor) in [
            ("p99=10%", None, Metric::P99, 0.1, None),
            ("p99=5ms", None, Metric::P99, 0.0, Some(5e6)),
            ("p99=10%,2ms", None, Metric::P99, 0.1, Some(2e6)),
            ("GET /a:b:p50=3%", Some("GET /a:b"), Metric::P50, 0.03, None),
            ("errors=0.5pp", None, Metric::ErrorRate, 0.005, None),
            ("errors=1%", None, Metric::ErrorRate, 0.01, None),
            ("goodput=2%", None, Metric::Goodput, 0.02, None),
            ("size=64B", None, Metric::Size, 0.0, Some(64.0)),
            ("size=5%,1.5kB", None, Metric::Size, 0.05, Some(1_500.0)),
            (
                "workload:ttfb=0%",
                Some("workload"),
                Metric::FirstByte,
                0.0,
                None,
            ),
        ] {
            let rule: MarginRule = text.parse().unwrap();
            assert_eq!(rule.endpoint.as_deref(), endpoint, "{text}");
            assert_eq!((rule.metric, rule.floor), (metric, floor), "{text}");
            assert!((rule.relative - relative).abs() < 1e-12, "{text}");
            assert_eq!(String::from(rule), text);
        }
    }

    #[test]
    fn limits_are_amounts() {
        for (text, endpoint, limit) in [
            ("p99<300ms", None, 3e8),
            ("GET /cart:p50 < 80ms", Some("GET /cart"), 8e7),
            ("GET /a;x=1:p50<80ms", Some("GET /a;x=1"), 8e7),
            ("errors<1%", None, 0.01),
            ("size<100kB", None, 1e5),
        ] {
            let Ok(ToleranceRule::Limit(rule)) = text.parse() else {
                panic!("{text}");
            };
            assert_eq!((rule.endpoint.as_deref(), rule.limit), (endpoint, limit));
            assert_eq!(String::from(rule), text);
        }
        let margin: ToleranceRule = "GET /a<b:p50=3%".parse().unwrap();
        assert!(matches!(margin, ToleranceRule::Margin(_)));
    }

    #[test]
    fn a_bad_rule_names_itself_and_the_syntax() {
        for (text, cause) in [
            ("p99", "no `=`"),
            ("p98=1%", "not a metric"),
            ("p99=10", "no unit"),
            ("p99=x%", "no number"),
            ("p99=-1%", "no size"),
            ("p99=NaN%", "no size"),
            ("p99=1001%", "between 0 and 1000 %"),
            ("p99=1%,x", "no duration"),
            ("p99=5kB", "no duration"),
            ("p99=1pp", "no duration"),
            ("errors=5ms", "no unit pp or %"),
            ("errors=1%,5ms", "one size"),
            ("goodput=100%", "between 0 and 99 %"),
            ("size=5KB", "no size such as"),
            ("goodput<90%", "no upper limit"),
            ("p99<0ms", "nothing can be told"),
            ("errors<100%", "nothing can be told"),
            ("p99<10%", "no duration"),
            ("", "no `=`"),
        ] {
            let error = text.parse::<ToleranceRule>().unwrap_err().to_string();
            assert!(error.contains("METRIC=REL"), "{error}");
            assert!(error.contains(cause), "{text}: {error}");
        }
    }
}
