//! No secret that passes the recorder is on a disk at any time, or in anything that it says.

use std::{fs, thread, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    app::App,
    client::Client,
    recording::{record, recorded},
};

const ROUNDS: usize = 60;
const POSITIONS: usize = 18;

/// A secret that is like no other, without a pattern that a rule could be made for.
fn secret(number: usize) -> String {
    let mixed = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("hu{}Q{:x}nter", number, mixed >> 20)
}

/// One request for each position that a secret may stand in: method, path, fields, body.
fn planted(secret: &str) -> Vec<(&'static str, String, String, String)> {
    let percent: Vec<String> = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let percent = percent.concat();
    let basic = STANDARD.encode(format!("ann:{secret}"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json = "Content-Type: application/json\r\n";
    let parts = "Content-Type: multipart/form-data; boundary=XX\r\n";
    let multipart = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"api_token\"\r\n\r\n{secret}\r\n--XX--\r\n"
    );
    let get = |path: String, fields: String| ("GET", path, fields, String::new());
    let post = |fields: &str, body: String| ("POST", "/echo".to_owned(), fields.to_owned(), body);
    vec![
        get(
            "/size/1".into(),
            format!("Cookie: sessionid={secret}; a=b\r\n"),
        ),
        get(
            "/size/1".into(),
            format!("Authorization: Bearer {secret}\r\n"),
        ),
        get(
            "/size/1".into(),
            format!("authorization: Basic {basic}\r\n"),
        ),
        get(
            "/size/1".into(),
            format!("X-API-KEY: {secret}\r\nX-Auth-Token: {secret}\r\n"),
        ),
        get("/size/1".into(), format!("X-Odd: Bearer {secret}\r\n")),
        get(
            "/size/1".into(),
            format!("Referer: http://app.test/x?token={secret}\r\n"),
        ),
        get(format!("/size/1?access_token={secret}"), String::new()),
        get(format!("/size/1?PASSWORD={percent}&x=1"), String::new()),
        get(format!("/size/1;jsessionid={secret}?x=1"), String::new()),
        get(
            format!("/login/1?password={secret}"),
            format!("Cookie: sid={secret}\r\n"),
        ),
        post(form, format!("user=ann&password={secret}")),
        post(form, format!("next=%2Fin%3Ftoken%3D{secret}")),
        post(
            json,
            format!("{{\"a\":[{{\"clientSecret\":\"{secret}\"}}]}}"),
        ),
        post(json, format!("{{\"password\":{{\"deep\":\"{secret}\"}}}}")),
        post(parts, multipart),
        // Not recorded, and said nothing of.
        get("/events".into(), format!("Cookie: sessionid={secret}\r\n")),
        get(format!("http://{secret}.test/x"), String::new()),
        (
            "POST",
            "/refuse".into(),
            form.into(),
            format!("password={secret}"),
        ),
    ]
}

#[test]
fn no_planted_secret_is_on_disk_or_said_at_any_time() {
    let app = App::start();
    let recording = record(&app.url(), "");
    let part = recording.started.path("w.part.jsonl");
    let mut planted_so_far = Vec::new();
    for number in 0..ROUNDS * POSITIONS {
        // Each stands in one position only: what one position lets through, no other makes up for.
        let value = secret(number);
        let mut requests = planted(&value);
        assert_eq!(requests.len(), POSITIONS);
        let (method, path, fields, body) = requests.swap_remove(number % POSITIONS);
        let mut client = Client::connect(recording.address);
        if path == "/events" {
            let head = format!("GET /events HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
            client.send(head.as_bytes());
            std::io::BufRead::fill_buf(&mut client.reader).unwrap();
        } else {
            client.ask(method, &path, &fields, body.as_bytes());
        }
        planted_so_far.push(value);
    }
    // What is written while it goes on is no less clean than what is left at the end.
    for _ in 0..500 {
        let text = fs::read_to_string(&part).unwrap();
        if text.lines().count() > ROUNDS {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let growing = fs::read_to_string(&part).unwrap();
    assert!(growing.lines().count() > ROUNDS);
    let done = recording.stop().expect(0);
    let kept = recorded(&done);
    assert_eq!(kept.len(), ROUNDS * 15, "{}", done.stdout);
    let mut outputs = done.everything();
    outputs.push((part, growing.into_bytes()));
    for (path, bytes) in outputs {
        let text = String::from_utf8_lossy(&bytes);
        for secret in &planted_so_far {
            assert!(!text.contains(secret), "{secret} in {}", path.display());
            let encoded = STANDARD.encode(format!("ann:{secret}"));
            assert!(!text.contains(&encoded), "{encoded} in {}", path.display());
        }
    }
    // What has gone was counted, and equal values are still equal.
    assert!(
        done.stdout.contains("credentials: authorization, cookie"),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("secret fields"), "{}", done.stdout);
    let seen = app.seen();
    let arrived = seen.iter().filter_map(|seen| seen.field("x-api-key"));
    let arrived = arrived.filter(|key| planted_so_far.iter().any(|secret| secret == key));
    assert_eq!(arrived.count(), ROUNDS, "the application gets everything");
}
