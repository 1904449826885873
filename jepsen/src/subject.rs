//! Which server is tested.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use mainstay_tests::Version;
use mainstay_tests::server::{SERVER_VARIABLE, parse_version};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two servers that understand the same flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// This project's server.
    Kvstore,
    /// Debian's etcd, as a control: where it is clean the harness must find it clean.
    Etcd,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvstore => "kvstore",
            Self::Etcd => "etcd",
        })
    }
}

/// A server binary with what every process of it is given.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Which of the two.
    pub kind: Kind,
    /// The binary.
    pub path: PathBuf,
    /// What `--version` says.
    pub version: Version,
    /// The first line of `--version`.
    pub version_line: String,
    /// Environment of every process.
    pub env: Vec<(String, String)>,
    /// Flags of every process, after the harness's own.
    pub flags: Vec<String>,
}

impl Subject {
    /// Finds the binary: the one named, else for the kvstore the one in `MAINSTAY_TEST_SERVER` or in the target folder
    /// beside the harness, and for etcd `/usr/bin/etcd`.
    pub fn find(kind: Kind, binary: Option<&Path>) -> Result<Self> {
        let path = match (binary, kind) {
            (Some(path), _) => path.to_owned(),
            (None, Kind::Etcd) => PathBuf::from("/usr/bin/etcd"),
            (None, Kind::Kvstore) => match std::env::var_os(SERVER_VARIABLE) {
                Some(path) => path.into(),
                None => beside_the_harness("kvstore")?,
            },
        };
        if !path.is_file() {
            let how = match kind {
                Kind::Kvstore => "build it with `cargo build --release -p kvstore`, or name one",
                Kind::Etcd => "install Debian's etcd-server, or name one",
            };
            bail!("no {kind} at {}: {how} with --subject-bin", path.display());
        }
        let (version_line, version) = version_of(&path)?;
        Ok(Self {
            kind,
            path,
            version,
            version_line,
            env: Vec::new(),
            flags: Vec::new(),
        })
    }

    /// Whether the server claims at least this release.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.version.0, self.version.1) >= (major, minor)
    }
}

fn version_of(path: &Path) -> Result<(String, Version)> {
    let output = Command::new(path)
        .arg("--version")
        .output()
        .with_context(|| format!("starting {}", path.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next().unwrap_or_default().to_owned();
    let version = line
        .strip_prefix("etcd Version: ")
        .and_then(parse_version)
        .with_context(|| {
            format!(
                "{} --version does not print `etcd Version: X.Y.Z`",
                path.display()
            )
        })?;
    Ok((line, version))
}

/// A binary in the folder of the running one, or above it when that is `deps`, where tests lie.
pub(crate) fn beside_the_harness(name: &str) -> Result<PathBuf> {
    let executable = std::env::current_exe().context("finding the harness's own path")?;
    let mut dir = executable
        .parent()
        .context("an executable lies in a folder")?;
    if dir.ends_with("deps") {
        dir = dir.parent().context("deps lies in a folder")?;
    }
    Ok(dir.join(name))
}
