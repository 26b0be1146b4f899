//! A generator that is squeezed, stopped or out of ports says so: `run` and `compare` end in 12
//! with the reason, never in a verdict about the target, which is the same on both sides here.
//!
//! `bench/health.sh` repeats each kind many times and prints what came of it. What needs root or
//! a cgroup is skipped by name where it is not to be had.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that cannot go on fails its test, and bench/health.sh reads the results"
)]

#[path = "live/binary.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod binary;
#[path = "live/faultd.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod faultd;

use std::{
    fs::{self, File},
    io::BufReader,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use proofload::{
    clock::Clock,
    run::{Flaw, Run, Signs, Slot, Yardstick},
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use binary::{Done, Proofload};
use faultd::{Fault, Faultd, MS};

/// An answer that takes long enough for the fault, and not the server, to be what is measured.
const USUAL: Fault = Fault::Delay(20 * MS);
/// How long a process is stopped.
const STOP: Duration = Duration::from_secs(3);

static QUIET: Mutex<()> = Mutex::new(());

/// One test at a time: each measures.
fn quiet() -> MutexGuard<'static, ()> {
    QUIET.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often each kind is tried.
fn tries() -> u32 {
    let given = std::env::var("PROOFLOAD_TRIES").ok();
    given.and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// The two commands.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Run,
    Compare,
}

impl Kind {
    const BOTH: [Self; 2] = [Self::Run, Self::Compare];

    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Compare => "compare",
        }
    }

    /// A short load at this rate; both sides of a comparison are the same server.
    fn load(self, server: &Faultd, rate: u64) -> Proofload {
        let url = server.url();
        let request = format!("--request /x --rate {rate}/s --seed 5 --slot 500ms");
        Proofload::new(&match self {
            Self::Run => format!("run --target {url} -o run.jsonl --format json {request} -d 5s"),
            Self::Compare => format!(
                "compare --baseline {url}/a --candidate {url}/b --out-dir out {request} -d 10500ms \
                 --tolerance p50=80% --min-effect p50=40% --tolerance errors=5pp"
            ),
        })
    }

    /// How many slots it has stored.
    fn stored(self, directory: &Path) -> usize {
        let text = fs::read_to_string(directory.join(self.file())).unwrap_or_default();
        text.matches("\"slot\":").count()
    }

    fn file(self) -> &'static str {
        match self {
            Self::Run => "run.jsonl",
            Self::Compare => "out/run.jsonl",
        }
    }

    fn slots(self, done: &Done) -> Vec<Slot> {
        let file = File::open(done.path(self.file())).unwrap();
        Run::read(BufReader::new(file)).unwrap().slots
    }
}

/// Tries one kind of squeeze, and asserts that it always ends in 12 and says one of these reasons.
fn always_invalid(what: &str, kind: Kind, reasons: &[&str], call: impl Fn() -> Done) {
    let mut codes = Vec::new();
    for _ in 0..tries() {
        let done = call();
        let said = reasons.iter().any(|reason| done.stdout.contains(reason));
        codes.push(if said { done.code } else { -1 });
        if codes.last() != Some(&12) {
            println!("{}\n{}", done.stdout, done.stderr);
        }
    }
    report(what, kind, &codes);
    assert!(codes.iter().all(|code| *code == 12), "{what}: {codes:?}");
}

/// A row of the table: kind, command, tries, how many ended in 12, in 0, in anything else.
fn report(what: &str, kind: Kind, codes: &[i32]) {
    let of = |code| codes.iter().filter(|it| **it == code).count();
    let (invalid, pass) = (of(12), of(0));
    println!(
        "health| {what:26} | {:7} | {:5} | {invalid:5} | {pass:5} | {:5}",
        kind.name(),
        codes.len(),
        codes.len() - invalid - pass
    );
}

