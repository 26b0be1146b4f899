//! Importing a table whose first row names the columns.
//!
//! The columns are those of access logs, whose rules for stamps and answers hold here too, so
//! that an export from a log database needs no other map than its own header row. In addition
//! there are offsets, and bodies in base 64.

use std::{
    cell::Cell,
    io::{self, BufRead, Read},
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    ImportError, ImportOptions, Imported, Unit,
    draft::{Draft, Logged},
    field::Field,
    gather::{
        Gather,
        Rejected::{self, Malformed},
    },
    input::{self, Budget, read_error},
    retime::Stamps,
};
use crate::{text::printable_cut, units::SECOND_NS};

/// The longest row, in bytes. Each of its bytes may begin a field, which takes eight.
const LONGEST_ROW: usize = 8 << 20;
/// The longest first row.
const LONGEST_NAMES: usize = 1 << 20;
/// The most unknown columns that are named.
const NAMED: usize = 8;

const UNIT: Unit = Unit {
    one: "row",
    many: "rows",
    // As a spreadsheet counts, where the names of the columns are the first.
    first: 2,
};

/// What a column holds.
enum Column {
    Known(Field),
    /// Time after the start of the recording, in units of so many nanoseconds.
    Offset(u64),
    Base64,
    Unknown,
}

/// Reads a table and makes a clean workload of it; `.gz` and `.zst` are recognised. `seed` is as
/// in [`super::log::LogOptions`].
///
/// # Errors
/// When no column names a path, the file cannot be read, or nothing in it can be replayed.
pub fn import_csv(
    file: impl Read,
    seed: u64,
    options: &ImportOptions,
) -> Result<Imported, ImportError> {
    let mut reader = input::open(file, &Budget::new(options.max_input))?;
    let delimiter = delimiter(reader.fill_buf().map_err(read_error)?);
    let left = Rc::new(Cell::new(LONGEST_NAMES));
    let metered = Metered {
        reader,
        left: Rc::clone(&left),
    };
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(metered);
    let names = rows.byte_headers().map_err(csv_error)?;
    let names: Vec<String> = names
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let columns: Vec<Column> = names.iter().map(|name| column(name)).collect();
    let mut gather = Gather::new(UNIT);
    check(&names, &columns, &mut gather)?;
    let mut stamps = Stamps::default();
    let mut row = csv::ByteRecord::new();
    loop {
        left.set(LONGEST_ROW);
        if !rows.read_byte_record(&mut row).map_err(csv_error)? {
            break;
        }
        let position = gather.next_entry();
        let logged = request(&columns, &row, position);
        let found = logged.map(|logged| {
            stamps.push(&logged, (0, 0));
            logged.found
        });
        gather.take(position, found);
    }
    gather.refuse_damaged(options.lenient)?;
    stamps.correct(&mut gather, seed);
    gather.finish("csv", options)
}

fn column(name: &str) -> Column {
    let name = name.trim().to_ascii_lowercase();
    if let Some(header) = name.strip_prefix("header:") {
        return Column::Known(Field::Header(header.trim().to_owned()));
    }
    match name.replace([' ', '-'], "_").as_str() {
        "offset_s" => Column::Offset(SECOND_NS),
        "offset_ms" => Column::Offset(1_000_000),
        "offset_us" => Column::Offset(1_000),
        "offset_ns" => Column::Offset(1),
        "body_base64" => Column::Base64,
        "timestamp" => Column::Known(Field::named("time").expect("a name that is promised")),
        _ => Field::named(&name).map_or(Column::Unknown, Column::Known),
    }
}

/// Refuses a table without addresses, and names the columns that are not used.
fn check(names: &[String], columns: &[Column], gather: &mut Gather) -> Result<(), ImportError> {
    let is_address = |column: &Column| {
        matches!(
            column,
            Column::Known(Field::Path | Field::DecodedPath | Field::Request)
        )
    };
    if !columns.iter().any(is_address) {
        let what = "no column is called path or url; name the columns in the first row, such as \
                    method,url,header:accept,body";
        return Err(ImportError::Format(what.to_owned()));
    }
    let offsets = |column: &&Column| matches!(column, Column::Offset(_));
    let times = |column: &&Column| matches!(column, Column::Known(Field::Time(..)));
    let (offsets, times) = (
        columns.iter().filter(offsets).count(),
        columns.iter().filter(times).count(),
    );
    if offsets + times > 1 {
        let what = "more than one column says when; keep one of time, end and offset_*";
        return Err(ImportError::Format(what.to_owned()));
    }
    gather.is_dated = offsets == 0;
    let unknown = names.iter().zip(columns);
    let unknown = unknown.filter(|(_, column)| matches!(column, Column::Unknown));
    let unknown: Vec<String> = unknown.map(|(name, _)| printable_cut(name, 40)).collect();
    if !unknown.is_empty() {
        let more = if unknown.len() > NAMED { ", …" } else { "" };
        let shown = unknown[..unknown.len().min(NAMED)].join(", ");
        let note = format!("{} columns are not used: {shown}{more}", unknown.len());
        gather.summary.notes.push(note);
    }
    Ok(())
}

