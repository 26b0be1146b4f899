//! Any text as a format of nginx or Apache or a JSON map, and any bytes as a line of it.

#![no_main]

use proofload::workload::import::{
    ImportOptions,
    log::{LogFormat, LogOptions, import_log},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let (Some(kind), Some(format), Some(line)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let format = String::from_utf8_lossy(format).into_owned();
    let format = match kind {
        b"n" => LogFormat::Nginx(format),
        b"a" => LogFormat::Apache(format),
        _ => LogFormat::Json(format),
    };
    let log = LogOptions {
        format,
        ..LogOptions::default()
    };
    let options = ImportOptions {
        lenient: true,
        key: Some([1; 32]),
        ..ImportOptions::default()
    };
    let _ = import_log([line], &log, &options);
});
