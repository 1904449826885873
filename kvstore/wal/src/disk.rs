//! The disk as this crate sees it.

mod mem;
mod os;

use std::any::Any;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

pub use mem::{Crash, MemDisk, OpKind};
pub use os::OsDisk;

/// A file system. Nothing is durable before the matching sync: file content and length by
/// [`DiskFile::sync_data`], names by [`Disk::sync_dir`].
pub trait Disk: Send + Sync + 'static {
    /// Creates `dir` and its missing parents.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Creates a file that must not exist, for reading and writing.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames within one directory.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn unlink(&self, path: &Path) -> io::Result<()>;
    /// Names of the files and directories in `dir`, in no particular order; an absent directory is empty.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Removes `dir` and all in it; an absent directory is removed already.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Keeps other processes out until the result is dropped.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
    /// A number that was hardly ever returned before.
    fn entropy(&self) -> u64;
}

/// An open file. Positions are explicit, so it can be shared between threads.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bufs`, one after the other, starting at `offset`.
    fn write_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Fills `buf` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes content and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves room so that writes below `len` cannot run out of space, and extends the file.
    fn allocate(&self, len: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
