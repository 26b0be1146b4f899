//! Candidates that look faster because they fail, against the real binary: whatever they still
//! answer takes half the time. None passes, and in nothing that is left behind is anything called
//! faster. `tests/traps.rs` has fifty of them without a network.

use crate::{
    binary::honestly,
    engine::quiet,
    faultd::{Fault, MS, Setup, Then},
    verdicts::compare,
};

/// One warm-up and ten rounds of half a second, with enough requests to judge two endpoints.
const LOAD: &str = "-d 10500ms --slot 500ms --rate 240/s --seed 5";
const USUAL: Fault = Fault::Delay(100 * MS);
const QUICK: Fault = Fault::Delay(50 * MS);

fn bytes(text: &str, then: Then) -> Fault {
    Fault::Bytes(text.as_bytes().to_vec(), then)
}

/// This share of requests fails at once, the rest is quick.
fn some(share: f64, fault: Fault) -> Fault {
    Fault::Either(share, Box::new(fault), Box::new(QUICK))
}

/// Compares a healthy server with one that does this at `/x`, and fine at `/fine`.
fn spring(name: &str, fault: &Fault, (rest, codes): (&str, &[i32])) {
    let server = |fault: Fault| {
        let setup = Setup::default().route("/fine", USUAL).route("/x", fault);
        setup.start()
    };
    let done = honestly(|| {
        let (a, b) = (server(USUAL), server(fault.clone()));
        compare(&a, &b, &format!("{LOAD} --request /x {rest}")).run()
    });
    let said = format!("{name}: {}\n{}\n{}", done.code, done.stdout, done.stderr);
    assert!(codes.contains(&done.code), "{said}");
    for (path, bytes) in done.everything() {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        for word in ["faster", "improved"] {
            assert!(!text.contains(word), "{name}: {}: {word}", path.display());
        }
    }
}

#[test]
fn no_server_that_fails_fast_passes_or_is_called_faster() {
    let _quiet = quiet();
    let short = bytes(
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        Then::Close,
    );
    let unavailable = bytes(
        "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
        Then::Keep,
    );
    let regressed: (&str, &[i32]) = ("", &[10]);
    let traps = [
        ("errors at once", some(0.1, Fault::Status(500)), regressed),
        (
            "not found at once",
            some(0.1, Fault::Status(404)),
            regressed,
        ),
        ("nothing but errors", Fault::Status(503), ("", &[10, 12])),
        ("resets", some(0.1, bytes("", Then::Reset)), regressed),
        (
            "closed doors",
            some(0.1, bytes("", Then::Close)),
            ("", &[10, 11]),
        ),
        ("bodies cut off", some(0.1, short), regressed),
        (
            "no HTTP",
            some(0.1, bytes("SSH-2.0-x\r\n\r\n", Then::Close)),
            regressed,
        ),
        (
            "silence",
            some(0.1, Fault::Silence),
            ("--timeout 1s", &[10]),
        ),
        ("a limiter", some(0.1, Fault::Status(429)), ("", &[12])),
        (
            "a limiter of another kind",
            some(0.1, unavailable),
            ("", &[12]),
        ),
        (
            "one endpoint of two",
            some(0.3, Fault::Status(500)),
            ("--request /fine", &[10]),
        ),
        (
            "a cap that one side hits",
            some(0.1, Fault::Silence),
            ("--max-in-flight 60", &[10, 11, 12]),
        ),
    ];
    for (name, fault, expected) in traps {
        spring(name, &fault, expected);
    }
}
