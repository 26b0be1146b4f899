//! Certificates that are right, from strangers, out of date, or for somebody else.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use proofload::{
    clock::wall_ns,
    replay::{Arrivals, Load},
    run::{Class, Side},
    tls::Trust,
    units::{SECOND_NS, Speed},
    workload::{Request, Workload, parse_request},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

use crate::{
    binary::Proofload,
    engine::{load, quiet, run, target, workload},
    faultd::{Fault, Faultd, MS, Setup},
};

/// An authority of the test's own.
pub(crate) struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A server with a certificate for this name that ends with this year.
    pub(crate) fn acceptor(&self, name: &str, year: i32) -> TlsAcceptor {
        let until = date_time_ymd(year, 12, 31);
        self.acceptor_with(name, |params| params.not_after = until, false)
    }

    /// One whose certificate ends so many seconds from now.
    fn ends_in(&self, left_s: u64) -> TlsAcceptor {
        let until = date_time_ymd(1970, 1, 1) + Duration::from_secs(wall_ns() / SECOND_NS + left_s);
        self.acceptor_with("127.0.0.1", |params| params.not_after = until, false)
    }

    fn acceptor_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        asks_clients: bool,
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_clients {
            let mut roots = RootCertStore::empty();
            let pem = CertificateDer::from_pem_slice(self.pem.as_bytes());
            roots.add(pem.unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// A client certificate and its key, in PEM.
    fn client(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server that shows the first certificate until it has answered once.
    fn server(&self, first: (&str, i32), later: (&str, i32)) -> Faultd {
        let [first, later] = [first, later].map(|(name, year)| self.acceptor(name, year));
        // Each request needs a handshake of its own, so that each meets the present certificate.
        let close = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
        let fault = Fault::Bytes(close.into(), crate::faultd::Then::Close);
        Setup::default().route("/", fault).tls(first, later).start()
    }
}

const GOOD: (&str, i32) = ("127.0.0.1", 4000);

fn https(server: &Faultd, ms: u64) -> Load {
    let plain = load(server.address, workload(&["GET /x"], None), "100/s", ms);
    let url = format!("https://{}", server.address);
    Load {
        targets: [None, Some(target(&url, server.address))],
        ..plain
    }
}

#[test]
fn a_certificate_of_a_stranger_is_refused_unless_nothing_is_checked() {
    let server = Authority::new().server(GOOD, GOOD);
    let mut load = https(&server, 200);
    let trial = run(&load);
    let sent = trial.side(Side::Candidate).sent();
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::TlsUntrusted, sent)])
    );
    assert_eq!((server.connections(), server.requests()), (sent, 0));

    load.trust = Trust {
        insecure: true,
        ..Trust::default()
    };
    let trial = run(&load);
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::Ok, server.requests())])
    );
}

#[test]
fn an_end_with_a_farewell_is_one_and_an_end_without_it_is_a_cut() {
    use crate::faultd::Then;
    let authority = Authority::new();
    // Without a length only the end says where the answer ends. What follows a farewell is nothing.
    for (then, class) in [
        (Then::Farewell(0), Class::Ok),
        (Then::Farewell(40_000), Class::Ok),
        (Then::Close, Class::TruncatedBody),
    ] {
        let fault = Fault::Bytes(b"HTTP/1.1 200 OK\r\n\r\nall".to_vec(), then);
        let acceptor = || authority.acceptor("127.0.0.1", 4000);
        let server = Setup::default()
            .route("/", fault)
            .tls(acceptor(), acceptor());
        let server = server.start();
        let mut load = https(&server, 200);
        load.trust.insecure = true;
        load.limits.total_ns = 2_000 * MS;
        let trial = run(&load);
        let expected = BTreeMap::from([(class, server.requests())]);
        assert_eq!(trial.classes(), expected, "{then:?}");
    }
}

#[test]
fn a_handshake_that_breaks_or_never_ends_has_its_class() {
    let deaf = Faultd::always(Fault::Silence);
    let mut load = https(&deaf, 200);
    load.limits.connect_ns = 150 * MS;
    let trial = run(&load);
    let sent = trial.side(Side::Candidate).sent();
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::ConnectTimeout, sent)])
    );

    let curt = Setup::default().close_idle(MS).start();
    let trial = run(&https(&curt, 200));
    let sent = trial.side(Side::Candidate).sent();
    // Closed with the greeting read it is an end, with it unread a reset.
    let classes = trial.classes();
    let broken = [Class::TlsHandshake, Class::ConnectReset];
    assert!(
        classes.keys().all(|class| broken.contains(class)),
        "{classes:?}"
    );
    assert_eq!(classes.values().sum::<u64>(), sent);
}

