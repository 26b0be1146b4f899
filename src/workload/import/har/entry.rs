//! One HAR entry as a request, or the reason why it is none.
//!
//! Every field is optional and may hold anything. What is unwanted by policy is skipped, what
//! is damaged is malformed; a reason never repeats a recorded value.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;
use url::{Position, Url};

use super::{post, stream::Entry};
use crate::{
    units::from_seconds,
    workload::{
        Header, Method, Recorded, Request,
        clean::authority,
        import::{
            gather::{
                Found,
                Rejected::{self, Malformed, Policy},
                sound_ns,
            },
            message,
        },
        rules::Offers,
    },
};

/// The largest request that is imported, in bytes of JSON.
const LARGEST: usize = 8 << 20;
const LOSSY: &str = "bodies were binary and damaged by the export; record with proofload record";
const ZONELESS: &str = "times had no zone and were taken as UTC";

pub(super) fn exchange(entry: &Entry, position: u64) -> Result<Found, Rejected> {
    if !entry.is_object {
        return Err(Malformed("the entry is no object"));
    }
    by_browser(entry)?;
    if entry.length("request") > LARGEST {
        return Err(Policy("its request is larger than 8 MiB"));
    }
    let request = entry.request()?;
    let url = url_of(&request)?;
    let method = method_of(&request)?;
    let mut headers = headers_of(&request);
    let status = status_of(entry)?;
    by_headers(&method, &headers)?;
    let (started_ns, is_zoneless) = started(entry)?;
    let latency_ns = latency_ns(entry)?;
    let body = post::body(&request, &mut headers)?;
    let host = authority(&url).ok_or(Malformed("its URL names no host"))?;
    let request = Request {
        offset_ns: 0,
        session: String::new(),
        method,
        path: url[Position::BeforePath..Position::AfterQuery].to_owned(),
        headers,
        body: body.bytes,
        expect_status: status,
        endpoint: String::new(),
        recorded: Recorded {
            latency_ns,
            size_bytes: size_bytes(entry),
        },
    };
    let notes = [(body.is_lossy, LOSSY), (is_zoneless, ZONELESS)];
    let notes = notes.into_iter().filter(|(is_so, _)| *is_so);
    Ok(Found {
        position,
        host,
        started_ns: Some(started_ns),
        client: String::new(),
        request,
        notes: notes.map(|(_, note)| note).collect(),
        offers: Offers::default(),
    })
}

/// The header fields of the answer.
pub(super) fn answered(entry: &Entry) -> Vec<Header> {
    let headers = entry.value("response.headers").unwrap_or(Value::Null);
    let list = headers.as_array().map_or(&[][..], Vec::as_slice);
    let field = |field: &Value| Some((field["name"].as_str()?.to_owned(), text(&field["value"])?));
    list.iter().filter_map(field).collect()
}

/// What the browser did on its own, or without the network.
fn by_browser(entry: &Entry) -> Result<(), Rejected> {
    match entry.text("_resourceType").as_deref() {
        Some("websocket") => return Err(Policy("WebSocket")),
        Some("eventsource") => return Err(Policy("event stream, which has no end")),
        Some("ping") => return Err(Policy("beacon of the browser")),
        Some("preflight") => return Err(Policy("CORS preflight, which browsers add")),
        _ => {}
    }
    // Chromium's name, and WebKit's.
    let fetched = entry.text("_fetchType").unwrap_or_default();
    if entry.has("_fromCache") || ["Memory Cache", "Disk Cache"].contains(&fetched.as_str()) {
        return Err(Policy("answered by the browser's cache"));
    }
    // Playwright's name.
    if entry.has("_wasFulfilled") {
        return Err(Policy("answered by a test script, not by the service"));
    }
    Ok(())
}

