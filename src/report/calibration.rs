//! A calibration in words and tables for the terminal. The stored file is the form for machines.

use super::{
    Style,
    table::{Align, Table, wrap},
    words,
};
use crate::{
    compare::{
        Calibration, Choice, MetricNoise, Noise,
        metric::{Kind, Unit},
    },
    text::printable,
    units::seconds,
};

/// The calibration as text, at most 100 columns wide.
pub fn calibration_text(calibration: &Calibration, style: Style) -> String {
    let place = &calibration.environment;
    let about = format!(
        "{}: {}, {}, seed {}, {}",
        printable(&place.target),
        printable(&place.workload.source),
        printable(&place.rate),
        calibration.seed,
        calibration.measured_at,
    );
    let mut text = wrap(&about, "calibration of ", "  ");
    text.push_str(&wrap(&trust(calibration), "", "  "));
    for cause in &calibration.causes {
        text.push_str(&wrap(&printable(cause), "not trusted: ", "  "));
    }
    for simultaneous in [true, false] {
        text.push('\n');
        text.push_str(&noise(calibration.noise(simultaneous), simultaneous, style));
    }
    text.push('\n');
    for line in [time(calibration), choice(calibration.choice)] {
        text.push_str(&wrap(&line, "", "  "));
    }
    text
}

fn trust(calibration: &Calibration) -> String {
    let alarms = |noise: &Noise| words::share(noise.false_alarms.rate());
    format!(
        "false alarms: {} simultaneous and {} interleaved, of {} judgements each of these rounds \
         with sides swapped at random; up to {} are promised",
        alarms(&calibration.simultaneous),
        alarms(&calibration.interleaved),
        words::whole_number(calibration.simultaneous.false_alarms.judged.into()),
        words::share(calibration.alpha),
    )
}

fn noise(noise: &Noise, simultaneous: bool, style: Style) -> String {
    let (name, slot) = if simultaneous {
        ("simultaneous", "window")
    } else {
        ("interleaved", "slot")
    };
    let mut text = wrap(
        &format!(
            "{} of {:.1} s; suggested {slot} {:.1} s",
            words::plural(noise.rounds, "round"),
            seconds(noise.round_ns),
            seconds(noise.slot_ns),
        ),
        &format!("{name}: "),
        "  ",
    );
    if noise.metrics.is_empty() {
        text.push_str("  nothing could be judged\n");
        return text;
    }
    let mut table = Table::new(
        &[
            ("endpoint", Align::Left),
            ("metric", Align::Left),
            ("level", Align::Right),
            ("spread", Align::Right),
            ("at most", Align::Right),
            ("r1", Align::Right),
            ("1 min", Align::Right),
            ("5 min", Align::Right),
            ("10 min", Align::Right),
            ("20 min", Align::Right),
        ],
        0,
    );
    for it in &noise.metrics {
        table.push(row(it));
    }
    let bold = |at: Option<usize>, _: usize, cell: String| {
        if at.is_none() && style.colour {
            format!("\u{1b}[1m{cell}\u{1b}[0m")
        } else {
            cell
        }
    };
    text.push_str(&table.lines(&bold));
    text
}

fn row(it: &MetricNoise) -> Vec<String> {
    let traits = it.metric.traits();
    let unit = match traits.kind {
        Kind::Difference => "pp",
        Kind::Ratio => "%",
    };
    let part = |value: f64| format!("{:.2} {unit}", 100.0 * value);
    let level = match traits.unit {
        Unit::Time => words::duration(it.level),
        Unit::Share => words::share(it.level),
        Unit::Bytes => format!("{:.0} B", it.level),
    };
    let mut cells = vec![
        printable(&it.endpoint),
        it.metric.name().to_owned(),
        level,
        part(it.sigma),
        part(it.sigma_upper),
        it.autocorrelation
            .map_or("–".to_owned(), |r1| format!("{r1:+.2}")),
    ];
    for budget_s in [60, 300, 600, 1_200] {
        let found = it.detectable.iter().find(|it| it.budget_s == budget_s);
        cells.push(found.map_or("–".to_owned(), |it| format!("{:.1} %", 100.0 * it.change)));
    }
    cells
}

