//! The real binary as a recorder in front of an application.

use std::{net::SocketAddr, path::Path};

use proofload::workload::{Request, Summary, Workload};

use crate::binary::{Done, Proofload, Started};

/// A recorder that runs.
pub(crate) struct Recording {
    pub(crate) started: Started,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// A call that records what goes to this upstream into `w.jsonl`.
pub(crate) fn call(upstream: &str, more: &str) -> Proofload {
    let line = format!("record --listen 0 --upstream {upstream} -o w.jsonl {more}");
    Proofload::new(&line)
}

/// Starts it and waits until it listens.
pub(crate) fn start(call: Proofload) -> Recording {
    let mut started = call.start();
    let mut address = None;
    started.wait_until("it listens", |dir| {
        let said = std::fs::read_to_string(dir.join(".stderr")).unwrap_or_default();
        let line = said.lines().find(|line| line.starts_with("recording "));
        let url = line.and_then(|line| line.split(' ').nth(1));
        let place = url.and_then(|url| url.split("://").nth(1));
        address = place.map(|place| place.parse().unwrap());
        address.is_some()
    });
    Recording {
        started,
        address: address.unwrap(),
    }
}

/// Starts a recorder in front of this upstream.
pub(crate) fn record(upstream: &str, more: &str) -> Recording {
    start(call(upstream, more))
}

impl Recording {
    /// Interrupts it and waits for its end.
    pub(crate) fn stop(self) -> Done {
        self.started.signal("INT");
        self.started.wait()
    }
}

/// A row of the account, such as `      3  WebSocket (entry 1)`: its count.
pub(crate) fn counted(done: &Done, reason: &str) -> u64 {
    let rows = done
        .stdout
        .lines()
        .filter_map(|line| line.trim().split_once("  "));
    let mut found = rows.filter(|(_, text)| text.split(" (entry").next() == Some(reason));
    found
        .next()
        .map_or(0, |(count, _)| count.trim().parse().unwrap())
}

/// The first line of the account.
pub(crate) fn account(done: &Done) -> &str {
    done.stdout.lines().next().unwrap_or_default()
}

/// What stands in a recording.
pub(crate) fn read(path: &Path) -> (Summary, Vec<Request>) {
    let workload = Workload::open(path).unwrap();
    let requests = workload.requests().unwrap().map(Result::unwrap).collect();
    (workload.summary().clone(), requests)
}

/// What stands in the recording of a call.
pub(crate) fn recorded(done: &Done) -> Vec<Request> {
    read(&done.path("w.jsonl")).1
}
