//! What was measured without redaction is shown by no command: the labels of a stored run or report
//! are looked at before anything is made of them.

use proofload::run::{footer_line, header_line, slot_line};

use crate::{
    binary::{Done, Proofload},
    faultd::{Fault, Faultd},
    runs::{run, stored},
};

const TOKEN: &str = "Ab3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z";
/// A report as it was agreed on, behind the head of a snapshot.
const REPORT: &str =
    include_str!("../../src/report/snapshots/proofload__report__tests__report.json.snap");

/// A stored run of another version, which did not look at labels.
fn leaking_run() -> Done {
    let server = Faultd::always(Fault::Status(200));
    let done = run(&server, "--request /x --rate 100/s -d 300ms")
        .run()
        .measured();
    let mut run = stored(&done);
    let mut text = header_line(&run.header);
    for slot in &mut run.slots {
        let stats = slot.endpoints.remove("GET /x").unwrap();
        slot.endpoints.insert(format!("GET /reset/{TOKEN}"), stats);
        text += &slot_line(slot);
    }
    text += &footer_line(run.footer.as_ref().unwrap());
    std::fs::write(done.path("leak.jsonl"), text).unwrap();
    done
}

#[test]
fn a_stored_result_with_a_secret_in_its_labels_is_refused() {
    let mut done = leaking_run();
    let report = REPORT.splitn(3, "---\n").nth(2).unwrap();
    let name = report.split("\"endpoint\": \"").nth(1).unwrap();
    let name = name.split('"').next().unwrap();
    let leaking = report.replace(name, &format!("GET /reset/{TOKEN}"));
    assert_ne!(leaking, report);
    std::fs::write(done.path("report.json"), leaking).unwrap();
    std::fs::write(done.path("clean.json"), report).unwrap();
    for line in [
        "report leak.jsonl",
        "report leak.jsonl --format json",
        "report leak.jsonl --format hlog",
        "report report.json --format html -o page.html",
        "report clean.json report.json --format html -o page.html",
        "compare --baseline leak.jsonl --candidate run.jsonl --out-dir out",
        "compare --baseline run.jsonl --candidate leak.jsonl --out-dir out",
    ] {
        let stored = std::fs::read(done.path("run.jsonl")).unwrap();
        done = Proofload::new(line).within(done).run().expect(3);
        for said in [&done.stdout, &done.stderr] {
            assert!(!said.contains(TOKEN), "{line}: {said}");
        }
        assert!(done.stderr.contains("is not redacted"), "{}", done.stderr);
        assert!(!done.path("page.html").exists() && !done.path("out").exists());
        assert_eq!(std::fs::read(done.path("run.jsonl")).unwrap(), stored);
    }
    for line in ["report clean.json", "report run.jsonl --format hlog"] {
        done = Proofload::new(line).within(done).run().expect(0);
    }
}
