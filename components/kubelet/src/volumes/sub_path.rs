//! Parts of volumes, opened so that no link leads out of the volume.
//!
//! Whoever runs in a container can change what the volume holds at any moment, also between a look at a path and the
//! mount of it. So the kernel walks the path, beneath the volume's folder, to an open file, and what is mounted is
//! that file and not its path.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Component, Path};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, mkdirat, openat, openat2, stat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::mount_table::mounted_on;

/// Links within a volume are followed, those that lead out of it are refused, and the kernel's own (as below
/// `/proc`) lead nowhere.
const WITHIN: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Opens a part of a volume, which is made as a folder if it is not there.
///
/// # Errors
/// If the path leads out of the volume.
pub(super) fn open_within(volume: &Path, part: &Path) -> io::Result<OwnedFd> {
    if part
        .components()
        .any(|c| !matches!(c, Component::Normal(_) | Component::CurDir))
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path leads out of the volume",
        ));
    }
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = openat(CWD, volume, flags, Mode::empty())?;
    // A volume of one file has no parts.
    if part.as_os_str().is_empty() {
        return Ok(root);
    }
    match openat2(&root, part, flags, Mode::empty(), WITHIN) {
        Err(Errno::NOENT) => make_folders(&root, part),
        opened => Ok(opened?),
    }
}

/// With the permissions of the volume's folder.
fn make_folders(root: &OwnedFd, part: &Path) -> io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(fstat(root)?.st_mode & 0o7777);
    let folder = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut walked = std::path::PathBuf::from(".");
    let mut parent = openat2(root, &walked, folder, Mode::empty(), WITHIN)?;
    for name in part
        .components()
        .filter(|c| matches!(c, Component::Normal(_)))
    {
        walked.push(name);
        parent = match openat2(root, &walked, folder, Mode::empty(), WITHIN) {
            Err(Errno::NOENT) => {
                match mkdirat(&parent, name.as_os_str(), mode) {
                    // Somebody else was faster; what it is will be seen.
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                let made = openat(
                    &parent,
                    name.as_os_str(),
                    folder | OFlags::NOFOLLOW,
                    Mode::empty(),
                )?;
                // Whatever the umask is.
                fchmod(&made, mode)?;
                made
            }
            opened => opened?,
        };
    }
    Ok(parent)
}

/// Mounts an open file or folder on `target`, which is made. What is mounted there already and the same stays.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn mount_open(open: &OwnedFd, target: &Path) -> io::Result<()> {
    let found = fstat(open)?;
    if mounted_on(target)?.is_some() {
        let mounted = stat(target)?;
        if (mounted.st_dev, mounted.st_ino) == (found.st_dev, found.st_ino) {
            return Ok(());
        }
        // A file of a version of the volume that is gone.
        unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
    }
    if let Some(parent) = target.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(parent)?;
    }
    let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    clear(target, is_folder)?;
    let source = format!("/proc/self/fd/{}", open.as_raw_fd());
    mount_bind(source, target)?;
    Ok(())
}

/// An empty folder or file to mount on.
fn clear(target: &Path, folder: bool) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() == folder && !found.is_symlink() => return Ok(()),
        Ok(found) if found.is_dir() => fs::remove_dir(target)?,
        Ok(_) => fs::remove_file(target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if folder {
        fs::create_dir(target)?;
        fs::set_permissions(target, fs::Permissions::from_mode(0o750))
    } else {
        File::create_new(target).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::mount_table::unmount_below;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use tempfile::TempDir;

    /// A volume with links of all kinds, beside a file that is none of its.
    fn volume() -> (TempDir, std::path::PathBuf) {
        let root = TempDir::new().expect("a folder");
        let volume = root.path().join("volume");
        fs::create_dir_all(volume.join("dir/sub")).expect("made");
        fs::write(root.path().join("secret"), "host").expect("written");
        fs::write(volume.join("dir/file"), "inside").expect("written");
        for (link, to) in [
            ("inside", "dir/sub"),
            ("up", "../secret"),
            ("absolute", "/etc"),
            ("dir/around", "../dir/file"),
            ("dir/out", "../../volume/dir"),
            ("loop", "loop"),
            ("dangling", "nowhere"),
        ] {
            symlink(to, volume.join(link)).expect("linked");
        }
        (root, volume)
    }

    #[test]
    fn no_link_leads_out_of_a_volume() {
        let (_root, volume) = volume();
        for (part, inside) in [
            ("dir/file", Some("dir/file")),
            ("inside", Some("dir/sub")),
            ("dir/around", Some("dir/file")),
            ("./dir", Some("dir")),
            ("up", None),
            ("absolute", None),
            ("absolute/passwd", None),
            ("dir/out", None),
            ("loop", None),
            ("dir/../dir", None),
            ("/dir", None),
            ("dir/file/x", None),
            // A new folder must not be made where a link leads.
            ("dangling/x", None),
            ("up/x", None),
        ] {
            let opened = open_within(&volume, Path::new(part));
            match (opened, inside) {
                (Ok(open), Some(inside)) => {
                    let expected = fs::metadata(volume.join(inside)).expect("there");
                    assert_eq!(fstat(&open).expect("open").st_ino, expected.ino(), "{part}");
                }
                (Err(_), None) => {}
                (found, _) => panic!("{part}: {found:?}"),
            }
        }
    }

    #[test]
    fn missing_parts_are_made_with_the_volumes_permissions() {
        let (_root, volume) = volume();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o2770)).expect("set");
        for part in ["new/er", "inside/new"] {
            open_within(&volume, Path::new(part)).expect("made");
            let mode = fs::metadata(volume.join(part)).expect("there").mode();
            assert_eq!(mode & 0o7777, 0o2770, "{part}");
        }
        assert!(volume.join("dir/sub/new").is_dir());
    }

    #[test]
    fn a_part_is_mounted_and_follows_no_link_that_comes_later() {
        let (root, volume) = volume();
        let target = root.path().join("mounted/0");
        let open = open_within(&volume, Path::new("dir/file")).expect("opened");
        // Meanwhile somebody in the container puts a link in its place.
        fs::remove_file(volume.join("dir/file")).expect("removed");
        symlink("/etc/passwd", volume.join("dir/file")).expect("linked");
        match mount_open(&open, &target) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: nobody but root can mount");
                return;
            }
            // A file that is gone from its folder cannot be mounted, and nothing else is.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}"),
            Ok(()) => assert_eq!(fs::read_to_string(&target).expect("readable"), "inside"),
        }
        let open = open_within(&volume, Path::new("dir/sub")).expect("opened");
        mount_open(&open, &target).expect("mounted");
        mount_open(&open, &target).expect("it is there");
        fs::write(target.join("x"), "1").expect("written");
        assert!(volume.join("dir/sub/x").exists());
        // Another part in its place, as after an update of the volume.
        fs::write(volume.join("other"), "2").expect("written");
        unmount_below(root.path()).expect("unmounted");
        let open = open_within(&volume, Path::new("other")).expect("opened");
        mount_open(&open, &target).expect("mounted");
        assert_eq!(fs::read_to_string(&target).expect("readable"), "2");
        unmount_below(root.path()).expect("unmounted");
    }
}
