//! Connections: TLS, HTTP/1 and HTTP/2, and an orderly end.

mod listener;

pub(crate) use listener::{Peer, serve};
