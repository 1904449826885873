//! The group of a pod's volumes: `fsGroup`.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

/// Permission bits that a group gets.
const READ_WRITE: u32 = 0o660;
const READ: u32 = 0o440;
const SEARCH: u32 = 0o110;
/// What is made in such a folder belongs to the group as well.
const SETGID: u32 = 0o2000;
/// Folders within folders. Deeper ones are a mistake or an attack.
const DEPTH_MAX: usize = 256;

/// Gives all of a volume to a group, which may read it and, unless it is read-only, write it. A volume's own folder
/// comes last: as long as it is another's, the work is not complete.
///
/// # Errors
/// If the volume cannot be read. A file that goes meanwhile is none.
pub(super) fn give_to_group(path: &Path, group: u32, read_only: bool) -> io::Result<()> {
    give(path, group, read_only, 0)
}

fn give(path: &Path, group: u32, read_only: bool, depth: usize) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        if depth > DEPTH_MAX {
            let why = format!("folders are deeper than {DEPTH_MAX}");
            return Err(io::Error::other(why));
        }
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group, read_only, depth + 1)?;
        }
    }
    let given = lchown(path, None, Some(group)).and_then(|()| match found.is_symlink() {
        // Its mode would be the mode of what it leads to.
        true => Ok(()),
        false => fs::set_permissions(path, Permissions::from_mode(wanted(&found, read_only))),
    });
    match given {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        given => given,
    }
}

fn wanted(found: &Metadata, read_only: bool) -> u32 {
    let group = if read_only { READ } else { READ_WRITE };
    let folder = if found.is_dir() { SETGID | SEARCH } else { 0 };
    found.mode() & 0o7777 | group | folder
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_group_gets_all_but_what_links_lead_to() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let outside = folder.path().join("outside");
        let volume = folder.path().join("volume");
        fs::create_dir_all(volume.join("sub")).expect("made");
        for (path, mode) in [(&outside, 0o600), (&volume.join("sub/f"), 0o600)] {
            fs::write(path, "x").expect("written");
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("set");
        }
        fs::set_permissions(&volume, Permissions::from_mode(0o755)).expect("set");
        symlink(&outside, volume.join("link")).expect("linked");
        let own = rustix::process::getegid().as_raw();
        let group = if own == 0 { 4242 } else { own };
        for (read_only, file, dir) in [(true, 0o640, 0o2755), (false, 0o660, 0o2775)] {
            give_to_group(&volume, group, read_only).expect("given");
            let found = |path: &Path| {
                let found = fs::metadata(path).expect("there");
                (found.mode() & 0o7777, found.gid())
            };
            assert_eq!(found(&volume.join("sub/f")), (file, group));
            assert_eq!(found(&volume), (dir, group));
            assert_eq!(found(&outside).0, 0o600);
        }
    }
}
