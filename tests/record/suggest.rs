//! Rules that the recorder finds: what answers brought and later requests carried.

use std::{fs, thread, time::Duration};

use crate::{
    app::{App, form, order, token},
    binary::Proofload,
    client::{Answer, Client},
    recording::{account, read, record},
};

const VISITORS: usize = 6;

fn field<'a>(answer: &'a Answer, wanted: &str) -> &'a str {
    let mut fields = answer.fields.iter();
    let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    &found.unwrap().1
}

/// Opens a form, sends it, follows the redirect, and uses the token of a JSON answer.
fn visit(client: &mut Client, visitor: usize) {
    let page = client.get(&format!("/form/{visitor}"));
    assert!(page.body == form(visitor), "the page passes as it is");
    let cookie = field(&page, "set-cookie").split(';').next().unwrap();
    let cookie = format!("Cookie: {cookie}\r\n");
    let more = format!("{cookie}Content-Type: application/x-www-form-urlencoded\r\n");
    let sent = format!("name=ann&csrf_token={}", token(visitor));
    let path = format!("/signin/{visitor}");
    let answer = client.ask("POST", &path, &more, sent.as_bytes());
    assert_eq!(answer.status, "303 See Other");
    let next = field(&answer, "location").to_owned();
    assert_eq!(next, format!("/orders/{}", order(visitor)));
    client.ask("GET", &next, &cookie, b"");
    let answer = client.ask("GET", &format!("/upload/{visitor}"), &cookie, b"");
    let token = token(visitor + VISITORS);
    assert!(String::from_utf8(answer.body).unwrap().contains(&token));
    client.ask("GET", &format!("/size/1?token={token}"), &cookie, b"");
}

#[test]
fn what_answers_bring_and_requests_carry_is_suggested_and_not_stored() {
    let app = App::start();
    let recording = record(&app.url(), "");
    for visitor in 0..VISITORS {
        visit(&mut Client::connect(recording.address), visitor);
    }
    let part = recording.started.path("w.part.jsonl");
    let mut growing = String::new();
    for _ in 0..500 {
        growing = fs::read_to_string(&part).unwrap();
        if growing.lines().count() > 5 * VISITORS {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 30, kept 30, skipped 0");
    assert!(
        done.stderr.contains("inspect --suggest w.jsonl"),
        "{}",
        done.stderr
    );
    let (summary, _) = read(&done.path("w.jsonl"));
    let found: Vec<_> = summary
        .origin
        .suggestions
        .iter()
        .map(|it| [&*it.from, &*it.take, &*it.into, &*it.put])
        .collect();
    let expected = [
        [
            "POST /signin/{id}",
            "header:location ~ /orders/{}",
            "GET /orders/{id}",
            "segment:2",
        ],
        [
            "GET /upload/{id}",
            "json:/upload/token",
            "GET /size/{id}",
            "query:token",
        ],
        [
            "GET /form/{id}",
            "field:csrf_token",
            "POST /signin/{id}",
            "form:csrf_token",
        ],
    ];
    assert_eq!(found, expected);
    let mut outputs = done.everything();
    let shown = Proofload::new("inspect --suggest w.jsonl").within(done);
    let shown = shown.run().expect(0);
    let rule = "extract = { from = \"GET /form/{id}\", at = \"field:csrf_token\" }";
    assert!(shown.stdout.contains(rule), "{}", shown.stdout);
    outputs.extend(shown.everything());
    outputs.push((part, growing.into_bytes()));
    for (path, bytes) in outputs {
        let text = String::from_utf8_lossy(&bytes);
        let secrets = (0..2 * VISITORS).map(token);
        for secret in secrets.chain(["of-the-session".to_owned()]) {
            assert!(!text.contains(&secret), "{secret} in {}", path.display());
        }
    }
}

#[test]
fn a_source_without_answers_says_so() {
    let request = "{\"offset_ns\":0,\"method\":\"GET\",\"path\":\"/\"}\n";
    for (source, said) in [
        ("har", "no value of an answer was seen in a later request"),
        ("part of record", "no value of an answer was seen"),
        ("gor", "this source keeps no answers (gor)"),
        ("sample (10%) of log", "this source keeps no answers"),
        (
            "",
            "this source keeps no answers (a workload written by hand)",
        ),
    ] {
        let header = format!("{{\"proofload_workload\":1,\"source\":\"{source}\"}}\n");
        let call = Proofload::new("inspect --suggest w.jsonl");
        let done = call.file("w.jsonl", &(header + request)).run().expect(0);
        assert!(done.stderr.contains(said), "{source}: {}", done.stderr);
        assert_eq!(done.stdout, "", "{source}");
    }
}
