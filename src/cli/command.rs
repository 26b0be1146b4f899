//! Commands as they are shown: the one that does the same again, and those that start local builds.
//! No secret passes through here: header values are left out, what else looks like one is stars.

use clap::CommandFactory;

use super::{Cli, say, settings};
use crate::workload::redact::{masked, masked_argument, masked_command};

/// Says once of all commands that were given, each behind its flag, which ones hold what looks
/// like a secret.
pub(super) fn note_secrets(given: &[(&str, &Option<String>)]) {
    let holds = |command: &&str| masked_command(command) != **command;
    let found = given.iter();
    let found = found.filter(|(_, command)| command.as_deref().as_ref().is_some_and(holds));
    let flags: Vec<&str> = found.map(|(flag, _)| *flag).collect();
    if !flags.is_empty() {
        let verb = if flags.len() == 1 { "holds" } else { "hold" };
        say(&format!(
            "note: {} {verb} what looks like a secret: outputs show it as ***, and whoever lists \
             the processes of this machine can read it; a variable of the environment hides it",
            flags.join(" and ")
        ));
    }
}

/// The command line that does the same again, with the seed, the variables of the environment and
/// the settings file that it was under.
pub(super) fn again(seed: u64) -> String {
    // Arguments need not be UTF-8: paths are not.
    let args = std::env::args_os().skip(1);
    let args: Vec<_> = args.map(|it| it.to_string_lossy().into_owned()).collect();
    let mut words = Vec::new();
    let own = Cli::command();
    let own = args.first().and_then(|name| own.find_subcommand(name));
    let known = own.map(|own| own.get_arguments().collect::<Vec<_>>());
    let known = known.unwrap_or_default();
    for arg in &known {
        let name = arg.get_env().map(|name| name.to_string_lossy());
        let value = name.as_ref().and_then(|name| std::env::var(&**name).ok());
        if let (Some(name), Some(value)) = (name, value) {
            words.push(variable(&name, &value, arg.is_hide_env_values_set()));
        }
    }
    words.push(command_of(&args, seed));
    let is_named = args
        .iter()
        .any(|it| it.split('=').next() == Some("--config"));
    let takes = known.iter().any(|arg| arg.get_long() == Some("config"));
    if let Some(file) = settings::found().filter(|_| takes && !is_named) {
        words.push(format!("--config {}", quoted(&file.to_string_lossy())));
    }
    words.join(" ")
}

fn variable(name: &str, value: &str, is_hidden: bool) -> String {
    let shown = if is_hidden {
        "…".to_owned()
    } else {
        masked_argument(value)
    };
    format!("{name}={}", quoted(&shown))
}

fn command_of(args: &[String], seed: u64) -> String {
    let mut words = vec!["proofload".to_owned()];
    let mut before = "";
    let mut seeded = false;
    for word in args {
        seeded |= word == "--seed" || word.starts_with("--seed=");
        words.push(quoted(&shown(before, word)));
        before = word;
    }
    if !seeded {
        words.push(format!("--seed {seed}"));
    }
    words.join(" ")
}

/// A word as it may be shown, by the word before it.
fn shown(before: &str, word: &str) -> String {
    let held = match Holds::of(before) {
        Some(held) if !before.contains('=') => return held.shown(word),
        _ => Holds::of(word),
    };
    if let (Some(held), Some((flag, value))) = (held, word.split_once('=')) {
        return format!("{flag}={}", held.shown(value));
    }
    match word.strip_prefix("-H").filter(|it| !it.is_empty()) {
        Some(header) => format!("-H{}", Holds::Header.shown(header.trim_start_matches('='))),
        None => masked_argument(word),
    }
}

/// What a flag holds that must not be shown as it is.
enum Holds {
    Header,
    LogIn,
    Command,
    Request,
}

impl Holds {
    /// By a flag, with its value behind `=` or without.
    fn of(word: &str) -> Option<Self> {
        match word.split('=').next().unwrap_or_default() {
            "--header" | "--baseline-header" | "--candidate-header" | "-H" => Some(Self::Header),
            "--request" => Some(Self::Request),
            flag if !flag.starts_with("--") => None,
            flag if flag.ends_with("auth-cmd") => Some(Self::LogIn),
            flag if flag.ends_with("-cmd") => Some(Self::Command),
            _ => None,
        }
    }

    fn shown(&self, value: &str) -> String {
        match self {
            // A file or a variable says nothing.
            Self::Header if value.starts_with(['@', '$']) => value.to_owned(),
            Self::Header => format!("{}: …", value.split(':').next().unwrap_or_default()),
            Self::LogIn => "…".to_owned(),
            Self::Command => masked_command(value),
            Self::Request => masked(value),
        }
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_and_holds_no_secret() {
        let args = [
            "compare",
            "-H",
            "Authorization: Bearer hunter2",
            "--baseline-header=X-Key: hunter2",
            "-HX-Other: hunter2",
            "--header",
            "@secrets",
            "--request",
            "GET /it's",
            "--request=/a?token=hunter2",
            "--auth-cmd",
            "echo hunter2",
            "--baseline-auth-cmd=echo hunter2",
            "--baseline-cmd",
            "PASSWORD=hunter2 ./old --port {port}",
            "--candidate-cmd=./new --token hunter2",
            "--candidate",
            "http://u:hunter2@127.0.0.1/",
            "--out-dir",
            "/tmp/.tmpQx81Zp",
        ];
        let said = command_of(&args.map(str::to_owned), 7);
        assert!(!said.contains("hunter2"), "{said}");
        for part in [
            "Authorization: …",
            "X-Key: …",
            "X-Other: …",
            "@secrets",
            "'PASSWORD=*** ./old --port {port}'",
            "'--candidate-cmd=./new --token ***'",
            "/tmp/.tmpQx81Zp",
            "'GET /it'\\''s'",
            "--seed 7",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn variables_stand_in_front_and_hidden_ones_without_their_value() {
        assert_eq!(
            variable("PROOFLOAD_RATE", "20/s", false),
            "PROOFLOAD_RATE=20/s"
        );
        assert_eq!(
            variable("PROOFLOAD_GATE", "p99 p50", false),
            "PROOFLOAD_GATE='p99 p50'"
        );
        assert_eq!(
            variable("PROOFLOAD_AUTH_CMD", "echo hunter2", true),
            "PROOFLOAD_AUTH_CMD='…'"
        );
    }
}
