//! One report made by hand, with every status in it: what snapshots and tests render.

mod picture;

use std::collections::BTreeMap;

use super::{
    Counts, EndpointTotals, Figures, Place, Quantiles, Report, RunReport, SideConnections,
    SideHealth, Subject, Workload,
};
use crate::compare::{
    Change, Comparison, Interval, Metric, Reason, RoundsUsed, Shift, Status, Verdict, Warning,
};
use crate::run::{COMMIT, Side};

const CART: &str = "GET /cart";
const ORDER: &str = "POST /orders/{id}";
/// What curves of the sample are read at.
const QUANTILES: [f64; 9] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999];

/// Two endpoints, every status, warnings and dropped rounds.
pub(super) fn report() -> Report {
    let endpoints = [
        totals(CART, Side::Baseline, 12_300_000, 0),
        totals(CART, Side::Candidate, 15_100_000, 0),
        totals(ORDER, Side::Baseline, 31_000_000, 2),
        totals(ORDER, Side::Candidate, 31_400_000, 74),
    ];
    let together = [0, 1].map(|side| picture::together([&endpoints[side], &endpoints[side + 2]]));
    let mut subject = subject();
    subject.workload.recorded = picture::recorded();
    Report {
        subject,
        comparison: comparison(),
        totals: Figures {
            endpoints: endpoints.to_vec(),
            workload: together.to_vec(),
            curve_quantiles: QUANTILES.to_vec(),
            generator: vec![health(Side::Baseline), health(Side::Candidate)],
            connections: vec![opened(Side::Baseline), opened(Side::Candidate)],
            resources: vec![
                picture::used(Side::Baseline, 5_200_000_000),
                picture::used(Side::Candidate, 5_850_000_000),
            ],
            fidelity: vec![
                picture::fidelity(Side::Baseline, 0),
                picture::fidelity(Side::Candidate, 12),
            ],
        },
        picture: picture::picture(),
    }
}

/// The same with so many endpoints more, each with its judged and its other metrics.
pub(super) fn large(more: usize) -> Report {
    let mut report = report();
    let rows: Vec<_> = report.comparison.changes[..6].to_vec();
    let sides: Vec<_> = report.totals.endpoints[..2].to_vec();
    let shift = report.picture.shifts[1].clone();
    for n in 0..more {
        let named = || format!("GET /some/longer/path/{n}/{{id}}");
        for row in [&rows[4], &rows[5], &rows[n % 6]] {
            report.comparison.changes.push(Change {
                endpoint: named(),
                ..row.clone()
            });
        }
        report
            .totals
            .endpoints
            .extend(sides.iter().map(|side| EndpointTotals {
                endpoint: named(),
                ..side.clone()
            }));
        report.picture.shifts.push(Shift {
            endpoint: named(),
            ..shift.clone()
        });
    }
    report
}

/// One side of the same.
pub(super) fn run() -> RunReport {
    let subject = subject();
    RunReport {
        version: subject.version,
        started_at: subject.started_at,
        elapsed_ns: subject.elapsed_ns,
        target: subject.candidate,
        workload: subject.workload,
        rate: subject.rate,
        seed: subject.seed,
        complete: true,
        causes: Vec::new(),
        health: BTreeMap::from([("send_lag".to_owned(), 1)]),
        warnings: comparison().warnings,
        totals: Figures {
            endpoints: vec![
                totals(CART, Side::Candidate, 15_100_000, 0),
                totals(ORDER, Side::Candidate, 31_400_000, 74),
            ],
            generator: vec![health(Side::Candidate)],
            connections: vec![opened(Side::Candidate)],
            ..Figures::default()
        },
    }
}

