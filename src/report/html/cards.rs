//! The endpoints, most important first: each with its judged changes as intervals against what is
//! tolerated, and folded behind them its distribution, its rounds and its other metrics.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use super::kind_of;
use crate::compare::{Change, Interval, Metric, Reason, Status};
use crate::report::{EndpointTotals, Report, chart, findings, words};
use crate::run::{Side, WORKLOAD};
use crate::text::printable;
use crate::units::count;

mod inside;

pub(super) use inside::Figure;
use inside::Inside;

/// The most important endpoints have charts and their other metrics; more of those would make a
/// page that no browser likes.
const WHOLE: usize = 40;
/// So many of those that did not pass lie open.
const OPEN: usize = 2;
/// More sentences on what was not judged are in the other files.
const UNJUDGED: usize = 200;

#[derive(Template)]
#[template(path = "endpoints.html")]
pub(super) struct Endpoints {
    ground: String,
    cards: Vec<Card>,
    not_judged: Vec<String>,
    not_listed: usize,
}

struct Card {
    name: String,
    is_whole: bool,
    kind: &'static str,
    sign: &'static str,
    word: &'static str,
    share: String,
    /// What it can be sorted by: a key of the script and a number.
    keys: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    open: bool,
    inside: Inside,
}

struct Row {
    metric: &'static str,
    baseline: String,
    candidate: String,
    change: String,
    strip: String,
    tolerance: String,
    kind: &'static str,
    sign: &'static str,
    status: &'static str,
    why: Option<String>,
}

/// All changes of one endpoint.
struct Group<'a> {
    endpoint: &'a str,
    /// Its place among the changes, which are sorted by what is worst.
    place: usize,
    judged: Vec<&'a Change>,
    besides: Vec<&'a Change>,
    requests: u64,
}

impl Group<'_> {
    /// What stands for it: the worst of its judged changes.
    fn worst(&self) -> Status {
        let all = self.judged.iter().map(|change| change.status);
        all.min_by_key(|status| severity(*status))
            .unwrap_or(Status::NotJudged)
    }

    /// What is most important comes first: the whole, then whatever did not pass in the order of
    /// the comparison, then by traffic.
    fn importance(&self) -> (bool, u8, usize, std::cmp::Reverse<u64>) {
        let severity = severity(self.worst());
        let place = if severity < self::severity(Status::Pass) {
            self.place
        } else {
            0
        };
        let traffic = std::cmp::Reverse(self.requests);
        (self.endpoint != WORKLOAD, severity, place, traffic)
    }
}

fn severity(status: Status) -> u8 {
    match status {
        Status::Regressed => 0,
        Status::Invalid => 1,
        Status::Inconclusive => 2,
        Status::Pass => 3,
        Status::NotJudged => 4,
    }
}

/// The endpoints by importance, each with its changes.
fn groups(report: &Report) -> Vec<Group<'_>> {
    let mut requests: BTreeMap<&str, u64> = BTreeMap::new();
    for totals in report
        .totals
        .endpoints
        .iter()
        .chain(&report.totals.workload)
    {
        let most = requests.entry(totals.endpoint.as_str()).or_default();
        *most = (*most).max(totals.counts.scheduled);
    }
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (place, change) in report.comparison.changes.iter().enumerate() {
        if change.status == Status::NotJudged {
            continue;
        }
        let endpoint = change.endpoint.as_str();
        let at = *places.entry(endpoint).or_insert_with(|| {
            groups.push(Group {
                endpoint,
                place,
                judged: Vec::new(),
                besides: Vec::new(),
                requests: requests.get(endpoint).copied().unwrap_or(0),
            });
            groups.len() - 1
        });
        if change.gate {
            groups[at].judged.push(change);
        } else {
            groups[at].besides.push(change);
        }
    }
    groups.sort_by_key(Group::importance);
    groups
}

/// Endpoints in the order of the page, the whole left out.
pub(super) fn by_importance(report: &Report) -> Vec<&str> {
    let groups = groups(report);
    let grouped = groups.iter().map(|it| it.endpoint);
    // What has no change at all still has totals.
    let all = report
        .totals
        .endpoints
        .iter()
        .map(|it| it.endpoint.as_str());
    let mut seen = BTreeSet::from([WORKLOAD]);
    grouped
        .chain(all)
        .filter(|name| seen.insert(name))
        .collect()
}

