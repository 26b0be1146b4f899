//! Whether the measurement can be trusted: which rounds are dropped and why, and what makes
//! the whole comparison INVALID (method.md 2.10 and the table there).
//!
//! Rounds are dropped whole, both sides, for reasons that do not look at the result; the one
//! question about the result is whether a side still answers at all.

use super::{
    Design, Metric, Policy, RoundEvidence, RoundsUsed, Warning,
    evidence::{SideEvidence, endpoints, share},
};
use crate::{
    run::{Class, Side},
    units::count,
};

const LAG_NS: f64 = 1e6;
const LAG_SHARE_OF_P50: f64 = 0.05;
const CPU_SHARE: f64 = 0.8;
const STALL_NS: u64 = 250_000_000;
/// More than slewing does in the longest slot.
const CLOCK_STEP_NS: u64 = 50_000_000;
const STEAL_SHARE: f64 = 0.05;
/// INVALID when more than one round in so many was dropped.
const DROPPED_ONE_IN: u32 = 5;
/// A side that answers less than this share of at least so many requests is gone.
const GONE_SHARE: f64 = 0.99;
const GONE_REQUESTS: u64 = 20;
const HEALTHY_SHARE: f64 = 0.1;

/// Why a round is dropped, in the order of precedence. The codes are a contract of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drop {
    SendLag,
    LagDiffers,
    NotSentLate,
    LocalPorts,
    LocalFds,
    LocalOther,
    Cpu,
    Stall,
    ClockStep,
    Steal,
}

