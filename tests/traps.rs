//! The failing-fast traps: fifty candidates that look faster because they fail, from slots to
//! every report. None of them passes, and nowhere is anything called faster.
//!
//! Whatever a candidate still answers well at the endpoint that is broken takes half the time.
//! `tests/live/traps.rs` sets some of them against the real binary.

use std::collections::{BTreeMap, BTreeSet};

use proofload::{
    compare::{
        Comparison, Design, Margins, Picture, Policy, Reason, RoundEvidence, Tables, Verdict, judge,
    },
    report::{FILES, Figures, Format, Place, Report, Style, Subject, Workload, render},
    run::{Class, ConnectionStats, EndpointStats, Group, Health, Side, Slot},
    units::{count, from_seconds},
};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

const ENDPOINTS: [(&str, f64, u64); 3] = [
    ("GET /a", 0.010, 1_000),
    ("GET /b", 0.015, 1_000),
    ("GET /rare", 0.020, 6),
];
const ROUNDS: u32 = 12;
const TIMEOUT_NS: u64 = 30_000_000_000;
const AT_ONCE_NS: u64 = 150_000;

/// Which requests of the broken endpoint a trap is set for.
#[derive(Clone, Copy)]
enum Which {
    /// The slowest part of each round.
    Slowest(f64),
    /// This share, by chance.
    Any(f64),
    /// This share in every so many-th round.
    Every(u32, f64),
    /// This share from a round on.
    From(u32, f64),
    /// This share up to a round.
    Until(u32, f64),
    /// Whole rows of requests, one after the other, at the end of a round.
    Rows(f64),
}

/// Where it is set.
#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// At the first endpoint.
    First,
    /// Everywhere.
    All,
    /// At the endpoint that has next to no requests.
    Rare,
}

struct Trap {
    name: String,
    class: Class,
    which: Which,
    place: Where,
    /// How long it takes until it has failed.
    after_ns: u64,
}

fn trap(name: &str, class: Class, which: Which) -> Trap {
    Trap {
        name: format!("{name}: {}", class.name()),
        class,
        which,
        place: Where::First,
        after_ns: AT_ONCE_NS,
    }
}

/// Every class that a target can be blamed for, as a way to lose the slowest answers at once.
fn losing_the_slowest() -> Vec<Trap> {
    let own = |class: &&Class| !class.is_ours() && **class != Class::Ok;
    let classes = Class::ALL.iter().filter(own);
    classes
        .map(|class| trap("its slowest 2 % end at once", *class, Which::Slowest(0.02)))
        .collect()
}

fn traps() -> Vec<Trap> {
    let mut all = losing_the_slowest();
    let five = Class::Http5xx;
    for share in [0.003, 0.01, 0.05, 0.3, 1.0] {
        let name = format!("{} % are 500 at once", share * 100.0);
        all.push(trap(&name, five, Which::Any(share)));
    }
    for share in [0.01, 0.03, 0.1, 0.3] {
        let hangs = trap(
            &format!("{} % time out", share * 100.0),
            Class::TotalTimeout,
            Which::Any(share),
        );
        all.push(Trap {
            after_ns: TIMEOUT_NS,
            ..hangs
        });
    }
    all.extend(at_one_endpoint());
    all.extend(at_some());
    all
}

fn at_one_endpoint() -> Vec<Trap> {
    let five = Class::Http5xx;
    vec![
        trap(
            "an empty 200 for a 201",
            Class::UnexpectedStatus,
            Which::Any(1.0),
        ),
        trap(
            "a cached error page",
            Class::UnexpectedStatus,
            Which::Any(0.4),
        ),
        trap(
            "not found from a cache",
            Class::Http4xx,
            Which::Every(2, 0.2),
        ),
        trap(
            "a limiter slows it down",
            Class::Throttled,
            Which::Any(0.05),
        ),
        trap(
            "a limiter that seldom shows",
            Class::Throttled,
            Which::Any(0.004),
        ),
        trap(
            "half of the answers are missing",
            Class::ClosedBeforeResponse,
            Which::Any(0.5),
        ),
        trap(
            "half of every body is missing",
            Class::TruncatedBody,
            Which::Any(0.5),
        ),
        trap("one burst", five, Which::Every(7, 0.4)),
        trap(
            "bursts of refusals",
            Class::ConnectRefused,
            Which::Every(3, 0.3),
        ),
        trap("bursts of resets", Class::WriteReset, Which::Every(4, 0.1)),
        trap("the end of each round", Class::H2Goaway, Which::Rows(0.03)),
        trap("it dies midway", Class::ConnectRefused, Which::From(7, 1.0)),
        trap(
            "it falls silent midway",
            Class::HeaderTimeout,
            Which::From(7, 1.0),
        ),
        trap("it gets worse and worse", five, Which::From(6, 0.2)),
        trap("it was broken at first", five, Which::Until(3, 0.3)),
    ]
}

