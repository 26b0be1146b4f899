//! The inspection as a page of text for a terminal. Foreign names are made harmless.

use std::fmt;

use super::{super::EndpointFacts, Inspection};
use crate::{
    text::{printable, printable_cut},
    units::{SECOND_NS, count, seconds},
};

/// How many endpoints are listed.
const ROWS: usize = 20;
/// The widest endpoint that is shown whole, in characters.
const WIDEST: usize = 48;

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = &self.summary;
        let origin = &summary.origin;
        let of = |text: &str| {
            if text.is_empty() {
                "unknown".into()
            } else {
                printable(text)
            }
        };
        writeln!(f, "workload   {}", self.name)?;
        let length = span(summary.duration_ns);
        writeln!(f, "requests   {} in {length}", summary.requests)?;
        let recorded = origin
            .recorded_at
            .as_deref()
            .map_or("unknown".into(), printable);
        let age = self
            .age_ns
            .map_or(String::new(), |ns| format!(", {} ago", span(ns)));
        writeln!(f, "recorded   {recorded}{age}")?;
        let redaction = printable(&origin.redaction);
        writeln!(
            f,
            "source     {}, redaction: {redaction}",
            of(&origin.source)
        )?;
        if let Some(cut) = &summary.cut {
            let cause = printable(cut);
            writeln!(
                f,
                "cut short  the recording ended before the traffic did: {cause}"
            )?;
        }
        self.left_out(f)?;
        writeln!(f, "digest     {}", summary.digest)?;
        let (mean, peak) = (self.mean_rate(), self.peak_rate());
        writeln!(f, "rate       mean {mean:.1}/s, peak {peak:.1}/s")?;
        let (parts, part_ns) = self.parts();
        let part = span(part_ns);
        writeln!(f, "           {}  ({part} each)", sparkline(&parts))?;
        self.gaps(f)?;
        self.sessions(f)?;
        let methods = summary.methods.iter();
        let methods: Vec<String> = methods.map(|(name, n)| format!("{name} {n}")).collect();
        writeln!(f, "methods    {}", methods.join(", "))?;
        if self.bodies > 0 {
            let (total, largest) = (size(self.body_bytes), size(self.largest_body));
            writeln!(
                f,
                "bodies     {}, {total} in all, largest {largest}",
                self.bodies
            )?;
        }
        if let Some(mean) = self.answer_bytes.checked_div(self.answers) {
            let (total, largest) = (size(self.answer_bytes), size(self.largest_answer));
            let mean = size(mean);
            let answers = self.answers;
            writeln!(
                f,
                "answers    {answers} with a size, {total} in all, mean {mean}, largest {largest}"
            )?;
        }
        self.table(f)
    }
}

impl Inspection {
    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = &self.summary.left_out;
        if all.is_empty() {
            return Ok(());
        }
        let row = |(reason, n): (&String, &u64)| format!("{n} × {}", printable_cut(reason, WIDEST));
        let mut rows: Vec<String> = all.iter().take(ROWS).map(row).collect();
        if let Some(more) = all.len().checked_sub(ROWS).filter(|more| *more > 0) {
            rows.push(format!("and for {more} more reasons"));
        }
        let rows = rows.join(", ");
        writeln!(f, "left out   of the recorded traffic: {rows}")
    }

    fn gaps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quantile = |q| self.gaps.quantile_ns(q).map_or("-".into(), milliseconds);
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        let (longest_ns, at_ns) = self.longest_gap;
        let (longest, at) = (span(longest_ns), span(at_ns));
        write!(f, "gaps       p50 {p50}, p99 {p99}, longest {longest}")?;
        if longest_ns > 0 {
            write!(f, ", after {at}")?;
        }
        writeln!(f)
    }

    fn sessions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sessions, half) = (self.sessions, self.median_session);
        let longest = self.longest_session;
        if self.sessions_exact {
            return writeln!(
                f,
                "sessions   {sessions}, half have up to {half} requests, the longest {longest}"
            );
        }
        writeln!(
            f,
            "sessions   about {sessions}, half have up to {half} requests, the longest of those \
             that were followed {longest}"
        )
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<(&String, &EndpointFacts)> = self.endpoints.iter().collect();
        // A stable sort keeps the names in order where the counts are equal.
        rows.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.requests));
        let shown = rows.iter().take(ROWS);
        let names: Vec<String> = shown.map(|(name, _)| printable_cut(name, WIDEST)).collect();
        let width = names.iter().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0).max("endpoint".len());
        writeln!(
            f,
            "\n{:<width$}  {:>9}  {:>6}  {:>9}  {:>9}  statuses",
            "endpoint", "requests", "share", "p50", "p99"
        )?;
        for (name, (_, facts)) in names.iter().zip(&rows) {
            let share = 100.0 * count(facts.requests) / count(self.summary.requests.max(1));
            let of = |q| {
                facts
                    .latency
                    .quantile_ns(q)
                    .map_or("-".into(), milliseconds)
            };
            let (p50, p99) = (of(0.5), of(0.99));
            let statuses = facts.statuses.iter();
            let statuses: Vec<String> = statuses.map(|(s, n)| format!("{s} × {n}")).collect();
            let statuses = if statuses.is_empty() {
                "-".into()
            } else {
                statuses.join(", ")
            };
            let requests = facts.requests;
            writeln!(
                f,
                "{name:<width$}  {requests:>9}  {share:>5.1}%  {p50:>9}  {p99:>9}  {statuses}"
            )?;
        }
        match rows.len().checked_sub(ROWS) {
            Some(more) if more > 0 => writeln!(f, "and {more} more endpoints"),
            _ => Ok(()),
        }
    }
}

/// One block character for each count, the highest for the largest.
fn sparkline(counts: &[u64]) -> String {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = counts.iter().max().copied().unwrap_or(0).max(1);
    let level = |n: u64| usize::try_from((n * 8).div_ceil(most)).unwrap_or(8).min(8);
    counts.iter().map(|n| BLOCKS[level(*n)]).collect()
}

fn milliseconds(ns: f64) -> String {
    let ms = ns / 1e6;
    if ms < 100.0 {
        format!("{ms:.2} ms")
    } else {
        format!("{ms:.0} ms")
    }
}

/// A duration in its two largest units.
fn span(ns: u64) -> String {
    let whole = ns / SECOND_NS;
    match whole {
        0 => milliseconds(count(ns)),
        1..=59 => format!("{:.1} s", seconds(ns)),
        60..=3_599 => format!("{} min {} s", whole / 60, whole % 60),
        3_600..=172_799 => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{} days", whole / 86_400),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..=1_023 => format!("{bytes} B"),
        1_024..=1_048_575 => format!("{:.1} KiB", count(bytes) / 1_024.0),
        _ => format!("{:.1} MiB", count(bytes) / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_for_people() {
        for (ns, shown) in [
            (0, "0.00 ms"),
            (1_500_000, "1.50 ms"),
            (1_500_000_000, "1.5 s"),
            (61 * SECOND_NS, "1 min 1 s"),
            (7_260 * SECOND_NS, "2 h 1 min"),
            (200_000 * SECOND_NS, "2 days"),
        ] {
            assert_eq!(span(ns), shown);
        }
        assert_eq!(sparkline(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(sparkline(&[]), "");
        assert_eq!(size(1_536), "1.5 KiB");
    }
}
