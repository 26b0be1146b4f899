//! Importing targets of vegeta: JSON lines, or its HTTP format with body files.
//!
//! After vegeta's `lib/targets.go` and `lib/target.schema.json`. Targets have no instants. Body
//! files are read by the caller, who knows which folder they may lie in.

use std::io::{BufRead, Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::{
    ImportError, ImportOptions, Imported, Unit,
    gather::{
        Found, Gather,
        Rejected::{self, Malformed, Policy},
    },
    input::{self, Budget, Line, Lines, read_error},
    message::{header, method, without_end},
    unique::Unique,
    uri,
};
use crate::workload::{Header, Recorded, Request, rules::Offers};

/// The longest line, in bytes: a body of 8 MiB in base 64, and the rest.
const LONGEST_LINE: usize = 12 << 20;

const UNIT: Unit = Unit {
    one: "target",
    many: "targets",
    first: 1,
};

const TOO_LONG: Rejected = Policy("the line is longer than 12 MiB");

/// Why a body file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// It lies outside the folder in which body files may lie.
    Outside,
    /// It cannot be read.
    Unreadable,
    /// It has more than 8 MiB.
    TooLarge,
}

impl BodyFault {
    fn reason(self) -> Rejected {
        Policy(match self {
            Self::Outside => "its body file lies outside the folder of the targets (see --bodies)",
            Self::Unreadable => "its body file cannot be read",
            Self::TooLarge => "its body file is larger than 8 MiB",
        })
    }
}

/// Reads the body file of this name.
pub type Bodies<'a> = dyn FnMut(&str) -> Result<Vec<u8>, BodyFault> + 'a;

/// Reads targets and makes a clean workload of them, in the order of the file; `.gz` and `.zst`
/// are recognised.
///
/// # Errors
/// When the file cannot be read, or nothing in it can be replayed.
pub fn import_vegeta(
    file: impl Read,
    bodies: &mut Bodies,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let mut gather = Gather::new(UNIT);
    let mut reader = input::open(file, &Budget::new(options.max_input))?;
    let start = reader.fill_buf().map_err(read_error)?;
    let is_json = start.trim_ascii_start().first() == Some(&b'{');
    let mut lines = Lines::new(reader, LONGEST_LINE);
    if is_json {
        while let Some(line) = lines.next_line()? {
            let target = match line {
                Line::Whole(line) if line.trim_ascii().is_empty() => continue,
                Line::Whole(line) => json(line),
                Line::TooLong => Err(TOO_LONG),
            };
            add(&mut gather, target);
        }
    } else {
        http(&mut lines, bodies, &mut gather)?;
    }
    gather.finish("vegeta", options)
}

/// A target as written.
struct Target {
    method: String,
    url: String,
    headers: Vec<Header>,
    body: Vec<u8>,
}

fn add(gather: &mut Gather, target: Result<Target, Rejected>) {
    let position = gather.next_entry();
    let found = target.and_then(|target| found(target, position));
    gather.take(position, found);
}

fn found(target: Target, position: u64) -> Result<Found, Rejected> {
    let method = method(&target.method)?;
    let uri = uri::parse(target.url.as_bytes())?;
    without_end(&target.headers)?;
    let host = header(&target.headers, "host").and_then(uri::host_of);
    let request = Request {
        offset_ns: 0,
        session: String::new(),
        method,
        path: uri.path,
        headers: target.headers,
        body: target.body,
        expect_status: None,
        endpoint: String::new(),
        recorded: Recorded::default(),
    };
    Ok(Found {
        position,
        host: host.unwrap_or(uri.host),
        started_ns: None,
        // Targets belong to nobody, so that none has to wait for another.
        client: position.to_string(),
        request,
        notes: Vec::new(),
        offers: Offers::default(),
    })
}

