//! Events encoded once: the unit that travels from the hub to the shards.

use std::hash::BuildHasher;

use bytes::{BufMut, Bytes, BytesMut};
use hashbrown::DefaultHashBuilder;
use mainstay_proto::mvccpb::event::EventType;
use mainstay_proto::mvccpb::{Event, KeyValue};
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::limits::ENCODE_CHUNK_BYTES;

const TAG_TYPE: u8 = 0x08;
const TAG_KV: u8 = 0x12;
const TAG_PREV_KV: u8 = 0x1a;

/// An `mvccpb.Event` as it goes over the wire, with and without `prev_kv` sharing the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct EncodedEvent {
    pub(crate) revision: i64,
    /// The key's hash, by the hub's hasher.
    pub(crate) hash: u64,
    /// The message with its `prev_kv` last.
    message: Bytes,
    /// Length of the message without `prev_kv`.
    plain_len: usize,
    key_len: u32,
    key_at: u8,
    pub(crate) delete: bool,
}

impl EncodedEvent {
    pub(crate) fn key(&self) -> &[u8] {
        let at = usize::from(self.key_at);
        &self.message[at..at + self.key_len as usize]
    }

    pub(crate) fn message(&self, prev_kv: bool) -> &[u8] {
        if prev_kv {
            &self.message
        } else {
            &self.message[..self.plain_len]
        }
    }

    /// The same bytes, shared.
    pub(crate) fn shared(&self, prev_kv: bool) -> Bytes {
        if prev_kv {
            self.message.clone()
        } else {
            self.message.slice(..self.plain_len)
        }
    }

    /// Bytes it adds to a response: tag, length and message.
    pub(crate) fn wire_len(&self, prev_kv: bool) -> usize {
        let len = self.message(prev_kv).len();
        1 + encoded_len_varint(len as u64) + len
    }
}

/// The events of consecutive revisions.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first: i64,
    pub(crate) last: i64,
    /// In order of revision.
    pub(crate) events: Vec<EncodedEvent>,
    /// Memory held, about.
    pub(crate) bytes: usize,
}

impl Batch {
    /// Encodes revisions, which must ascend; `None` if there are none.
    pub(crate) fn encode(
        revisions: &[(i64, Vec<Event>)],
        hasher: &DefaultHashBuilder,
    ) -> Option<Self> {
        let (&(first, _), &(last, _)) = (revisions.first()?, revisions.last()?);
        debug_assert!(
            revisions.windows(2).all(|w| w[0].0 < w[1].0),
            "revisions ascend"
        );
        let count = revisions.iter().map(|(_, events)| events.len()).sum();
        let mut encoder = Encoder {
            buf: BytesMut::new(),
            left: 0,
        };
        encoder.left = revisions
            .iter()
            .flat_map(|(_, events)| events)
            .map(|e| Sizes::of(e).total)
            .sum();
        let mut events = Vec::with_capacity(count);
        for (revision, list) in revisions {
            events.extend(list.iter().map(|e| encoder.event(*revision, e, hasher)));
        }
        let payload: usize = events.iter().map(|e: &EncodedEvent| e.message.len()).sum();
        let bytes = payload + count * size_of::<EncodedEvent>() + size_of::<Self>();
        Some(Self {
            first,
            last,
            events,
            bytes,
        })
    }

    /// Revisions in which nothing happened, such as that of an empty store.
    pub(crate) fn without_events(first: i64, last: i64) -> Self {
        Self {
            first,
            last,
            events: Vec::new(),
            bytes: size_of::<Self>(),
        }
    }

    /// The part of it that lies above a revision.
    pub(crate) fn after(&self, revision: i64) -> Self {
        let events = self.events[self.position(revision + 1)..].to_vec();
        Self {
            first: revision + 1,
            last: self.last,
            events,
            bytes: self.bytes,
        }
    }

    /// Index of the first event at or above `revision`.
    pub(crate) fn position(&self, revision: i64) -> usize {
        self.events.partition_point(|e| e.revision < revision)
    }
}

/// What a deletion tells about its key: nothing but the key and when.
fn tombstone_len(kv: &KeyValue) -> usize {
    KeyValue {
        key: kv.key.clone(),
        mod_revision: kv.mod_revision,
        ..KeyValue::default()
    }
    .encoded_len()
}

struct Sizes {
    kv: usize,
    prev: Option<usize>,
    total: usize,
}

impl Sizes {
    fn of(event: &Event) -> Self {
        let delete = is_delete(event);
        let kv = event.kv.as_ref().map_or(0, |kv| {
            if delete {
                tombstone_len(kv)
            } else {
                kv.encoded_len()
            }
        });
        let prev = event.prev_kv.as_ref().map(Message::encoded_len);
        let field = |len: usize| 1 + encoded_len_varint(len as u64) + len;
        let total = usize::from(delete) * 2 + field(kv) + prev.map_or(0, field);
        Self { kv, prev, total }
    }
}

fn is_delete(event: &Event) -> bool {
    event.r#type == EventType::Delete as i32
}

struct Encoder {
    buf: BytesMut,
    /// Bytes still to be encoded.
    left: usize,
}

impl Encoder {
    fn event(&mut self, revision: i64, event: &Event, hasher: &DefaultHashBuilder) -> EncodedEvent {
        let sizes = Sizes::of(event);
        if self.buf.capacity() < sizes.total {
            self.buf = BytesMut::with_capacity(sizes.total.max(self.left.min(ENCODE_CHUNK_BYTES)));
        }
        self.left = self.left.saturating_sub(sizes.total);
        let buf = &mut self.buf;
        let delete = is_delete(event);
        if delete {
            buf.put_slice(&[TAG_TYPE, 1]);
        }
        buf.put_u8(TAG_KV);
        encode_varint(sizes.kv as u64, buf);
        let kv_at = buf.len();
        let empty = KeyValue::default();
        let kv = event.kv.as_ref().unwrap_or(&empty);
        if delete {
            let key = kv.key.clone();
            KeyValue {
                key,
                mod_revision: kv.mod_revision,
                ..KeyValue::default()
            }
            .encode_raw(buf);
        } else {
            kv.encode_raw(buf);
        }
        let plain_len = buf.len();
        if let (Some(prev), Some(len)) = (&event.prev_kv, sizes.prev) {
            buf.put_u8(TAG_PREV_KV);
            encode_varint(len as u64, buf);
            prev.encode_raw(buf);
        }
        // The key is the first field of its message: tag, length, bytes. An empty one is left out.
        let key_len = u32::try_from(kv.key.len()).expect("a gRPC message is smaller than 4 GiB");
        let key_at = match key_len {
            0 => 0,
            len => kv_at + 1 + encoded_len_varint(u64::from(len)),
        };
        EncodedEvent {
            revision,
            hash: hasher.hash_one(&*kv.key),
            message: buf.split().freeze(),
            plain_len,
            key_len,
            key_at: u8::try_from(key_at).expect("two tags and two lengths stand before the key"),
            delete,
        }
    }
}
