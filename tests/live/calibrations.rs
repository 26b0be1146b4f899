//! `calibrate` up to its load, and what `compare` and `plan` make of a stored calibration. A whole
//! calibration takes two minutes at the least; `bench/README.md` says what came of some.

use proofload::units::SECOND_NS;

use crate::{
    binary::{Done, Proofload},
    engine::quiet,
    faultd::{Fault, Faultd},
};

fn refused(args: &str, code: i32) -> String {
    let done = Proofload::new(&format!("calibrate {args}"));
    let done = done.args(&["--request", "GET /x"]).start().wait();
    let done: Done = done.expect(code);
    assert!(!done.path("baselines/requests.calibration.json").exists());
    done.stderr
}

#[test]
fn what_cannot_be_calibrated_is_refused_before_any_load() {
    let server = Faultd::always(Fault::Status(200));
    let target = format!("--target http://{} --rate 200/s", server.address);
    let said = refused(&format!("{target} -d 20s"), 2);
    assert!(
        said.contains("-d is too short") && said.contains("give -d 2m"),
        "{said}"
    );
    let said = refused(&format!("{target} --arrangement interleaved"), 2);
    assert!(said.contains("measures both"), "{said}");
    let said = refused(&format!("{target} --name ../x"), 2);
    assert!(said.contains("letters, digits"), "{said}");
    let slow = format!("--target http://{} --rate 0.5/s", server.address);
    let said = refused(&format!("{slow} -d 10m"), 2);
    assert!(said.contains("nothing could be judged"), "{said}");
    refused("--target http://203.0.113.9 --rate 200/s", 3);
    assert_eq!(server.requests(), 0);
    let nobody = Faultd::always(Fault::Status(200)).address;
    let said = refused(&format!("--target http://{nobody} --rate 200/s"), 12);
    assert!(said.contains("no load was sent"), "{said}");
}

#[test]
fn an_interrupted_calibration_stores_its_slots_and_no_calibration() {
    let _quiet = quiet();
    let server = Faultd::always(Fault::Status(200));
    let line = format!(
        "calibrate --target http://{} --rate 200/s -d 4m",
        server.address
    );
    let mut started = Proofload::new(&line).args(&["--request", "GET /x"]).start();
    started.wait_until("the load is on", |_| server.requests() > 200);
    started.signal("INT");
    let done = started.wait().expect(130);
    assert!(
        done.stderr.contains("no calibration was made"),
        "{}",
        done.stderr
    );
    assert!(done.path("reports/calibration/run.jsonl").exists());
    assert!(!done.path("reports/calibration/run-2.jsonl").exists());
    assert!(!done.path("baselines/requests.calibration.json").exists());
}

/// A calibration as the file holds it: two gate latencies with this spread.
fn stored(target: &str, rate: &str, digest: &str, sigma: f64) -> String {
    let metric = |name: &str, level: f64, sigma: f64| {
        let is_whole = name == "goodput";
        serde_json::json!({
            "endpoint": if is_whole { "workload" } else { "GET /x" },
            "metric": name, "gate": true, "level": level,
            "sigma": sigma, "sigma_upper": sigma, "sigma_sampling": 0.0,
            "autocorrelation": null, "detectable": [],
        })
    };
    let mut whole = metric("error_rate", 0.0, 0.0);
    whole["endpoint"] = "workload".into();
    let noise = serde_json::json!({
        "rounds": 24, "measured_ns": 4 * SECOND_NS, "round_ns": 4 * SECOND_NS,
        "slot_ns": 4 * SECOND_NS, "false_alarms": { "judged": 1000, "alarms": 2 },
        "metrics": [
            metric("error_rate", 0.0, 0.0),
            whole,
            metric("goodput", 1.0, 0.0001),
            metric("p50", 20e6, sigma),
            metric("p99", 60e6, sigma),
        ],
    });
    let calibration = serde_json::json!({
        "proofload_calibration": 1, "version": "0.1.0",
        "measured_at": "2026-01-01T00:00:00Z", "seed": 1, "alpha": 0.05,
        "environment": {
            "target": target, "rate": rate,
            "workload": {
                "source": "--request", "digest": digest, "requests": 1, "duration_ns": 0,
                "recorded_at": null,
            },
        },
        "trusted": true, "causes": [], "correlation_s": 1, "warm_up_s": 4,
        "simultaneous": noise, "interleaved": noise, "choice": null,
    });
    calibration.to_string()
}

/// What `plan` says with that calibration in the usual place.
fn planned(calibration: &str, more: &str) -> (String, String) {
    let line = "plan --baseline http://127.0.0.1:1 --candidate http://127.0.0.1:2 --rate 800/s";
    let call = Proofload::new(&format!("{line} {more}")).args(&["--request", "GET /x"]);
    let call = call.file("baselines/requests.calibration.json", calibration);
    let done = call.start().wait().expect(0);
    (done.stdout, done.stderr)
}

#[test]
fn a_plan_counts_with_the_calibration_of_its_workload_and_of_no_other() {
    let digest = digest();
    let of = |rate: &str, digest: &str, sigma| stored("http://127.0.0.1:1", rate, digest, sigma);
    let (_, said) = planned(&of("constant 800/s", &digest, 0.01), "");
    assert!(
        said.contains("an answer is likely after 8 rounds"),
        "{said}"
    );
    assert!(said.contains("days old"), "{said}");
    assert!(said.contains("p50 +") && said.contains("p99 +"), "{said}");
    let (_, said) = planned(&of("constant 800/s", &digest, 0.2), "");
    assert!(said.contains("12 rounds are too few"), "{said}");
    let (_, said) = planned(&of("constant 900/s", &digest, 0.01), "");
    assert!(
        said.contains("is not used: it is of another rate"),
        "{said}"
    );
    let (_, said) = planned(&of("constant 800/s", "sha256:0", 0.01), "");
    assert!(said.contains("of another workload"), "{said}");
    let (_, said) = planned(&of("constant 800/s", &digest, 0.01), "--calibration none");
    assert!(!said.contains("calibration"), "{said}");
}

#[test]
fn a_plan_of_a_stored_side_is_refused() {
    let line = "plan --baseline main --candidate http://127.0.0.1:2 --rate 800/s";
    let call = Proofload::new(line).args(&["--request", "GET /x"]);
    let done = call.start().wait().expect(2);
    assert!(done.stderr.contains("two live sides"), "{}", done.stderr);
}

/// The digest of the workload that `--request 'GET /x'` makes.
fn digest() -> String {
    let request = proofload::workload::parse_request("GET /x").unwrap();
    let workload = proofload::workload::Workload::from_requests(vec![request], "x").unwrap();
    workload.summary().digest.clone()
}
