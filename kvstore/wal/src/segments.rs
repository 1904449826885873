//! Segment files: their names, the next one made ready in advance, the old ones kept for reuse.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::disk::{Disk, DiskFile};
use crate::limits::{FREE_SEGMENTS_MAX, ZERO_CHUNK_BYTES};
use crate::places::Place;

const SEGMENT_SUFFIX: &str = ".wal";
const FREE_SUFFIX: &str = ".free";
const SIDELINED_SUFFIX: &str = ".damaged";
const TEMPORARY: &str = "next.tmp";
pub(crate) const LOCK: &str = "lock";

/// The directory and how to treat it.
pub(crate) struct Storage {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) prefill: bool,
    pub(crate) no_fsync: bool,
}

/// What a name in the directory stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Free(u64),
    Temporary,
    Foreign,
}

impl Name {
    pub(crate) fn parse(name: &str) -> Self {
        let number = |digits: &str| {
            let fits = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            fits.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
        };
        if name == TEMPORARY {
            return Self::Temporary;
        }
        if let Some(seq) = name.strip_suffix(SEGMENT_SUFFIX).and_then(number) {
            return Self::Segment(seq);
        }
        if let Some(seq) = name.strip_suffix(FREE_SUFFIX).and_then(number) {
            return Self::Free(seq);
        }
        Self::Foreign
    }
}

impl Storage {
    pub(crate) fn segment_path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:016x}{SEGMENT_SUFFIX}"))
    }

    pub(crate) fn free_path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:016x}{FREE_SUFFIX}"))
    }

    /// Where an unusable segment is kept for people to look at.
    pub(crate) fn sidelined_path(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:016x}{SIDELINED_SUFFIX}"))
    }

    pub(crate) fn sync(&self, file: &dyn DiskFile) -> io::Result<()> {
        if self.no_fsync {
            Ok(())
        } else {
            file.sync_data().map_err(final_failure)
        }
    }

    pub(crate) fn sync_dir(&self) -> io::Result<()> {
        if self.no_fsync {
            Ok(())
        } else {
            self.disk.sync_dir(&self.dir).map_err(final_failure)
        }
    }

    pub(crate) fn unlink_if_present(&self, path: &Path) -> io::Result<()> {
        match self.disk.unlink(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Creates segment `seq` of `bytes` bytes, durable under its name, without a header.
    pub(crate) fn create_segment(&self, seq: u64, bytes: u64) -> io::Result<Arc<dyn DiskFile>> {
        let temporary = self.dir.join(TEMPORARY);
        self.unlink_if_present(&temporary)?;
        let file = self.disk.create(&temporary)?;
        let filled = self.fill(&*file, bytes);
        if let Err(error) = filled {
            // Whatever room was taken is worth more elsewhere; the first error is the one to tell.
            let _ = self.disk.unlink(&temporary);
            return Err(error);
        }
        self.disk.rename(&temporary, &self.segment_path(seq))?;
        self.sync_dir()?;
        Ok(file)
    }

    fn fill(&self, file: &dyn DiskFile, bytes: u64) -> io::Result<()> {
        file.allocate(bytes)?;
        if self.prefill {
            zero(file, 0, bytes)?;
        }
        self.sync(file)
    }
}

/// Writes zeros over `from..to`.
pub(crate) fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_CHUNK_BYTES.min(to.saturating_sub(from) as usize)];
    let mut at = from;
    while at < to {
        let len = (to - at).min(zeros.len() as u64);
        file.write_at(&[IoSlice::new(&zeros[..len as usize])], at)?;
        at += len;
    }
    Ok(())
}

/// A failed sync is never tried again, not even one that says that the disk is full: what it was to make
/// durable may be gone from memory.
pub(crate) fn final_failure(error: io::Error) -> io::Error {
    io::Error::other(error)
}

/// Whether the same call may succeed later. Never true of what [`final_failure`] made.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// A segment file that has its final name and room, but no header yet.
pub(crate) struct NextSegment {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
    /// Holds zeros rather than the remains of an older segment.
    pub(crate) fresh: bool,
}

#[derive(Default)]
struct Stock {
    next: Option<NextSegment>,
    /// Files to recycle, by the number in their names.
    free: Vec<u64>,
    /// The newest segment in use: it must never be made ready (and so overwritten) again.
    taken: u64,
}

/// Makes the next segment ready ahead of its use.
#[derive(Default)]
pub(crate) struct Pool {
    stock: Mutex<Stock>,
    no_space: AtomicBool,
}

impl Pool {
    pub(crate) fn new(free: Vec<u64>, next: Option<NextSegment>, taken: u64) -> Self {
        Self {
            stock: Mutex::new(Stock { next, free, taken }),
            no_space: AtomicBool::new(false),
        }
    }

    /// The last preparation found no room on the disk.
    pub(crate) fn no_space(&self) -> bool {
        self.no_space.load(Relaxed)
    }

