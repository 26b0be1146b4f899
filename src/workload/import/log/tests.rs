//! Small logs made in place, in every format that is known by name.

use super::*;
use crate::workload::Request;

fn import_with(files: &[&str], log: &LogOptions) -> Result<Imported, ImportError> {
    let options = ImportOptions {
        key: Some([1; 32]),
        ..ImportOptions::default()
    };
    import_log(files.iter().map(|file| file.as_bytes()), log, &options)
}

fn import(text: &str) -> Imported {
    import_with(&[text], &LogOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn named(format: &str) -> LogOptions {
    LogOptions {
        format: format.parse().unwrap(),
        methods: vec!["all".to_owned()],
        seed: 1,
    }
}

/// One line of each format, for the same request.
const LINES: &[(&str, &str)] = &[
    (
        "combined",
        "192.0.2.1 - ann [25/Nov/2026:02:20:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 5 \"-\" \
         \"curl/8\"",
    ),
    (
        "common",
        "192.0.2.1 - - [25/Nov/2026:02:20:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 5",
    ),
    (
        "vhost",
        "shop.example:80 192.0.2.1 - - [25/Nov/2026:02:20:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 \
         250 \"-\" \"curl/8\"",
    ),
    (
        "alb",
        "https 2026-11-25T02:20:00.250000Z app/lb/50dc6c495c0c9188 192.0.2.1:2817 10.0.0.1:80 \
         0.086 0.048 0.037 200 200 0 57 \"GET https://shop.example:443/a?b=c HTTP/1.1\" \
         \"curl/8 (x)\" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:e:tg/73e2d6bc24d8a067 \
         \"Root=1-58337281-1d84f3d73c47ec4e58577259\" \"shop.example\" \"arn:aws:acm:c/12\" 1 \
         2026-11-25T02:20:00.000000Z \"authenticate,forward\" \"-\" \"-\" \"10.0.0.1:80\" \"200\" \
         \"-\" \"-\" TID_dead",
    ),
    (
        "envoy",
        "[2026-11-25T02:20:00.310Z] \"GET /a?b=c HTTP/2\" 200 - 0 154 226 100 \"192.0.2.1\" \
         \"curl/8\" \"cd0b6a3b-e8ad-96c1-9d26-000000000001\" \"shop.example\" \"127.0.0.1:80\"",
    ),
    (
        "envoy",
        "[2026-11-25T02:20:00.310Z] \"GET /a?b=c HTTP/1.1\" 200 - via_upstream - \"-\" 0 154 226 \
         100 \"192.0.2.1\" \"curl/8\" \"cd0b6a3b\" \"shop.example\" \"127.0.0.1:80\" outbound|80 \
         127.0.0.1:1 127.0.0.1:2 10.0.0.1:3 - default",
    ),
    (
        "haproxy",
        "192.0.2.1:33317 [25/Nov/2026:02:20:00.655] http-in static/srv1 10/0/30/69/109 200 2750 \
         - - ---- 1/1/1/1/0 0/0 \"GET /a?b=c HTTP/1.1\"",
    ),
    (
        "caddy",
        "{\"level\":\"info\",\"ts\":1795573200.75,\"logger\":\"http.log.access.log0\",\
         \"request\":{\"remote_ip\":\"192.0.2.1\",\"remote_port\":\"1\",\"proto\":\"HTTP/1.1\",\
         \"method\":\"GET\",\"host\":\"shop.example\",\"uri\":\"/a?b=c\",\"headers\":\
         {\"User-Agent\":[\"curl/8\"],\"Cookie\":[]}},\"duration\":0.25,\"size\":5,\"status\":200}",
    ),
];

#[test]
fn each_known_format_is_found_out_by_itself_and_read_by_its_name() {
    for (name, line) in LINES {
        for options in [LogOptions::default(), named(name)] {
            let imported = import_with(&[line], &options).unwrap();
            let [request] = &imported.requests[..] else {
                panic!("{name}")
            };
            assert_eq!(request.path, "/a?b=c", "{name}");
            assert_eq!(request.expect_status, Some(200), "{name}");
            let at = imported.origin.recorded_at.unwrap();
            assert!(at.starts_with("2026-11-25T02:20:00"), "{name}: {at}");
            let agent = request
                .headers
                .iter()
                .find(|(it, _)| it.eq_ignore_ascii_case("user-agent"));
            let has_agent = !matches!(*name, "common" | "haproxy");
            assert_eq!(agent.is_some(), has_agent, "{name}");
            let has_host = !matches!(*name, "combined" | "common" | "haproxy");
            assert_eq!(imported.summary.hosts.is_empty(), !has_host, "{name}");
            let has_time = matches!(*name, "alb" | "envoy" | "haproxy" | "caddy");
            assert_eq!(request.recorded.latency_ns.is_some(), has_time, "{name}");
        }
        // A line of another format is no line of this one.
        for (other, line) in LINES.iter().filter(|(other, _)| other != name) {
            let is_part = matches!(
                (*name, *other),
                ("common", "combined" | "vhost") | ("combined", "vhost")
            );
            let imported = import_with(&[line], &named(name));
            assert_eq!(imported.is_ok(), is_part, "{other} as {name}");
        }
    }
    let all: Vec<&str> = LINES.iter().map(|(_, line)| *line).collect();
    let mixed = import_with(&all, &LogOptions::default()).unwrap();
    assert_eq!(mixed.summary.read, all.len() as u64);
    assert_eq!(mixed.summary.malformed(), 0);
}

#[test]
fn ends_are_moved_to_begins_where_the_log_has_durations() {
    let caddy = LINES[7].1;
    let later = caddy
        .replace("0.25,\"size", "0.5,\"size")
        .replace("0.75", "0.80");
    let imported = import(&[caddy, &later].join("\n"));
    // 200.75 - 0.25 = .50, and 200.80 - 0.5 = .30: the later line began first.
    let offsets: Vec<u64> = imported.requests.iter().map(|it| it.offset_ns).collect();
    assert_eq!(offsets[0], 0);
    assert!(offsets[1].abs_diff(200_000_000) < 1_000, "{offsets:?}");
    let shown = imported.summary.to_string();
    assert!(shown.contains("2 stamps were of the end"), "{shown}");
    let format = "$msec \"$request\" $status";
    let log = LogOptions {
        format: LogFormat::Nginx(format.to_owned()),
        ..LogOptions::default()
    };
    let imported = import_with(&["1795573200.750 \"GET / HTTP/1.1\" 200"], &log).unwrap();
    let shown = imported.summary.to_string();
    assert!(shown.contains("1 stamps are of the end"), "{shown}");
}

#[test]
fn whole_seconds_are_spread_by_the_seed_and_the_account_says_so() {
    let lines = |second: u32| {
        let line = LINES[0].1.replace(":20:00", &format!(":20:{second:02}"));
        vec![line; 50].join("\n")
    };
    let text = [lines(0), lines(1)].join("\n");
    let log = |seed| LogOptions {
        seed,
        ..LogOptions::default()
    };
    let one = import_with(&[&text], &log(1)).unwrap();
    let instants: Vec<u64> = one.requests.iter().map(|it| it.offset_ns).collect();
    assert!(instants.is_sorted());
    let distinct: std::collections::BTreeSet<&u64> = instants.iter().collect();
    assert!(distinct.len() > 95);
    assert!(one.summary.to_string().contains("(uniform, seed 1)"));
    let again = import_with(&[&text], &log(1)).unwrap();
    assert_eq!(again.requests, one.requests);
    let other = import_with(&[&text], &log(2)).unwrap();
    assert_ne!(other.requests, one.requests);
}

#[test]
fn only_what_needs_no_body_is_kept_and_the_coverage_printed() {
    let line = |method: &str, took: &str| {
        format!("1795573200.1 {took} \"{method} /a HTTP/1.1\" 200 192.0.2.1 -")
    };
    let text = [
        line("GET", "0.030"),
        line("HEAD", "0.010"),
        line("POST", "0.060"),
        line("DELETE", "0.000"),
    ];
    let log = |methods: &[&str]| LogOptions {
        format: LogFormat::Nginx("$msec $request_time \"$request\" $status $remote_addr -".into()),
        methods: methods.iter().map(|it| (*it).to_owned()).collect(),
        seed: 1,
    };
    let kept = |methods: &[&str]| {
        let imported = import_with(&[&text.join("\n")], &log(methods)).unwrap();
        let methods = imported
            .requests
            .iter()
            .map(|it| it.method.as_str().to_owned());
        (methods.collect::<Vec<_>>(), imported.summary.to_string())
    };
    let (methods, shown) = kept(&[]);
    assert_eq!(methods, ["GET", "HEAD"]);
    assert!(
        shown.contains("50.0 % of the requests, 40.0 % of their time"),
        "{shown}"
    );
    assert!(
        shown.contains("neither GET nor HEAD; the log has no bodies (line 3, 4)"),
        "{shown}"
    );
    assert_eq!(kept(&["delete", "get"]).0, ["GET", "DELETE"]);
    let (methods, shown) = kept(&["all"]);
    assert_eq!(methods.len(), 4);
    assert!(
        shown.contains("1 requests of methods that have a body"),
        "{shown}"
    );
    let with_body = LogOptions {
        format: LogFormat::Nginx("\"$request\" $status \"$request_body\" $content_type".into()),
        ..LogOptions::default()
    };
    let text = r#""POST /a HTTP/1.1" 201 "{\x22a\x22:1}" application/json"#;
    let imported = import_with(&[text], &with_body).unwrap();
    assert_eq!(imported.requests[0].body, b"{\"a\":1}");
}

#[test]
fn lines_that_are_left_out_have_their_reason() {
    let good = LINES[0].1;
    let with = |request: &str, status: &str| {
        let line = good.replace("GET /a?b=c HTTP/1.1", request);
        line.replace(" 200 ", &format!(" {status} "))
    };
    let long = with(&format!("GET /{} HTTP/1.1", "x".repeat(70_000)), "200");
    let binary = "\u{0}\u{1}\u{2} nothing of a log";
    let json = "{\"level\":\"info\",\"msg\":\"server running\"}";
    for (line, said, is_malformed) in [
        (with("-", "408"), "no HTTP request", false),
        (with(r"\x16\x03\x01", "400"), "no HTTP request", false),
        (with("GET /cut", "200"), "cut off", false),
        (with("OPTIONS * HTTP/1.1", "200"), "OPTIONS *", false),
        (with("CONNECT a:443 HTTP/1.1", "200"), "CONNECT", false),
        (with("GET /ws HTTP/1.1", "101"), "WebSocket", false),
        (
            with("GET http://evil.example/ HTTP/1.1", "200"),
            "other host",
            false,
        ),
        (long, "longer than 64 KiB", false),
        (json.to_owned(), "no entry of an access log", false),
        (binary.to_owned(), "fits no known format", true),
        (
            good.replace("25/Nov", "35/Nov"),
            "fits no known format",
            true,
        ),
        (
            good.replace("200 5", "2000 5"),
            "fits no known format",
            true,
        ),
    ] {
        let text = format!("{}\n{line}\n", [good; 9].join("\n"));
        let imported = import(&text);
        let summary = &imported.summary;
        let (reason, skipped) = summary.skipped.first_key_value().unwrap();
        assert!(reason.contains(said), "{said}: {reason}");
        assert_eq!(skipped.is_malformed, is_malformed, "{said}");
        assert_eq!((skipped.count, summary.kept), (1, 9), "{said}");
        assert!(summary.to_string().contains("(line 10)"), "{summary}");
    }
}

fn one(line: &str) -> (Request, String) {
    let imported = import(line);
    (imported.requests[0].clone(), imported.summary.to_string())
}

#[test]
fn answers_that_hung_on_what_is_not_logged_are_not_expected_again() {
    for (status, expected, said) in [
        ("304", Some(200), "1 answers depended on a condition"),
        ("206", Some(200), "1 answers depended on a condition"),
        ("499", None, "1 requests got no answer"),
        ("404", Some(404), ""),
    ] {
        let line = LINES[0].1.replace(" 200 ", &format!(" {status} "));
        let (request, shown) = one(&line);
        assert_eq!(request.expect_status, expected, "{status}");
        assert!(shown.contains(said), "{shown}");
    }
    // Caddy logs the headers, so the cleaner sees the condition itself.
    let caddy = LINES[7].1.replace("\"status\":200", "\"status\":304");
    let caddy = caddy.replace("\"Cookie\"", "\"If-None-Match\":[\"x\"],\"Cookie\"");
    let (request, shown) = one(&caddy);
    assert_eq!(request.expect_status, Some(200));
    assert!(shown.contains("conditional: if-none-match"), "{shown}");
    assert!(!shown.contains("depended on"), "{shown}");
}

#[test]
fn clients_of_a_log_are_sessions() {
    let line = |client: &str, agent: &str| {
        let line = LINES[0].1.replace("192.0.2.1", client);
        line.replace("curl/8", agent)
    };
    let text = [
        line("192.0.2.1", "a"),
        line("192.0.2.2", "a"),
        line("192.0.2.1", "b"),
        line("192.0.2.1", "a"),
    ];
    let imported = import(&text.join("\n"));
    let sessions: Vec<&str> = imported
        .requests
        .iter()
        .map(|it| it.session.as_str())
        .collect();
    assert_eq!(sessions, ["s1", "s2", "s3", "s1"]);
    // The port of a connection is no client.
    let alb = LINES[3].1;
    let imported = import(&[alb, &alb.replace(":2817", ":2818")].join("\n"));
    assert_eq!(imported.requests[0].session, imported.requests[1].session);
}

#[test]
fn a_referer_of_the_service_is_kept_when_its_host_is_named() {
    let line = LINES[0]
        .1
        .replace("\"-\"", "\"https://shop.example/from?x=1\"");
    let options = ImportOptions {
        hosts: vec!["shop.example".to_owned()],
        ..ImportOptions::default()
    };
    let imported = import_log([line.as_bytes()], &LogOptions::default(), &options).unwrap();
    let referer = &imported.requests[0].headers[0];
    assert_eq!(*referer, ("referer".to_owned(), "/from?x=1".to_owned()));
    let (request, _) = one(&line);
    assert_eq!(
        request.headers.len(),
        1,
        "without a name it is a stranger's"
    );
}
