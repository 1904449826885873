//! `metadata.generation`: not negative, never lower than before.

use crate::field::{Error, ErrorList, Path};
use crate::meta;
use serde_json::Value;

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

pub(super) fn generation_on_create(object: &Value, path: &Path, errors: &mut ErrorList) {
    nonnegative(meta::generation(object), path, errors);
}

pub(super) fn generation_on_update(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let (new, old) = (meta::generation(new), meta::generation(old));
    nonnegative(new, path, errors);
    if new < old {
        errors.push(Error::invalid(path, new, "must not be decremented"));
    }
}

/// A number that may not be below zero.
pub fn nonnegative(value: i64, path: &Path, errors: &mut ErrorList) {
    if value < 0 {
        errors.push(Error::invalid(path, value, NOT_NEGATIVE));
    }
}
