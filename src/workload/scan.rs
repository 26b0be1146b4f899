//! Secrets that are left in a file: what redaction would replace, found without replacing it.
//!
//! Requests of a workload are searched by their structure, all other text by what shows itself.
//! Pseudonyms are known by their mark. A finding says where and of what kind, and never shows the
//! secret: scans run where everybody reads the log.

mod lines;
mod pieces;

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use super::{
    Request, headers,
    line::{self, LONGEST_LINE},
    redact::{
        Found, JsonPlace, Kind, Manner, Redactor, Rules, begins_private_key, is_word_of_name,
    },
};
use pieces::{Piece, Pieces};

/// The longest name that is shown, in bytes.
const NAME_MAX: usize = 40;
/// Of a secret of at least this many characters the first two are shown.
const SHOWN_FROM: usize = 16;

/// One secret that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, counted from 1.
    pub line: u64,
    /// The character in the line, counted from 1; `None` where it is written in another encoding.
    pub column: Option<u64>,
    /// Where in a request, and under which name: `body, password`; may be empty.
    pub place: String,
    /// What kind of secret.
    pub kind: Kind,
    /// Its beginning and its length.
    pub excerpt: String,
}

/// What a scan came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Lines that were read.
    pub lines: u64,
    /// Findings by kind.
    pub findings: BTreeMap<Kind, u64>,
}

impl Scanned {
    /// How many secrets were found.
    pub fn total(&self) -> u64 {
        self.findings.values().sum()
    }
}

/// Searches a text, plain or compressed, and passes each finding on in the order of the lines.
/// Memory does not grow with the file.
///
/// # Errors
/// When the input cannot be read to its end, or is no text in UTF-8.
pub fn scan(
    input: impl Read,
    rules: &Rules,
    each: &mut dyn FnMut(&Finding),
) -> io::Result<Scanned> {
    let mut pieces = Pieces::open(input)?;
    let mut piece = Piece::default();
    let mut scan = Scan::new(rules);
    let mut scanned = Scanned::default();
    let mut last = (0, Vec::new());
    while pieces.next(&mut piece, scan.longest())?.is_some() {
        for (place, found) in scan.piece(&piece.bytes) {
            // The same value may show itself in more than one way.
            if last.0 != piece.line {
                last = (piece.line, Vec::new());
            }
            if last.1.contains(&found.value) {
                continue;
            }
            *scanned.findings.entry(found.kind).or_default() += 1;
            each(&finding(&piece, place, &found));
            last.1.push(found.value);
        }
    }
    scanned.lines = pieces.lines();
    Ok(scanned)
}

/// What a text looks like by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    Workload,
    Json,
    Text,
}

struct Scan {
    form: Form,
    recorded: Redactor,
    any: Redactor,
    json: JsonPlace,
    /// Inside a private key, whose lines are one finding.
    in_key: bool,
}

impl Scan {
    fn new(rules: &Rules) -> Self {
        Self {
            form: Form::Unknown,
            recorded: Redactor::seeking(rules, Manner::Recorded),
            any: Redactor::seeking(rules, Manner::Any),
            json: JsonPlace::default(),
            in_key: false,
        }
    }

    fn longest(&self) -> usize {
        match self.form {
            Form::Workload | Form::Unknown => LONGEST_LINE,
            Form::Json | Form::Text => Pieces::piece_max(),
        }
    }

