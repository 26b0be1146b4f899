//! The application behind the recorder, and the connections to it.
//!
//! Each client connection has its own ones to the upstream, made when they are needed and gone
//! with it: so a connection means to the application what it means without the recorder. Requests
//! that run side by side on one client connection share one of HTTP/2, or take several. A request
//! that asks to leave HTTP has a connection of HTTP/1.1 to itself: HTTP/2 cannot be left that way.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    client::conn::{TrySendError, http1, http2},
    header::{HeaderValue, UPGRADE},
    http::uri,
    rt,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{MOST_FIELDS, MOST_HEAD, body::Upload, forward};
use crate::{
    text::printable_cut,
    tls::{TlsError, Trust, tls_config},
    workload::{Address, Protocol, Scheme, Target},
};

/// Time for a connection to the upstream to stand, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for a connection to become usable again after its last answer was read to the end.
const READY: Duration = Duration::from_millis(50);
/// A request is given to so many connections at the most, when it reached none of those before.
const TRIES: usize = 3;
/// Connections that one client connection keeps for later.
const MOST_IDLE: usize = 128;

type One = http1::SendRequest<Upload>;
type Many = http2::SendRequest<Upload>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// No connection.
    #[error("the upstream cannot be reached: {0}")]
    Unreachable(String),
    /// No connection in time.
    #[error("the upstream cannot be reached: it did not accept a connection in 10 s")]
    TimedOut,
    /// The client did not send its request to the end.
    #[error("the body of the request broke off")]
    ClientLeft,
    /// The connection ended without an answer.
    #[error("the upstream gave no answer that can be passed on: {0}")]
    Broken(String),
}

/// Where requests go and how it is spoken to.
pub struct Upstream {
    target: Target,
    tls: Option<Tls>,
    own_host: Option<HeaderValue>,
    speaks_http1: AtomicBool,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.authority())
    }
}

/// How TLS is spoken to it.
struct Tls {
    usual: TlsConnector,
    for_upgrades: TlsConnector,
    name: ServerName<'static>,
}

/// Why an upstream cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A path would be put before each recorded one.
    #[error("the upstream has the path `{0}`; give scheme, host and port only")]
    Path(String),
    /// Its name cannot stand in a certificate.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
}

