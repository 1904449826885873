//! The receiving half of a connection: frames in, messages and ends of calls out.

use std::io::{ErrorKind, Read};

use super::{Conn, ConnError, OpenBlock, Outcome, Sink, Stream};
use crate::clock;
use crate::frame::{self, Frame, FrameError};
use crate::hpack::Block;
use crate::limits::{CONNECTION_WINDOW, HEADER_BLOCK_BYTES_MAX, MESSAGE_BYTES_MAX, STREAM_WINDOW};

/// Octets before a gRPC message: a flag and the length.
const MESSAGE_PREFIX: usize = 5;

impl Conn {
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
        if self.waiting.is_empty() {
            Ok(())
        } else {
            self.release_waiting()
        }
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
