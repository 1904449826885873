//! Watches over WebSocket, for clients that cannot read an endless answer: one text message for each event.
//!
//! As upstream, what the client sends is ignored, and the end of the watch is a normal closure. Unlike upstream a client
//! need not name an origin, and of several subprotocols the first one is taken.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::answer;
use crate::body::{Body, Pieces};
use crate::limits::{WEBSOCKET_MESSAGE_BYTES_MAX, WEBSOCKET_WRITE_TIMEOUT};

/// The only version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Subprotocols that are tokens in disguise: never answered.
const BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// Marks the answer of a watch: its body is a stream of whole lines, an event each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events;

/// A request that wants its answer over WebSocket.
pub(crate) struct Wish {
    /// What shows the client that it was understood.
    accept: Option<HeaderValue>,
    is_version: bool,
    protocol: Option<HeaderValue>,
    upgrade: OnUpgrade,
}

impl Wish {
    /// Takes the wish out of a request, if it has one.
    pub(crate) fn take(parts: &mut Parts) -> Option<Self> {
        if parts.method != Method::GET || !is_asked(&parts.headers) {
            return None;
        }
        let upgrade = parts.extensions.remove::<OnUpgrade>()?;
        let headers = &parts.headers;
        let key = headers.get(SEC_WEBSOCKET_KEY);
        let accept = key.map(|key| derive_accept_key(key.as_bytes()));
        Some(Self {
            accept: accept.and_then(|accept| HeaderValue::from_str(&accept).ok()),
            is_version: headers.get(SEC_WEBSOCKET_VERSION) == Some(&VERSION),
            protocol: protocol(headers),
            upgrade,
        })
    }

    /// Changes the answer of a watch into one over WebSocket. Other answers stay as they are.
    pub(crate) fn grant(self, response: Response<Body>) -> Response<Body> {
        if response.extensions().get::<Events>().is_none() {
            return response;
        }
        let Some(accept) = self.accept.filter(|_| self.is_version) else {
            let why = match self.is_version {
                true => "mismatch challenge/response",
                false => "missing or bad WebSocket Version",
            };
            let mut refused = answer::text(StatusCode::BAD_REQUEST, why);
            refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, VERSION);
            return refused;
        };
        let Body::Stream(events) = response.into_body() else {
            return answer::text(StatusCode::INTERNAL_SERVER_ERROR, "a watch is a stream");
        };
        tokio::spawn(serve(self.upgrade, events));
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        response
    }
}

fn is_asked(headers: &HeaderMap) -> bool {
    let has = |name, token: &str| {
        let values = headers.get_all(name).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    has(CONNECTION, "upgrade") && has(UPGRADE, "websocket")
}

fn protocol(headers: &HeaderMap) -> Option<HeaderValue> {
    let all = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    let mut names = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let name = names.find(|name| !name.is_empty() && !name.starts_with(BEARER))?;
    HeaderValue::from_str(name).ok()
}

/// Sends events until they or the client end.
async fn serve(upgrade: OnUpgrade, mut events: Pieces) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(e) => {
            tracing::debug!("a change to WebSocket: {e}");
            return;
        }
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(WEBSOCKET_MESSAGE_BYTES_MAX));
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
    loop {
        tokio::select! {
            piece = events.next() => {
                let Some(piece) = piece else { break };
                match timeout(WEBSOCKET_WRITE_TIMEOUT, send(&mut socket, piece)).await {
                    Ok(Ok(())) => {}
                    _ => return,
                }
            }
            // Reading answers pings and notices the end.
            message = socket.next() => match message {
                Some(Ok(message)) if !message.is_close() => {}
                _ => return,
            },
        }
    }
    let normal = CloseFrame {
        code: CloseCode::Normal,
        reason: Utf8Bytes::default(),
    };
    // Who does not read will not read this either.
    let _ = timeout(WEBSOCKET_WRITE_TIMEOUT, socket.close(Some(normal))).await;
}

/// A message for each line.
async fn send(
    socket: &mut WebSocketStream<TokioIo<Upgraded>>,
    mut piece: Bytes,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    while !piece.is_empty() {
        let end = piece.iter().position(|byte| *byte == b'\n');
        let line = piece.split_to(end.map_or(piece.len(), |end| end + 1));
        let text = Utf8Bytes::try_from(line)?;
        socket.feed(Message::Text(text)).await?;
    }
    socket.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_told_by_two_headers() {
        let cases: [(&[(&'static str, &'static str)], bool); 5] = [
            (&[("connection", "Upgrade"), ("upgrade", "websocket")], true),
            (
                &[
                    ("connection", "keep-alive, upgrade"),
                    ("upgrade", "WebSocket"),
                ],
                true,
            ),
            (&[("connection", "Upgrade"), ("upgrade", "SPDY/3.1")], false),
            (&[("connection", "close"), ("upgrade", "websocket")], false),
            (&[], false),
        ];
        for (headers, expected) in cases {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_asked(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_token_is_never_answered_as_a_protocol() {
        let mut headers = HeaderMap::new();
        let offered = "base64url.bearer.authorization.k8s.io.c2VjcmV0, base64.binary.k8s.io";
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered));
        assert_eq!(protocol(&headers).unwrap(), "base64.binary.k8s.io");
    }
}
