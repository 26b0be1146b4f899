//! Flags that say how TLS targets are checked and who we say that we are.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::exit::Failure;
use crate::{
    compare::Warning,
    report::INSECURE,
    tls::{Identity, TlsError, Trust, certificates},
};

/// TLS, for both sides.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsFlags {
    /// Checks no certificate; said in every report
    #[arg(long)]
    pub insecure: bool,
    /// Trusts the certificate authorities in this PEM file too; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Vec<PathBuf>,
    /// Trusts those of --cacert and not those of the machine
    #[arg(long, requires = "cacert")]
    pub cacert_only: bool,
    /// Shows this certificate to servers that ask for one: PEM, the client's own first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// The key of --cert: PEM without a passphrase
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Makes each new connection do a full TLS handshake
    #[arg(long)]
    pub no_tls_resumption: bool,
}

impl TlsFlags {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// When a file cannot be read or used; its content is never shown.
    pub(super) fn trust(&self) -> Result<Trust, Failure> {
        self.read().map_err(Failure::usage)
    }

    fn read(&self) -> anyhow::Result<Trust> {
        let mut roots = Vec::new();
        for path in &self.cacert {
            roots.extend(of("--cacert", path, certificates)?);
        }
        let identity = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => {
                let chain = of("--cert", cert, certificates)?;
                let identity = of("--key", key, |pem| Identity::new(chain, pem));
                Some(identity.with_context(|| format!("with --cert {}", cert.display()))?)
            }
            _ => None,
        };
        Ok(Trust {
            insecure: self.insecure,
            roots,
            only_these: self.cacert_only,
            identity,
            resumption: !self.no_tls_resumption,
        })
    }

    /// The effective settings, as run files and reports keep them.
    pub(super) fn record(&self) -> serde_json::Value {
        let shown = |path: &Path| path.display().to_string();
        serde_json::json!({
            "insecure": self.insecure,
            "cacert": self.cacert.iter().map(|path| shown(path)).collect::<Vec<_>>(),
            "cacert-only": self.cacert_only,
            "cert": self.cert.as_deref().map(shown),
            "resumption": !self.no_tls_resumption,
        })
    }
}

/// What every report says when nothing is checked.
pub(super) fn warning(trust: &Trust) -> Option<Warning> {
    trust.insecure.then(|| Warning {
        code: INSECURE.to_owned(),
        text: "no certificate was checked (--insecure): whoever answered may not have been the \
               target"
            .to_owned(),
    })
}

/// What is made of the bytes of a flag's file.
pub(super) fn of<T>(
    flag: &str,
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, TlsError>,
) -> anyhow::Result<T> {
    let at = || format!("{flag} {}", path.display());
    let bytes = std::fs::read(path).with_context(at)?;
    read(&bytes).with_context(at)
}
