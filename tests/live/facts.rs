//! What the sides say of themselves stands in the run file and in every report, and where they
//! differ the page says so.

use serde_json::{Value, json};

use crate::{
    binary::Proofload,
    faultd::{Fault, Faultd, Then},
    runs::stored,
    verdicts::{SHORT, compare},
};

fn server(fields: &str) -> Faultd {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{fields}\r\nok");
    Faultd::always(Fault::Bytes(answer.into_bytes(), Then::Keep))
}

#[test]
fn what_a_target_says_of_itself_is_kept_without_secrets() {
    let token = "Ab3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z";
    let server = server(&format!(
        "Server: shop/2\r\nVia: 1.1 edge ({token})\r\nX-Powered-By: a\u{202e}b\r\n"
    ));
    let line = format!("run --target {} -o run.jsonl", server.url());
    let done = Proofload::new(&line)
        .args(&["--request", "/x", "--rate", "50/s", "-d", "300ms"])
        .args(&["--format", "json"])
        .run()
        .measured();
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let facts = &report["target"]["facts"];
    assert_eq!(facts["server"], "shop/2");
    assert_eq!(facts["addresses"], "1");
    assert_eq!(facts["via"], "1.1 edge (***)");
    let kept = stored(&done).header.targets.into_values().next().unwrap();
    assert_eq!(&json!(kept.facts), facts);
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(token), "{}", path.display());
        assert!(!text.contains('\u{202e}'), "{}", path.display());
    }
}

#[test]
fn the_page_says_where_the_sides_differ() {
    let (a, b) = (server("Server: shop/1\r\n"), server("Server: shop/2\r\n"));
    let done = compare(&a, &b, SHORT).args(&["--request", "/x"]).run();
    let again = Proofload::new("report out/run.jsonl --format html -o again.html");
    let page = std::fs::read_to_string(done.path("out/report.html")).unwrap();
    let again = again.within(done).run().expect(0);
    let again = std::fs::read_to_string(again.path("again.html")).unwrap();
    for page in [page, again] {
        for row in [
            "<tr class=\"differs\"><th scope=\"row\">Server</th><td class=\"long\">shop/1</td>\
             <td class=\"long\">shop/2</td><td>differs</td></tr>",
            "<tr><th scope=\"row\">Number of addresses</th><td class=\"long\">1</td>\
             <td class=\"long\">1</td><td>✓</td></tr>",
        ] {
            assert!(page.contains(row), "{row}");
        }
    }
}
