//! Whether a run of one side can be trusted: its generator slot by slot, the in-flight cap, and
//! whether anything was answered at all. How fast the target was is not judged here.

use std::collections::BTreeMap;

use super::{Freshness, STATUSES, Warning};
use crate::{
    run::{Class, EndpointStats, Flaw, Signs, Slot, Yardstick, is_spoilt},
    units::count,
};

/// More than one request in so many that was not sent for the in-flight cap is too many.
const CAPPED_ONE_IN: u64 = 100;
/// A run is of no use when more than one answer in so many came from a limiter.
const THROTTLED_ONE_IN: u64 = 200;

/// Looks at each slot of a run as it closes.
#[derive(Debug)]
pub struct Checkup {
    open_loop: bool,
    slots: u32,
    flawed: u32,
    health: BTreeMap<String, u32>,
    saturated: u32,
    pressed: u32,
    cpu_share: f64,
    scheduled: u64,
    capped: u64,
    throttled: u64,
    retried: u64,
    sent: u64,
    ok: u64,
    freshness: Freshness,
    is_baseline: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnosis {
    /// Slots by the code of each flaw that they showed; a slot may show several.
    pub health: BTreeMap<String, u32>,
    /// Why the figures cannot be trusted; empty when they can.
    pub causes: Vec<String>,
    /// What is worth knowing besides.
    pub warnings: Vec<Warning>,
}

impl Checkup {
    /// For a run whose sends follow a schedule, or, with `open_loop` unset, the answers.
    pub fn new(open_loop: bool) -> Self {
        Self {
            open_loop,
            slots: 0,
            flawed: 0,
            health: BTreeMap::new(),
            saturated: 0,
            pressed: 0,
            cpu_share: 0.0,
            scheduled: 0,
            capped: 0,
            throttled: 0,
            retried: 0,
            sent: 0,
            ok: 0,
            freshness: Freshness::default(),
            is_baseline: false,
        }
    }

    /// The run is to be a baseline: what no longer fits its recording is of no use as one.
    pub fn of_baseline(self, is_baseline: bool) -> Self {
        Self {
            is_baseline,
            ..self
        }
    }

    /// Looks at a slot. The discarded round 0 and slots that a stop cut short are left out.
    pub fn add(&mut self, slot: &Slot) {
        if slot.round == 0 || !slot.complete {
            return;
        }
        self.slots += 1;
        let signs = Signs::of([slot]);
        let by = Yardstick {
            fastest_p50_ns: fastest_p50(slot),
            lag_difference_ns: f64::INFINITY,
            open_loop: self.open_loop,
            simultaneous: false,
        };
        let shown = Flaw::ALL.into_iter();
        let shown: Vec<_> = shown
            .filter(|flaw| flaw.is_shown(&signs, None, &by))
            .collect();
        self.flawed += u32::from(!shown.is_empty());
        for flaw in shown {
            *self.health.entry(flaw.code().to_owned()).or_default() += 1;
        }
        self.saturated += u32::from(signs.is_saturated());
        self.pressed += u32::from(signs.is_pressed());
        self.cpu_share = self.cpu_share.max(signs.cpu_share);
        for (endpoint, stats) in &slot.endpoints {
            self.freshness.add_stats(endpoint, stats);
            self.scheduled += stats.scheduled;
            self.capped += stats.classes.get(&Class::NotSentCap).copied().unwrap_or(0);
            self.sent += stats.sent();
            self.retried += stats.retried;
            self.throttled += stats.classes.get(&Class::Throttled).copied().unwrap_or(0);
            self.ok += stats.ok();
        }
    }

    /// What the slots so far show.
    pub fn diagnosis(&self) -> Diagnosis {
        let mut diagnosis = Diagnosis {
            health: self.health.clone(),
            causes: self.causes(),
            warnings: self.warnings(),
        };
        let found = self.freshness.finding("the target");
        if self.is_baseline && self.ok > 0 {
            diagnosis.causes.extend(found.causes);
        } else if self.ok > 0 {
            // A target under test may fail as it likes: it is measured.
            let texts = found.causes.into_iter();
            diagnosis.warnings.extend(texts.map(|text| Warning {
                code: STATUSES.to_owned(),
                text,
            }));
        }
        diagnosis.warnings.extend(found.warnings);
        diagnosis
    }

    fn is_disturbed(&self) -> bool {
        is_spoilt(self.flawed, self.slots)
    }

