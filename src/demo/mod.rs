//! The embedded pair of deployments: something real to compare on a machine with nothing else.
//!
//! Each deployment behaves like a service, not like a sleep: log-normal service times, a bounded
//! pool of workers per endpoint so that queueing is real and stays with its endpoint, and
//! keep-alive. `model` computes when an answer is due, `server` sends it then.

mod model;
mod server;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use model::Service;
pub use model::{Fault, Scenario};

/// Two deployments on loopback ports, served by one thread until dropped.
#[derive(Debug)]
pub struct Pair {
    /// Where the baseline listens.
    pub baseline: SocketAddr,
    /// Where the candidate listens.
    pub candidate: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Pair {
    /// Starts both deployments. The seed decides every service time.
    ///
    /// # Errors
    /// When no port or thread is to be had.
    pub fn start(scenario: Scenario, seed: u64) -> io::Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (baseline, candidate) = (listen()?, listen()?);
        let addresses = (baseline.local_addr()?, candidate.local_addr()?);
        let services = [
            (baseline, Service::new(seed, 1, None)),
            (candidate, Service::new(seed, 2, scenario.fault())),
        ];
        let (stop, stopped) = oneshot::channel();
        // One thread for both: whatever the machine does to it, it does to both sides.
        let thread = thread::Builder::new()
            .name("demo".to_owned())
            .spawn(move || server::serve(services, stopped))?;
        let (baseline, candidate) = addresses;
        Ok(Self {
            baseline,
            candidate,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its error would only say that the demo's own sockets broke, which the run saw.
            let _ = thread.join();
        }
    }
}
