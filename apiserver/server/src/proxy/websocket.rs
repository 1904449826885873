//! WebSocket towards clients whose streams are translated.

use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::headers::{is_upgrade, words};
use crate::answer;
use crate::body::Body;
use crate::limits::STREAM_MESSAGE_BYTES_MAX;

/// The only version there is.
const VERSION: &str = "13";
/// Commands whose streams end one by one.
pub(super) const V5: &str = "v5.channel.k8s.io";
/// What subprotocols of SPDY inside of WebSocket begin with.
pub(super) const TUNNEL: &str = "SPDY/3.1+";

pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    is_upgrade(headers) && upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// Whether a command is to be translated.
pub(crate) fn asks_for_v5(headers: &HeaderMap) -> bool {
    is_websocket(headers) && words(headers, &SEC_WEBSOCKET_PROTOCOL).any(|name| name == V5)
}

/// Whether SPDY is to go inside of WebSocket.
pub(crate) fn asks_for_tunnel(headers: &HeaderMap) -> bool {
    is_websocket(headers) && tunnelled(headers).next().is_some()
}

/// The protocols that are wanted inside, in their order.
pub(super) fn tunnelled(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    words(headers, &SEC_WEBSOCKET_PROTOCOL)
        .filter_map(|name| name.strip_prefix(TUNNEL))
        .filter(|name| name.ends_with(".k8s.io"))
}

/// What shows the client that it was understood. `Err` is the answer to what is no handshake.
pub(super) fn accept(
    method: &Method,
    headers: &HeaderMap,
) -> Result<HeaderValue, Box<Response<Body>>> {
    let bad = |why: &str| {
        let mut refused = answer::text(StatusCode::BAD_REQUEST, why);
        let version = HeaderValue::from_static(VERSION);
        refused.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
        Box::new(refused)
    };
    if method != Method::GET {
        return Err(bad("bad method"));
    }
    let version = headers.get(SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version.as_bytes() != VERSION.as_bytes()) {
        return Err(bad("missing or bad WebSocket Version"));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let accept = key.map(|key| derive_accept_key(key.as_bytes()));
    accept
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
        .ok_or_else(|| bad("mismatch challenge/response"))
}

/// The answer after which the connection is a WebSocket.
pub(super) fn switched(accept: HeaderValue, protocol: Option<HeaderValue>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}

/// The WebSocket, once the answer has left.
pub(super) async fn socket(upgrade: OnUpgrade) -> Result<Socket, hyper::Error> {
    let upgraded = TokioIo::new(upgrade.await?);
    let config = WebSocketConfig::default()
        .max_message_size(Some(STREAM_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(STREAM_MESSAGE_BYTES_MAX));
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(protocols: &'static str) -> HeaderMap {
        let pairs = [
            (CONNECTION, "keep-alive, Upgrade"),
            (UPGRADE, "WebSocket"),
            (SEC_WEBSOCKET_PROTOCOL, protocols),
        ];
        let pairs = pairs.map(|(name, value)| (name, HeaderValue::from_static(value)));
        pairs.into_iter().collect()
    }

    #[test]
    fn subprotocols_say_what_is_translated() {
        for (protocols, v5, tunnel) in [
            ("v4.channel.k8s.io, v5.channel.k8s.io", true, false),
            ("v4.channel.k8s.io", false, false),
            ("SPDY/3.1+portforward.k8s.io", false, true),
            ("SPDY/3.1+other", false, false),
        ] {
            let headers = asked(protocols);
            assert_eq!(asks_for_v5(&headers), v5, "{protocols}");
            assert_eq!(asks_for_tunnel(&headers), tunnel, "{protocols}");
        }
        let mut plain = asked("v5.channel.k8s.io");
        plain.remove(UPGRADE);
        assert!(!asks_for_v5(&plain));
    }
}
