//! Whether the measurement can be trusted: which rounds are dropped and why, and what makes
//! the whole comparison INVALID (method.md 2.10 and the table there).
//!
//! Rounds are dropped whole, both sides, for reasons that do not look at the result; the one
//! question about the result is whether a side still answers at all.

use std::collections::BTreeMap;

use super::{
    Design, LOOK_FIRST, Metric, Policy, RoundEvidence, RoundsUsed, Warning,
    evidence::{SideEvidence, endpoints, share},
    freshness::freshness,
    steady,
};
use crate::{
    run::{Flaw, Side, Yardstick, is_spoilt},
    units::count,
};

/// How the cause of a baseline that is gone begins.
pub(super) const BASELINE_GONE: &str = "the baseline stopped answering";
/// A side that answers less than this share of at least so many requests is gone.
const GONE_SHARE: f64 = 0.99;
const GONE_REQUESTS: u64 = 20;
const HEALTHY_SHARE: f64 = 0.1;

/// What the generator of a round is held against.
fn yardstick(round: &RoundEvidence, design: &Design, policy: &Policy) -> Yardstick {
    Yardstick {
        fastest_p50_ns: fastest_p50(round),
        lag_difference_ns: smallest_effect_ns(round, policy) / 2.0,
        // A comparison always follows its schedule.
        open_loop: true,
        simultaneous: design.simultaneous,
    }
}

/// The smallest median of any endpoint on either side; 0 when there is none.
fn fastest_p50(round: &RoundEvidence) -> f64 {
    let sides = round.sides.iter();
    let medians = sides
        .flat_map(|side| side.endpoints.values())
        .filter_map(|figures| figures.reading(Metric::P50));
    let fastest = medians.map(|read| read.value).reduce(f64::min);
    fastest.unwrap_or(0.0)
}

/// The minimum effect on the median, in nanoseconds, of the endpoint where it is smallest.
fn smallest_effect_ns(round: &RoundEvidence, policy: &Policy) -> f64 {
    let baseline = round.side(Side::Baseline).endpoints.iter();
    let effects = baseline.filter_map(|(endpoint, figures)| {
        let margin = policy.minimum_effect.of(endpoint, Metric::P50);
        let p50 = figures.reading(Metric::P50)?.value;
        Some((margin.relative * p50).max(margin.floor))
    });
    effects.reduce(f64::min).unwrap_or(f64::INFINITY)
}

/// What can be judged, and what speaks against judging it.
#[derive(Debug, Default)]
pub(super) struct Validity<'a> {
    /// The rounds to judge, in order.
    pub(super) valid: Vec<&'a RoundEvidence>,
    pub(super) rounds: RoundsUsed,
    /// The dropped ones by number, each with the code of its reason.
    pub(super) dropped: BTreeMap<u32, &'static str>,
    pub(super) warnings: Vec<Warning>,
    /// Why the whole comparison is INVALID as it stands; empty when it is not.
    pub(super) causes: Vec<String>,
    /// Whether more rounds could not change that.
    pub(super) is_hopeless: bool,
    /// Whether the candidate stopped answering while the baseline was healthy.
    pub(super) is_unavailable: bool,
}

impl Validity<'_> {
    fn warn(&mut self, code: &str, text: String) {
        self.warnings.push(Warning {
            code: code.to_owned(),
            text,
        });
    }
}

/// Sorts the measured rounds into valid and dropped ones and applies the rest of the table.
pub(super) fn examine<'a>(
    design: &Design,
    policy: &Policy,
    rounds: &'a [RoundEvidence],
) -> Validity<'a> {
    let measured: Vec<&RoundEvidence> = rounds.iter().filter(|round| round.round > 0).collect();
    let mut validity = Validity {
        is_unavailable: is_gone(&measured, Side::Candidate) && !is_ill(&measured, Side::Baseline),
        ..Validity::default()
    };
    validity.rounds.planned = design.last_round();
    validity.rounds.measured = u32::try_from(measured.len()).unwrap_or(u32::MAX);
    sift(design, policy, &measured, &mut validity);
    if is_gone(&measured, Side::Baseline) {
        let cause = format!("{BASELINE_GONE}; repair it and measure again");
        validity.causes.push(cause);
        validity.is_hopeless = true;
    }
    check_drops(design, &mut validity);
    let before = validity.causes.len();
    check_load(&mut validity, rounds);
    check_answers(&mut validity);
    let steadiness = steady::check(design.simultaneous, rounds);
    validity.warnings.extend(steadiness.warnings);
    validity.causes.extend(steadiness.cause);
    // What was true of the first eight rounds will not go away in the rest.
    let lasts = validity.causes.len() > before && validity.rounds.valid >= LOOK_FIRST;
    validity.is_hopeless |= lasts;
    validity
}

