//! What is to run, and how it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::files;

/// A process that is to run always.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) environment: BTreeMap<String, String>,
}

/// How a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) name: String,
    /// Of its host's processes.
    pub(crate) pid: Option<u32>,
    /// Whether it is to run.
    pub(crate) wanted: bool,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// Seconds since it was last started.
    pub(crate) seconds: u64,
    /// How it ended the last time, if it did.
    pub(crate) ended: Option<String>,
}

/// Reads what is to run; nothing if nobody has said so yet.
pub(crate) fn read_services(path: &Path) -> Result<Vec<Service>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    serde_json::from_str(&files::read(path)?).with_context(|| path.display().to_string())
}
