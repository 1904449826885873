//! The reading side: any number of threads, beside the writer.

use crate::apply::attached_keys;
use crate::chunks::RangeChunks;
use crate::hash::{HashKv, hash};
use crate::limits::HASH_ATTEMPTS_MAX;
use crate::store::{Position, Shared};
use crate::view::View;
use crate::{CountStats, MvccError, range, txn};
use bytes::Bytes;
use mainstay_engine::Engine;
use mainstay_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use std::cell::Cell;
use std::sync::Arc;

/// Reads the store. Every call sees one committed state.
#[derive(Debug)]
pub struct Reader<E> {
    pub(crate) shared: Arc<Shared<E>>,
}

impl<E> Clone for Reader<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E: Engine> Reader<E> {
    pub(crate) fn new(shared: Arc<Shared<E>>) -> Self {
        Self { shared }
    }

    /// The revision of the last committed writing request; 1 for an empty store.
    pub fn revision(&self) -> i64 {
        self.shared.revision()
    }

    /// The revision of the last committed compaction; -1 before the first.
    pub fn compacted(&self) -> i64 {
        self.shared.compacted()
    }

    pub fn engine(&self) -> &Arc<E> {
        &self.shared.engine
    }

    /// How counts were taken so far.
    pub fn count_stats(&self) -> CountStats {
        self.shared.counts.stats()
    }

    /// Answers a range request that passed [`crate::check::validate_range`]. Of the header only the
    /// revision is filled: the current one, whatever revision was asked for.
    /// Errors: compacted, future revision.
    pub fn range(&self, r: &RangeRequest) -> Result<RangeResponse, MvccError> {
        if r.revision <= 0
            && r.range_end.is_empty()
            && let Some(response) = self.range_still(r)
        {
            return response;
        }
        self.read(|view| range::range(view, r))
    }

    /// The current record of one key, if it can be had without a snapshot.
    fn range_still(&self, r: &RangeRequest) -> Option<Result<RangeResponse, MvccError>> {
        self.shared.read_still(|position, engine| {
            let view = View {
                read: engine,
                overlay: None,
                engine_revision: position.revision,
                revision: position.revision,
                compacted: position.compacted,
                latest: &*self.shared,
                oldest_read: Cell::new(i64::MAX),
            };
            range::range(&view, r)
        })
    }

    /// Answers a range request in pieces that need little memory each.
    pub fn range_chunks(&self, r: &RangeRequest) -> Result<RangeChunks<E>, MvccError> {
        RangeChunks::new(self.clone(), r)
    }

    /// Runs a transaction that only reads ([`crate::is_read_only`]).
    pub fn txn(&self, r: &TxnRequest) -> Result<TxnResponse, MvccError> {
        self.read(|view| txn::read_only(view, r))
    }

    /// Hashes everything written up to `rev` (0: up to now).
    /// Errors: compacted, future revision; compacted as well if compactions kept overtaking the hash.
    pub fn hash_kv(&self, rev: i64) -> Result<HashKv, MvccError> {
        for _ in 0..HASH_ATTEMPTS_MAX {
            let snapshot = self.shared.engine.snapshot();
            let Position {
                revision,
                compacted,
            } = Position::read(&snapshot)?;
            if rev > revision {
                return Err(MvccError::FutureRevision);
            }
            if rev > 0 && rev < compacted {
                return Err(MvccError::Compacted);
            }
            let hash_revision = if rev == 0 { revision } else { rev };
            let hash = hash(&snapshot, hash_revision, compacted)?;
            if self.shared.compacted() <= compacted {
                return Ok(HashKv {
                    hash,
                    revision,
                    compact_revision: compacted,
                    hash_revision,
                });
            }
        }
        Err(MvccError::Compacted)
    }

    /// The keys attached to a lease, in order.
    pub fn lease_keys(&self, lease: i64) -> Result<Vec<Bytes>, MvccError> {
        attached_keys(&*self.shared.engine, lease)
    }

    /// Runs `f` on a consistent view. If it reads at an old revision and a compaction passes that
    /// meanwhile, records may have been missing.
    pub(crate) fn read<T>(
        &self,
        f: impl FnOnce(&View<'_, E::Snapshot<'_>>) -> Result<T, MvccError>,
    ) -> Result<T, MvccError> {
        let snapshot = self.shared.engine.snapshot();
        let Position {
            revision,
            compacted,
        } = Position::read(&snapshot)?;
        let view = View {
            read: &snapshot,
            overlay: None,
            engine_revision: revision,
            revision,
            compacted,
            latest: &*self.shared,
            oldest_read: Cell::new(i64::MAX),
        };
        let result = f(&view);
        let oldest = view.oldest_read.get();
        if oldest < revision && self.shared.compacted() > oldest {
            return Err(MvccError::Compacted);
        }
        result
    }
}
