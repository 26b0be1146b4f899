//! Rules as a whole: read, checked, drawn, filled.

use std::collections::BTreeSet;

use super::*;
use crate::workload::{Workload, endpoint::is_uuid, parse_request};

fn settings(text: &str) -> ReplaySettings {
    toml::from_str(text).unwrap()
}

fn rules(text: &str) -> Rules {
    Rules::new(&settings(text), (true, true)).unwrap()
}

const CSRF: &str = r#"
    [[rule]]
    name = "csrf"
    extract = { from = "GET /form", at = "json:/csrf" }
    replace = [{ in = "POST /send", at = "form:csrf" }, { in = "POST /send", at = "header:X-Csrf" }]
    [[rule]]
    name = "sid"
    extract = { from = "GET /form", at = "cookie:sid" }
    replace = [{ in = "POST /send", at = "cookie:copy" }]
"#;

fn send(body: &str) -> Request {
    Request {
        body: body.as_bytes().to_vec(),
        ..parse_request("POST /send").unwrap()
    }
}

fn learn(client: &mut Client, rules: &Rules, fields: &[(&str, &str)], body: &str) {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let answer = Answer {
        fields: &fields,
        body: body.as_bytes(),
        now_s: 0,
    };
    client.keep_cookies("/form", &answer);
    for rule in rules.gives("GET /form") {
        client.keep_value(rules, rule, &answer);
    }
}

fn lot(seq: &mut u64, index: u64) -> Lot<'_> {
    Lot {
        seed: 7,
        repetition: 0,
        index,
        now_ns: 0,
        seq,
    }
}

#[test]
fn a_value_goes_from_an_answer_to_each_of_its_places() {
    let rules = rules(CSRF);
    assert_eq!(rules.gives("GET /form"), [0, 1]);
    assert!(rules.gives("POST /send").is_empty());
    let template = rules.template(&send("a=1&csrf=old&b=2")).unwrap();
    assert_eq!(template.needs().collect::<BTreeSet<_>>(), [0, 1].into());
    let mut client = Client::default();
    assert!(template.fill(&mut client).is_err(), "nothing is known yet");
    learn(
        &mut client,
        &rules,
        &[("set-cookie", "sid=s1; Path=/")],
        "{\"csrf\":\"n/w\"}",
    );
    let filled = template.fill(&mut client).unwrap();
    assert_eq!(filled.body, b"a=1&csrf=n%2Fw&b=2");
    assert_eq!(filled.headers, [("x-csrf".to_owned(), "n/w".to_owned())]);
    let cookies = client.cookies("/send", None).unwrap();
    assert_eq!(cookies, "sid=s1; copy=s1");
    // What has no answer of its own keeps the last.
    learn(&mut client, &rules, &[], "{}");
    assert!(template.fill(&mut client).is_ok());
    // A value that would break the head is none.
    learn(&mut client, &rules, &[], "{\"csrf\":\"a\\r\\nb: c\"}");
    assert_eq!(template.fill(&mut client), Err(Lacking(0)));
}

#[test]
fn only_what_carries_a_value_needs_one() {
    let text = CSRF.replace("{ in = \"POST /send\", at = \"header:X-Csrf\" }", "");
    let text = text.split("[[rule]]\n    name = \"sid\"").next().unwrap();
    let rules = rules(text);
    assert!(rules.template(&send("csrf=x")).is_some());
    assert!(rules.template(&send("a=1")).is_none());
    assert!(rules.template(&parse_request("/other").unwrap()).is_none());
}

#[test]
fn answers_that_are_looked_into_are_asked_for_plain() {
    let rules = rules(CSRF);
    let mut form = parse_request("/form").unwrap();
    form.headers = vec![("Accept-Encoding".into(), "br".into())];
    let out = rules.outgoing(&form);
    let plain = ("accept-encoding".to_owned(), "identity".to_owned());
    assert_eq!(out.headers, [plain]);
    let other = Request {
        headers: form.headers.clone(),
        ..send("")
    };
    assert_eq!(*rules.outgoing(&other), other);
}

#[test]
fn texts_and_placeholders_are_drawn_by_the_lot() {
    let rules = rules(
        r#"
        [[rule]]
        name = "ref"
        value = "load-{{seq}}"
        replace = [{ in = "POST /send", at = "form:ref" }, { in = "POST /send", at = "query:r" }]
        "#,
    );
    let mut request = send("ref=1&id={{uuid}}&n={{seq}}");
    request.path = "/send?r=2".into();
    request.headers = vec![
        (
            "Content-Type".into(),
            "application/x-www-form-urlencoded".into(),
        ),
        ("Idempotency-Key".into(), "k1".into()),
        ("traceparent".into(), "00-11-22-01".into()),
    ];
    assert!(rules.is_drawn(&request) && rules.template(&request).is_none());
    let mut seq = 0;
    let one = rules.draw(&request, &mut lot(&mut seq, 5)).into_owned();
    let mut again = 0;
    assert_eq!(*rules.draw(&request, &mut lot(&mut again, 5)), one);
    assert_eq!(one.path, "/send?r=load-2");
    let body = String::from_utf8(one.body.clone()).unwrap();
    assert!(
        body.starts_with("ref=load-2&id=") && body.ends_with("&n=1"),
        "{body}"
    );
    let (key, trace) = (&one.headers[1].1, &one.headers[2].1);
    assert!(is_uuid(key), "{key}");
    assert!(
        trace.starts_with("00-a") && trace.ends_with("-00") && trace.len() == 55,
        "{trace}"
    );
    let next = rules.draw(&request, &mut lot(&mut seq, 6)).into_owned();
    assert_eq!(next.path, "/send?r=load-4");
    // The same key was recorded, so that the same one is sent; the trace is another.
    assert_eq!(next.headers[1], one.headers[1]);
    assert_ne!(next.headers[2], one.headers[2]);
}

