//! The last step before any load: a side answers each endpoint once, and what that shows is
//! judged: what cannot be measured is refused, what is worth knowing becomes a note.

use anyhow::anyhow;

use super::exit::Failure;
use crate::{
    clock::wall_ns,
    replay::{Limits, Load, mean_rate},
    run::Facts,
    staging::{
        Pin, Preflight, PreflightError, Probes, Terms, Validity, local_ports, ports_short,
        preflight, resolve, validity,
    },
    tls::Trust,
    units::SECOND_NS,
    workload::{Address, Protocol, Target, Workload},
};

/// What is asked of a side, and for which load.
pub(super) struct Asked<'a> {
    /// One request of each endpoint.
    pub probes: &'a Probes,
    /// How certificates are checked.
    pub trust: &'a Trust,
    /// The time-outs of the load.
    pub limits: Limits,
    /// How long the load takes at the most, in nanoseconds.
    pub length_ns: u64,
    /// Requests per second and side.
    pub rate_per_s: f64,
    /// The run that it is for.
    pub run_id: &'a str,
}

/// Asks one side and pins it to the address that answered.
///
/// # Errors
/// When the side cannot be measured (invalid), or a certificate file is wrong (usage).
pub(super) async fn ask(
    who: &str,
    target: &mut Target,
    addresses: &[Address],
    asked: &Asked<'_>,
) -> Result<(Preflight, Vec<String>), Failure> {
    let found = preflight(target, addresses, asked.probes, asked.terms()).await;
    let found = found.map_err(preflight_failure)?;
    if let Some(cause) = found.unusable() {
        return Err(Failure::invalid(anyhow!(
            "the {who} is unusable: {cause}; no load was sent"
        )));
    }
    target.address.clone_from(&found.address);
    // What the server chose here is what the load speaks: one protocol for a whole run.
    target.protocol = match found.version {
        Some("HTTP/2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let mut notes = Vec::new();
    if let (Some(address), true) = (&found.address, addresses.len() > 1) {
        notes.push(format!(
            "{who}: {} has {} addresses ({}); all connections go to {address}",
            target.host,
            addresses.len(),
            addresses_shown(addresses)
        ));
    }
    notes.extend(certificate(who, &found, asked)?);
    notes.extend(ports(who, &found, asked));
    let unexpected = found.unexpected();
    let unexpected = unexpected.iter();
    notes.extend(unexpected.map(|(name, status)| format!("{who}: {name} answered {status}")));
    Ok((found, notes))
}

impl<'a> Asked<'a> {
    /// What is asked before a load.
    pub(super) fn before(load: &'a Load, workload: &Workload, probes: &'a Probes) -> Self {
        Self {
            probes,
            trust: &load.trust,
            limits: load.limits,
            length_ns: load.layout.total_ns(),
            rate_per_s: mean_rate(workload, load.arrivals),
            run_id: &load.run_id,
        }
    }

    /// How it is asked.
    pub(super) fn terms(&self) -> Terms<'_> {
        Terms {
            trust: self.trust,
            connect_ns: self.limits.connect_ns,
            total_ns: self.limits.total_ns,
            run_id: self.run_id,
        }
    }
}

/// What is known of a side besides where it is.
pub(super) fn facts(found: &Preflight, addresses: &[Address]) -> Facts {
    let mut facts = found.facts.shown();
    facts.insert("addresses".to_owned(), addresses.len().to_string());
    if let Some(expires_s) = found.expires_s {
        facts.insert("certificate_until".to_owned(), date(expires_s));
    }
    facts
}

/// Whose fault it is that nobody could be asked.
pub(super) fn preflight_failure(error: PreflightError) -> Failure {
    match error {
        PreflightError::Tls(error) => Failure::usage(error),
        PreflightError::Client(error) => Failure::bug(error),
    }
}

/// Addresses in a row.
pub(super) fn addresses_shown(addresses: &[Address]) -> String {
    let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

/// A certificate that ends during the run spoils it; one that ends soon is worth a word.
fn certificate(who: &str, found: &Preflight, asked: &Asked<'_>) -> Result<Option<String>, Failure> {
    let Some(expires_s) = found.expires_s else {
        return Ok(None);
    };
    let seconds = |ns: u64| i64::try_from(ns / SECOND_NS).unwrap_or(i64::MAX);
    let now_s = seconds(wall_ns());
    let date = date(expires_s);
    match validity(
        expires_s,
        now_s,
        now_s.saturating_add(seconds(asked.length_ns)),
    ) {
        Validity::Fine => Ok(None),
        Validity::Soon { days } => Ok(Some(format!(
            "{who}: the certificate is valid for {days} more days, until {date}"
        ))),
        // Nobody checks it, so nothing fails when it ends.
        Validity::TooEarly if asked.trust.insecure => Ok(Some(format!(
            "{who}: the certificate is valid until {date} only; not checked (--insecure)"
        ))),
        Validity::TooEarly => Err(Failure::invalid(anyhow!(
            "the certificate of the {who} is valid until {date} only, and the run needs it until \
             an hour after its planned end; renew it, or shorten -d; no load was sent"
        ))),
    }
}

fn date(unix_s: i64) -> String {
    match jiff::Timestamp::from_second(unix_s) {
        Ok(at) => at.to_string(),
        Err(_) => format!("{unix_s} s after 1970"),
    }
}

/// A server that closes its connections makes each request need a port of its own.
fn ports(who: &str, found: &Preflight, asked: &Asked<'_>) -> Option<String> {
    if !found.closes || !matches!(found.address, Some(Address::Tcp(_))) {
        return None;
    }
    let range = local_ports()?;
    let said = ports_short(asked.rate_per_s, range)?;
    Some(format!("{who}: the server closes its connections; {said}"))
}

/// The two sides speak different versions of HTTP, which is a difference of its own.
pub(super) fn versions(baseline: &Preflight, candidate: &Preflight) -> Option<String> {
    let (Some(old), Some(new)) = (baseline.version, candidate.version) else {
        return None;
    };
    (old != new).then(|| {
        format!(
            "the baseline speaks {old} and the candidate {new}: what differs may be due to that; \
             --protocol http1 makes them equal"
        )
    })
}

/// A name that leads elsewhere after the run than before it. Connections stayed with the address
/// that was pinned: to follow the name would have mixed two deployments in one measurement.
pub(super) fn moved(who: &str, target: &Target, pins: &[Pin]) -> Option<String> {
    let pinned = target.address.as_ref()?;
    let now = resolve(target, pins).ok()?;
    (!now.contains(pinned)).then(|| {
        format!(
            "{who}: {} has moved to {} during the run; what was measured is {pinned}",
            target.host,
            addresses_shown(&now)
        )
    })
}

/// Proxies that the environment names are not used, and that should surprise nobody.
pub(super) fn proxies() -> Option<String> {
    let is_proxy = |name: &String| {
        let name = name.to_ascii_lowercase();
        ["http_proxy", "https_proxy", "all_proxy"].contains(&name.as_str())
    };
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names: Vec<_> = set
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(is_proxy)
        .collect();
    names.sort();
    (!names.is_empty()).then(|| {
        format!(
            "{} set in the environment is ignored: a load goes straight to its target",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_moved_is_named_with_both_addresses() {
        let mut target = Target::parse("http://staging.example:81").unwrap();
        let pins = ["staging.example:81:127.0.0.2".parse().unwrap()];
        let address = |text: &str| Some(Address::Tcp(text.parse().unwrap()));
        target.address = address("127.0.0.2:81");
        assert_eq!(moved("candidate", &target, &pins), None);
        target.address = address("127.0.0.1:81");
        let said = moved("candidate", &target, &pins).unwrap();
        assert!(said.contains("has moved to 127.0.0.2:81 during"), "{said}");
        assert!(said.ends_with("measured is 127.0.0.1:81"), "{said}");
    }

    #[test]
    fn sides_of_different_versions_are_told_apart() {
        let of = |version| Preflight {
            version,
            ..Preflight::default()
        };
        let (one, two) = (of(Some("HTTP/1.1")), of(Some("HTTP/2")));
        assert_eq!(versions(&one, &one), None);
        assert_eq!(versions(&of(None), &two), None);
        let said = versions(&one, &two).unwrap();
        assert!(
            said.contains("speaks HTTP/1.1 and the candidate HTTP/2:"),
            "{said}"
        );
    }
}
