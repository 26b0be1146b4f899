//! What a comparison would do and could find: the plan before anything is sent.

use std::fmt::Write;

use serde_json::json;

use super::{
    numbers::{bare, elapsed, rounded, share},
    table::{Align, Table},
};
use crate::{
    compare::{Metric, Policy, Prospect, detectable::detectable},
    text::printable,
    units::{count, seconds},
};

/// PASS needs endpoints with a judged latency to carry this share of the requests.
const COVERAGE: f64 = 0.8;
/// Spreads of the round-by-round changes for which it is said what would be found.
const SPREADS: [f64; 4] = [0.01, 0.03, 0.05, 0.1];

/// What was planned.
#[derive(Debug)]
pub struct Outlook {
    /// How the sides share the time.
    pub arrangement: &'static str,
    /// How fast is sent, in words.
    pub rate: String,
    /// Rounds besides the discarded one.
    pub rounds: u32,
    /// Length of one, in nanoseconds.
    pub round_ns: u64,
    /// Length of what is sent first and discarded, in nanoseconds.
    pub warmup_ns: u64,
    /// After how many rounds the evidence is looked at.
    pub looks: Vec<u32>,
    /// What can be shown, by endpoint.
    pub prospects: Vec<Prospect>,
    /// What is tolerated.
    pub policy: Policy,
}

impl Outlook {
    /// When a look comes, in nanoseconds after the load began.
    fn at_ns(&self, rounds: u32) -> u64 {
        self.warmup_ns + u64::from(rounds) * self.round_ns
    }

    fn total_ns(&self) -> u64 {
        self.at_ns(self.rounds)
    }

    fn coverage(&self) -> f64 {
        let sum = |of: &dyn Fn(&Prospect) -> bool| -> f64 {
            let own = self.prospects.iter().filter(|it| of(it));
            own.map(|it| it.requests).sum()
        };
        let judged = sum(&|it| it.judged.contains(&Metric::P50));
        judged / sum(&|_| true).max(f64::MIN_POSITIVE)
    }

    /// How many gate metrics share alpha.
    fn members(&self) -> f64 {
        let gate = |it: &Prospect| {
            let own = it.judged.iter();
            let own = own.filter(|metric| self.policy.gate.has(&it.endpoint, **metric));
            own.count() as u64
        };
        let members = self.prospects.iter().map(gate).sum::<u64>();
        count(members.max(1))
    }

    /// The smallest true change that is found nine times in ten by the last look, for a spread of
    /// the per-round log ratios; as a relative change.
    fn found(&self, metric: Metric, sigma: f64) -> f64 {
        let effect = self.policy.minimum_effect.of("", metric).relative.ln_1p();
        let alpha = self.policy.alpha / self.members();
        detectable(self.rounds as usize, alpha, effect, sigma).exp_m1()
    }
}

/// The plan as text for people.
pub fn outlook_text(outlook: &Outlook) -> String {
    let looks: Vec<String> = outlook.looks.iter().map(ToString::to_string).collect();
    let first = outlook.looks.first().copied().unwrap_or(outlook.rounds);
    let mut text = format!(
        "Plan: {}, {}; nothing was sent\n\n  {} discarded, then {} rounds of {}; looks after {} \
         rounds:\n  an answer comes after {} to {}\n\n",
        outlook.arrangement,
        outlook.rate,
        elapsed(outlook.warmup_ns),
        outlook.rounds,
        elapsed(outlook.round_ns),
        looks.join(", "),
        elapsed(outlook.at_ns(first)),
        elapsed(outlook.total_ns()),
    );
    text += &endpoints(outlook);
    let _ = write!(
        text,
        "\nEndpoints with a judged latency carry {:.0} % of the requests; PASS needs {:.0} %.\n\n\
         The smallest change that is found nine times in ten, by the spread of the changes from \
         round\nto round (`proofload calibrate` measures it):\n\n",
        100.0 * outlook.coverage(),
        100.0 * COVERAGE
    );
    text += &changes(outlook);
    text
}

