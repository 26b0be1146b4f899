//! From stamps to the instants at which requests were sent.
//!
//! Stamps of whole seconds, replayed as they are, would come in one burst a second that nobody
//! recorded. Inside a second arrivals of many independent clients are close to uniform, so each
//! is put at an instant that the seed draws, in the order of the lines. Stamps of the end of a
//! request are moved back by its duration afterwards.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{draft::Logged, gather::Gather, kept::Kept};
use crate::units::{SECOND_NS, count, from_seconds};

/// Of ten stamps of one clock so many have to be whole seconds before it is taken for a coarse one.
/// Fine clocks come upon a whole second as well, and some servers leave out a fraction of zero.
const MOST_OF_TEN: u64 = 9;

/// What is known of the stamps of the requests found so far, in the same order.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    list: Vec<Stamp>,
    /// Numbers of the clocks: of each file, each format in it and each host, one of its own.
    numbers: HashMap<(usize, usize, String), usize>,
    clocks: Vec<Clock>,
}

#[derive(Debug)]
struct Stamp {
    is_end: bool,
    /// It tells nothing below the second.
    is_whole: bool,
    clock: usize,
}

/// How many stamps a clock gave, and how many of them were whole seconds.
#[derive(Debug, Default)]
struct Clock {
    all: u64,
    whole: u64,
}

impl Clock {
    fn is_coarse(&self) -> bool {
        10 * self.whole >= MOST_OF_TEN * self.all
    }

    /// Whether more of its stamps are whole than a clock of tenths would make.
    fn is_mixed(&self) -> bool {
        !self.is_coarse() && 10 * self.whole > self.all
    }
}

impl Stamps {
    /// Takes the stamp of the next request, and the numbers of its file and of its format.
    pub(super) fn push(&mut self, logged: &Logged, (file, format): (usize, usize)) {
        let key = (file, format, logged.found.host.clone());
        let next = self.clocks.len();
        let clock = *self.numbers.entry(key).or_insert(next);
        if clock == next {
            self.clocks.push(Clock::default());
        }
        let is_whole = logged.found.started_ns.is_some() && logged.is_whole;
        self.clocks[clock].all += u64::from(logged.found.started_ns.is_some());
        self.clocks[clock].whole += u64::from(is_whole);
        self.list.push(Stamp {
            is_end: logged.is_end,
            is_whole,
            clock,
        });
    }

    /// Puts whole seconds of coarse clocks at instants inside them, and says how many.
    fn refine(&self, gather: &mut Gather, seed: u64) {
        let list = self.list.iter();
        let is_coarse: Vec<bool> = list
            .map(|stamp| stamp.is_whole && self.clocks[stamp.clock].is_coarse())
            .collect();
        let spread_out = is_coarse.iter().filter(|it| **it).count();
        let all: u64 = self.clocks.iter().map(|clock| clock.all).sum();
        let notes = &mut gather.summary.notes;
        if spread_out > 0 {
            spread(&mut gather.found, &is_coarse, seed);
            notes.push(format!(
                "{spread_out} of {all} stamps are whole seconds; their requests were spread inside \
                 their second (uniform, seed {seed})"
            ));
        }
        let mixed = self.clocks.iter().filter(|clock| clock.is_mixed());
        let mixed: u64 = mixed.map(|clock| clock.whole).sum();
        if mixed > 0 {
            notes.push(format!(
                "{mixed} of {all} stamps are whole seconds among finer ones of the same file and \
                 host, and were taken as they are"
            ));
        }
    }

    /// Turns the stamps of all that was found into instants of sending, and says how.
    pub(super) fn correct(&self, gather: &mut Gather, seed: u64) {
        self.refine(gather, seed);
        let found = &mut gather.found;
        let notes = &mut gather.summary.notes;
        let (mut moved, mut late) = (0_u64, 0_u64);
        for (found, _) in found
            .iter_mut()
            .zip(&self.list)
            .filter(|(_, stamp)| stamp.is_end)
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

/// Puts each request whose stamp is coarse at an instant inside its second, keeping the order of
/// the lines.
fn spread(found: &mut [Kept], is_coarse: &[bool], seed: u64) {
    let coarse = |found: &&Kept, is_coarse: &bool| found.started_ns.filter(|_| *is_coarse);
    let mut seconds: HashMap<u64, u64> = HashMap::new();
    for (found, is_coarse) in found.iter().zip(is_coarse) {
        if let Some(started_ns) = coarse(&found, is_coarse) {
            *seconds.entry(started_ns / SECOND_NS).or_default() += 1;
        }
    }
    // What is left of a second: where its last request was put, and how many are to come.
    let mut places: HashMap<u64, (f64, ChaCha8Rng)> = HashMap::new();
    for (found, is_coarse) in found.iter_mut().zip(is_coarse) {
        let Some(started_ns) = coarse(&&*found, is_coarse) else {
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
    use crate::workload::{
        import::{Unit, gather::Found, kept::Fields},
        parse_request,
        rules::Offers,
    };

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
        let found = found(seconds).into_iter();
        let mut fields = Fields::default();
        let mut found: Vec<Kept> = found
            .map(|found| Kept::new(found, 0, &mut fields))
            .collect();
        let all = vec![true; found.len()];
        spread(&mut found, &all, seed);
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
    /// Stamps of one format, in order of file and host, and how many of them are spread.
    fn spread_of(rows: &[(usize, &str, u64, bool)]) -> (Vec<u64>, Vec<String>) {
        let (mut gather, mut stamps) = (Gather::new(Unit::default()), Stamps::default());
        for (file, host, started_ns, is_whole) in rows {
            let mut found = found(&[0]).remove(0);
            (found.host, found.started_ns) = ((*host).to_owned(), Some(*started_ns));
            let (is_end, is_whole) = (false, *is_whole);
            let logged = Logged {
                found,
                is_end,
                is_whole,
            };
            stamps.push(&logged, (*file, 0));
            let position = gather.next_entry();
            gather.take(position, Ok(logged.found));
        }
        stamps.correct(&mut gather, 1);
        let instants = gather.found.iter().filter_map(|it| it.started_ns);
        (instants.collect(), gather.summary.notes)
    }

    #[test]
    fn whole_seconds_are_spread_clock_by_clock() {
        const S: u64 = SECOND_NS;
        let rows = [
            (1, "a", 5 * S, true),
            // Another host and another file, with a clock of their own.
            (1, "b", 5 * S + 250, false),
            (1, "a", 5 * S, true),
            (2, "a", 6 * S, true),
            (2, "a", 6 * S + 500, false),
        ];
        let (instants, notes) = spread_of(&rows);
        let is_moved: Vec<bool> = rows
            .iter()
            .zip(&instants)
            .map(|(row, ns)| row.2 != *ns)
            .collect();
        assert_eq!(is_moved, [true, false, true, false, false], "{instants:?}");
        assert!(
            notes[0].starts_with("2 of 5 stamps are whole seconds; their"),
            "{notes:?}"
        );
        assert!(
            notes[1].starts_with("1 of 5 stamps are whole seconds among"),
            "{notes:?}"
        );
        // One fine stamp among many whole ones is no fine clock.
        let mut rows = [(1, "a", 7 * S, true); 20];
        (rows[3].2, rows[3].3) = (7 * S + 5, false);
        let (_, notes) = spread_of(&rows);
        assert!(
            notes[0].starts_with("19 of 20 stamps are whole seconds; their"),
            "{notes:?}"
        );
    }
}
