//! Records: frames as they lie in a segment.
//!
//! ```text
//!  0  u32 check: crc32 of bytes 4..56, started from the segment's salt
//!  4  u16 magic    6  u8 kind    7  u8 flags
//!  8  u64 batch
//! 16  frame (see `codec`), then zeros up to a multiple of 8
//! ```
//! `check` covers the frame's header and with it the frame's own checksum, so the payload is summed
//! only once. The salt differs for every segment a file ever was: bytes left over from an earlier
//! life of a recycled file can never pass (with equal bytes, a different start always gives a
//! different crc). `batch` counts syncs: a record of batch n+1 is written only after batch n is
//! durable. The last record of a batch carries `END`.

use bytes::Bytes;

use crate::codec::{self, FrameHead, HEADER_BYTES};
use crate::entry::LogId;
use crate::limits::ENTRY_PAYLOAD_BYTES_MAX;
use crate::verdict::{Damage, DamageKind};
use crate::wire::{Reader, put_bytes, put_id, put_u64};
use mainstay_planted::{Bug, has};

pub(crate) const PREFIX_BYTES: usize = 16;
pub(crate) const RECORD_HEADER_BYTES: usize = PREFIX_BYTES + HEADER_BYTES;
pub(crate) const ALIGN: usize = 8;
const MAGIC: [u8; 2] = [0x57, 0xa1];
const END: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Segment,
    Entry,
    Vote,
    Committed,
    /// Everything after `id.index` is gone; frame kind 0 means everything not purged.
    Truncate,
    Purge,
    Repaired,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Segment => 1,
            Self::Entry => 2,
            Self::Vote => 3,
            Self::Committed => 4,
            Self::Truncate => 5,
            Self::Purge => 6,
            Self::Repaired => 7,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Segment,
            2 => Self::Entry,
            3 => Self::Vote,
            4 => Self::Committed,
            5 => Self::Truncate,
            6 => Self::Purge,
            7 => Self::Repaired,
            _ => return None,
        })
    }
}

/// The salt of one segment. Injective in the low 32 bits of `seq`.
pub(crate) fn salt(wal_id: u64, seq: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&wal_id.to_le_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.finalize()
}

/// Zeros after a payload of `len` bytes.
pub(crate) fn padding(len: usize) -> usize {
    len.wrapping_neg() & (ALIGN - 1)
}

/// Bytes of a record with a payload of `len` bytes.
pub(crate) fn record_bytes(len: usize) -> usize {
    RECORD_HEADER_BYTES + len + padding(len)
}

/// Appends an unsealed record header; the payload and its padding follow it.
pub(crate) fn put_head(out: &mut Vec<u8>, kind: Kind, tag: u8, id: &LogId, payload: &[u8]) {
    let mut prefix = [0; PREFIX_BYTES];
    prefix[4..6].copy_from_slice(&MAGIC);
    prefix[6] = kind.code();
    out.extend_from_slice(&prefix);
    out.extend_from_slice(&codec::header(tag, id, payload));
}

/// Appends a whole unsealed record.
pub(crate) fn put(out: &mut Vec<u8>, kind: Kind, tag: u8, id: &LogId, payload: &[u8]) {
    put_head(out, kind, tag, id, payload);
    out.extend_from_slice(payload);
    out.extend_from_slice(&[0; ALIGN][..padding(payload.len())]);
}

/// Gives the record header at the start of `record` its place in the log.
pub(crate) fn seal(record: &mut [u8], salt: u32, batch: u64, end: bool) {
    record[7] = if end { END } else { 0 };
    record[8..16].copy_from_slice(&batch.to_le_bytes());
    let check = prefix_check(&record[4..RECORD_HEADER_BYTES], salt);
    record[0..4].copy_from_slice(&check.to_le_bytes());
}

