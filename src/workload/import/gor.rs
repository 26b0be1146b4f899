//! Importing what GoReplay records.
//!
//! A record is a header line (`type id timestamp-ns …`), a raw HTTP/1 message and a line of its
//! own that holds three emoji; the format is that of GoReplay's `protocol.go` and
//! `input_file.go`. The last record may have no end, bodies may be chunked, and the files of one
//! recording may come in any order: everything is sorted by time.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, Read},
};

use super::{
    ImportError, ImportOptions, Imported, Unit,
    gather::{
        Gather,
        Rejected::{self, Malformed, Policy},
        sound_ns,
    },
    input::{self, Budget, read_error},
    message::{self, Message},
};
use crate::workload::Recorded;

/// The line between two records: three monkeys.
const SEPARATOR: &[u8] = "🐵🙈🙉".as_bytes();
/// The largest record that is imported.
const LARGEST: usize = 8 << 20;
/// Requests whose answers are still looked for.
const MOST_PENDING: usize = 1 << 20;

const UNIT: Unit = Unit {
    one: "record",
    many: "records",
    first: 1,
};

/// Reads the files of a GoReplay recording and makes one clean workload of them, in order of
/// time; `.gz` and `.zst` are recognised.
///
/// # Errors
/// When a file cannot be read, or nothing in them can be replayed.
pub fn import_gor<R: Read>(
    files: impl IntoIterator<Item = R>,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let mut gather = Gather::new(UNIT);
    let budget = Budget::new(options.max_input);
    for file in files {
        gather.next_file();
        let mut records = Records::new(input::open(file, &budget)?);
        let mut pending = Pending::default();
        while let Some(whole) = records.advance()? {
            let position = gather.next_entry();
            let record = if whole {
                record(&records.record)
            } else {
                Err(Policy("the record is larger than 8 MiB"))
            };
            match record {
                Ok(record) => take(record, position, &mut gather, &mut pending),
                Err(rejected) => gather.take(position, Err(rejected)),
            }
        }
        if records.is_unended {
            let note = "the last record has no separator behind it and was read all the same";
            gather.summary.notes.push(note.to_owned());
        }
    }
    gather.finish("gor", options)
}

/// The records of one file.
struct Records<R> {
    reader: R,
    /// The bytes of a record, without the line break before its separator.
    record: Vec<u8>,
    is_unended: bool,
}

impl<R: BufRead> Records<R> {
    fn new(reader: R) -> Self {
        let record = Vec::new();
        Self {
            reader,
            record,
            is_unended: false,
        }
    }

    /// Goes on to the next record; whether it is whole, `None` at the end.
    fn advance(&mut self) -> Result<Option<bool>, ImportError> {
        self.record.clear();
        let mut is_whole = true;
        loop {
            let begin = self.record.len();
            // A cut inside a line ends no line: the separator is looked for in whole ones only.
            let mut piece = self.reader.by_ref().take(LARGEST as u64 + 1);
            let read = piece.read_until(b'\n', &mut self.record);
            let at_end = read.map_err(read_error)? == 0;
            let line = self.record[begin..].trim_ascii_end();
            if line == SEPARATOR || at_end {
                self.record.truncate(begin);
                // Where no separator follows, the last line break is the record's own.
                if !at_end && self.record.last() == Some(&b'\n') {
                    self.record.pop();
                }
                let is_empty = is_whole && self.record.trim_ascii().is_empty();
                if !is_empty {
                    self.is_unended = at_end;
                    return Ok(Some(is_whole));
                }
                if at_end {
                    return Ok(None);
                }
                self.record.clear();
            } else if self.record.len() > LARGEST {
                is_whole = false;
                self.record.clear();
            }
        }
    }
}

/// What one record holds.
enum Record {
    Request(u64, u64, Box<Message>),
    Answer {
        id: u64,
        started_ns: u64,
        latency_ns: Option<u64>,
        status: Option<u16>,
        size: Option<u64>,
    },
}

fn record(bytes: &[u8]) -> Result<Record, Rejected> {
    const HEADER: Rejected = Malformed("its header line is not `type id timestamp`");
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (header, payload) = bytes.split_at(end.ok_or(HEADER)?);
    let header = std::str::from_utf8(header).map_err(|_| HEADER)?;
    let mut words = header.split_ascii_whitespace();
    let (Some(kind), Some(id), Some(time)) = (words.next(), words.next(), words.next()) else {
        return Err(HEADER);
    };
    let started_ns = instant(time).ok_or(HEADER)?;
    let id = hash(id);
    let payload = &payload[1..];
    match kind {
        "1" => {
            let message = message::request(payload)?;
            Ok(Record::Request(id, started_ns, Box::new(message)))
        }
        "2" => {
            let latency_ns = words.next().and_then(|it| it.parse().ok());
            let (status, size) = message::answer(payload);
            Ok(Record::Answer {
                id,
                started_ns,
                latency_ns,
                status,
                size,
            })
        }
        "3" => Err(Policy("an answer to a replay by GoReplay")),
        _ => Err(HEADER),
    }
}

fn instant(text: &str) -> Option<u64> {
    let ns: i64 = text.parse().ok()?;
    sound_ns(jiff::Timestamp::from_nanosecond(ns.into()).ok()?)
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Requests by their id, with their places in `found`, until their answers come.
#[derive(Default)]
struct Pending {
    places: HashMap<u64, usize>,
}

fn take(record: Record, position: u64, gather: &mut Gather, pending: &mut Pending) {
    match record {
        Record::Request(id, started_ns, message) => {
            if pending.places.len() >= MOST_PENDING {
                pending.places.clear();
            }
            pending.places.insert(id, gather.found.len());
            let found = message.into_found(position, Some(started_ns));
            gather.take(position, Ok(found));
        }
        Record::Answer {
            id,
            started_ns,
            latency_ns,
            status,
            size,
        } => {
            let reason = match pending.places.remove(&id) {
                None => "an answer without its request",
                Some(place) => {
                    let found = &mut gather.found[place];
                    let asked_ns = found.started_ns.unwrap_or(started_ns);
                    // Captures differ in what the fourth word counts from; the stamps do not.
                    let since = started_ns.checked_sub(asked_ns).filter(|ns| *ns > 0);
                    found.request.expect_status = status;
                    found.request.recorded = Recorded {
                        latency_ns: since.or(latency_ns),
                        size_bytes: size,
                    };
                    "an answer, which belongs to its request"
                }
            };
            gather.take(position, Err(Policy(reason)));
        }
    }
}

#[cfg(test)]
mod tests;
