//! What is found, where it is said to be, and what no message shows.

use std::io::Write;

use super::*;

fn found(text: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let scanned = scan(text, &Rules::default(), &mut |finding| {
        found.push(finding.clone());
    })
    .unwrap();
    assert_eq!(scanned.total(), found.len() as u64);
    found
}

const HEADER: &str = concat!(
    r#"{"proofload_workload":1,"#,
    r#""digest":"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}"#
);

fn workload(lines: &[&str]) -> Vec<u8> {
    let mut text = HEADER.to_owned() + "\n";
    for line in lines {
        text += "{\"offset_ns\":0,\"method\":\"GET\",";
        text += line;
        text += "}\n";
    }
    text.into_bytes()
}

#[test]
fn requests_are_searched_by_their_structure() {
    for (line, place, kind, column) in [
        (
            r#""path":"/a?token=hunter2""#,
            "path, token",
            Kind::Field,
            true,
        ),
        (
            r#""path":"/a?token=h%75nter2""#,
            "path, token",
            Kind::Field,
            false,
        ),
        (
            r#""path":"/","headers":[["X-Api-Key","hunter2"]]"#,
            "header, X-Api-Key",
            Kind::Field,
            true,
        ),
        (
            r#""path":"/","headers":[["x-a","Bearer Ab3dE5fG7hI9"]]"#,
            "header, x-a",
            Kind::Login,
            true,
        ),
        (
            r#""path":"/","body":"{\"user\":{\"password\":\"hunter2\"}}""#,
            "body, password",
            Kind::Field,
            true,
        ),
        (
            r#""path":"/","body_base64":"eyJwYXNzd29yZCI6Imh1bnRlcjIifQ==""#,
            "body, password",
            Kind::Field,
            false,
        ),
        (
            r#""path":"/","session":"Ab3dE5fG7hI9jK1mN3pQ5rS7""#,
            "session",
            Kind::Token,
            true,
        ),
        (
            r#""path":"/","endpoint":"GET /Ab3dE5fG7hI9jK1mN3pQ5rS7""#,
            "endpoint",
            Kind::Token,
            true,
        ),
    ] {
        let found = found(&workload(&[r#""path":"/ok?page=2""#, line]));
        let [finding] = &found[..] else {
            panic!("{line}: {found:?}")
        };
        assert_eq!((finding.line, finding.place.as_str()), (3, place), "{line}");
        assert_eq!(
            (finding.kind, finding.column.is_some()),
            (kind, column),
            "{line}"
        );
        assert!(!format!("{finding:?}").contains("hunter2"), "{finding:?}");
    }
}

#[test]
fn other_texts_are_searched_for_what_shows_itself() {
    let begin = "-----BEGIN PRIVATE";
    let text = format!(
        "plain line\n\
         GET /x?password=hunter2&page=2 HTTP/1.1\n\
         mail ann.b@gmail.com, and ann@example.com is nobody's\n\
         {begin} KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj\n-----END PRIVATE KEY-----\n\
         Authorization: Basic dXNlcjpwYXNzMQ==\n\
         q=%7B%22password%22%3A%22hunter2%22%7D\n\
         card 4111-1111-1111-1111.\n\
         token: none, auth=oauth2, password: see the vault, key=${{KEY}}\n"
    );
    let found = found(text.as_bytes());
    let seen: Vec<(u64, Kind)> = found.iter().map(|it| (it.line, it.kind)).collect();
    let expected = [
        (2, Kind::Field),
        (3, Kind::Email),
        (4, Kind::PrivateKey),
        (7, Kind::Login),
        (8, Kind::Field),
        (9, Kind::Card),
    ];
    assert_eq!(seen, expected, "{found:?}");
    assert_eq!(found[0].column, Some(17));
    let shown = format!("{found:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("MIIE"),
        "{shown}"
    );
}

#[test]
fn json_is_followed_over_its_lines() {
    let text = "{\n  \"name\": \"password\",\n  \"value\": \"hunter2x\",\n  \"tokens\": [\n    \
        \"Ab3dE5fG7hI9jK1m\"\n  ],\n  \"code\": \"smaller_answers\",\n  \"digest\": \
        \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\",\n  \
        \"sessions\": [{\"last_round\": 12345678}]\n}\n";
    let found = found(text.as_bytes());
    let seen: Vec<(u64, &str)> = found
        .iter()
        .map(|it| (it.line, it.place.as_str()))
        .collect();
    assert_eq!(seen, [(3, "password"), (5, "tokens")], "{found:?}");
}

#[test]
fn run_files_and_reports_raise_no_alarm() {
    let histogram = "HISTFAAAACx42pNpmSzMwMDAxAABzFCaEURcm7yEwf4DRGAxGwMAWAkEhA+wgKqvRx3dEpPLkw==";
    let text = format!(
        "{{\"endpoints\":{{\"POST /v/{{token}}/x\":{{\"response\":\"{histogram}\",\
         \"n\":12345678}}}},\
         \"digest\":\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"}}\n"
    );
    assert_eq!(found(text.as_bytes()), []);
    let page =
        "<meta content=\"style-src 'sha256-47DEQpj8HBSa&#43;cEPJqYt5nPk4mXqhwfzSgzi2dbSDfpY=\">";
    assert_eq!(found(page.as_bytes()), []);
}

#[test]
fn compressed_files_and_endless_lines_are_read_as_they_come() {
    let text = workload(&[r#""path":"/a?token=hunter2""#]);
    let zst = zstd::encode_all(&text[..], 1).unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&text).unwrap();
    for bytes in [zst, gz.finish().unwrap()] {
        assert_eq!(found(&bytes).len(), 1);
    }
    let mut long = vec![b'x'; 3 << 20];
    long.extend(b" password=hunter2");
    assert_eq!(found(&long).len(), 1);
    let mut json = b"[".to_vec();
    json.extend(std::iter::repeat_n(b"1,".as_slice(), 1 << 20).flatten());
    json.extend(b"{\"password\":\"hunter2\"}]");
    let found = found(&json);
    assert_eq!(found[0].column, Some((2 << 20) + 15), "{found:?}");
}

#[test]
fn rules_and_placeholders_silence() {
    let line = concat!(
        r#""path":"/a?token=hunter2&cursor=Ab3dE5fG7hI9jK1mN3pQ5rS7","#,
        r#""body":"password={{pick:users.csv}}""#
    );
    let rules = Rules::default().keep_name("cursor").unwrap();
    let rules = rules.keep_value("hunter*").unwrap();
    let scanned = scan(&workload(&[line])[..], &rules, &mut |_| {}).unwrap();
    assert_eq!(scanned.total(), 0);
    assert_eq!(found(&workload(&[line])).len(), 2);
}

#[test]
fn no_name_and_no_excerpt_shows_a_secret() {
    let line = concat!(
        r#""path":"/","body":"{\"Ab3dE5fG7hI9jK1mN3pQ5rS7\":{\"token\":\"hunter2\"},"#,
        r#"\"x\":\"kqzjwvbxpqkzjwvbxpqk\"}""#
    );
    let found = found(&workload(&[line]));
    assert_eq!(found.len(), 3, "{found:?}");
    let shown = format!("{found:?}");
    for secret in ["Ab3dE", "hunter2", "kqzj"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn names_of_endpoints_hold_pseudonyms_and_no_secrets() {
    let header =
        |path: &str| format!("{{\"proofload_workload\":1,\"endpoints\":{{\"GET {path}\":1}}}}\n");
    let secret = "/reset-password/8f3k2j9d";
    for key in 0..200 {
        let mut redactor = Redactor::with_key([key; 32]);
        let shown = redactor.path(secret);
        assert_eq!(found(header(&shown).as_bytes()), [], "{shown}");
    }
    assert_eq!(found(header(secret).as_bytes()).len(), 1);
}

#[test]
fn values_behind_a_colon_are_found_and_sentences_are_not() {
    let text = "X-Api-Key: Zx81kQp02Lm7\nX-Auth-Token: Zx81kQp02Lm7\nPassword: hunter2\n\
        Authorization: Token 9f8a7b6c5d4e3f2a1b\nCookie: theme=dark; sid=9f8a7b6c5d4e3f2a1b\n\
        password = hunter2\n\
        password: the user's secret word\ntoken: u64,\nsecret: none\nkey: [u8; 32]\n\
        let secret = sha256(x);\npass: Some(0.5),\nsecret: Arc<Of<u8>>,\n\
        password: ${PASSWORD1}\nkey: value\nsession: 12345678\n";
    let found = found(text.as_bytes());
    let lines: Vec<u64> = found.iter().map(|it| it.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6], "{found:?}");
}

#[test]
fn files_of_more_than_one_kind_are_searched_line_by_line() {
    for (text, places) in [
        (
            "[error] Authorization: Bearer Zx81kQp02Lm7aaPq\npassword=hunter2x\n",
            &[(1, ""), (2, "password")][..],
        ),
        (
            "<w:Password Type=\"t\">s3cretZZ30</w:Password>\n<password>\n",
            &[(1, "Password")],
        ),
        ("[db]\ntoken = 1\nsecret=hunter2x\n", &[(3, "secret")]),
        ("{\"a\":1}\n  password=hunter2x\n", &[(2, "password")]),
        (
            "{ \"a\": 1, // said\n  \"password\": \"hunter2x\" }\n",
            &[(2, "password")],
        ),
        (
            "started\n{\"name\":\"password\",\"value\":\"hunter2x\"}\n",
            &[(2, "password")],
        ),
        (
            "{\"proofload_workload\":1}\nsee password=hunter2x\n{\"password\":\"hunter2x\"\n",
            &[(2, "password"), (3, "password")],
        ),
        (
            concat!(
                "[x]\n-----BEGIN PRIVATE",
                " KEY-----\n1234\n-----END PRIVATE KEY-----\nsecret=hunter2x\n"
            ),
            &[(2, ""), (5, "secret")],
        ),
        (
            concat!(
                "-----BEGIN PRIVATE",
                " KEY-----\nMIIE\nis how it begins\nsecret=hunter2x\n"
            ),
            &[(1, ""), (4, "secret")],
        ),
    ] {
        let found = found(text.as_bytes());
        let seen: Vec<(u64, &str)> = found
            .iter()
            .map(|it| (it.line, it.place.as_str()))
            .collect();
        assert_eq!(seen, places, "{text}");
    }
    let line = "{\"cursor\":\"Ab3dE5fG7hI9jK1mN3pQ5rS7\"}\n";
    let rules = Rules::default().keep_name("cursor").unwrap();
    for text in [line.to_owned(), format!("started\n{line}")] {
        let scanned = scan(text.as_bytes(), &rules, &mut |_| {}).unwrap();
        assert_eq!(scanned.total(), 0, "{text}");
    }
}
