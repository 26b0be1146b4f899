//! What redaction changes and what it leaves alone, position by position.

use proptest::prelude::*;

use super::*;

fn redactor() -> Redactor {
    Redactor::with_key([3; 32])
}

#[test]
fn paths_without_secrets_stay_byte_for_byte() {
    for path in [
        "/",
        "/users/123/orders?page=2&sort=a%20b&empty=&flag",
        "/o/550e8400-e29b-41d4-a716-446655440000?id=550e8400-e29b-41d4-a716-446655440000",
        "/static/app.3f2a9c81.js",
        "/assets/9fceb02d0ae598e95dc970b74767f193.css",
        "/a;v=1/b",
        "/%E6%97%A5?q=%e6%97%a5+x",
        "/search?q=how+to+bake&filter=%7B%22a%22%3A1%7D",
        "//x?&&=&==",
    ] {
        assert_eq!(redactor().path(path), path);
    }
}

#[test]
fn paths_lose_their_secrets_and_nothing_else() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
    for (path, start, secret) in [
        (
            "/a?password=hunter2&b=c".to_owned(),
            "/a?password=",
            "hunter2",
        ),
        (
            "/a?b=c&PASSWORD=hunter2".to_owned(),
            "/a?b=c&PASSWORD=",
            "hunter2",
        ),
        (
            "/a?p%61ssword=h%75nter2".to_owned(),
            "/a?p%61ssword=",
            "h%75nter2",
        ),
        (
            "/a?user[password]=hunter2".to_owned(),
            "/a?user[password]=",
            "hunter2",
        ),
        (
            "/a?next=%2Fcb%3Ftoken%3Dhunter2".to_owned(),
            "/a?next=%2Fcb%3F",
            "hunter2",
        ),
        (
            "/a?next=%252Fcb%253Ftoken%253Dhunter2".to_owned(),
            "/a?next=",
            "hunter2",
        ),
        (
            "/a?f=%7B%22token%22%3A%22hunter2%22%7D".to_owned(),
            "/a?f=%7B%22",
            "hunter2",
        ),
        (
            "/a?d=eyJwYXNzd29yZCI6Imh1bnRlcjIifQ%3D%3D".to_owned(),
            "/a?d=",
            "Imh1bnRlcjI",
        ),
        ("/a?mail=bob%40example.com".to_owned(), "/a?mail=", "bob"),
        ("/a?q=bob%40example.com".to_owned(), "/a?q=", "bob"),
        (
            "/a;jsessionid=AB12CD/b".to_owned(),
            "/a;jsessionid=",
            "AB12CD",
        ),
        ("/u/bob@example.com/x".to_owned(), "/u/", "bob"),
        (
            "/r/d131dd02c5e6eec4693d9a0698aff95c".to_owned(),
            "/r/",
            "d131dd02",
        ),
        ("/r/Ab3dE5fG7hI9jK1mN3pQ5rS7".to_owned(), "/r/", "Ab3dE5"),
        (format!("/v/{jwt}/x"), "/v/", "eyJ"),
        (format!("/v?{jwt}"), "/v?", "eyJ"),
        (format!("/v?x={jwt}"), "/v?x=", "eyJ"),
        (format!("/v?x={}", jwt.replace('.', "%2E")), "/v?x=", "eyJ"),
    ] {
        let shown = redactor().path(&path);
        assert!(shown.starts_with(start), "{path}: {shown}");
        assert!(!shown.contains(secret), "{path}: {shown}");
        assert_eq!(redactor().path(&path), shown, "equal values stay equal");
    }
}

#[test]
fn equal_secrets_are_equal_wherever_they_stand() {
    let mut redactor = redactor();
    let secret = "kX9-session-4711";
    let query = redactor.path(&format!("/a?token={secret}"));
    let value = query.strip_prefix("/a?token=").unwrap().to_owned();
    let json = redactor.body(
        "application/json",
        format!(r#"{{"token":"{secret}"}}"#).into(),
    );
    let form = redactor.body(
        "application/x-www-form-urlencoded",
        format!("sid={secret}").into(),
    );
    assert_eq!(
        String::from_utf8(json).unwrap(),
        format!(r#"{{"token":"{value}"}}"#)
    );
    assert_eq!(String::from_utf8(form).unwrap(), format!("sid={value}"));
    assert_eq!(redactor.counts(), &[(Kind::Field, 3)].into());
}

#[test]
fn bodies_are_read_as_they_say_or_as_they_look() {
    for (kind, body) in [
        (
            "application/x-www-form-urlencoded; charset=UTF-8",
            "a=b&password=hunter2",
        ),
        ("application/json", r#"{"a":{"password":"hunter2"}}"#),
        (
            "application/vnd.api+json",
            r#"{"a":{"password":"hunter2"}}"#,
        ),
        ("", r#"{"password":"hunter2"}"#),
        ("text/plain", r#" [{"password":"hunter2"}]"#),
        ("text/plain", "a=b&password=hunter2"),
        ("application/xml", "<password>hunter2</password>"),
        (
            "application/graphql",
            r#"mutation { login(password: "hunter2") }"#,
        ),
        (
            "multipart/form-data; boundary=XX",
            "--XX\r\nContent-Disposition: form-data; name=\"password\"\
             \r\n\r\nhunter2\r\n--XX--\r\n",
        ),
    ] {
        let shown = redactor().body(kind, body.as_bytes().to_vec());
        let shown = String::from_utf8(shown).unwrap();
        assert!(!shown.contains("hunter2"), "{kind}: {shown}");
        assert_eq!(shown.len(), body.len(), "{kind}: {shown}");
    }
    let binary = vec![0, 159, 146, 150, b'x'];
    assert_eq!(redactor().body("image/png", binary.clone()), binary);
}

#[test]
fn values_inside_values_end_somewhere() {
    let mut value = "token=hunter2".to_owned();
    for _ in 0..8 {
        value = format!("a={}", encode(&value));
    }
    let shown = redactor().path(&format!("/x?{value}"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

proptest! {
    #[test]
    fn nothing_panics_and_paths_stay_paths(
        path in "/[!-\"$-~]{0,60}",
        kind in "(multipart/form-data; boundary=|text/plain|application/json|.{0,9}){0,2}",
        body in prop::collection::vec(any::<u8>(), 0..99),
    ) {
        let mut redactor = redactor();
        let shown = redactor.path(&path);
        prop_assert!(shown.starts_with('/'));
        prop_assert!(shown.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), "{}", shown);
        redactor.body(&kind, body);
    }
}

#[test]
fn lists_in_header_values_stay_as_they_are_and_secrets_in_them_go() {
    let mut redactor = Redactor::with_key([7; 32]);
    for (name, value) in [
        (
            "Accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
             image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
        ),
        (
            "Accept-Language",
            "de-CH,de;q=0.9,en-US;q=0.8,en;q=0.7,fr;q=0.6,it;q=0.5",
        ),
        (
            "Cache-Control",
            "no-cache, no-store, max-age=0, must-revalidate",
        ),
        (
            "sec-ch-ua",
            "\"Not/A)Brand\";v=\"99\", \"Chromium\";v=\"148\"",
        ),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
        ),
    ] {
        assert_eq!(redactor.header(name, value.to_owned()), value);
    }
    let shown = redactor.header("X-Context", "tenant=a; password=hunter2, user=b".to_owned());
    assert!(
        !shown.contains("hunter2") && shown.starts_with("tenant=a; password="),
        "{shown}"
    );
}