fn endpoints(outlook: &Outlook) -> String {
    let header = [
        ("endpoint", Align::Left),
        ("requests a round", Align::Right),
        ("fewest", Align::Right),
        ("judged", Align::Left),
        ("error tolerance shown", Align::Left),
    ];
    let mut table = Table::new(&header, 0);
    for it in &outlook.prospects {
        let judged: Vec<&str> = it.judged.iter().map(|metric| metric.name()).collect();
        let shown = it
            .errors_after
            .map_or("no: too few requests".to_owned(), |rounds| {
                format!("after {}", elapsed(outlook.at_ns(rounds)))
            });
        table.push(vec![
            printable(&it.endpoint),
            rounded(it.requests),
            rounded(it.fewest),
            judged.join(" "),
            shown,
        ]);
    }
    indented(&table)
}

fn changes(outlook: &Outlook) -> String {
    let header = [
        ("spread", Align::Right),
        ("p50", Align::Right),
        ("p99", Align::Right),
    ];
    let mut table = Table::new(&header, 0);
    let cell = |metric, sigma| format!("{} %", bare(outlook.found(metric, sigma)));
    for sigma in SPREADS {
        let spread = format!("{:.0} %", 100.0 * sigma);
        table.push(vec![
            spread,
            cell(Metric::P50, sigma),
            cell(Metric::P99, sigma),
        ]);
    }
    let margin = |metric| {
        let tolerance = outlook.policy.tolerance.of("", metric);
        share(tolerance.relative)
    };
    table.push(vec![
        "tolerated".to_owned(),
        margin(Metric::P50),
        margin(Metric::P99),
    ]);
    indented(&table)
}

fn indented(table: &Table) -> String {
    let lines = table.lines(&|_, _, cell| cell);
    lines
        .lines()
        .fold(String::new(), |text, line| text + "  " + line + "\n")
}

/// The plan as one JSON object.
pub fn outlook_json(outlook: &Outlook) -> String {
    let endpoint = |it: &Prospect| {
        json!({
            "endpoint": it.endpoint,
            "requests_per_round": it.requests,
            "fewest_per_round": it.fewest,
            "judged": it.judged.iter().map(|metric| metric.name()).collect::<Vec<_>>(),
            "errors_shown_after_rounds": it.errors_after,
        })
    };
    let found = |sigma: f64| {
        json!({
            "sigma": sigma,
            "p50": outlook.found(Metric::P50, sigma),
            "p99": outlook.found(Metric::P99, sigma),
        })
    };
    let object = json!({
        "schema": "proofload.plan.v1",
        "arrangement": outlook.arrangement,
        "rate": outlook.rate,
        "rounds": outlook.rounds,
        "round_s": seconds(outlook.round_ns),
        "warmup_s": seconds(outlook.warmup_ns),
        "total_s": seconds(outlook.total_ns()),
        "looks": outlook.looks,
        "coverage": outlook.coverage(),
        "endpoints": outlook.prospects.iter().map(endpoint).collect::<Vec<_>>(),
        "detectable": SPREADS.map(found),
    });
    let mut text = serde_json::to_string_pretty(&object).expect("text keys and finite numbers");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook() -> Outlook {
        let prospect = |endpoint: &str, requests, judged: &[Metric], errors_after| Prospect {
            endpoint: endpoint.to_owned(),
            requests,
            fewest: requests - 1.0,
            judged: judged.to_vec(),
            errors_after,
        };
        let all = [Metric::ErrorRate, Metric::P50, Metric::P99];
        Outlook {
            arrangement: "simultaneous",
            rate: "recorded arrivals".to_owned(),
            rounds: 12,
            round_ns: 4_200_000_000,
            warmup_ns: 4_200_000_000,
            looks: vec![8, 10, 12],
            prospects: vec![
                prospect("GET /a", 1_057.0, &all, Some(8)),
                prospect("GET /\u{1b}b", 40.0, &all[..1], None),
            ],
            policy: Policy::standard(1),
        }
    }

    #[test]
    fn a_plan_is_told_in_a_page() {
        insta::assert_snapshot!(outlook_text(&outlook()));
    }

    #[test]
    fn a_plan_for_machines_has_units_in_its_names() {
        let object: serde_json::Value = serde_json::from_str(&outlook_json(&outlook())).unwrap();
        assert_eq!(object["round_s"], 4.2);
        assert_eq!(
            object["endpoints"][1]["errors_shown_after_rounds"],
            serde_json::Value::Null
        );
        let found = object["detectable"][1]["p50"].as_f64().unwrap();
        // 1 % and 1.4 standard deviations of 3 %, four metrics sharing alpha among 12 rounds.
        assert!((0.04..0.06).contains(&found), "{found}");
    }
}
