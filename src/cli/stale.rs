//! Whether a recording still fits the baseline, as far as that shows before the load: of an
//! endpoint that answers with another status than recorded, some more requests are asked.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;

use super::{
    exit::Failure,
    probes,
    ready::{Asked, preflight_failure},
};
use crate::{
    compare::{AGING_SHARE, Freshness, Warning},
    staging::{Answered, Preflight, Probe, preflight},
    text::printable,
    workload::{Target, Workload},
};

/// So many more requests of an endpoint are asked at the most.
const MORE: usize = 9;
/// So many endpoints are shown with what they answered.
const SHOWN: usize = 3;

/// Judges the recording by a preflight of the baseline.
///
/// # Errors
/// When it no longer fits, or wants a log-in (invalid).
pub(super) async fn check(
    found: &Preflight,
    (workload, target): (&Workload, &Target),
    asked: &Asked<'_>,
) -> Result<Vec<Warning>, Failure> {
    let unexpected = found.unexpected();
    if unexpected.is_empty() {
        return Ok(Vec::new());
    }
    let names: BTreeSet<String> = unexpected.keys().cloned().collect();
    let more = probes::more_of(workload, &names, MORE)?;
    let addresses: Vec<_> = target.address.iter().cloned().collect();
    let more = preflight(target, &addresses, &more, asked.terms()).await;
    let more = more.map_err(preflight_failure)?;
    let probes: Vec<&Probe> = found.probes.iter().chain(&more.probes).collect();
    let finding = estimate(&probes, workload, Probe::is_unexpected).finding("the baseline");
    let shown: Vec<String> = unexpected
        .iter()
        .take(SHOWN)
        .map(|(name, status)| format!("{} answered {status}", printable(name)))
        .collect();
    let shown = shown.join(", ");
    let locked = |probe: &Probe| {
        probe.is_unexpected() && matches!(probe.answered, Answered::Status(401 | 403))
    };
    let locked = estimate(&probes, workload, locked).share();
    if locked > AGING_SHARE {
        return Err(Failure::invalid(anyhow!(
            "the baseline wants a log-in for {:.1} % of the requests ({shown}); give credentials \
             of its own with --auth-cmd or -H @FILE; no load was sent",
            100.0 * locked
        )));
    }
    if let Some(cause) = finding.causes.first() {
        return Err(Failure::invalid(anyhow!(
            "before the load, {cause} ({shown}); no load was sent"
        )));
    }
    let before = |warning: Warning| Warning {
        text: format!("before the load, {}", warning.text),
        ..warning
    };
    Ok(finding.warnings.into_iter().map(before).collect())
}

/// The answers of a load with the mix of the workload, by what a few of each endpoint say.
fn estimate(probes: &[&Probe], workload: &Workload, is_it: impl Fn(&Probe) -> bool) -> Freshness {
    let mut by_endpoint: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for probe in probes {
        let own = by_endpoint.entry(&probe.endpoint).or_default();
        own[0] += u64::from(is_it(probe));
        own[1] += u64::from(matches!(probe.answered, Answered::Status(_)));
    }
    let mut freshness = Freshness::default();
    for (endpoint, [differing, all]) in by_endpoint {
        let requests = workload.summary().endpoints.get(endpoint);
        let requests = requests.copied().unwrap_or(0);
        if let Some(part) = requests.saturating_mul(differing).checked_div(all) {
            freshness.add(endpoint, [part, requests]);
        }
    }
    freshness
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    #[test]
    fn endpoints_count_as_often_as_the_workload_has_them() {
        let lines = [&["/a"; 90][..], &["/b"; 10]].concat();
        let requests = lines.iter().map(|line| parse_request(line).unwrap());
        let workload = Workload::from_requests(requests.collect(), "test").unwrap();
        let probe = |endpoint: &str, status| Probe {
            endpoint: endpoint.to_owned(),
            expect_status: Some(200),
            answered: Answered::Status(status),
        };
        let all = [
            probe("GET /a", 200),
            probe("GET /b", 404),
            probe("GET /b", 200),
        ];
        let all: Vec<&Probe> = all.iter().collect();
        let share = estimate(&all, &workload, Probe::is_unexpected).share();
        assert!((share - 0.05).abs() < 1e-12, "{share}");
    }
}
