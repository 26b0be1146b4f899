//! The report of `proofload run`: one side measured, nothing judged.
//!
//! The JSON form is a contract: the sums of the conservation law stand at its top level.

use std::collections::BTreeMap;

use serde::Serialize;

use super::table::{Align, Table, wrap};
use super::totals::{Counts, EndpointTotals, Figures, Quantiles, SideConnections, SideHealth};
use super::{Place, SideFidelity, SideResources, Style, Workload, json, words};
use crate::compare::Warning;
use crate::text::printable;
use crate::units::{count, seconds};

/// The name of this form of the JSON object.
pub const RUN_SCHEMA: &str = "proofload.run_report.v1";

/// Everything that is said about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    /// The version of proofload that measured.
    pub version: String,
    /// When the load began, in RFC 3339.
    pub started_at: String,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// What was loaded.
    pub target: Place,
    /// What was sent.
    pub workload: Workload,
    /// How much was sent, such as `constant 200/s`.
    pub rate: String,
    /// The seed of everything drawn by chance.
    pub seed: u64,
    /// Whether the whole schedule was carried out.
    pub complete: bool,
    /// Why the figures cannot be trusted; empty when they can.
    pub causes: Vec<String>,
    /// Slots by what disturbed the generator in them.
    pub health: BTreeMap<String, u32>,
    /// What the reader should know besides.
    pub warnings: Vec<Warning>,
    /// What was measured; slots of one side only.
    pub totals: Figures,
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    counts: Counts,
    complete: bool,
    causes: &'a [String],
    health: &'a BTreeMap<String, u32>,
    classes: BTreeMap<&'a str, u64>,
    ok_per_s: f64,
    version: &'a str,
    started_at: &'a str,
    elapsed_ns: u64,
    target: &'a Place,
    workload: &'a Workload,
    rate: &'a str,
    seed: u64,
    endpoints: BTreeMap<&'a str, Entry<'a>>,
    send_lag_ns: Quantiles,
    generator: Option<&'a SideHealth>,
    connections: Option<&'a SideConnections>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a SideResources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fidelity: Option<&'a SideFidelity>,
    warnings: &'a [Warning],
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    counts: Counts,
    classes: &'a BTreeMap<String, u64>,
    statuses: &'a BTreeMap<u16, u64>,
    response_ns: Quantiles,
    service_ns: Quantiles,
    first_byte_ns: Quantiles,
}

impl RunReport {
    /// The sums over all endpoints.
    pub fn counts(&self) -> Counts {
        let endpoints = self.totals.endpoints.iter();
        endpoints.fold(Counts::default(), |sum, total| sum.plus(total.counts))
    }

    /// Successes per second of measured time.
    fn ok_per_s(&self) -> f64 {
        let measured_ns = self.totals.generator.first().map_or(0, |it| it.measured_ns);
        count(self.counts().ok) / seconds(measured_ns).max(1e-9)
    }

    fn classes(&self) -> BTreeMap<&str, u64> {
        let mut classes = BTreeMap::new();
        for total in &self.totals.endpoints {
            for (class, n) in &total.classes {
                *classes.entry(class.as_str()).or_default() += n;
            }
        }
        classes
    }

    /// One JSON object, indented.
    pub fn json(&self) -> String {
        let generator = self.totals.generator.first();
        let endpoints = self.totals.endpoints.iter();
        json::pretty(&Document {
            schema: RUN_SCHEMA,
            counts: self.counts(),
            complete: self.complete,
            causes: &self.causes,
            health: &self.health,
            classes: self.classes(),
            ok_per_s: self.ok_per_s(),
            version: &self.version,
            started_at: &self.started_at,
            elapsed_ns: self.elapsed_ns,
            target: &self.target,
            workload: &self.workload,
            rate: &self.rate,
            seed: self.seed,
            endpoints: endpoints
                .map(|t| (t.endpoint.as_str(), Entry::of(t)))
                .collect(),
            send_lag_ns: generator.map(|side| side.send_lag_ns).unwrap_or_default(),
            generator,
            connections: self.totals.connections.first(),
            resources: self.totals.resources.first(),
            fidelity: self.totals.fidelity.first(),
            warnings: &self.warnings,
        })
    }

