//! Where the reports of a comparison go: the output directory, stdout, and each `--report`.
//! Checked before the load; whatever stands in the place of a report must be one.

use std::{fs::File, io::BufReader, path::PathBuf, str::FromStr};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{
    StdoutFormat,
    ci::{CiFlag, Github},
    exit::Failure,
    replace::{Ours, check_place},
    style,
};
use crate::{
    report::{Format, Kind, Report, Style, hlog, render},
    run::Run,
    store::{OutDir, Readers, write_atomic},
    units::Span,
};

/// How long a verdict may be relied on, unless told otherwise.
const VALID_FOR: Span = Span::from_secs(24 * 3600);

/// Flags that say what becomes of a result.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reports")]
pub(super) struct OutputFlags {
    /// Writes one report more: KIND=PATH, with `-` for stdout; may be repeated. Kinds: html, json,
    /// junit, md, comment, csv, metrics, bmf, gab, gab-bigger, text, hlog
    #[arg(long, value_name = "KIND=PATH")]
    report: Vec<Asked>,
    #[command(flatten)]
    pub ci: CiFlag,
    /// How long the verdict may be relied on, as verdict.json says
    #[arg(long, env = "PROOFLOAD_VALID_FOR", value_name = "TIME", default_value_t = VALID_FOR)]
    valid_for: Span,
}

/// One `--report`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    kind: Kind,
    /// `None` for stdout.
    path: Option<PathBuf>,
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, path) = text
            .split_once('=')
            .filter(|(_, path)| !path.is_empty())
            .ok_or("write KIND=PATH, such as junit=build/perf.xml, or KIND=- for stdout")?;
        Ok(Self {
            kind: kind.parse()?,
            path: Some(PathBuf::from(path)).filter(|_| path != "-"),
        })
    }
}

/// Where reports go, checked.
#[derive(Debug, Clone)]
pub(super) struct Outputs {
    stdout: Kind,
    files: Vec<(Kind, PathBuf)>,
    github: Option<Github>,
    valid_for: Span,
}

impl OutputFlags {
    /// Checks where everything goes; `format` is what was said of stdout, if anything was.
    ///
    /// # Errors
    /// When a place cannot be written, holds something else, or is named twice (usage).
    pub(super) fn check(
        &self,
        out_dir: &OutDir,
        format: Option<StdoutFormat>,
    ) -> Result<Outputs, Failure> {
        self.checked(out_dir, format).map_err(Failure::usage)
    }

    fn checked(&self, out_dir: &OutDir, format: Option<StdoutFormat>) -> anyhow::Result<Outputs> {
        let mut outputs = Outputs {
            github: Github::found(self.ci.ci),
            valid_for: self.valid_for,
            ..Outputs::plain(format.unwrap_or(StdoutFormat::Text))
        };
        let mut claimed = format.map(|_| "--format".to_owned());
        for Asked { kind, path } in &self.report {
            let Some(path) = path else {
                let own = format!("--report {kind}=-");
                if let Some(other) = claimed {
                    bail!("{other} and {own} both want stdout; give one of them a file");
                }
                (outputs.stdout, claimed) = (*kind, Some(own));
                continue;
            };
            let flag = || format!("--report {kind}={}", path.display());
            if out_dir.has(path) {
                bail!(
                    "{}: --out-dir has its own file there; name another one",
                    flag()
                );
            }
            if outputs.files.iter().any(|(_, other)| other == path) {
                bail!("{}: another --report goes there", flag());
            }
            let marks = [kind.row().mark];
            let ours = Ours {
                name: "report of that kind",
                begins: "",
                holds: &marks,
                or_device: false,
            };
            check_place(path, ours, None).with_context(flag)?;
            outputs.files.push((*kind, path.clone()));
        }
        Ok(outputs)
    }
}

impl Outputs {
    /// The output directory and stdout only.
    pub(super) fn plain(format: StdoutFormat) -> Self {
        let format = match format {
            StdoutFormat::Text => Format::Text,
            StdoutFormat::Json => Format::Json,
            StdoutFormat::Markdown => Format::Markdown,
        };
        Self {
            stdout: Kind::Report(format),
            files: Vec::new(),
            github: None,
            valid_for: VALID_FOR,
        }
    }

    /// How long the verdict may be relied on.
    pub(super) fn valid_for(&self) -> Span {
        self.valid_for
    }

    /// Writes each `--report`; returns what could not be written.
    pub(super) fn write_files(&self, report: &Report, out_dir: &OutDir) -> Vec<anyhow::Error> {
        let write = |(kind, path): &(Kind, PathBuf)| {
            let text = made(*kind, report, out_dir, Style::default())?;
            Ok(write_atomic(path, text.as_bytes(), Readers::Everyone)?)
        };
        let tried = self.files.iter().map(write);
        tried.filter_map(Result::err).collect()
    }

