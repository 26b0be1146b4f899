//! The rows of the table, in its order.

use super::{
    model::{
        noise::Noise,
        world::{Effect, Scene},
    },
    rows::{Plan, Row, Section},
};

/// The families: endpoints with the gate metrics of each.
const FAMILIES: [u32; 3] = [1, 5, 20];
/// Disturbances that any arrangement meets.
const NOISES: [Noise; 10] = [
    Noise::None,
    Noise::Correlated,
    Noise::Neighbour,
    Noise::Drift,
    Noise::Walk,
    Noise::Cron,
    Noise::Bursts,
    Noise::HeavyTails,
    Noise::LateRounds,
    Noise::OwnSlow,
];
/// What one endpoint of the candidate does worse, in units of its tolerances (5 % and 10 %).
const CHANGES: [(&str, Effect); 8] = [
    ("p50 +5 % (its tolerance)", slower(0.05, 0.0)),
    ("p50 +10 %", slower(0.10, 0.0)),
    ("p99 +20 %", slower(0.0, 0.20)),
    ("p50 +5 %, p99 +10 % (tolerances)", slower(0.05, 0.10)),
    ("p50 +10 %, p99 +20 %", slower(0.10, 0.20)),
    (
        "1 % of requests take 5 times as long",
        Effect {
            rare: 0.01,
            ..Effect::NONE
        },
    ),
    (
        "failures ×3 (0.05 to 0.15 %)",
        Effect {
            failures: 3.0,
            ..Effect::NONE
        },
    ),
    (
        "the slowest 2 % fail at once",
        Effect {
            fail_fast: 0.02,
            ..Effect::NONE
        },
    ),
];

const fn slower(body: f64, tail: f64) -> Effect {
    Effect {
        body,
        tail,
        ..Effect::NONE
    }
}

/// Requests of each endpoint per round and side, whatever the plan.
const REQUESTS: u64 = 2_000;
/// As many as 250/s are in a window of the shortest plan.
const REQUESTS_OF_A_MINUTE: u64 = 1_057;

/// The standard deviation of a log ratio for which a plan of about 24 rounds is right when the
/// tolerance is 5 %: `ln(1.05)/0.68`.
const PLANNED_SIGMA: f64 = 0.0717;

/// All rows; a row keeps its seeds when others are left out.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    equal(&mut rows);
    changed(&mut rows);
    pilot(&mut rows);
    rivals(&mut rows);
    rows
}

fn add(rows: &mut Vec<Row>, section: Section, plan: Plan, scene: Scene, change: &str) {
    let place = rows.len() as u64;
    rows.push(Row::new(section, plan, scene, change, place));
}

fn scene(endpoints: u32, noise: Noise, effect: Effect) -> Scene {
    Scene {
        endpoints,
        requests: REQUESTS,
        noise,
        effect,
    }
}

fn equal(rows: &mut Vec<Row>) {
    let mut add = |plan, endpoints, noise| {
        let scene = scene(endpoints, noise, Effect::NONE);
        add(rows, Section::Equal, plan, scene, "");
    };
    for endpoints in FAMILIES {
        for noise in NOISES {
            add(Plan::FiveMinutes, endpoints, noise);
        }
    }
    for noise in NOISES.into_iter().chain([Noise::Order]) {
        add(Plan::TwentyMinutes, 5, noise);
    }
    for endpoints in [1, 20] {
        for noise in [Noise::Correlated, Noise::Order] {
            add(Plan::TwentyMinutes, endpoints, noise);
        }
    }
    for endpoints in FAMILIES {
        add(Plan::Minute, endpoints, Noise::Correlated);
    }
}

fn changed(rows: &mut Vec<Row>) {
    let plans = FAMILIES.map(|endpoints| (Plan::FiveMinutes, endpoints));
    for (plan, endpoints) in plans.into_iter().chain([(Plan::TwentyMinutes, 5)]) {
        for (change, effect) in CHANGES {
            let scene = scene(endpoints, Noise::Correlated, effect);
            add(rows, Section::Changed, plan, scene, change);
        }
    }
    for (change, effect) in [
        ("p50 and p99 +10 %", slower(0.1, 0.1)),
        ("p50 and p99 +20 %", slower(0.2, 0.2)),
    ] {
        let scene = Scene {
            requests: REQUESTS_OF_A_MINUTE,
            ..scene(5, Noise::Correlated, effect)
        };
        add(rows, Section::Changed, Plan::Minute, scene, change);
    }
}

/// The margin of the median is then one tolerance wide, as in the simulations of the method.
fn pilot(rows: &mut Vec<Row>) {
    for factor in [0.5, 1.0, 1.5] {
        for (change, size) in [("none", 0.0), ("p50 +2.5 %", 0.025), ("p50 +5 %", 0.05)] {
            let effect = slower(size, size);
            let scene = scene(1, Noise::White(factor * PLANNED_SIGMA), effect);
            add(rows, Section::Pilot, Plan::Longest, scene, change);
        }
    }
}

fn rivals(rows: &mut Vec<Row>) {
    for noise in [
        Noise::None,
        Noise::Correlated,
        Noise::Neighbour,
        Noise::Drift,
        Noise::Walk,
        Noise::Cron,
        Noise::Bursts,
        Noise::HeavyTails,
    ] {
        let scene = scene(5, noise, Effect::NONE);
        add(rows, Section::Rivals, Plan::FiveMinutes, scene, "none");
    }
    for (change, effect) in CHANGES {
        let scene = scene(5, Noise::Correlated, effect);
        add(rows, Section::Rivals, Plan::FiveMinutes, scene, change);
    }
}
