//! The pages in a real browser: nothing is logged, nothing is fetched, every part is there, charts
//! are whole, sorting works, and foreign text stays text.
//!
//! Needs chromium and chromedriver; axe-core and html-validate are used where `.ci/run` has
//! installed them. What is missing is said, and skipped by name.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

mod webdriver;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use proofload::report::{Entry, Format, Mix, Overview, Report, Style, read_json, render};
use serde_json::{Value, json};

use webdriver::{Browser, decoded};

/// One browser at a time.
static TURN: Mutex<()> = Mutex::new(());
/// The report that the snapshots show.
const SAMPLE: &str =
    include_str!("../../src/report/snapshots/proofload__report__tests__report.json.snap");
const TEXTS: &str = include_str!("../../src/report/injection/texts.json");
/// Where pictures and pages go, to be looked at.
const SHOWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/browser");
/// Where `.ci/run` installs the checkers.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/npm/node_modules");

/// A page of a thousand endpoints opens in less, in milliseconds.
const OPEN_MAX_MS: f64 = 2_000.0;

const LIGHT: (u32, u32) = (1280, 900);
const NARROW: (u32, u32) = (390, 844);

fn sample() -> Report {
    let (_, text) = SAMPLE.split_once("---\n").unwrap();
    let (_, text) = text.split_once("---\n").unwrap();
    read_json(text).unwrap()
}

/// The same with so many endpoints more.
fn large(more: usize) -> Report {
    let mut report = sample();
    let changes: Vec<_> = report.comparison.changes[..6].to_vec();
    let totals: Vec<_> = report.totals.endpoints[..2].to_vec();
    for n in 0..more {
        let name = format!("GET /some/longer/path/{n}/{{id}}");
        for change in [&changes[4], &changes[5], &changes[n % 6]] {
            let mut change = change.clone();
            change.endpoint.clone_from(&name);
            report.comparison.changes.push(change);
        }
        for total in &totals {
            let mut total = total.clone();
            total.endpoint.clone_from(&name);
            report.totals.endpoints.push(total);
        }
    }
    report
}

fn page(report: &Report) -> String {
    render(report, Format::Html, Style::default())
}

