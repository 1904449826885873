//! Links to containers' logs under names that log collectors know: `POD_NAMESPACE_CONTAINER-ID.log`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Longest name of a file.
const NAME_BYTES_MAX: usize = 255;
const END: &str = ".log";

/// The name of a container's link. One that would be too long is cut, as upstream does it.
#[must_use]
pub fn link_name(pod: &str, namespace: &str, container: &str, id: &str) -> String {
    let mut name = format!("{pod}_{namespace}_{container}-{id}");
    let mut room = NAME_BYTES_MAX - END.len();
    if name.len() > room {
        while !name.is_char_boundary(room) {
            room -= 1;
        }
        name.truncate(room);
    }
    name + END
}

/// Makes a link to a log, if there is one: some runtimes write logs elsewhere.
///
/// # Errors
/// If the link cannot be made.
pub fn link_log(folder: &Path, name: &str, log: &Path) -> io::Result<()> {
    if !log.exists() {
        return Ok(());
    }
    match symlink(log, folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Removes links whose logs are gone.
///
/// # Errors
/// If the folder cannot be read.
pub fn remove_dangling(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let named = path.extension().is_some_and(|end| end == "log");
        if !named || !path.is_symlink() || path.exists() {
            continue;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("{}: {error}", path.display());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_when_their_logs_have_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let log = at("0.log.real");
        let name = link_name("web-1", "default", "main", "abc");
        assert_eq!(name, "web-1_default_main-abc.log");
        link_log(folder.path(), &name, &log).expect("nothing to do");
        assert!(!at(&name).is_symlink(), "there is no log yet");
        fs::write(&log, "").expect("written");
        fs::write(at("other.log"), "").expect("written");
        for _ in 0..2 {
            link_log(folder.path(), &name, &log).expect("linked");
        }
        remove_dangling(folder.path()).expect("read");
        assert!(at(&name).is_symlink());
        fs::remove_file(&log).expect("removed");
        remove_dangling(folder.path()).expect("read");
        assert!(!at(&name).is_symlink() && at("other.log").exists());
        let long = link_name(&"ä".repeat(200), "n", "c", "id");
        assert!(long.len() <= NAME_BYTES_MAX && long.ends_with(END));
    }
}
