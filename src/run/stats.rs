//! What one endpoint did in one slot: counts by class, distributions, the conservation law.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, Group};
use crate::histogram::Histogram;

/// The name under which all endpoints are judged together. A label of a user never is it.
pub const WORKLOAD: &str = "workload";

/// Counts and distributions of one endpoint on one side in one slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// How many requests the schedule held.
    pub scheduled: u64,
    /// How they ended; the sum is `scheduled` when the slot is closed.
    pub classes: BTreeMap<Class, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that were sent again after a keep-alive race; each counts once in `classes`.
    pub retried: u64,
    /// Requests that were sent later than planned because they needed a value from an answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited: u64,
    /// Requests that were sent while an earlier one of their client waited for such a value, or for
    /// its connection.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overtook: u64,
    /// Bytes of bodies received, as transferred.
    pub body_bytes: u64,
    /// Those of them that belong to the successes.
    #[serde(default)]
    pub ok_bytes: u64,
    /// Response times of the successes: done − intended.
    pub response: Histogram,
    /// Service times of the successes: done − sent.
    pub service: Histogram,
    /// Times to the first byte of the successes: first byte of the final head −
    /// intended.
    #[serde(default)]
    pub first_byte: Histogram,
    /// Response times of all failures that were sent, together.
    pub failed: Histogram,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl EndpointStats {
    /// The sum over the classes of one group.
    pub fn group(&self, group: Group) -> u64 {
        self.classes
            .iter()
            .filter(|(class, _)| class.group() == group)
            .map(|(_, n)| n)
            .sum()
    }

    /// Requests that were answered as expected.
    pub fn ok(&self) -> u64 {
        self.group(Group::Ok)
    }

    /// Requests that left the generator.
    pub fn sent(&self) -> u64 {
        self.scheduled - self.group(Group::NotSent)
    }

    /// Failures that count against the target: everything that was sent and did not succeed.
    pub fn failures(&self) -> u64 {
        self.group(Group::HttpError) + self.group(Group::TransportError)
    }

    /// Whether `scheduled = sent + not_sent` and `sent = ok + http_error + transport_error`,
    /// and the distributions hold exactly the requests that the counts name.
    pub fn is_conserved(&self) -> bool {
        self.classes.values().sum::<u64>() == self.scheduled
            && self.response.count() == self.ok()
            && self.service.count() == self.ok()
            && self.failed.count() == self.failures()
    }

    /// Adds what another worker or slot saw of the same endpoint.
    pub fn merge(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        for (class, n) in &other.classes {
            *self.classes.entry(*class).or_default() += n;
        }
        for (status, n) in &other.statuses {
            *self.statuses.entry(*status).or_default() += n;
        }
        self.retried += other.retried;
        self.waited += other.waited;
        self.overtook += other.overtook;
        self.body_bytes += other.body_bytes;
        self.ok_bytes += other.ok_bytes;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        self.first_byte.merge(&other.first_byte);
        self.failed.merge(&other.failed);
    }
}

/// How connections were opened during one slot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStats {
    /// Times until a connection stood: TCP or Unix socket, TLS left out.
    pub connect: Histogram,
    /// Times of TLS handshakes, from there on.
    pub tls: Histogram,
}

impl ConnectionStats {
    /// Adds what another worker or slot saw.
    pub fn merge(&mut self, other: &Self) {
        self.connect.merge(&other.connect);
        self.tls.merge(&other.tls);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_request_breaks_the_law() {
        let mut stats = EndpointStats {
            scheduled: 3,
            ..EndpointStats::default()
        };
        stats.classes.insert(Class::Ok, 1);
        stats.classes.insert(Class::NotSentCap, 1);
        stats.response.record(10);
        stats.service.record(10);
        assert!(!stats.is_conserved());
        stats.classes.insert(Class::Http5xx, 1);
        assert!(!stats.is_conserved());
        stats.failed.record(10);
        assert!(stats.is_conserved());
        assert_eq!((stats.sent(), stats.ok(), stats.failures()), (2, 1, 1));
    }
}
