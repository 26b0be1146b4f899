//! Writing workload files: header first, then the requests in order.
//!
//! Writes to anything that takes bytes; putting the file in its place in one step is the
//! caller's duty. What is written can be read again, because both use one check.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use super::{
    LineFault, Request, Requests, Workload, WorkloadError,
    endpoint::Limiter,
    line,
    summary::{FileHeader, Origin, Summary, Tally},
};
use crate::text::shorten;

/// Why a workload could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The requests make no workload.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// The bytes found no place.
    #[error("cannot write the workload; check the disk and the path")]
    Write(#[from] io::Error),
}

/// Whether the name of a file asks for zstd compression: it ends in `.zst`.
pub fn is_compressed(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("zst"))
}

/// The first bytes of a file, decompressed when its name says that it is compressed.
///
/// # Errors
/// When it cannot be read or decompressed.
pub fn beginning(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut head = Vec::new();
    if is_compressed(path) {
        let decoder = zstd::Decoder::new(file)?;
        decoder.take(bytes).read_to_end(&mut head)?;
    } else {
        file.take(bytes).read_to_end(&mut head)?;
    }
    Ok(head)
}

/// Writes an opened workload to a file, request by request; what it holds is known from opening.
///
/// # Errors
/// When the workload cannot be read again, or writing fails.
pub fn write_from(
    out: impl Write,
    compressed: bool,
    origin: Origin,
    workload: &Workload,
) -> Result<(), WriteError> {
    let summary = Summary {
        origin,
        ..workload.summary().clone()
    };
    let requests = workload.requests()?;
    write_file(out, compressed, &summary, requests)
}

/// How long the first line of a growing recording is, so that it can be replaced in place.
const GROWING: usize = 1024;
/// The longest reason for a cut that is kept, in characters.
const CUT: usize = 100;

/// The first line of a recording that still grows, or was `cut`; always of the same length.
pub fn growing_header(origin: &Origin, cut: Option<&str>) -> String {
    let cut = cut.map(|cut| shorten(cut, CUT));
    let header = FileHeader::of_growing(origin, cut);
    let json = serde_json::to_string(&header).expect("strings and numbers always serialise");
    format!("{json:<width$}\n", width = GROWING - 1)
}

/// One request as a line with its line break.
///
/// # Errors
/// When it breaks the rules of the format.
pub fn request_line(request: &Request) -> Result<String, LineFault> {
    line::encode(request)
}

/// What the header of a recording says beside what is counted in its lines.
#[derive(Debug, Clone)]
pub struct Account {
    /// Where it comes from.
    pub origin: Origin,
    /// Why it ends before the traffic did, when it does.
    pub cut: Option<String>,
    /// What of the traffic is no request of it: by reason, how often.
    pub left_out: BTreeMap<String, u64>,
}

impl From<Origin> for Account {
    fn from(origin: Origin) -> Self {
        Self {
            origin,
            cut: None,
            left_out: BTreeMap::new(),
        }
    }
}

/// Writes the workload file of a recording from its growing file, with those requests between its
/// lines that came late; both are sorted by offset.
///
/// # Errors
/// When there are no requests, the growing file cannot be read, or writing fails.
pub fn write_recording(
    out: impl Write,
    growing: &Path,
    late: &[Request],
    account: Account,
    compressed: bool,
) -> Result<Summary, WriteError> {
    let merged = || Requests::of_growing(growing).map(|requests| merge(requests, late));
    let mut tally = Tally::default();
    for request in merged()? {
        let request = request?;
        let line = line::encode(&request).map_err(|fault| io::Error::other(fault.to_string()))?;
        tally.add(&request, line.trim_end_matches('\n').as_bytes());
    }
    let summary = Summary {
        cut: account.cut,
        left_out: account.left_out,
        ..tally.finish(account.origin)
    };
    if summary.requests == 0 {
        return Err(WorkloadError::Empty("the recording".to_owned()).into());
    }
    write_file(out, compressed, &summary, merged()?)?;
    Ok(summary)
}

