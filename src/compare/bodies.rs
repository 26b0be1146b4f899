//! Which differences between answers are differences between the sides.
//!
//! Each request is asked of both sides twice. What differs between two answers of the same side
//! is noise: times, identifiers, what chance chose. A finding is what differs between the sides
//! in all four pairs and is noise in no request of its endpoint. An answer keeps digests, kinds
//! and sizes of what it holds, and no value: none can reach a report.

mod answer;

use std::collections::BTreeMap;

pub use answer::Answer;
use answer::{Difference, Place, Step};

/// More findings of one endpoint are only counted.
const SHOWN_OF_ENDPOINT: usize = 5;
/// More findings are only counted.
const SHOWN: usize = 20;
/// Names that others chose are cut to so many characters.
const NAME_MAX: usize = 40;
/// And what they make up to so many.
const PATH_MAX: usize = 120;

/// The answers to one request: the baseline's two, then the candidate's.
pub type Quad = [Answer; 4];

/// What was learned so far.
#[derive(Debug, Clone, Default)]
pub struct Bodies {
    endpoints: BTreeMap<String, Learned>,
}

#[derive(Debug, Clone, Default)]
struct Learned {
    requests: u32,
    /// What differed within a side, and how much at the most.
    noise: BTreeMap<Place, u8>,
    /// What differed between the sides in every pair of a request, and in how many requests.
    found: BTreeMap<Place, (Difference, u32)>,
}

/// Something that differs between the sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The endpoint.
    pub endpoint: String,
    /// What it is and how it differs; without the values.
    pub said: String,
    /// Requests of the endpoint whose answers differ so.
    pub seen: u32,
    /// Requests of the endpoint that were compared.
    pub of: u32,
}

impl Bodies {
    /// Takes the answers to one more request.
    pub fn add(&mut self, endpoint: &str, [b1, b2, c1, c2]: &Quad) {
        let learned = self.endpoints.entry(endpoint.to_owned()).or_default();
        learned.requests += 1;
        for (place, difference) in b1.compare(b2).into_iter().chain(c1.compare(c2)) {
            let rank = learned.noise.entry(place).or_default();
            *rank = difference.rank().max(*rank);
        }
        let others = [b1.compare(c2), b2.compare(c1), b2.compare(c2)];
        for (place, difference) in b1.compare(c1) {
            let alike = |other: &BTreeMap<Place, Difference>| {
                let other = other.get(&place);
                other.is_some_and(|it| it.is_like(&difference))
            };
            if others.iter().all(alike) {
                let found = learned.found.entry(place).or_insert((difference, 0));
                // The gravest is shown; each request counts once.
                if difference.rank() > found.0.rank() {
                    found.0 = difference;
                }
                found.1 += 1;
            }
        }
    }

    /// Requests whose answers were compared.
    pub fn requests(&self) -> u32 {
        self.endpoints.values().map(|it| it.requests).sum()
    }

    /// Endpoints of which there was at least one.
    pub fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    /// What differs between the sides and is no noise, by endpoint. Words of a text that differ
    /// are one finding.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = Vec::new();
        for (endpoint, learned) in &self.endpoints {
            let real = learned.found.iter();
            let real = real.filter(|(place, (found, _))| !learned.is_noise(place, found));
            for (place, (difference, seen)) in real {
                let finding = Finding {
                    endpoint: endpoint.clone(),
                    said: sentence(place, *difference),
                    seen: *seen,
                    of: learned.requests,
                };
                match findings.last_mut() {
                    Some(last) if last.endpoint == *endpoint && last.said == finding.said => {
                        last.seen = last.seen.max(finding.seen);
                    }
                    _ => findings.push(finding),
                }
            }
        }
        findings
    }

    /// One sentence for each finding, and how many are left out: few enough to be read.
    pub fn sentences(&self) -> Vec<String> {
        let findings = self.findings();
        let mut said = Vec::new();
        for own in findings.chunk_by(|a, b| a.endpoint == b.endpoint) {
            for finding in own.iter().take(SHOWN_OF_ENDPOINT) {
                said.push(format!(
                    "{}: {} ({} of {} requests)",
                    finding.endpoint, finding.said, finding.seen, finding.of
                ));
            }
            if let Some(more) = own.len().checked_sub(SHOWN_OF_ENDPOINT)
                && more > 0
            {
                let endpoint = &own[0].endpoint;
                said.push(format!("{endpoint}: {more} more places differ"));
            }
        }
        let more = said.len().saturating_sub(SHOWN);
        if more > 0 {
            said.truncate(SHOWN);
            said.push(format!("{more} more differences of this kind"));
        }
        said
    }
}

impl Learned {
    /// Whether a difference is excused: what differs within a side as much, or lies in something
    /// that is not there in each answer of a side, or is of another length or kind.
    fn is_noise(&self, place: &Place, difference: &Difference) -> bool {
        let own = self.noise.get(place);
        let is_around = |above: &Place| {
            let rank = self.noise.get(above);
            rank.is_some_and(|rank| *rank >= Difference::MOVES_ALL_BELOW)
        };
        own.is_some_and(|rank| *rank >= difference.rank()) || place.above().iter().any(is_around)
    }
}

fn sentence(place: &Place, difference: Difference) -> String {
    let what = subject(place);
    match difference {
        Difference::Missing => format!("{what} is missing in the candidate's answers"),
        Difference::Added => format!("{what} is only in the candidate's answers"),
        Difference::Kinds(baseline, candidate) => format!(
            "{what} is {} in the baseline's answers and {} in the candidate's",
            baseline.name(),
            candidate.name()
        ),
        Difference::Lengths(kind, baseline, candidate) => format!(
            "{what} has {baseline} {} in the baseline's answers and {candidate} in the candidate's",
            kind.parts()
        ),
        Difference::Statuses(baseline, candidate) => {
            format!("{what} is {baseline} from the baseline and {candidate} from the candidate")
        }
        Difference::Whole => format!("{what} differs as a whole in the candidate's answers"),
        Difference::Values => format!("{what} differs in the candidate's answers"),
    }
}

fn subject(place: &Place) -> String {
    match place {
        Place::Status => "the status".to_owned(),
        Place::Header(name) => format!("the header `{}`", cut(name, NAME_MAX)),
        Place::Body(steps) => match steps.as_slice() {
            [] => "the body".to_owned(),
            [Step::Word(_)] => "the text of the body".to_owned(),
            steps => format!("the field `{}`", path(steps)),
        },
    }
}

/// `orders[].total`: names as they are, elements of arrays as `[]`.
fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&cut(name, NAME_MAX));
            }
            Step::Element | Step::Word(_) => path.push_str("[]"),
        }
    }
    cut(&path, PATH_MAX)
}

fn cut(name: &str, most: usize) -> String {
    let mut short: String = name.chars().take(most).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
