//! The verdict: rounds in, comparison out (method.md 2.7).
//!
//! All looks are recomputed from the valid rounds each time, so that the same rounds always
//! give the same answer, during the run or years later from its file.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Comparison, Design, Metric, Policy, Reason, RoundEvidence, Status, Tables, Verdict,
    Warning, answers, causes,
    change::Frame,
    course::looks,
    evidence::endpoints,
    judged::{Judged, Members},
    paired::welch,
    planning::{is_required, rounds_enough},
    sequence::{Decision, Outcome},
    spending::Look,
    track::Track,
    validity::{BASELINE_GONE, Validity, examine},
};
use crate::run::{Side, WORKLOAD};

mod apart;

pub use apart::{NOT_TOGETHER, design_apart, design_measured, judge_apart};

/// PASS needs endpoints with a judged latency to carry this share of the requests.
const COVERAGE: f64 = 0.8;
/// Nobody gives up before this many valid rounds (method.md 2.7).
const FUTILITY_FIRST: usize = 12;
/// A difference between the two orders of slots is worth a warning from this t.
const ORDER_T: f64 = 3.5;

/// Judges all rounds measured so far. Cannot fail; looks that are not reached yet are not
/// used.
pub fn judge(
    design: &Design,
    policy: &Policy,
    tables: &Tables,
    rounds: &[RoundEvidence],
) -> Comparison {
    judge_beside(design, policy, tables, rounds, None)
}

/// All of it was there before the first look.
fn one_look(valid: usize) -> Vec<Look> {
    let rounds = u32::try_from(valid.max(1)).unwrap_or(u32::MAX);
    vec![Look { rounds, spent: 1.0 }]
}

/// Judges, with earlier runs of the baseline where the sides were not measured together.
fn judge_beside(
    design: &Design,
    policy: &Policy,
    tables: &Tables,
    rounds: &[RoundEvidence],
    earlier: Option<&[Vec<&RoundEvidence>]>,
) -> Comparison {
    let mut validity = examine(design, policy, rounds);
    let names: BTreeSet<&str> = design.expected.keys().map(String::as_str).collect();
    let names: Vec<&str> = names.union(&endpoints(rounds)).copied().collect();
    let gate = Members::of(design, policy, (&validity.valid, earlier), (&names, true));
    let shown = Members::of(design, policy, (&validity.valid, earlier), (&names, false));
    let enough = design
        .enough
        .or_else(|| rounds_enough(design, policy, &gate.tracks));
    let valid = validity.valid.len();
    let last = rounds.last().map(|it: &RoundEvidence| it.round);
    let looks = match earlier {
        None => looks(design, &validity.valid, last, enough),
        Some(_) => one_look(valid),
    };
    let boundaries = tables.of(looks);
    let reached = boundaries.looks();
    let reached = reached.partition_point(|look| look.rounds as usize <= valid);
    let frame = Frame {
        design,
        policy,
        boundaries: &boundaries,
        valid,
        reached,
        earlier,
    };
    let gate = Judged::of(&frame, gate);
    let shown = Judged::of(&frame, shown);
    let order = order_warnings(&frame, &validity.valid, &gate);
    let mut changes = gate.changes(&frame);
    changes.extend(shown.changes(&frame));
    block_by_errors(&mut changes);
    excuse(&frame, &mut changes);
    if validity.is_unavailable {
        mark_unavailable(&mut changes);
    }
    let coverage = coverage(design, &changes);
    let verdict = verdict(&frame, &validity, &changes, coverage);
    let look = frame.reached.checked_sub(1);
    let judged = look.map_or(0, |look| frame.rounds_at(look));
    validity.rounds.judged = u32::try_from(judged).unwrap_or(u32::MAX);
    let seen = &validity.valid[..judged];
    let answers = answers::warnings(policy, &names, seen, &changes);
    let causes = match verdict {
        Verdict::Invalid if !validity.causes.is_empty() => validity.causes.clone(),
        Verdict::Invalid | Verdict::Inconclusive => {
            causes::list(&frame, &changes, coverage < COVERAGE)
        }
        Verdict::Pass | Verdict::Regressed => Vec::new(),
    };
    changes.sort_by(worst_first);
    let is_over = last.is_some_and(|round| round >= design.last_round());
    Comparison {
        verdict,
        causes,
        decided: is_over || is_decided(&frame, &validity, &gate),
        changes,
        coverage,
        warnings: validity
            .warnings
            .into_iter()
            .chain(order)
            .chain(answers)
            .collect(),
        rounds: validity.rounds,
    }
}

