//! Any bytes as a file that is imported; the first byte chooses the format.

#![no_main]

use proofload::workload::{
    Workload,
    import::{
        ImportOptions,
        gor::import_gor,
        har::import_har,
        log::{LogOptions, import_log},
        openapi::import_openapi,
        table::import_csv,
        vegeta::{BodyFault, import_vegeta},
    },
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, file)) = bytes.split_first() else {
        return;
    };
    let options = ImportOptions {
        lenient: true,
        key: Some([1; 32]),
        max_input: 1 << 20,
        ..ImportOptions::default()
    };
    let mut none = |_: &str| Err(BodyFault::Unreadable);
    let imported = match kind {
        b'h' => import_har(file, &options),
        b'g' => import_gor([file], &options),
        b'l' => import_log([file], &LogOptions::default(), &options),
        b'v' => import_vegeta(file, &mut none, &options),
        b'c' => import_csv(file, 1, &options),
        b'o' => import_openapi(file, &options),
        _ => return,
    };
    // What comes through makes a workload, and what does not is counted.
    if let Ok(imported) = imported {
        let skipped: u64 = imported.summary.skipped.values().map(|it| it.count).sum();
        assert_eq!(imported.summary.read, imported.summary.kept + skipped);
        let requests = imported.requests.into_iter().collect();
        let workload = Workload::from_requests(requests, "fuzz").expect("it is clean");
        assert_eq!(workload.summary().requests, imported.summary.kept);
    }
});