fn prefix_check(bytes: &[u8], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// Kind and payload length of a record header that was built in memory.
pub(crate) fn staged(record: &[u8]) -> (bool, usize) {
    let len = u32::from_le_bytes([record[16], record[17], record[18], record[19]]) as usize;
    (record[6] == Kind::Entry.code(), len)
}

/// A record whose header passed its check.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) end_of_batch: bool,
    pub(crate) batch: u64,
    pub(crate) tag: u8,
    pub(crate) id: LogId,
    pub(crate) payload: &'a [u8],
    /// Bytes it takes, padding included.
    pub(crate) bytes: usize,
}

/// What lies at some offset of a segment.
#[derive(Debug)]
pub(crate) enum Parsed<'a> {
    Good(Record<'a>),
    /// The header is genuine, the payload is not.
    BadPayload,
    /// Nothing of this segment.
    Nothing,
}

/// Looks at the start of `bytes`.
pub(crate) fn parse(bytes: &[u8], salt: u32) -> Parsed<'_> {
    let Some((head, kind)) = genuine_head(bytes, salt) else {
        return Parsed::Nothing;
    };
    let frame = bytes.get(PREFIX_BYTES..RECORD_HEADER_BYTES + head.len);
    match frame {
        Some(frame) if codec::check(frame) || has(Bug::DamageServed) => Parsed::Good(Record {
            kind,
            end_of_batch: bytes[7] & END != 0,
            batch: batch_of(bytes),
            tag: head.kind,
            id: head.id,
            payload: &frame[HEADER_BYTES..],
            bytes: record_bytes(head.len),
        }),
        _ => Parsed::BadPayload,
    }
}

/// Bytes the record takes that begins with the header in `bytes`, if it is one.
pub(crate) fn announced_bytes(bytes: &[u8], salt: u32) -> Option<usize> {
    genuine_head(bytes, salt).map(|(head, _)| record_bytes(head.len))
}

fn genuine_head(bytes: &[u8], salt: u32) -> Option<(FrameHead, Kind)> {
    let head = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
    if head[4..6] != MAGIC {
        return None;
    }
    let kind = Kind::from_code(head[6])?;
    let stored = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    if prefix_check(&head[4..], salt) != stored {
        return None;
    }
    let frame = FrameHead::parse(head[PREFIX_BYTES..].first_chunk()?);
    (frame.len <= ENTRY_PAYLOAD_BYTES_MAX).then_some((frame, kind))
}

fn batch_of(bytes: &[u8]) -> u64 {
    let mut batch = [0; 8];
    batch.copy_from_slice(&bytes[8..16]);
    u64::from_le_bytes(batch)
}

/// Traces of genuine records in bytes that do not parse from their start.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Traces {
    pub(crate) max_batch: u64,
    /// End of the furthest trace, relative to the start of the bytes.
    pub(crate) end: usize,
}

/// Searches every aligned position of `bytes` for genuine record headers.
pub(crate) fn traces(bytes: &[u8], salt: u32) -> Traces {
    let mut found = Traces::default();
    let mut at = 0;
    while at + RECORD_HEADER_BYTES <= bytes.len() {
        if let Some((head, _)) = genuine_head(&bytes[at..], salt) {
            found.max_batch = found.max_batch.max(batch_of(&bytes[at..]));
            found.end = (at + record_bytes(head.len))
                .min(bytes.len())
                .max(found.end);
        }
        at += ALIGN;
    }
    found
}

/// The first record of every segment: all state that earlier segments established, so that any
/// number of them may be dropped from the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) wal_id: u64,
    pub(crate) seq: u64,
    /// The segment before this one and the offset where its records end; 0 if there is none.
    pub(crate) prev_seq: u64,
    pub(crate) prev_end: u64,
    /// Whether the file held zeros (not an earlier segment's bytes) when it was started.
    pub(crate) fresh: bool,
    pub(crate) state: Checkpoint,
}

/// What the log knows besides its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The last entry, or the purged id if there is none.
    pub(crate) last: Option<LogId>,
    pub(crate) damage: Option<Damage>,
}

