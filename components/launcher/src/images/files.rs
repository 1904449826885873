//! The files of an image.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use super::archive::{Archive, Entry};
use super::libraries::libraries;
use crate::limits::{IMAGE_BYTES_MAX, IMAGE_DEPTH_MAX};

/// What is wrong with files for an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("{}: {}", .0.display(), .1)]
    Read(PathBuf, io::Error),
    #[error("{} needs the library {name}, which is not installed", of.display())]
    Library { name: String, of: PathBuf },
    #[error("{0:?} is no path within an image")]
    Path(String),
    #[error("{0:?} is there already, as something else")]
    Twice(String),
    #[error("more than {IMAGE_BYTES_MAX} bytes")]
    Large,
    #[error("{}: folders within more than {IMAGE_DEPTH_MAX} others", .0.display())]
    Deep(PathBuf),
    #[error(transparent)]
    Archive(#[from] io::Error),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    File { content: Vec<u8>, mode: u32 },
    Folder { mode: u32 },
    Link(String),
}

/// Files, folders and links, by their paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    bytes: usize,
}

impl Tree {
    /// Adds a file with its content, and the folders it is in.
    ///
    /// # Errors
    /// When `path` makes no sense, or something else is there.
    pub(crate) fn file(
        &mut self,
        path: &str,
        content: Vec<u8>,
        mode: u32,
    ) -> Result<(), FilesError> {
        self.bytes += content.len();
        if self.bytes > IMAGE_BYTES_MAX {
            return Err(FilesError::Large);
        }
        self.add(path, Node::File { content, mode })
    }