impl Upstream {
    /// An upstream whose certificate is checked as `trust` says. With `own_host` its own name
    /// stands in the Host field of each request, else that which the client asked for.
    ///
    /// # Errors
    /// When the target has a path, or TLS cannot be set up for it.
    pub fn new(target: Target, trust: &Trust, own_host: bool) -> Result<Self, UpstreamError> {
        if !target.base_path.is_empty() {
            return Err(UpstreamError::Path(target.base_path));
        }
        let no_name = || UpstreamError::Name(target.host.clone());
        let tls = match target.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let name = ServerName::try_from(target.host.clone());
                Some(Tls {
                    usual: tls_config(trust, target.protocol.alpn())?.into(),
                    for_upgrades: tls_config(trust, Protocol::Http1.alpn())?.into(),
                    name: name.map_err(|_| no_name())?,
                })
            }
        };
        let host = HeaderValue::from_str(&target.authority).map_err(|_| no_name())?;
        Ok(Self {
            own_host: own_host.then_some(host),
            speaks_http1: AtomicBool::new(false),
            target,
            tls,
        })
    }

    /// The host that it is known by.
    pub(super) fn authority(&self) -> &str {
        &self.target.authority
    }

    /// Connects once; says where to, when it is no Unix socket, or why it does not work.
    pub async fn probe(&self) -> Result<Option<SocketAddr>, String> {
        let connected = if let Some(Address::Unix(path)) = &self.target.address {
            UnixStream::connect(path).await.map(|_| None)
        } else {
            let place = (self.target.host.as_str(), self.target.port);
            let stream = TcpStream::connect(place).await;
            stream.and_then(|stream| stream.peer_addr().map(Some))
        };
        connected.map_err(|error| error.to_string())
    }

    /// Whether a connection may turn out to be one of HTTP/2, which carries many requests.
    fn may_share(&self) -> bool {
        match self.target.protocol {
            Protocol::Http2 => true,
            Protocol::Http1 => false,
            Protocol::Auto => self.tls.is_some() && !self.speaks_http1.load(Ordering::Relaxed),
        }
    }

    async fn connect(&self, is_upgrade: bool) -> Result<Sender, NoAnswer> {
        let connected = timeout(CONNECT, self.connect_slowly(is_upgrade)).await;
        connected.unwrap_or(Err(NoAnswer::TimedOut))
    }

    async fn connect_slowly(&self, is_upgrade: bool) -> Result<Sender, NoAnswer> {
        let is_http2 = self.target.protocol == Protocol::Http2 && !is_upgrade;
        if let Some(Address::Unix(path)) = &self.target.address {
            let stream = UnixStream::connect(path).await.map_err(unreachable)?;
            return shake_hands(stream, is_http2).await;
        }
        let place = (self.target.host.as_str(), self.target.port);
        let stream = TcpStream::connect(place).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.tls else {
            return shake_hands(stream, is_http2).await;
        };
        if is_upgrade {
            let stream = tls.for_upgrades.connect(tls.name.clone(), stream).await;
            return shake_hands(stream.map_err(unreachable)?, false).await;
        }
        let stream = tls.usual.connect(tls.name.clone(), stream).await;
        let stream = stream.map_err(unreachable)?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.speaks_http1.store(!is_http2, Ordering::Relaxed);
        shake_hands(stream, is_http2).await
    }
}

fn unreachable(error: impl std::error::Error) -> NoAnswer {
    NoAnswer::Unreachable(with_causes(&error))
}

/// An error and what caused it, on one line that is safe to print.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    printable_cut(&text, 300)
}

async fn shake_hands(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    is_http2: bool,
) -> Result<Sender, NoAnswer> {
    let socket = TokioIo::new(stream);
    if is_http2 {
        return many(socket).await;
    }
    let mut builder = http1::Builder::new();
    builder.preserve_header_case(true).max_headers(MOST_FIELDS);
    let (sender, connection) = builder.handshake(socket).await.map_err(unreachable)?;
    // What ends it is told to whoever waits for an answer.
    tokio::spawn(connection.with_upgrades());
    Ok(Sender::One(sender))
}

async fn many(
    socket: impl rt::Read + rt::Write + Send + Unpin + 'static,
) -> Result<Sender, NoAnswer> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_header_list_size(MOST_HEAD);
    let (sender, connection) = builder.handshake(socket).await.map_err(unreachable)?;
    tokio::spawn(connection);
    Ok(Sender::Many(sender))
}

/// A connection that requests can be given to.
enum Sender {
    One(One),
    Many(Many),
}

impl Sender {
    async fn send(
        &mut self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match self {
            Self::One(sender) => sender.try_send_request(request).await,
            Self::Many(sender) => sender.try_send_request(request).await,
        }
    }
}

/// The connections to the upstream of one client connection.
#[derive(Debug)]
pub(super) struct Link {
    upstream: Arc<Upstream>,
    idle: Mutex<Vec<One>>,
    shared: tokio::sync::Mutex<Option<Many>>,
}

/// A connection of HTTP/1.1 that can be used again once its answer is read.
#[derive(Debug)]
pub(super) struct Returning {
    link: Arc<Link>,
    sender: One,
    was_for_upgrade: bool,
}

impl Returning {
    /// Its answer is read to the end.
    pub(super) fn give_back(self) {
        // Where all others speak HTTP/2, they go on doing so.
        if self.was_for_upgrade {
            return;
        }
        let mut idle = self
            .link
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE && !self.sender.is_closed() {
            idle.push(self.sender);
        }
    }
}

