//! Before any load: both sides answer each endpoint once.
//!
//! Speaks through reqwest with every convenience switched off, so that what answers here is
//! what the engine will load: no redirects, no proxies, no retries, the pinned address.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::{TcpStream, UnixStream};

use super::{
    certificate::{expires_s, issuer},
    facts::Facts,
    walk::{Probes, walk},
};
use crate::{
    tls::{TlsError, Trust, tls_config},
    units::Span,
    workload::{Address, Protocol, RUN_FIELD, Request, Scheme, Target, USER_AGENT},
};

/// Clients under way at once.
const AT_ONCE: usize = 8;

/// What one endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// A complete answer with this status.
    Status(u16),
    /// No answer, and why.
    Failed(String),
}

/// One endpoint of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The endpoint.
    pub endpoint: String,
    /// The recorded status.
    pub expect_status: Option<u16>,
    /// What came back.
    pub answered: Answered,
}

impl Probe {
    /// Whether it was answered with another status than expected.
    pub fn is_unexpected(&self) -> bool {
        match (&self.answered, self.expect_status) {
            (Answered::Status(status), Some(expected)) => *status != expected,
            (Answered::Status(status), None) => *status >= 400,
            (Answered::Failed(_), _) => false,
        }
    }
}

/// What one side answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The address that took the connection; the run is pinned to it.
    pub address: Option<Address>,
    /// Every endpoint.
    pub probes: Vec<Probe>,
    /// The version of HTTP that was spoken.
    pub version: Option<&'static str>,
    /// Whether an answer said that its connection ends with it.
    pub closes: bool,
    /// Until when the certificate is valid, in seconds since 1970.
    pub expires_s: Option<i64>,
    /// What its answers and its certificate say of it.
    pub facts: Facts,
    /// Why nothing could be asked at all.
    pub unreachable: Option<String>,
}

impl Preflight {
    /// Why the side cannot be measured, if so: it cannot be reached, or an endpoint gives no
    /// answer.
    pub fn unusable(&self) -> Option<String> {
        if let Some(cause) = &self.unreachable {
            return Some(cause.clone());
        }
        self.probes.iter().find_map(|probe| match &probe.answered {
            Answered::Failed(cause) => Some(format!("{} gave no answer: {cause}", probe.endpoint)),
            Answered::Status(_) => None,
        })
    }

    fn learn(&mut self, seen: Option<Seen>) {
        let Some(seen) = seen else {
            return;
        };
        self.version.get_or_insert(seen.version);
        self.closes |= seen.closes;
        self.facts.merge(&seen.facts);
        if let Some(issuer) = seen.certificate.as_deref().and_then(issuer) {
            self.facts.add("certificate_issuer", &issuer);
        }
        let expires_s = seen.certificate.as_deref().and_then(expires_s);
        self.expires_s = self.expires_s.or(expires_s);
    }

    /// Endpoints whose status is not the expected one, with that status.
    pub fn unexpected(&self) -> BTreeMap<String, u16> {
        self.probes
            .iter()
            .filter(|probe| probe.is_unexpected())
            .filter_map(|probe| match probe.answered {
                Answered::Status(status) => Some((probe.endpoint.clone(), status)),
                Answered::Failed(_) => None,
            })
            .collect()
    }
}

/// How the asking is done.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// How certificates are checked.
    pub trust: &'a Trust,
    /// Time to connect, TLS included, in nanoseconds.
    pub connect_ns: u64,
    /// Time for a whole request, in nanoseconds.
    pub total_ns: u64,
    /// What each request says of the run that it belongs to.
    pub run_id: &'a str,
}

/// Why nobody could be asked; never anything that a target did.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be built.
    #[error("the preflight cannot be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Asks one side for these requests, each chain by a client of its own.
///
/// # Errors
/// When the HTTP client cannot be built: a certificate or the machine is at fault.
pub async fn preflight(
    target: &Target,
    addresses: &[Address],
    probes: &Probes,
    terms: Terms<'_>,
) -> Result<Preflight, PreflightError> {
    let mut result = Preflight::default();
    let address = match reach(addresses, terms.connect_ns).await {
        Ok(address) => address,
        Err(cause) => {
            result.unreachable = Some(cause);
            return Ok(result);
        }
    };
    let client = client(target, &address, terms)?;
    result.address = Some(address);
    for group in probes.chains.chunks(AT_ONCE) {
        let mut tasks = tokio::task::JoinSet::new();
        for (index, chain) in group.iter().cloned().enumerate() {
            let (client, target) = (client.clone(), target.clone());
            let rules = Arc::clone(&probes.rules);
            tasks.spawn(async move { (index, walk(client, target, chain, rules).await) });
        }
        let mut found = tasks.join_all().await;
        found.sort_by_key(|(index, _)| *index);
        for (probe, seen) in found.into_iter().flat_map(|(_, found)| found) {
            result.probes.push(probe);
            result.learn(seen);
        }
    }
    Ok(result)
}

/// Whether anything answers there: any HTTP answer counts.
///
/// # Errors
/// When the HTTP client cannot be built; the inner error says why there was no answer.
pub(super) async fn answers(
    target: &Target,
    address: &Address,
    terms: Terms<'_>,
) -> Result<Result<(), String>, PreflightError> {
    let client = client(target, address, terms)?;
    let asked = client.get(target.http_url("/")).send().await;
    Ok(asked.map(drop).map_err(|error| chain(&error)))
}

/// The field by which the target's own logs tell whose request it was.
fn marks(run_id: &str) -> HeaderMap {
    let value = HeaderValue::from_str(run_id).ok();
    let name = HeaderName::from_static(RUN_FIELD);
    value
        .into_iter()
        .map(|value| (name.clone(), value))
        .collect()
}