impl Checkpoint {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        put_id(out, self.committed.as_ref());
        put_id(out, self.purged.as_ref());
        put_id(out, self.last.as_ref());
        out.push(self.damage.map_or(0, |d| d.what.code()));
        let damage = self
            .damage
            .map_or((0, 0, 0), |d| (d.segment, d.offset, d.first_lost_index));
        put_u64(out, damage.0);
        put_u64(out, damage.1);
        put_u64(out, damage.2);
        put_bytes(out, self.vote.as_deref());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (committed, purged, last) = (from.id()?, from.id()?, from.id()?);
        let what = DamageKind::from_code(from.u8()?);
        let (segment, offset, first_lost_index) = (from.u64()?, from.u64()?, from.u64()?);
        let damage = what.map(|what| Damage {
            segment,
            offset,
            what,
            first_lost_index,
        });
        let vote = from.bytes()?.map(Bytes::copy_from_slice);
        Some(Self {
            vote,
            committed,
            purged,
            last,
            damage,
        })
    }
}

const NO_ID: LogId = LogId {
    term: 0,
    leader: 0,
    index: 0,
};

impl SegmentHead {
    /// The unsealed record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut payload = Vec::with_capacity(256);
        put_u64(&mut payload, self.wal_id);
        put_u64(&mut payload, self.seq);
        put_u64(&mut payload, self.prev_seq);
        put_u64(&mut payload, self.prev_end);
        payload.push(u8::from(self.fresh));
        self.state.put(&mut payload);
        put(out, Kind::Segment, 0, &NO_ID, &payload);
    }

    /// Reads the header of the segment that is named `seq`; its salt follows from its content.
    pub(crate) fn decode(bytes: &[u8], seq: u64) -> Option<(Self, Record<'_>)> {
        let head = FrameHead::parse(bytes.get(PREFIX_BYTES..)?.first_chunk()?);
        let payload = bytes.get(RECORD_HEADER_BYTES..)?.get(..head.len)?;
        let decoded = Self::read(&mut Reader(payload))?;
        if decoded.seq != seq {
            return None;
        }
        match parse(bytes, salt(decoded.wal_id, seq)) {
            Parsed::Good(record) if record.kind == Kind::Segment => Some((decoded, record)),
            _ => None,
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            wal_id: from.u64()?,
            seq: from.u64()?,
            prev_seq: from.u64()?,
            prev_end: from.u64()?,
            fresh: from.u8()? != 0,
            state: Checkpoint::read(from)?,
        })
    }
}

/// Largest encoded segment header.
pub(crate) const SEGMENT_HEAD_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::VOTE_BYTES_MAX;

    #[test]
    fn largest_header_fits() {
        let id = LogId {
            term: 1,
            leader: 2,
            index: 3,
        };
        let damage = Damage {
            segment: 1,
            offset: 2,
            what: DamageKind::Short,
            first_lost_index: 3,
        };
        let head = SegmentHead {
            wal_id: 7,
            seq: 3,
            prev_seq: 2,
            prev_end: 99,
            fresh: true,
            state: Checkpoint {
                vote: Some(vec![7; VOTE_BYTES_MAX].into()),
                committed: Some(id),
                purged: Some(id),
                last: Some(id),
                damage: Some(damage),
            },
        };
        let mut bytes = Vec::new();
        head.encode(&mut bytes);
        assert!(bytes.len() <= SEGMENT_HEAD_BYTES_MAX);
        seal(&mut bytes, salt(7, 3), 1, true);
        assert_eq!(SegmentHead::decode(&bytes, 3).unwrap().0, head);
        assert!(SegmentHead::decode(&bytes, 4).is_none());
    }

    #[test]
    fn another_salt_never_passes() {
        let mut bytes = Vec::new();
        put(&mut bytes, Kind::Entry, 0, &NO_ID, b"stale");
        seal(&mut bytes, salt(1, 5), 9, true);
        assert!(matches!(parse(&bytes, salt(1, 5)), Parsed::Good(_)));
        for seq in 6..5_000 {
            assert!(matches!(parse(&bytes, salt(1, seq)), Parsed::Nothing));
        }
    }
}