fn at_some() -> Vec<Trap> {
    let five = Class::Http5xx;
    let set = |name: &str, class, which, place| Trap {
        place,
        ..trap(name, class, which)
    };
    vec![
        set(
            "the cap at every endpoint",
            Class::NotSentCap,
            Which::Any(0.05),
            Where::All,
        ),
        set(
            "the cap at half of one",
            Class::NotSentCap,
            Which::Any(0.5),
            Where::First,
        ),
        set(
            "one in a hundred everywhere",
            five,
            Which::Any(0.01),
            Where::All,
        ),
        set("everything everywhere", five, Which::Any(1.0), Where::All),
        set(
            "dead everywhere midway",
            Class::ConnectRefused,
            Which::From(6, 1.0),
            Where::All,
        ),
        set(
            "the slowest everywhere",
            Class::WriteReset,
            Which::Slowest(0.015),
            Where::All,
        ),
        set("the rare endpoint only", five, Which::Any(1.0), Where::Rare),
    ]
}

fn hits(which: Which, round: u32, (place, of): (u64, u64), rng: &mut ChaCha8Rng) -> bool {
    let part = count(place) / count(of);
    let luck = rng.random::<f64>();
    match which {
        Which::Slowest(share) => part > 1.0 - share,
        Which::Any(share) => luck < share,
        Which::Every(nth, share) => round.is_multiple_of(nth) && luck < share,
        Which::From(first, share) => round >= first && luck < share,
        Which::Until(last, share) => round <= last && luck < share,
        Which::Rows(share) => part > 0.5 && part <= 0.5 + share,
    }
}

