//! Which cgroups hold this process, and what they say about its CPU: quota and throttled time,
//! of version 2 and 1, alone or side by side.
//!
//! A quota of any ancestor binds as well, so each level up to the mount point is read. What is
//! absent or unreadable limits nothing; nothing here can fail.

use std::path::{Path, PathBuf};

use crate::units::count;

/// One directory of a hierarchy that may hold a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    is_v2: bool,
    path: PathBuf,
}

/// What a level says of a process below it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Quota {
    /// Cores that may be used, on average over a period; infinite without a quota.
    pub(super) cores: f64,
    /// Time for which it was kept from running so far, in nanoseconds, over all cores.
    pub(super) throttled_ns: u64,
}

/// The levels of this process, the innermost first.
pub(super) fn own_levels() -> Vec<Level> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (groups, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
    levels(&groups, &mounts, Path::is_dir)
}

/// The smallest quota of all levels, and the longest time that one of them throttled.
pub(super) fn read(levels: &[Level]) -> Quota {
    let mut found = Quota {
        cores: f64::INFINITY,
        throttled_ns: 0,
    };
    for level in levels {
        let read = |name| std::fs::read_to_string(level.path.join(name)).unwrap_or_default();
        let cores = if level.is_v2 {
            quota_v2(&read("cpu.max"))
        } else {
            quota_v1(&read("cpu.cfs_quota_us"), &read("cpu.cfs_period_us"))
        };
        // Without a quota nothing is throttled, and the file need not be read.
        if let Some(cores) = cores {
            found.cores = found.cores.min(cores);
            let throttled_ns = throttled_ns(&read("cpu.stat")).unwrap_or(0);
            found.throttled_ns = found.throttled_ns.max(throttled_ns);
        }
    }
    found
}

/// From `/proc/self/cgroup` and `/proc/self/mountinfo` to directories that are there.
fn levels(groups: &str, mounts: &str, is_dir: impl Fn(&Path) -> bool) -> Vec<Level> {
    let mut levels = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(own)) = (fields.next(), fields.next()) else {
            continue;
        };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|it| it == "cpu") {
            continue;
        }
        let Some((root, top)) = mounts.lines().find_map(|line| mount(line, is_v2)) else {
            continue;
        };
        // A container sees its own group as the root of the mount, or a path outside of it; what
        // cannot be found below the mount point is then the mount point itself.
        let below = Path::new(own).strip_prefix(root).unwrap_or(Path::new(""));
        let below = if below.starts_with("..") {
            Path::new("")
        } else {
            below
        };
        let innermost = top.join(below);
        let innermost = if is_dir(&innermost) { &innermost } else { &top };
        let within = innermost
            .ancestors()
            .take_while(|path| path.starts_with(&top));
        levels.extend(within.map(|path| Level {
            is_v2,
            path: path.to_owned(),
        }));
    }
    levels
}

/// Root and mount point of a line of mountinfo, if it mounts the hierarchy that is asked for.
fn mount(line: &str, is_v2: bool) -> Option<(&str, PathBuf)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, top) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let system = kind.next()?;
    let is_wanted = if is_v2 {
        system == "cgroup2"
    } else {
        system == "cgroup" && kind.nth(1)?.split(',').any(|it| it == "cpu")
    };
    is_wanted.then(|| (root, PathBuf::from(top)))
}

/// `cpu.max`: quota and period in microseconds, or `max`.
fn quota_v2(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    cores(quota, period)
}

/// `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a quota of -1 is none.
fn quota_v1(quota: &str, period: &str) -> Option<f64> {
    cores(quota.trim(), period.trim())
}

fn cores(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0 && period > 0).then(|| count(quota) / count(period))
}

