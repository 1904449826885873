//! A connection that its client wants to speak something else on, handed to the runtime's streaming server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::{Answer, text, whole};
use super::relay::relay;
use crate::limits::{
    RUNTIME_DIAL_DEADLINE, RUNTIME_REFUSAL_BYTES_MAX, RUNTIME_UPGRADE_DEADLINE, STREAMS_MAX,
};

/// Connections to the runtime's streaming server.
pub(super) struct Upgrades {
    room: Arc<Semaphore>,
    /// How long both sides may be silent.
    idle: Duration,
}

impl fmt::Debug for Upgrades {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrades")
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}

impl Upgrades {
    pub(super) fn new(idle: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(STREAMS_MAX)),
            idle,
        }
    }

    /// Asks `url`, which the runtime gave, for what the client asked for, and joins the two if it agrees. What it says
    /// otherwise is the answer.
    pub(super) async fn forward(&self, request: Request<Incoming>, url: &str) -> Answer {
        let error = |why: String| {
            tracing::warn!("a stream to the runtime: {why}");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n"))
        };
        if !wants_upgrade(request.headers()) {
            return error("Upgrade request required".to_owned());
        }
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            let why = "too many streams are open on this node\n";
            return text(StatusCode::TOO_MANY_REQUESTS, why);
        };
        let (authority, path) = match place(url) {
            Ok(place) => place,
            Err(why) => return error(why),
        };
        let asked = timeout(RUNTIME_UPGRADE_DEADLINE, ask(&request, &authority, &path));
        let mut answer = match asked.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return error(why),
            Err(_) => return error(format!("no answer in {RUNTIME_UPGRADE_DEADLINE:?}")),
        };
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return refusal(answer).await;
        }
        let ours = hyper::upgrade::on(request);
        let theirs = hyper::upgrade::on(&mut answer);
        let idle = self.idle;
        tokio::spawn(async move {
            match tokio::try_join!(ours, theirs) {
                Ok((ours, theirs)) => {
                    let over = relay(TokioIo::new(ours), TokioIo::new(theirs), idle).await;
                    tracing::debug!("a stream is over: {over:?}");
                }
                Err(error) => tracing::debug!("a stream was not begun: {error}"),
            }
            drop(permit);
        });
        let mut agreed = whole(StatusCode::SWITCHING_PROTOCOLS, "", Bytes::new());
        *agreed.headers_mut() = std::mem::take(answer.headers_mut());
        agreed
    }
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let mut connection = headers.get_all(CONNECTION).iter();
    headers.contains_key(UPGRADE)
        && connection.any(|value| {
            let value = value.to_str().unwrap_or_default();
            let mut words = value.split(',');
            words.any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        })
}

/// Host with port, and path with query.
fn place(url: &str) -> Result<(String, String), String> {
    let wrong = || format!("the runtime's address for streams is not understood: {url:?}");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("http") | None => {}
        Some(scheme) => {
            return Err(format!(
                "streams of the runtime by {scheme} are not supported"
            ));
        }
    }
    let authority = uri.authority().ok_or_else(wrong)?;
    let authority = match authority.port_u16() {
        Some(_) => authority.as_str().to_owned(),
        None => format!("{authority}:80"),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((authority, path.to_owned()))
}

async fn ask(
    request: &Request<Incoming>,
    authority: &str,
    path: &str,
) -> Result<http::Response<Incoming>, String> {
    let words = |error: &dyn fmt::Display| format!("error dialing backend: {error}");
    let dialed = timeout(RUNTIME_DIAL_DEADLINE, TcpStream::connect(authority)).await;
    let stream = dialed
        .map_err(|error| words(&error))?
        .map_err(|error| words(&error))?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| words(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!("connection to the runtime: {error}");
        }
    });
    let mut asked = Request::new(Empty::new());
    *asked.method_mut() = request.method().clone();
    *asked.uri_mut() = path.parse().map_err(|error| words(&error))?;
    let headers = asked.headers_mut();
    *headers = request.headers().clone();
    // Credentials for this kubelet are nobody else's business.
    for name in [AUTHORIZATION, COOKIE, CONTENT_LENGTH] {
        headers.remove(name);
    }
    let host = HeaderValue::from_str(authority).map_err(|error| words(&error))?;
    headers.insert(HOST, host);
    let answered = sender.send_request(asked).await;
    answered.map_err(|error| words(&error))
}

/// What the runtime's server said instead of agreeing.
async fn refusal(answer: http::Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, RUNTIME_REFUSAL_BYTES_MAX).collect();
    let body = match timeout(RUNTIME_UPGRADE_DEADLINE, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    let mut answer = text(head.status, body);
    for (name, value) in &head.headers {
        if !matches!(
            name.as_str(),
            "connection" | "content-length" | "transfer-encoding" | "keep-alive"
        ) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_plain_http() {
        let ok = |url: &str| place(url).ok();
        assert_eq!(
            ok("http://127.0.0.1:4321/exec/abc"),
            Some(("127.0.0.1:4321".to_owned(), "/exec/abc".to_owned()))
        );
        assert_eq!(
            ok("http://[::1]/attach/abc?a=b"),
            Some(("[::1]:80".to_owned(), "/attach/abc?a=b".to_owned()))
        );
        for url in ["https://127.0.0.1:1/exec/a", "", "/exec/a", "::", "http://"] {
            assert_eq!(ok(url), None, "{url:?}");
        }
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(!wants_upgrade(&headers));
        headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
        assert!(wants_upgrade(&headers));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        assert!(!wants_upgrade(&headers));
    }
}
