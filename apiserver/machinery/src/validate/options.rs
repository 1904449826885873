//! The options of a request: DeleteOptions, CreateOptions, UpdateOptions, PatchOptions.

use super::managed::field_manager;
use crate::field::{Error, ErrorList, Path};
use serde_json::Value;

/// `dryRun`: `All` or nothing.
pub fn dry_run(values: &[&str], errors: &mut ErrorList) {
    if values.iter().any(|v| *v != "All") {
        errors.push(Error::not_supported(
            &Path::new("dryRun"),
            values.to_vec(),
            &["All"],
        ));
    }
}

/// `fieldValidation`: Ignore, Warn or Strict; empty is Warn.
pub fn field_validation(value: &str, errors: &mut ErrorList) {
    let supported = ["", "Ignore", "Strict", "Warn"];
    if !supported.contains(&value) {
        errors.push(Error::not_supported(
            &Path::new("fieldValidation"),
            value,
            &supported,
        ));
    }
}

/// The options of create and update.
pub fn write_options(manager: &str, dry_runs: &[&str], validation: &str) -> ErrorList {
    let mut errors = ErrorList::new();
    field_manager(manager, &Path::new("fieldManager"), &mut errors);
    dry_run(dry_runs, &mut errors);
    field_validation(validation, &mut errors);
    errors
}

/// The options of patch. `apply` says that the patch is a server-side apply; `force` is None where not given.
pub fn patch_options(
    apply: bool,
    force: Option<bool>,
    manager: &str,
    dry_runs: &[&str],
    validation: &str,
) -> ErrorList {
    let mut errors = ErrorList::new();
    if apply && manager.is_empty() {
        errors.push(Error::required(
            &Path::new("fieldManager"),
            "is required for apply patch",
        ));
    }
    if !apply && force.is_some() {
        let detail = "may not be specified for non-apply patch";
        errors.push(Error::forbidden(&Path::new("force"), detail));
    }
    errors.extend(write_options(manager, dry_runs, validation));
    errors
}

/// `DeleteOptions`, as an object.
pub fn delete_options(options: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("propagationPolicy");
    let policy = &options["propagationPolicy"];
    if !options["orphanDependents"].is_null() && !policy.is_null() {
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(Error::invalid(&path, policy.clone(), detail));
    }
    let supported = ["Foreground", "Background", "Orphan", "nil"];
    if !policy.is_null() && !supported[..3].iter().any(|s| policy == s) {
        errors.push(Error::not_supported(&path, policy.clone(), &supported));
    }
    let dry_runs = options["dryRun"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let dry_runs: Vec<&str> = dry_runs
        .iter()
        .map(|v| v.as_str().unwrap_or_default())
        .collect();
    dry_run(&dry_runs, &mut errors);
    errors
}
