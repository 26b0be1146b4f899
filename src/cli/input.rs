//! What the commands share: flags that say what is sent to whom, made into checked values.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{
    exit::Failure,
    filter::FilterArgs,
    say,
    settings::{Cookies, FileSettings, LoadSettings, Process},
    trust::TlsFlags,
};
use crate::{
    replay::{Arrivals, Limits, mean_rate},
    run::Run,
    staging::{Pin, check_host, check_pins, resolve},
    units::{SECOND_NS, Span, Speed},
    workload::{
        Address, Header, Target, Workload, parse_request,
        redact::{looks_secret, masked},
    },
};

/// Descriptors for files, timers and the preflight.
const DESCRIPTORS_RESERVED: u64 = 64;
/// Requests in flight per side, unless told otherwise.
const IN_FLIGHT: usize = 10_000;
/// Clients of a closed loop, unless told otherwise.
const CLIENTS: usize = 50;
/// HTTP/2 connections per side, unless told otherwise: a handful, as a few clients would open.
const HTTP2_CONNECTIONS: usize = 8;
/// Requests at once on one of them, unless the server wants fewer.
const HTTP2_STREAMS: usize = 100;
/// More than this many requests a second and side is a mistake.
const RATE_MAX: f64 = 1e6;

/// What is sent.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(super) struct Source {
    /// The workload: a .jsonl or .jsonl.zst file
    #[arg(short, long, value_name = "FILE", conflicts_with = "request")]
    pub workload: Option<PathBuf>,
    /// A request that stands in for a workload, such as 'GET /path'; may be repeated
    #[arg(long, value_name = "REQUEST")]
    pub request: Vec<String>,
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// What may be loaded, and how it is spoken to.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Safety")]
pub(super) struct Safety {
    /// Allows a host besides loopback; may be repeated, or separated by ,
    #[arg(
        long,
        env = "PROOFLOAD_ALLOW_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub allow_host: Vec<String>,
    /// Sends requests that may change something (POST, PUT, PATCH, DELETE, …)
    #[arg(long)]
    pub allow_writes: bool,
    /// Address of a host, in place of the name service: HOST:PORT:ADDR; may be repeated
    #[arg(long, value_name = "PIN")]
    pub resolve: Vec<Pin>,
    /// Settings file [default: proofload.toml here or above]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub tls: TlsFlags,
}

impl Safety {
    /// The settings file.
    ///
    /// # Errors
    /// When it is there and cannot be used.
    pub(super) fn file(&self) -> Result<FileSettings, Failure> {
        FileSettings::find(self.config.as_deref()).map_err(Failure::usage)
    }

    /// Refuses methods with side effects, unless they were allowed.
    ///
    /// # Errors
    /// When the workload holds any and they were not allowed.
    pub(super) fn check_methods(&self, workload: &Workload) -> Result<(), Failure> {
        let unsafe_methods = workload.summary().unsafe_methods();
        if self.allow_writes || unsafe_methods.is_empty() {
            return Ok(());
        }
        let counts: Vec<_> = unsafe_methods
            .iter()
            .map(|(method, n)| format!("{n} × {method}"))
            .collect();
        Err(Failure::refused(anyhow!(
            "the workload holds requests that may change something ({}); add --allow-writes if \
             the target may be written to",
            counts.join(", ")
        )))
    }

    /// A target whose host may be loaded by its name; nothing is looked up.
    ///
    /// # Errors
    /// When the URL is wrong (usage) or the host is not allowed (refused).
    pub(super) fn target(
        &self,
        url: &str,
        headers: Vec<Header>,
        file: &FileSettings,
    ) -> Result<Target, Failure> {
        let mut target = Target::parse(url).map_err(Failure::usage)?;
        target.headers = headers;
        let allowed: Vec<String> = self
            .allow_host
            .iter()
            .chain(&file.targets.allow)
            .cloned()
            .collect();
        check_host(&target, &allowed).map_err(Failure::refused)?;
        Ok(target)
    }
}

