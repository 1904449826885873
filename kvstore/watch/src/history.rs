//! Where events older than the ring come from.

use mainstay_proto::mvccpb::Event;

/// Stored events: the key-value store's reader.
pub trait History {
    /// The events of whole revisions from `from_revision` on, in order: up to `max_revisions` of them and, beyond
    /// the first, up to about `max_bytes`. Empty only if there are none up to [`History::revision`]. A start
    /// equal to the compacted revision is served.
    fn events(
        &self,
        from_revision: i64,
        max_revisions: usize,
        max_bytes: usize,
    ) -> Result<Vec<(i64, Vec<Event>)>, HistoryError>;

    /// The latest revision readers see. Never less than what was published.
    fn revision(&self) -> i64;

    /// The latest compacted revision.
    fn compacted(&self) -> i64;
}

/// Why history could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// The start lies below this compacted revision.
    Compacted(i64),
    /// Storage failed; reading is tried again at the next tick.
    Failed(String),
}