fn time(calibration: &Calibration) -> String {
    let correlation = match calibration.correlation_s {
        None => "there were too few seconds to say for how long a disturbance of one side goes on"
            .to_owned(),
        Some(s) => format!("a disturbance of one side is another one after {s} s"),
    };
    let warm_up = match calibration.warm_up_s {
        None => "how long the deployment takes to warm up could not be told".to_owned(),
        Some(0) => "a load is steady from its first second".to_owned(),
        Some(s) => format!("a load is steady after {s} s"),
    };
    format!("{correlation}; {warm_up}")
}

fn choice(choice: Option<Choice>) -> String {
    let Some(it) = choice else {
        return "no latency was judged in both arrangements, so neither can be called better"
            .into();
    };
    let (better, other, ratio) = if it.simultaneous {
        ("simultaneous", "interleaved", it.time_ratio)
    } else {
        ("interleaved", "simultaneous", 1.0 / it.time_ratio)
    };
    let (low, high) = if it.simultaneous {
        it.limits
    } else {
        (1.0 / it.limits.1, 1.0 / it.limits.0)
    };
    let shown = if it.is_shown() {
        ""
    } else {
        "; too close to call"
    };
    format!(
        "better here: {better}; {other} would take {ratio:.1} times as long for the same answer \
         (90 %: {low:.1} to {high:.1}){shown}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compare::{Detectable, Environment, FalseAlarms, Metric},
        run::WorkloadRecord,
        units::SECOND_NS,
    };

    fn noise(round_s: u64, sigma: f64) -> Noise {
        let metric = |metric: Metric, level| MetricNoise {
            endpoint: "GET /cart\u{1b}".to_owned(),
            metric,
            gate: true,
            level,
            sigma,
            sigma_upper: 1.2 * sigma,
            sigma_sampling: sigma / 2.0,
            autocorrelation: (metric != Metric::ErrorRate).then_some(-0.125),
            detectable: vec![Detectable {
                budget_s: 60,
                rounds: 12,
                change: 3.0 * sigma,
            }],
        };
        Noise {
            rounds: 24,
            measured_ns: 4 * SECOND_NS,
            round_ns: round_s * SECOND_NS,
            slot_ns: 2 * SECOND_NS,
            false_alarms: FalseAlarms {
                judged: 1_000,
                alarms: 4,
            },
            metrics: vec![
                metric(Metric::P50, 12.3e6),
                metric(Metric::ErrorRate, 0.001),
            ],
        }
    }

    fn calibration() -> Calibration {
        Calibration {
            proofload_calibration: 1,
            version: "0.1.0".to_owned(),
            measured_at: "2026-11-24T12:00:00Z".to_owned(),
            environment: Environment {
                target: "http://127.0.0.1:8000/".to_owned(),
                workload: WorkloadRecord {
                    source: "cart.jsonl".to_owned(),
                    digest: "sha256:00".to_owned(),
                    requests: 10,
                    duration_ns: 0,
                    recorded_at: None,
                    recorded: std::collections::BTreeMap::new(),
                },
                rate: "constant 200/s".to_owned(),
            },
            seed: 7,
            alpha: 0.05,
            trusted: true,
            causes: Vec::new(),
            correlation_s: Some(2),
            warm_up_s: None,
            simultaneous: noise(4, 0.02),
            interleaved: noise(5, 0.05),
            choice: Some(Choice {
                simultaneous: true,
                time_ratio: 7.8,
                limits: (3.9, 15.5),
            }),
        }
    }

    #[test]
    fn it_looks_as_agreed() {
        insta::assert_snapshot!(calibration_text(&calibration(), Style::default()));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut found = calibration();
        found.causes = vec!["the generator was disturbed".to_owned()];
        found.correlation_s = None;
        found.warm_up_s = Some(3);
        found.choice = None;
        found.interleaved.metrics.clear();
        let plain = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = plain(calibration_text(&found, Style { colour: true }));
        for wanted in [
            "not trusted: the generator was disturbed",
            "too few seconds",
            "steady after 3 s",
            "neither can be called better",
            "nothing could be judged",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        found.choice = Some(Choice {
            simultaneous: false,
            time_ratio: 0.8,
            limits: (0.4, 1.6),
        });
        let text = plain(calibration_text(&found, Style::default()));
        assert!(
            text.contains("better here: interleaved; simultaneous would take 1.2"),
            "{text}"
        );
        assert!(text.contains("too close to call"), "{text}");
    }
}