fn url_of(request: &Value) -> Result<Url, Rejected> {
    if !request.is_object() {
        return Err(Malformed("it has no request"));
    }
    let text = request["url"].as_str().ok_or(Malformed("it has no URL"))?;
    let url = Url::parse(text.trim()).map_err(|_| Malformed("its URL cannot be parsed"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        "ws" | "wss" => Err(Policy("WebSocket")),
        _ => Err(Policy("not HTTP: data, blob, file or extension")),
    }
}

fn method_of(request: &Value) -> Result<Method, Rejected> {
    let method = request["method"].as_str();
    let method = method.ok_or(Malformed("it has no method"))?;
    message::method(method)
}

fn headers_of(request: &Value) -> Vec<Header> {
    let list = request["headers"].as_array().map_or(&[][..], Vec::as_slice);
    let mut headers: Vec<Header> = list
        .iter()
        .filter_map(|header| Some((header["name"].as_str()?.to_owned(), text(&header["value"])?)))
        .collect();
    let in_headers = message::header(&headers, "cookie").is_some();
    let cookies = request["cookies"].as_array().map_or(&[][..], Vec::as_slice);
    if !cookies.is_empty() && !in_headers {
        let pair = |it: &Value| Some(format!("{}={}", it["name"].as_str()?, text(&it["value"])?));
        let pairs: Vec<String> = cookies.iter().filter_map(pair).collect();
        // To be counted, and to tell clients apart; it is dropped with all credentials.
        headers.push(("Cookie".to_owned(), pairs.join("; ")));
    }
    headers
}

/// A text, a number as text, or nothing for null.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn status_of(entry: &Entry) -> Result<Option<u16>, Rejected> {
    // Playwright's `_failureText` is no sign: it is there as well where a page did not read a body.
    if entry.has("response._error") || entry.has("_error") {
        return Err(Policy("it got no answer"));
    }
    let status = entry.value("response.status").unwrap_or(Value::Null);
    let status = match &status {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_i64(),
    };
    match status {
        Some(..=0) => Err(Policy("it got no answer")),
        Some(101) => Err(Policy("WebSocket")),
        Some(status) => Ok(u16::try_from(status)
            .ok()
            .filter(|s| (200..=599).contains(s))),
        None => Ok(None),
    }
}

fn by_headers(method: &Method, headers: &[Header]) -> Result<(), Rejected> {
    let preflight = message::header(headers, "access-control-request-method");
    if method.as_str() == "OPTIONS" && preflight.is_some() {
        return Err(Policy("CORS preflight, which browsers add"));
    }
    message::without_end(headers)
}

fn started(entry: &Entry) -> Result<(u64, bool), Rejected> {
    let text = entry.text("startedDateTime");
    let text = text.ok_or(Malformed("it has no startedDateTime"))?;
    let text = text.trim();
    let (started, is_zoneless) = if let Ok(started) = text.parse::<Timestamp>() {
        (started, false)
    } else {
        let local = text.parse::<DateTime>();
        let utc = local.and_then(|local| TimeZone::UTC.to_timestamp(local));
        (
            utc.map_err(|_| Malformed("its startedDateTime is no time"))?,
            true,
        )
    };
    let started = sound_ns(started).ok_or(Malformed(
        "its startedDateTime is not between 1990 and 2200",
    ))?;
    Ok((started, is_zoneless))
}

fn latency_ns(entry: &Entry) -> Result<Option<u64>, Rejected> {
    const BAD: Rejected = Malformed("its time is no duration");
    let ms = match entry.value("time").map_err(|_| BAD)? {
        // Absent, or not applicable.
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match ms {
        Some(-1.0) => Ok(None),
        Some(ms) if (0.0..1e9).contains(&ms) => Ok(Some(from_seconds(ms / 1e3))),
        _ => Err(BAD),
    }
}

/// The size as transferred where the exporter has it; -1 is its word for unknown.
fn size_bytes(entry: &Entry) -> Option<u64> {
    ["response._transferSize", "response.bodySize"]
        .iter()
        .find_map(|name| entry.value(name).ok()?.as_u64())
}
