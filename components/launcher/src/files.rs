//! Files that are whole or not there.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Replaces a file in one step: under another name first. Makes its folder if there is none.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(mode);
        let mut file = options.open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    attempt().with_context(|| path.display().to_string())
}

/// The same, but only if it has other content. Says whether it had.
pub(crate) fn update(path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    write(path, bytes, mode)?;
    Ok(true)
}

/// Makes a folder that only its owner may look into.
pub(crate) fn secret_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(path)
        .with_context(|| path.display().to_string())
}

pub(crate) fn folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| path.display().to_string())
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn files_are_replaced_only_when_they_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below/a.txt");
        assert!(update(&path, b"one", 0o600).expect("written"));
        assert!(!update(&path, b"one", 0o600).expect("the same"));
        assert!(update(&path, b"two", 0o600).expect("written"));
        assert_eq!(read(&path).expect("it is there"), "two");
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!folder.path().join("below/a.txt.new").exists());
    }
}