    /// What is found in one piece, each with the part of the request that it stands in.
    fn piece(&mut self, bytes: &[u8]) -> Vec<(String, Found)> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if self.form == Form::Unknown {
            self.form = form(bytes);
        }
        if self.form == Form::Workload
            && let Ok(request) = line::read(bytes)
        {
            return self.request(&request);
        }
        self.unknown(&String::from_utf8_lossy(bytes));
        let found = self.any.take_found().into_iter();
        found.map(|found| (String::new(), found)).collect()
    }

    /// A line that is no request. How a file begins says little of what comes: a log holds lines of
    /// JSON and others, and what begins with a bracket may be settings.
    fn unknown(&mut self, text: &str) {
        let is_json = !self.in_key && lines::is_json(text);
        if text.starts_with('{') {
            // JSON Lines begin anew, even after a line that was cut.
            self.json = JsonPlace::default();
        }
        let is_followed = match self.form {
            Form::Unknown => return,
            Form::Json => !self.in_key,
            Form::Workload => {
                self.json = JsonPlace::default();
                true
            }
            // A number or a word is a line of JSON, too; here it is none.
            Form::Text => is_json && text.trim_start().starts_with(['{', '[']),
        };
        if is_followed {
            self.any.json_piece(&mut self.json, text, 0);
        }
        if !(is_json && is_followed) {
            self.text(text);
        }
    }

    fn request(&mut self, request: &Request) -> Vec<(String, Found)> {
        let mut all = Vec::new();
        let mut take = |place: &str, redactor: &mut Redactor| {
            let found = redactor.take_found().into_iter();
            all.extend(found.map(|found| (place.to_owned(), found)));
        };
        let seek = &mut self.recorded;
        seek.path(&request.path);
        take("path", seek);
        let mut content_type = "";
        for (name, value) in &request.headers {
            if name.eq_ignore_ascii_case("content-type") {
                content_type = value;
            }
            if headers::is_credential(name) {
                seek.credential(name, value);
            } else {
                seek.header(name, value.clone());
            }
            take("header", seek);
        }
        seek.body(content_type, request.body.clone());
        take("body", seek);
        seek.header("", request.session.clone());
        take("session", seek);
        let label = request.endpoint.split_once(' ');
        seek.path(label.map_or(&request.endpoint, |(_, path)| path));
        take("endpoint", seek);
        all
    }

    /// A line of a text: what shows itself, and in each word what may be inside it.
    fn text(&mut self, text: &str) {
        let begins = begins_private_key(text.as_bytes());
        if begins && !self.in_key {
            self.any.private_key(text);
        }
        let ends = self.in_key && text.contains("-----END");
        // A key that is only spoken of has no end.
        self.in_key = !ends && (begins || (self.in_key && lines::is_of_key(text)));
        if self.in_key || ends {
            return;
        }
        self.any.line(text);
        let between = |c: char| c.is_whitespace() || "\"'`<>(){}[],;|".contains(c);
        // At the end of base 64 `=` is filling.
        let holds = |word: &&str| word.trim_end_matches('=').contains(['=', '%']);
        for word in text.split(between).filter(holds) {
            self.any.path(word);
        }
    }
}

fn form(bytes: &[u8]) -> Form {
    let start = bytes.trim_ascii_start();
    let start = &start[..start.len().min(200)];
    let key = b"\"proofload_workload\"";
    if start.is_empty() {
        Form::Unknown
    } else if start.windows(key.len()).any(|window| window == key) {
        Form::Workload
    } else if start.starts_with(b"{") || start.starts_with(b"[") {
        Form::Json
    } else {
        Form::Text
    }
}

fn finding(piece: &Piece, part: String, found: &Found) -> Finding {
    let name = shown_name(&found.name);
    let place = match (part.is_empty(), name.is_empty()) {
        (false, false) => format!("{part}, {name}"),
        (false, true) => part,
        (true, _) => name,
    };
    Finding {
        line: piece.line,
        column: column(piece, &found.value),
        place,
        kind: found.kind,
        excerpt: excerpt(&found.value),
    }
}

/// The name of a field, unless it may hold a secret itself.
fn shown_name(name: &str) -> String {
    if name.len() > NAME_MAX || !is_word_of_name(name) {
        return "…".to_owned();
    }
    name.to_owned()
}

fn column(piece: &Piece, value: &str) -> Option<u64> {
    let needle = value.as_bytes();
    if needle.is_empty() || needle.len() > piece.bytes.len() {
        return None;
    }
    let mut windows = piece.bytes.windows(needle.len());
    let at = windows.position(|window| window == needle)?;
    let before = String::from_utf8_lossy(&piece.bytes[..at]).chars().count();
    Some(piece.column + before as u64 + 1)
}

fn excerpt(value: &str) -> String {
    let length = value.chars().count();
    let start: String = if length >= SHOWN_FROM {
        value.chars().take(2).collect()
    } else {
        String::new()
    };
    let start: String = start
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '•' })
        .collect();
    format!("{start}•••••• ({length} characters)")
}

#[cfg(test)]
mod tests;