#[test]
fn an_undisturbed_generator_blames_nobody() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    for kind in Kind::BOTH {
        let mut codes = Vec::new();
        for _ in 0..tries() {
            let done = kind.load(&server, 160).run();
            // A busy machine may disturb it, and says so; the target is never to blame.
            let disturbed = done.code == 12 && done.stdout.contains("the generator's own state");
            let fine = [0, 11].contains(&done.code);
            assert!(fine || disturbed, "{}\n{}", done.stdout, done.stderr);
            if disturbed {
                let said = done
                    .stdout
                    .lines()
                    .filter(|line| line.contains("own state"));
                said.for_each(|line| println!("disturbed: {line}"));
            }
            // Too little evidence is no flaw of the generator.
            codes.push(if fine { 0 } else { 12 });
        }
        report("undisturbed", kind, &codes);
    }
}

/// A cgroup of our own with a CPU quota; gone when dropped.
struct Squeeze(PathBuf);

impl Squeeze {
    /// With a fifth of a core, or why that cannot be had.
    fn new() -> Result<Self, String> {
        let name = format!("proofload-test-{}", std::process::id());
        let v1 = Path::new("/sys/fs/cgroup/cpu");
        let (top, quota) = if v1.join("cpu.cfs_quota_us").exists() {
            (v1, ("cpu.cfs_quota_us", "20000"))
        } else {
            (Path::new("/sys/fs/cgroup"), ("cpu.max", "20000 100000"))
        };
        let path = top.join(name);
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let squeeze = Self(path);
        let file = squeeze.0.join(quota.0);
        // Opened for writing only: on a file system that is no cgroup nothing is created.
        let written = File::options()
            .write(true)
            .open(&file)
            .and_then(|mut file| std::io::Write::write_all(&mut file, quota.1.as_bytes()));
        written.map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(squeeze)
    }

    /// Shell commands that move whoever runs them into it.
    fn enter(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.0.display())
    }
}

impl Drop for Squeeze {
    fn drop(&mut self) {
        // The processes in it have been waited for.
        let _ = fs::remove_dir(&self.0);
    }
}

/// More than a fifth of a core can send, however little a request costs.
const DEMANDING: u64 = 60_000;

#[test]
fn a_generator_with_a_fifth_of_a_core_never_gives_a_verdict() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let squeeze = match Squeeze::new() {
        Ok(squeeze) => squeeze,
        Err(cause) => {
            println!("the cgroup quota is skipped ({cause}); stops and starts stand in for it");
            return;
        }
    };
    for (kind, rate) in [(Kind::Run, DEMANDING), (Kind::Compare, DEMANDING / 2)] {
        always_invalid("cgroup quota of 20 %", kind, &["throttled", "cpu"], || {
            let done = kind.load(&server, rate).before(&squeeze.enter()).run();
            let slots = kind.slots(&done);
            let throttled = slots.iter().map(|slot| slot.health.throttled_share);
            let most = throttled.fold(0.0, f64::max);
            assert!(most > 0.01, "the quota was seen to bite: {most}");
            done
        });
    }
}

#[test]
fn a_generator_that_runs_a_fifth_of_the_time_never_gives_a_verdict() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let reasons = ["send_lag", "stall", "not_sent_late"];
    for kind in Kind::BOTH {
        always_invalid("stopped 80 % of the time", kind, &reasons, || {
            let mut started = kind.load(&server, 160).start();
            while started.poll().is_none() {
                started.signal("STOP");
                // These pauses are the fault that is planted.
                thread::sleep(Duration::from_millis(80));
                started.signal("CONT");
                thread::sleep(Duration::from_millis(20));
            }
            started.wait()
        });
    }
}

/// Stops a load for three seconds when two rounds are stored; returns how long it stood.
fn stopped(kind: Kind, call: Proofload) -> (Done, u64) {
    let mut started = call.start();
    let enough = if kind == Kind::Run { 2 } else { 4 };
    started.wait_until("two rounds are stored", |directory| {
        kind.stored(directory) >= enough
    });
    let clock = Clock::start();
    started.signal("STOP");
    // The pause is the fault that is planted.
    thread::sleep(STOP);
    started.signal("CONT");
    let stood_ns = clock.now_ns();
    (started.wait(), stood_ns)
}

