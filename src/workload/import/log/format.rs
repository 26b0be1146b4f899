//! Which format a log is in: named, given as the server's own setting, or found out line by line.

use std::str::FromStr;

use super::{
    apache, haproxy,
    json::{self, Map},
    nginx,
    pattern::{Escape, Pattern},
};
use crate::workload::import::draft::{Draft, Unfit};

/// What a line of a log looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Whatever of the known formats fits the line.
    #[default]
    Auto,
    /// One of [`NAMES`].
    Named(String),
    /// A `log_format` of nginx, alone or as the whole statement.
    Nginx(String),
    /// A `LogFormat` of Apache, alone or as the whole statement.
    Apache(String),
    /// JSON lines, read by a map `time=ts,method=req.method,…`.
    Json(String),
}

/// Why a format cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FormatError(String);

/// The names of formats that need no further word.
pub const NAMES: &[&str] = &[
    "auto",
    "combined",
    "common",
    "vhost",
    "alb",
    "envoy",
    "haproxy",
    "caddy",
    "traefik",
    "gcp",
    "envoy-json",
    "nginx-json",
];

impl FromStr for LogFormat {
    type Err = FormatError;

    fn from_str(name: &str) -> Result<Self, FormatError> {
        match name {
            "auto" => Ok(Self::Auto),
            _ if NAMES.contains(&name) => Ok(Self::Named(name.to_owned())),
            _ => Err(FormatError(format!(
                "`{}` is no known format; choose one of {}, or give --nginx-format, \
                 --apache-format or --json-map",
                crate::text::printable_cut(name, 40),
                NAMES.join(", ")
            ))),
        }
    }
}

/// Lines of fixed fields by name. Where a server's documentation has several versions, all of
/// them, the longest first.
const TEMPLATES: &[(&str, Escape, &str)] = &[
    // First, because to `combined` a host would be a client.
    (
        "vhost",
        Escape::Backslash,
        "{host} {client} {_} {user} [{time}] \"{request}\" {status} {_} \"{header.referer}\" \
         \"{header.user-agent}\"",
    ),
    // nginx's `main`, which adds the addresses that a proxy has passed on.
    (
        "combined",
        Escape::Backslash,
        "{client} {_} {user} [{time}] \"{request}\" {status} {size} \"{header.referer}\" \
         \"{header.user-agent}\" \"{forwarded}\"",
    ),
    (
        "combined",
        Escape::Backslash,
        "{client} {_} {user} [{time}] \"{request}\" {status} {size} \"{header.referer}\" \
         \"{header.user-agent}\"",
    ),
    (
        "common",
        Escape::Backslash,
        "{client} {_} {user} [{time}] \"{request}\" {status} {size}",
    ),
    (
        "alb",
        Escape::Backslash,
        "{_} {_} {_} {client_port} {_} {dur_s} {dur_s} {dur_s} {status} {_} {_} {_} \
         \"{request}\" \"{header.user-agent}\" {_} {_} {_} \"{_}\" \"{host}\" \"{_}\" {_} {time} \
         \"{_}\"",
    ),
    // Istio's default, which adds why an answer was made up and why a connection ended.
    (
        "envoy",
        Escape::Plain,
        "[{time}] \"{request}\" {status} {_} {_} {_} \"{_}\" {_} {size} {dur_ms} {_} \
         \"{forwarded}\" \"{header.user-agent}\" \"{_}\" \"{host}\"",
    ),
    (
        "envoy",
        Escape::Plain,
        "[{time}] \"{request}\" {status} {_} {_} {size} {dur_ms} {_} \"{forwarded}\" \
         \"{header.user-agent}\" \"{_}\" \"{host}\"",
    ),
];

/// Reads lines of a format.
pub(super) enum Reader {
    One(Box<Pattern>),
    Json(Vec<Map>),
    /// Formats that are tried one after the other, the last that fitted first.
    Any {
        patterns: Vec<Pattern>,
        with_haproxy: bool,
        maps: Vec<Map>,
    },
}

