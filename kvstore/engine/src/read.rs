//! The traits an engine implements.

use crate::{Batch, Cf, EngineError, FileSum, OnCorruption, Pace, Scrub, Scrubbed};
use bytes::Bytes;
use std::any::Any;
use std::ops::ControlFlow;
use std::path::Path;

/// The order in which keys are visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

/// What [`Read::scan`] calls with every key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// A consistent view of the data.
///
/// [`Read`] on an engine itself sees the latest state with every call; a cursor or scan sees one moment.
pub trait Read {
    /// The value of one key.
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// A cursor over the keys in `[start, end)` (`end` None: to the end of the column family), standing on
    /// the first of them in the given direction.
    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError>;

    /// Calls `f` for the keys in `[start, end)` (`end` None: to the end of the column family) until it
    /// answers [`ControlFlow::Break`].
    fn scan(
        &self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
        f: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        let mut cursor = self.cursor(cf, start, end, dir)?;
        while let Some((key, value)) = cursor.item() {
            if f(key, value).is_break() {
                break;
            }
            cursor.advance()?;
        }
        Ok(())
    }
}

/// A position in an ordered range.
pub trait Cursor {
    /// The pair the cursor stands on; `None` past the last one.
    fn item(&self) -> Option<(&[u8], &[u8])>;

    /// Moves on by one. Does nothing past the last pair.
    fn advance(&mut self) -> Result<(), EngineError>;

    /// Moves an ascending cursor to the first key `>= key` of its range. `key` must not lie before the
    /// current position. Cheaper than many [`Cursor::advance`] calls where much is skipped.
    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError>;
}

/// What the data occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineSize {
    /// Bytes on disk (or in memory for an in-memory engine), memtables included.
    pub total_bytes: u64,
    /// An estimate of the bytes that a full compaction would leave.
    pub in_use_bytes: u64,
}

/// An ordered key-value store. Many readers, one writer at a time.
pub trait Engine: Read + Send + Sync + 'static {
    type Snapshot<'a>: Read
    where
        Self: 'a;

    /// A view of this moment. Cheap; hold it for one request, since it keeps old data alive.
    ///
    /// One exception to its consistency: records of [`Cf::Hist`] superseded at or below what
    /// [`Engine::set_compacted`] was told may vanish from it at any time. Readers of history check
    /// after reading whether the compacted revision has passed them.
    fn snapshot(&self) -> Self::Snapshot<'_>;

    /// Applies the batch atomically over all column families. Not durable by itself. Never waits for flushing
    /// and merging: when they are behind ([`EngineError::Stalled`]) or the disk is full ([`EngineError::Full`])
    /// nothing of it is applied and it can be tried again.
    fn write(&self, batch: &Batch) -> Result<(), EngineError>;

    /// Makes everything that was written before durable.
    fn flush(&self) -> Result<(), EngineError>;

    /// Makes a durable copy of this moment in the new directory `dir`, which opens like the original.
    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError>;

    /// Allows the engine to drop, whenever it likes, records of [`Cf::Hist`] superseded at or below `rev`.
    ///
    /// To be called after the batch that records the compaction was written. An engine must not drop
    /// anything before that batch is durable: a crash could otherwise bring back the old compacted
    /// revision without the history it promises.
    fn set_compacted(&self, rev: i64);

    /// Does now what [`Engine::set_compacted`] allows, and drops records of [`Cf::Log`] of revisions
    /// below `rev`, and gives their room back. Makes the state durable first. Slow; meant for a background
    /// thread. When the disk is too full for it, what is done is done and it can be called again.
    fn reclaim(&self, rev: i64) -> Result<(), EngineError>;

    /// What the data occupies. Cheap enough for every status request.
    fn size(&self) -> EngineSize;

    /// Who is to be told, besides the caller, when stored bytes turn out to be damaged. The first one stays.
    /// An engine without a disk has nothing to tell.
    fn on_corruption(&self, _tell: OnCorruption) {}

    /// Drops `guard` once the engine is dropped and its files are closed; an engine without files does so at once.
    fn keep_until_closed(&self, guard: Box<dyn Any + Send>) {
        drop(guard);
    }

    /// Reads what is on disk and compares it with its checksums. Slow; meant for a background thread, which
    /// `pace` holds back. An engine without a disk has nothing to check.
    /// Errors: corrupt, naming the file.
    fn scrub(&self, _what: Scrub, _pace: &mut Pace<'_>) -> Result<Scrubbed, EngineError> {
        Ok(Scrubbed::default())
    }

    /// What the file of this name, which a checkpoint shares with the engine, must hold, as far as known.
    fn file_sum(&self, _name: &str) -> Option<FileSum> {
        None
    }
}
