//! Certificates on disk: `PREFIX-TIME.pem` each, and `PREFIX-current.pem`, a link to the one that counts.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::pair::Pair;

/// The certificates of one purpose.
#[derive(Clone, Debug)]
pub struct PairStore {
    folder: PathBuf,
    prefix: String,
}

impl PairStore {
    /// `prefix` as in `kubelet-client`.
    #[must_use]
    pub fn new(folder: &Path, prefix: &str) -> Self {
        Self {
            folder: folder.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// The file that always holds the certificate and key that count.
    #[must_use]
    pub fn current_path(&self) -> PathBuf {
        self.path("current")
    }

    fn path(&self, qualifier: &str) -> PathBuf {
        self.folder.join(format!("{}-{qualifier}.pem", self.prefix))
    }

    /// The pair that counts; none if there is none or it is not readable.
    #[must_use]
    pub fn current(&self) -> Option<Pair> {
        let path = self.current_path();
        let text = fs::read_to_string(&path).ok()?;
        match Pair::read(&text, &text) {
            Ok(pair) => Some(pair),
            Err(error) => {
                tracing::warn!(path = %path.display(), "not a certificate with its key: {error}");
                None
            }
        }
    }

    /// From now on this pair counts. It is on the disk before it does.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn update(&self, pair: &Pair) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let name = Timestamp::now().strftime("%Y-%m-%d-%H-%M-%S").to_string();
        let path = self.path(&name);
        write_secret(&path, &pair.text())?;
        let link = self.path("updated");
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        symlink(path.file_name().unwrap_or_default(), &link)?;
        fs::rename(&link, self.current_path())?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// A key that a request was made with and that has no certificate yet: the request can be made again.
    #[must_use]
    pub fn pending_key(&self) -> Option<String> {
        fs::read_to_string(self.pending_path()).ok()
    }

    /// # Errors
    /// If the disk refuses.
    pub fn keep_pending_key(&self, key: &str) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        write_secret(&self.pending_path(), key)
    }

    pub fn forget_pending_key(&self) {
        // What is left is used once more and does no harm.
        let _ = fs::remove_file(self.pending_path());
    }

    fn pending_path(&self) -> PathBuf {
        self.folder.join(format!("{}.key.tmp", self.prefix))
    }
}

/// Replaces a file, with contents for the owner alone.
pub(super) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::super::pair::tests::made;
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_current_pair_is_replaced_whole() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let store = PairStore::new(&folder.path().join("pki"), "kubelet-client");
        assert!(store.current().is_none());
        for name in ["one", "two"] {
            let (chain, key) = made(name, 1000);
            // What an update that was interrupted left.
            fs::create_dir_all(folder.path().join("pki")).expect("made");
            let _ = symlink(
                "nowhere",
                folder.path().join("pki/kubelet-client-updated.pem"),
            );
            store
                .update(&Pair::read(&chain, &key).expect("a pair"))
                .expect("stored");
            assert_eq!(store.current().expect("there").name, name);
        }
        let path = store.current_path();
        assert!(path.ends_with("pki/kubelet-client-current.pem"));
        assert!(fs::symlink_metadata(&path).expect("there").is_symlink());
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "damaged").expect("written");
        assert!(store.current().is_none());
    }

    #[test]
    fn a_key_waits_for_its_certificate() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let store = PairStore::new(folder.path(), "kubelet-client");
        assert_eq!(store.pending_key(), None);
        store.keep_pending_key("key").expect("kept");
        assert_eq!(store.pending_key().as_deref(), Some("key"));
        store.forget_pending_key();
        assert_eq!(store.pending_key(), None);
    }
}