/// Looks targets up, unless they are pinned.
///
/// # Errors
/// When a name leads where it may not (refused) or nowhere (invalid), or a pin is for none of
/// them (usage).
pub(super) fn addresses(targets: &[Target], pins: &[Pin]) -> Result<Vec<Vec<Address>>, Failure> {
    check_pins(pins, targets).map_err(|error| Failure::usage(anyhow!("--resolve: {error}")))?;
    let resolved = targets.iter().map(|target| resolve(target, pins));
    resolved
        .collect::<Result<_, _>>()
        .map_err(|refusal| match refusal {
            crate::staging::Refusal::Unresolved { .. } => Failure::invalid(refusal),
            _ => Failure::refused(refusal),
        })
}

impl Source {
    /// Whether anything was given.
    pub(super) fn is_given(&self) -> bool {
        self.workload.is_some() || !self.request.is_empty()
    }

    /// Opens and checks the workload, and puts it under the rules of the settings.
    ///
    /// # Errors
    /// When a file, a request or a rule is wrong.
    pub(super) fn open(
        &self,
        file: &FileSettings,
        load: &LoadSettings,
    ) -> Result<Workload, Failure> {
        let keeps_cookies = load.cookies != Some(Cookies::Drop);
        let workload = self.read()?.under(&file.replay, keeps_cookies);
        let workload = workload.map_err(Failure::usage)?;
        for word in workload.rules().unknown() {
            say(&format!(
                "note: {{{{{word}}}}} is no placeholder and is sent as it stands; there are uuid, \
                 seq, now, now:s, now:ms and pick:FILE"
            ));
        }
        let workload = workload
            .select(self.filter.filter())
            .map_err(Failure::usage)?;
        check_labels(workload.name(), workload.summary().endpoints.keys())?;
        Ok(workload)
    }

    fn read(&self) -> Result<Workload, Failure> {
        if let Some(path) = &self.workload {
            return Workload::open(path).map_err(Failure::usage);
        }
        if self.request.iter().any(|text| masked(text) != *text) {
            say(
                "note: --request holds what looks like a secret, and whoever lists the processes \
                 of this machine can read it; a workload file or --header @FILE would hide it",
            );
        }
        if self.request.is_empty() {
            return Err(Failure::usage(anyhow!(
                "nothing says what to send; add -w FILE, or --request 'GET /path'"
            )));
        }
        let requests = self.request.iter().map(|text| parse_request(text));
        let requests = requests
            .collect::<Result<Vec<_>, _>>()
            .map_err(Failure::usage)?;
        Workload::from_requests(requests, "--request").map_err(Failure::usage)
    }
}

/// Refuses endpoints that look like secrets: they would stand in the run file and in every report.
///
/// # Errors
/// When one does (refused).
pub(super) fn check_labels<'a>(
    source: &str,
    labels: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    check_redacted(source, labels, "")
}

/// The same for what a run has stored already.
///
/// # Errors
/// When one does (refused).
pub(super) fn check_stored<'a>(
    source: &str,
    labels: impl Iterator<Item = &'a String>,
) -> Result<(), Failure> {
    check_redacted(source, labels, ", and measure again")
}

fn check_redacted<'a>(
    source: &str,
    labels: impl Iterator<Item = &'a String>,
    then: &str,
) -> Result<(), Failure> {
    let found: BTreeSet<&String> = labels.filter(|label| looks_secret(label)).collect();
    let found: Vec<String> = found.iter().take(3).map(|label| masked(label)).collect();
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::refused(anyhow!(
        "{source} is not redacted: its endpoints hold what looks like secrets, which every report \
         would show ({}); see proofload scan, import the recording again, or give those requests \
         another `endpoint`{then}",
        found.join(", ")
    )))
}

/// Every endpoint that a run file names, some more than once.
pub(super) fn endpoints(run: &Run) -> impl Iterator<Item = &String> {
    let measured = run.slots.iter().flat_map(|slot| slot.endpoints.keys());
    measured.chain(run.header.workload.recorded.keys())
}

