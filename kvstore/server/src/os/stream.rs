//! Streams to and from peers.

use mainstay_raft::PeerUrl;
use mainstay_raft::env::Io;
use mainstay_raft::limits::PEER_HANDSHAKE_TIMEOUT;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Gives the TLS configuration for the next handshake, re-reading certificate files that changed.
pub(crate) type TlsSource<T> = Arc<dyn Fn() -> Arc<T> + Send + Sync>;

/// TLS between peers.
#[derive(Clone)]
pub(crate) struct PeerTls {
    pub(crate) server: TlsSource<ServerConfig>,
    pub(crate) client: TlsSource<ClientConfig>,
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerTls")
    }
}

/// Completes an accepted connection. The caller sets the deadline.
pub(super) async fn accepted(tcp: TcpStream, tls: Option<PeerTls>) -> io::Result<Box<dyn Io>> {
    tcp.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(tcp)),
        Some(tls) => {
            let stream = TlsAcceptor::from((tls.server)()).accept(tcp).await?;
            Ok(Box::new(stream))
        }
    }
}

/// Completes a connection to a peer.
pub(super) async fn connected(
    tcp: TcpStream,
    url: PeerUrl<'_>,
    tls: Option<&PeerTls>,
) -> io::Result<Box<dyn Io>> {
    tcp.set_nodelay(true)?;
    if !url.tls {
        return Ok(Box::new(tcp));
    }
    let tls = tls.ok_or_else(|| {
        io::Error::other("the peer wants TLS and this member has no peer certificates")
    })?;
    let name = ServerName::try_from(url.host.to_owned()).map_err(io::Error::other)?;
    let connecting = TlsConnector::from((tls.client)()).connect(name, tcp);
    let stream = timeout(PEER_HANDSHAKE_TIMEOUT, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(Box::new(stream))
}
