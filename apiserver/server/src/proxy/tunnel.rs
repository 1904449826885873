//! SPDY inside of WebSocket: bytes of the one are binary messages of the other.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, Method, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::activity::Activity;
use super::forward::Passing;
use super::headers::{self, words};
use super::room::{Place, Room};
use super::upgrade::{Opened, open, refusal, wanted};
use super::websocket::{self, Socket, TUNNEL};
use crate::answer::{self, Answer};
use crate::limits::{STREAM_CHUNK_BYTES, STREAM_END_TIMEOUT, STREAM_IDLE_TIMEOUT, STREAM_LINGER};
use crate::spdy;

/// In which version of its own a protocol is spoken over SPDY.
pub(super) const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// Passes a request on whose client speaks SPDY inside of WebSocket, to a server that speaks SPDY.
pub(crate) async fn tunnel(passing: Passing<'_>) -> Answer {
    let client = wanted(&passing)?;
    let call = passing.call;
    let accept = match websocket::accept(&call.method, call.headers) {
        Ok(accept) => accept,
        Err(refused) => return Ok(*refused),
    };
    let place = passing.room.enter()?;
    let passed = as_spdy(&passing);
    let response = match open(&passing, Method::POST, passed).await? {
        Opened::Switched(response) => response,
        Opened::Refused(response) => return Ok(refusal(response, passing.room, place)),
    };
    if !is_spdy(response.headers()) {
        let text = "unable to upgrade: missing upgrade headers in response";
        return Ok(answer::plain(StatusCode::INTERNAL_SERVER_ERROR, text));
    }
    let chosen = response.headers().get(STREAM_PROTOCOL);
    let chosen = chosen.and_then(|chosen| chosen.to_str().ok());
    let protocol = chosen.and_then(|chosen| {
        let offered = websocket::tunnelled(call.headers).any(|name| name == chosen.trim());
        let name = format!("{TUNNEL}{}", chosen.trim());
        HeaderValue::from_str(&name).ok().filter(|_| offered)
    });
    let server = hyper::upgrade::on(response);
    tokio::spawn(join(client, server, passing.room.clone(), place));
    Ok(websocket::switched(accept, protocol))
}

/// The head of a request for SPDY in place of one for WebSocket.
fn as_spdy(passing: &Passing<'_>) -> HeaderMap {
    let call = passing.call;
    let mut passed = headers::of_request(call.headers);
    for name in [
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        STREAM_PROTOCOL,
    ] {
        passed.remove(name);
    }
    passed.insert(UPGRADE, HeaderValue::from_static(spdy::NAME));
    for protocol in websocket::tunnelled(call.headers) {
        if let Ok(protocol) = HeaderValue::from_str(protocol) {
            passed.append(STREAM_PROTOCOL, protocol);
        }
    }
    headers::add_forwarded_for(&mut passed, call.peer.ip());
    passed
}

/// Whether an answer says that SPDY is spoken from now on.
pub(super) fn is_spdy(headers: &HeaderMap) -> bool {
    let mut named = words(headers, &UPGRADE);
    headers::is_upgrade(headers) && named.any(|name| name.eq_ignore_ascii_case(spdy::NAME))
}

async fn join(client: OnUpgrade, server: OnUpgrade, room: Room, _place: Place) {
    let (client, server) = match tokio::try_join!(websocket::socket(client), server) {
        Ok((client, server)) => (client, TokioIo::new(server)),
        Err(e) => {
            tracing::debug!("a change of protocol: {e}");
            return;
        }
    };
    let activity = Arc::new(Activity::new());
    let (mut to_client, mut from_client) = client.split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let up = async {
        while let Some(Ok(message)) = from_client.next().await {
            activity.touch();
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Ping(_) | Message::Pong(_) => continue,
                _ => return,
            };
            if to_server.write_all(&bytes).await.is_err() || to_server.flush().await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut bytes = BytesMut::new();
        loop {
            bytes.reserve(STREAM_CHUNK_BYTES);
            match from_server.read_buf(&mut bytes).await {
                Ok(read) if read > 0 => activity.touch(),
                _ => return,
            }
            let message = Message::Binary(bytes.split().freeze());
            if to_client.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
        () = activity.idle(STREAM_IDLE_TIMEOUT) => {}
        () = room.ended() => {}
    }
    let Ok(client) = to_client.reunite(from_client) else {
        return;
    };
    let _ = timeout(STREAM_END_TIMEOUT, async {
        tokio::join!(close(client), to_server.shutdown())
    })
    .await;
}

/// Ends a WebSocket in good order: what was sent is read before the connection goes, else it could get lost with it.
pub(super) async fn close(mut socket: Socket) {
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::default(),
    };
    if socket.close(Some(normal)).await.is_ok() {
        let confirmed = async { while let Some(Ok(_)) = socket.next().await {} };
        let _ = timeout(STREAM_LINGER, confirmed).await;
    }
}

/// One byte before others.
pub(super) fn marked(channel: u8, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.extend_from_slice(&[channel]);
    message.extend_from_slice(bytes);
    Message::Binary(Bytes::from(message))
}
