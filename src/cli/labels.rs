//! What run files and reports say of a run: targets, workload, load and command line in words.
//! No header value passes through here.

use crate::{
    clock::wall_ns,
    replay::{Arrangement, Arrivals, mean_rate},
    report::Place,
    run::{TargetRecord, WorkloadRecord},
    workload::{Protocol, Target, Workload, redact::masked},
};

/// A target as the run file names it.
pub(super) fn target_record(resolved: Option<&Target>, target: &Target) -> TargetRecord {
    let address = resolved.and_then(|target| target.address.as_ref());
    TargetRecord {
        url: target.url.to_string(),
        address: address.map(ToString::to_string).unwrap_or_default(),
    }
}

/// The workload as the run file names it.
pub(super) fn workload_record(workload: &Workload) -> WorkloadRecord {
    let summary = workload.summary();
    WorkloadRecord {
        source: workload.name().to_owned(),
        digest: summary.digest.clone(),
        requests: summary.requests,
        duration_ns: summary.duration_ns,
        recorded_at: summary.origin.recorded_at.clone(),
    }
}

/// The workload as reports name it.
pub(super) fn workload(workload: &Workload) -> crate::report::Workload {
    let summary = workload.summary();
    crate::report::Workload {
        source: workload.name().to_owned(),
        requests: summary.requests,
        duration_ns: summary.duration_ns,
        digest: summary.digest.clone(),
        recorded_at: summary.origin.recorded_at.clone(),
    }
}

/// A target as reports name it.
pub(super) fn place(target: &Target) -> Place {
    let address = target.address.as_ref().map(ToString::to_string);
    Place {
        label: target.url.to_string(),
        address,
        protocol: match target.protocol {
            Protocol::Auto => None,
            Protocol::Http1 => Some("HTTP/1.1".to_owned()),
            Protocol::Http2 => Some("HTTP/2".to_owned()),
        },
    }
}

/// The arrangement as reports name it.
pub(super) fn arrangement(arrangement: Option<Arrangement>) -> &'static str {
    match arrangement {
        Some(Arrangement::Interleaved) => "interleaved",
        Some(Arrangement::Simultaneous) => "simultaneous",
        None => "single",
    }
}

/// How much is sent, in words.
pub(super) fn rate(workload: &Workload, arrivals: Arrivals) -> String {
    match arrivals {
        Arrivals::Constant(rate) => format!("constant {rate}"),
        Arrivals::Poisson(rate) => format!("poisson {rate}"),
        Arrivals::Ramp(from, to) => format!("ramp from {from} to {to}"),
        Arrivals::Closed(clients) => format!("closed loop of {clients} clients"),
        Arrivals::Recorded(speed) => {
            format!(
                "recorded at {speed} ({:.1}/s)",
                mean_rate(workload, arrivals)
            )
        }
    }
}

/// A seed small enough to be typed again.
pub(super) fn draw_seed() -> u64 {
    wall_ns() / 1_000 % 1_000_000_000
}

/// Now, for labels.
pub(super) fn now() -> String {
    let now = jiff::Timestamp::now();
    format!("{now:.0}")
}

/// The command line that does the same again: header values and secrets in requests hidden, the
/// seed added.
pub(super) fn command(seed: u64) -> String {
    // Arguments need not be UTF-8: paths are not.
    let args = std::env::args_os().skip(1);
    command_of(args.map(|word| word.to_string_lossy().into_owned()), seed)
}

fn command_of(args: impl Iterator<Item = String>, seed: u64) -> String {
    let mut words = vec!["proofload".to_owned()];
    let (mut hide, mut request) = (false, false);
    let mut seeded = false;
    for word in args {
        let secret = ["--header", "--baseline-header", "--candidate-header", "-H"];
        seeded |= word == "--seed" || word.starts_with("--seed=");
        let inline = secret.iter().find(|flag| {
            word.len() > flag.len() && word.starts_with(**flag) && !word.starts_with("--header-")
        });
        let shown = match inline {
            _ if hide && !word.starts_with('@') => hidden(&word),
            Some(flag) if !hide => format!("{flag}={}", hidden(&word[flag.len()..])),
            _ if request => masked(&word),
            _ => match word.strip_prefix("--request=") {
                Some(request) => format!("--request={}", masked(request)),
                None => word.clone(),
            },
        };
        request = word == "--request";
        hide = secret.contains(&word.as_str());
        words.push(quoted(&shown));
    }
    if !seeded {
        words.push(format!("--seed {seed}"));
    }
    words.join(" ")
}

fn hidden(header: &str) -> String {
    let name = header
        .trim_start_matches('=')
        .split(':')
        .next()
        .unwrap_or_default();
    format!("{name}: …")
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
    fn a_command_can_be_pasted_and_holds_no_header_value() {
        let said = command_of(
            [
                "compare",
                "-H",
                "Authorization: Bearer hunter2",
                "--baseline-header=X-Key: hunter2",
            ]
            .into_iter()
            .chain([
                "-HX-Other: hunter2",
                "--header",
                "@secrets",
                "--request",
                "GET /it's",
                "--request=/a?token=hunter2",
            ])
            .map(str::to_owned),
            7,
        );
        assert!(!said.contains("hunter2"), "{said}");
        for part in [
            "Authorization: …",
            "X-Key: …",
            "X-Other: …",
            "@secrets",
            "--seed 7",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(said.contains("'GET /it'\\''s'"), "{said}");
    }
}
