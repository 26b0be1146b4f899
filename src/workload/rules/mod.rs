//! Rules by which requests are changed on their way: how endpoints are told apart, values that are
//! made anew for each request, and values of answers that later requests of the same client carry.
//!
//! Pure but for the files that values are picked from. Who asks when, and who waits for whom, is
//! the engine's business and the preflight's.

mod client;
mod html;
mod jar;
mod json;
mod labels;
mod pattern;
mod picks;
mod placeholder;
mod put;
mod settings;
mod suggest;
mod take;
mod template;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{Request, redact};
use crate::text::printable_cut;
use labels::Labels;
use picks::Picks;
use put::{Part, Put};
use take::Take;

pub use client::Client;
pub use placeholder::Lot;
pub use settings::{ExtractSettings, ReplaceSettings, ReplaySettings, RuleSettings};
pub use suggest::{Carries, Finder, Offers, Suggestion};
pub use take::Answer;
pub use template::{Lacking, Template};

/// Header fields that name one request or one trace: a recorded one is never sent again.
const RENEWED: [&str; 3] = ["idempotency-key", "x-idempotency-key", "traceparent"];
/// Why a text of a rule is refused.
const SECRET: &str = "holds a secret, which the run file and the reports would show; give a header \
                      field or cookie by -H @FILE or --auth-cmd, another value by {{pick:FILE}}";
/// The longest name of a rule.
const LONGEST_NAME: usize = 40;

/// Why rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A template of an endpoint cannot be read.
    #[error("the endpoint `{0}` {1}; write it as `GET /shop/{{name}}/reviews`")]
    Endpoint(String, &'static str),
    /// A rule is not complete, or says too much.
    #[error("the rule `{0}` {1}")]
    Rule(String, &'static str),
    /// A place cannot be read.
    #[error("the rule `{0}`: `{1}` {2}")]
    Place(String, String, &'static str),
    /// No request of the workload belongs to the endpoint.
    #[error(
        "the rule `{0}`: the workload has no endpoint `{1}`; proofload inspect shows those that \
         it has"
    )]
    Unknown(String, String),
    /// A file to pick values from cannot be used.
    #[error("cannot pick from {0}: {1}")]
    Pick(String, String),
}

/// So many words that may have been meant to be placeholders are named.
const UNKNOWN_MAX: usize = 10;

/// Rules, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    keeps_cookies: bool,
    has_placeholders: bool,
    labels: Labels,
    list: Vec<Rule>,
    picks: Picks,
    unknown: BTreeSet<String>,
    settings: ReplaySettings,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    name: String,
    source: Source,
    into: Vec<(String, Put)>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// From answers of this endpoint.
    Answer(String, Take),
    /// Made anew for each request, of this text with placeholders.
    Text(String),
}

impl Default for Rules {
    /// Nothing but cookies is carried over.
    fn default() -> Self {
        Self {
            keeps_cookies: true,
            has_placeholders: false,
            labels: Labels::default(),
            list: Vec::new(),
            picks: Picks::default(),
            unknown: BTreeSet::new(),
            settings: ReplaySettings::default(),
        }
    }
}

