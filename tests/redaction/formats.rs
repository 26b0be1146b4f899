//! No secret comes through any import: the recording of HAR's test again, as every other format
//! that can hold it would have written it.

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::{
    planted::{POSITIONS, Search, Secret, plant},
    proofload,
};

/// In each format.
const SECRETS: usize = 500;

/// An entry of the recording, taken apart.
struct Planted {
    secret: Secret,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Planted {
    fn new(position: usize, secret: Secret) -> Self {
        let entry = plant(position, &secret);
        let request = &entry["request"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let headers = request["headers"].as_array().into_iter().flatten();
        let mut headers: Vec<(String, String)> = headers
            .map(|it| (text(&it["name"]), text(&it["value"])))
            .collect();
        let post = &request["postData"];
        let mut body = text(&post["text"]).into_bytes();
        if post["encoding"] == "base64" {
            body = STANDARD.decode(body).unwrap();
        }
        if !body.is_empty() {
            headers.push(("Content-Type".to_owned(), text(&post["mimeType"])));
        }
        Self {
            method: text(&request["method"]),
            url: text(&request["url"]),
            secret,
            headers,
            body,
        }
    }

    fn path(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        &rest[rest.find('/').unwrap_or(rest.len())..]
    }

    fn is_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

/// The secrets of one format, and a search for all of them.
fn planted(seed: u64) -> (Vec<Planted>, Search) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut search = Search::new();
    let mut all = Vec::new();
    for number in 0..SECRETS {
        let secret = Secret::draw(&mut random);
        let position = number % POSITIONS;
        search.add(position, &secret.chosen);
        search.add(position, &secret.token);
        all.push(Planted::new(position, secret));
    }
    (all, search)
}

fn gor(all: &[Planted]) -> Vec<u8> {
    let mut text = Vec::new();
    for (it, number) in all.iter().zip(0_u64..) {
        let time = 1_795_573_200_000_000_000 + number;
        // A URL with a name before its host as a proxy gets it, else a path.
        let target = if it.url.contains('@') {
            &it.url
        } else {
            it.path()
        };
        let mut head = format!(
            "1 {} {time} 0\n{} {target} HTTP/1.1\r\n",
            it.secret.token, it.method
        );
        head += "Host: a.example\r\n";
        for (name, value) in &it.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n", it.body.len()).unwrap();
        text.extend_from_slice(head.as_bytes());
        text.extend_from_slice(&it.body);
        text.extend_from_slice("\n🐵🙈🙉\n".as_bytes());
    }
    text
}

fn vegeta(all: &[Planted]) -> String {
    let targets = all.iter().map(|it| {
        let mut fields = Map::new();
        for (name, value) in &it.headers {
            fields.insert(name.clone(), json!([value]));
        }
        let body = STANDARD.encode(&it.body);
        let target = json!({"method": it.method, "url": it.url, "header": fields, "body": body});
        format!("{target}\n")
    });
    targets.collect()
}

fn csv(all: &[Planted]) -> Vec<u8> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flat_map(|it| &it.headers) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut rows = csv::Writer::from_writer(Vec::new());
    let first = [
        "method",
        "url",
        "session",
        "client",
        "user",
        "remark",
        "body_base64",
    ];
    let columns = names.iter().map(|name| format!("header:{name}"));
    rows.write_record(first.iter().map(ToString::to_string).chain(columns))
        .unwrap();
    for it in all {
        let secret = &it.secret;
        let body = STANDARD.encode(&it.body);
        let first = [
            &it.method,
            &it.url,
            &secret.chosen,
            &secret.token,
            &secret.chosen,
            &secret.token,
            &body,
        ];
        let fields = names.iter().map(|name| {
            let field = it.headers.iter().find(|(own, _)| own == name);
            field.map_or("", |(_, value)| value.as_str())
        });
        rows.write_record(first.into_iter().map(String::as_str).chain(fields))
            .unwrap();
    }
    rows.into_inner().unwrap()
}

/// Half of them as JSON lines with all that a log can hold, half in nginx's usual format.
fn logs(all: &[Planted]) -> [String; 2] {
    let (mut lines, mut combined) = (String::new(), String::new());
    for (it, number) in all.iter().zip(0..) {
        let (secret, s) = (&it.secret, number % 60);
        if number % 2 == 0 {
            let fields = it.headers.iter();
            let fields: Map<String, Value> = fields
                .map(|(name, value)| (name.clone(), json!(value)))
                .collect();
            let line = json!({
                "ts": 1_795_573_200.25 + f64::from(number), "method": it.method, "path": it.url,
                "headers": fields, "body": it.is_text(), "user": secret.chosen,
                "session": secret.token, "other": secret.chosen,
            });
            writeln!(lines, "{line}").unwrap();
        } else {
            // The name of a program hides only what shows itself.
            let shown = ["X-Anything", "X-Context", "X-Json", "X-Correlation"];
            let mut fields = it.headers.iter();
            let field = fields.find(|(name, _)| shown.contains(&name.as_str()));
            let field = field.map_or("-", |(_, value)| value.as_str());
            let field = field.replace('"', "\\x22");
            writeln!(
                combined,
                "192.0.2.1 - {} [25/Nov/2026:02:20:{s:02} +0000] \"GET {} HTTP/1.1\" 200 5 \
                 \"https://a.example/p?token={}\" \"{field}\"",
                secret.chosen,
                it.path().replace('"', "\\x22"),
                secret.chosen,
            )
            .unwrap();
        }
    }
    [lines, combined]
}

fn openapi(all: &[Planted]) -> String {
    let mut paths = Map::new();
    for (it, number) in all.iter().zip(0..) {
        let (path, query) = it.path().split_once('?').unwrap_or((it.path(), ""));
        let mut parameters = vec![json!({
            "name": "token", "in": "query", "required": true, "example": it.secret.chosen,
            "schema": {"type": "string", "default": it.secret.token},
        })];
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let schema = json!({"type": "string", "enum": [value]});
            parameters
                .push(json!({"name": name, "in": "query", "required": true, "schema": schema}));
        }
        for (name, value) in &it.headers {
            parameters
                .push(json!({"name": name, "in": "header", "required": true, "example": value}));
        }
        let mut operation = json!({
            "operationId": it.secret.token, "summary": it.secret.chosen, "parameters": parameters,
            "responses": {"200": {"description": it.secret.chosen}},
        });
        if let (Some(text), Some((_, kind))) = (it.is_text(), it.headers.last())
            && !text.is_empty()
        {
            let example = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
            let media = json!({"example": example});
            operation["requestBody"] = json!({"content": {kind.as_str(): media}});
        }
        paths.insert(format!("/n{number}{path}"), json!({"post": operation}));
    }
    let servers = json!([{"url": "https://a.example/v1"}]);
    json!({"openapi": "3.0.3", "servers": servers, "paths": paths}).to_string()
}