/// Two sorted sequences as one.
fn merge(
    requests: Requests,
    late: &[Request],
) -> impl Iterator<Item = Result<Request, WorkloadError>> {
    let mut requests = requests.peekable();
    let mut late = late.iter().peekable();
    std::iter::from_fn(move || {
        let is_late = match (requests.peek(), late.peek()) {
            (Some(Ok(next)), Some(late)) => late.offset_ns < next.offset_ns,
            (None, Some(_)) => true,
            _ => false,
        };
        if is_late {
            late.next().cloned().map(Ok)
        } else {
            requests.next()
        }
    })
}

/// Writes a workload file of requests that are sorted by offset; returns what it holds.
///
/// # Errors
/// When there are no requests, one breaks the rules of the format, or writing fails.
pub fn write_workload(
    out: impl Write,
    compressed: bool,
    account: impl Into<Account>,
    requests: &[Request],
) -> Result<Summary, WriteError> {
    write_each(out, compressed, account, || requests.iter().cloned())
}

/// The same of requests that come one by one, as often as they are asked for.
///
/// # Errors
/// Those of [`write_workload`].
pub fn write_each<I: Iterator<Item = Request>>(
    out: impl Write,
    compressed: bool,
    account: impl Into<Account>,
    requests: impl Fn() -> I,
) -> Result<Summary, WriteError> {
    let account = account.into();
    let summary = Summary {
        cut: account.cut,
        left_out: account.left_out,
        ..summarise(requests(), account.origin, "the workload")?
    };
    let requests = limited(requests()).map(Ok);
    write_file(out, compressed, &summary, requests)?;
    Ok(summary)
}

fn write_file(
    out: impl Write,
    compressed: bool,
    summary: &Summary,
    requests: impl Iterator<Item = Result<Request, WorkloadError>>,
) -> Result<(), WriteError> {
    let mut out = io::BufWriter::with_capacity(64 << 10, out);
    if compressed {
        let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        encoder.include_checksum(true)?;
        write_lines(&mut encoder, summary, requests)?;
        encoder.finish()?.flush()?;
    } else {
        write_lines(&mut out, summary, requests)?;
        out.flush()?;
    }
    Ok(())
}

fn write_lines(
    out: &mut impl Write,
    summary: &Summary,
    requests: impl Iterator<Item = Result<Request, WorkloadError>>,
) -> Result<(), WriteError> {
    let header = serde_json::to_string(&FileHeader::from(summary)).map_err(io::Error::from)?;
    writeln!(out, "{header}")?;
    for request in requests {
        let line = line::encode(&request?).map_err(|fault| io::Error::other(fault.to_string()))?;
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Counts requests as their file would hold them, and checks each.
pub(super) fn summarise(
    requests: impl Iterator<Item = Request>,
    origin: Origin,
    name: &str,
) -> Result<Summary, WorkloadError> {
    let mut tally = Tally::default();
    let (mut last_ns, mut is_empty) = (0, true);
    for (request, number) in limited(requests).zip(2..) {
        let refuse = |fault| WorkloadError::Line {
            name: name.to_owned(),
            line: number,
            fault,
        };
        if request.offset_ns < last_ns {
            return Err(refuse(LineFault::Backwards(last_ns, request.offset_ns)));
        }
        (last_ns, is_empty) = (request.offset_ns, false);
        let line = line::encode(&request).map_err(refuse)?;
        tally.add(&request, line.trim_end_matches('\n').as_bytes());
    }
    if is_empty {
        return Err(WorkloadError::Empty(name.to_owned()));
    }
    Ok(tally.finish(origin))
}

/// The requests with at most so many endpoints as a workload may have.
pub(super) fn limited(
    requests: impl IntoIterator<Item = Request>,
) -> impl Iterator<Item = Request> {
    let mut limiter = Limiter::default();
    requests.into_iter().map(move |mut request| {
        request.endpoint = limiter.admit(request.endpoint);
        request
    })
}