/// When requests are due.
///
/// # Errors
/// When a rate is missing, superfluous or impossible for this workload.
pub(super) fn arrivals(load: &LoadSettings, workload: &Workload) -> Result<Arrivals, Failure> {
    arrivals_of(load, workload).map_err(Failure::usage)
}

fn arrivals_of(load: &LoadSettings, workload: &Workload) -> anyhow::Result<Arrivals> {
    let recorded = workload.summary().duration_ns > 0;
    let process = load.arrivals.unwrap_or(match load.rate {
        Some(_) => Process::Constant,
        None => Process::Recorded,
    });
    let need_rate = || {
        load.rate
            .context("constant and poisson arrivals need a rate; add --rate, such as 100/s")
    };
    if load.speed.is_some() && process != Process::Recorded {
        bail!(
            "--speed changes recorded instants only; leave it out, or leave --rate and --arrivals \
             out"
        );
    }
    let arrivals = match process {
        Process::Constant => Arrivals::Constant(need_rate()?),
        Process::Poisson => Arrivals::Poisson(need_rate()?),
        Process::Recorded if load.rate.is_some() => {
            bail!("--rate has no meaning for recorded arrivals; use --speed, or another --arrivals")
        }
        Process::Recorded if !recorded => {
            bail!("the workload has no recorded instants to replay; add --rate, such as 100/s")
        }
        Process::Recorded => Arrivals::Recorded(load.speed.unwrap_or(Speed::ONE)),
        Process::Closed | Process::Ramp(..) if load.rate.is_some() => {
            bail!(
                "--rate (PROOFLOAD_RATE) has no meaning for closed or ramp arrivals; leave it out"
            )
        }
        Process::Ramp(from, to) => Arrivals::Ramp(from, to),
        Process::Closed if workload.rules().carries_values() => {
            bail!(
                "rules carry values from answers to later requests of the same client, and in a \
                 closed loop whoever is free sends the next request of any client; use another \
                 --arrivals"
            )
        }
        Process::Closed => Arrivals::Closed(clients(load)?),
    };
    let rate = match arrivals {
        Arrivals::Ramp(from, to) => from.per_second().max(to.per_second()),
        _ => mean_rate(workload, arrivals),
    };
    if rate > RATE_MAX {
        bail!("{rate:.0} requests a second are more than proofload sends; lower --speed or --rate");
    }
    Ok(arrivals)
}

/// The clients of a closed loop: as many as the connections carry requests at once.
fn clients(load: &LoadSettings) -> anyhow::Result<usize> {
    let connections = load.connections.unwrap_or(CLIENTS);
    let carried = connections.saturating_mul(load.streams.unwrap_or(1));
    let clients = carried.min(load.max_in_flight.unwrap_or(usize::MAX));
    let threads = load.threads.unwrap_or(1);
    if threads > clients && clients > 0 {
        bail!("{threads} threads cannot share {clients} client(s); lower --threads or raise -c");
    }
    if clients == 0 {
        bail!("a closed loop without clients sends nothing; give -c 1 or more");
    }
    Ok(clients)
}

/// Arrivals that only a run of one side can have are refused for a comparison.
///
/// # Errors
/// When they are closed or a ramp.
pub(super) fn check_comparable(load: &LoadSettings) -> Result<(), Failure> {
    match load.arrivals {
        Some(Process::Closed) => Err(Failure::usage(anyhow!(
            "--arrivals closed is for `run`: in a closed loop a slower side is asked less, so that \
             the sides would not get the same load; use recorded, constant or poisson"
        ))),
        Some(Process::Ramp(..)) => Err(Failure::usage(anyhow!(
            "a ramp is for `run`: rounds with different rates cannot be compared; use recorded, \
             constant or poisson"
        ))),
        _ => Ok(()),
    }
}

