//! What waits for the writer: records already encoded, and whom to tell.

use std::time::Instant;

use bytes::Bytes;

use crate::entry::{Entry, LogId};
use crate::error::WalError;
use crate::limits::{COPY_PAYLOAD_BYTES_MAX, STAGING_KEEP_BYTES};
use crate::record::{ALIGN, Kind, padding, put, put_head, record_bytes};

/// Called once, on the writer thread, when the operation is durable (or never will be).
pub type Done = Box<dyn FnOnce(Result<(), WalError>) + Send>;

/// What an operation does to the durable state.
pub(crate) enum Effect {
    Append {
        first: u64,
        last: LogId,
        epoch: u64,
    },
    Vote(Bytes),
    /// Entries from `next` on are gone; `last` is the last one left.
    Truncate {
        next: u64,
        last: Option<LogId>,
        epoch: u64,
    },
    Purge {
        upto: LogId,
        last: Option<LogId>,
    },
    Repaired,
    /// Changes nothing, but answers in order.
    Nothing,
}

/// One call of a caller.
pub(crate) struct Operation {
    pub(crate) effect: Effect,
    /// Bytes it takes in the segment.
    pub(crate) bytes: usize,
    /// Where its records end in the staging buffer and in the list of large payloads.
    pub(crate) staged_end: usize,
    pub(crate) large_end: usize,
    pub(crate) done: Option<Done>,
}

/// Encoded records in order. Large payloads are kept apart, to be written from where they are.
#[derive(Default)]
pub(crate) struct Staging {
    pub(crate) bytes: Vec<u8>,
    /// Payload and its position in `bytes`.
    pub(crate) large: Vec<(usize, Bytes)>,
    pub(crate) operations: Vec<Operation>,
    /// Sum of the operations' bytes.
    pub(crate) total: usize,
    pub(crate) committed: Option<LogId>,
    pub(crate) oldest: Option<Instant>,
}

/// Bytes the entries will take in a segment.
pub(crate) fn entries_bytes(entries: &[Entry]) -> usize {
    entries
        .iter()
        .map(|entry| record_bytes(entry.payload.len()))
        .sum()
}

impl Staging {
    pub(crate) fn append(&mut self, entries: &[Entry], effect: Effect, bytes: usize, done: Done) {
        for Entry { id, kind, payload } in entries {
            put_head(&mut self.bytes, Kind::Entry, *kind, id, payload);
            if payload.len() > COPY_PAYLOAD_BYTES_MAX {
                self.large.push((self.bytes.len(), payload.clone()));
            } else {
                self.bytes.extend_from_slice(payload);
            }
            self.bytes
                .extend_from_slice(&[0; ALIGN][..padding(payload.len())]);
        }
        self.operation(effect, bytes, done);
    }

    /// Queues an operation that is one small record.
    pub(crate) fn record(
        &mut self,
        kind: Kind,
        tag: u8,
        id: &LogId,
        payload: &[u8],
        effect: Effect,
        done: Done,
    ) {
        put(&mut self.bytes, kind, tag, id, payload);
        self.operation(effect, record_bytes(payload.len()), done);
    }

    /// Queues an operation; its records have been staged.
    pub(crate) fn operation(&mut self, effect: Effect, bytes: usize, done: Done) {
        self.oldest.get_or_insert_with(Instant::now);
        self.total += bytes;
        self.operations.push(Operation {
            effect,
            bytes,
            staged_end: self.bytes.len(),
            large_end: self.large.len(),
            done: Some(done),
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Empties it, keeping buffers of ordinary size.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(STAGING_KEEP_BYTES);
        self.large.clear();
        self.operations.clear();
        self.total = 0;
        self.committed = None;
        self.oldest = None;
    }
}
