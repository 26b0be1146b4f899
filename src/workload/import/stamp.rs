//! Stamps and durations in all the ways in which logs and tables write them.

use jiff::{Timestamp, civil, fmt::strtime, tz::Offset, tz::TimeZone};

use super::gather::sound_ns;
use crate::units::{SECOND_NS, from_seconds, seconds};

/// How a stamp is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clock {
    /// RFC 3339, `25/Nov/2026:02:20:00 +0000`, or a number since 1970 whose size tells its unit.
    Auto,
    /// A number since 1970, in units of so many nanoseconds.
    Since1970(u64),
    /// A pattern of strftime; several of one line are read together.
    Pattern(String),
    /// Nothing but the part below a second, in units of so many nanoseconds.
    Fraction(u64),
}

/// One instant as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// In nanoseconds since 1970.
    pub(super) ns: u64,
    /// Nothing is known below the second.
    pub(super) is_whole: bool,
    /// It named no zone and was taken as UTC.
    pub(super) is_zoneless: bool,
}

/// The parts of a stamp, which may stand apart in a line.
#[derive(Debug, Default)]
pub(super) struct Parts {
    whole: Option<Instant>,
    fraction_ns: Option<u64>,
    pattern: String,
    text: String,
}

impl Parts {
    /// Takes one part; false when it cannot be read.
    pub(super) fn add(&mut self, clock: &Clock, text: &str) -> bool {
        match clock {
            Clock::Auto => self.whole = any(text),
            Clock::Since1970(unit) => self.whole = since_1970(text, Some(*unit)),
            Clock::Fraction(unit) => {
                let parts = text.parse::<u64>().ok();
                self.fraction_ns = parts
                    .and_then(|parts| parts.checked_mul(*unit))
                    .filter(|ns| *ns < SECOND_NS);
                return self.fraction_ns.is_some();
            }
            Clock::Pattern(pattern) => {
                // A character that neither side holds keeps the parts apart.
                for (all, part) in [
                    (&mut self.pattern, pattern.as_str()),
                    (&mut self.text, text),
                ] {
                    all.push_str(part);
                    all.push('\u{1f}');
                }
                return true;
            }
        }
        self.whole.is_some()
    }

    /// The instant of all parts together; `None` when there is none that can be read.
    pub(super) fn instant(&self) -> Option<Instant> {
        let mut instant = match self.whole {
            Some(whole) => whole,
            None => patterned(&self.pattern, &self.text)?,
        };
        if let Some(fraction_ns) = self.fraction_ns {
            instant.ns = instant.ns / SECOND_NS * SECOND_NS + fraction_ns;
            instant.is_whole = false;
        }
        Some(instant)
    }

    /// Whether a part was there at all.
    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_none() && self.pattern.is_empty()
    }
}

fn any(text: &str) -> Option<Instant> {
    let text = text.trim().trim_start_matches('[').trim_end_matches(']');
    if text.as_bytes().get(2) == Some(&b'/') {
        return common_log(text);
    }
    if text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return since_1970(text, None);
    }
    iso(text)
}

/// `25/Nov/2026:02:20:00 +0000`, also with a fraction or without a zone.
fn common_log(text: &str) -> Option<Instant> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (date, zone) = match text.split_once(' ') {
        Some((date, zone)) => (date, Some(offset(zone)?)),
        None => (text, None),
    };
    let (date, fraction) = match date.split_once(['.', ',']) {
        Some((date, digits)) => (date, Some(fraction_ns(digits)?)),
        None => (date, None),
    };
    let name = date.get(3..6)?;
    let month = MONTHS.find(name).filter(|at| at % 3 == 0)? / 3 + 1;
    let number = |from: usize, to: usize| {
        let digits = date.get(from..to)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i16>().ok().filter(|_| is_number)
    };
    let small = |from, to| i8::try_from(number(from, to)?).ok();
    if date.len() != 20 {
        return None;
    }
    let day = civil::Date::new(number(7, 11)?, i8::try_from(month).ok()?, small(0, 2)?).ok()?;
    let fraction_ns = fraction.unwrap_or(0);
    let below = i32::try_from(fraction_ns).ok()?;
    // A leap second belongs to the second before it.
    let second = small(18, 20)?.min(59);
    let time = civil::Time::new(small(12, 14)?, small(15, 17)?, second, below).ok()?;
    let zone_of = zone.unwrap_or(Offset::UTC);
    let instant = zone_of.to_timestamp(day.to_datetime(time)).ok()?;
    Some(Instant {
        ns: sound_ns(instant)?,
        is_whole: fraction.is_none(),
        is_zoneless: zone.is_none(),
    })
}

/// `+0130` or `-08:00`.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    Offset::from_seconds(sign * (number / 100 * 3_600 + number % 100 * 60)).ok()
}

/// Up to nine digits behind the point, in nanoseconds.
fn fraction_ns(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let nine = format!("{digits:0<9}");
    nine.get(..9)?.parse().ok().filter(|_| is_number)
}

fn iso(text: &str) -> Option<Instant> {
    let text = text.replace(',', ".");
    let is_whole = !text.contains('.');
    let (instant, is_zoneless) = if let Ok(instant) = text.parse::<Timestamp>() {
        (instant, false)
    } else {
        let local = text.parse::<civil::DateTime>().ok()?;
        (TimeZone::UTC.to_timestamp(local).ok()?, true)
    };
    Some(Instant {
        ns: sound_ns(instant)?,
        is_whole,
        is_zoneless,
    })
}

