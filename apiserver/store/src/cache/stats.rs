//! Figures of a cache.

/// What a cache is doing, for metrics and readiness.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Objects held.
    pub objects: usize,
    /// Watchers held.
    pub watchers: usize,
    /// Events held for watchers that resume.
    pub ring_events: usize,
    /// What these count for, in bytes.
    pub ring_bytes: usize,
    /// The revision up to which everything is known; 0 before the first list.
    pub revision: i64,
    /// The revision after which all events are known.
    pub oldest: i64,
    /// Whether a stream of events from the store is up.
    pub connected: bool,
    /// Streams of events that have been lost.
    pub losses: u64,
    /// Full lists read from the store to fill the cache.
    pub lists: u64,
    /// Rounds of the store for consistent reads.
    pub rounds: u64,
    /// Consistent reads that shared these rounds.
    pub consistent_reads: u64,
    /// Rounds that had to read the whole list from the store.
    pub direct_lists: u64,
}
