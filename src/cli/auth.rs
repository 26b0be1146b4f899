//! Credentials of staging: from the command line, a file, the environment or a command. They reach
//! their side and nothing that is written, logged or reported.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::exit::Failure;
use crate::{
    clock::Clock,
    units::SECOND_NS,
    workload::{Header, Target},
};

/// A command that has not ended by then is of no use, in nanoseconds.
const PATIENCE_NS: u64 = 30 * SECOND_NS;
/// More than this is no list of header fields, in bytes.
const OUTPUT_MAX: u64 = 64 * 1024;

/// Header fields for each request, to whichever side.
#[derive(Debug, Args)]
pub(super) struct Credentials {
    /// Header for each request: 'Name: value', @FILE with such lines, or $NAME for a variable of
    /// the environment that holds them; may be repeated
    #[arg(short = 'H', long, value_name = "HEADER")]
    header: Vec<String>,
    /// Prints such headers, one a line: a shell command, run once before anything is sent; neither
    /// it nor its output is stored
    #[arg(
        long,
        env = "PROOFLOAD_AUTH_CMD",
        hide_env_values = true,
        value_name = "COMMAND"
    )]
    auth_cmd: Option<String>,
}

impl Credentials {
    /// The fields of the flags, and behind them those of one side alone.
    ///
    /// # Errors
    /// When one is malformed or its source cannot be read (usage); values are never shown.
    pub(super) fn headers(&self, own: &[String]) -> Result<Vec<Header>, Failure> {
        headers(&[self.header.as_slice(), own].concat())
    }

    /// Adds what the command prints.
    ///
    /// # Errors
    /// Those of [`add`].
    pub(super) fn log_in(&self, target: &mut Target) -> Result<(), Failure> {
        add("--auth-cmd", self.auth_cmd.as_deref(), target)
    }
}

/// Header flags: `Name: value`, `@FILE` with one such line each, or `$NAME` for a variable of the
/// environment that holds such lines.
///
/// # Errors
/// When a header is malformed or its source cannot be read; values are never shown.
fn headers(flags: &[String]) -> Result<Vec<Header>, Failure> {
    let mut headers = Vec::new();
    for flag in flags {
        let found = if let Some(path) = flag.strip_prefix('@') {
            let text = std::fs::read_to_string(Path::new(path));
            let text = text.with_context(|| format!("cannot read the header file {path}"));
            text.and_then(|text| lines(&text).with_context(|| format!("in {path}")))
        } else if let Some(name) = flag.strip_prefix('$').filter(|it| !it.contains(':')) {
            let text = std::env::var(name);
            let text = text.map_err(|_| anyhow!("the environment has no {name} for a header"));
            text.and_then(|text| lines(&text).with_context(|| format!("in ${name}")))
        } else {
            header(flag).map(|header| vec![header])
        };
        headers.extend(found.map_err(Failure::usage)?);
    }
    Ok(headers)
}

/// Adds what a command prints to the headers of a side, but for those that it has already.
///
/// # Errors
/// When the command fails or prints something else (usage); what it says is never shown.
pub(super) fn add(flag: &str, command: Option<&str>, target: &mut Target) -> Result<(), Failure> {
    let Some(command) = command else {
        return Ok(());
    };
    let found = output(command).and_then(|text| lines(&text));
    let found = found.with_context(|| flag.to_owned());
    let own = target.headers.clone();
    let is_given = |(name, _): &Header| own.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
    let found = found.map_err(Failure::usage)?;
    target
        .headers
        .extend(found.into_iter().filter(|header| !is_given(header)));
    Ok(())
}

/// What a shell command prints; its own messages are thrown away, because they may hold as much
/// as its output.
fn output(command: &str) -> anyhow::Result<String> {
    let by_hand = "run it by hand to see what it says";
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("the shell cannot be started")?;
    let mut stdout = child.stdout.take().context("it has no output")?;
    let clock = Clock::start();
    // A pipe holds as much as is accepted: a command that prints more never ends.
    let status = loop {
        match child.try_wait().context("it cannot be waited for")? {
            Some(status) => break status,
            None if clock.now_ns() > PATIENCE_NS => {
                let ended = child.kill().and_then(|()| child.wait());
                ended.context("it cannot be ended")?;
                bail!("the command has not ended within 30 s; {by_hand}");
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        bail!("the command ended with {status}; {by_hand}");
    }
    let mut text = String::new();
    let read = stdout.by_ref().take(OUTPUT_MAX).read_to_string(&mut text);
    read.map_err(|_| anyhow!("the command printed something else than text; {by_hand}"))?;
    if text.trim().is_empty() {
        bail!("the command printed nothing; it must print `Name: value` lines");
    }
    Ok(text)
}

fn lines(text: &str) -> anyhow::Result<Vec<Header>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(header).collect()
}

fn header(line: &str) -> anyhow::Result<Header> {
    let syntax = || anyhow!("a header must read `Name: value` (its value is not shown here)");
    let (name, value) = line.split_once(':').ok_or_else(syntax)?;
    let (name, value) = (name.trim(), value.trim());
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let framing = ["content-length", "transfer-encoding", "connection", "host"];
    if name.is_empty() || !name.bytes().all(token) || value.contains(|c: char| c.is_control()) {
        return Err(syntax());
    }
    if framing.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        bail!("the header {name} is set by proofload itself");
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_header_never_shows_its_value() {
        for flag in [
            "Authorization hunter2",
            "a b: hunter2",
            "x: hunter2\nhost: y",
            ": hunter2",
        ] {
            let failure = headers(&[flag.to_owned()]).unwrap_err();
            assert!(
                !format!("{:#}", failure.error).contains("hunter2"),
                "{flag}"
            );
        }
        let parsed = headers(&["Authorization: Bearer x:y".to_owned()]).unwrap();
        assert_eq!(
            parsed,
            [("Authorization".to_owned(), "Bearer x:y".to_owned())]
        );
    }

    #[test]
    fn a_command_gives_headers_or_a_reason_without_its_output() {
        let of = |command: &str| {
            let mut target = Target::parse("http://127.0.0.1:1").unwrap();
            target.headers = vec![("X-Own".into(), "flag".into())];
            let added = add("--auth-cmd", Some(command), &mut target);
            added
                .map(|()| target.headers)
                .map_err(|failure| format!("{:#}", failure.error))
        };
        let found = of("echo 'Authorization: Bearer hunter2'; echo; echo 'x-own: cmd'").unwrap();
        let own = ("X-Own".to_owned(), "flag".to_owned());
        let added = ("Authorization".to_owned(), "Bearer hunter2".to_owned());
        assert_eq!(found, [own, added]);
        for (command, said) in [
            ("echo hunter2; echo hunter2 >&2; exit 3", "exit status: 3"),
            ("echo hunter2", "must read `Name: value`"),
            ("true", "printed nothing"),
            ("printf '\\377'", "else than text"),
        ] {
            let error = of(command).unwrap_err();
            assert!(
                error.contains(said) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
