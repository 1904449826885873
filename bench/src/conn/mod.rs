//! One client connection: HTTP/2 framing, flow control and gRPC messages over a non-blocking socket.
//!
//! The connection never blocks and never sleeps; `fleet` tells it when its socket is ready. Everything
//! appended between two calls of `flush` leaves in one write.

mod receive;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};

use hashbrown::HashMap;

use crate::frame::{self, FrameError};
use crate::hpack::{Decoder, Encoder, HpackError};
use crate::limits::{
    BLOCKED_BYTES_MAX, CONNECT_TIMEOUT, CONNECTION_WINDOW, FRAME_BYTES_MAX, STREAM_WINDOW,
};

/// Window of both directions before any SETTINGS or WINDOW_UPDATE.
const WINDOW_DEFAULT: u32 = 65_535;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnError {
    #[error("connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("server closed the connection")]
    Closed,
    #[error("server sent GOAWAY, code {code}, {text:?}")]
    GoAway { code: u32, text: String },
    #[error("protocol error: {0}")]
    Frame(#[from] FrameError),
    #[error("protocol error: {0}")]
    Hpack(#[from] HpackError),
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    #[error("more than {BLOCKED_BYTES_MAX} request bytes wait for the server's flow control")]
    Blocked,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// A gRPC status other than 0.
    Status {
        code: u32,
        message: String,
    },
    /// The stream ended without a status.
    NoStatus {
        http: Option<u16>,
    },
    /// RST_STREAM with this code.
    Reset(u32),
}

/// Receives what arrives. `tag` is what the caller gave to `Conn::call`.
pub(crate) trait Sink {
    /// What follows was read at this time (`clock::now`).
    fn arrived(&mut self, now: u64);
    /// One complete message of a response.
    fn message(&mut self, tag: u64, message: &[u8]);
    /// The end of a call; nothing follows for this tag.
    fn end(&mut self, tag: u64, outcome: Outcome);
}

/// A stream the server has not ended yet.
#[derive(Debug, Default)]
struct Stream {
    tag: u64,
    /// An incomplete message with its prefix.
    partial: Vec<u8>,
    /// Octets received since the last WINDOW_UPDATE.
    received: u32,
    send_window: i64,
    http_status: Option<u16>,
}

/// A header block whose END_HEADERS has not come.
#[derive(Debug)]
struct OpenBlock {
    stream: u32,
    end_stream: bool,
    bytes: Vec<u8>,
}

/// Request bytes that wait for window.
#[derive(Debug)]
struct Blocked {
    stream: u32,
    bytes: Vec<u8>,
    sent: usize,
    end_stream: bool,
}

/// A call that waits until the server allows another stream.
#[derive(Debug)]
struct Waiting {
    path: &'static str,
    tag: u64,
    bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Conn {
    socket: TcpStream,
    out: Vec<u8>,
    out_sent: usize,
    /// The start of a frame whose end has not arrived.
    leftover: Vec<u8>,
    encoder: Encoder,
    decoder: Decoder,
    streams: HashMap<u32, Stream>,
    next_stream: u32,
    open_block: Option<OpenBlock>,
    blocked: VecDeque<Blocked>,
    blocked_bytes: usize,
    waiting: VecDeque<Waiting>,
    send_window: i64,
    stream_send_window: i64,
    streams_max: usize,
    received: u32,
    ready: bool,
}

impl Conn {
    /// Connects and queues preface and SETTINGS; requests may follow once `is_ready`.
    ///
    /// # Errors
    /// `ConnError::Io`.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, ConnError> {
        let socket = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(frame::PREFACE);
        let settings = [
            (frame::SETTING_ENABLE_PUSH, 0),
            (frame::SETTING_INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        ];
        frame::put_settings(&mut out, &settings);
        frame::put_window_update(&mut out, 0, CONNECTION_WINDOW - WINDOW_DEFAULT);
        Ok(Self {
            socket,
            out,
            out_sent: 0,
            leftover: Vec::new(),
            encoder: Encoder::new(&address.to_string()),
            decoder: Decoder::new(),
            streams: HashMap::new(),
            next_stream: 1,
            open_block: None,
            blocked: VecDeque::new(),
            blocked_bytes: 0,
            waiting: VecDeque::new(),
            send_window: i64::from(WINDOW_DEFAULT),
            stream_send_window: i64::from(WINDOW_DEFAULT),
            streams_max: usize::MAX,
            received: 0,
            ready: false,
        })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The server's SETTINGS have arrived.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Another call may be opened under the server's MAX_CONCURRENT_STREAMS.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.len() < self.streams_max
    }

    /// Bytes wait in the connection for the socket.
    pub(crate) fn has_output(&self) -> bool {
        self.out_sent < self.out.len()
    }

    /// Opens a call and returns its stream. `bytes` are whole messages with their gRPC prefix.
    ///
    /// # Errors
    /// `ConnError::Blocked`, or `Protocol` after 2^30 calls.
    pub(crate) fn call(
        &mut self,
        path: &'static str,
        tag: u64,
        bytes: &[u8],
        end_stream: bool,
    ) -> Result<u32, ConnError> {
        let id = self.next_stream;
        if id > 0x7fff_ffff {
            return Err(ConnError::Protocol("stream numbers used up"));
        }
        self.next_stream += 2;
        let head = self.out.len();
        frame::put_header(
            &mut self.out,
            0,
            frame::HEADERS,
            frame::FLAG_END_HEADERS,
            id,
        );
        self.encoder.encode(path, &mut self.out);
        let len = (self.out.len() - head - frame::HEADER_LEN) as u32;
        self.out[head..head + 3].copy_from_slice(&len.to_be_bytes()[1..]);
        let send_window = self.stream_send_window;
        self.streams.insert(
            id,
            Stream {
                tag,
                send_window,
                ..Stream::default()
            },
        );
        self.send(id, bytes, end_stream)?;
        Ok(id)
    }

    /// A call with one request. It waits here while the server allows no further stream, as any gRPC
    /// client would let it; its owner bounds how many do.
    ///
    /// # Errors
    /// As `call`.
    pub(crate) fn unary(
        &mut self,
        path: &'static str,
        tag: u64,
        bytes: &[u8],
    ) -> Result<(), ConnError> {
        if self.has_room() && self.waiting.is_empty() {
            return self.call(path, tag, bytes, true).map(drop);
        }
        self.waiting.push_back(Waiting {
            path,
            tag,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    /// Opens waiting calls as far as the server allows.
    fn release_waiting(&mut self) -> Result<(), ConnError> {
        while self.has_room() {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            self.call(next.path, next.tag, &next.bytes, true)?;
        }
        Ok(())
    }

    /// Sends further messages on an open stream; on one that has ended they are dropped.
    ///
    /// # Errors
    /// `ConnError::Blocked`.
    pub(crate) fn send(&mut self, id: u32, bytes: &[u8], end: bool) -> Result<(), ConnError> {
        let Some(stream) = self.streams.get_mut(&id) else {
            return Ok(());
        };
        let len = bytes.len() as i64;
        // In the usual case everything fits and nothing of this stream waits.
        if self.blocked.is_empty()
            && bytes.len() <= FRAME_BYTES_MAX
            && len <= self.send_window
            && len <= stream.send_window
        {
            self.send_window -= len;
            stream.send_window -= len;
            let flags = if end { frame::FLAG_END_STREAM } else { 0 };
            frame::put_header(&mut self.out, bytes.len(), frame::DATA, flags, id);
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.blocked_bytes += bytes.len();
        if self.blocked_bytes > BLOCKED_BYTES_MAX {
            return Err(ConnError::Blocked);
        }
        let bytes = bytes.to_vec();
        self.blocked.push_back(Blocked {
            stream: id,
            bytes,
            sent: 0,
            end_stream: end,
        });
        self.release_blocked();
        Ok(())
    }

    /// Sends what waits for window, in order, until the connection's window is used up.
    fn release_blocked(&mut self) {
        let mut still = VecDeque::new();
        while let Some(mut item) = self.blocked.pop_front() {
            let Some(stream) = self.streams.get_mut(&item.stream) else {
                self.blocked_bytes -= item.bytes.len() - item.sent;
                continue;
            };
            let held = still.iter().any(|b: &Blocked| b.stream == item.stream);
            let mut done = false;
            while !held && !done {
                let left = item.bytes.len() - item.sent;
                let window = self.send_window.min(stream.send_window).max(0) as usize;
                let part = left.min(window).min(FRAME_BYTES_MAX);
                if part == 0 && left > 0 {
                    break;
                }
                done = part == left;
                let flags = if done && item.end_stream {
                    frame::FLAG_END_STREAM
                } else {
                    0
                };
                frame::put_header(&mut self.out, part, frame::DATA, flags, item.stream);
                self.out
                    .extend_from_slice(&item.bytes[item.sent..item.sent + part]);
                item.sent += part;
                self.blocked_bytes -= part;
                self.send_window -= part as i64;
                stream.send_window -= part as i64;
            }
            if !done {
                still.push_back(item);
            }
            if self.send_window <= 0 {
                break;
            }
        }
        still.append(&mut self.blocked);
        self.blocked = still;
    }

    /// Writes what is queued, as much as the socket takes.
    ///
    /// # Errors
    /// `ConnError::Io`.
    pub(crate) fn flush(&mut self) -> Result<(), ConnError> {
        while self.out_sent < self.out.len() {
            match self.socket.write(&self.out[self.out_sent..]) {
                Ok(n) => self.out_sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.out.clear();
        self.out_sent = 0;
        Ok(())
    }
}
