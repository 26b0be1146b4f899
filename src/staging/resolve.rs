//! Where a host is: looked up once, before the run, or pinned by hand; and which addresses no
//! name may lead to.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use super::allow::{Refusal, is_loopback_name};
use crate::workload::{Address, Target};

/// Addresses given for a host by hand, as curl's `--resolve` does: `HOST:PORT:ADDR[,ADDR]…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    host: String,
    port: u16,
    addresses: Vec<IpAddr>,
}

/// Why a pin cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PinError {
    /// It is not written as it must be.
    #[error("`{0}` is no pin; write HOST:PORT:ADDRESS, such as shop.example:443:10.0.0.7")]
    Syntax(String),
    /// It is for a host that nobody is going to ask for, which is most likely a mistake.
    #[error("{host}:{port} is no target here; give host and port as the target's URL has them")]
    Unused {
        /// Its host.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        Self::read(text).ok_or_else(|| PinError::Syntax(text.to_owned()))
    }
}

impl Pin {
    fn read(text: &str) -> Option<Self> {
        // A host of version 6 has colons of its own and stands in brackets.
        let (host, rest) = match text.strip_prefix('[') {
            Some(inner) => inner.split_once("]:")?,
            None => text.split_once(':')?,
        };
        let (port, addresses) = rest.split_once(':')?;
        let address = |text: &str| text.trim_matches(['[', ']']).parse().ok();
        let addresses: Option<Vec<IpAddr>> = addresses.split(',').map(address).collect();
        let port = port.parse().ok()?;
        (!host.is_empty() && port != 0).then_some(Self {
            host: host.to_owned(),
            port,
            addresses: addresses?,
        })
    }

    fn is_for(&self, target: &Target) -> bool {
        !target.is_socket()
            && self.port == target.port
            && self.host.eq_ignore_ascii_case(&target.host)
    }
}

/// Refuses a pin that is for none of the targets.
///
/// # Errors
/// The first such pin.
pub fn check_pins(pins: &[Pin], targets: &[Target]) -> Result<(), PinError> {
    let unused = |pin: &&Pin| !targets.iter().any(|target| pin.is_for(target));
    match pins.iter().find(unused) {
        None => Ok(()),
        Some(pin) => Err(PinError::Unused {
            host: pin.host.clone(),
            port: pin.port,
        }),
    }
}

/// Looks the host up, unless it is pinned, and checks every address that it has.
///
/// # Errors
/// When the name cannot be resolved, or one of its addresses is not what the name promised.
pub fn resolve(target: &Target, pins: &[Pin]) -> Result<Vec<Address>, Refusal> {
    if let Some(address @ Address::Unix(_)) = &target.address {
        return Ok(vec![address.clone()]);
    }
    let unresolved = |cause: String| Refusal::Unresolved {
        host: target.host.clone(),
        cause,
    };
    let pinned = pins.iter().filter(|pin| pin.is_for(target));
    let mut addresses: Vec<SocketAddr> = pinned
        .flat_map(|pin| &pin.addresses)
        .map(|address| SocketAddr::new(*address, target.port))
        .collect();
    if addresses.is_empty() {
        let found = (target.host.as_str(), target.port).to_socket_addrs();
        addresses = found
            .map_err(|error| unresolved(error.to_string()))?
            .collect();
    }
    if addresses.is_empty() {
        return Err(unresolved("it has no address".to_owned()));
    }
    for address in &addresses {
        check_address(&target.host, address.ip())?;
    }
    Ok(addresses.into_iter().map(Address::Tcp).collect())
}

fn check_address(host: &str, address: IpAddr) -> Result<(), Refusal> {
    let plain = address.to_canonical();
    let why = match plain {
        _ if is_loopback_name(host) && !plain.is_loopback() => "which is not loopback",
        _ if plain.is_unspecified() => "which is no address of a service",
        _ if plain.is_multicast() => "which is a multicast address",
        IpAddr::V4(v4) if v4.is_link_local() => "where cloud metadata services live",
        IpAddr::V4(v4) if v4.is_broadcast() => "which is a broadcast address",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "which is of this link only (fe80::/10)",
        _ => return Ok(()),
    };
    Err(Refusal::Address {
        host: host.to_owned(),
        address,
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_name_may_lead_to_are_refused() {
        for (host, address) in [
            ("localhost", "10.0.0.1"),
            ("s.example", "169.254.169.254"),
            ("s.example", "::ffff:169.254.169.254"),
            ("s.example", "fe80::1"),
            ("s.example", "febf:ffff::1"),
            ("s.example", "0.0.0.0"),
            ("s.example", "224.0.0.1"),
        ] {
            assert!(
                check_address(host, address.parse().unwrap()).is_err(),
                "{address}"
            );
        }
        for address in ["10.1.2.3", "fec0::1", "fd00::1", "2001:db8::1"] {
            assert_eq!(check_address("s.example", address.parse().unwrap()), Ok(()));
        }
    }

    #[test]
    fn a_pin_stands_in_for_the_name_service_and_is_checked_like_it() {
        let target = |url: &str| Target::parse(url).unwrap();
        let pin = |text: &str| text.parse::<Pin>().unwrap();
        let shown = |target: &Target, pins: &[Pin]| {
            let found = resolve(target, pins)?;
            Ok(found.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let shop = target("http://Shop.invalid:8080");
        let pins = [pin("shop.invalid:8080:10.0.0.7,[::1]")];
        let found: Result<_, Refusal> = shown(&shop, &pins);
        assert_eq!(found.unwrap(), ["10.0.0.7:8080", "[::1]:8080"]);
        assert_eq!(check_pins(&pins, &[shop]), Ok(()));
        let six = target("http://[2001:db8::1]:81");
        let found = shown(&six, &[pin("[2001:db8::1]:81:[2001:db8::2]")]);
        assert_eq!(found.unwrap(), ["[2001:db8::2]:81"]);
        let other = target("http://shop.invalid:81");
        assert!(check_pins(&pins, std::slice::from_ref(&other)).is_err());
        assert!(resolve(&other, &pins).is_err(), "a pin is for one port");
        for (url, text) in [
            ("http://localhost:80", "localhost:80:10.0.0.1"),
            ("http://s.invalid:80", "s.invalid:80:169.254.169.254"),
            ("http://s.invalid:80", "s.invalid:80:fe80::1"),
        ] {
            let refused = resolve(&target(url), &[pin(text)]);
            assert!(matches!(refused, Err(Refusal::Address { .. })), "{text}");
        }
    }

    #[test]
    fn a_pin_that_is_written_otherwise_is_refused() {
        for text in [
            "",
            "shop.example",
            "shop.example:80",
            "shop.example:80:",
            "shop.example:80:other.example",
            "shop.example:x:10.0.0.1",
            "shop.example:0:10.0.0.1",
            ":80:10.0.0.1",
            "[::1:80:10.0.0.1",
        ] {
            let error = text.parse::<Pin>().unwrap_err();
            assert!(error.to_string().contains("HOST:PORT:ADDRESS"), "{text}");
        }
    }
}
