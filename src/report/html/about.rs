//! How it was measured: the environment, the load generator, the settings, the method.

use askama::Template;

use super::first::Fact;
use crate::report::{Report, SideHealth, fidelity, words};
use crate::text::printable;

#[derive(Template)]
#[template(path = "environment.html")]
pub(super) struct Environment {
    rows: Vec<Row>,
    facts: Vec<Fact>,
    notes: Vec<String>,
}

/// One fact of both sides.
struct Row {
    name: &'static str,
    sides: [String; 2],
    /// Whether the sides are alike in what ought to be the same.
    same: Option<bool>,
}

/// What is known of both sides, and where they differ.
pub(super) fn environment(report: &Report) -> Environment {
    let subject = &report.subject;
    let places = [&subject.baseline, &subject.candidate];
    let row = |name, sides: [String; 2], ought: bool| Row {
        name,
        same: ought.then_some(sides[0] == sides[1]),
        sides,
    };
    let known = |it: Option<&String>| it.map_or("not known".to_owned(), |it| printable(it));
    let workload = &subject.workload;
    let mut facts = vec![
        Fact::new("Started", printable(&subject.started_at)),
        Fact::new("Took", words::elapsed(subject.elapsed_ns)),
        Fact::new("Workload digest", printable(&workload.digest)),
        Fact::new("Seed", subject.seed.to_string()),
        Fact::new("proofload", printable(&subject.version)),
        Fact::new("Exit code", subject.exit_code.to_string()),
    ];
    facts.retain(|fact| !fact.value.is_empty());
    Environment {
        rows: vec![
            row("Deployment", places.map(|it| printable(&it.label)), false),
            row(
                "Address",
                places.map(|it| known(it.address.as_ref())),
                false,
            ),
            row(
                "Protocol",
                places.map(|it| known(it.protocol.as_ref())),
                true,
            ),
        ],
        facts,
        notes: subject.notes.iter().map(|it| printable(it)).collect(),
    }
}

#[derive(Template)]
#[template(path = "generator.html")]
pub(super) struct Generator {
    rows: Vec<Health>,
}

struct Health {
    side: &'static str,
    slots: u32,
    lag: [String; 3],
    cpu: String,
    throttled: String,
    steal: String,
    pressure: String,
    stall: String,
}

/// How the generator did; nothing where no slot was measured.
pub(super) fn generator(report: &Report) -> Option<Generator> {
    let rows: Vec<Health> = report.totals.generator.iter().map(health).collect();
    (!rows.is_empty()).then_some(Generator { rows })
}

fn health(side: &SideHealth) -> Health {
    let lag = side.send_lag_ns;
    Health {
        side: side.side.name(),
        slots: side.slots,
        lag: [lag.p50, lag.p99, lag.max].map(words::time_cell),
        cpu: words::share(side.cpu_share),
        throttled: words::share(side.throttled_share),
        steal: words::share(side.steal_share),
        pressure: words::share(side.pressure_share),
        stall: words::time_cell(Some(side.stall_ns)),
    }
}

#[derive(Template)]
#[template(path = "fidelity.html")]
pub(super) struct Fidelity {
    lines: Vec<String>,
}

/// How faithfully the recording was replayed, where that is known.
pub(super) fn fidelity(report: &Report) -> Option<Fidelity> {
    let lines = fidelity::lines(&report.totals.fidelity);
    (!lines.is_empty()).then_some(Fidelity { lines })
}

#[derive(Template)]
#[template(path = "again.html")]
pub(super) struct Again {
    command: String,
    configuration: String,
}

/// The command and the settings that make the same comparison.
pub(super) fn again(report: &Report) -> Again {
    let value = &report.subject.configuration;
    let text = serde_json::to_string_pretty(value).expect("plain data with text keys");
    // The line feeds are ours: those inside of values are escaped by JSON already.
    let lines: Vec<_> = text.lines().map(printable).collect();
    Again {
        command: printable(&report.subject.command),
        configuration: lines.join("\n"),
    }
}

#[derive(Template)]
#[template(path = "method.html")]
pub(super) struct Method {
    docs: Option<String>,
}

/// The method in ten lines.
pub(super) fn method() -> Method {
    let home = env!("CARGO_PKG_REPOSITORY");
    Method {
        docs: (!home.is_empty()).then(|| format!("{home}/blob/main/docs/method.md")),
    }
}
