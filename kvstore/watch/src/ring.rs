//! The latest batches, in order and without a gap, bounded in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::batch::{Batch, EncodedEvent};

/// Where an event lies in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Number of the batch; wraps around, which is far more than a ring holds.
    pub(crate) batch: u32,
    pub(crate) event: u32,
}

#[derive(Debug)]
pub(crate) struct Ring {
    batches: VecDeque<Arc<Batch>>,
    bytes: usize,
    bytes_max: usize,
    /// Number of the first batch.
    front: u32,
    /// Every event of a revision from here on is in the ring.
    start: i64,
}

impl Ring {
    pub(crate) fn new(start: i64, bytes_max: usize) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            bytes_max,
            front: 0,
            start,
        }
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the batch that follows and drops the oldest beyond the limit. Returns the number of the new one.
    pub(crate) fn push(&mut self, batch: Arc<Batch>) -> u32 {
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        while self.bytes > self.bytes_max && self.batches.len() > 1 {
            if let Some(oldest) = self.batches.pop_front() {
                self.bytes -= oldest.bytes;
                self.start = oldest.last + 1;
                self.front = self.front.wrapping_add(1);
            }
        }
        let behind = u32::try_from(self.batches.len() - 1).expect("a batch is hundreds of bytes");
        self.front.wrapping_add(behind)
    }

    /// Forgets everything; the next batch starts at `start`.
    pub(crate) fn clear(&mut self, start: i64) {
        let gone = u32::try_from(self.batches.len()).expect("a batch is hundreds of bytes");
        self.front = self.front.wrapping_add(gone);
        self.batches.clear();
        self.bytes = 0;
        self.start = start;
    }

    /// The event at a position, unless the ring has moved on.
    pub(crate) fn get(&self, at: Position) -> Option<&EncodedEvent> {
        let batch = self
            .batches
            .get(at.batch.wrapping_sub(self.front) as usize)?;
        batch.events.get(at.event as usize)
    }

    /// The batches that hold revisions from `revision` on, which the ring must cover.
    pub(crate) fn from(&self, revision: i64) -> impl Iterator<Item = &Arc<Batch>> {
        debug_assert!(revision >= self.start);
        let first = self.batches.partition_point(|b| b.last < revision);
        self.batches.range(first..)
    }
}