#[test]
fn what_was_recorded_keeps_its_braces() {
    let rules = Rules::new(&ReplaySettings::default(), (true, false)).unwrap();
    let request = send("{{uuid}}");
    assert!(!rules.is_drawn(&request));
    let mut seq = 0;
    assert_eq!(*rules.draw(&request, &mut lot(&mut seq, 0)), request);
    let json = Request {
        headers: vec![("content-type".into(), "application/json".into())],
        ..send("{\"a\":\"{{now:s}}\",\"b\":{{seq}}}")
    };
    let rules = self::rules("");
    let drawn = rules.draw(&json, &mut lot(&mut seq, 0)).into_owned();
    assert_eq!(drawn.body, b"{\"a\":\"0\",\"b\":1}");
}

#[test]
fn each_wrong_rule_says_what_is_wrong() {
    let extract = "extract = { from = \"GET /a\", at = \"json:/a\" }";
    let replace = "replace = [{ in = \"GET /a\", at = \"query:a\" }]";
    for (rule, said) in [
        (format!("name = \"a\"\n{extract}"), "replaces nothing"),
        (
            format!("name = \"a\"\n{replace}"),
            "one of `extract` and `value`",
        ),
        (
            format!("name = \"a\"\nvalue = \"x\"\n{extract}\n{replace}"),
            "not both",
        ),
        (
            format!("name = \"a b\"\n{extract}\n{replace}"),
            "needs a name",
        ),
        (
            format!("name = \"a\"\nextract = {{ from = \"x\", at = \"xpath:/\" }}\n{replace}"),
            "`xpath:/` is no place in an answer",
        ),
        (
            format!("name = \"a\"\n{extract}\nreplace = [{{ in = \"x\", at = \"path:1\" }}]"),
            "`path:1` is no place in a request",
        ),
        (
            format!(
                "name = \"a\"\n{extract}\n{replace}\n[[rule]]\nname = \"a\"\n{extract}\n{replace}"
            ),
            "is there twice",
        ),
    ] {
        let settings = settings(&format!("[[rule]]\n{rule}\n"));
        let error = Rules::new(&settings, (true, true)).unwrap_err().to_string();
        assert!(error.contains(said), "{rule}: {error}");
    }
    let mut rules = rules(CSRF);
    let known = [("GET /form".to_owned(), 1)].into();
    let error = rules.check(&known, Path::new(".")).unwrap_err().to_string();
    assert!(error.contains("no endpoint `POST /send`"), "{error}");
}

#[test]
fn a_rule_holds_no_secret() {
    let rule = |value: &str, at: &str| {
        let text = format!(
            "[[rule]]\nname = 'a'\nvalue = '{value}'\nreplace = [{{ in = 'GET /a', at = '{at}' }}]"
        );
        Rules::new(&settings(&text), (true, true))
    };
    let issued = concat!("ghp", "_16C7e42F292c6912E7710c838347Ae178B4a");
    for (value, at) in [
        ("staging-user", "header:authorization"),
        ("staging-user", "header:X-Api-Key"),
        ("staging-user", "cookie:sid"),
        ("hunter2", "form:password"),
        ("hunter2", "json:/user/password"),
        (issued, "query:page"),
        ("Bearer Zx81kQp02Lm7aaPq", "header:x-a"),
        ("Ab3dE5fG7hI9jK1mN3pQ5rS7-{{seq}}", "query:page"),
        ("a", "header:authorization ~ Bearer Zx81kQp02Lm7aaPq {}"),
        ("a", "header:authorization ~ Bearer Zx81kQp02Lm7aaPq"),
    ] {
        let error = rule(value, at).unwrap_err().to_string();
        assert!(
            error.contains("-H @FILE or --auth-cmd"),
            "{value} {at}: {error}"
        );
        assert!(
            !error.contains("Zx81") && !error.contains(value.get(3..).unwrap_or("?")),
            "{error}"
        );
    }
    for (value, at) in [
        ("staging-user", "form:user"),
        ("{{pick:tokens.txt}}", "header:authorization ~ Bearer {}"),
        ("load-{{seq}}@shop.test", "form:email"),
        ("{{uuid}}", "header:X-Api-Key"),
        ("Bearer {{pick:tokens.txt}}", "header:authorization"),
        ("de-CH", "header:accept-language"),
    ] {
        assert!(rule(value, at).is_ok(), "{value} {at}");
    }
}

#[test]
fn a_word_that_may_have_been_meant_to_be_a_placeholder_is_named() {
    let request = parse_request("GET /a?u={{uid}}&s={{seq}}").unwrap();
    let workload = Workload::from_requests(vec![request], "test").unwrap();
    let workload = workload.under(&ReplaySettings::default(), true).unwrap();
    assert_eq!(workload.rules().unknown().collect::<Vec<_>>(), ["uid"]);
}
