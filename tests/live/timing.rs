//! When requests leave, what a stall of the server looks like, and what both sides get.

use std::collections::{BTreeMap, BTreeSet};

use proofload::{
    replay::{Arrangement, Arrivals, Load},
    run::{Class, Side},
    units::{Speed, count},
    workload::{Request, Workload, parse_request},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    engine::{Trial, load, pair, quiet, run, target, workload},
    faultd::{Fault, Faultd, MS, Seen, Setup},
};

/// Far above what a loaded machine does to a median, far below what a wrong plan would.
const SLACK_NS: u64 = 50 * MS;

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn a_stall_of_the_server_is_seen_by_every_request_that_was_due_in_it() {
    let _quiet = quiet();
    let (from_ns, until_ns) = (600 * MS, 1_000 * MS);
    let server = Setup::default()
        .route("/", Fault::Status(200))
        .stall(from_ns, until_ns)
        .start();
    let trial = run(&load(
        server.address,
        workload(&["GET /x"], None),
        "200/s",
        1_600,
    ));
    let total = trial.side(Side::Candidate);
    let seen = server.seen();
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::Ok, seen.len() as u64)])
    );

    // The schedule went on: nobody waited for an answer before sending the next request.
    let arrived = |from_ns: u64, until_ns: u64| {
        let at = seen.iter().map(|one| one.at_ns - seen[0].at_ns);
        at.filter(|at_ns| (from_ns..until_ns).contains(at_ns))
            .count() as u64
    };
    let lag = &trial.slots[0].health.lag;
    let late = total.classes.get(&Class::NotSentLate).copied().unwrap_or(0);
    let delayed = lag
        .buckets()
        .filter(|(ns, _)| *ns > 20 * MS)
        .map(|(_, n)| n);
    let ours = late + delayed.sum::<u64>();
    let in_stall = arrived(from_ns, until_ns);
    assert!(
        in_stall + ours >= 60,
        "{in_stall} of 80 arrived in the stall, {ours} were late"
    );

    // Whoever arrived so long before its end waited at least so long.
    for wait_ns in [50 * MS, 100 * MS, 200 * MS, 350 * MS] {
        let waited = total.response.buckets();
        let waited = waited.filter(|(ns, _)| *ns + MS >= wait_ns).map(|(_, n)| n);
        let (waited, must) = (waited.sum::<u64>(), arrived(from_ns, until_ns - wait_ns));
        assert!(
            waited >= must,
            "{waited} of {must} took {} ms",
            wait_ns / MS
        );
    }

    // It is the server's, not ours: the send lag knows nothing of it.
    assert_eq!(lag.count(), total.sent());
    assert!(lag.quantile_ns(0.5).unwrap() < count(2 * SLACK_NS));
    for quantile in [0.1, 0.5, 0.9, 0.99] {
        let (response, service) = (&total.response, &total.service);
        assert!(response.quantile_ns(quantile) >= service.quantile_ns(quantile));
    }
}