/// The first address that takes a connection.
async fn reach(addresses: &[Address], connect_ns: u64) -> Result<Address, String> {
    let mut cause = "it has no address".to_owned();
    for address in addresses {
        let patience = Duration::from_nanos(connect_ns);
        match tokio::time::timeout(patience, connect(address)).await {
            Ok(Ok(())) => return Ok(address.clone()),
            Ok(Err(error)) => cause = format!("{address} refuses connections: {error}"),
            Err(_) => {
                let within = Span::from_ns(connect_ns);
                cause = format!("{address} takes no connection within {within}");
            }
        }
    }
    Err(cause)
}

/// Connects once, and lets go again.
pub(super) async fn connect(address: &Address) -> std::io::Result<()> {
    match address {
        Address::Tcp(address) => TcpStream::connect(address).await.map(drop),
        Address::Unix(path) => UnixStream::connect(path).await.map(drop),
    }
}

/// A client that speaks to one target at one address, in no other way than the load does.
pub(super) fn client(
    target: &Target,
    address: &Address,
    terms: Terms<'_>,
) -> Result<reqwest::Client, PreflightError> {
    let tls = Arc::unwrap_or_clone(tls_config(terms.trust, target.protocol.alpn())?);
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(marks(terms.run_id))
        .tls_backend_preconfigured(tls)
        .tls_info(true)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_nanos(terms.connect_ns))
        .timeout(Duration::from_nanos(terms.total_ns));
    let builder = match (target.protocol, target.scheme) {
        (Protocol::Http2, _) => builder.http2_prior_knowledge(),
        (Protocol::Http1, _) | (Protocol::Auto, Scheme::Http) => builder.http1_only(),
        (Protocol::Auto, Scheme::Https) => builder,
    };
    let builder = match address {
        Address::Tcp(address) => builder.resolve(&target.host, *address),
        Address::Unix(path) => builder.unix_socket(path.as_path()),
    };
    Ok(builder.build()?)
}

/// Sends a request as the load does, without the recorded headers that are named; returns when
/// the head of the answer is there.
///
/// # Errors
/// Why there was no answer, in words.
pub(super) async fn send(
    client: &reqwest::Client,
    target: &Target,
    request: &Request,
    without: &[&str],
) -> Result<reqwest::Response, String> {
    let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes())
        .map_err(|error| error.to_string())?;
    let url = target.http_url(&request.path);
    let mut builder = client.request(method, url).body(request.body.clone());
    let own = target.headers.iter().map(|(name, _)| name.as_str());
    let replaced: Vec<&str> = own.chain(without.iter().copied()).collect();
    let stays = |name: &str| !replaced.iter().any(|it| it.eq_ignore_ascii_case(name));
    for (name, value) in request.headers.iter().filter(|(name, _)| stays(name)) {
        let placed = target.placed(name, value);
        builder = builder.header(name, placed.as_deref().unwrap_or(value));
    }
    for (name, value) in &target.headers {
        builder = builder.header(name, value);
    }
    builder.send().await.map_err(|error| chain(&error))
}

/// What an answer says of its connection.
pub(super) struct Seen {
    version: &'static str,
    closes: bool,
    facts: Facts,
    certificate: Option<Vec<u8>>,
}

impl Seen {
    pub(super) fn of(response: &reqwest::Response) -> Self {
        use reqwest::{Version, header::CONNECTION, tls::TlsInfo};
        let headers = response.headers().get_all(CONNECTION).iter();
        let lists = headers.filter_map(|value| value.to_str().ok());
        let tokens: Vec<_> = lists.flat_map(|list| list.split(',')).collect();
        let says = |word: &str| tokens.iter().any(|it| it.trim().eq_ignore_ascii_case(word));
        let (version, closes) = match response.version() {
            Version::HTTP_10 => ("HTTP/1.0", !says("keep-alive")),
            Version::HTTP_11 => ("HTTP/1.1", says("close")),
            Version::HTTP_2 => ("HTTP/2", false),
            _ => ("another version of HTTP", false),
        };
        let tls = response.extensions().get::<TlsInfo>();
        let certificate = tls.and_then(TlsInfo::peer_certificate);
        Self {
            version,
            closes,
            facts: Facts::of(response.headers()),
            certificate: certificate.map(<[u8]>::to_vec),
        }
    }
}

/// The innermost cause says what happened; the URL is left out because it may hold a secret.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        return "no answer in time (--timeout, --connect-timeout)".to_owned();
    }
    let cause = cause.to_string();
    let hint = HINTS.iter().find(|(part, _)| cause.contains(part));
    match hint {
        Some((_, hint)) => format!("{hint} ({cause})"),
        None => cause,
    }
}

/// What libraries say, and what it means to a person.
const HINTS: [(&str, &str); 8] = [
    (
        "CaUsedAsEndEntity",
        "its certificate is one of an authority and not of a server; make one with \
         basicConstraints CA:FALSE",
    ),
    (
        "UnknownIssuer",
        "its certificate is not trusted; give the authority that signed it with --cacert",
    ),
    (
        "frame with invalid size",
        "it does not speak HTTP/2; try --protocol http1",
    ),
    (
        "NoApplicationProtocol",
        "it does not speak this protocol over TLS; try --protocol auto",
    ),
    (
        "peer doesn't support any known protocol",
        "it does not speak this protocol over TLS; try --protocol auto",
    ),
    (
        "invalid HTTP version",
        "it does not speak HTTP/1.1; try --protocol http2",
    ),
    (
        "InvalidContentType",
        "it does not speak TLS; try an http:// URL",
    ),
    (
        "CertificateRequired",
        "it wants a certificate from us; give --cert and --key",
    ),
];
