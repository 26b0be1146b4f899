//! How certificates are checked and which one is shown: one configuration for the engine and
//! for the preflight. Reads no file; PEM text comes from the caller.

use std::{fmt, sync::Arc};

use rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs::default_provider},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// How the certificates of targets are checked, and who we say that we are.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Check nothing; shown in every report.
    pub insecure: bool,
    /// Roots besides those of the machine.
    pub roots: Vec<CertificateDer<'static>>,
    /// Trust `roots` and not those of the machine.
    pub only_these: bool,
    /// What is shown to servers that ask for a certificate.
    pub identity: Option<Identity>,
    /// Whether a later connection may resume the TLS session of an earlier one.
    pub resumption: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            insecure: false,
            roots: Vec::new(),
            only_these: false,
            identity: None,
            resumption: true,
        }
    }
}

/// A client certificate with its key, which are known to fit each other.
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificates = self.chain.len();
        write!(f, "Identity({certificates} certificates, key not shown)")
    }
}

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text is no PEM at all, or broken.
    #[error("the PEM text is broken: {0}")]
    Pem(String),
    /// There is PEM, but nothing of the kind that is needed.
    #[error("no `BEGIN CERTIFICATE` is in it; give a certificate in PEM")]
    NoCertificate,
    /// No key that can be read.
    #[error("no `BEGIN PRIVATE KEY` is in it; give a key in PEM without a passphrase")]
    NoKey,
    /// The key is of no known kind, or belongs to another certificate.
    #[error("the key cannot be used with the certificate: {0}; give the two that belong together")]
    Key(rustls::Error),
    /// A root that is no certificate.
    #[error("a certificate authority cannot be used: {0}; give a certificate in PEM")]
    Root(rustls::Error),
}

/// Every certificate in a PEM text, at least one.
///
/// # Errors
/// When it is broken or holds none.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TlsError::Pem(error.to_string()))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(found)
}

impl Identity {
    /// The first key of a PEM text for a chain, the certificate of the client first.
    ///
    /// # Errors
    /// When there is no key, or it is that of another certificate.
    pub fn new(chain: Vec<CertificateDer<'static>>, key_pem: &[u8]) -> Result<Self, TlsError> {
        // The cause is left out: it could quote from the key.
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| TlsError::NoKey)?;
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &default_provider())
            .map_err(TlsError::Key)?;
        let key = Arc::new(key);
        Ok(Self { chain, key })
    }
}

/// The TLS settings of the engine: the machine's certificate roots, bundled ones where the
/// machine has none, and what `trust` adds. The names in `alpn` are offered in this order.
///
/// # Errors
/// When a root or the client's certificate cannot be used.
pub fn tls_config(trust: &Trust, alpn: &[&str]) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions");
    let builder = if trust.insecure {
        let verifier = Arc::new(insecure::TrustAll(provider));
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
    } else {
        builder.with_root_certificates(roots(trust)?)
    };
    let mut config = match &trust.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => builder
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(TlsError::Key)?,
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    if !trust.resumption {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

/// The TLS settings of a server that shows this certificate. The names in `alpn` are accepted, the
/// preferred one first.
///
/// # Errors
/// When the certificate cannot be used.
pub fn server_config(identity: &Identity, alpn: &[&str]) -> Result<Arc<ServerConfig>, TlsError> {
    let Identity { chain, key } = identity;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_no_client_auth()
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(TlsError::Key)?;
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

fn roots(trust: &Trust) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if !trust.only_these {
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        if roots.is_empty() {
            let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned();
            roots.add_parsable_certificates(bundled);
        }
    }
    for root in &trust.roots {
        roots.add(root.clone()).map_err(TlsError::Root)?;
    }
    Ok(roots)
}

mod insecure {
    //! The verifier behind `--insecure`: every certificate is fine, signatures are still checked.

    use std::sync::Arc;

    use super::{
        CertificateDer, CryptoProvider,
        rustls::{
            DigitallySignedStruct, Error, SignatureScheme,
            client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            crypto::{verify_tls12_signature, verify_tls13_signature},
            pki_types::{ServerName, UnixTime},
        },
    };

    #[derive(Debug)]
    pub(super) struct TrustAll(pub(super) Arc<CryptoProvider>);

    impl ServerCertVerifier for TrustAll {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _server_name: &ServerName<'_>,
            _ocsp_response: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls12_signature(message, cert, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls13_signature(message, cert, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate and its key, in PEM.
    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_key_must_fit_its_certificate_and_is_never_shown() {
        let (certificate, key) = pair();
        let (_, other) = pair();
        let chain = certificates(certificate.as_bytes()).unwrap();
        let wrong = Identity::new(chain.clone(), other.as_bytes()).unwrap_err();
        assert!(matches!(wrong, TlsError::Key(_)), "{wrong}");
        let wrong = Identity::new(chain.clone(), certificate.as_bytes()).unwrap_err();
        assert!(matches!(wrong, TlsError::NoKey), "{wrong}");
        let identity = Identity::new(chain, key.as_bytes()).unwrap();
        let trust = Trust {
            identity: Some(identity),
            ..Trust::default()
        };
        let shown = format!("{trust:?}");
        assert!(shown.contains("key not shown"), "{shown}");
        let config = tls_config(&trust, &["h2", "http/1.1"]).unwrap();
        assert!(config.client_auth_cert_resolver.has_certs());
        assert_eq!(
            config.alpn_protocols,
            [b"h2".to_vec(), b"http/1.1".to_vec()]
        );
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        for text in ["", "nonsense", &pair().1] {
            let error = certificates(text.as_bytes()).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate), "{error}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
        assert!(certificates(broken.as_bytes()).is_err());
        let trust = Trust {
            roots: vec![CertificateDer::from(vec![1, 2, 3])],
            ..Trust::default()
        };
        assert!(matches!(tls_config(&trust, &[]), Err(TlsError::Root(_))));
    }
}
