//! Accepting connections and serving them until they or the server end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::limits::{
    HANDSHAKE_TIMEOUT, HEAD_TIMEOUT, SHUTDOWN_TIMEOUT, STREAM_WINDOW_BYTES, STREAMS_MAX,
};
use crate::server::Server;
use crate::tls::{Current, Tls, Verified};

/// Pause after an accept that failed: most often too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who is at the other end.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) verified: Verified,
}

/// Serves until `ended`, then lets running requests end.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Arc<Tls>,
    server: Arc<Server>,
    ended: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let mut ended = std::pin::pin!(ended);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ended => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("a connection could not be accepted: {e}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            tls: tls.current(),
            server: Arc::clone(&server),
            watcher: graceful.watcher(),
        };
        tokio::spawn(connection.run(stream, address));
    }
    drop(listener);
    if timeout(SHUTDOWN_TIMEOUT, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests still ran {SHUTDOWN_TIMEOUT:?} after the end was announced");
    }
}

struct Connection {
    tls: Arc<Current>,
    server: Arc<Server>,
    watcher: hyper_util::server::graceful::Watcher,
}

impl Connection {
    async fn run(self, stream: TcpStream, address: SocketAddr) {
        // Small answers must not wait for the acknowledgement of earlier ones.
        let _ = stream.set_nodelay(true);
        let stream = match timeout(HANDSHAKE_TIMEOUT, self.tls.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(e)) => {
                tracing::debug!(%address, "TLS handshake: {e}");
                return;
            }
            Err(_) => return,
        };
        let peer = Peer {
            address,
            verified: self.tls.verified(stream.get_ref().1.peer_certificates()),
        };
        let server = self.server;
        let service = service_fn(move |request| {
            let (server, peer) = (Arc::clone(&server), peer.clone());
            // Boxed, for a connection keeps the room of its service's future while it only watches.
            Box::pin(async move { Ok::<_, Infallible>(server.answer(request, peer).await) })
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .keep_alive_interval(Some(Duration::from_secs(30)));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        if let Err(e) = self.watcher.watch(connection.into_owned()).await {
            tracing::debug!(%address, "connection: {e}");
        }
    }
}