/// The section.
pub(super) fn section(report: &Report) -> Endpoints {
    let groups = groups(report);
    let judged = findings::judged(&report.comparison);
    let reach = chart::reach(&judged);
    let all: u64 = groups
        .iter()
        .filter(|group| group.endpoint != WORKLOAD)
        .map(|group| group.requests)
        .sum();
    let mut not_judged = findings::not_judged(&report.comparison, &|it| printable(it));
    let not_listed = not_judged.len().saturating_sub(UNJUDGED);
    not_judged.truncate(UNJUDGED);
    let totals = Totals::of(report);
    let card = |(rank, group): (usize, &Group<'_>)| {
        let open = group.endpoint == WORKLOAD
            || (rank <= OPEN && severity(group.worst()) < severity(Status::Pass));
        card(group, reach, open, all, |group| {
            inside::of(report, group, &totals, rank < WHOLE)
        })
    };
    Endpoints {
        ground: chart::ground(reach),
        cards: groups.iter().enumerate().map(card).collect(),
        not_judged,
        not_listed,
    }
}

/// Totals of both sides by endpoint.
struct Totals<'a>(BTreeMap<&'a str, [Option<&'a EndpointTotals>; 2]>);

impl<'a> Totals<'a> {
    fn of(report: &'a Report) -> Self {
        let mut found: BTreeMap<&str, [Option<&EndpointTotals>; 2]> = BTreeMap::new();
        let all = report.totals.endpoints.iter();
        for totals in all.chain(&report.totals.workload) {
            let sides = found.entry(totals.endpoint.as_str()).or_default();
            sides[totals.side.index()] = Some(totals);
        }
        Self(found)
    }

    fn both(&self, endpoint: &str) -> [Option<&'a EndpointTotals>; 2] {
        self.0.get(endpoint).copied().unwrap_or_default()
    }
}

fn card(
    group: &Group<'_>,
    reach: f64,
    open: bool,
    all: u64,
    inside: impl Fn(&Group<'_>) -> Inside,
) -> Card {
    let is_whole = group.endpoint == WORKLOAD;
    let status = group.worst();
    let part = count(group.requests) / count(all.max(1));
    let share = match (is_whole, group.requests) {
        (true, n) => words::plural(n, "request"),
        (false, 0) => String::new(),
        (false, _) => format!("{} of the requests", words::share(part)),
    };
    Card {
        name: printable(group.endpoint),
        is_whole,
        kind: kind_of(status),
        sign: words::status_sign(status),
        word: words::status_word(status),
        share,
        keys: keys(group),
        rows: group.judged.iter().map(|it| row(it, reach)).collect(),
        open,
        inside: inside(group),
    }
}

/// How much worse each gate metric is, for the script to sort by.
fn keys(group: &Group<'_>) -> Vec<(&'static str, String)> {
    let of = |metric: Metric| {
        let own = group.judged.iter().chain(&group.besides);
        let mut own = own.filter(|it| it.metric == metric && it.limit.is_none());
        own.find_map(|it| it.change)
    };
    let number = |interval: Interval| format!("{:.5}", interval.estimate);
    let metrics = [
        ("errors", Metric::ErrorRate),
        ("p50", Metric::P50),
        ("p99", Metric::P99),
    ];
    let known = metrics
        .into_iter()
        .filter_map(|(key, metric)| Some((key, number(of(metric)?))));
    std::iter::once(("requests", group.requests.to_string()))
        .chain(known)
        .collect()
}

fn row(change: &Change, reach: f64) -> Row {
    Row {
        metric: change.metric.name(),
        baseline: words::level_cell(change, Side::Baseline),
        candidate: words::level_cell(change, Side::Candidate),
        change: words::change_cell(change),
        strip: chart::strip(change, reach, false),
        tolerance: words::tolerance_cell(change),
        kind: kind_of(change.status),
        sign: words::status_sign(change.status),
        status: words::status_word(change.status),
        why: why(change),
    }
}

/// The finding in words, where the row does not say it all.
fn why(change: &Change) -> Option<String> {
    let plain = matches!(change.reason, Reason::Ok | Reason::SlowerWithinTolerance);
    (!plain || change.limit.is_some()).then(|| words::sentence(change, &here(change)))
}

/// What the endpoint of a card is called inside of it.
fn here(change: &Change) -> String {
    match change.endpoint.as_str() {
        WORKLOAD => String::new(),
        _ => "this endpoint".to_owned(),
    }
}
