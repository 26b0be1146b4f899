//! What a workload holds, in numbers: counted once, kept in the header of its file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{LineFault, Request, line, rules::Suggestion};

/// The version of the workload format that this program writes.
pub const VERSION: u32 = 1;

/// Where a workload comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// What it was made from, such as `har`; empty when nobody said.
    pub source: String,
    /// When the first request was recorded, in RFC 3339.
    pub recorded_at: Option<String>,
    /// The redaction rules that it passed: `default`, or `none` for what was written by hand.
    pub redaction: String,
    /// Rules that would carry values of answers over to later requests.
    pub suggestions: Vec<Suggestion>,
}

impl Origin {
    /// Whether it was written by hand, so that placeholders in it are meant as such. What was
    /// recorded is sent as it was, braces and all.
    pub fn is_by_hand(&self) -> bool {
        self.redaction.is_empty() || self.redaction == "none"
    }

    /// Whether answers were there when it was made, so that suggestions could be found. Of a part
    /// of a workload its own source decides.
    pub fn had_answers(&self) -> bool {
        let source = self.source.rsplit(" of ").next().unwrap_or_default();
        matches!(source, "har" | "record")
    }
}

/// What a workload holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Where it comes from.
    pub origin: Origin,
    /// How many requests it holds; never 0 in an opened workload.
    pub requests: u64,
    /// The offset of its last request in nanoseconds.
    pub duration_ns: u64,
    /// Requests by endpoint.
    pub endpoints: BTreeMap<String, u64>,
    /// Requests by method.
    pub methods: BTreeMap<String, u64>,
    /// Requests by expected status; those without one are in none.
    pub statuses: BTreeMap<u16, u64>,
    /// `sha256:` and the digest over the bytes of the request lines, each with a line feed.
    pub digest: String,
    /// Why it ends before the recorded traffic did; `None` when it does not.
    pub cut: Option<String>,
    /// What of the recorded traffic is no request of it: by reason, how often.
    pub left_out: BTreeMap<String, u64>,
}

impl Summary {
    /// Requests by method, of methods that may change something on the server.
    pub fn unsafe_methods(&self) -> BTreeMap<String, u64> {
        let is_safe = |name: &str| matches!(name, "GET" | "HEAD" | "OPTIONS" | "TRACE");
        let methods = self.methods.iter().filter(|(name, _)| !is_safe(name));
        methods
            .map(|(name, count)| (name.clone(), *count))
            .collect()
    }
}

/// Counts requests one after the other.
#[derive(Default)]
pub(super) struct Tally {
    summary: Summary,
    digest: Sha256,
}

impl Tally {
    /// Adds one request and its line without line break.
    pub(super) fn add(&mut self, request: &Request, line: &[u8]) {
        let summary = &mut self.summary;
        summary.requests += 1;
        summary.duration_ns = summary.duration_ns.max(request.offset_ns);
        count(&mut summary.endpoints, &request.endpoint);
        count(&mut summary.methods, request.method.as_str());
        if let Some(status) = request.expect_status {
            *summary.statuses.entry(status).or_default() += 1;
        }
        self.digest.update(line);
        self.digest.update(b"\n");
    }

    pub(super) fn finish(self, origin: Origin) -> Summary {
        let digest = self.digest.finalize();
        let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Summary {
            origin,
            digest: format!("sha256:{}", hex.concat()),
            ..self.summary
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}

/// The first line of a workload file. Only the version is required.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileHeader {
    proofload_workload: u32,
    #[serde(default)]
    source: String,
    #[serde(default)]
    recorded_at: Option<String>,
    #[serde(default)]
    redaction: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<Suggestion>,
    /// How many request lines follow.
    #[serde(default)]
    pub(super) requests: Option<u64>,
    #[serde(default)]
    duration_ns: Option<u64>,
    #[serde(default)]
    pub(super) methods: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    statuses: Option<BTreeMap<u16, u64>>,
    #[serde(default)]
    endpoints: Option<BTreeMap<String, u64>>,
    /// The digest over the request lines.
    #[serde(default)]
    pub(super) digest: Option<String>,
    /// Why the recording ends early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cut: Option<String>,
    /// What is not in it, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) left_out: BTreeMap<String, u64>,
}

/// What a first line turned out to be.
pub(super) enum First {
    Header(Box<FileHeader>),
    Newer(u64),
    NoHeader,
    Har,
}

#[derive(Deserialize)]
struct Probe {
    proofload_workload: Option<u64>,
}

impl FileHeader {
    pub(super) fn parse(bytes: &[u8]) -> Result<First, LineFault> {
        let trimmed = bytes.trim_ascii_start();
        // A whole HAR may be one line; looking at its beginning is enough.
        let start = String::from_utf8_lossy(&trimmed[..trimmed.len().min(200)]).into_owned();
        let squeezed: String = start.chars().filter(|c| !c.is_whitespace()).collect();
        if squeezed == "{" || squeezed.starts_with("{\"log\"") {
            return Ok(First::Har);
        }
        let version = line::from_json::<Probe>(trimmed)?.proofload_workload;
        match version {
            None => return Ok(First::NoHeader),
            Some(version) if version > u64::from(VERSION) => return Ok(First::Newer(version)),
            Some(_) => {}
        }
        let header: Self = line::from_json(trimmed)?;
        if header.proofload_workload == 0 {
            return Ok(First::NoHeader);
        }
        Ok(First::Header(Box::new(header)))
    }

    pub(super) fn origin(&self) -> Origin {
        Origin {
            source: self.source.clone(),
            recorded_at: self.recorded_at.clone(),
            redaction: self.redaction.clone().unwrap_or_else(|| "none".to_owned()),
            suggestions: self.suggestions.clone(),
        }
    }

    /// What the header says of the whole file, when it says all of it.
    pub(super) fn summary(&self) -> Option<Summary> {
        Some(Summary {
            origin: self.origin(),
            requests: self.requests.filter(|requests| *requests > 0)?,
            duration_ns: self.duration_ns?,
            endpoints: self.endpoints.clone()?,
            methods: self.methods.clone()?,
            statuses: self.statuses.clone()?,
            digest: self.digest.clone()?,
            cut: self.cut.clone(),
            left_out: self.left_out.clone(),
        })
    }

    /// The header of a recording that is not complete yet, or cut.
    pub(super) fn of_growing(origin: &Origin, cut: Option<String>) -> Self {
        Self {
            proofload_workload: VERSION,
            source: origin.source.clone(),
            recorded_at: origin.recorded_at.clone(),
            redaction: Some(origin.redaction.clone()),
            cut,
            ..Self::default()
        }
    }
}

impl From<&Summary> for FileHeader {
    fn from(summary: &Summary) -> Self {
        Self {
            proofload_workload: VERSION,
            source: summary.origin.source.clone(),
            recorded_at: summary.origin.recorded_at.clone(),
            redaction: Some(summary.origin.redaction.clone()),
            suggestions: summary.origin.suggestions.clone(),
            requests: Some(summary.requests),
            duration_ns: Some(summary.duration_ns),
            methods: Some(summary.methods.clone()),
            statuses: Some(summary.statuses.clone()),
            endpoints: Some(summary.endpoints.clone()),
            digest: Some(summary.digest.clone()),
            cut: summary.cut.clone(),
            left_out: summary.left_out.clone(),
        }
    }
}
