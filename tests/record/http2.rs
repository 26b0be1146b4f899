//! HTTP/2 on either side, with and without TLS.

use std::{io::Read, net::SocketAddr};

use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client::conn::http2,
    header::HeaderValue,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use proofload::tls::{Identity, Trust, certificates, server_config, tls_config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    app::{App, pattern},
    client::Client,
    recording::{account, call, counted, recorded, start},
};

/// A body in pieces, with fields behind it.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Bytes>,
    behind: Option<HeaderMap>,
}

impl Pieces {
    fn new(bytes: &[u8], has_trailers: bool) -> Self {
        let pieces = bytes
            .chunks(10_007)
            .rev()
            .map(Bytes::copy_from_slice)
            .collect();
        let behind = has_trailers.then(|| {
            let mut fields = HeaderMap::new();
            fields.insert("grpc-status", HeaderValue::from_static("0"));
            fields
        });
        Self { pieces, behind }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.pieces.pop().map(Frame::data);
        let frame = piece.or_else(|| self.behind.take().map(Frame::trailers));
        std::task::Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.behind.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// All of a body, and the fields behind it.
async fn all(mut body: Incoming) -> Result<(Vec<u8>, HeaderMap), hyper::Error> {
    let (mut bytes, mut behind) = (Vec::new(), HeaderMap::new());
    loop {
        let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
        let Some(frame) = next else {
            return Ok((bytes, behind));
        };
        let frame = frame?;
        match frame.into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => behind.extend(frame.into_trailers().unwrap()),
        }
    }
}

/// Echoes what it gets and says how it was asked. Leaves HTTP where that is wanted and allowed.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Pieces>, hyper::Error> {
    let wanted = request.headers().get("upgrade").cloned();
    if let Some(wanted) = wanted.filter(|_| request.uri() != "/forbidden") {
        let leaving = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let socket = TokioIo::new(leaving.await.unwrap());
            let (mut from, mut to) = tokio::io::split(socket);
            // Whoever has heard enough leaves.
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let answer = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "Upgrade")
            .header("upgrade", wanted);
        return Ok(answer.body(Pieces::default()).unwrap());
    }
    let (head, body) = request.into_parts();
    let is_rpc = head
        .headers
        .get("content-type")
        .is_some_and(|kind| kind == "application/grpc");
    let host = head.uri.authority().map(ToString::to_string);
    let host = host.or_else(|| Some(head.headers.get("host")?.to_str().ok()?.to_owned()));
    let mut answer = Response::builder()
        .header("x-version", format!("{:?}", head.version))
        .header("x-host", host.unwrap_or_default())
        .header("x-cookies", cookies(&head.headers))
        .header("x-path", head.uri.path_and_query().unwrap().as_str());
    if is_rpc {
        answer = answer.header("content-type", "application/grpc");
    }
    let (bytes, _) = all(body).await?;
    Ok(answer.body(Pieces::new(&bytes, is_rpc)).unwrap())
}

/// Each `Cookie` field in brackets.
fn cookies(headers: &HeaderMap) -> String {
    let fields = headers.get_all("cookie").iter();
    let fields = fields.map(|field| format!("[{}]", field.to_str().unwrap()));
    fields.collect()
}

