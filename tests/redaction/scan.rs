//! `proofload scan` by the real binary: what it prints, its exit codes, and no false alarms.

use std::path::Path;

use crate::proofload;

#[test]
fn each_finding_has_its_line_its_place_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let text = "{\"proofload_workload\":1}\n\
        {\"offset_ns\":0,\"method\":\"GET\",\"path\":\"/a?page=2\"}\n\
        {\"offset_ns\":1,\"method\":\"GET\",\"path\":\"/a?token=hunter2\",\
        \"headers\":[[\"x-a\",\"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.\"]]}\n";
    std::fs::write(dir.join("w.jsonl"), text).unwrap();
    let said = proofload(dir, &["scan", "w.jsonl"]);
    assert_eq!(said.code, Some(3), "{}", said.errors());
    assert_eq!(
        said.text(),
        "w.jsonl:3:48  secret field  path, token  •••••• (7 characters)\n\
         w.jsonl:3:76  JSON Web Token  header, x-a  ey•••••• (36 characters)\n\
         w.jsonl: 3 lines, 1 secret field, 1 JSON Web Token\n"
    );
    assert!(said.errors().contains("[redact]"), "{}", said.errors());
}

#[test]
fn unreadable_input_is_2_and_a_finding_beside_it_3() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("clean.txt"), "nothing here\n").unwrap();
    std::fs::write(dir.join("found.txt"), "password=hunter2\n").unwrap();
    std::fs::write(dir.join("cut.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03").unwrap();
    std::fs::write(dir.join("wide.txt"), b"\xff\xfea\0").unwrap();
    for (files, code) in [
        (&["clean.txt"][..], 0),
        (&["none.txt"], 2),
        (&["."], 2),
        (&["cut.gz"], 2),
        (&["wide.txt", "clean.txt"], 2),
        (&["none.txt", "found.txt"], 3),
        (&["clean.txt", "found.txt"], 3),
        (&[], 2),
    ] {
        let said = proofload(dir, &[&["scan"], files].concat());
        assert_eq!(said.code, Some(code), "{files:?} {}", said.errors());
    }
}

#[test]
fn what_people_and_machines_write_raises_no_alarm() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/formats.md",
        "docs/method.md",
        "docs/simulations.md",
        "Cargo.toml",
        "src/lib.rs",
        "src/replay/worker.rs",
        "src/compare/judge.rs",
        "src/cli/settings.rs",
        "src/report/html.rs",
        "workloads/demo.jsonl",
        "deny.toml",
        "clippy.toml",
    ];
    let there: Vec<&str> = files
        .into_iter()
        .filter(|file| root.join(file).exists())
        .collect();
    assert!(there.len() > 10, "{there:?}");
    let said = proofload(root, &[&["scan"], &there[..]].concat());
    assert_eq!(said.code, Some(0), "{}", said.text());
}
