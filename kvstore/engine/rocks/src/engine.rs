//! The engine itself.

use crate::cursor::{RocksCursor, bounded};
use crate::limits::{GARBAGE_FACTOR, OLDER_MERGES_PATIENCE, OLDER_MERGES_PAUSE, STALL_PATIENCE};
use crate::sums::Sums;
use crate::{RocksOptions, tuning};
use bytes::Bytes;
use mainstay_engine::{
    Batch, BatchOp, Cf, Cursor, Direction, Engine, EngineError, EngineSize, FileSum, OnCorruption,
    Pace, Read, Scrub, Scrubbed,
};
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    ColumnFamily, CompactOptions, DB, Error, ErrorKind, FlushOptions, Options, ReadOptions,
    Snapshot, WriteBatch, WriteOptions, properties,
};
use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// An engine on a RocksDB database.
pub struct RocksEngine {
    pub(crate) db: DB,
    pub(crate) dir: PathBuf,
    read: ReadOptions,
    /// Waits when flushing and merging are behind.
    write: WriteOptions,
    /// Does not.
    write_now: WriteOptions,
    /// Since when no write was possible.
    stalled: Mutex<Option<Instant>>,
    /// The compacted revision as announced; becomes `droppable` once it is durable.
    compacted: AtomicI64,
    /// What the compaction filter may drop up to.
    droppable: Arc<AtomicI64>,
    /// One reclamation at a time, and up to where the log was dropped by this opening.
    reclaimed: Mutex<i64>,
    /// What the files must hold.
    pub(crate) sums: Mutex<Sums>,
    tell: OnceLock<OnCorruption>,
    /// Dropped after `db`, as fields are dropped in their order.
    until_closed: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// A moment of a [`RocksEngine`].
pub struct RocksSnapshot<'a> {
    engine: &'a RocksEngine,
    snapshot: Snapshot<'a>,
    read: ReadOptions,
}

impl RocksEngine {
    /// Opens or creates the database in `dir`, which may be the directory of a checkpoint.
    pub fn open(dir: &Path, opts: &RocksOptions) -> Result<Self, EngineError> {
        let droppable = Arc::new(AtomicI64::new(-1));
        let families = tuning::families(opts, &droppable);
        let sums = Sums::load(dir);
        if opts.must_exist {
            sums.check_manifest(dir)?;
        }
        let db = DB::open_cf_descriptors(&tuning::database(opts), dir, families)
            .map_err(|e| not_opened(e, opts.must_exist))?;
        let (mut write, mut write_now) = (WriteOptions::default(), WriteOptions::default());
        write.disable_wal(true);
        write_now.disable_wal(true);
        write_now.set_no_slowdown(true);
        Ok(Self {
            db,
            dir: dir.to_path_buf(),
            read: verifying(),
            write,
            write_now,
            stalled: Mutex::new(None),
            compacted: AtomicI64::new(-1),
            droppable,
            reclaimed: Mutex::new(0),
            sums: Mutex::new(sums),
            tell: OnceLock::new(),
            until_closed: Mutex::default(),
        })
    }

    /// Deletes the database in `dir`, which must not be open.
    pub fn destroy(dir: &Path) -> Result<(), EngineError> {
        DB::destroy(&Options::default(), dir).map_err(failed)
    }

