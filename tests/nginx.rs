//! Comparisons of real servers: two nginx processes with the same configuration, with two levels
//! of compression, and with two lengths of a sleep; and a calibration of such a pair.
//!
//! Where nginx or its echo module is missing, each test says so and ends. A measurement that
//! calls itself disturbed is repeated once and then reported, not failed: a busy machine is no
//! bug. A regression that is not there, or one at the wrong endpoint, is.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper that cannot go on fails its test, and what was skipped says why"
)]

use std::{
    fmt::Write,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

/// Loads that run beside each other would disturb each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the tests cannot run here, or where the echo module lies.
fn echo_module() -> Result<PathBuf, String> {
    let version = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status();
    if !version.is_ok_and(|status| status.success()) {
        return Err("nginx is not installed".to_owned());
    }
    let path = Path::new("/usr/lib/nginx/modules/ngx_http_echo_module.so");
    if path.exists() {
        return Ok(path.to_owned());
    }
    Err("nginx has no echo module (libnginx-mod-http-echo)".to_owned())
}

/// One nginx process without a master, so that its process id is all there is to end.
struct Nginx {
    process: Child,
    port: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How one side is set up.
#[derive(Clone, Copy)]
struct Setup {
    gzip_level: u8,
    sleep: &'static str,
}

const USUAL: Setup = Setup {
    gzip_level: 1,
    sleep: "0.020",
};

impl Nginx {
    fn start(module: &Path, root: &Path, name: &str, setup: Setup) -> Self {
        let home = root.join(name);
        fs::create_dir(&home).unwrap();
        // The port is free again for the blink of an eye; nobody else binds this one by number.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = config(module, root, &home, port, setup);
        fs::write(home.join("nginx.conf"), config).unwrap();
        let log = home.join("error.log");
        let process = Command::new("nginx")
            .args(["-c", "nginx.conf", "-p"])
            .arg(&home)
            .arg("-e")
            .arg(&log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { process, port };
        for _ in 0..400 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return nginx;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!(
            "nginx does not answer: {}",
            fs::read_to_string(log).unwrap_or_default()
        );
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn config(module: &Path, root: &Path, home: &Path, port: u16, setup: Setup) -> String {
    let (module, root, home) = (module.display(), root.display(), home.display());
    let Setup { gzip_level, sleep } = setup;
    format!(
        "load_module {module};
         daemon off;
         master_process off;
         worker_processes 1;
         pid {home}/nginx.pid;
         error_log {home}/error.log;
         events {{ worker_connections 4096; }}
         http {{
             types {{ text/html html; text/plain txt; }}
             log_format timed '$msec $request_time $status \"$request\"';
             access_log {home}/access.log timed buffer=64k;
             client_body_temp_path {home}/body;
             proxy_temp_path {home}/proxy;
             fastcgi_temp_path {home}/fastcgi;
             uwsgi_temp_path {home}/uwsgi;
             scgi_temp_path {home}/scgi;
             keepalive_requests 100000000;
             keepalive_timeout 300s;
             gzip on;
             gzip_types text/plain;
             gzip_comp_level {gzip_level};
             server {{
                 listen 127.0.0.1:{port};
                 root {root}/www;
                 location /slow {{ echo_sleep {sleep}; echo done; }}
             }}
         }}"
    )
}

/// Numbers without a pattern, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040);
        (self.0 >> 33) % end
    }
}

/// Three small pages, and a text of 200 kB in words, which compresses like prose.
fn pages(root: &Path) {
    let www = root.join("www");
    fs::create_dir(&www).unwrap();
    let mut numbers = Numbers(7);
    let mut word = || -> String {
        let letters = 2 + numbers.below(8);
        (0..letters)
            .map(|_| char::from(b'a' + numbers.below(26).to_le_bytes()[0]))
            .collect()
    };
    let words: Vec<String> = (0..3_000).map(|_| word()).collect();
    let mut text = String::new();
    while text.len() < 200_000 {
        let (a, b) = (numbers.below(3_000), numbers.below(3_000));
        text += &words[usize::try_from(a * b / 3_000).unwrap()];
        text += if text.len() % 80 < 8 { "\n" } else { " " };
    }
    fs::write(www.join("text.txt"), &text).unwrap();
    for name in ["a.html", "b.html", "c.html"] {
        fs::write(www.join(name), &text[..1_000]).unwrap();
    }
}

/// Ten seconds of each path at its rate, spread over cells of equal length.
fn workload(root: &Path, rates: &[(&str, u64)]) -> PathBuf {
    let mut numbers = Numbers(11);
    let mut lines = Vec::new();
    for (path, rate) in rates {
        let cell_ns = 1_000_000_000 / rate;
        for cell in 0..10 * rate {
            lines.push((cell * cell_ns + numbers.below(cell_ns), path));
        }
    }
    lines.sort_unstable();
    let mut text = "{\"proofload_workload\":1}\n".to_owned();
    for (offset_ns, path) in lines {
        let line = serde_json::json!({
            "offset_ns": offset_ns, "method": "GET", "path": path, "status": 200,
            "headers": [["accept-encoding", "gzip"]],
        });
        writeln!(text, "{line}").unwrap();
    }
    let path = root.join("workload.jsonl");
    fs::write(&path, text).unwrap();
    path
}

/// What a comparison found.
struct Found {
    code: i32,
    report: Value,
}

impl Found {
    fn causes(&self) -> String {
        self.report["causes"].to_string()
    }

    /// Whether the generator was disturbed, which is nobody's fault.
    fn is_disturbed(&self) -> bool {
        self.code == 12 && self.causes().contains("rounds were dropped")
    }

    /// Which gate metrics of single endpoints regressed, as `ENDPOINT METRIC`; what one of them
    /// does shows in the whole workload as well.
    fn regressed(&self) -> Vec<String> {
        let changes = self.report["changes"].as_array().unwrap().iter();
        changes
            .filter(|change| change["gate"] == true && change["status"] == "regressed")
            .filter(|change| change["endpoint"] != "workload")
            .map(|change| {
                let text = |key: &str| change[key].as_str().unwrap().to_owned();
                format!("{} {}", text("endpoint"), text("metric"))
            })
            .collect()
    }
}

/// Two nginx processes, their workload, and nothing else that sends.
struct Pair {
    _alone: MutexGuard<'static, ()>,
    sides: [Nginx; 2],
    file: PathBuf,
    dir: tempfile::TempDir,
}

impl Pair {
    /// Nothing where the tests cannot run, which is said.
    fn start(setups: [Setup; 2], rates: &[(&str, u64)]) -> Option<Self> {
        let module = match echo_module() {
            Ok(module) => module,
            Err(why) => {
                eprintln!("skipped: {why}");
                return None;
            }
        };
        let alone = alone();
        let dir = tempfile::tempdir().unwrap();
        pages(dir.path());
        let file = workload(dir.path(), rates);
        let sides = [("baseline", setups[0]), ("candidate", setups[1])]
            .map(|(name, setup)| Nginx::start(&module, dir.path(), name, setup));
        Some(Self {
            _alone: alone,
            sides,
            file,
            dir,
        })
    }

    /// The binary with the pair as its two sides, named by these flags.
    fn proofload(&self, command: &str, flags: [&str; 2]) -> Command {
        let mut call = Command::new(env!("CARGO_BIN_EXE_proofload"));
        call.current_dir(self.dir.path())
            .args([command, "--format", "json", "-w"])
            .arg(&self.file);
        for (flag, side) in flags.iter().zip(&self.sides) {
            call.args([*flag, &side.url()]);
        }
        call
    }
}

/// Starts a pair and compares it; once more when the measurement was disturbed.
fn compare(setups: [Setup; 2], rates: &[(&str, u64)], duration: &str) -> Option<Found> {
    for attempt in 1..=2 {
        let pair = Pair::start(setups, rates)?;
        let output = pair
            .proofload("compare", ["--baseline", "--candidate"])
            .args(["-d", duration, "--out-dir", "report"])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let report = serde_json::from_slice(&output.stdout);
        let report: Value = report.unwrap_or_else(|error| panic!("{error}: {errors}"));
        let code = output.status.code().unwrap();
        let found = Found { code, report };
        if !found.is_disturbed() {
            return Some(found);
        }
        eprintln!("attempt {attempt} was disturbed: {}", found.causes());
    }
    eprintln!("skipped: the machine is too busy to measure on");
    None
}

#[test]
fn the_same_server_twice_never_regresses() {
    let rates = [("/a.html", 250), ("/b.html", 250), ("/c.html", 250)];
    let Some(found) = compare([USUAL, USUAL], &rates, "24s") else {
        return;
    };
    assert!(
        [0, 11].contains(&found.code),
        "exit {}: {}",
        found.code,
        found.causes()
    );
    assert_eq!(found.regressed(), [""; 0]);
    assert!(
        found.code == 0 || found.causes().len() > 2,
        "an open end names its cause"
    );
}

#[test]
fn slower_compression_is_found_where_it_happens() {
    let slower = Setup {
        gzip_level: 9,
        ..USUAL
    };
    let rates = [
        ("/a.html", 250),
        ("/b.html", 250),
        ("/c.html", 250),
        ("/text.txt", 16),
    ];
    let Some(found) = compare([USUAL, slower], &rates, "60s") else {
        return;
    };
    assert_eq!(found.code, 10, "{}", found.causes());
    // Whoever waits behind a compression in the only worker is slower too, in its p99.
    let medians: Vec<_> = found
        .regressed()
        .into_iter()
        .filter(|it| it.ends_with("p50"))
        .collect();
    assert_eq!(medians, ["GET /text.txt p50"]);
}

#[test]
fn a_longer_sleep_is_found_at_its_endpoint_only() {
    let slower = Setup {
        sleep: "0.030",
        ..USUAL
    };
    let rates = [
        ("/a.html", 250),
        ("/b.html", 250),
        ("/c.html", 250),
        ("/slow", 20),
    ];
    let Some(found) = compare([USUAL, slower], &rates, "60s") else {
        return;
    };
    assert_eq!(found.code, 10, "{}", found.causes());
    assert_eq!(found.regressed(), ["GET /slow p50"]);
}

#[test]
fn a_calibration_is_measured_and_then_planned_with() {
    let rates = [("/a.html", 250), ("/b.html", 250), ("/c.html", 250)];
    let Some(pair) = Pair::start([USUAL, USUAL], &rates) else {
        return;
    };
    let measured = pair
        .proofload("calibrate", ["--target", "--twin"])
        .args(["-d", "2m30s"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&measured.stderr);
    let stored = pair.dir.path().join("baselines/workload.calibration.json");
    let code = measured.status.code();
    if !stored.exists() {
        assert_eq!(code, Some(12), "{errors}");
        eprintln!("skipped: the machine is too busy to measure on: {errors}");
        return;
    }
    let stored: Value = serde_json::from_slice(&fs::read(stored).unwrap()).unwrap();
    let is_trusted = stored["trusted"] == true;
    assert_eq!(code, Some(if is_trusted { 0 } else { 12 }), "{errors}");
    let rounds = ["simultaneous", "interleaved"].map(|arrangement| {
        let metrics = stored[arrangement]["metrics"].as_array().unwrap();
        let of = |endpoint: &str, metric: &str| {
            let is_it = |it: &&Value| it["endpoint"] == endpoint && it["metric"] == metric;
            metrics.iter().find(is_it).unwrap().clone()
        };
        for (path, _) in rates {
            let p50 = of(&format!("GET {path}"), "p50");
            assert!(p50["level"].as_f64() > Some(1_000.0), "{p50}");
            assert!(p50["sigma"].as_f64() > Some(0.0), "{p50}");
            assert!(p50["sigma_upper"].as_f64() > p50["sigma"].as_f64(), "{p50}");
            assert_eq!(p50["detectable"].as_array().unwrap().len(), 4, "{p50}");
        }
        stored[arrangement]["rounds"].as_u64().unwrap()
    });
    // How many rounds a disturbed machine leaves is its own affair: two give a spread.
    assert!(rounds.iter().all(|kept| *kept > 1), "{rounds:?}");
    let planned = pair
        .proofload("plan", ["--baseline", "--candidate"])
        .output()
        .unwrap();
    assert_eq!(planned.status.code(), Some(0));
    let said = String::from_utf8_lossy(&planned.stderr).into_owned();
    let is_used = said.contains("by the calibration");
    assert_eq!(is_used, is_trusted, "{said}");
    assert_eq!(!is_used, said.contains("is not used"), "{said}");
}
