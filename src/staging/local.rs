//! A local build under test: started through its guard, waited for until it answers, and ended
//! when this value goes away.

use std::{
    io::{self, BufRead, BufReader},
    os::unix::{fs::FileExt, process::CommandExt},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};

use super::preflight::{PreflightError, Terms, answers, connect};
use crate::{
    clock::Clock,
    tls::Trust,
    units::Span,
    workload::{Address, Target},
};

/// How often a build that does not answer yet is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// The guard ends in less, whatever the command does; in nanoseconds.
const GUARD_MAX_NS: u64 = 15_000_000_000;
/// How much of a log is looked at for its last lines, in bytes.
const TAIL_BYTES: u64 = 16 * 1024;

/// A started command and its guard.
#[derive(Debug)]
pub struct Local {
    guard: Child,
    /// Held open for as long as the command may live; the guard sees it close.
    pipe: Option<ChildStdin>,
    state: Arc<Mutex<State>>,
    log: std::fs::File,
}

/// What the guard has said.
#[derive(Debug, Default)]
struct State {
    pid: Option<u32>,
    ended: Option<String>,
    /// The guard says nothing more.
    gone: bool,
}

/// Why a command is of no use.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The guard could not be started, or its log not be used.
    #[error("it cannot be started: {0}")]
    Io(#[from] io::Error),
    /// The command ended by itself.
    #[error("it ended with {0} before it answered")]
    Ended(String),
    /// The command runs and does not answer.
    #[error("it did not answer within {within} (--start-timeout): {cause}")]
    Silent {
        /// How long it was waited for.
        within: Span,
        /// The last thing that went wrong.
        cause: String,
    },
    /// Nobody could be asked.
    #[error(transparent)]
    Ask(#[from] PreflightError),
}

/// The first address on which somebody takes connections already.
pub async fn taken(addresses: &[Address]) -> Option<&Address> {
    for address in addresses {
        if connect(address).await.is_ok() {
            return Some(address);
        }
    }
    None
}

impl Local {
    /// Starts a shell command; what it says goes to the log, which must be readable too.
    ///
    /// # Errors
    /// When the guard cannot be started.
    pub fn start(command: &str, log: std::fs::File) -> io::Result<Self> {
        // The running binary itself, even where its file was replaced in the meantime.
        let mut guard = Command::new("/proc/self/exe")
            .arg0("proofload")
            .args(["__guard", "--", "sh", "-c", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()?;
        let state = Arc::new(Mutex::new(State::default()));
        let (pipe, said) = (guard.stdin.take(), guard.stdout.take());
        let local = Self {
            guard,
            pipe,
            state: Arc::clone(&state),
            log,
        };
        if let Some(said) = said {
            // Ends with the guard.
            thread::Builder::new().spawn(move || listen(BufReader::new(said), &state))?;
        }
        Ok(local)
    }

    /// The process that the command was started as; its group has the same number.
    pub fn pid(&self) -> Option<u32> {
        self.state().pid
    }

    /// The parent of all processes of the command, which it stays for as long as one is left.
    pub fn guard_pid(&self) -> u32 {
        self.guard.id()
    }

    /// How the command ended, if it has.
    pub fn ended(&self) -> Option<String> {
        let state = self.state();
        let gone = || "no status, because its guard is gone".to_owned();
        state.ended.clone().or_else(|| state.gone.then(gone))
    }

    /// Waits until the command answers an HTTP request in any way; returns where it does.
    ///
    /// # Errors
    /// When it ends, or does not answer in time.
    pub async fn until_answering(
        &self,
        target: &Target,
        addresses: &[Address],
        terms: Terms<'_>,
        within: Span,
    ) -> Result<Address, StartError> {
        // Whether it is up is the question here; whom to trust is that of the preflight, which
        // says at once what is wrong.
        let trust = Trust {
            insecure: true,
            ..terms.trust.clone()
        };
        let terms = Terms {
            trust: &trust,
            ..terms
        };
        let cause = Mutex::new("it takes no connection".to_owned());
        let asking = async {
            // In turn: a name may have an address on which the command does not listen.
            for address in addresses.iter().cycle() {
                if let Some(status) = self.ended() {
                    return Err(StartError::Ended(status));
                }
                // Asking first whether it listens keeps the many tries cheap.
                let heard = match connect(address).await {
                    Ok(()) => answers(target, address, terms).await?,
                    Err(error) => Err(format!("{address} refuses connections: {error}")),
                };
                match (heard, self.ended()) {
                    // Somebody else answered, if it has ended.
                    (_, Some(status)) => return Err(StartError::Ended(status)),
                    (Ok(()), None) => return Ok(address.clone()),
                    (Err(why), None) => *guarded(&cause) = why,
                }
                tokio::time::sleep(AGAIN).await;
            }
            Err(StartError::Ended("no address to listen on".to_owned()))
        };
        match tokio::time::timeout(within.duration(), asking).await {
            Ok(result) => result,
            Err(_) => Err(StartError::Silent {
                within,
                cause: guarded(&cause).clone(),
            }),
        }
    }

    /// The last lines that the command said; fewer where there are no more.
    pub fn last_lines(&self, most: usize) -> Vec<String> {
        let length = self.log.metadata().map_or(0, |facts| facts.len());
        let start = length.saturating_sub(TAIL_BYTES);
        let mut bytes = vec![0; usize::try_from(length - start).unwrap_or_default()];
        if self.log.read_exact_at(&mut bytes, start).is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }

    /// Begins the end and does not wait for it; dropping waits.
    pub fn release(&mut self) {
        drop(self.pipe.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        guarded(&self.state)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.release();
        let clock = Clock::start();
        let clean = loop {
            match self.guard.try_wait() {
                Ok(Some(status)) => break status.code().is_some(),
                Ok(None) if clock.now_ns() < GUARD_MAX_NS => {
                    thread::sleep(Duration::from_millis(5));
                }
                Ok(None) | Err(_) => break false,
            }
        };
        if clean {
            return;
        }
        // Somebody killed the guard: the group that it kept is ended from here.
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let ended = self.state().ended.is_some();
        if let (Some(group), false) = (pid.and_then(Pid::from_raw), ended) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// Keeps what the guard says.
fn listen(said: impl BufRead, state: &Mutex<State>) {
    for line in said.lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("pid", pid)) => guarded(state).pid = pid.parse().ok(),
            Some(("end", status)) => guarded(state).ended = Some(status.to_owned()),
            _ => {}
        }
    }
    guarded(state).gone = true;
}

fn guarded<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
