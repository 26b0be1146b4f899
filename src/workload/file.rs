//! Workload files: opened, checked and read as a stream.
//!
//! A file is never held in memory; each repetition of a workload reads it again. Small files
//! are checked line by line before anything is sent; of large ones with a complete header
//! the header is believed, and the lines are checked when they are read.

mod error;
mod selected;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    LineFault, Request,
    endpoint::Limiter,
    filter::Filter,
    line::{self, LONGEST_LINE},
    rules::{ReplaySettings, Rules},
    summary::{FileHeader, First, Origin, Summary, Tally},
    write::{is_compressed, limited, summarise},
};
use crate::text::printable;
pub use error::WorkloadError;
use selected::Selected;

/// Files up to this size are read once as a whole before they are used.
const SCANNED_WHOLE: u64 = 64 << 20;

#[derive(Debug, Clone)]
enum Source {
    File(PathBuf),
    Text(&'static str),
    Requests(Arc<Vec<Request>>),
    Selected(Workload, Filter),
}

/// A workload that was opened and found usable. Cloning is cheap; all clones are one.
#[derive(Debug, Clone)]
pub struct Workload {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    source: Source,
    summary: Summary,
    rules: Rules,
}

impl Workload {
    /// Opens a `.jsonl` or `.jsonl.zst` file and checks it.
    ///
    /// # Errors
    /// When the file cannot be read, holds no requests, or a line is bad. Lines of files above
    /// 64 MiB are checked only when they are read, if the header tells what they hold.
    pub fn open(path: &Path) -> Result<Self, WorkloadError> {
        let name = printable(&path.display().to_string());
        let refuse = |cause: String, hint| {
            let name = name.clone();
            Err(WorkloadError::Read { name, cause, hint })
        };
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => return refuse(error.to_string(), "check the path"),
        };
        if metadata.is_dir() {
            return refuse("it is a directory".into(), "name a workload file inside it");
        }
        if !metadata.is_file() {
            let hint = "write it to a file first, it is read several times";
            return refuse("it is no regular file".into(), hint);
        }
        let trusting = metadata.len() > SCANNED_WHOLE;
        Self::from_source(name, Source::File(path.to_owned()), trusting)
    }

    /// A workload from a text that is part of the program.
    ///
    /// # Errors
    /// As for [`Workload::open`].
    pub fn from_text(text: &'static str, name: &str) -> Result<Self, WorkloadError> {
        Self::from_source(printable(name), Source::Text(text), false)
    }

    /// A workload from requests in memory, sorted by offset; `source` names where they are from.
    ///
    /// # Errors
    /// When there are none, or one breaks the rules of the format.
    pub fn from_requests(requests: Vec<Request>, source: &str) -> Result<Self, WorkloadError> {
        let name = printable(source);
        let origin = Origin {
            source: source.to_owned(),
            recorded_at: None,
            redaction: "none".to_owned(),
            suggestions: Vec::new(),
        };
        let requests: Vec<Request> = limited(requests).collect();
        let summary = summarise(requests.iter().cloned(), origin, &name)?;
        let source = Source::Requests(Arc::new(requests));
        Ok(Self::of(name, source, summary))
    }

    fn of(name: String, source: Source, summary: Summary) -> Self {
        let inner = Arc::new(Inner {
            name,
            source,
            summary,
            rules: Rules::default(),
        });
        Self { inner }
    }

    /// The same workload under rules: its endpoints, and what of its requests is made anew or
    /// carried over. Files that values are picked from lie beside it.
    ///
    /// # Errors
    /// When a rule cannot be read or does not fit the workload, or that cannot be read.
    pub fn under(
        &self,
        settings: &ReplaySettings,
        keeps_cookies: bool,
    ) -> Result<Self, WorkloadError> {
        let Inner {
            name,
            source,
            summary,
            ..
        } = self.inner.as_ref();
        let is_by_hand = summary.origin.is_by_hand();
        let mut rules = Rules::new(settings, (keeps_cookies, is_by_hand))?;
        let mut summary = summary.clone();
        if rules.look_at_requests() {
            let root = match source {
                Source::File(path) => path.parent().filter(|it| !it.as_os_str().is_empty()),
                Source::Text(_) | Source::Requests(_) | Source::Selected(..) => None,
            };
            let root = root.unwrap_or(Path::new("."));
            summary.endpoints.clear();
            let mut limiter = Limiter::default();
            for request in self.requests()? {
                let request = request?;
                rules.look_at(&request, root)?;
                let label = rules.label(&request).unwrap_or(request.endpoint);
                *summary.endpoints.entry(limiter.admit(label)).or_default() += 1;
            }
            rules.check(&summary.endpoints, root)?;
        }
        let inner = Arc::new(Inner {
            name: name.clone(),
            source: source.clone(),
            summary,
            rules,
        });
        Ok(Self { inner })
    }

