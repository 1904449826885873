//! Writes responses as gRPC messages: five bytes of prefix, header, watch id, events.

use bytes::{BufMut, Bytes, BytesMut};
use mainstay_proto::etcdserverpb::{ResponseHeader, WatchResponse};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::body::Body;
use crate::limits::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

const PREFIX_BYTES: usize = 5;
const VARINT_BYTES_MAX: usize = 10;
const TAG_HEADER: u8 = 0x0a;
const TAG_WATCH_ID: u8 = 0x10;
const FIELD_FRAGMENT: [u8; 2] = [0x38, 1];

/// The encoded response header that all event responses of the moment share.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) value: ResponseHeader,
    encoded: Vec<u8>,
    /// Changes whenever the header does.
    pub(crate) version: u64,
}

impl Header {
    pub(crate) fn new() -> Self {
        Self {
            value: ResponseHeader::default(),
            encoded: vec![TAG_HEADER, 0],
            version: 0,
        }
    }

    pub(crate) fn set(&mut self, value: ResponseHeader) {
        if self.value == value {
            return;
        }
        self.value = value;
        self.version += 1;
        self.encoded.clear();
        self.encoded.push(TAG_HEADER);
        encode_varint(value.encoded_len() as u64, &mut self.encoded);
        value.encode_raw(&mut self.encoded);
    }

    /// Length of an event response's message.
    pub(crate) fn message_len(&self, id: i64, body_len: usize) -> usize {
        self.encoded.len() + watch_id_len(id) + body_len
    }

    /// A whole event response in one buffer; for small bodies.
    pub(crate) fn frame(&self, id: i64, body: &Body) -> Bytes {
        let len = self.message_len(id, body.len);
        let mut buf = BytesMut::with_capacity(PREFIX_BYTES + len);
        self.start(&mut buf, id, false, len);
        buf.put_slice(body.head());
        put_body(&mut buf, body);
        buf.freeze()
    }

    /// Header and events of a small response in one piece: all of the message but the watch id.
    pub(crate) fn followed_by(&self, body: &Body) -> Vec<u8> {
        let mut shared = Vec::with_capacity(self.encoded.len() + body.len);
        shared.extend_from_slice(&self.encoded);
        shared.extend_from_slice(body.head());
        shared.extend_from_slice(&body.first);
        shared
    }

    fn start(&self, buf: &mut BytesMut, id: i64, fragment: bool, len: usize) {
        put_prefix(buf, len);
        buf.put_slice(&self.encoded);
        if id != 0 {
            buf.put_u8(TAG_WATCH_ID);
            encode_varint(id.cast_unsigned(), buf);
        }
        if fragment {
            buf.put_slice(&FIELD_FRAGMENT);
        }
    }
}

fn watch_id_len(id: i64) -> usize {
    if id == 0 {
        0
    } else {
        1 + encoded_len_varint(id.cast_unsigned())
    }
}

fn put_prefix(buf: &mut BytesMut, len: usize) {
    buf.put_u8(0);
    buf.put_u32(u32::try_from(len).expect("messages are limited to 2 GiB"));
}

fn put_body(buf: &mut BytesMut, body: &Body) {
    buf.put_slice(&body.first);
    for piece in body.more.iter().flat_map(|m| m.iter()) {
        buf.put_slice(piece);
    }
}

/// Collects what one poll sends. Small responses go one behind the other into chunks, so that a stream with many
/// watchers gets few, large pieces; large bodies are passed on as they are.
pub(crate) struct Writer<'a> {
    chunk: BytesMut,
    pieces: &'a mut Vec<Bytes>,
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
    pub(crate) events: u64,
}

impl<'a> Writer<'a> {
    /// `chunk` is what the last writer left over.
    pub(crate) fn new(chunk: BytesMut, pieces: &'a mut Vec<Bytes>) -> Self {
        Self {
            chunk,
            pieces,
            bytes: 0,
            frames: 0,
            events: 0,
        }
    }

    /// Hands over what was written and returns the rest of the chunk.
    pub(crate) fn finish(mut self) -> BytesMut {
        self.flush();
        self.chunk
    }

    fn flush(&mut self) {
        if !self.chunk.is_empty() {
            self.pieces.push(self.chunk.split().freeze());
        }
    }

    #[inline]
    fn reserve(&mut self, need: usize) {
        if self.chunk.capacity() - self.chunk.len() < need {
            self.flush();
            let size = if self.bytes < CHUNK_BYTES_MIN {
                CHUNK_BYTES_MIN
            } else {
                CHUNK_BYTES_MAX
            };
            self.chunk = BytesMut::with_capacity(size.max(need));
        }
    }

    /// Nothing is waiting in the chunk, so a complete frame can be passed on without splitting it.
    pub(crate) fn is_flushed(&self) -> bool {
        self.chunk.is_empty()
    }

    /// A complete frame that others are sent as well.
    pub(crate) fn shared(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames += 1;
        self.flush();
        self.pieces.push(frame);
    }

    /// An event response.
    pub(crate) fn events(&mut self, header: &Header, id: i64, fragment: bool, body: &Body) {
        let extra = if fragment { FIELD_FRAGMENT.len() } else { 0 };
        let len = header.message_len(id, body.len) + extra;
        let small = body.is_small();
        let own = if small {
            len
        } else {
            len - body.len + body.head().len()
        };
        self.reserve(PREFIX_BYTES + own);
        header.start(&mut self.chunk, id, fragment, len);
        self.chunk.put_slice(body.head());
        if small {
            self.chunk.put_slice(&body.first);
        } else {
            self.flush();
            self.pieces.push(body.first.clone());
            self.pieces
                .extend(body.more.iter().flat_map(|m| m.iter().cloned()));
        }
        self.bytes += PREFIX_BYTES + len;
        self.frames += 1;
    }

    /// An event response of the watch id (fields may stand in any order) and what [`Header::followed_by`] made.
    #[inline]
    pub(crate) fn followed_by(&mut self, id: i64, shared: &[u8]) {
        let mut start = [0; PREFIX_BYTES + 1 + VARINT_BYTES_MAX];
        let mut used = PREFIX_BYTES;
        if id != 0 {
            start[used] = TAG_WATCH_ID;
            used += 1;
            let mut left = id.cast_unsigned();
            while left >= 0x80 {
                start[used] = (left & 0x7f) as u8 | 0x80;
                used += 1;
                left >>= 7;
            }
            start[used] = left as u8;
            used += 1;
        }
        let len = used - PREFIX_BYTES + shared.len();
        let encoded = u32::try_from(len).expect("a small response");
        start[1..PREFIX_BYTES].copy_from_slice(&encoded.to_be_bytes());
        self.reserve(used + shared.len());
        self.chunk.extend_from_slice(&start[..used]);
        self.chunk.extend_from_slice(shared);
        self.bytes += PREFIX_BYTES + len;
        self.frames += 1;
    }

    /// Any other response.
    pub(crate) fn control(&mut self, response: &WatchResponse) {
        let len = response.encoded_len();
        self.reserve(PREFIX_BYTES + len);
        put_prefix(&mut self.chunk, len);
        response.encode_raw(&mut self.chunk);
        self.bytes += PREFIX_BYTES + len;
        self.frames += 1;
    }
}
