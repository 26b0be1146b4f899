//! What a schedule holds, counted before anything is sent: the feed's own way through the
//! workload, without a clock and without bytes.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    feed::{Endpoints, expected, mean_rate},
    schedule::{Arrivals, Layout},
    source::{Pick, Recipe, Source},
};
use crate::{
    units::{count, seconds},
    workload::{Workload, WorkloadError, rules::Rules},
};

/// Schedules of more requests are not walked through: that would take longer than anyone likes to
/// wait, and with so many only the rarest endpoints differ from their average.
const WALKED_MAX: f64 = 500_000.0;

/// Requests of one endpoint in a round and side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Forecast {
    /// The mean over the rounds.
    pub mean: f64,
    /// The round that holds the fewest. Equal to the mean where the schedule was too long to be
    /// walked through.
    pub fewest: f64,
}

/// Counts the requests of each endpoint of a workload in the rounds of a layout, the discarded one
/// left out, by name.
///
/// # Errors
/// When the workload cannot be read.
pub fn forecast(
    workload: &Workload,
    arrivals: Arrivals,
    layout: Layout,
    seed: u64,
) -> Result<BTreeMap<String, Forecast>, WorkloadError> {
    let total = mean_rate(workload, arrivals) * seconds(layout.total_ns());
    if total > WALKED_MAX {
        let even = |(name, mean)| (name, Forecast { mean, fewest: mean });
        let all = expected(workload, arrivals, layout.measured_ns());
        return Ok(all.into_iter().map(even).collect());
    }
    let rounds = walk(workload, arrivals, layout, seed)?;
    let n = count(rounds.len().max(1) as u64);
    let names = workload.summary().endpoints.keys();
    let endpoints = Endpoints::new(workload);
    Ok(names
        .map(|name| {
            let index = endpoints.index(name) as usize;
            let own = || rounds.iter().map(|round| count(round[index]));
            let forecast = Forecast {
                mean: own().sum::<f64>() / n,
                fewest: own().reduce(f64::min).unwrap_or(0.0),
            };
            (name.clone(), forecast)
        })
        .collect())
}

/// Requests by round and index of the endpoint. Both sides get the same, so that one is counted.
fn walk(
    workload: &Workload,
    arrivals: Arrivals,
    layout: Layout,
    seed: u64,
) -> Result<Vec<Vec<u64>>, WorkloadError> {
    let recipe = Arc::new(Recipe {
        workload: workload.clone(),
        layout,
        arrivals,
        seed,
        encoders: [None, None],
        endpoints: Endpoints::new(workload),
        rules: Rules::default(),
        wall_ns: 0,
    });
    let mut source = Source::new(&recipe)?;
    let deck = source.kept();
    let width = workload.summary().endpoints.len() + 1;
    let mut rounds: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut next_piece = None;
    for window in layout.windows(seed) {
        // The other side's turn with the same piece.
        if next_piece.is_some_and(|next| window.piece < next) {
            continue;
        }
        next_piece = Some(window.piece + 1);
        let round = window.slots.first().map_or(0, |slot| slot.round);
        let counts = rounds.entry(round).or_insert_with(|| vec![0; width]);
        source.piece(&window, |at_ns, drawn| {
            if at_ns >= window.settle_ns {
                let endpoint = match &drawn.card {
                    Pick::Kept(index) => deck.cards[*index as usize].endpoint,
                    Pick::Fresh(card) => card.endpoint,
                };
                counts[endpoint as usize] += 1;
            }
            true
        })?;
    }
    rounds.remove(&0);
    Ok(rounds.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        replay::Arrangement,
        units::{SECOND_NS, Speed},
        workload::parse_request,
    };

    fn workload(offsets_ms: &[(u64, &str)]) -> Workload {
        let request = |(ms, path): &(u64, &str)| {
            let mut request = parse_request(path).unwrap();
            request.offset_ns = ms * 1_000_000;
            request
        };
        Workload::from_requests(offsets_ms.iter().map(request).collect(), "test").unwrap()
    }

    fn layout(arrangement: Arrangement) -> Layout {
        Layout {
            arrangement: Some(arrangement),
            before: 0,
            rounds: 3,
            warmup_ns: Some(SECOND_NS),
            slot_ns: SECOND_NS,
            settle_ns: 0,
        }
    }

    #[test]
    fn what_comes_in_one_window_only_is_absent_from_the_fewest() {
        // Four seconds, /b in the third alone; the period is a little more than the last offset.
        let mut offsets: Vec<(u64, &str)> = (0..40).map(|n| (n * 100, "/a")).collect();
        offsets.insert(25, (2_450, "/b"));
        let workload = workload(&offsets);
        let found = forecast(
            &workload,
            Arrivals::Recorded(Speed::ONE),
            layout(Arrangement::Simultaneous),
            1,
        );
        let found = found.unwrap();
        assert_eq!(found["GET /a"].fewest, 10.0);
        assert!((found["GET /b"].mean - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(found["GET /b"].fewest, 0.0);
    }

    #[test]
    fn two_slots_of_a_side_count_as_one_round() {
        let workload = workload(&[(0, "/a"), (0, "/b")]);
        let rate = Arrivals::Constant("100/s".parse().unwrap());
        let found = forecast(&workload, rate, layout(Arrangement::Interleaved), 1).unwrap();
        assert_eq!(found["GET /a"].mean, 100.0);
        assert_eq!(found["GET /b"].fewest, 100.0);
    }

    #[test]
    fn a_schedule_too_long_to_walk_through_is_taken_by_its_average() {
        let workload = workload(&[(0, "/a"), (0, "/b")]);
        let rate = Arrivals::Constant("500000/s".parse().unwrap());
        let found = forecast(&workload, rate, layout(Arrangement::Simultaneous), 1).unwrap();
        assert_eq!(found["GET /a"].fewest, 250_000.0);
    }
}