    /// The rules that its requests are under.
    pub fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    fn from_source(name: String, source: Source, trusting: bool) -> Result<Self, WorkloadError> {
        let mut requests = Requests::new(name.clone(), &source)?;
        let promised = requests.header.summary();
        let summary = match promised {
            Some(summary) if trusting => summary,
            _ => requests.count_all()?,
        };
        Ok(Self::of(name, source, summary))
    }

    /// What it holds.
    pub fn summary(&self) -> &Summary {
        &self.inner.summary
    }

    /// The file or source, fit for a terminal.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// A new stream of all requests from the beginning, in order of their offsets.
    ///
    /// # Errors
    /// When the file can no longer be opened; the stream itself ends after its first error.
    pub fn requests(&self) -> Result<Requests, WorkloadError> {
        let mut requests = match &self.inner.source {
            Source::Selected(whole, filter) => Requests::selected(whole, filter)?,
            source => Requests::new(self.inner.name.clone(), source)?,
        };
        requests.relabelled = Some(self.clone());
        Ok(requests)
    }
}

/// The requests of a workload, one after the other.
pub struct Requests {
    name: String,
    reader: Box<dyn BufRead + Send>,
    header: FileHeader,
    limiter: Limiter,
    line: Vec<u8>,
    number: u64,
    found: u64,
    last_ns: u64,
    is_done: bool,
    memory: Option<(Arc<Vec<Request>>, usize)>,
    selected: Option<Box<Selected>>,
    /// Whose rules may give requests another endpoint.
    relabelled: Option<Workload>,
}

impl Requests {
    fn over(name: String, reader: Box<dyn BufRead + Send>) -> Self {
        Self {
            name,
            reader,
            header: FileHeader::default(),
            limiter: Limiter::default(),
            line: Vec::new(),
            number: 0,
            found: 0,
            last_ns: 0,
            is_done: false,
            memory: None,
            selected: None,
            relabelled: None,
        }
    }

