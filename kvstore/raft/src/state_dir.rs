//! The folder of the state machine: which database is current, and the snapshots beside it.
//!
//! ```text
//! state/CURRENT        name of the current database, replaced by rename
//! state/db-N/          databases; all but the current one are leftovers
//! state/snap-N/        checkpoints being sent or received; leftovers after a restart
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Owner of the state folder's names.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: PathBuf,
    next: AtomicU64,
}

/// A folder with a checkpoint, removed when the last user lets go of it.
#[derive(Debug)]
pub(crate) struct SnapshotDir {
    path: PathBuf,
    /// Whether dropping removes it; taken away when the folder becomes the database.
    owned: bool,
}

impl SnapshotDir {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        if self.owned
            && let Err(e) = fs::remove_dir_all(&self.path)
            && e.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), "could not remove a snapshot: {e}");
        }
    }
}

impl StateDir {
    /// Opens the folder, creating it when new, and removes what an earlier run left behind.
    pub(crate) fn open(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        let dir = Self {
            root,
            next: AtomicU64::new(1),
        };
        let current = dir.read_current()?;
        let mut highest = 0;
        for entry in fs::read_dir(&dir.root)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix("db-").or(name.strip_prefix("snap-"));
            let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) else {
                continue;
            };
            highest = highest.max(number);
            if current.as_ref() != Some(&name) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        dir.next.store(highest + 1, Ordering::Relaxed);
        Ok(dir)
    }

    fn read_current(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.root.join("CURRENT")) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The current database's folder; a new one is made current when there is none.
    pub(crate) fn current(&self) -> io::Result<PathBuf> {
        if let Some(name) = self.read_current()? {
            let path = self.root.join(&name);
            if !path.is_dir() {
                let text = format!("{} names {name}, which does not exist", self.root.display());
                return Err(io::Error::new(io::ErrorKind::NotFound, text));
            }
            return Ok(path);
        }
        let name = format!("db-{}", self.number());
        fs::create_dir(self.root.join(&name))?;
        self.set_current(&name)?;
        Ok(self.root.join(name))
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn set_current(&self, name: &str) -> io::Result<()> {
        let tmp = self.root.join("CURRENT.tmp");
        let mut file = File::create(&tmp)?;
        file.write_all(name.as_bytes())?;
        file.sync_all()?;
        fs::rename(&tmp, self.root.join("CURRENT"))?;
        sync_dir(&self.root)
    }

    /// A folder name for a checkpoint; not created yet, removed when dropped.
    pub(crate) fn new_snapshot(&self) -> SnapshotDir {
        SnapshotDir {
            path: self.root.join(format!("snap-{}", self.number())),
            owned: true,
        }
    }

    /// Makes a received checkpoint the current database and returns its folder. Everything in it is
    /// on disk before the pointer moves.
    pub(crate) fn install(&self, mut snapshot: SnapshotDir) -> io::Result<PathBuf> {
        sync_tree(&snapshot.path)?;
        let name = format!("db-{}", self.number());
        let path = self.root.join(&name);
        fs::rename(&snapshot.path, &path)?;
        snapshot.owned = false;
        sync_dir(&self.root)?;
        self.set_current(&name)?;
        Ok(path)
    }
}

pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn sync_tree(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_moves_the_pointer_and_a_restart_removes_the_rest() {
        let tmp = tempfile::tempdir().expect("tempdir");
        let root = tmp.path().join("state");
        let dir = StateDir::open(root.clone()).expect("open");
        let first = dir.current().expect("current");
        assert_eq!(dir.current().expect("stable"), first);

        let snapshot = dir.new_snapshot();
        fs::create_dir(snapshot.path()).expect("mkdir");
        fs::write(snapshot.path().join("f"), "x").expect("write");
        let second = dir.install(snapshot).expect("install");
        assert_eq!(dir.current().expect("current"), second);
        assert!(second.join("f").exists() && first.exists());

        let again = StateDir::open(root).expect("reopen");
        assert_eq!(again.current().expect("current"), second);
        assert!(!first.exists());
        assert!(!again.new_snapshot().path().exists());
    }
}
