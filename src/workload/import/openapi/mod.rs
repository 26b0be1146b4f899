//! Importing the description of an interface: one request for each operation, for those who have
//! no traffic yet. OpenAPI 3.0 and 3.1 and Swagger 2, in JSON or YAML.
//!
//! Values come from examples and defaults, or are made from the schemas. Such a workload touches
//! everything once; it tells nothing of how often real clients ask for what.

mod body;
mod example;
mod parameter;
mod yaml;

use std::io::Read;

use serde_json::Value;

use super::{
    ImportError, ImportOptions, Imported, Unit,
    gather::{
        Found, Gather,
        Rejected::{self, Malformed, Policy},
    },
    input::{self, Budget, read_error},
    message::method,
    uri,
};
use crate::workload::{Header, Recorded, Request, rules::Offers};
use example::Document;
use parameter::Parameters;

/// The largest description, in bytes.
const LARGEST: u64 = 32 << 20;

const UNIT: Unit = Unit {
    one: "operation",
    many: "operations",
    first: 1,
};

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// What stands in another file, or in a circle.
const ELSEWHERE: Rejected = Policy("it refers to another file or to itself; bundle it into one");

/// Reads a description and makes a clean workload of one request for each operation; `.gz` and
/// `.zst` are recognised.
///
/// # Errors
/// When the file is no description, or nothing in it can be sent.
pub fn import_openapi(file: impl Read, options: &ImportOptions) -> Result<Imported, ImportError> {
    let reader = input::open(file, &Budget::new(options.max_input))?;
    let mut text = Vec::new();
    let mut most = reader.take(LARGEST + 1);
    most.read_to_end(&mut text).map_err(read_error)?;
    if text.len() as u64 > LARGEST {
        let what = "the file is larger than 32 MiB, which no description is";
        return Err(ImportError::Format(what.to_owned()));
    }
    let text = String::from_utf8(text)
        .map_err(|_| ImportError::Format("the file is no text in UTF-8".to_owned()))?;
    let document = Document(parse(&text)?);
    let version = |key: &str| document.0[key].as_str().unwrap_or_default().to_owned();
    let is_swagger = version("swagger").starts_with("2.");
    if !is_swagger && !version("openapi").starts_with("3.") {
        let what = "the file is neither OpenAPI 3 nor Swagger 2: `openapi: 3…` or `swagger: 2…` \
                    is missing at its top";
        return Err(ImportError::Format(what.to_owned()));
    }
    let mut gather = Gather::new(UNIT);
    if let Some(paths) = document.0["paths"].as_object() {
        for (template, item) in paths.iter().filter(|(name, _)| !name.starts_with("x-")) {
            operations(&document, is_swagger, (template, item), &mut gather);
        }
    }
    let note = "one request for each operation; real traffic has another mix";
    gather.summary.notes.push(note.to_owned());
    gather.finish("openapi", options)
}

fn parse(text: &str) -> Result<Value, ImportError> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            if error.is_eof() {
                ImportError::CutOff { line, column }
            } else {
                ImportError::Json { line, column }
            }
        });
    }
    yaml::parse(text)
        .map_err(|why| ImportError::Format(format!("the file cannot be read as YAML: {why}")))
}

/// All operations of one path.
fn operations(
    document: &Document,
    is_swagger: bool,
    (template, item): (&String, &Value),
    gather: &mut Gather,
) {
    let Some(item) = document.resolve(item).filter(|item| item.is_object()) else {
        let position = gather.next_entry();
        gather.take(position, Err(ELSEWHERE));
        return;
    };
    for name in METHODS {
        let Some(operation) = item.get(name) else {
            continue;
        };
        let position = gather.next_entry();
        let found = Operation {
            document,
            is_swagger,
            template,
            item,
            body: operation,
            method: name,
        }
        .found(position);
        gather.take(position, found);
    }
}

struct Operation<'a> {
    document: &'a Document,
    is_swagger: bool,
    template: &'a str,
    item: &'a Value,
    body: &'a Value,
    method: &'static str,
}

impl Operation<'_> {
    fn found(&self, position: u64) -> Result<Found, Rejected> {
        if !self.template.starts_with('/') {
            return Err(Malformed("its path does not begin with `/`"));
        }
        if !self.body.is_object() {
            return Err(Malformed("the operation is no object"));
        }
        let parameters = Parameters::collect(self.document, self.item, self.body)?;
        let (host, base) = self.server();
        let base = uri::encode(base.trim_end_matches('/').as_bytes());
        let path = parameters.path(self.template)?;
        let mut headers = self.accept();
        headers.extend(parameters.headers());
        let body = if self.is_swagger {
            body::swagger(self, &parameters, &mut headers)?
        } else {
            body::openapi(self, &mut headers)?
        };
        let request = Request {
            offset_ns: 0,
            session: String::new(),
            method: method(&self.method.to_ascii_uppercase())?,
            path: format!("{base}{path}{}", parameters.query()),
            headers,
            body,
            expect_status: self.status(),
            endpoint: format!("{base}{}", self.template),
            recorded: Recorded::default(),
        };
        Ok(Found {
            position,
            host,
            started_ns: None,
            client: position.to_string(),
            request,
            notes: Vec::new(),
            offers: Offers::default(),
        })
    }

    /// Host and base path of the first server; no host where its address is relative.
    fn server(&self) -> (String, String) {
        let root = &self.document.0;
        if self.is_swagger {
            let host = root["host"].as_str().and_then(uri::host_of);
            let base = root["basePath"].as_str().unwrap_or_default();
            return (host.unwrap_or_default(), base.to_owned());
        }
        let of = |value: &Value| value["servers"].as_array()?.first().cloned();
        let server = of(self.body)
            .or_else(|| of(self.item))
            .or_else(|| of(root))
            .unwrap_or_default();
        let mut url = server["url"].as_str().unwrap_or_default().to_owned();
        if let Some(variables) = server["variables"].as_object() {
            for (name, variable) in variables.iter().take(20) {
                let value = variable["default"].as_str().unwrap_or_default();
                url = url.replace(&format!("{{{name}}}"), value);
            }
        }
        match uri::parse(url.as_bytes()) {
            Ok(uri) => (uri.host, uri.path),
            // An address such as `v1` is relative to where the description lies.
            Err(_) => (String::new(), String::new()),
        }
    }

    /// The first answer that is a success, when it is named by its number.
    fn success(&self) -> Option<(u16, &Value)> {
        let responses = self.body["responses"].as_object()?;
        let numbers = responses.iter();
        let mut numbers = numbers.filter_map(|(name, it)| Some((name.parse().ok()?, it)));
        numbers.find(|(status, _): &(u16, _)| (200..400).contains(status))
    }

    fn status(&self) -> Option<u16> {
        self.success().map(|(status, _)| status)
    }

    fn accept(&self) -> Vec<Header> {
        let kind = if self.is_swagger {
            let of =
                |value: &Value| Some(value["produces"].as_array()?.first()?.as_str()?.to_owned());
            of(self.body).or_else(|| of(&self.document.0))
        } else {
            self.success().and_then(|(_, answer)| {
                let answer = self.document.resolve(answer)?;
                answer["content"].as_object()?.keys().next().cloned()
            })
        };
        let kind = kind.filter(|kind| kind.contains('/'));
        kind.map(|kind| ("accept".to_owned(), kind))
            .into_iter()
            .collect()
    }
}

#[cfg(test)]
mod tests;
