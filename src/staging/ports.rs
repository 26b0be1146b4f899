//! Whether the local ports last when each request needs a connection of its own.

/// How long the kernel keeps a closed connection's ports, in seconds.
const TIME_WAIT_S: f64 = 60.0;
const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// First and last local port that connections may get; nothing where the kernel does not say.
pub fn local_ports() -> Option<(u16, u16)> {
    range_of(&std::fs::read_to_string(RANGE).ok()?)
}

fn range_of(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next()?, numbers.next()?) {
        (Ok(first), Ok(last)) if first <= last => Some((first, last)),
        _ => None,
    }
}

/// What is wrong with so many new connections per second, and what helps; nothing when the
/// ports of a range last.
pub fn ports_short(new_per_s: f64, (first, last): (u16, u16)) -> Option<String> {
    let ports = u32::from(last) - u32::from(first) + 1;
    let held = new_per_s * TIME_WAIT_S;
    (held > f64::from(ports)).then(|| {
        format!(
            "{new_per_s:.0} new connections/s × {TIME_WAIT_S:.0} s = {held:.0} local ports, and \
             there are {ports} ({first}-{last}): they may run out (local_ports); let the server \
             keep connections alive, or widen net.ipv4.ip_local_port_range"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_short_when_a_minute_of_connections_needs_more() {
        let usual = (32_768, 60_999);
        for (rate, range, short) in [
            (0.0, usual, false),
            (470.0, usual, false),
            (470.6, usual, true),
            (10_000.0, usual, true),
            (1_075.0, (1_024, u16::MAX), false),
            (1_076.0, (1_024, u16::MAX), true),
            (0.1, (5_000, 5_000), true),
        ] {
            assert_eq!(
                ports_short(rate, range).is_some(),
                short,
                "{rate} {range:?}"
            );
        }
        let said = ports_short(1_000.0, usual).unwrap();
        for part in [
            "1000 new",
            "60000 local ports",
            "28232 (32768-60999)",
            "keep",
            "range",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn the_range_is_read_as_the_kernel_writes_it() {
        assert_eq!(range_of("32768\t60999\n"), Some((32_768, 60_999)));
        for text in ["", "32768", "x y", "2 1", "1 70000"] {
            assert_eq!(range_of(text), None, "{text}");
        }
        assert!(local_ports().is_some(), "Linux says it");
    }
}
