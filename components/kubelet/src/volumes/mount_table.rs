//! What is mounted where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountPoint {
    pub(super) path: PathBuf,
    /// As `tmpfs`.
    pub(super) kind: String,
}

/// All mounts of this process's namespace at or below a path, deepest first.
///
/// # Errors
/// If the kernel's table cannot be read.
pub(super) fn mounts_below(root: &Path) -> io::Result<Vec<MountPoint>> {
    // The table has paths without links.
    let root = match root.canonicalize() {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let mut found: Vec<_> = parse(&table)
        .filter(|mount| mount.path.starts_with(&root))
        .collect();
    // Of two on one path the later one lies on top.
    found.reverse();
    found.sort_by_key(|mount| std::cmp::Reverse(mount.path.components().count()));
    Ok(found)
}

/// Whether something is mounted on a path, and of what kind.
///
/// # Errors
/// If the kernel's table cannot be read.
pub(super) fn mounted_on(path: &Path) -> io::Result<Option<MountPoint>> {
    let Ok(path) = path.canonicalize() else {
        return Ok(None);
    };
    let found = mounts_below(&path)?;
    Ok(found.into_iter().find(|mount| mount.path == path))
}

/// Takes off all mounts at or below a path.
///
/// # Errors
/// If one is in use.
pub(super) fn unmount_below(root: &Path) -> io::Result<()> {
    for mount in mounts_below(root)? {
        match unmount(&mount.path, UnmountFlags::NOFOLLOW) {
            // Somebody else did, or the mount above took it along.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => {
                let why = format!("unmounting {}: {error}", mount.path.display());
                return Err(io::Error::new(io::Error::from(error).kind(), why));
            }
        }
    }
    match mounts_below(root)?.first() {
        None => Ok(()),
        Some(left) => {
            let why = format!("{} is still mounted", left.path.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
        }
    }
}

/// `36 35 98:0 /root /mount/point options optional... - kind source options`
fn parse(table: &str) -> impl Iterator<Item = MountPoint> {
    table.lines().filter_map(|line| {
        let (mount, source) = line.split_once(" - ")?;
        Some(MountPoint {
            path: PathBuf::from(unescape(mount.split(' ').nth(4)?)),
            kind: source.split(' ').next()?.to_owned(),
        })
    })
}

/// Blanks and such are three octal digits behind a backslash.
fn unescape(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = (*byte == b'\\')
            .then(|| text.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                at += 4;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    std::ffi::OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let table = "22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
                     30 22 0:25 / /var/lib/a\\040b rw master:1 shared:2 - tmpfs tmpfs rw,size=4k\n\
                     garbage\n\
                     31 22 0:26 /x /y\\999 rw - bind /dev/z rw\n";
        let found: Vec<_> = parse(table)
            .map(|m| (m.path.display().to_string(), m.kind))
            .collect();
        let expected = [
            ("/", "ext4"),
            ("/var/lib/a b", "tmpfs"),
            ("/y\\999", "bind"),
        ];
        assert_eq!(
            found,
            expected.map(|(path, kind)| (path.to_owned(), kind.to_owned()))
        );
    }

    #[test]
    fn a_plain_folder_is_no_mount() {
        let folder = tempfile::TempDir::new().expect("a folder");
        assert_eq!(mounted_on(folder.path()).expect("readable"), None);
        assert_eq!(
            mounted_on(&folder.path().join("none")).expect("readable"),
            None
        );
        assert!(mounted_on(Path::new("/proc")).expect("readable").is_some());
        unmount_below(folder.path()).expect("nothing to do");
    }
}
