//! Which requests of a workload are taken: by endpoint, method, time, and by lot.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use super::{Method, Request, pattern::Pattern};
use crate::units::Span;

/// A part of the recorded time, from the first request of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Requests from here on, in nanoseconds.
    pub from_ns: u64,
    /// Requests before this, in nanoseconds; `None` is to the end.
    pub to_ns: Option<u64>,
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is no window; write it as 10m..20m, 10m.. or ..20m");
        let (from, to) = text.split_once("..").ok_or_else(refuse)?;
        let span = |text: &str| -> Result<u64, String> {
            let span: Span = text.trim().parse().map_err(|_| refuse())?;
            Ok(span.ns())
        };
        let from_ns = if from.trim().is_empty() {
            0
        } else {
            span(from)?
        };
        let to_ns = match to.trim() {
            "" => None,
            to => Some(span(to)?),
        };
        if to_ns.is_some_and(|to_ns| to_ns <= from_ns) || (from_ns, to_ns) == (0, None) {
            return Err(refuse());
        }
        Ok(Self { from_ns, to_ns })
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from_ns > 0 {
            write!(f, "{}", Span::from_ns(self.from_ns))?;
        }
        f.write_str("..")?;
        match self.to_ns {
            Some(to_ns) => write!(f, "{}", Span::from_ns(to_ns)),
            None => Ok(()),
        }
    }
}

/// What is drawn by lot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Whole sessions, so that each that is taken stays complete.
    Session,
    /// Single requests.
    Request,
}

/// A share of a workload, drawn by lot: the same seed draws the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draw {
    /// What is drawn.
    pub by: By,
    /// Of the lots.
    pub seed: u64,
    /// Lots below this are taken.
    pub(super) below: u64,
    /// Lots that are taken besides, for endpoints that are rare.
    pub(super) besides: Arc<BTreeSet<u64>>,
}

impl Draw {
    /// The lot of a request, which comes at this place of the workload. Without a session, each
    /// request is its own.
    pub(super) fn lot(by: By, seed: u64, request: &Request, index: u64) -> u64 {
        match by {
            By::Session if !request.session.is_empty() => lot(seed, request.session.as_bytes()),
            _ => lot(seed, &index.to_be_bytes()),
        }
    }

    pub(super) fn takes(&self, lot: u64) -> bool {
        lot < self.below || self.besides.contains(&lot)
    }
}

/// Evenly spread and the same in every version: FNV-1a, then the finalizer of `MurmurHash3`.
fn lot(seed: u64, key: &[u8]) -> u64 {
    let seed = seed.to_be_bytes();
    let bytes = seed.iter().chain(key);
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        hash = (hash ^ (hash >> 33)).wrapping_mul(factor);
    }
    hash ^ (hash >> 33)
}

/// Which requests are taken; the default takes all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Patterns of endpoints, such as `GET /cart`, `/cart` or `*/orders/*`; none takes all.
    pub endpoints: Vec<Pattern>,
    /// Methods; none takes all.
    pub methods: Vec<Method>,
    /// The part of the recorded time.
    pub window: Option<Window>,
    /// By lot, of what is left then.
    pub draw: Option<Draw>,
}

impl Filter {
    /// Whether it takes everything.
    pub fn takes_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the request is taken, before any lots are drawn.
    pub(super) fn takes(&self, request: &Request) -> bool {
        let window = self
            .window
            .is_none_or(|window| window.from_ns <= request.offset_ns);
        let method = self.methods.is_empty() || self.methods.contains(&request.method);
        window && method && self.takes_endpoint(&request.endpoint)
    }

    fn takes_endpoint(&self, endpoint: &str) -> bool {
        let path = endpoint.split_once(' ').map_or(endpoint, |(_, path)| path);
        let fits = |pattern: &Pattern| pattern.matches(endpoint) || pattern.matches(path);
        self.endpoints.is_empty() || self.endpoints.iter().any(fits)
    }

    /// Whether nothing comes from this instant on.
    pub(super) fn ends_before(&self, offset_ns: u64) -> bool {
        let to_ns = self.window.and_then(|window| window.to_ns);
        to_ns.is_some_and(|to_ns| to_ns <= offset_ns)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said: Vec<String> = self.endpoints.iter().map(ToString::to_string).collect();
        said.extend(self.methods.iter().map(|method| method.as_str().to_owned()));
        said.extend(self.window.map(|window| window.to_string()));
        if let Some(draw) = &self.draw {
            let share = crate::units::count(draw.below) / crate::units::count(u64::MAX);
            let what = match draw.by {
                By::Session => "sessions",
                By::Request => "requests",
            };
            said.push(format!(
                "{:.3} % of the {what}, seed {}",
                100.0 * share,
                draw.seed
            ));
        }
        write!(f, "only {}", said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse_request;

    #[test]
    fn a_window_has_a_beginning_or_an_end() {
        let window = |text: &str| text.parse::<Window>();
        let ten = 600_000_000_000;
        assert_eq!(
            window("10m..20m"),
            Ok(Window {
                from_ns: ten,
                to_ns: Some(2 * ten)
            })
        );
        assert_eq!(
            window("10m.."),
            Ok(Window {
                from_ns: ten,
                to_ns: None
            })
        );
        assert_eq!(window("..10m").unwrap().to_string(), "..10m");
        for bad in ["", "..", "10m", "20m..10m", "1..2", "0s.."] {
            assert!(window(bad).unwrap_err().contains("10m..20m"), "{bad}");
        }
    }

    #[test]
    fn requests_pass_by_endpoint_method_and_time() {
        let mut request = parse_request("POST /cart/7").unwrap();
        request.offset_ns = 5;
        let with = |endpoints: &[&str], methods: &[&str], window: Option<(u64, u64)>| Filter {
            endpoints: endpoints.iter().map(|it| it.parse().unwrap()).collect(),
            methods: methods
                .iter()
                .map(|it| Method::try_from((*it).to_owned()).unwrap())
                .collect(),
            window: window.map(|(from_ns, to_ns)| Window {
                from_ns,
                to_ns: Some(to_ns),
            }),
            draw: None,
        };
        for (filter, takes) in [
            (with(&[], &[], None), true),
            (with(&["POST /cart/{id}"], &[], None), true),
            (
                with(&["/cart/*", "/x"], &["GET", "POST"], Some((5, 6))),
                true,
            ),
            (with(&["GET /cart/*"], &[], None), false),
            (with(&[], &["GET"], None), false),
            (with(&[], &[], Some((6, 9))), false),
        ] {
            assert_eq!(filter.takes(&request), takes, "{filter}");
        }
        assert!(with(&[], &[], Some((0, 5))).ends_before(5));
    }

    #[test]
    fn lots_are_even_and_the_same_for_a_whole_session() {
        let below = u64::MAX / 10;
        let mut request = parse_request("/").unwrap();
        let mut taken = 0;
        for i in 0..20_000 {
            request.session = format!("s{i}");
            let lot = Draw::lot(By::Session, 7, &request, i);
            assert_eq!(lot, Draw::lot(By::Session, 7, &request, i + 1));
            taken += u64::from(lot < below);
        }
        assert!((1_850..2_150).contains(&taken), "{taken}");
        request.session.clear();
        let lot = |index| Draw::lot(By::Session, 7, &request, index);
        assert_ne!(lot(1), lot(2));
    }
}
