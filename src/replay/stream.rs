//! One byte stream to a target: TCP or a Unix socket, plain or TLS, and why it cannot be had.
//!
//! Never waits: what cannot be done now is done when the socket says so. Readiness is
//! edge-triggered and registered once, so nothing is armed again for each request.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UnixStream},
};
use rustix::io::Errno;
use rustls::{
    self, CertificateError, ClientConfig, ClientConnection,
    pki_types::{InvalidDnsNameError, ServerName},
};

use super::encode::speaks_http2;
use crate::{
    run::Class,
    workload::{Address, Scheme, Target},
};

/// Plaintext that TLS may hold for a socket that takes nothing, in bytes.
const TLS_BUFFER: usize = 256 << 10;

/// Where connections of one side go.
#[derive(Clone)]
pub(super) struct Route {
    address: Address,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Whether HTTP/2 is spoken there.
    pub(super) is_http2: bool,
}

/// Why a target cannot be connected to at all.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// The caller did not resolve the target.
    #[error("{0} was not resolved to an address")]
    Unresolved(String),
    /// The host is no name that a certificate could be for.
    #[error("{0} is not a host name that TLS can check")]
    Name(String, #[source] InvalidDnsNameError),
    /// The TLS settings cannot be used.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
}

impl Route {
    /// The route to a resolved target.
    ///
    /// # Errors
    /// When the target has no address, or TLS cannot check its name.
    pub(super) fn new(target: &Target, trust: &crate::tls::Trust) -> Result<Self, RouteError> {
        let unresolved = || RouteError::Unresolved(target.host.clone());
        let address = target.address.clone().ok_or_else(unresolved)?;
        let is_http2 = speaks_http2(target);
        let tls = match target.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|error| RouteError::Name(target.host.clone(), error))?;
                let protocol = if is_http2 { "h2" } else { "http/1.1" };
                Some((crate::tls::tls_config(trust, &[protocol])?, name))
            }
        };
        Ok(Self {
            address,
            tls,
            is_http2,
        })
    }

    /// Begins to connect.
    ///
    /// # Errors
    /// The class of a failure that shows at once.
    pub(super) fn connect(&self, registry: &Registry, token: Token) -> Result<Stream, Class> {
        let failed = |error: io::Error| connect_class(&error);
        let mut socket = match &self.address {
            Address::Tcp(address) => Socket::Tcp(TcpStream::connect(*address).map_err(failed)?),
            Address::Unix(path) => Socket::Unix(UnixStream::connect(path).map_err(failed)?),
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut socket {
            Socket::Tcp(socket) => registry.register(socket, token, both),
            Socket::Unix(socket) => registry.register(socket, token, both),
        }
        .map_err(failed)?;
        let tls = match &self.tls {
            None => None,
            Some((config, name)) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone());
                let mut session = Box::new(session.map_err(|_| Class::TlsHandshake)?);
                session.set_buffer_limit(Some(TLS_BUFFER));
                Some(session)
            }
        };
        Ok(Stream { socket, tls })
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write_vectored(parts),
            Self::Unix(socket) => socket.write_vectored(parts),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection's bytes.
pub(super) struct Stream {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
}

/// Room to read into, shared by all connections of a thread; the default has none.
#[derive(Default)]
pub(super) struct Buffers {
    wire: Box<[u8]>,
    plain: Box<[u8]>,
}

impl Buffers {
    /// Room for what a socket holds at once, and for one record of TLS.
    pub(super) fn new() -> Self {
        Self {
            wire: vec![0; 64 << 10].into_boxed_slice(),
            plain: vec![0; 16 << 10].into_boxed_slice(),
        }
    }
}

/// What one read found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing now; the socket will say when there is more.
    Nothing,
    /// Bytes, and perhaps more.
    Some,
    /// Bytes, and nothing more now.
    Last,
    /// The end. In order means that no cut could go unnoticed.
    End { in_order: bool },
}

