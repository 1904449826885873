//! The store: an engine, where it stands, and who may write.

use crate::apply::Sealed;
use crate::counts::{Counts, Latest};
use crate::limits::CountLimits;
use crate::{Apply, MvccError, Reader, keys};
use bytes::Bytes;
use mainstay_engine::{Batch, Cf, Engine, EngineError, Read};
use mainstay_planted::{Bug, has};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

const FORMAT: u8 = 1;

/// The multi-version store on an engine. Its owner is the single writer; [`Reader`]s work beside it from
/// any thread, without locks held against it.
#[derive(Debug)]
pub struct Mvcc<E> {
    pub(crate) shared: Arc<Shared<E>>,
    pub(crate) position: Position,
}

/// Where the store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// The revision of the last writing request; 1 for an empty store.
    pub revision: i64,
    /// The revision of the last compaction; -1 before the first.
    pub compacted: i64,
}

/// What writer and readers share.
#[derive(Debug)]
pub(crate) struct Shared<E> {
    pub engine: Arc<E>,
    pub counts: Counts,
    revision: AtomicI64,
    /// Set before the engine may drop history up to it. A reader of the past that finds it beyond its
    /// revision afterwards may have missed records.
    compacted: AtomicI64,
    /// Odd while a batch is being written, and different after every batch: what was read from the engine
    /// itself between two equal even values is one state, without the cost of a snapshot.
    writes: AtomicU64,
}

impl Position {
    pub(crate) const EMPTY: Self = Self {
        revision: 1,
        compacted: -1,
    };

    /// Reads the position of a consistent view.
    pub(crate) fn read<R: Read + ?Sized>(read: &R) -> Result<Self, MvccError> {
        read.get(Cf::Meta, keys::META_REVISION)?
            .map_or(Ok(Self::EMPTY), |stored| Self::decode(&stored))
    }

    pub(crate) fn write(self, batch: &mut Batch) {
        let [revision, compacted] = [self.revision, self.compacted].map(i64::to_be_bytes);
        batch.put_parts(
            Cf::Meta,
            &[keys::META_REVISION],
            &[&[FORMAT], &revision, &compacted],
        );
    }

    fn decode(stored: &Bytes) -> Result<Self, MvccError> {
        let damaged = || MvccError::Corrupt("revision of the store".into());
        let stored: &[u8; 17] = stored[..].try_into().map_err(|_| damaged())?;
        let int = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&stored[at..at + 8]);
            i64::from_be_bytes(bytes)
        };
        let position = Self {
            revision: int(1),
            compacted: int(9),
        };
        let plausible = stored[0] == FORMAT
            && position.revision >= 1
            && position.compacted <= position.revision;
        if plausible {
            Ok(position)
        } else {
            Err(damaged())
        }
    }
}

impl<E: Engine> Shared<E> {
    /// Announces a committed position, then lets the engine drop what the compaction allows.
    pub(crate) fn publish(&self, position: Position) {
        let before = self.compacted.swap(position.compacted, Ordering::SeqCst);
        self.revision.store(position.revision, Ordering::SeqCst);
        if position.compacted > before {
            self.engine.set_compacted(position.compacted);
        }
    }

    /// Announces that the engine is about to be written.
    pub(crate) fn begin_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// To be called when the write is published. After a failed write it is not: readers then use
    /// snapshots until the process ends.
    pub(crate) fn end_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// Runs `f` on the position and the engine itself; `None` if a batch was written meanwhile.
    pub(crate) fn read_still<T>(&self, f: impl FnOnce(Position, &E) -> T) -> Option<T> {
        let before = self.writes.load(Ordering::SeqCst);
        if before % 2 == 1 {
            return None;
        }
        let position = Position {
            revision: self.revision(),
            compacted: self.compacted(),
        };
        let result = f(position, &self.engine);
        (self.writes.load(Ordering::SeqCst) == before).then_some(result)
    }

    pub(crate) fn revision(&self) -> i64 {
        self.revision.load(Ordering::SeqCst)
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::SeqCst)
    }
}

impl<E: Engine> Latest for Shared<E> {
    fn counts(&self) -> &Counts {
        &self.counts
    }

    fn engine(&self) -> &dyn Read {
        &*self.engine
    }

    fn compacted(&self) -> i64 {
        Shared::compacted(self)
    }
}

impl<E: Engine> Mvcc<E> {
    /// Opens the store that lies in `engine`; an empty engine is a store at revision 1.
    pub fn open(engine: Arc<E>) -> Result<Self, MvccError> {
        Self::open_with(engine, CountLimits::default())
    }

    /// [`Mvcc::open`] with other limits for counting.
    pub fn open_with(engine: Arc<E>, limits: CountLimits) -> Result<Self, MvccError> {
        let mut position = Position::read(&*engine)?;
        if has(Bug::RevisionReuse) && position.revision > 1 {
            position.revision -= 1;
        }
        let shared = Shared {
            engine,
            counts: Counts::new(position.revision, limits),
            revision: AtomicI64::new(Position::EMPTY.revision),
            compacted: AtomicI64::new(Position::EMPTY.compacted),
            writes: AtomicU64::new(0),
        };
        shared.publish(position);
        Ok(Self {
            shared: Arc::new(shared),
            position,
        })
    }

    /// A reader for any thread.
    pub fn reader(&self) -> Reader<E> {
        Reader::new(Arc::clone(&self.shared))
    }

    /// Starts a batch of requests. Nothing happens unless it is committed.
    pub fn begin(&mut self) -> Apply<'_, E> {
        Apply::new(self)
    }

    /// Writes a finished batch, once: data, revision and the caller's records together. After
    /// [`EngineError::Full`](mainstay_engine::EngineError::Full) and
    /// [`EngineError::Stalled`](mainstay_engine::EngineError::Stalled) nothing has happened and the same batch may
    /// be given again; no other batch may be begun before it is written.
    pub fn write(&mut self, sealed: &Sealed) -> Result<(), MvccError> {
        if sealed.batch.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        shared.begin_write();
        match shared.engine.write(&sealed.batch) {
            Ok(()) => {}
            Err(e @ (EngineError::Full(_) | EngineError::Stalled(_))) => {
                shared.end_write();
                return Err(e.into());
            }
            Err(e) => {
                shared.counts.disable();
                return Err(e.into());
            }
        }
        let births = sealed.overlay.births();
        shared.counts.advance(sealed.position.revision, births);
        shared.publish(sealed.position);
        shared.end_write();
        self.position = sealed.position;
        Ok(())
    }

    /// The revision of the last committed writing request; 1 for an empty store.
    pub fn revision(&self) -> i64 {
        self.position.revision
    }

    /// The revision of the last committed compaction; -1 before the first.
    pub fn compacted(&self) -> i64 {
        self.position.compacted
    }

    pub fn engine(&self) -> &Arc<E> {
        &self.shared.engine
    }
}