fn run_https(authority: &Authority, server: &Faultd) -> Proofload {
    let url = format!("https://{}", server.address);
    Proofload::new("run --request /x -o run.jsonl --rate 50/s -d 600ms --format json")
        .args(&["--target", &url])
        .file("ca.pem", &authority.pem)
        .env("SSL_CERT_FILE", "ca.pem")
}

#[test]
fn an_authority_from_ssl_cert_file_is_trusted() {
    let authority = Authority::new();
    let server = authority.server(GOOD, GOOD);
    let done = run_https(&authority, &server).run().measured();
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["ok"], json["sent"]);
    // The preflight asked once.
    assert_eq!(json["ok"].as_u64().unwrap() + 1, server.requests());
}

#[test]
fn a_certificate_that_goes_bad_while_the_load_runs_has_its_class() {
    let authority = Authority::new();
    for (later, class) in [
        (("127.0.0.1", 2020), "tls_expired"),
        (("elsewhere.example", 4000), "tls_name"),
    ] {
        let server = authority.server(GOOD, later);
        let done = run_https(&authority, &server).run().expect(12);
        let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!(json["classes"][class], json["sent"], "{}", done.stdout);
        assert!(
            done.stdout.contains("nothing was answered"),
            "{}",
            done.stdout
        );
        assert_eq!(server.requests(), 1, "only the preflight came through");
    }
}

#[test]
fn a_bad_certificate_is_found_before_any_load() {
    let authority = Authority::new();
    for (first, word) in [
        (("127.0.0.1", 2020), "expired"),
        (("elsewhere.example", 4000), "name"),
    ] {
        let server = authority.server(first, GOOD);
        let done = run_https(&authority, &server).run().expect(12);
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert!(done.stderr.contains("no load was sent"), "{}", done.stderr);
        assert_eq!(server.requests(), 0);
    }
    let server = authority.server(GOOD, GOOD);
    let stranger = Authority::new();
    let done = run_https(&stranger, &server).run().expect(12);
    assert!(done.stderr.contains("unusable"), "{}", done.stderr);
}

/// A call that takes its certificates from flags only.
fn run_plain(server: &Faultd, flags: &[&str]) -> Proofload {
    let url = format!("https://{}", server.address);
    Proofload::new("run --request /x -o run.jsonl --rate 50/s -d 300ms --target")
        .args(&[&url])
        .args(flags)
}

#[test]
fn authorities_may_be_given_beside_those_of_the_machine_or_in_their_place() {
    let (ours, other) = (Authority::new(), Authority::new());
    let server = ours.server(GOOD, GOOD);
    let with = |flags: &[&str], machine: &str| {
        run_plain(&server, flags)
            .file("ours.pem", &ours.pem)
            .file("other.pem", &other.pem)
            .env("SSL_CERT_FILE", machine)
            .run()
    };
    with(&["--cacert", "ours.pem"], "other.pem").measured();
    with(&["--cacert", "other.pem"], "ours.pem").measured();
    with(&["--cacert", "ours.pem", "--cacert-only"], "other.pem").measured();
    let done = with(&["--cacert", "other.pem", "--cacert-only"], "ours.pem").expect(12);
    assert!(done.stderr.contains("no load was sent"), "{}", done.stderr);
    let done = with(&["--cacert", "none.pem"], "ours.pem").expect(2);
    assert!(done.stderr.contains("--cacert none.pem"), "{}", done.stderr);
    with(&["--cacert-only"], "ours.pem").expect(2);
}

