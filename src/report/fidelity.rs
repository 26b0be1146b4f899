//! How faithfully a recording was replayed: instants, order, what was left out and why, and the
//! mix of endpoints. Shown, never judged; what spoils a measurement is `compare`'s business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::totals::Quantiles;
use super::words::{share, time_cell, whole_number};
use crate::run::{EndpointStats, Side};
use crate::text::printable;
use crate::units::count;

/// The recording that a load is held against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Requests of the workload by endpoint; empty when it is not at hand.
    pub endpoints: BTreeMap<String, u64>,
    /// Whether the answers decided when to send, so that no session had an order.
    pub is_closed: bool,
}

/// One side of a replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideFidelity {
    /// The side.
    pub side: Side,
    /// Requests that the schedule held.
    pub scheduled: u64,
    /// Those of them that were sent.
    pub sent: u64,
    /// The others, by the reason why not.
    pub skipped: BTreeMap<String, u64>,
    /// Sent later than planned, because they needed a value from an answer.
    pub waited: u64,
    /// Sent while an earlier one of their session waited for such a value.
    pub overtook: u64,
    /// The share of the sent ones before which all earlier ones of their session had been sent, 0
    /// to 1; absent in a closed loop, which knows no sessions.
    pub order_kept: Option<f64>,
    /// Sent − planned; where a value was waited for, from the answer that brought it.
    pub send_lag_ns: Quantiles,
    /// Endpoints with their share of the recording and of the schedule; empty when the recording
    /// was not at hand.
    pub mix: Vec<Mix>,
}

/// How often an endpoint was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// The endpoint.
    pub endpoint: String,
    /// Its share of the recorded requests, 0 to 1.
    pub recorded: f64,
    /// Its share of the scheduled requests, 0 to 1.
    pub scheduled: f64,
    /// Its share of the sent requests, 0 to 1.
    #[serde(default)]
    pub sent: f64,
}

impl SideFidelity {
    /// Puts together what was counted of a side.
    pub(super) fn of<'a>(
        side: Side,
        endpoints: impl Iterator<Item = (&'a str, &'a EndpointStats)>,
        (send_lag_ns, recorded): (Quantiles, &Recorded),
    ) -> Self {
        let endpoints: BTreeMap<&str, &EndpointStats> = endpoints.collect();
        let sum = |of: fn(&EndpointStats) -> u64| endpoints.values().map(|it| of(it)).sum::<u64>();
        let mut skipped = BTreeMap::new();
        for (class, n) in endpoints.values().flat_map(|stats| &stats.classes) {
            if class.name().starts_with("not_sent_") && *n > 0 {
                *skipped.entry(class.name().to_owned()).or_default() += n;
            }
        }
        let scheduled = sum(|stats| stats.scheduled);
        let sent = sum(EndpointStats::sent);
        let overtook = sum(|stats| stats.overtook);
        let order_kept = 1.0 - count(overtook) / count(sent).max(1.0);
        let all = recorded.endpoints.values().sum::<u64>();
        let mix = recorded.endpoints.iter().map(|(endpoint, n)| {
            let own = endpoints.get(endpoint.as_str());
            let [planned, gone] = own.map_or([0; 2], |stats| [stats.scheduled, stats.sent()]);
            Mix {
                endpoint: endpoint.clone(),
                recorded: count(*n) / count(all).max(1.0),
                scheduled: count(planned) / count(scheduled).max(1.0),
                sent: count(gone) / count(sent).max(1.0),
            }
        });
        Self {
            side,
            scheduled,
            sent,
            skipped,
            waited: sum(|stats| stats.waited),
            overtook,
            order_kept: (!recorded.is_closed).then_some(order_kept),
            send_lag_ns,
            mix: mix.collect(),
        }
    }

    /// The endpoint whose share differs most from the recording, and by how many percentage
    /// points.
    fn largest_shift(&self) -> Option<(&str, f64)> {
        let shift = |mix: &Mix| 100.0 * (mix.scheduled - mix.recorded).abs();
        let mixes = self
            .mix
            .iter()
            .map(|mix| (mix.endpoint.as_str(), shift(mix)));
        mixes.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// How many were not sent, by reason, in words.
    pub(super) fn left_out(&self) -> String {
        let skipped = self.skipped.iter();
        let skipped = skipped.map(|(class, n)| format!("{} {}", whole_number(*n), why(class)));
        skipped.collect::<Vec<_>>().join(", ")
    }

    /// The share that kept its order, in words: not all of them is never written as all.
    pub(super) fn kept(&self) -> Option<String> {
        let kept = self.order_kept?;
        let shown = share(kept);
        Some(if self.overtook > 0 && shown == share(1.0) {
            "almost all".to_owned()
        } else {
            shown
        })
    }

    /// All of it in plain words, a few short sentences.
    pub(super) fn sentences(&self) -> String {
        let mut said = vec![format!(
            "{} of {} planned requests were sent",
            whole_number(self.sent),
            whole_number(self.scheduled)
        )];
        if !self.skipped.is_empty() {
            said.push(format!("left out: {}", self.left_out()));
        }
        let lag = self.send_lag_ns;
        said.push(format!(
            "behind the planned instant by p50 {}, p99 {}, at most {}",
            time_cell(lag.p50),
            time_cell(lag.p99),
            time_cell(lag.max)
        ));
        said.push(match self.kept() {
            None => "a closed loop keeps no order within sessions".to_owned(),
            Some(kept) if self.overtook == 0 => format!("order within sessions kept for {kept}"),
            Some(kept) => format!(
                "order within sessions kept for {kept}: {} went out while an earlier one waited",
                whole_number(self.overtook)
            ),
        });
        if self.waited > 0 {
            let waited = whole_number(self.waited);
            said.push(format!("{waited} waited for a value from an answer"));
        }
        if let Some((endpoint, points)) = self.largest_shift() {
            said.push(if points < 0.05 {
                "the mix of endpoints is the recorded one".to_owned()
            } else {
                format!(
                    "the mix of endpoints differs from the recorded one by up to {points:.1} \
                     percentage points ({})",
                    printable(endpoint)
                )
            });
        }
        let mut text = said.join("; ");
        text.push('.');
        text
    }
}

