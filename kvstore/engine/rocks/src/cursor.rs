//! Ordered iteration.

use crate::RocksEngine;
use mainstay_engine::{Cursor, Direction, EngineError};
use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

/// A bounded RocksDB iterator.
pub(crate) struct RocksCursor<'a> {
    engine: &'a RocksEngine,
    iter: DBRawIteratorWithThreadMode<'a, DB>,
    dir: Direction,
}

/// Sets the bounds of a range on the options of its iterator.
pub(crate) fn bounded(mut options: ReadOptions, start: &[u8], end: Option<&[u8]>) -> ReadOptions {
    if !start.is_empty() {
        options.set_iterate_lower_bound(start);
    }
    if let Some(end) = end {
        options.set_iterate_upper_bound(end);
    }
    options
}

impl<'a> RocksCursor<'a> {
    /// `iter` must have been made with the options of [`bounded`].
    pub(crate) fn new(
        engine: &'a RocksEngine,
        mut iter: DBRawIteratorWithThreadMode<'a, DB>,
        dir: Direction,
    ) -> Result<Self, EngineError> {
        match dir {
            Direction::Ascending => iter.seek_to_first(),
            Direction::Descending => iter.seek_to_last(),
        }
        let cursor = Self { engine, iter, dir };
        cursor.checked()?;
        Ok(cursor)
    }

    /// An iterator that stops because of an error looks like one at its end.
    fn checked(&self) -> Result<(), EngineError> {
        if self.iter.valid() {
            Ok(())
        } else {
            self.iter.status().map_err(|e| self.engine.failed(e))
        }
    }
}

impl Cursor for RocksCursor<'_> {
    fn item(&self) -> Option<(&[u8], &[u8])> {
        self.iter.item()
    }

    fn advance(&mut self) -> Result<(), EngineError> {
        if !self.iter.valid() {
            return Ok(());
        }
        match self.dir {
            Direction::Ascending => self.iter.next(),
            Direction::Descending => self.iter.prev(),
        }
        self.checked()
    }

    fn seek(&mut self, key: &[u8]) -> Result<(), EngineError> {
        debug_assert_eq!(self.dir, Direction::Ascending);
        if self.item().is_some_and(|(at, _)| at < key) {
            self.iter.seek(key);
            self.checked()?;
        }
        Ok(())
    }
}
