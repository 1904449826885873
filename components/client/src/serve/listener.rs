//! Connections of who looks at pages.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::pages::Pages;
use crate::limits::{PAGE_CONNECTION_LIFE, PAGE_CONNECTIONS_MAX, PAGE_HANDSHAKE_TIMEOUT};

/// Pause after an accept that failed: most often too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, pages: Arc<Pages>) {
    let room = Arc::new(Semaphore::new(PAGE_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("a connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, pages) = (tls.clone(), Arc::clone(&pages));
        connections.spawn(async move {
            // A scraper comes again; nobody keeps a place for ever.
            let _ = timeout(PAGE_CONNECTION_LIFE, connection(stream, tls, pages)).await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, tls: TlsAcceptor, pages: Arc<Pages>) {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(PAGE_HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!("TLS handshake: {error}");
            return;
        }
        Err(_) => return,
    };
    let service = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PAGE_HANDSHAKE_TIMEOUT);
    builder.http2().max_concurrent_streams(16);
    let served = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!("connection: {error}");
    }
}