/// The reason of a class in words.
fn why(class: &str) -> String {
    match class {
        "not_sent_cap" => "for the in-flight cap".to_owned(),
        "not_sent_late" => "because the generator came too late".to_owned(),
        "not_sent_value" => "because no answer had brought the value they need".to_owned(),
        other => format!("({})", printable(other)),
    }
}

/// One line for each side, for a page or a terminal.
pub(super) fn lines(sides: &[SideFidelity]) -> Vec<String> {
    let line = |side: &SideFidelity| format!("{}: {}", side.side.name(), side.sentences());
    sides.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Class;

    fn stats(sent: u64, skipped: u64, overtook: u64) -> EndpointStats {
        let mut stats = EndpointStats {
            scheduled: sent + skipped,
            overtook,
            waited: 2 * overtook,
            ..EndpointStats::default()
        };
        stats.classes.insert(Class::Ok, sent);
        stats.classes.insert(Class::NotSentValue, skipped);
        stats
    }

    fn recorded(endpoints: &[(&str, u64)]) -> Recorded {
        let endpoints = endpoints.iter();
        Recorded {
            endpoints: endpoints
                .map(|(name, n)| ((*name).to_owned(), *n))
                .collect(),
            is_closed: false,
        }
    }

    fn of(endpoints: &[(&str, EndpointStats)], recorded: &Recorded) -> SideFidelity {
        let endpoints = endpoints.iter().map(|(name, stats)| (*name, stats));
        let lag = Quantiles {
            p50: Some(40_000),
            p99: Some(180_000),
            max: Some(900_000),
            ..Quantiles::default()
        };
        SideFidelity::of(Side::Baseline, endpoints, (lag, recorded))
    }

    #[test]
    fn a_faithful_replay_says_so_in_one_line() {
        let recorded = recorded(&[("GET /a", 3), ("GET /b", 1)]);
        let found = of(
            &[("GET /a", stats(300, 0, 0)), ("GET /b", stats(100, 0, 0))],
            &recorded,
        );
        assert_eq!(found.order_kept, Some(1.0));
        assert_eq!(
            lines(&[found]),
            [
                "baseline: 400 of 400 planned requests were sent; behind the planned instant by \
                 p50 40.0 µs, p99 180 µs, at most 900 µs; order within sessions kept for \
                 100 %; the mix of endpoints is the recorded one."
            ]
        );
    }

    #[test]
    fn what_departs_from_the_recording_is_named() {
        let recorded = recorded(&[("GET /a", 1), ("GET /b\u{1b}", 1)]);
        let found = of(
            &[
                ("GET /a", stats(90, 10, 9)),
                ("GET /b\u{1b}", stats(0, 0, 0)),
            ],
            &recorded,
        );
        assert_eq!(found.skipped, [("not_sent_value".to_owned(), 10)].into());
        let said = found.sentences();
        for part in [
            "90 of 100 planned",
            "left out: 10 because no answer had brought the value they need",
            "kept for 90",
            "9 went out while an earlier one waited",
            "18 waited for a value",
            "by up to 50.0 percentage points (GET /",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains('\u{1b}'), "{said}");
    }

    #[test]
    fn a_closed_loop_has_no_order_and_a_lost_recording_no_mix() {
        let closed = Recorded {
            is_closed: true,
            ..Recorded::default()
        };
        let found = of(&[("GET /a", stats(10, 0, 0))], &closed);
        assert_eq!((found.order_kept, found.mix.len()), (None, 0));
        let said = found.sentences();
        assert!(
            said.contains("closed loop") && !said.contains("mix"),
            "{said}"
        );
    }
}
