//! The engine: in memory, durable up to its last flush, its checkpoints on the simulated disk.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mainstay_engine::{
    Batch, BatchOp, Cf, Cursor, Direction, Engine, EngineError, EngineSize, MemEngine, MemSnapshot,
    Read,
};
use mainstay_wal::Disk;
use parking_lot::Mutex;

use super::disk::ProcessDisk;
use crate::rng::Rng;

const DUMP: &str = "memory.dump";
/// The record that names the applied log id; its last eight bytes are the index.
const APPLIED: &[u8] = b"raft.applied";

/// The databases of a machine, by folder. What is in them beyond the last flush ends with the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Engines(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    engines: BTreeMap<PathBuf, Arc<MemEngine>>,
    received: u64,
}

impl Engines {
    pub(crate) fn remove(&self, dir: &Path) {
        self.0
            .lock()
            .engines
            .retain(|path, _| !path.starts_with(dir));
    }

    /// Databases that were opened from a checkpoint.
    pub(crate) fn received(&self) -> u64 {
        self.0.lock().received
    }

    /// The process ended: all databases go back to their last flush.
    pub(crate) fn crash(&self) {
        for engine in self.0.lock().engines.values_mut() {
            *engine = Arc::new(engine.crashed());
        }
    }
}

/// A hash of what a database holds at an applied index.
pub(crate) type Observed = Arc<Mutex<Vec<(u64, u64)>>>;

/// See the module.
pub(crate) struct SimEngine {
    mem: Arc<MemEngine>,
    disk: ProcessDisk,
    /// Sum of the hashes of all records that replicas must have in common.
    sum: Mutex<u64>,
    observed: Observed,
    /// The engine flushes by itself after one of so many batches.
    flush: Mutex<(Rng, u64)>,
    until_closed: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl fmt::Debug for SimEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimEngine")
    }
}

/// What is compared between replicas: not history, which each drops in its own time.
const COMPARED: [Cf; 3] = [Cf::Live, Cf::Lease, Cf::Meta];

fn record_hash(cf: Cf, key: &[u8], value: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64 ^ cf.index() as u64;
    let len = (key.len() as u64).to_le_bytes();
    for byte in len.iter().chain(key).chain(value) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ (hash >> 29)
}

impl SimEngine {
    /// Opens what the folder holds, or makes an empty database there.
    pub(crate) fn open(
        dir: &Path,
        disk: ProcessDisk,
        observed: Observed,
        flush: (Rng, u64),
    ) -> Result<Self, EngineError> {
        let known = disk.engines.0.lock().engines.get(dir).cloned();
        let mem = match known {
            Some(mem) => mem,
            None => {
                let loaded = Self::load(dir, &disk)?;
                let mut known = disk.engines.0.lock();
                known.received += u64::from(loaded.is_some());
                let mem = Arc::new(loaded.unwrap_or_default());
                known.engines.insert(dir.to_owned(), Arc::clone(&mem));
                mem
            }
        };
        Self::on(mem, disk, observed, flush)
    }

    /// Opens a checkpoint to look into it.
    pub(crate) fn inspect(dir: &Path, disk: ProcessDisk) -> Result<Self, EngineError> {
        let mem = Self::load(dir, &disk)?
            .ok_or_else(|| EngineError::Io(format!("no checkpoint in {}", dir.display())))?;
        Self::on(
            Arc::new(mem),
            disk,
            Observed::default(),
            (Rng::new(0), u64::MAX),
        )
    }

    fn on(
        mem: Arc<MemEngine>,
        disk: ProcessDisk,
        observed: Observed,
        flush: (Rng, u64),
    ) -> Result<Self, EngineError> {
        let mut sum = 0u64;
        for cf in COMPARED {
            mem.scan(cf, &[], None, Direction::Ascending, &mut |key, value| {
                sum = sum.wrapping_add(record_hash(cf, key, value));
                std::ops::ControlFlow::Continue(())
            })?;
        }
        let engine = Self {
            mem,
            disk,
            sum: Mutex::new(sum),
            observed,
            flush: Mutex::new(flush),
            until_closed: Mutex::default(),
        };
        engine.observe()?;
        Ok(engine)
    }

