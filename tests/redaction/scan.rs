//! `proofload scan` by the real binary: what it prints, its exit codes, and no false alarms.

use std::path::Path;

use proofload::{
    units::count,
    workload::{
        redact::Rules,
        scan::{Finding, scan as scan_text},
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

/// Words of the documents and names of the sources, as often as they come.
fn words_of(folder: &Path, ending: &str, into: &mut Vec<String>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    for path in entries.iter().map(std::fs::DirEntry::path) {
        if path.is_dir() {
            words_of(&path, ending, into);
        } else if path.extension().is_some_and(|it| it == ending) {
            let text = std::fs::read_to_string(&path).unwrap();
            into.extend(text.split_whitespace().map(str::to_owned));
        }
    }
}

/// Of names in sources.
const NAMES: [&str; 8] = [
    "Customer",
    "Order",
    "Price",
    "Warehouse",
    "Delivery",
    "Category",
    "Review",
    "Invoice",
];

/// What machines write that is no secret, a thousand of each kind.
#[expect(clippy::too_many_lines, reason = "a table")]
fn written_by_machines(random: &mut ChaCha8Rng) -> Vec<(&'static str, Vec<String>)> {
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/";
    let mut each = |make: &dyn Fn(u64, u64) -> String| -> Vec<String> {
        let mut make = |_| {
            make(
                random.random_range(0..u64::MAX),
                random.random_range(0..100),
            )
        };
        (0..1000).map(&mut make).collect()
    };
    vec![
        ("numbers", each(&|a, b| format!("{}.{b:02}", a % 1_000_000))),
        (
            "stamps in milliseconds",
            each(&|a, _| (1_795_573_200_000 + a % 9_999_999).to_string()),
        ),
        (
            "instants",
            each(&|a, b| {
                format!(
                    "2026-11-{:02}T{:02}:{:02}:00.{b:03}Z",
                    a % 30 + 1,
                    b % 24,
                    b % 60
                )
            }),
        ),
        (
            "versions",
            each(&|a, b| format!("v{}.{b}.{}-rc.{}", a % 20, a % 99, b % 7)),
        ),
        (
            "paths",
            each(&|a, b| format!("/api/v{}/products/{}/reviews", b % 3, a % 99_999)),
        ),
        (
            "queries",
            each(&|a, b| format!("/search?q=green+tea&page={b}&sort=price&from={}", a % 1000)),
        ),
        (
            "slugs",
            each(&|a, b| format!("how-to-brew-tea-{b}-in-{}-minutes", a % 1000)),
        ),
        (
            "file names",
            each(&|a, _| format!("/static/app.{:08x}.js", a % 0xffff_ffff)),
        ),
        (
            "short hashes",
            each(&|a, _| format!("{:07x}", a % 0xfff_ffff)),
        ),
        (
            "identifiers",
            each(&|a, b| {
                let word = |at: u64| NAMES[usize::try_from(a / at % 8).unwrap()];
                format!("find{}By{}And{}{b}", word(1), word(8), word(64))
            }),
        ),
        (
            "product codes",
            each(&|a, b| format!("SKU-{}-{b:02}-XL", a % 99_999)),
        ),
        (
            "user agents",
            each(&|_, b| format!("{agent}{}.0.{b}.0", 100 + b)),
        ),
        (
            "addresses",
            each(&|a, b| format!("10.{b}.{}.{}", a % 256, a / 256 % 256)),
        ),
        (
            "media types",
            each(&|_, b| format!("application/vnd.shop.order-v{b}+json;q=0.{}", b % 10)),
        ),
    ]
}

/// How many findings there are in ten thousand tokens, eight on a line.
fn alarms(tokens: &[String], shown: &mut Vec<String>) -> f64 {
    let lines: Vec<String> = tokens.chunks(8).map(|line| line.join(" ")).collect();
    let text = lines.join("\n");
    let mut each = |finding: &Finding| {
        let line = usize::try_from(finding.line).unwrap() - 1;
        shown.push(format!(
            "{:?} {:?} in {}",
            finding.kind, finding.excerpt, lines[line]
        ));
    };
    let scanned = scan_text(text.as_bytes(), &Rules::default(), &mut each).unwrap();
    10_000.0 * count(scanned.total()) / count(tokens.len() as u64)
}

#[test]
fn false_alarms_are_rare_in_what_people_and_machines_write() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut random = ChaCha8Rng::seed_from_u64(14);
    let mut kinds = written_by_machines(&mut random);
    for (kind, folder, ending) in [
        ("documents", "docs", "md"),
        ("sources", "src/compare", "rs"),
    ] {
        let mut words = Vec::new();
        words_of(&root.join(folder), ending, &mut words);
        assert!(words.len() > 10_000, "{kind}: {}", words.len());
        kinds.push((kind, words));
    }
    let mut all = Vec::new();
    let mut shown = Vec::new();
    for (kind, tokens) in kinds {
        println!("{kind}: {:.1} of 10,000", alarms(&tokens, &mut shown));
        all.extend(tokens);
    }
    let rate = alarms(&all, &mut Vec::new());
    println!("all {} tokens: {rate:.2} of 10,000", all.len());
    assert!(rate <= 2.0, "{rate} of 10,000: {shown:?}");
}
