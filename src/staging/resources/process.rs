//! A process with all that descends from it: its CPU time and memory, from /proc and from the
//! CPU clock that the kernel keeps for each process.
//!
//! A child that has ended lives on in the CPU time of the parent that waited for it. What cannot
//! be seen: a child whose parent ignores SIGCHLD, and a child that found another parent outside
//! of the tree. (No child of a local build does: its guard takes in those that lose theirs.)

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use nix::{time::clock_getcpuclockid, unistd::Pid};

use super::{Reading, ResourceError};
use crate::{clock::Clock, units::SECOND_NS};

/// How often new descendants are looked for, in nanoseconds.
const SCAN_NS: u64 = SECOND_NS;

/// A process and its descendants.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: u32,
    /// When the root was started: another process with its number started at another time.
    started: u64,
    /// Whether the root itself counts, and not only what descends from it.
    with_root: bool,
    /// Parents stand before their children.
    members: Vec<u32>,
    /// The memory high-water mark of each, when it was last seen, in bytes.
    marks: BTreeMap<u32, u64>,
    clock: Clock,
    scan_at_ns: u64,
}

/// What `/proc/N/stat` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    /// Nobody has waited for it yet, and that is all that is left of it.
    has_ended: bool,
    parent: u32,
    /// Of all its threads, those that have ended too; in ticks.
    own_ticks: u64,
    /// Of the children that it waited for, and of theirs.
    waited_ticks: u64,
    started: u64,
}

impl Tree {
    /// A process that runs now.
    ///
    /// # Errors
    /// When there is none with this number, or it may not be looked at.
    pub(super) fn of(root: u32, with_root: bool) -> Result<Self, ResourceError> {
        let stat = stat(root).map_err(|error| unreadable(root, error))?;
        Ok(Self {
            root,
            started: stat.started,
            with_root,
            members: Vec::new(),
            marks: BTreeMap::new(),
            clock: Clock::start(),
            scan_at_ns: 0,
        })
    }

    /// CPU time so far, and the most memory since the last reading. With `scan`, descendants are
    /// looked for even if they were a short time ago.
    ///
    /// # Errors
    /// When the root has ended, or its number belongs to another process.
    pub(super) fn read(&mut self, scan: bool) -> Result<Reading, ResourceError> {
        let now_ns = self.clock.now_ns();
        if scan || now_ns >= self.scan_at_ns {
            self.members = descendants(self.root, &parents());
            self.scan_at_ns = now_ns + SCAN_NS;
        }
        // The parent first: what ends in between is then missed for once, and not counted twice.
        let root = stat(self.root).map_err(|error| unreadable(self.root, error))?;
        if root.started != self.started {
            return Err(ResourceError::Reused(self.root));
        }
        if root.has_ended {
            return Err(ResourceError::NoProcess(self.root));
        }
        let mut cpu_ns = ticks_ns(root.waited_ticks);
        let mut bytes = 0;
        if self.with_root {
            cpu_ns += own_ns(self.root, &root);
            bytes += self.memory(self.root);
        }
        for pid in std::mem::take(&mut self.members) {
            match stat(pid) {
                Ok(stat) => {
                    cpu_ns += own_ns(pid, &stat) + ticks_ns(stat.waited_ticks);
                    bytes += self.memory(pid);
                    self.members.push(pid);
                }
                // Where one has ended, another may have come.
                Err(_) => self.scan_at_ns = 0,
            }
        }
        let mut alive: BTreeSet<u32> = self.members.iter().copied().collect();
        alive.insert(self.root);
        self.marks.retain(|pid, _| alive.contains(pid));
        Ok(Reading {
            cpu_ns: Some(cpu_ns),
            bytes: Some(bytes),
        })
    }

    /// What a process holds, or what it held in between if its high-water mark has risen.
    fn memory(&mut self, pid: u32) -> u64 {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let (held, mark) = (bytes(&status, "VmRSS:"), bytes(&status, "VmHWM:"));
        let before = self.marks.insert(pid, mark);
        match before {
            Some(before) if mark > before => mark,
            _ => held,
        }
    }
}

/// Whether a process is another one, or descends from it.
pub(super) fn is_within(pid: u32, root: u32) -> bool {
    pid == root || descendants(root, &parents()).contains(&pid)
}

fn unreadable(pid: u32, error: io::Error) -> ResourceError {
    use rustix::io::Errno;
    // A process that ends while it is read gives the second.
    let gone = [Some(Errno::NOENT), Some(Errno::SRCH)];
    if gone.contains(&Errno::from_io_error(&error)) {
        ResourceError::NoProcess(pid)
    } else {
        ResourceError::Unreadable(format!("/proc/{pid}/stat"), error)
    }
}

/// The children of each process of this machine that we may see.
fn parents() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for pid in pids {
        if let Ok(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    children
}

/// All that descends from a process, parents before their children.
fn descendants(root: u32, children: &BTreeMap<u32, Vec<u32>>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        for child in children.get(parent).into_iter().flatten() {
            // Numbers that were reused while /proc was read could make a ring.
            if !found.contains(child) {
                found.push(*child);
            }
        }
        next += 1;
    }
    found.split_off(1)
}

fn stat(pid: u32) -> io::Result<Stat> {
    let path = format!("/proc/{pid}/stat");
    parse_stat(&fs::read_to_string(&path)?)
        .ok_or_else(|| io::Error::other("it has another form than Linux gives it"))
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name in the middle may hold anything, blanks and parentheses too.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let at = |n: usize| fields.get(n)?.parse::<u64>().ok();
    // A process whose first thread alone has ended looks the same, but for the number of threads.
    let is_dead = matches!(*fields.first()?, "Z" | "X" | "x");
    Some(Stat {
        has_ended: is_dead && at(17)? <= 1,
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: at(11)?.checked_add(at(12)?)?,
        // Signed in the kernel's format, and never negative.
        waited_ticks: at(13)?.checked_add(at(14)?)?,
        started: at(19)?,
    })
}

