//! Quantities with their units, parsed once at the edge: rates, durations, ratios.
//!
//! Everything behind the edge counts in integer nanoseconds or in plain ratios; a number
//! without its unit is refused here, so that no later code has to guess.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Nanoseconds in one second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Why a quantity could not be read; the message names the text and shows the syntax.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseError {
    text: String,
    expected: &'static str,
}

impl ParseError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

/// Requests per second, finite and above zero, at most ten million.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(f64);

impl Rate {
    /// The rate as requests per second.
    pub fn per_second(self) -> f64 {
        self.0
    }
}

const RATE_SYNTAX: &str = "a rate; write a number and a unit, such as 200/s, 50/1s or 600/m";

impl FromStr for Rate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::new(text, RATE_SYNTAX);
        let (count, unit) = text.split_once('/').ok_or_else(refuse)?;
        let count: f64 = count.trim().parse().map_err(|_| refuse())?;
        let unit = unit.trim();
        let unit = if unit.starts_with(|c: char| c.is_ascii_digit()) {
            unit.to_owned()
        } else {
            format!("1{unit}")
        };
        let seconds = humantime::parse_duration(&unit)
            .map_err(|_| refuse())?
            .as_secs_f64();
        let rate = count / seconds;
        if rate.is_finite() && rate > 0.0 && rate <= 1e7 {
            Ok(Self(rate))
        } else {
            Err(refuse())
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// A share above nothing and up to all: `10%`, `0.5%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// Of the numbers of 64 bits, the one below which this share of them lies.
    pub fn of_lots(self) -> u64 {
        // Saturates at the largest number: what is all but nothing is all.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the largest number"
        )]
        let lots = (self.0 * count(u64::MAX)) as u64;
        lots
    }
}

impl FromStr for Share {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const SYNTAX: &str = "a share; write it in percent, such as 10% or 0.5%";
        let percent = text
            .strip_suffix('%')
            .and_then(|number| number.trim().parse().ok());
        match percent.map(|percent: f64| percent / 100.0) {
            Some(share) if share > 0.0 && share <= 1.0 => Ok(Self(share)),
            _ => Err(ParseError::new(text, SYNTAX)),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", 100.0 * self.0)
    }
}

/// A number of bytes as people write it: `10MiB`, `2GiB`, `500kB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

impl Size {
    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const SYNTAX: &str = "a size; write a whole number and a unit, such as 10MiB or 2GiB";
        let refuse = || ParseError::new(text, SYNTAX);
        let end = text.find(|c: char| !c.is_ascii_digit());
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let number: u64 = number.parse().map_err(|_| refuse())?;
        let unit = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(refuse()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(refuse)
    }
}

/// A span of time as people write it: `30s`, `500ms`, `1m30s`; at most one week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

impl Span {
    /// A span of so many whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of so many nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self(Duration::from_nanos(ns))
    }

    /// The span as a standard duration.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The span in nanoseconds.
    pub fn ns(self) -> u64 {
        duration_ns(self.0)
    }
}

impl FromStr for Span {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const SYNTAX: &str = "a duration; write a number and a unit, such as 30s, 500ms or 1m30s";
        let week = Duration::from_secs(7 * 24 * 3600);
        match humantime::parse_duration(text) {
            Ok(span) if span <= week => Ok(Self(span)),
            _ => Err(ParseError::new(text, SYNTAX)),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = humantime::format_duration(self.0).to_string();
        f.write_str(&text.replace(' ', ""))
    }
}

/// A factor on recorded time: `2x` replays twice as fast. Between 0.001 and 1000.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Speed(f64);

impl Speed {
    /// Replay as fast as recorded.
    pub const ONE: Self = Self(1.0);

    /// The factor itself.
    pub fn factor(self) -> f64 {
        self.0
    }
}

impl FromStr for Speed {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let number = text.strip_suffix('x').unwrap_or(text);
        match number.parse::<f64>() {
            Ok(factor) if (0.001..=1000.0).contains(&factor) => Ok(Self(factor)),
            _ => Err(ParseError::new(
                text,
                "a speed between 0.001x and 1000x, such as 2x",
            )),
        }
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x", self.0)
    }
}

macro_rules! string_form {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ParseError;
            fn try_from(text: String) -> Result<Self, ParseError> { text.parse() }
        }
        impl From<$name> for String {
            fn from(value: $name) -> Self { value.to_string() }
        }
    )*};
}
string_form!(Rate, Span, Speed);

/// A duration in whole nanoseconds; saturates after 584 years.
pub fn duration_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "53 bits hold 104 days of nanoseconds exactly"
)]
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Seconds as whole nanoseconds; below zero and not-a-number become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped; as saturates"
)]
pub fn from_seconds(seconds: f64) -> u64 {
    (seconds * 1e9).max(0.0).round() as u64
}

/// The whole part of a float as a count; below zero and not-a-number become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped; as saturates"
)]
pub fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// A count as a float, for arithmetic on ratios.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_may_have_a_unit() {
        for (text, bytes) in [
            ("7", Some(7)),
            ("10MiB", Some(10 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("500kB", Some(500_000)),
            ("1.5GiB", None),
            ("-1", None),
            ("10mib", None),
            ("99999999999999GiB", None),
            ("", None),
        ] {
            let size = text.parse::<Size>().ok();
            assert_eq!(size.map(Size::bytes), bytes, "{text}");
        }
    }

    #[test]
    fn rates_need_a_number_and_a_unit() {
        for (text, per_second) in [
            ("200/s", 200.0),
            ("50/1s", 50.0),
            ("600/m", 10.0),
            ("0.5/s", 0.5),
            ("10/100ms", 100.0),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert!((rate.per_second() - per_second).abs() < 1e-9, "{text}");
        }
        for text in [
            "1O0/s", "200", "/s", "200/", "-1/s", "0/s", "NaN/s", "inf/s", "1/0s", "1e9/s",
        ] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("200/s"), "{error}");
        }
    }

    #[test]
    fn spans_and_speeds_round_trip() {
        for text in ["30s", "500ms", "1m30s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["30", "-1s", "1y", "", "s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        assert_eq!("2x".parse::<Speed>().unwrap().to_string(), "2x");
        for text in ["0x", "NaN", "-1x", "1e9x", ""] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
