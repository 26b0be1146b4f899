//! How it was measured: the environment, the load generator, the settings, the method.

use std::collections::BTreeSet;

use askama::Template;

use super::first::Fact;
use crate::report::{Place, Report, SideHealth, words};
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
    name: String,
    sides: [String; 2],
    /// Whether the sides are alike in what ought to be the same.
    same: Option<bool>,
}

/// What is known of both sides, and where they differ.
pub(super) fn environment(report: &Report) -> Environment {
    let subject = &report.subject;
    let places = [&subject.baseline, &subject.candidate];
    let row = |name: &str, sides: [String; 2], ought: bool| Row {
        name: name.to_owned(),
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
    let address = places.map(|it| known(it.address.as_ref()));
    let protocol = places.map(|it| known(it.protocol.as_ref()));
    let mut rows = vec![
        row("Deployment", places.map(|it| printable(&it.label)), false),
        row("Address", address, false),
        row("Protocol", protocol, true),
    ];
    rows.extend(said(places));
    let commits = places.map(|it| it.commit().map(str::to_owned));
    if commits.iter().any(Option::is_some) {
        let commits = commits.map(|it| known(it.as_ref()));
        rows.push(row("Commit", commits, false));
    }
    Environment {
        rows,
        facts,
        notes: subject.notes.iter().map(|it| printable(it)).collect(),
    }
}

/// What both sides said of themselves, a row for each fact that one of them has. Where only one
/// was asked, nothing is told apart.
fn said(places: [&Place; 2]) -> Vec<Row> {
    let asked = places.iter().all(|place| !place.facts.is_empty());
    let names: BTreeSet<&String> = places.iter().flat_map(|it| it.facts.keys()).collect();
    let (known, other): (Vec<_>, Vec<_>) = names.into_iter().partition(|it| title(it).is_some());
    let row = |name: &&String| {
        let value = |place: &Place| match place.facts.get(*name) {
            Some(value) => printable(value),
            None if place.facts.is_empty() => "not known".to_owned(),
            None => "none".to_owned(),
        };
        let sides = places.map(value);
        Row {
            name: title(name).map_or_else(|| printable(name), str::to_owned),
            same: asked.then_some(sides[0] == sides[1]),
            sides,
        }
    };
    known.iter().chain(&other).map(row).collect()
}

/// What a fact is called on a page.
fn title(name: &str) -> Option<&'static str> {
    Some(match name {
        "addresses" => "Number of addresses",
        "certificate_issuer" => "Certificate signed by",
        "certificate_until" => "Certificate valid until",
        "content_encoding" => "Content-Encoding",
        "powered_by" => "X-Powered-By",
        "server" => "Server",
        "via" => "Via",
        _ => return None,
    })
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
