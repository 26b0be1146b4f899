//! What is looked at besides the load: settings, and the resources of both sides.

use anyhow::anyhow;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::{exit::Failure, say};
use crate::{
    run::Side,
    staging::{Local, Meter, Place},
};

/// What a comparison looks at besides the load.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Besides the load")]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ObserveSettings {
    /// Where CPU and memory of the baseline are read: pid:N (with all that descends from it),
    /// cgroup:PATH, or none [default: the processes of --baseline-cmd]
    #[arg(long, env = "PROOFLOAD_BASELINE_RESOURCES", value_name = "PLACE")]
    pub baseline_resources: Option<Place>,
    /// Where those of the candidate are read
    #[arg(long, env = "PROOFLOAD_CANDIDATE_RESOURCES", value_name = "PLACE")]
    pub candidate_resources: Option<Place>,
    /// So many requests of each endpoint (GET and HEAD only) are asked of both sides twice before
    /// the load, and what differs in the answers is named; 0 for none [default: 3]
    #[arg(long, env = "PROOFLOAD_BODIES", value_name = "N")]
    pub bodies: Option<u32>,
}

/// Where the resources of the baseline and the candidate are read.
#[derive(Debug, Default)]
pub(super) struct Resources([Given; 2]);

/// What was said of one side.
#[derive(Debug, Default)]
enum Given {
    /// Nothing: a local build is read all the same.
    #[default]
    Nothing,
    /// A place, or that there is none.
    Place(Option<Meter>),
}

impl Given {
    fn open(flag: &str, place: Option<&Place>) -> Result<Self, Failure> {
        let Some(place) = place else {
            return Ok(Self::Nothing);
        };
        let source = Meter::open(place);
        let source = source.map_err(|error| Failure::usage(anyhow!("{flag} {place}: {error}")))?;
        Ok(Self::Place(source))
    }
}

/// What is said of a comparison in which the resources of one side only are read.
pub(super) fn one_sided(sources: &[Option<Meter>; 2]) -> Option<String> {
    let (read, other) = match sources {
        [Some(_), None] => (Side::Baseline, Side::Candidate),
        [None, Some(_)] => (Side::Candidate, Side::Baseline),
        _ => return None,
    };
    Some(format!(
        "CPU and memory are read of the {} only and so not compared; add --{}-resources",
        read.name(),
        other.name()
    ))
}

impl Resources {
    /// Looks whether the places are there and can be read.
    ///
    /// # Errors
    /// When one is not or cannot, or both sides name the same.
    pub(super) fn of_sides(settings: &ObserveSettings) -> Result<Self, Failure> {
        let [baseline, candidate] = [
            settings.baseline_resources.as_ref(),
            settings.candidate_resources.as_ref(),
        ];
        let is_place = |place: &&Place| **place != Place::None;
        if let Some(place) = baseline.filter(is_place)
            && Some(place) == candidate
        {
            return Err(Failure::usage(anyhow!(
                "--baseline-resources and --candidate-resources both name {place}, so that neither \
                 side's share could be told; name a process or cgroup of its own for each"
            )));
        }
        Ok(Self([
            Given::open("--baseline-resources", baseline)?,
            Given::open("--candidate-resources", candidate)?,
        ]))
    }

    /// The same for a live side beside a stored one, in the place of the candidate as in its run.
    ///
    /// # Errors
    /// When the place is not there or cannot be read, or the stored side is given one.
    pub(super) fn beside_stored(settings: &ObserveSettings, live: Side) -> Result<Self, Failure> {
        let baseline = ("--baseline-resources", &settings.baseline_resources);
        let candidate = ("--candidate-resources", &settings.candidate_resources);
        let (own, stored) = match live {
            Side::Baseline => (baseline, candidate),
            Side::Candidate => (candidate, baseline),
        };
        if let (flag, Some(place)) = stored {
            return Err(Failure::usage(anyhow!(
                "{flag} {place}: a stored side is not measured again, and what it used stands in \
                 its run; leave the flag out"
            )));
        }
        let own = Given::open(own.0, own.1.as_ref())?;
        Ok(Self([Given::Nothing, own]))
    }

    /// The same for a run of one side, which is in the place of the candidate.
    ///
    /// # Errors
    /// When the place is not there or cannot be read.
    pub(super) fn of_target(place: Option<&Place>) -> Result<Self, Failure> {
        let target = Given::open("--target-resources", place)?;
        Ok(Self([Given::Nothing, target]))
    }

    /// What is read during the load: the places given, else the local builds that were started.
    /// A build that cannot be read is said and left out.
    pub(super) fn with_builds(&self, builds: [Option<&Local>; 2]) -> [Option<Meter>; 2] {
        let mut sources = [None, None];
        for ((source, given), build) in sources.iter_mut().zip(&self.0).zip(builds) {
            *source = match (given, build) {
                (Given::Place(place), _) => place.clone(),
                (Given::Nothing, None) => None,
                (Given::Nothing, Some(build)) => match Meter::of_build(build) {
                    Ok(source) => Some(source),
                    Err(error) => {
                        say(&format!(
                            "note: CPU and memory of a local build are not read: {error}"
                        ));
                        None
                    }
                },
            };
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> ObserveSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn both_sides_in_one_place_and_a_stored_one_in_any_are_refused() {
        let failed = |found: Result<Resources, Failure>| {
            let failure = found.unwrap_err();
            assert_eq!(failure.code, 2);
            failure.error.to_string()
        };
        let same = settings("baseline-resources = 'pid:7'\ncandidate-resources = 'pid:7'");
        let said = failed(Resources::of_sides(&same));
        assert!(said.contains("both name pid:7"), "{said}");
        let said = failed(Resources::beside_stored(&same, Side::Candidate));
        assert!(
            said.starts_with("--baseline-resources pid:7: a stored side"),
            "{said}"
        );
        let none = settings("baseline-resources = 'none'\ncandidate-resources = 'none'");
        assert!(Resources::of_sides(&none).is_ok());
        assert!(Resources::of_sides(&settings("bodies = 0")).is_ok());
    }

    #[test]
    fn one_side_alone_is_not_compared() {
        let mut other = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let place = Place::Pid(other.id());
        let of = |place: &Place| Meter::open(place).unwrap();
        let said = one_sided(&[None, of(&place)]).unwrap();
        assert!(said.contains("of the candidate only") && said.ends_with("--baseline-resources"));
        assert_eq!(one_sided(&[of(&place), of(&place)]), None);
        assert_eq!(one_sided(&[of(&Place::None), None]), None);
        drop(other.stdin.take());
        other.wait().unwrap();
    }
}
