//! HAProxy's HTTP log, `option httplog`: words in a fixed order, captured headers in braces if
//! there are any, and the request line in quotes (configuration manual, section 8.2.3).
//!
//! HAProxy stamps the first byte of a request, to the millisecond, in the local time of its
//! machine. What is not printable it writes as `#` and two digits.

use std::borrow::Cow;

use crate::workload::import::{
    draft::{Draft, Unfit},
    field::Field,
    stamp::Clock,
};

const UNFIT: Unfit = "the line is not of the format";

/// Takes a line apart, with or without what syslog writes before it.
///
/// # Errors
/// When the line is not of this format.
pub(super) fn read(line: &[u8]) -> Result<Draft<'_>, Unfit> {
    let line = without_syslog(line);
    let quote = line.iter().position(|byte| *byte == b'"').ok_or(UNFIT)?;
    let (words, request) = line.split_at(quote);
    let request = request.strip_prefix(b"\"").ok_or(UNFIT)?;
    // Quotes inside are written as #22.
    let end = request.iter().position(|byte| *byte == b'"');
    let request = &request[..end.ok_or(UNFIT)?];
    let mut words = words
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty());
    let mut next = || words.next().ok_or(UNFIT);
    let (client, time, _frontend, backend) = (next()?, next()?, next()?, next()?);
    let (timers, status, size) = (next()?, next()?, next()?);
    let is_time = time.starts_with(b"[") && time.ends_with(b"]");
    if !is_time || !backend.contains(&b'/') {
        return Err(UNFIT);
    }
    let timers: Vec<&[u8]> = timers.split(|byte| *byte == b'/').collect();
    let [_, _, _, _, total] = timers[..] else {
        return Err(UNFIT);
    };
    // A plus says that the log was written before the answer had ended.
    let total = if total.starts_with(b"+") {
        &b"-"[..]
    } else {
        total
    };
    let size = size.strip_prefix(b"+").unwrap_or(size);
    let mut draft = Draft::default();
    for (field, value) in [
        (Field::ClientPort, client),
        (Field::Time(Clock::Auto, false), time),
        (Field::Duration(1_000_000), total),
        (Field::Status, status),
        (Field::Size, size),
    ] {
        draft.set(&field, Cow::Borrowed(value))?;
    }
    let request = if request == b"<BADREQ>" {
        Cow::Borrowed(&b"-"[..])
    } else {
        Cow::Owned(unescape(request))
    };
    draft.set(&Field::Request, request)?;
    Ok(draft)
}

/// The line without time, machine and process.
fn without_syslog(line: &[u8]) -> &[u8] {
    let bracket = line.windows(2).position(|pair| pair == b" [");
    let head = &line[..bracket.unwrap_or(0)];
    match head.windows(2).rposition(|pair| pair == b": ") {
        Some(at) => &line[at + 2..],
        None => line,
    }
}

/// `#22` as the byte that it stands for.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind
            .get(..2)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let (b'#', Some(byte)) = (first, byte) {
            bytes.push(byte);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_what_surrounds_it() {
        let line = "10.0.1.2:33317 [25/Nov/2026:02:20:00.655] http-in static/srv1 \
                    10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {1wt.eu|} {} \
                    \"GET /index.html?#22#c3#A9 HTTP/1.1\"";
        for text in [
            line.to_owned(),
            format!("<134>Nov 25 02:20:00 lb haproxy[14389]: {line}"),
            format!("Nov 25 02:20:00 haproxy[1]: {line}"),
        ] {
            let Ok(logged) = read(text.as_bytes()).unwrap().finish(0) else {
                panic!("{text}")
            };
            let found = logged.found;
            assert_eq!(found.request.path, "/index.html?\"%C3%A9");
            assert_eq!(found.client, "10.0.1.2\n");
            assert_eq!(found.request.recorded.latency_ns, Some(109_000_000));
            assert_eq!(found.started_ns, Some(1_795_573_200_655_000_000));
            assert_eq!(found.notes.len(), 1, "the time has no zone");
        }
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "",
            "a b c",
            "10.0.1.2:1 [25/Nov/2026:02:20:00.655] a b/c 1/2/3 200 1 \"GET / HTTP/1.1\"",
            "1 - - [25/Nov/2026:02:20:00 +0000] \"GET / HTTP/1.1\" 200 5",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
