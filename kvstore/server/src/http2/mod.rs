//! A small HTTP/2 server for gRPC, without I/O of its own.
//!
//! General HTTP/2 libraries write one DATA frame per system call, keep a mutex per connection and build header maps
//! per request; at a few microseconds per call that is most of the cost of a small request. This module does only
//! what a gRPC server needs: bytes are fed in with [`Conn::receive`], complete calls come out as [`Event`]s,
//! answers are encoded straight into the connection's output, and the caller writes that output once per wake-up.
//!
//! It does not do server push, priorities or trailers of requests, and it does not decompress messages.

mod assemble;
mod conn;
mod frame;
mod head;
mod hpack;
mod huffman;
mod out;
mod receive;
mod send;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use conn::{Conn, ConnOptions, OUT_BYTES_HIGH};
pub(crate) use head::{Head, Method};
pub(crate) use receive::Event;
pub(crate) use stream::Inbox;

/// What a connection begins with; tells HTTP/2 from HTTP/1.
pub(crate) const PREFACE: &[u8] = frame::PREFACE;
