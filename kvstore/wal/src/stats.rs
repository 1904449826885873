//! Counters of the durable path, free of locks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the sync duration histogram: 1 ms × 2^n, etcd's buckets. Longer ones are counted
/// only in `syncs`.
pub const SYNC_BUCKETS: usize = 14;

#[derive(Debug, Default)]
pub(crate) struct Counters {
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    buckets: [AtomicU64; SYNC_BUCKETS],
    bytes: AtomicU64,
    entries: AtomicU64,
    segments: AtomicU64,
}

/// A reading of the counters since open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Batches made durable (each is one write and one sync).
    pub syncs: u64,
    /// Total time spent in those syncs.
    pub sync_time: Duration,
    /// Syncs that took at most `1 ms << n` (each counted once, in its own bucket).
    pub sync_buckets: [u64; SYNC_BUCKETS],
    /// Bytes written to segments.
    pub bytes: u64,
    /// Entries written.
    pub entries: u64,
    /// Segments begun.
    pub segments: u64,
    /// Room for the next segment could not be reserved: the disk is (nearly) full. Writes go on
    /// until the current segment is, then they wait.
    pub no_space: bool,
    /// Operations wait because the disk is full.
    pub full: bool,
    /// Bytes accepted and not yet durable.
    pub queued_bytes: usize,
}

impl Counters {
    pub(crate) fn synced(&self, took: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        self.sync_nanos.fetch_add(took.as_nanos() as u64, Relaxed);
        let bucket = (0..SYNC_BUCKETS).find(|n| took <= Duration::from_millis(1 << n));
        if let Some(bucket) = bucket {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn wrote(&self, bytes: u64, entries: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.entries.fetch_add(entries, Relaxed);
    }

    pub(crate) fn began_segment(&self) {
        self.segments.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> Stats {
        Stats {
            syncs: self.syncs.load(Relaxed),
            sync_time: Duration::from_nanos(self.sync_nanos.load(Relaxed)),
            sync_buckets: std::array::from_fn(|n| self.buckets[n].load(Relaxed)),
            bytes: self.bytes.load(Relaxed),
            entries: self.entries.load(Relaxed),
            segments: self.segments.load(Relaxed),
            no_space: false,
            full: false,
            queued_bytes: 0,
        }
    }
}