    /// Tables for the terminal, at most 100 columns.
    pub fn text(&self, style: Style) -> String {
        let mut text = String::new();
        let load = format!(
            "{}: {}, {}, seed {}, {}",
            self.target.shown(),
            printable(&self.workload.source),
            printable(&self.rate),
            self.seed,
            words::elapsed(self.elapsed_ns)
        );
        text.push_str(&wrap(&load, "target ", "  "));
        for cause in &self.causes {
            text.push_str(&wrap(&printable(cause), "INVALID: ", "  "));
        }
        if !self.complete {
            text.push_str("The schedule was not carried out to its end.\n");
        }
        text.push_str("\nResponse times of the successes, from the planned instant:\n");
        text.push_str(&self.responses(style));
        text.push_str(
            "\nService times from the moment of sending, first bytes from the planned instant:\n",
        );
        text.push_str(&self.services(style));
        text.push('\n');
        text.push_str(&self.remarks(style));
        text
    }

    fn responses(&self, style: Style) -> String {
        let mut header = vec![("endpoint", Align::Left)];
        let names = [
            "scheduled",
            "not sent",
            "ok",
            "errors",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
        ];
        header.extend(names.map(|name| (name, Align::Right)));
        let mut table = Table::new(&header, 0);
        for total in &self.totals.endpoints {
            table.push(response_row(
                &printable(&total.endpoint),
                total.counts,
                total.response_ns,
            ));
        }
        if self.totals.endpoints.len() > 1 {
            table.push(response_row("all", self.counts(), Quantiles::default()));
        }
        lines(&table, style)
    }

    fn services(&self, style: Style) -> String {
        let mut header = vec![("endpoint", Align::Left)];
        let names = ["service p50", "p99", "first byte p50", "p99"];
        header.extend(names.map(|name| (name, Align::Right)));
        let mut table = Table::new(&header, 0);
        for total in &self.totals.endpoints {
            let (service, first) = (total.service_ns, total.first_byte_ns);
            let times = [service.p50, service.p99, first.p50, first.p99];
            let times = times.map(words::time_cell);
            let name = printable(&total.endpoint);
            table.push(std::iter::once(name).chain(times).collect());
        }
        lines(&table, style)
    }

    fn remarks(&self, style: Style) -> String {
        let mut text = String::new();
        if !self.totals.generator.is_empty() {
            let said = format!("{:.1} a second.", self.ok_per_s());
            text.push_str(&wrap(&said, "Answered as expected: ", "  "));
        }
        for side in &self.totals.generator {
            let said = format!(
                "p50 {}, p99 {}, max {}; busiest sending thread {} of its core or quota{}.",
                words::time_cell(side.send_lag_ns.p50),
                words::time_cell(side.send_lag_ns.p99),
                words::time_cell(side.send_lag_ns.max),
                words::share(side.cpu_share),
                throttled(side.throttled_share)
            );
            text.push_str(&wrap(&said, "Send lag: ", "  "));
        }
        for side in &self.totals.connections {
            text.push_str(&wrap(&opened(side), "Connections: ", "  "));
        }
        for side in &self.totals.fidelity {
            text.push_str(&wrap(&side.sentences(), "Replay: ", "  "));
        }
        for side in &self.totals.resources {
            text.push_str(&wrap(&side.sentence(), "The target used: ", "  "));
        }
        let classes = self.classes();
        let failed = classes
            .iter()
            .filter(|(class, n)| **class != "ok" && **n > 0);
        let failed: Vec<_> = failed
            .map(|(class, n)| format!("{class} {}", words::whole_number(*n)))
            .collect();
        if !failed.is_empty() {
            let failed = printable(&failed.join(", "));
            text.push_str(&wrap(&failed, "Not ok: ", "  "));
        }
        for warning in &self.warnings {
            let said = format!("{}: {}", warning.code, warning.text);
            let mut said = wrap(&printable(&said), "Warning: ", "  ");
            if style.colour && warning.code == super::INSECURE {
                said = format!("\x1b[31m{}\x1b[0m\n", said.trim_end());
            }
            text.push_str(&said);
        }
        text
    }
}

