//! Requests to what is behind this server: over connections that are kept, or over one that becomes another protocol.

use std::error::Error as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::client::legacy::{Client, Error as PoolError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::Service;

use super::dial::{DialError, Dialer, Socket};
use super::location::Location;
use crate::limits::{BACKEND_IDLE_EACH_MAX, BACKEND_IDLE_TIMEOUT, UPGRADE_TIMEOUT};
use crate::upload::Upload;

/// The body of a request that is passed on.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Nothing,
    Upload(Upload),
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Nothing => Poll::Ready(None),
            Self::Upload(upload) => Pin::new(upload).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Upload(upload) => upload.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Upload(upload) => upload.size_hint(),
        }
    }
}

/// Why there is no answer, in the words of Go's client.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Request(String),
}

/// Servers that are talked to in one way.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    dialer: Dialer,
    kept: Client<Connector, Outgoing>,
}

impl Backend {
    pub(crate) fn new(dialer: Dialer) -> Self {
        let kept = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(BACKEND_IDLE_TIMEOUT)
            .pool_max_idle_per_host(BACKEND_IDLE_EACH_MAX)
            .build(Connector(dialer.clone()));
        Self { dialer, kept }
    }

    /// Sends a request, whose URI is whole, over a connection that may have been used before.
    pub(crate) async fn send(
        &self,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, SendError> {
        self.kept.request(request).await.map_err(|e| pooled(&e))
    }

    /// Sends a request for another protocol over a connection of its own. Its URI is that of a request's line.
    pub(crate) async fn upgrade(
        &self,
        location: &Location,
        request: Request<Outgoing>,
    ) -> Result<Response<Incoming>, SendError> {
        let port = location.port_number()?;
        let dialed = self.dialer.dial(&location.host, port, location.secure);
        let socket = TokioIo::new(dialed.await?);
        let exchange = async {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await?;
            tokio::spawn(async move {
                if let Err(e) = connection.with_upgrades().await {
                    tracing::debug!("a connection behind this server: {e}");
                }
            });
            sender.send_request(request).await
        };
        match timeout(UPGRADE_TIMEOUT, exchange).await {
            Ok(answered) => answered.map_err(|e| SendError::Request(failure(&e))),
            Err(_) => Err(SendError::Request(
                "timeout awaiting response headers".into(),
            )),
        }
    }
}

/// Dials for the pool.
#[derive(Clone, Debug)]
struct Connector(Dialer);

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Socket>, DialError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move {
            let secure = uri.scheme_str() == Some("https");
            let host = uri.host().ok_or(DialError::BadUrl)?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            dialer.dial(host, port, secure).await.map(TokioIo::new)
        })
    }
}

/// What went wrong below the pool.
fn pooled(e: &PoolError) -> SendError {
    let mut cause = e.source();
    while let Some(inner) = cause {
        if let Some(dial) = inner.downcast_ref::<DialError>() {
            return SendError::Dial(dial.clone());
        }
        if let Some(e) = inner.downcast_ref::<hyper::Error>() {
            return SendError::Request(failure(e));
        }
        cause = inner.source();
    }
    SendError::Request(e.to_string())
}

fn failure(e: &hyper::Error) -> String {
    match e.is_incomplete_message() || e.is_closed() {
        true => "EOF".to_owned(),
        false => e
            .source()
            .map_or_else(|| e.to_string(), ToString::to_string),
    }
}
