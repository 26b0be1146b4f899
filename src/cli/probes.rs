//! Which requests a preflight asks: one of each endpoint, or more of some. Where a client may have
//! to log in first, or a rule needs an earlier answer, each comes behind what its client had asked
//! before.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::exit::Failure;
use crate::{
    staging::{Probes, Step},
    workload::{Request, Workload},
};

/// So many requests of a client come before the one that is asked for.
const BEFORE: usize = 20;
/// More of an endpoint are drawn from so many requests of the workload.
const READ_MAX: usize = 20_000;

/// One request of each endpoint, the first of the workload.
///
/// # Errors
/// When the workload cannot be read.
pub(super) fn one_of_each(workload: &Workload) -> Result<Probes, Failure> {
    let mut seen = BTreeSet::new();
    let mut picks = BTreeMap::new();
    for (request, index) in workload.requests().map_err(Failure::usage)?.zip(0..) {
        let request = request.map_err(Failure::usage)?;
        if seen.insert(request.endpoint.clone()) {
            picks.insert(index, request.session);
        }
        if seen.len() == workload.summary().endpoints.len() {
            break;
        }
    }
    chains(workload, &picks)
}

/// Up to so many more requests of each of these endpoints, only such as the method keeps from
/// changing anything.
///
/// # Errors
/// When the workload cannot be read.
pub(super) fn more_of(
    workload: &Workload,
    endpoints: &BTreeSet<String>,
    most: usize,
) -> Result<Probes, Failure> {
    let mut drawn: BTreeMap<&str, Vec<(u64, u64, String)>> = BTreeMap::new();
    let requests = workload.requests().map_err(Failure::usage)?;
    let mut asked = BTreeSet::new();
    for (request, index) in requests.take(READ_MAX).zip(0_u64..) {
        let request = request.map_err(Failure::usage)?;
        let Some(name) = endpoints.get(&request.endpoint) else {
            continue;
        };
        // The first has been asked already.
        if asked.insert(name) || !matches!(request.method.as_str(), "GET" | "HEAD") {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        index.hash(&mut hasher);
        // The smallest of evenly spread numbers are a sample without replacement.
        let own = drawn.entry(name).or_default();
        own.push((hasher.finish(), index, request.session));
        own.sort_unstable();
        own.truncate(most);
    }
    let picks = drawn.into_values().flatten();
    let picks = picks.map(|(_, index, session)| (index, session)).collect();
    chains(workload, &picks)
}

/// The picked requests, by their place in the workload and with their sessions.
fn chains(workload: &Workload, picks: &BTreeMap<u64, String>) -> Result<Probes, Failure> {
    let rules = workload.rules();
    let mut sessions: BTreeMap<&str, Vec<Step>> = BTreeMap::new();
    let mut chains = Vec::new();
    let clients: BTreeSet<&str> = picks.values().map(String::as_str).collect();
    let last = picks.keys().next_back().copied();
    for (request, index) in workload.requests().map_err(Failure::usage)?.zip(0..) {
        if last.is_none_or(|last| index > last) {
            break;
        }
        let request = request.map_err(Failure::usage)?;
        let is_probe = picks.contains_key(&index);
        let has_client =
            (rules.keeps_cookies() && !request.session.is_empty()) || rules.carries_values();
        if !has_client {
            if is_probe {
                chains.push(vec![Step { request, is_probe }]);
            }
            continue;
        }
        let Some(client) = clients.get(request.session.as_str()) else {
            continue;
        };
        let steps = sessions.entry(client).or_default();
        let before = steps.iter().filter(|step| !step.is_probe).count();
        let is_new = |request: &Request| {
            let mut asked = steps.iter();
            asked.all(|step| step.request.endpoint != request.endpoint)
        };
        if is_probe || (before < BEFORE && is_new(&request)) {
            steps.push(Step { request, is_probe });
        }
    }
    for mut steps in sessions.into_values() {
        let behind = steps.iter().rposition(|step| step.is_probe);
        steps.truncate(behind.map_or(0, |at| at + 1));
        chains.push(steps);
    }
    chains.retain(|chain| !chain.is_empty());
    let rules = Arc::new(rules.clone());
    Ok(Probes { chains, rules })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    fn workload(lines: &[(&str, &str)]) -> Workload {
        let request = |(session, line): &(&str, &str)| Request {
            session: (*session).to_owned(),
            ..parse_request(line).unwrap()
        };
        Workload::from_requests(lines.iter().map(request).collect(), "test").unwrap()
    }

    fn shown(probes: &Probes) -> Vec<String> {
        let step = |step: &Step| {
            let mark = if step.is_probe { "" } else { "~" };
            format!("{mark}{}", step.request.path)
        };
        let chain = |chain: &Vec<Step>| chain.iter().map(step).collect::<Vec<_>>().join(" ");
        probes.chains.iter().map(chain).collect()
    }

    #[test]
    fn each_endpoint_is_asked_once_behind_what_its_client_asked_before() {
        let found = one_of_each(&workload(&[
            ("a", "GET /login"),
            ("b", "GET /login"),
            ("a", "GET /home"),
            ("b", "POST /login"),
            ("b", "GET /login"),
            ("b", "GET /cart"),
            ("b", "GET /home"),
            ("", "GET /health"),
            ("", "GET /health"),
        ]));
        let expected = ["/health", "/login /home", "~/login /login /cart"];
        assert_eq!(shown(&found.unwrap()), expected);
    }

    #[test]
    fn without_clients_each_is_asked_alone() {
        let settings = crate::workload::rules::ReplaySettings::default();
        let lines = [("a", "/x"), ("a", "/y"), ("a", "/x")];
        let workload = workload(&lines).under(&settings, false).unwrap();
        assert_eq!(shown(&one_of_each(&workload).unwrap()), ["/x", "/y"]);
    }

    #[test]
    fn more_are_drawn_of_what_may_be_asked_again() {
        let mut lines = vec![("", "POST /x"); 5];
        lines.extend([
            ("", "/y?1"),
            ("", "/y?2"),
            ("", "/y?3"),
            ("", "/z?1"),
            ("", "/z?2"),
        ]);
        let wanted = ["POST /x", "GET /y"].map(str::to_owned).into();
        let found = more_of(&workload(&lines), &wanted, 9).unwrap();
        assert_eq!(shown(&found), ["/y?2", "/y?3"]);
        let one = more_of(&workload(&lines), &wanted, 1).unwrap();
        assert_eq!(shown(&one).len(), 1);
    }
}
