//! Finds the golden data: answers of Kubernetes 1.36, kept outside the project.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The folder of this name among the golden data: under MAINSTAY_GOLDEN, or in `shared/golden` beside the
/// project. `None`, with a message, where there is none: the test has nothing to compare with.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MAINSTAY_GOLDEN")
        .map(PathBuf::from)
        .or_else(|| {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            here.ancestors()
                .map(|folder| folder.join("shared/golden"))
                .find(|path| path.is_dir())
        });
    let folder = root.map(|root| root.join("kubernetes-1.36").join(name));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: no golden data ({name}); set MAINSTAY_GOLDEN to its folder");
    }
    found
}

/// A JSON file of the golden data; absence of a single file is a mistake of the test.
#[allow(dead_code, reason = "each test binary uses its part of this module")]
pub(crate) fn json(path: &Path) -> Value {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
