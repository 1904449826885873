//! The sending half: answers encoded straight into the output, within the peer's windows.

use super::conn::{Conn, OUT_BYTES_HIGH, STREAM_PENDING_BYTES_MAX};
use super::frame::{self, Code, HEADER_BYTES, flag, kind};
use super::out::BY_REFERENCE_BYTES_MIN;
use super::stream::{End, Receiving};
use crate::grpc::{self, PREFIX_BYTES, Status, encode_message};
use bytes::{Buf, Bytes};
use prost::Message;

/// Frames one stream may send before the next gets its turn.
const FRAMES_PER_TURN: usize = 4;

impl Conn {
    /// Answers a unary call with its one message and `OK`.
    pub(crate) fn answer<M: Message>(&mut self, id: u32, message: &M) {
        let len = message.encoded_len();
        self.message(id, len, &mut |out| {
            // `Vec` grows as needed, so encoding into it cannot fail.
            let _ = message.encode(out);
        });
        self.finish(id, Status::OK);
    }

    /// Sends one message of `len` bytes that `write` appends to the buffer it is given.
    ///
    /// Nothing happens if the stream is gone.
    pub(crate) fn message(&mut self, id: u32, len: usize, write: &mut dyn FnMut(&mut Vec<u8>)) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.end.is_some() || stream.ended {
            return;
        }
        let out = self.out.buf();
        if !std::mem::replace(&mut stream.head_sent, true) {
            let at = out.len();
            frame::header(out, 0, kind::HEADERS, flag::END_HEADERS, id);
            self.encoder.grpc_head(out);
            frame::patch_len(out, at);
        }
        self.pings.forgiven = true;
        let total = PREFIX_BYTES + len;
        let window = stream.send_window.min(self.send_window);
        let direct = stream.pending.is_empty()
            && total <= self.frame_bytes_max
            && total as i64 <= window
            && len < BY_REFERENCE_BYTES_MIN;
        if direct {
            frame::header(out, total, kind::DATA, 0, id);
            grpc::prefix(out, len);
            write(out);
            stream.send_window -= total as i64;
            self.send_window -= total as i64;
            return;
        }
        let mut body = Vec::with_capacity(total);
        grpc::prefix(&mut body, len);
        write(&mut body);
        stream.pending_bytes += body.len();
        stream.pending.push_back(Bytes::from(body));
        self.enqueue(id);
    }

    /// Sends bytes that are gRPC messages already, prefixes included; `pieces` is emptied.
    pub(crate) fn framed(&mut self, id: u32, pieces: &mut Vec<Bytes>) {
        self.send_head(id);
        let total: usize = pieces.iter().map(Bytes::len).sum();
        let Some(stream) = self.streams.get_mut(&id) else {
            return pieces.clear();
        };
        if stream.end.is_some() || stream.ended || total == 0 {
            return pieces.clear();
        }
        let window = stream.send_window.min(self.send_window);
        let direct =
            stream.pending.is_empty() && total <= self.frame_bytes_max && total as i64 <= window;
        if direct {
            stream.send_window -= total as i64;
            self.send_window -= total as i64;
            // Clients measure the path with pings while data flows.
            self.pings.forgiven = true;
            frame::header(self.out.buf(), total, kind::DATA, 0, id);
            for piece in pieces.drain(..) {
                if piece.len() < BY_REFERENCE_BYTES_MIN {
                    self.out.buf().extend_from_slice(&piece);
                } else {
                    self.out.push(piece);
                }
            }
            return;
        }
        stream.pending_bytes += total;
        stream
            .pending
            .extend(pieces.drain(..).filter(|piece| !piece.is_empty()));
        self.enqueue(id);
    }

    /// Ends a call. Without any message before, an error needs a single frame.
    pub(crate) fn finish(&mut self, id: u32, status: Status) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.end.is_some() || stream.ended {
            return;
        }
        stream.receiving = Receiving::Nothing;
        if !stream.pending.is_empty() {
            stream.end = Some(End::Trailers(status));
            return;
        }
        self.trailers(id, &status);
    }

    /// Answers a plain HTTP request.
    pub(crate) fn http_answer(
        &mut self,
        id: u32,
        status: u16,
        headers: &[(&str, &str)],
        body: Bytes,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if stream.end.is_some() || stream.ended {
            return;
        }
        stream.head_sent = true;
        let flags = if body.is_empty() { flag::END_STREAM } else { 0 } | flag::END_HEADERS;
        let out = self.out.buf();
        let at = out.len();
        frame::header(out, 0, kind::HEADERS, flags, id);
        self.encoder.http_head(status, headers, out);
        frame::patch_len(out, at);
        if body.is_empty() {
            self.ended(id);
            return;
        }
        stream.pending_bytes += body.len();
        stream.pending.push_back(body);
        stream.end = Some(End::Body);
        self.enqueue(id);
    }

    /// Whether a streaming call may send now; if not, its inbox's waker is called when it may.
    pub(crate) fn can_send(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get(&id) else {
            return true;
        };
        if stream.pending_bytes < STREAM_PENDING_BYTES_MAX && self.out.len() < OUT_BYTES_HIGH {
            return true;
        }
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
        false
    }

    /// To be called when output was written: moves held-back data on and wakes senders that waited.
    pub(crate) fn drained(&mut self) {
        self.pump();
        let mut index = 0;
        while index < self.waiting.len() {
            let id = self.waiting[index];
            let Some(stream) = self.streams.get(&id) else {
                self.waiting.swap_remove(index);
                continue;
            };
            let room =
                stream.pending_bytes < STREAM_PENDING_BYTES_MAX && self.out.len() < OUT_BYTES_HIGH;
            if room {
                stream.wake();
                self.waiting.swap_remove(index);
            } else {
                index += 1;
            }
        }
    }

    fn send_head(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut stream.head_sent, true) {
            return;
        }
        let out = self.out.buf();
        let at = out.len();
        frame::header(out, 0, kind::HEADERS, flag::END_HEADERS, id);
        self.encoder.grpc_head(out);
        frame::patch_len(out, at);
        self.pings.forgiven = true;
    }

    fn trailers(&mut self, id: u32, status: &Status) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let out = self.out.buf();
        let at = out.len();
        let flags = flag::END_HEADERS | flag::END_STREAM;
        frame::header(out, 0, kind::HEADERS, flags, id);
        if !std::mem::replace(&mut stream.head_sent, true) {
            self.encoder.grpc_head(out);
        }
        if status.code == grpc::Code::Ok {
            self.encoder.grpc_ok(out);
        } else {
            let text = encode_message(&status.message);
            self.encoder.grpc_error(status.code as i32, &text, out);
        }
        frame::patch_len(out, at);
        self.pings.forgiven = true;
        self.ended(id);
    }

    /// This side has sent END_STREAM.
    fn ended(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.ended = true;
        if stream.remote_closed {
            self.streams.remove(&id);
        } else if stream.inbox.is_some() || stream.assembler.in_message() {
            // The client may still be sending: tell it to stop, as grpc-go does. A unary client's end of
            // stream is already on its way and needs no such reminder.
            frame::rst_stream(self.out.buf(), id, Code::NoError);
            self.streams.remove(&id);
        }
    }

    fn enqueue(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut stream.blocked, true)
        {
            self.blocked.push_back(id);
        }
        self.pump();
    }

    /// Sends held-back data in turn, as far as windows and room in the output allow.
    pub(super) fn pump(&mut self) {
        let mut idle = 0;
        while idle < self.blocked.len()
            && self.send_window > 0
            && self.out.len() < OUT_BYTES_HIGH
            && let Some(id) = self.blocked.pop_front()
        {
            idle = if self.turn(id) { 0 } else { idle + 1 };
        }
    }

    /// One stream's turn; returns whether it sent anything.
    fn turn(&mut self, id: u32) -> bool {
        let Some(stream) = self.streams.get_mut(&id) else {
            return true;
        };
        stream.blocked = false;
        let mut sent = false;
        for _ in 0..FRAMES_PER_TURN {
            let Some(front) = stream.pending.front_mut() else {
                break;
            };
            let window = stream.send_window.min(self.send_window).max(0) as usize;
            let len = front.len().min(window).min(self.frame_bytes_max);
            if len == 0 {
                break;
            }
            let payload = front.split_to(len);
            let drained = !front.has_remaining();
            if drained {
                stream.pending.pop_front();
            }
            let last = stream.pending.is_empty() && matches!(stream.end, Some(End::Body));
            let flags = if last { flag::END_STREAM } else { 0 };
            let out = self.out.buf();
            out.reserve(HEADER_BYTES);
            frame::header(out, len, kind::DATA, flags, id);
            if len >= BY_REFERENCE_BYTES_MIN {
                self.out.push(payload);
            } else {
                out.extend_from_slice(&payload);
            }
            stream.pending_bytes -= len;
            stream.send_window -= len as i64;
            self.send_window -= len as i64;
            // Clients measure the path with pings while data flows.
            self.pings.forgiven = true;
            sent = true;
        }
        self.after_turn(id);
        sent
    }

    fn after_turn(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if !stream.pending.is_empty() {
            // Without stream window it is the peer's update that puts the stream back in line.
            if stream.send_window > 0 {
                stream.blocked = true;
                self.blocked.push_back(id);
            }
            return;
        }
        stream.wake_if_waiting(&mut self.waiting, id);
        match stream.end.take() {
            Some(End::Trailers(status)) => self.trailers(id, &status),
            Some(End::Body) => self.ended(id),
            None => {}
        }
    }
}

impl super::stream::Stream {
    fn wake_if_waiting(&self, waiting: &mut Vec<u32>, id: u32) {
        if let Some(at) = waiting.iter().position(|w| *w == id) {
            waiting.swap_remove(at);
            self.wake();
        }
    }
}
