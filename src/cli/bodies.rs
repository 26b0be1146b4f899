//! The answers of both sides, asked for before the load and compared: which requests, in which
//! order, for how long. What a difference is, `compare` says.
//!
//! Before and not during the load, so that no timed request waits for a parser; and not in the
//! discarded round, in which caches fill and answers differ for that. One request at a time.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{exit::Failure, ready::preflight_failure};
use crate::{
    clock::{Clock, wall_ns},
    compare::{Answer, Bodies, Warning},
    staging::{Asker, Terms},
    units::{SECOND_NS, Span},
    workload::{Request, Target, Workload, rules::Lot},
};

/// Requests of each endpoint, unless told otherwise.
pub(super) const SAMPLES: u32 = 3;
/// The comparison may take one part in so many of the time of the load, and no less than the
/// second below: a plan leaves five for what comes before the load.
const BUDGET_ONE_IN: u64 = 20;
const BUDGET_MIN_NS: u64 = SECOND_NS;
/// Samples are drawn from so many requests of the workload at the most.
const READ_MAX: usize = 20_000;

/// What is asked of whom.
pub(super) struct Check<'a> {
    /// The baseline and the candidate, pinned.
    pub targets: &'a [Target; 2],
    /// Samples by endpoint.
    pub requests: BTreeMap<String, Vec<Request>>,
    /// Decides who is asked first.
    pub seed: u64,
    /// All of it takes no longer, in nanoseconds.
    pub within_ns: u64,
}

/// So many requests of each endpoint, chosen by the seed; only those that the method keeps from
/// changing anything. An endpoint with fewer has them repeated, because noise shows only in
/// repetition.
///
/// # Errors
/// When the workload cannot be read.
pub(super) fn sampled(
    workload: &Workload,
    samples: u32,
    seed: u64,
) -> Result<BTreeMap<String, Vec<Request>>, Failure> {
    let (samples, rules) = (samples as usize, workload.rules());
    let mut drawn: BTreeMap<String, Vec<(u64, Request)>> = BTreeMap::new();
    if samples == 0 {
        return Ok(BTreeMap::new());
    }
    let requests = workload.requests().map_err(Failure::usage)?;
    for (index, request) in requests.take(READ_MAX).enumerate() {
        let request = request.map_err(Failure::usage)?;
        // What needs an earlier answer would be refused for that.
        let is_alone = rules.template(&request).is_none();
        if !matches!(request.method.as_str(), "GET" | "HEAD") || !is_alone {
            continue;
        }
        // The smallest of evenly spread numbers are a sample without replacement.
        let lot = lot(&(seed, index));
        let own = drawn.entry(request.endpoint.clone()).or_default();
        let place = own.partition_point(|(it, _)| *it < lot);
        if place < samples {
            own.insert(place, (lot, request));
            own.truncate(samples);
        }
    }
    let mut seq = 0;
    let mut made = |(index, request): (u64, Request)| {
        let mut lot = Lot {
            seed: wall_ns(),
            repetition: 0,
            index,
            now_ns: wall_ns(),
            seq: &mut seq,
        };
        rules.draw(&request, &mut lot).into_owned()
    };
    let mut repeated = |own: Vec<(u64, Request)>| {
        let own: Vec<_> = own.into_iter().map(&mut made).collect();
        own.iter().cycle().take(samples).cloned().collect()
    };
    let drawn = drawn.into_iter();
    Ok(drawn.map(|(name, own)| (name, repeated(own))).collect())
}

/// How long it may take, in nanoseconds, before a load of this length.
pub(super) fn budget_ns(load_ns: u64) -> u64 {
    (load_ns / BUDGET_ONE_IN).max(BUDGET_MIN_NS)
}

