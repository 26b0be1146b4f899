//! Writing workload files: header first, then the requests in order.
//!
//! Writes to anything that takes bytes; putting the file in its place in one step is the
//! caller's duty. What is written can be read again, because both use one check.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{
    LineFault, Request, Requests, Workload, WorkloadError,
    endpoint::Limiter,
    line,
    summary::{FileHeader, Origin, Summary, Tally},
};

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
    written(out, compressed, |out| write_stream(out, &summary, requests))
}

fn write_stream(
    out: &mut dyn Write,
    summary: &Summary,
    requests: Requests,
) -> Result<(), WriteError> {
    let header = serde_json::to_string(&FileHeader::from(summary)).map_err(io::Error::from)?;
    writeln!(out, "{header}")?;
    for request in requests {
        let line = line::encode(&request?).map_err(|fault| io::Error::other(fault.to_string()))?;
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Buffers, and compresses where it is asked for.
fn written(
    out: impl Write,
    compressed: bool,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let mut out = io::BufWriter::with_capacity(64 << 10, out);
    if !compressed {
        fill(&mut out)?;
        return Ok(out.flush()?);
    }
    let mut encoder = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
    encoder.include_checksum(true)?;
    fill(&mut encoder)?;
    Ok(encoder.finish()?.flush()?)
}

/// Writes a workload file of requests that are sorted by offset; returns what it holds.
///
/// # Errors
/// When there are no requests, one breaks the rules of the format, or writing fails.
pub fn write_workload(
    out: impl Write,
    compressed: bool,
    origin: Origin,
    requests: &[Request],
) -> Result<Summary, WriteError> {
    let summary = summarise(requests, origin, "the workload")?;
    written(out, compressed, |out| {
        Ok(write_lines(out, &summary, requests)?)
    })?;
    Ok(summary)
}

fn write_lines(out: &mut dyn Write, summary: &Summary, requests: &[Request]) -> io::Result<()> {
    let header = serde_json::to_string(&FileHeader::from(summary))?;
    writeln!(out, "{header}")?;
    for request in limited(requests.iter().cloned()) {
        let line = line::encode(&request).map_err(|fault| io::Error::other(fault.to_string()))?;
        out.write_all(line.as_bytes())?;
    }
    Ok(())
}

/// Counts requests as their file would hold them, and checks each.
pub(super) fn summarise(
    requests: &[Request],
    origin: Origin,
    name: &str,
) -> Result<Summary, WorkloadError> {
    let mut tally = Tally::default();
    let mut last_ns = 0;
    for (request, number) in limited(requests.iter().cloned()).zip(2..) {
        let refuse = |fault| WorkloadError::Line {
            name: name.to_owned(),
            line: number,
            fault,
        };
        if request.offset_ns < last_ns {
            return Err(refuse(LineFault::Backwards(last_ns, request.offset_ns)));
        }
        last_ns = request.offset_ns;
        let line = line::encode(&request).map_err(refuse)?;
        tally.add(&request, line.trim_end_matches('\n').as_bytes());
    }
    if requests.is_empty() {
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
