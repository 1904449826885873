//! The folder of the state machine: which database is current, and the snapshots beside it.
//!
//! ```text
//! state/CURRENT        name of the current database, replaced by rename
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
        let Some(name) = files::read(&*self.disk, &self.root.join("CURRENT"))? else {
            return Ok(None);
        };
        let name = std::str::from_utf8(&name).map_err(io::Error::other)?;
        Ok(Some(name.trim().to_owned()))
    }

    /// The current database's folder; a new one is made current when there is none.
    pub(crate) fn current(&self) -> io::Result<PathBuf> {
        if let Some(name) = self.read_current()? {
            if !self.disk.list(&self.root)?.contains(&name) {
                let text = format!("{} names {name}, which does not exist", self.root.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            return Ok(self.root.join(name));
        }
        let name = format!("db-{}", self.number());
        self.disk.create_dir_all(&self.root.join(&name))?;
        self.set_current(&name)?;
        Ok(self.root.join(name))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn set_current(&self, name: &str) -> io::Result<()> {
        let path = self.root.join("CURRENT");
        files::replace(&*self.disk, &path, &[name.as_bytes()])
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

    /// Makes a received checkpoint the current database and returns its folder. Everything in it is
    /// on disk before the pointer moves.
    /// After a failure it can be tried again.
    pub(crate) fn install(&self, snapshot: &mut SnapshotDir) -> io::Result<PathBuf> {
        files::sync_all(&*self.disk, &snapshot.path)?;
        self.disk.sync_dir(&self.root)?;
        let name = snapshot.path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::other("a database without a name"))?;
        self.set_current(name)?;
        snapshot.owned = false;
        Ok(snapshot.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;
    use mainstay_wal::disk::Crash;

    #[test]
    fn install_moves_the_pointer_and_a_restart_removes_the_rest() {
        let disk = Arc::new(MemDisk::new(1));
        let root = PathBuf::from("state");
        let dir = StateDir::open(disk.clone(), root.clone()).expect("open");
        let first = dir.current().expect("current");
        assert_eq!(dir.current().expect("stable"), first);

        let mut received = dir.new_database().expect("folder");
        files::replace(&*disk, &received.path().join("f"), &[b"x"]).expect("write");
        let second = dir.install(&mut received).expect("install");
        assert_eq!(dir.current().expect("current"), second);
        let there = |path: &Path| disk.list(&root).expect("list").contains(&name(path));
        assert!(disk.content(&second.join("f")).is_some() && there(&first));

        disk.crash(Crash::PowerNothingKept);
        let again = StateDir::open(disk.clone(), root.clone()).expect("reopen");
        assert_eq!(again.current().expect("current"), second);
        assert!(disk.content(&second.join("f")).is_some());
        assert!(!there(&first));
        assert!(!there(again.new_snapshot().path()));
    }

    fn name(path: &Path) -> String {
        path.file_name()
            .and_then(|n| n.to_str())
            .expect("a name")
            .to_owned()
    }
}