fn endpoint(
    (index, round): (usize, u32),
    trap: Option<&Trap>,
    rng: &mut ChaCha8Rng,
) -> EndpointStats {
    let (_, median, requests) = ENDPOINTS[index];
    let place = [Where::First, Where::All, Where::Rare][index];
    let trap = trap.filter(|it| it.place == Where::All || it.place == place);
    let mut times: Vec<f64> = (0..requests)
        .map(|_| {
            let normal: f64 = StandardNormal.sample(rng);
            median * (0.3 * normal).exp()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let mut stats = EndpointStats {
        scheduled: requests,
        ..EndpointStats::default()
    };
    for (place, time) in (1..).zip(times) {
        let caught = trap.filter(|it| hits(it.which, round, (place, requests), rng));
        let class = caught.map_or(Class::Ok, |it| it.class);
        *stats.classes.entry(class).or_default() += 1;
        match (caught, trap) {
            (Some(it), _) if it.class.group() == Group::NotSent => {}
            (Some(it), _) => stats.failed.record(it.after_ns),
            (None, trap) => {
                let factor = if trap.is_some() { 0.5 } else { 1.0 };
                let ns = from_seconds(time * factor);
                stats.response.record(ns);
                stats.service.record(ns);
            }
        }
    }
    assert!(stats.is_conserved());
    stats
}

fn slot(round: u32, side: Side, trap: Option<&Trap>, rng: &mut ChaCha8Rng) -> Slot {
    let endpoints = ENDPOINTS.iter().enumerate();
    let endpoints = endpoints.map(|(index, (name, ..))| {
        let stats = endpoint((index, round), trap, rng);
        ((*name).to_owned(), stats)
    });
    let mut slot = Slot {
        round,
        position: 0,
        side,
        start_ns: 0,
        length_ns: 4_000_000_000,
        settle_ns: 0,
        medians_ns: Vec::new(),
        complete: true,
        endpoints: endpoints.collect(),
        connections: ConnectionStats::default(),
        health: Health::default(),
        resources: None,
    };
    (0..100).for_each(|_| slot.health.lag.record(60_000));
    slot
}

/// Every answer on the way to the last one: a comparison may be stopped at any look.
fn compare(trap: Option<&Trap>, seed: u64) -> Vec<Comparison> {
    let expected = ENDPOINTS.iter();
    let expected = expected.map(|(name, _, n)| ((*name).to_owned(), count(*n)));
    let design = Design::new(ROUNDS, true, expected.collect::<BTreeMap<_, _>>());
    let policy = Policy {
        tolerance: Margins::tolerance().with(&["p99=25%".parse().expect("a margin")]),
        ..Policy::standard(TIMEOUT_NS)
    };
    let tables = Tables::default();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rounds = Vec::new();
    let mut all = Vec::new();
    for round in 1..=ROUNDS {
        let slots = [
            slot(round, Side::Baseline, None, &mut rng),
            slot(round, Side::Candidate, trap, &mut rng),
        ];
        rounds.push(RoundEvidence::from_slots(round, &slots, &policy).expect("both sides"));
        let found = judge(&design, &policy, &tables, &rounds);
        let decided = found.decided;
        all.push(found);
        if decided {
            break;
        }
    }
    all
}

fn report(comparison: Comparison) -> Report {
    let place = || Place {
        label: "http://127.0.0.1:1".to_owned(),
        ..Place::default()
    };
    Report {
        subject: Subject {
            title: "trap".to_owned(),
            version: "0".to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            elapsed_ns: 1,
            baseline: place(),
            candidate: place(),
            workload: Workload {
                source: "w.jsonl".to_owned(),
                requests: 1,
                duration_ns: 1,
                digest: String::new(),
                recorded_at: None,
                recorded: BTreeMap::new(),
            },
            arrangement: "simultaneous".to_owned(),
            rate: "constant".to_owned(),
            seed: 1,
            configuration: serde_json::Value::Null,
            command: String::new(),
            exit_code: 10,
            expires_at: None,
            notes: Vec::new(),
        },
        comparison,
        totals: Figures::default(),
        picture: Picture::default(),
    }
}

#[test]
fn no_trap_passes_and_none_is_called_faster_in_any_report() {
    let traps = traps();
    assert!(traps.len() >= 50, "{}", traps.len());
    let names: BTreeSet<&str> = traps.iter().map(|trap| trap.name.as_str()).collect();
    assert_eq!(names.len(), traps.len(), "each trap is another one");
    let mut verdicts = BTreeMap::new();
    for (trap, seed) in traps.iter().zip(0..) {
        let all = compare(Some(trap), seed);
        for found in &all {
            assert_ne!(found.verdict, Verdict::Pass, "{}", trap.name);
            for change in &found.changes {
                let broken = change.endpoint == "GET /a" || trap.place != Where::First;
                assert!(
                    change.reason != Reason::Improved || !broken,
                    "{}: {change:?}",
                    trap.name
                );
            }
        }
        let last = all.into_iter().last().expect("a round was judged");
        *verdicts.entry(format!("{:?}", last.verdict)).or_insert(0) += 1;
        let report = report(last);
        let formats = FILES.into_iter().map(|(_, format)| format);
        for format in formats.chain([Format::Text]) {
            let text = render(&report, format, Style::default()).to_lowercase();
            for word in ["faster", "improved"] {
                assert!(!text.contains(word), "{}: {format:?}: {word}", trap.name);
            }
        }
    }
    // Most are regressions. What is a limiter's is no measurement, and one burst proves nothing.
    let regressed = verdicts.get("Regressed").copied().unwrap_or(0);
    assert!(regressed * 10 >= traps.len() * 8, "{verdicts:?}");
}

#[test]
fn a_candidate_without_a_trap_passes_so_that_they_are_what_fails_it() {
    for seed in 0..5 {
        let last = compare(None, seed).pop().expect("a round was judged");
        assert_eq!(last.verdict, Verdict::Pass, "{:?}", last.causes);
    }
}
