//! The log itself: what callers hold.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use crate::disk::Disk;
use crate::entry::{Entry, LogId};
use crate::error::WalError;
use crate::limits::{APPEND_BYTES_MAX, ENTRY_PAYLOAD_BYTES_MAX, QUEUE_BYTES_MAX, VOTE_BYTES_MAX};
use crate::options::Options;
use crate::queue::{Done, Effect, entries_bytes};
use crate::record::Kind;
use crate::recover;
use crate::segments::{LOCK, Pool, Storage};
use crate::shared::{Chores, OnFatal, Queue, Shared};
use crate::stats::{Counters, Stats};
use crate::verdict::Recovered;
use crate::writer::Writer;
use crate::{keeper, shared};

/// The log as accepted so far, durable or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub purged: Option<LogId>,
    /// The last entry, or what was purged last if there are no entries.
    pub last: Option<LogId>,
    pub committed: Option<LogId>,
    /// Indexes that can be read.
    pub first_index: u64,
    pub next_index: u64,
}

/// A write-ahead log. All methods may be called from any thread; none waits for the disk except
/// `close` and reads of old entries.
pub struct Wal {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    _lock: Box<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Wal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wal")
            .field("dir", &self.shared.storage.dir)
            .finish_non_exhaustive()
    }
}

struct Threads {
    writer: JoinHandle<Writer>,
    keeper: JoinHandle<()>,
}

/// Does the log's work in the caller's thread, step by step: for deterministic simulation.
pub struct Driver {
    writer: Writer,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    /// Makes everything queued so far durable and answers it. False if there was nothing.
    /// [`WalError::Full`] is no failure: the next step goes on where this one found no room.
    pub fn step(&mut self) -> Result<bool, WalError> {
        self.writer.step()
    }

    /// Work off the durable path: prepares the next segment, puts old ones away, syncs the witness.
    pub fn keep(&mut self) -> Result<(), WalError> {
        self.shared.failure()?;
        let result = keeper::run_once(&self.shared);
        result.inspect_err(|error| self.shared.fail(error.clone()))
    }

    /// What `Wal::close` does after the last operation was accepted.
    pub fn finish(mut self) -> Result<(), WalError> {
        self.shared.queue.lock().closing = true;
        self.writer.finish()?;
        self.keep()
    }
}

impl Wal {
    /// Opens or creates the log in `dir` and starts its threads. `on_fatal` is called once, on any
    /// thread, with the first failed write or sync: the process should end, for nothing can be
    /// acknowledged any more.
    pub fn open<D: Disk>(
        disk: D,
        dir: impl AsRef<Path>,
        options: Options,
        on_fatal: OnFatal,
    ) -> Result<(Self, Recovered), WalError> {
        let on_writer_start = options.on_writer_start;
        let (wal, driver, recovered) = Self::open_manual(disk, dir, options, on_fatal)?;
        let Driver { mut writer, shared } = driver;
        let spawning = |error| WalError::io("starting a thread", &shared.storage.dir, error);
        let for_writer = FailOnPanic(shared.clone());
        let writer = std::thread::Builder::new()
            .name("wal-writer".into())
            .spawn(move || {
                let _guard = for_writer;
                if let Some(hook) = on_writer_start {
                    hook();
                }
                writer.run();
                writer
            });
        let writer = writer.map_err(spawning)?;
        let for_keeper = FailOnPanic(shared.clone());
        let keeper = std::thread::Builder::new()
            .name("wal-keeper".into())
            .spawn(move || {
                keeper::run(&for_keeper.0);
            });
        let keeper = keeper.map_err(spawning)?;
        *wal.threads.lock() = Some(Threads { writer, keeper });
        Ok((wal, recovered))
    }