impl Reader {
    /// Compiles a format.
    ///
    /// # Errors
    /// When lines of it could not be read back.
    pub(super) fn new(format: &LogFormat) -> Result<Self, FormatError> {
        let refuse = |flag: &str, why: String| {
            let why = crate::text::printable_cut(&why, 400);
            FormatError(format!("{flag} cannot be used: {why}"))
        };
        Ok(match format {
            LogFormat::Auto => Self::Any {
                patterns: templates(|_| true),
                with_haproxy: true,
                maps: Map::all_known(),
            },
            LogFormat::Named(name) if name == "auto" => return Self::new(&LogFormat::Auto),
            LogFormat::Named(name) => match Map::known(name) {
                Some(map) => Self::Json(vec![map]),
                None => Self::Any {
                    patterns: templates(|it| it == name),
                    with_haproxy: name == "haproxy",
                    maps: Vec::new(),
                },
            },
            LogFormat::Nginx(text) => Self::One(Box::new(
                nginx::compile(text).map_err(|why| refuse("--nginx-format", why))?,
            )),
            LogFormat::Apache(text) => Self::One(Box::new(
                apache::compile(text).map_err(|why| refuse("--apache-format", why))?,
            )),
            LogFormat::Json(text) => Self::Json(vec![
                Map::parse(text).map_err(|why| refuse("--json-map", why))?,
            ]),
        })
    }

    /// Takes a line apart; `last` is the place of the format that fitted the line before.
    /// `None` when the line is sound and no request.
    ///
    /// # Errors
    /// When the line is not of the format.
    pub(super) fn read<'a>(
        &self,
        line: &'a [u8],
        last: &mut usize,
    ) -> Result<Option<Draft<'a>>, Unfit> {
        const UNFIT: Unfit = "it fits no known format; give --nginx-format, --apache-format or \
            --json-map";
        match self {
            Self::One(pattern) => pattern.read(line).map(Some),
            Self::Json(maps) => by_maps(maps, line),
            Self::Any { maps, .. } if !maps.is_empty() && line.starts_with(b"{") => {
                by_maps(maps, line)
            }
            Self::Any {
                patterns,
                with_haproxy,
                ..
            } => {
                if let Some(draft) = patterns.get(*last).and_then(|it| it.read(line).ok()) {
                    return Ok(Some(draft));
                }
                for (number, pattern) in patterns.iter().enumerate() {
                    if let Ok(draft) = pattern.read(line) {
                        *last = number;
                        return Ok(Some(draft));
                    }
                }
                let draft = Some(haproxy::read(line)).filter(|_| *with_haproxy);
                let draft = draft.and_then(Result::ok).ok_or(UNFIT)?;
                *last = patterns.len();
                Ok(Some(draft))
            }
        }
    }
}

fn templates(wanted: impl Fn(&str) -> bool) -> Vec<Pattern> {
    let rows = TEMPLATES.iter().filter(|(name, ..)| wanted(name));
    let rows = rows.map(|(_, escape, text)| Pattern::template(text, *escape));
    rows.map(|row| row.expect("a test compiles each of them"))
        .collect()
}

/// The first map that finds a request in the object.
fn by_maps(maps: &[Map], line: &[u8]) -> Result<Option<Draft<'static>>, Unfit> {
    let object = json::parse(line)?;
    for map in maps {
        if let Some(draft) = map.read(&object)? {
            return Ok(Some(draft));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_format_and_others_are_refused() {
        for name in NAMES {
            let format: LogFormat = name.parse().unwrap();
            match Reader::new(&format).unwrap() {
                Reader::Json(maps) => assert_eq!(maps.len(), 1, "{name}"),
                Reader::Any {
                    patterns,
                    with_haproxy,
                    ..
                } => assert!(with_haproxy || !patterns.is_empty(), "{name}"),
                Reader::One(_) => panic!("{name}"),
            }
        }
        let error = "nginx\u{1b}".parse::<LogFormat>().unwrap_err().to_string();
        assert!(error.contains("combined") && !error.contains('\u{1b}'));
    }

    #[test]
    fn a_format_of_the_user_that_cannot_be_read_names_its_flag() {
        for (format, said) in [
            (LogFormat::Nginx("$status".into()), "--nginx-format cannot"),
            (LogFormat::Apache("%s".into()), "--apache-format cannot"),
            (LogFormat::Json("status=s".into()), "--json-map cannot"),
        ] {
            let error = Reader::new(&format).err().unwrap().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