#[test]
fn a_generator_that_was_stopped_never_gives_a_verdict() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    for kind in Kind::BOTH {
        always_invalid("SIGSTOP for 3 s", kind, &["stall"], || {
            stopped(kind, kind.load(&server, 160)).0
        });
    }
}

#[test]
fn a_stop_flags_exactly_the_slots_that_it_touched() {
    let _quiet = quiet();
    let server = Faultd::always(USUAL);
    let url = server.url();
    let call = Proofload::new(&format!(
        "run --target {url} -o run.jsonl --request /x --rate 200/s -d 10s --slot 500ms"
    ));
    let (done, stood_ns) = stopped(Kind::Run, call);
    let slots = Kind::Run.slots(&done);
    assert_eq!(slots.len(), 20);
    let by = Yardstick {
        fastest_p50_ns: 20e6,
        lag_difference_ns: f64::INFINITY,
        open_loop: true,
        simultaneous: false,
    };
    let is_flagged = |slot: &Slot| {
        let signs = Signs::of([slot]);
        // A little lag belongs to a busy machine.
        [Flaw::Stall, Flaw::NotSentLate]
            .iter()
            .any(|flaw| flaw.is_shown(&signs, None, &by))
    };
    let flagged: Vec<usize> = (0..slots.len())
        .filter(|n| is_flagged(&slots[*n]))
        .collect();
    let (first, last) = (flagged[0], *flagged.last().unwrap());
    assert_eq!(flagged.len(), last - first + 1, "in a row: {flagged:?}");
    // What is less than 250 ms late is sent.
    let fewest = (stood_ns - 250 * MS) / (500 * MS);
    let most = stood_ns / (500 * MS) + 2;
    let touched = flagged.len() as u64;
    assert!(
        (fewest..=most).contains(&touched),
        "{touched} of {fewest} to {most}"
    );
}

/// A network namespace of our own with ten local ports; gone when dropped.
struct Namespace(String);

impl Namespace {
    fn new() -> Result<Self, String> {
        let name = format!("proofload-test-{}", std::process::id());
        command("ip", &["netns", "add", &name])?;
        let namespace = Self(name);
        command("ip", &["-n", &namespace.0, "link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Only ten ports from now on, for whoever connects without naming one.
    fn leave_ten_ports(&self) -> Result<(), String> {
        let range = "echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range";
        command("ip", &["netns", "exec", &self.0, "sh", "-c", range])
    }

    /// A server inside: its sockets belong to the namespace of the thread that opens them.
    fn serve(&self) -> Result<Faultd, String> {
        let path = format!("/run/netns/{}", self.0);
        let entrance = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        let inside = thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(entrance.as_fd(), kind)?;
            Ok::<_, rustix::io::Errno>(Faultd::always(Fault::Delay(50 * MS)))
        });
        inside
            .join()
            .unwrap()
            .map_err(|error| format!("setns: {error}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = command("ip", &["netns", "del", &self.0]);
    }
}

fn command(program: &str, args: &[&str]) -> Result<(), String> {
    let done = Command::new(program).args(args).output();
    let done = done.map_err(|error| format!("{program}: {error}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(format!("{program} {}: {said}", args.join(" ")))
}

#[test]
fn a_generator_without_ports_never_gives_a_verdict() {
    let _quiet = quiet();
    let prepare = || {
        // A fresh one for each try: ports rest for a minute after use.
        let namespace = Namespace::new()?;
        let server = namespace.serve()?;
        namespace.leave_ten_ports()?;
        Ok::<_, String>((namespace, server))
    };
    if let Err(cause) = prepare() {
        println!("a_generator_without_ports_never_gives_a_verdict is skipped: {cause}");
        return;
    }
    for kind in Kind::BOTH {
        always_invalid("ten local ports", kind, &["local_ports"], || {
            let (namespace, server) = prepare().unwrap();
            let inside = format!("exec ip netns exec {} \"$0\" \"$@\"", namespace.0);
            // Fifty in flight, and connections for ten of them.
            kind.load(&server, 1_000).before(&inside).run()
        });
    }
}
