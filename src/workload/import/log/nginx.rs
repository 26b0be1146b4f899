//! nginx's `log_format`, compiled: its variables and what they mean.
//!
//! nginx writes a line when a request ends, so each of its times is of the end
//! (`ngx_http_log_module.c`, `ngx_http_variables.c`).

use super::pattern::{Escape, Pattern, Piece};
use crate::{
    units::SECOND_NS,
    workload::import::{field::Field, stamp::Clock},
};

/// Compiles a format, given alone or as the whole statement of the configuration.
///
/// # Errors
/// When it cannot be read back; says why.
pub(super) fn compile(text: &str) -> Result<Pattern, String> {
    let (format, escape) = statement(text.trim())?;
    let mut pieces = Vec::new();
    let mut rest = format.as_str();
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at(at);
        text_piece(&mut pieces, before);
        let behind = &behind[1..];
        let (name, after) = if let Some(braced) = behind.strip_prefix('{') {
            braced.split_once('}').ok_or("`${` has no `}`")?
        } else {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = behind.find(|c| !plain(c)).unwrap_or(behind.len());
            behind.split_at(end)
        };
        if name.is_empty() {
            return Err("`$` stands alone; a variable has a name".to_owned());
        }
        pieces.push(Piece::Field(field(name), format!("${name}")));
        rest = after;
    }
    text_piece(&mut pieces, rest);
    Pattern::new(with_queries(pieces), escape)
}

fn text_piece(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

/// The format itself and its escaping, of a statement or of what stands in its quotes.
fn statement(text: &str) -> Result<(String, Escape), String> {
    let is_statement = text.split_whitespace().next() == Some("log_format");
    let words = match words(text) {
        Ok(words) if is_statement => words.into_iter().skip(2).collect(),
        Err(error) if is_statement => return Err(error),
        Ok(words) if words.iter().all(|(_, is_quoted)| *is_quoted) => words,
        _ => return Ok((text.to_owned(), Escape::Backslash)),
    };
    let mut escape = Escape::Backslash;
    let mut format = String::new();
    for (word, _) in words {
        match word.strip_prefix("escape=") {
            Some("none") => escape = Escape::Plain,
            Some(_) => {}
            None => format.push_str(&word),
        }
    }
    Ok((format, escape))
}

/// The words of a statement, and whether each was quoted.
fn words(text: &str) -> Result<Vec<(String, bool)>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with(';') {
        let quote = rest.chars().next().filter(|c| ['\'', '"'].contains(c));
        let (word, after) = if let Some(quote) = quote {
            quoted(&rest[1..], quote)?
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == ';');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            (word.to_owned(), after)
        };
        words.push((word, quote.is_some()));
        rest = after.trim_start();
    }
    Ok(words)
}

/// What stands between quotes, and what follows them.
fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, c)) if c == quote || c == '\\' => word.push(c),
                Some((_, 't')) => word.push('\t'),
                Some((_, c)) => word.extend(['\\', c]),
                None => break,
            },
            c if c == quote => return Ok((word, &text[at + 1..])),
            c => word.push(c),
        }
    }
    Err(format!("a quote {quote} is not closed"))
}

/// `$uri$is_args$args` is one field: its parts touch, and together they can be read.
fn with_queries(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    let mut pieces = pieces.into_iter().peekable();
    while let Some(piece) = pieces.next() {
        let is_mark = matches!(&piece, Piece::Field(_, name) if name == "$is_args");
        let is_path = matches!(joined.last(), Some(Piece::Field(Field::DecodedPath, _)));
        let has_query = matches!(pieces.peek(), Some(Piece::Field(Field::Query, _)));
        if is_mark && is_path && has_query {
            pieces.next();
            joined.pop();
            let name = "$uri$is_args$args".to_owned();
            joined.push(Piece::Field(Field::DecodedPathAndQuery, name));
        } else {
            joined.push(piece);
        }
    }
    joined
}

fn field(name: &str) -> Field {
    match name {
        "remote_addr" | "realip_remote_addr" | "binary_remote_addr" => Field::Client,
        "http_x_forwarded_for" | "proxy_add_x_forwarded_for" | "http_x_real_ip" => Field::Forwarded,
        "remote_user" => Field::User,
        "time_local" | "time_iso8601" => Field::Time(Clock::Auto, true),
        "msec" => Field::Time(Clock::Since1970(SECOND_NS), true),
        "request" => Field::Request,
        "request_method" => Field::Method,
        "request_uri" => Field::Path,
        "uri" | "document_uri" => Field::DecodedPath,
        "args" | "query_string" => Field::Query,
        "host" | "http_host" => Field::Host,
        "status" => Field::Status,
        "body_bytes_sent" => Field::Size,
        "request_time" => Field::Duration(SECOND_NS),
        "request_body" => Field::Body,
        "content_type" => Field::Header("content-type".to_owned()),
        _ => match name.strip_prefix("http_") {
            Some(header) => Field::Header(header.replace('_', "-")),
            None => Field::Ignored,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
                        $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

    #[test]
    fn a_statement_and_what_is_in_its_quotes_are_one_format() {
        let alone = compile(MAIN).unwrap();
        let statement = "log_format main '$remote_addr - $remote_user [$time_local] '\n\
             \t'\"$request\" '\n\
             \t'$status $body_bytes_sent \"$http_referer\" '\n    '\"$http_user_agent\"';";
        assert_eq!(compile(statement).unwrap(), alone);
        assert_eq!(compile(&format!("'{MAIN}'")).unwrap(), alone);
        let raw = compile("\"$request\" $status").unwrap();
        assert!(raw.read(b"\"GET / HTTP/1.1\" 200").is_ok());
        let json = "log_format j escape=json \"{\\\"r\\\":\\\"$request\\\"}\";";
        let json = compile(json).unwrap();
        assert_eq!(json, compile("{\"r\":\"$request\"}").unwrap());
        let plain = compile("log_format p escape=none '${request} x';").unwrap();
        assert_ne!(plain, compile("$request x").unwrap());
    }

    #[test]
    fn the_parts_of_a_decoded_path_are_put_together() {
        let pattern = compile("$request_method $scheme://$host$uri$is_args$args $status").unwrap();
        for (line, expected) in [
            ("GET http://h.example/é?c=d 200", "/%C3%A9?c=d"),
            ("GET http://h.example/a- 200", "/a"),
            ("GET http://h.example/a-- 200", "/a-"),
            ("GET https://h.example/100%- 200", "/100%25"),
        ] {
            let Ok(logged) = pattern.read(line.as_bytes()).unwrap().finish(0) else {
                panic!("{line}")
            };
            assert_eq!(logged.found.request.path, expected, "{line}");
            assert_eq!(logged.found.host, "h.example");
        }
    }

    #[test]
    fn formats_that_cannot_be_read_say_why() {
        for (text, said) in [
            ("$status", "names no request"),
            ("$request$status", "$request and $status stand side by side"),
            ("$ x", "stands alone"),
            ("${request", "has no `}`"),
            ("log_format main '$request", "is not closed"),
            ("log_format", "names no request"),
            ("log_format main", "names no request"),
            ("", "names no request"),
        ] {
            let error = compile(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