#[test]
fn a_server_may_ask_for_a_certificate_and_a_key_must_fit_it() {
    let authority = Authority::new();
    let acceptor = || authority.acceptor_with("127.0.0.1", |_| {}, true);
    let route = Setup::default().route("/", Fault::Status(200));
    let server = route.tls(acceptor(), acceptor()).start();
    let ((certificate, key), (_, stranger)) = (authority.client(), authority.client());
    let with = |flags: &[&str]| {
        run_plain(&server, &["--cacert", "ca.pem"])
            .args(flags)
            .file("ca.pem", &authority.pem)
            .file("client.pem", &certificate)
            .file("client.key", &key)
            .file("other.key", &stranger)
            .run()
    };
    let done = with(&["--cert", "client.pem", "--key", "client.key"]).measured();
    assert!(!done.stdout.contains("Not ok"), "{}", done.stdout);
    with(&[
        "--cert",
        "client.pem",
        "--key",
        "client.key",
        "--no-tls-resumption",
    ])
    .measured();
    let before = server.requests();
    with(&[]).expect(12);
    for (flags, word) in [
        (
            &["--cert", "client.pem", "--key", "other.key"][..],
            "--key other.key",
        ),
        (
            &["--cert", "client.key", "--key", "client.key"],
            "--cert client.key",
        ),
        (
            &["--cert", "client.pem", "--key", "client.pem"],
            "--key client.pem",
        ),
        (&["--cert", "client.pem"], "--key <FILE>"),
        (&["--key", "client.key"], "--cert <FILE>"),
    ] {
        let done = with(flags).expect(2);
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert_eq!(server.requests(), before);
}

#[test]
fn a_certificate_must_last_until_an_hour_after_the_run() {
    let authority = Authority::new();
    let day_s = 24 * 3600;
    for (left_s, code, word) in [
        (1_800, 12, "renew it"),
        (5 * day_s + 600, 0, "valid for 5 more days, until "),
        (40 * day_s, 0, ""),
    ] {
        let route = Setup::default().route("/", Fault::Status(200));
        let server = route
            .tls(authority.ends_in(left_s), authority.ends_in(left_s))
            .start();
        let flags = ["--cacert", "ca.pem"];
        let done = run_plain(&server, &flags)
            .file("ca.pem", &authority.pem)
            .run();
        let done = if code == 0 {
            done.measured()
        } else {
            done.expect(code)
        };
        assert!(done.stderr.contains(word), "{}", done.stderr);
        assert_eq!(
            done.stderr.contains("certificate"),
            !word.is_empty(),
            "{}",
            done.stderr
        );
        let one = server.requests() == 1;
        assert_eq!(one, code == 12, "no load was sent");
        let done = run_plain(&server, &["--insecure"]).run().measured();
        assert_eq!(
            done.stderr.contains("not checked"),
            code == 12,
            "{}",
            done.stderr
        );
        assert!(
            done.stdout.contains("Warning: insecure: no certificate"),
            "{}",
            done.stdout
        );
    }
}

#[test]
fn a_reset_before_tls_has_agreed_is_one_of_the_connect() {
    let server = Setup::default().reset_at_accept().start();
    let trial = run(&https(&server, 200));
    let sent = trial.side(Side::Candidate).sent();
    assert_eq!(
        trial.classes(),
        BTreeMap::from([(Class::ConnectReset, sent)])
    );
    assert_eq!((server.connections(), server.requests()), (sent, 0));
}

#[test]
fn a_request_that_is_passed_while_its_connection_opens_is_counted() {
    let _quiet = quiet();
    let authority = Authority::new();
    let acceptor = || authority.acceptor("127.0.0.1", 4000);
    let at = |ms: u64, session: &str, line: &str| Request {
        offset_ns: ms * MS,
        session: session.to_owned(),
        ..parse_request(line).unwrap()
    };
    let requests = |session: &str| {
        vec![
            at(0, "other", "GET /busy"),
            at(100, session, "GET /a"),
            at(600, session, "GET /b"),
        ]
    };
    for (session, passed) in [("one", 1), ("", 0)] {
        // The first request keeps its connection busy, so that the second opens one, whose
        // handshake takes so long that the third, on the first connection, passes it.
        let server = Setup::default()
            .route("/busy", Fault::Delay(300 * MS))
            .route("/", Fault::Status(200))
            .hold(2, Duration::from_millis(900))
            .tls(acceptor(), acceptor())
            .start();
        let workload = Workload::from_requests(requests(session), "test").unwrap();
        let plain = load(server.address, workload, "1/s", 700);
        let url = format!("https://{}", server.address);
        let mut load = Load {
            targets: [None, Some(target(&url, server.address))],
            arrivals: Arrivals::Recorded(Speed::ONE),
            ..plain
        };
        load.trust.insecure = true;
        let trial = run(&load);
        let stats = trial.side(Side::Candidate);
        assert_eq!((stats.ok(), stats.overtook), (3, passed), "{session}");
    }
}
