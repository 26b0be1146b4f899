//! `report.html`: one self-contained page, readable without scripts and without the network.
//!
//! Templates escape every value; only the style sheet, the script and the charts, all our own,
//! and sections that a template made pass unescaped. The content security policy allows that one
//! style sheet and that one script by their digests. The script adds sorting, filtering and
//! values under the pointer; nothing depends on it.

mod about;
mod cards;
mod fidelity;
mod first;
mod outcomes;
mod overview;
mod recording;
mod rounds;

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use super::{Report, words};
use crate::compare::{Status, Verdict};
use crate::text::printable;

pub(super) use overview::render as render_overview;

const CSS: &str = include_str!("../../../templates/report.css");
const SCRIPT: &str = include_str!("../../../templates/report.js");

#[derive(Template)]
#[template(path = "page.html")]
struct Page {
    head: Head,
    first: String,
    sections: Vec<Section>,
}

/// What is the same on every page of ours.
struct Head {
    title: String,
    version: String,
    css: &'static str,
    css_digest: String,
    script: &'static str,
    script_digest: String,
}

/// One part of the page with its place in the list of parts.
struct Section {
    id: &'static str,
    title: &'static str,
    html: String,
}

impl Head {
    fn new(title: String, version: &str) -> Self {
        Self {
            title,
            version: printable(version),
            css: CSS,
            css_digest: STANDARD.encode(Sha256::digest(CSS)),
            script: SCRIPT,
            script_digest: STANDARD.encode(Sha256::digest(SCRIPT)),
        }
    }
}

impl Section {
    /// A section, unless there is nothing to say in it.
    fn of(id: &'static str, title: &'static str, made: Option<impl Template>) -> Option<Self> {
        let html = written(&made?);
        Some(Self { id, title, html })
    }
}

fn written(template: &impl Template) -> String {
    template.render().expect("writing to memory")
}

/// The page.
pub(super) fn render(report: &Report) -> String {
    let word = words::verdict_word(report.comparison.verdict);
    let title = format!("{word}: {}", printable(&report.subject.title));
    let sections = [
        Section::of("endpoints", "Endpoints", Some(cards::section(report))),
        Section::of("rounds", "Rounds", rounds::section(report)),
        Section::of("outcomes", "Throughput", outcomes::section(report)),
        Section::of("answers", "Answers", outcomes::answers(report)),
        Section::of("resources", "Resources", rounds::resources(report)),
        Section::of("recording", "Recording", recording::section(report)),
        Section::of(
            "environment",
            "Environment",
            Some(about::environment(report)),
        ),
        Section::of("generator", "Generator", about::generator(report)),
        Section::of("fidelity", "Fidelity", fidelity::section(report)),
        Section::of("again", "Repeat", Some(about::again(report))),
        Section::of("method", "Method", Some(about::method())),
    ];
    let page = Page {
        head: Head::new(title, &report.subject.version),
        first: written(&first::screen(report)),
        sections: sections.into_iter().flatten().collect(),
    };
    written(&page) + "\n"
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The status that stands for a verdict.
pub(super) fn status_of(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Pass => Status::Pass,
        Verdict::Regressed => Status::Regressed,
        Verdict::Inconclusive => Status::Inconclusive,
        Verdict::Invalid => Status::Invalid,
    }
}

/// The class of the style sheet for a status.
fn kind_of(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass",
        Status::Regressed => "regressed",
        Status::Inconclusive => "inconclusive",
        Status::Invalid => "invalid",
        Status::NotJudged => "unjudged",
    }
}

#[cfg(test)]
mod tests;
