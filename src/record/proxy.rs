//! The reverse proxy: takes connections, passes each request on and each answer back.
//!
//! Whatever goes wrong with the recording, the traffic goes on: an exchange that cannot be
//! recorded is passed on all the same. One task for each connection; a limit on their number.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hyper::{
    Request, Response, StatusCode, Version,
    body::{Body, Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue, UPGRADE},
    http::response,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{
    MOST_FIELDS, MOST_HEAD,
    body::{Download, Gate, Upload},
    exchange::{Exchange, Recorder, reason},
    forward::{self, OwnNames},
    interim::{Interim, WithInterim},
    upstream::{Link, NoAnswer, Returning, Upstream},
};

/// Client connections at once.
const MOST_CONNECTIONS: u32 = 10_000;
/// Streams at once on one HTTP/2 connection.
const MOST_STREAMS: u32 = 128;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the head of the next request; a connection that is silent for longer is closed.
const SILENCE: Duration = Duration::from_secs(120);
/// Time for what is under way when the recording ends.
const DRAIN: Duration = Duration::from_secs(3);
/// How long no connection is accepted when the process is out of descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// What all connections share.
pub struct Proxy {
    upstream: Arc<Upstream>,
    recorder: Arc<Recorder>,
    own: OwnNames,
    tls: Option<TlsAcceptor>,
    most_connections: u32,
}

impl Proxy {
    /// A proxy in front of an upstream that is reached at `address`, with TLS where there is a
    /// certificate.
    pub fn new(
        upstream: Upstream,
        recorder: Arc<Recorder>,
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        let mut names = vec![address.to_string(), upstream.authority().to_owned()];
        if address.ip().to_canonical().is_loopback() {
            names.push(format!("localhost:{}", address.port()));
        }
        Self {
            own: OwnNames::new(names),
            upstream: Arc::new(upstream),
            recorder,
            tls,
            most_connections: MOST_CONNECTIONS,
        }
    }

    /// Serves until `stop`. No request is taken then that was not under way.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Draining {
        let proxy = Arc::new(self);
        let most = proxy.most_connections;
        let places = Arc::new(Semaphore::new(most as usize));
        let (ending, ended) = watch::channel(false);
        let accepting = accept(&proxy, &listener, &places, &ended);
        tokio::select! {
            () = stop => {}
            () = accepting => {}
        }
        drop(listener);
        proxy.recorder.close();
        // Nobody may listen any more, which is as good.
        let _ = ending.send(true);
        Draining(places, most)
    }
}

/// What is still under way when a proxy has stopped.
#[derive(Debug)]
pub struct Draining(Arc<Semaphore>, u32);

impl Draining {
    /// Waits for it, but not for long.
    pub async fn wait(self) {
        let _ = timeout(DRAIN, self.0.acquire_many(self.1)).await;
    }
}

/// Accepts connections for ever.
async fn accept(
    proxy: &Arc<Proxy>,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    ended: &watch::Receiver<bool>,
) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, from)) => {
                let connection = connection(Arc::clone(proxy), stream, from, ended.clone(), place);
                tokio::spawn(connection);
            }
            // A client that has left again, or no descriptor: both pass.
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

