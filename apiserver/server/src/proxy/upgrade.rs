//! Requests for another protocol: a connection of its own, whose bytes are moved unread.

use std::sync::Arc;

use http::header::{CONNECTION, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mainstay_machinery::status::{Reason, StatusError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::activity::Activity;
use super::backend::{Outgoing, SendError};
use super::forward::{Passing, as_it_is};
use super::headers;
use super::room::{Place, Room};
use crate::answer::Answer;
use crate::body::Body;
use crate::limits::{STREAM_CHUNK_BYTES, STREAM_END_TIMEOUT, STREAM_IDLE_TIMEOUT};

/// Passes a request for another protocol on.
pub(crate) async fn switch(passing: Passing<'_>) -> Answer {
    let client = wanted(&passing)?;
    let place = passing.room.enter()?;
    let mut passed = headers::of_request(passing.call.headers);
    headers::add_forwarded_for(&mut passed, passing.call.peer.ip());
    let response = match open(&passing, passing.call.method.clone(), passed).await? {
        Opened::Switched(response) => response,
        Opened::Refused(response) => return Ok(refusal(response, passing.room, place)),
    };
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = response.headers().clone();
    let server = hyper::upgrade::on(response);
    tokio::spawn(join(client, server, passing.room.clone(), place));
    Ok(answer)
}

/// The client's connection. `Err` if it does not want another protocol, or cannot have one.
pub(super) fn wanted(passing: &Passing<'_>) -> Result<OnUpgrade, StatusError> {
    let upgrade = passing.call.upgrade.clone();
    upgrade
        .filter(|_| headers::is_upgrade(passing.call.headers))
        .ok_or_else(|| StatusError::bad_request("Upgrade request required"))
}

/// What a server said to a wish for another protocol.
pub(super) enum Opened {
    Switched(Response<Incoming>),
    Refused(Response<Incoming>),
}

/// Asks for another protocol.
pub(super) async fn open(
    passing: &Passing<'_>,
    method: Method,
    mut headers: HeaderMap,
) -> Result<Opened, StatusError> {
    let call = passing.call;
    let host = headers::host(call.headers, call.uri).map(str::to_owned);
    let host = host.unwrap_or_else(|| passing.location.authority());
    if let Ok(host) = HeaderValue::from_str(&host) {
        headers.insert(HOST, host);
    }
    let mut request = Request::new(Outgoing::Nothing);
    *request.method_mut() = method;
    *request.uri_mut() = passing
        .location
        .target()
        .parse()
        .map_err(|e| StatusError::internal(format_args!("{e}")))?;
    *request.headers_mut() = headers;
    let answered = passing.backend.upgrade(&passing.location, request).await;
    let response = answered.map_err(|e| match e {
        SendError::Dial(e) => unknown(format!("error dialing backend: {e}")),
        SendError::Request(e) => unknown(e),
    })?;
    match response.status().as_u16() {
        101 => Ok(Opened::Switched(response)),
        400.. => Ok(Opened::Refused(response)),
        code => Err(unknown(format!(
            "invalid upgrade response: status code {code}"
        ))),
    }
}

fn unknown(text: String) -> StatusError {
    StatusError::new(500, Reason::Unknown, text)
}

/// What a server answered instead, and no more.
pub(super) fn refusal(response: Response<Incoming>, room: &Room, place: Place) -> Response<Body> {
    let mut refusal = as_it_is(response, room, place);
    let close = HeaderValue::from_static("close");
    refusal.headers_mut().insert(CONNECTION, close);
    refusal
}

/// Moves bytes between two connections until one ends.
async fn join(client: OnUpgrade, server: OnUpgrade, room: Room, _place: Place) {
    let (client, server) = match tokio::try_join!(client, server) {
        Ok((client, server)) => (TokioIo::new(client), TokioIo::new(server)),
        Err(e) => {
            tracing::debug!("a change of protocol: {e}");
            return;
        }
    };
    let activity = Arc::new(Activity::new());
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server, &activity) => {}
        _ = copy(&mut from_server, &mut to_client, &activity) => {}
        () = activity.idle(STREAM_IDLE_TIMEOUT) => {}
        () = room.ended() => {}
    }
    // Whoever does not take the rest will not take the end either.
    let ends = async { tokio::join!(to_client.shutdown(), to_server.shutdown()) };
    let _ = timeout(STREAM_END_TIMEOUT, ends).await;
}

/// Moves bytes until their end.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    activity: &Activity,
) -> std::io::Result<()> {
    let mut bytes = vec![0; STREAM_CHUNK_BYTES];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        activity.touch();
        to.write_all(&bytes[..read]).await?;
        to.flush().await?;
        activity.touch();
    }
}