impl Rules {
    /// Reads the rules of the settings; nothing is known of the workload yet.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn new(
        settings: &ReplaySettings,
        (keeps_cookies, has_placeholders): (bool, bool),
    ) -> Result<Self, RuleError> {
        let mut rules: Vec<Rule> = Vec::new();
        for rule in settings.rule.iter().map(Rule::new) {
            let rule = rule?;
            if rules.iter().any(|it| it.name == rule.name) {
                return Err(RuleError::Rule(rule.name, "is there twice; rename one"));
            }
            rules.push(rule);
        }
        Ok(Self {
            keeps_cookies,
            has_placeholders,
            labels: Labels::parse(&settings.endpoints)?,
            list: rules,
            picks: Picks::default(),
            unknown: BTreeSet::new(),
            settings: settings.clone(),
        })
    }

    /// Whether the requests of a workload have to be read to use them with it.
    pub(super) fn look_at_requests(&self) -> bool {
        self.has_placeholders || !self.labels.is_empty() || !self.list.is_empty()
    }

    /// The endpoint of a request, where it is not the one that its line has.
    pub(super) fn label(&self, request: &Request) -> Option<String> {
        self.labels.of(request)
    }

    /// Reads the files that a request picks values from, beside the workload in `root`, and notes
    /// what it may have meant to be a placeholder.
    ///
    /// # Errors
    /// When one cannot be used.
    pub(super) fn look_at(&mut self, request: &Request, root: &Path) -> Result<(), RuleError> {
        if !self.has_placeholders {
            return Ok(());
        }
        for text in texts(request) {
            for file in placeholder::files(&text) {
                self.picks.read(file, root)?;
            }
            for word in placeholder::unknown(&text) {
                if self.unknown.len() < UNKNOWN_MAX {
                    self.unknown.insert(word.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Words in double braces, of a workload where placeholders count, that are none; at most ten.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }

    /// Reads the files of the rules, and checks that the workload has their endpoints.
    ///
    /// # Errors
    /// When a file cannot be used, or there is no such endpoint.
    pub(super) fn check(
        &mut self,
        endpoints: &BTreeMap<String, u64>,
        root: &Path,
    ) -> Result<(), RuleError> {
        for rule in &self.list {
            let from = match &rule.source {
                Source::Answer(from, _) => Some(from),
                Source::Text(text) => {
                    for file in placeholder::files(text) {
                        self.picks.read(file, root)?;
                    }
                    None
                }
            };
            let mut named = from.into_iter().chain(rule.into.iter().map(|(it, _)| it));
            if let Some(unknown) = named.find(|it| !endpoints.contains_key(*it)) {
                let unknown = printable_cut(unknown, 80);
                return Err(RuleError::Unknown(rule.name.clone(), unknown));
            }
        }
        Ok(())
    }

    /// What they were read from.
    pub fn settings(&self) -> &ReplaySettings {
        &self.settings
    }

    /// The same where nobody stands for one client: nothing goes from an answer to a request.
    pub fn without_clients(&self) -> Self {
        let is_text = |rule: &&Rule| matches!(rule.source, Source::Text(_));
        Self {
            keeps_cookies: false,
            list: self.list.iter().filter(is_text).cloned().collect(),
            ..self.clone()
        }
    }

    /// Whether cookies that a side sets are sent back by the same client.
    pub fn keeps_cookies(&self) -> bool {
        self.keeps_cookies
    }

    /// Whether any value of an answer is carried over.
    pub fn carries_values(&self) -> bool {
        let mut rules = self.list.iter();
        rules.any(|rule| matches!(rule.source, Source::Answer(..)))
    }

    /// The name of a rule, by its index.
    pub fn name(&self, rule: usize) -> &str {
        self.list.get(rule).map_or("", |rule| &rule.name)
    }

    /// The endpoint from whose answers a rule takes its value.
    pub fn giver(&self, rule: usize) -> Option<&str> {
        match &self.list.get(rule)?.source {
            Source::Answer(from, _) => Some(from),
            Source::Text(_) => None,
        }
    }

    /// The rules that take a value from the answers of an endpoint, by index.
    pub fn gives(&self, endpoint: &str) -> Vec<usize> {
        let own = |rule: &Rule| matches!(&rule.source, Source::Answer(from, _) if from == endpoint);
        let rules = self.list.iter().enumerate();
        rules
            .filter_map(|(index, rule)| own(rule).then_some(index))
            .collect()
    }

    /// Whether a value of an answer of this endpoint stands in its body.
    fn takes_from_body(&self, endpoint: &str) -> bool {
        self.list.iter().any(|rule| match &rule.source {
            Source::Answer(from, take) => from == endpoint && take.needs_body(),
            Source::Text(_) => false,
        })
    }

    /// The value that a rule takes from an answer.
    pub(super) fn take(&self, rule: usize, answer: &Answer<'_>) -> Option<String> {
        match &self.list.get(rule)?.source {
            Source::Answer(_, take) => take.find(answer),
            Source::Text(_) => None,
        }
    }

    /// Whether something in a request is made anew each time it is sent.
    pub fn is_drawn(&self, request: &Request) -> bool {
        request.headers.iter().any(|(name, _)| is_renewed(name))
            || self.texts_of(request).next().is_some()
            || (self.has_placeholders && texts(request).any(|text| placeholder::has_any(&text)))
    }

    /// Rules that write a text of their own into requests of this endpoint.
    fn texts_of<'a>(&'a self, request: &'a Request) -> impl Iterator<Item = (&'a str, &'a Put)> {
        self.list.iter().flat_map(|rule| {
            let own = match &rule.source {
                Source::Text(text) => Some(text.as_str()),
                Source::Answer(..) => None,
            };
            let into = rule.into.iter();
            let into = into.filter(|(endpoint, _)| *endpoint == request.endpoint);
            into.filter_map(move |(_, put)| Some((own?, put)))
        })
    }

    /// The request with everything made anew that is; the same lot gives the same request.
    pub fn draw<'a>(&self, request: &'a Request, lot: &mut Lot<'_>) -> Cow<'a, Request> {
        if !self.is_drawn(request) {
            return Cow::Borrowed(request);
        }
        let mut drawn = request.clone();
        let mut nth = 0;
        if self.has_placeholders {
            template::fill_placeholders(&mut drawn, (lot, &mut nth), &self.picks);
        }
        for (name, value) in drawn
            .headers
            .iter_mut()
            .filter(|(name, _)| is_renewed(name))
        {
            *value = renewed(name, value, lot);
        }
        // One value stands wherever its rule puts it.
        let plain = |value: &str| value.to_owned();
        let mut values: BTreeMap<&str, String> = BTreeMap::new();
        for (text, put) in self.texts_of(request) {
            let value = values
                .entry(text)
                .or_insert_with(|| placeholder::filled(text, (lot, &mut nth), &self.picks, &plain));
            if let Some(spot) = put.find(&drawn)
                && let Some(written) = spot.written(value)
            {
                template::replace(&mut drawn, &spot, &written);
            }
        }
        Cow::Owned(drawn)
    }

    /// The request as it goes out: an answer whose body a rule looks into must not be compressed.
    pub fn outgoing<'a>(&self, request: &'a Request) -> Cow<'a, Request> {
        if !self.takes_from_body(&request.endpoint) {
            return Cow::Borrowed(request);
        }
        let mut plain = request.clone();
        let is_coding = |(name, _): &(String, String)| name.eq_ignore_ascii_case("accept-encoding");
        plain.headers.retain(|field| !is_coding(field));
        let coding = ("accept-encoding".to_owned(), "identity".to_owned());
        plain.headers.push(coding);
        Cow::Owned(plain)
    }

    /// A request that carries values of answers, with the places where they go.
    pub fn template(&self, request: &Request) -> Option<Template> {
        let rules = self.list.iter().enumerate();
        let carried = rules.filter(|(_, rule)| matches!(rule.source, Source::Answer(..)));
        let spots = carried.flat_map(|(index, rule)| {
            let own = rule.into.iter();
            let own = own.filter(|(endpoint, _)| *endpoint == request.endpoint);
            own.filter_map(move |(_, put)| Some((index, put.find(request)?)))
        });
        Template::new(request, spots.collect())
    }
}

