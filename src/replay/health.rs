//! The generator watching itself: CPU, steal, stalls, clock steps over one slot.
//!
//! It only measures; what follows from a figure is decided by `compare::validity`.

use crate::{
    clock::{Clock, thread_cpu_ns},
    run::Health,
    units::count,
};

/// The state of a worker at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vitals {
    at_ns: u64,
    cpu_ns: u64,
    wall_offset_ns: i64,
    steal: u64,
    ticks: u64,
}

impl Vitals {
    /// The state now.
    pub(super) fn now(clock: Clock) -> Self {
        let (steal, ticks) = std::fs::read_to_string("/proc/stat")
            .ok()
            .and_then(|text| parse_stat(&text))
            .unwrap_or((0, 0));
        Self {
            at_ns: clock.now_ns(),
            cpu_ns: thread_cpu_ns(),
            wall_offset_ns: clock.wall_offset_ns(),
            steal,
            ticks,
        }
    }

    /// What happened since an earlier state, with the longest late wake-up in between.
    pub(super) fn since(&self, earlier: &Self, stall_ns: u64) -> Health {
        let wall_ns = self.at_ns.saturating_sub(earlier.at_ns).max(1);
        let ticks = self.ticks.saturating_sub(earlier.ticks).max(1);
        Health {
            cpu_share: count(self.cpu_ns.saturating_sub(earlier.cpu_ns)) / count(wall_ns),
            steal_share: count(self.steal.saturating_sub(earlier.steal)) / count(ticks),
            stall_ns,
            wall_step_ns: self.wall_offset_ns.abs_diff(earlier.wall_offset_ns),
            ..Health::default()
        }
    }
}

/// Steal and all ticks of all cores, from `/proc/stat`.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest time is inside user.
    Some((*ticks.get(7)?, ticks.iter().take(8).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_figure() {
        let text = "cpu  10 0 20 60 0 0 0 10 5 0\ncpu0 1 2 3\n";
        assert_eq!(parse_stat(text), Some((10, 100)));
        assert_eq!(parse_stat("intr 1\n"), None);
        assert_eq!(parse_stat("cpu 1 2\n"), None);
    }

    #[test]
    fn a_busy_thread_shows_its_share() {
        let clock = Clock::start();
        let before = Vitals::now(clock);
        let mut x = 0_u64;
        while thread_cpu_ns() - before.cpu_ns < 5_000_000 {
            x = std::hint::black_box(x + 1);
        }
        let health = Vitals::now(clock).since(&before, 7);
        assert!(health.cpu_share > 0.0 && health.stall_ns == 7);
    }
}
