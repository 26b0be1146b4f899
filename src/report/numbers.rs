//! Numbers as people read them: times, percentages, counts, each with its unit.

use std::fmt::Display;

use crate::units::{count, seconds};

/// Relative changes above this are said in times.
const TIMES_FROM: f64 = 10.0;
/// More times than these are beyond all use.
const TIMES_MOST: f64 = 999_999.0;

/// A relative change above 1,000 % as a factor: a thing that takes 12 times as long has a change
/// of 11. Cut off where digits say nothing any more.
pub(super) fn many_times(change: f64) -> Option<String> {
    (change > TIMES_FROM && change.is_finite()).then(|| {
        if change > TIMES_MOST {
            return format!(">{}", rounded(TIMES_MOST));
        }
        rounded(change + 1.0)
    })
}

/// Two sizes as a range, their unit said once where it is the same: `310 to 340 ms`.
pub(super) fn range(from: &str, to: &str) -> String {
    let unit = |text: &str| text.split_once(' ').map(|(_, unit)| unit.to_owned());
    match (from.split_once(' '), unit(to)) {
        (Some((number, own)), Some(other)) if own == other => format!("{number} to {to}"),
        _ => format!("{from} to {to}"),
    }
}

/// A size in bytes as people say it: `812 B`, `12.3 kB`, `1.23 MB`.
pub(super) fn bytes(size: f64) -> String {
    let (value, unit) = match size {
        size if size < 999.5 => return format!("{} B", rounded(size)),
        size if size < 999_500.0 => (size / 1e3, "kB"),
        size if size < 999_500_000.0 => (size / 1e6, "MB"),
        size => (size / 1e9, "GB"),
    };
    three_digits(value, unit)
}

/// A ratio in hundredths with its sign and without its unit, or a factor such as `×12`.
pub(super) fn bare(value: f64) -> String {
    if let Some(times) = many_times(value) {
        return format!("×{times}");
    }
    let text = hundredths(value.abs());
    match (
        text.trim_matches(['0', '.']).is_empty(),
        text.strip_prefix('>'),
    ) {
        (true, _) => "0".to_owned(),
        (false, Some(most)) if value > 0.0 => format!(">+{most}"),
        (false, Some(most)) => format!("<−{most}"),
        (false, None) if value < 0.0 => format!("−{text}"),
        (false, None) => format!("+{text}"),
    }
}

