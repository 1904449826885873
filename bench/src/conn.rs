//! One client connection: HTTP/2 framing, flow control and gRPC messages over a non-blocking socket.
//!
//! The connection never blocks and never sleeps; `fleet` tells it when its socket is ready. Everything
//! appended between two calls of `flush` leaves in one write.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use hashbrown::HashMap;

use crate::clock;
use crate::frame::{self, Frame, FrameError};
use crate::hpack::{Block, Decoder, Encoder, HpackError};
use crate::limits::{
    BLOCKED_BYTES_MAX, CONNECT_TIMEOUT, CONNECTION_WINDOW, FRAME_BYTES_MAX, HEADER_BLOCK_BYTES_MAX,
    MESSAGE_BYTES_MAX, STREAM_WINDOW,
};

/// Window of both directions before any SETTINGS or WINDOW_UPDATE.
const WINDOW_DEFAULT: u32 = 65_535;
const MESSAGE_PREFIX: usize = 5;

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

    /// Reads once and hands over what is complete. `scratch` is free working space.
    ///
    /// # Errors
    /// Any; the connection must be dropped then.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<(), ConnError> {
        let kept = self.leftover.len();
        scratch[..kept].copy_from_slice(&self.leftover);
        let fresh = match self.socket.read(&mut scratch[kept..]) {
            Ok(0) => return Err(ConnError::Closed),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        };
        sink.arrived(clock::now());
        let filled = &scratch[..kept + fresh];
        let mut at = 0;
        while let Some(frame) = Frame::parse(&filled[at..])? {
            at += frame.len();
            self.receive(frame, sink)?;
        }
        self.leftover.clear();
        self.leftover.extend_from_slice(&filled[at..]);
        if self.received > CONNECTION_WINDOW / 2 {
            frame::put_window_update(&mut self.out, 0, self.received);
            self.received = 0;
        }
        Ok(())
    }

    fn receive(&mut self, frame: Frame<'_>, sink: &mut impl Sink) -> Result<(), ConnError> {
        if self.open_block.is_some() && frame.kind != frame::CONTINUATION {
            return Err(ConnError::Protocol("a frame inside a header block"));
        }
        match frame.kind {
            frame::DATA => self.receive_data(frame, sink),
            frame::HEADERS => {
                let end_stream = frame.has(frame::FLAG_END_STREAM);
                let content = frame.content()?;
                if frame.has(frame::FLAG_END_HEADERS) {
                    return self.receive_block(frame.stream, end_stream, content, sink);
                }
                let bytes = content.to_vec();
                self.open_block = Some(OpenBlock {
                    stream: frame.stream,
                    end_stream,
                    bytes,
                });
                Ok(())
            }
            frame::CONTINUATION => self.receive_continuation(frame, sink),
            frame::RST_STREAM => {
                let code = frame.number("RST_STREAM")?;
                if let Some(stream) = self.streams.remove(&frame.stream) {
                    sink.end(stream.tag, Outcome::Reset(code));
                }
                Ok(())
            }
            frame::SETTINGS => self.receive_settings(frame),
            frame::PING => {
                if !frame.has(frame::FLAG_ACK) {
                    frame::put_ping_ack(&mut self.out, frame.payload);
                }
                Ok(())
            }
            frame::WINDOW_UPDATE => self.receive_window_update(frame),
            frame::GOAWAY => Err(goaway(frame.payload)),
            frame::PUSH_PROMISE => Err(ConnError::Protocol("PUSH_PROMISE although disabled")),
            _ => Ok(()),
        }
    }

    fn receive_data(&mut self, frame: Frame<'_>, sink: &mut impl Sink) -> Result<(), ConnError> {
        let octets = frame.payload.len() as u32;
        self.received += octets;
        let mut content = frame.content()?;
        let Some(stream) = self.streams.get_mut(&frame.stream) else {
            return Ok(());
        };
        stream.received += octets;
        if stream.received > STREAM_WINDOW / 2 {
            frame::put_window_update(&mut self.out, frame.stream, stream.received);
            stream.received = 0;
        }
        if stream.partial.is_empty() {
            // Whole messages are handed over where they lie.
            while let Some(len) = message_len(content)? {
                if content.len() < MESSAGE_PREFIX + len {
                    break;
                }
                sink.message(stream.tag, &content[MESSAGE_PREFIX..MESSAGE_PREFIX + len]);
                content = &content[MESSAGE_PREFIX + len..];
            }
            stream.partial.extend_from_slice(content);
        } else {
            stream.partial.extend_from_slice(content);
            let mut at = 0;
            while let Some(len) = message_len(&stream.partial[at..])? {
                let Some(end) =
                    Some(at + MESSAGE_PREFIX + len).filter(|e| *e <= stream.partial.len())
                else {
                    break;
                };
                sink.message(stream.tag, &stream.partial[at + MESSAGE_PREFIX..end]);
                at = end;
            }
            stream.partial.drain(..at);
        }
        if frame.has(frame::FLAG_END_STREAM)
            && let Some(stream) = self.streams.remove(&frame.stream)
        {
            sink.end(
                stream.tag,
                Outcome::NoStatus {
                    http: stream.http_status,
                },
            );
        }
        Ok(())
    }

    fn receive_continuation(
        &mut self,
        frame: Frame<'_>,
        sink: &mut impl Sink,
    ) -> Result<(), ConnError> {
        let mut open = self
            .open_block
            .take()
            .ok_or(ConnError::Protocol("stray CONTINUATION"))?;
        if open.stream != frame.stream {
            return Err(ConnError::Protocol("CONTINUATION of another stream"));
        }
        open.bytes.extend_from_slice(frame.payload);
        if open.bytes.len() > HEADER_BLOCK_BYTES_MAX {
            return Err(ConnError::Protocol("header block too large"));
        }
        if frame.has(frame::FLAG_END_HEADERS) {
            return self.receive_block(open.stream, open.end_stream, &open.bytes, sink);
        }
        self.open_block = Some(open);
        Ok(())
    }

    fn receive_block(
        &mut self,
        id: u32,
        end_stream: bool,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<(), ConnError> {
        let block = self.decoder.decode(bytes)?;
        if !end_stream {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.http_status = block.http_status.or(stream.http_status);
            }
        } else if let Some(stream) = self.streams.remove(&id) {
            sink.end(stream.tag, outcome(block, &stream));
        }
        Ok(())
    }

    fn receive_settings(&mut self, frame: Frame<'_>) -> Result<(), ConnError> {
        if frame.has(frame::FLAG_ACK) {
            return Ok(());
        }
        let (settings, rest) = frame.payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(FrameError::Length("SETTINGS").into());
        }
        for s in settings {
            let value = u32::from_be_bytes([s[2], s[3], s[4], s[5]]);
            match u16::from_be_bytes([s[0], s[1]]) {
                frame::SETTING_HEADER_TABLE_SIZE => self.encoder.set_table_size(value as usize),
                frame::SETTING_MAX_CONCURRENT_STREAMS => self.streams_max = value as usize,
                frame::SETTING_INITIAL_WINDOW_SIZE => {
                    let change = i64::from(value) - self.stream_send_window;
                    self.stream_send_window += change;
                    self.streams
                        .values_mut()
                        .for_each(|s| s.send_window += change);
                }
                // We never send frames above the smallest value it can have.
                frame::SETTING_MAX_FRAME_SIZE => {}
                _ => {}
            }
        }
        self.ready = true;
        frame::put_settings_ack(&mut self.out);
        self.release_blocked();
        Ok(())
    }

    fn receive_window_update(&mut self, frame: Frame<'_>) -> Result<(), ConnError> {
        let octets = i64::from(frame.number("WINDOW_UPDATE")? & 0x7fff_ffff);
        if frame.stream == 0 {
            self.send_window += octets;
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.send_window += octets;
        }
        if !self.blocked.is_empty() {
            self.release_blocked();
        }
        Ok(())
    }
}