fn request(columns: &[Column], row: &csv::ByteRecord, position: u64) -> Result<Logged, Rejected> {
    if row.len() > columns.len() {
        return Err(Malformed("it has more fields than the first row names"));
    }
    let mut draft = Draft::default();
    let mut offset_ns = None;
    let mut body = None;
    draft
        .set(&Field::Method, b"GET".into())
        .map_err(Malformed)?;
    for (column, value) in columns.iter().zip(row) {
        if value.is_empty() {
            continue;
        }
        match column {
            Column::Known(field) => draft.set(field, value.into()).map_err(Malformed)?,
            Column::Offset(unit) => offset_ns = Some(offset(value, *unit)?),
            Column::Base64 => {
                let decoded = STANDARD.decode(value.trim_ascii());
                body = Some(decoded.map_err(|_| Malformed("its body is not base 64"))?);
            }
            Column::Unknown => {}
        }
    }
    let mut logged = draft.finish(position)?;
    let found = &mut logged.found;
    if let Some(body) = body {
        found.request.body = body;
    }
    let has_offsets = columns.iter().any(|it| matches!(it, Column::Offset(_)));
    let has_times = columns
        .iter()
        .any(|it| matches!(it, Column::Known(Field::Time(..))));
    if has_offsets {
        found.started_ns = offset_ns;
        logged.is_whole = false;
    }
    if (has_offsets || has_times) && found.started_ns.is_none() {
        return Err(Malformed("it does not say when"));
    }
    let has_clients = columns.iter().any(|it| {
        matches!(
            it,
            Column::Known(Field::Client | Field::Session | Field::User)
        )
    });
    if !has_clients {
        found.client = position.to_string();
    }
    Ok(logged)
}

fn offset(value: &[u8], unit_ns: u64) -> Result<u64, Rejected> {
    const BAD: Rejected = Malformed("its offset is no number from 0 on");
    let text = std::str::from_utf8(value).map_err(|_| BAD)?.trim();
    if unit_ns == 1 {
        return text.parse().map_err(|_| BAD);
    }
    let number: f64 = text.parse().map_err(|_| BAD)?;
    let seconds = number * crate::units::seconds(unit_ns);
    // A year, far below where nanoseconds would overflow.
    if (0.0..=3.2e7).contains(&seconds) {
        Ok(crate::units::from_seconds(seconds))
    } else {
        Err(BAD)
    }
}

/// What divides the names of the first row: a comma, a semicolon or a tabulator.
fn delimiter(start: &[u8]) -> u8 {
    let line = start.split(|it| *it == b'\n').next().unwrap_or_default();
    let pieces = |wanted: u8| line.split(|it| *it == wanted).count();
    let mut best = b',';
    for other in [b';', b'\t'] {
        if pieces(other) > pieces(best) {
            best = other;
        }
    }
    best
}

fn csv_error(error: csv::Error) -> ImportError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => match error.downcast::<Endless>() {
            Ok(endless) => ImportError::Format(endless.to_string()),
            Err(error) => read_error(error),
        },
        _ => ImportError::Format("the file is no table; export it again as CSV".to_owned()),
    }
}

/// Stops a row that does not end, which an unclosed quote makes of the rest of the file.
struct Metered<R> {
    reader: R,
    /// Bytes that the row may still have.
    left: Rc<Cell<usize>>,
}

#[derive(Debug, thiserror::Error)]
#[error("a row is longer than 8 MiB, or the first than 1 MiB; is a quote not closed?")]
struct Endless;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(Endless));
        }
        let read = self.reader.read(buffer)?;
        self.left.set(left.saturating_sub(read));
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(text: &str) -> Result<Imported, ImportError> {
        let options = ImportOptions {
            lenient: true,
            ..ImportOptions::default()
        };
        import_csv(text.as_bytes(), 1, &options)
    }

    #[test]
    fn the_first_row_names_the_columns_in_any_order() {
        let text = "\u{feff}Offset_ms,URL,method,header:X-A,Body,status,session,dur_ms,colour\n\
            1500,http://a.example/2?q=1,,\"a, b\",,200,ann,12.5,red\r\n\
            0,http://a.example/1,POST,,\"say \"\"hi\"\"\n\",201,bob,,\n\
            x,http://a.example/3,,,,,,,\n,http://a.example/4,,,,,,,\n1,,,,,,,,\n\
            -1,/5,,,,,,,\n1,http://a.example/6,,,,,,,,too many\n1,http://a.example/7,,,,2000,,,\n";
        let imported = import(text).unwrap();
        let [first, second] = &imported.requests[..] else {
            panic!("{}", imported.summary)
        };
        assert_eq!((first.method.as_str(), first.path.as_str()), ("POST", "/1"));
        assert_eq!(first.body, b"say \"hi\"\n");
        assert_eq!(
            (second.offset_ns, second.session.as_str()),
            (1_500_000_000, "s2")
        );
        assert_eq!(second.headers, [("x-a".into(), "a, b".into())]);
        assert_eq!(second.recorded.latency_ns, Some(12_500_000));
        assert_eq!(imported.origin.recorded_at, None);
        let shown = imported.summary.to_string();
        assert!(shown.starts_with("read 8, kept 2, skipped 6\n"), "{shown}");
        assert!(shown.contains("1 columns are not used: colour"), "{shown}");
        assert!(shown.contains("(row 5)"), "{shown}");
    }

    #[test]
    fn tables_without_instants_keep_the_order_of_their_rows() {
        let text = "method;path;body_base64\nPUT;/1;AAH/\nGET;/2;\nPUT;/3;?\n";
        let imported = import(text).unwrap();
        assert_eq!(imported.requests[0].body, [0, 1, 255]);
        assert_eq!(imported.requests[1].session, "s2");
        assert!(imported.summary.to_string().contains("no instants"));
        let tabs = import("path\tstatus\n/1\t404\n").unwrap();
        assert_eq!(tabs.requests[0].expect_status, Some(404));
    }

    #[test]
    fn tables_that_cannot_be_read_say_why() {
        let endless = format!("path\n\"{}", "a\n".repeat(LONGEST_ROW));
        for (text, said) in [
            ("", "no column is called path"),
            ("a,b\n1,2\n", "no column is called path"),
            ("time,offset_s,path\n", "more than one column says when"),
            ("path\n", "none of 0 rows"),
            (&endless, "is a quote not closed"),
        ] {
            let error = import(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
