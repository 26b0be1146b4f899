//! The guard of a local build: a process of its own that starts the command and ends all of it
//! when proofload goes away, for whatever reason, SIGKILL included.
//!
//! It is this same binary with a hidden subcommand. It holds the read end of a pipe whose write
//! end proofload holds: the kernel closes that end however proofload dies. Descendants that
//! lose their parent become children of the guard, so that none gets away by daemonising.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, setsid, wait,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;

/// How long a command has to end by itself after SIGTERM, in nanoseconds.
const POLITE_NS: u64 = 3_000_000_000;
/// How long the kernel may take to end what was killed, in nanoseconds.
const KILLED_NS: u64 = 5_000_000_000;
/// How often what was born after a SIGKILL is looked for.
const AGAIN: Duration = Duration::from_millis(20);

/// What the guard waits for.
enum Event {
    /// Proofload is gone, or a signal asks for the end.
    End,
    /// Nothing of the command is left.
    Empty,
}

/// Starts a command and stays until nothing of it is left. Says `pid N` and, at the end,
/// `end STATUS` on stdout; what the command says goes to stderr.
///
/// # Errors
/// When the command cannot be started, or the kernel refuses what a guard needs.
pub fn guard(command: &[OsString]) -> io::Result<()> {
    let [program, args @ ..] = command else {
        return Err(io::Error::other("the guard was given no command"));
    };
    // Ctrl-C on a terminal goes to proofload's group; the guard ends the command in order.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    // Room for every signal that anyone sends in earnest.
    let (events, inbox) = sync_channel(64);
    watch_pipe(events.clone())?;
    watch_signals(events.clone())?;
    let log = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log()?)
        .stderr(log()?)
        .process_group(0)
        .spawn()?;
    tell(&format!("pid {}", child.id()));
    let leader = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let leader = leader.ok_or_else(|| io::Error::other("the kernel gave a process no number"))?;
    reap(leader, events)?;
    if let Ok(Event::End) = inbox.recv() {
        end(&inbox);
    }
    Ok(())
}

/// One line to proofload, which may be gone already.
fn tell(line: &str) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn watch_pipe(events: SyncSender<Event>) -> io::Result<()> {
    let watch = move || {
        // Nothing is ever written: the read returns when the other end is closed.
        while io::stdin().lock().read(&mut [0]).is_ok_and(|n| n > 0) {}
        let _ = events.send(Event::End);
    };
    thread::Builder::new().spawn(watch).map(drop)
}

fn watch_signals(events: SyncSender<Event>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let entered = runtime.enter();
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(entered);
    let watch = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = term.recv() => {}
                    _ = int.recv() => {}
                    _ = hangup.recv() => {}
                }
                let _ = events.try_send(Event::End);
            }
        });
    };
    thread::Builder::new().spawn(watch).map(drop)
}

/// Waits for every child, own or inherited, and says so when there is none left.
fn reap(leader: Pid, events: SyncSender<Event>) -> io::Result<()> {
    let watch = move || {
        let mut said = "an unknown status".to_owned();
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == leader => said = status_words(status),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // No child is left; there is nothing else to wait for.
                Err(_) => break,
            }
        }
        tell(&format!("end {said}"));
        let _ = events.send(Event::Empty);
    };
    thread::Builder::new().spawn(watch).map(drop)
}

fn status_words(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// Asks everything to end, waits, and kills what is left.
fn end(inbox: &Receiver<Event>) {
    let clock = Clock::start();
    signal_all(Signal::TERM);
    if is_empty_within(inbox, clock, POLITE_NS) {
        return;
    }
    while clock.now_ns() < POLITE_NS + KILLED_NS {
        signal_all(Signal::KILL);
        match inbox.recv_timeout(AGAIN) {
            Ok(Event::Empty) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Event::End) | Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn is_empty_within(inbox: &Receiver<Event>, clock: Clock, until_ns: u64) -> bool {
    loop {
        let left = Duration::from_nanos(until_ns.saturating_sub(clock.now_ns()));
        match inbox.recv_timeout(left) {
            Ok(Event::Empty) | Err(RecvTimeoutError::Disconnected) => return true,
            // Asked once more, it is still under way.
            Ok(Event::End) => {}
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// Signals what is left of the command: everything in the guard's own session, and what left
/// the session and lost its parent. A session lasts as long as its leader, the guard, so that no
/// process of anybody else is ever meant.
fn signal_all(signal: Signal) {
    let own = getpid();
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return;
    };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for pid in pids.filter_map(Pid::from_raw).filter(|pid| *pid != own) {
        if parent_and_session(pid).is_some_and(|of| of.contains(&Some(own))) {
            let _ = kill_process(pid, signal);
        }
    }
}

fn parent_and_session(pid: Pid) -> Option<[Option<Pid>; 2]> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in the middle may hold anything, blanks and parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let pid_at = |n: usize| Pid::from_raw(fields.get(n)?.parse().ok()?);
    Some([pid_at(1), pid_at(3)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_and_session_are_read_from_the_kernel() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let [parent, session] = parent_and_session(pid).unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(parent, Some(getpid()));
        // The number of a session whose leader lives outside a container is 0, which is no `Pid`.
        assert_eq!(session, parent_and_session(getpid()).unwrap()[1]);
        assert_eq!(parent_and_session(pid), None, "it has ended");
    }

    #[test]
    fn a_status_is_told_in_words() {
        for (script, words) in [("exit 3", "exit status 3"), ("kill -9 $$", "signal 9")] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            let status = rustix::process::waitpid(pid, WaitOptions::empty());
            assert_eq!(status_words(status.unwrap().unwrap().1), words);
            assert!(child.wait().is_err(), "it was waited for already");
        }
    }
}