fn json(line: &[u8]) -> Result<Target, Rejected> {
    const NO_OBJECT: Rejected = Malformed("the line is no JSON object");
    let object = match serde_json::from_slice(line) {
        Ok(Unique(Value::Object(object))) => object,
        Err(error) if error.is_data() => return Err(Malformed("a key of it is there twice")),
        _ => return Err(NO_OBJECT),
    };
    let mut target = Target {
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    for (key, value) in object {
        match (key.as_str(), value) {
            ("method", Value::String(text)) => target.method = text,
            ("url", Value::String(text)) => target.url = text,
            ("body", Value::String(text)) => {
                let body = STANDARD.decode(text);
                target.body = body.map_err(|_| Malformed("its body is not base 64"))?;
            }
            ("header", Value::Object(fields)) => target.headers = headers(fields)?,
            ("body" | "header", Value::Null) => {}
            ("method" | "url" | "body" | "header", _) => {
                return Err(Malformed("a value is of the wrong kind"));
            }
            _ => return Err(Malformed("it has a key that vegeta does not know")),
        }
    }
    Ok(target)
}

fn headers(fields: Map<String, Value>) -> Result<Vec<Header>, Rejected> {
    let mut headers = Vec::new();
    for (name, values) in fields {
        let values = match values {
            Value::Array(values) => values,
            one => vec![one],
        };
        for value in values {
            let Value::String(value) = value else {
                return Err(Malformed("the value of a header field is no text"));
            };
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

/// A target of the HTTP format that is not yet complete, or why it never will be.
type Open = Option<Result<Target, Rejected>>;

fn http<R: BufRead>(
    lines: &mut Lines<R>,
    bodies: &mut Bodies,
    gather: &mut Gather,
) -> Result<(), ImportError> {
    let mut open: Open = None;
    let mut is_first = false;
    while let Some(line) = lines.next_line()? {
        let Line::Whole(line) = line else {
            open = open.or(Some(Err(TOO_LONG))).map(|_| Err(TOO_LONG));
            continue;
        };
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let begins = open.is_none() || (is_first && has_method(line));
        is_first = false;
        if line.starts_with('#') {
            continue;
        }
        if line.is_empty() {
            close(&mut open, gather);
        } else if begins {
            close(&mut open, gather);
            open = Some(first_line(line));
            is_first = true;
        } else if let Some(name) = line.strip_prefix('@') {
            if let Some(Ok(target)) = &mut open {
                match bodies(name) {
                    Ok(body) => target.body = body,
                    Err(fault) => open = Some(Err(fault.reason())),
                }
            }
            close(&mut open, gather);
        } else if let Some(Ok(target)) = &mut open {
            match line.split_once(':') {
                Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                    let field = (name.trim().to_owned(), value.trim().to_owned());
                    target.headers.push(field);
                }
                _ => open = Some(Err(Malformed("a line of it is not `Name: value`"))),
            }
        }
    }
    close(&mut open, gather);
    Ok(())
}

fn close(open: &mut Open, gather: &mut Gather) {
    if let Some(target) = open.take() {
        add(gather, target);
    }
}

fn first_line(line: &str) -> Result<Target, Rejected> {
    let (method, url) = line
        .split_once(char::is_whitespace)
        .filter(|_| has_method(line))
        .ok_or(Malformed("its first line is not `METHOD URL`"))?;
    Ok(Target {
        method: method.to_owned(),
        url: url.trim().to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    })
}

/// Whether the line begins with capital letters and a space.
fn has_method(line: &str) -> bool {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_uppercase());
    rest.len() < line.len() && rest.starts_with(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> Imported {
        let mut bodies = |name: &str| match name {
            "body.json" => Ok(b"{\"a\":1}".to_vec()),
            "big" => Err(BodyFault::TooLarge),
            "../secret" => Err(BodyFault::Outside),
            _ => Err(BodyFault::Unreadable),
        };
        let options = ImportOptions {
            lenient: true,
            ..ImportOptions::default()
        };
        import_vegeta(text.as_bytes(), &mut bodies, &options).unwrap()
    }

    fn shown(imported: &Imported) -> Vec<String> {
        let requests = imported.requests.iter();
        let shown = requests.map(|request| {
            let headers: Vec<String> = request
                .headers
                .iter()
                .map(|(n, v)| format!("{n}={v}"))
                .collect();
            let body = String::from_utf8_lossy(&request.body);
            let method = request.method.as_str();
            format!("{method} {} [{}] {body}", request.path, headers.join(" "))
        });
        shown.collect()
    }

    #[test]
    fn the_http_format_is_read_as_vegeta_reads_it() {
        let text = "# a comment\n\nGET http://a.example/1\nPOST http://a.example/2\r\n\
            Content-Type: application/json\n# between\nX-a: b:c\n@body.json\n\
            DELETE http://a.example/3\n\nPUT http://a.example/4\n@../secret\n\
            PUT http://a.example/5\n@gone\nPUT http://a.example/6\n@big\n\
            nonsense\n\nGET http://a.example/7\nnonsense\n\nGET http://a.example/8";
        let imported = import(text);
        assert_eq!(
            shown(&imported),
            [
                "GET /1 [] ",
                "POST /2 [Content-Type=application/json X-a=b:c] {\"a\":1}",
                "DELETE /3 [] ",
                "GET /8 [] ",
            ]
        );
        let summary = &imported.summary;
        assert_eq!((summary.read, summary.kept, summary.malformed()), (9, 4, 2));
        let reasons: Vec<&str> = summary.skipped.keys().copied().collect();
        assert_eq!(
            reasons,
            [
                "a line of it is not `Name: value`",
                "its body file cannot be read",
                "its body file is larger than 8 MiB",
                "its body file lies outside the folder of the targets (see --bodies)",
                "its first line is not `METHOD URL`",
            ]
        );
        let sessions: Vec<&str> = imported
            .requests
            .iter()
            .map(|it| it.session.as_str())
            .collect();
        assert_eq!(sessions, ["s1", "s2", "s3", "s4"]);
    }

    #[test]
    fn json_targets_are_read_and_unknown_keys_refused() {
        let text = r#"
{"method":"POST","url":"http://b/1?x=2","body":"aGk=","header":{"X":["1","2"],"Host":["a.example"]}}

{"method":"GET","url":"http://a.example/2","headers":{"X":["1"]}}
{"method":"GET","url":"http://a.example/3","body":"?"}
{"method":"GET","url":"http://a.example/4","header":{"X":[1]}}
{"method":"GET","url":7}
{"method":"GET","url":"http://other.example/5"}
[1]
{"method":"GET","url":"http://a.example/6","body":null}
{"method":"GET","url":"http://a.example/7","url":"http://a.example/8"}"#;
        let imported = import(text);
        let expected = ["POST /1?x=2 [X=1 X=2] hi", "GET /6 [] "];
        assert_eq!(shown(&imported), expected);
        let summary = &imported.summary;
        assert_eq!((summary.read, summary.malformed()), (9, 6));
        assert_eq!(summary.skipped["other host"].samples, [5]);
    }
}
