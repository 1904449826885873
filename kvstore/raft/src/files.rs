//! Small files that are replaced as a whole.

use std::io::{self, IoSlice};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use mainstay_wal::{Disk, DiskFile};

/// A file's content; `None` when it does not exist.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<Bytes>> {
    let file = match disk.open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    read_piece(&*file, 0, len).map(Some)
}

/// At most `len` bytes from `offset`; fewer at the end of the file.
pub(crate) fn read_piece(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(len);
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes.freeze())
}

/// Replaces a file through a temporary one; durable when it returns.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, content: &[&[u8]]) -> io::Result<()> {
    let dir = path
        .parent()
        .ok_or_else(|| io::Error::other("no parent folder"))?;
    disk.create_dir_all(dir)?;
    let tmp = path.with_extension("tmp");
    match disk.unlink(&tmp) {
        // Left over from an attempt that was cut short.
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let file = disk.create(&tmp)?;
    let parts: Vec<_> = content.iter().map(|part| IoSlice::new(part)).collect();
    file.write_at(&parts, 0)?;
    file.sync_data()?;
    disk.rename(&tmp, path)?;
    disk.sync_dir(dir)
}

/// Brings all files of a folder without subfolders to disk.
pub(crate) fn sync_all(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for name in disk.list(dir)? {
        disk.open(&dir.join(name))?.sync_data()?;
    }
    disk.sync_dir(dir)
}
