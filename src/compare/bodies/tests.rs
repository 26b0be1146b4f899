//! The difference engine against tables, and two properties of it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const JSON: &str = "application/json";

fn answer(kind: &str, body: &str) -> Answer {
    let headers = [("Content-Type".to_owned(), kind.as_bytes().to_vec())];
    Answer::read(200, &headers, Some(body.as_bytes()), "127.0.0.1:80")
}

fn json_answer(value: &Value) -> Answer {
    answer(JSON, &value.to_string())
}

/// What is said of one request, from the bodies of (baseline, baseline, candidate, candidate).
fn said(kind: &str, bodies: [&str; 4]) -> Vec<String> {
    let mut found = Bodies::default();
    found.add("GET /x", &bodies.map(|body| answer(kind, body)));
    found.findings().into_iter().map(|it| it.said).collect()
}

/// Kind, the baseline's body, the candidate's, and what is said of them.
const SENTENCES: &[(&str, &str, &str, &[&str])] = &[
    (JSON, r#"{"a":1}"#, r#"{"a":1}"#, &[]),
    (JSON, r#"{"a":1,"b":2}"#, r#"{"b":2, "a":1}"#, &[]),
    (
        JSON,
        r#"{"a":1,"total":2}"#,
        r#"{"a":1}"#,
        &["the field `total` is missing in the candidate's answers"],
    ),
    (
        JSON,
        r#"{"a":{"b":[{}]}}"#,
        r#"{"a":{"b":[{"c":null}]}}"#,
        &["the field `a.b[].c` is only in the candidate's answers"],
    ),
    (
        JSON,
        r#"{"a":"1"}"#,
        r#"{"a":1}"#,
        &[
            "the field `a` is a string in the baseline's answers and a number in the \
               candidate's",
        ],
    ),
    (
        JSON,
        r#"{"a":[1,2,3]}"#,
        r#"{"a":[1,2]}"#,
        &["the field `a` has 3 elements in the baseline's answers and 2 in the candidate's"],
    ),
    (
        JSON,
        r#"[{"a":1},{"a":2}]"#,
        r#"[{"a":1},{"a":3}]"#,
        &["the field `[].a` differs in the candidate's answers"],
    ),
    (
        JSON,
        "1",
        "2",
        &["the body differs in the candidate's answers"],
    ),
    (
        JSON,
        r#"{"a":1}"#,
        r#"{"a":1"#,
        &["the body is an object in the baseline's answers and text in the candidate's"],
    ),
    ("text/plain", "{\"a\":1}", "{\"a\" : 1}", &[]),
    ("text/plain", "a  b\n", "a b", &[]),
    (
        "text/plain",
        "price: 7 EUR, tax: 1",
        "price: 8 EUR, tax: 2",
        &["the text of the body differs in the candidate's answers"],
    ),
    (
        "text/plain",
        "one",
        "one two",
        &["the body has 1 words and signs in the baseline's answers and 2 in the candidate's"],
    ),
    (
        "image/png",
        "\0ab",
        "\0abc",
        &["the body has 3 bytes in the baseline's answers and 4 in the candidate's"],
    ),
    (
        "image/png",
        "\0ab",
        "\0ac",
        &["the body differs in the candidate's answers"],
    ),
    (
        "text/plain",
        "",
        "x",
        &["the body is empty in the baseline's answers and text in the candidate's"],
    ),
];

#[test]
fn each_kind_of_difference_has_its_sentence() {
    for &(kind, baseline, candidate, wanted) in SENTENCES {
        let found = said(kind, [baseline, baseline, candidate, candidate]);
        assert_eq!(found, wanted, "{baseline} against {candidate}");
    }
}

#[test]
fn what_differs_within_a_side_is_noise_and_no_more_than_that() {
    let table: [(&str, [&str; 4], &[&str]); 9] = [
        // An identifier is another one each time.
        (
            JSON,
            [r#"{"id":1}"#, r#"{"id":2}"#, r#"{"id":3}"#, r#"{"id":4}"#],
            &[],
        ),
        // The candidate's alone is.
        (
            JSON,
            [r#"{"id":1}"#, r#"{"id":1}"#, r#"{"id":3}"#, r#"{"id":4}"#],
            &[],
        ),
        // Its value is noise; that it is gone is none.
        (
            JSON,
            [r#"{"id":1}"#, r#"{"id":2}"#, "{}", "{}"],
            &["the field `id` is missing in the candidate's answers"],
        ),
        (
            JSON,
            [
                r#"{"id":1}"#,
                r#"{"id":2}"#,
                r#"{"id":"1"}"#,
                r#"{"id":"2"}"#,
            ],
            &[
                "the field `id` is a number in the baseline's answers and a string in the \
               candidate's",
            ],
        ),
        // A list of another length each time may hold anything.
        (JSON, ["[1]", "[1,2]", "[7]", "[7]"], &[]),
        // Keys that are made up each time.
        (
            JSON,
            [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"c":1}"#, r#"{"d":1}"#],
            &[],
        ),
        // One of two elements is noise, and so is the field of the other.
        (
            JSON,
            [
                r#"[{"at":1},{"at":5}]"#,
                r#"[{"at":2},{"at":5}]"#,
                r#"[{"at":3},{"at":6}]"#,
                r#"[{"at":4},{"at":6}]"#,
            ],
            &[],
        ),
        // A word that is noise, beside one that is not.
        (
            "text/html",
            ["<i>a1</i>", "<i>a2</i>", "<i>a3</i>", "<i>a4</i>"],
            &[],
        ),
        (
            "text/html",
            ["<i>a1</i>", "<i>a2</i>", "<b>a3</b>", "<b>a4</b>"],
            &["the text of the body differs in the candidate's answers"],
        ),
    ];
    for (kind, bodies, wanted) in table {
        assert_eq!(said(kind, bodies), wanted, "{bodies:?}");
    }
}

#[test]
fn noise_of_one_request_is_noise_of_its_endpoint_and_findings_are_counted() {
    let mut found = Bodies::default();
    let same = |text| [text; 4].map(|body| answer(JSON, body));
    let differs = [r#"{"n":1}"#, r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":2}"#];
    let differs = differs.map(|body| answer(JSON, body));
    found.add("GET /x", &same(r#"{"n":1}"#));
    found.add("GET /x", &differs);
    found.add("GET /y", &same("{}"));
    let one = Finding {
        endpoint: "GET /x".to_owned(),
        said: "the field `n` differs in the candidate's answers".to_owned(),
        seen: 1,
        of: 2,
    };
    assert_eq!(found.findings(), [one]);
    assert_eq!((found.requests(), found.endpoints()), (3, 2));
    let noisy = [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":2}"#, r#"{"n":2}"#];
    found.add("GET /x", &noisy.map(|body| answer(JSON, body)));
    assert_eq!(found.findings(), []);
}

#[test]
fn status_and_headers_are_compared_by_what_they_mean() {
    let read = |status, headers: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        let headers: Vec<_> = headers.iter().map(own).collect();
        Answer::read(status, &headers, Some(b"x"), "shop:81")
    };
    let said = |baseline: &Answer, candidate: &Answer| -> Vec<String> {
        let (b, c) = (baseline, candidate);
        let mut found = Bodies::default();
        found.add("GET /x", &[b, b, c, c].map(Clone::clone));
        found.findings().into_iter().map(|it| it.said).collect()
    };
    let plain = read(200, &[]);
    assert_eq!(
        said(&plain, &read(404, &[("x-new", "1")])),
        ["the status is 200 from the baseline and 404 from the candidate"]
    );
    assert_eq!(
        said(&plain, &read(200, &[("X-New", "1")])),
        ["the header `x-new` is only in the candidate's answers"]
    );
    let with = |name, value| read(200, &[(name, value)]);
    assert_eq!(said(&with("x-shard", "1"), &with("x-shard", "2")), [""; 0]);
    assert_eq!(
        said(
            &with("content-type", "text/html"),
            &with("Content-Type", "text/plain")
        ),
        ["the header `content-type` differs in the candidate's answers"]
    );
    for (name, value) in [
        ("Date", "now"),
        ("ETag", "1"),
        ("X-Request-Id", "7"),
        ("server", "a"),
    ] {
        assert_eq!(said(&plain, &with(name, value)), [""; 0], "{name}");
    }
}

#[test]
fn a_side_may_name_its_own_address() {
    let read =
        |authority: &str, body: &str| Answer::read(200, &[], Some(body.as_bytes()), authority);
    let self_named = |authority: &str| {
        read(
            authority,
            &format!(r#"{{"next":"http://{authority}/p/2","at":"{authority}"}}"#),
        )
    };
    let (one, two) = (self_named("127.0.0.1:8001"), self_named("127.0.0.1:8002"));
    assert_eq!(one, two);
    // Longer names and other ports are other places.
    let whole = |authority| read(authority, "http://cdn.shop.example/ shop.example:8 x");
    assert_eq!(whole("shop.example"), whole("other.example"));
    assert_ne!(read("", "a"), read("", "b"));
}

#[test]
fn what_was_not_read_is_like_anything_and_what_is_too_different_differs_as_a_whole() {
    let unread = Answer::read(200, &[], None, "");
    let some = Answer::read(200, &[], Some(b"x"), "");
    assert!(unread.compare(&some).is_empty());
    let long = |word: &str| format!("{word} ").repeat(20_000);
    let found = said(
        "text/plain",
        [&long("a"), &long("a"), &long("b"), &long("b")],
    );
    assert_eq!(found.len(), 1, "{found:?}");
    // As noise it excuses all of the body.
    let found = said(
        "text/plain",
        [&long("a"), &long("b"), &long("c"), &long("c")],
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn what_is_shown_is_short_and_holds_no_value() {
    let fields = |n: usize, value: &str| -> Value {
        let fields = (0..n).map(|n| (format!("{n:02}{}", "k".repeat(90)), json!(value)));
        Value::Object(fields.collect())
    };
    let mut found = Bodies::default();
    for endpoint in 0..9 {
        let [b, c] = ["hunter2", "hunter3"].map(|value| json_answer(&fields(7, value)));
        found.add(&format!("GET /{endpoint}"), &[b.clone(), b, c.clone(), c]);
    }
    let said = found.sentences();
    assert_eq!(said.len(), SHOWN + 1, "{said:#?}");
    assert_eq!(said[5], "GET /0: 2 more places differ");
    assert_eq!(said[SHOWN], "34 more differences of this kind");
    assert!(said[0].ends_with("(1 of 1 requests)"), "{}", said[0]);
    assert!(
        said.iter()
            .all(|it| it.len() < 200 && !it.contains("hunter"))
    );
    assert!(!format!("{found:?}").contains("hunter"));
}

/// Any JSON value of a moderate size.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-d]", inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_same_answers_never_differ(value in value(), text in ".{0,60}", authority in ".{0,4}") {
        let mut found = Bodies::default();
        found.add("GET /x", &[(); 4].map(|()| json_answer(&value)));
        let read = || Answer::read(200, &[], Some(text.as_bytes()), &authority);
        found.add("GET /x", &[(); 4].map(|()| read()));
        prop_assert_eq!(found.findings(), []);
    }

    #[test]
    fn noise_is_never_a_finding_and_hides_none(
        value in value(),
        noise in prop::array::uniform4(value()),
    ) {
        // Whatever the first field holds within the sides, the second is new.
        let mut found = Bodies::default();
        let of = |n: usize| {
            let mut body = json!({ "same": value, "noise": noise[n] });
            if n > 1 {
                body["new"] = json!(1);
            }
            json_answer(&body)
        };
        found.add("GET /x", &[of(0), of(1), of(2), of(3)]);
        let within = noise[0] != noise[1] || noise[2] != noise[3];
        let said: Vec<_> = found.findings().into_iter().map(|it| it.said).collect();
        let new = "the field `new` is only in the candidate's answers";
        prop_assert!(said.iter().any(|it| it == new), "{said:?}");
        prop_assert!(said.iter().all(|it| it == new || it.contains("`noise")), "{said:?}");
        if (0..2).any(|a| (2..4).any(|b| noise[a] == noise[b])) {
            // Some pair across the sides agrees, so that nothing there differs in all of them.
            prop_assert_eq!(said.len(), 1, "{:?} {:?}", within, said);
        }
    }
}
