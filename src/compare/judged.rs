//! One family, decided: which metrics belong to it, their series, and what the looks said of them
//! (method.md 2.6).

use super::{
    Change, Design, Metric, Policy, Reason, RoundEvidence,
    change::{Frame, Member, Membership, judged, unjudged},
    planning::is_planned,
    sequence::{Family, Outcome, Scores},
    track::Track,
};
use crate::run::WORKLOAD;

/// The metrics of one family: their series by endpoint, and what could not be read.
pub(super) struct Members {
    gate: bool,
    pub(super) tracks: Vec<Vec<Track>>,
    /// Endpoint, metric, and why there is no track.
    left_out: Vec<(String, Member, Reason)>,
}

impl Members {
    /// The gate, or what is shown besides, of these endpoints and the whole workload. With the
    /// rounds of earlier runs of the baseline where the sides were not measured together.
    pub(super) fn of(
        design: &Design,
        policy: &Policy,
        (rounds, earlier): (&[&RoundEvidence], Option<&[Vec<&RoundEvidence>]>),
        (names, gate): (&[&str], bool),
    ) -> Self {
        let mut left_out = Vec::new();
        let mut tracks = Vec::new();
        let whole = names.first().map(|_| WORKLOAD);
        for name in names.iter().copied().chain(whole) {
            let mut own = Vec::new();
            for member in members(policy, rounds, (name, names), gate) {
                let reason = match Track::of(name, member.metric, rounds) {
                    _ if !is_planned(design, name, member.metric) => Reason::TooFewRequests,
                    None => Reason::Missing,
                    Some(track) => {
                        own.push(match member.limit {
                            Some(limit) => track.held_to(limit),
                            None => track.beside(earlier),
                        });
                        continue;
                    }
                };
                left_out.push((name.to_owned(), member, reason));
            }
            if !own.is_empty() {
                tracks.push(own);
            }
        }
        Self {
            gate,
            tracks,
            left_out,
        }
    }
}

/// One family, decided.
pub(super) struct Judged {
    members: Members,
    /// The alpha of one metric, by endpoint.
    alphas: Vec<f64>,
    outcomes: Vec<Vec<Outcome>>,
}

impl Judged {
    /// Goes through the looks that were reached.
    pub(super) fn of(frame: &Frame, members: Members) -> Self {
        let weights = weights(frame, &members.tracks);
        let family = Family {
            boundaries: frame.boundaries,
            alpha: frame.policy.alpha,
            weights: &weights,
        };
        let outcomes = family.decide(&scores(frame, &members.tracks));
        let sum: f64 = weights.iter().sum();
        let alpha = |(own, weight): (&Vec<Track>, &f64)| {
            frame.policy.alpha * weight / sum / super::distribution::size(own.len())
        };
        Self {
            alphas: members.tracks.iter().zip(&weights).map(alpha).collect(),
            members,
            outcomes,
        }
    }

    /// Every track with its outcome.
    pub(super) fn each(&self) -> impl Iterator<Item = (&Track, Outcome)> {
        let outcomes = self.outcomes.iter().flatten().copied();
        self.members.tracks.iter().flatten().zip(outcomes)
    }

    /// Every member as it is shown.
    pub(super) fn changes(&self, frame: &Frame) -> Vec<Change> {
        let own = self
            .members
            .tracks
            .iter()
            .zip(&self.outcomes)
            .zip(&self.alphas);
        let found = own.flat_map(|((tracks, outcomes), alpha)| {
            let membership = Membership {
                gate: self.members.gate,
                alpha: *alpha,
            };
            let all = tracks.iter().zip(outcomes);
            all.map(move |(track, outcome)| judged(frame, track, *outcome, membership))
        });
        let rest = self
            .members
            .left_out
            .iter()
            .map(|(endpoint, member, reason)| {
                // Too few requests were known before the run: such a metric never was in the gate.
                let gate = self.members.gate && *reason == Reason::Missing;
                let change = unjudged(frame, endpoint, *member, gate);
                Change {
                    reason: *reason,
                    ..change
                }
            });
        found.chain(rest).collect()
    }
}

/// The members of one family at one endpoint: changes against the baseline, then limits.
fn members(
    policy: &Policy,
    rounds: &[&RoundEvidence],
    (name, names): (&str, &[&str]),
    gate: bool,
) -> Vec<Member> {
    let rules = &policy.gate;
    let applies = |metric: &Metric| {
        !metric.traits().of_side
            || (name == WORKLOAD && (rules.asks_for(*metric) || is_read(rounds, *metric)))
    };
    // Where the whole workload is one endpoint, only what that does not have is judged of it.
    let twice = |metric: Metric, limit: bool| {
        let single = name == WORKLOAD && names.len() == 1 && !metric.traits().of_side;
        let same = limit || !gate || rules.has(names[0], metric);
        single && same && !rules.is_named(name, metric, limit)
    };
    let all = Metric::ALL.into_iter().filter(applies);
    let changes = all
        .clone()
        .filter(|metric| rules.has(name, *metric) == gate && !twice(*metric, false))
        .map(|metric| Member {
            metric,
            limit: None,
        });
    let limits = all
        .filter(|metric| gate && !twice(*metric, true))
        .filter_map(|metric| {
            let limit = Some(rules.limit_of(name, metric)?);
            Some(Member { metric, limit })
        });
    changes.chain(limits).collect()
}

/// Whether any round has a figure of both sides for a metric: then it has to be there in each
/// round; what was read of one side only, or of none, is no part of the comparison.
fn is_read(rounds: &[&RoundEvidence], metric: Metric) -> bool {
    let has_both = |round: &&RoundEvidence| {
        let mut sides = round.sides.iter();
        sides.all(|side| side.workload.reading(metric).is_some())
    };
    rounds.iter().any(has_both)
}

/// How the endpoints of the family share alpha.
fn weights(frame: &Frame, tracks: &[Vec<Track>]) -> Vec<f64> {
    let own = tracks.iter().filter_map(|own| own.first());
    own.map(|track| frame.policy.gate.weight(&track.endpoint))
        .collect()
}

/// The scores of each look reached.
fn scores(frame: &Frame, tracks: &[Vec<Track>]) -> Vec<Vec<Vec<Scores>>> {
    let score = |track: &Track| -> Vec<Scores> {
        let at = |look| track.after(frame.rounds_at(look), frame.policy);
        (0..frame.reached)
            .map(|look| at(look).map_or(Scores::NONE, |estimate| estimate.scores()))
            .collect()
    };
    let own = |own: &Vec<Track>| own.iter().map(score).collect();
    tracks.iter().map(own).collect()
}
