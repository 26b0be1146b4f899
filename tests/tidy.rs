//! The house rules that neither rustfmt nor clippy can hold: who may import whom, where an
//! outside crate may be named, lengths, words, openings, and documents that tell the truth.
//!
//! Plain text search, no parser. Each rule is a function from a path and a text to messages that
//! say what to do; `every_rule_can_fail` feeds each of them something that it must refuse.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

use std::{fs, path::Path};

const FILE_LINES: usize = 500;
const COLUMNS: usize = 100;

/// Each module of ours and the ones that it may name. Data at the bottom, verbs in the middle,
/// the command line on top; verbs do not import each other, and nobody imports the command line.
const LAYERS: &str = "
units       <-
text        <-
tls         <-
histogram   <- units
clock       <- units
workload    <- units histogram clock text
run         <- units histogram
compare     <- units histogram text run
report      <- units histogram text run compare
store       <- units text workload run
staging     <- units text clock tls workload run
replay      <- units histogram clock tls workload run
experiment  <- units clock workload run replay staging store compare
demo        <- units clock text
record      <- units clock text tls workload
cli         <- units histogram clock text tls workload run compare report store staging replay \
               experiment demo record
main        <-
lib         <-";

/// Each dependency, and the only places that may name it outside tests. The disk belongs to
/// the store; besides it, inputs are read where they are given, the key of pseudonyms comes
/// from the kernel, and the generator's health, the range of ports and
/// the processes of a local build from /proc. (`report/injection/` is tests.)
const OUTSIDE: &str = "
aho_corasick        <- workload/redact/names.rs
anyhow              <- cli/
askama              <- report/html
base64              <- histogram.rs workload/ report/html record/session.rs
clap                <- cli/
crc32fast           <- run/file.rs
csv                 <- report/csv.rs report/injection workload/import/table.rs
flate2              <- workload/import/input.rs workload/scan/pieces.rs record/answer.rs
hdrhistogram        <- histogram.rs
hmac                <- workload/redact/pseudonym.rs
httparse            <- replay/http1.rs demo/server.rs workload/import/message.rs
humantime           <- units.rs cli/ compare/rule.rs experiment/plan.rs
hyper               <- record/
hyper_util          <- record/
indicatif           <- cli/progress.rs
jiff                <- cli/ workload/ report/hlog.rs record/tape.rs
mio                 <- replay/
nix                 <- staging/resources
plotters            <- report/chart report/rate.rs
quick_junit         <- report/junit.rs
rand                <- replay/ demo/ workload/demo.rs workload/import/retime.rs \
                       compare/noise.rs
rand_chacha         <- replay/ demo/ workload/demo.rs workload/import/retime.rs \
                       compare/noise.rs
rand_distr          <- demo/
reqwest             <- staging/
rustix              <- clock.rs replay/stream.rs store/host_lock.rs staging/guard.rs \
                       staging/local.rs staging/resources cli/
rustls              <- tls.rs replay/stream.rs replay/connection.rs \
                       record/upstream.rs
rustls_native_certs <- tls.rs
saphyr_parser       <- workload/import/openapi/yaml.rs
serde               <- anywhere
serde_json          <- workload/ run/ report/ store/baselines.rs cli/ compare/bodies/answer.rs \
                       record/session.rs
sha2                <- workload/ report/html store/digest.rs
slab                <- replay/pool.rs
statrs              <- compare/distribution.rs
strsim              <- cli/settings.rs
thiserror           <- anywhere
tokio               <- clock.rs replay/ experiment/ staging/ demo/ record/ cli/
tokio_rustls        <- record/
toml                <- cli/
unicode_width       <- text.rs
url                 <- workload/
webpki_root_certs   <- tls.rs
x509_parser         <- staging/certificate.rs
zstd                <- workload/
std::env            <- cli/
std::fs             <- store/ workload/file.rs workload/write.rs workload/redact/pseudonym.rs \
                       workload/rules/picks.rs \
                       replay/health staging/ports.rs staging/guard.rs \
                       staging/local.rs staging/resources cli/
std::net            <- workload/target.rs staging/ replay/ demo/ record/ cli/";

/// Words that may not stand in any source, and what to write instead.
const WORDS: &str = "
todo!               <- finish it, or leave it out
dbg!                <- remove it
FIXME               <- fix it, or open an issue
TODO                <- do it, or open an issue
unbounded_channel   <- every queue has a bound: use channel(N)
thread_rng          <- every choice is seeded: use ChaCha8Rng
rand::rng()         <- every choice is seeded: use ChaCha8Rng
std::time::Instant  <- use clock::Clock
SystemTime          <- use clock::wall_ns, for labels only
process::exit       <- return an ExitCode
unwrap_unchecked    <- say with expect why it holds
#[ignore            <- a test runs, or it goes
#[should_panic      <- compare the error instead";

/// The rows of a table, as (left, right).
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = table.lines().filter_map(|line| line.split_once("<-"));
    lines.map(|(left, right)| (left.trim(), right.trim()))
}

