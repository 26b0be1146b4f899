//! However a recording ends, its file is complete, and what was under way is accounted for.

use std::{io::Write, thread, time::Duration};

use crate::{
    app::App,
    binary::Proofload,
    client::Client,
    recording::{account, call, counted, read, record, recorded, start},
};

#[test]
fn both_signals_end_it_with_a_complete_file() {
    for signal in ["INT", "TERM"] {
        let app = App::start();
        let recording = record(&app.url(), "");
        let mut client = Client::connect(recording.address);
        for size in 0..20 {
            client.get(&format!("/size/{size}"));
        }
        recording.started.signal(signal);
        let done = recording.started.wait().expect(0);
        assert_eq!(account(&done), "read 20, kept 20, skipped 0");
        let (summary, requests) = read(&done.path("w.jsonl"));
        assert_eq!(
            (summary.requests, requests.len(), summary.cut),
            (20, 20, None)
        );
        assert_eq!(summary.origin.source, "record");
        assert!(summary.origin.recorded_at.unwrap().starts_with("20"));
        assert!(!done.path("w.part.jsonl").exists());
    }
}

#[test]
fn it_stops_after_the_time_that_was_given() {
    let app = App::start();
    let recording = record(&app.url(), "-d 1s");
    let mut client = Client::connect(recording.address);
    assert_eq!(client.get("/size/3").status, "200 OK");
    let done = recording.started.wait().expect(0);
    assert_eq!(account(&done), "read 1, kept 1, skipped 0");
}

#[test]
fn it_stops_after_exactly_so_many_requests() {
    let app = App::start();
    let recording = record(&app.url(), "--max-requests 100");
    let address = recording.address;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let mut client = Client::connect(address);
                // Until the recorder is gone; what it takes it answers.
                loop {
                    let request = b"GET /slow/5 HTTP/1.1\r\nHost: app.test\r\n\r\n";
                    let sent = client.reader.get_mut().write_all(request);
                    if sent.is_err() || client.answer("GET").is_err() {
                        break;
                    }
                }
            });
        }
    });
    let done = recording.started.wait().expect(0);
    assert_eq!(account(&done), "read 100, kept 100, skipped 0");
    assert_eq!(recorded(&done).len(), 100);
}

#[test]
fn a_compressed_recording_can_be_read_too() {
    let app = App::start();
    let call = Proofload::new(&format!(
        "record --listen 0 --upstream {} -o w.jsonl.zst --max-requests 2",
        app.url()
    ));
    let recording = start(call);
    let mut client = Client::connect(recording.address);
    client.get("/size/3");
    client.get("/size/4");
    let done = recording.started.wait().expect(0);
    let (summary, requests) = read(&done.path("w.jsonl.zst"));
    assert_eq!((summary.requests, requests.len()), (2, 2));
}

#[test]
fn what_is_under_way_may_end_and_what_does_not_is_counted() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let mut quick = Client::connect(recording.address);
    let mut endless = Client::connect(recording.address);
    quick.send(b"GET /slow/700 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    endless.send(b"GET /slow/600000 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    while app.seen().len() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    recording.started.signal("INT");
    assert_eq!(quick.answer("GET").unwrap().body, b"late");
    let done = recording.started.wait().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
    assert_eq!(counted(&done, "under way when the recording ended"), 1);
    assert_eq!(recorded(&done)[0].path, "/slow/700");
}

#[test]
fn who_asks_twice_does_not_wait() {
    let app = App::start();
    let recording = record(&app.url(), "");
    assert_eq!(
        Client::connect(recording.address).get("/size/1").status,
        "200 OK"
    );
    let mut endless = Client::connect(recording.address);
    endless.send(b"GET /slow/600000 HTTP/1.1\r\nHost: app.test\r\n\r\n");
    while app.seen().len() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    recording.started.signal("INT");
    thread::sleep(Duration::from_millis(100));
    recording.started.signal("INT");
    let done = recording.started.wait().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
}

#[test]
fn a_killed_recording_loses_no_more_than_its_end() {
    let app = App::start();
    let mut recording = record(&app.url(), "");
    let mut client = Client::connect(recording.address);
    for size in 0..200 {
        client.get(&format!("/size/{size}"));
    }
    // What was answered a few seconds ago is on disk.
    recording
        .started
        .wait_until("the lines are written", |dir| {
            let text = std::fs::read_to_string(dir.join("w.part.jsonl")).unwrap_or_default();
            text.lines().count() == 201
        });
    recording.started.signal("KILL");
    let done = recording.started.wait();
    assert_eq!(done.code, -9);
    assert!(!done.path("w.jsonl").exists());
    let (summary, requests) = read(&done.path("w.part.jsonl"));
    assert_eq!(requests.len(), 200);
    assert!(summary.origin.recorded_at.is_some());
    // It is not written over.
    let again = call(&app.url(), "").within(done).run().expect(2);
    assert!(
        again.stderr.contains("w.part.jsonl is there"),
        "{}",
        again.stderr
    );
    assert_eq!(read(&again.path("w.part.jsonl")).1.len(), 200);
}

#[test]
fn a_recording_of_nothing_is_no_workload() {
    let app = App::start();
    let recording = record(&app.url(), "-d 100ms");
    let done = recording.started.wait().expect(12);
    assert!(
        done.stderr
            .contains("no request arrived; no workload was written"),
        "{}",
        done.stderr
    );
    assert_eq!(account(&done), "read 0, kept 0, skipped 0");
    assert!(!done.path("w.jsonl").exists() && !done.path("w.part.jsonl").exists());
}
