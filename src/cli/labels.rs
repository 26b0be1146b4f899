//! What run files and reports say of a run: targets, workload and load in words.
//! No header value passes through here.

use std::collections::BTreeMap;

use crate::{
    clock::wall_ns,
    replay::{Arrangement, Arrivals, mean_rate},
    report::Place,
    run::{Facts, Labels, Recorded, TargetRecord, WorkloadRecord},
    units::{Span, whole},
    workload::{EndpointFacts, Protocol, Target, Workload, WorkloadError, recording},
};

/// A target as the run file names it.
pub(super) fn target_record(
    resolved: Option<&Target>,
    target: &Target,
    (labels, facts): (&Labels, &Facts),
) -> TargetRecord {
    let address = resolved.and_then(|target| target.address.as_ref());
    TargetRecord {
        url: target.url.to_string(),
        address: address.map(ToString::to_string).unwrap_or_default(),
        labels: labels.clone(),
        facts: facts.clone(),
    }
}

/// The workload as the run file names it.
pub(super) fn workload_record(workload: &Workload) -> WorkloadRecord {
    let summary = workload.summary();
    WorkloadRecord {
        source: workload.name().to_owned(),
        digest: summary.digest.clone(),
        requests: summary.requests,
        duration_ns: summary.duration_ns,
        recorded_at: summary.origin.recorded_at.clone(),
        recorded: BTreeMap::new(),
    }
}

/// The same with what the recording saw of each endpoint, of a long one in its beginning.
///
/// # Errors
/// When the workload cannot be read.
pub(super) fn workload_recorded(workload: &Workload) -> Result<WorkloadRecord, WorkloadError> {
    let recorded = recording(workload)?.into_iter();
    Ok(WorkloadRecord {
        recorded: recorded.map(|(name, facts)| (name, seen(&facts))).collect(),
        ..workload_record(workload)
    })
}

fn seen(facts: &EndpointFacts) -> Recorded {
    let latency = |quantile| facts.latency.quantile_ns(quantile).map(whole);
    Recorded {
        requests: facts.requests,
        statuses: facts.statuses.clone(),
        latency_p50_ns: latency(0.5),
        latency_p99_ns: latency(0.99),
        mean_bytes: facts.mean_bytes().map(whole),
    }
}

/// The workload as reports name it.
pub(super) fn workload(record: WorkloadRecord) -> crate::report::Workload {
    crate::report::Workload {
        source: record.source,
        requests: record.requests,
        duration_ns: record.duration_ns,
        digest: record.digest,
        recorded_at: record.recorded_at,
        recorded: record.recorded,
    }
}

/// What a replay is held against.
pub(super) fn recorded(workload: &Workload, arrivals: Arrivals) -> crate::report::Recorded {
    crate::report::Recorded {
        endpoints: workload.summary().endpoints.clone(),
        is_closed: arrivals.clients().is_some(),
    }
}

/// A target as reports name it.
pub(super) fn place(target: &Target, (labels, facts): (&Labels, &Facts)) -> Place {
    let address = target.address.as_ref().map(ToString::to_string);
    Place {
        label: target.url.to_string(),
        address,
        protocol: match target.protocol {
            Protocol::Auto => None,
            Protocol::Http1 => Some("HTTP/1.1".to_owned()),
            Protocol::Http2 => Some("HTTP/2".to_owned()),
        },
        labels: labels.clone(),
        facts: facts.clone(),
    }
}

/// The arrangement as reports name it.
pub(super) fn arrangement(arrangement: Option<Arrangement>) -> &'static str {
    match arrangement {
        Some(Arrangement::Interleaved) => "interleaved",
        Some(Arrangement::Simultaneous) => "simultaneous",
        None => "single",
    }
}

/// How much is sent, in words.
pub(super) fn rate(workload: &Workload, arrivals: Arrivals) -> String {
    match arrivals {
        Arrivals::Constant(rate) => format!("constant {rate}"),
        Arrivals::Poisson(rate) => format!("poisson {rate}"),
        Arrivals::Ramp(from, to) => format!("ramp from {from} to {to}"),
        Arrivals::Closed(clients) => format!("closed loop of {clients} clients"),
        Arrivals::Recorded(speed) => {
            format!(
                "recorded at {speed} ({:.1}/s)",
                mean_rate(workload, arrivals)
            )
        }
    }
}

/// A seed small enough to be typed again.
pub(super) fn draw_seed() -> u64 {
    wall_ns() / 1_000 % 1_000_000_000
}

/// Now, for labels.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.0}")
}

/// The instant so long after another, both in RFC 3339; `None` where that is no instant.
pub(super) fn after(at: &str, span: Span) -> Option<String> {
    let at: jiff::Timestamp = at.parse().ok()?;
    let then = at.checked_add(span.duration()).ok()?;
    Some(format!("{then:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_and_a_span_are_a_later_instant() {
        let day = Span::from_secs(24 * 3600);
        for (at, then) in [
            ("2026-02-28T23:59:59Z", Some("2026-03-01T23:59:59Z")),
            ("2026-03-01T12:00:00.75+02:00", Some("2026-03-02T10:00:00Z")),
            ("yesterday", None),
            ("9999-12-30T22:00:00Z", None),
        ] {
            assert_eq!(after(at, day).as_deref(), then, "{at}");
        }
    }
}
