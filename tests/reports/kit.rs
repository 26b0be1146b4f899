//! Stored runs with known differences, comparisons of them by the real binary, and the programs
//! that read what those write.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use proofload::{
    run::{
        Class, ConnectionStats, EndpointStats, Health, RunFooter, RunHeader, Side, Slot,
        TargetRecord, VERSION, WorkloadRecord, footer_line, header_line, slot_line,
    },
    store::{BaselineName, Baselines},
    units::from_seconds,
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// An endpoint that would act if anything let it.
pub(crate) const NASTY: &str = "GET /a\r\n::error::x,y|`<b>]]>\"\\ ##[error]z\u{202e}";
const SLOTS: u32 = 24;
const REQUESTS: u32 = 300;

/// What becomes of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    Regressed,
    Inconclusive,
    Invalid,
}

impl Outcome {
    pub(crate) const ALL: [Self; 4] = [
        Self::Pass,
        Self::Regressed,
        Self::Inconclusive,
        Self::Invalid,
    ];

    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Pass => 0,
            Self::Regressed => 10,
            Self::Inconclusive => 11,
            Self::Invalid => 12,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Regressed => "regressed",
            Self::Inconclusive => "inconclusive",
            Self::Invalid => "invalid",
        }
    }
}

/// A directory with a baseline named `main` and a candidate `candidate.jsonl` whose comparison
/// ends in a known way.
pub(crate) struct Home {
    dir: tempfile::TempDir,
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

impl Home {
    pub(crate) fn new(outcome: Outcome) -> Self {
        let (runs, slower, stalled) = match outcome {
            Outcome::Pass => (8, 1.0, false),
            Outcome::Regressed => (8, 1.6, false),
            Outcome::Inconclusive => (1, 1.0, false),
            Outcome::Invalid => (8, 1.0, true),
        };
        let home = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let name: BaselineName = "main".parse().unwrap();
        let baselines = Baselines::at(&home.path("baselines"));
        for n in 0..runs {
            let file = home.path("one.run.jsonl");
            std::fs::write(&file, run(&mut rng, &format!("b{n}"), 1.0, stalled)).unwrap();
            baselines.save(&name, &file).unwrap();
        }
        let candidate = run(&mut rng, "c", slower, stalled);
        std::fs::write(home.path("candidate.jsonl"), candidate).unwrap();
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// A call of the binary in this directory; its environment is what is given.
    pub(crate) fn call(&self, line: &str, variables: &[(&str, &str)]) -> Done {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proofload"));
        command.args(line.split_whitespace());
        self.done(command, variables)
    }

    pub(crate) fn done(&self, mut command: Command, variables: &[(&str, &str)]) -> Done {
        let output = command
            .current_dir(self.dir.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Done::of(&output)
    }

    /// The comparison that the home is for, with more flags.
    pub(crate) fn compare(&self, more: &str, variables: &[(&str, &str)]) -> Done {
        self.call(&format!("{COMPARE} {more}"), variables)
    }
}

/// Margins that fit the noise of the runs.
pub(crate) const COMPARE: &str = "compare --baseline main --candidate candidate.jsonl --out-dir \
    out --tolerance p50=20% --tolerance p99=40% --tolerance errors=1pp --tolerance goodput=5%";

/// What came of a call.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    pub(crate) fn expect(self, code: i32) -> Self {
        let said = format!("{}\n{}", self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{said}");
        self
    }
}

/// A run of one side that began a minute ago.
fn run(rng: &mut ChaCha8Rng, id: &str, slower: f64, stalled: bool) -> String {
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(1);
    let header = RunHeader {
        proofload_run: VERSION,
        version: "0.1.0".to_owned(),
        run_id: id.to_owned(),
        started_at: format!("{began:.0}"),
        seed: 5,
        targets: BTreeMap::from([(
            Side::Candidate,
            TargetRecord {
                url: "http://127.0.0.1:1/".to_owned(),
                address: "127.0.0.1:1".to_owned(),
                ..TargetRecord::default()
            },
        )]),
        workload: WorkloadRecord {
            source: "shop.jsonl".to_owned(),
            digest: format!("sha256:{}", "0".repeat(64)),
            requests: 600,
            ..WorkloadRecord::default()
        },
        plan: serde_json::json!({"arrangement": null, "slot_ns": 2_500_000_000_u64}),
        config: serde_json::json!({"load": {"rate": "240/s", "duration": "60s"}}),
    };
    let offset = slower * (0.01 * normal(rng)).exp();
    let slots = (1..=SLOTS).map(|round| slot_line(&slot(rng, round, offset, stalled)));
    let footer = RunFooter {
        state: "complete".to_owned(),
        reason: "the schedule was carried out".to_owned(),
        elapsed_ns: 60_000_000_000,
    };
    let lines: String = slots.collect();
    header_line(&header) + &lines + &footer_line(&footer)
}

/// One slot whose times are `factor` times the usual.
pub(crate) fn slot(rng: &mut ChaCha8Rng, round: u32, factor: f64, stalled: bool) -> Slot {
    let mut health = Health::default();
    (0..100).for_each(|_| health.lag.record(60_000));
    health.stall_ns = if stalled { 900_000_000 } else { 100_000 };
    let endpoints = [("GET /orders/{id}", 1.0), (NASTY, 2.0)];
    let endpoints = endpoints.map(|(name, usual)| (name.to_owned(), stats(rng, usual * factor)));
    Slot {
        round,
        position: 0,
        side: Side::Candidate,
        start_ns: u64::from(round - 1) * 2_500_000_000,
        length_ns: 2_500_000_000,
        settle_ns: 0,
        medians_ns: Vec::new(),
        complete: true,
        endpoints: endpoints.into(),
        connections: ConnectionStats::default(),
        health,
        resources: None,
    }
}

fn stats(rng: &mut ChaCha8Rng, factor: f64) -> EndpointStats {
    let mut stats = EndpointStats {
        scheduled: u64::from(REQUESTS),
        ..EndpointStats::default()
    };
    for _ in 0..REQUESTS {
        let ns = from_seconds(0.010 * factor * (0.2 * normal(rng)).exp());
        stats.response.record(ns);
        stats.service.record(ns - ns / 50);
        stats.first_byte.record(ns / 2);
    }
    stats.classes.insert(Class::Ok, u64::from(REQUESTS));
    stats.statuses.insert(200, u64::from(REQUESTS));
    stats
}

/// The Python that has what is needed, or says what is missing.
fn python(needs: &str) -> Result<PathBuf, String> {
    let python = std::env::var_os("PROOFLOAD_TEST_PYTHON");
    let python = python.map_or_else(|| PathBuf::from("python3"), PathBuf::from);
    let tried = Command::new(&python)
        .args(["-c", &format!("import {needs}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match tried {
        Ok(status) if status.success() => Ok(python),
        Ok(_) => Err(format!("{} has no {needs}", python.display())),
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}

/// What a script of Python prints as JSON; `None` where it cannot run, which is said.
pub(crate) fn ask_python(needs: &str, script: &str, files: &[&Path]) -> Option<serde_json::Value> {
    let python = match python(needs) {
        Ok(python) => python,
        Err(missing) => {
            eprintln!("skipped: {missing}");
            return None;
        }
    };
    let output = Command::new(python)
        .args(["-c", script])
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Whether a program is there; if not, that is said.
pub(crate) fn has(program: &str) -> bool {
    let tried = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = tried.is_ok();
    if !is_there {
        eprintln!("skipped: {program} is not installed");
    }
    is_there
}
