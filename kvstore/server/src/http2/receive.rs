//! The receiving half: frames in, complete calls out.

use super::conn::{
    CONN_WINDOW_BYTES, Conn, Failure, HEADER_LIST_BYTES_MAX, OpenBlock, STREAM_WINDOW_BYTES,
};
use super::frame::{
    self, Code, FRAME_BYTES_DEFAULT, HEADER_BYTES, Header, PREFACE, WINDOW_MAX, be32, flag, kind,
    setting,
};
use super::head::Head;
use super::stream::{Inbox, Receiving, Stream};
use crate::grpc;
use crate::route::{self, Flow};
use bytes::Bytes;
use std::rc::Rc;
use std::time::Instant;

/// Something the server has to act upon.
#[derive(Debug)]
pub(crate) enum Event {
    /// A call with its one request message.
    Call {
        stream: u32,
        head: Box<Head>,
        message: Bytes,
    },
    /// A call whose messages arrive in the inbox.
    Open {
        stream: u32,
        head: Box<Head>,
        inbox: Rc<Inbox>,
    },
    /// A plain HTTP request; its body is ignored.
    Http { stream: u32, head: Box<Head> },
    /// A gRPC call ended by the transport itself, for the metrics.
    Refused { head: Box<Head>, code: grpc::Code },
}

/// Abusive pings forgiven before the connection is closed, as in grpc-go.
const PING_STRIKES_MAX: u32 = 2;

const fn fail(code: Code, text: &'static str) -> Failure {
    Failure { code, text }
}

