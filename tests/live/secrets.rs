//! Credentials reach the side that they are for, and nothing that is written or printed.

use crate::{
    binary::{Done, Proofload},
    faultd::{Fault, Faultd},
    local::server,
    verdicts::{SHORT, compare},
};

const SECRETS: [&str; 4] = ["s3cr3t-both", "s3cr3t-old", "s3cr3t-new", "s3cr3t-file"];

/// Everything that a call left behind, but for the file that it was given.
fn assert_clean(done: &Done) {
    for (path, bytes) in done.everything() {
        if path.ends_with("auth.txt") {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        for secret in SECRETS {
            assert!(!text.contains(secret), "{secret} in {}", path.display());
        }
    }
}

fn with_header(server: &Faultd, line: &str) -> u64 {
    let seen = server.seen();
    seen.iter().filter(|one| one.head.contains(line)).count() as u64
}

#[test]
fn credentials_reach_their_side_and_no_output() {
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Status(200)));
    let done = compare(&a, &b, SHORT)
        .args(&["--request", "/x"])
        .args(&["-H", "Authorization: Bearer s3cr3t-both", "-H", "@auth.txt"])
        .args(&[
            "--baseline-header=X-Api-Key: s3cr3t-old",
            "--candidate-header",
        ])
        .args(&["X-Api-Key: s3cr3t-new", "--format", "json"])
        .file("auth.txt", "Cookie: session=s3cr3t-file\n\nX-Plain: yes\n")
        .run();
    assert!([0, 11, 12].contains(&done.code), "{}", done.stderr);
    assert_clean(&done);
    for (server, own, other) in [
        (&a, "s3cr3t-old", "s3cr3t-new"),
        (&b, "s3cr3t-new", "s3cr3t-old"),
    ] {
        assert!(server.requests() > 100);
        let both = "Authorization: Bearer s3cr3t-both\r\n";
        let file = "Cookie: session=s3cr3t-file\r\n";
        // What is asked before the load writes names in lower case; the load writes them as given.
        let load = with_header(server, both);
        assert_eq!(with_header(server, file), load);
        assert_eq!(with_header(server, "x-proofload-run: "), server.requests());
        assert_eq!(with_header(server, own), server.requests());
        assert_eq!(with_header(server, other), 0);
        // One preflight, and three samples whose answers are compared, twice each.
        assert!((1..=7).contains(&(server.requests() - load)));
    }
}

#[test]
fn credentials_of_a_run_are_in_no_output() {
    let server = Faultd::always(Fault::Status(401));
    let line = format!(
        "run --target {} --request /x --rate 100/s -d 300ms",
        server.url()
    );
    for format in ["text", "json"] {
        let done = Proofload::new(&line)
            .args(&["-o", "run.jsonl", "--format", format])
            .args(&[
                "-HAuthorization: Bearer s3cr3t-both",
                "--header=X-Key: s3cr3t-new",
            ])
            .run()
            .expect(12);
        assert!(
            done.stdout.contains("nothing was answered"),
            "{}",
            done.stdout
        );
        assert_clean(&done);
    }
    assert_eq!(
        with_header(&server, "Bearer s3cr3t-both"),
        server.requests()
    );
}

#[test]
fn a_broken_header_file_is_named_and_its_lines_are_not_shown() {
    let server = Faultd::always(Fault::Status(200));
    let line = format!(
        "run --target {} --request /x --rate 100/s -o x",
        server.url()
    );
    let done = Proofload::new(&line)
        .args(&["-H", "@auth.txt"])
        .file("auth.txt", "Authorization s3cr3t-file\n")
        .run()
        .expect(2);
    assert!(done.stderr.contains("auth.txt"), "{}", done.stderr);
    assert_clean(&done);
    assert_eq!(server.requests(), 0);
}

#[test]
fn secrets_in_commands_reach_no_output() {
    let with = |secret: &str| {
        let server = server();
        format!("DB_PASSWORD={secret} DB=postgres://shop:{secret}@db/shop {server}")
    };
    let [old, new, both] = ["s3cr3t-old", "s3cr3t-new", "s3cr3t-both"].map(with);
    let compared = Proofload::new(&format!("compare --out-dir out {SHORT}"))
        .args(&["--request", "/x", "--format", "json"])
        .args(&["--baseline-cmd", &old, "--candidate-cmd", &new])
        .run();
    let codes = [0, 10, 11, 12];
    assert!(codes.contains(&compared.code), "{}", compared.stderr);
    let run = Proofload::new("run -o run.jsonl --request /x --rate 50/s -d 400ms")
        .args(&["--target-cmd", &both])
        .run()
        .measured();
    for (done, flags, log) in [
        (
            &compared,
            "--baseline-cmd and --candidate-cmd hold",
            "out/baseline.log",
        ),
        (&run, "--target-cmd holds", "run.jsonl.log"),
    ] {
        let log = std::fs::read_to_string(done.path(log)).unwrap();
        assert!(log.starts_with("# proofload started: DB_PASSWORD=*** DB=postgres://***@db/shop "));
        assert_eq!(done.stderr.matches("looks like a secret").count(), 1);
        assert!(done.stderr.contains(flags), "{}", done.stderr);
        assert_clean(done);
    }
    let page = std::fs::read_to_string(compared.path("out/report.html")).unwrap();
    assert!(page.contains("DB_PASSWORD=***"));
}

#[test]
fn the_command_names_the_settings_and_the_variables_that_it_was_under() {
    let [a, b] = [(); 2].map(|()| Faultd::always(Fault::Status(200)));
    let done = compare(&a, &b, "-d 10500ms --slot 500ms --request /x")
        .file("proofload.toml", "[load]\nseed = 5\n")
        .env("PROOFLOAD_RATE", "160/s")
        .env("PROOFLOAD_AUTH_CMD", "echo 'X-Key: s3cr3t-both'")
        .env("PROOFLOAD_UNRELATED", "s3cr3t-new")
        .run();
    let report = std::fs::read(done.path("out/report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let command = report["subject"]["command"].as_str().unwrap();
    let (variables, rest) = command.split_once("proofload compare ").unwrap();
    assert!(variables.contains("PROOFLOAD_RATE=160/s "), "{command}");
    assert!(variables.contains("PROOFLOAD_AUTH_CMD='…' "), "{command}");
    assert!(!command.contains("UNRELATED"), "{command}");
    assert!(rest.contains("--seed 5 --config "), "{command}");
    assert!(rest.ends_with("/proofload.toml"), "{command}");
    assert_clean(&done);
}