impl Rule {
    fn new(settings: &RuleSettings) -> Result<Self, RuleError> {
        let name = printable_cut(&settings.name, LONGEST_NAME);
        let refuse = |why| RuleError::Rule(name.clone(), why);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if settings.name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(plain) {
            return Err(refuse(
                "needs a name of up to 40 letters, digits, `-`, `_` and `.`",
            ));
        }
        // Before a message could repeat it.
        if holds_secret(settings) {
            return Err(refuse(SECRET));
        }
        let place = |text: &str, why| RuleError::Place(name.clone(), printable_cut(text, 80), why);
        let source = match (&settings.extract, &settings.value) {
            (Some(extract), None) => {
                let take = Take::parse(&extract.at).map_err(|why| place(&extract.at, why))?;
                Source::Answer(extract.from.clone(), take)
            }
            (None, Some(value)) => Source::Text(value.clone()),
            _ => return Err(refuse("needs one of `extract` and `value`, and not both")),
        };
        if settings.replace.is_empty() {
            return Err(refuse("replaces nothing; add `replace`"));
        }
        let into = settings.replace.iter().map(|it| {
            let put = Put::parse(&it.at).map_err(|why| place(&it.at, why))?;
            match &source {
                Source::Text(text) if put.is_for_secrets() && !is_made(text) => Err(refuse(SECRET)),
                _ => Ok((it.r#in.clone(), put)),
            }
        });
        Ok(Self {
            into: into.collect::<Result<_, _>>()?,
            name,
            source,
        })
    }
}

/// Whether a text of a rule looks like a secret; rules are stored with every run.
fn holds_secret(settings: &RuleSettings) -> bool {
    let value = settings
        .value
        .iter()
        .flat_map(|it| placeholder::literals(it));
    let places = settings.replace.iter().map(|it| it.at.as_str());
    let looks = |text: &str| redact::holds_secret(text);
    value.chain(places).any(looks)
}

/// Whether a value is made anew, or too short to be a secret.
fn is_made(text: &str) -> bool {
    let letters = text.bytes().filter(u8::is_ascii_alphanumeric).count();
    placeholder::has_any(text) || letters < 6
}

/// Whether a field of this name gets another value each time it is sent.
pub(super) fn is_renewed(name: &str) -> bool {
    RENEWED.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Another name for a request or a trace. What a client sent twice under one key, it sends twice
/// under one key again; a trace is never sampled, because a load would flood the tracing.
fn renewed(name: &str, recorded: &str, lot: &Lot<'_>) -> String {
    let repetition = lot.repetition.to_le_bytes();
    let index = lot.index.to_le_bytes();
    if !name.eq_ignore_ascii_case("traceparent") {
        return placeholder::uuid(lot.bytes(&[b"key", &repetition, recorded.as_bytes()]));
    }
    let (trace, span) = (
        lot.bytes(&[b"trace", &index]),
        lot.bytes(&[b"span", &index]),
    );
    // Neither may be nothing but zeros.
    let (trace, span) = (placeholder::hex(&trace), placeholder::hex(&span));
    format!("00-a{}-a{}-00", &trace[1..], &span[1..16])
}

/// The parts of a request that are text.
fn texts(request: &Request) -> impl Iterator<Item = Cow<'_, str>> {
    let fields = request.headers.iter().map(|(_, value)| value.as_str());
    let body = std::str::from_utf8(&request.body).ok();
    let all = std::iter::once(request.path.as_str())
        .chain(fields)
        .chain(body);
    all.map(Cow::Borrowed)
}

#[cfg(test)]
mod tests;
