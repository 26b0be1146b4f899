//! Whether the answers are other ones: shares of statuses that shifted, and answers that became
//! clearly smaller. Warnings only; what is an error is judged as such.
//!
//! Tested once, at the last look, over all endpoints and statuses together: a share is compared
//! like an error rate (`proportion`), in both directions, and Holm shares alpha.

use std::collections::BTreeSet;

use super::{
    Change, Metric, Policy, RoundEvidence, Warning,
    evidence::Figures,
    family::holm,
    proportion::{Failures, Proportions},
};

/// Smaller shifts are not worth a word: a tenth of a percentage point.
const SMALLEST_SHIFT: f64 = 0.001;
/// More statuses of one endpoint are not named.
const NAMED: usize = 3;

/// A share of one status at one endpoint.
struct Share<'a> {
    endpoint: &'a str,
    status: u16,
    sides: Proportions,
    p: f64,
}

/// What is worth knowing of the answers in these rounds, and of the changes found in them.
pub(super) fn warnings(
    policy: &Policy,
    endpoints: &[&str],
    rounds: &[&RoundEvidence],
    changes: &[Change],
) -> Vec<Warning> {
    // Nothing is said before a look has been paid for.
    if rounds.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<Warning> = shifts(policy.alpha, endpoints, rounds);
    let shrunk = changes.iter().filter_map(smaller);
    found.extend(shrunk);
    found
}

fn shifts(alpha: f64, endpoints: &[&str], rounds: &[&RoundEvidence]) -> Vec<Warning> {
    let all = endpoints
        .iter()
        .flat_map(|endpoint| shares(endpoint, rounds));
    let all: Vec<Share> = all.collect();
    let p: Vec<f64> = all.iter().map(|share| share.p).collect();
    let adjusted = holm(&p, &vec![1.0; p.len()]);
    let mut fallen: Vec<Share> = all
        .into_iter()
        .zip(adjusted)
        .filter(|(share, p)| *p <= alpha && share.sides.difference().abs() >= SMALLEST_SHIFT)
        .map(|(share, _)| share)
        .collect();
    // What there is more of stands before what it replaced.
    fallen.sort_by(|a, b| b.sides.difference().total_cmp(&a.sides.difference()));
    let at = |endpoint: &&str| {
        let own = fallen.iter().filter(|share| share.endpoint == *endpoint);
        let said: Vec<String> = own.take(NAMED).map(said).collect();
        (!said.is_empty()).then(|| Warning {
            code: "status_mix".to_owned(),
            text: format!("{endpoint} answers {}", said.join("; and ")),
        })
    };
    endpoints.iter().filter_map(at).collect()
}

/// The statuses of one endpoint that any side gave, each as a share of its requests.
fn shares<'a>(endpoint: &'a str, rounds: &[&RoundEvidence]) -> Vec<Share<'a>> {
    let sides = rounds.iter().filter_map(|round| round.endpoint(endpoint));
    // Rare endpoints have rounds without a request.
    let asked = |sides: &[&Figures; 2]| sides.iter().all(|side| side.failures().requests > 0);
    let sides: Vec<[&Figures; 2]> = sides.filter(asked).collect();
    let seen = sides.iter().flatten().flat_map(|side| side.statuses.keys());
    let seen: BTreeSet<u16> = seen.copied().collect();
    let share = |status: u16| {
        let of = |side: &Figures| {
            let requests = side.failures().requests;
            let failed = side.statuses.get(&status).copied().unwrap_or(0);
            // What was aborted with us may have had a status and counts for nobody.
            let failed = failed.min(requests);
            Failures { failed, requests }
        };
        let counted: Vec<[Failures; 2]> = sides.iter().map(|both| both.map(of)).collect();
        let sides = Proportions::of(&counted)?;
        let p = 2.0 * sides.p_regressed(0.0).min(sides.p_pass(0.0));
        Some(Share {
            endpoint,
            status,
            sides,
            p: p.min(1.0),
        })
    };
    seen.into_iter().filter_map(share).collect()
}

