//! From the estimate and the decision of one metric to what is shown of it: status, reason,
//! interval, and what the rounds could have detected (method.md 2.7).

use super::{
    Boundaries, Change, Design, Interval, Margins, Metric, Policy, Reason, RoundEvidence, Status,
    detectable::rounds_needed,
    distribution::normal_tail,
    paired::{hodges_lehmann, is_bursty},
    sequence::{Decision, Outcome},
    track::{Estimate, Track},
};

/// What all changes of one comparison share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) design: &'a Design,
    pub(super) policy: &'a Policy,
    pub(super) boundaries: &'a Boundaries,
    /// Valid rounds so far.
    pub(super) valid: usize,
    /// Looks reached so far.
    pub(super) reached: usize,
    /// Where the sides were not measured together: the rounds of earlier runs of the baseline.
    pub(super) earlier: Option<&'a [Vec<&'a RoundEvidence>]>,
}

impl Frame<'_> {
    /// The rounds that belong to a look (from 0).
    pub(super) fn rounds_at(&self, look: usize) -> usize {
        self.boundaries.looks()[look].rounds as usize
    }
}

/// One row to judge: a metric, against the baseline or against a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Member {
    pub(super) metric: Metric,
    /// In the unit of the metric.
    pub(super) limit: Option<f64>,
}

/// The family that a metric belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Membership {
    /// Whether it decides the verdict.
    pub(super) gate: bool,
    /// The alpha of one metric when the others share the rest evenly, for what could have been
    /// detected.
    pub(super) alpha: f64,
}

/// The change of a metric that was judged.
pub(super) fn judged(
    frame: &Frame,
    track: &Track,
    outcome: Outcome,
    membership: Membership,
) -> Change {
    let member = Member {
        metric: track.metric,
        limit: track.limit,
    };
    let mut change = unjudged(frame, &track.endpoint, member, membership.gate);
    let series = track.series();
    let to_scale = |value: f64| track.metric.from_scale(value);
    change.status = Status::Inconclusive;
    change.reason = Reason::Noise;
    change.p_regressed = (frame.reached > 0).then_some(outcome.p_regressed);
    change.p_pass = (frame.reached > 0).then_some(outcome.p_pass);
    change.hodges_lehmann = hodges_lehmann(&series).map(to_scale);
    change.bursty = is_bursty(&series);
    change.series = track.course(frame.valid);
    // A decided metric is shown as it was when it was decided.
    let look = outcome.decision.look().or(frame.reached.checked_sub(1));
    let rounds = look.map_or(frame.valid, |look| frame.rounds_at(look));
    let Some(estimate) = track.after(rounds, frame.policy) else {
        return change;
    };
    let critical = frame
        .boundaries
        .critical(look.unwrap_or(0), frame.policy.alpha);
    let interval = estimate.interval(normal_tail(critical));
    (change.status, change.reason) = status(frame, track, outcome.decision, &estimate, interval);
    change.change = Some(Interval {
        estimate: to_scale(interval.estimate),
        lower: to_scale(interval.lower),
        upper: to_scale(interval.upper),
    });
    change.tolerance = to_scale(estimate.tolerance);
    change.minimum_effect = to_scale(estimate.effect);
    change.baseline = Some(estimate.levels[0]);
    change.candidate = Some(estimate.levels[1]);
    change.rounds = u32::try_from(estimate.rounds()).unwrap_or(u32::MAX);
    change.sigma = Some(estimate.sigma());
    change.autocorrelation = estimate.autocorrelation();
    change.detectable = estimate.detectable(membership.alpha).map(to_scale);
    if change.reason == Reason::Noise && frame.reached > 0 && frame.earlier.is_none() {
        change.more_rounds = more_rounds(frame, &estimate, membership);
        let known = frame.design.round_s > 0.0;
        let more_s = |rounds| f64::from(rounds) * frame.design.round_s;
        change.more_s = change.more_rounds.filter(|_| known).map(more_s);
    }
    change
}

fn status(
    frame: &Frame,
    track: &Track,
    decision: Decision,
    estimate: &Estimate,
    interval: Interval,
) -> (Status, Reason) {
    let naive = || estimate.interval(frame.policy.alpha);
    let may_improve = track.limit.is_none() && track.metric.traits().improves;
    match decision {
        Decision::Regressed(_) if track.limit.is_some() => (Status::Regressed, Reason::BeyondLimit),
        Decision::Regressed(_) if interval.lower > estimate.tolerance => {
            (Status::Regressed, Reason::BeyondTolerance)
        }
        Decision::Regressed(_) => (Status::Regressed, Reason::Slower),
        // What is too small to block is too small to boast of.
        Decision::Pass(_) if may_improve && interval.upper < -estimate.effect => {
            (Status::Pass, Reason::Improved)
        }
        Decision::Pass(_) if naive().lower > 0.0 => (Status::Pass, Reason::SlowerWithinTolerance),
        Decision::Pass(_) => (Status::Pass, Reason::Ok),
        Decision::Open if estimate.is_dependent() => (Status::Invalid, Reason::Dependent),
        Decision::Open if estimate.is_unknown() => (Status::Inconclusive, Reason::NotTogether),
        Decision::Open => (Status::Inconclusive, Reason::Noise),
    }
}

/// A change of which nothing is known: too few requests by the plan, or a round without a
/// figure.
pub(super) fn unjudged(frame: &Frame, endpoint: &str, member: Member, gate: bool) -> Change {
    let policy = frame.policy;
    let metric = member.metric;
    let margin = |margins: &Margins| match member.limit {
        Some(_) => 0.0,
        None => margins.of(endpoint, metric).relative,
    };
    Change {
        endpoint: endpoint.to_owned(),
        metric,
        gate,
        status: Status::NotJudged,
        reason: if gate {
            Reason::Missing
        } else {
            Reason::TooFewRequests
        },
        limit: member.limit,
        change: None,
        tolerance: margin(&policy.tolerance),
        minimum_effect: margin(&policy.minimum_effect),
        baseline: None,
        candidate: None,
        rounds: 0,
        requests_per_round: frame.design.requests(endpoint),
        sigma: None,
        detectable: None,
        more_rounds: None,
        more_s: None,
        p_regressed: None,
        p_pass: None,
        autocorrelation: None,
        hodges_lehmann: None,
        bursty: false,
        series: Vec::new(),
    }
}

/// About how many rounds more would decide an open metric, whichever way is nearer.
fn more_rounds(frame: &Frame, estimate: &Estimate, membership: Membership) -> Option<u32> {
    let centre = estimate.interval(0.5).estimate;
    let pass = (estimate.tolerance - centre) / estimate.sigma();
    let regressed = (centre - estimate.effect) / estimate.sigma();
    let needed = [
        rounds_needed(frame.policy.alpha, pass),
        rounds_needed(membership.alpha, regressed),
    ];
    let least = needed.into_iter().flatten().min()?;
    let done = u32::try_from(estimate.rounds()).unwrap_or(u32::MAX);
    Some(least.saturating_sub(done).max(2))
}