/// An application that speaks whatever it is spoken to in.
async fn upstream(tls: Option<TlsAcceptor>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tls = tls.clone();
            tokio::spawn(async move {
                match tls {
                    None => serve(stream).await,
                    Some(tls) => {
                        // Whoever trusts nobody leaves.
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let builder = auto::Builder::new(TokioExecutor::new());
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(echo));
    // Clients come and go.
    let _ = served.await;
}

type Sender = http2::SendRequest<Pieces>;

async fn shake_hands(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Sender {
    let builder = http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, kind: &str, body: &[u8]) -> Request<Pieces> {
    Request::builder()
        .method(if body.is_empty() { "GET" } else { "POST" })
        .uri(format!("https://app.test{path}"))
        .version(Version::HTTP_2)
        .header("content-type", kind)
        .header("te", "trailers")
        .body(Pieces::new(body, kind == "application/grpc"))
        .unwrap()
}

/// Many requests at once over one connection; the version in which the upstream was asked.
async fn ask(sender: &Sender, host: &str) -> String {
    let asking = (0..40).map(|number| {
        let mut sender = sender.clone();
        tokio::spawn(async move {
            let body = pattern(number * 3_001);
            let path = format!("/a/{number}?b=%2F");
            sender.ready().await.unwrap();
            let answer = sender
                .send_request(request(&path, "a/b", &body))
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["x-path"], *path);
            let said = ["x-version", "x-host"]
                .map(|name| answer.headers()[name].to_str().unwrap().to_owned());
            assert!(all(answer.into_body()).await.unwrap().0 == body, "{path}");
            said
        })
    });
    let mut versions = Vec::new();
    for answer in asking.collect::<Vec<_>>() {
        let [version, found] = answer.await.unwrap();
        assert_eq!(found, host);
        versions.push(version);
    }
    versions.dedup();
    assert_eq!(versions.len(), 1, "{versions:?}");
    versions.remove(0)
}

/// An authority and a certificate of its own for 127.0.0.1, in files.
struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let key = key.serialize_pem();
        Self {
            authority,
            certificate,
            key,
        }
    }

    fn acceptor(&self, alpn: &[&str]) -> TlsAcceptor {
        let chain = certificates(self.certificate.as_bytes()).unwrap();
        let identity = Identity::new(chain, self.key.as_bytes()).unwrap();
        server_config(&identity, alpn).unwrap().into()
    }

    async fn connect(
        &self,
        address: SocketAddr,
        alpn: &[&str],
    ) -> impl AsyncRead + AsyncWrite + use<> {
        let trust = Trust {
            roots: certificates(self.authority.as_bytes()).unwrap(),
            only_these: true,
            ..Trust::default()
        };
        let connector = TlsConnector::from(tls_config(&trust, alpn).unwrap());
        let name = "127.0.0.1".try_into().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(chosen.as_deref(), alpn.first().map(|name| name.as_bytes()));
        stream
    }
}

#[tokio::test]
async fn prior_knowledge_is_enough_on_both_sides() {
    for (flags, version) in [("", "HTTP/1.1"), ("--protocol http2", "HTTP/2.0")] {
        let address = upstream(None).await;
        let recording = start(call(&format!("http://{address}"), flags));
        let sender = shake_hands(TcpStream::connect(recording.address).await.unwrap()).await;
        assert_eq!(ask(&sender, "app.test").await, version);
        let done = recording.stop().expect(0);
        assert_eq!(account(&done), "read 40, kept 40, skipped 0");
        let mut requests = recorded(&done);
        requests.sort_by_key(|request| request.body.len());
        for (number, request) in requests.iter().enumerate() {
            assert_eq!(request.path, format!("/a/{number}?b=%2F"));
            assert!(request.body == pattern(number * 3_001));
            let names: Vec<&str> = request
                .headers
                .iter()
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(names, ["content-type"]);
        }
    }
}

#[tokio::test]
async fn cookies_in_fields_of_their_own_tell_clients_and_reach_the_upstream() {
    for (flags, expected) in [
        // RFC 9113, section 8.2.3: outside of HTTP/2 there is one field.
        ("", "[theme=dark; sessionid=secret-N; tab=1]"),
        (
            "--protocol http2",
            "[theme=dark][sessionid=secret-N][tab=1]",
        ),
    ] {
        let address = upstream(None).await;
        let recording = start(call(&format!("http://{address}"), flags));
        let stream = TcpStream::connect(recording.address).await.unwrap();
        let mut sender = shake_hands(stream).await;
        // Three visitors behind one connection, as a load balancer has them.
        for number in 0..30 {
            let visitor = number % 3;
            let mut asked = request(&format!("/x?visitor={visitor}"), "a/b", b"");
            for cookie in [
                "theme=dark",
                &format!("sessionid=secret-{visitor}"),
                "tab=1",
            ] {
                asked
                    .headers_mut()
                    .append("cookie", cookie.parse().unwrap());
            }
            sender.ready().await.unwrap();
            let answer = sender.send_request(asked).await.unwrap();
            let expected = expected.replace('N', &visitor.to_string());
            assert_eq!(answer.headers()["x-cookies"], *expected, "{flags}");
            all(answer.into_body()).await.unwrap();
        }
        let done = recording.stop().expect(0);
        let requests = recorded(&done);
        assert_eq!(requests.len(), 30);
        for asked in requests {
            let visitor: usize = asked.path.rsplit('=').next().unwrap().parse().unwrap();
            assert_eq!(asked.session, format!("s{}", visitor + 1));
        }
        assert!(!done.stdout.contains("secret-"), "{}", done.stdout);
    }
}

#[tokio::test]
async fn http1_clients_reach_an_upstream_that_speaks_http2_only() {
    let address = upstream(None).await;
    let recording = start(call(&format!("http://{address}"), "--protocol http2"));
    let asked = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(recording.address);
        for size in [0, 1, 70_000] {
            let body = pattern(size);
            let answer = client.ask("POST", "/x?y", "Connection: keep-alive\r\n", &body);
            assert!(answer.body == body);
            let field = |name: &str| answer.fields.iter().find(|(field, _)| field == name);
            assert_eq!(field("x-version").unwrap().1, "HTTP/2.0");
            assert_eq!(field("x-host").unwrap().1, "app.test");
        }
        recording
    });
    let done = asked.await.unwrap().stop().expect(0);
    assert_eq!(account(&done), "read 3, kept 3, skipped 0");
}

