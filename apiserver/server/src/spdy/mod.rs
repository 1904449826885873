//! SPDY/3.1 as far as a client of a container's streams needs it: opening streams, data both ways, and their ends.
//!
//! Pure: bytes in, events out. As in the library that all kubelets and runtimes use, there is no flow control but that
//! of the connection below. What a server says in headers is of no use here and is skipped unread, so nothing is ever
//! decompressed.

mod decode;
mod encode;

pub(crate) use decode::{Decoder, Event};
pub(crate) use encode::{Headers, data_head, open, ping, refuse};

/// The name of the protocol in an Upgrade header.
pub(crate) const NAME: &str = "SPDY/3.1";

/// The version in control frames.
const VERSION: u16 = 3;
/// The bit that tells control frames from data.
const CONTROL: u32 = 1 << 31;
/// Nothing follows from this side of the stream.
const FIN: u8 = 1;
/// Bytes of the head of every frame.
const HEAD_BYTES: usize = 8;
/// What a head has room for.
const LENGTH_MAX: usize = (1 << 24) - 1;

/// Types of control frames.
mod kind {
    pub(super) const SYN_STREAM: u16 = 1;
    pub(super) const SYN_REPLY: u16 = 2;
    pub(super) const RST_STREAM: u16 = 3;
    pub(super) const PING: u16 = 6;
    pub(super) const GO_AWAY: u16 = 7;
    pub(super) const HEADERS: u16 = 8;
}