    fn load(dir: &Path, disk: &ProcessDisk) -> Result<Option<MemEngine>, EngineError> {
        let path = dir.join(DUMP);
        let file = match disk.open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = vec![0; file.len()? as usize];
        let n = file.read_at(&mut bytes, 0)?;
        bytes.truncate(n);
        MemEngine::restore(Bytes::from(bytes), &path.display().to_string()).map(Some)
    }

    fn save(&self, dir: &Path) -> Result<(), EngineError> {
        self.disk.create_dir_all(dir)?;
        let file = self.disk.create(&dir.join(DUMP))?;
        file.write_at(&[IoSlice::new(&self.mem.dump()?)], 0)?;
        file.sync_data()?;
        self.disk.sync_dir(dir)?;
        Ok(())
    }

    fn observe(&self) -> Result<(), EngineError> {
        let applied = self.mem.get(Cf::Meta, APPLIED)?;
        if let Some(index) = applied.as_ref().and_then(|id| id.last_chunk::<8>()) {
            let seen = (u64::from_le_bytes(*index), *self.sum.lock());
            self.observed.lock().push(seen);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), EngineError> {
        match self.disk.alive.is() {
            true => Ok(()),
            false => Err(EngineError::Io("the process has ended".into())),
        }
    }

    fn account(&self, batch: &Batch) -> Result<u64, EngineError> {
        // Later operations of a batch see the earlier ones.
        let mut changed: BTreeMap<(usize, Vec<u8>), Option<Bytes>> = BTreeMap::new();
        let mut sum = *self.sum.lock();
        let mut set = |sum: &mut u64, cf: Cf, key: &[u8], new: Option<&[u8]>| {
            let place = (cf.index(), key.to_vec());
            let old = match changed.get(&place) {
                Some(old) => old.clone(),
                None => self.mem.get(cf, key)?,
            };
            if let Some(old) = old {
                *sum = sum.wrapping_sub(record_hash(cf, key, &old));
            }
            if let Some(new) = new {
                *sum = sum.wrapping_add(record_hash(cf, key, new));
            }
            changed.insert(place, new.map(Bytes::copy_from_slice));
            Ok::<_, EngineError>(())
        };
        for op in batch.iter() {
            match op {
                BatchOp::Put { cf, key, value } if COMPARED.contains(&cf) => {
                    set(&mut sum, cf, key, Some(value))?;
                }
                BatchOp::Delete { cf, key } if COMPARED.contains(&cf) => {
                    set(&mut sum, cf, key, None)?;
                }
                BatchOp::DeleteRange { cf, start, end } if COMPARED.contains(&cf) => {
                    let mut keys = Vec::new();
                    let mut visit = |key: &[u8], _: &[u8]| {
                        keys.push(key.to_vec());
                        std::ops::ControlFlow::Continue(())
                    };
                    self.mem
                        .scan(cf, start, Some(end), Direction::Ascending, &mut visit)?;
                    for key in keys {
                        set(&mut sum, cf, &key, None)?;
                    }
                }
                _ => {}
            }
        }
        Ok(sum)
    }
}

impl Read for SimEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.mem.get(cf, key)
    }

    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError> {
        self.mem.cursor(cf, start, end, dir)
    }
}

impl Engine for SimEngine {
    type Snapshot<'a> = MemSnapshot;

    fn keep_until_closed(&self, guard: Box<dyn Any + Send>) {
        self.until_closed.lock().push(guard);
    }

    fn snapshot(&self) -> MemSnapshot {
        self.mem.snapshot()
    }

    fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        self.check()?;
        let sum = self.account(batch)?;
        self.mem.write(batch)?;
        *self.sum.lock() = sum;
        self.observe()?;
        let flush = {
            let mut flush = self.flush.lock();
            let one_in = flush.1;
            flush.0.one_in(one_in)
        };
        if flush { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.check()?;
        self.mem.flush()
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError> {
        self.flush()?;
        let saved = self.save(dir);
        if saved.is_err() {
            // As the real engine does; a disk that fails this, too, has failed already.
            let _ = self.disk.remove_dir_all(dir);
        }
        saved
    }

    fn set_compacted(&self, rev: i64) {
        self.mem.set_compacted(rev);
    }

    fn reclaim(&self, rev: i64) -> Result<(), EngineError> {
        self.check()?;
        self.mem.reclaim(rev)
    }

    fn size(&self) -> EngineSize {
        self.mem.size()
    }
}
