//! Sockets, and the way from a question to its answer.

#[cfg(test)]
mod malformed;
mod pages;
mod resolver;
mod tcp;
mod udp;

pub(crate) use pages::{Page, pages};
pub(crate) use resolver::Resolver;
pub(crate) use tcp::tcp;
pub(crate) use udp::{UdpSockets, udp};