    fn causes(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if self.is_disturbed() {
            let advice = Flaw::leading(&self.health).map_or("", Flaw::advice);
            causes.push(format!("{}: {advice}", self.disturbance()));
        }
        if self.capped.saturating_mul(CAPPED_ONE_IN) > self.scheduled {
            causes.push(format!(
                "{:.1} % of the requests were not sent for the in-flight cap: the target did not \
                 keep up; lower the rate, or raise what bounds it (-c, --max-in-flight, with \
                 HTTP/2 also --streams)",
                100.0 * count(self.capped) / count(self.scheduled)
            ));
        }
        if self.throttled.saturating_mul(THROTTLED_ONE_IN) > self.sent {
            causes.push(format!(
                "{:.1} % of the answers came from a limiter (429, or 503 with Retry-After) and not \
                 from the service; lower the rate, or let this load pass the limiter",
                100.0 * count(self.throttled) / count(self.sent)
            ));
        }
        if self.sent > 0 && self.ok == 0 {
            causes.push(format!(
                "nothing was answered as expected: all {} requests failed; repair the target, or \
                 what is asked of it",
                self.sent
            ));
        } else if self.sent == 0 && self.scheduled > 0 {
            causes.push(format!("none of {} requests was sent", self.scheduled));
        }
        causes
    }

    fn disturbance(&self) -> String {
        let health = self.health.iter();
        let reasons: Vec<String> = health.map(|(code, n)| format!("{code} {n}")).collect();
        format!(
            "{} of {} slots were disturbed by the generator's own state ({})",
            self.flawed,
            self.slots,
            reasons.join(", ")
        )
    }

    fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |code: &str, text| {
            warnings.push(Warning {
                code: code.to_owned(),
                text,
            });
        };
        if self.flawed > 0 && !self.is_disturbed() {
            warn("disturbed_slots", self.disturbance());
        }
        if !self.open_loop && self.saturated > 0 {
            let text = format!(
                "the sending thread used {:.0} % of its core: the generator, not the target, may \
                 be the limit; add --threads",
                100.0 * self.cpu_share
            );
            warn("cpu", text);
        }
        if self.retried * 1000 > self.sent {
            let text = format!(
                "{} of {} requests were sent again because the server had closed the connection \
                 or refused the stream; its keep-alive time-out may be too short",
                self.retried, self.sent
            );
            warn("retried", text);
        }
        if self.pressed > 0 {
            let text = format!(
                "programs waited for a CPU of the generator's machine for most of the time in {} \
                 slots; what is measured there is slowed down too",
                self.pressed
            );
            warn("cpu_pressure", text);
        }
        warnings
    }
}

