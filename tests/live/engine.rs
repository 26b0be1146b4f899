//! Loads for the engine, and what came of them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proofload::{
    replay::{Arrangement, Arrivals, Gauge, Layout, Limits, Load, Stop, start},
    run::{Class, EndpointStats, Side, Slot},
    tls::Trust,
    workload::{Address, Request, Target, Workload, parse_request},
};

use crate::faultd::MS;

/// No trial of a test takes longer than this, however slow the machine.
const TRIAL_MAX: Duration = Duration::from_secs(60);

static QUIET: Mutex<()> = Mutex::new(());

/// Keeps other measuring tests of this process away while one measures.
pub(crate) fn quiet() -> MutexGuard<'static, ()> {
    QUIET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A workload of these requests, such as `GET /a`, each expecting this status.
pub(crate) fn workload(requests: &[&str], expect_status: Option<u16>) -> Workload {
    let parse = |text: &&str| Request {
        expect_status,
        ..parse_request(text).unwrap()
    };
    Workload::from_requests(requests.iter().map(parse).collect(), "test").unwrap()
}

/// The target behind a URL, pinned to an address.
pub(crate) fn target(url: &str, address: SocketAddr) -> Target {
    let mut target = Target::parse(url).unwrap();
    target.address = Some(Address::Tcp(address));
    target
}

/// One side, one slot of so many milliseconds, requests at a constant rate.
pub(crate) fn load(address: SocketAddr, workload: Workload, rate: &str, ms: u64) -> Load {
    let second = 1_000 * MS;
    Load {
        targets: [None, Some(target(&format!("http://{address}"), address))],
        workload,
        layout: Layout {
            arrangement: None,
            before: 0,
            rounds: 1,
            warmup_ns: None,
            slot_ns: ms * MS,
            settle_ns: 0,
        },
        arrivals: Arrivals::Constant(rate.parse().unwrap()),
        seed: 7,
        limits: Limits {
            in_flight_max: 1_000,
            connections_max: 1_000,
            http2_connections_max: 4,
            streams_max: 100,
            connect_ns: 5 * second,
            header_ns: 10 * second,
            idle_ns: 10 * second,
            total_ns: 30 * second,
            drain_ns: second,
        },
        threads: 1,
        run_id: "test".to_owned(),
        trust: Trust::default(),
    }
}

/// Both sides on one server, told apart by the first segment of the path: `/a` and `/b`.
pub(crate) fn pair(address: SocketAddr, workload: Workload, arrangement: Arrangement) -> Load {
    let side = |path| Some(target(&format!("http://{address}/{path}"), address));
    let single = load(address, workload, "200/s", 300);
    Load {
        targets: [side("a"), side("b")],
        layout: Layout {
            arrangement: Some(arrangement),
            before: 0,
            rounds: 3,
            ..single.layout
        },
        ..single
    }
}

/// What came of a run.
pub(crate) struct Trial {
    /// All slots, in the order of closing.
    pub(crate) slots: Vec<Slot>,
    /// Connections on which bytes came that nobody had asked for.
    pub(crate) stray: u64,
}

impl Trial {
    /// All endpoints of all slots of one side as one.
    pub(crate) fn side(&self, side: Side) -> EndpointStats {
        let mut total = EndpointStats::default();
        for slot in self.slots.iter().filter(|slot| slot.side == side) {
            total.merge(&slot.total());
        }
        total
    }

    /// The classes of a run of one side, without what a stalled machine could not send in
    /// time: that is never sent, so it changes no count but the one of `scheduled`.
    pub(crate) fn classes(&self) -> BTreeMap<Class, u64> {
        let mut classes = self.side(Side::Candidate).classes;
        classes.remove(&Class::NotSentLate);
        classes
    }
}

/// Runs to the end of the schedule.
pub(crate) fn run(load: &Load) -> Trial {
    run_with(load, |_, _| {})
}

/// Runs with somebody who watches, and may stop it.
pub(crate) fn run_with(load: &Load, mut watch: impl FnMut(&Gauge, &Stop)) -> Trial {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut running = start(load).unwrap();
    let mut slots = Vec::new();
    let all = async {
        let mut tick = tokio::time::interval(Duration::from_millis(2));
        loop {
            tokio::select! {
                slot = running.next_slot() => match slot {
                    Some(slot) => slots.push(slot),
                    None => break,
                },
                _ = tick.tick() => watch(&running.gauge, &running.stop),
            }
        }
    };
    runtime
        .block_on(async { tokio::time::timeout(TRIAL_MAX, all).await })
        .expect("a run ends by itself");
    let stray = running
        .gauge
        .stray
        .load(std::sync::atomic::Ordering::Relaxed);
    running.finish().unwrap();
    for slot in &slots {
        for (endpoint, stats) in &slot.endpoints {
            assert!(stats.is_conserved(), "round {}: {endpoint}", slot.round);
        }
    }
    Trial { slots, stray }
}
