//! Files that change all at once.
//!
//! A volume's files are links into `..data`, itself a link to a folder with a time in its name, which holds one
//! version of them. An update writes a new folder and moves the link: whoever reads sees the old files or the new
//! ones. Programs watch `..data` for changes, so the names are upstream's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";
/// What Linux allows.
const NAME_MAX: usize = 255;
const PATH_MAX: usize = 4096;

/// One file of a volume.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProjectedFile {
    pub(super) data: Vec<u8>,
    /// Permission bits.
    pub(super) mode: u32,
    /// Owner, if it is not root.
    pub(super) owner: Option<u32>,
}

/// Without the data: it may be secret.
impl std::fmt::Debug for ProjectedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProjectedFile")
            .field("bytes", &self.data.len())
            .field("mode", &format_args!("{:o}", self.mode))
            .field("owner", &self.owner)
            .finish()
    }
}

/// Files by path within the volume.
pub(super) type Payload = BTreeMap<String, ProjectedFile>;

/// Makes the files of a volume be `payload`; `permissions` is called for what is new, before anybody can see it.
/// Not for two writers at once. What an interrupted writer left is cleaned up. Says whether anything changed.
///
/// # Errors
/// If a path is none for a volume, or the disk refuses.
pub(super) fn write(
    folder: &Path,
    payload: &Payload,
    permissions: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<bool> {
    let payload = cleaned(payload)?;
    let data = folder.join(DATA);
    let current = match fs::read_link(&data) {
        Ok(name) => Some(folder.join(name)),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let gone = match &current {
        Some(current) => superfluous(&payload, current)?,
        None => BTreeSet::new(),
    };
    let changed = match &current {
        Some(current) => !gone.is_empty() || differs(&payload, current)?,
        None => true,
    };
    let mut kept = current;
    if changed {
        let new = new_folder(folder)?;
        let filled = fill(&payload, &new).and_then(|()| permissions(&new));
        if let Err(error) = filled.and_then(|()| publish(folder, &new)) {
            // The error that matters is the first one.
            let _ = fs::remove_dir_all(&new);
            return Err(error);
        }
        kept = Some(new);
    }
    link_names(folder, &payload)?;
    for name in gone {
        remove_if_there(&folder.join(name))?;
    }
    if let Some(kept) = &kept {
        remove_old(folder, kept)?;
    }
    Ok(changed)
}

fn cleaned(payload: &Payload) -> io::Result<Vec<(PathBuf, &ProjectedFile)>> {
    payload
        .iter()
        .map(|(path, file)| Ok((clean(path)?, file)))
        .collect()
}

/// The path without what is superfluous in it.
fn clean(path: &str) -> io::Result<PathBuf> {
    let refuse = |why: &str| {
        Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("invalid path: {why}: {path}"),
        ))
    };
    if path.is_empty() {
        return refuse("must not be empty");
    }
    if path.len() > PATH_MAX {
        return refuse("must be less than or equal to 4096 characters");
    }
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) if name.len() > NAME_MAX => {
                return refuse("filenames must be less than or equal to 255 characters");
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir => return refuse("must not contain '..'"),
            Component::RootDir | Component::Prefix(_) => return refuse("must be relative path"),
        }
    }
    if clean.as_os_str().is_empty() {
        return refuse("must not be empty");
    }
    // Such names are this writer's own.
    if first(&clean).to_string_lossy().starts_with("..") {
        return refuse("must not start with '..'");
    }
    Ok(clean)
}

fn first(path: &Path) -> &Path {
    path.components()
        .next()
        .map_or(path, |part| Path::new(part.as_os_str()))
}

/// Names in the volume that only the current version has.
fn superfluous(
    payload: &[(PathBuf, &ProjectedFile)],
    current: &Path,
) -> io::Result<BTreeSet<PathBuf>> {
    let mut names = BTreeSet::new();
    let entries = match fs::read_dir(current) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
        Err(error) => return Err(error),
    };
    for entry in entries {
        names.insert(PathBuf::from(entry?.file_name()));
    }
    for (path, _) in payload {
        names.remove(first(path));
    }
    Ok(names)
}

