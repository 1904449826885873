//! Requests that others answer: kubelets, pods, and what is behind services.
//!
//! A request is passed on as it is (`forward`); one for another protocol gets a connection of its own, whose bytes are
//! then moved unread (`upgrade`). Two kinds of WebSocket are translated, as kubelets speak SPDY: commands, a message for
//! each piece of a stream (`translate`), and forwarded ports, which are SPDY inside of WebSocket (`tunnel`).
//!
//! Everything has a limit: how many, how long idle, how much is held. When either side is gone, the other is let go.

mod activity;
mod backend;
mod dial;
mod forward;
mod headers;
mod html;
mod location;
mod relay;
mod rewrite;
mod room;
mod session;
mod status;
mod translate;
mod trust;
mod tunnel;
mod upgrade;
mod websocket;

pub(crate) use backend::{Backend, Outgoing};
pub(crate) use dial::Dialer;
pub(crate) use forward::{Passing, pass_on};
pub(crate) use location::{Location, cleaned, is_reachable, split};
pub(crate) use relay::{Cut, Relayed, relayed};
pub(crate) use room::Room;
pub(crate) use translate::{Wanted, translate};
pub(crate) use trust::{anybody, towards_pods};
pub(crate) use tunnel::tunnel;
pub(crate) use upgrade::switch;
pub(crate) use websocket::{asks_for_tunnel, asks_for_v5};
