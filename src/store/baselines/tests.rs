//! Baselines on a disk of their own: what is kept, what is refused, and writers at once.

use std::collections::BTreeMap;

use super::*;
use crate::run::{
    RunHeader, TARGET_DIED, TargetRecord, WorkloadRecord, footer_line, header_line, slot_line,
};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn baselines(&self) -> Baselines {
        Baselines::at(&self.path("baselines"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A run file with this id that ended like this.
    fn run(&self, id: &str, sides: &[Side], footer: Option<(&str, &str)>) -> PathBuf {
        let target = |side: &Side| {
            let url = "http://127.0.0.1:1/".to_owned();
            let address = "127.0.0.1:1".to_owned();
            let record = TargetRecord {
                url,
                address,
                ..TargetRecord::default()
            };
            (*side, record)
        };
        let header = RunHeader {
            proofload_run: crate::run::VERSION,
            version: "0.1.0".to_owned(),
            run_id: id.to_owned(),
            started_at: "2026-01-01T00:00:00Z".to_owned(),
            seed: 1,
            targets: sides.iter().map(target).collect(),
            workload: WorkloadRecord {
                digest: "sha256:w".to_owned(),
                ..WorkloadRecord::default()
            },
            plan: serde_json::Value::Null,
            config: serde_json::Value::Null,
        };
        let slot = crate::run::Slot {
            round: 1,
            position: 0,
            side: Side::Candidate,
            start_ns: 0,
            length_ns: 1,
            settle_ns: 0,
            medians_ns: Vec::new(),
            complete: true,
            endpoints: BTreeMap::new(),
            connections: crate::run::ConnectionStats::default(),
            health: crate::run::Health::default(),
            resources: None,
        };
        let end = footer.map(|(state, reason)| {
            footer_line(&RunFooter {
                state: state.to_owned(),
                reason: reason.to_owned(),
                elapsed_ns: 1,
            })
        });
        let text = header_line(&header) + &slot_line(&slot) + &end.unwrap_or_default();
        let path = self.path(&format!("{}.run.jsonl", id.replace('/', "_")));
        std::fs::write(&path, text).unwrap();
        path
    }

    fn good(&self, id: &str) -> PathBuf {
        self.run(id, &[Side::Candidate], Some(("complete", "done")))
    }
}

fn name(text: &str) -> BaselineName {
    text.parse().unwrap()
}

fn ids(place: &Place, of: &str) -> Vec<String> {
    let runs = place.baselines().load(&name(of)).unwrap();
    runs.into_iter()
        .map(|(stored, run)| {
            assert_eq!(stored.run_id, run.header.run_id);
            stored.run_id
        })
        .collect()
}

#[test]
fn the_newest_run_comes_first_and_the_earlier_ones_stay() {
    let place = Place::new();
    for (id, n) in [("a", 1), ("b", 2), ("b", 2), ("c", 3)] {
        let kept = place.baselines().save(&name("main"), &place.good(id));
        assert_eq!(kept.unwrap(), n, "the same file twice counts once");
    }
    assert_eq!(ids(&place, "main"), ["c", "b", "a"]);
    let newest = std::fs::read(place.path("baselines/main.run.jsonl")).unwrap();
    assert_eq!(newest, std::fs::read(place.good("c")).unwrap());
    let index = std::fs::read_to_string(place.path("baselines/main.json")).unwrap();
    assert!(index.contains(&digest(&newest)), "{index}");
    for part in ["\"proofload_baseline\": 1", "main/c.run.jsonl", "sha256:w"] {
        assert!(index.contains(part), "{part}: {index}");
    }
    // An id that is no name of a file, and one that is taken.
    place
        .baselines()
        .save(&name("main"), &place.good("../x"))
        .unwrap();
    assert!(place.path("baselines/main/x.run.jsonl").is_file());
    assert_eq!(place.baselines().list().unwrap()[0].1.len(), 4);
    assert_eq!(place.baselines().remove(&name("main")).unwrap(), 4);
    let left = std::fs::read_dir(place.path("baselines")).unwrap();
    let left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, [".main.lock"]);
}

#[test]
fn only_so_many_are_kept() {
    let place = Place::new();
    for id in 0..KEPT + 3 {
        let kept = place
            .baselines()
            .save(&name("x"), &place.good(&format!("r{id}")));
        assert_eq!(kept.unwrap(), (id + 1).min(KEPT));
    }
    let all = ids(&place, "x");
    assert_eq!((all.len(), all[0].as_str()), (KEPT, "r22"));
    let files = std::fs::read_dir(place.path("baselines/x")).unwrap();
    assert_eq!(files.count(), KEPT);
}

#[test]
fn names_are_parts_of_paths_and_nothing_else() {
    for good in ["main", "v2.4", "a_b-c", "1"] {
        assert!(good.parse::<BaselineName>().is_ok(), "{good}");
    }
    let long = "x".repeat(65);
    for bad in [
        "", ".", "..", ".hidden", "a/b", "../x", "-rf", "a b", "http://x", "x.jsonl", "x.json",
        "é", "a\\b", "a\0", &long,
    ] {
        let error = bad.parse::<BaselineName>().unwrap_err().to_string();
        assert!(error.contains("is no name for a baseline"), "{error}");
    }
}

#[test]
fn what_is_no_whole_good_run_of_one_side_is_refused() {
    let place = Place::new();
    let one = [Side::Candidate];
    let died = format!("{TARGET_DIED}the target stopped answering");
    for (path, said) in [
        (place.run("killed", &one, None), "its run was killed"),
        (
            place.run("cut", &one, Some(("partial", "interrupted by SIGINT"))),
            "interrupted by SIGINT",
        ),
        (
            place.run("dead", &one, Some(("partial", &died))),
            "of no use as a baseline: the target stopped",
        ),
        (
            place.run("two", &Side::BOTH, Some(("complete", "done"))),
            "holds two sides",
        ),
        (place.path("nothing"), "cannot read"),
    ] {
        let error = place.baselines().save(&name("main"), &path);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(place.baselines().list().unwrap().is_empty());
    let error = place.baselines().load(&name("main")).unwrap_err();
    assert!(error.to_string().contains("--save-baseline"), "{error}");
}

#[test]
fn a_file_that_was_changed_or_lost_is_named_and_never_read() {
    let place = Place::new();
    let baselines = place.baselines();
    for id in ["a", "b"] {
        baselines.save(&name("main"), &place.good(id)).unwrap();
    }
    let fails = |said: &str| {
        let error = place.baselines().load(&name("main")).unwrap_err();
        assert!(error.to_string().contains(said), "{said}: {error}");
    };
    let stored = place.path("baselines/main/a.run.jsonl");
    let good = std::fs::read(&stored).unwrap();
    for at in [0, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&stored, bytes).unwrap();
        fails("main/a.run.jsonl is not the file that was stored");
    }
    std::fs::remove_file(&stored).unwrap();
    fails("cannot read");
    let index = place.path("baselines/main.json");
    let text = std::fs::read_to_string(&index).unwrap();
    for (old, new, said) in [
        ("main/a.run", "../a.run", "it names `../a.run.jsonl`"),
        ("main/a.run", "main/../a.run", "it names"),
        ("baseline\": 1", "baseline\": 2", "a newer proofload"),
        ("{", "", "cannot be used"),
    ] {
        std::fs::write(&index, text.replacen(old, new, 1)).unwrap();
        fails(said);
        assert!(baselines.save(&name("main"), &place.good("c")).is_err());
    }
}

#[test]
fn fifty_writers_lose_no_run() {
    let place = Place::new();
    let names = ["one", "two", "three"].map(name);
    std::thread::scope(|scope| {
        for writer in 0..50 {
            let (place, names) = (&place, &names);
            scope.spawn(move || {
                let path = place.good(&format!("w{writer}"));
                let name = &names[writer % 3];
                place.baselines().save(name, &path).unwrap();
            });
        }
    });
    for (name, count) in names.iter().zip([17, 17, 16]) {
        assert_eq!(place.baselines().load(name).unwrap().len(), count);
    }
}