    /// The directory of the database.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn cf(&self, cf: Cf) -> &ColumnFamily {
        self.db
            .cf_handle(cf.name())
            .expect("every column family is opened with the database")
    }

    /// What RocksDB reports, told to whoever must know if it is damage.
    pub(crate) fn failed(&self, e: Error) -> EngineError {
        let text = e.as_ref();
        // A file of its own that the database counts on is not there.
        let own = self.dir.to_str().is_some_and(|dir| text.contains(dir));
        let missing = own && text.contains("No such file or directory");
        match e.kind() {
            ErrorKind::IOError if missing => self.tell(EngineError::Corrupt(e.into_string())),
            _ => self.tell(failed(e)),
        }
    }

    pub(crate) fn tell(&self, e: EngineError) -> EngineError {
        if let (EngineError::Corrupt(what), Some(tell)) = (&e, self.tell.get()) {
            tell(what);
        }
        e
    }

    fn get_with(
        &self,
        cf: Cf,
        key: &[u8],
        read: &ReadOptions,
    ) -> Result<Option<Bytes>, EngineError> {
        let value = self
            .db
            .get_pinned_cf_opt(self.cf(cf), key, read)
            .map_err(|e| self.failed(e))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn native(&self, batch: &Batch) -> WriteBatch {
        let mut native = WriteBatch::default();
        let handles = Cf::ALL.map(|cf| self.cf(cf));
        for op in batch.iter() {
            match op {
                BatchOp::Put { cf, key, value } => native.put_cf(handles[cf.index()], key, value),
                BatchOp::Delete { cf, key } => native.delete_cf(handles[cf.index()], key),
                BatchOp::DeleteRange { cf, start, end } => {
                    native.delete_range_cf(handles[cf.index()], start, end);
                }
            }
        }
        native
    }

    /// Drops the log below `rev`: whole files at once, the rest by a range tombstone.
    fn drop_log(&self, from: i64, rev: i64) -> Result<(), EngineError> {
        let (start, end) = (from.to_be_bytes(), rev.to_be_bytes());
        let log = self.cf(Cf::Log);
        self.db
            .delete_file_in_range_cf(log, start, end)
            .map_err(|e| self.failed(e))?;
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(log, start, end);
        self.db
            .write_opt(batch, &self.write)
            .map_err(|e| self.failed(e))
    }

    fn compact(&self, cf: Cf, start: Option<&[u8]>, end: Option<&[u8]>) {
        let mut options = CompactOptions::default();
        options.set_exclusive_manual_compaction(false);
        self.db
            .compact_range_cf_opt(self.cf(cf), start, end, &options);
    }

    /// Whether the files hold more than [`GARBAGE_FACTOR`] times what merging them would leave.
    fn mostly_garbage(&self, cf: Cf) -> bool {
        let files = self.property(cf, properties::LIVE_SST_FILES_SIZE);
        let alive = self.property(cf, properties::ESTIMATE_LIVE_DATA_SIZE);
        files / GARBAGE_FACTOR > alive
    }

    /// Merging that has begun keeps what may be dropped only since, and a compaction passes over files that are made
    /// while it runs: waits, within limits, until none is under way that began earlier.
    fn await_older_merges(&self) {
        let deadline = Instant::now() + OLDER_MERGES_PATIENCE;
        let running = || {
            self.db
                .property_int_value(properties::NUM_RUNNING_COMPACTIONS)
        };
        while running().is_ok_and(|count| count.unwrap_or(0) > 0) && Instant::now() < deadline {
            std::thread::sleep(OLDER_MERGES_PAUSE);
        }
    }

    /// Flushes and compactions that failed since the engine was opened.
    fn background_failures(&self) -> u64 {
        let count = self.db.property_int_value(properties::BACKGROUND_ERRORS);
        count.ok().flatten().unwrap_or(0)
    }

    /// A write that was not done because flushing and merging are behind. When they failed before and are not
    /// getting on, there is no room: RocksDB looks for some every few seconds, and says nothing meanwhile.
    fn stalled(&self, e: &Error) -> EngineError {
        let text = e.as_ref().to_owned();
        let since = *self.stalled.lock().get_or_insert_with(Instant::now);
        let stuck = since.elapsed() >= STALL_PATIENCE && self.background_failures() > 0;
        match stuck || is_full(e) {
            true => EngineError::Full(text),
            false => EngineError::Stalled(text),
        }
    }

    fn property(&self, cf: Cf, name: &rocksdb::properties::PropName) -> u64 {
        let value = self.db.property_int_value_cf(self.cf(cf), name);
        value.ok().flatten().unwrap_or(0)
    }
}

impl Read for RocksEngine {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.get_with(cf, key, &self.read)
    }

    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError> {
        let options = bounded(verifying(), start, end);
        let iter = self.db.raw_iterator_cf_opt(self.cf(cf), options);
        Ok(Box::new(RocksCursor::new(self, iter, dir)?))
    }
}

impl Read for RocksSnapshot<'_> {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        self.engine.get_with(cf, key, &self.read)
    }

    fn cursor<'a>(
        &'a self,
        cf: Cf,
        start: &[u8],
        end: Option<&[u8]>,
        dir: Direction,
    ) -> Result<Box<dyn Cursor + 'a>, EngineError> {
        let options = bounded(verifying(), start, end);
        let iter = self
            .snapshot
            .raw_iterator_cf_opt(self.engine.cf(cf), options);
        Ok(Box::new(RocksCursor::new(self.engine, iter, dir)?))
    }
}

impl Engine for RocksEngine {
    type Snapshot<'a> = RocksSnapshot<'a>;

