//! Connections of who looks at pages.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::accept::accept_each;
use super::pages::Pages;
use crate::limits::{PAGE_CONNECTION_LIFE, PAGE_CONNECTIONS_MAX, PAGE_HANDSHAKE_TIMEOUT};

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, tls: TlsAcceptor, pages: Arc<Pages>) {
    accept_each(listener, PAGE_CONNECTIONS_MAX, |stream, _| {
        let (tls, pages) = (tls.clone(), Arc::clone(&pages));
        async move {
            // A scraper comes again; nobody keeps a place for ever.
            let _ = timeout(PAGE_CONNECTION_LIFE, connection(stream, tls, pages)).await;
        }
    })
    .await;
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
