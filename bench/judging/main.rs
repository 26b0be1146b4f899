//! How long judging takes: rounds of many endpoints, judged after each round as a run does it.
//!
//! ```text
//! cargo run --release --example judging
//! cargo run --release --example judging -- --endpoints 1000 --repetitions 3
//! ```
//!
//! No benchmark harness: one figure in hundreds of milliseconds needs no estimate of the cost of
//! reading a clock, and the least of a few repetitions is what the machine can do.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use clap::Parser;
use proofload::{
    compare::{
        Comparison, Design, Metric, Policy, RoundEvidence, Tables,
        evidence::{Figures, Reading},
        judge,
    },
    run::Side,
    units::{SECOND_NS, count},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rustix::time::{ClockId, clock_gettime};

/// Judges simulated rounds and prints the CPU time it took, all looks together
#[derive(Debug, Parser)]
#[command(name = "judging", max_term_width = 100)]
struct Args {
    /// Rounds of the plan
    #[arg(long, default_value_t = 40)]
    rounds: u32,
    /// Endpoints, each with every metric that there is
    #[arg(long, default_value_t = 100)]
    endpoints: u32,
    /// Of so many repetitions the least is what counts
    #[arg(long, default_value_t = 5)]
    repetitions: u32,
}

/// Requests of an endpoint per round and side: enough for every metric.
const REQUESTS: u64 = 10_000;
/// The noise of a log ratio, so that most metrics stay open for long.
const SIGMA: f64 = 0.08;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let names: Vec<String> = (0..args.endpoints)
        .map(|i| format!("GET /{i:04}"))
        .collect();
    let expected = names.iter().map(|name| (name.clone(), 1e4)).collect();
    let design = Design::new(args.rounds, true, expected);
    let policy = Policy::standard(30 * SECOND_NS);
    let tables = Tables::default();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let rounds: Vec<RoundEvidence> = (1..=args.rounds)
        .map(|round| evidence(round, &names, &mut rng))
        .collect();
    let judged = |n: usize| judge(&design, &policy, &tables, &rounds[..n]);
    let mut least = [f64::INFINITY; 2];
    let mut found = None;
    for _ in 0..args.repetitions.max(1) {
        let mut took = [0.0; 2];
        for n in 1..=rounds.len() {
            let before = cpu_s();
            found = Some(judged(n));
            let one = cpu_s() - before;
            took[0] += one;
            took[1] += if n >= 8 && n % 2 == 0 { one } else { 0.0 };
        }
        least = [least[0].min(took[0]), least[1].min(took[1])];
    }
    let changes = found.map_or(0, |it: Comparison| it.changes.len());
    writeln!(
        io::stdout(),
        "{} rounds x {} endpoints, {changes} metrics: {:.3} s of CPU after every round, {:.3} s of \
         that after 8, 10, …",
        args.rounds,
        args.endpoints,
        least[0],
        least[1]
    )?;
    Ok(())
}

/// CPU time of this process, which has one thread: other work on the machine does not count.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (whole, part) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    count(whole) + count(part) / 1e9
}

fn evidence(round: u32, names: &[String], rng: &mut ChaCha8Rng) -> RoundEvidence {
    let mut evidence = RoundEvidence {
        round,
        baseline_first: true,
        ..RoundEvidence::default()
    };
    for side in Side::BOTH {
        let each = names.iter().map(|name| (name.clone(), figures(rng)));
        let own = &mut evidence.sides[side.index()];
        own.endpoints = each.collect::<BTreeMap<_, _>>();
        own.workload = figures(rng);
    }
    evidence
}

fn figures(rng: &mut ChaCha8Rng) -> Figures {
    let mut read = |metric: Metric| {
        let z: f64 = StandardNormal.sample(rng);
        let value = 1e7 * (SIGMA * std::f64::consts::FRAC_1_SQRT_2 * z).exp();
        let width = value / 1e3;
        (metric != Metric::ErrorRate).then_some(Reading { value, width })
    };
    let readings = Metric::ALL.map(&mut read);
    let z: f64 = StandardNormal.sample(rng);
    let failures = if z > 0.0 { 12 } else { 8 };
    Figures {
        scheduled: REQUESTS,
        ok: REQUESTS - failures,
        failures,
        http_errors: failures,
        readings,
        ..Figures::default()
    }
}
