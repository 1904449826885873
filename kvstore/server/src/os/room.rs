//! How much room a disk has, and how large files may be on it.

use mainstay_raft::Room;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;
/// A segment of the log takes at most this share of its disk: a handful of them are always there.
const SEGMENT_SHARE: u64 = 128;
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = MIB..=64 * MIB;
/// Memory for writes takes this share: merging what was flushed needs room of several times its size, which must
/// be less than what is left when new data is refused.
const MEMTABLES_SHARE: u64 = 64;
const MEMTABLES_BYTES: std::ops::RangeInclusive<u64> = 2 * MIB..=64 * MIB;

pub(super) fn room(dir: &Path) -> io::Result<Room> {
    let vfs = rustix::fs::statvfs(dir)?;
    Ok(Room {
        device: std::fs::metadata(dir)?.dev(),
        total_bytes: vfs.f_blocks.saturating_mul(vfs.f_frsize),
        free_bytes: vfs.f_bavail.saturating_mul(vfs.f_frsize),
    })
}

/// Bytes of one segment of the log in `dir`, which need not exist yet.
pub(super) fn segment_bytes(dir: &Path) -> u64 {
    let share = disk_bytes(dir) / SEGMENT_SHARE;
    let share = share.clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
    // Powers of two, so that a file system that grows a little changes nothing.
    1 << share.ilog2()
}

/// Bytes of writes kept in memory by the database in `dir`, which need not exist yet.
pub(super) fn memtables_bytes(dir: &Path) -> usize {
    let share = disk_bytes(dir) / MEMTABLES_SHARE;
    let share = share.clamp(*MEMTABLES_BYTES.start(), *MEMTABLES_BYTES.end());
    usize::try_from(share).unwrap_or(usize::MAX)
}

/// The size of the disk that a path is on, or would be.
fn disk_bytes(path: &Path) -> u64 {
    let mut path = PathBuf::from(path);
    loop {
        match room(&path) {
            Ok(room) => return room.total_bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.pop() => {
                if path.as_os_str().is_empty() {
                    path.push(".");
                }
            }
            Err(_) => return u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_yet_has_its_parents_disk() {
        let dir = tempfile::tempdir().unwrap();
        let here = disk_bytes(dir.path());
        assert!(here > MIB && here < u64::MAX);
        assert_eq!(disk_bytes(&dir.path().join("not/yet")), here);
        assert!(SEGMENT_BYTES.contains(&segment_bytes(&dir.path().join("wal"))));
        let room = room(dir.path()).unwrap();
        assert!(room.free_bytes <= room.total_bytes);
    }
}