/// The smallest median response time of any endpoint; 0 when nothing succeeded.
fn fastest_p50(slot: &Slot) -> f64 {
    let median = |stats: &EndpointStats| stats.response.quantile_ns(0.5);
    let medians = slot.endpoints.values().filter_map(median);
    medians.reduce(f64::min).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Health, Side};

    const SLOTS: u32 = 10;

    fn slot(classes: &[(Class, u64)]) -> Slot {
        let mut stats = EndpointStats::default();
        for (class, n) in classes {
            stats.classes.insert(*class, *n);
            stats.scheduled += n;
        }
        for _ in 0..stats.ok() {
            stats.response.record(15_000_000);
        }
        Slot {
            connections: crate::run::ConnectionStats::default(),
            round: 1,
            position: 0,
            side: Side::Candidate,
            start_ns: 0,
            length_ns: 1,
            settle_ns: 0,
            medians_ns: Vec::new(),
            complete: true,
            endpoints: BTreeMap::from([("GET /".to_owned(), stats)]),
            health: Health::default(),
            resources: None,
        }
    }

    fn fine() -> Slot {
        slot(&[(Class::Ok, 1_000)])
    }

    fn check(open_loop: bool, slots: impl IntoIterator<Item = Slot>) -> Diagnosis {
        let mut checkup = Checkup::new(open_loop);
        for slot in slots {
            checkup.add(&slot);
        }
        checkup.diagnosis()
    }

    /// Ten slots of which so many are changed.
    fn with(n: u32, change: fn(&mut Slot)) -> Diagnosis {
        let slots = (0..SLOTS).map(|index| {
            let mut slot = fine();
            if index < n {
                change(&mut slot);
            }
            slot
        });
        check(true, slots)
    }

    #[test]
    fn a_healthy_run_has_nothing_to_say() {
        assert_eq!(with(0, |_| {}), Diagnosis::default());
        assert_eq!(check(true, []), Diagnosis::default());
    }

    #[test]
    fn more_than_a_fifth_of_disturbed_slots_is_too_much() {
        let stalled = |slot: &mut Slot| {
            slot.health.stall_ns = 300_000_000;
            slot.health.throttled_share = 0.5;
        };
        let few = with(2, stalled);
        assert_eq!(few.health["stall"], 2);
        assert!(few.causes.is_empty(), "{:?}", few.causes);
        assert_eq!(few.warnings[0].code, "disturbed_slots");
        let many = with(3, stalled);
        assert!(many.warnings.is_empty());
        let cause = &many.causes[0];
        assert!(cause.starts_with("3 of 10 slots"), "{cause}");
        assert!(cause.contains("(stall 3, throttled 3): use a"), "{cause}");
    }

    #[test]
    fn what_was_cut_short_or_discarded_counts_for_nothing() {
        let found = with(SLOTS, |slot| {
            slot.health.stall_ns = 300_000_000;
            slot.complete = false;
        });
        assert_eq!(found, Diagnosis::default());
        let found = with(SLOTS, |slot| {
            slot.health.stall_ns = 300_000_000;
            slot.round = 0;
        });
        assert_eq!(found, Diagnosis::default());
    }

    #[test]
    fn a_target_that_does_not_keep_up_or_answer_is_named() {
        type Table = [(&'static [(Class, u64)], Option<&'static str>); 7];
        let table: Table = [
            (&[(Class::Ok, 99), (Class::NotSentCap, 1)], None),
            (
                &[(Class::Ok, 97), (Class::NotSentCap, 3)],
                Some("3.0 % of the requests were not sent for the in-flight cap"),
            ),
            (&[(Class::Ok, 1), (Class::Http5xx, 99)], None),
            (&[(Class::Ok, 199), (Class::Throttled, 1)], None),
            (
                &[(Class::Ok, 190), (Class::Throttled, 10)],
                Some("5.0 % of the answers came from a limiter"),
            ),
            (
                &[(Class::Http5xx, 60), (Class::ConnectRefused, 40)],
                Some("nothing was answered as expected: all 100 requests failed"),
            ),
            (&[], None),
        ];
        for (classes, cause) in table {
            let found = check(true, [slot(classes)]).causes;
            assert_eq!(found.len(), usize::from(cause.is_some()), "{found:?}");
            assert!(
                cause.is_none_or(|cause| found[0].starts_with(cause)),
                "{found:?}"
            );
        }
        let found = check(true, [slot(&[(Class::NotSentCap, 9)])]).causes;
        assert!(found[1].starts_with("none of 9 requests"), "{found:?}");
    }

    #[test]
    fn a_recording_that_no_longer_fits_makes_no_baseline() {
        let old = |of_baseline| {
            let mut checkup = Checkup::new(true).of_baseline(of_baseline);
            checkup.add(&slot(&[(Class::Ok, 79), (Class::Http4xx, 21)]));
            checkup.diagnosis()
        };
        let (target, baseline) = (old(false), old(true));
        assert!(target.causes.is_empty());
        assert_eq!(target.warnings[0].code, STATUSES);
        assert!(
            baseline.causes[0].contains("21.0 % of GET /"),
            "{baseline:?}"
        );
        assert!(baseline.warnings.is_empty());
    }

    #[test]
    fn a_busy_thread_is_the_limit_of_a_closed_loop_and_the_fault_of_an_open_one() {
        let busy = || {
            (0..3).map(|_| {
                let mut slot = fine();
                slot.health.cpu_share = 0.97;
                slot.health.pressure_share = 0.7;
                slot
            })
        };
        let closed = check(false, busy());
        assert!(closed.causes.is_empty() && closed.health.is_empty());
        let text = &closed.warnings[0].text;
        assert!(
            text.contains("used 97 % of its core") && text.contains("--threads"),
            "{text}"
        );
        assert_eq!(closed.warnings[1].code, "cpu_pressure");
        let open = check(true, busy());
        assert!(open.causes[0].contains("(cpu 3)"), "{:?}", open.causes);
        assert_eq!(open.warnings.len(), 1);
    }
}
