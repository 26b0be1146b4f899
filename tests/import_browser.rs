//! A HAR of a real browser: Chromium, driven by playwright-core, visits a small application with
//! a log-in form, calls in the background, an upload, a redirect and images. The application
//! notes what arrives, and the import is compared with that.
//!
//! Where node, playwright-core or Chromium is missing, the test says so and ends. playwright-core
//! is found through `NODE_PATH`.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use proofload::workload::import::{ImportOptions, Imported, har::import_har};

const FIRST: &str = "<!doctype html><title>first</title>
    <link rel=icon href='data:,'><link rel=stylesheet href=/style.css><img src=/logo.svg?v=1>
    <form method=post action=/login><input type=hidden name=csrf value=hunter2-k3f9a8c7d6e5>
    <input id=user name=user>
    <input id=password name=password type=password><button id=login>in</button></form>
    <script>fetch('/api/items?page=1').then(r => r.json()).then(() => { document.title = 'ready' })
    </script>";
const HOME: &str = "<!doctype html><title>home</title><link rel=icon href='data:,'>
    <img src=/logo.svg?v=2>
    <form method=post action=/upload enctype=multipart/form-data>
    <input id=file name=file type=file><button id=send>send</button></form>
    <script>fetch('/api/items', {method: 'POST', headers: {'content-type': 'application/json',
      'x-csrf-token': 'hunter2-csrf'}, body: JSON.stringify({item: 42, token: 'hunter2-token'})})
      .then(() => fetch('/api/items/42', {method: 'DELETE'}))
      .then(() => { document.title = 'home ready' })</script>";

/// A request as the application saw it: method, address, and the length of its body.
type Seen = (String, String, usize);

/// The application, for as long as the test lasts.
struct App {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl App {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let into = Arc::clone(&into);
                thread::spawn(move || serve(&stream, &into));
            }
        });
        Self { url, seen }
    }

    /// What has arrived since the last look, in the order of the alphabet.
    fn take(&self) -> Vec<Seen> {
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.sort();
        seen
    }
}

/// One request for each connection, so that nothing can be mixed up.
fn serve(stream: &TcpStream, seen: &Mutex<Vec<Seen>>) {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    if reader.read_line(&mut first).is_err() {
        return;
    }
    let mut words = first.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return;
    };
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let seen_now = (method.to_owned(), path.to_owned(), length);
    seen.lock().unwrap().push(seen_now);
    let (status, kind, body) = answer(method, path);
    let mut writer = stream;
    let _ = writer.write_all(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .as_bytes(),
    );
}

fn answer(method: &str, path: &str) -> (&'static str, &'static str, &'static str) {
    let html = "text/html";
    match (method, path.split('?').next().unwrap_or_default()) {
        ("GET", "/") => (
            "200 OK\r\nSet-Cookie: sid=hunter2-cookie; Path=/",
            html,
            FIRST,
        ),
        ("GET", "/home") => ("200 OK", html, HOME),
        ("POST", "/login") => ("303 See Other\r\nLocation: /home", html, ""),
        ("POST", "/upload") => ("303 See Other\r\nLocation: /uploaded", html, ""),
        ("GET", "/uploaded") => (
            "200 OK",
            html,
            "<title>done</title><link rel=icon href='data:,'>",
        ),
        ("GET", "/style.css") => ("200 OK", "text/css", "body { color: black }"),
        ("GET", "/logo.svg") => (
            "200 OK",
            "image/svg+xml",
            "<svg xmlns='http://www.w3.org/2000/svg' width='1' height='1'/>",
        ),
        ("GET", "/api/items") => ("200 OK", "application/json", "[]"),
        ("POST", "/api/items") => ("201 Created", "application/json", "{\"id\":42}"),
        ("DELETE", "/api/items/42") => ("204 No Content", html, ""),
        _ => ("404 Not Found", html, ""),
    }
}

/// What the browser needs, or what is missing.
fn chromium() -> Result<PathBuf, &'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .map(|name| Path::new("/usr/bin").join(name))
        .find(|path| path.exists());
    let chromium = found.ok_or("chromium is not installed")?;
    let has_driver = Command::new("node")
        .args(["-e", "require('playwright-core')"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match has_driver {
        Err(_) => Err("node is not installed"),
        Ok(status) if !status.success() => Err("playwright-core is not in NODE_PATH"),
        Ok(_) => Ok(chromium),
    }
}

fn import(path: &Path) -> Imported {
    import_har(File::open(path).unwrap(), &ImportOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// One browser is one client, on all pages and connections; so the token of the form is found
/// again where the form is sent.
fn is_one_client(imported: &Imported, name: &str) {
    let sessions: BTreeSet<&str> = imported.requests.iter().map(|it| &*it.session).collect();
    assert_eq!(
        sessions,
        BTreeSet::from(["s1"]),
        "{name}: {}",
        imported.summary
    );
    let suggestions = &imported.origin.suggestions;
    let is_found = suggestions.iter().any(|it| {
        [&*it.from, &*it.take, &*it.into, &*it.put]
            == ["GET /", "field:csrf", "POST /login", "form:csrf"]
    });
    assert!(is_found, "{name}: {suggestions:?}");
}

#[test]
fn a_visit_of_a_real_browser_is_imported_as_the_application_saw_it() {
    let chromium = match chromium() {
        Ok(chromium) => chromium,
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return;
        }
    };
    let app = App::start();
    let home = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/browser/visit.js");
    let visit = Command::new("timeout")
        .arg("240")
        .arg("node")
        .arg(script)
        .arg(&chromium)
        .arg(&app.url)
        .arg(home.path())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&visit.stderr);
    assert!(visit.status.success(), "{said}");
    // Two visits of the same kind: half of what arrived belongs to each.
    let seen = app.take();
    for name in ["full.har", "minimal.har"] {
        let imported = import(&home.path().join(name));
        let summary = imported.summary.to_string();
        let mut found: Vec<Seen> = imported
            .requests
            .iter()
            .map(|it| {
                (
                    it.method.as_str().to_owned(),
                    it.path.clone(),
                    it.body.len(),
                )
            })
            .collect();
        found.sort();
        let mut expected: Vec<Seen> = seen.iter().step_by(2).cloned().collect();
        // The upload: what Playwright writes of a file is for it to decide, its fields are there.
        let without_upload = |list: &mut Vec<Seen>| {
            let at = list.iter().position(|(_, path, _)| path == "/upload");
            at.map(|at| list.remove(at))
        };
        let (sent, read) = (without_upload(&mut expected), without_upload(&mut found));
        assert_eq!(found, expected, "{name}: {summary}");
        assert!(sent.is_some(), "{seen:?}");
        let is_whole = read.is_some_and(|(.., length)| length > 0);
        let is_said = summary.contains("1  its body is not in the file");
        assert!(is_whole != is_said, "{name}: {summary}");
        let statuses = |path: &str| {
            let mut all = imported.requests.iter().filter(|it| it.path == path);
            all.find_map(|it| it.expect_status)
        };
        assert_eq!(statuses("/login"), Some(303));
        assert_eq!(statuses("/gone"), Some(404));
        let whole = format!("{:?}", imported.requests);
        assert!(
            !whole.contains("hunter2"),
            "{name}: a secret has come through"
        );
        assert!(imported.summary.malformed() == 0, "{name}: {summary}");
        is_one_client(&imported, name);
        let skipped: u64 = imported.summary.skipped.values().map(|it| it.count).sum();
        assert_eq!(
            imported.summary.read,
            imported.summary.kept + skipped,
            "{name}"
        );
    }
}
