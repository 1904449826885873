//! The kubectl with which upstream's answers to sessions were recorded: its own words change between its versions.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{folder, golden};
use crate::upstream::Section;

/// A kubectl and its version.
#[derive(Clone, Debug)]
pub struct Kubectl {
    /// Its file.
    pub path: PathBuf,
    /// Such as `1.33`.
    pub version: String,
}

impl Kubectl {
    /// Asks a command for its version. Nothing where it has none of its own, as a command that chooses another.
    pub fn at(path: &Path) -> Option<Self> {
        let mut command = Command::new(path);
        let output = command.args(["version", "--client", "-o", "json"]).output();
        let said: Value = serde_json::from_slice(&output.ok()?.stdout).ok()?;
        let told = &said["clientVersion"];
        let text = |key: &str| told[key].as_str().unwrap_or_default();
        if text("gitVersion").contains("dispatcher") {
            return None;
        }
        let minor = text("minor").trim_end_matches('+');
        Some(Self {
            path: path.to_owned(),
            version: format!("{}.{minor}", text("major")),
        })
    }

    /// One of this machine for whose version answers are recorded.
    pub fn recorded() -> Option<Self> {
        let versions = Self::versions();
        let known = |kubectl: &Self| versions.contains(&kubectl.version);
        let mut found = candidates().into_iter();
        found.find_map(|path| Self::at(&path).filter(known))
    }

    /// Versions for which answers are recorded.
    pub fn versions() -> Vec<String> {
        let entries = std::fs::read_dir(folder().join("golden/sessions"));
        let names = entries.into_iter().flatten().flatten();
        names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    }

    /// Where the answers to a session are, in the folder of golden ones.
    pub fn golden_name(&self, session: &str) -> String {
        format!("sessions/{}/{session}", self.version)
    }

    /// What upstream answered to a session with a kubectl of this version.
    pub fn golden(&self, session: &str) -> Vec<Section> {
        golden(&self.golden_name(session))
    }
}

/// Files that may be a kubectl: those that can be called so, and those that lie beside them.
fn candidates() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for dir in dirs.clone() {
        let file = dir.join("kubectl").canonicalize().ok();
        dirs.extend(file.and_then(|file| Some(file.parent()?.to_owned())));
    }
    let mut found: Vec<PathBuf> = dirs
        .iter()
        .filter_map(|dir| std::fs::read_dir(dir).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let version = name.strip_prefix("kubectl");
            let is_version = |text: &str| text.chars().all(|c| c == '.' || c.is_ascii_digit());
            version.is_some_and(is_version) && path.is_file()
        })
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    found
}
