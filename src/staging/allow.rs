//! Which hosts may be loaded: loopback always, everything else only when it was named.
//!
//! Checked by name before anything is looked up; `resolve` checks again by the addresses that
//! came back, so that a name cannot lead somewhere else than it says.

use std::net::IpAddr;

use crate::workload::Target;

/// Why a target may not be loaded, or cannot be found.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The host was not allowed.
    #[error(
        "{0} may not be loaded: it is not on the allow-list; add --allow-host {0}, or \
         `allow = [\"{0}\"]` under [targets] in proofload.toml, if it really is a test environment"
    )]
    NotAllowed(String),
    /// The name says loopback, the address does not; or it is an address that never is a test
    /// environment.
    #[error(
        "{host} may not be loaded: it resolves to {address}, {why}; give the test environment's \
         own address"
    )]
    Address {
        /// The host as given.
        host: String,
        /// What it resolved to.
        address: IpAddr,
        /// What is wrong with that.
        why: &'static str,
    },
    /// The name could not be resolved.
    #[error("{host} cannot be resolved: {cause}; check the name and the network")]
    Unresolved {
        /// The host as given.
        host: String,
        /// What the resolver said.
        cause: String,
    },
}

/// Whether a host may be loaded, by name alone; a Unix socket is on this machine. An entry of
/// the list is a host or `HOST:PORT`.
///
/// # Errors
/// When it is neither loopback nor on the list.
pub fn check_host(target: &Target, allowed: &[String]) -> Result<(), Refusal> {
    let is_here = target.is_socket() || is_loopback_name(&target.host);
    if is_here || is_listed(target, allowed) {
        return Ok(());
    }
    // In brackets an address of version 6 can be told from a port, and pasted back.
    let host = &target.host;
    let shown = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    Err(Refusal::NotAllowed(shown))
}

fn is_listed(target: &Target, allowed: &[String]) -> bool {
    let with_port = format!("{}:{}", target.host, target.port);
    allowed.iter().any(|entry| {
        let entry = entry.trim();
        let host = entry.trim_matches(['[', ']']);
        host.eq_ignore_ascii_case(&target.host) || entry.eq_ignore_ascii_case(&with_port)
    })
}

pub(super) fn is_loopback_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, allowed: &[&str]) -> Result<(), Refusal> {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        check_host(&Target::parse(url).unwrap(), &allowed)
    }

    #[test]
    fn loopback_needs_no_permission_and_everything_else_does() {
        for url in [
            "http://localhost:1",
            "http://127.9.9.9",
            "http://[::1]:8",
            "http://0x7f.1/",
            "unix:///run/app.sock",
        ] {
            assert_eq!(check(url, &[]), Ok(()), "{url}");
        }
        for url in [
            "http://staging.example",
            "http://10.0.0.1",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://0.0.0.0",
            "http://2130706434.example",
        ] {
            assert!(check(url, &["other.example"]).is_err(), "{url}");
        }
    }

    #[test]
    fn an_entry_is_a_host_or_a_host_with_port() {
        assert_eq!(
            check("http://Staging.Example", &["staging.example"]),
            Ok(())
        );
        assert_eq!(check("http://s.example:81", &["s.example:81"]), Ok(()));
        assert!(check("http://s.example:82", &["s.example:81"]).is_err());
        assert_eq!(check("http://[2001:db8::1]", &["2001:db8::1"]), Ok(()));
        let error = check("http://s.example", &[]).unwrap_err().to_string();
        assert!(error.contains("--allow-host s.example"), "{error}");
    }
}
