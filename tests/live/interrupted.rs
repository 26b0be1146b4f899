//! Signals in the middle of a run: what was complete is kept, and the end comes soon. A process
//! that was stopped for a while says that it was late, and blames nobody else.

use std::path::Path;

use proofload::{
    clock::Clock,
    run::{Class, Group, Run},
    units::SECOND_NS,
};

use crate::{
    binary::Done,
    engine::quiet,
    faultd::{Fault, Faultd, MS, Setup},
    runs::{run, stored},
};

/// Complete records that the run file holds so far.
fn records(directory: &Path) -> usize {
    let text = std::fs::read_to_string(directory.join("run.jsonl")).unwrap_or_default();
    text.matches('\n').count()
}

const LONG: &str = "--request /x --rate 100/s -d 30s --slot 200ms";

#[test]
fn a_polite_signal_keeps_what_was_complete_and_ends_soon() {
    for (signal, code, reason) in [("INT", 130, "SIGINT"), ("TERM", 143, "SIGTERM")] {
        let server = Faultd::always(Fault::Delay(20 * MS));
        let mut started = run(&server, LONG).start();
        started.wait_until("two slots are stored", |directory| records(directory) >= 3);
        let clock = Clock::start();
        started.signal(signal);
        let done = started.wait().expect(code);
        assert!(clock.now_ns() < 10 * SECOND_NS, "ends within seconds");
        let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(sums["complete"], false);
        assert_eq!(sums["sent"].as_u64().unwrap() + 1, server.requests());
        let run = stored(&done);
        assert_eq!(run.damage, None);
        let footer = run.footer.unwrap();
        assert_eq!(footer.state, "partial");
        assert!(footer.reason.contains(reason), "{}", footer.reason);
        let complete = run.slots.iter().take_while(|slot| slot.complete).count();
        assert!(
            complete >= 2 && complete + 1 >= run.slots.len(),
            "only the last was cut short"
        );
    }
}

#[test]
fn a_second_signal_gives_up_what_is_in_flight() {
    // The preflight is answered, and then nothing for a minute.
    let server = Setup::default()
        .route("/", Fault::Status(200))
        .stall(50 * MS, 60 * SECOND_NS)
        .start();
    let mut started = run(&server, LONG).start();
    started.wait_until("some are in flight", |_| server.requests() > 10);
    // Another one than the first: two of the same could arrive as one.
    started.signal("INT");
    started.signal("TERM");
    let done = started.wait().expect(130);
    let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(sums["classes"]["aborted"].as_u64().unwrap() > 0, "{sums}");
    assert_eq!(sums["classes"]["aborted"], sums["sent"]);
    assert_eq!(stored(&done).footer.unwrap().state, "partial");
}

#[test]
fn a_killed_run_keeps_each_slot_that_was_complete() {
    let server = Faultd::always(Fault::Status(200));
    let mut started = run(&server, LONG).start();
    let path = started.path("run.jsonl");
    started.wait_until("three slots are stored", |directory| {
        records(directory) >= 4
    });
    let before = Run::read(std::fs::read(&path).unwrap().as_slice()).unwrap();
    started.signal("KILL");
    let done = started.wait().expect(-9);
    let after = stored(&done);
    assert!(after.slots.len() >= 3 && after.footer.is_none());
    assert!(after.slots.iter().all(|slot| slot.complete));
    assert_eq!(
        after.slots[..3],
        before.slots[..3],
        "what was stored has not changed"
    );
}

#[test]
fn a_stopped_generator_says_that_it_was_late_and_blames_nobody() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let mut started = run(&server, "--request /x --rate 200/s -d 4s --slot 500ms").start();
    started.wait_until("a slot is stored", |directory| records(directory) >= 2);
    started.signal("STOP");
    // The pause is the fault that is planted, not a wait for anything.
    std::thread::sleep(std::time::Duration::from_millis(700));
    started.signal("CONT");
    // Two or three of eight slots are too many.
    let done = started.wait().expect(12);
    let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(sums["health"]["stall"].as_u64() >= Some(1), "{sums}");
    assert!(
        sums["causes"][0].as_str().unwrap().contains("stall"),
        "{sums}"
    );
    let run = stored(&done);
    let touched: Vec<_> = run
        .slots
        .iter()
        .filter(|slot| slot.health.stall_ns > 250 * MS)
        .collect();
    assert!(
        (1..=4).contains(&touched.len()),
        "the pause is seen where it was"
    );
    let mut total = proofload::run::EndpointStats::default();
    for slot in &run.slots {
        total.merge(&slot.total());
    }
    let late = total.classes[&Class::NotSentLate];
    assert!(
        late >= 40,
        "{late} requests were due more than 250 ms before the pause ended"
    );
    assert_eq!(
        total.group(Group::HttpError) + total.group(Group::TransportError),
        0
    );
    assert_eq!(total.scheduled, 800);
    assert_eq!(total.sent() + 1, server.requests());
    // What was a little late was sent, and its lag is told apart from the service.
    let lag_max = touched
        .iter()
        .map(|slot| slot.health.lag.max_ns())
        .max()
        .unwrap();
    assert!(lag_max > 150 * MS, "{lag_max}");
    let slowest = total.service.quantile_ns(0.9).unwrap();
    assert!(slowest < proofload::units::count(150 * MS), "{slowest}");
}

/// What a run has to say of a target that died after the server had seen so many requests.
fn died(done: &Done, answered: u64) {
    let run = stored(done);
    let footer = run.footer.unwrap();
    let said = "target_died: the target stopped answering ";
    assert_eq!(footer.state, "partial");
    let rest = footer.reason.strip_prefix(said);
    let rest = rest.unwrap_or_else(|| panic!("{}", footer.reason));
    let at_s: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    // At 100/s, the preflight left out.
    let wanted_s = proofload::units::count(answered - 1) / 100.0;
    assert!((at_s - wanted_s).abs() < 0.5, "{at_s} s, {wanted_s} s");
    let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(
        sums["causes"][0]
            .as_str()
            .unwrap()
            .contains("stopped answering")
    );
    assert_eq!(sums["complete"], false);
    assert!(sums["ok"].as_u64().unwrap() + 5 >= answered, "{sums}");
    assert!(run.slots.len() > 5 && run.slots[..5].iter().all(|slot| slot.complete));
}

#[test]
fn a_target_that_dies_ends_the_run_and_its_time_of_death_is_named() {
    let _quiet = quiet();
    let mut server = Some(Faultd::always(Fault::Delay(20 * MS)));
    let up = server.as_ref().unwrap();
    let mut started = run(up, LONG).start();
    started.wait_until("two seconds are over", |_| up.requests() > 200);
    let answered = up.requests();
    drop(server.take());
    let clock = Clock::start();
    let done = started.wait().expect(12);
    let took_s = clock.now_ns() / SECOND_NS;
    assert!((4..10).contains(&took_s), "{took_s} s");
    died(&done, answered);
}
