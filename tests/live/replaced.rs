//! What stands where a command was told to write: replaced when it is of the same kind, and left
//! alone otherwise, until somebody says --force.

use std::{fs, os::unix::fs::symlink, path::Path};

use crate::{
    binary::Proofload,
    faultd::{Fault, Faultd},
};

const WORKLOAD: &str = r#"{"proofload_workload":1}
{"offset_ns":0,"method":"GET","path":"/a"}
{"offset_ns":9000000,"method":"GET","path":"/b"}
"#;
const THESIS: &str = "my thesis";

/// Each command that writes a file, up to the flag after which the file is named, and the ending
/// that the file must have.
fn commands(url: &str) -> Vec<(String, &'static str)> {
    vec![
        ("inspect w.jsonl --svg".to_owned(), "svg"),
        (
            "import vegeta targets --max-input 1MB -o".to_owned(),
            "jsonl",
        ),
        ("import vegeta targets -o".to_owned(), "jsonl.zst"),
        ("sample w.jsonl --keep 50% -o".to_owned(), "jsonl"),
        ("sample w.jsonl --keep 50% -o".to_owned(), "jsonl.zst"),
        (
            format!("record --listen 0 --upstream {url} --max-requests 1 -d 50ms -o"),
            "jsonl",
        ),
        (
            format!("run --target {url} --request /x --rate 100/s -d 100ms -o"),
            "jsonl",
        ),
    ]
}

fn call(line: &str) -> Proofload {
    Proofload::new(line)
        .file("w.jsonl", WORKLOAD)
        .file("thesis", THESIS)
        .file("targets", "GET http://127.0.0.1/a\n")
        .file("empty", "")
}

/// Puts something into the place; returns what the refusal says of it.
fn put(what: &str, dir: &Path, place: &str) -> &'static str {
    let path = dir.join(place);
    match what {
        "thesis" => {
            fs::write(&path, THESIS).unwrap();
            "what is there is no "
        }
        "directory" => {
            fs::create_dir(&path).unwrap();
            "it is a directory"
        }
        led_to => {
            symlink(led_to, &path).unwrap();
            "symbolic link"
        }
    }
}

#[test]
fn a_foreign_file_is_replaced_only_by_force() {
    let server = Faultd::always(Fault::Status(200));
    for (command, ending) in commands(&server.url()) {
        let place = format!("place.{ending}");
        for what in ["thesis", "directory", "empty", "w.jsonl", "missing"] {
            let case = format!("{command} {place}, where {what} is");
            let asked = call(&format!("{command} {place}"));
            let said = put(what, asked.dir(), &place);
            let done = asked.run();
            assert_eq!(done.code, 2, "{case}: {}", done.stderr);
            for part in [said, &place, "name "] {
                assert!(done.stderr.contains(part), "{case}: {}", done.stderr);
            }
            let left = |name: &str| fs::read_to_string(done.path(name)).ok();
            assert!(!done.path("missing").exists(), "{case}");
            assert_eq!(left("empty").as_deref(), Some(""), "{case}");
            assert_eq!(left("w.jsonl").as_deref(), Some(WORKLOAD), "{case}");
            if what == "thesis" {
                assert_eq!(left(&place).as_deref(), Some(THESIS), "{case}");
            }
            if what == "directory" {
                continue;
            }
            assert!(done.stderr.contains("--force"), "{case}: {}", done.stderr);
            forced(&format!("{command} {place} --force"), what, &place);
        }
    }
    assert!(server.requests() > 0, "the runs by force were measured");
}

/// With --force the file itself or the link is replaced, and never what a link leads to.
fn forced(line: &str, what: &str, place: &str) {
    let asked = call(line);
    put(what, asked.dir(), place);
    let done = asked.run();
    if line.starts_with("record") {
        assert_eq!(done.code, 12, "nothing was recorded: {}", done.stderr);
        return;
    }
    let done = done.measured();
    let written = fs::symlink_metadata(done.path(place)).unwrap();
    assert!(written.is_file() && written.len() > 9, "{line}: {what}");
    assert!(!done.path("missing").exists(), "{line}");
    assert_eq!(fs::read_to_string(done.path("w.jsonl")).unwrap(), WORKLOAD);
    assert_eq!(fs::read_to_string(done.path("empty")).unwrap(), "");
}

#[test]
fn an_empty_file_and_an_earlier_one_of_the_same_kind_are_replaced() {
    let server = Faultd::always(Fault::Status(200));
    let commands = commands(&server.url());
    for (command, ending) in commands.iter().filter(|it| !it.0.starts_with("record")) {
        let line = format!("{command} place.{ending}");
        let first = call(&line)
            .file(&format!("place.{ending}"), "")
            .run()
            .measured();
        let again = Proofload::new(&line).within(first).run().measured();
        assert!(again.path(&format!("place.{ending}")).is_file());
    }
    let done = call("inspect w.jsonl --svg w.jsonl").run().expect(2);
    assert_eq!(fs::read_to_string(done.path("w.jsonl")).unwrap(), WORKLOAD);
    let logo = "<svg xmlns=\"http://www.w3.org/2000/svg\"><title>logo</title></svg>";
    let done = call("inspect w.jsonl --svg logo.svg")
        .file("logo.svg", logo)
        .run()
        .expect(2);
    assert_eq!(fs::read_to_string(done.path("logo.svg")).unwrap(), logo);
}