impl Stream {
    /// Whether the connection stands; an error when it cannot be had.
    ///
    /// # Errors
    /// The class of the failure.
    pub(super) fn check_connected(&mut self) -> Result<bool, Class> {
        let (error, is_connected) = match &self.socket {
            Socket::Tcp(socket) => (socket.take_error(), socket.peer_addr().is_ok()),
            Socket::Unix(socket) => (socket.take_error(), socket.peer_addr().is_ok()),
        };
        if let Ok(Some(error)) | Err(error) = error {
            return Err(connect_class(&error));
        }
        if is_connected && let Socket::Tcp(socket) = &self.socket {
            // Small requests must leave at once; Nagle's algorithm would hold the second one.
            let _ = socket.set_nodelay(true);
        }
        Ok(is_connected)
    }

    /// Whether TLS has yet to agree with the peer.
    pub(super) fn is_handshaking(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|session| session.is_handshaking())
    }

    /// Whether there is TLS at all.
    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The protocol that TLS agreed on, if it did.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn_protocol()
    }

    /// Reads once from the socket and passes on what that means, in pieces.
    ///
    /// # Errors
    /// Of the socket, of TLS, or the one that `each` gave.
    pub(super) fn read<E: From<io::Error>>(
        &mut self,
        buffers: &mut Buffers,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Found, E> {
        let n = match self.socket.read(&mut buffers.wire) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Found::Some),
            Err(error) => return Err(error.into()),
        };
        // A read that did not fill the room has emptied the socket: what comes later says so.
        let found = if n == buffers.wire.len() {
            Found::Some
        } else {
            Found::Last
        };
        let wire = &buffers.wire[..n];
        let Some(tls) = &mut self.tls else {
            if n == 0 {
                return Ok(Found::End { in_order: true });
            }
            each(wire)?;
            return Ok(found);
        };
        let mut rest = wire;
        let mut closed = n == 0;
        if closed {
            // TLS must know of the end, to tell one without a farewell from one with it.
            tls.read_tls(&mut io::empty())?;
        }
        while !rest.is_empty() {
            // Behind its farewell the peer may say what it likes: nobody takes it.
            if tls.read_tls(&mut rest)? == 0 {
                break;
            }
            let state = match tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The peer is told why, if it still listens.
                    let _ = tls.write_tls(&mut self.socket);
                    return Err(io::Error::other(error).into());
                }
            };
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let n = tls.reader().read(&mut buffers.plain)?;
                each(&buffers.plain[..n])?;
                left = left.saturating_sub(n.max(1));
            }
            closed |= state.peer_has_closed();
        }
        if closed {
            let in_order = n > 0
                || !matches!(tls.reader().read(&mut buffers.plain), Err(error)
                if error.kind() == io::ErrorKind::UnexpectedEof);
            return Ok(Found::End { in_order });
        }
        Ok(found)
    }

    /// Takes as many of these bytes as it can now.
    ///
    /// # Errors
    /// `WouldBlock` when it takes none; else why the stream is broken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write(bytes);
        };
        let n = tls.writer().write(bytes)?;
        self.flush()?;
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(n)
    }

    /// Pushes out what TLS holds, as far as the socket takes it; plain streams hold nothing.
    ///
    /// # Errors
    /// Why the stream is broken; a socket that takes no more now is no error.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether TLS holds bytes that the socket has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|session| session.wants_write())
    }
}

/// The class of a failed connect.
fn connect_class(error: &io::Error) -> Class {
    if let Some(class) = local_class(error) {
        return class;
    }
    match error.kind() {
        // A Unix socket that is not there, or has a full queue of connections, is like a port on
        // which nobody listens.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound | io::ErrorKind::WouldBlock => {
            Class::ConnectRefused
        }
        io::ErrorKind::TimedOut => Class::ConnectTimeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Class::ConnectReset,
        // What is our own was told apart by its number; the rest is what the network answered.
        _ => Class::ConnectUnreachable,
    }
}

/// The class of an error that is the generator's own, if it is one.
pub(super) fn local_class(error: &io::Error) -> Option<Class> {
    match Errno::from_io_error(error)? {
        Errno::ADDRNOTAVAIL | Errno::ADDRINUSE => Some(Class::LocalPorts),
        Errno::MFILE | Errno::NFILE => Some(Class::LocalFds),
        Errno::NOBUFS | Errno::NOMEM | Errno::INVAL => Some(Class::LocalOther),
        _ => None,
    }
}

/// The class of a handshake that failed.
pub(super) fn tls_class(error: &io::Error) -> Class {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(cause)) = inner else {
        return match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Class::ConnectReset,
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
