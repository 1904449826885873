//! A machine's disk as one process on it sees it.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mainstay_wal::{Disk, DiskFile, MemDisk};

use super::engine::Engines;

/// Whether a process lives. What a dead one still does while its memory is taken down never happened.
#[derive(Clone, Debug)]
pub(crate) struct Alive(Arc<AtomicBool>);

impl Alive {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// The machine's disk until the process ends.
#[derive(Clone, Debug)]
pub(crate) struct ProcessDisk {
    pub(crate) disk: MemDisk,
    pub(crate) engines: Engines,
    pub(crate) alive: Alive,
}

impl ProcessDisk {
    fn check(&self) -> io::Result<&MemDisk> {
        if self.alive.is() {
            return Ok(&self.disk);
        }
        Err(io::Error::other("the process has ended"))
    }
}

impl Disk for ProcessDisk {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.check()?.create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.check()?.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.check()?.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check()?.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.check()?.unlink(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.check()?.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check()?.sync_dir(dir)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.check()?.remove_dir_all(dir)?;
        self.engines.remove(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        self.check()?.lock(path)
    }

    fn entropy(&self) -> u64 {
        self.disk.entropy()
    }
}
