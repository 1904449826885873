//! Connections: TLS, HTTP/1 and HTTP/2, WebSocket, and an orderly end.

mod listener;
mod websocket;

pub(crate) use listener::{Peer, serve};
pub(crate) use websocket::{Events, Wish};
