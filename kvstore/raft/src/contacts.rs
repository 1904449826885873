//! Where the other members listen for peers, kept beside the data: who lost everything else must still find
//! somebody to ask, even when the flags name members that are long gone.

use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use mainstay_wal::Disk;

use crate::codec::{Put, Reader};
use crate::identity::{read_checked, write_checked};

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("member").join("contacts")
}

/// The peer URLs as far as they are known; a damaged list is an empty one.
#[must_use]
pub fn load(disk: &dyn Disk, data_dir: &Path) -> Vec<String> {
    let Ok(Some(body)) = read_checked(disk, &path(data_dir)) else {
        return Vec::new();
    };
    Reader::new(body, "contacts").strings().unwrap_or_default()
}

/// Writes the list if it is another one; durable when it returns.
pub(crate) fn store(disk: &dyn Disk, data_dir: &Path, urls: &[String]) -> io::Result<()> {
    if load(disk, data_dir) == urls {
        return Ok(());
    }
    let mut out = BytesMut::new();
    out.put_strings(urls);
    write_checked(disk, &path(data_dir), &out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_wal::MemDisk;

    #[test]
    fn contacts_are_kept_and_damage_empties_them() {
        let disk = MemDisk::new(1);
        let dir = Path::new("data");
        assert!(load(&disk, dir).is_empty());
        let urls = ["http://a:1".to_owned(), "http://b:1".to_owned()];
        store(&disk, dir, &urls).expect("store");
        assert_eq!(load(&disk, dir), urls);
        disk.damage(&path(dir), |bytes| bytes[12] ^= 1);
        assert!(load(&disk, dir).is_empty());
        store(&disk, dir, &urls).expect("store");
        assert_eq!(load(&disk, dir), urls);
    }
}