/// Whether nearly nothing was answered in each of the last two rounds.
fn is_gone(measured: &[&RoundEvidence], side: Side) -> bool {
    let last = measured.iter().rev().take(2);
    let gone = |round: &&RoundEvidence| unanswered(round, side) >= GONE_SHARE;
    measured.len() >= 2 && last.clone().all(gone)
}

/// Whether a noticeable part was not answered in either of the last two rounds.
fn is_ill(measured: &[&RoundEvidence], side: Side) -> bool {
    let mut last = measured.iter().rev().take(2);
    last.any(|round| unanswered(round, side) > HEALTHY_SHARE)
}

/// The share of requests without an answer; 0 when there were too few to say.
fn unanswered(round: &RoundEvidence, side: Side) -> f64 {
    let evidence = round.side(side);
    let requests = evidence.sum(|figures| figures.ok + figures.failures);
    if requests < GONE_REQUESTS {
        return 0.0;
    }
    count(evidence.sum(|figures| figures.unanswered)) / count(requests)
}

/// Drops rounds, unless the drops follow the candidate: its load may then be their cause.
fn sift<'a>(
    design: &Design,
    policy: &Policy,
    measured: &[&'a RoundEvidence],
    validity: &mut Validity<'a>,
) {
    let flag = |round: &&RoundEvidence| {
        let by = yardstick(round, design, policy);
        let [a, b] = [&round.sides[0].health, &round.sides[1].health];
        let mut first = None;
        let mut sides = [false; 2];
        for flaw in Flaw::ALL {
            let shown = [
                flaw.is_shown(a, Some(b), &by),
                flaw.is_shown(b, Some(a), &by),
            ];
            if shown != [false; 2] {
                first = first.or(Some(flaw));
                sides = [sides[0] || shown[0], sides[1] || shown[1]];
            }
        }
        (first, sides)
    };
    let flags: Vec<_> = measured.iter().map(flag).collect();
    let only = |wanted: [bool; 2]| flags.iter().filter(|(_, sides)| *sides == wanted).count();
    let (baseline, candidate) = (only([true, false]), only([false, true]));
    let is_linked = at_least_by_chance(candidate, baseline + candidate) < 0.05;
    for (round, (flaw, sides)) in measured.iter().zip(&flags) {
        match flaw {
            Some(_) if is_linked && *sides == [false, true] => validity.valid.push(round),
            Some(named) => {
                let dropped = &mut validity.rounds.dropped;
                *dropped.entry(named.code().to_owned()).or_default() += 1;
                validity.dropped.insert(round.round, named.code());
            }
            None => validity.valid.push(round),
        }
    }
    validity.rounds.valid = u32::try_from(validity.valid.len()).unwrap_or(u32::MAX);
    if is_linked {
        let text = format!(
            "the generator was disturbed in {candidate} rounds on the candidate's side and in \
             {baseline} on the baseline's; the candidate's load may be the cause, so these \
             rounds were kept"
        );
        validity.warn("candidate_drops", text);
    }
}

/// `P(X ≥ k)` of n fair coins.
fn at_least_by_chance(k: usize, n: usize) -> f64 {
    let n32 = i32::try_from(n).unwrap_or(i32::MAX);
    let mut probability = 0.5_f64.powi(n32);
    let mut below = 0.0;
    for i in 0..k.min(n) {
        below += probability;
        probability *= count((n - i) as u64) / count(i as u64 + 1);
    }
    1.0 - below
}

