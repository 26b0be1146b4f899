//! Monotonic time and the timer that the sending loop and the demo servers wait on.
//!
//! tokio's timers tick in milliseconds, which turns an even schedule into bursts. A timerfd
//! armed with an absolute deadline wakes a current-thread runtime within tens of microseconds
//! and needs neither spinning nor `unsafe`. Wall time is only ever a label.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::units::SECOND_NS;

/// The nice value of threads that must wake on time.
const PREFERRED_NICE: i32 = -10;

/// A monotonic clock that counts nanoseconds from an origin shared by all its copies.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin_ns: u64,
}

impl Clock {
    /// A clock whose zero is now.
    pub fn start() -> Self {
        Self {
            origin_ns: read(ClockId::Monotonic),
        }
    }

    /// A clock whose zero is an instant of this one; before it, it shows 0.
    pub fn with_zero_at(self, at_ns: u64) -> Self {
        Self {
            origin_ns: self.origin_ns + at_ns,
        }
    }

    /// Nanoseconds since the origin; never goes back, stands still while the machine sleeps.
    pub fn now_ns(&self) -> u64 {
        read(ClockId::Monotonic).saturating_sub(self.origin_ns)
    }

    /// How far the wall clock is ahead of this clock, in nanoseconds since 1970. It changes
    /// only when somebody steps or slews the wall clock, or after a suspend.
    pub fn wall_offset_ns(&self) -> i64 {
        read(ClockId::Realtime).cast_signed() - self.now_ns().cast_signed()
    }
}

/// CPU time that the calling thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    read(ClockId::ThreadCPUTime)
}

/// CPU time that all threads of this process have used, in nanoseconds.
pub fn process_cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

/// Asks the scheduler to run the calling thread before ordinary ones. A thread that sleeps
/// almost always and must wake on time needs it on a busy machine; without the right to it
/// nothing happens.
pub fn prefer_this_thread() {
    // On Linux a nice value belongs to a thread, and "no process" means the calling one.
    let _ = rustix::process::setpriority_process(None, PREFERRED_NICE);
}

/// Wall time in nanoseconds since 1970, for labels only.
pub fn wall_ns() -> u64 {
    read(ClockId::Realtime)
}

fn read(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds * SECOND_NS + nanos
}

/// A one-shot timer on absolute instants of a [`Clock`], bound to the current tokio runtime.
#[derive(Debug)]
pub struct Timer {
    fd: AsyncFd<OwnedFd>,
    clock: Clock,
}

impl Timer {
    /// A timer on this clock.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            fd: watched(timerfd()?)?,
            clock,
        })
    }

    /// Waits until the clock shows `at_ns`; returns at once if it already does.
    ///
    /// # Errors
    /// Only when the kernel refuses the timer, which no input can cause.
    pub async fn until(&self, at_ns: u64) -> io::Result<()> {
        arm(self.fd.get_ref().as_fd(), self.clock, at_ns)?;
        loop {
            let mut ready = self.fd.readable().await?;
            let mut expirations = [0_u8; 8];
            match ready.try_io(|fd| Ok(rustix::io::read(fd.as_fd(), &mut expirations)?)) {
                Ok(result) => {
                    // The one expiration is consumed: left set, the readiness would cost the
                    // next wait a read that finds nothing.
                    ready.clear_ready();
                    return result.map(|_| ());
                }
                // Spurious readiness, or the readiness of an earlier deadline that was given up.
                Err(_would_block) => {}
            }
        }
    }
}

/// A one-shot timer on absolute instants of a [`Clock`] for a poll of our own: a descriptor that
/// becomes readable. Watched by edges it need never be read, so waiting for an instant costs one
/// system call besides the poll.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
    clock: Clock,
    set_ns: u64,
}

impl Alarm {
    /// An alarm on this clock that is not set.
    ///
    /// # Errors
    /// When the process is out of file descriptors.
    pub fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            fd: timerfd()?,
            clock,
            set_ns: u64::MAX,
        })
    }

    /// Sets it to this instant, in place of what it was set to.
    ///
    /// # Errors
    /// Only when the kernel refuses the timer, which no input can cause.
    pub fn set(&mut self, at_ns: u64) -> io::Result<()> {
        if self.set_ns != at_ns {
            self.set_ns = at_ns;
            arm(self.fd.as_fd(), self.clock, at_ns)?;
        }
        Ok(())
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

fn timerfd() -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    Ok(timerfd_create(TimerfdClockId::Monotonic, flags)?)
}

#[expect(
    deprecated,
    reason = "its successor is unsafe to call; an OwnedFd upholds what that one asks for"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

fn arm(fd: BorrowedFd<'_>, clock: Clock, at_ns: u64) -> io::Result<()> {
    // An absolute zero would disarm the timer instead of firing at once.
    let absolute = clock.origin_ns.saturating_add(at_ns).max(1);
    let spec = Itimerspec {
        it_interval: Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
        it_value: Timespec {
            tv_sec: i64::try_from(absolute / SECOND_NS).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(absolute % SECOND_NS).unwrap_or(0),
        },
    };
    timerfd_settime(fd, TimerfdTimerFlags::ABSTIME, &spec)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_timer_never_fires_early_and_past_deadlines_fire_at_once() {
        let clock = Clock::start();
        let timer = Timer::new(clock).unwrap();
        for _ in 0..20 {
            let at_ns = clock.now_ns() + 300_000;
            timer.until(at_ns).await.unwrap();
            assert!(clock.now_ns() >= at_ns);
        }
        timer.until(0).await.unwrap();
    }

    #[tokio::test]
    async fn a_deadline_that_was_given_up_does_not_end_the_next_wait() {
        let clock = Clock::start();
        let timer = Timer::new(clock).unwrap();
        tokio::select! {
            biased;
            () = async {} => {}
            done = timer.until(clock.now_ns()) => done.unwrap(),
        }
        let at_ns = clock.now_ns() + 2_000_000;
        timer.until(at_ns).await.unwrap();
        assert!(clock.now_ns() >= at_ns);
    }
}