/// A number since 1970 in units of nanoseconds; without one, the size of the number tells it.
fn since_1970(text: &str, unit: Option<u64>) -> Option<Instant> {
    let (whole, digits) = match text.split_once('.') {
        Some((whole, digits)) => (whole, Some(digits)),
        None => (text, None),
    };
    let whole: u64 = whole.parse().ok()?;
    let unit = unit.unwrap_or(match whole {
        0..100_000_000_000 => SECOND_NS,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    });
    let below = match digits {
        Some(digits) => fraction_ns(digits)? / (SECOND_NS / unit),
        None => 0,
    };
    let ns = whole.checked_mul(unit)?.checked_add(below)?;
    let instant = Timestamp::from_nanosecond(i128::from(ns)).ok()?;
    Some(Instant {
        ns: sound_ns(instant)?,
        is_whole: unit == SECOND_NS && digits.is_none(),
        is_zoneless: false,
    })
}

fn patterned(pattern: &str, text: &str) -> Option<Instant> {
    let time = strtime::parse(pattern, text).ok()?;
    let (instant, is_zoneless) = if let Ok(instant) = time.to_timestamp() {
        (instant, false)
    } else {
        let local = time.to_datetime().ok()?;
        (TimeZone::UTC.to_timestamp(local).ok()?, true)
    };
    Some(Instant {
        ns: sound_ns(instant)?,
        is_whole: !pattern.contains("%f") && !pattern.contains("%N"),
        is_zoneless,
    })
}

/// A duration as a number in units of nanoseconds, or with its own unit as in `1.5ms`; `None`
/// when it is no number, `Some(None)` for the marks that stand for none.
#[expect(
    clippy::option_option,
    reason = "unreadable and absent are different things here"
)]
pub(super) fn duration_ns(text: &str, unit_ns: u64) -> Option<Option<u64>> {
    let text = text.trim();
    if matches!(text, "" | "-" | "-1") {
        return Some(None);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let unit_ns = match suffix {
        "" => unit_ns,
        "s" => SECOND_NS,
        "ms" => 1_000_000,
        "us" | "µs" | "μs" => 1_000,
        "ns" => 1,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    let duration = number * seconds(unit_ns);
    // What takes longer than a day is no answer.
    Some((duration <= 86_400.0).then(|| from_seconds(duration)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: u64 = 1_795_573_200;

    fn read(clock: &Clock, text: &str) -> Option<(u64, bool, bool)> {
        let mut parts = Parts::default();
        parts.add(clock, text);
        let instant = parts.instant()?;
        let since = instant.ns - BEGIN * SECOND_NS;
        Some((since, instant.is_whole, instant.is_zoneless))
    }

    #[test]
    fn stamps_are_read_as_they_are_written() {
        for (text, since, is_whole, is_zoneless) in [
            ("25/Nov/2026:02:20:00 +0000", 0, true, false),
            ("[25/Nov/2026:03:50:00 +0130]", 0, true, false),
            ("24/Nov/2026:18:20:00.125 -0800", 125_000_000, false, false),
            ("25/Nov/2026:02:20:00.007", 7_000_000, false, true),
            ("2026-11-25T02:20:00+00:00", 0, true, false),
            ("2026-11-25T02:20:00.5Z", 500_000_000, false, false),
            ("2026-11-25 02:20:00,25", 250_000_000, false, true),
            ("1795573200", 0, true, false),
            ("1795573200.250", 250_000_000, false, false),
            ("1795573200250", 250_000_000, false, false),
            ("1795573200250000", 250_000_000, false, false),
            ("1795573200250000001", 250_000_001, false, false),
        ] {
            let read = read(&Clock::Auto, text);
            assert_eq!(read, Some((since, is_whole, is_zoneless)), "{text}");
        }
        for text in [
            "",
            "-",
            "yesterday",
            "31/Feb/2026:02:20:00 +0000",
            "25/Nov/2026:02:20:00 +00",
            "25/nov/2026:02:20:00 +0000",
            "25/Nov/2026:2:20:00 +0000",
            "25/éov/2026:02:20:00 +0000",
            "25/Nov/0001:02:20:00 +0000",
            "99999999999999999999",
            "1.2.3",
            "0",
        ] {
            assert_eq!(read(&Clock::Auto, text), None, "{text}");
        }
    }

    #[test]
    fn stamps_may_stand_in_parts() {
        let mut parts = Parts::default();
        assert!(parts.is_empty());
        for (clock, text) in [
            (
                Clock::Pattern("%Y-%m-%dT%H:%M:%S".into()),
                "2026-11-25T03:20:00",
            ),
            (Clock::Fraction(1_000), "000125"),
            (Clock::Pattern("%z".into()), "+0100"),
        ] {
            assert!(parts.add(&clock, text));
        }
        let instant = parts.instant().unwrap();
        assert_eq!(instant.ns, BEGIN * SECOND_NS + 125_000);
        assert!(!instant.is_whole && !instant.is_zoneless);
        let clock = Clock::Pattern("%H:%M".into());
        assert_eq!(read(&clock, "02:20"), None);
    }

    #[test]
    fn durations_have_a_unit_of_their_own_or_that_of_the_format() {
        for (text, unit, expected) in [
            ("0.005", SECOND_NS, Some(Some(5_000_000))),
            ("1500", 1_000, Some(Some(1_500_000))),
            ("1.5ms", SECOND_NS, Some(Some(1_500_000))),
            ("250µs", SECOND_NS, Some(Some(250_000))),
            ("-", SECOND_NS, Some(None)),
            ("-1", SECOND_NS, Some(None)),
            ("1e9", SECOND_NS, None),
            ("-5", SECOND_NS, None),
            ("9999999", SECOND_NS, Some(None)),
            ("NaN", SECOND_NS, None),
        ] {
            assert_eq!(duration_ns(text, unit), expected, "{text}");
        }
    }
}
