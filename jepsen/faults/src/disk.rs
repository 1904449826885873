//! Disks in files, and their removal.

use std::path::Path;

/// Unmounts whatever is mounted below a dead run's folder.
pub(crate) fn sweep(_dir: &Path) {}
