//! `proofload report`: renders again from stored files, and one page over many comparisons.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::Args;

use super::{
    again::{Again, again},
    exit::{self, Failure},
    input::{check_stored, endpoints},
    replace::{Ours, check_place},
    say,
};
use crate::{
    report::{Entry, Format, Kind, Overview, Report, Style, hlog, read_json, render},
    run::Run,
    store::{Readers, write_atomic},
    text::printable,
};

/// Flags of `proofload report`.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// What a comparison wrote: its directory, its report.json, or a run file, which is judged
    /// again. Several make one page over all of them; what holds no report is left out of it
    #[arg(value_name = "DIR|RUN", required = true)]
    paths: Vec<PathBuf>,
    /// How it is rendered: text, json, markdown, html; of one comparison also junit, comment, csv,
    /// metrics, bmf, gab, gab-bigger, and hlog from its run file
    #[arg(long, value_name = "KIND", default_value = "text")]
    format: Kind,
    /// Where it goes; an earlier report of proofload's is replaced [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replaces FILE whatever it holds
    #[arg(long, requires = "output")]
    force: bool,
}

impl ReportArgs {
    /// Reads, renders, writes.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        if let Some(output) = &self.output {
            check_output(output, self.force).map_err(Failure::usage)?;
        }
        let text = match self.paths.as_slice() {
            [one] => self.one(one),
            many => self.many(many),
        };
        let text = text?;
        let Some(output) = &self.output else {
            let shown = super::print(&text);
            return Ok(if shown { exit::PASS } else { exit::STORAGE });
        };
        let written = write_atomic(output, text.as_bytes(), Readers::Everyone);
        written.map_err(Failure::storage)?;
        say(&format!("report: {}", output.display()));
        Ok(exit::PASS)
    }

    /// Colour is for a terminal, never for a file.
    fn style(&self) -> Style {
        match self.output {
            Some(_) => Style::default(),
            None => super::style(),
        }
    }

    fn one(&self, path: &Path) -> Result<String, Failure> {
        let shown = path.display();
        let Kind::Report(format) = self.format else {
            let (_, run) = files(path);
            let read = read_run(&run).map_err(Failure::usage)?;
            check_stored(&printable(&run.display().to_string()), endpoints(&read))?;
            return Ok(hlog(&read));
        };
        let cause = match found(path)? {
            Found::Comparison(report) => return Ok(render(&report, format, self.style())),
            Found::Run(report) => match format {
                Format::Text => return Ok(report.text(self.style())),
                Format::Json => return Ok(report.json()),
                _ => "is a run of one side; render it with --format text or json",
            },
            Found::Nothing => {
                "holds no report; give a directory that `compare` wrote, a report.json or a run \
                 file"
            }
        };
        Err(Failure::usage(anyhow!("{shown} {cause}")))
    }

    fn many(&self, paths: &[PathBuf]) -> Result<String, Failure> {
        let mut entries = Vec::new();
        for path in paths {
            let shown = path.display();
            match found(path)? {
                Found::Comparison(report) => entries.push(Entry {
                    path: shown.to_string(),
                    href: self.link(path),
                    report: *report,
                }),
                Found::Run(_) => say(&format!("left out: {shown} is a run of one side")),
                Found::Nothing => say(&format!("left out: {shown} holds no report")),
            }
        }
        if entries.is_empty() {
            let paths = paths.len();
            return Err(Failure::usage(anyhow!(
                "none of {paths} holds a comparison"
            )));
        }
        let overview = Overview::new(entries);
        let text = match self.format {
            Kind::Report(format) => overview.render(format, self.style()),
            Kind::Histograms => Err(self.format.row().name),
        };
        text.map_err(|name| {
            let cause = anyhow!("--format {name} is for one comparison; give one directory");
            Failure::usage(cause)
        })
    }

    /// The way from the page over all to the page of one.
    fn link(&self, path: &Path) -> Option<String> {
        let own = if path.is_dir() {
            path.join("report.html")
        } else {
            path.with_file_name("report.html")
        };
        let own = own.canonicalize().ok()?;
        let from = match &self.output {
            Some(output) => std::path::absolute(output)
                .ok()?
                .parent()?
                .canonicalize()
                .ok()?,
            None => std::env::current_dir().ok()?,
        };
        Some(relative(&from, &own))
    }
}

/// What lies at a path.
enum Found {
    Comparison(Box<Report>),
    Run(Box<crate::report::RunReport>),
    Nothing,
}

/// Where the report and the run are.
fn files(path: &Path) -> (PathBuf, PathBuf) {
    if path.is_dir() {
        (path.join("report.json"), path.join("run.jsonl"))
    } else {
        (path.to_owned(), path.to_owned())
    }
}