async fn connection(
    proxy: Arc<Proxy>,
    stream: TcpStream,
    from: SocketAddr,
    mut ended: watch::Receiver<bool>,
    place: OwnedSemaphorePermit,
) {
    // Without it answers wait for the acknowledgement of what went before.
    let _ = stream.set_nodelay(true);
    tokio::select! {
        ready = timeout(SILENCE, stream.readable()) => match ready {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        },
        _ = ended.wait_for(|ended| *ended) => return,
    }
    let client = Client {
        link: Arc::new(Link::new(Arc::clone(&proxy.upstream))),
        proxy: Arc::clone(&proxy),
        from: from.ip(),
        interim: Interim::default(),
        ended,
        place: Arc::new(place),
    };
    let served = match &proxy.tls {
        None => client.serve(stream).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => client.serve(stream).await,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let is_parse = |error: &hyper::Error| error.is_parse();
    if served.is_err_and(|error| error.downcast_ref().is_some_and(is_parse)) {
        proxy.recorder.malformed();
    }
}

/// One client connection.
struct Client {
    proxy: Arc<Proxy>,
    link: Arc<Link>,
    from: IpAddr,
    interim: Interim,
    ended: watch::Receiver<bool>,
    /// Held until the last of what the connection has become is gone.
    place: Arc<OwnedSemaphorePermit>,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// Serves one connection, HTTP/1.1 or HTTP/2, until it ends.
    async fn serve<S>(self, stream: S) -> Result<(), Fault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(SILENCE)
            .auto_date_header(false)
            .preserve_header_case(true)
            .max_headers(MOST_FIELDS);
        builder
            .http2()
            .auto_date_header(false)
            .max_header_list_size(MOST_HEAD)
            .max_concurrent_streams(MOST_STREAMS);
        let client = Arc::new(self);
        let mut ended = client.ended.clone();
        let socket = WithInterim::new(TokioIo::new(stream), client.interim.clone());
        let service = service_fn(move |request| {
            let client = Arc::clone(&client);
            async move { Ok::<_, Infallible>(client.exchange(request).await) }
        });
        let connection = builder.serve_connection_with_upgrades(socket, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            served = connection.as_mut() => return served,
            _ = ended.wait_for(|ended| *ended) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    }

    /// One exchange.
    async fn exchange(&self, mut request: Request<Incoming>) -> Response<Download> {
        let recorder = &self.proxy.recorder;
        let mut exchange = recorder.begin(recorder.now_ns());
        if let Some(refusal) = forward::refusal(&request, &self.proxy.own) {
            if let Some(exchange) = exchange {
                exchange.skip(refusal.reason);
            }
            return own(StatusCode::FORBIDDEN, refusal.text);
        }
        let version = request.version();
        let is_upgrade = forward::asks_for_upgrade(request.headers(), version);
        let leaving = is_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (mut head, body) = request.into_parts();
        let copy = exchange.is_some().then(|| recorder.hold());
        if let (Some(exchange), Some(copy)) = (&mut exchange, &copy) {
            exchange.note(&head, self.from, Arc::clone(copy));
        }
        let waits = forward::waits_for_permission(&head.headers, version) && !body.is_end_stream();
        head.headers = forward::end_to_end(&head.headers, is_upgrade);
        let mut upload = Upload::new(body, copy);
        let gate = waits.then(Gate::new).map(|(gate, permission)| {
            upload.wait_for(permission);
            gate
        });
        let request = Request::from_parts(head, upload);
        match self.send(request, version, gate.clone()).await {
            Ok((answer, connection)) => {
                let (head, body) = answer.into_parts();
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    drop(body);
                    return self.switch(head, leaving, exchange);
                }
                let mut exchange = exchange.and_then(|exchange| exchange.answered(&head));
                if is_upgrade && let Some(exchange) = exchange.take() {
                    exchange.skip(reason::NOT_GRANTED);
                }
                let body = Download::passed(body, exchange, connection, gate);
                Response::from_parts(passed(head, false), body)
            }
            Err(fault) => {
                if let Some(gate) = gate {
                    gate.shut();
                }
                if let Some(exchange) = exchange {
                    exchange.skip(match fault {
                        NoAnswer::ClientLeft => reason::CLIENT_LEFT,
                        _ => reason::NO_ANSWER,
                    });
                }
                let status = match fault {
                    NoAnswer::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::BAD_GATEWAY,
                };
                own(status, &format!("proofload record: {fault}\n"))
            }
        }
    }

    /// Sends a request to the upstream and passes interim answers on until the final one comes.
    async fn send(
        &self,
        mut request: Request<Upload>,
        version: Version,
        gate: Option<Gate>,
    ) -> Result<(Response<Incoming>, Option<Returning>), NoAnswer> {
        let news = Arc::new(Notify::new());
        if version == Version::HTTP_11 {
            let (interim, news) = (self.interim.clone(), Arc::clone(&news));
            hyper::ext::on_informational(&mut request, move |answer| {
                match &gate {
                    // hyper tells the client itself when the body is read.
                    Some(gate) if answer.status() == StatusCode::CONTINUE => gate.open(),
                    _ => {
                        interim.push(answer.status(), answer.headers());
                        // Polls the connection of the client, which flushes then.
                        news.notify_one();
                    }
                }
            });
        }
        let mut sending = std::pin::pin!(self.link.send(request));
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut sending => break sent,
                () = news.notified() => {}
            }
        };
        self.interim.end();
        sent
    }

    /// Leaves HTTP behind: bytes go both ways until one side ends, or the recording.
    fn switch(
        &self,
        mut head: response::Parts,
        leaving: Option<OnUpgrade>,
        exchange: Option<Exchange>,
    ) -> Response<Download> {
        let name = head.headers.get(UPGRADE).map(HeaderValue::as_bytes);
        let is_websocket = name.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket"));
        if let Some(exchange) = exchange {
            exchange.skip(if is_websocket {
                reason::WEBSOCKET
            } else {
                reason::UPGRADE
            });
        }
        let upstream = head.extensions.remove::<OnUpgrade>();
        let (Some(client), Some(upstream)) = (leaving, upstream) else {
            let text = "proofload record: the upstream changed the protocol without being asked\n";
            return own(StatusCode::BAD_GATEWAY, text);
        };
        let (mut ended, place) = (self.ended.clone(), Arc::clone(&self.place));
        tokio::spawn(async move {
            let tunnel = async {
                if let (Ok(client), Ok(upstream)) = tokio::join!(client, upstream) {
                    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
                    // How it ends is the business of the two.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                }
            };
            tokio::select! {
                () = tunnel => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
            drop(place);
        });
        Response::from_parts(passed(head, true), Download::Own(None))
    }
}

/// The head of an answer without what belongs to the hop to the upstream.
fn passed(mut head: response::Parts, is_upgrade: bool) -> response::Parts {
    head.headers = forward::end_to_end(&head.headers, is_upgrade);
    head.version = Version::HTTP_11;
    head
}

/// An answer of the recorder itself.
fn own(status: StatusCode, text: &str) -> Response<Download> {
    let body = Download::Own(Some(Bytes::copy_from_slice(text.as_bytes())));
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    use super::{
        super::{
            exchange::Shared,
            session::{SessionBy, Sessions},
        },
        *,
    };
    use crate::{clock::Clock, tls::Trust, workload::Target};

    /// An application that answers each connection once.
    async fn application() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1_000]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
            }
        });
        address
    }

    /// Asks and says what came within a moment.
    async fn ask(stream: &mut TcpStream, patience: Duration) -> String {
        let request = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
        stream.write_all(request).await.unwrap();
        heard(stream, patience).await
    }

    async fn heard(stream: &mut TcpStream, patience: Duration) -> String {
        let mut bytes = [0; 1_000];
        let read = timeout(patience, stream.read(&mut bytes)).await;
        let length = read.map_or(0, Result::unwrap);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_until_another_one_ends() {
        let target = Target::parse(&format!("http://{}", application().await)).unwrap();
        let upstream = Upstream::new(target, &Trust::default(), false).unwrap();
        let (tape, _finished) = mpsc::sync_channel(10);
        let sessions = Sessions::new(vec![SessionBy::Address]);
        let shared = Shared::new(Clock::start());
        let recorder = Arc::new(Recorder::new(sessions, 10, shared, tape));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut proxy = Proxy::new(upstream, recorder, address, None);
        proxy.most_connections = 3;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(proxy.serve(listener, async move {
            let _ = stopped.await;
        }));
        let long = Duration::from_secs(60);
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert!(ask(&mut stream, long).await.starts_with("HTTP/1.1 200"));
            open.push(stream);
        }
        // The kernel takes it, and nobody answers.
        let mut more = TcpStream::connect(address).await.unwrap();
        assert_eq!(ask(&mut more, Duration::from_millis(300)).await, "");
        // Those that are in go on.
        assert!(ask(&mut open[0], long).await.starts_with("HTTP/1.1 200"));
        open.pop();
        assert!(heard(&mut more, long).await.starts_with("HTTP/1.1 200"));
        stop.send(()).unwrap();
        serving.await.unwrap().wait().await;
    }
}
