//! The generator watching itself: CPU, quota, steal, pressure, stalls, clock steps over one slot.
//!
//! It only measures; what follows from a figure is decided by the table in `run`.

mod cgroup;

use std::sync::OnceLock;

use crate::{
    clock::{Clock, process_cpu_ns, thread_cpu_ns},
    run::Health,
    units::count,
};

/// The state of a worker at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vitals {
    at_ns: u64,
    thread_cpu_ns: u64,
    process_cpu_ns: u64,
    wall_offset_ns: i64,
    steal: u64,
    ticks: u64,
    quota: cgroup::Quota,
    waited_us: u64,
}

impl Vitals {
    /// The state now, of a worker that has waited awake for so long.
    pub(super) fn now(clock: Clock, spun_ns: u64) -> Self {
        // A process is put into its group before it starts, and stays there.
        static LEVELS: OnceLock<Vec<cgroup::Level>> = OnceLock::new();
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (steal, ticks) = parse_stat(&read("/proc/stat")).unwrap_or((0, 0));
        Self {
            quota: cgroup::read(LEVELS.get_or_init(cgroup::own_levels)),
            waited_us: parse_pressure(&read("/proc/pressure/cpu")).unwrap_or(0),
            steal,
            ticks,
            wall_offset_ns: clock.wall_offset_ns(),
            thread_cpu_ns: thread_cpu_ns().saturating_sub(spun_ns),
            process_cpu_ns: process_cpu_ns(),
            at_ns: clock.now_ns(),
        }
    }

    /// What happened since an earlier state, with the longest late wake-up in between.
    pub(super) fn since(&self, earlier: &Self, stall_ns: u64) -> Health {
        let wall_ns = self.at_ns.saturating_sub(earlier.at_ns).max(1);
        let part = |now: u64, before: u64| count(now.saturating_sub(before)) / count(wall_ns);
        let thread = part(self.thread_cpu_ns, earlier.thread_cpu_ns);
        let process = part(self.process_cpu_ns, earlier.process_cpu_ns);
        // A quota binds all threads together, those that only read the workload too.
        let of_quota = process / self.quota.cores.min(earlier.quota.cores);
        let throttled = part(self.quota.throttled_ns, earlier.quota.throttled_ns);
        let waited = part(self.waited_us, earlier.waited_us) * 1e3;
        let ticks = self.ticks.saturating_sub(earlier.ticks).max(1);
        Health {
            cpu_share: thread.max(of_quota),
            // Several cores can be throttled at the same time.
            throttled_share: throttled.min(1.0),
            steal_share: count(self.steal.saturating_sub(earlier.steal)) / count(ticks),
            pressure_share: waited.min(1.0),
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

/// Microseconds in which at least one task waited for a CPU, from `/proc/pressure/cpu`.
fn parse_pressure(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let mut fields = line.split_ascii_whitespace();
    fields.find_map(|field| field.strip_prefix("total=")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SECOND_NS;

    #[test]
    fn steal_is_the_eighth_figure() {
        let text = "cpu  10 0 20 60 0 0 0 10 5 0\ncpu0 1 2 3\n";
        assert_eq!(parse_stat(text), Some((10, 100)));
        for garbage in [
            "intr 1\n",
            "cpu 1 2\n",
            "",
            "cpu \n",
            "cpu a b c d e f g h\n",
        ] {
            assert_eq!(parse_stat(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn pressure_is_the_total_of_some() {
        let text = "some avg10=0.01 avg60=3.61 avg300=29.46 total=353296588\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        assert_eq!(parse_pressure(text), Some(353_296_588));
        for garbage in [
            "",
            "full total=7\n",
            "some avg10=1\n",
            "some total=x\n",
            "some total=",
        ] {
            assert_eq!(parse_pressure(garbage), None, "{garbage:?}");
        }
    }

    /// A second in which nothing happened.
    fn idle() -> (Vitals, Vitals) {
        let before = Vitals {
            at_ns: 0,
            thread_cpu_ns: 0,
            process_cpu_ns: 0,
            wall_offset_ns: 5,
            steal: 10,
            ticks: 1_000,
            quota: cgroup::Quota {
                cores: f64::INFINITY,
                throttled_ns: 0,
            },
            waited_us: 0,
        };
        let after = Vitals {
            at_ns: SECOND_NS,
            ticks: 1_200,
            ..before
        };
        (before, after)
    }

    #[test]
    fn the_tightest_limit_gives_the_share() {
        let (before, mut after) = idle();
        assert_eq!(after.since(&before, 0), Health::default());
        after.thread_cpu_ns = SECOND_NS * 3 / 10;
        after.process_cpu_ns = SECOND_NS * 4 / 10;
        let with = |cores: f64| {
            let mut after = after;
            after.quota.cores = cores;
            after.since(&before, 0).cpu_share
        };
        for (cores, share) in [(f64::INFINITY, 0.3), (2.0, 0.3), (1.0, 0.4), (0.5, 0.8)] {
            assert!((with(cores) - share).abs() < 1e-9, "{cores}");
        }
    }

    #[test]
    fn throttling_and_pressure_are_shares_of_the_time_and_never_more_than_all_of_it() {
        let (before, mut after) = idle();
        after.quota.throttled_ns = SECOND_NS / 4;
        after.waited_us = 500_000;
        after.steal = 20;
        let health = after.since(&before, 9);
        assert_eq!((health.throttled_share, health.pressure_share), (0.25, 0.5));
        assert_eq!((health.steal_share, health.stall_ns), (0.05, 9));
        after.quota.throttled_ns = 3 * SECOND_NS;
        after.waited_us = 3_000_000;
        let health = after.since(&before, 9);
        assert_eq!((health.throttled_share, health.pressure_share), (1.0, 1.0));
    }

    #[test]
    fn a_busy_thread_shows_its_share() {
        let clock = Clock::start();
        let before = Vitals::now(clock, 0);
        let mut x = 0_u64;
        while thread_cpu_ns() - before.thread_cpu_ns < 5_000_000 {
            x = std::hint::black_box(x + 1);
        }
        let health = Vitals::now(clock, 0).since(&before, 7);
        assert!(health.cpu_share > 0.0 && health.stall_ns == 7);
        // What was only waited for, awake, is no work.
        let waited = Vitals::now(clock, 4_000_000);
        assert!(waited.thread_cpu_ns + 4_000_000 <= thread_cpu_ns());
    }

    #[test]
    fn looking_costs_little() {
        let clock = Clock::start();
        let mut costs: Vec<u64> = (0..50)
            .map(|_| {
                let before = thread_cpu_ns();
                std::hint::black_box(Vitals::now(clock, 0));
                thread_cpu_ns() - before
            })
            .collect();
        costs.sort_unstable();
        assert!(costs[25] < 1_000_000, "{costs:?}");
    }
}
