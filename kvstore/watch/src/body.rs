//! The events of a response in wire form, shared by all watchers that are sent the same.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::encode_varint;

use crate::batch::EncodedEvent;
use crate::limits::COPY_BYTES_MAX;

/// Tag of `WatchResponse.events`: field 11, length-delimited.
const TAG_EVENTS: u8 = 0x5a;

/// Tag and a varint of up to ten bytes.
const HEAD_BYTES: usize = 11;

/// Bytes `head ∥ first ∥ more`: the `events` fields of a response.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    head: [u8; HEAD_BYTES],
    head_len: u8,
    pub(crate) first: Bytes,
    pub(crate) more: Option<Arc<[Bytes]>>,
    /// Total length.
    pub(crate) len: usize,
}

impl Body {
    fn empty() -> Self {
        Self {
            head: [0; HEAD_BYTES],
            head_len: 0,
            first: Bytes::new(),
            more: None,
            len: 0,
        }
    }

    /// One event: its own bytes, without a copy.
    pub(crate) fn single(event: &EncodedEvent, prev_kv: bool) -> Self {
        let first = event.shared(prev_kv);
        let mut head = [0; HEAD_BYTES];
        let mut free = &mut head[..];
        free.put_u8(TAG_EVENTS);
        encode_varint(first.len() as u64, &mut free);
        let left = free.len();
        let head_len = HEAD_BYTES - left;
        let len = head_len + first.len();
        let head_len = u8::try_from(head_len).expect("a head has eleven bytes at most");
        Self {
            head,
            head_len,
            first,
            more: None,
            len,
        }
    }

    /// Several events: small ones are copied together, large ones are pieces of their own.
    pub(crate) fn of(events: &[&EncodedEvent], prev_kv: bool) -> Self {
        match events {
            [] => return Self::empty(),
            [one] => return Self::single(one, prev_kv),
            _ => {}
        }
        let copied = |e: &EncodedEvent| match e.message(prev_kv).len() {
            len if len > COPY_BYTES_MAX => HEAD_BYTES,
            _ => e.wire_len(prev_kv),
        };
        let mut buf = BytesMut::with_capacity(events.iter().map(|e| copied(e)).sum());
        let mut pieces = Vec::new();
        let mut len = 0;
        for event in events {
            let message = event.message(prev_kv);
            len += event.wire_len(prev_kv);
            buf.put_u8(TAG_EVENTS);
            encode_varint(message.len() as u64, &mut buf);
            if message.len() > COPY_BYTES_MAX {
                pieces.push(buf.split().freeze());
                pieces.push(event.shared(prev_kv));
            } else {
                buf.put_slice(message);
            }
        }
        if !buf.is_empty() {
            pieces.push(buf.freeze());
        }
        let mut pieces = pieces.into_iter();
        let first = pieces.next().unwrap_or_default();
        let more = (pieces.len() > 0).then(|| pieces.collect());
        Self {
            first,
            more,
            len,
            ..Self::empty()
        }
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    /// Whether it is better copied than shared.
    pub(crate) fn is_small(&self) -> bool {
        self.len <= COPY_BYTES_MAX && self.more.is_none()
    }
}
