//! Connections.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::server::ResolvesServerCert;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, ServerConfig};

use super::clients::AskAll;
use super::guard::Shown;
use super::serve::Api;
use crate::limits::{
    API_ACCEPT_PAUSE, API_CONNECTIONS_MAX, API_HANDSHAKE_DEADLINE, API_HEADER_BYTES_MAX, API_IDLE,
    API_KEEPALIVE,
};

/// A port that is held and not yet served.
pub(super) struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// TLS 1.2 or newer; clients are asked for certificates where those can count.
///
/// # Errors
/// If the versions cannot be had.
pub(super) fn tls(
    serving: Arc<dyn ResolvesServerCert>,
    provider: &Arc<CryptoProvider>,
    ask: bool,
    only_13: bool,
) -> Result<TlsAcceptor, rustls::Error> {
    let versions = match only_13 {
        true => &[&TLS13][..],
        false => &[&TLS13, &TLS12],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?;
    let builder = match ask {
        true => builder.with_client_cert_verifier(Arc::new(AskAll(Arc::clone(provider)))),
        false => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(serving);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

impl Listener {
    /// # Errors
    /// If the address cannot be had.
    pub(super) async fn bind(address: SocketAddr, tls: TlsAcceptor) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, tls })
    }

    /// # Errors
    /// If the kernel does not say.
    pub(super) fn port(&self) -> io::Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves until it is dropped; then connections end too.
    pub(super) async fn serve(self, api: Arc<Api>) {
        let room = Arc::new(Semaphore::new(API_CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("a connection could not be accepted: {error}");
                    sleep(API_ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (tls, api) = (self.tls.clone(), Arc::clone(&api));
            connections.spawn(async move {
                connection(stream, tls, api).await;
                drop(permit);
            });
        }
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, api: Arc<Api>) {
    let _ = stream.set_nodelay(true);
    // Who vanished without a word must not hold a follower for ever.
    let alive = TcpKeepalive::new()
        .with_time(API_KEEPALIVE)
        .with_interval(API_KEEPALIVE);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&alive);
    let stream = match timeout(API_HANDSHAKE_DEADLINE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!("TLS handshake: {error}");
            return;
        }
        Err(_) => return,
    };
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let shown: Shown = shown.iter().map(|one| one.clone().into_owned()).collect();
    let service = service_fn(move |request| {
        let (api, shown) = (Arc::clone(&api), Arc::clone(&shown));
        async move { Ok::<_, Infallible>(api.answer(request, &shown).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(API_IDLE)
        .max_buf_size(API_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!("connection: {error}");
    }
}
