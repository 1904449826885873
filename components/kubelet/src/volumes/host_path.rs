//! Files and folders of the node itself: hostPath.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

/// Sees that the path is what the volume says, and makes it if the volume says so.
///
/// # Errors
/// If it is something else, in upstream's words.
pub(super) fn check(source: &HostPathVolumeSource) -> Result<(), String> {
    let path = Path::new(&source.path);
    if !path.is_absolute() || source.path.split('/').any(|part| part == "..") {
        return Err(format!(
            "invalid HostPath `{}`: must be an absolute path without '..'",
            source.path
        ));
    }
    let kind = source.type_.as_deref().unwrap_or_default();
    match kind {
        "" => return Ok(()),
        "DirectoryOrCreate" => make(path, |path| {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o755))
        })?,
        "FileOrCreate" => make(path, |path| {
            File::create_new(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o644))
        })?,
        _ => {}
    }
    let (fits, what): (fn(&Metadata) -> bool, _) = match kind {
        "Directory" | "DirectoryOrCreate" => (Metadata::is_dir, "a directory"),
        "File" | "FileOrCreate" => (Metadata::is_file, "a file"),
        "Socket" => (|found| found.file_type().is_socket(), "a socket file"),
        "CharDevice" => (
            |found| found.file_type().is_char_device(),
            "a character device",
        ),
        "BlockDevice" => (
            |found| found.file_type().is_block_device(),
            "a block device",
        ),
        other => return Err(format!("{other} is an invalid volume type")),
    };
    match fs::metadata(path) {
        Ok(found) if fits(&found) => Ok(()),
        _ => Err(format!(
            "hostPath type check failed: {} is not {what}",
            source.path
        )),
    }
}

fn make(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), String> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => make(path).map_err(|error| format!("making {}: {error}", path.display())),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_path_is_what_the_volume_says() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("file"), "").expect("written");
        let _socket = UnixListener::bind(at("socket")).expect("bound");
        let (here, file, socket, none) = (at(""), at("file"), at("socket"), at("none"));
        for (path, kind, error) in [
            (&none, "", None),
            (&here, "Directory", None),
            (&here, "DirectoryOrCreate", None),
            (&file, "File", None),
            (&socket, "Socket", None),
            (&"/dev/null".to_owned(), "CharDevice", None),
            (&file, "Directory", Some("is not a directory")),
            (&file, "DirectoryOrCreate", Some("is not a directory")),
            (&none, "File", Some("is not a file")),
            (&here, "FileOrCreate", Some("is not a file")),
            (&file, "Socket", Some("is not a socket file")),
            (&file, "CharDevice", Some("is not a character device")),
            (&file, "BlockDevice", Some("is not a block device")),
            (&file, "Tape", Some("Tape is an invalid volume type")),
            (&"a/b".to_owned(), "", Some("invalid HostPath")),
            (&"/a/../b".to_owned(), "", Some("invalid HostPath")),
        ] {
            let source = HostPathVolumeSource {
                path: path.clone(),
                type_: Some(kind.to_owned()),
            };
            match (check(&source), error) {
                (Ok(()), None) => {}
                (Err(why), Some(error)) => assert!(why.contains(error), "{why}"),
                (found, _) => panic!("{path} {kind}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_shall_be_made_is_made() {
        let folder = tempfile::TempDir::new().expect("a folder");
        for (name, kind, mode) in [
            ("a/b", "DirectoryOrCreate", 0o755),
            ("a/f", "FileOrCreate", 0o644),
        ] {
            let path = folder.path().join(name);
            let source = HostPathVolumeSource {
                path: path.display().to_string(),
                type_: Some(kind.to_owned()),
            };
            check(&source).expect("made");
            let found = fs::metadata(&path).expect("there");
            assert_eq!(found.permissions().mode() & 0o7777, mode, "{name}");
        }
    }
}
