//! The published schemas describe each key that is written, and every file of each verdict is
//! one of theirs. The check here knows the few words of JSON Schema that they use; the readers
//! hold a whole implementation against it.

use serde_json::Value;

use crate::kit::{Home, Outcome};

/// The files that have a schema.
pub(crate) const DESCRIBED: [&str; 5] = ["report", "run-report", "verdict", "workload", "run"];

pub(crate) fn schema(home: &Home, name: &str) -> Value {
    let done = home.call(&format!("schema {name}"), &[]).expect(0);
    serde_json::from_str(&done.stdout).unwrap()
}

/// What is wrong with a value, each with its place.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let schema = resolved(root, schema);
    let mut found = Vec::new();
    if let Some(allowed) = schema.get("oneOf").and_then(Value::as_array) {
        let fits = allowed.iter().map(|it| faults(root, it, value, at));
        let fits: Vec<_> = fits.filter(Vec::is_empty).collect();
        if fits.len() != 1 {
            found.push(format!("{at}: fits {} of the forms", fits.len()));
        }
    }
    if schema.get("const").is_some_and(|it| it != value) {
        found.push(format!("{at}: {value} is not what it must be"));
    }
    let known = schema.get("enum").and_then(Value::as_array);
    if known.is_some_and(|it| !it.contains(value)) {
        found.push(format!("{at}: {value} is none of those"));
    }
    if let Some(types) = schema.get("type") {
        let is_in = match types {
            Value::Array(all) => all.iter().any(|it| is_of(value, it)),
            one => is_of(value, one),
        };
        if !is_in {
            found.push(format!("{at}: {value} is no {types}"));
        }
    }
    let least = schema.get("minimum").and_then(Value::as_f64);
    if let (Some(least), Some(number)) = (least, value.as_f64())
        && number < least
    {
        found.push(format!("{at}: {number} is less than {least}"));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array())
        && items.is_object()
    {
        let each = (0..).zip(values);
        found.extend(each.flat_map(|(n, it)| faults(root, items, it, &format!("{at}[{n}]"))));
    }
    if let Some(object) = value.as_object() {
        found.extend(object_faults(root, schema, object, at));
    }
    found
}

fn object_faults(
    root: &Value,
    schema: &Value,
    object: &serde_json::Map<String, Value>,
    at: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    let required = schema.get("required").and_then(Value::as_array);
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(key) {
            found.push(format!("{at}: {key} is not there"));
        }
    }
    let described = schema.get("properties").and_then(Value::as_object);
    let others = schema
        .get("additionalProperties")
        .filter(|it| it.is_object());
    for (key, value) in object {
        let own = described.and_then(|it| it.get(key)).or(others);
        match own {
            Some(own) => found.extend(faults(root, own, value, &format!("{at}.{key}"))),
            // What has no properties at all is left open: plan and configuration.
            None if described.is_some() => found.push(format!("{at}.{key} is not described")),
            None => {}
        }
    }
    found
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(name) = schema.get("$ref").and_then(Value::as_str) else {
        return schema;
    };
    let place = name.strip_prefix('#').unwrap();
    root.pointer(place).unwrap_or_else(|| panic!("{name}"))
}

fn is_of(value: &Value, kind: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    }
}

fn assert_fits(schema: &Value, value: &Value, what: &str) {
    let found = faults(schema, schema, value, "");
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

/// The body of a snapshot: what the program wrote of the report that has everything in it.
fn snapshot(name: &str) -> Value {
    let path = format!("src/report/snapshots/proofload__report__{name}.snap");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, body) = text[4..].split_once("\n---\n").unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn every_key_that_is_written_is_described() {
    let home = Home::new(Outcome::Pass);
    for (name, snapshots) in [
        ("report", "tests__report.json"),
        ("run-report", "run__tests__run_json"),
        (
            "verdict",
            "verdict__tests__it_looks_as_agreed_and_is_read_back",
        ),
    ] {
        let mut value = snapshot(snapshots);
        if name == "verdict" {
            value["files"] = serde_json::json!({});
        }
        assert_fits(&schema(&home, name), &value, name);
    }
    let workload = schema(&home, "workload");
    for line in std::fs::read_to_string("workloads/demo.jsonl")
        .unwrap()
        .lines()
    {
        assert_fits(&workload, &serde_json::from_str(line).unwrap(), line);
    }
}

#[test]
fn the_files_of_every_verdict_fit() {
    for outcome in Outcome::ALL {
        let home = Home::new(outcome);
        let more = "--format json --commit 4f1c2e9";
        let done = home.compare(more, &[]).expect(outcome.code());
        let printed: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(printed, home.json("out/report.json"));
        assert_fits(&schema(&home, "report"), &printed, outcome.name());
        let verdict = home.json("out/verdict.json");
        assert_fits(&schema(&home, "verdict"), &verdict, outcome.name());
        let run = schema(&home, "run");
        for line in home.read("out/run.jsonl").lines() {
            assert_fits(&run, &serde_json::from_str(line).unwrap(), outcome.name());
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let home = Home::new(Outcome::Pass);
    home.compare("", &[]).expect(0);
    let schema = schema(&home, "verdict");
    let good = home.json("out/verdict.json");
    assert_fits(&schema, &good, "good");
    let changes: [(&str, Value, &str); 5] = [
        ("verdict", "fine".into(), "none of those"),
        ("exit_code", "0".into(), "is no"),
        ("exit_code", (-1).into(), "less than"),
        ("schema", "proofload.verdict.v2".into(), "must be"),
        ("extra", 1.into(), "not described"),
    ];
    for (key, value, said) in changes {
        let mut bad = good.clone();
        bad[key] = value;
        let found = faults(&schema, &schema, &bad, "");
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    }
    let mut bad = good.clone();
    bad["candidate"].as_object_mut().unwrap().remove("label");
    assert_eq!(
        faults(&schema, &schema, &bad, ""),
        [".candidate: label is not there"]
    );
}

#[test]
fn each_schema_names_itself() {
    let home = Home::new(Outcome::Pass);
    for name in DESCRIBED {
        let schema = schema(&home, name);
        let id = schema["$id"].as_str().unwrap();
        assert!(id.starts_with("urn:proofload:"), "{id}");
        let dialect = schema["$schema"].as_str().unwrap();
        assert!(dialect.ends_with("draft/2020-12/schema"), "{dialect}");
    }
    home.call("schema pdf", &[]).expect(2);
}