#[tokio::test]
async fn tls_on_both_sides_takes_what_both_ends_speak() {
    let certificates = Certificates::new();
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], "HTTP/2.0"),
        (&["http/1.1"], "HTTP/1.1"),
    ] {
        let address = upstream(Some(certificates.acceptor(alpn))).await;
        let flags = "--cacert ca.pem --cacert-only --listen-cert cert.pem --listen-key key.pem";
        let call = call(&format!("https://{address}"), flags)
            .file("ca.pem", &certificates.authority)
            .file("cert.pem", &certificates.certificate)
            .file("key.pem", &certificates.key);
        let recording = start(call);
        let stream = certificates.connect(recording.address, &["h2"]).await;
        let sender = shake_hands(stream).await;
        assert_eq!(ask(&sender, "app.test").await, version);
        // The same port speaks HTTP/1.1 to who wants it.
        let stream = certificates.connect(recording.address, &["http/1.1"]).await;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri("/one").header("host", "app.test");
        let answer = sender
            .send_request(request.body(Pieces::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.headers()["x-version"], *version);
        let done = recording.stop().expect(0);
        assert_eq!(account(&done), "read 41, kept 41, skipped 0");
        assert_eq!(recorded(&done).len(), 41);
        assert!(
            !std::fs::read_to_string(done.path("w.jsonl"))
                .unwrap()
                .contains("PRIVATE")
        );
    }
}

#[tokio::test]
async fn a_websocket_passes_to_an_upstream_that_speaks_http2_to_all_others() {
    let certificates = Certificates::new();
    for flags in ["", "--protocol http2"] {
        let address = upstream(Some(certificates.acceptor(&["h2", "http/1.1"]))).await;
        let more = format!("--cacert ca.pem --cacert-only {flags}");
        let call = call(&format!("https://{address}"), &more);
        let recording = start(call.file("ca.pem", &certificates.authority));
        let asked = tokio::task::spawn_blocking(move || {
            let version = |client: &mut Client| {
                let answer = client.get("/x");
                let mut fields = answer.fields.into_iter();
                fields.find(|(name, _)| name == "x-version").unwrap().1
            };
            let mut client = Client::connect(recording.address);
            // There is a connection of HTTP/2 that is shared by all that can share one.
            assert_eq!(version(&mut client), "HTTP/2.0");
            let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
            let refused = client.ask("GET", "/forbidden", fields, b"");
            assert_eq!(refused.status, "200 OK");
            assert_eq!(version(&mut client), "HTTP/2.0");
            let head = format!("GET /socket HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n");
            client.send(head.as_bytes());
            let answer = client.answer("GET").unwrap();
            assert_eq!(answer.status, "101 Switching Protocols");
            for word in ["abcd", "\0\r\n\u{7f}"] {
                client.send(word.as_bytes());
                let mut back = [0; 4];
                client.reader.read_exact(&mut back).unwrap();
                assert_eq!(back, word.as_bytes());
            }
            recording
        });
        let done = asked.await.unwrap().stop().expect(0);
        assert_eq!(account(&done), "read 4, kept 2, skipped 2");
        assert_eq!(counted(&done, "WebSocket"), 1);
        assert_eq!(counted(&done, "upgrade that was not granted"), 1);
        assert!(recorded(&done).iter().all(|request| request.path == "/x"));
    }
}

#[tokio::test]
async fn a_certificate_from_a_stranger_is_refused_unless_nothing_is_checked() {
    let certificates = Certificates::new();
    let address = upstream(Some(certificates.acceptor(&["h2"]))).await;
    for (flags, status) in [("", "502 Bad Gateway"), ("--insecure", "200 OK")] {
        let recording = start(call(&format!("https://{address}"), flags));
        let asked = tokio::task::spawn_blocking(move || {
            let answer = Client::connect(recording.address).get("/x");
            (recording, answer)
        });
        let (recording, answer) = asked.await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
        let done = recording.stop();
        let is_said = done.stderr.contains("is not checked (--insecure)");
        assert_eq!(is_said, flags == "--insecure", "{}", done.stderr);
    }
}

#[tokio::test]
async fn remote_calls_pass_with_what_stands_behind_them_and_are_counted() {
    let address = upstream(None).await;
    let recording = start(call(&format!("http://{address}"), "--protocol http2"));
    let mut sender = shake_hands(TcpStream::connect(recording.address).await.unwrap()).await;
    let body = pattern(50_000);
    let answer = sender.send_request(request("/rpc.Service/Call", "application/grpc", &body));
    let (bytes, behind) = all(answer.await.unwrap().into_body()).await.unwrap();
    assert!(bytes == body);
    assert_eq!(behind["grpc-status"], "0");
    let answer = sender
        .send_request(request("/plain", "a/b", &body))
        .await
        .unwrap();
    assert!(all(answer.into_body()).await.unwrap().0 == body);
    let done = recording.stop().expect(0);
    assert_eq!(account(&done), "read 2, kept 1, skipped 1");
    assert_eq!(counted(&done, "gRPC, which is not replayed"), 1);
}

#[test]
fn the_files_of_a_certificate_must_fit_each_other() {
    let app = App::start();
    let (one, other) = (Certificates::new(), Certificates::new());
    let flags = "--listen-cert cert.pem --listen-key key.pem";
    let call = call(&app.url(), flags)
        .file("cert.pem", &one.certificate)
        .file("key.pem", &other.key);
    let done = call.run().expect(2);
    assert!(
        done.stderr.contains("--listen-key key.pem"),
        "{}",
        done.stderr
    );
    assert!(!done.path("w.part.jsonl").exists());
}
