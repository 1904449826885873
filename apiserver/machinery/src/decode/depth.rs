//! The depth of values that were not parsed here.

use super::error::DecodeError;
use crate::limits::DEPTH_MAX;
use serde_json::Value;

/// Fails where lists and maps nest deeper than [`DEPTH_MAX`]: what a patch makes must be readable again.
pub fn check_depth(value: &Value) -> Result<(), DecodeError> {
    if fits(value, DEPTH_MAX) {
        return Ok(());
    }
    Err(DecodeError::new("exceeded max depth"))
}

fn fits(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left > 0 && items.iter().all(|item| fits(item, left - 1)),
        Value::Object(map) => left > 0 && map.values().all(|item| fits(item, left - 1)),
        _ => true,
    }
}
