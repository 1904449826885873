//! HTTP/1 for people, probes and scrapers; gRPC never comes this way.

use super::sniff::Rewound;
use crate::http::{Ask, Pages};
use crate::http2::Method;
use crate::limits::{FIRST_BYTES_TIMEOUT, HTTP1_HEADER_BYTES_MAX};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};

/// Serves one connection until the client closes it.
pub(super) async fn serve<IO, P>(io: Rewound<IO>, pages: Rc<P>)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
    P: Pages,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let pages = Rc::clone(&pages);
        async move { Ok::<_, Infallible>(answer(&*pages, &request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(FIRST_BYTES_TIMEOUT)
        .max_buf_size(HTTP1_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(io), answer)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "http/1 connection ended");
    }
}

async fn answer<P: Pages>(pages: &P, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let method = match *request.method() {
        hyper::Method::GET => Method::Get,
        hyper::Method::POST => Method::Post,
        _ => Method::Other,
    };
    let ask = Ask {
        method,
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    let page = pages.page(ask).await;
    let mut response = Response::builder()
        .status(StatusCode::from_u16(page.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in page.headers {
        response = response.header(*name, *value);
    }
    // Names and values are constants of this crate, so the builder cannot refuse them.
    response.body(Full::new(page.body)).unwrap_or_default()
}
