//! Certificates that are right, from strangers, out of date, or for somebody else.

use std::{collections::BTreeMap, sync::Arc};

use proofload::{
    replay::Load,
    run::{Class, Side},
    tls::Trust,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

use crate::{
    binary::Proofload,
    engine::{load, run, target, workload},
    faultd::{Fault, Faultd, MS, Setup},
};

/// An authority of the test's own.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A server with a certificate for this name that ends with this year.
    fn acceptor(&self, name: &str, year: i32) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
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
