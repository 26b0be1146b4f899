//! Whether a recording still fits the data of the service: how many of the baseline's answers have
//! another status than the recorded one, and at which endpoints.
//!
//! Above one in twenty a warning, above one in five nothing is worth judging. What a limiter
//! answered says nothing about the recording.

use std::collections::BTreeMap;

use super::{RoundEvidence, Warning, evidence::Figures};
use crate::{
    run::{Class, EndpointStats, Group, Side},
    text::printable,
    units::count,
};

/// Above this share of answers a warning.
pub const AGING_SHARE: f64 = 0.05;
/// Above this share the recording no longer fits.
pub const STALE_SHARE: f64 = 0.2;
/// The code of the warning.
pub const STATUSES: &str = "baseline_statuses";
/// So many endpoints are named.
const NAMED: usize = 3;

/// Answers by endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Those with another status than recorded, and all.
    answers: BTreeMap<String, [u64; 2]>,
    /// Requests that no answer had brought the value for, and all.
    lacking: [u64; 2],
}

/// What that says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finding {
    /// Why nothing should be judged.
    pub causes: Vec<String>,
    /// What is worth knowing.
    pub warnings: Vec<Warning>,
}

impl Freshness {
    /// Adds answers of an endpoint: those with another status than recorded, and all.
    pub fn add(&mut self, endpoint: &str, [differing, all]: [u64; 2]) {
        if !self.answers.contains_key(endpoint) {
            self.answers.insert(endpoint.to_owned(), [0, 0]);
        }
        if let Some(sum) = self.answers.get_mut(endpoint) {
            sum[0] += differing;
            sum[1] += all;
        }
    }

    /// Adds what an endpoint did in a slot.
    pub fn add_stats(&mut self, endpoint: &str, stats: &EndpointStats) {
        let of = |class| stats.classes.get(&class).copied().unwrap_or(0);
        let differing = stats.group(Group::HttpError) - of(Class::Throttled);
        self.add(endpoint, [differing, differing + stats.ok()]);
        self.lacking[0] += of(Class::NotSentValue);
        self.lacking[1] += stats.scheduled;
    }

    fn add_figures(&mut self, endpoint: &str, figures: &Figures) {
        let differing = figures.http_errors.saturating_sub(figures.throttled);
        self.add(endpoint, [differing, differing + figures.ok]);
        self.lacking[0] += figures.lacking;
        self.lacking[1] += figures.scheduled;
    }

    /// The share of answers with another status than recorded; 0 when there were none.
    pub fn share(&self) -> f64 {
        let sum = |which: usize| self.answers.values().map(|it| it[which]).sum::<u64>();
        count(sum(0)) / count(sum(1)).max(1.0)
    }

    /// What it says of a side, such as `the baseline`.
    pub fn finding(&self, who: &str) -> Finding {
        let mut finding = Finding::default();
        let mut say = |share: f64, code: &str, said: String, cause: &str, warning: &str| {
            if share > STALE_SHARE {
                finding.causes.push(format!("{said}: {cause}"));
            } else if share > AGING_SHARE {
                finding.warnings.push(Warning {
                    code: code.to_owned(),
                    text: format!("{said}; {warning}"),
                });
            }
        };
        let share = self.share();
        let said = format!(
            "{who} answers {:.1} % of the requests with another status than recorded ({})",
            100.0 * share,
            self.named()
        );
        let cause = "the recording no longer fits the data; record again, or restore the data";
        say(
            share,
            STATUSES,
            said,
            cause,
            "the recording may be getting old",
        );
        let lacking = count(self.lacking[0]) / count(self.lacking[1]).max(1.0);
        let said = format!(
            "{:.1} % of the requests to {who} were not sent, because no answer had brought the \
             value that a rule carries over",
            100.0 * lacking
        );
        let cause = "the rules or the recording do not fit; see `proofload inspect --suggest`";
        say(lacking, "baseline_values", said, cause, "look at the rules");
        finding
    }

    /// The endpoints with the most of such answers, each with their share of its own.
    fn named(&self) -> String {
        let mut differing: Vec<_> = self.answers.iter().filter(|(_, it)| it[0] > 0).collect();
        // A stable sort keeps the names in order where the counts are equal.
        differing.sort_by_key(|(_, it)| std::cmp::Reverse(it[0]));
        let more = differing.len().saturating_sub(NAMED);
        let named = differing.iter().take(NAMED).map(|(endpoint, it)| {
            let share = 100.0 * count(it[0]) / count(it[1]).max(1.0);
            format!("{share:.1} % of {}", printable(endpoint))
        });
        let named: Vec<String> = named.collect();
        let rest = match more {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        named.join(", ") + &rest
    }
}

/// What the rounds say of the recording, by the baseline's answers.
pub(super) fn freshness(rounds: &[&RoundEvidence]) -> Finding {
    let mut freshness = Freshness::default();
    for round in rounds {
        for (endpoint, figures) in &round.side(Side::Baseline).endpoints {
            freshness.add_figures(endpoint, figures);
        }
    }
    freshness.finding("the baseline")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answers: &[(&str, u64, u64)]) -> Finding {
        let mut freshness = Freshness::default();
        for (endpoint, differing, all) in answers {
            freshness.add(endpoint, [*differing, *all]);
        }
        freshness.finding("the baseline")
    }

    #[test]
    fn one_in_twenty_warns_and_one_in_five_is_too_old() {
        assert_eq!(found(&[]), Finding::default());
        for (differing, warns, is_stale) in [
            (0, false, false),
            (40, false, false),
            (50, false, false),
            (51, true, false),
            (200, true, false),
            (201, false, true),
            (1_000, false, true),
        ] {
            let found = found(&[("GET /a", differing, 1_000)]);
            assert_eq!(found.warnings.len(), usize::from(warns), "{differing}");
            assert_eq!(found.causes.len(), usize::from(is_stale), "{differing}");
            assert!(found.warnings.iter().all(|it| it.code == STATUSES));
            assert!(
                found
                    .causes
                    .iter()
                    .all(|it| it.contains("no longer fits the data"))
            );
        }
    }

    #[test]
    fn the_endpoints_are_named_the_worst_first() {
        let found = found(&[
            ("GET /a", 1, 100),
            ("GET /b", 60, 100),
            ("GET /c", 0, 100),
            ("GET /d", 50, 50),
            ("GET /e\u{1b}", 2, 100),
        ]);
        assert!(
            found.causes[0].contains(
                "25.1 % of the requests with another status than recorded (60.0 % of GET /b, \
                 100.0 % of GET /d, 2.0 % of GET /e\\x1b, and 1 more)"
            ),
            "{:?}",
            found.causes
        );
    }

    #[test]
    fn what_a_limiter_answers_is_not_the_recordings_fault_and_lacking_values_are() {
        let mut stats = EndpointStats {
            scheduled: 100,
            ..EndpointStats::default()
        };
        for (class, n) in [
            (Class::Ok, 50),
            (Class::Throttled, 20),
            (Class::NotSentValue, 30),
        ] {
            stats.classes.insert(class, n);
        }
        let mut freshness = Freshness::default();
        freshness.add_stats("GET /a", &stats);
        assert_eq!(freshness.share(), 0.0);
        let found = freshness.finding("the target");
        assert!(
            found.causes[0].starts_with("30.0 % of the requests to the target were not sent"),
            "{found:?}"
        );
    }
}
