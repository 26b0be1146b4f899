//! Requests from the command line: `--request 'GET /path'` instead of a recording.

use super::{LineFault, Method, Recorded, Request, endpoint::endpoint, line, redact::masked};
use crate::text::printable_cut;

/// Why a request on the command line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a request: {cause}; write it as 'GET /path' or '/path'")]
pub struct SingleError {
    text: String,
    cause: String,
}

/// Reads `METHOD /path` or `/path`, which is a `GET`; the offset is 0 and any status below
/// 400 is success.
///
/// # Errors
/// When the method or the path cannot be sent.
pub fn parse_request(text: &str) -> Result<Request, SingleError> {
    let refuse = |cause: String| SingleError {
        text: printable_cut(&masked(text), 80),
        cause,
    };
    let trimmed = text.trim();
    let (method, path) = match trimmed.split_once(' ') {
        Some((method, path)) => (method, path.trim_start()),
        None => ("GET", trimmed),
    };
    let method = Method::try_from(method.to_ascii_uppercase()).map_err(refuse)?;
    let request = Request {
        offset_ns: 0,
        session: String::new(),
        endpoint: endpoint(&method, path),
        method,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        expect_status: None,
        recorded: Recorded::default(),
    };
    line::check(&request).map_err(|fault| {
        refuse(match fault {
            LineFault::Path(_, why) => format!("its path {why}"),
            other => other.to_string(),
        })
    })?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_optional_and_a_path_is_not() {
        for (text, method, path) in [
            ("GET /a", "GET", "/a"),
            ("/a?b=c", "GET", "/a?b=c"),
            (" post  /a ", "POST", "/a"),
        ] {
            let request = parse_request(text).unwrap();
            assert_eq!(
                (request.method.as_str(), request.path.as_str()),
                (method, path)
            );
        }
        for text in [
            "",
            "GET",
            "GET a",
            "/a b",
            "G\u{1b}T /",
            "GET http://x/",
            "GET /\r\nX: y",
            "GET a?token=hunter2",
        ] {
            let error = parse_request(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("'GET /path'"), "{error}");
            assert!(!error.contains(['\r', '\u{1b}']), "{error:?}");
        }
    }
}
