//! How a planned request ended: a closed list of classes with stable names.
//!
//! `local_*`, `not_sent_cap` and `not_sent_late` count against the generator, all else against the
//! target.

use serde::{Deserialize, Serialize};

/// Heads of answers larger than this many bytes are refused.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Heads of answers with more fields than this are refused.
pub const HEAD_FIELDS_MAX: usize = 256;
/// Bodies of answers larger than this many bytes are refused.
pub const BODY_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The four sums of the conservation law: `scheduled = sent + not_sent` and
/// `sent = ok + http_error + transport_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Answered as expected.
    Ok,
    /// Answered with another status than expected.
    HttpError,
    /// Sent, but no complete answer came.
    TransportError,
    /// Planned, never sent.
    NotSent,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $group:ident,)*) => {
        /// How one planned request ended. The names are a contract of the run file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Class {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Class {
            /// Every class, in the order of reports.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable name used in files and reports.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Which sum of the conservation law it belongs to.
            pub fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group),* }
            }
        }
    };
}

classes! {
    /// The recorded status, or any status below 400 where none was recorded.
    Ok = "ok" in Ok,
    /// 4xx, other than recorded.
    Http4xx = "http_4xx" in HttpError,
    /// 5xx, other than recorded.
    Http5xx = "http_5xx" in HttpError,
    /// 429, or 503 with `Retry-After`: a limiter answered instead of the service.
    Throttled = "throttled" in HttpError,
    /// A status below 400 that differs from the recorded one.
    UnexpectedStatus = "unexpected_status" in HttpError,
    /// Nobody listens at the address.
    ConnectRefused = "connect_refused" in TransportError,
    /// No connection within the connect time-out.
    ConnectTimeout = "connect_timeout" in TransportError,
    /// No route to the address.
    ConnectUnreachable = "connect_unreachable" in TransportError,
    /// Reset while connecting.
    ConnectReset = "connect_reset" in TransportError,
    /// The TLS handshake failed.
    TlsHandshake = "tls_handshake" in TransportError,
    /// The certificate has expired or is not valid yet.
    TlsExpired = "tls_expired" in TransportError,
    /// The certificate is for another name.
    TlsName = "tls_name" in TransportError,
    /// The certificate's issuer is not trusted.
    TlsUntrusted = "tls_untrusted" in TransportError,
    /// Reset while the request was written.
    WriteReset = "write_reset" in TransportError,
    /// Closed before the first byte of an answer, on a new connection.
    ClosedBeforeResponse = "closed_before_response" in TransportError,
    /// The same on a reused connection: the keep-alive race.
    ClosedReused = "closed_reused" in TransportError,
    /// No complete head of an answer within the header time-out.
    HeaderTimeout = "header_timeout" in TransportError,
    /// The body stood still for longer than the idle time-out.
    BodyIdleTimeout = "body_idle_timeout" in TransportError,
    /// Not finished within the total time-out.
    TotalTimeout = "total_timeout" in TransportError,
    /// The connection ended inside the body.
    TruncatedBody = "truncated_body" in TransportError,
    /// Bytes that are no HTTP answer, or bytes nobody asked for.
    MalformedHttp = "malformed_http" in TransportError,
    /// The head is larger than the limit.
    HeadersTooLarge = "headers_too_large" in TransportError,
    /// The body is larger than the limit.
    BodyTooLarge = "body_too_large" in TransportError,
    /// The server closes the HTTP/2 connection and has not looked at the request, or never
    /// finished it.
    H2Goaway = "h2_goaway" in TransportError,
    /// The server reset the HTTP/2 stream.
    H2StreamReset = "h2_stream_reset" in TransportError,
    /// The server broke HTTP/2.
    H2Protocol = "h2_protocol" in TransportError,
    /// In flight when the run was stopped.
    Aborted = "aborted" in TransportError,
    /// No local port was free: the generator's fault.
    LocalPorts = "local_ports" in TransportError,
    /// No file descriptor was free: the generator's fault.
    LocalFds = "local_fds" in TransportError,
    /// Another local error: the generator's fault.
    LocalOther = "local_other" in TransportError,
    /// More would have been in flight than the cap allows.
    NotSentCap = "not_sent_cap" in NotSent,
    /// The generator came too late to send it honestly.
    NotSentLate = "not_sent_late" in NotSent,
    /// No answer brought the value that it needs: the target's fault.
    NotSentValue = "not_sent_value" in NotSent,
}

impl Class {
    /// Whether the generator, and not the target, is to blame.
    pub fn is_ours(self) -> bool {
        matches!(
            self,
            Self::LocalPorts | Self::LocalFds | Self::LocalOther | Self::NotSentLate
        )
    }

    /// Whether the target gave no sign of life: nobody there, or nothing said.
    pub fn is_unanswered(self) -> bool {
        match self {
            Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ConnectUnreachable
            | Self::ConnectReset
            | Self::TlsHandshake
            | Self::TlsExpired
            | Self::TlsName
            | Self::TlsUntrusted
            | Self::WriteReset
            | Self::ClosedBeforeResponse
            | Self::ClosedReused
            | Self::HeaderTimeout
            | Self::TotalTimeout => true,
            Self::Ok
            | Self::Http4xx
            | Self::Http5xx
            | Self::Throttled
            | Self::UnexpectedStatus
            | Self::BodyIdleTimeout
            | Self::TruncatedBody
            | Self::MalformedHttp
            | Self::HeadersTooLarge
            | Self::BodyTooLarge
            | Self::Aborted
            | Self::LocalPorts
            | Self::LocalFds
            | Self::LocalOther
            | Self::NotSentCap
            | Self::NotSentLate
            | Self::NotSentValue
            | Self::H2Goaway
            | Self::H2StreamReset
            | Self::H2Protocol => false,
        }
    }

    /// The class of a complete answer.
    pub fn of_status(status: u16, expected: Option<u16>, retry_after: bool) -> Self {
        if expected == Some(status) || (expected.is_none() && status < 400) {
            return Self::Ok;
        }
        match status {
            429 => Self::Throttled,
            503 if retry_after => Self::Throttled,
            500.. => Self::Http5xx,
            400.. => Self::Http4xx,
            _ => Self::UnexpectedStatus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_status_is_success_whatever_it_is() {
        for (status, expected, retry_after, class) in [
            (200, None, false, Class::Ok),
            (302, None, false, Class::Ok),
            (404, Some(404), false, Class::Ok),
            (404, None, false, Class::Http4xx),
            (200, Some(404), false, Class::UnexpectedStatus),
            (429, None, false, Class::Throttled),
            (503, None, true, Class::Throttled),
            (503, None, false, Class::Http5xx),
            (500, Some(500), false, Class::Ok),
        ] {
            assert_eq!(
                Class::of_status(status, expected, retry_after),
                class,
                "{status}"
            );
        }
    }

    #[test]
    fn names_are_unique_and_survive_serialisation() {
        let mut seen = std::collections::BTreeSet::new();
        for class in Class::ALL {
            assert!(seen.insert(class.name()));
            let text = serde_json::to_string(class).unwrap();
            assert_eq!(text, format!("\"{}\"", class.name()));
            assert_eq!(serde_json::from_str::<Class>(&text).unwrap(), *class);
        }
    }
}