/// So many requests, each with a path of its own.
fn distinct(n: usize) -> Workload {
    let paths: Vec<String> = (0..n).map(|n| format!("GET /item?n={n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    workload(&paths, None)
}

/// What each side saw, by path: position in the order of arrival, and instant.
fn sides(seen: &[Seen]) -> [BTreeMap<String, (usize, u64)>; 2] {
    ["/a/", "/b/"].map(|prefix| {
        let own = seen.iter().enumerate();
        let own = own.filter_map(|(position, one)| {
            let path = one.path.strip_prefix(prefix)?;
            Some((path.to_owned(), (position, one.at_ns)))
        });
        own.collect()
    })
}

fn late(trial: &Trial) -> usize {
    let late = Side::BOTH.map(|side| {
        let classes = trial.side(side).classes;
        classes.get(&Class::NotSentLate).copied().unwrap_or(0)
    });
    usize::try_from(late[0] + late[1]).unwrap()
}

#[test]
fn simultaneous_sides_get_the_same_requests_at_the_same_time_and_nobody_is_always_first() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let trial = run(&pair(
        server.address,
        distinct(1_000),
        Arrangement::Simultaneous,
    ));
    let [a, b] = sides(&server.seen());
    let both: Vec<_> = a
        .iter()
        .filter_map(|(path, a)| Some((*a, *b.get(path)?)))
        .collect();
    assert!(
        a.len() + b.len() - 2 * both.len() <= late(&trial),
        "each request on both sides"
    );
    assert!(both.len() + late(&trial) >= 180, "{} pairs", both.len());
    let apart = both.iter().map(|((_, a), (_, b))| a.abs_diff(*b)).collect();
    assert!(median(apart) < SLACK_NS);
    let first = both.iter().filter(|((a, _), (b, _))| a < b).count();
    let share = count(first as u64) / count(both.len() as u64);
    assert!(
        (0.25..0.75).contains(&share),
        "the baseline was first in {share} of pairs"
    );
    let scheduled = Side::BOTH.map(|side| trial.side(side).scheduled);
    assert_eq!(scheduled, [180, 180]);
}

/// Two servers, a workload with sessions and irregular instants, and what each server saw.
fn two_servers(
    arrangement: Arrangement,
    change: impl FnOnce(&mut Load),
) -> (Trial, [Vec<Seen>; 2]) {
    let servers = [(), ()].map(|()| Faultd::always(Fault::Status(200)));
    let (_, irregular) = irregular(40);
    let requests = irregular
        .requests()
        .unwrap()
        .zip(0..)
        .map(|(request, n)| Request {
            session: format!("{}", n % 3),
            path: format!("/item?n={n}"),
            ..request.unwrap()
        });
    let workload = Workload::from_requests(requests.collect(), "recorded").unwrap();
    let mut load = pair(servers[0].address, workload, arrangement);
    load.arrivals = Arrivals::Recorded(Speed::ONE);
    let own = |at: usize| {
        target(
            &format!("http://{}", servers[at].address),
            servers[at].address,
        )
    };
    load.targets = [Some(own(0)), Some(own(1))];
    change(&mut load);
    let trial = run(&load);
    let seen = servers.each_ref().map(Faultd::seen);
    (trial, seen)
}

fn paths(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|one| one.path.as_str()).collect()
}

/// Whether both saw the same requests in the same order, but for those that swapped places because
/// two connections were read in another order than they were written to.
fn are_alike(seen: &[Vec<Seen>; 2]) -> bool {
    let [a, b] = seen.each_ref().map(|seen| paths(seen));
    let moved = a.iter().zip(&b).filter(|(a, b)| a != b).count();
    let sorted = |paths: &[&str]| {
        let mut paths: Vec<String> = paths.iter().map(|it| (*it).to_owned()).collect();
        paths.sort_unstable();
        paths
    };
    sorted(&a) == sorted(&b) && 5 * moved <= a.len()
}

#[test]
fn both_servers_of_a_simultaneous_pair_see_the_same_requests_in_the_same_order() {
    let _quiet = quiet();
    let (trial, seen) = two_servers(Arrangement::Simultaneous, |load| {
        load.layout.slot_ns = 1_500 * MS;
    });
    let scheduled = Side::BOTH.map(|side| trial.side(side).scheduled);
    assert_eq!(scheduled[0], scheduled[1]);
    assert!(scheduled[0] > 150, "{scheduled:?}");
    if late(&trial) == 0 {
        assert!(
            are_alike(&seen),
            "{:?}",
            seen.each_ref().map(|it| paths(it))
        );
        let [a, b] = &seen;
        let pairs = a.iter().zip(b).filter(|(a, b)| a.path == b.path);
        let pairs: Vec<(u64, u64)> = pairs.map(|(a, b)| (a.at_ns, b.at_ns)).collect();
        let apart = pairs.iter().map(|(a, b)| a.abs_diff(*b)).collect();
        // How close they are is measured by `arrivals --twin`, not here.
        println!(
            "half of the pairs arrive within {} µs",
            median(apart) / 1_000
        );
    }
}

#[test]
fn both_servers_of_interleaved_slots_see_the_same_requests_at_the_same_instants() {
    let _quiet = quiet();
    let (trial, seen) = two_servers(Arrangement::Interleaved, |load| {
        load.layout.rounds = 3;
        load.layout.slot_ns = 300 * MS;
        load.layout.settle_ns = 60 * MS;
    });
    if late(&trial) > 0 {
        return;
    }
    assert!(
        are_alike(&seen),
        "{:?}",
        seen.each_ref().map(|it| paths(it))
    );
    // The slots of a piece differ by one shift in time, so all gaps within it are equal.
    let [a, b] = &seen;
    let gaps = |seen: &[Seen]| -> Vec<(String, i64)> {
        let pairs = seen.windows(2);
        let gap = |pair: &[Seen]| i64::try_from(pair[1].at_ns - pair[0].at_ns).unwrap();
        pairs
            .map(|pair| (pair[1].path.clone(), gap(pair)))
            .collect()
    };
    let same = gaps(a).into_iter().zip(gaps(b));
    let same = same.filter(|(a, b)| a.0 == b.0 && a.1 < 100_000_000 && b.1 < 100_000_000);
    let off = same.map(|(a, b)| a.1.abs_diff(b.1)).collect();
    assert!(median(off) < SLACK_NS);
    let medians = trial.slots.iter().filter(|slot| slot.round > 0);
    assert!(
        medians
            .clone()
            .all(|slot| slot.settle_ns == 60 * MS && slot.medians_ns.is_empty())
    );
    assert_eq!(medians.count(), 12);
}