    /// Adds an empty folder.
    ///
    /// # Errors
    /// As [`Tree::file`].
    pub(crate) fn folder(&mut self, path: &str, mode: u32) -> Result<(), FilesError> {
        self.add(path, Node::Folder { mode })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As [`Tree::file`].
    pub(crate) fn link(&mut self, path: &str, target: &str) -> Result<(), FilesError> {
        self.add(path, Node::Link(target.to_owned()))
    }

    /// Adds the program `from`, with the libraries it needs if it is not static.
    ///
    /// # Errors
    /// When it or a library cannot be read, and as [`Tree::file`].
    pub(crate) fn program(&mut self, from: &Path, path: &str) -> Result<(), FilesError> {
        let content = fs::read(from).map_err(|error| FilesError::Read(from.to_owned(), error))?;
        for (library, content) in libraries(from, &content)? {
            self.file(&library.display().to_string(), content, 0o755)?;
        }
        self.file(path, content, 0o755)
    }

    /// Adds all that is in the folder `from`. What is neither file, folder nor link is left out.
    ///
    /// # Errors
    /// When something cannot be read, and as [`Tree::file`].
    pub(crate) fn copy(&mut self, from: &Path, path: &str) -> Result<(), FilesError> {
        self.copy_deep(from, path, 0)
    }

    fn copy_deep(&mut self, from: &Path, path: &str, depth: usize) -> Result<(), FilesError> {
        if depth > IMAGE_DEPTH_MAX {
            return Err(FilesError::Deep(from.to_owned()));
        }
        let failed = |error| FilesError::Read(from.to_owned(), error);
        for entry in fs::read_dir(from).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (own, name) = (entry.path(), entry.file_name());
            let failed = |error| FilesError::Read(own.clone(), error);
            let path = format!("{path}/{}", name.to_string_lossy());
            let meta = fs::symlink_metadata(&own).map_err(failed)?;
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                self.folder(&path, mode)?;
                self.copy_deep(&own, &path, depth + 1)?;
            } else if meta.is_symlink() {
                let target = fs::read_link(&own).map_err(failed)?;
                self.link(&path, &target.to_string_lossy())?;
            } else if meta.is_file() {
                self.file(&path, fs::read(&own).map_err(failed)?, mode)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), FilesError> {
        let bad = || FilesError::Path(path.to_owned());
        let mut clean: Vec<String> = Vec::new();
        for part in Path::new(path).components() {
            match part {
                Component::Normal(part) => clean.push(part.to_str().ok_or_else(bad)?.to_owned()),
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(bad()),
            }
        }
        if clean.is_empty() {
            return Err(bad());
        }
        for depth in 1..clean.len() {
            let folder = Node::Folder { mode: 0o755 };
            match self.nodes.entry(clean[..depth].join("/")).or_insert(folder) {
                Node::Folder { .. } => {}
                _ => return Err(FilesError::Twice(clean[..depth].join("/"))),
            }
        }
        let path = clean.join("/");
        match self.nodes.get(&path) {
            // The later mode counts, so that a folder can be made before what is in it and after.
            None | Some(Node::Folder { .. }) if matches!(node, Node::Folder { .. }) => {}
            None => {}
            Some(there) if *there == node => {}
            Some(_) => return Err(FilesError::Twice(path)),
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// As a tar file. Folders come before what is in them, as their names are shorter.
    pub(crate) fn layer(&self) -> Result<Vec<u8>, FilesError> {
        let mut archive = Archive::new(Vec::with_capacity(self.bytes));
        for (path, node) in &self.nodes {
            let entry = match node {
                Node::File { content, mode } => Entry::File {
                    content,
                    mode: *mode,
                },
                Node::Folder { mode } => Entry::Folder { mode: *mode },
                Node::Link(target) => Entry::Link(target),
            };
            archive.add(path, entry)?;
        }
        Ok(archive.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_are_the_same_layer_in_whatever_order_they_come() {
        let mut one = Tree::default();
        one.file("/bin/a", b"a".to_vec(), 0o755).expect("it fits");
        one.link("bin/b", "a").expect("it fits");
        one.folder("tmp", 0o1777).expect("it fits");
        let mut other = Tree::default();
        other.folder("/tmp", 0o1777).expect("it fits");
        other.link("/bin/b", "a").expect("it fits");
        other.file("bin/a", b"a".to_vec(), 0o755).expect("it fits");
        let layer = one.layer().expect("it can be written");
        assert_eq!(layer, other.layer().expect("it can be written"));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut tree = Tree::default();
        tree.file("bin/a", vec![], 0o755).expect("it fits");
        for path in ["", "/", "../a", "a/../../b"] {
            assert!(tree.file(path, vec![], 0o644).is_err(), "{path}");
        }
        assert!(matches!(tree.link("bin/a", "b"), Err(FilesError::Twice(_))));
        assert!(matches!(
            tree.file("bin/a/b", vec![], 0),
            Err(FilesError::Twice(_))
        ));
        let none = Path::new("/there/is/none");
        assert!(tree.program(none, "bin/none").is_err());
        assert!(tree.copy(none, "").is_err());
    }

    #[test]
    fn a_program_comes_with_what_it_needs() {
        let mut tree = Tree::default();
        let own = std::env::current_exe().expect("it runs");
        tree.program(&own, "bin/own").expect("it is there");
        let paths: Vec<&String> = tree.nodes.keys().collect();
        for part in ["bin/own", "libc.so", "ld-linux"] {
            assert!(
                paths.iter().any(|path| path.contains(part)),
                "{part}: {paths:?}"
            );
        }
    }

    #[test]
    fn a_folder_is_copied_as_it_is() {
        let dir = tempfile::tempdir().expect("there is room");
        fs::create_dir(dir.path().join("etc")).expect("there is room");
        fs::write(dir.path().join("etc/motd"), "hello").expect("there is room");
        std::os::unix::fs::symlink("etc/motd", dir.path().join("motd")).expect("there is room");
        let mut tree = Tree::default();
        tree.copy(dir.path(), "").expect("it can be read");
        let paths: Vec<&String> = tree.nodes.keys().collect();
        assert_eq!(paths, ["etc", "etc/motd", "motd"]);
        assert_eq!(tree.nodes["motd"], Node::Link("etc/motd".to_owned()));
    }
}
