//! Local builds: `--baseline-cmd` and its like start a real server, and not one process of it is
//! left when proofload ends, however it ends.
//!
//! The server is this test binary, called with the name of one test and a port in the
//! environment. Every process of a call inherits a mark, by which it is found again.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use proofload::{clock::Clock, units::SECOND_NS};

use crate::binary::{Done, Proofload};

const PORT: &str = "LOCAL_BUILD_PORT";
const ANSWERS_MAX: &str = "LOCAL_BUILD_ANSWERS_MAX";
const MARK: &str = "LOCAL_BUILD_MARK";

#[test]
fn serves_when_it_is_called_as_a_local_build() {
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    let Ok(port) = std::env::var(PORT) else {
        return;
    };
    let most = std::env::var(ANSWERS_MAX).map_or(u64::MAX, |most| most.parse().unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    let (over, is_over) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let over = over.clone();
            thread::spawn(move || {
                answer(&stream.unwrap(), || {
                    if ANSWERS.fetch_add(1, Ordering::SeqCst) + 1 >= most {
                        over.send(()).unwrap();
                    }
                })
            });
        }
    });
    is_over.recv().unwrap();
}

/// Answers every request of a connection, none of which has a body.
fn answer(mut stream: &TcpStream, answered: impl Fn()) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .ok()?;
        answered();
    }
}

/// The shell command that becomes the server.
pub(crate) fn server() -> String {
    let binary = std::env::current_exe().unwrap();
    let name = "local::serves_when_it_is_called_as_a_local_build";
    let binary = binary.display();
    format!("env {PORT}={{port}} '{binary}' --exact {name} --nocapture")
}

/// A call of the binary whose processes can be found.
struct Marked {
    mark: String,
    call: Proofload,
}

impl Marked {
    fn new(line: &str, commands: &[(&str, &str)]) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let call = CALLS.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{call}-", std::process::id());
        let mut proofload = Proofload::new(line).env(MARK, &mark);
        for (flag, command) in commands {
            proofload = proofload.args(&[flag, command]);
        }
        let call = proofload;
        Self { mark, call }
    }

    /// Runs to the end, after which nothing is left.
    fn run(self) -> Done {
        let done = self.call.run();
        assert_eq!(processes(&self.mark), [""; 0], "{}", done.stderr);
        done
    }
}