impl Conn {
    /// Takes everything in `input`; complete requests are appended to `events`.
    pub(crate) fn receive(&mut self, input: &[u8], events: &mut Vec<Event>) -> Result<(), Failure> {
        self.heard = true;
        let mut input = input;
        while !self.partial.is_empty() || !self.preface_seen {
            let need = self.partial_need()?;
            let take = need.saturating_sub(self.partial.len()).min(input.len());
            self.partial.extend_from_slice(&input[..take]);
            input = &input[take..];
            let full = self.partial_need()?;
            if self.partial.len() < need || full > need {
                if input.is_empty() {
                    return Ok(());
                }
                continue;
            }
            if !self.preface_seen {
                self.preface_seen = true;
                self.partial.clear();
                continue;
            }
            let frame = std::mem::take(&mut self.partial);
            self.whole_frame(&frame, events)?;
        }
        while let Some(head) = input.first_chunk::<HEADER_BYTES>() {
            let total = HEADER_BYTES + self.checked(Header::parse(head))?.len;
            if input.len() < total {
                break;
            }
            let (frame, rest) = input.split_at(total);
            self.whole_frame(frame, events)?;
            input = rest;
        }
        if input.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.extend_from_slice(input);
        }
        Ok(())
    }

    /// How many bytes `partial` must hold before it can be acted upon.
    fn partial_need(&self) -> Result<usize, Failure> {
        if !self.preface_seen {
            if !PREFACE.starts_with(&self.partial) {
                return Err(fail(Code::Protocol, "bad connection preface"));
            }
            return Ok(PREFACE.len());
        }
        match self.partial.first_chunk::<HEADER_BYTES>() {
            Some(head) => Ok(HEADER_BYTES + self.checked(Header::parse(head))?.len),
            None => Ok(HEADER_BYTES),
        }
    }

    fn checked(&self, header: Header) -> Result<Header, Failure> {
        if header.len > FRAME_BYTES_DEFAULT {
            return Err(fail(Code::FrameSize, "frame too large"));
        }
        Ok(header)
    }

    fn whole_frame(&mut self, frame: &[u8], events: &mut Vec<Event>) -> Result<(), Failure> {
        let Some((head, payload)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            return Err(fail(Code::FrameSize, "short frame"));
        };
        let header = Header::parse(head);
        if !self.settings_seen && header.kind != kind::SETTINGS {
            return Err(fail(Code::Protocol, "first frame is not settings"));
        }
        if self.block.is_some() && header.kind != kind::CONTINUATION {
            return Err(fail(Code::Protocol, "header block interrupted"));
        }
        match header.kind {
            kind::DATA => self.data(header, payload, events),
            kind::HEADERS => self.headers(header, payload, events),
            kind::CONTINUATION => self.continuation(header, payload, events),
            kind::RST_STREAM => self.reset(header, payload),
            kind::SETTINGS => self.settings(header, payload),
            kind::PING => self.pinged(header, payload),
            kind::WINDOW_UPDATE => self.window_update(header, payload),
            kind::PUSH_PROMISE => Err(fail(Code::Protocol, "client push")),
            kind::GOAWAY | kind::PRIORITY => Ok(()),
            // Unknown kinds must be ignored.
            _ => Ok(()),
        }
    }

    fn headers(
        &mut self,
        header: Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if header.stream == 0 || header.stream.is_multiple_of(2) {
            return Err(fail(Code::Protocol, "headers on an invalid stream"));
        }
        let mut payload = unpadded(header, payload)?;
        if header.has(flag::PRIORITY) {
            payload = payload
                .get(5..)
                .ok_or(fail(Code::FrameSize, "short headers"))?;
        }
        let end_stream = header.has(flag::END_STREAM);
        if header.has(flag::END_HEADERS) {
            return self.block_complete(header.stream, payload, end_stream, events);
        }
        self.block = Some(OpenBlock {
            stream: header.stream,
            end_stream,
            bytes: payload.to_vec(),
        });
        Ok(())
    }

    fn continuation(
        &mut self,
        header: Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let Some(block) = self.block.as_mut().filter(|b| b.stream == header.stream) else {
            return Err(fail(Code::Protocol, "unexpected continuation"));
        };
        if block.bytes.len() + payload.len() > HEADER_LIST_BYTES_MAX || payload.is_empty() {
            return Err(fail(Code::EnhanceYourCalm, "header block too large"));
        }
        block.bytes.extend_from_slice(payload);
        if header.has(flag::END_HEADERS)
            && let Some(block) = self.block.take()
        {
            return self.block_complete(block.stream, &block.bytes, block.end_stream, events);
        }
        Ok(())
    }

    fn block_complete(
        &mut self,
        id: u32,
        block: &[u8],
        end_stream: bool,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        let mut head = Box::<Head>::default();
        self.decoder
            .decode(block, HEADER_LIST_BYTES_MAX, &mut |field| {
                head.apply(field.kind, &field.value)
            })
            .map_err(|_| fail(Code::Compression, "bad header block"))?;
        if id <= self.last_stream {
            // Trailers of a request; gRPC clients send none. What matters is only that the stream ends.
            if end_stream {
                self.remote_end(id, events);
            }
            return Ok(());
        }
        if self.leaving {
            return Ok(());
        }
        self.last_stream = id;
        if self.streams.len() >= self.options.streams_max as usize {
            frame::rst_stream(self.out.buf(), id, Code::RefusedStream);
            return Ok(());
        }
        let mut stream = Stream::new(self.stream_window, i64::from(STREAM_WINDOW_BYTES));
        stream.remote_closed = end_stream;
        self.streams.insert(id, stream);
        self.open(id, head, end_stream, events);
        Ok(())
    }

    fn open(&mut self, id: u32, head: Box<Head>, ended: bool, events: &mut Vec<Event>) {
        if !head.grpc {
            events.push(Event::Http { stream: id, head });
            return;
        }
        let Some(route) = head.route else {
            let text = route::unknown_text(&head.path);
            self.finish(id, grpc::Status::new(grpc::Code::Unimplemented, text));
            return;
        };
        if head.bad_timeout {
            let status = grpc::Status::fixed(grpc::Code::Internal, "malformed grpc-timeout");
            self.refuse(id, head, status, events);
            return;
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        if route.flow() == Flow::Bidi {
            let inbox = Rc::new(Inbox::default());
            inbox.ended.set(ended);
            stream.inbox = Some(Rc::clone(&inbox));
            stream.receiving = Receiving::Inbox;
            events.push(Event::Open {
                stream: id,
                head,
                inbox,
            });
        } else if ended {
            self.refuse(
                id,
                head,
                grpc::Status::fixed(grpc::Code::Unknown, "EOF"),
                events,
            );
        } else {
            stream.receiving = Receiving::Single(head);
        }
    }

    fn refuse(&mut self, id: u32, head: Box<Head>, status: grpc::Status, events: &mut Vec<Event>) {
        events.push(Event::Refused {
            head,
            code: status.code,
        });
        self.finish(id, status);
    }

    fn data(
        &mut self,
        header: Header,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if header.stream == 0 || header.stream > self.last_stream {
            return Err(fail(Code::Protocol, "data on an idle stream"));
        }
        let charged = payload.len();
        let mut payload = unpadded(header, payload)?;
        self.receive_window -= charged as i64;
        if self.receive_window < 0 {
            return Err(fail(Code::FlowControl, "connection window exceeded"));
        }
        self.return_to_connection(charged);
        let Some(stream) = self.streams.get_mut(&header.stream) else {
            return Ok(());
        };
        stream.receive_window -= charged as i64;
        if stream.receive_window < 0 {
            return Err(fail(Code::FlowControl, "stream window exceeded"));
        }
        if stream.remote_closed {
            return Err(fail(Code::StreamClosed, "data after the end of a stream"));
        }
        let mut kept = 0;
        while !payload.is_empty() {
            match self.take_message_of(header.stream, &mut payload, events) {
                Some(bytes) => kept += bytes,
                None => break,
            }
        }
        // What waits in an inbox is returned when the handler takes it.
        self.consumed(header.stream, charged.saturating_sub(kept));
        if header.has(flag::END_STREAM) {
            self.remote_end(header.stream, events);
        }
        Ok(())
    }

    /// Takes one message off the front of `payload`; returns how many bytes stay in an inbox, or `None` when
    /// the rest of the payload is of no use.
    fn take_message_of(
        &mut self,
        id: u32,
        payload: &mut &[u8],
        events: &mut Vec<Event>,
    ) -> Option<usize> {
        let max = self.options.message_bytes_max;
        let stream = self.streams.get_mut(&id)?;
        let encoding = match &stream.receiving {
            Receiving::Single(head) => head.encoding.as_ref(),
            Receiving::Inbox => None,
            Receiving::Nothing => return None,
        };
        match stream.assembler.feed(payload, max, encoding) {
            Ok(None) => Some(0),
            Ok(Some(message)) => match std::mem::replace(&mut stream.receiving, Receiving::Nothing)
            {
                Receiving::Single(head) => {
                    events.push(Event::Call {
                        stream: id,
                        head,
                        message,
                    });
                    Some(0)
                }
                other => {
                    stream.receiving = other;
                    let inbox = stream.inbox.as_ref()?;
                    let kept = message.len() + grpc::PREFIX_BYTES;
                    inbox.messages.borrow_mut().push_back(message);
                    inbox.wake();
                    Some(kept)
                }
            },
            Err(status) => {
                match std::mem::replace(&mut stream.receiving, Receiving::Nothing) {
                    Receiving::Single(head) => self.refuse(id, head, status, events),
                    _ => {
                        if let Some(inbox) = &stream.inbox {
                            *inbox.broken.borrow_mut() = Some(status);
                            inbox.wake();
                        }
                    }
                }
                None
            }
        }
    }

    fn remote_end(&mut self, id: u32, events: &mut Vec<Event>) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.remote_closed = true;
        let cut = stream.assembler.in_message();
        if stream.ended {
            self.streams.remove(&id);
            return;
        }
        match std::mem::replace(&mut stream.receiving, Receiving::Nothing) {
            Receiving::Single(head) => {
                let status = if cut {
                    grpc::Status::fixed(grpc::Code::Internal, "unexpected EOF")
                } else {
                    grpc::Status::fixed(grpc::Code::Unknown, "EOF")
                };
                self.refuse(id, head, status, events);
            }
            Receiving::Inbox => {
                if let Some(inbox) = &stream.inbox {
                    inbox.ended.set(true);
                    inbox.wake();
                }
            }
            Receiving::Nothing => {}
        }
    }

    fn reset(&mut self, header: Header, payload: &[u8]) -> Result<(), Failure> {
        if payload.len() != 4 {
            return Err(fail(Code::FrameSize, "bad reset"));
        }
        if header.stream == 0 || header.stream > self.last_stream {
            return Err(fail(Code::Protocol, "reset of an idle stream"));
        }
        if let Some(stream) = self.streams.remove(&header.stream)
            && let Some(inbox) = &stream.inbox
        {
            inbox.reset.set(true);
            inbox.wake();
        }
        Ok(())
    }

    fn settings(&mut self, header: Header, payload: &[u8]) -> Result<(), Failure> {
        if header.stream != 0 || !payload.len().is_multiple_of(6) {
            return Err(fail(Code::FrameSize, "bad settings"));
        }
        if header.has(flag::ACK) {
            return Ok(());
        }
        self.settings_seen = true;
        for entry in payload.chunks_exact(6) {
            let id = u16::from_be_bytes([entry[0], entry[1]]);
            let value = be32(&[entry[2], entry[3], entry[4], entry[5]]);
            self.setting(id, value)?;
        }
        frame::header(self.out.buf(), 0, kind::SETTINGS, flag::ACK, 0);
        self.pump();
        Ok(())
    }

    fn setting(&mut self, id: u16, value: u32) -> Result<(), Failure> {
        match id {
            setting::HEADER_TABLE_SIZE => self.encoder.table_size(value),
            setting::INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                if window > WINDOW_MAX {
                    return Err(fail(Code::FlowControl, "window too large"));
                }
                let change = window - std::mem::replace(&mut self.stream_window, window);
                for (id, stream) in &mut self.streams {
                    stream.send_window += change;
                    if stream.send_window > WINDOW_MAX {
                        return Err(fail(Code::FlowControl, "window overflow"));
                    }
                    if change > 0 && !stream.pending.is_empty() && !stream.blocked {
                        stream.blocked = true;
                        self.blocked.push_back(*id);
                    }
                }
            }
            setting::MAX_FRAME_SIZE => {
                if !(FRAME_BYTES_DEFAULT as u32..1 << 24).contains(&value) {
                    return Err(fail(Code::Protocol, "bad frame size"));
                }
                self.frame_bytes_max = value as usize;
            }
            _ => {}
        }
        Ok(())
    }

    fn pinged(&mut self, header: Header, payload: &[u8]) -> Result<(), Failure> {
        if payload.len() != 8 || header.stream != 0 {
            return Err(fail(Code::FrameSize, "bad ping"));
        }
        if header.has(flag::ACK) {
            return Ok(());
        }
        let out = self.out.buf();
        frame::header(out, 8, kind::PING, flag::ACK, 0);
        out.extend_from_slice(payload);
        let now = Instant::now();
        let pings = &mut self.pings;
        let last = pings.last.replace(now);
        if std::mem::take(&mut pings.forgiven) {
            pings.strikes = 0;
            return Ok(());
        }
        if last.is_some_and(|last| now - last < self.options.ping_interval_min) {
            pings.strikes += 1;
            if pings.strikes > PING_STRIKES_MAX {
                return Err(fail(Code::EnhanceYourCalm, "too_many_pings"));
            }
        }
        Ok(())
    }

    fn window_update(&mut self, header: Header, payload: &[u8]) -> Result<(), Failure> {
        let Ok(bytes) = <&[u8; 4]>::try_from(payload) else {
            return Err(fail(Code::FrameSize, "bad window update"));
        };
        let add = i64::from(be32(bytes) & 0x7fff_ffff);
        if add == 0 {
            return Err(fail(Code::Protocol, "empty window update"));
        }
        if header.stream == 0 {
            self.send_window += add;
            if self.send_window > WINDOW_MAX {
                return Err(fail(Code::FlowControl, "window overflow"));
            }
        } else if let Some(stream) = self.streams.get_mut(&header.stream) {
            stream.send_window += add;
            if stream.send_window > WINDOW_MAX {
                return Err(fail(Code::FlowControl, "window overflow"));
            }
            if !stream.pending.is_empty() && !stream.blocked {
                stream.blocked = true;
                self.blocked.push_back(header.stream);
            }
        } else if header.stream > self.last_stream {
            return Err(fail(Code::Protocol, "window update of an idle stream"));
        }
        self.pump();
        Ok(())
    }

    fn return_to_connection(&mut self, bytes: usize) {
        self.unreturned += bytes as u32;
        if self.unreturned >= CONN_WINDOW_BYTES / 2 {
            let add = std::mem::take(&mut self.unreturned);
            self.receive_window += i64::from(add);
            frame::window_update(self.out.buf(), 0, add);
        }
    }

    /// Gives `bytes` of a stream's window back, in large steps.
    pub(super) fn consumed(&mut self, id: u32, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        stream.unreturned += bytes as u32;
        if stream.unreturned >= STREAM_WINDOW_BYTES / 2 && !stream.remote_closed {
            let add = std::mem::take(&mut stream.unreturned);
            stream.receive_window += i64::from(add);
            frame::window_update(self.out.buf(), id, add);
        }
    }
}

fn unpadded(header: Header, payload: &[u8]) -> Result<&[u8], Failure> {
    if !header.has(flag::PADDED) {
        return Ok(payload);
    }
    let (&pad, rest) = payload
        .split_first()
        .ok_or(fail(Code::FrameSize, "no padding length"))?;
    rest.len()
        .checked_sub(usize::from(pad))
        .map(|len| &rest[..len])
        .ok_or(fail(Code::Protocol, "padding exceeds frame"))
}
