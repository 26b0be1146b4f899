//! One byte stream to a target, plain or TLS, and why it could not be opened.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustix::io::Errno;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, CertificateError, ClientConfig,
        pki_types::{InvalidDnsNameError, ServerName},
    },
};

use crate::{
    run::Class,
    workload::{Address, Scheme, Target},
};

/// Where connections of one side go.
#[derive(Clone)]
pub(super) struct Endpoint {
    address: std::net::SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why a target cannot be connected to at all.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The caller did not resolve the target.
    #[error("{0} was not resolved to an address")]
    Unresolved(String),
    /// The host is no name that a certificate could be for.
    #[error("{0} is not a host name that TLS can check")]
    Name(String, #[source] InvalidDnsNameError),
}

impl Endpoint {
    /// The endpoint of a resolved target.
    ///
    /// # Errors
    /// When the target has no address, or TLS cannot check its name.
    pub(super) fn new(target: &Target, tls: &Arc<ClientConfig>) -> Result<Self, EndpointError> {
        let unresolved = || EndpointError::Unresolved(target.host.clone());
        let Some(Address::Tcp(address)) = target.address else {
            return Err(unresolved());
        };
        let tls = match target.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|error| EndpointError::Name(target.host.clone(), error))?;
                Some((TlsConnector::from(Arc::clone(tls)), name))
            }
        };
        Ok(Self { address, tls })
    }

    /// Opens a connection; takes as long as it takes, the caller has the deadline.
    ///
    /// # Errors
    /// The class of the failure.
    pub(super) async fn connect(&self) -> Result<Stream, Class> {
        let tcp = TcpStream::connect(self.address)
            .await
            .map_err(|error| connect_class(&error))?;
        // Small requests must leave at once; Nagle's algorithm would hold the second one.
        let _ = tcp.set_nodelay(true);
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), tcp).await;
                Ok(Stream::Tls(Box::new(
                    stream.map_err(|error| tls_class(&error))?,
                )))
            }
        }
    }
}

/// An open connection.
pub(super) enum Stream {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads what there is, or registers for more.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let polled = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buf),
        };
        polled.map_ok(|()| buf.filled().len())
    }

    /// Writes as much as fits, or registers for room.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Pushes out what TLS still holds; plain streams hold nothing.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
}

/// The class of a failed connect.
pub(super) fn connect_class(error: &io::Error) -> Class {
    if let Some(class) = local_class(error) {
        return class;
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Class::ConnectRefused,
        io::ErrorKind::TimedOut => Class::ConnectTimeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Class::ConnectReset,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied => Class::ConnectUnreachable,
        _ => Class::LocalOther,
    }
}

/// The class of an error that is the generator's own, if it is one.
pub(super) fn local_class(error: &io::Error) -> Option<Class> {
    match Errno::from_io_error(error)? {
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Some(Class::LocalPorts),
        Errno::MFILE | Errno::NFILE => Some(Class::LocalFds),
        Errno::NOBUFS | Errno::NOMEM => Some(Class::LocalOther),
        _ => None,
    }
}

fn tls_class(error: &io::Error) -> Class {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(cause)) = inner else {
        return match error.kind() {
            io::ErrorKind::ConnectionReset => Class::ConnectReset,
            _ => Class::TlsHandshake,
        };
    };
    match cause {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Class::TlsExpired,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Class::TlsName
        }
        _ => Class::TlsUntrusted,
    }
}