fn subject() -> Subject {
    let place = |label: &str, port: u16| Place {
        label: label.to_owned(),
        address: Some(format!("10.0.0.7:{port}")),
        protocol: Some("HTTP/1.1".to_owned()),
        labels: [(COMMIT.to_owned(), format!("4f1c{port}"))].into(),
        facts: [
            ("server", format!("nginx/1.24.{}", port % 10)),
            ("addresses", "2".to_owned()),
            ("certificate_issuer", "CN=Shop CA".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    };
    Subject {
        title: "shop: v2.4 against v2.3".into(),
        version: "0.1.0".into(),
        started_at: "2026-03-01T12:00:00Z".into(),
        elapsed_ns: 58_200_000_000,
        baseline: place("https://baseline.shop.example", 8443),
        candidate: place("https://candidate.shop.example", 8444),
        workload: Workload {
            source: "workloads/shop.jsonl".into(),
            requests: 12_345,
            duration_ns: 600_000_000_000,
            digest: "sha256:3f2a9c".into(),
            recorded_at: Some("2026-02-27T09:30:00Z".into()),
            recorded: BTreeMap::new(),
        },
        arrangement: "simultaneous".into(),
        rate: "constant 500/s".into(),
        seed: 7,
        configuration: serde_json::json!({"duration": "60s", "tolerance": ["p99=10%"]}),
        command: "proofload compare --baseline https://baseline.shop.example \
                  --candidate https://candidate.shop.example -w workloads/shop.jsonl"
            .into(),
        exit_code: 10,
        expires_at: None,
        notes: vec!["Both sides answered each of 2 endpoints once.".into()],
    }
}

fn comparison() -> Comparison {
    Comparison {
        verdict: Verdict::Regressed,
        causes: Vec::new(),
        changes: [changes(), others()].concat(),
        rounds: RoundsUsed {
            planned: 12,
            measured: 12,
            valid: 11,
            judged: 11,
            dropped: BTreeMap::from([("send_lag".to_owned(), 1)]),
        },
        coverage: 0.97,
        warnings: vec![Warning {
            code: "steal".into(),
            text: "the hypervisor took 6 % of the CPU in one round; both sides suffered alike"
                .into(),
        }],
        decided: true,
    }
}

fn changes() -> Vec<Change> {
    let time = |status, reason, interval| change(CART, Metric::P99, (status, reason), interval);
    let pass = Status::Pass;
    vec![
        time(
            Status::Regressed,
            Reason::BeyondTolerance,
            Some((0.228, 0.14, 0.321)),
        ),
        Change {
            tolerance: 0.001,
            minimum_effect: 0.0002,
            baseline: Some(0.0003),
            candidate: Some(0.0051),
            ..change(
                ORDER,
                Metric::ErrorRate,
                (Status::Regressed, Reason::BeyondTolerance),
                Some((0.0048, 0.0036, 0.0061)),
            )
        },
        change(
            ORDER,
            Metric::P99,
            (Status::Invalid, Reason::Dependent),
            Some((0.02, -0.05, 0.09)),
        ),
        change(
            ORDER,
            Metric::P50,
            (Status::Inconclusive, Reason::Noise),
            Some((0.013, -0.12, 0.18)),
        ),
        change(
            CART,
            Metric::P50,
            (pass, Reason::SlowerWithinTolerance),
            Some((0.021, 0.011, 0.031)),
        ),
        Change {
            tolerance: 0.001,
            baseline: Some(0.0),
            candidate: Some(0.0),
            ..change(
                CART,
                Metric::ErrorRate,
                (pass, Reason::Ok),
                Some((0.0, -0.0004, 0.0004)),
            )
        },
    ]
}

/// Limits, the whole workload, and what does not decide.
fn others() -> Vec<Change> {
    vec![
        Change {
            tolerance: 0.0,
            minimum_effect: 0.0,
            limit: Some(14e6),
            candidate: Some(15_100_400.0),
            ..change(
                CART,
                Metric::P99,
                (Status::Regressed, Reason::BeyondLimit),
                Some((0.0786, 0.02, 0.14)),
            )
        },
        Change {
            tolerance: 0.02,
            baseline: Some(0.9999),
            candidate: Some(0.9951),
            ..change(
                crate::run::WORKLOAD,
                Metric::Goodput,
                (Status::Pass, Reason::SlowerWithinTolerance),
                Some((0.0048, 0.0036, 0.0061)),
            )
        },
        Change {
            gate: false,
            ..change(
                CART,
                Metric::P90,
                (Status::Pass, Reason::Improved),
                Some((-0.08, -0.11, -0.05)),
            )
        },
        Change {
            gate: false,
            ..change(
                ORDER,
                Metric::P999,
                (Status::NotJudged, Reason::TooFewRequests),
                None,
            )
        },
    ]
}

fn change(
    endpoint: &str,
    metric: Metric,
    (status, reason): (Status, Reason),
    interval: Option<(f64, f64, f64)>,
) -> Change {
    Change {
        endpoint: endpoint.to_owned(),
        metric,
        gate: true,
        status,
        reason,
        limit: None,
        change: interval.map(|(estimate, lower, upper)| Interval {
            estimate,
            lower,
            upper,
        }),
        tolerance: 0.1,
        minimum_effect: 0.03,
        baseline: interval.map(|_| 12_300_000.0),
        candidate: interval.map(|(estimate, ..)| (12_300_000.0 * (1.0 + estimate)).round()),
        rounds: 11,
        requests_per_round: 625.0,
        sigma: Some(0.05),
        detectable: Some(0.21),
        more_rounds: (reason == Reason::Noise).then_some(86),
        more_s: (reason == Reason::Noise).then_some(351.0),
        p_regressed: Some(0.0125),
        p_pass: Some(0.5),
        autocorrelation: Some(0.125),
        hodges_lehmann: interval.map(|(estimate, ..)| estimate),
        bursty: false,
        series: interval.map_or(Vec::new(), |(estimate, lower, upper)| {
            picture::series(metric.to_scale(estimate), upper - lower)
        }),
    }
}

fn totals(endpoint: &str, side: Side, p50: u64, failed: u64) -> EndpointTotals {
    let quantiles = |p50: u64| Quantiles {
        p50: Some(p50),
        p90: Some(p50 * 3 / 2),
        p99: Some(p50 * 3),
        p999: Some(p50 * 5),
        max: Some(p50 * 9),
    };
    let (sent, not_sent) = (6_870, 5);
    let ok = sent - failed;
    let mut classes =
        BTreeMap::from([("ok".to_owned(), ok), ("not_sent_cap".to_owned(), not_sent)]);
    let mut statuses = BTreeMap::from([(200, ok)]);
    if failed > 0 {
        classes.insert("http_5xx".into(), failed - 1);
        classes.insert("total_timeout".into(), 1);
        statuses.insert(503, failed - 1);
    }
    EndpointTotals {
        endpoint: endpoint.to_owned(),
        side,
        counts: Counts {
            scheduled: sent + not_sent,
            not_sent,
            sent,
            ok,
            http_error: failed.saturating_sub(1),
            transport_error: failed.min(1),
        },
        classes,
        statuses,
        response_ns: quantiles(p50),
        service_ns: quantiles(p50 - 100_000),
        first_byte_ns: quantiles(p50 - 200_000),
        curve_ns: picture::curve(&QUANTILES, p50, if failed > 50 { 0.95 } else { 0.999 }),
        ok_bytes: ok * 4_400,
    }
}

fn opened(side: Side) -> SideConnections {
    SideConnections {
        side,
        opened: 37,
        connect_ns: Quantiles {
            p50: Some(310_000),
            p99: Some(640_000),
            ..Quantiles::default()
        },
        tls_ns: Quantiles {
            p50: Some(2_100_000),
            p99: Some(4_400_000),
            ..Quantiles::default()
        },
        retried: 2,
    }
}

fn health(side: Side) -> SideHealth {
    SideHealth {
        side,
        slots: 12,
        measured_ns: 50_400_000_000,
        send_lag_ns: Quantiles {
            p50: Some(49_000),
            p90: Some(71_000),
            p99: Some(94_000),
            p999: Some(180_000),
            max: Some(412_000),
        },
        cpu_share: 0.25,
        throttled_share: 0.0,
        steal_share: 0.0625,
        pressure_share: 0.125,
        stall_ns: 412_000,
        wall_step_ns: 0,
    }
}
