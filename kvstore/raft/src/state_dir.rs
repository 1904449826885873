//! The folder of the state machine: which database is current, and the snapshots beside it.
//!
//! ```text
//! state/CURRENT        name of the current database and a checksum of it, replaced by rename
//! state/db-N/          databases, also those being received; all but the current one are leftovers
//! state/snap-N/        checkpoints being sent; leftovers after a restart
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mainstay_wal::Disk;

use crate::files;

/// Owner of the state folder's names.
pub(crate) struct StateDir {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    next: AtomicU64,
}

impl fmt::Debug for StateDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDir")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// A folder with a checkpoint, removed when the last user lets go of it.
pub(crate) struct SnapshotDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Whether dropping removes it; taken away when the folder becomes the database.
    owned: bool,
}

impl fmt::Debug for SnapshotDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotDir")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SnapshotDir {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        if self.owned
            && let Err(e) = self.disk.remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), "could not remove a snapshot: {e}");
        }
    }
}

impl StateDir {
    /// Opens the folder, creating it when new, and removes what an earlier run left behind.
    /// Errors: invalid data when the pointer is damaged; nothing is removed then.
    pub(crate) fn open(disk: Arc<dyn Disk>, root: PathBuf) -> io::Result<Self> {
        disk.create_dir_all(&root)?;
        let dir = Self {
            disk,
            root,
            next: AtomicU64::new(1),
        };
        let current = dir.read_current()?;
        let mut highest = 0;
        for name in dir.disk.list(&dir.root)? {
            let number = name.strip_prefix("db-").or(name.strip_prefix("snap-"));
            // A checkpoint that was cut short has RocksDB's suffix.
            let number = number.map(|n| n.strip_suffix(".tmp").unwrap_or(n));
            let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) else {
                continue;
            };
            highest = highest.max(number);
            if current.as_ref() != Some(&name) {
                dir.disk.remove_dir_all(&dir.root.join(&name))?;
            }
        }
        dir.next.store(highest + 1, Ordering::Relaxed);
        Ok(dir)
    }

    fn read_current(&self) -> io::Result<Option<String>> {
        let Some(text) = files::read(&*self.disk, &self.root.join("CURRENT"))? else {
            return Ok(None);
        };
        let invalid = |why: &str| {
            let text = format!("{}/CURRENT {why}", self.root.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let text = std::str::from_utf8(&text).map_err(|_| invalid("is no text"))?;
        let there = self.disk.list(&self.root)?;
        let name = match text.split_once(' ') {
            Some((name, _)) if pointer(name) == *text => name,
            // Written before there was a checksum: believed if nothing else could be meant.
            None if there.iter().filter(|name| name.starts_with("db-")).count() == 1 => text.trim(),
            _ => return Err(invalid("does not match its checksum")),
        };
        if !there.iter().any(|other| other == name) {
            return Err(invalid(&format!("names {name:?}, which does not exist")));
        }
        Ok(Some(name.to_owned()))
    }

    /// The current database's folder, if there is one.
    pub(crate) fn current(&self) -> io::Result<Option<PathBuf>> {
        Ok(self.read_current()?.map(|name| self.root.join(name)))
    }

    /// Whether the pointer on disk still is what it was written as.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.read_current()? {
            Some(_) => Ok(()),
            None => {
                let text = format!("{}/CURRENT is gone", self.root.display());
                Err(io::Error::new(io::ErrorKind::InvalidData, text))
            }
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn set_current(&self, name: &str) -> io::Result<()> {
        let path = self.root.join("CURRENT");
        files::replace(&*self.disk, &path, &[pointer(name).as_bytes()])
    }

    fn folder(&self, kind: &str) -> SnapshotDir {
        SnapshotDir {
            disk: Arc::clone(&self.disk),
            path: self.root.join(format!("{kind}-{}", self.number())),
            owned: true,
        }
    }

    /// A folder name for a checkpoint; not created yet, removed when dropped.
    pub(crate) fn new_snapshot(&self) -> SnapshotDir {
        self.folder("snap")
    }

    /// A new folder for a checkpoint that is received, which becomes the database where it is.
    pub(crate) fn new_database(&self) -> io::Result<SnapshotDir> {
        let folder = self.folder("db");
        self.disk.create_dir_all(&folder.path)?;
        Ok(folder)
    }

    /// Makes a received checkpoint the current database and returns its folder, and that of the database before it, to be
    /// dropped when that is closed. Everything in the new one is on disk before the pointer moves.
    /// After a failure it can be tried again.
    pub(crate) fn install(
        &self,
        snapshot: &mut SnapshotDir,
    ) -> io::Result<(PathBuf, Option<SnapshotDir>)> {
        files::sync_all(&*self.disk, &snapshot.path)?;
        self.disk.sync_dir(&self.root)?;
        let name = snapshot.path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::other("a database without a name"))?;
        // A pointer whose sync fails may be on disk all the same: from here on the folder stays, and the next start
        // removes it if nothing names it.
        snapshot.owned = false;
        // It stays until the next start if the pointer is damaged, or names the new one since an attempt whose sync failed.
        let before = self.current().ok().flatten();
        let before = before.filter(|path| *path != snapshot.path);
        self.set_current(name)?;
        let before = before.map(|path| SnapshotDir {
            disk: Arc::clone(&self.disk),
            path,
            owned: true,
        });
        Ok((snapshot.path.clone(), before))
    }
}