fn lot(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Check<'_> {
    /// Asks and compares; returns what differs, and a note of how much was compared.
    ///
    /// # Errors
    /// When nobody could be asked for reasons of our own.
    pub(super) async fn exec(
        &self,
        terms: Terms<'_>,
    ) -> Result<(Vec<Warning>, Option<String>), Failure> {
        let [baseline, candidate] = self.targets;
        let asker = |target| Asker::new(target, terms).map_err(preflight_failure);
        let (Some(baseline), Some(candidate)) = (asker(baseline)?, asker(candidate)?) else {
            return Ok((Vec::new(), None));
        };
        let mut found = Bodies::default();
        let mut failed = 0_u32;
        let clock = Clock::start();
        // Each endpoint once, then each once more: what time there is, is shared.
        for (name, request) in self.in_turn() {
            let left_ns = self.within_ns.saturating_sub(clock.now_ns());
            let candidate_first = lot(&(self.seed, &request.path, name)) % 2 == 1;
            let quad = quad(&baseline, &candidate, request, candidate_first);
            match tokio::time::timeout(Duration::from_nanos(left_ns), quad).await {
                Ok(Some(quad)) => found.add(name, &quad),
                Ok(None) => failed += 1,
                Err(_) => break,
            }
        }
        let warning = |text| Warning {
            code: "bodies".to_owned(),
            text,
        };
        let said = found.sentences();
        let note = self.note(&found, failed, said.is_empty());
        Ok((said.into_iter().map(warning).collect(), note))
    }

    fn in_turn(&self) -> impl Iterator<Item = (&str, &Request)> {
        let most = self.requests.values().map(Vec::len).max().unwrap_or(0);
        (0..most).flat_map(|turn| {
            let own = self.requests.iter();
            own.filter_map(move |(name, own)| Some((name.as_str(), own.get(turn)?)))
        })
    }

    fn note(&self, found: &Bodies, failed: u32, is_clean: bool) -> Option<String> {
        let planned: usize = self.requests.values().map(Vec::len).sum();
        if planned == 0 {
            return None;
        }
        let (compared, failed) = (found.requests() as usize, failed as usize);
        let rest = planned.saturating_sub(compared + failed);
        let result = if is_clean {
            "no difference between the sides beyond those within a side"
        } else {
            "what differs is among the warnings"
        };
        let unanswered = match failed {
            0 => String::new(),
            failed => format!("; {failed} without an answer"),
        };
        let unasked = match rest {
            0 => String::new(),
            rest => format!(
                "; {rest} not asked, because {} were over",
                Span::from_ns(self.within_ns)
            ),
        };
        Some(format!(
            "answers of both sides compared before the load: {compared} (endpoints: \
             {}){unanswered}{unasked}; {result}",
            found.endpoints()
        ))
    }
}

/// Both sides twice, as ABBA or BAAB: what changes with time differs within the outer side
/// too, and is not taken for a difference between the two.
async fn quad(
    baseline: &Asker,
    candidate: &Asker,
    request: &Request,
    candidate_first: bool,
) -> Option<[Answer; 4]> {
    let (outer, inner) = if candidate_first {
        (candidate, baseline)
    } else {
        (baseline, candidate)
    };
    let first = ask(outer, request).await?;
    let (second, third) = (ask(inner, request).await?, ask(inner, request).await?);
    let last = ask(outer, request).await?;
    Some(if candidate_first {
        [second, third, first, last]
    } else {
        [first, last, second, third]
    })
}

async fn ask(asker: &Asker, request: &Request) -> Option<Answer> {
    let whole = asker.ask(request).await.ok()?;
    let body = whole.body.as_deref();
    Some(Answer::read(
        whole.status,
        &whole.headers,
        body,
        asker.authority(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    fn workload(lines: &[String]) -> Workload {
        let requests = lines.iter().map(|line| parse_request(line).unwrap());
        Workload::from_requests(requests.collect(), "x").unwrap()
    }

    #[test]
    fn samples_are_drawn_by_the_seed_from_what_changes_nothing() {
        let mut lines: Vec<_> = (0..200).map(|n| format!("GET /users/{n}")).collect();
        lines.extend(["GET /one".to_owned(), "POST /write".to_owned()]);
        let workload = workload(&lines);
        let drawn = |seed| sampled(&workload, 3, seed).unwrap();
        let found = drawn(1);
        assert_eq!(found, drawn(1));
        let names: Vec<_> = found.keys().collect();
        assert_eq!(names, ["GET /one", "GET /users/{id}"]);
        let paths = |drawn: &BTreeMap<String, Vec<Request>>| -> Vec<String> {
            let own = drawn["GET /users/{id}"].iter();
            own.map(|it| it.path.clone()).collect()
        };
        let own = paths(&found);
        assert!(
            own.len() == 3 && own[0] != own[1] && own[1] != own[2],
            "{own:?}"
        );
        assert_ne!(own, paths(&drawn(2)));
        assert_eq!(found["GET /one"].len(), 3, "asked again for its noise");
        assert!(sampled(&workload, 0, 1).unwrap().is_empty());
    }
}
