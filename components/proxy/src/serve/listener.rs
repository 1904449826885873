//! Connections of who looks at pages.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mainstay_client::accept_each;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::limits::{PAGE_CONNECTION_LIFE, PAGE_CONNECTIONS_MAX};

/// What is at a path.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) media: &'static str,
    pub(crate) text: String,
    /// Another header, if there is one.
    pub(crate) header: Option<(&'static str, String)>,
}

impl Answer {
    #[must_use]
    pub(crate) fn not_found() -> Self {
        Self {
            code: 404,
            media: "text/plain; charset=utf-8",
            text: "404 page not found\n".to_owned(),
            header: None,
        }
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.text)));
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        let nosniff = HeaderName::from_static("x-content-type-options");
        headers.insert(nosniff, HeaderValue::from_static("nosniff"));
        if let Some((name, value)) = self.header
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
        response
    }
}

/// Answers for a path.
pub(crate) type Handler = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, handler: Handler) {
    accept_each(listener, PAGE_CONNECTIONS_MAX, |stream, _| {
        let handler = Arc::clone(&handler);
        async move {
            // Who looks at pages comes again; nobody keeps a place for ever.
            let _ = timeout(PAGE_CONNECTION_LIFE, connection(stream, handler)).await;
        }
    })
    .await;
}

async fn connection(stream: TcpStream, handler: Handler) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = handler(request.uri().path()).response();
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PAGE_CONNECTION_LIFE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!("connection: {error}");
    }
}