/// Documents and the lines that a reader has patience for.
const DOCUMENTS: &[(&str, usize)] = &[
    ("README.md", 150),
    ("ARCHITECTURE.md", 150),
    ("CONTRIBUTING.md", 60),
    ("docs/method.md", 230),
];

/// Lines that are code: comments may name anything.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The part of a file that is not its test module; nothing for a file of tests.
fn without_tests<'a>(path: &str, text: &'a str) -> &'a str {
    if path.contains("/tests/") || path.ends_with("/tests.rs") {
        return "";
    }
    text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
}

/// The first names after each `crate::`, groups in braces taken apart.
fn own_names(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = Vec::new();
    for rest in code(text).split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            names.push(word(rest));
            continue;
        };
        let (mut depth, mut fresh) = (1, true);
        for (at, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 {
                break;
            }
            if depth == 1 && fresh && c.is_alphabetic() {
                names.push(word(&group[at..]));
            }
            fresh = c == ',' || (fresh && c.is_whitespace());
        }
    }
    names
}

fn directions(path: &str, text: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/");
    let module = inside.split(['/', '.']).next().unwrap_or_default();
    let Some((_, allowed)) = rows(LAYERS).find(|(name, _)| *name == module) else {
        return vec![format!(
            "{path}: `{module}` has no row in LAYERS; say what it may import"
        )];
    };
    let is_module = |name: &String| rows(LAYERS).any(|(module, _)| module == name);
    let names = own_names(text).into_iter().filter(is_module);
    let wrong =
        names.filter(|name| name != module && !allowed.split_whitespace().any(|it| it == *name));
    wrong
        .map(|name| format!("{path}: `{module}` may not import `{name}`; see ARCHITECTURE.md"))
        .collect()
}

/// Whether `name` stands in `code` as the beginning of a path.
fn is_named(code: &str, name: &str) -> bool {
    let needle = format!("{name}::");
    let group = name
        .strip_prefix("std::")
        .map(|last| format!("    {last}::"));
    let free = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
    let alone = format!("use {name};");
    code.match_indices(&needle).any(|(at, _)| free(at))
        || code.contains(&alone)
        || group.is_some_and(|group| code.contains(&group))
}

fn outside_names(path: &str, text: &str) -> Vec<String> {
    let code = code(without_tests(path, text));
    let inside = path.trim_start_matches("src/");
    let may = |place: &str| place == "anywhere" || inside.starts_with(place);
    let wrong = rows(OUTSIDE)
        .filter(|(name, places)| is_named(&code, name) && !places.split_whitespace().any(may));
    wrong
        .map(|(name, places)| {
            format!("{path}: `{name}` may be named in {places} only; go through what is there")
        })
        .collect()
}

fn lengths(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES {
        found.push(format!(
            "{path}: {lines} lines; cut it in two at {FILE_LINES}"
        ));
    }
    for (line, number) in text.lines().zip(1..) {
        if line.chars().count() > COLUMNS {
            found.push(format!(
                "{path}:{number}: longer than {COLUMNS} columns; break it"
            ));
        }
    }
    found
}

fn words(path: &str, text: &str) -> Vec<String> {
    let wrong = rows(WORDS).filter(|(word, _)| text.contains(word));
    wrong
        .map(|(word, instead)| format!("{path}: `{word}`: {instead}"))
        .collect()
}

fn opening(path: &str, text: &str) -> Vec<String> {
    if text.starts_with("//! ") {
        return Vec::new();
    }
    vec![format!(
        "{path}: open it with `//!`: its duty, and what it does not do"
    )]
}

/// Dependencies of a manifest: each has a reason beside it and a row in OUTSIDE.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        }
        let Some((name, rest)) = line.split_once(" = ") else {
            continue;
        };
        if !["dependencies", "dev-dependencies", "build-dependencies"].contains(&section) {
            continue;
        }
        if rest
            .rsplit_once('#')
            .is_none_or(|(_, reason)| reason.trim().len() < 5)
        {
            found.push(format!(
                "Cargo.toml: `{name}` needs `# its reason` behind it"
            ));
        }
        let name = name.replace('-', "_");
        if section == "dependencies" && !rows(OUTSIDE).any(|(known, _)| known == name) {
            found.push(format!(
                "Cargo.toml: `{name}` has no row in OUTSIDE; say where it belongs"
            ));
        }
    }
    found
}

fn patience(path: &str, text: &str) -> Vec<String> {
    let most = DOCUMENTS
        .iter()
        .find(|(name, _)| *name == path)
        .map_or(usize::MAX, |(_, n)| *n);
    let lines = text.lines().count();
    if lines <= most {
        return Vec::new();
    }
    vec![format!(
        "{path}: {lines} lines; nobody reads more than {most}"
    )]
}

