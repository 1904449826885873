//! Limits of this crate.

/// How deep messages may be nested in a protobuf body; the same as serde_json's limit for JSON.
pub const MESSAGE_DEPTH_MAX: usize = 128;
