//! What a pod leaves, taken away.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use super::mount_table::unmount_below;
use crate::spec::Layout;

/// Unmounts and removes all that a pod has on the node but its logs. Its containers must be gone. Blocks.
///
/// Nothing is removed as long as anything is mounted below it: behind a mount may be a folder of the node.
///
/// # Errors
/// If something is in use, or the disk refuses; it can be tried again.
pub(super) fn tear_down(layout: &Layout, uid: &str) -> io::Result<()> {
    if uid.is_empty() || uid.contains('/') || uid == "." || uid == ".." {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a pod's uid",
        ));
    }
    let pod = layout.pod(uid);
    unmount_below(&pod)?;
    // These were mounted, so they are empty; were they not, it would be the node's that is removed.
    remove_mount_points(&layout.sub_paths(uid), 3)?;
    match fs::remove_dir_all(&pod) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes empty folders and files, down to a depth.
fn remove_mount_points(path: &Path, depth: usize) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.is_dir() {
        return fs::remove_file(path);
    }
    if depth > 0 {
        for entry in fs::read_dir(path)? {
            remove_mount_points(&entry?.path(), depth - 1)?;
        }
    }
    fs::remove_dir(path)
}

/// Uids of pods that have something on the node and are not among `alive`. Blocks.
///
/// # Errors
/// If the folder of pods cannot be read.
pub(super) fn orphans(layout: &Layout, alive: &HashSet<String>) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(layout.pods()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string();
        if let Some(uid) = name.ok().filter(|uid| !alive.contains(uid))
            && entry.file_type()?.is_dir()
        {
            found.push(uid);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volumes::empty_dir::{self, Medium};
    use crate::volumes::sub_path::{mount_open, open_within};

    fn layout(root: &Path) -> Layout {
        Layout {
            root: root.join("kubelet"),
            logs: root.join("logs"),
        }
    }

    #[test]
    fn what_is_behind_a_mount_stays_when_a_pod_goes() {
        let root = tempfile::TempDir::new().expect("a folder");
        let layout = layout(root.path());
        let memory = layout.volume("u-1", "kubernetes.io/secret", "s");
        match empty_dir::set_up(&memory, &Medium::Memory(None)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: nobody but root can mount");
                return;
            }
            made => made.expect("mounted"),
        }
        fs::write(memory.join("f"), "x").expect("written");
        // A folder of the node, of which a part is mounted.
        let host = root.path().join("srv");
        fs::create_dir_all(host.join("part")).expect("made");
        fs::write(host.join("part/precious"), "x").expect("written");
        let open = open_within(&host, Path::new("part")).expect("opened");
        let target = layout.sub_paths("u-1").join("h/a/0");
        mount_open(&open, &target).expect("mounted");
        drop(open);
        fs::create_dir_all(layout.pod("u-2")).expect("made");
        let alive = HashSet::from(["u-2".to_owned()]);
        assert_eq!(orphans(&layout, &alive).expect("readable"), ["u-1"]);
        // In use: nothing is removed.
        let busy = fs::File::open(memory.join("f")).expect("open");
        assert!(tear_down(&layout, "u-1").is_err());
        assert!(layout.pod("u-1").exists());
        drop(busy);
        tear_down(&layout, "u-1").expect("gone");
        assert!(!layout.pod("u-1").exists());
        assert!(host.join("part/precious").exists());
        assert!(layout.pod("u-2").exists());
        tear_down(&layout, "u-1").expect("it is gone already");
        assert_eq!(orphans(&layout, &alive).expect("readable"), [""; 0]);
    }

    #[test]
    fn only_uids_are_torn_down() {
        let root = tempfile::TempDir::new().expect("a folder");
        for uid in ["", ".", "..", "a/b"] {
            assert!(tear_down(&layout(root.path()), uid).is_err(), "{uid:?}");
        }
    }
}
