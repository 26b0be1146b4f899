//! Every histogram of a run as an interval log that HdrHistogram readers open.
//!
//! One line for each slot, endpoint and kind of time: `Tag=SIDE.KIND.ENDPOINT`, stamps in seconds
//! after the base time, values in nanoseconds, the column of the maximum in milliseconds as other
//! writers have it. Left out is what the totals leave out: the round that warms up, and slots
//! whose schedule was not carried out.

use std::fmt::Write;

use crate::histogram::Histogram;
use crate::run::{EndpointStats, Run, Slot};
use crate::units::{count, seconds};

const LEGEND: &str = concat!(
    "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",",
    "\"Interval_Compressed_Histogram\"\n"
);

/// The log of a run.
pub fn hlog(run: &Run) -> String {
    let header = &run.header;
    let word = |text: &str| encoded(text);
    let mut text = format!(
        "#[Histogram log format version 1.3]\n\
         #[proofload {}, run {}; nanoseconds; tags are SIDE.KIND.ENDPOINT, percent-encoded]\n",
        word(&header.version),
        word(&header.run_id)
    );
    if let Ok(at) = header.started_at.parse::<jiff::Timestamp>() {
        let s = format!("{}.{:03}", at.as_second(), at.subsec_millisecond());
        let lines = format!(
            "#[BaseTime: {s} (seconds since epoch)]\n\
             #[StartTime: {s} (seconds since epoch), {at}]\n"
        );
        text.push_str(&lines);
    }
    text.push_str(LEGEND);
    let measured = |slot: &&Slot| slot.round > 0 && slot.complete;
    for slot in run.slots.iter().filter(measured) {
        for (endpoint, stats) in &slot.endpoints {
            for (kind, histogram) in kinds(stats) {
                interval(&mut text, slot, &encoded(endpoint), (kind, histogram));
            }
        }
    }
    text
}

/// What a slot knows of an endpoint, by the names of the run file.
fn kinds(stats: &EndpointStats) -> [(&'static str, &Histogram); 4] {
    [
        ("response", &stats.response),
        ("service", &stats.service),
        ("first_byte", &stats.first_byte),
        ("failed", &stats.failed),
    ]
}

fn interval(text: &mut String, slot: &Slot, endpoint: &str, (kind, histogram): (&str, &Histogram)) {
    if histogram.count() == 0 {
        return;
    }
    let side = slot.side.name();
    let (start, length) = (seconds(slot.start_ns), seconds(slot.length_ns));
    let most_ms = count(histogram.max_ns()) / 1e6;
    let encoded = histogram.encode();
    let line = writeln!(
        text,
        "Tag={side}.{kind}.{endpoint},{start:.3},{length:.3},{most_ms:.3},{encoded}"
    );
    line.expect("writing to memory");
}

/// Text without any character that a tag may not hold; it can be decoded again.
fn encoded(text: &str) -> String {
    let mut shown = String::new();
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.~/{}:".contains(&byte);
        if plain {
            shown.push(char::from(byte));
        } else {
            write!(shown, "%{byte:02X}").expect("writing to memory");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::run::{ConnectionStats, Health, RunHeader, Side, VERSION, WorkloadRecord};

    fn run(started_at: &str) -> Run {
        let slot = |round, side, complete| {
            let mut stats = EndpointStats::default();
            for ms in 1..=20 {
                stats.response.record(ms * 1_000_000);
                stats.service.record(ms * 900_000);
            }
            stats.failed.record(30_000_000_000);
            Slot {
                round,
                position: 0,
                side,
                start_ns: u64::from(round) * 4_250_000_000,
                length_ns: 4_000_000_000,
                settle_ns: 0,
                medians_ns: Vec::new(),
                complete,
                endpoints: BTreeMap::from([("GET /a b,c\n%é".to_owned(), stats)]),
                connections: ConnectionStats::default(),
                health: Health::default(),
                resources: None,
            }
        };
        Run {
            header: RunHeader {
                proofload_run: VERSION,
                version: "0.1.0".to_owned(),
                run_id: "19a\n#[x]".to_owned(),
                started_at: started_at.to_owned(),
                seed: 1,
                targets: BTreeMap::new(),
                workload: WorkloadRecord::default(),
                plan: serde_json::Value::Null,
                config: serde_json::Value::Null,
            },
            slots: vec![
                slot(0, Side::Baseline, true),
                slot(1, Side::Baseline, true),
                slot(1, Side::Candidate, true),
                slot(2, Side::Candidate, false),
            ],
            footer: None,
            damage: None,
        }
    }

    #[test]
    fn it_looks_as_agreed() {
        insta::assert_snapshot!(hlog(&run("2026-03-01T12:00:00Z")));
    }

    #[test]
    fn each_line_has_four_fields_and_its_histogram() {
        let run = run("yesterday");
        let text = hlog(&run);
        assert!(!text.contains("Time:"), "{text}");
        let rows: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("Tag"))
            .collect();
        assert_eq!(rows.len(), 2 * 3, "{text}");
        for row in rows {
            let fields: Vec<_> = row.split(',').collect();
            let [tag, "4.250", "4.000", _, encoded] = fields[..] else {
                panic!("{row}");
            };
            assert!(!tag.contains(' '), "{tag}");
            let found = Histogram::decode(encoded).unwrap();
            let wanted = usize::from(tag.contains(".failed."));
            assert_eq!(found.count(), [20, 1][wanted], "{tag}");
        }
        assert_eq!(encoded("GET /a b,c\n%é"), "GET%20/a%20b%2Cc%0A%25%C3%A9");
    }
}