fn read_run(path: &Path) -> anyhow::Result<Run> {
    let shown = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let run = Run::read(BufReader::new(file)).with_context(|| shown.clone())?;
    // The damaged end of a killed run is left out, as when it is resumed.
    if let Some(damage) = &run.damage {
        say(&format!(
            "note: {shown}: {damage}; what comes before it is used"
        ));
    }
    Ok(run)
}

/// What lies there, unless its endpoints hold what looks like secrets.
fn found(path: &Path) -> Result<Found, Failure> {
    let found = read(path).map_err(Failure::usage)?;
    let shown = printable(&path.display().to_string());
    match &found {
        Found::Comparison(report) => check_stored(&shown, named(report))?,
        Found::Run(report) => {
            let measured = report.totals.endpoints.iter().map(|it| &it.endpoint);
            check_stored(&shown, measured.chain(report.workload.recorded.keys()))?;
        }
        Found::Nothing => {}
    }
    Ok(found)
}

/// Every endpoint that a report names, some more than once.
fn named(report: &Report) -> impl Iterator<Item = &String> {
    let totals = &report.totals;
    let measured = totals.endpoints.iter().map(|it| &it.endpoint);
    let replayed = totals.fidelity.iter().flat_map(|side| &side.mix);
    let judged = report.comparison.changes.iter().map(|it| &it.endpoint);
    let recorded = report.subject.workload.recorded.keys();
    let mixed = replayed.map(|it| &it.endpoint);
    measured.chain(mixed).chain(judged).chain(recorded)
}

fn read(path: &Path) -> anyhow::Result<Found> {
    let (report, run) = files(path);
    let facts = std::fs::metadata(path);
    facts.with_context(|| format!("cannot read {}", path.display()))?;
    if begins_with(&report, b"\"proofload.report.") {
        let shown = report.display();
        let text = std::fs::read_to_string(&report).with_context(|| format!("cannot read {shown}"));
        let read = read_json(&text?).map_err(|error| anyhow!("{shown}: {error}"))?;
        return Ok(Found::Comparison(Box::new(read)));
    }
    if begins_with(&run, b"\"proofload_run\"") {
        let shown = run.display().to_string();
        let read = read_run(&run)?;
        return Ok(match again(&read, &shown).with_context(|| shown.clone())? {
            Again::Compared(report) => Found::Comparison(report),
            Again::Measured(report) => Found::Run(report),
        });
    }
    Ok(Found::Nothing)
}

/// Whether a mark stands in the first bytes of a file.
fn begins_with(path: &Path, mark: &[u8]) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut head));
    read.is_ok() && head.windows(mark.len()).any(|window| window == mark)
}

/// Whether the file may be written: the place is free, or holds a report of ours.
fn check_output(path: &Path, force: bool) -> anyhow::Result<()> {
    let reports = Ours {
        name: "report of proofload's",
        begins: "",
        holds: &[
            "name=\"generator\" content=\"proofload ",
            "\"proofload.report.v",
            "\"proofload.overview.v",
            "\"proofload.run_report.v",
        ],
        or_device: false,
    };
    let place = check_place(path, reports, Some(force));
    place.with_context(|| format!("-o {}", path.display()))
}

/// The way from a directory to a file as a link, each byte that could mean something else
/// percent-encoded. Both are absolute and without links.
fn relative(from: &Path, to: &Path) -> String {
    let parts = |path: &Path| -> Vec<Vec<u8>> {
        let normal = path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(name.as_encoded_bytes().to_vec()),
            _ => None,
        });
        normal.collect()
    };
    let (from, to) = (parts(from), parts(to));
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..].iter().map(|name| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        let each = name.iter().map(|byte| {
            if plain(byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        });
        each.collect::<String>()
    });
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_and_cannot_be_read_as_anything_else() {
        for (from, to, link) in [
            ("/a/b", "/a/b/c/report.html", "c/report.html"),
            ("/a/b", "/a/x/report.html", "../x/report.html"),
            ("/a", "/a/javascript:x/r.html", "javascript%3Ax/r.html"),
            ("/a", "/a/\"><b>/r ü.html", "%22%3E%3Cb%3E/r%20%C3%BC.html"),
        ] {
            assert_eq!(relative(Path::new(from), Path::new(to)), link);
        }
    }

    #[test]
    fn only_a_report_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.html");
        let may = |force| check_output(&path, force).map_err(|error| format!("{error:#}"));
        assert_eq!(may(false), Ok(()));
        std::fs::write(&path, "").unwrap();
        assert_eq!(may(false), Ok(()));
        std::fs::write(
            &path,
            "<meta name=\"generator\" content=\"proofload 0.1.0\">",
        )
        .unwrap();
        assert_eq!(may(false), Ok(()));
        std::fs::write(&path, "my thesis").unwrap();
        assert!(may(false).unwrap_err().contains("no report"));
        assert_eq!(may(true), Ok(()));
    }
}
