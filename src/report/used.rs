//! What a side used of its own machine over all slots, for display: CPU by request, and memory.

use serde::{Deserialize, Serialize};

use super::words::duration;
use crate::run::{EndpointStats, Side, Slot};
use crate::units::{count, whole};

/// Adds up the slots of one side.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    cpu_ns: u64,
    /// Answered as expected in the slots whose CPU is known.
    requests: u64,
    peak_bytes: Option<u64>,
}

/// CPU and memory of one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideResources {
    /// The side.
    pub side: Side,
    /// CPU time of the slots in which it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// Requests answered as expected in those slots.
    pub requests: u64,
    /// The former for each of the latter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns_per_request: Option<u64>,
    /// The most memory at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

impl Used {
    pub(super) fn add(&mut self, slot: &Slot) {
        let Some(used) = slot.resources else {
            return;
        };
        if let Some(cpu_ns) = used.cpu_ns {
            self.cpu_ns += cpu_ns;
            self.requests += slot.endpoints.values().map(EndpointStats::ok).sum::<u64>();
        }
        self.peak_bytes = self.peak_bytes.max(used.peak_bytes);
    }

    /// `None` when nothing is known.
    pub(super) fn of(&self, side: Side) -> Option<SideResources> {
        let by_request = || whole(count(self.cpu_ns) / count(self.requests));
        let cpu_ns = (self.cpu_ns > 0 || self.requests > 0).then_some(self.cpu_ns);
        (cpu_ns.is_some() || self.peak_bytes.is_some()).then(|| SideResources {
            side,
            cpu_ns,
            requests: self.requests,
            cpu_ns_per_request: (self.requests > 0).then(by_request),
            peak_bytes: self.peak_bytes,
        })
    }
}

impl SideResources {
    /// The rest of a sentence that begins with who used it.
    pub(super) fn sentence(&self) -> String {
        let cpu = self
            .cpu_ns_per_request
            .map(|ns| format!("{} of CPU for 1,000 requests", duration(1e3 * count(ns))));
        let memory = self
            .peak_bytes
            .map(|bytes| format!("{:.1} MB of memory at the most", count(bytes) / 1e6));
        let said: Vec<String> = cpu.into_iter().chain(memory).collect();
        if said.is_empty() {
            return "CPU, but answered no request as expected.".to_owned();
        }
        format!("{}.", said.join(", and "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::run::{Class, ConnectionStats, Health, Resources};

    fn slot(ok: u64, used: Option<Resources>) -> Slot {
        let mut stats = EndpointStats::default();
        stats.classes.insert(Class::Ok, ok);
        Slot {
            round: 1,
            position: 0,
            side: Side::Candidate,
            start_ns: 0,
            length_ns: 1,
            settle_ns: 0,
            medians_ns: Vec::new(),
            complete: true,
            endpoints: BTreeMap::from([("GET /".to_owned(), stats)]),
            connections: ConnectionStats::default(),
            health: Health::default(),
            resources: used,
        }
    }

    fn said(slots: &[(u64, Option<u64>, Option<u64>)]) -> Option<String> {
        let mut used = Used::default();
        for (ok, cpu_ns, peak_bytes) in slots {
            let (cpu_ns, peak_bytes) = (*cpu_ns, *peak_bytes);
            used.add(&slot(*ok, Some(Resources { cpu_ns, peak_bytes })));
        }
        // What is unknown adds nothing, its requests neither.
        used.add(&slot(1_000_000, None));
        used.of(Side::Candidate).map(|it| it.sentence())
    }

    #[test]
    fn cpu_is_said_by_request_and_memory_by_its_peak() {
        let (ms, mb) = (1_000_000, 1_000_000);
        for (slots, wanted) in [
            (&[][..], None),
            (
                &[
                    (100, Some(20 * ms), Some(7 * mb)),
                    (300, Some(60 * ms), Some(12_340_000)),
                ],
                Some("200 ms of CPU for 1,000 requests, and 12.3 MB of memory at the most."),
            ),
            (
                &[(50, Some(150 * ms), None), (9, None, None)],
                Some("3.00 s of CPU for 1,000 requests."),
            ),
            (
                &[(50, None, Some(mb))],
                Some("1.0 MB of memory at the most."),
            ),
            (
                &[(0, Some(ms), None)],
                Some("CPU, but answered no request as expected."),
            ),
        ] {
            assert_eq!(said(slots).as_deref(), wanted, "{slots:?}");
        }
    }
}