/// The CPU time of one process to the nanosecond; in ticks where the kernel keeps no such clock.
fn own_ns(pid: u32, stat: &Stat) -> u64 {
    let exact = || {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?);
        let time = clock_getcpuclockid(pid).ok()?.now().ok()?;
        let (seconds, nanos) = (u64::try_from(time.tv_sec()), u64::try_from(time.tv_nsec()));
        seconds
            .ok()?
            .checked_mul(SECOND_NS)?
            .checked_add(nanos.ok()?)
    };
    exact().unwrap_or_else(|| ticks_ns(stat.own_ticks))
}

fn ticks_ns(ticks: u64) -> u64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    ticks.saturating_mul(SECOND_NS / per_second)
}

/// A line of `/proc/N/status` that is in kB; 0 where there is none, as for a zombie.
fn bytes(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let figure = line.and_then(|line| line.trim().strip_suffix("kB"));
    figure
        .and_then(|text| text.trim().parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    struct Shell(Child);

    impl Shell {
        /// Runs a script that ends when its input does.
        fn start(script: &str) -> Self {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).stdin(Stdio::piped());
            Self(shell.stdout(Stdio::null()).spawn().unwrap())
        }

        fn tree(&self) -> Tree {
            Tree::of(self.0.id(), true).unwrap()
        }

        fn say(&self, line: &str) {
            std::io::Write::write_all(&mut self.0.stdin.as_ref().unwrap(), line.as_bytes())
                .unwrap();
        }
    }

    /// Reads until something holds, which it must sooner or later.
    fn until(tree: &mut Tree, holds: impl Fn(&Tree, u64) -> bool) -> u64 {
        let clock = Clock::start();
        loop {
            let cpu_ns = tree.read(true).unwrap().cpu_ns.unwrap();
            if holds(tree, cpu_ns) {
                return cpu_ns;
            }
            assert!(clock.now_ns() < 60 * SECOND_NS, "never: {tree:?}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            drop(self.0.stdin.take());
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn the_fields_are_those_behind_the_name() {
        let text = "7 (a ) (b) S 3 7 7 0 -1 4194560 1 2 0 0 11 12 13 14 20 0 1 0 999 1 2 3\n";
        let stat = parse_stat(text).unwrap();
        let ended = |text: &str| parse_stat(text).unwrap().has_ended;
        assert!(!stat.has_ended && ended(&text.replace(" S ", " Z ")));
        assert!(!ended(
            &text.replace(" S ", " Z ").replace(" 20 0 1 ", " 20 0 2 ")
        ));
        assert_eq!((stat.parent, stat.started), (3, 999));
        assert_eq!((stat.own_ticks, stat.waited_ticks), (23, 27));
        for garbage in ["", "7 (a) S 3", "7 a S 3 7", "7 (a) S x 7 7"] {
            assert_eq!(parse_stat(garbage), None, "{garbage:?}");
        }
        assert_eq!(
            bytes("VmHWM:\t  90 kB\nVmRSS:\t  12 kB\n", "VmRSS:"),
            12 * 1024
        );
        assert_eq!(bytes("Name:\tx\n", "VmRSS:"), 0);
    }

    #[test]
    fn all_that_descends_is_found_once_and_parents_come_first() {
        let children = BTreeMap::from([(1, vec![2, 9]), (2, vec![3]), (3, vec![1, 4])]);
        assert_eq!(descendants(1, &children), [2, 9, 3, 4]);
        assert_eq!(descendants(5, &children), [0; 0]);
    }

    #[test]
    fn a_child_that_burns_is_counted_while_it_runs_and_after_it_ended() {
        let burn = "n=0; while [ $n -lt 200000 ]; do n=$((n+1)); done; read end";
        let shell = Shell::start(&format!("read go; sh -c '{burn}'; read end"));
        let mut tree = shell.tree();
        let reading = tree.read(true).unwrap();
        assert!(reading.bytes.unwrap() > 0, "{reading:?}");
        let before = reading.cpu_ns.unwrap();
        shell.say("go\n");
        let busy = until(&mut tree, |tree, now| {
            tree.members.len() == 1 && now > before + 30_000_000
        });
        shell.say("end\n");
        // What a process has used that is gone is known in ticks of 10 ms: twice, user and system.
        let after = until(&mut tree, |tree, _| tree.members.is_empty());
        assert!(after + 20_000_000 > busy, "{after} after {busy}");
        assert!(after < before + 60 * SECOND_NS, "counted twice? {after}");
    }

    #[test]
    fn a_process_that_is_gone_or_another_one_is_an_error() {
        let shell = Shell::start("read end");
        let mut tree = shell.tree();
        tree.started += 1;
        let error = tree.read(false).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        let mut tree = shell.tree();
        let pid = shell.0.id();
        drop(shell);
        let error = tree.read(false).unwrap_err().to_string();
        assert!(error.contains(&format!("no process {pid}")), "{error}");
        assert!(Tree::of(pid, true).is_err());
    }

    #[test]
    fn whose_child_we_are_is_known() {
        let own = std::process::id();
        let shell = Shell::start("read end");
        assert!(is_within(own, own) && is_within(shell.0.id(), own));
        assert!(!is_within(own, shell.0.id()));
    }
}
