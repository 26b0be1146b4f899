//! Requests of one client stay together and in order, whatever tells clients apart.

use std::{collections::BTreeMap, thread};

use crate::{
    app::App,
    client::Client,
    recording::{record, recorded},
};

#[test]
fn visits_stay_whole_from_log_in_to_log_out_and_in_order() {
    const VISITORS: usize = 12;
    const STEPS: usize = 40;
    let app = App::start();
    let recording = record(&app.url(), "");
    let visit = |visitor: usize| {
        // A connection of its own for each request: nothing but the cookie tells who it is.
        let ask = |path: &str, fields: &str| {
            let mut client = Client::connect(recording.address);
            client.ask("GET", path, fields, b"")
        };
        ask(&format!("/login/{visitor}?v={visitor}"), "");
        for step in 0..STEPS {
            let cookie =
                format!("Cookie: theme=dark; sessionid=secret-of-{visitor}?v={visitor}\r\n");
            ask(&format!("/size/3?v={visitor}&step={step}"), &cookie);
        }
    };
    thread::scope(|scope| {
        (0..VISITORS).for_each(|visitor| {
            scope.spawn(move || visit(visitor));
        });
    });
    let seen = app.seen();
    let done = recording.stop().expect(0);
    let requests = recorded(&done);
    assert_eq!(requests.len(), VISITORS * (STEPS + 1));
    assert!(requests.is_sorted_by_key(|request| request.offset_ns));
    let mut paths: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for request in &requests {
        paths
            .entry(&request.session)
            .or_default()
            .push(&request.path);
        assert!(!request.headers.iter().any(|(name, _)| name == "cookie"));
    }
    assert_eq!(paths.len(), VISITORS);
    for (session, paths) in paths {
        let visitor = paths[0].split("v=").nth(1).unwrap();
        let of = |path: &str| {
            path.split("v=")
                .nth(1)
                .is_some_and(|rest| rest.split('&').next() == Some(visitor))
        };
        assert!(paths.iter().all(|path| of(path)), "{session}: {paths:?}");
        let came: Vec<_> = seen
            .iter()
            .map(crate::app::Seen::path)
            .filter(|path| of(path))
            .collect();
        assert_eq!(paths, came, "{session}");
    }
    for secret in ["secret-of", "theme=dark"] {
        let text = std::fs::read_to_string(done.path("w.jsonl")).unwrap();
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn clients_are_told_apart_in_the_way_that_was_chosen() {
    let asked = [
        "Authorization: Basic YW5uOnB3\r\nX-Client: a\r\n",
        "Authorization: Basic Ym9iOnB3\r\nX-Client: a\r\n",
        "Authorization: Basic YW5uOm5ldw==\r\nX-Client: b\r\nCookie: tab=1\r\n",
        "X-Client: b\r\nCookie: tab=1\r\n",
    ];
    for (way, sessions) in [
        ("auth", ["s1", "s2", "s1", "s3"]),
        ("header:X-Client", ["s1", "s1", "s2", "s2"]),
        ("address", ["s1", "s1", "s1", "s1"]),
        ("cookie:tab,auth", ["s1", "s2", "s3", "s3"]),
    ] {
        let app = App::start();
        let recording = record(&app.url(), &format!("--session-by {way}"));
        for fields in asked {
            Client::connect(recording.address).ask("GET", "/status/204", fields, b"");
        }
        let done = recording.stop().expect(0);
        let found: Vec<_> = recorded(&done)
            .into_iter()
            .map(|request| request.session)
            .collect();
        assert_eq!(found, sessions, "{way}");
        let said = format!(
            "({} sessions)",
            sessions.iter().max().unwrap().trim_start_matches('s')
        );
        assert!(done.stderr.contains(&said), "{}", done.stderr);
    }
}