    /// Like `open`, without threads: nothing becomes durable unless the driver is stepped.
    pub fn open_manual<D: Disk>(
        disk: D,
        dir: impl AsRef<Path>,
        options: Options,
        on_fatal: OnFatal,
    ) -> Result<(Self, Driver, Recovered), WalError> {
        let dir = dir.as_ref().to_owned();
        options.check()?;
        let witness = options
            .witness
            .unwrap_or_else(|| recover::default_witness(&dir));
        let opening = |error| WalError::io("opening the log", &dir, error);
        disk.create_dir_all(&dir).map_err(opening)?;
        if let Some(parent) = dir.parent().filter(|_| !options.no_fsync) {
            disk.sync_dir(parent).map_err(opening)?;
        }
        if let Some(parent) = witness.parent().filter(|path| !path.as_os_str().is_empty()) {
            disk.create_dir_all(parent).map_err(opening)?;
        }
        let lock = disk.lock(&dir.join(LOCK));
        let lock = lock.map_err(|error| WalError::io("locking the log", &dir, error))?;
        let storage = Storage {
            disk: Arc::new(disk),
            dir,
            segment_bytes: options.segment_bytes,
            prefill: options.prefill,
            no_fsync: options.no_fsync,
        };
        let opened = recover::open(&storage, &witness, options.tail_bytes)?;
        let prepare = opened.next.is_none().then_some(opened.current.seq + 1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            work: Condvar::new(),
            room: Condvar::new(),
            full: AtomicBool::new(false),
            view: RwLock::new(opened.view),
            chores: Mutex::new(Chores {
                retired: opened.retired,
                prepare,
                ..Chores::default()
            }),
            chore: Condvar::new(),
            storage,
            pool: Pool::new(opened.free, opened.next, opened.current.seq),
            witness: opened.witness,
            witness_path: witness,
            counters: Counters::default(),
            failed: std::sync::OnceLock::new(),
            on_fatal,
        });
        let writer = Writer::new(
            shared.clone(),
            opened.wal_id,
            opened.current,
            opened.next_batch,
            opened.state,
        );
        let wal = Self {
            shared: shared.clone(),
            threads: Mutex::new(None),
            _lock: lock,
        };
        Ok((wal, Driver { writer, shared }, opened.recovered))
    }

    /// Adds entries that continue the log. They can be read at once; `done` is called on the writer
    /// thread when they are durable, in the order of the calls. If this returns an error, nothing
    /// was taken and `done` is dropped uncalled.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<(), WalError> {
        let bytes = check_entries(&entries)?;
        let mut queue = self.accept(bytes)?;
        let effect = match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => {
                let view = self.shared.view.read();
                view.check_next(first.id.index)?;
                Effect::Append {
                    first: first.id.index,
                    last: last.id,
                    epoch: view.epoch,
                }
            }
            _ => Effect::Nothing,
        };
        queue.staging.append(&entries, effect, bytes, done);
        let mut view = self.shared.view.write();
        for entry in entries {
            view.push(entry);
        }
        drop(view);
        drop(queue);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Saves an opaque vote of at most `VOTE_BYTES_MAX` bytes.
    pub fn save_vote(&self, vote: Bytes, done: Done) {
        if vote.len() > VOTE_BYTES_MAX {
            let (bytes, limit) = (vote.len(), VOTE_BYTES_MAX);
            return done(Err(WalError::TooLarge {
                what: "vote",
                bytes,
                limit,
            }));
        }
        self.enqueue(done, |queue, done| {
            self.shared.view.write().vote = Some(vote.clone());
            let effect = Effect::Vote(vote.clone());
            queue
                .staging
                .record(Kind::Vote, 0, &NO_ID, &vote, effect, done);
        });
    }

    /// Notes the committed id. It is written with the next batch (only the newest one), at the
    /// latest by `close`; nobody waits for it.
    pub fn save_committed(&self, id: LogId) {
        let mut queue = self.shared.queue.lock();
        queue.staging.committed = Some(id);
        self.shared.view.write().committed = Some(id);
    }

    /// Drops all entries after `last_kept`, or all that are not purged for `None`.
    pub fn truncate_after(&self, last_kept: Option<u64>, done: Done) {
        self.enqueue(done, |queue, done| {
            let mut view = self.shared.view.write();
            let next = view.truncate_after(last_kept);
            let effect = Effect::Truncate {
                next,
                last: view.last(),
                epoch: view.epoch,
            };
            drop(view);
            let id = LogId {
                index: next,
                ..NO_ID
            };
            queue
                .staging
                .record(Kind::Truncate, 0, &id, &[], effect, done);
        });
    }

    /// Forgets all entries up to `upto`, which may lie beyond the last one: the log then continues
    /// after it. What was purged before is left alone.
    pub fn purge(&self, upto: LogId, done: Done) {
        self.enqueue(done, |queue, done| {
            let mut view = self.shared.view.write();
            let effect = match view.purge(upto) {
                true => Effect::Purge {
                    upto,
                    last: view.last(),
                },
                false => Effect::Nothing,
            };
            drop(view);
            match effect {
                Effect::Nothing => queue.staging.operation(effect, 0, done),
                effect => queue
                    .staging
                    .record(Kind::Purge, 0, &upto, &[], effect, done),
            }
        });
    }

    /// Withdraws the verdict `Damaged`: what was lost has been supplied again.
    pub fn mark_repaired(&self, done: Done) {
        self.enqueue(done, |queue, done| {
            queue
                .staging
                .record(Kind::Repaired, 0, &NO_ID, &[], Effect::Repaired, done);
        });
    }

    /// The id of an entry that is present, or of the one purged last.
    pub fn log_id(&self, index: u64) -> Result<Option<LogId>, WalError> {
        Ok(self.shared.view.read().id(index))
    }

    /// The vote saved last, durable or not.
    pub fn vote(&self) -> Option<Bytes> {
        self.shared.view.read().vote.clone()
    }

    /// See [`State`].
    pub fn state(&self) -> State {
        let view = self.shared.view.read();
        State {
            purged: view.purged,
            last: view.last(),
            committed: view.committed,
            first_index: view.range().start,
            next_index: view.range().end,
        }
    }

    /// Age of the oldest operation that is not durable yet: for a watchdog on stalled disks.
    pub fn oldest_unsynced(&self) -> Option<Duration> {
        let queue = self.shared.queue.lock();
        let oldest = queue.in_flight_since.or(queue.staging.oldest);
        oldest.map(|since| since.elapsed())
    }

    /// Counters since open.
    pub fn stats(&self) -> Stats {
        let queue = self.shared.queue.lock();
        Stats {
            no_space: self.shared.pool.no_space(),
            full: self.shared.full.load(Relaxed),
            queued_bytes: queue.staging.total + queue.in_flight_bytes,
            ..self.shared.counters.read()
        }
    }

    /// Bytes of the segment files that hold the log, without those kept for reuse.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.view.read().places.file_bytes()
    }

    /// The first entry of the newest segments that together take at most `bytes` on disk; of the newest
    /// segment that holds entries in any case. `None` if no entry is on disk.
    pub fn index_within(&self, bytes: u64) -> Option<u64> {
        self.shared.view.read().places.index_within(bytes)
    }

    /// Makes everything accepted durable, syncs the witness and ends the threads. Later calls that
    /// change the log fail; repeated calls do nothing. While the disk is full nothing can be made durable:
    /// then whoever waits is told [`WalError::Full`].
    pub fn close(&self) -> Result<(), WalError> {
        self.shared.queue.lock().closing = true;
        self.shared.work.notify_one();
        self.shared.room.notify_one();
        let Some(threads) = self.threads.lock().take() else {
            return Ok(());
        };
        if threads.writer.thread().id() == std::thread::current().id() {
            // Dropped by a completion: nobody can be waited for.
            self.shared.stop_keeper();
            return Ok(());
        }
        let writer = threads.writer.join();
        let finished = match writer {
            Ok(mut writer) => self.shared.failure().and_then(|()| writer.finish()),
            Err(_) => self.shared.failure(),
        };
        self.shared.stop_keeper();
        // A keeper that panicked has reported it as a failure.
        let _ = threads.keeper.join();
        finished.and_then(|()| self.shared.failure())
    }

    fn enqueue(&self, done: Done, stage: impl FnOnce(&mut Queue, Done)) {
        let mut queue = match self.accept(0) {
            Ok(queue) => queue,
            Err(error) => return done(Err(error)),
        };
        stage(&mut queue, done);
        drop(queue);
        self.shared.work.notify_one();
    }

    /// Locks the queue if it takes `bytes` more.
    fn accept(&self, bytes: usize) -> Result<MutexGuard<'_, Queue>, WalError> {
        let queue = self.shared.queue.lock();
        self.shared.failure()?;
        if queue.closing {
            return Err(WalError::Closed);
        }
        let queued_bytes = queue.staging.total + queue.in_flight_bytes;
        if queued_bytes > 0 && queued_bytes + bytes > QUEUE_BYTES_MAX {
            return Err(WalError::Backlogged { queued_bytes });
        }
        Ok(queue)
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Failures were reported through `on_fatal`.
        let _ = self.close();
    }
}