impl Link {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self {
            upstream,
            idle: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        }
    }

    fn idle(&self) -> Option<One> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    /// A connection, and whether it has carried a request before.
    async fn take(&self, is_upgrade: bool) -> Result<(Sender, bool), NoAnswer> {
        if is_upgrade {
            return Ok((self.upstream.connect(true).await?, false));
        }
        while let Some(mut sender) = self.idle() {
            if let Ok(Ok(())) = timeout(READY, sender.ready()).await {
                return Ok((Sender::One(sender), true));
            }
        }
        if !self.upstream.may_share() {
            return Ok((self.upstream.connect(false).await?, false));
        }
        // Held while connecting: whoever comes meanwhile shares what comes of it.
        let mut shared = self.shared.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((Sender::Many(sender.clone()), true));
        }
        let sender = self.upstream.connect(false).await?;
        if let Sender::Many(sender) = &sender {
            *shared = Some(sender.clone());
        }
        Ok((sender, false))
    }

    fn shape(&self, request: &mut Request<Upload>, sender: &Sender, host: &HeaderValue) {
        match sender {
            Sender::One(_) => {
                let body = request.body();
                let has_length = body.is_end_stream() || body.size_hint().exact().is_some();
                forward::for_http1(request, host, has_length);
            }
            Sender::Many(_) => {
                let scheme = match self.upstream.target.scheme {
                    Scheme::Http => uri::Scheme::HTTP,
                    Scheme::Https => uri::Scheme::HTTPS,
                };
                forward::for_http2(request, host, scheme);
            }
        }
    }

    /// Sends a request and waits for the head of its answer. A connection that the upstream has
    /// closed meanwhile is replaced, as long as the request cannot have had an effect.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Upload>,
    ) -> Result<(Response<Incoming>, Option<Returning>), NoAnswer> {
        let host = self.host(&request);
        // All other fields of the hop are gone by now.
        let is_upgrade = request.headers().contains_key(UPGRADE);
        let mut tries = 1;
        loop {
            let (mut sender, is_used) = self.take(is_upgrade).await?;
            self.shape(&mut request, &sender, &host);
            let spare = if is_used { spare(&request) } else { None };
            let mut fault = match sender.send(request).await {
                Ok(answer) => {
                    let returning = match sender {
                        Sender::One(sender) => Some(Returning {
                            link: Arc::clone(self),
                            sender,
                            was_for_upgrade: is_upgrade,
                        }),
                        Sender::Many(_) => None,
                    };
                    return Ok((answer, returning));
                }
                Err(fault) => fault,
            };
            let unsent = fault.take_message().filter(|_| is_used);
            match unsent.or(spare) {
                Some(again) if tries < TRIES => request = again,
                // The one thing of ours that can break is the body on its way.
                _ if fault.error().is_user() => return Err(NoAnswer::ClientLeft),
                _ => return Err(NoAnswer::Broken(with_causes(fault.error()))),
            }
            tries += 1;
        }
    }

    fn host(&self, request: &Request<Upload>) -> HeaderValue {
        let asked = || forward::host(request.uri(), request.headers());
        let upstream = &self.upstream;
        let own = upstream.own_host.clone().or_else(asked);
        // The name of the upstream was found fit for a field when the upstream was made.
        own.or_else(|| HeaderValue::from_str(upstream.authority()).ok())
            .unwrap_or_else(|| HeaderValue::from_static(""))
    }
}

/// The same request once more, when it has no body and is not meant to change anything.
fn spare(request: &Request<Upload>) -> Option<Request<Upload>> {
    let is_safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if !is_safe || !request.body().is_end_stream() {
        return None;
    }
    let mut again = Request::new(Upload::default());
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    *again.version_mut() = request.version();
    again.headers_mut().clone_from(request.headers());
    again.extensions_mut().clone_from(request.extensions());
    Some(again)
}