fn check_drops(design: &Design, validity: &mut Validity) {
    let RoundsUsed {
        measured, valid, ..
    } = validity.rounds;
    let dropped: u32 = validity.rounds.dropped.values().sum();
    let reasons: Vec<String> = validity
        .rounds
        .dropped
        .iter()
        .map(|(code, n)| format!("{code} {n}"))
        .collect();
    let reasons = reasons.join(", ");
    let advice = Flaw::leading(&validity.rounds.dropped).map_or("", Flaw::advice);
    if is_spoilt(dropped, measured) {
        validity.causes.push(format!(
            "{dropped} of {measured} rounds were dropped for the generator's own state \
             ({reasons}): {advice}"
        ));
    } else if dropped > 0 && measured >= design.last_round() && valid < LOOK_FIRST {
        validity.causes.push(format!(
            "only {valid} of {measured} rounds are left ({reasons}); {LOOK_FIRST} are needed"
        ));
    }
    let most = design.last_round();
    validity.is_hopeless |= is_spoilt(dropped, most) || most.saturating_sub(dropped) < LOOK_FIRST;
}

/// Whether both sides were offered the same load, and how much the machine took from it.
fn check_load(validity: &mut Validity, rounds: &[RoundEvidence]) {
    let valid = &validity.valid;
    let those = |shows: fn(&RoundEvidence) -> bool| valid.iter().filter(|r| shows(r)).count();
    let at_cap = those(|round| round.sides.iter().all(|side| side.at_cap));
    let any = |shows: fn(&SideEvidence) -> bool| {
        let rounds = valid.iter().filter(|round| round.sides.iter().any(shows));
        rounds.count()
    };
    let disturbed = any(|side| side.health.is_robbed());
    let pressed = any(|side| side.health.is_pressed());
    let sum = |side: Side, endpoint: &str| -> u64 {
        let figures = valid
            .iter()
            .filter_map(|round| round.side(side).endpoints.get(endpoint));
        figures.map(|figures| figures.scheduled).sum()
    };
    let differs = |endpoint: &&str| {
        let [a, b] = Side::BOTH.map(|side| count(sum(side, endpoint)));
        (a - b).abs() > 0.01 * a.max(b)
    };
    let uneven: Vec<&str> = endpoints(rounds).into_iter().filter(differs).collect();
    if at_cap > 0 {
        let cause =
            format!("both sides reached the in-flight cap in {at_cap} rounds; lower the rate");
        validity.is_hopeless = true;
        validity.causes.push(cause);
    }
    if let Some(first) = uneven.first() {
        validity.causes.push(format!(
            "the sides were offered different numbers of requests of {} endpoints, {first} \
             among them; both must get the same schedule",
            uneven.len()
        ));
    }
    if disturbed > 0 {
        let text = format!(
            "the hypervisor gave more than 5 % of the CPU time to others in {disturbed} rounds; \
             both sides suffered alike, but the figures are noisier"
        );
        validity.warn("steal", text);
    }
    if pressed > 0 {
        let text = format!(
            "programs waited for a CPU of the generator's machine for most of the time in \
             {pressed} rounds; what is measured there is slowed down too"
        );
        validity.warn("cpu_pressure", text);
    }
}

/// Whether the services answered as the recording expects.
fn check_answers(validity: &mut Validity) {
    let valid = validity.valid.clone();
    let [limiter, again] = [
        Side::BOTH.map(|side| share(&valid, side, |f| f.throttled, |f| f.ok + f.failures)),
        Side::BOTH.map(|side| share(&valid, side, |f| f.retried, |f| f.ok + f.failures)),
    ];
    for side in Side::BOTH {
        let slowed = limiter[side.index()];
        if slowed > 0.005 {
            validity.causes.push(format!(
                "a limiter answered {:.1} % of the {}'s requests: the limiter was measured, not \
                 the service; lower the rate or lift the limit",
                100.0 * slowed,
                side.name()
            ));
        }
        let repeated = again[side.index()];
        if repeated > 0.001 {
            let text = format!(
                "{:.2} % of the {}'s requests were sent again because it had closed an idle \
                 connection; its keep-alive time-out may be too short",
                100.0 * repeated,
                side.name()
            );
            validity.warn("retries", text);
        }
    }
    let found = freshness(&valid);
    validity.causes.extend(found.causes);
    validity.warnings.extend(found.warnings);
}
