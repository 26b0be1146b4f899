//! A disk that takes no more ends the recording, says so, and breaks nothing for the application.

use crate::{
    app::App,
    binary::{Done, Proofload},
    client::Client,
    recording::{account, call, counted, read, start},
};

/// Records more than the file may hold; each request has to be answered.
fn full(path: impl Fn(usize) -> String, blocks: u32) -> Done {
    let app = App::start();
    // What a full disk does, without one: the kernel refuses to let files grow.
    let call = call(&app.url(), "").before(&format!("ulimit -f {blocks}"));
    let mut recording = start(call);
    let mut client = Client::connect(recording.address);
    for number in 0..1_000 {
        assert_eq!(client.get(&path(number)).status, "200 OK");
    }
    recording.started.wait_until("the cut is told", |dir| {
        let said = std::fs::read_to_string(dir.join(".stderr")).unwrap();
        said.contains("the recording is cut, requests are still passed on: ")
    });
    for number in 0..1_000 {
        assert_eq!(client.get(&path(number)).status, "200 OK");
    }
    assert_eq!(app.seen().len(), 2_000);
    recording.stop().expect(20)
}

/// The file holds the first requests, and says that it is not all.
fn assert_cut(done: &Done) {
    let (summary, requests) = read(&done.path("w.jsonl"));
    assert!(
        summary.cut.as_ref().unwrap().contains("large"),
        "{:?}",
        summary.cut
    );
    let kept = requests.len();
    assert!((10..1_000).contains(&kept), "{kept}");
    assert_eq!(
        account(done),
        format!("read 2000, kept {kept}, skipped {}", 2_000 - kept)
    );
    assert_eq!(
        counted(done, "the recording could not be written"),
        2_000 - kept as u64
    );
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .collect();
    let numbers = paths
        .iter()
        .map(|path| path.rsplit('=').next().unwrap().parse::<usize>().unwrap());
    assert!(numbers.eq(0..kept));
    assert!(!done.path("w.part.jsonl").exists());
}

#[test]
fn a_full_disk_cuts_the_recording_and_not_the_traffic() {
    let done = full(|number| format!("/size/3?n={number}"), 128);
    assert_cut(&done);
    let shown = Proofload::new("inspect w.jsonl")
        .within(done)
        .run()
        .expect(0);
    assert!(shown.stdout.contains("cut short"), "{}", shown.stdout);
}

#[test]
fn where_no_second_file_fits_the_growing_one_becomes_the_recording() {
    // The header of the finished file names each endpoint, which is more than fits.
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap());
    let name = |number: usize| {
        [letter(number / 26), letter(number)]
            .iter()
            .collect::<String>()
    };
    let done = full(
        |number| format!("/page-{}/list?n={number}", name(number)),
        128,
    );
    assert!(
        done.stderr.contains("the recording stays in w.jsonl"),
        "{}",
        done.stderr
    );
    assert_cut(&done);
}

#[test]
fn a_place_that_cannot_be_written_is_told_before_anything_is_recorded() {
    let app = App::start();
    let done = call(&app.url(), "").before("ulimit -f 0").run();
    assert_eq!(done.code, 20);
    assert!(!done.path("w.part.jsonl").exists());
    let missing = Proofload::new(&format!(
        "record --listen 0 --upstream {} -o nowhere/w.jsonl",
        app.url()
    ));
    let done = missing.run().expect(2);
    assert!(
        done.stderr
            .contains("nowhere/w.jsonl: there is no such directory"),
        "{}",
        done.stderr
    );
}
