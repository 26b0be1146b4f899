//! Local builds: `--baseline-cmd` and its like. What the flags mean, and a build started before
//! the preflight and ended with the command.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Context, anyhow, bail};

use super::{
    exit::Failure,
    ready::{Asked, preflight_failure},
    say,
};
use crate::{
    report::printable,
    staging::{Local, StartError, taken},
    units::Span,
    workload::{Address, Target, redact::masked_command},
};

const PORT: &str = "{port}";
/// So many lines of its log are shown when a build fails to start.
const LINES: usize = 20;

/// Where a side is, and how it is started if it is a local build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its base URL.
    pub url: String,
    /// What people call it: the URL, or the command with the secrets in it hidden.
    pub label: String,
    /// The shell command, its port filled in.
    pub command: Option<String>,
    /// Whether the command takes a port that was drawn, so that it can be started twice.
    pub draws_port: bool,
}

/// Free ports of loopback, no two alike: each is kept until all were drawn.
#[derive(Debug, Default)]
pub(super) struct Ports(Vec<TcpListener>);

impl Ports {
    fn draw(&mut self) -> anyhow::Result<u16> {
        let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = bound.context("no free port on loopback")?;
        let port = listener.local_addr()?.port();
        self.0.push(listener);
        Ok(port)
    }
}

/// What the two flags of a side mean together, such as `--baseline` and `--baseline-cmd`.
///
/// # Errors
/// When they do not fit each other (usage).
pub(super) fn origin(
    flag: &str,
    (url, command): (Option<&str>, Option<&str>),
    ports: &mut Ports,
) -> Result<Origin, Failure> {
    origin_of(flag, url, command, ports).map_err(Failure::usage)
}

fn origin_of(
    flag: &str,
    url: Option<&str>,
    command: Option<&str>,
    ports: &mut Ports,
) -> anyhow::Result<Origin> {
    let Some(command) = command else {
        let url = url.with_context(|| format!("{flag} or {flag}-cmd is needed"))?;
        if url.contains(PORT) {
            bail!("{flag} {url}: {PORT} stands for the port of a command; add {flag}-cmd");
        }
        return Ok(Origin {
            url: url.to_owned(),
            label: url.to_owned(),
            command: None,
            draws_port: false,
        });
    };
    let url = match (url, command.contains(PORT)) {
        (None, true) => "http://127.0.0.1:{port}",
        (None, false) => bail!(
            "{flag}-cmd holds no {PORT}, and no {flag} says where it listens; write {PORT} where \
             the command takes its port, or add {flag} URL"
        ),
        (Some(url), true) if !url.contains(PORT) => {
            bail!("{flag}-cmd is given a port ({PORT}), so {flag} {url} must hold {PORT} too")
        }
        (Some(url), false) if url.contains(PORT) => {
            bail!("{flag} {url} holds {PORT}, so {flag}-cmd must take it too")
        }
        (Some(url), _) => url,
    };
    let port = if command.contains(PORT) {
        ports.draw()?.to_string()
    } else {
        String::new()
    };
    Ok(Origin {
        url: url.replace(PORT, &port),
        label: masked_command(command),
        command: Some(command.replace(PORT, &port)),
        draws_port: !port.is_empty(),
    })
}

/// A local build that is about to be started.
pub(super) struct Build<'a> {
    /// The side, as people call it.
    pub who: &'a str,
    /// The shell command.
    pub command: &'a str,
    /// Takes what the command says.
    pub log: File,
    /// How long it may take until it answers.
    pub within: Span,
}

/// Starts a build and waits until it answers.
///
/// # Errors
/// When it ends or does not answer (invalid); the last lines of its log are said then.
pub(super) async fn start(
    build: Build<'_>,
    target: &Target,
    addresses: &[Address],
    asked: &Asked<'_>,
) -> Result<Local, Failure> {
    let Build {
        who,
        command,
        log,
        within,
    } = build;
    if let Some(address) = taken(addresses).await {
        return Err(Failure::invalid(anyhow!(
            "something else listens on {address}, where the {who} is to be started; end it, or \
             write {PORT} for the port"
        )));
    }
    let failed = |error: StartError| match error {
        StartError::Ask(error) => preflight_failure(error),
        error => Failure::invalid(anyhow!(
            "the command of the {who} is of no use: {error}; no load was sent"
        )),
    };
    let local = Local::start(command, log).map_err(|error| failed(error.into()))?;
    let terms = asked.terms();
    let answering = local.until_answering(target, addresses, terms, within);
    match answering.await {
        Ok(address) => {
            say(&format!("{who}: the command answers on {address}"));
            Ok(local)
        }
        Err(error) => {
            for line in local.last_lines(LINES) {
                say(&format!("{who} | {}", printable(&line)));
            }
            Err(failed(error))
        }
    }
}

/// What is said of a build that ended while it was under load.
pub(super) fn ended(who: &str, local: Option<&Local>) -> Option<String> {
    let status = local?.ended()?;
    Some(format!("{who}: the command ended by itself, with {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_and_command_must_fit_each_other() {
        let of = |url, command| origin_of("--baseline", url, command, &mut Ports::default());
        for (url, command) in [
            (None, None),
            (None, Some("./old")),
            (Some("http://127.0.0.1:{port}"), None),
            (Some("http://127.0.0.1:{port}"), Some("./old")),
            (Some("http://127.0.0.1:80"), Some("./old {port}")),
        ] {
            let error = of(url, command).unwrap_err().to_string();
            assert!(error.contains("--baseline"), "{error}");
        }
        let plain = of(Some("http://127.0.0.1:80"), None).unwrap();
        assert_eq!(
            (plain.url.as_str(), plain.command),
            ("http://127.0.0.1:80", None)
        );
        let fixed = of(Some("unix:///run/a.sock"), Some("./old")).unwrap();
        assert_eq!(fixed.command.as_deref(), Some("./old"));
    }

    #[test]
    fn each_build_gets_a_port_of_its_own() {
        let mut ports = Ports::default();
        let mut of = |url| {
            let command = Some("./old --port {port} --admin {port}");
            origin_of("--baseline", url, command, &mut ports).unwrap()
        };
        let (one, two) = (of(None), of(Some("https://localhost:{port}/api")));
        assert_ne!(one.command, two.command);
        assert_eq!(one.label, "./old --port {port} --admin {port}");
        let port = |origin: &Origin| Target::parse(&origin.url).unwrap().port;
        for origin in [&one, &two] {
            let port = port(origin);
            let wanted = format!("./old --port {port} --admin {port}");
            assert_eq!(origin.command.as_deref(), Some(wanted.as_str()));
        }
        assert!(two.url.starts_with("https://localhost:") && two.url.ends_with("/api"));
    }
}
