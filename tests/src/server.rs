//! Which server binary is tested, and what it says about itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Environment variable that names the server binary to test.
pub const SERVER_VARIABLE: &str = "MAINSTAY_TEST_SERVER";

/// A release of the server: major, minor, patch.
pub type Version = (u32, u32, u32);

/// A server binary that understands etcd's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    path: PathBuf,
    version: Version,
}

impl Server {
    /// The server under test. Panics with one line when the binary is missing.
    pub fn under_test() -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER
            .get_or_init(|| {
                let path = std::env::var_os(SERVER_VARIABLE)
                    .map_or_else(|| built_binary("kvstore"), PathBuf::from);
                assert!(
                    path.is_file(),
                    "no server at {}: build it with `cargo build --release -p kvstore`, \
                     or name one in {SERVER_VARIABLE}",
                    path.display()
                );
                Self::at(&path).unwrap_or_else(|| {
                    panic!(
                        "{} --version does not print `etcd Version: X.Y.Z`",
                        path.display()
                    )
                })
            })
            .clone()
    }

    /// Debian's etcd, when it is installed.
    pub fn debian_etcd() -> Option<Self> {
        Self::at(Path::new("/usr/bin/etcd"))
    }

    fn at(path: &Path) -> Option<Self> {
        let output = Command::new(path).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let version = parse_version(text.lines().next()?.strip_prefix("etcd Version: ")?)?;
        Some(Self {
            path: path.to_owned(),
            version,
        })
    }

    /// Path of the binary.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version that `--version` prints.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the server claims at least this release: gates what older releases cannot do.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.version.0, self.version.1) >= (major, minor)
    }
}

/// Reads `X.Y.Z`, ignoring a pre-release suffix.
pub fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.trim().split(['.', '-', '+']).map(str::parse);
    Some((
        parts.next()?.ok()?,
        parts.next()?.ok()?,
        parts.next()?.ok()?,
    ))
}

/// A binary beside the running executable, which lies in `<target>/release` or `<target>/release/deps`.
pub(crate) fn built_binary(name: &str) -> PathBuf {
    let executable = std::env::current_exe().expect("a running process has an executable");
    let mut dir = executable.parent().expect("an executable lies in a folder");
    if dir.ends_with("deps") {
        dir = dir.parent().expect("deps lies in a folder");
    }
    dir.join(name)
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("3.4.23"), Some((3, 4, 23)));
        assert_eq!(parse_version("3.8.0-alpha.0\n"), Some((3, 8, 0)));
        assert_eq!(parse_version("3.8"), None);
    }
}
