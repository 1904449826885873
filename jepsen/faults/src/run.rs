//! The identity of one run of fault tests, and the removal of what dead runs left on the machine.
//!
//! A run holds one of a few numbered slots by a file lock, which the kernel releases however the process ends. Everything
//! that outlives a process carries the slot's number: namespaces and links by name, disk images and mounts by folder.
//! Whoever claims a slot first removes what slots without an owner left behind.

use crate::error::{Error, Result};
use crate::limits::RUNS_MAX;
use crate::{disk, net};
use rustix::process::getuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A claimed slot. Clones share it; it is free again when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Run {
    claim: Arc<Claim>,
}

#[derive(Debug)]
struct Claim {
    slot: u8,
    dir: PathBuf,
    _lock: File,
}

impl Run {
    /// Removes what dead runs left, and claims a slot. Fails when all [`RUNS_MAX`] slots have living owners.
    pub fn claim() -> Result<Self> {
        let locks = lock_dir()?;
        let mut claimed = None;
        for slot in 0..RUNS_MAX {
            if claimed.is_some() && !locks.join(lock_name(slot)).exists() {
                continue;
            }
            let Some(mut lock) = try_slot(&locks, slot)? else {
                continue;
            };
            sweep(slot, &mut lock);
            if claimed.is_none() {
                claimed = Some((slot, lock));
            }
        }
        let (slot, mut lock) = claimed.ok_or_else(|| {
            Error::Misuse(format!(
                "all {RUNS_MAX} slots in {} are taken",
                locks.display()
            ))
        })?;
        let dir = private_dir(&std::env::temp_dir())?.join(slot.to_string());
        let doing = || format!("prepare {}", dir.display());
        if dir.exists() {
            return Err(Error::Misuse(format!(
                "{} is left from a dead run and could not be removed",
                dir.display()
            )));
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .map_err(Error::io(doing()))?;
        let note = format!("{}\n{}\n", std::process::id(), dir.display());
        lock.set_len(0).map_err(Error::io(doing()))?;
        lock.rewind().map_err(Error::io(doing()))?;
        lock.write_all(note.as_bytes())
            .map_err(Error::io(doing()))?;
        Ok(Self {
            claim: Arc::new(Claim {
                slot,
                dir,
                _lock: lock,
            }),
        })
    }

    /// The slot's number, below [`RUNS_MAX`].
    pub fn slot(&self) -> u8 {
        self.claim.slot
    }

    /// A folder of the run's own, on a real disk if the machine's temporary folder is on one. Removed with the run.
    pub fn dir(&self) -> &Path {
        &self.claim.dir
    }

    /// What the names of the run's namespaces and links begin with.
    pub fn prefix(&self) -> String {
        prefix(self.claim.slot)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(dir = %self.dir.display(), "could not remove a run's folder: {error}");
        }
    }
}

pub(crate) fn prefix(slot: u8) -> String {
    format!("msf{slot}-")
}

/// The folder of locks is the same for all runs of a user, whatever their temporary folders are.
fn lock_dir() -> Result<PathBuf> {
    if getuid().is_root() {
        private_dir(Path::new("/run"))
    } else {
        private_dir(Path::new("/tmp"))
    }
}

/// A folder that only this user can write to, so that nobody else decides what a sweep removes.
fn private_dir(parent: &Path) -> Result<PathBuf> {
    let uid = getuid().as_raw();
    let dir = parent.join(format!("mainstay-faults-{uid}"));
    let doing = || format!("use {}", dir.display());
    if let Err(error) = DirBuilder::new().mode(0o700).create(&dir)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(Error::io(doing())(error));
    }
    let meta = fs::symlink_metadata(&dir).map_err(Error::io(doing()))?;
    if !meta.is_dir() || meta.uid() != uid || meta.mode() & 0o022 != 0 {
        return Err(Error::Misuse(format!(
            "{} is not a private folder of this user",
            dir.display()
        )));
    }
    Ok(dir)
}

fn lock_name(slot: u8) -> String {
    format!("{slot}.lock")
}

/// The slot's lock, if no living process holds it.
fn try_slot(locks: &Path, slot: u8) -> Result<Option<File>> {
    let path = locks.join(lock_name(slot));
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(Error::io(format!("open {}", path.display())))?;
    Ok(file.try_lock().is_ok().then_some(file))
}

/// Removes everything that carries the number of a slot without an owner. What cannot be removed is logged; it then
/// shows when the slot is used.
fn sweep(slot: u8, lock: &mut File) {
    net::sweep(&prefix(slot));
    let mut note = String::new();
    if lock.read_to_string(&mut note).is_err() {
        return;
    }
    let Some(dir) = note.lines().nth(1).map(PathBuf::from) else {
        return;
    };
    if !dir.exists() {
        return;
    }
    tracing::info!(dir = %dir.display(), "removing what a dead run left");
    disk::sweep(&dir);
    if let Err(error) = fs::remove_dir_all(&dir) {
        tracing::warn!(dir = %dir.display(), "could not remove a dead run's folder: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::Run;

    #[test]
    fn runs_have_slots_and_folders_of_their_own() {
        let (a, b) = (Run::claim().unwrap(), Run::claim().unwrap());
        assert_ne!(a.slot(), b.slot());
        let dir = a.dir().to_owned();
        std::fs::write(dir.join("x"), "x").unwrap();
        let clone = a.clone();
        drop(a);
        assert!(dir.exists(), "a clone keeps the run");
        drop(clone);
        assert!(!dir.exists());
        assert!(b.dir().exists());
    }
}
