//! How the generator itself did: what is measured of it, and the one table that says which of it
//! spoils a slot. `compare` asks the table for the sides of a round, `run` for each slot.
//!
//! The reasons look at the generator only, never at what the target did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, Slot};
use crate::{histogram::Histogram, units::count};

/// How the generator itself did during a slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Send lags: sent − intended, of every request that was sent.
    pub lag: Histogram,
    /// CPU time of the busiest sending thread as a share of its core, without that in which it only
    /// waited, or of all threads as a share of the CPU quota where that is more; 0 to 1, above 1
    /// when a quota allows bursts.
    #[serde(rename = "cpu_share_ppm", with = "ppm")]
    pub cpu_share: f64,
    /// Time in which a CPU quota kept the process from running, as a share of the slot, 0 to 1.
    #[serde(rename = "throttled_share_ppm", with = "ppm", default)]
    pub throttled_share: f64,
    /// CPU time that the hypervisor gave to others, as a share of all cores, 0 to 1.
    #[serde(rename = "steal_share_ppm", with = "ppm")]
    pub steal_share: f64,
    /// Time in which anything on this machine waited for a CPU, as a share of the slot, 0 to 1.
    #[serde(rename = "pressure_share_ppm", with = "ppm", default)]
    pub pressure_share: f64,
    /// The longest time a sending thread woke up too late, in nanoseconds.
    pub stall_ns: u64,
    /// By how much the wall clock was stepped against the monotonic clock, in nanoseconds.
    pub wall_step_ns: u64,
}

impl Health {
    /// Adds another worker or slot: lags together, of everything else the worst.
    pub fn merge(&mut self, other: &Self) {
        self.lag.merge(&other.lag);
        self.cpu_share = self.cpu_share.max(other.cpu_share);
        self.throttled_share = self.throttled_share.max(other.throttled_share);
        self.steal_share = self.steal_share.max(other.steal_share);
        self.pressure_share = self.pressure_share.max(other.pressure_share);
        self.stall_ns = self.stall_ns.max(other.stall_ns);
        self.wall_step_ns = self.wall_step_ns.max(other.wall_step_ns);
    }
}

/// What the generator showed over one or more slots of one side, without histograms.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Signs {
    /// The median send lag in nanoseconds.
    pub lag_p50_ns: f64,
    /// The 0.99 quantile of send lag in nanoseconds; of few sends, the third largest.
    pub lag_p99_ns: f64,
    /// As in [`Health`], the largest.
    pub cpu_share: f64,
    /// As in [`Health`], the largest.
    pub throttled_share: f64,
    /// As in [`Health`], the largest.
    pub steal_share: f64,
    /// As in [`Health`], the largest.
    pub pressure_share: f64,
    /// The longest time a sending thread woke up too late, in nanoseconds.
    pub stall_ns: u64,
    /// By how much the wall clock was stepped, in nanoseconds.
    pub wall_step_ns: u64,
    /// Requests by class for which the generator is to blame.
    pub ours: BTreeMap<Class, u64>,
}