impl Drop {
    const ALL: [(Self, &'static str); 10] = [
        (Self::SendLag, "send_lag"),
        (Self::LagDiffers, "lag_differs"),
        (Self::NotSentLate, "not_sent_late"),
        (Self::LocalPorts, "local_ports"),
        (Self::LocalFds, "local_fds"),
        (Self::LocalOther, "local_other"),
        (Self::Cpu, "cpu"),
        (Self::Stall, "stall"),
        (Self::ClockStep, "clock_step"),
        (Self::Steal, "steal"),
    ];

    /// Which sides' slots show it, the baseline first.
    fn shown_by(self, round: &RoundEvidence, design: &Design, policy: &Policy) -> [bool; 2] {
        let each = |shows: &dyn Fn(&SideEvidence) -> bool| {
            [shows(&round.sides[0]), shows(&round.sides[1])]
        };
        let ours = |class| each(&|side| side.health.ours.get(&class).is_some_and(|n| *n > 0));
        match self {
            Self::SendLag => {
                let limit = LAG_NS.max(LAG_SHARE_OF_P50 * fastest_p50(round));
                each(&|side| side.health.lag_p99_ns > limit)
            }
            Self::LagDiffers => {
                let limit = smallest_effect_ns(round, policy) / 2.0;
                let [a, b] = [&round.sides[0], &round.sides[1]].map(|s| s.health.lag_p50_ns);
                [a - b > limit, b - a > limit]
            }
            Self::NotSentLate => ours(Class::NotSentLate),
            Self::LocalPorts => ours(Class::LocalPorts),
            Self::LocalFds => ours(Class::LocalFds),
            Self::LocalOther => ours(Class::LocalOther),
            Self::Cpu => each(&|side| side.health.cpu_share > CPU_SHARE),
            Self::Stall => each(&|side| side.health.stall_ns > STALL_NS),
            Self::ClockStep => each(&|side| side.health.wall_step_ns > CLOCK_STEP_NS),
            // In a simultaneous window both sides suffer alike: a warning, further down.
            Self::Steal => {
                each(&|side| !design.simultaneous && side.health.steal_share > STEAL_SHARE)
            }
        }
    }
}

/// The smallest median of any endpoint on either side; 0 when there is none.
fn fastest_p50(round: &RoundEvidence) -> f64 {
    let sides = round.sides.iter();
    let medians = sides
        .flat_map(|side| side.endpoints.values())
        .filter_map(|figures| figures.reading(Metric::P50));
    let fastest = medians.map(|read| read.value_ns).reduce(f64::min);
    fastest.unwrap_or(0.0)
}

/// The minimum effect on the median, in nanoseconds, of the endpoint where it is smallest.
fn smallest_effect_ns(round: &RoundEvidence, policy: &Policy) -> f64 {
    let baseline = round.side(Side::Baseline).endpoints.iter();
    let effects = baseline.filter_map(|(endpoint, figures)| {
        let margin = policy.minimum_effect.of(endpoint, Metric::P50);
        let p50 = figures.reading(Metric::P50)?.value_ns;
        Some((margin.relative * p50).max(margin.floor_ns))
    });
    effects.reduce(f64::min).unwrap_or(f64::INFINITY)
}

/// The most rounds that are measured when some are dropped: a fifth more than planned.
pub fn most_rounds(design: &Design) -> u32 {
    design.rounds_max.saturating_add(design.rounds_max / 5)
}

/// What can be judged, and what speaks against judging it.
#[derive(Debug, Default)]
pub(super) struct Validity<'a> {
    /// The rounds to judge, in order.
    pub(super) valid: Vec<&'a RoundEvidence>,
    pub(super) rounds: RoundsUsed,
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
    validity.rounds.planned = design.rounds_max;
    validity.rounds.measured = u32::try_from(measured.len()).unwrap_or(u32::MAX);
    sift(design, policy, &measured, &mut validity);
    if is_gone(&measured, Side::Baseline) {
        let cause = "the baseline stopped answering; repair it and measure again";
        validity.causes.push(cause.to_owned());
        validity.is_hopeless = true;
    }
    check_drops(design, &mut validity);
    let before = validity.causes.len();
    check_load(&mut validity, rounds);
    check_answers(&mut validity);
    // What was true of the first eight rounds will not go away in the rest.
    let first_look = design.looks.first().copied().unwrap_or(0);
    let lasts = validity.causes.len() > before && validity.rounds.valid >= first_look;
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
        let mut code = None;
        let mut sides = [false; 2];
        for (drop, name) in Drop::ALL {
            let shown = drop.shown_by(round, design, policy);
            if shown != [false; 2] {
                code = code.or(Some(name));
                sides = [sides[0] || shown[0], sides[1] || shown[1]];
            }
        }
        (code, sides)
    };
    let flags: Vec<_> = measured.iter().map(flag).collect();
    let only = |wanted: [bool; 2]| flags.iter().filter(|(_, sides)| *sides == wanted).count();
    let (baseline, candidate) = (only([true, false]), only([false, true]));
    let is_linked = at_least_by_chance(candidate, baseline + candidate) < 0.05;
    for (round, (code, sides)) in measured.iter().zip(&flags) {
        match code {
            Some(_) if is_linked && *sides == [false, true] => validity.valid.push(round),
            Some(code) => {
                let dropped = &mut validity.rounds.dropped;
                *dropped.entry((*code).to_owned()).or_default() += 1;
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
    let first_look = design.looks.first().copied().unwrap_or(design.rounds_max);
    let too_many = |of: u32| dropped.saturating_mul(DROPPED_ONE_IN) > of;
    let reasons: Vec<String> = validity
        .rounds
        .dropped
        .iter()
        .map(|(code, n)| format!("{code} {n}"))
        .collect();
    let reasons = reasons.join(", ");
    if too_many(measured) {
        validity.causes.push(format!(
            "{dropped} of {measured} rounds were dropped ({reasons}); use a quieter machine or a \
             lower rate"
        ));
    } else if dropped > 0 && measured >= design.rounds_max && valid < first_look {
        validity.causes.push(format!(
            "only {valid} of {measured} rounds are left ({reasons}); {first_look} are needed"
        ));
    }
    let most = most_rounds(design);
    validity.is_hopeless |= too_many(most) || most.saturating_sub(dropped) < first_look;
}

/// Whether both sides were offered the same load, and how much the machine took from it.
fn check_load(validity: &mut Validity, rounds: &[RoundEvidence]) {
    let valid = &validity.valid;
    let those = |shows: fn(&RoundEvidence) -> bool| valid.iter().filter(|r| shows(r)).count();
    let at_cap = those(|round| round.sides.iter().all(|side| side.health.at_cap));
    let steals = |side: &SideEvidence| side.health.steal_share > STEAL_SHARE;
    let disturbed = valid.iter().filter(|r| r.sides.iter().any(steals)).count();
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
    let differs = share(
        &valid,
        Side::Baseline,
        |figures| figures.http_errors,
        |figures| figures.ok + figures.http_errors,
    );
    let text = format!(
        "the baseline answers {:.1} % of the requests with another status than recorded",
        100.0 * differs
    );
    if differs > 0.2 {
        let cause = format!("{text}: the recording no longer fits; record again");
        validity.causes.push(cause);
    } else if differs > 0.05 {
        let text = format!("{text}; the recording may be getting old");
        validity.warn("baseline_statuses", text);
    }
}