/// A ratio in hundredths without superfluous zeros.
pub(super) fn scaled(ratio: f64) -> String {
    let text = hundredths(ratio);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A ratio in hundredths, to about three digits; what is beyond all use is cut off.
fn hundredths(ratio: f64) -> String {
    let percent = ratio * 100.0;
    if percent.is_nan() {
        return "?".to_owned();
    }
    if percent.is_infinite() {
        return if percent > 0.0 { "∞" } else { "−∞" }.to_owned();
    }
    let decimals = match percent.abs() {
        p if p >= 99_999.5 => return ">99,999".to_owned(),
        p if p >= 99.95 => 0,
        p if p >= 0.995 => 1,
        _ => 2,
    };
    grouped(&format!("{percent:.decimals$}"))
}

/// A time in nanoseconds as people say it: `812 µs`, `12.3 ms`, `1.23 s`.
pub fn duration(ns: f64) -> String {
    if !ns.is_finite() {
        return "∞".to_owned();
    }
    // The limits are where three digits would round up into the next unit.
    let (value, unit) = match ns {
        ns if ns < 999.5 => return format!("{} ns", rounded(ns)),
        ns if ns < 999_500.0 => (ns / 1e3, "µs"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    three_digits(value, unit)
}

fn three_digits(value: f64, unit: &str) -> String {
    let decimals = match value {
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    };
    format!("{} {unit}", grouped(&format!("{value:.decimals$}")))
}

/// A stored time in nanoseconds as people say it; a dash where there is none.
pub fn time_cell(ns: Option<u64>) -> String {
    ns.map_or("–".to_owned(), |ns| duration(count(ns)))
}

/// How long something took, in seconds, minutes and hours: `58.2 s`, `4 min 56 s`.
pub fn elapsed(ns: u64) -> String {
    let tenths = seconds(ns);
    if tenths < 59.95 {
        return format!("{tenths:.1} s");
    }
    let whole = (ns + 500_000_000) / 1_000_000_000;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, minutes, rest) => format!("{minutes} min {rest} s"),
        (hours, minutes, _) => format!("{} h {minutes} min", whole_number(hours)),
    }
}

/// A count with its thousands apart: `12,345`.
pub fn whole_number(n: u64) -> String {
    grouped(&n.to_string())
}

/// A share in `[0, 1]` as a percentage.
pub fn share(value: f64) -> String {
    format!("{} %", scaled(value))
}

/// `1 round`, `12 rounds`.
pub fn plural(n: impl Display + Copy, noun: &str) -> String {
    let n = n.to_string();
    let ending = if n == "1" { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(&n))
}

/// A value to so many significant digits; a zero has no sign.
pub(super) fn significant(value: f64, digits: usize) -> f64 {
    let places = digits.saturating_sub(1);
    let rounded = format!("{value:.places$e}").parse().unwrap_or(value);
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// A float as a whole number.
pub(super) fn rounded(value: f64) -> String {
    grouped(&format!("{value:.0}"))
}

fn grouped(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("−", digits),
        None => ("", number),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (digits, String::new()),
    };
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_the_unit_people_say() {
        for (ns, said) in [
            (0.0, "0 ns"),
            (850.0, "850 ns"),
            (999.6, "1.00 µs"),
            (12_340.0, "12.3 µs"),
            (812_000.0, "812 µs"),
            (999_600.0, "1.00 ms"),
            (9_996_000.0, "10.0 ms"),
            (99_960_000.0, "100 ms"),
            (1_234_000_000.0, "1.23 s"),
            (3_600e9, "3,600 s"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(duration(ns), said);
        }
        for (ns, said) in [
            (0, "0.0 s"),
            (58_200_000_000, "58.2 s"),
            (59_960_000_000, "1 min 0 s"),
            (296_000_000_000, "4 min 56 s"),
            (7_260_000_000_000, "2 h 1 min"),
        ] {
            assert_eq!(elapsed(ns), said);
        }
    }

    #[test]
    fn ratios_are_percent_and_errors_are_points() {
        for (ratio, shown, signed) in [
            (0.1, "10", "+10.0"),
            (0.228, "22.8", "+22.8"),
            (0.0048, "0.48", "+0.48"),
            (0.0, "0", "0"),
            (-0.000_001, "−0", "0"),
            (1.5, "150", "+150"),
            (10.0, "1,000", "+1,000"),
            (12.347, "1,235", "×13"),
            (1e7, ">99,999", "×>999,999"),
            (f64::INFINITY, "∞", "+∞"),
        ] {
            if ratio >= 0.0 {
                assert_eq!(scaled(ratio), shown);
            }
            assert_eq!(bare(ratio), signed);
        }
        assert_eq!(bare(-0.05), "−5.0");
        assert_eq!(whole_number(1_234_567), "1,234,567");
        for (from, to, said) in [
            ("310 ms", "340 ms", "310 to 340 ms"),
            ("950 µs", "1.20 ms", "950 µs to 1.20 ms"),
            ("4 %", "13 times", "4 % to 13 times"),
        ] {
            assert_eq!(range(from, to), said);
        }
        let sizes = [0.0, 64.4, 999.6, 12_340.0, 5e8, 2e9].map(bytes);
        assert_eq!(
            sizes,
            ["0 B", "64 B", "1.00 kB", "12.3 kB", "500 MB", "2.00 GB"]
        );
        let digits = [
            (0.123_456, 3),
            (14_022_000.000_000_004, 7),
            (-0.0, 3),
            (1.0 / 3.0, 1),
        ];
        let digits = digits.map(|(value, digits)| significant(value, digits).to_string());
        assert_eq!(digits, ["0.123", "14022000", "0", "0.3"]);
        assert!(significant(f64::NAN, 3).is_nan());
        assert_eq!(plural(1, "round"), "1 round");
        assert_eq!(plural(1_000, "round"), "1,000 rounds");
    }
}
