//! What a field of a log or a column of a table may mean, whatever it is called there.

use super::stamp::Clock;
use crate::units::SECOND_NS;

/// The meaning of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    /// Passed over.
    Ignored,
    /// A stamp, and whether it is of the end of the request.
    Time(Clock, bool),
    /// Address of the client.
    Client,
    /// Address of the client with its port.
    ClientPort,
    /// Addresses that a proxy has passed on.
    Forwarded,
    /// Name from a log-in, `-` for none.
    User,
    /// A name of the client that tells it apart better than its address.
    Session,
    /// `GET /path HTTP/1.1`.
    Request,
    /// The method alone.
    Method,
    /// A path with or without its query, or a URL.
    Path,
    /// A path that the server has decoded.
    DecodedPath,
    /// A decoded path with `?` and query, or with `-` where there is no query.
    DecodedPathAndQuery,
    /// A query with or without its `?`.
    Query,
    /// The host that was asked.
    Host,
    /// The status of the answer.
    Status,
    /// The bytes of its body.
    Size,
    /// How long it took, in units of so many nanoseconds; several are added.
    Duration(u64),
    /// A header field of the request.
    Header(String),
    /// All header fields of the request, as an object.
    Headers,
    /// The body of the request.
    Body,
}

impl Field {
    /// The field of this name in maps and templates.
    pub(super) fn named(name: &str) -> Option<Self> {
        if let Some(header) = name.strip_prefix("header.") {
            return (!header.is_empty()).then(|| Self::Header(header.to_ascii_lowercase()));
        }
        Some(match name {
            "_" => Self::Ignored,
            "time" => Self::Time(Clock::Auto, false),
            "end" => Self::Time(Clock::Auto, true),
            "client" => Self::Client,
            "client_port" => Self::ClientPort,
            "forwarded" => Self::Forwarded,
            "user" => Self::User,
            "session" => Self::Session,
            "request" => Self::Request,
            "method" => Self::Method,
            "path" | "url" | "uri" => Self::Path,
            "path_decoded" => Self::DecodedPath,
            "query" => Self::Query,
            "host" => Self::Host,
            "status" => Self::Status,
            "size" => Self::Size,
            "dur_s" => Self::Duration(SECOND_NS),
            "dur_ms" => Self::Duration(1_000_000),
            "dur_us" => Self::Duration(1_000),
            "dur_ns" => Self::Duration(1),
            "headers" => Self::Headers,
            "body" => Self::Body,
            _ => return None,
        })
    }

    /// Whether a log that has these fields tells what was asked.
    pub(super) fn name_a_request<'a>(fields: &(impl Iterator<Item = &'a Self> + Clone)) -> bool {
        let has = |wanted: &[Self]| fields.clone().any(|field| wanted.contains(field));
        let paths = [Self::Path, Self::DecodedPath, Self::DecodedPathAndQuery];
        has(&[Self::Request]) || (has(&[Self::Method]) && has(&paths))
    }
}

/// The names that [`Field::named`] knows, for messages.
pub(super) const NAMES: &str = "time, end, client, client_port, forwarded, user, session, \
    request, method, path, path_decoded, query, host, status, size, dur_s, dur_ms, dur_us, \
    dur_ns, headers, header.NAME, body";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_promised_is_known() {
        for name in NAMES.split(", ") {
            assert!(Field::named(name).is_some(), "{name}");
        }
        assert_eq!(Field::named("header."), None);
        assert_eq!(Field::named("timestamp"), None);
    }

    #[test]
    fn a_request_needs_a_line_or_both_of_its_parts() {
        let named = |names: &[&str]| {
            let fields: Vec<Field> = names.iter().filter_map(|it| Field::named(it)).collect();
            Field::name_a_request(&fields.iter())
        };
        assert!(named(&["request"]) && named(&["method", "path"]));
        assert!(!named(&["path"]) && !named(&["method", "time"]));
    }
}