fn written(name: &str, text: &str) -> PathBuf {
    std::fs::create_dir_all(SHOWN).unwrap();
    let path = Path::new(SHOWN).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A picture of the whole page, or of what a printer gets.
fn capture(browser: &Browser, name: &str, size: (u32, u32), dark: bool, media: &str) {
    browser.show_as(size, dark, media);
    let height = browser.script("return document.documentElement.scrollHeight", &[]);
    let clip = json!({ "x": 0, "y": 0, "width": size.0, "height": height, "scale": 1 });
    let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
    let taken = browser.devtools("Page.captureScreenshot", &params);
    let bytes = decoded(taken["data"].as_str().unwrap());
    assert!(bytes.starts_with(b"\x89PNG"));
    std::fs::write(Path::new(SHOWN).join(name), bytes).unwrap();
}

/// What left the machine, by the browser's own account: its own parts come from `chrome:`.
fn requests(browser: &Browser) -> Vec<String> {
    let entries = browser.log("performance");
    let sent = entries.iter().filter_map(|entry| {
        let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
        let message = &message["message"];
        let is_sent = message["method"] == "Network.requestWillBeSent";
        let url = message["params"]["request"]["url"].as_str()?.to_owned();
        let inside = ["file:", "data:", "about:", "chrome:", "chrome-"];
        let leaves = !inside.iter().any(|scheme| url.starts_with(scheme));
        (is_sent && leaves).then_some(url)
    });
    sent.collect()
}

/// What overlaps or has no box, with every folded part opened.
const CHARTS: &str = r#"
document.querySelectorAll("details").forEach((it) => { it.open = true; });
document.querySelectorAll(".card").forEach((it) => { it.style.contentVisibility = "visible"; });
const wrong = [];
const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
  && a.top < b.bottom - 1 && b.top < a.bottom - 1;
let count = 0;
for (const svg of document.querySelectorAll("svg.plot, svg.strip")) {
  count += 1;
  const box = svg.getBoundingClientRect();
  const name = svg.getAttribute("aria-label").slice(0, 60);
  if (box.width < 40 || box.height < 8) wrong.push("no box: " + name);
  const plot = svg.querySelector(".f-q");
  const labels = [...svg.querySelectorAll("text")];
  labels.forEach((label, index) => {
    const own = label.getBoundingClientRect();
    if (own.width === 0) wrong.push("empty label: " + name);
    if (own.left < box.left - 1 || own.right > box.right + 1 || own.bottom > box.bottom + 1)
      wrong.push("label leaves the chart: " + label.textContent + ": " + name);
    if (meet(own, plot.getBoundingClientRect()))
      wrong.push("label on the plot: " + label.textContent + ": " + name);
    for (const other of labels.slice(index + 1))
      if (meet(own, other.getBoundingClientRect()))
        wrong.push("labels meet: " + label.textContent + ", " + other.textContent + ": " + name);
  });
}
return { wrong, count };
"#;

fn check_charts(browser: &Browser, size: (u32, u32)) {
    browser.show_as(size, false, "screen");
    let found = browser.script(CHARTS, &[]);
    assert_eq!(found["wrong"], json!([]), "{size:?}");
    assert!(found["count"].as_u64().unwrap() > 15, "{found}");
    let width = browser.script("return document.documentElement.scrollWidth", &[]);
    assert!(
        width.as_u64().unwrap() <= u64::from(size.0),
        "{width} at {size:?}"
    );
}

/// The names of the cards in the order of the page, hidden ones left out.
const NAMES: &str = r#"
return [...document.querySelectorAll(".card")].filter((card) => !card.hidden)
  .map((card) => (card.querySelector("h3 code") || card.querySelector("h3")).textContent.trim());
"#;

/// Chooses an order as a person would.
const CHOOSE: &str = r#"
const order = document.getElementById("order");
order.value = arguments[0];
order.dispatchEvent(new Event("change"));
"#;

fn check_sorting(browser: &Browser) {
    let names = || browser.script(NAMES, &[]);
    let first = names();
    assert!(
        first[1] == "GET /cart" && first[2] == "POST /orders/{id}",
        "{first}"
    );
    browser.script(CHOOSE, &[json!("errors")]);
    assert_eq!(names()[0], "POST /orders/{id}");
    browser.script(CHOOSE, &[json!("p99")]);
    assert_eq!(names()[0], "GET /cart");
    browser.script(CHOOSE, &[json!("rank")]);
    assert_eq!(names(), first);
    let find = "const it = document.getElementById('find'); it.value = arguments[0]; \
                it.dispatchEvent(new Event('input'));";
    browser.script(find, &[json!("ORDERS")]);
    assert_eq!(names(), json!(["POST /orders/{id}"]));
    browser.script(find, &[json!("")]);
    browser.script("document.getElementById('only').click()", &[]);
    assert_eq!(names(), json!(["GET /cart", "POST /orders/{id}"]));
    browser.script("document.getElementById('only').click()", &[]);
}

/// A pointer over a chart reads its values.
fn check_pointer(browser: &Browser) {
    let read = browser.script(
        r#"const svg = document.querySelector("figure.chart svg");
           const box = svg.getBoundingClientRect();
           svg.dispatchEvent(new PointerEvent("pointermove",
             { clientX: box.left + box.width * 0.9, clientY: box.top + 20, bubbles: true }));
           return svg.closest("figure").querySelector(".caption").textContent;"#,
        &[],
    );
    let read = read.as_str().unwrap();
    assert!(
        read.starts_with("p9") && read.contains("candidate"),
        "{read}"
    );
}

/// No serious issue of accessibility, by axe-core.
fn check_access(browser: &Browser, what: &str) {
    let path = Path::new(MODULES).join("axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(path) else {
        println!("skipped axe-core for {what}: it is not in target/npm; see .ci/run");
        return;
    };
    browser.script(&format!("{axe}\nwindow.axe = axe;"), &[]);
    let found = browser.wait_for(
        r#"const done = arguments[arguments.length - 1];
           axe.run(document, { resultTypes: ["violations"] }).then((result) => done(
             result.violations.filter((it) => ["serious", "critical"].includes(it.impact))
               .map((it) => it.id + ": " + it.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)
                 + " " + n.failureSummary).join(" | "))), (error) => done(String(error)));"#,
    );
    assert_eq!(found, json!([]), "{what}");
}