impl<'a> Entry<'a> {
    fn of(total: &'a EndpointTotals) -> Self {
        Self {
            counts: total.counts,
            classes: &total.classes,
            statuses: &total.statuses,
            response_ns: total.response_ns,
            service_ns: total.service_ns,
            first_byte_ns: total.first_byte_ns,
        }
    }
}

/// How many connections were opened, and how long that took.
fn opened(side: &SideConnections) -> String {
    let times = |name: &str, times: Quantiles| match times.p50 {
        Some(_) => format!(
            "; {name} p50 {}, p99 {}",
            words::time_cell(times.p50),
            words::time_cell(times.p99)
        ),
        None => String::new(),
    };
    let retried = match side.retried {
        0 => String::new(),
        n => format!("; {} requests sent once more", words::whole_number(n)),
    };
    format!(
        "{} opened{}{}{retried}.",
        words::whole_number(side.opened),
        times("connect", side.connect_ns),
        times("TLS", side.tls_ns)
    )
}

/// The worst throttling, where there was any.
fn throttled(share: f64) -> String {
    if share > 0.0 {
        format!("; kept from running {} of the time", words::share(share))
    } else {
        String::new()
    }
}

fn response_row(name: &str, counts: Counts, times: Quantiles) -> Vec<String> {
    let numbers = [
        counts.scheduled,
        counts.not_sent,
        counts.ok,
        counts.failures(),
    ];
    let times = [times.p50, times.p90, times.p99, times.p999, times.max];
    std::iter::once(name.to_owned())
        .chain(numbers.map(words::whole_number))
        .chain(times.map(words::time_cell))
        .collect()
}

fn lines(table: &Table, style: Style) -> String {
    table.lines(&|row, _, cell| match row {
        None if style.colour => format!("\x1b[2m{cell}\x1b[0m"),
        _ => cell,
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use crate::text::columns;

    #[test]
    fn one_side_looks_as_agreed() {
        let report = sample::run();
        let text = report.text(Style::default());
        assert!(text.lines().all(|line| columns(line) <= 100), "{text}");
        insta::assert_snapshot!("run_text", text);
        insta::assert_snapshot!("run_json", report.json());
    }

    #[test]
    fn a_run_that_cannot_be_trusted_says_so_and_shows_its_figures() {
        let mut report = sample::run();
        report.causes = vec!["3 of 10 slots were disturbed\u{1b}[2J".to_owned()];
        let text = report.text(Style::default());
        assert!(text.contains("INVALID: 3 of 10 slots"), "{text}");
        assert!(
            text.contains("GET /cart") && !text.contains('\u{1b}'),
            "{text}"
        );
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["causes"].as_array().unwrap().len(), 1);
        assert_eq!(value["health"]["send_lag"], 1);
    }

    #[test]
    fn the_sums_stand_at_the_top_and_are_conserved() {
        let value: serde_json::Value = serde_json::from_str(&sample::run().json()).unwrap();
        let read = |key: &str| value[key].as_u64().unwrap();
        assert_eq!(read("scheduled"), read("sent") + read("not_sent"));
        let answered = read("ok") + read("http_error") + read("transport_error");
        assert_eq!(read("sent"), answered);
        assert!(value["endpoints"]["GET /cart"]["response_ns"]["p99.9"].is_u64());
        let classes = value["classes"].as_object().unwrap().values();
        let sum: u64 = classes.map(|n| n.as_u64().unwrap()).sum();
        assert_eq!(sum, read("scheduled"));
    }
}
