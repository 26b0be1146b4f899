//! Apache's `LogFormat`, compiled: its directives and what they mean.
//!
//! Unlike nginx, Apache stamps a request when it arrives; `%{end:…}t` asks for the end
//! (`mod_log_config.c`).

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
    let format = statement(text.trim())?;
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = format.as_str();
    while let Some(at) = rest.find('%') {
        literal.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        if let Some(after) = behind.strip_prefix('%') {
            literal.push('%');
            rest = after;
            continue;
        }
        let (found, name, after) = directive(behind)?;
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
        }
        rest = after;
        match found {
            Field::Time(Clock::Auto, is_end) => {
                // `%t` writes its brackets itself.
                pieces.push(Piece::Text(b"[".to_vec()));
                pieces.push(Piece::Field(Field::Time(Clock::Auto, is_end), name));
                literal.push(']');
            }
            // Decoded path and query, which begins with its `?` or is nothing at all.
            Field::DecodedPath if rest.starts_with("%q") => {
                pieces.push(Piece::Field(Field::DecodedPath, name));
                rest = &rest[2..];
            }
            other => pieces.push(Piece::Field(other, name)),
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into()));
    }
    Pattern::new(pieces, Escape::Backslash)
}

/// The format itself, of a statement or of what stands in its quotes.
fn statement(text: &str) -> Result<String, String> {
    let is_statement = ["LogFormat", "CustomLog"]
        .iter()
        .any(|word| text.starts_with(word));
    if is_statement {
        let quote = text.find('"').ok_or("LogFormat has no format in quotes")?;
        let (format, _) = unquote(&text[quote + 1..]);
        return format.ok_or("the quote of the format is not closed".to_owned());
    }
    match text.strip_prefix('"').map(unquote) {
        Some((Some(format), "")) => Ok(format),
        // As typed, though the quotes inside may still have their backslashes.
        _ => Ok(text.replace("\\\"", "\"")),
    }
}

/// What stands before the next quote that no backslash escapes, and what follows it.
fn unquote(text: &str) -> (Option<String>, &str) {
    let mut format = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, c @ ('"' | '\\'))) => format.push(c),
                Some((_, 'n')) => format.push('\n'),
                Some((_, 't')) => format.push('\t'),
                Some((_, c)) => format.extend(['\\', c]),
                None => break,
            },
            '"' => return (Some(format), &text[at + 1..]),
            c => format.push(c),
        }
    }
    (None, "")
}

/// A directive behind its `%`: what it means, its name, and what follows.
fn directive(text: &str) -> Result<(Field, String, &str), String> {
    let plain = |c: char| c.is_ascii_digit() || "!,<>".contains(c);
    let behind = text.trim_start_matches(plain);
    let (argument, behind) = match behind.strip_prefix('{') {
        Some(braced) => braced.split_once('}').ok_or("`%{` has no `}`")?,
        None => ("", behind),
    };
    // Trailers have two letters behind a caret.
    let length = match behind.chars().next() {
        Some('^') => behind
            .char_indices()
            .nth(3)
            .map_or(behind.len(), |(at, _)| at),
        Some(letter) => letter.len_utf8(),
        None => return Err("`%` stands alone at the end; write %% for the sign".to_owned()),
    };
    let (letter, after) = behind.split_at(length);
    let name = if argument.is_empty() {
        format!("%{letter}")
    } else {
        format!("%{{{argument}}}{letter}")
    };
    Ok((field(letter, argument), name, after))
}

fn field(letter: &str, argument: &str) -> Field {
    match letter {
        "h" | "a" => Field::Client,
        "u" => Field::User,
        "t" => time(argument),
        "r" => Field::Request,
        "m" => Field::Method,
        "U" => Field::DecodedPath,
        "q" => Field::Query,
        "v" | "V" => Field::Host,
        "s" => Field::Status,
        "b" | "B" => Field::Size,
        "D" => Field::Duration(1_000),
        "T" => Field::Duration(match argument {
            "ms" => 1_000_000,
            "us" => 1_000,
            _ => SECOND_NS,
        }),
        "i" => match argument.to_ascii_lowercase().as_str() {
            "host" => Field::Host,
            "x-forwarded-for" | "x-real-ip" => Field::Forwarded,
            name => Field::Header(name.to_owned()),
        },
        _ => Field::Ignored,
    }
}

fn time(argument: &str) -> Field {
    let (format, is_end) = match argument.split_once(':') {
        Some(("begin", format)) => (format, false),
        Some(("end", format)) => (format, true),
        _ => (argument, false),
    };
    let clock = match format {
        "" => Clock::Auto,
        "sec" => Clock::Since1970(SECOND_NS),
        "msec" => Clock::Since1970(1_000_000),
        "usec" => Clock::Since1970(1_000),
        "msec_frac" => Clock::Fraction(1_000_000),
        "usec_frac" => Clock::Fraction(1_000),
        pattern => Clock::Pattern(pattern.to_owned()),
    };
    Field::Time(clock, is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_and_what_is_in_its_quotes_are_one_format() {
        let alone = compile(r#"%h %l %u %t "%r" %>s %b"#).unwrap();
        let statement = r#"LogFormat "%h %l %u %t \"%r\" %>s %b" common"#;
        assert_eq!(compile(statement).unwrap(), alone);
        let quoted = r#""%h %l %u %t \"%r\" %>s %b""#;
        assert_eq!(compile(quoted).unwrap(), alone);
        let custom = r#"CustomLog logs/access.log "%h %l %u %t \"%r\" %>s %b""#;
        assert_eq!(compile(custom).unwrap(), alone);
        let escaped = r#"%h %l %u %t \"%r\" %>s %b"#;
        assert_eq!(compile(escaped).unwrap(), alone);
    }

    #[test]
    fn a_format_with_all_kinds_of_directives_is_read() {
        let format = "%v:%p %{c}a %!200,304{Referer}i %{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}t \
                      %{%z}t %m %U%q 100%% %<s %{ms}T %{X-Forwarded-For}i %^ti";
        let pattern = compile(format).unwrap();
        let line = "shop.example:443 ::1 - 2026-11-25T03:20:00.000125 +0100 GET /a b?c=d 100% \
                    200 7 10.0.0.1 -";
        let Ok(logged) = pattern.read(line.as_bytes()).unwrap().finish(0) else {
            panic!()
        };
        let found = logged.found;
        assert_eq!(found.host, "shop.example");
        assert_eq!(found.request.path, "/a%20b?c=d");
        assert_eq!(found.request.recorded.latency_ns, Some(7_000_000));
        assert_eq!(found.started_ns, Some(1_795_573_200_000_125_000));
        assert!(!logged.is_end && !logged.is_whole);
    }

    #[test]
    fn formats_that_cannot_be_read_say_why() {
        for (text, said) in [
            ("%s", "names no request"),
            ("%r%s", "%r and %s stand side by side"),
            ("%r %", "stands alone"),
            ("%{Referer", "has no `}`"),
            ("LogFormat \"%r", "is not closed"),
            ("LogFormat", "in quotes"),
        ] {
            let error = compile(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