/// The throttled time in `cpu.stat`: microseconds in version 2, nanoseconds in version 1.
fn throttled_ns(text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.trim().split_once(' ')?;
        let value: u64 = value.parse().ok()?;
        match key {
            "throttled_usec" => value.checked_mul(1_000),
            "throttled_time" => Some(value),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_cores_and_garbage_is_no_quota() {
        for (text, cores) in [
            ("20000 100000\n", Some(0.2)),
            ("150000 100000", Some(1.5)),
            ("max 100000\n", None),
            ("", None),
            ("20000", None),
            ("0 100000", None),
            ("20000 0", None),
            ("-5 100000", None),
            ("20000 100000 7", None),
            ("\u{0}\u{7f}", None),
        ] {
            assert_eq!(quota_v2(text), cores, "{text:?}");
        }
        for (quota, period, cores) in [
            ("20000\n", "100000\n", Some(0.2)),
            ("-1\n", "100000\n", None),
            ("", "", None),
            ("20000", "", None),
            ("x", "100000", None),
        ] {
            assert_eq!(quota_v1(quota, period), cores, "{quota:?} {period:?}");
        }
    }

    #[test]
    fn throttled_time_has_another_unit_in_each_version() {
        let v2 = "usage_usec 9\nuser_usec 5\nnr_periods 4\nnr_throttled 2\nthrottled_usec 1234\n";
        let v1 = "nr_periods 4\nnr_throttled 2\nthrottled_time 1234\n";
        for (text, ns) in [
            (v2, Some(1_234_000)),
            (v1, Some(1_234)),
            ("usage_usec 9\n", None),
            ("", None),
            ("throttled_usec\n", None),
            ("throttled_usec x\n", None),
            ("throttled_usec 18446744073709551615\n", None),
        ] {
            assert_eq!(throttled_ns(text), ns, "{text:?}");
        }
    }

    const V1: &str = "31 23 0:28 / /cg rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /cg/cpu,cpuacct rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /cg/cpuset rw - cgroup cgroup rw,cpuset
";
    const V2: &str = "35 31 0:38 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
    const BOUND: &str = "35 31 0:38 /kube/pod1 /cg rw - cgroup2 cgroup2 rw\n";

    /// Name, own groups, mounts, which directories are there, and which levels are found.
    type Case<'a> = (
        &'a str,
        &'a str,
        &'a str,
        &'a dyn Fn(&Path) -> bool,
        &'a [&'a str],
    );

    #[test]
    fn every_level_up_to_the_mount_point_is_found_wherever_it_is_mounted() {
        let v1 = "9:name=systemd:/x\n3:cpuset:/y\n2:cpu,cpuacct:/a/b\n0::/\n";
        let all = |_: &Path| true;
        let top = |path: &Path| path == Path::new("/cg");
        let table: [Case; 11] = [
            (
                "version 2",
                "0::/a/b\n",
                V2,
                &all,
                &["/cg/a/b", "/cg/a", "/cg"],
            ),
            ("its root", "0::/\n", V2, &all, &["/cg"]),
            (
                "version 1",
                v1,
                V1,
                &all,
                &[
                    "/cg/cpu,cpuacct/a/b",
                    "/cg/cpu,cpuacct/a",
                    "/cg/cpu,cpuacct",
                ],
            ),
            ("bound", "0::/kube/pod1/c\n", BOUND, &all, &["/cg/c", "/cg"]),
            ("a namespace", "0::/\n", BOUND, &all, &["/cg"]),
            (
                "outside of the mount",
                "0::/../other\n",
                BOUND,
                &top,
                &["/cg"],
            ),
            ("outside of the root", "0::/../other\n", V2, &all, &["/cg"]),
            ("not visible", "0::/docker/1\n", V2, &top, &["/cg"]),
            ("not mounted", "0::/a\n", "", &all, &[]),
            ("no groups", "", V2, &all, &[]),
            (
                "garbage",
                "::::\nx\n0:\n",
                "- - -\n1 2 3 - cgroup2\n",
                &all,
                &[],
            ),
        ];
        for (what, groups, mounts, is_dir, wanted) in table {
            let found = levels(groups, mounts, is_dir);
            let found: Vec<_> = found.iter().map(|level| level.path.as_path()).collect();
            let wanted: Vec<_> = wanted.iter().map(Path::new).collect();
            assert_eq!(found, wanted, "{what}");
        }
    }

    #[test]
    fn the_smallest_quota_of_all_levels_counts_and_missing_files_limit_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("v2"), dir.path().join("v2/a"));
        let old = dir.path().join("v1");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir_all(&old).unwrap();
        let level = |is_v2, path: &Path| Level {
            is_v2,
            path: path.to_owned(),
        };
        let levels = [level(true, &inner), level(true, &outer), level(false, &old)];
        assert_eq!(read(&levels).cores, f64::INFINITY);
        let write = |path: &Path, name: &str, text: &str| {
            std::fs::write(path.join(name), text).unwrap();
        };
        write(&inner, "cpu.max", "max 100000\n");
        write(&inner, "cpu.stat", "throttled_usec 900\n");
        write(&outer, "cpu.max", "50000 100000\n");
        write(&outer, "cpu.stat", "throttled_usec 7\n");
        write(&old, "cpu.cfs_quota_us", "100000\n");
        write(&old, "cpu.cfs_period_us", "100000\n");
        write(&old, "cpu.stat", "throttled_time 5\n");
        let found = read(&levels);
        assert_eq!((found.cores, found.throttled_ns), (0.5, 7_000));
        assert_eq!(read(&[]).throttled_ns, 0);
    }

    #[test]
    fn this_machine_is_read_without_fear() {
        let found = read(&own_levels());
        assert!(found.cores > 0.0);
    }
}