/// Valid HTML, by html-validate.
fn check_valid(path: &Path) {
    let tool = Path::new(MODULES).join(".bin/html-validate");
    if !tool.exists() {
        println!("skipped html-validate: it is not in target/npm; see .ci/run");
        return;
    }
    let rules = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/browser/htmlvalidate.json"
    );
    let ended = Command::new(tool)
        .args(["--config", rules])
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
}

#[test]
fn the_page_is_whole_in_a_browser() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(browser) = Browser::start("the_page_is_whole_in_a_browser") else {
        return;
    };
    let path = written("report.html", &page(&sample()));
    browser.open(&path);
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
    assert_eq!(requests(&browser), Vec::<String>::new());
    for id in [
        "matters",
        "trust",
        "compared",
        "endpoints",
        "rounds",
        "outcomes",
        "answers",
        "resources",
        "recording",
        "environment",
        "generator",
        "fidelity",
        "again",
        "method",
    ] {
        let body = "const it = document.getElementById(arguments[0]); \
                    return it ? it.getBoundingClientRect().height : 0;";
        let height = browser.script(body, &[json!(id)]).as_f64().unwrap();
        assert!(height > 10.0, "{id}: {height}");
    }
    check_sorting(&browser);
    check_pointer(&browser);
    capture(&browser, "light.png", LIGHT, false, "screen");
    check_access(&browser, "light");
    capture(&browser, "dark.png", LIGHT, true, "screen");
    check_access(&browser, "dark");
    capture(&browser, "narrow.png", NARROW, false, "screen");
    check_access(&browser, "narrow");
    capture(&browser, "print.png", (703, 1000), false, "print");
    check_charts(&browser, LIGHT);
    check_charts(&browser, NARROW);
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
    check_valid(&path);
}

#[test]
fn the_page_is_readable_with_scripts_blocked() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(browser) = Browser::start("the_page_is_readable_with_scripts_blocked") else {
        return;
    };
    let path = written("blocked.html", &page(&sample()));
    browser.devtools(
        "Emulation.setScriptExecutionDisabled",
        &json!({ "value": true }),
    );
    browser.open(&path);
    let root = browser.devtools("DOM.getDocument", &json!({}));
    let box_of = |selector: &str| {
        let query = json!({ "nodeId": root["root"]["nodeId"], "selector": selector });
        let node = browser.devtools("DOM.querySelector", &query);
        let id = json!({ "nodeId": node["nodeId"] });
        browser.devtools("DOM.getBoxModel", &id)["model"]["height"].as_u64()
    };
    for selector in [
        "h1",
        "#endpoints .card",
        "#endpoints svg.plot",
        "#again pre",
        "#method ol",
    ] {
        assert!(box_of(selector).unwrap_or(0) > 10, "{selector}");
    }
}

#[test]
fn a_thousand_endpoints_open_and_can_be_sorted() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(browser) = Browser::start("a_thousand_endpoints_open_and_can_be_sorted") else {
        return;
    };
    let text = page(&large(1_000));
    assert!(text.len() < 5_000_000, "{}", text.len());
    let path = written("large.html", &text);
    let timing = "return performance.getEntriesByType('navigation')[0].loadEventEnd";
    // The best of three: what else runs on the machine only ever adds.
    let took_ms = (0..3).map(|_| {
        browser.open(&path);
        browser.script(timing, &[]).as_f64().unwrap()
    });
    let took_ms = took_ms.fold(f64::INFINITY, f64::min);
    println!("{} bytes, loaded in {took_ms:.0} ms", text.len());
    assert!(took_ms > 0.0 && took_ms < OPEN_MAX_MS, "{took_ms} ms");
    browser.script(CHOOSE, &[json!("name")]);
    let names = browser.script(NAMES, &[]);
    assert_eq!(names.as_array().unwrap().len(), 1_003);
    assert_eq!(names[1], "GET /cart");
}

