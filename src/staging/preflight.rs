//! Before any load: both sides answer each endpoint once.
//!
//! Speaks through reqwest with every convenience switched off, so that what answers here is
//! what the engine will load: no redirects, no proxies, no retries, the pinned address.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use crate::{
    tls::{Trust, tls_config},
    workload::{Request, Target},
};

/// How much of a body is read before its end is taken for granted, in bytes.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// Requests under way at once.
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

/// What one side answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preflight {
    /// The address that took the connection; the run is pinned to it.
    pub address: Option<SocketAddr>,
    /// Every endpoint.
    pub probes: Vec<Probe>,
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

    /// Endpoints whose status is not the expected one, with that status.
    pub fn unexpected(&self) -> BTreeMap<String, u16> {
        let wrong = |probe: &&Probe| match (&probe.answered, probe.expect_status) {
            (Answered::Status(status), Some(expected)) => *status != expected,
            (Answered::Status(status), None) => *status >= 400,
            (Answered::Failed(_), _) => false,
        };
        self.probes
            .iter()
            .filter(wrong)
            .filter_map(|probe| match probe.answered {
                Answered::Status(status) => Some((probe.endpoint.clone(), status)),
                Answered::Failed(_) => None,
            })
            .collect()
    }
}

/// Asks one side for each of these requests once.
///
/// # Errors
/// Only when the HTTP client cannot be built, which is the machine's fault.
pub async fn preflight(
    target: &Target,
    addresses: &[SocketAddr],
    requests: &[Request],
    trust: &Trust,
) -> Result<Preflight, reqwest::Error> {
    let mut result = Preflight::default();
    let address = match reach(addresses).await {
        Ok(address) => address,
        Err(cause) => {
            result.unreachable = Some(cause);
            return Ok(result);
        }
    };
    result.address = Some(address);
    let client = client(target, address, trust)?;
    for group in requests.chunks(AT_ONCE) {
        let mut tasks = tokio::task::JoinSet::new();
        for (index, request) in group.iter().cloned().enumerate() {
            let (client, target) = (client.clone(), target.clone());
            tasks.spawn(async move { (index, probe(&client, &target, &request).await) });
        }
        let mut probes = tasks.join_all().await;
        probes.sort_by_key(|(index, _)| *index);
        result
            .probes
            .extend(probes.into_iter().map(|(_, probe)| probe));
    }
    Ok(result)
}

/// The first address that takes a connection.
async fn reach(addresses: &[SocketAddr]) -> Result<SocketAddr, String> {
    let mut cause = "it has no address".to_owned();
    for address in addresses {
        let connect = TcpStream::connect(address);
        match tokio::time::timeout(Duration::from_secs(5), connect).await {
            Ok(Ok(_)) => return Ok(*address),
            Ok(Err(error)) => cause = format!("{address} refuses connections: {error}"),
            Err(_) => cause = format!("{address} takes no connection within 5 s"),
        }
    }
    Err(cause)
}

fn client(
    target: &Target,
    address: SocketAddr,
    trust: &Trust,
) -> Result<reqwest::Client, reqwest::Error> {
    let tls = Arc::unwrap_or_clone(tls_config(trust));
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .retry(reqwest::retry::never())
        .http1_only()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(30))
        .resolve(&target.host, address)
        .build()
}

async fn probe(client: &reqwest::Client, target: &Target, request: &Request) -> Probe {
    let answered = match ask(client, target, request).await {
        Ok(status) => Answered::Status(status),
        Err(cause) => Answered::Failed(cause),
    };
    let endpoint = request.endpoint.clone();
    Probe {
        endpoint,
        expect_status: request.expect_status,
        answered,
    }
}

async fn ask(client: &reqwest::Client, target: &Target, request: &Request) -> Result<u16, String> {
    let method = reqwest::Method::from_bytes(request.method.as_str().as_bytes())
        .map_err(|error| error.to_string())?;
    let url = format!(
        "{}{}",
        target.url.as_str().trim_end_matches('/'),
        request.path
    );
    let mut builder = client.request(method, url).body(request.body.clone());
    let own = |name: &str| {
        target
            .headers
            .iter()
            .any(|(it, _)| it.eq_ignore_ascii_case(name))
    };
    for (name, value) in request.headers.iter().filter(|(name, _)| !own(name)) {
        builder = builder.header(name, value);
    }
    for (name, value) in &target.headers {
        builder = builder.header(name, value);
    }
    let mut response = builder.send().await.map_err(|error| chain(&error))?;
    let mut read = 0;
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        read += chunk.len();
        if read > BODY_MAX {
            break;
        }
    }
    Ok(response.status().as_u16())
}

/// The innermost cause says what happened; the URL is left out because it may hold a secret.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if error.is_timeout() {
        "no answer within 30 s".to_owned()
    } else {
        cause.to_string()
    }
}
