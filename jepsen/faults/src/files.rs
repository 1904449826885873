//! Damage in the files of a member: what each file is, and changing one of them in a way that a disk could.
//!
//! [`survey`] lists a data directory, [`damage`] harms one file and returns an [`Injury`]: what was changed where, from what
//! to what, which is the proof, and which [`Injury::undo`] takes back. Everything follows from a seed.
//!
//! Damage goes through the page cache and is synced, so it is seen at once by whoever reads the file, whether the member
//! runs or not; what a running member has in its own memory it does not see. Files that grow ahead of their content (log
//! segments) have a tail of zeros: the *used* part ends with the last byte that is not zero, and random positions
//! lie in it.

mod damage;
mod kind;

pub use damage::{Damage, Injury, Spot, damage};
pub use kind::FileKind;

use crate::error::{Error, Result};
use crate::limits::FILES_MAX;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub bytes: u64,
}

/// All files of a data directory, sorted by path. Files that vanish meanwhile are left out.
pub fn survey(data_dir: &Path) -> Result<Vec<DataFile>> {
    let mut found = Vec::new();
    let mut folders = vec![data_dir.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if folder != data_dir && error.kind() == std::io::ErrorKind::NotFound => {
                continue;
            }
            Err(error) => return Err(Error::io(format!("list {}", folder.display()))(error)),
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if meta.is_dir() {
                folders.push(path);
            } else if meta.is_file() {
                let kind = FileKind::of(path.strip_prefix(data_dir).unwrap_or(&path));
                found.push(DataFile {
                    path,
                    kind,
                    bytes: meta.len(),
                });
            }
        }
        if found.len() + folders.len() > FILES_MAX {
            return Err(Error::Misuse(format!("more than {FILES_MAX} files")));
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
