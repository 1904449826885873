//! The frame of one entry: the same bytes on disk and between peers.
//!
//! ```text
//!  0  u32 payload length      8  u8  kind       16  u64 term
//!  4  u32 crc32 of all else   9  u8  version    24  u64 leader
//!                            10  zeros          32  u64 index     40  payload
//! ```
//! All integers are little-endian. A frame stands for itself: it can be cut from a stream, checked
//! and decoded without anything around it.

use bytes::Bytes;

use crate::entry::{Entry, LogId};
use crate::limits::ENTRY_PAYLOAD_BYTES_MAX;

/// Bytes in front of the payload.
pub const HEADER_BYTES: usize = 40;

const VERSION: u8 = 1;

/// Why bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("frame of {0} bytes is larger than {ENTRY_PAYLOAD_BYTES_MAX}")]
    TooLarge(usize),
    #[error("frame version {0} is unknown")]
    Version(u8),
    #[error("frame checksum does not match")]
    Checksum,
}

/// Encodes `entry` as a header to be sent right before the (shared, uncopied) payload.
pub fn encode_entry(entry: &Entry) -> Result<([u8; HEADER_BYTES], Bytes), CodecError> {
    if entry.payload.len() > ENTRY_PAYLOAD_BYTES_MAX {
        return Err(CodecError::TooLarge(entry.payload.len()));
    }
    Ok((
        header(entry.kind, &entry.id, &entry.payload),
        entry.payload.clone(),
    ))
}

/// Bytes `entry` takes on the wire.
pub fn encoded_bytes(entry: &Entry) -> usize {
    HEADER_BYTES + entry.payload.len()
}

/// Takes one entry off the front of `input`; its payload is a slice of the same allocation.
/// `Ok(None)` means that more bytes are needed; `input` is then unchanged.
pub fn decode_entry(input: &mut Bytes) -> Result<Option<Entry>, CodecError> {
    let Some(head) = input.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let head = FrameHead::parse(head);
    if head.version != VERSION {
        return Err(CodecError::Version(head.version));
    }
    if head.len > ENTRY_PAYLOAD_BYTES_MAX {
        return Err(CodecError::TooLarge(head.len));
    }
    let total = HEADER_BYTES + head.len;
    if input.len() < total {
        return Ok(None);
    }
    if !check(&input[..total]) {
        return Err(CodecError::Checksum);
    }
    let frame = input.split_to(total);
    Ok(Some(Entry {
        id: head.id,
        kind: head.kind,
        payload: frame.slice(HEADER_BYTES..),
    }))
}

/// The fixed part of a frame, decoded but not verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameHead {
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) id: LogId,
}

impl FrameHead {
    pub(crate) fn parse(head: &[u8; HEADER_BYTES]) -> Self {
        let word = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&head[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        Self {
            len: u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize,
            kind: head[8],
            version: head[9],
            id: LogId {
                term: word(16),
                leader: word(24),
                index: word(32),
            },
        }
    }
}

/// Builds a frame header. The payload must be within `ENTRY_PAYLOAD_BYTES_MAX`.
pub(crate) fn header(kind: u8, id: &LogId, payload: &[u8]) -> [u8; HEADER_BYTES] {
    debug_assert!(payload.len() <= ENTRY_PAYLOAD_BYTES_MAX);
    let mut head = [0; HEADER_BYTES];
    head[0..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    head[8] = kind;
    head[9] = VERSION;
    head[16..24].copy_from_slice(&id.term.to_le_bytes());
    head[24..32].copy_from_slice(&id.leader.to_le_bytes());
    head[32..40].copy_from_slice(&id.index.to_le_bytes());
    let crc = checksum(&head, payload);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    head
}

/// Whether a complete frame (header and exactly its payload) matches its checksum.
pub(crate) fn check(frame: &[u8]) -> bool {
    let Some((head, payload)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    let stored = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    head[9] == VERSION && checksum(head, payload) == stored
}

fn checksum(head: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head[0..4]);
    hasher.update(&head[8..]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(payload: &'static [u8]) -> Entry {
        Entry {
            id: LogId {
                term: 3,
                leader: 9,
                index: 77,
            },
            kind: 2,
            payload: Bytes::from_static(payload),
        }
    }

    fn encoded(entry: &Entry) -> Vec<u8> {
        let (head, payload) = encode_entry(entry).unwrap();
        [&head[..], &payload[..]].concat()
    }

    #[test]
    fn frames_follow_each_other_and_share_the_buffer() {
        let (a, b) = (sample(b"first"), sample(b""));
        let mut input = Bytes::from([encoded(&a), encoded(&b)].concat());
        let base = input.as_ptr();
        let first = decode_entry(&mut input).unwrap().unwrap();
        assert_eq!(first, a);
        assert_eq!(first.payload.as_ptr(), base.wrapping_add(HEADER_BYTES));
        assert_eq!(decode_entry(&mut input).unwrap().unwrap(), b);
        assert_eq!(decode_entry(&mut input), Ok(None));
    }

    #[test]
    fn every_prefix_asks_for_more() {
        let whole = Bytes::from(encoded(&sample(b"payload")));
        for len in 0..whole.len() {
            let mut part = whole.slice(..len);
            assert_eq!(decode_entry(&mut part), Ok(None));
            assert_eq!(part.len(), len);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let whole = encoded(&sample(b"payload"));
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bad = whole.clone();
                bad[at] ^= 1 << bit;
                // A longer length may also ask for more bytes; it never yields an entry.
                assert!(!matches!(decode_entry(&mut Bytes::from(bad)), Ok(Some(_))));
            }
        }
    }
}
