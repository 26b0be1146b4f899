//! `proofload report` from end to end: the same bytes again, a judgement from the run file alone,
//! and one page over several comparisons.

use crate::{
    binary::{Done, Proofload, honestly},
    engine::quiet,
    faultd::{Fault, Faultd, MS},
    verdicts::{SHORT, compare},
};

const USUAL: Fault = Fault::Delay(100 * MS);

fn read(done: &Done, name: &str) -> String {
    std::fs::read_to_string(done.path(name)).unwrap()
}

fn report(before: Done, line: &str) -> Done {
    Proofload::new(&format!("report {line}"))
        .within(before)
        .run()
}

#[test]
fn what_is_rendered_again_is_what_the_run_wrote() {
    let _quiet = quiet();
    let (a, b) = (Faultd::always(USUAL), Faultd::always(USUAL));
    let rest = format!("{SHORT} --request /x --tolerance p50=80% --tolerance errors=5pp");
    let mut done = honestly(|| compare(&a, &b, &rest).run());
    assert!([0, 11].contains(&done.code), "{}", done.stderr);
    for (format, name) in [
        ("html", "report.html"),
        ("json", "report.json"),
        ("markdown", "summary.md"),
        ("junit", "junit.xml"),
        ("csv", "changes.csv"),
    ] {
        let wanted = read(&done, &format!("out/{name}"));
        done = report(done, &format!("out --format {format}")).expect(0);
        assert_eq!(done.stdout, wanted, "{format}");
        done = report(done, &format!("out --format {format} -o again")).expect(0);
        assert_eq!(read(&done, "again"), wanted, "{format}");
        std::fs::remove_file(done.path("again")).unwrap();
    }
    let verdict = |text: &str| text.split(':').next().unwrap().to_owned();
    done = report(done, "out").expect(0);
    let first = verdict(&done.stdout);
    // Judged again from the slots: the same answer, and the report says where it comes from.
    done = report(done, "out/run.jsonl").expect(0);
    assert_eq!(verdict(&done.stdout), first);
    assert!(done.stdout.contains("judged again from out/run.jsonl"));
    std::fs::rename(done.path("out"), done.path("one")).unwrap();
    std::fs::create_dir(done.path("two")).unwrap();
    std::fs::copy(done.path("one/run.jsonl"), done.path("two/run.jsonl")).unwrap();
    std::fs::write(done.path("README.md"), "of no interest").unwrap();
    done = report(done, "one two README.md --format html -o index.html").expect(0);
    assert!(
        done.stderr.contains("left out: README.md"),
        "{}",
        done.stderr
    );
    let page = read(&done, "index.html");
    assert!(page.contains("href=\"one/report.html\"") && page.contains("2 comparisons"));
    assert!(!page.contains("href=\"two/"), "two has no page of its own");
    for (line, said) in [
        ("README.md", "holds no report"),
        ("nowhere", "cannot read"),
        ("one two --format csv", "one comparison"),
        ("one -o README.md", "no report of proofload's"),
        ("one -o one", "is a directory"),
    ] {
        done = report(done, line).expect(2);
        assert!(done.stderr.contains(said), "{line}: {}", done.stderr);
    }
    assert_eq!(read(&done, "README.md"), "of no interest");
}

#[test]
fn a_report_never_follows_a_link() {
    let _quiet = quiet();
    let a = Faultd::always(Fault::Status(200));
    let line = format!(
        "run --target {} -o a.run.jsonl -d 1s --rate 20/s --request /x",
        a.url()
    );
    let done = Proofload::new(&line).run();
    std::fs::write(done.path("victim"), "precious").unwrap();
    std::os::unix::fs::symlink(done.path("victim"), done.path("out.txt")).unwrap();
    let done = report(done, "a.run.jsonl -o out.txt").expect(2);
    // Forced, the link itself is replaced.
    let done = report(done, "a.run.jsonl -o out.txt --force").expect(0);
    assert_eq!(read(&done, "victim"), "precious");
    assert!(read(&done, "out.txt").starts_with("target http://"));
    let done = report(done, "a.run.jsonl --format html").expect(2);
    assert!(
        done.stderr.contains("--format text or json"),
        "{}",
        done.stderr
    );
    let done = report(done, "a.run.jsonl --format json").expect(0);
    let found: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(found["schema"], "proofload.run_report.v1");
    assert_eq!(found["scheduled"], 20);
}