    /// Makes segment `seq` ready unless it is or was.
    pub(crate) fn prepare(&self, storage: &Storage, seq: u64) -> io::Result<()> {
        self.prepare_in(&mut self.stock.lock(), storage, seq)
    }

    fn prepare_in(&self, stock: &mut Stock, storage: &Storage, seq: u64) -> io::Result<()> {
        if seq <= stock.taken || stock.next.as_ref().is_some_and(|next| next.seq == seq) {
            return Ok(());
        }
        let result = self.obtain(stock, storage, seq);
        self.no_space
            .store(result.as_ref().is_err_and(is_full), Relaxed);
        stock.next = Some(result?);
        Ok(())
    }

    fn obtain(&self, stock: &mut Stock, storage: &Storage, seq: u64) -> io::Result<NextSegment> {
        let bytes = storage.segment_bytes;
        if let Some(free) = stock.free.last().copied() {
            let path = storage.segment_path(seq);
            storage.disk.rename(&storage.free_path(free), &path)?;
            stock.free.pop();
            storage.sync_dir()?;
            let file = storage.disk.open(&path)?;
            return Ok(NextSegment {
                seq,
                file,
                bytes,
                fresh: false,
            });
        }
        let file = storage.create_segment(seq, bytes)?;
        Ok(NextSegment {
            seq,
            file,
            bytes,
            fresh: true,
        })
    }

    /// Hands out segment `seq` with at least `bytes` bytes of room, made now if it is not ready.
    pub(crate) fn take(&self, storage: &Storage, seq: u64, bytes: u64) -> io::Result<NextSegment> {
        let mut stock = self.stock.lock();
        self.prepare_in(&mut stock, storage, seq)?;
        let mut next = stock.next.take().ok_or(io::ErrorKind::NotFound)?;
        if next.bytes < bytes {
            if let Err(error) = next.file.allocate(bytes) {
                self.no_space.store(is_full(&error), Relaxed);
                stock.next = Some(next);
                return Err(error);
            }
            next.bytes = bytes;
        }
        stock.taken = seq;
        Ok(next)
    }

    /// Puts segments away that are not part of the log any more: for reuse, or for good. They must
    /// be the oldest ones, and what made them superfluous must be durable. Those that a full disk does
    /// not let go of stay in `retired`.
    pub(crate) fn retire(&self, storage: &Storage, retired: &mut Vec<Place>) -> io::Result<()> {
        let mut recycled = Vec::new();
        let room = FREE_SEGMENTS_MAX.saturating_sub(self.stock.lock().free.len());
        let mut gone = 0;
        let mut result = Ok(());
        for place in &*retired {
            let path = storage.segment_path(place.seq);
            let ordinary = place.file_bytes == storage.segment_bytes;
            // A reader that still holds the file must not see it change under its hands.
            let unused = Arc::strong_count(&place.file) == 1;
            let mut put_away = Err(io::ErrorKind::StorageFull.into());
            if ordinary && unused && recycled.len() < room {
                put_away = storage.disk.rename(&path, &storage.free_path(place.seq));
                recycled.extend(put_away.is_ok().then_some(place.seq));
            }
            if put_away.as_ref().is_err_and(is_full) {
                put_away = storage.disk.unlink(&path);
            }
            if put_away.is_err() {
                // In order: a gap in the middle would look like damage.
                result = put_away;
                break;
            }
            gone += 1;
        }
        retired.drain(..gone);
        storage.sync_dir()?;
        self.stock.lock().free.extend(recycled);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keeper may be asked for a segment that the writer, in a hurry, has made for itself.
    #[test]
    fn a_segment_in_use_is_never_made_again() {
        let disk = crate::disk::MemDisk::new(0);
        let storage = Storage {
            disk: Arc::new(disk.clone()),
            dir: "/wal".into(),
            segment_bytes: 1024,
            prefill: false,
            no_fsync: false,
        };
        let pool = Pool::new(Vec::new(), None, 1);
        let taken = pool.take(&storage, 2, 1024).unwrap();
        taken.file.write_at(&[IoSlice::new(b"records")], 0).unwrap();
        pool.prepare(&storage, 2).unwrap();
        assert!(
            disk.content(&storage.segment_path(2))
                .unwrap()
                .starts_with(b"records")
        );
        pool.prepare(&storage, 3).unwrap();
        assert_eq!(pool.take(&storage, 3, 1024).unwrap().seq, 3);
    }

    #[test]
    fn names() {
        assert_eq!(Name::parse("00000000000000ff.wal"), Name::Segment(255));
        assert_eq!(Name::parse("00000000000000ff.free"), Name::Free(255));
        assert_eq!(Name::parse("next.tmp"), Name::Temporary);
        for foreign in [
            "lock",
            "ff.wal",
            "+0000000000000ff.wal",
            "00000000000000ff.damaged",
        ] {
            assert_eq!(Name::parse(foreign), Name::Foreign);
        }
    }
}
