//! `proofload inspect`: what a workload holds.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::{
    exit::{self, Failure},
    print,
    replace::{PICTURE, check_place},
    say,
    settings::FileSettings,
};
use crate::{
    clock::wall_ns,
    report::{RateOverTime, rate_svg},
    store::{Readers, write_atomic},
    text::printable,
    workload::{Origin, Workload, inspect::inspect, rules::ReplaySettings},
};

/// Flags of `proofload inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The workload
    file: PathBuf,
    /// Draws the rate over the time into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Replaces the file at --svg whatever it holds
    #[arg(long, requires = "svg")]
    force: bool,
    /// Prints the rules that would carry values of answers over to later requests, ready for
    /// proofload.toml, in place of the picture
    #[arg(long)]
    suggest: bool,
    /// Settings file, for the endpoints of [replay] [default: proofload.toml here or above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl InspectArgs {
    /// Reads the workload once and prints what is in it.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        if let Some(svg) = &self.svg {
            let place = check_place(svg, PICTURE, Some(self.force));
            let place = place.with_context(|| format!("--svg {}", svg.display()));
            place.map_err(Failure::usage)?;
        }
        let file = FileSettings::find(self.config.as_deref()).map_err(Failure::usage)?;
        let workload = Workload::open(&self.file).map_err(Failure::usage)?;
        if self.suggest {
            return Ok(suggest(&workload));
        }
        let labels = ReplaySettings {
            endpoints: file.replay.endpoints,
            rule: Vec::new(),
        };
        let workload = workload.under(&labels, true).map_err(Failure::usage)?;
        let found = inspect(&workload, wall_ns()).map_err(Failure::usage)?;
        print(&found.to_string());
        if let Some(path) = &self.svg {
            let picture = rate_svg(RateOverTime {
                name: &found.name,
                counts: &found.buckets,
                part_ns: found.bucket_ns,
            });
            let written = write_atomic(path, picture.as_bytes(), Readers::Everyone);
            written.map_err(Failure::storage)?;
            say(&format!("picture: {}", path.display()));
        }
        Ok(exit::PASS)
    }
}

/// Prints what was found when the workload was made; it has no answers any more.
fn suggest(workload: &Workload) -> u8 {
    let origin = &workload.summary().origin;
    let suggestions = &origin.suggestions;
    if suggestions.is_empty() {
        say(&none_found(origin));
    }
    let mut text = String::new();
    for suggestion in suggestions {
        for line in suggestion.to_string().lines() {
            text.push_str(&printable(line));
            text.push('\n');
        }
        text.push('\n');
    }
    if print(&text) {
        exit::PASS
    } else {
        exit::STORAGE
    }
}

/// Why there are no suggestions.
fn none_found(origin: &Origin) -> String {
    if origin.had_answers() {
        return "no value of an answer was seen in a later request when the workload was made"
            .to_owned();
    }
    let source = match origin.source.as_str() {
        "" => "a workload written by hand".to_owned(),
        source => printable(source),
    };
    format!(
        "this source keeps no answers ({source}), so nobody could look for their values in later \
         requests; make the workload with proofload record, or from a HAR"
    )
}