/// No other metric passes, and none is called improved, where the errors do not pass.
fn block_by_errors(changes: &mut [Change]) {
    let is_errors = |change: &Change| change.metric == Metric::ErrorRate && change.limit.is_none();
    let errors = || changes.iter().filter(|change| is_errors(change));
    let mut sound: BTreeSet<String> = errors()
        .filter(|change| change.status == Status::Pass)
        .map(|change| change.endpoint.clone())
        .collect();
    // Where the whole is one endpoint, its errors are judged there.
    if errors().all(|change| change.status == Status::Pass) {
        sound.insert(WORKLOAD.to_owned());
    }
    for change in changes {
        let passes = change.metric != Metric::ErrorRate && change.status == Status::Pass;
        if passes && !sound.contains(&change.endpoint) {
            change.status = Status::Inconclusive;
            change.reason = Reason::BlockedByErrors;
        }
    }
}

/// What can fail the gate but not hold it up is not called open. That is the error rate of an
/// endpoint without a judged latency: a recording's rare endpoints would otherwise keep every
/// comparison open for ever, and the coverage rule already bounds what they may carry
/// (docs/decisions/0006). And it is a quantile of the whole workload: where it lies between the
/// times of two endpoints it jumps, and each of them is judged by itself.
fn excuse(frame: &Frame, changes: &mut [Change]) {
    for change in changes {
        let open = [Status::Inconclusive, Status::Invalid].contains(&change.status);
        if change.gate && open && !waits_for(frame, change) {
            change.status = Status::NotJudged;
            change.reason = match change.endpoint.as_str() {
                WORKLOAD => Reason::Unneeded,
                _ => Reason::TooFewRequests,
            };
        }
    }
}

/// Whether PASS waits for this gate metric.
fn waits_for(frame: &Frame, change: &Change) -> bool {
    let member = (change.metric, change.limit.is_some());
    is_required(frame.design, frame.policy, &change.endpoint, member)
}

fn mark_unavailable(changes: &mut [Change]) {
    let errors = changes
        .iter_mut()
        .filter(|change| change.gate && change.metric == Metric::ErrorRate);
    for change in errors {
        change.status = Status::Regressed;
        change.reason = Reason::Unavailable;
    }
}

/// What a judgement becomes when a side has died in the middle of the load, which its rounds need
/// not show yet. `said` names the side and the instant.
pub fn judge_death(
    mut comparison: Comparison,
    side: Side,
    other_is_healthy: bool,
    said: &str,
) -> Comparison {
    comparison.decided = true;
    if side == Side::Candidate && other_is_healthy {
        mark_unavailable(&mut comparison.changes);
        comparison.changes.sort_by(worst_first);
        comparison.verdict = Verdict::Regressed;
        comparison.causes.clear();
    } else {
        comparison.verdict = Verdict::Invalid;
        // The instant says more than the rounds did.
        comparison
            .causes
            .retain(|cause| !cause.starts_with(BASELINE_GONE));
        let cause = if other_is_healthy {
            format!("{said}; repair it and measure again")
        } else {
            let other = side.other().name();
            format!("{said}, and the {other} was not healthy either; repair both")
        };
        comparison.causes.insert(0, cause);
    }
    comparison
}

/// What a judgement becomes when a side was not answering just when enough was known: too short
/// to be called dead, but no PASS. `said` names the side and the instant.
pub fn judge_failing(mut comparison: Comparison, said: &str) -> Comparison {
    if comparison.verdict == Verdict::Pass {
        comparison.verdict = Verdict::Inconclusive;
        comparison
            .causes
            .insert(0, format!("{said}; measure again"));
    }
    comparison
}