const NO_ID: LogId = LogId {
    term: 0,
    leader: 0,
    index: 0,
};

/// Turns a panic on one of the log's threads into a failure, so that nobody waits for ever.
struct FailOnPanic(Arc<Shared>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = std::io::Error::other("a thread of the log panicked");
            self.0.fail(WalError::failed("running", error));
        }
    }
}

/// Bytes the entries take, if they are of legal size and follow each other.
fn check_entries(entries: &[Entry]) -> Result<usize, WalError> {
    for pair in entries.windows(2) {
        let (expected, got) = (pair[0].id.index.saturating_add(1), pair[1].id.index);
        if expected != got {
            return Err(WalError::Gap { expected, got });
        }
    }
    if let Some(last) = entries.last().filter(|last| last.id.index == u64::MAX) {
        return Err(WalError::Gap {
            expected: 0,
            got: last.id.index,
        });
    }
    let limit = ENTRY_PAYLOAD_BYTES_MAX;
    if let Some(entry) = entries.iter().find(|entry| entry.payload.len() > limit) {
        let bytes = entry.payload.len();
        return Err(WalError::TooLarge {
            what: "entry",
            bytes,
            limit,
        });
    }
    let (bytes, limit) = (entries_bytes(entries), APPEND_BYTES_MAX);
    if bytes > limit {
        return Err(WalError::TooLarge {
            what: "append",
            bytes,
            limit,
        });
    }
    Ok(bytes)
}

impl shared::Shared {
    fn stop_keeper(&self) {
        self.chores.lock().stop = true;
        self.chore.notify_one();
    }
}