#[test]
fn the_median_of_each_second_is_kept_from_the_begin_of_the_load() {
    let _quiet = quiet();
    let (trial, _) = two_servers(Arrangement::Interleaved, |load| {
        load.layout.rounds = 1;
        load.layout.warmup_ns = None;
        load.layout.slot_ns = 1_700 * MS;
        load.layout.settle_ns = 500 * MS;
    });
    assert_eq!(trial.slots.len(), 4);
    for slot in &trial.slots {
        assert_eq!(slot.medians_ns.len(), 2, "2.2 s hold two whole seconds");
        let total = slot.total();
        let most = total.response.max_ns();
        // The first second lies half in the settle cut, which is not in the histogram.
        let second = slot.medians_ns[1].expect("answered within a second");
        assert!(second <= most + most / 64, "{second} of {most}");
        assert!(slot.medians_ns[0].is_some());
    }
}

#[test]
fn interleaved_sides_take_turns_with_the_same_requests() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let mut load = pair(server.address, distinct(1_000), Arrangement::Interleaved);
    load.layout.rounds = 2;
    load.layout.slot_ns = 150 * MS;
    load.layout.settle_ns = 50 * MS;
    let trial = run(&load);
    let seen = server.seen();
    let [a, b] = sides(&seen);
    let paths = |side: &BTreeMap<String, _>| side.keys().cloned().collect::<BTreeSet<_>>();
    if late(&trial) == 0 {
        assert_eq!(paths(&a), paths(&b));
        assert_eq!(seen.len(), 8 * 40, "what settles is sent too");
    }
    let scheduled: Vec<u64> = trial
        .slots
        .iter()
        .map(|slot| slot.total().scheduled)
        .collect();
    assert_eq!(scheduled, [30; 8], "what settles is not counted");
    let mut turns: Vec<&str> = seen.iter().map(|one| &one.path[..2]).collect();
    turns.dedup();
    assert!(turns.len() <= 8, "one side at a time: {turns:?}");
}

/// Requests with irregular gaps of up to 50 ms, after a first one at zero.
fn irregular(n: usize) -> (Vec<u64>, Workload) {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut at_ns = 0;
    let offsets: Vec<u64> = (0..n)
        .map(|n| {
            at_ns += if n == 0 {
                0
            } else {
                random.random_range(0..50 * MS)
            };
            at_ns
        })
        .collect();
    let requests = offsets.iter().map(|offset_ns| Request {
        offset_ns: *offset_ns,
        ..parse_request("GET /x").unwrap()
    });
    let workload = Workload::from_requests(requests.collect(), "recorded").unwrap();
    (offsets, workload)
}

#[test]
fn recorded_arrivals_keep_their_gaps() {
    let _quiet = quiet();
    let (offsets, workload) = irregular(60);
    for (speed, factor) in [("1x", 1), ("2x", 2)] {
        let server = Faultd::always(Fault::Status(200));
        // The slot ends with the last request, before the workload begins again.
        let ms = offsets[59] / MS / factor + 1;
        let plain = load(server.address, workload.clone(), "1/s", ms);
        let speed: Speed = speed.parse().unwrap();
        let trial = run(&Load {
            arrivals: Arrivals::Recorded(speed),
            ..plain
        });
        let total = trial.side(Side::Candidate);
        assert_eq!(total.scheduled, 60);
        let seen = server.seen();
        assert_eq!(seen.len() as u64, total.sent());
        let wrong = seen.iter().zip(&offsets).map(|(one, offset_ns)| {
            let since_ns = one.at_ns - seen[0].at_ns;
            since_ns.abs_diff(offset_ns / factor)
        });
        assert!(median(wrong.collect()) < SLACK_NS, "{speed:?}");
    }
}
