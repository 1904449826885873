//! Mounting, unmounting, and finding what is still mounted.

use crate::command;
use crate::error::{Error, Result};
use crate::limits::{POLL_INTERVAL, UNMOUNT_DEADLINE};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Instant;

/// Mounts a file with an ext4 file system; the loop device goes with the mount.
pub(super) fn mount(file: &Path, folder: &Path) -> Result<()> {
    let options = ["-t", "ext4", "-o", "loop,noatime"].map(OsStr::new);
    command::run(
        "mount",
        options
            .into_iter()
            .chain([file.as_os_str(), folder.as_os_str()]),
    )
    .map(drop)
}

/// Unmounts; waits for users that are just ending.
pub(super) fn unmount(folder: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match command::run("umount", [folder]) {
            Err(Error::Command { stderr, .. })
                if stderr.contains("busy") && start.elapsed() < UNMOUNT_DEADLINE =>
            {
                sleep(POLL_INTERVAL);
            }
            other => return other.map(drop),
        }
    }
}

/// Takes a mount out of sight, whoever uses it; it ends with its last user.
pub(super) fn detach(folder: &Path) {
    if let Err(error) = command::run("umount", [OsStr::new("--lazy"), folder.as_os_str()]) {
        tracing::warn!("could not detach: {error}");
    }
}

/// Everything mounted below a folder, in the order in which it was mounted.
fn mounted_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(table) = fs::read_to_string("/proc/self/mountinfo") else {
        return Vec::new();
    };
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescape(field)))
        .filter(|path| path.starts_with(folder))
        .collect()
}

/// The kernel writes spaces and the like as octal numbers.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012"]
        .iter()
        .zip([" ", "\t", "\n"])
        .fold(field.to_owned(), |text, (code, plain)| {
            text.replace(code, plain)
        })
        .replace("\\134", "\\")
}

/// Unmounts whatever is mounted below a dead run's folder, and detaches loop devices that are left.
pub(crate) fn sweep(dir: &Path) {
    for folder in mounted_below(dir).iter().rev() {
        if let Err(error) = command::run("umount", [folder]) {
            tracing::warn!("{error}; detaching instead");
            detach(folder);
        }
    }
    let Ok(blocks) = fs::read_dir("/sys/block") else {
        return;
    };
    for block in blocks.flatten() {
        let backing =
            fs::read_to_string(block.path().join("loop/backing_file")).unwrap_or_default();
        if Path::new(backing.trim()).starts_with(dir) {
            let device = Path::new("/dev").join(block.file_name());
            if let Err(error) =
                command::run("losetup", [OsStr::new("--detach"), device.as_os_str()])
            {
                tracing::warn!("could not detach: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_found_and_decoded() {
        assert!(mounted_below(Path::new("/")).contains(&PathBuf::from("/proc")));
        assert!(mounted_below(Path::new("/no such folder")).is_empty());
        assert_eq!(unescape("/a\\040b\\134c"), "/a b\\c");
    }
}