/// Tests and files that a document names in backticks: they must be there.
fn promises(path: &str, text: &str, sources: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for word in text.split('`').skip(1).step_by(2) {
        let plain = word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_test = plain && word.matches('_').count() >= 3;
        if is_test && !sources.contains(&format!("fn {word}(")) {
            found.push(format!(
                "{path}: there is no test `{word}`; name the one that holds it"
            ));
        }
        let is_file = ["src/", "tests/", "docs/", "bench/"]
            .iter()
            .any(|it| word.starts_with(it));
        if is_file && !word.contains(['*', '{', '…', ' ']) && !exists(word) {
            found.push(format!(
                "{path}: there is no `{word}`; name the file as it is"
            ));
        }
    }
    found
}

fn sources(dir: &str, into: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path().to_str().unwrap().to_owned();
        if entry.file_type().unwrap().is_dir() {
            sources(&path, into);
        } else if Path::new(&path)
            .extension()
            .is_some_and(|extension| extension == "rs")
        {
            into.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let mut files = Vec::new();
    sources("src", &mut files);
    sources("tests", &mut files);
    sources("bench", &mut files);
    sources("fuzz/fuzz_targets", &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let mut found = dependencies(&fs::read_to_string("Cargo.toml").unwrap());
    for (path, text) in &files {
        found.extend(lengths(path, text));
        found.extend(opening(path, text));
        // This file has to name what it forbids.
        if path != "tests/tidy.rs" {
            found.extend(words(path, text));
        }
        if path.starts_with("src/") {
            found.extend(directions(path, text));
            found.extend(outside_names(path, text));
        }
    }
    let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
    for (path, _) in DOCUMENTS {
        let text = fs::read_to_string(path).unwrap();
        found.extend(patience(path, &text));
        found.extend(promises(path, &text, &all, |name| Path::new(name).exists()));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    let long = "//! x\n".repeat(FILE_LINES + 1);
    let wide = "é".repeat(COLUMNS + 1);
    let none = |_: &str| false;
    let cases: &[(&str, Vec<String>)] = &[
        (
            "`run` may not import `cli`",
            directions("src/run/file.rs", "use crate::cli::main;"),
        ),
        ("`compare` may not import `clock`", {
            let text = "use crate::{\n    run::{Side, Slot},\n    clock::Clock,\n};";
            directions("src/compare/judge.rs", text)
        }),
        (
            "`units` may not import `run`",
            directions("src/units.rs", "fn x(_: crate::run::Run) {}"),
        ),
        ("has no row in LAYERS", directions("src/helpers/mod.rs", "")),
        (
            "`hdrhistogram` may be",
            outside_names("src/run/stats.rs", "use hdrhistogram::Histogram;"),
        ),
        (
            "`tokio` may be",
            outside_names("src/compare/judge.rs", "async { tokio::spawn(x) }"),
        ),
        (
            "`std::fs` may be",
            outside_names("src/report/html.rs", "use std::{\n    fs::File,\n};"),
        ),
        (
            "`std::env` may be",
            outside_names("src/compare/mod.rs", "std::env::var(\"X\")"),
        ),
        ("cut it in two", lengths("src/a.rs", &long)),
        ("src/a.rs:1: longer than", lengths("src/a.rs", &wide)),
        ("`TODO`: do it", words("src/a.rs", "// TODO later")),
        ("`dbg!`: remove it", words("src/a.rs", "dbg!(x)")),
        ("open it with", opening("src/a.rs", "use std::io;\n")),
        (
            "`anyhow` needs",
            dependencies("[dependencies]\nanyhow = \"1\"\n"),
        ),
        (
            "`left_pad` has no row",
            dependencies("[dependencies]\nleft-pad = \"1\" # spaces\n"),
        ),
        (
            "`insta` needs",
            dependencies("[dev-dependencies]\ninsta = \"1\"\n"),
        ),
        ("nobody reads", patience("CONTRIBUTING.md", &long)),
        (
            "there is no test",
            promises("A.md", "`a_test_that_went` holds it", "", none),
        ),
        (
            "there is no `src/gone.rs`",
            promises("A.md", "see `src/gone.rs`", "", none),
        ),
    ];
    for (wanted, found) in cases {
        assert!(
            found.len() == 1 && found[0].contains(wanted),
            "{wanted}: {found:?}"
        );
    }
    for (word, _) in rows(WORDS) {
        assert_eq!(words("src/a.rs", &format!("x {word} y")).len(), 1, "{word}");
    }
}

#[test]
fn what_is_allowed_passes() {
    let text =
        "use crate::{\n    run::{Side, units},\n    units::count,\n};\nuse crate::compare::X;";
    assert_eq!(directions("src/compare/judge.rs", text), [""; 0]);
    assert_eq!(
        outside_names("src/replay/worker.rs", "use tokio::sync::mpsc;"),
        [""; 0]
    );
    assert_eq!(
        outside_names("src/report/mod.rs", "// std::fs::read\nuse crate::csv::x;"),
        [""; 0]
    );
    let guarded = "fn x() {}\n#[cfg(test)]\nmod tests {\n    fn y() { std::fs::read(p) }\n}\n";
    assert_eq!(outside_names("src/report/html.rs", guarded), [""; 0]);
    assert_eq!(own_names("crate::{a::{b, c}, d, e::F}"), ["a", "d", "e"]);
}
