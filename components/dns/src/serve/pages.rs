//! Plain pages: `/metrics`, `/health` and `/ready`, each on a port of its own, as with CoreDNS.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mainstay_client::accept_each;
use tokio::net::TcpListener;

use crate::limits::{PAGE_CONNECTIONS_MAX, PAGE_HEAD_TIMEOUT};

/// What a page says, and whether all is well.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) ok: bool,
    pub(crate) media: &'static str,
    pub(crate) text: String,
}

/// Shows one page, at `path`, until it is dropped.
pub(crate) async fn pages(
    listener: TcpListener,
    path: &'static str,
    page: impl Fn() -> Page + Send + Sync + 'static,
) {
    let page = Arc::new(page);
    accept_each(listener, PAGE_CONNECTIONS_MAX, |stream, _| {
        let page = Arc::clone(&page);
        async move {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let answer = answer(&request, path, page.as_ref());
                async move { Ok::<_, Infallible>(answer) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PAGE_HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // Clients go as they like.
            let _ = served.await;
        }
    })
    .await;
}

fn answer<B>(request: &Request<B>, path: &str, page: &dyn Fn() -> Page) -> Response<Full<Bytes>> {
    let plain = "text/plain; charset=utf-8";
    let (code, media, text) = if request.uri().path() != path {
        (
            StatusCode::NOT_FOUND,
            plain,
            "404 page not found\n".to_owned(),
        )
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let code = StatusCode::METHOD_NOT_ALLOWED;
        (code, plain, "Method Not Allowed\n".to_owned())
    } else {
        let page = page();
        let code = match page.ok {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        (code, page.media, page.text)
    };
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = code;
    let media = HeaderValue::from_static(media);
    answer.headers_mut().insert(CONTENT_TYPE, media);
    answer
}
