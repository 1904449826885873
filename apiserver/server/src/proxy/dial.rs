//! Connections to what is behind this server.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as TlsFailure};

/// Why there is no connection, in the words of Go's dialer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DialError {
    #[error("dial tcp: lookup {0}: no such host")]
    NoHost(String),
    #[error("dial tcp: lookup tcp/{0}: unknown port")]
    UnknownPort(String),
    #[error("invalid URL")]
    BadUrl,
    #[error("dial tcp {0}: i/o timeout")]
    Timeout(String),
    #[error("dial tcp {0}: connect: {1}")]
    Connect(SocketAddr, String),
    #[error("net/http: TLS handshake timeout")]
    HandshakeTimeout,
    #[error("{0}")]
    Tls(String),
}

/// Makes connections of one kind.
#[derive(Clone)]
pub(crate) struct Dialer {
    tls: Arc<ClientConfig>,
    /// For a connection, and once more for its handshake.
    patience: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").finish_non_exhaustive()
    }
}

impl Dialer {
    pub(crate) fn new(tls: ClientConfig, patience: Duration) -> Self {
        Self {
            tls: Arc::new(tls),
            patience,
        }
    }

    /// A connection, with TLS if it is to be secure.
    pub(crate) async fn dial(
        &self,
        host: &str,
        port: u16,
        secure: bool,
    ) -> Result<Socket, DialError> {
        let stream = match timeout(self.patience, connect(host, port)).await {
            Ok(connected) => connected?,
            Err(_) => return Err(DialError::Timeout(format!("{host}:{port}"))),
        };
        // Keys that somebody types must not wait for each other.
        let _ = stream.set_nodelay(true);
        if !secure {
            return Ok(Socket::Plain(stream));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::NoHost(host.to_owned()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        match timeout(self.patience, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Socket::Tls(Box::new(stream))),
            Ok(Err(e)) => Err(DialError::Tls(handshake(&e))),
            Err(_) => Err(DialError::HandshakeTimeout),
        }
    }
}

/// Tries the addresses of a host one after the other; of failures the first is told.
async fn connect(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let none = || DialError::NoHost(host.to_owned());
    let addresses = lookup_host((host, port)).await.map_err(|_| none())?;
    let mut first = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(e) => {
                let failed = DialError::Connect(address, reason(&e));
                first.get_or_insert(failed);
            }
        }
    }
    Err(first.unwrap_or_else(none))
}

fn reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::HostUnreachable => "no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => e.to_string(),
    }
}

fn handshake(e: &io::Error) -> String {
    let failure = e.get_ref().and_then(|e| e.downcast_ref::<TlsFailure>());
    let unverified = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match failure {
        // An authority of the right name with another key is another one, too.
        Some(TlsFailure::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => unverified("certificate signed by unknown authority"),
        Some(TlsFailure::InvalidCertificate(why)) => unverified(&why.to_string()),
        Some(TlsFailure::AlertReceived(alert)) => format!("remote error: tls: {alert:?}"),
        _ if e.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => e.to_string(),
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