    fn new(name: String, source: &Source) -> Result<Self, WorkloadError> {
        let reader: Box<dyn BufRead + Send> = match source {
            Source::Text(text) => Box::new(Cursor::new(*text)),
            Source::Requests(requests) => {
                return Ok(Self {
                    memory: Some((Arc::clone(requests), 0)),
                    ..Self::over(name, Box::new(io::empty()))
                });
            }
            Source::Selected(..) => Box::new(io::empty()),
            Source::File(path) => open(path).map_err(|error| read_error(&name, &error))?,
        };
        let mut requests = Self::over(name, reader);
        if !requests.next_line()? {
            return Err(WorkloadError::Empty(requests.name));
        }
        let line = requests
            .line
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&requests.line);
        let name = requests.name.clone();
        match FileHeader::parse(line) {
            Ok(First::Header(header)) => requests.header = *header,
            Ok(First::Newer(version)) => return Err(WorkloadError::Newer { name, version }),
            Ok(First::NoHeader) => return Err(WorkloadError::NoHeader(name)),
            Ok(First::Har) => return Err(WorkloadError::Har(name)),
            Err(_) if line.starts_with(b"\x1f\x8b") => return Err(WorkloadError::Gzip(name)),
            Err(_) if !line.trim_ascii_start().starts_with(b"{") => {
                return Err(WorkloadError::Foreign(name));
            }
            Err(fault) => return Err(requests.fault(fault)),
        }
        Ok(requests)
    }

    /// The requests of a plain file whose header states nothing about them yet.
    pub(super) fn of_growing(path: &Path) -> Result<Self, WorkloadError> {
        let name = printable(&path.display().to_string());
        Self::new(name, &Source::File(path.to_owned()))
    }

    /// Reads the next line that is not blank, without its line break; false at the end.
    fn next_line(&mut self) -> Result<bool, WorkloadError> {
        loop {
            self.line.clear();
            let limit = LONGEST_LINE as u64 + 1;
            let read = self
                .reader
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line);
            if read.map_err(|error| read_error(&self.name, &error))? == 0 {
                return Ok(false);
            }
            self.number += 1;
            if self.line.last() == Some(&b'\n') {
                self.line.pop();
            } else if self.line.len() > LONGEST_LINE {
                return Err(self.fault(LineFault::TooLong));
            }
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            if !self.line.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    fn next_request(&mut self) -> Result<Option<Request>, WorkloadError> {
        if let Some(selected) = &mut self.selected {
            let request = selected.next_request()?;
            return Ok(request.map(|request| self.labelled(request)));
        }
        if let Some((requests, next)) = &mut self.memory {
            *next += 1;
            let request = requests.get(*next - 1).cloned();
            return Ok(request.map(|request| self.labelled(request)));
        }
        if !self.next_line()? {
            return self.at_end().map(|()| None);
        }
        let request = line::parse(&self.line).map_err(|fault| self.fault(fault))?;
        if request.offset_ns < self.last_ns {
            return Err(self.fault(LineFault::Backwards(self.last_ns, request.offset_ns)));
        }
        // A large file is trusted to hold what its header says; whether it may write is decided
        // by that, so a method that the header does not name must never get through.
        let methods = self.header.methods.as_ref();
        if methods.is_some_and(|methods| !methods.contains_key(request.method.as_str())) {
            return Err(WorkloadError::Digest(self.name.clone()));
        }
        self.last_ns = request.offset_ns;
        self.found += 1;
        Ok(Some(self.labelled(request)))
    }

    /// The request under the endpoint that it is judged as.
    fn labelled(&mut self, mut request: Request) -> Request {
        let rules = self.relabelled.as_ref().map(Workload::rules);
        if let Some(label) = rules.and_then(|rules| rules.label(&request)) {
            request.endpoint = label;
        }
        request.endpoint = self.limiter.admit(request.endpoint);
        request
    }

    fn at_end(&self) -> Result<(), WorkloadError> {
        let (name, found) = (self.name.clone(), self.found);
        match self.header.requests {
            Some(promised) if promised != found => Err(WorkloadError::Count {
                name,
                promised,
                found,
            }),
            _ if found == 0 => Err(WorkloadError::Empty(name)),
            _ => Ok(()),
        }
    }

    /// Reads and counts all that is left.
    fn count_all(&mut self) -> Result<Summary, WorkloadError> {
        let mut tally = Tally::default();
        while let Some(request) = self.next_request()? {
            tally.add(&request, &self.line);
        }
        let mut summary = tally.finish(self.header.origin());
        summary.cut.clone_from(&self.header.cut);
        summary.left_out.clone_from(&self.header.left_out);
        match &self.header.digest {
            Some(digest) if *digest != summary.digest => {
                Err(WorkloadError::Digest(self.name.clone()))
            }
            _ => Ok(summary),
        }
    }

    fn fault(&self, fault: LineFault) -> WorkloadError {
        WorkloadError::Line {
            name: self.name.clone(),
            line: self.number,
            fault,
        }
    }
}

impl Iterator for Requests {
    type Item = Result<Request, WorkloadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let next = self.next_request().transpose();
        self.is_done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::with_capacity(64 << 10, File::open(path)?);
    if is_compressed(path) {
        let decoder = zstd::Decoder::with_buffer(file)?;
        return Ok(Box::new(BufReader::with_capacity(64 << 10, decoder)));
    }
    Ok(Box::new(file))
}

fn read_error(name: &str, error: &io::Error) -> WorkloadError {
    let hint = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => "check the path",
        io::ErrorKind::UnexpectedEof => "it is cut off, make it again",
        _ => "it may be damaged, make it again",
    };
    WorkloadError::Read {
        name: name.to_owned(),
        cause: error.to_string(),
        hint,
    }
}

#[cfg(test)]
mod tests;
