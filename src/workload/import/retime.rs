//! From stamps to the instants at which requests were sent.
//!
//! Stamps of whole seconds, replayed as they are, would come in one burst a second that nobody
//! recorded. Inside a second arrivals of many independent clients are close to uniform, so each
//! is put at an instant that the seed draws, in the order of the lines. Stamps of the end of a
//! request are moved back by its duration afterwards.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    draft::Logged,
    gather::{Found, Gather},
};
use crate::units::{SECOND_NS, count, from_seconds};

/// What is known of the stamps of the requests found so far, in the same order.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    is_end: Vec<bool>,
    /// Whether one of them tells more than the second. Some servers leave out a fraction of zero,
    /// so a single whole second among others is no sign of a coarse clock.
    is_fine: bool,
}

impl Stamps {
    pub(super) fn push(&mut self, logged: &Logged) {
        self.is_end.push(logged.is_end);
        self.is_fine |= logged.found.started_ns.is_some() && !logged.is_whole;
    }

    /// Turns the stamps of all that was found into instants of sending, and says how.
    pub(super) fn correct(&self, gather: &mut Gather, seed: u64) {
        let found = &mut gather.found;
        let notes = &mut gather.summary.notes;
        if !self.is_fine && found.iter().any(|it| it.started_ns.is_some()) {
            spread(found, seed);
            notes.push(format!(
                "the log has stamps of whole seconds; requests were spread inside their second \
                 (uniform, seed {seed})"
            ));
        }
        let (mut moved, mut late) = (0_u64, 0_u64);
        for (found, _) in found
            .iter_mut()
            .zip(&self.is_end)
            .filter(|(_, is_end)| **is_end)
        {
            match (found.started_ns, found.request.recorded.latency_ns) {
                (Some(end_ns), Some(latency_ns)) => {
                    found.started_ns = Some(end_ns.saturating_sub(latency_ns));
                    moved += 1;
                }
                _ => late += 1,
            }
        }
        if moved > 0 {
            notes.push(format!(
                "{moved} stamps were of the end of a request and were moved back by its duration"
            ));
        }
        if late > 0 {
            gather.summary.warnings.push(format!(
                "{late} stamps are of the end of a request and the log has no duration to take \
                 off, so they are sent later than recorded; log $request_time as well"
            ));
        }
    }
}

/// Puts each request at an instant inside its second, keeping the order of the lines.
fn spread(found: &mut [Found], seed: u64) {
    let mut seconds: HashMap<u64, u64> = HashMap::new();
    for started_ns in found.iter().filter_map(|it| it.started_ns) {
        *seconds.entry(started_ns / SECOND_NS).or_default() += 1;
    }
    // What is left of a second: where its last request was put, and how many are to come.
    let mut places: HashMap<u64, (f64, ChaCha8Rng)> = HashMap::new();
    for found in found {
        let Some(started_ns) = found.started_ns else {
            continue;
        };
        let second = started_ns / SECOND_NS;
        let left = seconds.get_mut(&second).expect("each second was counted");
        let (from, random) = places.entry(second).or_insert_with(|| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(second);
            (0.0, random)
        });
        // The smallest of `left` uniform instants between `from` and 1 (order statistics).
        let drawn: f64 = random.random();
        let step = 1.0 - (1.0 - drawn).powf(1.0 / count(*left));
        *from += (1.0 - *from) * step;
        *left -= 1;
        let inside = from_seconds(*from).min(SECOND_NS - 1);
        found.started_ns = Some(second * SECOND_NS + inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{parse_request, rules::Offers};

    fn found(seconds: &[u64]) -> Vec<Found> {
        let found = seconds.iter().zip(0..).map(|(second, position)| Found {
            position,
            host: String::new(),
            started_ns: Some(second * SECOND_NS),
            client: String::new(),
            request: parse_request("/").unwrap(),
            notes: Vec::new(),
            offers: Offers::default(),
        });
        found.collect()
    }

    fn spread_out(seconds: &[u64], seed: u64) -> Vec<u64> {
        let mut found = found(seconds);
        spread(&mut found, seed);
        found.iter().filter_map(|it| it.started_ns).collect()
    }

    #[test]
    fn requests_of_a_second_are_uniform_in_it_and_in_order() {
        let seconds: Vec<u64> = (0..20_000).map(|n| 1_000 + n / 100).collect();
        let instants = spread_out(&seconds, 1);
        assert!(instants.is_sorted());
        assert!(
            seconds
                .iter()
                .zip(&instants)
                .all(|(s, ns)| ns / SECOND_NS == *s)
        );
        // Kolmogorov and Smirnov's distance from the uniform distribution, 1 % point.
        let mut inside: Vec<u64> = instants.iter().map(|ns| ns % SECOND_NS).collect();
        inside.sort_unstable();
        let distance = inside.iter().zip(0..).map(|(ns, rank)| {
            let expected = count(rank) / 20_000.0;
            (crate::units::seconds(*ns) - expected).abs()
        });
        let distance = distance.fold(0.0, f64::max);
        assert!(distance < 1.63 / 20_000_f64.sqrt(), "{distance}");
    }

    #[test]
    fn the_seed_decides_and_lines_of_other_seconds_do_not() {
        let alone = spread_out(&[7, 7, 7], 1);
        let among = spread_out(&[7, 9, 7, 8, 7], 1);
        assert_eq!(alone, [among[0], among[2], among[4]]);
        assert_ne!(alone, spread_out(&[7, 7, 7], 2));
    }
}