impl Signs {
    /// Reads the slots of one side as one.
    pub fn of<'a>(slots: impl IntoIterator<Item = &'a Slot>) -> Self {
        let mut health = Health::default();
        let mut ours = BTreeMap::new();
        for slot in slots {
            health.merge(&slot.health);
            let classes = slot.endpoints.values().flat_map(|stats| &stats.classes);
            for (class, n) in classes.filter(|(class, _)| class.is_ours()) {
                *ours.entry(*class).or_default() += n;
            }
        }
        // Of few sends the p99 is the largest lag, and one late wake-up moves no figure that is
        // judged from them: the third largest stands in for it (docs/decisions/0008).
        let sends = count(health.lag.count());
        let tail = LAG_QUANTILE.min((sends - 2.5) / sends).max(0.0);
        Self {
            lag_p50_ns: health.lag.quantile_ns(0.5).unwrap_or(0.0),
            lag_p99_ns: health.lag.quantile_ns(tail).unwrap_or(0.0),
            cpu_share: health.cpu_share,
            throttled_share: health.throttled_share,
            steal_share: health.steal_share,
            pressure_share: health.pressure_share,
            stall_ns: health.stall_ns,
            wall_step_ns: health.wall_step_ns,
            ours,
        }
    }

    /// Whether a sending thread, or the quota, was nearly used up.
    pub fn is_saturated(&self) -> bool {
        self.cpu_share > CPU_SHARE
    }

    /// Whether the hypervisor gave a noticeable part of the CPU time to others.
    pub fn is_robbed(&self) -> bool {
        self.steal_share > STEAL_SHARE
    }

    /// Whether somebody on this machine waited for a CPU for much of the time. It need not be us,
    /// so this is worth a warning and no more.
    pub fn is_pressed(&self) -> bool {
        self.pressure_share > PRESSURE_SHARE
    }
}

/// What the figures of a generator are held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yardstick {
    /// The smallest median response time of any endpoint, in nanoseconds; 0 when there is none.
    pub fastest_p50_ns: f64,
    /// By how much the median lags of two sides may differ, in nanoseconds.
    pub lag_difference_ns: f64,
    /// Whether a schedule decides when requests go out. Where the answers do, a busy thread delays
    /// nothing that was planned: it is the limit of the load, and no flaw.
    pub open_loop: bool,
    /// Whether both sides were loaded at the same time, so that both suffer alike from what takes
    /// the CPU of the whole machine.
    pub simultaneous: bool,
}

const LAG_QUANTILE: f64 = 0.99;
const LAG_NS: f64 = 1e6;
const LAG_SHARE_OF_P50: f64 = 0.05;
const CPU_SHARE: f64 = 0.8;
const THROTTLED_SHARE: f64 = 0.01;
const STALL_NS: u64 = 250_000_000;
/// More than slewing does in the longest slot.
const CLOCK_STEP_NS: u64 = 50_000_000;
const STEAL_SHARE: f64 = 0.05;
const PRESSURE_SHARE: f64 = 0.5;
/// The whole is spoilt when more than one slot or round in so many is.
const SPOILT_ONE_IN: u32 = 5;

/// What spoils a slot, causes before symptoms: the first that shows gives its name to a dropped
/// round. The codes are a contract of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// No local port was free.
    LocalPorts,
    /// No file descriptor was free.
    LocalFds,
    /// Another local error.
    LocalOther,
    /// The wall clock was stepped.
    ClockStep,
    /// A sending thread stood still.
    Stall,
    /// A CPU quota kept the process from running.
    Throttled,
    /// A sending thread had next to no time left.
    Cpu,
    /// The hypervisor gave the CPU to others.
    Steal,
    /// Requests were so late that they were not sent.
    NotSentLate,
    /// Requests were sent late.
    SendLag,
    /// The requests of one side were sent later than those of the other.
    LagDiffers,
}

impl Flaw {
    /// All of them, in the order of precedence.
    pub const ALL: [Self; 11] = [
        Self::LocalPorts,
        Self::LocalFds,
        Self::LocalOther,
        Self::ClockStep,
        Self::Stall,
        Self::Throttled,
        Self::Cpu,
        Self::Steal,
        Self::NotSentLate,
        Self::SendLag,
        Self::LagDiffers,
    ];

