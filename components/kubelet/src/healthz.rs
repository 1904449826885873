//! The page that says whether this kubelet works, without TLS and for this machine only.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::limits::{HEALTH_CONNECTIONS_MAX, HEALTH_DEADLINE, RELIST_PATIENCE};

/// When all pods were last looked at.
pub type Looked = Arc<Mutex<Option<Instant>>>;

/// Answers until it is dropped.
///
/// # Errors
/// If the address cannot be had.
pub async fn serve_healthz(address: SocketAddr, looked: Looked) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let room = Arc::new(Semaphore::new(HEALTH_CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return Ok(());
        };
        let Ok((stream, _)) = listener.accept().await else {
            // No more open files, most likely.
            sleep(HEALTH_DEADLINE / 100).await;
            continue;
        };
        let looked = Arc::clone(&looked);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &looked);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // Who asks for health asks at once.
            let _ = timeout(HEALTH_DEADLINE, connection).await;
            drop(permit);
        });
    }
}

fn answer(request: &Request<Incoming>, looked: &Looked) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/healthz" | "/healthz/" => match *looked.lock() {
            Some(at) if at.elapsed() > RELIST_PATIENCE => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the runtime does not say what runs\n",
            ),
            _ => (StatusCode::OK, "ok"),
        },
        _ => (StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