    /// What goes to stdout.
    ///
    /// # Errors
    /// When it is made from the run file and that cannot be read.
    pub(super) fn shown(&self, report: &Report, out_dir: &OutDir) -> anyhow::Result<String> {
        made(self.stdout, report, out_dir, style())
    }

    /// Tells the CI service, if there is one.
    pub(super) fn tell(&self, report: &Report, out_dir: &OutDir) {
        if let Some(github) = &self.github {
            github.tell(report, out_dir.path());
        }
    }
}

fn made(kind: Kind, report: &Report, out_dir: &OutDir, style: Style) -> anyhow::Result<String> {
    match kind {
        Kind::Report(format) => Ok(render(report, format, style)),
        Kind::Histograms => {
            let path = out_dir.file("run.jsonl");
            let read = || -> anyhow::Result<Run> {
                let run = Run::read(BufReader::new(File::open(&path)?))?;
                run.damage.clone().map_or(Ok(run), |it| Err(anyhow!(it)))
            };
            let run = read().with_context(|| format!("{kind}: {}", path.display()))?;
            Ok(hlog(&run))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::ci::CiMode, report::KINDS};

    fn flags(reports: &[&str]) -> Result<OutputFlags, String> {
        let report = reports.iter().map(|text| text.parse());
        Ok(OutputFlags {
            report: report.collect::<Result<_, _>>()?,
            ci: CiFlag { ci: CiMode::None },
            valid_for: VALID_FOR,
        })
    }

    #[test]
    fn a_report_is_a_kind_and_a_path() {
        let asked: Asked = "bmf=a=b.json".parse().unwrap();
        assert_eq!(asked.path, Some(PathBuf::from("a=b.json")));
        assert_eq!("csv=-".parse::<Asked>().unwrap().path, None);
        for text in ["", "csv", "csv=", "=x", "pdf=x", "CSV=x"] {
            assert!(text.parse::<Asked>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_kind() {
        let command = OutputFlags::augment_args(clap::Command::new("x"));
        let help = command.get_arguments().find(|it| it.get_id() == "report");
        let help = help.and_then(clap::Arg::get_help).unwrap().to_string();
        let listed = help.split_once("Kinds: ").unwrap().1.split(", ");
        let names = KINDS.iter().map(|row| row.name);
        assert!(listed.eq(names), "{help}");
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_the_load() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let out = OutDir::check(&dir.path().join("out")).unwrap();
        std::fs::write(dir.path().join("thesis.csv"), "mine").unwrap();
        std::fs::write(dir.path().join("old.csv"), "\"endpoint\",\"metric\"\n").unwrap();
        std::fs::write(dir.path().join("empty.csv"), "").unwrap();
        std::os::unix::fs::symlink("old.csv", dir.path().join("link.csv")).unwrap();
        let failed = |reports: &[String], format| {
            let reports: Vec<&str> = reports.iter().map(String::as_str).collect();
            let found = flags(&reports).unwrap().check(&out, format);
            found.map_or_else(|it| format!("{:#}", it.error), |_| String::new())
        };
        let one = |kind: &str, name: &str| failed(&[format!("{kind}={}", path(name))], None);
        for (kind, name, said) in [
            ("csv", "old.csv", ""),
            ("csv", "empty.csv", ""),
            ("csv", "new.csv", ""),
            ("csv", "out/more.csv", ""),
            ("csv", "thesis.csv", "is no report of that kind"),
            ("junit", "old.csv", "is no report of that kind"),
            ("csv", "link.csv", "symbolic link"),
            ("csv", "out", "directory"),
            ("csv", "none/new.csv", "no such directory"),
            ("csv", "out/changes.csv", "--out-dir has its own"),
            ("csv", "out/verdict.json", "--out-dir has its own"),
        ] {
            let found = one(kind, name);
            assert!(
                found.contains(said) && found.is_empty() == said.is_empty(),
                "{name}: {found}"
            );
        }
        assert!(failed(&["csv=/dev/null".to_owned()], None).contains("no regular file"));
        let twice = [format!("csv={}", path("a")), format!("gab={}", path("a"))];
        assert!(failed(&twice, None).contains("another --report"));
        let both = ["csv=-".to_owned(), "gab=-".to_owned()];
        assert!(failed(&both, None).contains("--report csv=- and --report gab=- both"));
        let json = Some(StdoutFormat::Json);
        assert!(failed(&both[..1], json).contains("--format and --report csv=- both"));
        assert_eq!(failed(&both[..1], None), "");
    }
}