#[test]
fn the_page_over_many_opens_and_can_be_sorted() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(browser) = Browser::start("the_page_over_many_opens_and_can_be_sorted") else {
        return;
    };
    let entry = |n: usize| {
        let mut report = sample();
        report.subject.title = format!("service {n}");
        report.subject.started_at = format!("2026-03-0{n}T12:00:00Z");
        Entry {
            path: format!("reports/{n}"),
            href: Some(format!("{n}/report.html")),
            report,
        }
    };
    let overview = Overview::new((1..=4).map(entry).collect());
    let text = overview.render(Format::Html, Style::default()).unwrap();
    let path = written("overview.html", &text);
    browser.open(&path);
    let first = "return document.querySelector('.matrix tbody th').textContent";
    assert!(
        browser
            .script(first, &[])
            .as_str()
            .unwrap()
            .starts_with("service 4")
    );
    browser.script(
        "document.querySelector('.matrix thead button').click()",
        &[],
    );
    assert!(
        browser
            .script(first, &[])
            .as_str()
            .unwrap()
            .starts_with("service 1")
    );
    capture(&browser, "overview.png", LIGHT, false, "screen");
    check_access(&browser, "overview");
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
    check_valid(&path);
}

/// A report in which every foreign text is another of these.
fn poisoned(texts: &[String]) -> Report {
    let mut report = large(texts.len());
    let mut each = texts.iter().cycle();
    let mut next = || each.next().unwrap().clone();
    let subject = &mut report.subject;
    subject.title = next();
    subject.baseline.label = next();
    subject.candidate.address = Some(next());
    subject.workload.source = next();
    subject.rate = next();
    subject.command = next();
    subject.configuration = json!({ next(): [next()] });
    subject.notes = texts.to_vec();
    report.comparison.causes = texts.to_vec();
    report.comparison.warnings[0].text = next();
    report.comparison.warnings[0].code = next();
    for (change, text) in report
        .comparison
        .changes
        .iter_mut()
        .zip(texts.iter().cycle())
    {
        change.endpoint.clone_from(text);
    }
    for (total, text) in report.totals.endpoints.iter_mut().zip(texts.iter().cycle()) {
        total.endpoint.clone_from(text);
        total.classes = [(text.clone(), 3)].into();
    }
    for round in &mut report.picture.course {
        round.dropped = Some(next());
    }
    for side in &mut report.totals.fidelity {
        side.skipped = [(next(), 1)].into();
        let mix = texts.iter().map(|text| Mix {
            endpoint: text.clone(),
            recorded: 0.25,
            scheduled: 0.5,
            sent: 0.5,
        });
        side.mix = mix.collect();
    }
    for place in [&mut report.subject.baseline, &mut report.subject.candidate] {
        place.protocol = Some(next());
        place.labels = [("commit".to_owned(), next())].into();
        place.facts = texts
            .iter()
            .map(|text| (text.clone(), text.clone()))
            .collect();
    }
    report
}

#[test]
fn no_foreign_text_acts_in_a_browser() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(browser) = Browser::start("no_foreign_text_acts_in_a_browser") else {
        return;
    };
    let texts: Value = serde_json::from_str(TEXTS).unwrap();
    let texts: Vec<String> = serde_json::from_value(texts["xss"].clone()).unwrap();
    assert!(texts.len() >= 200);
    browser.open(&written("poisoned.html", &page(&poisoned(&texts))));
    // A dialog would fail every call from here on; what a policy blocked would be logged.
    let alive = "document.querySelectorAll('details').forEach((it) => { it.open = true; }); \
                 document.querySelectorAll('a, button, input').forEach((it) => it.focus()); \
                 return document.scripts.length;";
    assert_eq!(browser.script(alive, &[]), 1);
    assert_eq!(browser.log("browser"), Vec::<Value>::new());
    assert_eq!(requests(&browser), Vec::<String>::new());
    // Elements and the names of their attributes, as the browser's own parser sees them.
    let shape = r#"const page = new DOMParser().parseFromString(arguments[0], "text/html");
        return [...page.querySelectorAll("*")].map((it) => it.tagName + " "
          + it.getAttributeNames().join(" ")).join("\n");"#;
    let of = |text: &str| {
        let mut report = sample();
        let subject = &mut report.subject;
        for field in [&mut subject.title, &mut subject.rate, &mut subject.command] {
            text.clone_into(field);
        }
        subject.notes = vec![text.to_owned()];
        report.comparison.causes = vec![text.to_owned()];
        report
            .comparison
            .changes
            .iter_mut()
            .for_each(|it| text.clone_into(&mut it.endpoint));
        report
            .totals
            .endpoints
            .iter_mut()
            .for_each(|it| text.clone_into(&mut it.endpoint));
        browser.script(shape, &[json!(page(&report))])
    };
    let benign = of("harmless");
    for text in &texts {
        assert_eq!(of(text), benign, "{text:?}");
    }
}