fn said(share: &Share<'_>) -> String {
    let [baseline, candidate] = [share.sides.baseline, share.sides.candidate];
    format!(
        "{} in {} of the requests, the baseline in {}",
        share.status,
        percent(candidate.rate()),
        percent(baseline.rate())
    )
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = if (0.001..0.95).contains(&percent) {
        2
    } else {
        1
    };
    format!("{percent:.decimals$} %")
}

/// Answers that are smaller than the tolerance allows in the other direction: they may lack
/// something.
fn smaller(change: &Change) -> Option<Warning> {
    let interval = change.change?;
    let clear = change.metric == Metric::Size && interval.upper < -change.tolerance;
    (clear && change.limit.is_none()).then(|| Warning {
        code: "smaller_answers".to_owned(),
        text: format!(
            "the good answers of {} are {:.0} to {:.0} % smaller than the baseline's; look \
             whether something is missing from them",
            change.endpoint,
            -100.0 * interval.upper,
            -100.0 * interval.lower
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(counts: &[(u16, u64)]) -> Figures {
        let all: u64 = counts.iter().map(|(_, n)| n).sum();
        Figures {
            ok: all,
            statuses: counts.iter().copied().collect(),
            ..Figures::default()
        }
    }

    fn rounds(of: impl Fn(u32) -> [Figures; 2]) -> Vec<RoundEvidence> {
        let one = |round| {
            let mut evidence = RoundEvidence {
                round,
                ..RoundEvidence::default()
            };
            for (side, figures) in evidence.sides.iter_mut().zip(of(round)) {
                side.endpoints.insert("GET /a".to_owned(), figures);
            }
            evidence
        };
        (1..=8).map(one).collect()
    }

    fn found(of: impl Fn(u32) -> [Figures; 2]) -> Vec<String> {
        let rounds = rounds(of);
        let rounds: Vec<_> = rounds.iter().collect();
        let found = shifts(0.05, &["GET /a", "GET /rare"], &rounds);
        assert!(found.iter().all(|warning| warning.code == "status_mix"));
        found.into_iter().map(|warning| warning.text).collect()
    }

    #[test]
    fn a_shift_is_said_once_and_in_both_its_halves() {
        let said = found(|_| {
            [
                side(&[(200, 999), (302, 1)]),
                side(&[(200, 960), (302, 40)]),
            ]
        });
        assert_eq!(
            said,
            [
                "GET /a answers 302 in 4.0 % of the requests, the baseline in 0.10 %; and 200 in \
                 96.0 % of the requests, the baseline in 99.9 %"
            ]
        );
        // Fewer is a shift as well.
        let said = found(|_| [side(&[(200, 900), (404, 100)]), side(&[(200, 1_000)])]);
        assert!(
            said[0].contains("404 in 0.0 % of the requests, the baseline in 10.0 %"),
            "{said:?}"
        );
    }

    #[test]
    fn chance_bursts_and_trifles_are_no_shift() {
        let equal = found(|_| {
            [
                side(&[(200, 990), (302, 10)]),
                side(&[(200, 988), (302, 12)]),
            ]
        });
        assert_eq!(equal, [""; 0]);
        // One round of eight holds all of it.
        let burst = |round| if round == 3 { 80 } else { 0 };
        let bursts = found(|r| {
            [
                side(&[(200, 1_000)]),
                side(&[(200, 1_000 - burst(r)), (302, burst(r))]),
            ]
        });
        assert_eq!(bursts, [""; 0]);
        let sure_but_small = found(|_| {
            let million = |n| side(&[(200, 1_000_000 - n), (302, n)]);
            [million(0), million(900)]
        });
        assert_eq!(sure_but_small, [""; 0]);
        assert_eq!(found(|_| [side(&[]), side(&[(200, 5)])]), [""; 0]);
    }

    #[test]
    fn statuses_beyond_the_third_are_not_named() {
        let many = |status: u16| (status, 100);
        let said = found(|_| {
            [
                side(&[(200, 600)]),
                side(&[201, 202, 203, 204, 205, 206].map(many)),
            ]
        });
        assert_eq!(said[0].matches("of the requests").count(), 3, "{said:?}");
    }
}