/// The length a message prefix tells, None if the prefix is incomplete.
#[inline]
fn message_len(bytes: &[u8]) -> Result<Option<usize>, ConnError> {
    let Some(prefix) = bytes.first_chunk::<MESSAGE_PREFIX>() else {
        return Ok(None);
    };
    if prefix[0] != 0 {
        return Err(ConnError::Protocol(
            "compressed message although none was asked for",
        ));
    }
    let len = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
    if len > MESSAGE_BYTES_MAX {
        return Err(ConnError::Protocol("message too large"));
    }
    Ok(Some(len))
}

fn outcome(block: Block, stream: &Stream) -> Outcome {
    match block.grpc_status {
        Some(0) if stream.partial.is_empty() => Outcome::Ok,
        Some(0) => Outcome::Status {
            code: 13,
            message: "message cut off".to_owned(),
        },
        Some(code) => Outcome::Status {
            code,
            message: block.grpc_message.unwrap_or_default(),
        },
        None => Outcome::NoStatus {
            http: block.http_status.or(stream.http_status),
        },
    }
}

fn goaway(payload: &[u8]) -> ConnError {
    match payload.split_first_chunk::<8>() {
        Some((head, text)) => ConnError::GoAway {
            code: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            text: String::from_utf8_lossy(text).into_owned(),
        },
        None => FrameError::Length("GOAWAY").into(),
    }
}