/// The share of the planned requests that belongs to endpoints whose median was judged.
fn coverage(design: &Design, changes: &[Change]) -> f64 {
    let is_judged = |change: &&Change| {
        let own = change.endpoint != WORKLOAD && change.limit.is_none();
        own && change.metric == Metric::P50 && change.status != Status::NotJudged
    };
    let judged = changes.iter().filter(is_judged);
    let covered: f64 = judged.map(|change| change.requests_per_round).sum();
    let total: f64 = design.expected.values().sum();
    if total > 0.0 {
        (covered / total).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

/// The answer for the whole; the order of the lines is the order of precedence.
fn verdict(frame: &Frame, validity: &Validity, changes: &[Change], coverage: f64) -> Verdict {
    let gate = || changes.iter().filter(|change| change.gate);
    let required = || gate().filter(|change| waits_for(frame, change));
    let any = |status| gate().any(|change| change.status == status);
    if validity.is_unavailable {
        Verdict::Regressed
    } else if !validity.causes.is_empty() {
        Verdict::Invalid
    } else if any(Status::Regressed) {
        Verdict::Regressed
    } else if any(Status::Invalid) {
        Verdict::Invalid
    } else if coverage >= COVERAGE && required().all(|change| change.status == Status::Pass) {
        Verdict::Pass
    } else {
        Verdict::Inconclusive
    }
}

/// Whether the run may stop: nothing is open, or something regressed and one more look has
/// named what else is bad, or there is nothing more to learn.
fn is_decided(frame: &Frame, validity: &Validity, gate: &Judged) -> bool {
    if validity.is_unavailable || validity.is_hopeless {
        return true;
    }
    let regressed = |decision| match decision {
        Decision::Regressed(look) => Some(look),
        Decision::Open | Decision::Pass(_) => None,
    };
    let decisions = || gate.each().map(|(_, outcome)| outcome.decision);
    let confirmed = decisions()
        .filter_map(regressed)
        .any(|look| frame.reached > look + 1);
    let open = || {
        let required = gate.each().filter(|(track, outcome)| {
            let member = (track.metric, track.limit.is_some());
            let waits = is_required(frame.design, frame.policy, &track.endpoint, member);
            waits && outcome.decision == Decision::Open
        });
        required.map(|(track, _)| track)
    };
    let settled = open().next().is_none();
    // A comparison that is INVALID as it stands may still recover by more rounds.
    validity.causes.is_empty() && (confirmed || settled || open().all(|it| is_futile(frame, it)))
}

/// Whether the rest of the session is unlikely to decide a metric either way: at its end the
/// interval would still be wider than the zone between the margins (method.md 2.7), and wherever
/// the estimate stands now, neither decision is within its reach. Not binding: whoever goes on
/// pays nothing for it.
fn is_futile(frame: &Frame, track: &Track) -> bool {
    let looks = frame.boundaries.looks();
    let (Some(now), Some(end)) = (frame.reached.checked_sub(1), looks.last()) else {
        return false;
    };
    let rounds = frame.rounds_at(now);
    let left = end.rounds as usize > rounds;
    let Some(estimate) = track.after(rounds, frame.policy) else {
        return false;
    };
    let critical = frame
        .boundaries
        .critical(looks.len() - 1, frame.policy.alpha);
    let reach = critical * estimate.sigma() / f64::from(end.rounds).sqrt();
    let (effect, tolerance) = (estimate.effect, estimate.tolerance);
    let centre = estimate.interval(0.5).estimate;
    let undecided = centre - effect < reach && tolerance - centre < reach;
    left && rounds >= FUTILITY_FIRST && reach > tolerance - effect && undecided
}

/// Whether rounds that began with the baseline differ from those that began with the
/// candidate; both are equally likely, so this warns and does not judge (method.md 2.10).
fn order_warnings(frame: &Frame, rounds: &[&RoundEvidence], gate: &Judged) -> Vec<Warning> {
    if frame.design.simultaneous {
        return Vec::new();
    }
    let first: BTreeMap<u32, bool> = rounds
        .iter()
        .map(|round| (round.round, round.baseline_first))
        .collect();
    let warning = |(track, _): (&Track, Outcome)| {
        // A limit has no other side.
        if track.limit.is_some() {
            return None;
        }
        let began = |with: bool| track.series_where(|round| first.get(&round) == Some(&with));
        let t = welch(&began(true), &began(false))?;
        (t.abs() > ORDER_T).then(|| Warning {
            code: "order_effect".to_owned(),
            text: format!(
                "{} {}: the result depends on which side goes first (t = {t:.1}); both orders \
                 are used equally, so the verdict stands, but the slots influence each other",
                track.endpoint,
                track.metric.name()
            ),
        })
    };
    gate.each().filter_map(warning).collect()
}

/// Gate metrics first, the worst first; ties in the order of names.
fn worst_first(a: &Change, b: &Change) -> std::cmp::Ordering {
    let rank = |change: &Change| match change.status {
        Status::Regressed => 0,
        Status::Invalid => 1,
        Status::Inconclusive => 2,
        Status::Pass => 3,
        Status::NotJudged => 4,
    };
    // In units of the tolerance, so that errors and times can stand in one order.
    let size = |change: &Change| {
        let interval = change.change?;
        Some(interval.estimate / change.unit())
    };
    let largest = |change: &Change| size(change).unwrap_or(f64::NEG_INFINITY);
    b.gate
        .cmp(&a.gate)
        .then(rank(a).cmp(&rank(b)))
        .then(largest(b).total_cmp(&largest(a)))
        .then_with(|| a.endpoint.cmp(&b.endpoint))
        .then(a.metric.cmp(&b.metric))
        .then(a.limit.is_some().cmp(&b.limit.is_some()))
}

#[cfg(test)]
mod tests;
