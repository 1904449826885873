//! The in-memory engine: for tests and simulation.

mod dump;
mod table;

use self::table::{Table, TableCursor};
use crate::{
    Batch, BatchOp, Cf, Cursor, Direction, Engine, EngineError, EngineSize, Read, superseded_at,
};
use bytes::Bytes;
use parking_lot::RwLock;
use std::path::Path;

/// An engine that keeps everything in memory.
///
/// Snapshots share the tables and cost a few reference counts; a write that follows copies only the
/// chunks it touches. [`MemEngine::flush`] remembers the state as durable and [`MemEngine::crashed`]
/// gives an engine that has lost everything after it, which is what a power cut does to the real one.
#[derive(Debug, Default)]
pub struct MemEngine {
    state: RwLock<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    tables: Tables,
    durable: Tables,
}

type Tables = [Table; Cf::ALL.len()];

/// A moment of a [`MemEngine`].
#[derive(Clone, Debug)]
pub struct MemSnapshot {
    tables: Tables,
}

impl MemEngine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the directory written by [`Engine::checkpoint`].
    pub fn open(dir: &Path) -> Result<Self, EngineError> {
        Ok(Self::from_tables(dump::load(dir)?))
    }

    /// The content as bytes that [`MemEngine::restore`] understands: what a checkpoint writes.
    pub fn dump(&self) -> Result<Vec<u8>, EngineError> {
        dump::encode(&self.snapshot().tables)
    }

    /// An engine from the bytes of a dump; `name` is for messages.
    pub fn restore(bytes: Bytes, name: &str) -> Result<Self, EngineError> {
        Ok(Self::from_tables(dump::decode(bytes, name)?))
    }

    /// An engine with the state of the last flush, as found after a crash of this one.
    pub fn crashed(&self) -> Self {
        Self::from_tables(self.state.read().durable.clone())
    }

    fn from_tables(tables: Tables) -> Self {
        let durable = tables.clone();
        Self {
            state: RwLock::new(State { tables, durable }),
        }
    }
}

impl Read for MemEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.state.read().tables[cf.index()].get(key).cloned())
    }

    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError> {
        let table = self.state.read().tables[cf.index()].clone();
        Ok(Box::new(TableCursor::new(table, start, end, dir)))
    }
}

impl Read for MemSnapshot {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        Ok(self.tables[cf.index()].get(key).cloned())
    }

    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError> {
        let table = self.tables[cf.index()].clone();
        Ok(Box::new(TableCursor::new(table, start, end, dir)))
    }
}

impl Engine for MemEngine {
    type Snapshot<'a> = MemSnapshot;

    fn snapshot(&self) -> MemSnapshot {
        MemSnapshot {
            tables: self.state.read().tables.clone(),
        }
    }

    fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        let mut state = self.state.write();
        for op in batch.iter() {
            match op {
                BatchOp::Put { cf, key, value } => state.tables[cf.index()].put(key, value),
                BatchOp::Delete { cf, key } => state.tables[cf.index()].delete(key),
                BatchOp::DeleteRange { cf, start, end } => {
                    state.tables[cf.index()].delete_range(start, end);
                }
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        let mut state = self.state.write();
        state.durable = state.tables.clone();
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError> {
        dump::save(dir, &self.snapshot().tables)
    }

    /// Nothing is dropped before [`Engine::reclaim`].
    fn set_compacted(&self, _rev: i64) {}

    fn reclaim(&self, rev: i64) -> Result<(), EngineError> {
        self.flush()?;
        let mut state = self.state.write();
        // The real engine's filter leaves the durable files without these records too.
        let State { tables, durable } = &mut *state;
        for tables in [tables, durable] {
            tables[Cf::Hist.index()]
                .retain(|_, value| superseded_at(value).is_none_or(|superseded| superseded > rev));
            tables[Cf::Log.index()].delete_range(&[], &rev.max(0).to_be_bytes());
        }
        Ok(())
    }

    fn size(&self) -> EngineSize {
        let bytes = self.state.read().tables.iter().map(Table::bytes).sum();
        EngineSize {
            total_bytes: bytes,
            in_use_bytes: bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(engine: &MemEngine, cf: Cf, key: &[u8], value: &[u8]) {
        let mut batch = Batch::new();
        batch.put(cf, key, value);
        engine.write(&batch).unwrap();
    }

    #[test]
    fn a_snapshot_does_not_see_later_writes() {
        let engine = MemEngine::new();
        put(&engine, Cf::Live, b"a", b"1");
        let snapshot = engine.snapshot();
        put(&engine, Cf::Live, b"a", b"2");
        assert_eq!(snapshot.get(Cf::Live, b"a").unwrap().unwrap(), "1");
        assert_eq!(engine.get(Cf::Live, b"a").unwrap().unwrap(), "2");
    }

    #[test]
    fn a_crash_loses_what_was_not_flushed() {
        let engine = MemEngine::new();
        put(&engine, Cf::Live, b"a", b"1");
        engine.flush().unwrap();
        put(&engine, Cf::Live, b"b", b"2");
        let crashed = engine.crashed();
        assert!(crashed.get(Cf::Live, b"a").unwrap().is_some());
        assert!(crashed.get(Cf::Live, b"b").unwrap().is_none());
    }

    #[test]
    fn a_checkpoint_opens_and_a_damaged_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        let engine = MemEngine::new();
        put(&engine, Cf::Live, b"a", b"1");
        put(&engine, Cf::Meta, b"", b"");
        engine.checkpoint(&path).unwrap();
        assert!(matches!(
            engine.checkpoint(&path),
            Err(EngineError::Exists(_))
        ));
        let copy = MemEngine::open(&path).unwrap();
        assert_eq!(copy.get(Cf::Live, b"a").unwrap().unwrap(), "1");
        assert_eq!(copy.get(Cf::Meta, b"").unwrap().unwrap(), "");
        assert_eq!(copy.size(), engine.size());

        let file = path.join("memory.dump");
        let good = std::fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&file, &bad).unwrap();
            assert!(matches!(
                MemEngine::open(&path),
                Err(EngineError::Corrupt(_))
            ));
        }
    }

    #[test]
    fn reclaim_drops_superseded_history_and_old_log_only() {
        let engine = MemEngine::new();
        put(&engine, Cf::Hist, b"a", &5i64.to_be_bytes());
        put(&engine, Cf::Hist, b"b", &6i64.to_be_bytes());
        put(&engine, Cf::Hist, b"damaged", b"x");
        put(&engine, Cf::Log, &4i64.to_be_bytes(), b"");
        put(&engine, Cf::Log, &5i64.to_be_bytes(), b"");
        engine.reclaim(5).unwrap();
        for (cf, key, stays) in [
            (Cf::Hist, b"a".to_vec(), false),
            (Cf::Hist, b"b".to_vec(), true),
            (Cf::Hist, b"damaged".to_vec(), true),
            (Cf::Log, 4i64.to_be_bytes().to_vec(), false),
            (Cf::Log, 5i64.to_be_bytes().to_vec(), true),
        ] {
            assert_eq!(
                engine.get(cf, &key).unwrap().is_some(),
                stays,
                "{cf:?} {key:?}"
            );
        }
    }
}