    fn snapshot(&self) -> RocksSnapshot<'_> {
        let snapshot = self.db.snapshot();
        let mut read = verifying();
        read.set_snapshot(&snapshot);
        RocksSnapshot {
            engine: self,
            snapshot,
            read,
        }
    }

    fn write(&self, batch: &Batch) -> Result<(), EngineError> {
        let refused = match self.db.write_opt(self.native(batch), &self.write_now) {
            Ok(()) => {
                *self.stalled.lock() = None;
                return Ok(());
            }
            Err(e) if e.kind() == ErrorKind::Incomplete => e,
            Err(e) => return Err(self.failed(e)),
        };
        // RocksDB would wait without end if the room for flushing is gone: it goes on waiting while it looks
        // for room. The caller has other things to do, too.
        let stopped = self.db.property_int_value(properties::IS_WRITE_STOPPED);
        if stopped.is_ok_and(|stopped| stopped == Some(1)) {
            return Err(self.stalled(&refused));
        }
        // Slowed down, which takes milliseconds.
        self.db
            .write_opt(self.native(batch), &self.write)
            .map_err(|e| match e.kind() {
                ErrorKind::Incomplete => self.stalled(&e),
                _ => self.failed(e),
            })?;
        *self.stalled.lock() = None;
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        // Read before the flush: what is announced during it may not be in it.
        let compacted = self.compacted.load(Ordering::SeqCst);
        let mut options = FlushOptions::default();
        options.set_wait(true);
        let handles = Cf::ALL.map(|cf| self.cf(cf));
        self.db
            .flush_cfs_opt(&handles.each_ref(), &options)
            .map_err(|e| self.failed(e))?;
        self.droppable.fetch_max(compacted, Ordering::SeqCst);
        Ok(())
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), EngineError> {
        if dir.exists() {
            return Err(EngineError::Exists(dir.display().to_string()));
        }
        // Creating the checkpoint flushes too; this also advances what may be dropped.
        self.flush()?;
        Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
            .map_err(|e| self.failed(e))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    fn set_compacted(&self, rev: i64) {
        self.compacted.fetch_max(rev, Ordering::SeqCst);
    }

    fn reclaim(&self, rev: i64) -> Result<(), EngineError> {
        let mut reclaimed = self.reclaimed.lock();
        self.set_compacted(rev);
        self.flush()?;
        if rev > *reclaimed {
            self.drop_log(*reclaimed, rev)?;
            *reclaimed = rev;
        }
        let failures = self.background_failures();
        self.await_older_merges();
        self.compact(Cf::Hist, None, None);
        // What was deleted is only a mark so far. Merging is cheap where it is most of what there is.
        self.compact(Cf::Log, None, Some(&rev.to_be_bytes()));
        if self.mostly_garbage(Cf::Live) {
            self.compact(Cf::Live, None, None);
        }
        if self.background_failures() > failures {
            // RocksDB does not say why; anything worse than this stops all writes.
            return Err(EngineError::Full("compaction did not finish".into()));
        }
        Ok(())
    }

    fn size(&self) -> EngineSize {
        let sum = |name| {
            Cf::ALL
                .into_iter()
                .map(|cf| self.property(cf, name))
                .sum::<u64>()
        };
        let memory = sum(properties::CUR_SIZE_ALL_MEM_TABLES);
        EngineSize {
            total_bytes: sum(properties::LIVE_SST_FILES_SIZE) + memory,
            in_use_bytes: sum(properties::ESTIMATE_LIVE_DATA_SIZE) + memory,
        }
    }

    fn keep_until_closed(&self, guard: Box<dyn Any + Send>) {
        self.until_closed.lock().push(guard);
    }

    fn on_corruption(&self, tell: OnCorruption) {
        // The first one stays.
        let _ = self.tell.set(tell);
    }

    fn scrub(&self, what: Scrub, pace: &mut Pace<'_>) -> Result<Scrubbed, EngineError> {
        self.scrub_now(what, pace)
    }

    fn file_sum(&self, name: &str) -> Option<FileSum> {
        self.sums.lock().get(name)
    }
}

impl fmt::Debug for RocksEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksEngine")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RocksSnapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksSnapshot")
            .field("sequence_number", &self.snapshot.sequence_number())
            .finish_non_exhaustive()
    }
}

/// Every block is checked when it comes from disk (RocksDB's default, which nothing here relies on).
fn verifying() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

/// A database that was there and cannot be opened is damaged, unless the system stands in the way: besides
/// checksum errors RocksDB reports missing files, column families and format versions that make no sense.
fn not_opened(e: Error, existed: bool) -> EngineError {
    let of_the_system = matches!(
        e.kind(),
        ErrorKind::Busy | ErrorKind::TryAgain | ErrorKind::TimedOut | ErrorKind::Aborted
    );
    let missing = e.as_ref().contains("No such file or directory");
    match e.kind() {
        ErrorKind::IOError if !missing => failed(e),
        _ if existed && !of_the_system => EngineError::Corrupt(e.into_string()),
        _ => failed(e),
    }
}

fn failed(e: Error) -> EngineError {
    match e.kind() {
        ErrorKind::IOError if is_full(&e) => EngineError::Full(e.into_string()),
        ErrorKind::Corruption => EngineError::Corrupt(e.into_string()),
        ErrorKind::IOError => EngineError::Io(e.into_string()),
        _ => EngineError::Other(e.into_string()),
    }
}

fn is_full(e: &Error) -> bool {
    let full = ["No space left on device", "Disk quota exceeded"];
    full.iter().any(|text| e.as_ref().contains(text))
}
