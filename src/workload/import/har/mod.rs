//! Importing HAR 1.2 as browsers and proxies really write it.
//!
//! The format: softwareishard.com/blog/har-12-spec. Entries are read one at a time and judged
//! by `entry`, their bodies by `post`; `clients` says which of them belong together.

mod clients;
mod entry;
mod guard;
mod post;
mod stream;

use std::io::{self, Read};

use super::{
    ImportError, ImportOptions, Imported, Unit,
    gather::{Found, Gather},
    input::{self, Budget},
};
use clients::Clients;
use entry::{answered, exchange};
use guard::Endless;

/// Reads a HAR file as a stream and makes a clean workload of it; `.gz` and `.zst` are
/// recognised.
///
/// # Errors
/// When the file is no HAR, is cut off, or nothing in it can be replayed.
pub fn import_har(reader: impl Read, options: &ImportOptions) -> Result<Imported, ImportError> {
    let mut gather = Gather::new(Unit::default());
    let reader = input::open(reader, &Budget::new(options.max_input))?;
    let mut clients = Clients::default();
    let ending = stream::entries(reader, &mut |entry| {
        let position = gather.next_entry();
        let found = exchange(&entry, position).map(|found| {
            let answer = answered(&entry);
            clients.push(&found, &entry, &answer);
            let (kind, text) = (&entry.content.kind, &entry.content.text);
            let offers = gather.finder.offers(&answer, kind, text);
            Found { offers, ..found }
        });
        gather.take(position, found);
    })
    .map_err(json_error)?;
    if !ending.has_entries {
        return Err(ImportError::NotHar);
    }
    if ending.has_more {
        let warning = "something follows the JSON document and was ignored";
        gather.summary.warnings.push(warning.to_owned());
    }
    let (by, numbers) = clients.tell(&ending.source);
    drop(clients);
    for (found, number) in gather.found.iter_mut().zip(numbers) {
        found.client = number;
    }
    gather.summary.notes.push(by.note().to_owned());
    gather.finish("har", options)
}

fn json_error(error: serde_json::Error) -> ImportError {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Io => match io::Error::from(error).downcast::<Endless>() {
            Ok(endless) => ImportError::Format(endless.to_string()),
            Err(error) => input::read_error(error),
        },
        serde_json::error::Category::Eof => ImportError::CutOff { line, column },
        _ => ImportError::Json { line, column },
    }
}

#[cfg(test)]
mod tests;
