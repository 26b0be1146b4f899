//! `proofload import`: recordings of other tools made into workloads.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::{
    exit::{self, Failure},
    print,
    replace::{WORKLOAD, check_place},
    say,
    settings::FileSettings,
};
use crate::{
    store::{Readers, write_with},
    units::Size,
    workload::{
        Account,
        import::{
            ImportError, ImportOptions, Imported,
            gor::import_gor,
            har::import_har,
            log::{LogFormat, LogOptions, import_log},
            openapi::import_openapi,
            table::import_csv,
            vegeta::{BodyFault, import_vegeta},
        },
        is_compressed, write_each,
    },
};

/// The largest body file of a vegeta target.
const LARGEST_BODY: u64 = 8 << 20;

/// The formats that can be imported. `.gz` and `.zst` are recognised; - is stdin.
#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// A HAR file, as browsers and proxies export it
    Har(OneArgs),
    /// Recordings of GoReplay; several files are put in order of time
    Gor(ManyArgs),
    /// Access logs: nginx, Apache, HAProxy, Caddy, Envoy, AWS load balancers, JSON lines; several
    /// files are put in order of time
    Log(LogArgs),
    /// Targets of vegeta, in its HTTP format or as JSON
    Vegeta(VegetaArgs),
    /// A table whose first row names the columns
    Csv(CsvArgs),
    /// A description in OpenAPI 3 or Swagger 2, JSON or YAML: one request for each operation
    Openapi(OneArgs),
}

/// Flags of every import.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// The workload: .jsonl, or .jsonl.zst for a compressed one
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replaces the file at -o whatever it holds
    #[arg(long)]
    force: bool,
    /// Keeps requests to this host, as NAME or NAME:PORT; may be repeated [default: the host with
    /// the most requests]
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Accepts a file in which more than a fifth of the entries is damaged
    #[arg(long)]
    lenient: bool,
    /// Settings file with the rules of [redact] [default: proofload.toml here or above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Refuses input that holds more than this, counted after decompression
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    max_input: Size,
}

/// Flags of an import of one file.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// The file; - is stdin
    file: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
}

/// Flags of an import of several files.
#[derive(Debug, Args)]
pub(super) struct ManyArgs {
    /// The files; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Flags of `proofload import log`.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    #[command(flatten)]
    many: ManyArgs,
    /// The format: auto, combined, common, vhost, alb, envoy, haproxy, caddy, traefik, gcp,
    /// envoy-json, nginx-json
    #[arg(long, value_name = "NAME", default_value = "auto", group = "kind")]
    format: LogFormat,
    /// The `log_format` of nginx, alone or as the whole statement
    #[arg(long, value_name = "STRING", group = "kind")]
    nginx_format: Option<String>,
    /// The `LogFormat` of Apache, alone or as the whole statement
    #[arg(long, value_name = "STRING", group = "kind")]
    apache_format: Option<String>,
    /// Which key of a JSON line means what, such as time=ts,method=req.method,path=req.path
    #[arg(long, value_name = "MAP", group = "kind")]
    json_map: Option<String>,
    /// Keeps requests with this method; may be repeated, all keeps every one [default: GET and
    /// HEAD, since logs have no bodies]
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    #[command(flatten)]
    seed: SeedArgs,
}

/// The seed of instants that a recording does not hold.
#[derive(Debug, Args)]
pub(super) struct SeedArgs {
    /// Decides where in their second requests are put whose stamps are of whole seconds
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Flags of `proofload import vegeta`.
#[derive(Debug, Args)]
pub(super) struct VegetaArgs {
    #[command(flatten)]
    one: OneArgs,
    /// The folder of body files, which may not lie outside it [default: the folder of FILE]
    #[arg(long, value_name = "DIR")]
    bodies: Option<PathBuf>,
}

/// Flags of `proofload import csv`.
#[derive(Debug, Args)]
pub(super) struct CsvArgs {
    #[command(flatten)]
    one: OneArgs,
    #[command(flatten)]
    seed: SeedArgs,
}

impl ImportCommand {
    /// Reads, redacts, writes, and says what became of each entry.
    pub(super) fn exec(self) -> Result<u8, Failure> {
        match self {
            Self::Har(args) => args.import(import_har),
            Self::Openapi(args) => args.import(import_openapi),
            Self::Gor(args) => args.import(import_gor),
            Self::Log(args) => {
                let log = LogOptions {
                    format: args.kind(),
                    methods: args.method,
                    seed: args.seed.seed,
                };
                args.many
                    .import(|files, options| import_log(files, &log, options))
            }
            Self::Csv(CsvArgs { one, seed }) => {
                one.import(|file, options| import_csv(file, seed.seed, options))
            }
            Self::Vegeta(args) => args.import(),
        }
    }
}

type Input = Box<dyn Read>;

impl CommonArgs {
    fn options(&self) -> Result<ImportOptions, Failure> {
        let file = FileSettings::find(self.config.as_deref()).map_err(Failure::usage)?;
        Ok(ImportOptions {
            hosts: self.host.clone(),
            lenient: self.lenient,
            max_input: self.max_input.bytes(),
            rules: file.redact.rules().map_err(Failure::usage)?,
            ..ImportOptions::default()
        })
    }

