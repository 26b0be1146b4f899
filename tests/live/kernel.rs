//! What only the kernel can do to a load: no route, no port, no descriptor. In a network
//! namespace of the test's own, as root; elsewhere each test says that it is skipped, and why.

use std::{
    collections::BTreeMap,
    fs::File,
    net::SocketAddr,
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use proofload::run::{Class, Side};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{
    binary::Proofload,
    engine::{Trial, load, run, workload},
    faultd::{Fault, Faultd, MS, Then},
};

/// A network namespace of our own; gone when dropped.
struct Namespace(String);

impl Namespace {
    /// One with these addresses of no machine routed like that, or why it cannot be had.
    fn new(routes: &[&str]) -> Result<Self, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("proofload-live-{}-{number}", std::process::id());
        command("ip", &["netns", "add", &name])?;
        let namespace = Self(name);
        namespace.ip("link set lo up")?;
        for route in routes {
            namespace.ip(&format!("route add {route}"))?;
        }
        Ok(namespace)
    }

    fn ip(&self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = ["-n", &self.0].into_iter().chain(line.split(' ')).collect();
        command("ip", &words)
    }

    /// Does something on a thread inside, whose sockets and threads belong there.
    fn inside<T: Send + 'static>(&self, what: impl FnOnce() -> T + Send + 'static) -> T {
        let entrance = File::open(format!("/run/netns/{}", self.0)).unwrap();
        let inside = thread::spawn(move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(entrance.as_fd(), kind).unwrap();
            what()
        });
        inside.join().unwrap()
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

#[expect(
    clippy::print_stdout,
    reason = "whoever reads the results must see what was not tried"
)]
fn skipped(test: &str, cause: &str) {
    println!("{test} is skipped: {cause}");
}

fn on(address: &str, rate: &str) -> Trial {
    let address: SocketAddr = address.parse().unwrap();
    run(&load(address, workload(&["GET /x"], None), rate, 300))
}

#[test]
fn addresses_without_a_route_are_unreachable_and_a_hole_is_our_own() {
    let test = "addresses_without_a_route_are_unreachable_and_a_hole_is_our_own";
    let routes = [
        "prohibit 10.9.1.0/24",
        "unreachable 10.9.2.0/24",
        "blackhole 10.9.3.0/24",
    ];
    let namespace = match Namespace::new(&routes) {
        Ok(namespace) => namespace,
        Err(cause) => return skipped(test, &cause),
    };
    for (address, class) in [
        ("10.9.1.1:80", Class::ConnectUnreachable),
        ("10.9.2.1:80", Class::ConnectUnreachable),
        // No route at all.
        ("10.9.4.1:80", Class::ConnectUnreachable),
        // The kernel calls it a mistake of the caller's: the machine was told to drop it.
        ("10.9.3.1:80", Class::LocalOther),
    ] {
        let trial = namespace.inside(move || on(address, "100/s"));
        let sent = trial.side(Side::Candidate).sent();
        assert!(sent > 0);
        assert_eq!(
            trial.classes(),
            BTreeMap::from([(class, sent)]),
            "{address}"
        );
    }
}

#[test]
fn what_finds_no_port_is_counted_as_ours_and_the_rest_goes_on() {
    let test = "what_finds_no_port_is_counted_as_ours_and_the_rest_goes_on";
    let namespace = match Namespace::new(&[]) {
        Ok(namespace) => namespace,
        Err(cause) => return skipped(test, &cause),
    };
    let server = namespace.inside(|| Faultd::always(Fault::Delay(100 * MS)));
    let range = "echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range";
    if let Err(cause) = command("ip", &["netns", "exec", &namespace.0, "sh", "-c", range]) {
        return skipped(test, &cause);
    }
    let address = server.address.to_string();
    // Twenty in flight, and connections for ten of them.
    let trial = namespace.inside(move || on(&address, "200/s"));
    let total = trial.side(Side::Candidate);
    let classes = trial.classes();
    let count = |class| classes.get(&class).copied().unwrap_or(0);
    assert_eq!(count(Class::Ok), server.requests(), "{classes:?}");
    assert_eq!(
        count(Class::Ok) + count(Class::LocalPorts),
        total.sent(),
        "{classes:?}"
    );
    assert!(
        count(Class::LocalPorts) > 0 && count(Class::Ok) >= 10,
        "{classes:?}"
    );
    assert!(server.connections() <= 10);
}

#[test]
fn what_finds_no_descriptor_is_counted_as_ours_and_the_results_are_saved() {
    let test = "what_finds_no_descriptor_is_counted_as_ours_and_the_results_are_saved";
    let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let server = Faultd::always(Fault::Bytes(close.into(), Then::Close));
    let line = "run --request /x --rate 100/s -d 3s --slot 500ms -o run.jsonl --format json";
    let mut started = Proofload::new(line)
        .args(&["--target", &server.url()])
        .start();
    started.wait_until("the load runs", |_| server.requests() > 20);
    // The limit that was checked before the load is taken away while it runs.
    let pid = started.pid().to_string();
    if let Err(cause) = command("prlimit", &["--pid", &pid, "--nofile=4:4"]) {
        started.signal("TERM");
        started.wait();
        return skipped(test, &cause);
    }
    let done = started.wait().expect(12);
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(
        json["classes"]["local_fds"].as_u64() > Some(10),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("local_fds"), "{}", done.stdout);
    let stored = std::fs::read_to_string(done.path("run.jsonl")).unwrap();
    assert!(stored.contains("local_fds"), "{}", done.stderr);
}