    /// The stable name used in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::LocalPorts => "local_ports",
            Self::LocalFds => "local_fds",
            Self::LocalOther => "local_other",
            Self::ClockStep => "clock_step",
            Self::Stall => "stall",
            Self::Throttled => "throttled",
            Self::Cpu => "cpu",
            Self::Steal => "steal",
            Self::NotSentLate => "not_sent_late",
            Self::SendLag => "send_lag",
            Self::LagDiffers => "lag_differs",
        }
    }

    /// The table: whether the generator shows it on one side, beside the other side if there is
    /// one.
    pub fn is_shown(self, own: &Signs, other: Option<&Signs>, by: &Yardstick) -> bool {
        let ours = |class| own.ours.get(&class).is_some_and(|n| *n > 0);
        match self {
            Self::LocalPorts => ours(Class::LocalPorts),
            Self::LocalFds => ours(Class::LocalFds),
            Self::LocalOther => ours(Class::LocalOther),
            Self::ClockStep => own.wall_step_ns > CLOCK_STEP_NS,
            Self::Stall => own.stall_ns > STALL_NS,
            Self::Throttled => own.throttled_share > THROTTLED_SHARE,
            Self::Cpu => by.open_loop && own.is_saturated(),
            Self::Steal => !by.simultaneous && own.is_robbed(),
            Self::NotSentLate => ours(Class::NotSentLate),
            Self::SendLag => own.lag_p99_ns > LAG_NS.max(LAG_SHARE_OF_P50 * by.fastest_p50_ns),
            Self::LagDiffers => {
                other.is_some_and(|it| own.lag_p50_ns - it.lag_p50_ns > by.lag_difference_ns)
            }
        }
    }

    /// The one that was counted most often; the cause before the symptom where two are equal.
    pub fn leading(counts: &BTreeMap<String, u32>) -> Option<Self> {
        let counted = Self::ALL.iter().rev().copied();
        let counted = counted.filter(|flaw| counts.contains_key(flaw.code()));
        counted.max_by_key(|flaw| counts[flaw.code()])
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::LocalPorts => {
                "keep to fewer connections (-c), or allow more local ports \
                 (sysctl net.ipv4.ip_local_port_range)"
            }
            Self::LocalFds => {
                "keep to fewer connections (-c), or allow more descriptors (ulimit -n)"
            }
            Self::LocalOther => "look for the cause in the logs of this machine",
            Self::ClockStep => "let no one set the clock of this machine during the load",
            Self::Stall => "use a machine that is not paused during the load",
            Self::Throttled => "raise the CPU quota of this process, or lower the rate",
            Self::Cpu => "add --threads, give it more CPU, or lower the rate",
            Self::Steal => "use a machine with CPUs of its own",
            Self::NotSentLate | Self::SendLag | Self::LagDiffers => {
                "use a quieter machine or a lower rate"
            }
        }
    }
}

/// Whether so many flawed slots or rounds spoil the whole.
pub fn is_spoilt(flawed: u32, of: u32) -> bool {
    flawed.saturating_mul(SPOILT_ONE_IN) > of
}