/// Bounds on requests and connections, and enough file descriptors for them.
///
/// # Errors
/// When more connections were asked for than the machine lets a process have.
pub(super) fn limits(load: &LoadSettings, sides: u64) -> Result<Limits, Failure> {
    let threads = load.threads.unwrap_or(1).max(1);
    let available = raise_descriptors();
    let room = available.saturating_sub(DESCRIPTORS_RESERVED) / sides;
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let in_flight_max = load.max_in_flight.unwrap_or(IN_FLIGHT);
    // With HTTP/1.1 each request in flight has a connection of its own.
    let asked = load.connections.or(load.max_in_flight);
    let connections_max = asked.unwrap_or(IN_FLIGHT.min(room)).min(in_flight_max);
    for (flag, asked) in [
        ("--threads", load.threads),
        ("--max-in-flight", load.max_in_flight),
        ("--connections", load.connections),
        ("--streams", load.streams),
    ] {
        if asked == Some(0) {
            return Err(Failure::usage(anyhow!(
                "{flag} 0 would send nothing; give 1 or more, or leave it out"
            )));
        }
    }
    if connections_max > room {
        return Err(Failure::usage(anyhow!(
            "{connections_max} connections on each of {sides} side(s) need {} file descriptors, \
             and this process may have {available}; lower --connections or raise the limit \
             (ulimit -n)",
            connections_max as u64 * sides + DESCRIPTORS_RESERVED
        )));
    }
    if threads > connections_max {
        return Err(Failure::usage(anyhow!(
            "{threads} threads cannot share {connections_max} connection(s); lower --threads"
        )));
    }
    let span = |given: Option<Span>, default_s| given.unwrap_or(Span::from_secs(default_s)).ns();
    for (flag, asked) in [
        ("--timeout", load.timeout),
        ("--connect-timeout", load.connect_timeout),
        ("--header-timeout", load.header_timeout),
        ("--idle-timeout", load.idle_timeout),
    ] {
        if asked.is_some_and(|it| it.ns() == 0) {
            return Err(Failure::usage(anyhow!(
                "{flag} 0s would fail every request; give more, or leave it out"
            )));
        }
    }
    let total_ns = span(load.timeout, 30);
    Ok(Limits {
        in_flight_max,
        connections_max,
        http2_connections_max: load.connections.unwrap_or(HTTP2_CONNECTIONS.max(threads)),
        streams_max: load.streams.unwrap_or(HTTP2_STREAMS),
        connect_ns: span(load.connect_timeout, 5).min(total_ns),
        header_ns: span(load.header_timeout, 10).min(total_ns),
        idle_ns: span(load.idle_timeout, 10).min(total_ns),
        total_ns,
        drain_ns: 3 * SECOND_NS,
    })
}

/// The limits in force, defaults included, as reports show them.
pub(super) fn limits_record(limits: &Limits) -> serde_json::Value {
    serde_json::json!({
        "in_flight_max": limits.in_flight_max,
        "connections_max": limits.connections_max,
        "http2_connections_max": limits.http2_connections_max,
        "http2_streams_max": limits.streams_max,
        "connect_timeout_ns": limits.connect_ns,
        "header_timeout_ns": limits.header_ns,
        "idle_timeout_ns": limits.idle_ns,
        "total_timeout_ns": limits.total_ns,
    })
}

/// Raises the soft limit of descriptors to the hard one; returns what the process may have.
pub(super) fn raise_descriptors() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_must_fit_the_arrivals() {
        let workload = Workload::from_requests(vec![parse_request("/a").unwrap()], "x").unwrap();
        let with = |text: &str| -> LoadSettings { toml::from_str(text).unwrap() };
        assert!(
            arrivals_of(&with(""), &workload).is_err(),
            "nothing recorded"
        );
        assert!(arrivals_of(&with("rate = '5/s'"), &workload).is_ok());
        assert!(arrivals_of(&with("arrivals = 'poisson'"), &workload).is_err());
        assert!(arrivals_of(&with("rate = '5/s'\nspeed = '2x'"), &workload).is_err());
        let both = with("rate = '5/s'\narrivals = 'recorded'");
        assert!(arrivals_of(&both, &workload).is_err());
    }
}
