//! Judging sides that were not measured together (method.md 8): the same rounds, drops, families
//! and margins, with the statistics of `stored` in place of the paired ones.
//!
//! The evidence is looked at once, when all of it is there. How much runs of one deployment
//! differ is taken from stored runs of the baseline; without four of them no latency is judged,
//! and nothing passes.

use super::{
    super::{
        Comparison, Design, Policy, RoundEvidence, Tables, Warning, evidence::endpoints,
        stored::RUNS_MIN, validity::examine,
    },
    judge_beside,
};
use crate::{run::Side, units::count};

/// The code of the warning that the sides were not measured together. It is there in every such
/// comparison and in no other.
pub const NOT_TOGETHER: &str = "not_together";

/// What was planned, as far as rounds show it that were measured together: by endpoint the mean
/// and the fewest of its requests in a round and side. Sessions are the caller's to fill in.
pub fn design_measured(rounds: &[RoundEvidence]) -> Design {
    let measured = || rounds.iter().filter(|round| round.round > 0);
    let mut design = design_apart(&measured().cloned().collect::<Vec<_>>());
    for (endpoint, fewest) in &mut design.fewest {
        let scheduled = measured().flat_map(|round| &round.sides).map(|side| {
            let own = side.endpoints.get(endpoint);
            own.map_or(0, |figures| figures.scheduled)
        });
        *fewest = count(scheduled.min().unwrap_or(0));
    }
    design
}

/// What is judged of rounds that were not planned together: by endpoint the requests of the side
/// that had fewer, and all rounds at once.
pub fn design_apart(rounds: &[RoundEvidence]) -> Design {
    let all = u32::try_from(rounds.len()).unwrap_or(u32::MAX);
    let per_round = |endpoint: &str, side: Side| {
        let own = rounds
            .iter()
            .filter_map(|round| round.side(side).endpoints.get(endpoint));
        let scheduled: u64 = own.map(|figures| figures.scheduled).sum();
        count(scheduled) / f64::from(all.max(1))
    };
    let least = |endpoint: &str| {
        let sides = Side::BOTH.map(|side| per_round(endpoint, side));
        sides[0].min(sides[1])
    };
    let expected = endpoints(rounds).into_iter();
    let expected = expected.map(|endpoint| (endpoint.to_owned(), least(endpoint)));
    Design::new(all, false, expected.collect())
}

/// Judges a candidate beside stored runs of the baseline. Each run is given as its rounds beside
/// those of the candidate with the same numbers: the first one is compared, the others are
/// earlier runs of the same baseline and say how much runs differ. Cannot fail.
pub fn judge_apart(design: &Design, policy: &Policy, runs: &[Vec<RoundEvidence>]) -> Comparison {
    let rounds = runs.first().map_or(&[][..], Vec::as_slice);
    let earlier = runs.iter().skip(1).map(|run| examine(design, policy, run));
    let earlier = earlier.filter(|run| run.causes.is_empty());
    let earlier: Vec<Vec<&RoundEvidence>> = earlier.map(|run| run.valid).collect();
    let tables = Tables::default();
    let mut comparison = judge_beside(design, policy, &tables, rounds, Some(&earlier));
    comparison.warnings.insert(0, label(1 + earlier.len()));
    comparison.decided = true;
    comparison
}

fn label(runs: usize) -> Warning {
    let known = if runs >= RUNS_MIN {
        format!("{runs} stored runs of the baseline say how much runs differ")
    } else {
        format!(
            "{runs} stored {} cannot say how much runs differ, so only errors and availability \
             are judged",
            if runs == 1 { "run" } else { "runs" }
        )
    };
    Warning {
        code: NOT_TOGETHER.to_owned(),
        text: format!(
            "the sides were not measured together: what else changed between the two times is in \
             every difference; {known}"
        ),
    }
}