/// What runs with a mark, by command line. The dead have no environment any more.
fn processes(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let path = entry.unwrap().path();
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|it| it == wanted.as_bytes())
        {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

/// Waits until nothing with a mark runs any more.
fn wait_for_none(mark: &str) {
    let clock = Clock::start();
    loop {
        let left = processes(mark);
        if left.is_empty() {
            return;
        }
        assert!(clock.now_ns() < 60 * SECOND_NS, "still there: {left:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

const RUN: &str = "run --request /x --rate 50/s -o run.jsonl --format json";

#[test]
fn a_target_is_started_answers_and_is_ended() {
    let call = Marked::new(&format!("{RUN} -d 400ms"), &[("--target-cmd", &server())]);
    let done = call.run().measured();
    let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        (sums["ok"].as_u64(), sums["sent"].as_u64()),
        (Some(20), Some(20))
    );
    let log = std::fs::read_to_string(done.path("run.jsonl.log")).unwrap();
    assert!(
        log.starts_with("# proofload started: env LOCAL_BUILD_PORT="),
        "{log}"
    );
    assert!(
        log.contains("running 1 test"),
        "what it says is kept: {log}"
    );
}

#[test]
fn both_sides_are_ended_when_proofload_is_interrupted_or_killed() {
    let line = "compare --request /x --rate 200/s -d 60s --out-dir out";
    for (signal, code) in [("INT", 130), ("TERM", 143), ("KILL", -9)] {
        let sides = [
            ("--baseline-cmd", &*server()),
            ("--candidate-cmd", &*server()),
        ];
        let call = Marked::new(line, &sides);
        let mut started = call.call.start();
        started.wait_until("a slot is stored", |directory| {
            let text = std::fs::read_to_string(directory.join("out/run.jsonl"));
            text.unwrap_or_default().matches('\n').count() >= 2
        });
        let running = processes(&call.mark);
        let of = |part: &str| running.iter().filter(|line| line.contains(part)).count();
        assert!(of("--nocapture") >= 2 && of("__guard") == 2, "{running:?}");
        started.signal(signal);
        let done = started.wait().expect(code);
        wait_for_none(&call.mark);
        for side in ["baseline", "candidate"] {
            assert!(done.path(&format!("out/{side}.log")).exists());
        }
    }
}

#[test]
fn nobody_is_left_when_proofload_is_killed_while_it_waits() {
    let silent = [("--target-cmd", "echo here; exec sleep 1000 {port}")];
    let call = Marked::new(&format!("{RUN} -d 400ms"), &silent);
    let mut started = call.call.start();
    started.wait_until("the command runs", |directory| {
        let log = std::fs::read_to_string(directory.join("run.jsonl.log"));
        log.unwrap_or_default().ends_with("here\n")
    });
    started.signal("KILL");
    started.wait().expect(-9);
    wait_for_none(&call.mark);
}

#[test]
fn what_ignores_the_signal_or_has_left_its_group_is_ended_too() {
    let server = server();
    let deaf = format!("trap '' TERM; {server}");
    let daemon = format!("(setsid {server} &); exec sleep 1000");
    for command in [deaf, daemon] {
        let call = Marked::new(&format!("{RUN} -d 400ms"), &[("--target-cmd", &command)]);
        call.run().measured();
    }
}

#[test]
fn a_command_that_does_not_answer_is_invalid_and_its_last_words_are_shown() {
    let lines = "i=0; while [ $i -lt 25 ]; do echo line $i; i=$((i+1)); done";
    for (rest, words) in [
        (
            "exec sleep 1000 {port}",
            ["did not answer within 300ms", "refuses connections"],
        ),
        (
            "exit 7 {port}",
            ["ended with exit status 7", "before it answered"],
        ),
    ] {
        let command = format!("{lines}; {rest}");
        let line = format!("{RUN} -d 400ms --start-timeout");
        // One that has ended is not waited for.
        let within = if rest.starts_with("exit") {
            "600s"
        } else {
            "300ms"
        };
        let line = format!("{line} {within}");
        let done = Marked::new(&line, &[("--target-cmd", &command)])
            .run()
            .expect(12);
        for word in words {
            assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
        }
        assert!(done.stderr.contains("target | line 24"), "{}", done.stderr);
        assert!(
            !done.stderr.contains("line 4\n"),
            "twenty lines: {}",
            done.stderr
        );
        assert!(done.stderr.contains("no load was sent"), "{}", done.stderr);
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn a_failed_start_can_be_tried_again_in_the_same_directory() {
    let line = "compare --request /x --rate 200/s -d 60s --out-dir out --start-timeout 60s";
    let commands = [
        ("--baseline-cmd", "exit 1 {port}"),
        ("--candidate-cmd", "exit 1 {port}"),
    ];
    let done = Marked::new(line, &commands).run().expect(12);
    assert!(
        done.stderr.contains("the baseline is of no use"),
        "{}",
        done.stderr
    );
    let log = std::fs::read_to_string(done.path("out/baseline.log")).unwrap();
    let again = Marked::new(line, &commands);
    let again = Marked {
        call: again.call.file("out/baseline.log", &log),
        ..again
    };
    again.run().expect(12);
}

#[test]
fn a_command_that_dies_under_load_is_named_with_its_status() {
    let command = format!("env {ANSWERS_MAX}=8 {}", server());
    let call = Marked::new(&format!("{RUN} -d 600ms"), &[("--target-cmd", &command)]);
    let done = call.run().measured();
    let said = "target: the command ended by itself, with exit status 0";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    let sums: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(sums["transport_error"].as_u64().unwrap() > 0, "{sums}");
}

#[test]
fn a_place_that_is_taken_is_not_mistaken_for_the_build() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let line = format!("{RUN} -d 400ms --target {url}");
    let done = Marked::new(&line, &[("--target-cmd", "exec sleep 1000")])
        .run()
        .expect(12);
    assert!(
        done.stderr.contains("something else listens"),
        "{}",
        done.stderr
    );
}

#[test]
fn flags_that_do_not_fit_each_other_are_usage() {
    for (line, command, word) in [
        (RUN.to_owned(), "./shop", "{port}"),
        (
            format!("{RUN} --target http://127.0.0.1:80"),
            "./shop {port}",
            "--target",
        ),
        (
            format!("{RUN} --target http://127.0.0.1:{{port}}"),
            "./shop",
            "--target-cmd",
        ),
    ] {
        let done = Marked::new(&line, &[("--target-cmd", command)])
            .run()
            .expect(2);
        assert!(done.stderr.contains(word), "{}", done.stderr);
    }
    let done = Proofload::new(&format!("{RUN} --target http://127.0.0.1:{{port}}")).run();
    assert!(done.expect(2).stderr.contains("add --target-cmd"));
    let done = Proofload::new(RUN).run().expect(2);
    assert!(done.stderr.contains("--target <URL>"), "{}", done.stderr);
    let help = Proofload::new("--help").run().expect(0);
    assert!(!help.stdout.contains("__guard"), "{}", help.stdout);
}