#[test]
fn no_planted_secret_comes_through_any_other_import() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let map = "time=ts,method=method,path=path,headers=headers,body=body,user=user,session=session";
    for (seed, name) in [
        (21, "gor"),
        (22, "vegeta"),
        (23, "csv"),
        (24, "log"),
        (25, "openapi"),
    ] {
        let (all, search) = planted(seed);
        let inputs: Vec<(Vec<u8>, Vec<&str>)> = match name {
            "gor" => vec![(gor(&all), vec![])],
            "vegeta" => vec![(vegeta(&all).into_bytes(), vec![])],
            "csv" => vec![(csv(&all), vec![])],
            "openapi" => vec![(openapi(&all).into_bytes(), vec![])],
            _ => {
                let [lines, combined] = logs(&all);
                vec![
                    (
                        lines.into_bytes(),
                        vec!["--json-map", map, "--method", "all"],
                    ),
                    (combined.into_bytes(), vec!["--method", "all"]),
                ]
            }
        };
        for (input, flags) in inputs {
            assert!(search.found(&input).len() > SECRETS / 2, "{name}");
            std::fs::write(dir.join("input"), &input).unwrap();
            let import = ["import", name, "input", "-o", "w.jsonl", "--lenient"];
            let said = proofload(dir, &[&import[..], &flags].concat());
            assert_eq!(
                said.code,
                Some(0),
                "{name}: {} {}",
                said.text(),
                said.errors()
            );
            let written = std::fs::read(dir.join("w.jsonl")).unwrap();
            let kept = written.split(|it| *it == b'\n').count();
            println!(
                "{name}: {kept} lines are left; {}",
                said.text().lines().next().unwrap()
            );
            assert!(kept > SECRETS / 4, "{name}: {}", said.text());
            for output in [&said.stdout, &said.stderr, &written] {
                let leaks = search.found(output);
                assert!(leaks.is_empty(), "{name}: positions {leaks:?}");
            }
            let scanned = proofload(dir, &["scan", "w.jsonl"]);
            assert_eq!(scanned.code, Some(0), "{name}: {}", scanned.text());
            assert!(search.found(&scanned.stdout).is_empty(), "{name}");
        }
    }
}