fn differs(payload: &[(PathBuf, &ProjectedFile)], current: &Path) -> io::Result<bool> {
    for (path, file) in payload {
        match fs::read(current.join(path)) {
            Ok(data) if data == file.data => {}
            Ok(_) => return Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                ) =>
            {
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
    }
    // A file below a folder that stays.
    let wanted: BTreeSet<_> = payload.iter().map(|(path, _)| path.as_path()).collect();
    let mut all = Vec::new();
    files(current, Path::new(""), &mut all)?;
    Ok(all.iter().any(|path| !wanted.contains(path.as_path())))
}

fn files(root: &Path, below: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(root.join(below)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        // Folders are as deep as the paths of the payload that this writer once accepted.
        if entry.file_type()?.is_dir() {
            files(root, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

fn new_folder(folder: &Path) -> io::Result<PathBuf> {
    let time = Timestamp::now().strftime("..%Y_%m_%d_%H_%M_%S").to_string();
    for _ in 0..16 {
        let path = folder.join(format!("{time}.{}", rand::random::<u32>()));
        match fs::create_dir(&path) {
            Ok(()) => {
                fs::set_permissions(&path, Permissions::from_mode(0o755))?;
                return Ok(path);
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn fill(payload: &[(PathBuf, &ProjectedFile)], folder: &Path) -> io::Result<()> {
    for (path, file) in payload {
        let mut parent = folder.to_path_buf();
        for part in path.parent().into_iter().flat_map(Path::components) {
            parent.push(part);
            match fs::create_dir(&parent) {
                Ok(()) => fs::set_permissions(&parent, Permissions::from_mode(0o755))?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        let path = folder.join(path);
        fs::write(&path, &file.data)?;
        // Whatever the umask is.
        fs::set_permissions(&path, Permissions::from_mode(file.mode & 0o7777))?;
        if file.owner.is_some() {
            lchown(&path, file.owner, None)?;
        }
    }
    Ok(())
}

/// From here on the new files are the volume's.
fn publish(folder: &Path, new: &Path) -> io::Result<()> {
    let name = new.file_name().ok_or(ErrorKind::InvalidInput)?;
    let link = folder.join(DATA_NEW);
    remove_if_there(&link)?;
    symlink(name, &link)?;
    fs::rename(&link, folder.join(DATA))
}

fn link_names(folder: &Path, payload: &[(PathBuf, &ProjectedFile)]) -> io::Result<()> {
    for (path, file) in payload {
        let name = first(path);
        let link = folder.join(name);
        if fs::read_link(&link).is_ok() {
            continue;
        }
        match symlink(Path::new(DATA).join(name), &link) {
            Ok(()) => lchown(&link, file.owner, None)?,
            // A folder on which another volume is mounted hides this file.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Versions before this one, and what writers that were interrupted left.
fn remove_old(folder: &Path, current: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_version = name.to_string_lossy().starts_with("..2") && entry.file_type()?.is_dir();
        if is_version && entry.path() != current {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |data: &str| ProjectedFile {
            data: data.into(),
            mode: 0o640,
            owner: None,
        };
        files
            .iter()
            .map(|(path, data)| ((*path).to_owned(), file(data)))
            .collect()
    }

    /// What a program in the container sees, by path.
    fn seen(folder: &Path) -> BTreeMap<String, String> {
        fn walk(folder: &Path, prefix: &str, all: &mut BTreeMap<String, String>) {
            for entry in fs::read_dir(folder).expect("a folder") {
                let entry = entry.expect("readable");
                let name = entry.file_name().into_string().expect("text");
                if prefix.is_empty() && name.starts_with("..") {
                    continue;
                }
                let path = format!("{prefix}{name}");
                if entry.path().is_dir() {
                    walk(&entry.path(), &format!("{path}/"), all);
                } else {
                    all.insert(path, fs::read_to_string(entry.path()).expect("a file"));
                }
            }
        }
        let mut all = BTreeMap::new();
        walk(folder, "", &mut all);
        all
    }

    fn versions(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).expect("a folder");
        let names = entries.map(|e| {
            e.expect("readable")
                .file_name()
                .into_string()
                .expect("text")
        });
        names.filter(|name| name.starts_with("..2")).count()
    }

    #[test]
    fn each_version_replaces_the_one_before_it() {
        let folder = TempDir::new().expect("a folder");
        let folder = folder.path();
        for (files, changed) in [
            (&[("a", "1"), ("b/c", "2"), ("b/d/e", "3")][..], true),
            (&[("a", "1"), ("b/c", "2"), ("b/d/e", "3")], false),
            (&[("a", "2"), ("b/c", "2"), ("b/d/e", "3")], true),
            (&[("a", "2"), ("b/c", "2")], true),
            (&[("b/c", "2"), ("x", "")], true),
            // A file becomes a folder and the other way round.
            (&[("b", "now a file"), ("x/y", "1")], true),
            (&[], true),
            (&[], false),
        ] {
            let payload = payload(files);
            let wrote = write(folder, &payload, |_| Ok(())).expect("written");
            assert_eq!(wrote, changed, "{files:?}");
            let expected = files
                .iter()
                .map(|(p, d)| ((*p).to_owned(), (*d).to_owned()));
            assert_eq!(seen(folder), expected.collect(), "{files:?}");
            assert_eq!(versions(folder), 1);
        }
    }

    #[test]
    fn names_are_links_through_data() {
        let folder = TempDir::new().expect("a folder");
        write(folder.path(), &payload(&[("b/c", "x")]), |_| Ok(())).expect("written");
        let link = fs::read_link(folder.path().join("b")).expect("a link");
        assert_eq!(link, Path::new("..data/b"));
        let file = fs::metadata(folder.path().join("b/c")).expect("a file");
        assert_eq!(file.permissions().mode() & 0o7777, 0o640);
    }

    #[test]
    fn what_an_interrupted_writer_left_is_in_nobodys_way() {
        let folder = TempDir::new().expect("a folder");
        let folder = folder.path();
        write(folder, &payload(&[("a", "1")]), |_| Ok(())).expect("written");
        // It ended after it made the link and before it moved it, and another one before its names were linked.
        symlink("..2020_01_01_00_00_00.1", folder.join(DATA_NEW)).expect("a link");
        fs::create_dir(folder.join("..2020_01_01_00_00_00.1")).expect("a folder");
        fs::remove_file(folder.join("a")).expect("removed");
        assert!(!write(folder, &payload(&[("a", "1")]), |_| Ok(())).expect("written"));
        assert_eq!(versions(folder), 1);
        assert!(write(folder, &payload(&[("a", "2")]), |_| Ok(())).expect("written"));
        assert_eq!(seen(folder)["a"], "2");
    }

    #[test]
    fn a_version_whose_permissions_fail_is_never_seen() {
        let folder = TempDir::new().expect("a folder");
        let folder = folder.path();
        write(folder, &payload(&[("a", "1")]), |_| Ok(())).expect("written");
        let refused = write(folder, &payload(&[("a", "2")]), |_| {
            Err(ErrorKind::PermissionDenied.into())
        });
        assert!(refused.is_err());
        assert_eq!(seen(folder)["a"], "1");
        assert_eq!(versions(folder), 1);
    }

    #[test]
    fn paths_stay_within_the_volume() {
        for (path, why) in [
            ("", "must not be empty"),
            (".", "must not be empty"),
            ("/a", "must be relative path"),
            ("a/../b", "must not contain '..'"),
            ("..", "must not contain '..'"),
            ("..data/x", "must not start with '..'"),
            ("./..x", "must not start with '..'"),
        ] {
            let folder = TempDir::new().expect("a folder");
            let refused = write(folder.path(), &payload(&[(path, "x")]), |_| Ok(()));
            let refused = refused.expect_err("refused").to_string();
            assert!(refused.contains(why), "{path}: {refused}");
        }
        assert_eq!(clean("a/./b//c").expect("valid"), Path::new("a/b/c"));
        assert_eq!(clean("a/..b").expect("valid"), Path::new("a/..b"));
    }
}
