//! Credentials reach the side that they are for, and nothing that is written or printed.

use crate::{
    binary::{Done, Proofload},
    faultd::{Fault, Faultd},
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
        let load = with_header(server, "x-proofload-run: ");
        assert_eq!(with_header(server, both), load);
        assert_eq!(with_header(server, file), load);
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