/// The pointer's content.
fn pointer(name: &str) -> String {
    format!("{name} {:08x}\n", crc32fast::hash(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;
    use mainstay_wal::disk::{Crash, OpKind};

    #[test]
    fn install_moves_the_pointer_and_a_restart_removes_the_rest() {
        let disk = Arc::new(MemDisk::new(1));
        let root = PathBuf::from("state");
        let dir = StateDir::open(disk.clone(), root.clone()).expect("open");
        assert_eq!(dir.current().expect("nothing yet"), None);
        let mut first = dir.new_database().expect("folder");
        let first = dir.install(&mut first).expect("install").0;
        assert_eq!(dir.current().expect("current"), Some(first.clone()));

        let mut received = dir.new_database().expect("folder");
        files::replace(&*disk, &received.path().join("f"), &[b"x"]).expect("write");
        let (second, before) = dir.install(&mut received).expect("install");
        assert_eq!(
            before.as_ref().map(SnapshotDir::path),
            Some(first.as_path())
        );
        assert_eq!(dir.current().expect("current"), Some(second.clone()));
        let there = |path: &Path| disk.list(&root).expect("list").contains(&name(path));
        assert!(disk.content(&second.join("f")).is_some() && there(&first));
        // The one before it takes as much room again for as long as it stays.
        drop(before);
        assert!(!there(&first));

        disk.crash(Crash::PowerNothingKept);
        let again = StateDir::open(disk.clone(), root.clone()).expect("reopen");
        assert_eq!(again.current().expect("current"), Some(second.clone()));
        assert!(disk.content(&second.join("f")).is_some());
        assert!(!there(&first));
        assert!(!there(again.new_snapshot().path()));
    }

    /// The pointer was on disk, its sync failed, and the folder it named was removed as if it were not.
    #[test]
    fn a_pointer_whose_sync_failed_still_finds_its_database() {
        let kinds = [
            OpKind::Create,
            OpKind::Write,
            OpKind::Sync,
            OpKind::Rename,
            OpKind::SyncDir,
        ];
        for (kind, after, crash) in kinds
            .into_iter()
            .flat_map(|kind| (0..6).map(move |after| (kind, after)))
            .flat_map(|(kind, after)| {
                [Crash::Process, Crash::PowerNothingKept].map(|crash| (kind, after, crash))
            })
        {
            let disk = Arc::new(MemDisk::new(3));
            let root = PathBuf::from("state");
            let dir = StateDir::open(disk.clone(), root.clone()).expect("open");
            let mut first = dir.new_database().expect("folder");
            let (first, _) = dir.install(&mut first).expect("install");
            let mut received = dir.new_database().expect("folder");
            files::replace(&*disk, &received.path().join("f"), &[b"x"]).expect("write");
            disk.fail(kind, after, io::ErrorKind::Other);
            let installed = dir.install(&mut received);
            let second = received.path().to_owned();
            drop(received);
            disk.crash(crash);
            let again = StateDir::open(disk.clone(), root.clone()).expect("reopen");
            let current = again.current().expect("current");
            match installed {
                Ok(_) => assert_eq!(current, Some(second)),
                Err(_) => assert!(current == Some(first) || current == Some(second)),
            }
        }
    }

    #[test]
    fn a_damaged_pointer_is_told_and_removes_nothing() {
        let disk = Arc::new(MemDisk::new(2));
        let root = PathBuf::from("state");
        let dir = StateDir::open(disk.clone(), root.clone()).expect("open");
        let mut folder = dir.new_database().expect("folder");
        files::replace(&*disk, &folder.path().join("f"), &[b"x"]).expect("write");
        dir.install(&mut folder).expect("install");
        let path = root.join("CURRENT");
        let whole = disk.content(&path).expect("there");
        for at in 0..whole.len() * 9 {
            disk.damage(&path, |bytes| match at % 9 {
                8 => bytes.truncate(at / 9),
                bit => bytes[at / 9] ^= 1 << bit,
            });
            let damaged = disk.content(&path).expect("there");
            match dir.check() {
                // Without its checksum it is as it was written once.
                Ok(()) => assert_eq!(damaged, whole[..4], "{damaged:?}"),
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::InvalidData),
            }
            let opened = StateDir::open(disk.clone(), root.clone());
            assert_eq!(opened.is_ok(), dir.check().is_ok());
            assert!(disk.content(&root.join("db-1/f")).is_some());
            files::replace(&*disk, &path, &[&whole]).expect("write");
        }
        disk.unlink(&path).expect("unlink");
        assert!(dir.check().is_err());
    }

    fn name(path: &Path) -> String {
        path.file_name()
            .and_then(|n| n.to_str())
            .expect("a name")
            .to_owned()
    }
}