    /// Writes what was imported from `name`.
    fn finish(&self, name: &str, imported: Result<Imported, ImportError>) -> Result<u8, Failure> {
        let imported = imported.with_context(|| format!("cannot import {name}"));
        write(&self.output, imported.map_err(Failure::usage)?)
    }
}

impl OneArgs {
    fn import(
        self,
        import: impl FnOnce(Input, &ImportOptions) -> Result<Imported, ImportError>,
    ) -> Result<u8, Failure> {
        check_output(&self.common.output, self.common.force).map_err(Failure::usage)?;
        let file = open(&self.file).map_err(Failure::usage)?;
        let imported = import(file, &self.common.options()?);
        self.common.finish(&shown(&self.file), imported)
    }
}

impl ManyArgs {
    fn import(
        self,
        import: impl FnOnce(Vec<Input>, &ImportOptions) -> Result<Imported, ImportError>,
    ) -> Result<u8, Failure> {
        check_output(&self.common.output, self.common.force).map_err(Failure::usage)?;
        let stdin = self.files.iter().filter(|file| **file == Path::new("-"));
        if stdin.count() > 1 {
            return Err(Failure::usage(anyhow!(
                "stdin (-) can be read once; name it once"
            )));
        }
        let files = self.files.iter().map(|file| open(file));
        let files: anyhow::Result<Vec<Input>> = files.collect();
        let imported = import(files.map_err(Failure::usage)?, &self.common.options()?);
        let name = match &self.files[..] {
            [one] => shown(one),
            all => format!("{} and {} more", shown(&all[0]), all.len() - 1),
        };
        self.common.finish(&name, imported)
    }
}

impl LogArgs {
    fn kind(&self) -> LogFormat {
        let given = [
            self.nginx_format.clone().map(LogFormat::Nginx),
            self.apache_format.clone().map(LogFormat::Apache),
            self.json_map.clone().map(LogFormat::Json),
        ];
        let mut given = given.into_iter().flatten();
        given.next().unwrap_or_else(|| self.format.clone())
    }
}

impl VegetaArgs {
    fn import(self) -> Result<u8, Failure> {
        let of_file = self.one.file.parent().unwrap_or(Path::new(""));
        let folder = self.bodies.as_deref().unwrap_or(of_file);
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let folder = folder
            .canonicalize()
            .with_context(|| format!("cannot read the folder {}", shown(folder)));
        let folder = folder.map_err(Failure::usage)?;
        let mut bodies = |name: &str| body(&folder, name);
        self.one
            .import(|file, options| import_vegeta(file, &mut bodies, options))
    }
}

/// A body file inside the folder, followed through links before that is judged.
fn body(folder: &Path, name: &str) -> Result<Vec<u8>, BodyFault> {
    let path = folder.join(name).canonicalize();
    let path = path.map_err(|_| BodyFault::Unreadable)?;
    if !path.starts_with(folder) {
        return Err(BodyFault::Outside);
    }
    if !path.is_file() {
        return Err(BodyFault::Unreadable);
    }
    let mut body = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_BODY + 1).read_to_end(&mut body))
        .map_err(|_| BodyFault::Unreadable)?;
    if body.len() as u64 > LARGEST_BODY {
        return Err(BodyFault::TooLarge);
    }
    Ok(body)
}

/// Refuses a name that no workload has, and the place of anything else.
///
/// # Errors
/// When it ends otherwise, or a file is there that is no workload, unless by `force`.
pub(super) fn check_output(path: &Path, force: bool) -> anyhow::Result<()> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let plain = name.strip_suffix(".zst").unwrap_or(name);
    if Path::new(plain)
        .extension()
        .is_none_or(|ending| ending != "jsonl")
    {
        return Err(anyhow!(
            "-o {}: a workload ends in .jsonl or .jsonl.zst",
            path.display()
        ));
    }
    let place = check_place(path, WORKLOAD, Some(force));
    place.with_context(|| format!("-o {}", path.display()))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn open(path: &Path) -> anyhow::Result<Input> {
    if path == Path::new("-") {
        if io::stdin().is_terminal() {
            return Err(anyhow!(
                "stdin is a terminal; pipe a recording into it, or name a file"
            ));
        }
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = if path.is_dir() {
        Err(io::Error::other("it is a directory; name a file"))
    } else {
        File::open(path)
    };
    let file = file.with_context(|| format!("cannot read {}", shown(path)));
    Ok(Box::new(file?))
}

/// Writes the workload, readable only for its owner, and prints the account.
fn write(path: &Path, imported: Imported) -> Result<u8, Failure> {
    let compressed = is_compressed(path);
    let Imported {
        requests,
        origin,
        summary,
    } = imported;
    let account = Account {
        origin,
        cut: None,
        left_out: summary.left_out(),
    };
    let written = write_with(path, Readers::Owner, |file| {
        let requests = || requests.one_by_one();
        write_each(file, compressed, account, requests).map_err(io::Error::other)?;
        Ok(())
    });
    written.map_err(Failure::storage)?;
    print(&summary.to_string());
    say(&format!("workload: {}", path.display()));
    Ok(exit::PASS)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn body_files_stay_in_their_folder() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("targets");
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        fs::write(folder.join("a"), "a").unwrap();
        fs::write(folder.join("sub/b"), "b").unwrap();
        fs::write(folder.join("big"), vec![0; 8 * 1024 * 1024 + 1]).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret"), folder.join("link")).unwrap();
        let folder = folder.canonicalize().unwrap();
        let secret = outside.path().join("secret").display().to_string();
        for (name, expected) in [
            ("a", Ok(b"a".to_vec())),
            ("./sub/../sub/b", Ok(b"b".to_vec())),
            ("../secret", Err(BodyFault::Outside)),
            ("link", Err(BodyFault::Outside)),
            (secret.as_str(), Err(BodyFault::Outside)),
            ("/etc/passwd", Err(BodyFault::Outside)),
            ("gone", Err(BodyFault::Unreadable)),
            ("sub", Err(BodyFault::Unreadable)),
            ("big", Err(BodyFault::TooLarge)),
        ] {
            assert_eq!(body(&folder, name), expected, "{name}");
        }
    }
}
