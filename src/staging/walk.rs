//! A client's way through the service, one request after the other, as far as a preflight goes: it
//! keeps the cookies that it is given, and carries values over as the rules of the load do.

use std::sync::Arc;

use super::preflight::{Answered, Probe, Seen, chain, send};
use crate::{
    clock::wall_ns,
    units::SECOND_NS,
    workload::{
        Request, Target,
        rules::{Answer, Client, Lacking, Lot, Rules},
    },
};

/// How much of a body is read before its end is taken for granted, in bytes.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// How much of it is kept for rules, in bytes.
const KEPT_MAX: usize = 1024 * 1024;

/// One request on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The request.
    pub request: Request,
    /// Whether its answer is wanted; else it is on the way only.
    pub is_probe: bool,
}

/// What is asked of a side, each chain by a client of its own.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    /// Requests in order.
    pub chains: Vec<Vec<Step>>,
    /// The rules that they are under.
    pub rules: Arc<Rules>,
}

/// Goes one way; returns what was answered to those that are wanted.
pub(super) async fn walk(
    client: reqwest::Client,
    target: Target,
    chain: Vec<Step>,
    rules: Arc<Rules>,
) -> Vec<(Probe, Option<Seen>)> {
    let mut walker = Walker {
        client,
        target,
        rules,
        known: Client::default(),
        // Not what the load will draw, nor what an earlier preflight has drawn.
        now_ns: wall_ns(),
        index: 0,
        seq: wall_ns() / SECOND_NS,
    };
    let mut found = Vec::new();
    for Step { request, is_probe } in &chain {
        let (answered, seen) = match walker.step(request).await {
            Ok((status, seen)) => (Answered::Status(status), Some(seen)),
            Err(cause) => (Answered::Failed(cause), None),
        };
        if *is_probe {
            let probe = Probe {
                endpoint: request.endpoint.clone(),
                expect_status: request.expect_status,
                answered,
            };
            found.push((probe, seen));
        }
    }
    found
}

struct Walker {
    client: reqwest::Client,
    target: Target,
    rules: Arc<Rules>,
    known: Client,
    now_ns: u64,
    index: u64,
    seq: u64,
}

impl Walker {
    async fn step(&mut self, request: &Request) -> Result<(u16, Seen), String> {
        let endpoint = request.endpoint.clone();
        let request = self.made(request)?;
        let path = [&self.target.base_path, request.path.as_str()].concat();
        let has_client = self.rules.keeps_cookies() && !request.session.is_empty();
        let cookies = self.known.cookies(&path, self.fixed_cookies().as_deref());
        let target = match cookies.filter(|_| has_client) {
            None => self.target.clone(),
            Some(cookies) => with_cookies(&self.target, cookies),
        };
        let mut response = send(&self.client, &target, &request, &[]).await?;
        let seen = Seen::of(&response);
        let gives = self.rules.gives(&endpoint);
        let (mut read, mut body) = (0, Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            read += chunk.len();
            if !gives.is_empty() && read <= KEPT_MAX {
                body.extend_from_slice(&chunk);
            }
            if read > BODY_MAX {
                break;
            }
        }
        let fields = response.headers().iter();
        let fields: Vec<_> = fields
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect();
        let answer = Answer {
            fields: &fields,
            body: &body,
            now_s: i64::try_from(self.now_ns / SECOND_NS).unwrap_or(i64::MAX),
        };
        if has_client {
            self.known.keep_cookies(&path, &answer);
        }
        for rule in gives {
            self.known.keep_value(&self.rules, rule, &answer);
        }
        Ok((response.status().as_u16(), seen))
    }

    /// The request as the load would send it.
    fn made(&mut self, request: &Request) -> Result<Request, String> {
        let mut lot = Lot {
            seed: self.now_ns,
            repetition: 0,
            index: self.index,
            now_ns: self.now_ns,
            seq: &mut self.seq,
        };
        let request = self.rules.draw(request, &mut lot);
        self.index += 1;
        let request = self.rules.outgoing(&request);
        let Some(template) = self.rules.template(&request) else {
            return Ok(request.into_owned());
        };
        template.fill(&mut self.known).map_err(|Lacking(rule)| {
            format!(
                "the rule `{}` found nothing in the answers of {}",
                self.rules.name(rule),
                self.rules.giver(rule).unwrap_or("any endpoint")
            )
        })
    }

    fn fixed_cookies(&self) -> Option<String> {
        let own = self.target.headers.iter();
        let own = own.filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let values: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join("; "))
    }
}

fn with_cookies(target: &Target, cookies: String) -> Target {
    let mut target = target.clone();
    target
        .headers
        .retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
    target.headers.push(("cookie".to_owned(), cookies));
    target
}