/// Shares as whole millionths: files hold no floats.
mod ppm {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::units::{count, from_seconds};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    pub(super) fn serialize<S: Serializer>(share: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(from_seconds(share / 1e3))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
        Ok(count(u64::deserialize(from)?) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Yardstick = Yardstick {
        fastest_p50_ns: 15e6,
        lag_difference_ns: 75_000.0,
        open_loop: true,
        simultaneous: false,
    };

    fn shown(own: &Signs, by: &Yardstick) -> Vec<&'static str> {
        let other = Signs::default();
        let shown = Flaw::ALL
            .iter()
            .filter(|flaw| flaw.is_shown(own, Some(&other), by));
        shown.map(|flaw| flaw.code()).collect()
    }

    #[test]
    fn each_threshold_flags_what_lies_above_it_and_nothing_at_it() {
        type Set = fn(&mut Signs, f64);
        let table: [(&str, f64, f64, Set); 8] = [
            ("send_lag", 1e6, 1.01e6, |s, x| s.lag_p99_ns = x),
            ("lag_differs", 75e3, 76e3, |s, x| s.lag_p50_ns = x),
            ("cpu", 0.8, 0.81, |s, x| s.cpu_share = x),
            ("throttled", 0.01, 0.011, |s, x| s.throttled_share = x),
            ("steal", 0.05, 0.051, |s, x| s.steal_share = x),
            ("stall", 0.25, 0.251, |s, x| {
                s.stall_ns = crate::units::from_seconds(x);
            }),
            ("clock_step", 0.05, 0.051, |s, x| {
                s.wall_step_ns = crate::units::from_seconds(x);
            }),
            ("local_ports", 0.0, 1.0, |s, x| {
                s.ours
                    .insert(Class::LocalPorts, crate::units::from_seconds(x * 1e-9));
            }),
        ];
        for (code, at, above, set) in table {
            let mut signs = Signs::default();
            set(&mut signs, at);
            assert_eq!(shown(&signs, &ALONE), [""; 0], "{code}");
            set(&mut signs, above);
            assert_eq!(shown(&signs, &ALONE), [code]);
        }
    }

    #[test]
    fn one_late_send_of_a_few_is_no_flaw_and_one_in_a_hundred_of_many_is() {
        for (sends, late, is_flaw) in [
            (0, 0, false),
            (2, 1, false),
            (2, 2, true),
            (80, 2, false),
            (80, 3, true),
            (250, 2, false),
            (250, 3, true),
            (1_000, 9, false),
            (1_000, 11, true),
        ] {
            let mut health = Health::default();
            (late..sends).for_each(|_| health.lag.record(60_000));
            (0..late).for_each(|_| health.lag.record(3_000_000));
            let slot = Slot {
                connections: crate::run::ConnectionStats::default(),
                round: 1,
                position: 0,
                side: crate::run::Side::Candidate,
                start_ns: 0,
                length_ns: 1,
                settle_ns: 0,
                medians_ns: Vec::new(),
                complete: true,
                endpoints: BTreeMap::new(),
                health,
                resources: None,
            };
            let is_shown = Flaw::SendLag.is_shown(&Signs::of([&slot]), None, &ALONE);
            assert_eq!(is_shown, is_flaw, "{late} of {sends}");
        }
    }

    #[test]
    fn a_slow_service_forgives_lag_and_a_closed_loop_a_busy_thread() {
        let signs = Signs {
            lag_p99_ns: 4e6,
            cpu_share: 0.95,
            steal_share: 0.2,
            ..Signs::default()
        };
        assert_eq!(shown(&signs, &ALONE), ["cpu", "steal", "send_lag"]);
        let by = Yardstick {
            fastest_p50_ns: 100e6,
            open_loop: false,
            simultaneous: true,
            ..ALONE
        };
        assert_eq!(shown(&signs, &by), [""; 0]);
        assert!(signs.is_saturated() && signs.is_robbed() && !signs.is_pressed());
    }

    #[test]
    fn codes_are_unique_and_the_order_is_the_one_of_the_list() {
        assert!(Flaw::ALL.is_sorted());
        let codes: std::collections::BTreeSet<_> = Flaw::ALL.map(Flaw::code).into();
        assert_eq!(codes.len(), Flaw::ALL.len());
        assert!(Flaw::ALL.iter().all(|flaw| !flaw.advice().is_empty()));
        let counts = [("send_lag", 4), ("throttled", 4), ("cpu", 2), ("odd", 9)];
        let counts = counts.map(|(code, n)| (code.to_owned(), n)).into();
        assert_eq!(Flaw::leading(&counts), Some(Flaw::Throttled));
        assert_eq!(Flaw::leading(&BTreeMap::new()), None);
        assert!(is_spoilt(3, 14) && !is_spoilt(3, 15) && !is_spoilt(0, 0));
    }

    #[test]
    fn a_file_without_the_newer_figures_is_read() {
        let old = r#"{"lag":"","cpu_share_ppm":250000,"steal_share_ppm":0,"stall_ns":7,
            "wall_step_ns":0}"#;
        let health: Health = serde_json::from_str(old).unwrap();
        assert_eq!((health.cpu_share, health.throttled_share), (0.25, 0.0));
        let text = serde_json::to_string(&health).unwrap();
        assert!(text.contains("\"throttled_share_ppm\":0"), "{text}");
        assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), health);
    }
}
