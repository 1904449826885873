//! The shared libraries that programs need, found as the loader finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::elf::needs;
use super::files::FilesError;

/// Where the loader looks for libraries, on Debian and on others.
const FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
];

/// Files by the path at which the loader will look for them.
pub(crate) fn libraries(
    program: &Path,
    content: &[u8],
) -> Result<BTreeMap<PathBuf, Vec<u8>>, FilesError> {
    let mut found = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(program.to_owned(), content.to_vec())];
    while let Some((of, content)) = waiting.pop() {
        let Some(needs) = needs(&content) else {
            continue;
        };
        if let Some(interpreter) = needs.interpreter {
            let path = PathBuf::from(interpreter);
            let content = read(&path)?;
            found.insert(path, content);
        }
        for name in needs.libraries {
            if !seen.insert(name.clone()) {
                continue;
            }
            let path = find(&name, &of, &needs.folders).ok_or_else(|| FilesError::Library {
                name: name.clone(),
                of: of.clone(),
            })?;
            let content = read(&path)?;
            waiting.push((path.clone(), content.clone()));
            found.insert(path, content);
        }
    }
    Ok(found)
}

fn find(name: &str, of: &Path, folders: &[String]) -> Option<PathBuf> {
    let origin = of.parent().unwrap_or(Path::new("/")).display().to_string();
    let own = folders
        .iter()
        .map(|folder| folder.replace("$ORIGIN", &origin));
    let all = own.chain(FOLDERS.iter().map(|&folder| folder.to_owned()));
    let mut paths = all.map(|folder| Path::new(&folder).join(name));
    paths.find(|path| path.is_file())
}

fn read(path: &Path) -> Result<Vec<u8>, FilesError> {
    std::fs::read(path).map_err(|error| FilesError::Read(path.to_owned(), error))
}
